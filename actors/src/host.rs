//! From a guest's import call to an answer.
//!
//! Owns: the raw arguments, and the way back: a number, or the end of the handler. Does not know
//! what the calls mean; that is [`answer`].
//!
//! 1. A call that may not be made now faults before anything of it is looked at.
//! 2. Nothing here panics on what a guest passes.

mod allege;
mod answer;

use pando_abi::{Call, Errno, Handle, IMPORT_MODULE};
use wasmtime::{AsContextMut, Caller, Linker, StoreContextMut};

use self::allege::Span;
use crate::{
    guest::{Guest, Phase, Stop},
    shell::mark,
};

/// A body and the handles beside it, as the guest alleges them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parcel {
    body: Span,
    handles: Span,
}

/// One call with its arguments, none of them checked yet. `send`, `call` and `reply` are answered without one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Syscall {
    Spawn { authority: Handle, parcel: Parcel },
    Exit { code: i32, message: Span },
    Kill { target: Handle },
    Link { target: Handle },
    Unlink { target: Handle },
    Monitor { target: Handle },
    Demonitor { monitor: i64 },
    Timer { delay_ns: i64 },
    Cancel { timer: i64 },
    Now,
    Random,
    Log { level: i32, text: Span },
    HandleCopy { handle: Handle, rights: i32, badge: i64 },
    HandleDrop { handle: Handle },
    HandleRevoke { handle: Handle },
    HandleStat { handle: Handle, out: i32 },
    HandleSame { a: Handle, b: Handle },
}

impl Syscall {
    /// Its entry in the contract's list.
    pub(crate) const fn call(&self) -> Call {
        match self {
            Syscall::Spawn { .. } => Call::Spawn,
            Syscall::Exit { .. } => Call::Exit,
            Syscall::Kill { .. } => Call::Kill,
            Syscall::Link { .. } => Call::Link,
            Syscall::Unlink { .. } => Call::Unlink,
            Syscall::Monitor { .. } => Call::Monitor,
            Syscall::Demonitor { .. } => Call::Demonitor,
            Syscall::Timer { .. } => Call::Timer,
            Syscall::Cancel { .. } => Call::Cancel,
            Syscall::Now => Call::Now,
            Syscall::Random => Call::Random,
            Syscall::Log { .. } => Call::Log,
            Syscall::HandleCopy { .. } => Call::HandleCopy,
            Syscall::HandleDrop { .. } => Call::HandleDrop,
            Syscall::HandleRevoke { .. } => Call::HandleRevoke,
            Syscall::HandleStat { .. } => Call::HandleStat,
            Syscall::HandleSame { .. } => Call::HandleSame,
        }
    }
}

/// Why a call has no result.
#[derive(Debug)]
pub(crate) enum No {
    /// Bad luck: the guest gets the code.
    Luck(Errno),
    /// The handler ends here. Rarely, so it is kept apart.
    Stop(Box<Stop>),
}

impl From<Errno> for No {
    fn from(errno: Errno) -> No {
        No::Luck(errno)
    }
}

/// The guest did what a correct program does not.
pub(crate) fn misuse<T>(sentence: String) -> Result<T, No> {
    Err(No::Stop(Box::new(Stop::Misuse(sentence))))
}

/// What unwinds the guest's stack when the host has stopped it; the reason stands in [`Guest::stop`].
#[derive(Debug, thiserror::Error)]
#[error("stopped by the host")]
pub(crate) struct Stopped;

/// What a call is answered by, from the guest's memory and the host's side of it.
trait Answer: FnOnce(&mut Guest, &mut [u8]) -> Result<i64, No> {}

impl<A: FnOnce(&mut Guest, &mut [u8]) -> Result<i64, No>> Answer for A {}

#[inline(always)]
fn enter(mut store: StoreContextMut<'_, Guest>, call: Call, answer: impl Answer) -> wasmtime::Result<i64> {
    let no = match store.data().memory {
        Some(memory) if store.data().phase == Phase::Handler => {
            let (bytes, guest) = memory.data_and_store_mut(&mut store);
            match answer(guest, bytes) {
                Ok(result) => return Ok(result),
                Err(no) => no,
            }
        }
        _ => too_early(call),
    };
    refuse(store, no)
}

#[cold]
fn too_early(call: Call) -> No {
    No::Stop(Box::new(Stop::Misuse(format!(
        "called `{}` within `pando_inbox` or a start function, where no call may be made",
        call.name()
    ))))
}

/// The errno, or the end of the handler.
#[inline(never)]
fn refuse(mut store: StoreContextMut<'_, Guest>, no: No) -> wasmtime::Result<i64> {
    match no {
        No::Luck(errno) => Ok(i64::from(errno.as_return())),
        No::Stop(stop) => {
            let guest = store.data_mut();
            // Nobody asks where an actor was that exits, and to find out costs more than all else of it.
            let traced = if matches!(*stop, Stop::Exit { .. }) { guest.no_trace.take() } else { None };
            guest.stop = Some(*stop);
            let error = wasmtime::Error::new(Stopped);
            Err(match traced {
                Some(trace) => error.context(trace),
                None => error,
            })
        }
    }
}

#[inline(always)]
fn enter32(store: StoreContextMut<'_, Guest>, call: Call, answer: impl Answer) -> wasmtime::Result<i32> {
    // Every call with an i32 result answers 0, 1 or an errno.
    enter(store, call, answer).map(|n| n as i32)
}

/// One of those that are not `send`, `call` or `reply`. Only they write for the guest.
fn other(mut caller: Caller<'_, Guest>, syscall: Syscall) -> wasmtime::Result<i64> {
    let mut wrote = None;
    let answered = enter(caller.as_context_mut(), syscall.call(), |guest, memory| {
        let answer = guest.answer(memory, syscall);
        wrote = guest.wrote.take();
        answer
    });
    if let Some((at, len)) = wrote {
        mark(&mut caller, at, len);
    }
    answered
}

fn other32(caller: Caller<'_, Guest>, syscall: Syscall) -> wasmtime::Result<i32> {
    other(caller, syscall).map(|n| n as i32)
}

fn handle(raw: i32) -> Handle {
    Handle(raw as u32)
}

fn parcel(body: i32, body_len: i32, handles: i32, handle_count: i32) -> Parcel {
    Parcel { body: Span::new(body, body_len), handles: Span::new(handles, handle_count) }
}

/// Gives every syscall to guests.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    type C<'a> = Caller<'a, Guest>;
    const M: &str = IMPORT_MODULE;
    linker.func_wrap(M, Call::Send.name(), |mut c: C<'_>, target: i32, b: i32, bl: i32, h: i32, hc: i32| {
        enter32(c.as_context_mut(), Call::Send, |guest, memory| {
            guest.send(memory, handle(target), &parcel(b, bl, h, hc))
        })
    })?;
    linker.func_wrap(
        M,
        Call::Call.name(),
        |mut c: C<'_>, target: i32, b: i32, bl: i32, h: i32, hc: i32, deadline_ns: i64, flags: i32| {
            enter(c.as_context_mut(), Call::Call, |guest, memory| {
                guest.call(memory, handle(target), &parcel(b, bl, h, hc), deadline_ns, flags)
            })
        },
    )?;
    linker.func_wrap(
        M,
        Call::Reply.name(),
        |mut c: C<'_>, reply: i32, status: i32, b: i32, bl: i32, h: i32, hc: i32| {
            enter32(c.as_context_mut(), Call::Reply, |guest, memory| {
                guest.reply(memory, handle(reply), status, &parcel(b, bl, h, hc))
            })
        },
    )?;
    linker.func_wrap(M, Call::Spawn.name(), |c: C<'_>, authority: i32, s: i32, sl: i32, h: i32, hc: i32| {
        other(c, Syscall::Spawn { authority: handle(authority), parcel: parcel(s, sl, h, hc) })
    })?;
    linker.func_wrap(M, Call::Exit.name(), |c: C<'_>, code: i32, m: i32, ml: i32| {
        other(c, Syscall::Exit { code, message: Span::new(m, ml) }).map(drop)
    })?;
    linker.func_wrap(M, Call::Kill.name(), |c: C<'_>, target: i32| {
        other32(c, Syscall::Kill { target: handle(target) })
    })?;
    linker.func_wrap(M, Call::Link.name(), |c: C<'_>, target: i32| {
        other32(c, Syscall::Link { target: handle(target) })
    })?;
    linker.func_wrap(M, Call::Unlink.name(), |c: C<'_>, target: i32| {
        other32(c, Syscall::Unlink { target: handle(target) })
    })?;
    linker.func_wrap(M, Call::Monitor.name(), |c: C<'_>, target: i32| {
        other(c, Syscall::Monitor { target: handle(target) })
    })?;
    linker.func_wrap(M, Call::Demonitor.name(), |c: C<'_>, monitor: i64| other32(c, Syscall::Demonitor { monitor }))?;
    linker.func_wrap(M, Call::Timer.name(), |c: C<'_>, delay_ns: i64| other(c, Syscall::Timer { delay_ns }))?;
    linker.func_wrap(M, Call::Cancel.name(), |c: C<'_>, timer: i64| other32(c, Syscall::Cancel { timer }))?;
    linker.func_wrap(M, Call::Now.name(), |c: C<'_>| other(c, Syscall::Now))?;
    linker.func_wrap(M, Call::Random.name(), |c: C<'_>| other(c, Syscall::Random))?;
    linker.func_wrap(M, Call::Log.name(), |c: C<'_>, level: i32, t: i32, tl: i32| {
        other(c, Syscall::Log { level, text: Span::new(t, tl) }).map(drop)
    })?;
    linker.func_wrap(M, Call::HandleCopy.name(), |c: C<'_>, h: i32, rights: i32, badge: i64| {
        other(c, Syscall::HandleCopy { handle: handle(h), rights, badge })
    })?;
    linker.func_wrap(M, Call::HandleDrop.name(), |c: C<'_>, h: i32| {
        other32(c, Syscall::HandleDrop { handle: handle(h) })
    })?;
    linker.func_wrap(M, Call::HandleRevoke.name(), |c: C<'_>, h: i32| {
        other32(c, Syscall::HandleRevoke { handle: handle(h) })
    })?;
    linker.func_wrap(M, Call::HandleStat.name(), |c: C<'_>, h: i32, out: i32| {
        other32(c, Syscall::HandleStat { handle: handle(h), out })
    })?;
    linker.func_wrap(M, Call::HandleSame.name(), |c: C<'_>, a: i32, b: i32| {
        other32(c, Syscall::HandleSame { a: handle(a), b: handle(b) })
    })?;
    Ok(())
}
