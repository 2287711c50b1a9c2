//! A counter is linearizable, and what was acknowledged is durable.
//!
//! Every answered `add` has a value of its own, so the values are the order in which the adds took effect: checking takes
//! a sort, not a search. What is unknown may have happened or not.
//!
//! 1. No two adds have the same value: nothing is done twice, nothing acknowledged is lost.
//! 2. The final value is at least the number of acknowledged adds, and at most that and the unknown ones.
//! 3. An operation that began after another had ended is behind it; a linear read counts as an operation.
//! 4. The order of values is the order of the log's indexes, for final reads, too.

use std::{collections::BTreeMap, time::Duration};

use pando_admin::Level;

use crate::sim::people::{Audit, Cast, Deed, Fate, Wish};

/// One operation with its place in the order: an add takes place `value`, a read behind it.
struct Op {
    called: Duration,
    ended: Duration,
    value: u64,
    add: bool,
}

/// Adds a sentence for each violation.
pub fn check(cast: &Cast, audit: &Audit, history: &[Deed], found: &mut Vec<String>) {
    for (n, name) in cast.tallies.iter().enumerate() {
        one(name, n, audit.values.get(n).copied().unwrap_or(0), history, found);
    }
}

fn one(name: &str, tally: usize, end: u64, history: &[Deed], found: &mut Vec<String>) {
    let mut values: BTreeMap<u64, Duration> = BTreeMap::new();
    let (mut acknowledged, mut unknown) = (0, 0);
    let mut ops = Vec::new();
    let mut indexes: Vec<(u64, u64, bool)> = Vec::new();
    for deed in history {
        let (is_add, level) = match deed.wish {
            Wish::Add { tally: t } if t == tally => (true, Level::Final),
            Wish::Read { tally: t, level } if t == tally => (false, level),
            _ => continue,
        };
        match &deed.fate {
            Fate::Answered { number, index, .. } => {
                if is_add {
                    acknowledged += 1;
                    if let Some(first) = values.insert(*number, deed.called) {
                        found.push(format!(
                            "{name}: two adds were answered {number}, called at {first:?} and {:?}",
                            deed.called
                        ));
                    }
                }
                indexes.push((*index, *number, is_add));
                if is_add || level == Level::Linear {
                    let ended = deed.ended.unwrap_or(Duration::MAX);
                    ops.push(Op { called: deed.called, ended, value: *number, add: is_add });
                }
            }
            Fate::Unknown if is_add => unknown += 1,
            _ => {}
        }
    }
    let highest = values.keys().next_back().copied().unwrap_or(0);
    if end < acknowledged || end > acknowledged + unknown || end < highest {
        found.push(format!(
            "{name}: ends at {end}, with {acknowledged} adds acknowledged (the highest {highest}) and {unknown} unknown"
        ));
    }
    real_time(name, &mut ops, found);
    by_index(name, &mut indexes, found);
}

/// Walks through the calls in their order and holds each against the highest value that had ended before it.
fn real_time(name: &str, ops: &mut [Op], found: &mut Vec<String>) {
    let mut by_end: Vec<(Duration, u64)> = ops.iter().map(|op| (op.ended, op.value)).collect();
    by_end.sort_unstable();
    ops.sort_unstable_by_key(|op| op.called);
    let (mut next, mut floor) = (0, 0);
    for op in ops {
        while let Some((ended, value)) = by_end.get(next)
            && *ended < op.called
        {
            floor = floor.max(*value);
            next += 1;
        }
        let behind = if op.add { op.value > floor } else { op.value >= floor };
        if !behind {
            let what = if op.add { "an add" } else { "a linear read" };
            found.push(format!(
                "{name}: {what} called at {:?} saw {}, after {floor} had been told",
                op.called, op.value
            ));
        }
    }
}

/// Values never go down with the index, and an add's is above everything at lower indexes.
fn by_index(name: &str, seen: &mut [(u64, u64, bool)], found: &mut Vec<String>) {
    seen.sort_unstable();
    let mut below: (u64, u64) = (0, 0);
    let mut group: Vec<(u64, bool)> = Vec::new();
    let mut at = 0;
    let mut settle = |at: u64, group: &mut Vec<(u64, bool)>, below: &mut (u64, u64)| {
        let adds = group.iter().filter(|(_, add)| *add).map(|(value, _)| *value).max().unwrap_or(0);
        for (value, add) in group.iter() {
            // What reads an index sees all of its entry.
            let behind = !*add && *value < adds;
            if behind || *value < below.1 || (*add && *value == below.1 && below.1 > 0) {
                found.push(format!("{name}: {value} at index {at}, but {} at index {} before it", below.1, below.0));
            }
        }
        if let Some(highest) = group.iter().map(|(value, _)| *value).max() {
            *below = (at, below.1.max(highest));
        }
        group.clear();
    };
    for (index, value, add) in seen.iter() {
        if *index != at {
            settle(at, &mut group, &mut below);
            at = *index;
        }
        group.push((*value, *add));
    }
    settle(at, &mut group, &mut below);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(called: u64, ended: u64, number: u64, index: u64) -> Deed {
        deed(Wish::Add { tally: 0 }, called, ended, number, index)
    }
    fn read(called: u64, ended: u64, number: u64, index: u64, level: Level) -> Deed {
        deed(Wish::Read { tally: 0, level }, called, ended, number, index)
    }
    fn deed(wish: Wish, called: u64, ended: u64, number: u64, index: u64) -> Deed {
        let fate = Fate::Answered { status: 0, number, level: Level::Final, index, node: 1 };
        Deed { wish, called: Duration::from_millis(called), ended: Some(Duration::from_millis(ended)), fate }
    }
    fn unknown(called: u64) -> Deed {
        Deed { fate: Fate::Unknown, ..add(called, called + 1, 0, 0) }
    }
    fn complaints(history: &[Deed], end: u64) -> usize {
        let mut found = Vec::new();
        one("t", 0, end, history, &mut found);
        found.len()
    }

    #[test]
    fn good_histories_pass_and_bad_ones_do_not() {
        let good = [add(0, 9, 1, 3), add(2, 5, 2, 4), read(10, 11, 2, 4, Level::Linear), unknown(12)];
        assert_eq!(complaints(&good, 2), 0);
        assert_eq!(complaints(&good, 3), 0, "an unknown add may have happened");
        assert_eq!(complaints(&good, 4), 1, "more than was ever asked for");
        assert_eq!(complaints(&good, 1), 1, "an acknowledged add is lost");
        assert!(complaints(&[add(0, 1, 1, 3), add(2, 3, 1, 4)], 1) > 0, "doubled value");
        assert!(complaints(&[add(0, 1, 2, 3), add(2, 3, 1, 4)], 2) > 0, "against real time");
        assert!(complaints(&[add(0, 1, 1, 3), read(2, 3, 0, 3, Level::Linear)], 1) > 0, "a stale linear read");
        assert_eq!(complaints(&[add(0, 1, 1, 3), read(2, 3, 0, 2, Level::Final)], 1), 0, "final reads may be old");
        assert!(complaints(&[add(0, 1, 1, 3), read(2, 3, 0, 3, Level::Final)], 1) > 0, "but not of that index");
    }
}
