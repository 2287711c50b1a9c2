//! The scheduler as its users see it: threads or steps behind one face.

use std::sync::{Arc, Weak};

use crate::config::Config;
use crate::executor::{Executor, Overrun};
use crate::runnable::{Runnable, Task};
use crate::stats::Stats;
use crate::step::Stepped;
use crate::timer::TimerId;

/// Where a timer goes when it is due.
pub trait TimerSink: Send + Sync {
    /// The timer set with this key is due; it is `now_ns` by the scheduler's clock. Called on the timers' thread: be short.
    fn fire(&self, key: u64, now_ns: u64);
}

/// A timer's destination and its key.
pub(crate) type Alarm = (Weak<dyn TimerSink>, u64);

/// Runs tasks. A clone is another handle on the same scheduler; when the last one is gone it stops by itself.
#[derive(Clone)]
pub struct Scheduler {
    mode: Mode,
    _stop: Arc<StopWhenDropped>,
}

#[derive(Clone)]
enum Mode {
    Threads(Arc<Executor>),
    Steps(Arc<Stepped>),
}

struct StopWhenDropped(Mode);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        if let Mode::Threads(executor) = &self.0 {
            executor.request_stop();
        }
    }
}

impl Scheduler {
    /// A scheduler with threads of its own.
    ///
    /// # Panics
    /// When the operating system gives no thread.
    pub fn start(config: Config) -> Scheduler {
        Scheduler::of(Mode::Threads(Executor::start(config.in_range())))
    }

    /// A scheduler without threads, for simulation: things happen in [`step`](Self::step) and
    /// [`advance_to`](Self::advance_to), in an order that depends on the seed and on nothing else.
    pub fn stepped(config: Config, seed: u64) -> Scheduler {
        Scheduler::of(Mode::Steps(Arc::new(Stepped::new(config.in_range(), seed))))
    }

    fn of(mode: Mode) -> Scheduler {
        Scheduler { _stop: Arc::new(StopWhenDropped(mode.clone())), mode }
    }

    /// Something waits for this task: a run of it begins after this. From any thread, also from within a run.
    #[inline]
    pub fn wake(&self, task: &Task) {
        if task.header().wake() {
            self.queue(task.clone());
        }
    }

    /// The same for a task whose type is known: it becomes a [`Task`] only if it has to be queued.
    #[inline]
    pub fn wake_typed<T: Runnable>(&self, task: &Arc<T>) {
        if task.header().wake() {
            self.queue(task.clone());
        }
    }

    /// The same for a reference that is not needed any more.
    #[inline]
    pub fn wake_owned<T: Runnable>(&self, task: Arc<T>) {
        if task.header().wake() {
            self.queue(task);
        }
    }

    fn queue(&self, task: Task) {
        match &self.mode {
            Mode::Threads(executor) => executor.queue(task),
            Mode::Steps(stepped) => stepped.queue(task),
        }
    }

    /// To be called from within a run, on its thread, at every tick that passes in it: by an epoch callback.
    ///
    /// Inside the slice it returns at once. When the slice is over it gives the worker's queue to another thread, makes this
    /// thread as weak as the system allows, waits for the low lane, and returns when the run may go on. The caller ends the run
    /// when [`Overrun::cpu_ns`] has reached its limit, or the answer says that the lane is full or that the scheduler stops.
    pub fn overrun(&self) -> Overrun {
        match &self.mode {
            Mode::Threads(executor) => executor.overrun(),
            Mode::Steps(stepped) => stepped.overrun(),
        }
    }

    /// Sets a timer. When the sink is gone at its time, nothing happens.
    pub fn timer(&self, at_ns: u64, sink: Weak<dyn TimerSink>, key: u64) -> TimerId {
        let id = match &self.mode {
            Mode::Threads(executor) => executor.timers().set(at_ns, (sink, key)),
            Mode::Steps(stepped) => stepped.set_timer(at_ns, (sink, key)),
        };
        id.unwrap_or_else(|| {
            tracing::error!(at_ns, key, "no room for one more timer; it will not fire");
            TimerId::NEVER
        })
    }

    /// Takes a timer back. False: it has fired, is firing, or was taken back before.
    pub fn cancel(&self, id: TimerId) -> bool {
        match &self.mode {
            Mode::Threads(executor) => executor.timers().cancel(id),
            Mode::Steps(stepped) => stepped.cancel_timer(id),
        }
    }

    /// Step mode: runs one turn of one task. False: nothing waits. With threads it does nothing.
    pub fn step(&self) -> bool {
        match &self.mode {
            Mode::Threads(_) => false,
            Mode::Steps(stepped) => stepped.step(),
        }
    }

    /// Step mode: fires every timer that is due at `now_ns`, in order, and says how many. With threads it does nothing.
    pub fn advance_to(&self, now_ns: u64) -> usize {
        match &self.mode {
            Mode::Threads(_) => 0,
            Mode::Steps(stepped) => stepped.advance_to(now_ns),
        }
    }

    /// When the next timer is due.
    pub fn next_timer(&self) -> Option<u64> {
        match &self.mode {
            Mode::Threads(executor) => executor.timers().next(),
            Mode::Steps(stepped) => stepped.next_timer(),
        }
    }

    /// What happened since the start.
    pub fn stats(&self) -> Stats {
        match &self.mode {
            Mode::Threads(executor) => executor.stats(),
            Mode::Steps(stepped) => stepped.stats(),
        }
    }

    /// Ends the threads and waits for them; tasks that are queued are let go without a run, and later wake-ups do nothing.
    /// A run that never ends and does not heed [`Overrun::stopping`] is waited for, too. Called from within a run it does not
    /// wait.
    pub fn stop(&self) {
        match &self.mode {
            Mode::Threads(executor) => executor.stop(),
            Mode::Steps(stepped) => stepped.stop(),
        }
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mode = match &self.mode {
            Mode::Threads(_) => "threads",
            Mode::Steps(_) => "steps",
        };
        f.debug_tuple("Scheduler").field(&mode).finish()
    }
}
