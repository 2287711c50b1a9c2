//! A thread in a seat: takes the next task, gives it its turn, looks for work, sleeps.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_utils::sync::{Parker, Unparker};

use super::Executor;
use super::overrun::Stay;
use crate::budget::{Kept, Turn};
use crate::os;
use crate::policy::{self, Spin};
use crate::queue::{Local, Thief};
use crate::rng::Rng;
use crate::runnable::Task;

thread_local! {
    static CONTEXT: RefCell<Option<Rc<Context>>> = const { RefCell::new(None) };
}

/// A worker's place. It moves from thread to thread; whoever has it is the worker.
pub(super) struct Seat {
    pub(super) index: usize,
    pub(super) local: Local,
    sleeper: Parker,
    rng: Rng,
    spin: Spin,
    /// Between two turns.
    kept: Kept,
}

impl Seat {
    /// A seat, and what others need of it: to steal from it and to call it.
    pub(super) fn new(index: usize) -> (Box<Seat>, (Thief, Unparker)) {
        let (local, sleeper) = (Local::new(), Parker::new());
        let ends = (local.thief(), sleeper.unparker().clone());
        (Box::new(Seat { index, local, sleeper, rng: Rng::new(index as u64), spin: Spin::new(), kept: None }), ends)
    }

    /// The next task; waits for one. `None`: the scheduler stops.
    fn next(&mut self, executor: &Executor, slept: &mut bool) -> Option<Task> {
        if executor.is_stopping() {
            return None;
        }
        let injector = &executor.injector;
        if let Some(task) = self.local.next(injector).or_else(|| self.local.take_from(injector)) {
            return Some(task);
        }
        let mut looks = executor.idle.look();
        loop {
            if looks && let Some(task) = self.look(executor) {
                if executor.idle.found() && executor.has_work() {
                    executor.call();
                }
                executor.ticker.ring_if_asleep();
                return Some(task);
            }
            if executor.is_stopping() {
                return None;
            }
            self.sleep(executor, looks);
            *slept = true;
            looks = true;
        }
    }

    /// Looks everywhere, again and again for a little while: to be called across cores costs more than that.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long to look for work is measured, whatever clock the timers have"
    )]
    fn look(&mut self, executor: &Executor) -> Option<Task> {
        let start = Instant::now();
        let mut pause = 1;
        loop {
            if let Some(task) = self.look_once(executor) {
                self.spin.found();
                return Some(task);
            }
            if executor.is_stopping() || start.elapsed().as_nanos() as u64 >= self.spin.ns() {
                return None;
            }
            for _ in 0..pause {
                std::hint::spin_loop();
            }
            pause = (pause * 2).min(32);
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "seats are numbered from 0 to the workers' number, and there is one of everything for each"
    )]
    fn look_once(&mut self, executor: &Executor) -> Option<Task> {
        if let Some(task) = self.local.take_from(&executor.injector) {
            return Some(task);
        }
        let seats = executor.thieves.len();
        let first = self.rng.below(seats);
        let task = (first..first + seats)
            .map(|seat| seat % seats)
            .filter(|&seat| seat != self.index)
            .find_map(|seat| self.local.steal_from(&executor.thieves[seat]))?;
        executor.counts[self.index].steals.add(1);
        Some(task)
    }

    #[expect(
        clippy::disallowed_methods,
        clippy::indexing_slicing,
        reason = "how long it slept is measured, whatever clock the timers have; there are counts for each seat"
    )]
    fn sleep(&mut self, executor: &Executor, looked: bool) {
        // Whatever goes away with it may queue tasks: not here, for the seat is borrowed, but where every worker finds them.
        let_go(self.kept.take(), "what a worker kept");
        let counts = &executor.counts[self.index];
        counts.parks.add(1);
        counts.parked.store(true, Ordering::Relaxed);
        let start = Instant::now();
        if executor.idle.sleep(self.index, looked) && executor.has_work() {
            // What came while the last one stopped looking; it may well call this seat itself.
            executor.call();
        }
        while executor.idle.is_asleep(self.index) && !executor.is_stopping() {
            self.sleeper.park();
        }
        counts.parked.store(false, Ordering::Relaxed);
        self.spin.slept(start.elapsed().as_nanos() as u64);
    }
}

/// What a thread of the executor knows of itself.
pub(super) struct Context {
    pub(super) executor: Arc<Executor>,
    /// `None`: an overrunner, or a spare.
    pub(super) seat: RefCell<Option<Box<Seat>>>,
    /// The number of the seat that it has, or had last.
    index: Cell<usize>,
    /// The tick at which the turn began and `cpu_began` was read: at most once a tick, for reading it is a system call.
    tick: Cell<u64>,
    /// The thread's processor time when the turn began, or at most a tick before.
    cpu_began: Cell<u64>,
    /// Processor time that the turn has until it is an overrun.
    pub(super) slice_ns: Cell<u64>,
    /// On the lane.
    pub(super) stay: Cell<Option<Stay>>,
    pub(super) lane_sleeper: Parker,
}

impl Context {
    /// Makes the calling thread one of the executor's.
    pub(super) fn enter(executor: &Arc<Executor>) -> Rc<Context> {
        let context = Rc::new(Context {
            executor: executor.clone(),
            seat: RefCell::new(None),
            index: Cell::new(0),
            tick: Cell::new(u64::MAX),
            cpu_began: Cell::new(0),
            slice_ns: Cell::new(0),
            stay: Cell::new(None),
            lane_sleeper: Parker::new(),
        });
        CONTEXT.with_borrow_mut(|current| *current = Some(context.clone()));
        context
    }

    /// The calling thread is the executor's no more.
    pub(super) fn leave() {
        let context = CONTEXT.with_borrow_mut(Option::take);
        drop(context);
    }

    /// The calling thread's, if it is one of this executor's.
    pub(super) fn current(executor: &Executor) -> Option<Rc<Context>> {
        let current = CONTEXT.try_with(|current| current.borrow().clone()).ok().flatten()?;
        std::ptr::eq(Arc::as_ptr(&current.executor), executor).then_some(current)
    }

    /// Runs tasks until the seat is lost to another thread (true) or the scheduler stops.
    pub(super) fn work(&self, seat: Box<Seat>) -> bool {
        self.index.set(seat.index);
        self.tick.set(u64::MAX);
        self.seat.replace(Some(seat));
        loop {
            let Some(task) = self.next() else {
                let tasks = self.seat.take().map(|mut seat| seat.local.drain());
                drop(tasks);
                return false;
            };
            self.turn(task);
            if self.seat.borrow().is_none() {
                return true;
            }
        }
    }

    fn next(&self) -> Option<Task> {
        let mut slept = false;
        let task = self.seat.borrow_mut().as_mut()?.next(&self.executor, &mut slept);
        if slept {
            // Ticks may have stood still meanwhile.
            self.tick.set(u64::MAX);
        }
        task
    }

    fn turn(&self, task: Task) {
        let (executor, header) = (&*self.executor, task.header());
        #[expect(
            clippy::indexing_slicing,
            reason = "seats are numbered from 0 to the workers' number, and there is one of everything for each"
        )]
        let (config, counts) = (&executor.config, &executor.counts[self.index.get()]);
        header.begin();
        counts.turns.add(1);
        let had_strikes = header.has_strikes();
        let kept = self.seat.borrow_mut().as_mut().and_then(|seat| seat.kept.take());
        let mut turn = Turn::new(self.index.get(), config.batch, config.slice_ticks(), &executor.ticks).with_kept(kept);
        if had_strikes || turn.began() != self.tick.get() {
            self.tick.set(turn.began());
            self.cpu_began.set(os::thread_cpu_ns());
        }
        self.slice_ns.set(if had_strikes { config.tick_ns() } else { config.slice_ns() });
        let result = catch_unwind(AssertUnwindSafe(|| task.run(&mut turn)));
        let events = u64::from(turn.events());
        let mut kept = turn.into_kept();
        let has_seat = match self.seat.borrow_mut().as_mut() {
            Some(seat) => {
                std::mem::swap(&mut seat.kept, &mut kept);
                counts.events.add(events);
                true
            }
            None => {
                executor.lane_events.fetch_add(events, Ordering::Relaxed);
                false
            }
        };
        if kept.is_some() {
            let_go(kept, "what a worker kept");
        }
        if had_strikes || !has_seat {
            header.set_strikes(policy::strikes(self.cpu_ns(), config.slice_ns()));
        }
        match result {
            Ok(outcome) => {
                if header.finish(outcome) {
                    return self.queue_again(task);
                }
            }
            Err(panic) => {
                executor.panics.fetch_add(1, Ordering::Relaxed);
                report_panic(&task, panic);
            }
        }
        let_go(task, "a task");
    }

    /// Processor time of this turn so far.
    pub(super) fn cpu_ns(&self) -> u64 {
        os::thread_cpu_ns().saturating_sub(self.cpu_began.get())
    }

    /// Time since this turn began, as counted by ticks.
    pub(super) fn wall_ns(&self) -> u64 {
        let ticks = self.executor.ticks.load(Ordering::Relaxed).saturating_sub(self.tick.get());
        ticks * self.executor.config.tick_ns()
    }

    fn queue_again(&self, task: Task) {
        let executor = &*self.executor;
        let pushed = match self.seat.borrow_mut().as_mut() {
            Some(seat) => Ok(seat.local.push(task, &executor.injector)),
            None => Err(task),
        };
        match pushed {
            Ok(false) => (),
            Ok(true) => executor.call(),
            Err(task) => executor.queue_anywhere(task),
        }
    }
}

/// It may be the last reference; what it takes down with it must not take the worker down.
fn let_go<T>(last: T, what: &str) {
    if catch_unwind(AssertUnwindSafe(move || drop(last))).is_err() {
        tracing::error!("{what} panicked while it was dropped");
    }
}

/// Queues a task in the seat of the calling thread. `Err`: it has none here.
pub(super) fn queue_here(executor: &Executor, task: Task) -> Result<(), Task> {
    let mut task = Some(task);
    let work_for_two = CONTEXT.try_with(|current| {
        let current = current.borrow();
        let context = current.as_ref().filter(|context| std::ptr::eq(Arc::as_ptr(&context.executor), executor))?;
        let mut seat = context.seat.try_borrow_mut().ok()?;
        Some(seat.as_mut()?.local.wake(task.take()?, &executor.injector))
    });
    if let Some(task) = task {
        return Err(task);
    }
    if let Ok(Some(true)) = work_for_two {
        executor.call();
    }
    Ok(())
}

/// A turn panicked: the task is dead, and its owner and the log are told.
pub(crate) fn report_panic(task: &Task, panic: Box<dyn Any + Send>) {
    task.header().bury();
    let message = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => *message,
        (_, Some(message)) => message,
        _ => "a panic without a message",
    };
    tracing::error!(message, "a task panicked; it will not run again");
    if catch_unwind(AssertUnwindSafe(|| task.panicked(message))).is_err() {
        tracing::error!("a task panicked while it was told of its panic");
    }
}
