//! The executor: threads for the pure parts. Only this file and those under it know that there are threads.
//!
//! A *seat* is a worker's place: its number and its queues. A thread that has a seat runs tasks; a thread that overruns loses
//! its seat to another thread, and is an overrunner on the lane until its turn ends. So there are always as many seats as
//! workers, and never more than one thread in a seat.
//!
//! - `worker.rs`: the loop of a thread in a seat: next task, turn, look for work, sleep.
//! - `overrun.rs`: what happens when a slice is over.
//! - `threads.rs`: spare threads, and giving them seats.
//! - `ticker.rs`, `alarms.rs`: the threads of ticks and timers.
//!
//! 1. Whoever puts a task where others can take it calls a sleeper afterwards (`idle.rs`).
//! 2. No lock and no borrow of a seat is held while a task runs, is dropped, or a timer fires.

mod alarms;
mod overrun;
mod threads;
mod ticker;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;
use crossbeam_utils::sync::Unparker;
use parking_lot::Mutex;

pub use overrun::Overrun;
pub(crate) use worker::report_panic;

use crate::config::Config;
use crate::idle::Idle;
use crate::lane::Lane;
use crate::queue::{Injector, Thief};
use crate::runnable::Task;
use crate::stats::{Stats, WorkerCounts};

pub(crate) struct Executor {
    config: Config,
    injector: Injector,
    thieves: Box<[Thief]>,
    /// By seat: calls the thread that sleeps in it.
    bells: Box<[Unparker]>,
    counts: Box<[CachePadded<WorkerCounts>]>,
    idle: CachePadded<Idle>,
    ticks: CachePadded<AtomicU64>,
    stopping: CachePadded<AtomicBool>,
    lane: Mutex<Lane<Unparker>>,
    lane_len: AtomicUsize,
    lane_events: AtomicU64,
    panics: AtomicU64,
    ticker: ticker::Ticker,
    timers: alarms::Alarms,
    threads: threads::Threads,
}

impl Executor {
    pub(crate) fn start(config: Config) -> Arc<Executor> {
        let (seats, ends): (Vec<_>, Vec<_>) = (0..config.workers).map(worker::Seat::new).unzip();
        let (thieves, bells): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        let now = (config.clock)();
        let executor = Arc::new(Executor {
            injector: Injector::new(),
            thieves: thieves.into(),
            bells: bells.into(),
            counts: (0..config.workers).map(|_| CachePadded::default()).collect(),
            idle: CachePadded::new(Idle::new(config.workers)),
            ticks: CachePadded::default(),
            stopping: CachePadded::default(),
            lane: Mutex::new(Lane::new()),
            lane_len: AtomicUsize::new(0),
            lane_events: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            ticker: ticker::Ticker::new(),
            timers: alarms::Alarms::new(now),
            threads: threads::Threads::new(),
            config,
        });
        #[expect(
            clippy::expect_used,
            reason = "nothing runs yet that could be lost, and without its threads nothing ever would"
        )]
        threads::start(&executor, seats).expect("the operating system gives the scheduler its threads");
        executor
    }

    /// A task whose header said that it must be queued.
    pub(crate) fn queue(&self, task: Task) {
        if let Err(task) = worker::queue_here(self, task) {
            self.queue_anywhere(task);
        }
    }

    /// Puts a task where every worker finds it.
    fn queue_anywhere(&self, task: Task) {
        if self.is_stopping() {
            return;
        }
        self.injector.push(task);
        self.call();
    }

    /// Work was put where others can take it: wakes a worker if one sleeps and none looks for work already.
    fn call(&self) {
        if let Some(seat) = self.idle.call() {
            #[expect(
                clippy::indexing_slicing,
                reason = "`idle` calls only seats that it was made with, and each has a bell"
            )]
            self.bells[seat].unpark();
        }
    }

    fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.thieves.iter().any(|thief| !thief.is_empty())
    }

    /// Whether anything runs, so that ticks matter.
    fn is_busy(&self) -> bool {
        self.idle.busy() > 0 || self.lane_len.load(Ordering::SeqCst) > 0
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn timers(&self) -> &alarms::Alarms {
        &self.timers
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            workers: self.counts.iter().map(|counts| counts.read()).collect(),
            lane: self.lane.lock().len(),
            lane_events: self.lane_events.load(Ordering::Relaxed),
            panics: self.panics.load(Ordering::Relaxed),
            ticks: self.ticks.load(Ordering::Relaxed),
            timers: self.timers.len(),
            threads: self.threads.live(),
        }
    }

    /// Tells everybody to end, and waits for nobody.
    pub(crate) fn request_stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for bell in &self.bells {
            bell.unpark();
        }
        for overrunner in self.lane.lock().everybody() {
            overrunner.unpark();
        }
        self.threads.close();
        self.timers.close();
        self.ticker.ring();
    }

    pub(crate) fn stop(&self) {
        self.request_stop();
        self.threads.join();
        while let Some(task) = self.injector.pop() {
            drop(task);
        }
    }
}
