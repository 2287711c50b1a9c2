//! What things cost, beside what they cost elsewhere: `cargo run --release -p pando-bench` prints one table.
//!
//! Owns: the command line and the order of the measurements. Does not know how each is taken; that is in [`local`] (one
//! node), [`million`] (a million actors), [`remote`] (two nodes), [`group`] (three nodes with disks) and [`peers`] (the same work by
//! others).
//!
//! 1. Ours and the peer's are taken in turn, in the same minutes on the same machine: ratios are worth more than figures.
//! 2. A figure is the median of its runs after one that does not count.

#![forbid(unsafe_code)]

mod count;
mod curves;
mod duel;
mod figures;
mod gauge;
mod group;
mod grow;
mod large;
mod local;
mod machine;
mod many;
mod million;
mod modules;
mod page;
mod peers;
mod plots;
mod remote;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    task::Poll,
};

use duel::Effort;
use figures::{Better, Figures, Target};
use pando_tests::{Realm, program};
use peers::Peers;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
use plots::Plots;
use serde_json::json;

/// What every measurement is given.
pub struct Bench {
    /// How much is done.
    pub effort: Effort,
    /// What came of it.
    pub figures: Figures,
    /// Who does the same beside.
    pub peers: Peers,
    /// Curves.
    pub plots: Plots,
    /// What could not be measured.
    failed: Vec<&'static str>,
}

const USAGE: &str = "\
usage: pando-bench [--quick] [--alone] [--runs N] [--groups N] [--peers DIR] [--out FILE]
                   [--plots DIR] [--page FILE] [WORD...]
       pando-bench --grow [NODES...]

Measures what Pando costs on this machine, each time in turn with a peer that does the same work, and prints one table.
  --quick      a smoke run: everything once, and small
  --alone      without peers
  --runs N     counted runs of each side (5)
  --groups N   groups of the rows `groups` (10,000; quick: 200)
  --peers DIR  the scripts of the peers; or PANDO_PEERS; else ../shared/peers beside the repository
  --out FILE   the same as JSON, with what the machine is
  --plots DIR  curves as SVG: of what was measured, and of cost against size
  --page FILE  the same as a page, with the pictures of --plots
  WORD         only these: ring ping call fan-in spawn runaway idle wake remote one-way pipelined group reads move catch-up failover
               boot module snapshot groups size curves

--grow counts in the simulator what realms of so many nodes (3 10 30 100) say to each other.";

const WORDS: [&str; 22] = [
    "ring",
    "ping",
    "call",
    "fan-in",
    "spawn",
    "runaway",
    "idle",
    "wake",
    "remote",
    "one-way",
    "pipelined",
    "group",
    "reads",
    "move",
    "catch-up",
    "failover",
    "boot",
    "module",
    "snapshot",
    "groups",
    "size",
    "curves",
];

/// What the command line says.
struct Orders {
    effort: Effort,
    wanted: Vec<String>,
    scripts: Option<PathBuf>,
    files: Files,
}

/// What is written beside the table, and where.
#[derive(Default)]
struct Files {
    out: Option<PathBuf>,
    plots: Option<PathBuf>,
    page: Option<PathBuf>,
}

fn read(mut args: impl Iterator<Item = String>) -> Result<Option<Orders>, String> {
    let effort = Effort { quick: false, runs: 0, groups: 0, peers: true };
    let mut orders = Orders { effort, wanted: Vec::new(), scripts: None, files: Files::default() };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("`{arg}` wants a value behind it"));
        match arg.as_str() {
            "--quick" => orders.effort.quick = true,
            "--alone" => orders.effort.peers = false,
            "--runs" => {
                let n = value()?;
                orders.effort.runs =
                    n.parse().ok().filter(|n| *n > 0).ok_or(format!("`{n}` is not a number of runs"))?;
            }
            "--groups" => {
                let n = value()?;
                orders.effort.groups =
                    n.parse().ok().filter(|n| *n > 0).ok_or(format!("`{n}` is not a number of groups"))?;
            }
            "--peers" => orders.scripts = Some(value()?.into()),
            "--plots" => orders.files.plots = Some(value()?.into()),
            "--page" => orders.files.page = Some(value()?.into()),
            "--out" => orders.files.out = Some(value()?.into()),
            "--help" | "-h" => return Ok(None),
            word if WORDS.contains(&word) => orders.wanted.push(arg),
            word => return Err(format!("there is nothing called `{word}` to measure")),
        }
    }
    if orders.effort.runs == 0 {
        orders.effort.runs = if orders.effort.quick { 1 } else { 5 };
    }
    if orders.effort.groups == 0 {
        orders.effort.groups = if orders.effort.quick { 200 } else { 10_000 };
    }
    Ok(Some(orders))
}

fn main() -> ExitCode {
    if let Some((flag, sizes)) = std::env::args().skip(1).collect::<Vec<_>>().split_first()
        && flag == "--grow"
    {
        let size = |text: &String| text.parse().ok().filter(|nodes| (1..=255).contains(nodes));
        return match sizes.iter().map(size).collect::<Option<Vec<u32>>>() {
            Some(sizes) => {
                grow::run(if sizes.is_empty() { &[3, 10, 30, 100] } else { &sizes });
                ExitCode::SUCCESS
            }
            None => {
                eprintln!("error: `--grow` takes numbers of nodes from 1 to 255");
                ExitCode::from(2)
            }
        };
    }
    if let [flag, what, many] = &std::env::args().skip(1).collect::<Vec<_>>()[..]
        && flag == "--count"
    {
        let done =
            many.parse().map_err(|_| format!("`{many}` is not a number")).and_then(|many| count::run(what, many));
        return match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("error: {why}");
                ExitCode::from(2)
            }
        };
    }
    let orders = match read(std::env::args().skip(1)) {
        Ok(Some(orders)) => orders,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("error: {why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let before = machine::load();
    let mut bench = Bench {
        effort: orders.effort,
        figures: Figures::new(orders.wanted),
        peers: Peers::find(orders.scripts, orders.effort.peers),
        plots: Plots::default(),
        failed: Vec::new(),
    };
    eprintln!("load before: {before}");
    // As a node does.
    pando_actors::small_pages().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(&mut bench, orders.files.plots.is_some()));
    let after = machine::load();
    println!("{}", bench.figures.table());
    let short = bench.figures.short();
    if !short.is_empty() {
        println!("\nshort of the target:\n  {}", short.join("\n  "));
    }
    eprintln!("load after: {after}");
    match keep(&bench, &orders.files, &before, &after) {
        Ok(()) if bench.failed.is_empty() => ExitCode::SUCCESS,
        Ok(()) => {
            eprintln!("error: not measured: {}; see above", bench.failed.join(", "));
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Writes what was asked for.
fn keep(bench: &Bench, files: &Files, before: &str, after: &str) -> Result<(), String> {
    let write = |path: &Path, flag: &str, text: String| {
        std::fs::write(path, text)
            .map_err(|why| format!("{}: {why}; name a file that can be written with {flag}", path.display()))
    };
    let document = json!({
        "machine": machine::describe(),
        "load": { "before": before, "after": after },
        "quick": bench.effort.quick,
        "runs": bench.effort.runs,
        "peers": bench.peers.versions(),
        "rows": bench.figures.json(),
    });
    let mut pictures = Vec::new();
    if let Some(folder) = &files.plots {
        pictures = plots::draw(&bench.plots, folder)?;
        eprintln!("{} pictures in {}", pictures.len(), folder.display());
    }
    if let Some(out) = &files.out {
        let text = serde_json::to_string_pretty(&document).expect("a document of plain values") + "\n";
        write(out, "--out", text)?;
    }
    if let Some(page) = &files.page {
        // Pictures are named as seen from the page.
        let folder = page.parent().unwrap_or(Path::new(""));
        let plots = files.plots.as_deref().unwrap_or(Path::new(""));
        let plots = plots.strip_prefix(folder).unwrap_or(plots);
        let pictures: Vec<String> = pictures.iter().map(|name| plots.join(name).display().to_string()).collect();
        write(page, "--page", page::page(&document, &bench.figures, &pictures))?;
    }
    Ok(())
}

async fn measure(bench: &mut Bench, curves: bool) {
    let went = guarded(local::measure(bench)).await;
    bench.note("one node", went);
    let went = guarded(million::measure(bench)).await;
    bench.note("a million", went);
    let went = guarded(three_nodes(bench)).await;
    bench.note("three nodes", went);
    let went = guarded(async {
        group::boot(bench).await;
        many::boot(bench).await;
    })
    .await;
    bench.note("boot", went);
    let went = guarded(modules::measure(bench)).await;
    bench.note("modules", went);
    let went = guarded(large::measure(bench)).await;
    bench.note("a gigabyte", went);
    let went = guarded(many::measure(bench)).await;
    bench.note("many groups", went);
    size(bench);
    if curves {
        let went = guarded(curves::measure(bench)).await;
        bench.note("curves", went);
    }
}

async fn three_nodes(bench: &mut Bench) {
    if bench.figures.wants(&["remote", "one-way", "pipelined", "group", "reads", "move", "catch-up", "failover"]) {
        let mut realm = Realm::start(3).await;
        remote::measure(bench, &realm).await;
        group::measure(bench, &mut realm).await;
    }
}

fn size(bench: &mut Bench) {
    if bench.figures.wants(&["size"]) {
        let size = std::fs::metadata(program::path()).map_or(0, |m| m.len());
        let mib = size as f64 / f64::from(1 << 20);
        let unit = ("MiB", Better::Less);
        bench
            .figures
            .alone("size", "the pando program, release", unit, Target::None, vec![mib])
            .note("with debug lines, not stripped; bundled programs inside");
    }
}

impl Bench {
    /// What could not be measured ends with the run, not the run with it.
    fn note(&mut self, what: &'static str, went: Option<()>) {
        if went.is_none() {
            eprintln!("error: {what}: a measurement failed; the others go on");
            self.failed.push(what);
        }
    }
}

/// Nothing if it panicked, which it has told by itself.
async fn guarded(work: impl Future<Output = ()>) -> Option<()> {
    let mut work = pin!(work);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    })
    .await
}
