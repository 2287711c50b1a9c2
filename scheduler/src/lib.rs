//! Who runs, where, and for how long.
//!
//! Worker threads run tasks ([`Runnable`]) in turns: one turn handles a batch of what waits for the task, synchronously, on
//! the worker's own stack. A task is queued at most once. Workers steal from each other and sleep when there is nothing.
//! A turn that overruns its slice loses its worker, not its stack: another thread takes over the queue, and the overrunner
//! goes on on the low lane. Timers are a wheel with `now` as an argument. The same tasks run without any thread in step
//! mode, in an order that a seed decides.
//!
//! Owns threads (only `executor.rs` and the files under it know them), queues, budgets, priorities and timers. Knows neither
//! actors nor Wasm nor network.
//!
//! 1. No wake-up is lost: after `wake` a run of that task begins (`header.rs`).
//! 2. A task runs on one thread at a time, and is in one queue at most (`header.rs`).
//! 3. Whatever waits is reached, whatever its priority (`policy.rs`, `queue.rs`).
//! 4. A neighbour of a task that overruns waits for one slice and a hand-over, not for the task.
//! 5. While nothing runs, nothing wakes up.
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::iter_over_hash_type,
        clippy::disallowed_methods,
        clippy::allow_attributes_without_reason
    )
)]

mod berth;
mod budget;
mod config;
mod executor;
mod header;
mod idle;
mod lane;
pub mod limits;
#[cfg(all(test, any(loom, shuttle)))]
mod orders;
mod os;
mod policy;
mod queue;
mod rng;
mod runnable;
mod scheduler;
mod stats;
mod step;
mod sync;
mod timer;

pub use budget::Turn;
pub use config::{Clock, Config, OnTick};
pub use executor::Overrun;
pub use header::{Header, State};
pub use policy::Priority;
pub use runnable::{Outcome, Runnable, Task};
pub use scheduler::{Scheduler, TimerSink};
pub use stats::{Stats, WorkerStats};
pub use timer::{Due, TimerId, Wheel};
