//! What goes into a handler and what comes out of it.

use pando_abi::{Errno, EventKind, ExitKind};

use crate::Capability;

/// What its kernel counts for an actor, as it is before the event: part of what the actor's limits are held against.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Children that are alive.
    pub children: u32,
    /// Links.
    pub links: u32,
}

/// One event for an actor. Time and entropy come in here and nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Why the handler runs.
    pub kind: EventKind,
    /// See [`pando_abi::event::flags`]. `QUERY` and `REPLICATED` are set by this crate.
    pub flags: u16,
    /// 0, or the code of an errno.
    pub status: u16,
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// What the event answers.
    pub token: u64,
    /// The badge that the message came with.
    pub badge: u64,
    /// Where `random` starts.
    pub seed: u64,
    /// The one-time right to answer, if it is a call.
    pub reply: Option<Capability>,
    /// What the actor has that is counted outside of it.
    pub tally: Tally,
    /// Capabilities that came along.
    pub handles: &'a [Capability],
    /// Bytes that came along.
    pub body: &'a [u8],
}

impl Event<'_> {
    /// An event of this kind with nothing in it.
    pub const fn new(kind: EventKind) -> Event<'static> {
        Event {
            kind,
            flags: 0,
            status: 0,
            time_ns: 0,
            token: 0,
            badge: 0,
            seed: 0,
            reply: None,
            tally: Tally { children: 0, links: 0 },
            handles: &[],
            body: &[],
        }
    }
}

/// What came of an event.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct Handled {
    /// Fuel that the handler took. Always 0 for a plain actor.
    pub fuel: u64,
    /// How the handler ended the actor, if it did. After a fault the state is as before the event if the actor was born
    /// with `undo`, and after a query always; otherwise the actor is good for nothing but [`crate::Actor::live_capabilities`].
    pub end: Option<Box<Exit>>,
    /// The event did not reach the guest: `FULL` if its handles do not fit the table, `LIMIT` if it is larger than an event may be,
    /// `REFUSED` if it is a query to a module that cannot be undone.
    pub refused: Option<Errno>,
}

/// How an actor ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exit {
    /// In one word.
    pub kind: ExitKind,
    /// What the actor gave to `exit`, or 0.
    pub code: i32,
    /// For people. Of a fault: the reason in one sentence, then the guest's backtrace, a line for each frame.
    pub message: String,
}

impl Exit {
    /// An end that the actor did not ask for.
    pub fn new(kind: ExitKind, message: impl Into<String>) -> Exit {
        Exit { kind, code: 0, message: message.into() }
    }
}

/// `fault: divided by zero`.
impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.name())?;
        if self.code != 0 {
            write!(f, " {}", self.code)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Exit {}
