//! Holds histories of the simulator against porcupine's search for a linear order: a second opinion beside `sim/check/counters.rs`,
//! which needs none.
//!
//! ```sh
//! cargo run --release -p pando-tests --bin sim -- --seed 1 --seeds 1000 --quiet --histories histories.txt
//! cargo run --release --manifest-path tests/porcupine/Cargo.toml --target-dir target/porcupine < histories.txt
//! ```
//!
//! A line is an operation on a counter: seed, counter, `add` or `read`, nanoseconds at which it was called and answered, and
//! the value that was told. An add that nobody knows of has `-` for both: it may have happened then, or later, or never.

#![forbid(unsafe_code)]

use std::{collections::BTreeMap, io::BufRead, process::ExitCode, time::Duration};

use porcupine_rs::{CheckResult, Model, Operation, check_operations_timeout};

/// The longest that one history is searched.
const SEARCH_MAX: Duration = Duration::from_secs(60);

/// A counter that begins at 0.
#[derive(Clone, Debug)]
struct Counter;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// One more: what was told is the new value.
    Add(Option<u64>),
    Read(u64),
}

impl Model for Counter {
    type State = u64;
    type Op = Op;
    type Metadata = ();

    fn init() -> u64 {
        0
    }

    fn step(state: &u64, op: &Op) -> (bool, u64) {
        match op {
            Op::Add(told) => (told.is_none_or(|told| told == state + 1), state + 1),
            Op::Read(told) => (told == state, *state),
        }
    }
}

fn parse(line: &str) -> Option<((u64, u64), Operation<Counter>)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [seed, counter, kind, called, ended, told] = words.try_into().ok()?;
    let told = if told == "-" { None } else { Some(told.parse().ok()?) };
    let op = match (kind, told) {
        ("add", told) => Op::Add(told),
        ("read", Some(told)) => Op::Read(told),
        _ => return None,
    };
    let return_time = if ended == "-" { i64::MAX } else { ended.parse().ok()? };
    let operation = Operation { client_id: None, call_time: called.parse().ok()?, return_time, op, metadata: None };
    Some(((seed.parse().ok()?, counter.parse().ok()?), operation))
}

fn main() -> ExitCode {
    let mut histories: BTreeMap<(u64, u64), Vec<Operation<Counter>>> = BTreeMap::new();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let Some((which, operation)) = parse(&line) else {
            eprintln!("not an operation: {line:?}; this reads what `sim --histories` writes");
            return ExitCode::from(2);
        };
        histories.entry(which).or_default().push(operation);
    }
    let (mut operations, mut wrong, mut unknown) = (0, 0, 0);
    for ((seed, counter), history) in &histories {
        operations += history.len();
        match check_operations_timeout(history, SEARCH_MAX) {
            CheckResult::Ok => {}
            CheckResult::Illegal => {
                wrong += 1;
                println!(
                    "seed {seed}, counter {counter}: there is no order in which these {} can have happened",
                    history.len()
                );
            }
            CheckResult::Unknown => {
                unknown += 1;
                println!(
                    "seed {seed}, counter {counter}: no order was found in {SEARCH_MAX:?}, and not that there is none"
                );
            }
        }
    }
    println!("{} histories, {operations} operations, {wrong} not linearizable, {unknown} undecided", histories.len());
    if wrong == 0 && !histories.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(lines: &[&str]) -> CheckResult {
        let history: Vec<_> = lines.iter().map(|line| parse(line).expect("an operation").1).collect();
        check_operations_timeout(&history, SEARCH_MAX)
    }

    #[test]
    fn a_counter_that_goes_back_is_found() {
        assert_eq!(verdict(&["1 0 add 0 9 1", "1 0 add 2 5 2", "1 0 read 10 11 2"]), CheckResult::Ok);
        assert_eq!(verdict(&["1 0 add 0 1 1", "1 0 add 2 3 1"]), CheckResult::Illegal);
        assert_eq!(verdict(&["1 0 add 0 1 1", "1 0 read 2 3 0"]), CheckResult::Illegal);
        assert_eq!(verdict(&["1 0 add 0 - -", "1 0 read 2 3 0", "1 0 read 4 5 1"]), CheckResult::Ok);
        assert_eq!(verdict(&["1 0 add 0 - -", "1 0 read 2 3 1", "1 0 read 4 5 0"]), CheckResult::Illegal);
    }
}
