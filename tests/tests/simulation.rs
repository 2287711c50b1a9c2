//! The simulator's slice for every change: whole realms from seeds, each twice.
//!
//! `PANDO_SIM_SEED` moves the slice, `PANDO_SIM_SEEDS` makes it longer; the long run is `cargo run --release -p pando-tests --bin sim`.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use pando_tests::sim::{Options, Report, run};

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Runs every seed twice on every core. What is wrong, with its seed.
fn twice(seeds: &[u64]) -> Vec<String> {
    let (next, wrong) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize).copied() {
            let options = Options { seed, storm: None };
            let (first, second): (Report, Report) = (run(options), run(options));
            let mut found = first.found;
            if let Some(how) = first.trace.parts_from(&second.trace).filter(|_| cfg!(tokio_unstable)) {
                found.push(format!("it went two ways: {how}"));
            }
            wrong.lock().expect("no panic").extend(found.into_iter().map(|text| format!("seed {seed}: {text}")));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    wrong.into_inner().expect("no panic")
}

#[test]
fn whole_realms_keep_their_promises_through_whatever_a_seed_does_to_them() {
    let (first, many) = (number("PANDO_SIM_SEED", 1), number("PANDO_SIM_SEEDS", 200));
    let wrong = twice(&(first..first + many).collect::<Vec<_>>());
    assert!(wrong.is_empty(), "of {many} seeds:\n{}", wrong.join("\n"));
}

/// Seeds that found something, by what they found.
const FOUND: [(u64, &str); 25] = [
    (6, "an actor that was spawned twice was left without a name"),
    (11, "a read said an index before the state that it told"),
    (22, "an answer was told again at a later index than its own"),
    (23, "a group's timer waited an hour for a slower clock"),
    (26, "a group's timers fired in another order than their times'"),
    (36, "a node that joined a group again elected itself by what its log began with"),
    (39, "a replica whose module was lost in a power cut went another way"),
    (51, "a module was not on the disk when it counted as there"),
    (188, "a change of voters that was written and not committed counted as done"),
    (413, "an actor moved to another boot of a node than the realm was told of, and nobody could reach it"),
    (425, "a group was on its way for ever because its leader thought it was there"),
    (835, "a newcomer that was sent the realm's history cut off who sent it"),
    (1_086, "a snapshot that could not be written stopped a replica and not the process"),
    (1_220, "a group whose first founder was gone for good before it had founded it never began"),
    (1_328, "a kill was done before its target's node had heard of it"),
    (1_450, "a node that was behind did not let in the leader that came after it"),
    (1_657, "a spawn was asked for again after its end"),
    (1_709, "letters from group to group went one at a time"),
    (2_224, "a monitor on an actor that ended between two leaders was not answered"),
    (
        2_676,
        "a snapshot was on the disk before the log behind it, and after a power cut a replica took its log for damaged",
    ),
    (
        3_493,
        "a leader that had just begun did not know that a voter was gone, and began a change that it could not finish",
    ),
    (3_688, "a change of voters was begun that those who lived could not finish"),
    (7_212, "a replica had gone wrong, and the word that said so was lost in a quiet group"),
    (7_315, "a group of one was on its way to a disk that was wiped: the operator has to give it up"),
    (
        8_201,
        "the log engine had entries again that were purged long ago, and a node ended itself at the first write behind them",
    ),
];

#[test]
fn what_seeds_have_found_stays_mended() {
    let wrong = twice(&FOUND.map(|(seed, _)| seed));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_bit_that_flips_in_a_replicas_memory_is_found_and_mended_whatever_else_goes_wrong() {
    let (mut flipped, mut mended, mut wrong) = (0, 0, Vec::new());
    for seed in 7_000.. {
        let report = run(Options { seed, storm: None });
        wrong.extend(report.found.into_iter().map(|text| format!("seed {seed}: {text}")));
        (flipped, mended) = (flipped + report.flips.0, mended + report.flips.1);
        if mended >= 10 || seed == 7_150 {
            break;
        }
    }
    println!("{flipped} bits have flipped, {mended} were found and mended");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(mended >= 10, "of {flipped} bits {mended} were found and mended");
}

#[test]
fn another_seed_is_another_run() {
    let traces: std::collections::BTreeSet<u64> =
        (1..=4).map(|seed| run(Options { seed, storm: None }).trace.hash()).collect();
    assert_eq!(traces.len(), 4);
}
