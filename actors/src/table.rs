//! A guest's handle table, and the ids that it has out: calls, timers, monitors, grants.
//!
//! Owns: slots, generations, counters, and how to take every change of them back. Does not know memory or wasmtime.
//!
//! 1. A handle that was dropped, moved or made up is never held: its slot is free or has another generation.
//! 2. Which slot comes next follows from the history of the table alone, so every replica hands out the same handles.
//! 3. Every change leaves an entry in the log; undoing the log backwards restores the table exactly, free list included.

#![expect(
    clippy::indexing_slicing,
    clippy::unreachable,
    reason = "`get`, the log and the free list name only slots that are there; an array has a place for each `Kind`"
)]

use pando_abi::{Handle, limits};

use crate::Capability;

/// No slot: the end of the free list.
const NIL: u32 = u32::MAX;
/// Generations are counted modulo this.
const GENERATIONS: u16 = 1 << (32 - Handle::SLOT_BITS);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Slot {
    Held { generation: u16, capability: Capability },
    Free { generation: u16, next: u32 },
}

/// Sets of ids that are out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Call = 0,
    Timer = 1,
    Monitor = 2,
    Grant = 3,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Call, Kind::Timer, Kind::Monitor, Kind::Grant];

    /// How high its numbers go. The kernel puts an actor's life above those of calls, timers and monitors, and the actor puts it above
    /// those of grants.
    const fn last_max(self) -> u64 {
        match self {
            Kind::Grant => u32::MAX as u64,
            Kind::Call | Kind::Timer | Kind::Monitor => (1 << 43) - 1,
        }
    }

    const fn max(self) -> usize {
        match self {
            Kind::Call => limits::CALLS_MAX,
            Kind::Timer => limits::TIMERS_MAX,
            Kind::Monitor => limits::MONITORS_MAX,
            Kind::Grant => limits::GRANTS_MAX,
        }
    }
}

/// How to take one change back.
#[derive(Clone, Copy, Debug)]
enum Undo {
    /// A slot was taken from the free list.
    Taken(u32),
    /// A slot was added.
    Added,
    /// A slot was freed.
    Freed(u32, Capability),
    /// An id was given out.
    Opened(Kind),
    /// An id came back.
    Closed(Kind, u32, u64),
}

/// A place in the log to go back to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark(usize);

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    free: u32,
    held: usize,
    /// The next id of each kind is one more.
    last: [u64; 4],
    /// Ids that are out, in order.
    open: [Vec<u64>; 4],
    log: Vec<Undo>,
}

impl Default for Table {
    fn default() -> Table {
        Table { slots: Vec::new(), free: NIL, held: 0, last: [0; 4], open: Default::default(), log: Vec::new() }
    }
}

impl Table {
    /// How many handles are held.
    pub(crate) fn len(&self) -> usize {
        self.held
    }

    /// How many more there is room for.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        limits::HANDLES_MAX - self.held
    }

    /// What a handle stands for, if it is held.
    #[inline]
    pub(crate) fn get(&self, handle: Handle) -> Option<&Capability> {
        match self.slots.get(handle.slot() as usize) {
            Some(Slot::Held { generation, capability }) if u32::from(*generation) == handle.generation() => {
                Some(capability)
            }
            _ => None,
        }
    }

    /// Puts a capability in. `None` if the table is full.
    pub(crate) fn insert(&mut self, capability: Capability) -> Option<Handle> {
        if self.room() == 0 {
            return None;
        }
        self.held += 1;
        let index = self.free;
        match self.slots.get_mut(index as usize) {
            Some(slot) => {
                let Slot::Free { generation, next } = *slot else { unreachable!("the free list leads to a held slot") };
                *slot = Slot::Held { generation, capability };
                self.free = next;
                self.log.push(Undo::Taken(index));
                Some(Handle::new(index, u32::from(generation)))
            }
            None => {
                assert!(index == NIL, "the free list leads out of the table");
                let index = self.slots.len() as u32;
                self.slots.push(Slot::Held { generation: 0, capability });
                self.log.push(Undo::Added);
                Some(Handle::new(index, 0))
            }
        }
    }

    /// Takes a capability out, if the handle is held.
    pub(crate) fn remove(&mut self, handle: Handle) -> Option<Capability> {
        let capability = *self.get(handle)?;
        let generation = (handle.generation() as u16 + 1) % GENERATIONS;
        self.slots[handle.slot() as usize] = Slot::Free { generation, next: self.free };
        self.free = handle.slot();
        self.held -= 1;
        self.log.push(Undo::Freed(handle.slot(), capability));
        Some(capability)
    }

    /// Gives out an id. `None` if too many are out.
    pub(crate) fn open(&mut self, kind: Kind) -> Option<u64> {
        let (last, open) = (&mut self.last[kind as usize], &mut self.open[kind as usize]);
        if open.len() >= kind.max() || *last >= kind.last_max() {
            return None;
        }
        *last += 1;
        open.push(*last);
        self.log.push(Undo::Opened(kind));
        Some(*last)
    }

    /// Takes an id back. Was it out?
    #[inline]
    pub(crate) fn close(&mut self, kind: Kind, id: u64) -> bool {
        match self.open[kind as usize].binary_search(&id) {
            Ok(at) => {
                self.open[kind as usize].remove(at);
                self.log.push(Undo::Closed(kind, at as u32, id));
                true
            }
            Err(_) => false,
        }
    }

    /// Was this id ever given out?
    pub(crate) fn was_opened(&self, kind: Kind, id: u64) -> bool {
        (1..=self.last[kind as usize]).contains(&id)
    }

    /// Where the log is now.
    #[inline]
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.log.len())
    }

    /// Takes back what was done since `mark`.
    pub(crate) fn undo(&mut self, mark: Mark) {
        assert!(mark.0 <= self.log.len());
        while self.log.len() > mark.0 {
            match self.log.pop() {
                Some(Undo::Taken(index)) => {
                    let slot = &mut self.slots[index as usize];
                    let Slot::Held { generation, .. } = *slot else { unreachable!("a taken slot is held") };
                    *slot = Slot::Free { generation, next: self.free };
                    self.free = index;
                    self.held -= 1;
                }
                Some(Undo::Added) => {
                    self.slots.pop();
                    self.held -= 1;
                }
                Some(Undo::Freed(index, capability)) => {
                    let slot = &mut self.slots[index as usize];
                    let Slot::Free { generation, next } = *slot else { unreachable!("a freed slot is free") };
                    self.free = next;
                    let generation = (generation + GENERATIONS - 1) % GENERATIONS;
                    *slot = Slot::Held { generation, capability };
                    self.held += 1;
                }
                Some(Undo::Opened(kind)) => {
                    let id = self.open[kind as usize].pop();
                    assert_eq!(id, Some(self.last[kind as usize]));
                    self.last[kind as usize] -= 1;
                }
                Some(Undo::Closed(kind, at, id)) => self.open[kind as usize].insert(at as usize, id),
                None => unreachable!("the log is longer than the mark"),
            }
        }
    }

    /// Takes back everything since the log was forgotten.
    pub(crate) fn undo_all(&mut self) {
        self.undo(Mark(0));
    }

    /// What was done stays done.
    #[inline]
    pub(crate) fn forget_log(&mut self) {
        self.log.clear();
    }

    /// Everything that is held, in order of slot.
    pub(crate) fn held(&self) -> impl Iterator<Item = (Handle, &Capability)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match slot {
            Slot::Held { generation, capability } => {
                Some((Handle::new(index as u32, u32::from(*generation)), capability))
            }
            Slot::Free { .. } => None,
        })
    }

    /// Slots that are free, in the order in which they come to be used.
    pub(crate) fn free(&self) -> impl Iterator<Item = Handle> + '_ {
        let mut at = self.free;
        std::iter::from_fn(move || match self.slots.get(at as usize)? {
            Slot::Free { generation, next } => {
                let handle = Handle::new(at, u32::from(*generation));
                at = *next;
                Some(handle)
            }
            Slot::Held { .. } => None,
        })
    }

    /// The last id given out, of each kind.
    pub(crate) fn last(&self) -> [u64; 4] {
        self.last
    }

    /// The ids of a kind that are out, in order.
    pub(crate) fn opened(&self, kind: Kind) -> &[u64] {
        &self.open[kind as usize]
    }

    /// A table from its parts. `None` if they do not make one.
    pub(crate) fn from_parts(
        held: impl ExactSizeIterator<Item = (Handle, Capability)>,
        free: impl ExactSizeIterator<Item = Handle>,
        last: [u64; 4],
        open: [Vec<u64>; 4],
    ) -> Option<Table> {
        let len = held.len().checked_add(free.len())?;
        if len > limits::HANDLES_MAX {
            return None;
        }
        let mut slots: Vec<Option<Slot>> = vec![None; len];
        let mut table = Table { held: held.len(), last, ..Table::default() };
        let mut put = |handle: Handle, slot: Slot| -> Option<()> {
            let place = slots.get_mut(handle.slot() as usize)?;
            place.is_none().then(|| *place = Some(slot))
        };
        for (handle, capability) in held {
            put(handle, Slot::Held { generation: handle.generation() as u16, capability })?;
        }
        let free: Vec<Handle> = free.collect();
        for (n, handle) in free.iter().enumerate() {
            let next = free.get(n + 1).map_or(NIL, |h| h.slot());
            put(*handle, Slot::Free { generation: handle.generation() as u16, next })?;
        }
        table.free = free.first().map_or(NIL, |h| h.slot());
        table.slots = slots.into_iter().collect::<Option<_>>()?;
        for kind in Kind::ALL {
            let ids = &open[kind as usize];
            let sorted = ids.is_sorted_by(|a, b| a < b);
            let known = ids.first().is_none_or(|id| *id >= 1) && ids.last().is_none_or(|id| *id <= last[kind as usize]);
            if !sorted || !known || ids.len() > kind.max() || last[kind as usize] > kind.last_max() {
                return None;
            }
        }
        table.open = open;
        Some(table)
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use pando_abi::{ActorId, Address, NodeId, Rights};

    use super::*;

    fn cap(n: u8) -> Capability {
        Capability::actor(Address::actor(NodeId(1), ActorId([n; 16])), Rights::PEER)
    }

    /// Everything that a table is: held, free, last ids, open ids.
    type Shape = (Vec<(Handle, Capability)>, Vec<Handle>, [u64; 4], Vec<Vec<u64>>);

    fn shape(table: &Table) -> Shape {
        let open = Kind::ALL.iter().map(|k| table.opened(*k).to_vec()).collect();
        (table.held().map(|(h, c)| (h, *c)).collect(), table.free().collect(), table.last(), open)
    }

    #[test]
    fn a_dropped_handle_is_not_held_even_when_its_slot_is_used_again() {
        let mut table = Table::default();
        let first = table.insert(cap(1)).unwrap();
        table.remove(first).unwrap();
        let second = table.insert(cap(2)).unwrap();
        assert_eq!(first.slot(), second.slot());
        assert_eq!(table.get(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.get(second), Some(&cap(2)));
    }

    #[test]
    fn numbers_end_where_a_life_stands_above_them_and_a_table_beyond_is_none() {
        let parts = |last| Table::from_parts(Vec::new().into_iter(), Vec::new().into_iter(), last, Default::default());
        for kind in Kind::ALL {
            let mut last = [0; 4];
            last[kind as usize] = kind.last_max() - 1;
            let mut table = parts(last).unwrap();
            assert_eq!((table.open(kind), table.open(kind)), (Some(kind.last_max()), None));
            last[kind as usize] = kind.last_max();
            assert!(parts(last).is_some());
            last[kind as usize] += 1;
            assert!(parts(last).is_none());
        }
    }

    #[test]
    fn undo_restores_the_table_exactly_whatever_was_done() {
        // A small generator instead of a library: the steps are the same on every run.
        let mut state = 1u64;
        let mut random = move |n: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % n
        };
        let mut table = Table::default();
        for round in 0..300 {
            let (before, mark) = (shape(&table), table.mark());
            for _ in 0..random(20) {
                let held: Vec<Handle> = table.held().map(|(h, _)| h).collect();
                let kind = Kind::ALL[random(4) as usize];
                match random(4) {
                    0 => _ = table.insert(cap(random(250) as u8)),
                    1 if !held.is_empty() => _ = table.remove(held[random(held.len() as u64) as usize]),
                    2 => _ = table.open(kind),
                    _ => {
                        let ids = table.opened(kind).to_vec();
                        if !ids.is_empty() {
                            table.close(kind, ids[random(ids.len() as u64) as usize]);
                        }
                    }
                }
            }
            if round % 3 == 0 {
                table.undo(mark);
                assert_eq!(shape(&table), before, "round {round}");
            } else if round % 7 == 0 {
                table.forget_log();
            }
        }
    }

    #[test]
    fn a_table_from_its_parts_goes_on_as_the_original_would() {
        let mut table = Table::default();
        let all: Vec<Handle> = (0..6).map(|n| table.insert(cap(n)).unwrap()).collect();
        for n in [1, 4, 2] {
            table.remove(all[n]).unwrap();
        }
        table.open(Kind::Timer).unwrap();
        let (held, free, last, open) = shape(&table);
        let open: [Vec<u64>; 4] = open.try_into().unwrap();
        let mut copy = Table::from_parts(held.into_iter(), free.into_iter(), last, open).unwrap();
        for n in 10..16 {
            assert_eq!(copy.insert(cap(n)), table.insert(cap(n)));
        }
        assert_eq!(copy.open(Kind::Timer), table.open(Kind::Timer));
        assert_eq!(shape(&copy), shape(&table));
    }

    #[test]
    fn parts_that_make_no_table_are_refused() {
        let none = || Vec::<Handle>::new().into_iter();
        let open = || <[Vec<u64>; 4]>::default();
        let two = vec![(Handle(0), cap(1)), (Handle(0), cap(2))];
        assert!(Table::from_parts(two.into_iter(), none(), [0; 4], open()).is_none(), "one slot twice");
        let gap = vec![(Handle(1), cap(1))];
        assert!(Table::from_parts(gap.into_iter(), none(), [0; 4], open()).is_none(), "a slot beyond the end");
        let mut future = open();
        future[0] = vec![5];
        assert!(Table::from_parts(Vec::new().into_iter(), none(), [0; 4], future).is_none(), "an id not yet given");
    }

    #[test]
    fn the_table_is_full_at_its_limit() {
        let mut table = Table::default();
        for _ in 0..limits::HANDLES_MAX {
            table.insert(cap(1)).unwrap();
        }
        assert_eq!((table.insert(cap(2)), table.room()), (None, 0));
    }
}
