//! The chain: one hash over everything a replica did. Pure.
//!
//! ```text
//! chain_i = BLAKE3(chain_{i-1} | term | index | entry's head | BLAKE2s(entry's payload) | outcome | effects)      an entry
//! chain_i = BLAKE3(chain_i | root)                                                                                at an agreed index
//! ```
//!
//! Payloads are hashed before, those of a batch beside each other: one after the other a processor does one eighth of what it can.
//!
//! openraft's own entries (blank, membership) are folded in as well, so that the chain is over the whole log.
//!
//! 1. Two replicas with one chain at one index have applied the same entries with the same results.
//! 2. Variable parts go in with their length, so no two histories fold to the same bytes.

use blake2s_simd::many::{HashManyJob, hash_many};

use crate::entry::Entry;
use crate::machine::Applied;

/// The chain at one index, and the last root folded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Chain {
    pub(crate) hash: [u8; 32],
    pub(crate) root: [u8; 32],
    /// The agreed index of `root`; 0 before the first.
    pub(crate) root_index: u64,
}

/// The hashes of what is applied in one go, in its order.
pub(crate) fn payloads<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<[u8; 32]> {
    let params = blake2s_simd::Params::new();
    let mut jobs: Vec<_> = entries.map(|entry| HashManyJob::new(&params, &entry.payload)).collect();
    hash_many(&mut jobs);
    jobs.iter().map(|job| *job.to_hash().as_array()).collect()
}

fn sized(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

impl Chain {
    fn start(&self, tag: u8, term: u64, index: u64) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.hash);
        hasher.update(&[tag]);
        hasher.update(&term.to_le_bytes());
        hasher.update(&index.to_le_bytes());
        hasher
    }

    /// Folds in an entry of the machine, whose payload has this hash.
    pub(crate) fn entry(&mut self, term: u64, index: u64, entry: &Entry, payload: [u8; 32], applied: &Applied) {
        let mut hasher = self.start(1, term, index);
        hasher.update(&entry.origin);
        for number in [entry.incarnation, entry.seq, entry.time_ns, entry.seed] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&entry.epoch.to_le_bytes());
        hasher.update(&entry.kind.to_le_bytes());
        hasher.update(&payload);
        sized(&mut hasher, &applied.outcome);
        hasher.update(&applied.effects_digest);
        self.hash = hasher.finalize().into();
    }

    /// Folds in an entry that the machine does not see. `what` tells blank, checkpoint and members apart.
    pub(crate) fn other(&mut self, term: u64, index: u64, what: &[u8]) {
        let mut hasher = self.start(2, term, index);
        sized(&mut hasher, what);
        self.hash = hasher.finalize().into();
    }

    /// Folds in the root at an agreed index.
    pub(crate) fn root(&mut self, index: u64, root: [u8; 32]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.hash);
        hasher.update(&[3]);
        hasher.update(&root);
        *self = Chain { hash: hasher.finalize().into(), root, root_index: index };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chained(change: impl FnOnce(&mut Entry, &mut Applied)) -> [u8; 32] {
        let mut chain = Chain::default();
        let (mut entry, mut applied) = (Entry::default(), Applied::default());
        change(&mut entry, &mut applied);
        let payload = payloads(std::iter::once(&entry))[0];
        chain.entry(1, 1, &entry, payload, &applied);
        chain.hash
    }

    #[test]
    fn every_field_of_entry_outcome_and_effects_changes_the_chain() {
        let all = [
            chained(|_, _| {}),
            chained(|e, _| e.origin[15] = 1),
            chained(|e, _| e.incarnation = 1),
            chained(|e, _| e.seq = 1),
            chained(|e, _| e.time_ns = 1),
            chained(|e, _| e.seed = 1),
            chained(|e, _| e.epoch = 1),
            chained(|e, _| e.kind = 1),
            chained(|e, _| e.payload = vec![0]),
            chained(|_, a| a.outcome = vec![0]),
            chained(|_, a| a.effects_digest[0] = 1),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b), "field {i}");
        }
    }

    #[test]
    fn the_root_is_part_of_the_chain() {
        let (mut a, mut b) = (Chain::default(), Chain::default());
        a.root(64, [1; 32]);
        b.root(64, [2; 32]);
        assert_ne!(a.hash, b.hash);
        assert_eq!((a.root_index, a.root), (64, [1; 32]));
    }
}
