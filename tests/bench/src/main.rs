//! What things cost: `cargo run --release -p pando-bench` prints one table.
//!
//! Owns: the order of the measurements. Does not know: how each is taken; that is in [`local`] (one node), [`remote`] (a
//! realm of three processes) and [`peers`] (the same work by others, in the same minute on the same machine).
//!
//! 1. A figure is the median of several runs after one that does not count, unless its note says otherwise.
//! 2. Ratios are worth more than figures: those move with the machine and with what else runs on it.

#![forbid(unsafe_code)]

mod figures;
mod local;
mod peers;
mod remote;

use std::process::ExitCode;

use figures::Figures;

/// How much is done for each figure.
#[derive(Clone, Copy)]
pub struct Effort {
    quick: bool,
}

impl Effort {
    /// So many of a thing.
    fn scaled(self, n: u64) -> u64 {
        if self.quick { n.div_ceil(50) } else { n }
    }
    /// Counted runs.
    fn runs(self) -> usize {
        if self.quick { 1 } else { 5 }
    }
    /// Counted runs of what takes seconds each.
    fn few(self) -> usize {
        if self.quick { 1 } else { 3 }
    }
    /// Seconds of what runs by the clock.
    fn seconds(self) -> f64 {
        if self.quick { 0.5 } else { 3.0 }
    }
}

const USAGE: &str = "\
usage: pando-bench [--quick] [WORD...]

Measures what Pando costs on this machine and prints one table.
  --quick   a smoke run: everything once, in about a minute
  WORD      only these: ring call spawn memory boot remote group failover size

Shared peers: with PEERS set, the newest $PEERS/results/*.tsv is shown beside.";

const WORDS: [&str; 9] = ["ring", "call", "spawn", "memory", "boot", "remote", "group", "failover", "size"];

fn main() -> ExitCode {
    let mut effort = Effort { quick: false };
    let mut wanted = Vec::new();
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--quick" => effort.quick = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            word if WORDS.contains(&word) => wanted.push(arg),
            word => {
                eprintln!("error: there is nothing called `{word}` to measure\n\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let mut figures = Figures::new(wanted);
    if let Some(load) = figures::load() {
        eprintln!("load before: {load}");
    }
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    local::measure(&mut figures, effort, &runtime);
    remote::measure(&mut figures, effort, &runtime);
    println!("{}", figures.table());
    if let Some(table) = figures::shared_peers() {
        println!("\n{table}");
    }
    if let Some(load) = figures::load() {
        eprintln!("load after: {load}");
    }
    ExitCode::SUCCESS
}
