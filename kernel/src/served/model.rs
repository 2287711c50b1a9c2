//! Random keys and answers against plain maps that forget nothing.
//!
//! Holds the invariants of [`super`]: a key is fresh once, a repeat gets the first answer or is told that it is gone, an
//! answer goes to the newest asker, and everything stays bounded, also when it comes back from a snapshot in between.

use std::collections::{BTreeMap, BTreeSet};

use pando_abi::{ActorId, Address, NodeId};
use proptest::prelude::*;

use super::{ANSWERS_MAX, Answer, Found, ORIGINS_MAX, Seen, Served, WINDOW};
use crate::input::{Key, ReplyTo};

#[derive(Clone, Debug)]
enum Step {
    Note {
        origin: u8,
        seq: u64,
        wants: bool,
    },
    /// The guest answers one of the calls that it holds.
    Answer(usize),
    /// So many keys in a row, answered at once or left open.
    Burst {
        origin: u8,
        from: u64,
        count: u64,
        answered: bool,
    },
    /// Somebody asks what became of a key.
    Outcome {
        origin: u8,
        seq: u64,
    },
    /// As many strangers as are remembered: every origin before them is forgotten.
    Crowd,
    Rest,
}

#[derive(Clone, Debug)]
struct Known {
    newest: Option<ReplyTo>,
    asked: Option<ReplyTo>,
    answer: Option<u64>,
    /// It was asked for before it came.
    fenced: bool,
}

#[derive(Default)]
struct World {
    served: Served,
    /// All that was ever noted of an origin since it was forgotten last.
    origins: BTreeMap<u8, BTreeMap<u64, Known>>,
    /// What the guest can answer: its reply handle, and the key behind it while that is remembered.
    held: Vec<(ReplyTo, Option<(u8, u64)>)>,
    tokens: u64,
    answers: u64,
    crowds: u64,
}

fn body(of: &Answer) -> u64 {
    u64::from_le_bytes(of.message.body[..8].try_into().unwrap())
}

impl World {
    fn note(&mut self, origin: u8, seq: u64, wants: bool) {
        self.tokens += 1;
        let address = Address::actor(NodeId(1), ActorId([7; 16]));
        let reply = wants.then_some(ReplyTo { address, token: self.tokens });
        let key = Key { origin: ActorId([origin; 16]), incarnation: 1, seq };
        let seen = self.served.note(key, reply);
        let known = self.origins.entry(origin).or_default();
        let high = known.keys().next_back().copied().unwrap_or(0);
        let out = seq < high.saturating_sub(WINDOW - 1);
        match (known.get_mut(&seq), seen) {
            (None, Seen::Fresh) => {
                assert!(!out, "{seq} is fresh far behind {high}");
                known.insert(seq, Known { newest: reply, asked: reply, answer: None, fenced: false });
                self.held.extend(reply.map(|reply| (reply, Some((origin, seq)))));
                let floor = high.max(seq).saturating_sub(WINDOW - 1);
                for (_, key) in &mut self.held {
                    *key = key.filter(|(o, s)| *o != origin || *s >= floor);
                }
            }
            (None, Seen::Stale) => assert!(out, "{seq} is new, and {high} is the highest"),
            (Some(_), Seen::Stale) if out => {}
            (Some(known), Seen::Fenced) if known.fenced => {}
            (Some(known), seen) if known.fenced => panic!("{seq} was fenced, and is {seen:?}"),
            (Some(first), Seen::Answered(answer)) => {
                assert_eq!(Some(body(&answer)), first.answer, "another answer than the first");
            }
            (Some(first), Seen::Waiting) => {
                assert!(first.answer.is_none() || !wants, "{seq} was answered: its asker would wait for ever");
                assert!(first.asked.is_some() || !wants, "nobody will ever answer {seq}");
                if wants {
                    first.newest = reply;
                }
            }
            (Some(first), Seen::Stale) => match first.answer {
                Some(_) => {
                    let later = known.range(seq + 1..).filter(|(_, k)| k.answer.is_some()).count();
                    assert!(later >= ANSWERS_MAX, "the answer to {seq} went although only {later} later ones are kept");
                }
                None => assert!(first.asked.is_none() && wants, "{seq} can still be answered"),
            },
            (known, seen) => panic!("{seq} of {origin}: {seen:?}, and known is {known:?}"),
        }
    }

    fn outcome(&mut self, origin: u8, seq: u64) {
        let found = self.served.outcome(Key { origin: ActorId([origin; 16]), incarnation: 1, seq });
        let known = self.origins.entry(origin).or_default();
        let high = known.keys().next_back().copied().unwrap_or(0);
        let out = seq < high.saturating_sub(WINDOW - 1);
        match (known.get(&seq), found) {
            (_, Found::Forgotten) if out => {}
            (Some(first), Found::Answered(answer)) => assert_eq!(Some(body(&answer)), first.answer),
            (Some(first), Found::Handled) => assert!(!first.fenced, "{seq} never came"),
            (Some(first), Found::Never | Found::Forgotten) => assert!(first.fenced, "{seq} was handled"),
            (None, Found::Forgotten) if self.crowds == 0 => panic!("{seq} is doubted, and nobody was forgotten"),
            (None, Found::Never | Found::Forgotten) => {
                assert!(!out);
                known.insert(seq, Known { newest: None, asked: None, answer: None, fenced: true });
                let floor = high.max(seq).saturating_sub(WINDOW - 1);
                for (_, key) in &mut self.held {
                    *key = key.filter(|(o, s)| *o != origin || *s >= floor);
                }
            }
            (known, found) => panic!("{seq} of {origin}: {found:?}, and known is {known:?}"),
        }
    }

    fn answer(&mut self, which: usize) {
        if self.held.is_empty() {
            return;
        }
        let (asked, key) = self.held.swap_remove(which % self.held.len());
        self.answers += 1;
        let message = pando_actors::Message::bytes(&self.answers.to_le_bytes());
        let to = self.served.answered(asked, &Answer { status: 0, message: Box::new(message), index: 0 });
        match key.and_then(|(origin, seq)| self.origins.get_mut(&origin)?.get_mut(&seq)) {
            Some(known) => {
                assert_eq!(Some(to), known.newest, "not to the newest asker");
                known.answer = Some(self.answers);
            }
            None => assert_eq!(to, asked),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Note { origin, seq, wants } => self.note(origin, seq, wants),
            Step::Answer(which) => self.answer(which),
            Step::Outcome { origin, seq } => self.outcome(origin, seq),
            Step::Burst { origin, from, count, answered } => {
                for seq in from..from.saturating_add(count) {
                    self.note(origin, seq, true);
                    if answered && self.held.last().is_some_and(|(_, key)| *key == Some((origin, seq))) {
                        let last = self.held.len() - 1;
                        self.answer(last);
                    }
                }
            }
            Step::Crowd => {
                self.crowds += 1;
                for n in 0..ORIGINS_MAX as u64 {
                    let mut id = [0xff; 16];
                    id[..8].copy_from_slice(&n.to_le_bytes());
                    id[8..].copy_from_slice(&self.crowds.to_le_bytes());
                    self.served.note(Key { origin: ActorId(id), incarnation: 0, seq: 1 }, None);
                }
                self.origins.clear();
                self.held.iter_mut().for_each(|(_, key)| *key = None);
            }
            Step::Rest => self.served = Served::from_rows(self.served.rows()).unwrap(),
        }
        self.is_bounded();
    }

    fn is_bounded(&self) {
        assert!(self.served.origins.len() <= ORIGINS_MAX);
        let mut open = BTreeSet::new();
        for origin in self.served.origins.values() {
            assert!(origin.slots.len() as u64 <= WINDOW);
            assert!(origin.slots.values().filter(|slot| slot.answer.is_some()).count() <= ANSWERS_MAX);
            open.extend(origin.slots.values().filter(|slot| slot.answer.is_none()).filter_map(|slot| slot.asked));
        }
        assert_eq!(
            self.served.open.keys().copied().collect::<BTreeSet<_>>(),
            open,
            "what is open is what can be answered"
        );
    }
}

fn seq() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0..12u64,
        2 => (0..4u64, 0..3u64).prop_map(|(windows, off)| windows * WINDOW + off),
        1 => (0..3u64).prop_map(|off| u64::MAX - off),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => (0..3u8, seq(), any::<bool>()).prop_map(|(origin, seq, wants)| Step::Note { origin, seq, wants }),
        30 => any::<usize>().prop_map(Step::Answer),
        15 => (0..3u8, seq()).prop_map(|(origin, seq)| Step::Outcome { origin, seq }),
        2 => (0..3u8, seq(), 1..90u64, any::<bool>())
            .prop_map(|(origin, from, count, answered)| Step::Burst { origin, from, count, answered }),
        4 => Just(Step::Rest),
    ]
}

proptest! {
    #![proptest_config(crate::testing::cases(2_000))]

    #[test]
    fn a_key_is_served_once_and_answered_alike_for_as_long_as_it_is_known(
        steps in prop::collection::vec(step(), 1..50),
    ) {
        let mut world = World::default();
        steps.iter().for_each(|step| world.step(step));
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(20))]

    #[test]
    fn origins_that_were_crowded_out_are_strangers_again(
        before in prop::collection::vec(step(), 1..20),
        after in prop::collection::vec(step(), 1..20),
    ) {
        let mut world = World::default();
        before.iter().chain([&Step::Crowd]).chain(&after).for_each(|step| world.step(step));
    }
}
