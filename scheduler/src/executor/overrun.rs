//! A slice is over: the queue goes to another thread, the overrunner to the low lane.
//!
//! 1. The seat is given away before anything that may wait.
//! 2. A new thread is made before this one becomes nice, for niceness is inherited.

use std::sync::atomic::Ordering;

use super::worker::Context;
use super::{Executor, threads};
use crate::lane::Ticket;
use crate::limits::{LANE_MAX, LANE_NICE};
use crate::os;

/// What a run learns at a tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Overrun {
    /// Processor time of this run so far. Up to a tick too much: it is read once a tick, not at every turn.
    pub cpu_ns: u64,
    /// Time since the turn began, in whole ticks. On the lane of a busy machine it grows much faster than `cpu_ns`, so who must
    /// end a run within a time, not within an amount of work, looks at this one, too.
    pub wall_ns: u64,
    /// The slice is over, but so many overrun already that the worker could not be given away: better end this run.
    pub lane_full: bool,
    /// The scheduler stops: end this run.
    pub stopping: bool,
}

/// An overrunner's place on the lane, and its processor time when it got the lane last.
#[derive(Clone, Copy)]
pub(super) struct Stay {
    ticket: Ticket,
    cpu_began: u64,
}

impl Executor {
    pub(crate) fn overrun(&self) -> Overrun {
        let Some(context) = Context::current(self) else { return Overrun::default() };
        let (cpu_ns, wall_ns) = (context.cpu_ns(), context.wall_ns());
        let mut answer = Overrun { cpu_ns, wall_ns, ..Overrun::default() };
        if !self.is_stopping() {
            if let Some(stay) = context.stay.get() {
                context.take_turns(stay);
            } else if answer.cpu_ns < context.slice_ns.get() {
                context.open_slot();
            } else {
                answer.lane_full = !context.give_seat_away();
            }
        }
        answer.stopping = self.is_stopping();
        answer
    }
}

impl Context {
    /// A turn that lasts longer than a tick: what it has woken should not wait for its end if another worker is free.
    fn open_slot(&self) {
        let waits = match self.seat.borrow_mut().as_mut() {
            Some(seat) => seat.local.spill(&self.executor.injector),
            None => false,
        };
        if waits {
            self.executor.call();
        }
    }

    /// False: it keeps the seat, for the lane is full or there is no thread to give the seat to.
    fn give_seat_away(&self) -> bool {
        let executor = &self.executor;
        let Some(mut seat) = self.seat.take() else { return true };
        let ticket = {
            let mut lane = executor.lane.lock();
            if lane.len() >= LANE_MAX {
                self.seat.replace(Some(seat));
                return false;
            }
            let ticket = lane.enter(self.lane_sleeper.unparker().clone());
            executor.lane_len.store(lane.len(), Ordering::SeqCst);
            ticket
        };
        seat.local.spill(&executor.injector);
        #[expect(
            clippy::indexing_slicing,
            reason = "seats are numbered from 0 to the workers' number, and there is one of everything for each"
        )]
        let counts = &executor.counts[seat.index];
        counts.hand_overs.add(1);
        if let Err(seat) = threads::give(executor, seat) {
            self.seat.replace(Some(seat));
            self.leave_lane(ticket);
            return false;
        }
        threads::prepare_spare(executor);
        os::set_nice(LANE_NICE);
        self.wait_for_lane(ticket);
        true
    }

    /// On the lane: its turn there is as long as a slice.
    fn take_turns(&self, stay: Stay) {
        if os::thread_cpu_ns().saturating_sub(stay.cpu_began) < self.executor.config.slice_ns() {
            return;
        }
        let waits = match self.executor.lane.lock().rotate(stay.ticket) {
            Some(next) => {
                next.unpark();
                true
            }
            None => false,
        };
        if waits {
            self.wait_for_lane(stay.ticket);
        }
    }

    fn wait_for_lane(&self, ticket: Ticket) {
        while !self.executor.lane.lock().has(ticket) && !self.executor.is_stopping() {
            self.lane_sleeper.park();
        }
        self.stay.set(Some(Stay { ticket, cpu_began: os::thread_cpu_ns() }));
    }

    /// The run of an overrunner has ended.
    pub(super) fn end_stay(&self) {
        if let Some(stay) = self.stay.take() {
            self.leave_lane(stay.ticket);
        }
    }

    fn leave_lane(&self, ticket: Ticket) {
        let mut lane = self.executor.lane.lock();
        if let Some(next) = lane.leave(ticket) {
            next.unpark();
        }
        self.executor.lane_len.store(lane.len(), Ordering::SeqCst);
    }
}
