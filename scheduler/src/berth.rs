//! Where one thread waits for a seat that another gives away.
//!
//! Owns the hand-over of one thing from whoever has it to whoever waits here. Knows neither threads nor what a seat is.
//!
//! 1. What is put is taken once: no seat is lost, and none is in two hands.
//! 2. What was put before the berth was closed is taken before the closing is seen.

use crate::sync::{Bell, Mutex};

/// See the module.
pub(crate) struct Berth<T> {
    state: Mutex<State<T>>,
    bell: Bell,
}

struct State<T> {
    seat: Option<T>,
    closed: bool,
}

impl<T> Default for Berth<T> {
    fn default() -> Berth<T> {
        Berth { state: Mutex::new(State { seat: None, closed: false }), bell: Bell::default() }
    }
}

impl<T> Berth<T> {
    /// Gives a seat to the one who waits, or will. Only for who has taken this berth out of the list of spares.
    pub(crate) fn put(&self, seat: T) {
        let before = self.state.lock().seat.replace(seat);
        assert!(before.is_none(), "a berth takes one seat at a time");
        self.bell.ring();
    }

    /// No seat will come any more.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.bell.ring();
    }

    /// Waits for a seat. `None`: closed.
    pub(crate) fn wait(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(seat) = state.seat.take() {
                return Some(seat);
            }
            if state.closed {
                return None;
            }
            state = self.bell.wait(state);
        }
    }
}
