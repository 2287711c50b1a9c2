//! The threads: those in seats, spares that wait for one, and their end.
//!
//! 1. A thread that could not be made as strong again as it was never gets a seat: it ends.
//! 2. At most workers + [`LANE_MAX`](crate::limits::LANE_MAX) + [`SPARES_MAX`] threads live at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use super::Executor;
use super::worker::{Context, Seat};
use crate::berth::Berth;
use crate::limits::SPARES_MAX;
use crate::os;

pub(super) struct Threads {
    state: Mutex<State>,
    live: AtomicUsize,
}

#[derive(Default)]
struct State {
    spares: Vec<Arc<Berth<Box<Seat>>>>,
    handles: Vec<JoinHandle<()>>,
    /// Of ticks and timers.
    helpers: Vec<JoinHandle<()>>,
    closed: bool,
    made: usize,
}

impl Threads {
    pub(super) fn new() -> Threads {
        Threads { state: Mutex::default(), live: AtomicUsize::new(0) }
    }

    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    /// Spares end, and no thread is made any more.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        for berth in state.spares.drain(..) {
            berth.close();
        }
    }

    /// Waits for the end of all threads but the calling one; if that is one of them, only of the others like it.
    pub(super) fn join(&self) {
        let own = thread::current().id();
        let mut inside = false;
        loop {
            let Some(handle) = self.state.lock().handles.pop() else { break };
            if handle.thread().id() == own {
                inside = true;
            } else {
                let _ended = handle.join();
            }
        }
        // The ticker ends after the last thread that it ticks for.
        let helpers = std::mem::take(&mut self.state.lock().helpers);
        for helper in helpers {
            if !inside && helper.thread().id() != own {
                let _ended = helper.join();
            }
        }
    }
}

/// Starts everything: a thread per seat, one spare, ticks and timers.
#[expect(clippy::disallowed_methods, reason = "this is where the scheduler's threads come from")]
pub(super) fn start(executor: &Arc<Executor>, seats: impl IntoIterator<Item = Box<Seat>>) -> io::Result<()> {
    let mut state = executor.threads.state.lock();
    for seat in seats {
        let berth = Arc::new(Berth::default());
        berth.put(seat);
        spawn(executor, &mut state, berth)?;
    }
    add_spare(executor, &mut state)?;
    let (ticks, timers) = (executor.clone(), executor.clone());
    state.helpers = vec![
        thread::Builder::new().name("pando-ticks".into()).spawn(move || ticks.ticker.run(&ticks))?,
        thread::Builder::new().name("pando-timers".into()).spawn(move || timers.timers.run(&timers.config.clock))?,
    ];
    Ok(())
}

/// Gives a seat to a spare thread. `Err`: there is none and none can be made.
#[expect(clippy::expect_used, reason = "the thread that would have taken the seat out of the berth was never made")]
pub(super) fn give(executor: &Arc<Executor>, seat: Box<Seat>) -> Result<(), Box<Seat>> {
    let mut state = executor.threads.state.lock();
    if state.closed {
        return Err(seat);
    }
    if let Some(berth) = state.spares.pop() {
        berth.put(seat);
        return Ok(());
    }
    let berth = Arc::new(Berth::default());
    berth.put(seat);
    match spawn(executor, &mut state, berth.clone()) {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::error!(%error, "no thread to take over a worker's queue");
            Err(berth.wait().expect("the seat is where it was put"))
        }
    }
}

/// Makes the next hand-over a quick one.
pub(super) fn prepare_spare(executor: &Arc<Executor>) {
    let mut state = executor.threads.state.lock();
    if state.spares.is_empty()
        && !state.closed
        && let Err(error) = add_spare(executor, &mut state)
    {
        tracing::warn!(%error, "no spare thread");
    }
}

fn add_spare(executor: &Arc<Executor>, state: &mut State) -> io::Result<()> {
    let berth = Arc::new(Berth::default());
    spawn(executor, state, berth.clone())?;
    state.spares.push(berth);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is where the scheduler's threads come from")]
fn spawn(executor: &Arc<Executor>, state: &mut State, berth: Arc<Berth<Box<Seat>>>) -> io::Result<()> {
    state.handles.retain(|handle| !handle.is_finished());
    let name = format!("pando-work-{}", state.made);
    let shared = executor.clone();
    executor.threads.live.fetch_add(1, Ordering::SeqCst);
    match thread::Builder::new().name(name).spawn(move || live(&shared, &berth)) {
        Ok(handle) => {
            state.made += 1;
            state.handles.push(handle);
            Ok(())
        }
        Err(error) => {
            executor.threads.live.fetch_sub(1, Ordering::SeqCst);
            Err(error)
        }
    }
}

/// A thread's life: in a seat, on the lane, a spare, again in a seat.
fn live(executor: &Arc<Executor>, berth: &Arc<Berth<Box<Seat>>>) {
    let context = Context::enter(executor);
    let nice = os::nice();
    while let Some(seat) = berth.wait() {
        let lost_seat = context.work(seat);
        context.end_stay();
        if !lost_seat || !retire(executor, berth, nice) {
            break;
        }
    }
    Context::leave();
    drop(context);
    executor.threads.live.fetch_sub(1, Ordering::SeqCst);
    if executor.is_stopping() {
        executor.ticker.ring();
    }
}

/// An overrunner that has come to its end becomes a spare. False: there is no use for it.
fn retire(executor: &Executor, berth: &Arc<Berth<Box<Seat>>>, nice: i32) -> bool {
    if os::nice() != nice && !os::set_nice(nice) {
        return false;
    }
    let mut state = executor.threads.state.lock();
    if state.closed || state.spares.len() >= SPARES_MAX {
        return false;
    }
    state.spares.push(berth.clone());
    true
}
