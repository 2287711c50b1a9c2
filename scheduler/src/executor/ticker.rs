//! Ticks: a thread that counts them while something runs, and sleeps while nothing does.
//!
//! The order that makes its sleep safe: a worker first counts as busy, then reads `asleep`; the ticker first sets `asleep`, then
//! reads whether anybody is busy. Both are sequentially consistent, so one of the two sees the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::Executor;
use crate::limits::TICKER_QUIET_TICKS;

pub(super) struct Ticker {
    asleep: AtomicBool,
    lock: Mutex<()>,
    bell: Condvar,
}

impl Ticker {
    pub(super) fn new() -> Ticker {
        Ticker { asleep: AtomicBool::new(false), lock: Mutex::new(()), bell: Condvar::new() }
    }

    /// Something runs.
    pub(super) fn ring_if_asleep(&self) {
        if self.asleep.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    pub(super) fn ring(&self) {
        let _lock = self.lock.lock();
        self.asleep.store(false, Ordering::SeqCst);
        self.bell.notify_one();
    }

    /// The thread. Ends when the scheduler stops and the last thread that could need a tick has ended.
    pub(super) fn run(&self, executor: &Executor) {
        let mut quiet = 0;
        loop {
            let stopping = executor.is_stopping();
            if stopping && executor.threads.live() == 0 {
                return;
            }
            if executor.is_busy() || stopping {
                quiet = 0;
                executor.ticks.fetch_add(1, Ordering::Relaxed);
                (executor.config.on_tick)();
            } else {
                quiet += 1;
            }
            if quiet > TICKER_QUIET_TICKS {
                quiet = 0;
                self.sleep(executor);
            }
            thread::sleep(executor.config.tick);
        }
    }

    fn sleep(&self, executor: &Executor) {
        let mut lock = self.lock.lock();
        self.asleep.store(true, Ordering::SeqCst);
        if executor.is_busy() || executor.is_stopping() {
            self.asleep.store(false, Ordering::SeqCst);
        }
        while self.asleep.load(Ordering::SeqCst) {
            self.bell.wait(&mut lock);
        }
    }
}
