//! From a guest's import call to an answer.
//!
//! Owns: the raw arguments, decoded into one [`Syscall`], and the way back: a number, or the end of the handler. Does not know
//! what the calls mean; that is [`answer`].
//!
//! 1. A call that may not be made now faults before anything of it is looked at.
//! 2. Nothing here panics on what a guest passes.

mod allege;
mod answer;

use pando_abi::{Call, Errno, Handle, IMPORT_MODULE};
use wasmtime::{Caller, Linker};

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

/// One call with its arguments, none of them checked yet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Syscall {
    Send { target: Handle, parcel: Parcel },
    Call { target: Handle, parcel: Parcel, deadline_ns: i64, flags: i32 },
    Reply { reply: Handle, status: i32, parcel: Parcel },
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
            Syscall::Send { .. } => Call::Send,
            Syscall::Call { .. } => Call::Call,
            Syscall::Reply { .. } => Call::Reply,
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

fn enter(mut caller: Caller<'_, Guest>, syscall: Syscall) -> wasmtime::Result<i64> {
    let no = match caller.data().memory {
        Some(memory) if caller.data().phase == Phase::Handler => {
            let (bytes, guest) = memory.data_and_store_mut(&mut caller);
            let answer = guest.answer(bytes, syscall);
            if let Some((at, len)) = guest.wrote.take() {
                mark(&mut caller, at, len);
            }
            match answer {
                Ok(result) => return Ok(result),
                Err(no) => no,
            }
        }
        _ => No::Stop(Box::new(Stop::Misuse(format!(
            "called `{}` within `pando_inbox` or a start function, where no call may be made",
            syscall.call().name()
        )))),
    };
    match no {
        No::Luck(errno) => Ok(i64::from(errno.as_return())),
        No::Stop(stop) => {
            let guest = caller.data_mut();
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

fn enter32(caller: Caller<'_, Guest>, syscall: Syscall) -> wasmtime::Result<i32> {
    // Every call with an i32 result answers 0, 1 or an errno.
    enter(caller, syscall).map(|n| n as i32)
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
    linker.func_wrap(M, Call::Send.name(), |c: C<'_>, target: i32, b: i32, bl: i32, h: i32, hc: i32| {
        enter32(c, Syscall::Send { target: handle(target), parcel: parcel(b, bl, h, hc) })
    })?;
    linker.func_wrap(
        M,
        Call::Call.name(),
        |c: C<'_>, target: i32, b: i32, bl: i32, h: i32, hc: i32, deadline_ns: i64, flags: i32| {
            enter(c, Syscall::Call { target: handle(target), parcel: parcel(b, bl, h, hc), deadline_ns, flags })
        },
    )?;
    linker.func_wrap(
        M,
        Call::Reply.name(),
        |c: C<'_>, reply: i32, status: i32, b: i32, bl: i32, h: i32, hc: i32| {
            enter32(c, Syscall::Reply { reply: handle(reply), status, parcel: parcel(b, bl, h, hc) })
        },
    )?;
    linker.func_wrap(M, Call::Spawn.name(), |c: C<'_>, authority: i32, s: i32, sl: i32, h: i32, hc: i32| {
        enter(c, Syscall::Spawn { authority: handle(authority), parcel: parcel(s, sl, h, hc) })
    })?;
    linker.func_wrap(M, Call::Exit.name(), |c: C<'_>, code: i32, m: i32, ml: i32| {
        enter(c, Syscall::Exit { code, message: Span::new(m, ml) }).map(drop)
    })?;
    linker.func_wrap(M, Call::Kill.name(), |c: C<'_>, target: i32| {
        enter32(c, Syscall::Kill { target: handle(target) })
    })?;
    linker.func_wrap(M, Call::Link.name(), |c: C<'_>, target: i32| {
        enter32(c, Syscall::Link { target: handle(target) })
    })?;
    linker.func_wrap(M, Call::Unlink.name(), |c: C<'_>, target: i32| {
        enter32(c, Syscall::Unlink { target: handle(target) })
    })?;
    linker.func_wrap(M, Call::Monitor.name(), |c: C<'_>, target: i32| {
        enter(c, Syscall::Monitor { target: handle(target) })
    })?;
    linker.func_wrap(M, Call::Demonitor.name(), |c: C<'_>, monitor: i64| enter32(c, Syscall::Demonitor { monitor }))?;
    linker.func_wrap(M, Call::Timer.name(), |c: C<'_>, delay_ns: i64| enter(c, Syscall::Timer { delay_ns }))?;
    linker.func_wrap(M, Call::Cancel.name(), |c: C<'_>, timer: i64| enter32(c, Syscall::Cancel { timer }))?;
    linker.func_wrap(M, Call::Now.name(), |c: C<'_>| enter(c, Syscall::Now))?;
    linker.func_wrap(M, Call::Random.name(), |c: C<'_>| enter(c, Syscall::Random))?;
    linker.func_wrap(M, Call::Log.name(), |c: C<'_>, level: i32, t: i32, tl: i32| {
        enter(c, Syscall::Log { level, text: Span::new(t, tl) }).map(drop)
    })?;
    linker.func_wrap(M, Call::HandleCopy.name(), |c: C<'_>, h: i32, rights: i32, badge: i64| {
        enter(c, Syscall::HandleCopy { handle: handle(h), rights, badge })
    })?;
    linker.func_wrap(M, Call::HandleDrop.name(), |c: C<'_>, h: i32| {
        enter32(c, Syscall::HandleDrop { handle: handle(h) })
    })?;
    linker.func_wrap(M, Call::HandleRevoke.name(), |c: C<'_>, h: i32| {
        enter32(c, Syscall::HandleRevoke { handle: handle(h) })
    })?;
    linker.func_wrap(M, Call::HandleStat.name(), |c: C<'_>, h: i32, out: i32| {
        enter32(c, Syscall::HandleStat { handle: handle(h), out })
    })?;
    linker.func_wrap(M, Call::HandleSame.name(), |c: C<'_>, a: i32, b: i32| {
        enter32(c, Syscall::HandleSame { a: handle(a), b: handle(b) })
    })?;
    Ok(())
}
