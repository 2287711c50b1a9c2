//! What waits for an actor: a queue bounded by count and by bytes.
//!
//! Owns the bounds. Does not know what the items are, who waits, or threads.
//!
//! 1. An item that others send is refused when it would break a bound; the refuser gets it back and tells its sender.
//! 2. What the actor itself asked for (replies, timers, downs) is never refused: those have limits where they are asked for.
//! 3. Items leave in the order in which they came.

use std::collections::VecDeque;

use pando_abi::limits::{MAILBOX_BYTES_MAX, MAILBOX_MESSAGES_MAX};
use pando_abi::planted::{Bug, planted};

/// A bounded queue.
#[derive(Debug)]
pub struct Mailbox<T> {
    items: VecDeque<Waiting<T>>,
    count: usize,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    /// `None`: counts against no bound.
    bytes: Option<usize>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Mailbox<T> {
        Mailbox::new(MAILBOX_MESSAGES_MAX, MAILBOX_BYTES_MAX)
    }
}

impl<T> Mailbox<T> {
    /// An empty one with these bounds.
    pub fn new(count_max: usize, bytes_max: usize) -> Mailbox<T> {
        Mailbox { items: VecDeque::new(), count: 0, bytes: 0, count_max, bytes_max }
    }

    /// Puts in what somebody else sent. It comes back if there is no room.
    pub fn push(&mut self, item: T, bytes: usize) -> Result<(), T> {
        if self.count >= self.count_max || bytes > self.bytes_max - self.bytes {
            return Err(item);
        }
        self.count += 1;
        self.bytes += bytes;
        self.items.push_back(Waiting { item, bytes: Some(bytes) });
        assert!(self.count <= self.count_max && self.bytes <= self.bytes_max);
        Ok(())
    }

    /// Puts in what the actor asked for. The size is for the record only: see invariant 2.
    pub fn push_system(&mut self, item: T, _bytes: usize) {
        self.items.push_back(Waiting { item, bytes: None });
    }

    /// The oldest item.
    pub fn pop(&mut self) -> Option<T> {
        let Waiting { item, bytes } =
            if planted(Bug::NewestFirst) { self.items.pop_back()? } else { self.items.pop_front()? };
        if let Some(bytes) = bytes {
            assert!(self.count > 0 && self.bytes >= bytes);
            self.count -= 1;
            self.bytes -= bytes;
        }
        // A burst should not hold its room for ever.
        if self.items.is_empty() && self.items.capacity() > 256 {
            self.items = VecDeque::new();
        }
        Some(item)
    }

    /// The oldest items, at most `max`, appended to `out`. How many there were.
    pub fn pop_batch(&mut self, out: &mut Vec<T>, max: usize) -> usize {
        let n = max.min(self.items.len());
        out.reserve(n);
        for _ in 0..n {
            out.extend(self.pop());
        }
        n
    }

    /// What waits, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|waiting| &waiting.item)
    }

    /// How many items wait, of either sort.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes that count against the bound.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_leave_in_the_order_in_which_they_came() {
        let mut mailbox = Mailbox::new(10, 100);
        mailbox.push(1, 1).unwrap();
        mailbox.push_system(2, 1);
        mailbox.push(3, 1).unwrap();
        let mut out = Vec::new();
        assert_eq!(mailbox.pop_batch(&mut out, 2), 2);
        assert_eq!((out, mailbox.pop(), mailbox.pop()), (vec![1, 2], Some(3), None));
    }

    #[test]
    fn a_full_mailbox_gives_the_item_back_and_takes_the_next_when_there_is_room() {
        let mut mailbox = Mailbox::new(2, 100);
        mailbox.push("a", 1).unwrap();
        mailbox.push("b", 1).unwrap();
        assert_eq!(mailbox.push("c", 1), Err("c"));
        assert_eq!(mailbox.pop(), Some("a"));
        assert_eq!(mailbox.push("c", 1), Ok(()));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut mailbox = Mailbox::new(10, 100);
        mailbox.push("a", 60).unwrap();
        assert_eq!(mailbox.push("b", 41), Err("b"));
        mailbox.push("c", 40).unwrap();
        assert_eq!(mailbox.bytes(), 100);
        mailbox.pop();
        assert_eq!(mailbox.bytes(), 40);
    }

    #[test]
    fn what_the_actor_asked_for_is_never_refused() {
        let mut mailbox = Mailbox::new(1, 1);
        mailbox.push("a", 1).unwrap();
        for _ in 0..100 {
            mailbox.push_system("reply", 1 << 20);
        }
        assert_eq!((mailbox.len(), mailbox.bytes()), (101, 1));
        assert_eq!(mailbox.push("b", 1), Err("b"));
        assert_eq!(mailbox.pop(), Some("a"));
        mailbox.push("b", 1).unwrap();
    }
}
