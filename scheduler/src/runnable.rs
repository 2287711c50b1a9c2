//! What can be run.
//!
//! The only face that the scheduler sees of an actor, a service or a test: a [`Header`] and a `run`.

use std::sync::Arc;

use crate::budget::Turn;
use crate::header::Header;

/// A task as the queues hold it.
pub type Task = Arc<dyn Runnable>;

/// Something that has turns: it is woken when there is something for it, and then runs on one worker at a time.
pub trait Runnable: Send + Sync + 'static {
    /// The scheduler's part of it. Must always be the same one.
    fn header(&self) -> &Header;

    /// One turn: handle what waits, up to [`Turn::events_max`] events or until [`Turn::slice_over`].
    ///
    /// Whoever puts something down for this task and then calls `wake` can be sure that a run begins afterwards; so a run
    /// that has looked everywhere and leaves nothing returns [`Outcome::Idle`], and any other returns [`Outcome::Again`]. (A run
    /// that first finishes what an earlier one left over, and does not look whether more came since, leaves something.)
    ///
    /// A run that calls [`Scheduler::overrun`](crate::Scheduler::overrun) may be held there for a long time, and goes on slowly. So
    /// at that point it holds no lock that anybody else waits for.
    fn run(&self, turn: &mut Turn<'_>) -> Outcome;

    /// A turn of it panicked with this message. It is dead: it will not run again. Called on the worker, once.
    fn panicked(&self, _message: &str) {}
}

/// How a turn ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Nothing waits. If it was woken meanwhile it is queued again nevertheless.
    Idle,
    /// The budget is over and more waits: queue it again, behind the others.
    Again,
}
