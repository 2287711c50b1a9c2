//! An actor's alarms: many times, and one timer of the scheduler for the earliest.
//!
//! Owns: the times. Does not know what an alarm brings.
//!
//! 1. While an alarm is set there is a timer that is due no later, or it has fired and is about to be heard.
//! 2. Taking an alarm back leaves the timer as it is: most deadlines are never reached, and the scheduler is not asked twice for
//!    each.

use std::{collections::BTreeSet, sync::Weak};

use pando_scheduler::{Scheduler, TimerId, TimerSink};

use super::Cell;
use crate::input::Alarm;

/// See the module.
#[derive(Default)]
pub(super) struct Alarms {
    set: BTreeSet<(u64, Alarm)>,
    timer: Option<(u64, TimerId)>,
}

impl Alarms {
    /// Sets one.
    pub(super) fn set(&mut self, at_ns: u64, alarm: Alarm, scheduler: &Scheduler, cell: &Weak<Cell>) {
        self.set.insert((at_ns, alarm));
        self.arm(scheduler, cell);
    }

    /// Takes one back.
    pub(super) fn take_back(&mut self, at_ns: u64, alarm: Alarm) {
        self.set.remove(&(at_ns, alarm));
    }

    /// The timer has fired, and it is this late by its clock: the earliest that is due, if there is one.
    pub(super) fn due(&mut self, now_ns: u64) -> Option<Alarm> {
        self.timer = self.timer.filter(|(at, _)| *at > now_ns);
        let due = self.set.first().is_some_and(|(at, _)| *at <= now_ns);
        if due { self.set.pop_first().map(|(_, alarm)| alarm) } else { None }
    }

    /// Sees to it that there is a timer for the earliest.
    pub(super) fn arm(&mut self, scheduler: &Scheduler, cell: &Weak<Cell>) {
        let Some(&(at_ns, _)) = self.set.first() else { return };
        if self.timer.is_some_and(|(at, _)| at <= at_ns) {
            return;
        }
        let sink: Weak<dyn TimerSink> = cell.clone();
        let later = self.timer.replace((at_ns, scheduler.timer(at_ns, sink, 0)));
        if let Some((_, id)) = later {
            scheduler.cancel(id);
        }
    }

    /// Is nothing set?
    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// It lives elsewhere, and has its alarms there.
    pub(super) fn leave(&mut self, scheduler: &Scheduler) {
        self.set.clear();
        self.rest(scheduler);
    }

    /// Nothing is set: no timer is kept for nothing.
    pub(super) fn rest(&mut self, scheduler: &Scheduler) {
        if self.set.is_empty()
            && let Some((_, id)) = self.timer.take()
        {
            scheduler.cancel(id);
        }
    }
}

impl TimerSink for Cell {
    fn fire(&self, _key: u64, now_ns: u64) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        {
            let mut post = self.post.lock();
            post.due_ns = post.due_ns.max(Some(now_ns));
        }
        if let Some(this) = self.this.upgrade() {
            kernel.wake(&this);
        }
    }
}
