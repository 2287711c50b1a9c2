//! Who waits for what inside one actor, and what the present event says.
//!
//! Owns: the table from tokens to those who wait for them. Does not know: how an actor's methods are found.
//!
//! 1. Everything is plain memory of the actor: one that waits for three answers and a timer is at rest all the same.
//! 2. What arrives and is waited for by nobody is let go.
//! 3. Tokens only grow, so a table is a sorted list and its newest entry is at the end.

use core::{
    cell::{Cell, RefCell},
    task::{Context, Poll, Waker},
};

use crate::{Down, Handle, executor::Tasks, prelude::*, sys};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::platform::{current, try_current};
#[cfg(target_arch = "wasm32")]
pub(crate) use guest::{current, try_current};

/// The state of the SDK in one actor.
pub(crate) struct Runtime {
    pub(crate) tasks: RefCell<Tasks>,
    waits: RefCell<[Vec<(u64, Wait)>; 3]>,
    pub(crate) present: Cell<Present>,
    /// Effects of this handler, and the bytes of their bodies.
    pub(crate) spent: Cell<(usize, usize)>,
}

/// What the event that is being handled says.
#[derive(Clone, Copy, Default)]
pub(crate) struct Present {
    pub(crate) time_ns: u64,
    /// Of the message, or of the message that the running task began with.
    pub(crate) badge: u64,
    pub(crate) flags: u16,
}

struct Wait {
    waker: Option<Waker>,
    arrived: Option<Arrived>,
}

/// What was waited for.
#[derive(Debug)]
pub(crate) enum Arrived {
    Reply { status: u16, body: Vec<u8>, handles: Vec<Handle> },
    Timer,
    Down(Down),
}

/// A place in the table, for as long as somebody waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    kind: Kind,
    id: u64,
    done: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Reply,
    Timer,
    Down,
}

impl Runtime {
    pub(crate) const fn new() -> Runtime {
        Runtime {
            tasks: RefCell::new(Tasks::new()),
            waits: RefCell::new([const { Vec::new() }; 3]),
            present: Cell::new(Present { time_ns: 0, badge: 0, flags: 0 }),
            spent: Cell::new((0, 0)),
        }
    }

    /// Hands over what arrived, if somebody waits for it; otherwise it comes back.
    pub(crate) fn arrive(&self, kind: Kind, id: u64, arrived: Arrived) -> Option<Arrived> {
        let mut waits = self.waits.borrow_mut();
        let table = &mut waits[kind as usize];
        let Ok(at) = place(table, id) else { return Some(arrived) };
        table[at].1.arrived = Some(arrived);
        let waker = table[at].1.waker.take();
        drop(waits);
        if let Some(waker) = waker {
            waker.wake();
        }
        None
    }

    fn begin(&self, kind: Kind, id: u64) {
        let mut waits = self.waits.borrow_mut();
        let table = &mut waits[kind as usize];
        if let Err(at) = place(table, id) {
            table.insert(at, (id, Wait { waker: None, arrived: None }));
        }
    }

    fn poll(&self, kind: Kind, id: u64, cx: &Context<'_>) -> Poll<Arrived> {
        let mut waits = self.waits.borrow_mut();
        let table = &mut waits[kind as usize];
        let Ok(at) = place(table, id) else { return Poll::Pending };
        match table[at].1.arrived.take() {
            Some(arrived) => {
                table.remove(at);
                Poll::Ready(arrived)
            }
            None => {
                table[at].1.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Takes the place out of the table; `true` if what it waited for had not come.
    fn forget(&self, kind: Kind, id: u64) -> bool {
        let mut waits = self.waits.borrow_mut();
        let table = &mut waits[kind as usize];
        let taken = place(table, id).ok().map(|at| table.remove(at).1);
        drop(waits);
        taken.is_some_and(|wait| wait.arrived.is_none())
    }
}

fn place(table: &[(u64, Wait)], id: u64) -> core::result::Result<usize, usize> {
    table.binary_search_by_key(&id, |(id, _)| *id)
}

impl Waiting {
    pub(crate) fn begin(kind: Kind, id: u64) -> Waiting {
        current(|runtime| runtime.begin(kind, id));
        Waiting { kind, id, done: false }
    }

    pub(crate) fn for_reply(token: u64) -> Waiting {
        Waiting::begin(Kind::Reply, token)
    }

    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<Arrived> {
        if self.done {
            return Poll::Pending;
        }
        let polled = current(|runtime| runtime.poll(self.kind, self.id, cx));
        self.done = polled.is_ready();
        polled
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let outstanding = try_current(|runtime| runtime.forget(self.kind, self.id)).unwrap_or(false);
        // Taking back what cannot be taken back hurts nobody: it arrives, and nobody waits for it.
        match self.kind {
            Kind::Timer if outstanding => drop(sys::cancel(self.id)),
            Kind::Down if outstanding => drop(sys::demonitor(self.id)),
            _ => {}
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod guest {
    use super::Runtime;
    use crate::single::Single;

    static RUNTIME: Single<Runtime> = Single::new(Runtime::new());

    pub(crate) fn current<R>(f: impl FnOnce(&Runtime) -> R) -> R {
        f(RUNTIME.get())
    }

    pub(crate) fn try_current<R>(f: impl FnOnce(&Runtime) -> R) -> Option<R> {
        Some(current(f))
    }
}
