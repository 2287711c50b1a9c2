//! The low lane: overrunners take turns on it, one at a time.
//!
//! Owns who has the lane and who waits for it. Knows no threads: `T` is whatever its owner needs to call a waiter.
//!
//! 1. As long as anybody is on the lane, exactly one of them has it.
//! 2. Who waits gets it after at most one turn of each of the others.

use std::collections::VecDeque;

/// One stay on the lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket(u64);

pub(crate) struct Lane<T> {
    holder: Option<(Ticket, T)>,
    waiting: VecDeque<(Ticket, T)>,
    next: u64,
}

impl<T> Lane<T> {
    pub(crate) const fn new() -> Lane<T> {
        Lane { holder: None, waiting: VecDeque::new(), next: 0 }
    }

    /// How many are on it.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.holder.is_some())
    }

    /// Joins: has it at once if nobody else does.
    pub(crate) fn enter(&mut self, caller: T) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        if self.holder.is_none() {
            self.holder = Some((ticket, caller));
        } else {
            self.waiting.push_back((ticket, caller));
        }
        ticket
    }

    pub(crate) fn has(&self, ticket: Ticket) -> bool {
        self.holder.as_ref().is_some_and(|(holder, _)| *holder == ticket)
    }

    /// The holder's turn is over. `Some`: somebody else has it now and is to be called, and the caller waits.
    pub(crate) fn rotate(&mut self, ticket: Ticket) -> Option<&T> {
        if !self.has(ticket) {
            return None;
        }
        let next = self.waiting.pop_front()?;
        if let Some(before) = self.holder.replace(next) {
            self.waiting.push_back(before);
        }
        self.holder.as_ref().map(|(_, called)| called)
    }

    /// Leaves, from wherever. `Some`: somebody else has it now and is to be called.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<&T> {
        if !self.has(ticket) {
            self.waiting.retain(|(waiting, _)| *waiting != ticket);
            return None;
        }
        self.holder = self.waiting.pop_front();
        self.holder.as_ref().map(|(_, called)| called)
    }

    /// Everybody on it.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = &T> {
        self.holder.iter().chain(&self.waiting).map(|(_, called)| called)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrunners_take_turns_and_the_next_has_it_when_one_leaves() {
        let mut lane = Lane::new();
        let a = lane.enter('a');
        assert!(lane.has(a) && lane.rotate(a).is_none(), "alone, one keeps it");
        let (b, c) = (lane.enter('b'), lane.enter('c'));
        assert!(!lane.has(b) && lane.len() == 3);
        let mut order = Vec::new();
        for turn in 0..6 {
            let holder = [a, b, c][turn % 3];
            assert!(lane.has(holder));
            order.push(*lane.rotate(holder).unwrap());
        }
        assert_eq!(order, ['b', 'c', 'a', 'b', 'c', 'a']);
        assert!(lane.rotate(b).is_none(), "who waits cannot pass it on");
        assert!(lane.leave(b).is_none(), "who waits leaves without a word");
        assert_eq!(lane.leave(a), Some(&'c'));
        assert!(lane.has(c) && lane.leave(c).is_none());
        assert_eq!(lane.len(), 0);
    }
}
