//! What waits for an actor: a queue bounded by count and by bytes.
//!
//! Owns the bounds. Does not know what the items are, who waits, or threads.
//!
//! 1. An item that others send is refused when it would break a bound; the refuser gets it back and tells its sender. Messages and
//!    signals have bounds of their own: one that is full of messages can still be watched and killed.
//! 2. What the actor itself asked for (replies, timers, downs) is never refused: those have limits where they are asked for. Nor is
//!    what takes a signal back, of which there are no more than of signals.
//! 3. Items leave in the order in which they came.
//! 4. What was taken into a [`Hand`] counts against the bounds until it has been handled and the mailbox is asked again.

use std::collections::VecDeque;

use pando_abi::limits::{LINKS_MAX, MAILBOX_BYTES_MAX, MAILBOX_MESSAGES_MAX, MONITORS_MAX};
use pando_abi::planted::{Bug, planted};

/// Signals that may wait: as many watches and links as one actor may have of both.
pub const SIGNALS_MAX: usize = MONITORS_MAX + LINKS_MAX;

/// A bounded queue.
#[derive(Debug)]
pub struct Mailbox<T> {
    items: VecDeque<Waiting<T>>,
    held: Held,
    count_max: u16,
    bytes_max: u32,
}

/// What an actor has taken out of its mailbox and not handled yet: one lock for many items.
#[derive(Debug)]
pub struct Hand<T> {
    items: VecDeque<Waiting<T>>,
    /// Of those that were handled since the mailbox was asked.
    handled: Held,
}

/// What counts against the bounds.
#[derive(Clone, Copy, Default, Debug)]
struct Held {
    bytes: u32,
    messages: u16,
    signals: u16,
}

/// How an item counts.
#[derive(Clone, Copy, Debug)]
enum Weight {
    /// Against no bound.
    None,
    Signal,
    /// A message of so many bytes.
    Message(u32),
}

impl Held {
    #[inline]
    fn add(&mut self, weight: Weight) {
        match weight {
            Weight::None => {}
            Weight::Signal => self.signals += 1,
            Weight::Message(bytes) => {
                self.messages += 1;
                self.bytes += bytes;
            }
        }
    }
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    weight: Weight,
}

impl<T> Default for Hand<T> {
    fn default() -> Hand<T> {
        Hand { items: VecDeque::new(), handled: Held::default() }
    }
}

impl<T> Hand<T> {
    /// The oldest item.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let Waiting { item, weight } = self.items.pop_front()?;
        self.handled.add(weight);
        Some(item)
    }

    /// Puts in what the actor asked for, behind the others.
    #[inline]
    pub fn push(&mut self, item: T) {
        self.items.push_back(Waiting { item, weight: Weight::None });
    }

    /// How many items are left.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Is nothing left?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Mailbox<T> {
        Mailbox::new(MAILBOX_MESSAGES_MAX, MAILBOX_BYTES_MAX)
    }
}

impl<T> Mailbox<T> {
    /// An empty one with these bounds for messages, of at most 65,535 messages.
    pub fn new(count_max: usize, bytes_max: usize) -> Mailbox<T> {
        let count_max = u16::try_from(count_max).unwrap_or(u16::MAX);
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        Mailbox { items: VecDeque::new(), held: Held::default(), count_max, bytes_max }
    }

    /// Puts in what somebody else sent. It comes back if there is no room.
    #[inline]
    pub fn push(&mut self, item: T, bytes: usize) -> Result<(), T> {
        let room = self.bytes_max - self.held.bytes;
        let fits = |bytes: &u32| *bytes <= room && self.held.messages < self.count_max;
        let Some(bytes) = u32::try_from(bytes).ok().filter(fits) else { return Err(item) };
        self.put(item, Weight::Message(bytes));
        assert!(self.held.messages <= self.count_max && self.held.bytes <= self.bytes_max);
        Ok(())
    }

    /// Puts in a signal that somebody else sent: it waits for an end, or wants one. It comes back if `max` wait already, of at most
    /// 65,535.
    #[inline]
    pub fn push_signal(&mut self, item: T, max: usize) -> Result<(), T> {
        if usize::from(self.held.signals) >= max.min(u16::MAX.into()) {
            return Err(item);
        }
        self.put(item, Weight::Signal);
        Ok(())
    }

    #[inline]
    fn put(&mut self, item: T, weight: Weight) {
        self.held.add(weight);
        self.items.push_back(Waiting { item, weight });
    }

    /// Puts in what the actor asked for. The size is for the record only: see invariant 2.
    #[inline]
    pub fn push_system(&mut self, item: T, _bytes: usize) {
        self.items.push_back(Waiting { item, weight: Weight::None });
    }

    /// The oldest item.
    pub fn pop(&mut self) -> Option<T> {
        let Waiting { item, weight } =
            if planted(Bug::NewestFirst) { self.items.pop_back()? } else { self.items.pop_front()? };
        let mut gone = Held::default();
        gone.add(weight);
        self.release(gone);
        if self.items.is_empty() {
            self.shrink(0);
        }
        Some(item)
    }

    /// Gives back the room of what was handled of `hand`, and if that is empty puts everything into it that waits.
    #[inline]
    pub fn deal(&mut self, hand: &mut Hand<T>) {
        self.release(std::mem::take(&mut hand.handled));
        if hand.items.is_empty() {
            std::mem::swap(&mut self.items, &mut hand.items);
            self.shrink(hand.items.len());
            if planted(Bug::NewestFirst) {
                hand.items.make_contiguous().reverse();
            }
        }
    }

    /// Takes back what is left in `hand`: it waits again, before what has come since.
    pub fn take_back(&mut self, hand: &mut Hand<T>) {
        self.release(std::mem::take(&mut hand.handled));
        if !hand.items.is_empty() {
            hand.items.append(&mut self.items);
            std::mem::swap(&mut self.items, &mut hand.items);
        }
    }

    #[inline]
    fn release(&mut self, Held { bytes, messages, signals }: Held) {
        let held = &mut self.held;
        assert!(held.bytes >= bytes && held.messages >= messages && held.signals >= signals);
        held.bytes -= bytes;
        held.messages -= messages;
        held.signals -= signals;
    }

    /// A burst should not hold its room for ever. `now`: how many have been waiting.
    fn shrink(&mut self, now: usize) {
        if self.items.capacity() > 256.max(4 * now) {
            self.items = VecDeque::new();
        }
    }

    /// Keeps no room for items, if there are none.
    pub fn rest(&mut self) {
        if self.items.is_empty() {
            self.items = VecDeque::new();
        }
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
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes of the messages, with what is in a hand.
    pub fn bytes(&self) -> usize {
        self.held.bytes as usize
    }

    /// Messages, with what is in a hand.
    pub fn count(&self) -> usize {
        self.held.messages.into()
    }

    /// Signals, with what is in a hand.
    pub fn signals(&self) -> usize {
        self.held.signals.into()
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
    fn what_is_in_the_hand_counts_until_it_is_handled_and_comes_before_what_came_later() {
        let (mut mailbox, mut hand) = (Mailbox::new(2, 100), Hand::default());
        mailbox.push("a", 60).unwrap();
        mailbox.push("b", 40).unwrap();
        mailbox.deal(&mut hand);
        assert_eq!((mailbox.len(), hand.len(), mailbox.push("c", 1)), (0, 2, Err("c")));
        assert_eq!(hand.pop(), Some("a"));
        assert_eq!(mailbox.push("c", 1), Err("c"), "the mailbox has not been asked");
        mailbox.deal(&mut hand);
        mailbox.push("c", 60).unwrap();
        mailbox.deal(&mut hand);
        assert_eq!((hand.pop(), hand.pop()), (Some("b"), None));
        mailbox.deal(&mut hand);
        assert_eq!((hand.pop(), hand.is_empty(), mailbox.bytes()), (Some("c"), true, 60));
        mailbox.deal(&mut hand);
        assert_eq!((mailbox.bytes(), mailbox.is_empty()), (0, true));
    }

    #[test]
    fn what_is_taken_back_from_the_hand_comes_before_what_came_later_and_counts_as_before() {
        let (mut mailbox, mut hand) = (Mailbox::new(3, 100), Hand::default());
        mailbox.push("a", 10).unwrap();
        mailbox.push("b", 20).unwrap();
        mailbox.deal(&mut hand);
        hand.push("due");
        assert_eq!(hand.pop(), Some("a"));
        mailbox.push("c", 30).unwrap();
        mailbox.push_system("reply", 1);
        mailbox.take_back(&mut hand);
        assert!(hand.is_empty());
        assert_eq!(mailbox.iter().copied().collect::<Vec<_>>(), ["b", "due", "c", "reply"]);
        assert_eq!(mailbox.bytes(), 50);
        mailbox.push("d", 50).unwrap();
        assert_eq!(mailbox.push("e", 1), Err("e"));
        mailbox.take_back(&mut hand);
        let all: Vec<_> = std::iter::from_fn(|| mailbox.pop()).collect();
        assert_eq!((all, mailbox.bytes()), (vec!["b", "due", "c", "reply", "d"], 0));
    }

    #[test]
    fn signals_have_a_bound_of_their_own_and_count_until_they_are_handled() {
        let (mut mailbox, mut hand) = (Mailbox::new(1, 1), Hand::default());
        mailbox.push("a", 1).unwrap();
        mailbox.push_signal("watch", 2).unwrap();
        mailbox.push_signal("link", 2).unwrap();
        assert_eq!(mailbox.push_signal("watch", 2), Err("watch"));
        assert_eq!(mailbox.push_signal("kill", 3), Ok(()));
        mailbox.deal(&mut hand);
        assert_eq!((hand.pop(), hand.pop(), mailbox.signals(), mailbox.count()), (Some("a"), Some("watch"), 3, 1));
        mailbox.take_back(&mut hand);
        assert_eq!((mailbox.signals(), mailbox.count()), (2, 0));
        let all: Vec<_> = std::iter::from_fn(|| mailbox.pop()).collect();
        assert_eq!((all, mailbox.signals()), (vec!["link", "kill"], 0));
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
