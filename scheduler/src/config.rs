//! What a scheduler is built from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::{BATCH_EVENTS_DEFAULT, SLICE_NS_DEFAULT, TICK_NS_DEFAULT, TICK_NS_MIN, WORKERS_MAX};

/// Nanoseconds since whenever; never goes back.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;
/// Called at every tick while something runs.
pub type OnTick = Arc<dyn Fn() + Send + Sync>;

/// How a scheduler is built. Values out of range are moved into it.
#[derive(Clone)]
pub struct Config {
    /// Worker seats: how many tasks run at once. Usually one a core.
    pub workers: usize,
    /// Events of one turn at most.
    pub batch: u32,
    /// Processor time after which a turn has overrun.
    pub slice: Duration,
    /// Time between two ticks.
    pub tick: Duration,
    /// What timers are measured by.
    pub clock: Clock,
    /// Called on a thread of its own at every tick, only while something runs: this moves a Wasm engine's epoch.
    pub on_tick: OnTick,
}

impl Config {
    /// The usual, with so many workers, a clock that starts now, and ticks that nobody hears.
    #[expect(
        clippy::disallowed_methods,
        reason = "a scheduler with threads measures by the machine's clock unless it is given another"
    )]
    pub fn new(workers: usize) -> Config {
        let start = Instant::now();
        Config {
            workers,
            batch: BATCH_EVENTS_DEFAULT,
            slice: Duration::from_nanos(SLICE_NS_DEFAULT),
            tick: Duration::from_nanos(TICK_NS_DEFAULT),
            clock: Arc::new(move || start.elapsed().as_nanos() as u64),
            on_tick: Arc::new(|| ()),
        }
    }

    /// Every value in its range.
    pub(crate) fn in_range(mut self) -> Config {
        self.workers = self.workers.clamp(1, WORKERS_MAX);
        self.batch = self.batch.max(1);
        self.tick = self.tick.clamp(Duration::from_nanos(TICK_NS_MIN), Duration::from_secs(1));
        self.slice = self.slice.clamp(self.tick, Duration::from_secs(60));
        self
    }

    pub(crate) fn slice_ns(&self) -> u64 {
        self.slice.as_nanos() as u64
    }

    pub(crate) fn tick_ns(&self) -> u64 {
        self.tick.as_nanos() as u64
    }

    /// The slice in whole ticks, at least one.
    pub(crate) fn slice_ticks(&self) -> u64 {
        self.slice_ns().div_ceil(self.tick_ns())
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("workers", &self.workers)
            .field("batch", &self.batch)
            .field("slice", &self.slice)
            .field("tick", &self.tick)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_moved_into_it() {
        let config =
            Config { workers: 0, batch: 0, slice: Duration::ZERO, tick: Duration::ZERO, ..Config::new(1) }.in_range();
        assert_eq!((config.workers, config.batch, config.tick_ns()), (1, 1, TICK_NS_MIN));
        assert_eq!((config.slice, config.slice_ticks()), (config.tick, 1));
    }
}
