//! The simulator as a program: one seed after the other, a line each.
//!
//! `cargo run --release -p pando-tests --bin sim -- --seed 1 --minutes 10`

use std::{
    fs::File,
    io::Write,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use pando_admin::Level;
use pando_tests::sim::{
    self, Options, Report,
    people::{Fate, Wish},
};

/// Runs whole realms from seeds and checks what must hold.
#[derive(Parser)]
#[command(name = "sim")]
struct Args {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds; without --minutes one.
    #[arg(long)]
    seeds: Option<u64>,
    /// How long to go on with the next seed.
    #[arg(long)]
    minutes: Option<f64>,
    /// Threads, each with a seed of its own.
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    threads: usize,
    /// Run every seed twice and compare the traces.
    #[arg(long)]
    twice: bool,
    /// Print what went wrong in the simulated world, and when.
    #[arg(long)]
    deeds: bool,
    /// Print what the product says: a filter as in RUST_LOG.
    #[arg(long)]
    log: Option<String>,
    /// Stop at the first failure.
    #[arg(long)]
    first: bool,
    /// Print a line only for seeds that fail.
    #[arg(long)]
    quiet: bool,
    /// Write what was asked of the counters, and when, to this file: for `tests/porcupine`.
    #[arg(long)]
    histories: Option<std::path::PathBuf>,
}

/// The operations on counters, a line each.
fn operations(seed: u64, report: &Report) -> String {
    let mut lines = String::new();
    for deed in &report.history {
        let (tally, kind) = match deed.wish {
            Wish::Add { tally } => (tally, "add"),
            Wish::Read { tally, level: Level::Linear } => (tally, "read"),
            _ => continue,
        };
        let called = deed.called.as_nanos();
        match (&deed.fate, deed.ended) {
            (Fate::Answered { number, .. }, Some(ended)) => {
                lines.push_str(&format!("{seed} {tally} {kind} {called} {} {number}\n", ended.as_nanos()));
            }
            (Fate::Unknown, _) if kind == "add" => lines.push_str(&format!("{seed} {tally} add {called} - -\n")),
            _ => {}
        }
    }
    lines
}

fn line(seed: u64, report: &Report, took: Duration) -> String {
    format!(
        "{seed:>8}  {:>5} {:>8}  {:>7.1} s  {:>6.2} s  {:>6} {:>6} {:>6}  {:>6} {:>7}  {:016x}  {}",
        report.nodes,
        report.replicas,
        report.simulated.as_secs_f64(),
        took.as_secs_f64(),
        report.calls.0,
        report.calls.1,
        report.calls.2,
        report.raft.0,
        report.raft.1,
        report.trace.hash(),
        if report.found.is_empty() { "ok" } else { "FAILED" },
    )
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(filter) = &args.log {
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).init();
    }
    let began = Instant::now();
    let last = match (args.seeds, args.minutes) {
        (Some(n), _) => args.seed.saturating_add(n),
        (None, Some(_)) => u64::MAX,
        (None, None) => args.seed + 1,
    };
    let limit = args.minutes.map(|m| Duration::from_secs_f64(m * 60.0));
    let (next, failures, done) = (AtomicU64::new(args.seed), AtomicUsize::new(0), AtomicU64::new(0));
    let out = Mutex::new(());
    let histories = args.histories.as_ref().map(|path| {
        let file = File::create(path).unwrap_or_else(|e| {
            eprintln!("error: {} cannot be written: {e}", path.display());
            std::process::exit(2);
        });
        Mutex::new(file)
    });
    println!(
        "{:>8}  {:>5} {:>8}  {:>9}  {:>8}  {:>6} {:>6} {:>6}  {:>6} {:>7}  {:16}",
        "seed", "nodes", "replicas", "simulated", "took", "done", "refus.", "unkn.", "terms", "compar.", "trace"
    );
    let work = || loop {
        let over =
            limit.is_some_and(|limit| began.elapsed() > limit) || (args.first && failures.load(Ordering::Relaxed) > 0);
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if over || seed >= last {
            return;
        }
        let start = Instant::now();
        let mut report = sim::run(Options { seed, storm: None });
        if args.twice {
            let again = sim::run(Options { seed, storm: None });
            if let Some(how) = report.trace.parts_from(&again.trace) {
                report.found.push(format!("the same seed went two ways: {how}"));
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
        if let Some(file) = &histories
            && let Err(e) = file.lock().expect("no panic").write_all(operations(seed, &report).as_bytes())
        {
            eprintln!("error: the histories cannot be written: {e}");
            std::process::exit(2);
        }
        let _one = out.lock();
        let failed = !report.found.is_empty();
        if failed || !args.quiet {
            println!("{}", line(seed, &report, start.elapsed()));
        }
        if args.deeds {
            report.deeds.iter().for_each(|(at, deed)| println!("{:>12.3} s  {deed}", at.as_secs_f64()));
        }
        if failed {
            failures.fetch_add(1, Ordering::Relaxed);
            report.found.iter().for_each(|found| println!("          {found}"));
            println!(
                "          again: cargo run --release -p pando-tests --bin sim -- --seed {seed} --deeds --log warn"
            );
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner();
    println!("{} seeds, {failures} failed, {:.0} s", done.into_inner(), began.elapsed().as_secs_f64());
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
