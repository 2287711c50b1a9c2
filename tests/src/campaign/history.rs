//! Who asked what and when, and what they were told.
//!
//! Owns: the records and the clock that they share. Does not know: whether that is right; that is the oracle's.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// What somebody asked of a value that counts up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// One more.
    Add,
    /// How much is it, and not less than when I asked?
    Linear,
    /// How much was it at some time?
    Final,
}

/// What somebody was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The value: after the addition, or as read.
    Value(u64),
    /// It was not done and never will be.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// One question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    /// Who asked.
    pub client: u32,
    /// What.
    pub what: What,
    /// When, in nanoseconds of the history's clock.
    pub asked: u64,
    /// When the outcome was known. Of an unknown one: when it was given up; it may take effect any time later.
    pub told: u64,
    /// The outcome.
    pub outcome: Outcome,
    /// The index in the group's log that the answer stands on.
    pub index: u64,
    /// The node that answered: the leader.
    pub node: u32,
    /// How often it was asked under the same key.
    pub attempts: u32,
}

/// Questions of one value.
#[derive(Debug)]
pub struct History {
    began: Instant,
    ops: Mutex<Vec<Op>>,
}

impl History {
    /// One whose clock began then.
    pub fn since(began: Instant) -> History {
        History { began, ops: Mutex::default() }
    }

    /// The clock.
    pub fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// One more question.
    pub fn push(&self, op: Op) {
        self.lock().push(op);
    }

    /// The latest acknowledged addition: when, and who led.
    pub fn latest(&self) -> Option<(u64, u32)> {
        let acked = |op: &&Op| op.what == What::Add && matches!(op.outcome, Outcome::Value(_));
        self.lock().iter().rev().find(acked).map(|op| (op.told, op.node))
    }

    /// Has an addition been acknowledged that was asked for after this?
    pub fn went_on_after(&self, then: u64) -> bool {
        let news = |op: &Op| op.what == What::Add && op.asked > then && matches!(op.outcome, Outcome::Value(_));
        self.lock().iter().rev().take(4_096).any(news)
    }

    /// All of it, in the order of being told.
    pub fn all(&self) -> Vec<Op> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Op>> {
        self.ops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
