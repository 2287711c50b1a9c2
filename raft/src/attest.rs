//! Who agrees with whom: chains compared at agreed indexes. Pure.
//!
//! 1. Only voters' words count towards a majority; any member can be found to be in the minority.
//! 2. Chains are compared at equal index only.
//! 3. What is remembered is bounded; the lowest indexes go first.
//! 4. Once a replica was mended, what it said before does not count against it.

use std::collections::{BTreeMap, BTreeSet};

/// Agreed indexes remembered.
const INDEXES_MAX: usize = 128;

/// What a replica says it has at an agreed index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) chain: [u8; 32],
    pub(crate) root: [u8; 32],
}

/// What comparing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A majority of the voters has what `node` has.
    Agrees { node: u64, index: u64 },
    /// A majority of the voters has something else than `node`.
    Minority { node: u64, index: u64, why: String },
    /// All voters have spoken and no majority agrees.
    Split { index: u64 },
}

/// The words heard about one group.
#[derive(Debug, Default)]
pub(crate) struct Attestations {
    words: BTreeMap<u64, BTreeMap<u64, Word>>,
    /// Where replicas were mended: what they said before, they said as others.
    since: BTreeMap<u64, u64>,
}

impl Attestations {
    /// Hears a word; says what follows from it. `voters` are the voters now.
    pub(crate) fn hear(&mut self, index: u64, node: u64, word: Word, voters: &BTreeSet<u64>) -> Vec<Finding> {
        if self.is_old(node, index) {
            return Vec::new();
        }
        let words = self.words.entry(index).or_default();
        // A replica that restarted says the same again; one that changes its word is judged by the new one.
        words.insert(node, word);
        let findings = judge(index, words, voters);
        while self.words.len() > INDEXES_MAX {
            self.words.pop_first();
        }
        findings
    }

    /// A replica was mended at this index: what it said before is forgotten, and not heard if it comes again.
    pub(crate) fn mended(&mut self, node: u64, index: u64) {
        for words in self.words.range_mut(..index).map(|(_, words)| words) {
            words.remove(&node);
        }
        self.since.insert(node, index);
        while self.since.len() > INDEXES_MAX {
            self.since.pop_first();
        }
    }

    /// What this replica has said that it has there.
    pub(crate) fn word(&self, index: u64, node: u64) -> Option<Word> {
        self.words.get(&index)?.get(&node).copied()
    }

    /// Where these two have said different things last, and what the second one said.
    pub(crate) fn dispute(&self, node: u64, with: u64) -> Option<(u64, Word)> {
        let differs = |words: &BTreeMap<u64, Word>| {
            let (one, other) = (words.get(&node)?, words.get(&with)?);
            (one != other).then_some(*other)
        };
        self.words.iter().rev().find_map(|(index, words)| Some((*index, differs(words)?)))
    }

    /// Do those who have spoken there have different things?
    pub(crate) fn is_disputed(&self, index: u64) -> bool {
        let Some(words) = self.words.get(&index) else { return false };
        words.values().zip(words.values().skip(1)).any(|(one, other)| one != other)
    }

    /// Is that of before the replica was mended?
    pub(crate) fn is_old(&self, node: u64, index: u64) -> bool {
        self.since.get(&node).is_some_and(|since| index < *since)
    }
}

fn judge(index: u64, words: &BTreeMap<u64, Word>, voters: &BTreeSet<u64>) -> Vec<Finding> {
    let spoken: Vec<&Word> = voters.iter().filter_map(|v| words.get(v)).collect();
    let majority = voters.len() / 2 + 1;
    let winner = spoken.iter().find(|w| spoken.iter().filter(|o| o.chain == w.chain).count() >= majority);
    match winner {
        Some(winner) => {
            let judged = words.iter().map(|(&node, word)| {
                if word.chain == winner.chain {
                    return Finding::Agrees { node, index };
                }
                let what = if word.root != winner.root { "root" } else { "chain" };
                let short = |bytes: &[u8; 32]| pando_abi::ModuleHash(*bytes);
                let (has, want) =
                    if what == "root" { (&word.root, &winner.root) } else { (&word.chain, &winner.chain) };
                let why =
                    format!("at index {index} its {what} is {:.12}, a majority has {:.12}", short(has), short(want));
                Finding::Minority { node, index, why }
            });
            judged.collect()
        }
        None if voters.len() > 1 && spoken.len() == voters.len() => vec![Finding::Split { index }],
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(n: u8) -> Word {
        Word { chain: [n; 32], root: [n; 32] }
    }

    fn minority(findings: &[Finding]) -> Vec<u64> {
        findings
            .iter()
            .filter_map(|f| if let Finding::Minority { node, .. } = f { Some(*node) } else { None })
            .collect()
    }

    #[test]
    fn the_minority_is_named_whoever_speaks_last() {
        let voters = BTreeSet::from([1, 2, 3]);
        for order in [[1, 2, 3], [3, 1, 2], [1, 3, 2]] {
            let mut a = Attestations::default();
            let mut last = Vec::new();
            for node in order {
                last = a.hear(64, node, word(if node == 3 { 9 } else { 1 }), &voters);
            }
            assert_eq!(minority(&last), vec![3], "{order:?}");
        }
    }

    #[test]
    fn nobody_is_named_without_a_majority() {
        let mut a = Attestations::default();
        let voters = BTreeSet::from([1, 2]);
        assert!(a.hear(64, 1, word(1), &voters).is_empty());
        assert_eq!(a.hear(64, 2, word(2), &voters), vec![Finding::Split { index: 64 }]);
    }

    #[test]
    fn a_learner_is_judged_but_does_not_count() {
        let mut a = Attestations::default();
        let voters = BTreeSet::from([1, 2, 3]);
        a.hear(64, 8, word(9), &voters);
        a.hear(64, 9, word(9), &voters);
        assert!(a.hear(64, 1, word(1), &voters).is_empty());
        assert_eq!(minority(&a.hear(64, 2, word(1), &voters)), vec![8, 9]);
    }

    #[test]
    fn what_a_replica_said_before_it_was_mended_is_not_held_against_it() {
        let mut a = Attestations::default();
        let voters = BTreeSet::from([1, 2, 3, 4, 5]);
        for (node, said) in [(1, 1), (2, 1), (3, 9), (4, 1)] {
            a.hear(64, node, word(said), &voters);
        }
        assert_eq!(minority(&a.hear(64, 5, word(1), &voters)), vec![3]);
        for node in [1, 2, 3] {
            a.hear(128, node, word(2), &voters);
        }
        a.mended(3, 128);
        // What was on its way twice comes again.
        assert!(a.hear(64, 3, word(9), &voters).is_empty());
        // One that was away says what it has there.
        assert!(minority(&a.hear(64, 5, word(1), &voters)).is_empty());
        assert!(a.hear(128, 4, word(2), &voters).contains(&Finding::Agrees { node: 3, index: 128 }));
    }

    #[test]
    fn memory_is_bounded() {
        let mut a = Attestations::default();
        let voters = BTreeSet::from([1, 2, 3]);
        for index in 0..10_000 {
            a.hear(index, 2, word(1), &voters);
        }
        assert!(a.words.len() <= INDEXES_MAX);
    }
}
