//! What a group has said and not yet been told was heard.
//!
//! Part of the group's replicated state: whichever replica leads lets it out, again if need be, and each receiver drops
//! what it has seen by (group, receiver, seq).
//!
//! 1. Numbers to one receiver count up, and those of items that are kept have no gap between them.
//! 2. An item leaves by acknowledgement only, in order.
//! 3. What is kept is bounded: [`ITEMS_MAX`] items, and a number for each receiver of one of them.
//!
//! A receiver that has heard everything is forgotten: its numbers go on from `floor`, which is above all that were ever given to a
//! receiver that is forgotten. So a number is never given twice, and whatever of the old ones is still on its way (a saying that is
//! said again, an acknowledgement that is late) means nothing new to anybody. That numbers jump is told where it would be taken for a
//! loss: the first of the items that are kept is said as one that begins ([`crate::replica::heard`]).

#![allow(missing_docs, reason = "what rkyv derives has none")]

use std::collections::BTreeMap;

use pando_abi::{Address, limits};
use rkyv::{Archive, Deserialize, Serialize};

use crate::{
    input::{Input, SpawnOrder},
    wire::{Malformed, WireAddress, WireInput, WireSpawn},
};

/// Something that a group says.
#[derive(Clone, Debug)]
pub enum Saying {
    /// Bring this input to the receiver.
    Deliver(Input),
    /// Start the receiver.
    Spawn(Box<SpawnOrder>),
}

/// An unacknowledged saying.
#[derive(Clone, Debug)]
pub struct Item {
    /// To whom.
    pub to: Address,
    /// Its number among those to that receiver.
    pub seq: u64,
    /// The index in the group's log that it came from.
    pub index: u64,
    /// What.
    pub saying: Saying,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    /// The next number, of those who have not heard everything.
    next: BTreeMap<Address, u64>,
    /// No number that was ever given to anybody else is above it.
    floor: u64,
    items: BTreeMap<(Address, u64), (u64, Saying)>,
}

/// Unacknowledged items at most. What a group says beyond them comes back to it with `FULL`.
pub const ITEMS_MAX: usize = 4 * limits::EFFECTS_MAX;

impl Outbox {
    /// Numbers a saying and keeps it. `None`: the outbox is full.
    pub fn push(&mut self, to: Address, index: u64, saying: Saying) -> Option<Item> {
        if self.is_full() {
            return None;
        }
        let next = self.next.entry(to).or_insert(self.floor.saturating_add(1));
        let seq = *next;
        *next += 1;
        self.items.insert((to, seq), (index, saying.clone()));
        Some(Item { to, seq, index, saying })
    }

    /// Everything to `to` up to and with `seq` was heard.
    pub fn acknowledge(&mut self, to: Address, seq: u64) {
        while let Some(first) = self.items.range((to, 0)..=(to, seq)).next().map(|(k, _)| *k) {
            self.items.remove(&first);
        }
        let all_heard = self.items.range((to, 0)..=(to, u64::MAX)).next().is_none();
        if let (true, Some(next)) = (all_heard, self.next.get(&to)) {
            self.floor = self.floor.max(next.saturating_sub(1));
            self.next.remove(&to);
        }
    }

    /// What to let out again, in order for each receiver.
    pub fn items(&self) -> Vec<Item> {
        let item = |((to, seq), (index, saying)): (&(Address, u64), &(u64, Saying))| Item {
            to: *to,
            seq: *seq,
            index: *index,
            saying: saying.clone(),
        };
        self.items.iter().map(item).collect()
    }

    /// Does nothing more fit?
    pub fn is_full(&self) -> bool {
        self.items.len() >= ITEMS_MAX
    }

    /// How many are unacknowledged.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// How many have not heard everything.
    pub fn receivers(&self) -> usize {
        self.next.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// For a snapshot.
    pub fn rows(&self) -> OutboxRows {
        OutboxRows {
            floor: self.floor,
            next: self.next.iter().map(|(a, n)| ((*a).into(), *n)).collect(),
            items: self
                .items
                .iter()
                .map(|((to, seq), (index, saying))| ((*to).into(), *seq, *index, saying.into()))
                .collect(),
        }
    }

    /// From a snapshot.
    ///
    /// # Errors
    /// If a row does not hold.
    pub fn from_rows(rows: OutboxRows) -> Result<Outbox, Malformed> {
        let mut outbox = Outbox { floor: rows.floor, ..Outbox::default() };
        for (address, next) in rows.next {
            outbox.next.insert(address.open()?, next);
        }
        for (to, seq, index, saying) in rows.items {
            outbox.items.insert((to.open()?, seq), (index, saying.open()?));
        }
        Ok(outbox)
    }
}

/// [`Outbox`] at rest.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct OutboxRows {
    floor: u64,
    next: Vec<(WireAddress, u64)>,
    items: Vec<(WireAddress, u64, u64, WireSaying)>,
}

/// [`Saying`] at rest.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub enum WireSaying {
    /// [`Saying::Deliver`]
    Deliver(WireInput),
    /// [`Saying::Spawn`]
    Spawn(WireSpawn),
}

impl From<&Saying> for WireSaying {
    fn from(saying: &Saying) -> Self {
        match saying {
            Saying::Deliver(input) => WireSaying::Deliver(input.into()),
            Saying::Spawn(order) => WireSaying::Spawn(order.as_ref().into()),
        }
    }
}

impl WireSaying {
    fn open(self) -> Result<Saying, Malformed> {
        Ok(match self {
            WireSaying::Deliver(input) => Saying::Deliver(input.open()?),
            WireSaying::Spawn(order) => Saying::Spawn(Box::new(order.open()?)),
        })
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use pando_abi::{ActorId, NodeId};

    use super::*;

    #[test]
    fn numbers_have_no_gap_and_leave_by_acknowledgement_in_order() {
        let a = Address::actor(NodeId(1), ActorId([1; 16]));
        let b = Address::group(ActorId([2; 16]));
        let mut outbox = Outbox::default();
        for index in 1..=3 {
            for to in [a, b] {
                let item = outbox.push(to, index, Saying::Deliver(Input::Bounce { status: 1, count: 1 })).unwrap();
                assert_eq!(item.seq, index);
            }
        }
        outbox.acknowledge(a, 2);
        let left: Vec<_> = outbox.items().iter().map(|i| (i.to, i.seq)).collect();
        assert_eq!(left, [(a, 3), (b, 1), (b, 2), (b, 3)]);
        let copy = Outbox::from_rows(outbox.rows()).unwrap();
        assert_eq!(copy.items().len(), 4);
        outbox.acknowledge(b, 3);
        outbox.acknowledge(a, 3);
        assert!(outbox.is_empty());
        assert_eq!(outbox.push(a, 9, Saying::Deliver(Input::Bounce { status: 1, count: 1 })).unwrap().seq, 4);
    }

    #[test]
    fn who_has_heard_everything_is_forgotten_and_no_number_is_given_twice() {
        let at = |n: u32| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_le_bytes());
            Address::actor(NodeId(1), ActorId(id))
        };
        let saying = || Saying::Deliver(Input::Bounce { status: 1, count: 1 });
        let (mut outbox, mut latest) = (Outbox::default(), BTreeMap::new());
        for n in 0..10_000u32 {
            // Some are written to again and again, most once.
            let to = at(if n % 3 == 0 { n % 7 } else { n });
            let item = outbox.push(to, u64::from(n), saying()).unwrap();
            let before = latest.insert(to, item.seq).unwrap_or(0);
            assert!(item.seq > before, "{} after {before}", item.seq);
            if n % 2 == 0 {
                outbox.acknowledge(to, item.seq);
            } else {
                // A late one of an earlier time says nothing.
                outbox.acknowledge(to, before);
                assert!(outbox.items().iter().any(|kept| (kept.to, kept.seq) == (to, item.seq)));
                outbox.acknowledge(to, item.seq);
            }
            assert_eq!((outbox.len(), outbox.receivers()), (0, 0));
            outbox = Outbox::from_rows(outbox.rows()).unwrap();
        }
    }
}
