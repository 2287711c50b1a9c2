//! Which keyed messages a process has seen, and what it answered.
//!
//! Owns: for each (origin, incarnation) a window of sequence numbers with their answers. Does not know: time; the
//! oldest origin by order of use goes when there are too many.
//!
//! 1. A key is `Fresh` once.
//! 2. A repeated key is given the answer of the first, if there is one yet and it is still kept; if there is none yet, the
//!    asker's newest address gets it as soon as there is; and if there will be none, the asker is told.
//! 3. Size is bounded: [`ORIGINS_MAX`] origins, [`WINDOW`] numbers each, [`ANSWERS_MAX`] kept answers each.
//! 4. Whose outcome was asked for is fenced if it had not come: it is never `Fresh` again. `Never` is only said where nothing
//!    was forgotten that could have been it.

#![allow(missing_docs, reason = "what rkyv derives has none")]

use std::collections::{BTreeMap, BTreeSet};

use pando_abi::ActorId;
use pando_abi::planted::{Bug, planted};
use pando_actors::Message;
use rkyv::{Archive, Deserialize, Serialize};

use crate::{
    input::{Key, ReplyTo},
    wire::{Malformed, WireAddress, WireMessage},
};

/// Origins that are remembered.
pub const ORIGINS_MAX: usize = 4_096;
/// How far behind the highest number of an origin a number may come and still be told new from old.
pub const WINDOW: u64 = 1_024;
/// Answers kept for each origin.
pub const ANSWERS_MAX: usize = 64;

/// An answer that was given.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 0 or an errno.
    pub status: u16,
    /// What it said.
    pub message: Box<Message>,
    /// The index in the group's log at which it was said; 0 for a plain actor.
    pub index: u64,
}

/// What is known of a key.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Nothing: it is new, and is now remembered.
    Fresh,
    /// It was handled, and is not answered yet (or wants no answer).
    Waiting,
    /// It was handled and answered so.
    Answered(Answer),
    /// It is so old that nobody knows, or nobody will answer it (again): the answer is not kept any more, or it was handled
    /// when no answer was wanted.
    Stale,
    /// It came too late: somebody had asked what became of it, and was told that it never will be.
    Fenced,
}

/// What became of a key, for good.
#[derive(Clone, Debug)]
pub enum Found {
    /// It was handled and answered so.
    Answered(Answer),
    /// It was handled. It is not answered yet, or wanted no answer, or the answer is not kept any more.
    Handled,
    /// It was not handled and will not be.
    Never,
    /// It will not be handled from now on; whether it ever was is not known any more.
    Forgotten,
}

/// Where [`Found`] stands in a status: above every errno.
const FOUND_SHIFT: u32 = 12;

impl Found {
    /// As a reply to whoever asked: status, message, and the index that the answer stood on.
    pub fn seal(self) -> (u16, Box<Message>, Option<u64>) {
        match self {
            Found::Answered(Answer { status, message, index }) => (status | 1 << FOUND_SHIFT, message, Some(index)),
            Found::Handled => (2 << FOUND_SHIFT, Box::default(), None),
            Found::Never => (3 << FOUND_SHIFT, Box::default(), None),
            Found::Forgotten => (4 << FOUND_SHIFT, Box::default(), None),
        }
    }

    /// From such a reply. `None`: it is another one, for instance that nobody was there to be asked.
    pub fn open(status: u16, message: Box<Message>, index: u64) -> Option<Found> {
        let low = status & ((1 << FOUND_SHIFT) - 1);
        match status >> FOUND_SHIFT {
            1 => Some(Found::Answered(Answer { status: low, message, index })),
            2 => Some(Found::Handled),
            3 => Some(Found::Never),
            4 => Some(Found::Forgotten),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Slot {
    reply: Option<ReplyTo>,
    /// What the guest's reply handle says; stays while `reply` may move to another node.
    asked: Option<ReplyTo>,
    answer: Option<Answer>,
    /// Nothing came under this number, and nothing will.
    fenced: bool,
}

#[derive(Clone, Debug, Default)]
struct Origin {
    high: u64,
    used: u64,
    /// When it was first seen others had been forgotten, and so perhaps it.
    doubtful: bool,
    slots: BTreeMap<u64, Slot>,
    /// The numbers whose answers are kept.
    answered: BTreeSet<u64>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Served {
    clock: u64,
    /// Was ever an origin forgotten?
    forgot: bool,
    origins: BTreeMap<(ActorId, u64), Origin>,
    /// By what the guest's reply handle says.
    open: BTreeMap<ReplyTo, Key>,
}

impl Served {
    /// How much there is of what is bounded, and how much there may be: origins, numbers of one, answers of one.
    pub fn bounds(&self) -> [(&'static str, usize, usize); 3] {
        let most = |of: fn(&Origin) -> usize| self.origins.values().map(of).max().unwrap_or(0);
        let answers = most(|origin| origin.answered.len());
        [
            ("origins that a process has served", self.origins.len(), ORIGINS_MAX),
            ("numbers of one origin", most(|origin| origin.slots.len()), WINDOW as usize),
            ("answers kept for one origin", answers, ANSWERS_MAX),
        ]
    }

    /// Is nothing remembered?
    pub fn is_empty(&self) -> bool {
        self.clock == 0
    }

    /// Notes a key. `reply` is where the answer goes from now on.
    pub fn note(&mut self, key: Key, reply: Option<ReplyTo>) -> Seen {
        let origin = self.origin(key);
        if planted(Bug::ServedTwice) {
            return Seen::Fresh;
        }
        if let Some(slot) = origin.slots.get_mut(&key.seq) {
            if reply.is_some() {
                slot.reply = reply;
            }
            return match &slot.answer {
                _ if slot.fenced => Seen::Fenced,
                Some(answer) => Seen::Answered(answer.clone()),
                None if slot.asked.is_none() && reply.is_some() => Seen::Stale,
                None => Seen::Waiting,
            };
        }
        if origin.high.checked_sub(WINDOW).is_some_and(|gone| key.seq <= gone) {
            return Seen::Stale;
        }
        self.take_up(key, Slot { reply, asked: reply, answer: None, fenced: false });
        if let Some(reply) = reply {
            self.open.insert(reply, key);
        }
        Seen::Fresh
    }

    /// What became of a key. One that did not come is fenced by this: it is refused if it comes now.
    pub fn outcome(&mut self, key: Key) -> Found {
        let origin = self.origin(key);
        let never = if origin.doubtful { Found::Forgotten } else { Found::Never };
        match origin.slots.get(&key.seq) {
            Some(slot) if slot.fenced => return never,
            Some(Slot { answer: Some(answer), .. }) => return Found::Answered(answer.clone()),
            Some(_) => return Found::Handled,
            None => {}
        }
        if origin.high.checked_sub(WINDOW).is_some_and(|gone| key.seq <= gone) {
            return Found::Forgotten;
        }
        if !planted(Bug::NotFenced) {
            self.take_up(key, Slot { reply: None, asked: None, answer: None, fenced: true });
        }
        never
    }

    /// The row of a key's origin, made if it is not there.
    fn origin(&mut self, key: Key) -> &mut Origin {
        self.clock += 1;
        let id = (key.origin, key.incarnation);
        if !self.origins.contains_key(&id) && self.origins.len() >= ORIGINS_MAX {
            self.forget_oldest();
        }
        let (clock, doubtful) = (self.clock, self.forgot);
        let origin = self.origins.entry(id).or_insert_with(|| Origin { doubtful, ..Origin::default() });
        origin.used = clock;
        origin
    }

    /// Puts a number in the window of its origin, and out what is behind it then.
    fn take_up(&mut self, key: Key, slot: Slot) {
        let Some(origin) = self.origins.get_mut(&(key.origin, key.incarnation)) else { return };
        origin.high = origin.high.max(key.seq);
        origin.slots.insert(key.seq, slot);
        let floor = origin.high.saturating_sub(WINDOW - 1);
        while let Some(oldest) = origin.slots.first_entry().filter(|oldest| *oldest.key() < floor) {
            origin.answered.remove(oldest.key());
            if let Some(asked) = oldest.remove().asked {
                self.open.remove(&asked);
            }
        }
    }

    /// The guest answered `asked`. Returns where the answer goes now, and keeps it for those who ask again.
    pub fn answered(&mut self, asked: ReplyTo, answer: &Answer) -> ReplyTo {
        let Some(key) = self.open.remove(&asked) else { return asked };
        let Some(origin) = self.origins.get_mut(&(key.origin, key.incarnation)) else { return asked };
        let Some(slot) = origin.slots.get_mut(&key.seq) else { return asked };
        slot.answer = Some(answer.clone());
        let to = slot.reply.unwrap_or(asked);
        origin.answered.insert(key.seq);
        if origin.answered.len() > ANSWERS_MAX
            && let Some(oldest) = origin.answered.pop_first()
            && let Some(slot) = origin.slots.get_mut(&oldest)
        {
            // Its number stays known as long as the window has it.
            (slot.answer, slot.reply, slot.asked) = (None, None, None);
        }
        to
    }

    fn forget_oldest(&mut self) {
        self.forgot = true;
        let oldest = self.origins.iter().min_by_key(|(_, o)| o.used).map(|(id, _)| *id);
        if let Some(origin) = oldest.and_then(|id| self.origins.remove(&id)) {
            for asked in origin.slots.into_values().filter_map(|s| s.asked) {
                self.open.remove(&asked);
            }
        }
    }

    /// For a snapshot.
    pub fn rows(&self) -> ServedRows {
        ServedRows {
            clock: self.clock,
            forgot: self.forgot,
            origins: self
                .origins
                .iter()
                .map(|((origin, incarnation), o)| OriginRow {
                    origin: origin.0,
                    incarnation: *incarnation,
                    high: o.high,
                    used: o.used,
                    doubtful: o.doubtful,
                    slots: o
                        .slots
                        .iter()
                        .map(|(seq, s)| SlotRow {
                            seq: *seq,
                            reply: s.reply.map(|r| (r.address.into(), r.token)),
                            asked: s.asked.map(|r| (r.address.into(), r.token)),
                            answer: s.answer.as_ref().map(|a| (a.status, (&*a.message).into(), a.index)),
                            fenced: s.fenced,
                        })
                        .collect(),
                })
                .collect(),
        }
    }

    /// From a snapshot.
    ///
    /// # Errors
    /// If a row does not hold.
    pub fn from_rows(rows: ServedRows) -> Result<Served, Malformed> {
        let mut served = Served { clock: rows.clock, forgot: rows.forgot, ..Served::default() };
        let open = |r: Option<(WireAddress, u64)>| match r {
            Some((address, token)) => Ok::<_, Malformed>(Some(ReplyTo { address: address.open()?, token })),
            None => Ok(None),
        };
        for row in rows.origins {
            let (high, used, doubtful) = (row.high, row.used, row.doubtful);
            let mut origin = Origin { high, used, doubtful, ..Origin::default() };
            let id = (ActorId(row.origin), row.incarnation);
            for slot in row.slots {
                let answer = match slot.answer {
                    Some((status, message, index)) => {
                        Some(Answer { status, message: Box::new(message.open()?), index })
                    }
                    None => None,
                };
                let asked = open(slot.asked)?;
                if let (Some(asked), None) = (asked, &answer) {
                    served.open.insert(asked, Key { origin: id.0, incarnation: id.1, seq: slot.seq });
                }
                if answer.is_some() {
                    origin.answered.insert(slot.seq);
                }
                let fenced = slot.fenced;
                origin.slots.insert(slot.seq, Slot { reply: open(slot.reply)?, asked, answer, fenced });
            }
            served.origins.insert(id, origin);
        }
        Ok(served)
    }
}

/// [`Served`] at rest.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct ServedRows {
    clock: u64,
    forgot: bool,
    origins: Vec<OriginRow>,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
struct OriginRow {
    origin: [u8; 16],
    incarnation: u64,
    high: u64,
    used: u64,
    doubtful: bool,
    slots: Vec<SlotRow>,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
struct SlotRow {
    seq: u64,
    reply: Option<(WireAddress, u64)>,
    asked: Option<(WireAddress, u64)>,
    answer: Option<(u16, WireMessage, u64)>,
    fenced: bool,
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use pando_abi::{Address, NodeId};

    use super::*;

    fn key(seq: u64) -> Key {
        Key { origin: ActorId([1; 16]), incarnation: 2, seq }
    }
    fn to(node: u32, token: u64) -> ReplyTo {
        ReplyTo { address: Address::actor(NodeId(node), ActorId([9; 16])), token }
    }
    fn answer(text: &[u8]) -> Answer {
        Answer { status: 0, index: 3, message: Box::new(Message::bytes(text)) }
    }

    #[test]
    fn a_key_is_fresh_once_whatever_order_numbers_come_in() {
        let mut served = Served::default();
        for seq in [5, 1, 3, 2, 4] {
            assert!(matches!(served.note(key(seq), None), Seen::Fresh), "{seq}");
        }
        for seq in 1..=5 {
            assert!(matches!(served.note(key(seq), None), Seen::Waiting), "{seq}");
        }
    }

    #[test]
    fn a_repeated_call_gets_the_first_answer_at_its_newest_address() {
        let mut served = Served::default();
        assert!(matches!(served.note(key(1), Some(to(1, 10))), Seen::Fresh));
        assert!(matches!(served.note(key(1), Some(to(2, 77))), Seen::Waiting));
        assert_eq!(served.answered(to(1, 10), &answer(b"six")), to(2, 77));
        let Seen::Answered(again) = served.note(key(1), Some(to(3, 78))) else { panic!("not kept") };
        assert_eq!(&again.message.body[..], b"six");
    }

    #[test]
    fn memory_is_bounded_in_numbers_and_in_origins() {
        let mut served = Served::default();
        for seq in 1..=3 * WINDOW {
            served.note(key(seq), Some(to(1, seq)));
            served.answered(to(1, seq), &answer(b"x"));
        }
        let origin = served.origins.values().next().unwrap();
        assert!(origin.slots.len() as u64 <= WINDOW);
        assert!(origin.slots.values().filter(|s| s.answer.is_some()).count() <= ANSWERS_MAX);
        assert!(matches!(served.note(key(1), None), Seen::Stale));
        for n in 0..ORIGINS_MAX as u64 + 10 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_le_bytes());
            served.note(Key { origin: ActorId(id), incarnation: 0, seq: 1 }, Some(to(1, n)));
        }
        assert!(served.origins.len() <= ORIGINS_MAX);
        assert!(served.open.len() <= ORIGINS_MAX * WINDOW as usize);
    }

    #[test]
    fn who_asks_again_for_an_answer_that_is_not_kept_any_more_is_told_so() {
        let mut served = Served::default();
        for seq in 1..=ANSWERS_MAX as u64 + 1 {
            served.note(key(seq), Some(to(1, seq)));
            served.answered(to(1, seq), &answer(b"x"));
        }
        assert!(matches!(served.note(key(1), Some(to(2, 99))), Seen::Stale));
        assert!(matches!(served.note(key(2), Some(to(2, 99))), Seen::Answered(_)));
        // And who asks for what was said without wanting an answer.
        served.note(key(500), None);
        assert!(matches!(served.note(key(500), Some(to(2, 100))), Seen::Stale));
        assert!(matches!(served.note(key(u64::MAX), None), Seen::Fresh), "the end of numbers is a number");
    }

    #[test]
    fn whose_outcome_was_asked_for_and_had_not_come_never_comes() {
        let mut served = Served::default();
        served.note(key(1), Some(to(1, 10)));
        served.answered(to(1, 10), &answer(b"six"));
        served.note(key(2), Some(to(1, 11)));
        for _ in 0..2 {
            assert!(matches!(served.outcome(key(1)), Found::Answered(a) if &a.message.body[..] == b"six"));
            assert!(matches!(served.outcome(key(2)), Found::Handled));
            assert!(matches!(served.outcome(key(3)), Found::Never));
            assert!(matches!(served.outcome(key(900)), Found::Never), "also one far ahead");
            for late in [3, 900] {
                assert!(matches!(served.note(key(late), Some(to(1, 12))), Seen::Fenced));
            }
            assert!(matches!(served.outcome(Key { incarnation: 9, ..key(1) }), Found::Never), "another incarnation");
            served = Served::from_rows(served.rows()).unwrap();
        }
        served.note(key(3 * WINDOW), None);
        assert!(matches!(served.outcome(key(3)), Found::Forgotten));
        assert!(matches!(served.note(key(3), None), Seen::Stale), "and it does not come either");
    }

    #[test]
    fn never_is_not_said_of_whom_might_have_been_forgotten() {
        let mut served = Served::default();
        served.note(key(1), None);
        let stranger = |n: u64| {
            let mut id = [0xee; 16];
            id[..8].copy_from_slice(&n.to_le_bytes());
            Key { origin: ActorId(id), incarnation: 0, seq: 1 }
        };
        (0..ORIGINS_MAX as u64).for_each(|n| drop(served.note(stranger(n), None)));
        for _ in 0..2 {
            assert!(matches!(served.outcome(key(1)), Found::Forgotten), "it happened once");
            assert!(matches!(served.note(key(1), None), Seen::Fenced));
            served = Served::from_rows(served.rows()).unwrap();
        }
        assert!(matches!(served.outcome(Key { seq: 2, ..stranger(77) }), Found::Never), "who is known is known");
    }

    #[test]
    fn a_snapshot_knows_what_its_original_knew() {
        let mut served = Served::default();
        served.note(key(1), Some(to(1, 10)));
        served.note(key(2), Some(to(1, 11)));
        served.answered(to(1, 10), &answer(b"five"));
        let mut copy = Served::from_rows(served.rows()).unwrap();
        assert!(matches!(copy.note(key(1), None), Seen::Answered(_)));
        assert!(matches!(copy.note(key(2), Some(to(2, 5))), Seen::Waiting));
        assert_eq!(copy.answered(to(1, 11), &answer(b"y")), to(2, 5));
    }
}
