//! What is wrong with what clients of one counter were told.
//!
//! Owns: the rules. Does not know: time-outs, nodes, faults; a history is judged by itself, in the time that sorting takes.
//!
//! An addition that was *acknowledged* tells the value after it, so a linearizable counter has told each acknowledged
//! addition another value, and the values are their order. One that was *refused* never counts. One whose outcome is
//! *unknown* counts once or not at all, at any time after it was asked for.
//!
//! `porcupine-rs` 0.3 comes to the same verdicts on histories that `--keep` has written. It is no dependency: it declares
//! criterion and the rest of its benchmarks' crates as ordinary ones, and a search knows no more of counters than order does.
//!
//! 1. A value that two were told is a lost addition; a value that nobody was told, and no unknown addition can have been,
//!    is a doubled one.
//! 2. Who is told before another asks comes before it in the order of values.
//! 3. A linear read tells no less than anybody knew before it was asked; no read tells of additions not yet asked for.
//! 4. A read that stands on an index tells no less than every addition that stands on it or on a lower one.

use std::{collections::BTreeMap, fmt};

use super::history::{Op, Outcome, What};

/// At most so many of one kind are told.
const OF_ONE_KIND_MAX: usize = 5;

/// What kind of wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// An acknowledged addition does not count.
    Lost,
    /// An addition counts more than once, or a refused one counts.
    Doubled,
    /// A linear read tells what was true before it was asked.
    Stale,
    /// A read tells what cannot have happened yet, or an answer what nobody did.
    Invented,
    /// Effects are in another order than their causes.
    Reordered,
    /// It does not answer, though nothing is in its way.
    Stuck,
    /// Replicas of one group differ.
    Diverged,
}

/// Something wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wrong {
    /// Its kind.
    pub kind: Kind,
    /// Where.
    pub place: String,
    /// What was seen.
    pub text: String,
}

impl Wrong {
    /// Something wrong.
    pub fn new(kind: Kind, place: &str, text: impl Into<String>) -> Wrong {
        Wrong { kind, place: place.to_owned(), text: text.into() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}: {}", self.kind, self.place, self.text)
    }
}

/// Judges a history of one counter that began at 0 and was at `last` in the end, if that is known.
pub fn judge(place: &str, ops: &[Op], last: Option<u64>) -> Vec<Wrong> {
    let mut wrong = values(place, ops, last);
    wrong.extend(order(place, ops));
    wrong.extend(futures(place, ops));
    wrong.extend(indices(place, ops));
    few_of_each(wrong)
}

fn value(op: &Op) -> Option<u64> {
    match op.outcome {
        Outcome::Value(value) => Some(value),
        Outcome::Refused | Outcome::Unknown => None,
    }
}

fn tell(op: &Op) -> String {
    let Op { client, what, asked, told, outcome, index, node, attempts } = op;
    format!(
        "{what:?} of client {client}, {:.3}-{:.3} s, {attempts} attempts: {outcome:?} at index {index} by n{node}",
        *asked as f64 / 1e9,
        *told as f64 / 1e9
    )
}

/// Rule 1.
fn values(place: &str, ops: &[Op], last: Option<u64>) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut told: BTreeMap<u64, &Op> = BTreeMap::new();
    let mut unknown = 0;
    for op in ops.iter().filter(|op| op.what == What::Add) {
        match op.outcome {
            Outcome::Refused => {}
            Outcome::Unknown => unknown += 1,
            Outcome::Value(0) => wrong.push(Wrong::new(Kind::Invented, place, format!("no sum is 0: {}", tell(op)))),
            Outcome::Value(value) => {
                if let Some(first) = told.insert(value, op) {
                    let text = format!("two were told {value}: {} | {}", tell(first), tell(op));
                    wrong.push(Wrong::new(Kind::Lost, place, text));
                }
            }
        }
    }
    let acked = told.len() as u64;
    let highest = told.last_key_value().map_or(0, |(value, _)| *value);
    let end = last.unwrap_or(highest).max(highest);
    if let Some(last) = last.filter(|last| *last < highest) {
        wrong.push(Wrong::new(Kind::Lost, place, format!("{highest} was acknowledged, and it is {last} in the end")));
    }
    if end > acked + unknown {
        let text = format!("it is {end} after {acked} acknowledged additions and {unknown} unknown ones");
        wrong.push(Wrong::new(Kind::Doubled, place, text));
    }
    wrong
}

/// Rules 2 and 3: nothing is less than what was known before.
fn order(place: &str, ops: &[Op]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut by_asked: Vec<&Op> = ops.iter().filter(|op| op.what != What::Final && value(op).is_some()).collect();
    let mut by_told = by_asked.clone();
    by_asked.sort_by_key(|op| op.asked);
    by_told.sort_by_key(|op| op.told);
    let mut before = by_told.into_iter().peekable();
    let mut known: Option<&Op> = None;
    for op in by_asked {
        while let Some(earlier) = before.next_if(|earlier| earlier.told < op.asked) {
            if known.is_none_or(|k| value(k) < value(earlier)) {
                known = Some(earlier);
            }
        }
        let Some(earlier) = known else { continue };
        match op.what {
            What::Add if value(op) <= value(earlier) => {
                wrong.push(Wrong::new(Kind::Reordered, place, format!("{} came after {}", tell(op), tell(earlier))));
            }
            What::Linear if value(op) < value(earlier) => {
                wrong.push(Wrong::new(Kind::Stale, place, format!("{} came after {}", tell(op), tell(earlier))));
            }
            _ => {}
        }
    }
    wrong
}

/// Rule 3: a read counts no more than had been asked for when it was told, and no addition asked for later is in it.
/// (The second half, for linear reads, is in [`order`] already.)
fn futures(place: &str, ops: &[Op]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut adds: Vec<&Op> = ops.iter().filter(|op| op.what == What::Add && op.outcome != Outcome::Refused).collect();
    adds.sort_by_key(|op| op.asked);
    // The smallest value that was told to anybody who asked at this place of the list or later.
    let mut least_after = vec![u64::MAX; adds.len() + 1];
    for (at, op) in adds.iter().enumerate().rev() {
        least_after[at] = least_after[at + 1].min(value(op).unwrap_or(u64::MAX));
    }
    for op in ops.iter().filter(|op| op.what != What::Add) {
        let Some(read) = value(op) else { continue };
        let asked_before = adds.partition_point(|add| add.asked < op.told);
        if read > asked_before as u64 {
            let text = format!("only {asked_before} additions had been asked for: {}", tell(op));
            wrong.push(Wrong::new(Kind::Invented, place, text));
        } else if read >= least_after[asked_before] {
            let text =
                format!("{} is told an addition that was asked for later: {}", tell(op), least_after[asked_before]);
            wrong.push(Wrong::new(Kind::Invented, place, text));
        }
    }
    wrong
}

/// Rule 4. (An addition itself may stand on a higher index than it was made at: where it was asked for once more.)
fn indices(place: &str, ops: &[Op]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut stand: Vec<&Op> = ops.iter().filter(|op| op.index > 0 && value(op).is_some()).collect();
    // Of one index, reads come last.
    stand.sort_by_key(|op| (op.index, op.what != What::Add));
    let mut known: Option<&Op> = None;
    for op in stand {
        match known {
            Some(earlier) if op.what != What::Add && value(op) < value(earlier) => {
                let text = format!("{} stands on no less than {}", tell(op), tell(earlier));
                wrong.push(Wrong::new(Kind::Reordered, place, text));
            }
            Some(earlier) if op.what != What::Add || value(op) <= value(earlier) => {}
            None if op.what != What::Add => {}
            _ => known = Some(op),
        }
    }
    wrong
}

fn few_of_each(wrong: Vec<Wrong>) -> Vec<Wrong> {
    let mut seen: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut few = Vec::new();
    for one in wrong {
        let n = seen.entry(one.kind).or_default();
        *n += 1;
        if *n <= OF_ONE_KIND_MAX {
            few.push(one);
        }
    }
    for (kind, n) in seen.into_iter().filter(|(_, n)| *n > OF_ONE_KIND_MAX) {
        let place = few.first().map_or(String::new(), |w| w.place.clone());
        few.push(Wrong { kind, place, text: format!("and {} more of this kind", n - OF_ONE_KIND_MAX) });
    }
    few
}

/// Puts of values that are never the same, each told what it replaced: their order is a chain, and a place in it is a
/// number, so that a register is judged as a counter is.
///
/// `puts` are (value, what it replaced), values from 1 on, 0 for nothing. Of an `unknown` put nobody was told what it
/// replaced: it is where the chain breaks off, if somebody replaced it. Gives each value's place, and what is wrong with
/// the chain itself.
pub fn places(place: &str, puts: &[(u64, u64)], unknown: &[u64]) -> (BTreeMap<u64, u64>, Vec<Wrong>) {
    let mut wrong = Vec::new();
    let mut next: BTreeMap<u64, u64> = BTreeMap::new();
    for (value, replaced) in puts {
        if let Some(other) = next.insert(*replaced, *value) {
            let text = format!("{value} and {other} both replaced {replaced}: one of the two is lost");
            wrong.push(Wrong::new(Kind::Lost, place, text));
        }
    }
    let mut places = BTreeMap::from([(0, 0)]);
    let mut at = 0;
    loop {
        // With one unknown put in a gap its place is known; with more, only that they are somewhere, and then the rest
        // of the chain cannot be placed either.
        let gap = || {
            let mut fits = unknown.iter().filter(|value| !places.contains_key(value) && next.contains_key(value));
            fits.next().filter(|_| fits.next().is_none()).copied()
        };
        let Some(value) = next.get(&at).copied().or_else(gap) else { break };
        if places.contains_key(&value) {
            wrong.push(Wrong::new(Kind::Doubled, place, format!("{value} was put twice")));
            break;
        }
        places.insert(value, places.len() as u64);
        at = value;
    }
    let stray = puts.iter().find(|(value, _)| !places.contains_key(value));
    if let Some(stray) = stray.filter(|_| wrong.is_empty() && unknown.is_empty()) {
        let text = format!("a put replaced what nobody had put: {stray:?}");
        wrong.push(Wrong::new(Kind::Invented, place, text));
    }
    (places, wrong)
}

#[cfg(test)]
mod tests;
