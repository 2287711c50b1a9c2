//! The simulator must be able to fail: bugs are planted in the product, and it has to find them.
//!
//! Built with `--features pando-tests/planted`. Every change checks a few of them, others each day; `PANDO_BUGS=all` checks
//! all and prints the table, `PANDO_BUGS=NoSync,LeaseRead` these.

#![cfg(feature = "planted")]

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use pando_abi::planted::{Bug, plant};
use pando_tests::sim::{Options, run};

/// Seeds that are tried for each bug.
const SEEDS: u64 = 500;
/// Bugs that every change checks.
const FEW: usize = 3;
/// Bugs of the pack that may go unseen.
const UNSEEN_MAX: usize = 1;

/// The seeds until one failed, and what it said.
fn hunt(bug: Bug) -> Option<(u64, String)> {
    plant(Some(bug));
    let (next, over) = (AtomicU64::new(1), AtomicBool::new(false));
    let work = || {
        while !over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > SEEDS {
                return None;
            }
            if let Some(text) = run(Options { seed, storm: None }).found.into_iter().next() {
                over.store(true, Ordering::Relaxed);
                return Some((seed, text));
            }
        }
        None
    };
    let found = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let hunters: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        hunters.into_iter().filter_map(|hunter| hunter.join().expect("no panic")).min()
    });
    plant(None);
    found
}

#[test]
fn what_is_planted_is_found() {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400) as usize;
    let bugs: Vec<Bug> = match std::env::var("PANDO_BUGS").unwrap_or_default().as_str() {
        "" => (0..FEW).map(|n| Bug::ALL[(days * FEW + n) % Bug::ALL.len()]).collect(),
        "all" => Bug::ALL.to_vec(),
        names => {
            let names: Vec<&str> = names.split(',').collect();
            Bug::ALL.into_iter().filter(|bug| names.contains(&format!("{bug:?}").as_str())).collect()
        }
    };
    assert!(!bugs.is_empty(), "PANDO_BUGS names no bug");
    let mut unseen = Vec::new();
    for bug in bugs {
        match hunt(bug) {
            Some((seed, text)) => println!("{:<26} seed {seed:>3}  {text:.120}", format!("{bug:?}")),
            None => {
                println!("{:<26} not found in {SEEDS} seeds", format!("{bug:?}"));
                unseen.push(bug);
            }
        }
    }
    assert!(unseen.len() <= UNSEEN_MAX, "not found: {unseen:?}");
}
