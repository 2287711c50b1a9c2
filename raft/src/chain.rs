//! The chain: one hash over everything a replica did. Pure.
//!
//! ```text
//! chain_i = BLAKE3(chain_{i-1} | hashes of record_i, 256 bytes at a time)
//!      of an entry:    record = 1 | term | index | entry's head | payload | outcome | effects
//!      of another:     record = 2 | term | index | what it is
//! chain_i = BLAKE3(chain_i | 3 | root)                                                       at an agreed index
//! ```
//!
//! Records are hashed before they are folded in, several beside each other ([`pando_pieces`]): one after the other a processor does
//! an eighth of what it can. Behind a record are zeros. A payload that is longer than 8 KiB is in it as its BLAKE3, which is as fast
//! over one long input.
//!
//! openraft's own entries (blank, membership) are folded in as well, so that the chain is over the whole log.
//!
//! 1. Two replicas with one chain at one index have applied the same entries with the same results.
//! 2. Variable parts go in with their length, so no two histories fold to the same bytes.
//! 3. Which records are hashed beside each other changes nothing.

use crate::entry::Entry;
use crate::machine::Applied;

/// Records that are hashed beside each other.
const TOGETHER: usize = 8;
/// Bytes of a piece of a record.
const PIECE: usize = 512;
/// Bytes of a payload that is in its record as it is.
const WHOLE_MAX: usize = 8 << 10;

/// The chain at one index, and the last root folded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Chain {
    pub(crate) hash: [u8; 32],
    pub(crate) root: [u8; 32],
    /// The agreed index of `root`; 0 before the first.
    pub(crate) root_index: u64,
}

impl Chain {
    /// Folds in the root at an agreed index.
    pub(crate) fn root(&mut self, index: u64, root: [u8; 32]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.hash);
        hasher.update(&[3]);
        hasher.update(&root);
        *self = Chain { hash: hasher.finalize().into(), root, root_index: index };
    }
}

/// A chain that goes on: what was applied last may not be folded in yet.
#[derive(Debug, Default)]
pub(crate) struct Links {
    chain: Chain,
    /// Of what is not folded in yet, one behind the other, and the piece behind each.
    records: Vec<u8>,
    ends: Vec<usize>,
}

impl From<Chain> for Links {
    fn from(chain: Chain) -> Links {
        Links { chain, ..Links::default() }
    }
}

impl Links {
    fn start(&mut self, tag: u8, term: u64, index: u64) {
        if self.ends.len() == TOGETHER {
            self.fold();
        }
        self.numbers([u64::from(tag), term, index]);
    }

    fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        self.records.extend_from_slice(numbers.map(u64::to_le_bytes).as_flattened());
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.numbers([bytes.len() as u64]);
        self.records.extend_from_slice(bytes);
    }

    /// An entry of the machine.
    pub(crate) fn entry(&mut self, term: u64, index: u64, entry: &Entry, applied: &Applied) {
        self.start(1, term, index);
        self.records.extend_from_slice(&entry.origin);
        let Entry { incarnation, seq, time_ns, seed, epoch, kind, .. } = *entry;
        self.numbers([incarnation, seq, time_ns, seed, u64::from(epoch), u64::from(kind)]);
        if entry.payload.len() <= WHOLE_MAX {
            self.sized(&entry.payload);
        } else {
            self.numbers([entry.payload.len() as u64]);
            self.records.extend_from_slice(blake3::hash(&entry.payload).as_bytes());
        }
        self.sized(&applied.outcome);
        self.records.extend_from_slice(&applied.effects_digest);
        self.end();
    }

    /// An entry that the machine does not see. `what` tells blank, checkpoint and members apart.
    pub(crate) fn other(&mut self, term: u64, index: u64, what: &[u8]) {
        self.start(2, term, index);
        self.sized(what);
        self.end();
    }

    /// The root at an agreed index. Gives the chain there.
    pub(crate) fn root(&mut self, index: u64, root: [u8; 32]) -> [u8; 32] {
        self.fold();
        self.chain.root(index, root);
        self.chain.hash
    }

    /// The chain at what was applied last. Nothing is kept beside it.
    pub(crate) fn now(&mut self) -> Chain {
        self.fold();
        *self = Links::from(self.chain);
        self.chain
    }

    /// The record is complete.
    fn end(&mut self) {
        self.records.resize(self.records.len().next_multiple_of(PIECE), 0);
        self.ends.push(self.records.len() / PIECE);
    }

    fn fold(&mut self) {
        let pieces: Vec<&[u8; PIECE]> = self.records.as_chunks().0.iter().collect();
        let hashes = pando_pieces::many(&pieces);
        let (mut rest, mut from, mut both) = (hashes.as_slice(), 0, Vec::new());
        for end in self.ends.drain(..) {
            let (record, behind) = rest.split_at(end - from);
            (rest, from) = (behind, end);
            both.clear();
            both.extend_from_slice(&self.chain.hash);
            both.extend_from_slice(record.as_flattened());
            self.chain.hash = blake3::hash(&both).into();
        }
        self.records.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chained(change: impl FnOnce(&mut Entry, &mut Applied)) -> [u8; 32] {
        let mut links = Links::default();
        let (mut entry, mut applied) = (Entry::default(), Applied::default());
        change(&mut entry, &mut applied);
        links.entry(1, 1, &entry, &applied);
        links.now().hash
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
            chained(|e, _| e.payload = vec![0; WHOLE_MAX]),
            chained(|e, _| e.payload = vec![0; WHOLE_MAX + 1]),
            chained(|e, _| e.payload = [vec![0; WHOLE_MAX], vec![1]].concat()),
            chained(|_, a| a.outcome = vec![0]),
            chained(|_, a| a.effects_digest[0] = 1),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b), "field {i}");
        }
    }

    #[test]
    fn the_chain_is_the_same_however_many_records_are_folded_in_together() {
        let chain = |ask_after: &dyn Fn(u64) -> bool| {
            let mut links = Links::default();
            for index in 1..40 {
                if index % 7 == 0 {
                    links.other(1, index, b"blank");
                } else {
                    let entry = Entry { payload: vec![index as u8; 300 * index as usize], ..Entry::default() };
                    links.entry(1, index, &entry, &Applied::default());
                }
                if index % 16 == 0 {
                    links.root(index, [index as u8; 32]);
                }
                if ask_after(index) {
                    links.now();
                }
            }
            links.now()
        };
        let whole = chain(&|_| false);
        assert_eq!(chain(&|_| true), whole);
        assert_eq!(chain(&|index| index % 3 == 0), whole);
        assert_eq!(whole.root_index, 32);
    }

    #[test]
    #[ignore = "a measurement: what the chain costs at 1 KiB of payload"]
    fn what_the_chain_costs() {
        let entries: Vec<_> = (0..64).map(|n| Entry { payload: vec![n; 1024], ..Entry::default() }).collect();
        let applied = Applied { outcome: vec![7; 48], effects_digest: [7; 32] };
        let mut links = Links::default();
        let mut batch = |rounds: u64| {
            for (index, entry) in (0..64 * rounds).zip(entries.iter().cycle()) {
                links.entry(1, index, entry, &applied);
                if index % 64 == 63 {
                    links.root(index, [1; 32]);
                    links.now();
                }
            }
        };
        batch(100);
        let times = (0..50).map(|_| {
            let start = std::time::Instant::now();
            batch(20);
            start.elapsed().as_nanos() as f64 / 1280.0
        });
        let mut times: Vec<f64> = times.collect();
        times.sort_by(f64::total_cmp);
        println!("an entry: {:.0} ns at best, {:.0} by the median", times[0], times[times.len() / 2]);
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
