//! What was seen of a handler, and what may follow from it.

use std::collections::{BTreeSet, VecDeque};

use pando_actors::Effect;

/// What a call came to.
#[derive(Clone, PartialEq, Debug)]
pub enum Said {
    /// It returned this.
    Value(i64),
    /// It faulted: the handler is undone.
    Fault,
    /// It ended the actor.
    Exit(i32, String),
}

/// What was seen of a handler, from which open numbers are taken.
pub struct Seen {
    /// What it asked for, in order; after a fault only log lines.
    pub effects: VecDeque<Effect>,
    /// Only log lines are there.
    pub faulted: bool,
}

impl Seen {
    /// The next one, unless the handler faulted and this is none of a line.
    pub(super) fn next(&mut self) -> Result<Option<Effect>, String> {
        if self.faulted {
            return Ok(None);
        }
        self.effects.pop_front().map(Some).ok_or_else(|| "an effect is missing".to_owned())
    }

    pub(super) fn expect(&mut self, wanted: Effect) -> Result<(), String> {
        match self.next()? {
            Some(found) if found != wanted => Err(format!("wanted {wanted:?}, found {found:?}")),
            _ => Ok(()),
        }
    }

    /// A line, which is there after a fault, too.
    pub fn line(&mut self, level: u8, text: &str) -> Result<(), String> {
        match self.effects.pop_front() {
            Some(Effect::Log { level: l, text: t }) if (l, t.as_str()) == (level, text) => Ok(()),
            other => Err(format!("wanted the line {text:?} of level {level}, found {other:?}")),
        }
    }
}

/// Ids that an actor is given: calls, monitors, timers.
#[derive(Clone, Default, Debug)]
pub(super) struct Ids {
    pub(super) last: u64,
    pub(super) open: BTreeSet<u64>,
}

impl Ids {
    pub(super) fn fresh(&mut self, found: Option<u64>) -> Result<u64, String> {
        let id = found.unwrap_or(self.last + 1);
        if id == 0 || id <= self.last || id > i64::MAX as u64 {
            return Err(format!("the id {id} was given before: the last was {}", self.last));
        }
        self.last = id;
        self.open.insert(id);
        Ok(id)
    }
}
