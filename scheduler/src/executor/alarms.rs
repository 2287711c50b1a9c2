//! Timers with a thread: it sleeps until the wheel's next one and fires what is due.
//!
//! 1. The wheel is not locked while a timer fires, so a sink may set and cancel timers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::config::Clock;
use crate::scheduler::Alarm;
use crate::timer::{TimerId, Wheel};

pub(crate) struct Alarms {
    state: Mutex<State>,
    bell: Condvar,
}

struct State {
    wheel: Wheel<Alarm>,
    /// A timer that is due before this must wake the thread. 0: the thread is awake and will look by itself.
    sleeps_until: u64,
    closed: bool,
}

impl Alarms {
    pub(super) fn new(now: u64) -> Alarms {
        let state = State { wheel: Wheel::new(now), sleeps_until: 0, closed: false };
        Alarms { state: Mutex::new(state), bell: Condvar::new() }
    }

    pub(crate) fn set(&self, at: u64, alarm: Alarm) -> Option<TimerId> {
        let mut state = self.state.lock();
        let id = state.wheel.set(at, alarm);
        let earlier = at < state.sleeps_until;
        if earlier {
            state.sleeps_until = 0;
        }
        drop(state);
        if earlier {
            self.bell.notify_one();
        }
        id
    }

    pub(crate) fn cancel(&self, id: TimerId) -> bool {
        let alarm = self.state.lock().wheel.cancel(id);
        alarm.is_some()
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.state.lock().wheel.next()
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().wheel.len()
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.bell.notify_one();
    }

    /// The thread.
    pub(super) fn run(&self, clock: &Clock) {
        let mut state = self.state.lock();
        while !state.closed {
            let now = clock();
            if let Some(due) = state.wheel.expire(now) {
                drop(state);
                fire(due.payload, now);
                state = self.state.lock();
                continue;
            }
            match state.wheel.next_bound() {
                None => {
                    state.sleeps_until = u64::MAX;
                    self.bell.wait(&mut state);
                }
                Some(bound) => {
                    state.sleeps_until = bound;
                    self.bell.wait_for(&mut state, Duration::from_nanos(bound.saturating_sub(now)));
                }
            }
            state.sleeps_until = 0;
        }
    }
}

fn fire((sink, key): Alarm, now: u64) {
    let Some(sink) = sink.upgrade() else { return };
    if catch_unwind(AssertUnwindSafe(|| sink.fire(key, now))).is_err() {
        tracing::error!(key, "a timer's sink panicked");
    }
}
