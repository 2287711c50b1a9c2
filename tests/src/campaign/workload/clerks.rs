//! Clients of groups: what each does all day.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pando_interface::encode_call;
use serde_json::Value as Json;

use super::{KEYS, Track};
use crate::{
    Answer, Trouble,
    campaign::{
        clients::{Caller, Settled},
        history::{History, Op, Outcome, What},
        oracle::{Kind, Wrong},
    },
    guests::{order, verb},
};

pub(super) type Notes = Arc<Mutex<Vec<Wrong>>>;
/// For each register, what was put and, if that was told, what it replaced.
pub(super) type Puts = Arc<Mutex<BTreeMap<String, Vec<(u64, Option<u64>)>>>>;

/// Of a thousand additions, so many are not waited for.
const FLUNG: u32 = 30;

/// A message to a bundled program.
pub(super) fn cbor(method: &str, words: &[&str]) -> Vec<u8> {
    encode_call(None, "it", method, words).expect("words without an interface always fit").body
}

fn note(notes: &Notes, wrong: Wrong) {
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    // Enough to know; the rest would say the same.
    if notes.len() < 50 {
        notes.push(wrong);
    }
}

/// A count in an answer; what is none is noted by the oracle as a value that nobody can have.
fn count(answer: &Answer) -> u64 {
    answer.value.as_u64().unwrap_or(u64::MAX)
}

fn op(caller: &Caller, what: What, asked: u64, history: &History) -> Op {
    let (client, told) = (caller.number, history.now());
    Op { client, what, asked, told, outcome: Outcome::Unknown, index: 0, node: 0, attempts: 1 }
}

/// An addition as it ended. A no where none is due is noted.
fn added(caller: &Caller, asked: u64, track: &Track, settled: Settled, notes: &Notes) -> Op {
    let op = op(caller, What::Add, asked, &track.history);
    match settled {
        Settled::Answered(answer, attempts) => {
            Op { outcome: Outcome::Value(count(&answer)), index: answer.index, node: answer.node, attempts, ..op }
        }
        Settled::Unknown(attempts) => Op { attempts, ..op },
        Settled::No(trouble, attempts) => {
            unexpected(&track.name, &trouble, notes);
            Op { attempts, ..op }
        }
    }
}

fn unexpected(place: &str, trouble: &Trouble, notes: &Notes) {
    note(notes, Wrong::new(Kind::Invented, place, format!("a refusal that nobody gave reason for: {trouble:?}")));
}

/// Notes that a call whose answer was asked for again and again has none.
fn must_be_known(settled: &Settled, place: &str, notes: &Notes) {
    if let Settled::Unknown(attempts) = settled {
        note(notes, Wrong::new(Kind::Stuck, place, format!("a call has no answer after {attempts} attempts")));
    }
}

async fn read(caller: &mut Caller, what: What, track: &Track, target: &str, body: &[u8]) {
    let asked = track.history.now();
    if let Some(answer) = caller.read(target, body, what == What::Linear).await {
        let outcome = Outcome::Value(count(&answer));
        track.history.push(Op {
            outcome,
            index: answer.index,
            node: answer.node,
            ..op(caller, what, asked, &track.history)
        });
    }
}

async fn add(caller: &mut Caller, track: &Track, target: &str, body: &[u8], handles: &[&str], notes: &Notes) {
    let asked = track.history.now();
    let settled = if caller.dice.chance(FLUNG) {
        let wait = Duration::from_millis(caller.dice.between(1, 100));
        caller.fling(target, body, handles, wait).await
    } else {
        let settled = caller.settle(target, body, handles).await;
        must_be_known(&settled, &track.name, notes);
        settled
    };
    track.history.push(added(caller, asked, track, settled, notes));
}

/// Counts up a `tally`, and reads.
pub(super) async fn hits(mut caller: Caller, track: Arc<Track>, notes: Notes) {
    let body = order(verb::TALLY, 0, 0, &[]);
    while caller.think().await {
        match caller.dice.below(10) {
            0..2 => read(&mut caller, What::Linear, &track, "hits", &body).await,
            2 => read(&mut caller, What::Final, &track, "hits", &body).await,
            _ => add(&mut caller, &track, "hits", &body, &[], &notes).await,
        }
    }
}

/// Counts up a `counter`, reads, and now and then asks for what must be refused.
pub(super) async fn votes(mut caller: Caller, track: Arc<Track>, notes: Notes) {
    let (one, bad, value) = (cbor("add", &["1"]), cbor("add", &["apples"]), cbor("value", &[]));
    while caller.think().await {
        match caller.dice.below(30) {
            0..6 => read(&mut caller, What::Linear, &track, "votes", &value).await,
            6..9 => read(&mut caller, What::Final, &track, "votes", &value).await,
            9 => {
                let asked = track.history.now();
                let (outcome, attempts) = match caller.settle("votes", &bad, &[]).await {
                    Settled::No(_, attempts) => (Outcome::Refused, attempts),
                    Settled::Unknown(attempts) => (Outcome::Unknown, attempts),
                    Settled::Answered(answer, attempts) => {
                        let text = format!("apples were added: {}", answer.value);
                        note(&notes, Wrong::new(Kind::Invented, "votes", text));
                        (Outcome::Unknown, attempts)
                    }
                };
                let op = op(&caller, What::Add, asked, &track.history);
                track.history.push(Op { outcome, attempts, ..op });
            }
            _ => add(&mut caller, &track, "votes", &one, &[], &notes).await,
        }
    }
}

/// What a register holds: a number that was put, or 0 for nothing.
pub(super) fn held(value: &Json) -> u64 {
    if value.is_null() { 0 } else { value.as_u64().unwrap_or(u64::MAX) }
}

/// Puts values that were never put before, and reads. The outcome in a register's history is the value itself; its place
/// in the chain of puts takes its stead when that is known.
pub(super) async fn store(
    mut caller: Caller,
    track: Arc<Track>,
    registers: Vec<Arc<History>>,
    puts: Puts,
    notes: Notes,
) {
    let mut serial = 0;
    while caller.think().await {
        let at = caller.dice.below(KEYS.len() as u64) as usize;
        let (key, register) = (KEYS[at], &registers[at]);
        let what = match caller.dice.below(10) {
            0..3 => What::Linear,
            3 => What::Final,
            _ => What::Add,
        };
        let asked = register.now();
        if what != What::Add {
            let answer = caller.read("store", &cbor("get", &[key]), what == What::Linear).await;
            if let Some(answer) = answer {
                let outcome = Outcome::Value(held(&answer.value));
                register.push(Op { outcome, node: answer.node, ..op(&caller, what, asked, register) });
            }
            continue;
        }
        serial += 1;
        let value = u64::from(caller.number) * 1_000_000_000 + serial;
        let settled = caller.settle("store", &cbor("put", &[key, &value.to_string()]), &[]).await;
        must_be_known(&settled, key, &notes);
        let put = op(&caller, What::Add, asked, register);
        match settled {
            Settled::Answered(answer, attempts) => {
                let replaced = held(&answer.value);
                let mut puts = puts.lock().unwrap_or_else(PoisonError::into_inner);
                puts.entry(key.to_owned()).or_default().push((value, Some(replaced)));
                let put = Op { outcome: Outcome::Value(value), node: answer.node, attempts, ..put };
                register.push(put);
                track.history.push(put);
            }
            Settled::Unknown(attempts) => {
                let mut puts = puts.lock().unwrap_or_else(PoisonError::into_inner);
                puts.entry(key.to_owned()).or_default().push((value, None));
                register.push(Op { attempts, ..put });
            }
            Settled::No(trouble, _) => unexpected(key, &trouble, &notes),
        }
    }
}

/// Has one courier write letters to the other.
pub(super) async fn letters(mut caller: Caller, track: Arc<Track>, notes: Notes) {
    let (from, to, line) = if track.group == 3 { ("post", "desk", 0) } else { ("desk", "post", 2) };
    let body = order(verb::POST, line, 0, &[]);
    while caller.think().await {
        add(&mut caller, &track, from, &body, &[to], &notes).await;
    }
}
