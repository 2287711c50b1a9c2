//! Commits per second of one group on three nodes in this process, on real disks.
//!
//! `cargo run --release -p pando-raft --example throughput [folder]`: put the folder on the disk that is
//! meant, for a temporary one may lie in memory.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pando_raft::{Applied, Config, Entry, GroupId, Groups, Machine, Machines, NodeId, Wire};
use parking_lot::Mutex;

/// The bytes of an event and its bookkeeping, about.
const PAYLOAD: usize = 256;
const MEASURE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Counter(u64);

impl Machine for Counter {
    fn apply(&mut self, _: u64, _: &Entry) -> Applied {
        self.0 += 1;
        Applied { outcome: self.0.to_le_bytes().to_vec(), effects_digest: [0; 32] }
    }
    fn batch_end(&mut self) -> [u8; 32] {
        let mut root = [0; 32];
        root[..8].copy_from_slice(&self.0.to_le_bytes());
        root
    }
    fn snapshot(&mut self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }
    fn restore(&mut self, image: &[u8]) -> Result<(), String> {
        self.0 = u64::from_le_bytes(image.try_into().map_err(|_| "not eight bytes")?);
        Ok(())
    }
    fn role(&mut self, _: bool, _: u64) {}
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

struct Counters;

impl Machines for Counters {
    fn make(&self, _: GroupId) -> Box<dyn Machine> {
        Box::new(Counter::default())
    }
}

#[derive(Clone)]
struct End {
    me: NodeId,
    nodes: Arc<Mutex<BTreeMap<NodeId, Groups>>>,
}

impl Wire for End {
    fn send(&self, to: NodeId, bytes: Vec<u8>, _: bool) -> bool {
        let peer = self.nodes.lock().get(&to).cloned();
        peer.is_some_and(|peer| {
            peer.receive(self.me, &bytes);
            true
        })
    }
}

async fn measure(groups: &Groups, group: GroupId, proposers: u64) {
    let (seq, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (start, flushes) = (Instant::now(), groups.flushes());
    let mut tasks = Vec::new();
    for proposer in 0..proposers {
        let (groups, seq, done) = (groups.clone(), seq.clone(), done.clone());
        tasks.push(tokio::spawn(async move {
            let mut slowest = Duration::ZERO;
            let mut times = Vec::new();
            while start.elapsed() < MEASURE {
                let entry = Entry {
                    origin: [proposer as u8; 16],
                    incarnation: proposers,
                    seq: seq.fetch_add(1, Ordering::Relaxed),
                    payload: vec![0; PAYLOAD],
                    ..Entry::default()
                };
                let asked = Instant::now();
                if let Err(e) = groups.propose(group, entry, Duration::from_secs(10)).await {
                    eprintln!("{e}");
                    continue;
                }
                slowest = slowest.max(asked.elapsed());
                times.push(asked.elapsed());
                done.fetch_add(1, Ordering::Relaxed);
            }
            (times, slowest)
        }));
    }
    let mut times = Vec::new();
    let mut slowest = Duration::ZERO;
    for task in tasks {
        if let Ok((some, slow)) = task.await {
            times.extend(some);
            slowest = slowest.max(slow);
        }
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let rate = done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
    let flushes = groups.flushes() - flushes;
    println!(
        "{proposers:>3} proposers: {rate:>8.0} commits/s, median {median:?}, slowest {slowest:?}, {flushes} flushes"
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("pando-throughput-{}", std::process::id()));
    let group = pando_abi::ActorId([1; 16]);
    let voters = [NodeId(1), NodeId(2), NodeId(3)];
    let nodes = Arc::new(Mutex::new(BTreeMap::new()));
    for me in voters {
        let end = End { me, nodes: nodes.clone() };
        let config = Config::new(folder.join(me.to_string()), me);
        let groups = Groups::open(config, Arc::new(end), Arc::new(Counters)).await?;
        nodes.lock().insert(me, groups);
    }
    let all: Vec<Groups> = nodes.lock().values().cloned().collect();
    for groups in &all {
        groups.create(group, &voters).await?;
    }
    let first = all[0].propose(group, Entry::default(), Duration::from_secs(10)).await?;
    let leader = all[first.leader.0 as usize - 1].clone();
    for proposers in [1, 64] {
        measure(&leader, group, proposers).await;
    }
    nodes.lock().clear();
    for groups in all {
        groups.shutdown().await;
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
