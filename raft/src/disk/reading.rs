//! Reading with the log engine, of which there may be several in one process.
//!
//! The engine keeps the block that it has read last in a variable of each thread, under the place that the block has in *a* log
//! (raft-engine 0.4.2, `engine.rs`, `BLOCK_CACHE`). If another log was read on the thread before, that may be its block.
//!
//! 1. A thread that one log was read on reads no other: that is done on a thread of its own.
//! 2. In a simulation nothing is kept from one read to the next, so two runs of a seed read the same.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::replica::one_thread;

thread_local! {
    /// The log that was read on this thread; 0: none yet.
    static LOG: Cell<u64> = const { Cell::new(0) };
}

/// One of the logs of this process.
pub(super) struct Reading(u64);

impl Reading {
    /// Another one than all others.
    pub(super) fn new() -> Reading {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Reading(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Reads in this log. Blocks.
    pub(super) fn read<R: Send>(&self, read: impl FnOnce() -> R + Send) -> R {
        if !one_thread() && [0, self.0].contains(&LOG.get()) {
            LOG.set(self.0);
            return read();
        }
        #[expect(clippy::disallowed_methods, reason = "it is waited for: nothing goes on beside it")]
        let read = std::thread::scope(|scope| scope.spawn(read).join());
        read.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> std::thread::ThreadId {
        std::thread::current().id()
    }

    #[test]
    fn a_thread_reads_one_log_and_no_other() {
        let (one, two) = (Reading::new(), Reading::new());
        std::thread::spawn(move || {
            assert_eq!(one.read(here), here());
            assert_ne!(two.read(here), here());
            assert_eq!(one.read(here), here());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn in_a_simulation_each_read_has_a_thread_of_its_own() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let log = Reading::new();
        runtime.block_on(async {
            let first = log.read(here);
            assert_ne!(first, here());
            assert_ne!(first, log.read(here));
        });
    }
}
