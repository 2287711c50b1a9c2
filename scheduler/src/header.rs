//! Where a task is: at rest, queued, running; and that a wake-up is never lost.
//!
//! ```text
//!            wake            begin             wake
//!   Idle ----------> Queued --------> Running ----------> RunningWoken
//!     ^                ^ ^               | |                   |
//!     |                | |  finish Again | |                   |
//!     +----------------|-+---------------+ |                   |
//!        finish Idle   +-------------------|-------------------+
//!                                          |     finish
//!                                          +--> Dead (panic)
//! ```
//!
//! Owns one atomic byte of state, the priority and the strikes of a task. Knows neither queues nor threads.
//!
//! 1. Every transition is one atomic read-modify-write of the same byte, so all of them have one order, and each one sees
//!    what was written before the ones before it: who puts a message down and then wakes is either told to queue the task,
//!    or a run begins (or is queued again) after the message was put down.
//! 2. `wake`, `finish` answer "queue it" at most once between two `begin`s: a task is queued at most once.
//! 3. A dead task is never queued again.

use crate::policy::Priority;
use crate::runnable::Outcome;
use crate::sync::atomic::{AtomicU8, Ordering};

const IDLE: u8 = 0;
/// Somebody woke it since the last `begin`: with `RUNNING` it must run again, without it is queued.
const WOKEN: u8 = 1;
const RUNNING: u8 = 2;
const DEAD: u8 = 4;

/// What a task is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing to do.
    Idle,
    /// In exactly one queue.
    Queued,
    /// On exactly one thread.
    Running,
    /// Running, and it was woken meanwhile: it is queued again when its turn ends.
    RunningWoken,
    /// It panicked; it never runs again.
    Dead,
}

/// The scheduler's part of a task. Every [`Runnable`](crate::Runnable) holds one.
#[derive(Debug)]
pub struct Header {
    state: AtomicU8,
    priority: AtomicU8,
    strikes: AtomicU8,
}

impl Header {
    /// The header of a task at rest.
    pub fn new(priority: Priority) -> Header {
        Header { state: AtomicU8::new(IDLE), priority: AtomicU8::new(priority as u8), strikes: AtomicU8::new(0) }
    }

    /// The priority that it was given.
    #[inline]
    pub fn priority(&self) -> Priority {
        Priority::of_level(self.priority.load(Ordering::Relaxed) as usize)
    }

    /// Gives it another priority, from its next turn on.
    pub fn set_priority(&self, priority: Priority) {
        self.priority.store(priority as u8, Ordering::Relaxed);
    }

    /// Whether a turn of it panicked. It will never run again.
    #[inline]
    pub fn is_dead(&self) -> bool {
        self.state.load(Ordering::Acquire) & DEAD != 0
    }

    /// What it is doing; true only for an instant.
    pub fn state(&self) -> State {
        let state = self.state.load(Ordering::Acquire);
        match state & !WOKEN {
            _ if state & DEAD != 0 => State::Dead,
            RUNNING if state & WOKEN != 0 => State::RunningWoken,
            RUNNING => State::Running,
            _ if state & WOKEN != 0 => State::Queued,
            _ => State::Idle,
        }
    }

    /// Where it is queued: an overrunner goes last until it has shown that it can keep to its slice.
    #[inline]
    pub(crate) fn level(&self) -> usize {
        match self.strikes.load(Ordering::Relaxed) {
            0 => self.priority.load(Ordering::Relaxed) as usize,
            _ => Priority::Low as usize,
        }
    }

    /// Whether its last turn overran.
    #[inline]
    pub(crate) fn has_strikes(&self) -> bool {
        self.strikes.load(Ordering::Relaxed) != 0
    }

    /// Called by the thread that runs it, between `begin` and `finish`.
    pub(crate) fn set_strikes(&self, strikes: bool) {
        self.strikes.store(strikes.into(), Ordering::Relaxed);
    }

    /// Something waits for it. True: the caller must queue it.
    #[inline]
    pub(crate) fn wake(&self) -> bool {
        self.state.fetch_or(WOKEN, Ordering::AcqRel) == IDLE
    }

    /// Taken from its queue by the thread that will run it now.
    #[inline]
    pub(crate) fn begin(&self) {
        let before = self.state.swap(RUNNING, Ordering::AcqRel);
        assert_eq!(before, WOKEN, "a task that is run was queued, once");
    }

    /// Its turn is over. True: the caller must queue it again.
    #[inline]
    pub(crate) fn finish(&self, outcome: Outcome) -> bool {
        let idle = matches!(outcome, Outcome::Idle)
            && self.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if idle {
            return false;
        }
        let before = self.state.swap(WOKEN, Ordering::AcqRel);
        assert!(before & RUNNING != 0 && before & DEAD == 0, "a turn that ends was running");
        true
    }

    /// Its turn panicked.
    pub(crate) fn bury(&self) {
        let before = self.state.swap(DEAD, Ordering::AcqRel);
        assert!(before & RUNNING != 0, "only a running task panics");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two wakers and one runner, every transition a step; `choices` picks who goes next.
    struct Model {
        header: Header,
        mailbox: u32,
        queued: u32,
        handled: u32,
        /// Per waker: steps done, of put, wake, put, wake.
        wakers: [u32; 2],
        runner: Runner,
        ends: Vec<Outcome>,
    }

    enum Runner {
        Looking,
        Begun,
        Handled(Outcome),
    }

    impl Model {
        fn new(ends: &[Outcome]) -> Model {
            Model {
                header: Header::new(Priority::Normal),
                mailbox: 0,
                queued: 0,
                handled: 0,
                wakers: [0; 2],
                runner: Runner::Looking,
                ends: ends.to_vec(),
            }
        }

        fn can(&self, who: usize) -> bool {
            match who {
                0 | 1 => self.wakers[who] < 4,
                _ => !matches!(self.runner, Runner::Looking) || self.queued > 0,
            }
        }

        fn step(&mut self, who: usize) {
            if who < 2 {
                if self.wakers[who].is_multiple_of(2) {
                    self.mailbox += 1;
                } else if self.header.wake() {
                    self.queued += 1;
                }
                self.wakers[who] += 1;
            } else {
                self.runner = match self.runner {
                    Runner::Looking => {
                        self.queued -= 1;
                        self.header.begin();
                        Runner::Begun
                    }
                    Runner::Begun => {
                        // A batch of one: what is left is said by `Again`, or the plan says `Again` without need.
                        let take = self.mailbox.min(1);
                        self.mailbox -= take;
                        self.handled += take;
                        let planned = self.ends.pop().unwrap_or(Outcome::Idle);
                        Runner::Handled(if self.mailbox > 0 { Outcome::Again } else { planned })
                    }
                    Runner::Handled(outcome) => {
                        self.queued += u32::from(self.header.finish(outcome));
                        Runner::Looking
                    }
                };
            }
            assert!(self.queued <= 1, "queued twice");
            let running = !matches!(self.runner, Runner::Looking);
            assert!(!(running && self.queued > 0), "queued while it runs");
        }
    }

    /// Every interleaving, by replaying every sequence of choices.
    fn explore(ends: &[Outcome]) -> usize {
        let mut path: Vec<usize> = Vec::new();
        let mut runs = 0;
        loop {
            let mut model = Model::new(ends);
            for &who in &path {
                model.step(who);
            }
            while let Some(who) = (0..3).find(|&who| model.can(who)) {
                model.step(who);
                path.push(who);
            }
            assert_eq!((model.handled, model.mailbox), (4, 0), "a message was forgotten: {path:?}");
            assert_eq!(model.header.state(), State::Idle);
            runs += 1;
            // Back to the last choice that has another answer.
            loop {
                let Some(last) = path.pop() else { return runs };
                let mut model = Model::new(ends);
                for &who in &path {
                    model.step(who);
                }
                if let Some(next) = (last + 1..3).find(|&who| model.can(who)) {
                    path.push(next);
                    break;
                }
            }
        }
    }

    #[test]
    fn no_interleaving_of_two_wakers_and_a_runner_loses_a_message_or_queues_twice() {
        let runs = explore(&[]) + explore(&[Outcome::Again, Outcome::Idle]);
        assert!(runs > 1_000, "only {runs} interleavings");
    }

    #[test]
    fn a_dead_task_is_never_queued_again() {
        let header = Header::new(Priority::High);
        assert!(header.wake() && !header.wake());
        header.begin();
        header.bury();
        assert!(header.is_dead() && !header.wake() && header.state() == State::Dead);
    }

    #[test]
    fn an_overrunner_is_queued_low_until_it_is_pardoned() {
        let header = Header::new(Priority::High);
        header.set_strikes(true);
        assert_eq!((header.level(), header.priority()), (Priority::Low as usize, Priority::High));
        header.set_strikes(false);
        assert_eq!(header.level(), Priority::High as usize);
    }
}
