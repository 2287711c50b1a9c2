//! Hostile input for hours: decoders, calls, modules.
//!
//! ```sh
//! cargo run --release -p pando-tests --bin hostile -- decoders --inputs 10000000 --seed 1
//! cargo run --release -p pando-tests --bin hostile -- syscalls --calls 1000000 --seed 1
//! cargo run --release --manifest-path tests/fuzz/Cargo.toml -- --seed 1 --count 100000 |
//!     cargo run --release -p pando-tests --bin hostile -- modules
//! ```
//!
//! Each prints what it did, and ends with 1 at the first broken promise and the command that shows it again.

#[path = "../../memory.rs"]
mod memory;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Instant,
};

use clap::{Parser, Subcommand};
use pando_tests::{
    decoders::{input, memory_max, rows},
    dice::Dice,
    hostile::{modules, syscalls},
};

#[global_allocator]
static COUNTED: memory::Counting = memory::Counting;

/// Hostile input for hours.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Damaged and random bytes for every decoder in turn.
    Decoders {
        /// How many inputs in all.
        #[arg(long, default_value_t = 100_000)]
        inputs: u64,
        /// What the inputs are drawn from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only input number so and so of this seed.
        #[arg(long)]
        only: Option<u64>,
    },
    /// Random calls, each held against the reference.
    Syscalls {
        /// How many, repetitions not counted.
        #[arg(long, default_value_t = 100_000)]
        calls: u64,
        /// What actors and orders are drawn from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The first actor of the seed.
        #[arg(long, default_value_t = 0)]
        first: u64,
    },
    /// The life of every module that comes in at the standard input: four bytes of length, then the module.
    Modules,
}

fn main() -> ExitCode {
    let began = Instant::now();
    let done = match Args::parse().what {
        What::Decoders { inputs, seed, only } => decoders(inputs, seed, only),
        What::Syscalls { calls, seed, first } => syscalls::run(calls, seed, first).map(|tried| {
            let of = |name: &str| tried.results.iter().filter(|((_, n), _)| *n == name).map(|(_, n)| n).sum::<u64>();
            println!("{} actors, {} events, {} calls ({} made)", tried.actors, tried.events, tried.calls, tried.made);
            println!("{} faults, {} exits; ok {}", tried.faults, tried.exits, of("ok"));
            for ((call, result), n) in &tried.results {
                println!("  {call:<14} {result:<10} {n:>9}");
            }
        }),
        What::Modules => modules::run(&mut std::io::stdin().lock()).and_then(|tried| {
            println!("{tried}");
            if tried.came > 0 { Ok(()) } else { Err("no module came".to_owned()) }
        }),
    };
    let seconds = began.elapsed().as_secs();
    match done {
        Ok(()) => {
            println!("no promise broken in {seconds} s; {} MiB resident", resident_mib());
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("after {seconds} s: {why}");
            ExitCode::FAILURE
        }
    }
}

fn resident_mib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) >> 8
}

fn decoders(inputs: u64, seed: u64, only: Option<u64>) -> Result<(), String> {
    let rows = rows();
    let mut counts: BTreeMap<&str, (u64, u64, usize)> = BTreeMap::new();
    // What is built once is not the input's.
    rows.iter().for_each(|(_, samples, read)| samples.iter().for_each(|sample| _ = read(sample)));
    for n in only.map_or(0..inputs, |n| n..n + 1) {
        let (name, samples, read) = &rows[(n % rows.len() as u64) as usize];
        let bytes = input(samples, &mut Dice::of(seed, n));
        let tried = catch_unwind(AssertUnwindSafe(|| memory::peak(|| read(&bytes))));
        let again = format!("{name}: again: hostile decoders --seed {seed} --only {n}");
        let (taken, peak) = tried.map_err(|_| format!("a panic; {again}"))?;
        if peak > memory_max(name, bytes.len()) {
            return Err(format!("{peak} bytes of memory for {} bytes; {again}", bytes.len()));
        }
        let count = counts.entry(name).or_default();
        *count = (count.0 + 1, count.1 + u64::from(taken), count.2.max(peak));
    }
    println!("{:<40} {:>10} {:>10} {:>12}", "decoder", "inputs", "taken", "bytes at most");
    for (name, (tried, taken, peak)) in &counts {
        println!("{name:<40} {tried:>10} {taken:>10} {peak:>12}");
    }
    println!("{} inputs over {} decoders", counts.values().map(|c| c.0).sum::<u64>(), counts.len());
    Ok(())
}
