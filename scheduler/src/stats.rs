//! What the workers did, as numbers.
//!
//! Owns the counters. Each worker's counters have one writer at a time, so they are written without locked instructions.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What one worker did since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WorkerStats {
    /// Turns that were begun.
    pub turns: u64,
    /// Events that turns reported ([`Turn::handled`](crate::Turn::handled)), those of overrunners left out.
    pub events: u64,
    /// Times that it took work from another worker.
    pub steals: u64,
    /// Times that its queue went to another thread because a turn overran.
    pub hand_overs: u64,
    /// Times that it went to sleep.
    pub parks: u64,
    /// Whether it sleeps.
    pub parked: bool,
}

/// What the scheduler did since the start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// One per worker.
    pub workers: Vec<WorkerStats>,
    /// Overrunners on the low lane.
    pub lane: usize,
    /// Events that overrunners reported.
    pub lane_events: u64,
    /// Turns that panicked.
    pub panics: u64,
    /// Ticks that passed while something ran.
    pub ticks: u64,
    /// Timers that wait.
    pub timers: usize,
    /// Threads: workers, spares and overrunners, those of ticks and timers left out.
    pub threads: usize,
}

impl Stats {
    /// Turns of all workers.
    pub fn turns(&self) -> u64 {
        self.workers.iter().map(|worker| worker.turns).sum()
    }

    /// Events of all workers and overrunners.
    pub fn events(&self) -> u64 {
        self.workers.iter().map(|worker| worker.events).sum::<u64>() + self.lane_events
    }

    /// Hand-overs of all workers.
    pub fn hand_overs(&self) -> u64 {
        self.workers.iter().map(|worker| worker.hand_overs).sum()
    }
}

/// A number with one writer at a time and any number of readers.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.get() + n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct WorkerCounts {
    pub(crate) turns: Count,
    pub(crate) events: Count,
    pub(crate) steals: Count,
    pub(crate) hand_overs: Count,
    pub(crate) parks: Count,
    pub(crate) parked: AtomicBool,
}

impl WorkerCounts {
    pub(crate) fn read(&self) -> WorkerStats {
        WorkerStats {
            turns: self.turns.get(),
            events: self.events.get(),
            steals: self.steals.get(),
            hand_overs: self.hand_overs.get(),
            parks: self.parks.get(),
            parked: self.parked.load(Ordering::Relaxed),
        }
    }
}
