//! Step mode: the same tasks without any thread, in an order that the seed decides.
//!
//! Owns the queues and the timers of a simulated scheduler. The priority is chosen by the same rotation as with threads;
//! among the tasks of one priority the seed chooses any, so that simulations see orders that stealing would make. Knows no
//! clock: an [`overrun`](Stepped::overrun) counts as one tick of processor time.
//!
//! 1. The same seed and the same calls give the same run.
//! 2. No lock is held while a task runs or a timer fires.

#![expect(
    clippy::indexing_slicing,
    reason = "levels are numbered by `Priority`; workers and tasks are drawn from below the number that there are"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::budget::Turn;
use crate::config::Config;
use crate::executor::{Overrun, report_panic};

use crate::policy::{self, Priority};
use crate::rng::Rng;
use crate::runnable::Task;
use crate::scheduler::Alarm;
use crate::stats::{Stats, WorkerStats};
use crate::timer::{TimerId, Wheel};

pub(crate) struct Stepped {
    config: Config,
    state: Mutex<State>,
    ticks: AtomicU64,
    turn_began: AtomicU64,
}

struct State {
    queues: [Vec<Task>; Priority::COUNT],
    rng: Rng,
    turn: u64,
    wheel: Wheel<Alarm>,
    stats: Vec<WorkerStats>,
    panics: u64,
    stopped: bool,
}

impl Stepped {
    pub(crate) fn new(config: Config, seed: u64) -> Stepped {
        let state = State {
            queues: Default::default(),
            rng: Rng::new(seed),
            turn: 0,
            wheel: Wheel::new(0),
            stats: vec![WorkerStats::default(); config.workers],
            panics: 0,
            stopped: false,
        };
        Stepped { config, state: Mutex::new(state), ticks: AtomicU64::new(0), turn_began: AtomicU64::new(0) }
    }

    pub(crate) fn queue(&self, task: Task) {
        let mut state = self.state.lock();
        if !state.stopped {
            state.queues[task.header().level()].push(task);
        }
    }

    pub(crate) fn step(&self) -> bool {
        let Some((task, worker)) = self.state.lock().next() else { return false };
        let header = task.header();
        header.begin();
        self.turn_began.store(self.ticks.load(Ordering::Relaxed), Ordering::Relaxed);
        let mut turn = Turn::new(worker, self.config.batch, self.config.slice_ticks(), &self.ticks);
        let result = catch_unwind(AssertUnwindSafe(|| task.run(&mut turn)));
        header.set_strikes(policy::strikes(self.cpu_ns(), self.config.slice_ns()));
        let again = match result {
            Ok(outcome) => header.finish(outcome),
            Err(panic) => {
                report_panic(&task, panic);
                false
            }
        };
        {
            let mut state = self.state.lock();
            state.stats[worker].turns += 1;
            state.stats[worker].events += u64::from(turn.events());
            state.panics += u64::from(header.is_dead());
        }
        if again {
            self.queue(task);
        }
        true
    }

    pub(crate) fn overrun(&self) -> Overrun {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        Overrun { cpu_ns: self.cpu_ns(), wall_ns: self.cpu_ns(), lane_full: false, stopping: self.state.lock().stopped }
    }

    fn cpu_ns(&self) -> u64 {
        (self.ticks.load(Ordering::Relaxed) - self.turn_began.load(Ordering::Relaxed)) * self.config.tick_ns()
    }

    pub(crate) fn set_timer(&self, at: u64, alarm: Alarm) -> Option<TimerId> {
        self.state.lock().wheel.set(at, alarm)
    }

    pub(crate) fn cancel_timer(&self, id: TimerId) -> bool {
        self.state.lock().wheel.cancel(id).is_some()
    }

    pub(crate) fn advance_to(&self, now: u64) -> usize {
        let mut fired = 0;
        loop {
            let Some(due) = self.state.lock().wheel.expire(now) else { return fired };
            let (sink, key) = due.payload;
            if let Some(sink) = sink.upgrade() {
                sink.fire(key, now);
            }
            fired += 1;
        }
    }

    pub(crate) fn next_timer(&self) -> Option<u64> {
        self.state.lock().wheel.next()
    }

    pub(crate) fn stats(&self) -> Stats {
        let state = self.state.lock();
        Stats {
            workers: state.stats.clone(),
            panics: state.panics,
            ticks: self.ticks.load(Ordering::Relaxed),
            timers: state.wheel.len(),
            ..Stats::default()
        }
    }

    pub(crate) fn stop(&self) {
        let queues = {
            let mut state = self.state.lock();
            state.stopped = true;
            std::mem::take(&mut state.queues)
        };
        drop(queues);
    }
}

impl State {
    fn next(&mut self) -> Option<(Task, usize)> {
        let level = *policy::order(self.turn).iter().find(|&&level| !self.queues[level].is_empty())?;
        self.turn += 1;
        let which = self.rng.below(self.queues[level].len());
        // The others keep their order, so that a trace reads well.
        let task = self.queues[level].remove(which);
        Some((task, self.rng.below(self.stats.len())))
    }
}
