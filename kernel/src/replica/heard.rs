//! How far a group has heard the others.
//!
//! Part of the group's replicated state. Owns: for each group that has spoken to it the highest number heard. Does not know: who
//! the others are, and whether they live.
//!
//! 1. What was heard is heard once: a number that is not above the highest is a repetition.
//! 2. Nothing is passed over: a number that is not the next one is taken only if it *begins*, which whoever lets it out says when the
//!    speaker knows everything before it to be heard.
//! 3. It is bounded: [`SPEAKERS_MAX`] groups. Of one more, the one that has been silent for longest is forgotten.
//!
//! Who was forgotten and speaks again begins: the first saying that its speaker does not know to be heard is said as one that begins. So
//! nothing is stuck. What could go wrong is a repetition of what was heard before its speaker was forgotten. For that the speaker's log has
//! to be without the acknowledgement all the while that so many *other* groups speak here; or a leader of it that has slept through all
//! of that says it again in the moment before it hears that it was deposed. The bounds on proposers and on those who are served
//! stand on the same.

use std::collections::BTreeMap;

use pando_abi::ActorId;
use pando_abi::planted::{Bug, planted};

use super::entry::Stamp;

/// Groups that are remembered.
pub const SPEAKERS_MAX: usize = 1 << 14;

/// What a stamp means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sense {
    /// It is the next one, and counts as heard now.
    News,
    /// It was heard before.
    Repeated,
    /// This one is expected first.
    Early { expected: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Row {
    seq: u64,
    /// Counts up with everything that is heard, of anybody.
    turn: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    rows: BTreeMap<ActorId, Row>,
    /// The same by their turns.
    turns: BTreeMap<u64, ActorId>,
    turn: u64,
}

impl Heard {
    /// Takes a stamp.
    pub(super) fn hear(&mut self, stamp: Stamp) -> Sense {
        let Stamp { group, seq, begins } = stamp;
        let group = ActorId(group);
        let known = self.rows.get(&group).map_or(0, |row| row.seq);
        if seq <= known && !planted(Bug::HeardTwice) {
            return Sense::Repeated;
        }
        if seq > known.saturating_add(1) && !begins {
            return Sense::Early { expected: known.saturating_add(1) };
        }
        self.note(group, seq);
        Sense::News
    }

    fn note(&mut self, group: ActorId, seq: u64) {
        self.turn += 1;
        let row = Row { seq, turn: self.turn };
        if let Some(before) = self.rows.insert(group, row) {
            self.turns.remove(&before.turn);
        }
        self.turns.insert(row.turn, group);
        while self.rows.len() > SPEAKERS_MAX {
            let Some((_, silent)) = self.turns.pop_first() else { return };
            self.rows.remove(&silent);
        }
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Who was heard how far, by their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        self.rows.iter().map(|(group, row)| (*group, row.seq))
    }

    /// For a snapshot: who has been silent for longest comes first.
    pub(super) fn rows(&self) -> Vec<([u8; 16], u64)> {
        self.turns.values().filter_map(|group| Some((group.0, self.rows.get(group)?.seq))).collect()
    }

    /// From a snapshot.
    pub(super) fn from_rows(rows: Vec<([u8; 16], u64)>) -> Heard {
        let mut heard = Heard::default();
        rows.into_iter().for_each(|(group, seq)| heard.note(ActorId(group), seq));
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(n: u64, seq: u64, begins: bool) -> Stamp {
        let mut group = [0; 16];
        group[..8].copy_from_slice(&n.to_le_bytes());
        Stamp { group, seq, begins }
    }

    #[test]
    fn what_repeats_is_known_what_leaves_a_gap_waits_and_what_begins_need_not_be_the_next() {
        let mut heard = Heard::default();
        for (seq, begins, sense) in [
            (2, false, Sense::Early { expected: 1 }),
            (7, true, Sense::News),
            (7, true, Sense::Repeated),
            (3, true, Sense::Repeated),
            (9, false, Sense::Early { expected: 8 }),
            (8, false, Sense::News),
            (u64::MAX, true, Sense::News),
            (u64::MAX, false, Sense::Repeated),
        ] {
            assert_eq!(heard.hear(stamp(1, seq, begins)), sense, "{seq}");
        }
    }

    #[test]
    fn it_is_bounded_and_every_replica_forgets_the_same_one() {
        let mut heard = Heard::default();
        let most = SPEAKERS_MAX as u64;
        for n in 0..most {
            assert_eq!(heard.hear(stamp(n, 5, true)), Sense::News);
        }
        // The first one speaks again, so the second has been silent for longest.
        assert_eq!(heard.hear(stamp(0, 6, false)), Sense::News);
        let mut copy = Heard::from_rows(heard.rows());
        for replica in [&mut heard, &mut copy] {
            assert_eq!(replica.hear(stamp(most, 1, true)), Sense::News);
            assert_eq!(replica.len(), SPEAKERS_MAX);
            assert_eq!(replica.hear(stamp(0, 6, true)), Sense::Repeated);
            assert_eq!(replica.hear(stamp(1, 9, false)), Sense::Early { expected: 1 });
            // Who was forgotten goes on.
            assert_eq!(replica.hear(stamp(1, 9, true)), Sense::News);
        }
        assert!(heard.iter().eq(copy.iter()) && heard.rows() == copy.rows());
    }
}
