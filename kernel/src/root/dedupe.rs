//! The same key is the same command, however often it stands in the log.
//!
//! Owns: the latest sequence keys with what they were answered. Does not know: the commands.
//!
//! 1. At most [`KEPT_MAX`] keys; the one that came first goes first, on every replica alike. (A proposer that repeats
//!    itself later than that meets commands that are idempotent by what they name.)
//! 2. Of a group only the id is kept: its arguments may be a megabyte, and its record is in the state.
//! 3. The key that is all zero is no key.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, OnceLock},
};

use pando_abi::{ActorId, NodeId};
use pando_raft::Entry;
use rkyv::{Archive, Deserialize, Serialize};

use super::{
    command::RootOutcome,
    wire::{ActorDef, NodeDef, encode},
};

/// Keys remembered.
pub const KEPT_MAX: usize = 1 << 12;

/// (origin, incarnation, seq).
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Key {
    pub origin: [u8; 16],
    pub incarnation: u64,
    pub seq: u64,
}

impl Key {
    pub fn of(entry: &Entry) -> Key {
        Key { origin: entry.origin, incarnation: entry.incarnation, seq: entry.seq }
    }
}

/// An outcome as it is remembered.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Debug)]
pub enum Kept {
    Done,
    Group(#[rkyv(with = ActorDef)] ActorId),
    Member(#[rkyv(with = NodeDef)] NodeId),
    Refused { errno: u16, text: String, mend: String },
}

impl Kept {
    pub fn of(outcome: &RootOutcome) -> Kept {
        match outcome {
            RootOutcome::Done => Kept::Done,
            RootOutcome::Group { record } => Kept::Group(record.id),
            RootOutcome::Member { node } => Kept::Member(*node),
            RootOutcome::Refused { errno, text, mend } => {
                Kept::Refused { errno: *errno, text: text.clone(), mend: mend.clone() }
            }
        }
    }
}

/// One remembered key.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct KeptRow {
    pub key: Key,
    pub kept: Kept,
}

/// The table.
#[derive(Clone, Default)]
pub struct Dedupe {
    by_key: BTreeMap<Key, Arc<KeptRow>>,
    // In the order in which they came, with each row's hash.
    order: VecDeque<(Key, [u8; 32])>,
    hash: OnceLock<[u8; 32]>,
}

impl Dedupe {
    pub fn get(&self, key: &Key) -> Option<&Kept> {
        self.by_key.get(key).map(|row| &row.kept)
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Remembers; a key that is there already stays as it is.
    pub fn put(&mut self, key: Key, kept: Kept) {
        if key == Key::default() || self.by_key.contains_key(&key) {
            return;
        }
        self.hash = OnceLock::new();
        while self.order.len() >= KEPT_MAX {
            if let Some((oldest, _)) = self.order.pop_front() {
                self.by_key.remove(&oldest);
            }
        }
        let row = KeptRow { key, kept };
        self.order.push_back((key, *blake3::hash(&encode(&row)).as_bytes()));
        self.by_key.insert(key, Arc::new(row));
        debug_assert_eq!(self.order.len(), self.by_key.len());
    }

    /// BLAKE3 over the rows in order.
    pub fn hash(&self) -> [u8; 32] {
        *self.hash.get_or_init(|| {
            let mut hash = blake3::Hasher::new();
            hash.update(&(self.order.len() as u64).to_le_bytes());
            for (_, row) in &self.order {
                hash.update(row);
            }
            *hash.finalize().as_bytes()
        })
    }

    /// The rows in the order in which they came.
    pub fn to_rows(&self) -> Vec<KeptRow> {
        self.order.iter().filter_map(|(key, _)| self.by_key.get(key)).map(|row| KeptRow::clone(row)).collect()
    }

    /// From rows in the order in which they came; `None` if one is there twice or there are too many.
    pub fn from_rows(rows: Vec<KeptRow>) -> Option<Dedupe> {
        let count = rows.len();
        let mut dedupe = Dedupe::default();
        for row in rows {
            dedupe.put(row.key, row.kept);
        }
        (dedupe.len() == count).then_some(dedupe)
    }
}

impl PartialEq for Dedupe {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order && self.by_key == other.by_key
    }
}

impl std::fmt::Debug for Dedupe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.by_key.values()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seq: u64) -> Key {
        Key { origin: [1; 16], incarnation: 2, seq }
    }

    #[test]
    fn the_oldest_key_makes_room_for_the_newest() {
        let mut dedupe = Dedupe::default();
        for seq in 1..=KEPT_MAX as u64 + 2 {
            dedupe.put(key(seq), Kept::Member(NodeId(seq as u32)));
        }
        assert_eq!(dedupe.len(), KEPT_MAX);
        assert_eq!((dedupe.get(&key(1)), dedupe.get(&key(2))), (None, None));
        assert_eq!(dedupe.get(&key(3)), Some(&Kept::Member(NodeId(3))));
        let again = Dedupe::from_rows(dedupe.to_rows()).unwrap();
        assert_eq!((&again, again.hash()), (&dedupe, dedupe.hash()));
    }

    #[test]
    fn the_first_answer_stands_and_the_zero_key_is_never_kept() {
        let mut dedupe = Dedupe::default();
        dedupe.put(key(1), Kept::Done);
        dedupe.put(key(1), Kept::Member(NodeId(9)));
        assert_eq!(dedupe.get(&key(1)), Some(&Kept::Done));
        dedupe.put(Key::default(), Kept::Done);
        assert_eq!(dedupe.len(), 1);
    }

    #[test]
    fn the_order_is_part_of_the_hash() {
        let (mut a, mut b) = (Dedupe::default(), Dedupe::default());
        a.put(key(1), Kept::Done);
        a.put(key(2), Kept::Done);
        b.put(key(2), Kept::Done);
        b.put(key(1), Kept::Done);
        assert_ne!(a.hash(), b.hash());
    }
}
