//! A group of one with a gigabyte: its snapshot, what that holds up, and its return from the disk.
//!
//! 1. The peer is a copy of as many bytes, to a file that is flushed and back from it, in the same folder and in turn.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use pando_raft::Config;
use pando_tests::large::{GROUP, Single};

use crate::{
    Bench,
    duel::Duel,
    figures::{Better, Target},
};

/// Entries between two snapshots: more than it takes to fill the memory.
const EVERY: u64 = 500;

fn tune(config: &mut Config) {
    (config.snapshot_every, config.log_keep) = (EVERY, 50);
}

/// What one run gave, in seconds.
struct Run {
    snapshot: f64,
    stall: f64,
    slowest: f64,
    restore: f64,
    copy: f64,
    copy_back: f64,
}

pub async fn measure(bench: &mut Bench) {
    if !bench.figures.wants(&["snapshot"]) {
        return;
    }
    let bytes: u32 = if bench.effort.quick { 64 << 20 } else { (1 << 30) - (1 << 20) };
    let mut runs = Vec::new();
    for _ in 0..bench.effort.runs {
        runs.push(run(bytes).await);
    }
    let of = |part: fn(&Run) -> f64| runs.iter().map(part).collect::<Vec<_>>();
    let duel = |ours, theirs| Duel { ours, theirs: Ok(theirs) };
    let mib = bytes >> 20;
    let seconds = ("s", Better::Less);
    let slowest = runs.iter().map(|run| run.slowest * 1e3).fold(0.0, f64::max);
    let (figures, target) = (&mut bench.figures, Target::Times(0.5));
    let what = format!("snapshot of an actor of {mib} MiB, until it is on the disk");
    figures.versus("snapshot", &what, seconds, ("copy to a file", target), duel(of(|r| r.snapshot), of(|r| r.copy)));
    let stalls = runs.iter().map(|run| run.stall * 1e3).collect();
    figures
        .alone("snapshot", "the same, the writer's stall", ("ms", Better::Less), Target::Figure(5.0), stalls)
        .note(format!("slowest answer to events beside a snapshot, one at a time, each flushed: {slowest:.1} ms"));
    let what = format!("restore of an actor of {mib} MiB, checked and hashed");
    figures.versus("snapshot", &what, seconds, ("copy from it", target), duel(of(|r| r.restore), of(|r| r.copy_back)));
}

async fn run(bytes: u32) -> Run {
    let folder = tempfile::tempdir().expect("a folder");
    let single = Single::open(folder.path(), tune).await;
    single.birth().await;
    single.fill(bytes).await;
    single.root();
    let mut events = 0..;
    let mut write = async || single.scatter(bytes, events.next().unwrap_or_default()).await;
    let longest = &single.longest;
    let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
    while read(&longest.cuts) == 0 {
        write().await;
    }
    while read(&longest.kept) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let snapshot = longest.snapshot.swap(0, Ordering::Relaxed) as f64 / 1e6;
    // And one while events go on.
    let mut slowest = 0.0f64;
    while read(&longest.kept) == 1 {
        let began = Instant::now();
        write().await;
        slowest = slowest.max(began.elapsed().as_secs_f64());
    }
    let stall = read(&longest.cut) as f64 / 1e6;
    let (index, root) = (single.groups.applied(GROUP), single.root());
    single.groups.shutdown().await;
    drop(single);
    let began = Instant::now();
    let again = Single::open(folder.path(), tune).await;
    again.reach(index).await;
    let restore = began.elapsed().as_secs_f64();
    assert!(again.root() == root, "what came back is another state");
    again.groups.shutdown().await;
    let (copy, copy_back) = copies(folder.path(), bytes as usize).expect("a copy");
    Run { snapshot, stall, slowest, restore, copy, copy_back }
}

/// Seconds that it takes to copy so many bytes to a file, flushed, and back.
fn copies(folder: &Path, bytes: usize) -> io::Result<(f64, f64)> {
    let (path, source) = (folder.join("copy"), vec![7u8; bytes]);
    let began = Instant::now();
    let mut file = File::create(&path)?;
    for piece in source.chunks(1 << 20) {
        file.write_all(piece)?;
    }
    file.sync_all()?;
    let there = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let back = fs::read(&path)?;
    let took = began.elapsed().as_secs_f64();
    assert!(back == source, "a copy is another one");
    Ok((there, took))
}
