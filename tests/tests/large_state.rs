//! Groups with much memory: what a snapshot holds up, what it writes, what roots cost.
//!
//! One node of real parts ([`pando_tests::large`]). Times are printed, not judged: whoever
//! runs the ignored ones looks at them.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pando_kernel::replica::Replica;
use pando_raft::{Config, Machine};
use pando_tests::large::{EVENT, GROUP, LONG, Single};

fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
    runtime.shutdown_timeout(Duration::from_secs(5));
}

fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|e| if e.path().is_dir() { disk_bytes(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) })
        .sum()
}

/// Fills a guest's memory, then has it snapshotted again and again while events go on.
async fn snapshots_while_events_go_on(bytes: u32, events: u32) {
    let dir = tempfile::tempdir().unwrap();
    let tune = |config: &mut Config| (config.snapshot_every, config.log_keep) = (500, 50);
    let single = Single::open(dir.path(), tune).await;
    single.birth().await;
    single.fill(bytes).await;
    println!("{} MiB, filled: longest {}", bytes >> 20, single.longest.take());
    let (mut slowest, start) = (Duration::ZERO, Instant::now());
    let mut written = 0;
    for n in 0..events {
        let asked = Instant::now();
        single.scatter(bytes, n).await;
        slowest = slowest.max(asked.elapsed());
        if n % 500 == 499 {
            let now = single.longest.written.load(Ordering::Relaxed);
            println!(
                "  {:>6} events: longest {}; {} MiB made for snapshots",
                n + 1,
                single.longest.take(),
                (now - written) >> 20
            );
            written = now;
        }
    }
    let rate = f64::from(events) / start.elapsed().as_secs_f64();
    println!(
        "  {rate:.0} events/s one after another, slowest answer {slowest:?}; {} MiB on the disk",
        disk_bytes(dir.path()) >> 20
    );
    let (root, index) = (single.root(), single.groups.applied(GROUP));
    assert!(written > u64::from(bytes), "no snapshot was written");
    single.groups.shutdown().await;
    // And what was written is the state.
    let again = Single::open(dir.path(), tune).await;
    again.reach(index).await;
    assert_eq!(again.root(), root);
    again.groups.shutdown().await;
}

#[test]
fn a_large_group_is_snapshotted_while_events_go_on() {
    run(snapshots_while_events_go_on(48 << 20, 1_500));
}

#[test]
#[ignore = "takes 4 GiB of memory and some minutes; prints the longest stalls"]
fn the_largest_group_is_snapshotted_while_events_go_on() {
    for bytes in [64 << 20, 256 << 20, (1 << 30) - (1 << 20)] {
        run(snapshots_while_events_go_on(bytes, 5_000));
    }
}

#[test]
fn the_disk_stays_bounded_however_long_a_group_is_loaded() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let tune = |config: &mut Config| {
            (config.snapshot_every, config.log_keep) = (200, 20);
            (config.log_file_bytes, config.log_bytes) = (1 << 20, 4 << 20);
        };
        let single = Single::open(dir.path(), tune).await;
        single.birth().await;
        single.fill(6 << 20).await;
        // Twice the memory for a snapshot, once more while the next is written; the log's own bound, and what is in use of it.
        let bound = (3 * 6 + 4 + 4) << 20;
        let (mut most, mut entries) = (0, 0);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(15) || entries * EVENT < 2 * bound {
            // Sixteen at once, each dirtying 1 KiB.
            let first = |k: usize| (40 + (entries + k) as u32 * 7 % 1400) * 4096;
            entries += all(&(0..16).map(first).collect::<Vec<_>>(), &single).await;
            most = most.max(disk_bytes(dir.path()));
        }
        let (logged, took) = ((entries * EVENT) >> 20, start.elapsed());
        println!("{entries} entries, {logged} MiB, in {took:?}: at most {} MiB on the disk", most >> 20);
        let status = single.groups.status(GROUP).unwrap();
        assert!(status.last_index - status.first_index < 1_000, "{} to {}", status.first_index, status.last_index);
        // Old log files are looked for every few seconds.
        let start = Instant::now();
        while disk_bytes(dir.path()) > bound as u64 {
            assert!(start.elapsed() < Duration::from_secs(60), "{} bytes", disk_bytes(dir.path()));
            single.write(1, 8, 40 * 4096, 4096).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        single.groups.shutdown().await;
    });
}

const CHILD: &str = "PANDO_TEST_LARGE_STATE";

/// What the `n`th event of a life that is cut short again and again does: 64 pages somewhere.
async fn one_of_many(single: &Single, n: u64) {
    single.write(64, 8, (40 + n as u32 * 101 % 500) * 4096, 10 * 4096).await;
}

fn often(config: &mut Config) {
    (config.snapshot_every, config.log_keep) = (25, 5);
}

fn events(single: &Single) -> u64 {
    let figures = |machine: &mut dyn Machine| machine.as_any().downcast_mut::<Replica>().unwrap().figures().0;
    single.groups.with_machine(GROUP, figures).unwrap()
}

#[test]
#[ignore = "the process that `kill_in_the_middle_of_snapshots` kills"]
fn lives_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    run(async {
        let single = Single::open(Path::new(&dir), often).await;
        // Sequence keys of one life are not those of another.
        single.seq.store(u64::from(std::process::id()) << 32, Ordering::Relaxed);
        single.groups.linear(GROUP, LONG).await.unwrap();
        if events(&single) == 0 {
            single.birth().await;
        }
        loop {
            let n = events(&single) - 1;
            one_of_many(&single, n).await;
            println!("acknowledged {n}");
        }
    });
}

#[test]
fn kill_in_the_middle_of_snapshots() {
    use std::io::BufRead;
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for life in 0..6u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lives_until_it_is_killed", "--ignored", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let mut numbers =
            lines.map_while(Result::ok).filter_map(|line| line.rsplit_once("acknowledged ")?.1.parse::<u64>().ok());
        let until = acknowledged + 60 + life * 7;
        for n in numbers.by_ref() {
            acknowledged = n;
            if n >= until {
                break;
            }
        }
        // A snapshot is written for some time after each twenty-fifth event; when exactly it ends differs from life to life.
        std::thread::sleep(Duration::from_millis(life * 5));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run(async {
        let single = Single::open(dir.path(), often).await;
        single.groups.linear(GROUP, LONG).await.unwrap();
        let handled = events(&single);
        assert!(handled > acknowledged, "{handled} of {acknowledged}");
        // The same events in one life.
        let whole = tempfile::tempdir().unwrap();
        let other = Single::open(whole.path(), |_| {}).await;
        other.birth().await;
        for n in 0..handled - 1 {
            one_of_many(&other, n).await;
        }
        assert_eq!(single.root(), other.root(), "after {handled} events");
        single.groups.shutdown().await;
        other.groups.shutdown().await;
    });
}

/// An event for each place, all at once, 1 KiB each. Gives how many.
async fn all(places: &[u32], single: &Single) -> usize {
    let mut waiting: Vec<_> = places.iter().map(|at| Box::pin(single.write(1, 1024, *at, 4096))).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    places.len()
}

/// What this process has had of processors, to a hundredth of a second.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The middle one.
fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[test]
#[ignore = "a measurement: what roots cost at 1 KiB dirtied by each event"]
fn what_roots_cost() {
    // With and without in turn, a moment each in the same process: a machine's pace changes more from second to second than by this.
    const ROUNDS: usize = 60;
    const SLICE: Duration = Duration::from_millis(250);
    for bytes in [2 << 20, 64 << 20] {
        run(async {
            let dir = tempfile::tempdir().unwrap();
            let single = Single::open(dir.path(), |_| {}).await;
            single.birth().await;
            single.fill(bytes).await;
            let (mut done, mut rates, mut spent) = (0, [const { Vec::new() }; 2], [0.0; 2]);
            for round in 0..2 * ROUNDS {
                let with = round % 2;
                // What the round before left unhashed is not part of what an event costs.
                single.root();
                single.longest.no_roots.store(with == 0, Ordering::Relaxed);
                let (start, cpu, before) = (Instant::now(), processor_time(), done);
                while start.elapsed() < SLICE {
                    let first = |k: usize| (40 + (done + k) as u32 * 7 % 400) * 4096;
                    done += all(&(0..64).map(first).collect::<Vec<_>>(), &single).await;
                }
                let events = (done - before) as f64;
                rates[with].push(events / start.elapsed().as_secs_f64());
                spent[with] += (processor_time() - cpu).as_secs_f64() * 1e6 / events / ROUNDS as f64;
            }
            let left = rates[1].iter().zip(&rates[0]).map(|(with, without)| with / without).collect();
            let [without, with] = rates.map(median);
            println!(
                "{} MiB: {without:.0} events/s without roots, {with:.0} with: {:.1} % of pairs' median; {:.2} and {:.2} us of processor an event, {:.1} %",
                bytes >> 20,
                median(left) * 100.0,
                spent[0],
                spent[1],
                spent[0] / spent[1] * 100.0,
            );
            let (roots, took) = (&single.longest.roots, &single.longest.root_ns);
            println!(
                "  {:.0} us a root",
                took.load(Ordering::Relaxed) as f64 / 1e3 / roots.load(Ordering::Relaxed) as f64
            );
            single.groups.shutdown().await;
        });
    }
}
