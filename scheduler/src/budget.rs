//! How much one turn may take, and what it leaves to the next one on the same worker.
//!
//! Owns the budget of a turn: so many events, so many ticks. Knows no clock: ticks are counted by somebody else.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a worker keeps from one turn to the next: something that all tasks share, so that not each turn has to count its own
/// reference to it, and workers do not meet at that count. A worker that sleeps or ends keeps nothing.
pub(crate) type Kept = Option<Arc<dyn Any + Send + Sync>>;

/// One turn of one task on one worker.
#[derive(Debug)]
pub struct Turn<'a> {
    kept: Kept,
    worker: usize,
    events_max: u32,
    handled: u32,
    began: u64,
    slice_ticks: u64,
    ticks: &'a AtomicU64,
}

impl<'a> Turn<'a> {
    #[inline]
    pub(crate) fn new(worker: usize, events_max: u32, slice_ticks: u64, ticks: &'a AtomicU64) -> Turn<'a> {
        let began = ticks.load(Ordering::Relaxed);
        Turn { kept: None, worker, events_max, handled: 0, began, slice_ticks, ticks }
    }

    /// The same with what the worker has kept.
    #[inline]
    pub(crate) fn with_kept(mut self, kept: Kept) -> Turn<'a> {
        self.kept = kept;
        self
    }

    /// What is to be kept.
    #[inline]
    pub(crate) fn into_kept(self) -> Kept {
        self.kept
    }

    /// What an earlier turn on this worker gave to [`keep`](Self::keep), if it is of this type and the worker has not slept since.
    #[inline]
    pub fn take_kept<T: Any + Send + Sync>(&mut self) -> Option<Arc<T>> {
        self.kept.take()?.downcast().ok()
    }

    /// Keeps this for the next turn on this worker.
    #[inline]
    pub fn keep<T: Any + Send + Sync>(&mut self, what: Arc<T>) {
        self.kept = Some(what);
    }

    /// The worker that the turn began on. Once the turn has overrun, another thread works under the same number.
    #[inline]
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// How many events the turn may handle. At least one.
    #[inline]
    pub fn events_max(&self) -> u32 {
        self.events_max
    }

    /// Whether the turn has lasted longer than a slice; then it should end between two events. Costs one load.
    #[inline]
    pub fn slice_over(&self) -> bool {
        self.ticks.load(Ordering::Relaxed).wrapping_sub(self.began) >= self.slice_ticks
    }

    /// The tick that it is now. Costs one load.
    #[inline]
    pub fn tick(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Reports events that were handled, for the statistics.
    #[inline]
    pub fn handled(&mut self, events: u32) {
        self.handled = self.handled.saturating_add(events);
    }

    /// How many events were reported.
    #[inline]
    pub fn events(&self) -> u32 {
        self.handled
    }

    /// The tick at which it began.
    #[inline]
    pub(crate) fn began(&self) -> u64 {
        self.began
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_over_when_its_ticks_have_passed_since_the_turn_began() {
        let ticks = AtomicU64::new(40);
        let mut turn = Turn::new(3, 64, 5, &ticks);
        ticks.store(44, Ordering::Relaxed);
        assert!(!turn.slice_over());
        ticks.store(45, Ordering::Relaxed);
        assert!(turn.slice_over());
        turn.handled(2);
        turn.handled(u32::MAX);
        assert_eq!((turn.worker(), turn.events_max(), turn.events()), (3, 64, u32::MAX));
    }
}
