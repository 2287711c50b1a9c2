//! A hierarchical timer wheel: what is due, in exact order, with `now` as an argument.
//!
//! Eleven levels of 64 slots, six bits of the time each: level 0 is exact to the nanosecond, each level above is 64 times
//! coarser. A timer sits at the level of the highest six bits in which it differs from the wheel's present, and moves down
//! when the present reaches its slot. Setting and cancelling cost a few instructions however many timers wait.
//!
//! Owns the timers that wait. Knows no clock, no threads, and not what a timer is for.
//!
//! 1. The present never goes back. A timer set for the past is due at the present.
//! 2. Timers come out in the order of (time, order of setting), and never before their time.
//! 3. Two timers of the same time are always in the same slot, in the order of setting.
//! 4. An id is never valid for another timer: an entry that is used again has another generation (of 2^32).

#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a time has six bits for each level; `entries` never shrinks, and what is linked has its payload"
)]

use crate::limits::TIMERS_MAX;

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 64usize.div_ceil(BITS as usize);
const NONE: u32 = u32::MAX;

/// A timer that was set. Cancelling one that has fired, or was cancelled, does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

/// A timer that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due<T> {
    /// Which one.
    pub id: TimerId,
    /// The time that it was set for (the present of then, if that was later).
    pub at: u64,
    /// What was given with it.
    pub payload: T,
}

struct Entry<T> {
    at: u64,
    next: u32,
    previous: u32,
    generation: u32,
    /// `None`: the entry is free and `next` is the next free one.
    payload: Option<T>,
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

/// The wheel.
pub struct Wheel<T> {
    present: u64,
    lists: Box<[[List; SLOTS]; LEVELS]>,
    occupied: [u64; LEVELS],
    entries: Vec<Entry<T>>,
    free: u32,
    len: usize,
}

impl TimerId {
    /// Of no timer.
    pub(crate) const NEVER: TimerId = TimerId { index: NONE, generation: 0 };
}

impl<T> Wheel<T> {
    /// An empty wheel whose present is `now`.
    pub fn new(now: u64) -> Wheel<T> {
        let empty = List { first: NONE, last: NONE };
        Wheel {
            present: now,
            lists: Box::new([[empty; SLOTS]; LEVELS]),
            occupied: [0; LEVELS],
            entries: Vec::new(),
            free: NONE,
            len: 0,
        }
    }

    /// The wheel's present: the latest time that it has been told of, or of the timer that it gave out last.
    pub fn present(&self) -> u64 {
        self.present
    }

    /// How many timers wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets a timer. `None`: there is no room for one more ([`TIMERS_MAX`]).
    pub fn set(&mut self, at: u64, payload: T) -> Option<TimerId> {
        let at = at.max(self.present);
        let index = if self.free != NONE {
            let index = self.free;
            let entry = &mut self.entries[index as usize];
            self.free = entry.next;
            entry.at = at;
            entry.payload = Some(payload);
            index
        } else {
            if self.entries.len() >= TIMERS_MAX {
                return None;
            }
            self.entries.push(Entry { at, next: NONE, previous: NONE, generation: 0, payload: Some(payload) });
            (self.entries.len() - 1) as u32
        };
        self.link(index);
        self.len += 1;
        Some(TimerId { index, generation: self.entries[index as usize].generation })
    }

    /// Takes a timer back. `None`: it does not wait any more.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let entry = self.entries.get(id.index as usize)?;
        if entry.generation != id.generation || entry.payload.is_none() {
            return None;
        }
        self.unlink(id.index);
        Some(self.release(id.index))
    }

    /// The next timer that is due at `now`, if any. Call it until there is none; timers may be set and cancelled between.
    pub fn expire(&mut self, now: u64) -> Option<Due<T>> {
        loop {
            let Some((level, slot, start)) = self.earliest().filter(|&(_, _, start)| start <= now) else {
                // Up to `now` there is no slot, so every timer keeps its level although the present moves.
                self.present = self.present.max(now);
                return None;
            };
            assert!(start >= self.present, "the present does not go back");
            self.present = start;
            if level == 0 {
                let index = self.lists[0][slot].first;
                let entry = &self.entries[index as usize];
                assert_eq!(entry.at, start, "the lowest level is exact");
                let (id, at) = (TimerId { index, generation: entry.generation }, entry.at);
                self.unlink(index);
                return Some(Due { id, at, payload: self.release(index) });
            }
            self.descend(level, slot);
        }
    }

    /// When the next timer is due. Looks at every timer of one slot.
    pub fn next(&self) -> Option<u64> {
        let (level, slot, start) = self.earliest()?;
        if level == 0 {
            return Some(start);
        }
        let mut earliest = u64::MAX;
        let mut index = self.lists[level][slot].first;
        while index != NONE {
            let entry = &self.entries[index as usize];
            earliest = earliest.min(entry.at);
            index = entry.next;
        }
        Some(earliest)
    }

    /// A time at which nothing is due before, found without looking at timers: who sleeps until then and expires, sleeps
    /// a few times more than there are timers, but never too long.
    pub fn next_bound(&self) -> Option<u64> {
        self.earliest().map(|(_, _, start)| start)
    }

    /// The slot that comes first, and the time at which it begins. Every timer in a lower level comes before every one in a
    /// higher level, and within a level all occupied slots are ahead of the present: nothing ever wraps.
    fn earliest(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros() as usize;
        let shift = level as u32 * BITS;
        let above = self.present.checked_shr(shift + BITS).unwrap_or(0).checked_shl(shift + BITS).unwrap_or(0);
        let start = above | (slot as u64) << shift;
        Some((level, slot, start.max(self.present)))
    }

    /// Moves every timer of a slot that the present has reached to the level where it belongs now.
    fn descend(&mut self, level: usize, slot: usize) {
        let mut index = self.lists[level][slot].first;
        self.lists[level][slot] = List { first: NONE, last: NONE };
        self.occupied[level] &= !(1 << slot);
        while index != NONE {
            let next = self.entries[index as usize].next;
            assert!(self.place(self.entries[index as usize].at).0 < level, "a timer that descends comes lower");
            self.link(index);
            index = next;
        }
    }

    fn place(&self, at: u64) -> (usize, usize) {
        let differs = (at ^ self.present) | (SLOTS as u64 - 1);
        let level = (63 - differs.leading_zeros()) / BITS;
        (level as usize, (at >> (level * BITS)) as usize & (SLOTS - 1))
    }

    fn link(&mut self, index: u32) {
        let (level, slot) = self.place(self.entries[index as usize].at);
        let list = &mut self.lists[level][slot];
        let last = std::mem::replace(&mut list.last, index);
        if last == NONE {
            list.first = index;
            self.occupied[level] |= 1 << slot;
        } else {
            self.entries[last as usize].next = index;
        }
        let entry = &mut self.entries[index as usize];
        entry.previous = last;
        entry.next = NONE;
    }

    fn unlink(&mut self, index: u32) {
        let Entry { at, next, previous, .. } = self.entries[index as usize];
        let (level, slot) = self.place(at);
        if previous == NONE {
            self.lists[level][slot].first = next;
        } else {
            self.entries[previous as usize].next = next;
        }
        if next == NONE {
            self.lists[level][slot].last = previous;
        } else {
            self.entries[next as usize].previous = previous;
        }
        if self.lists[level][slot].first == NONE {
            self.occupied[level] &= !(1 << slot);
        }
    }

    fn release(&mut self, index: u32) -> T {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = self.free;
        self.free = index;
        self.len -= 1;
        entry.payload.take().expect("a timer that waits has its payload")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_set_for_the_past_is_due_at_the_present_after_those_that_are_due_already() {
        let mut wheel = Wheel::new(1_000);
        wheel.set(1_000, 'a').unwrap();
        wheel.set(3, 'b').unwrap();
        let due: Vec<_> = std::iter::from_fn(|| wheel.expire(1_000)).map(|due| (due.at, due.payload)).collect();
        assert_eq!(due, [(1_000, 'a'), (1_000, 'b')]);
    }

    #[test]
    fn the_ends_of_time_are_times_like_any_other() {
        let mut wheel = Wheel::new(0);
        for at in [u64::MAX, 0, u64::MAX - 1, 1 << 63, (1 << 60) + 1] {
            wheel.set(at, at).unwrap();
        }
        let due: Vec<_> = std::iter::from_fn(|| wheel.expire(u64::MAX)).map(|due| due.payload).collect();
        assert_eq!(due, [0, (1 << 60) + 1, 1 << 63, u64::MAX - 1, u64::MAX]);
        assert_eq!(wheel.present(), u64::MAX);
        wheel.set(5, 5).unwrap();
        assert_eq!(wheel.expire(0).map(|due| due.at), None, "and the present is not `now` if that went back");
        assert_eq!(wheel.expire(u64::MAX).map(|due| due.at), Some(u64::MAX));
    }

    #[test]
    fn an_id_does_not_cancel_the_timer_that_took_its_place() {
        let mut wheel = Wheel::new(0);
        let old = wheel.set(10, 'x').unwrap();
        assert_eq!(wheel.cancel(old), Some('x'));
        let new = wheel.set(10, 'y').unwrap();
        assert_ne!(old, new);
        assert_eq!(wheel.cancel(old), None);
        assert_eq!((wheel.len(), wheel.next()), (1, Some(10)));
        assert_eq!(wheel.expire(10).unwrap().id, new);
        assert_eq!(wheel.cancel(new), None);
    }

    #[test]
    fn sleeping_until_the_bound_reaches_a_far_timer_in_a_few_steps() {
        let mut wheel = Wheel::new(12_345);
        let at = 12_345 + 86_400_000_000_000;
        wheel.set(at, ()).unwrap();
        assert_eq!(wheel.next(), Some(at));
        let mut steps = 0;
        loop {
            let bound = wheel.next_bound().unwrap();
            assert!(bound <= at);
            steps += 1;
            if let Some(due) = wheel.expire(bound) {
                assert_eq!((due.at, bound), (at, at));
                break;
            }
        }
        assert!(steps <= LEVELS, "{steps}");
    }
}
