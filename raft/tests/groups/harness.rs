//! Nodes in one process: real folders, a wire in memory that can be cut, and a machine that counts.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pando_raft::{Applied, Config, Entry, GroupId, Groups, Machine, Machines, NodeId, ProposeError, Wire};
use parking_lot::Mutex;

pub const LONG: Duration = Duration::from_secs(30);

pub fn group(n: u8) -> GroupId {
    pando_abi::ActorId([n; 16])
}

pub fn entry(seq: u64, payload: &[u8]) -> Entry {
    Entry { origin: [7; 16], incarnation: 1, seq, payload: payload.to_vec(), ..Entry::default() }
}

/// Remembers every payload in order, once per sequence key. Answers with how many there are.
#[derive(Default)]
pub struct Journal {
    pub lines: Vec<Vec<u8>>,
    pub seen: BTreeSet<(u64, u64)>,
    pub roles: Vec<(bool, u64)>,
    /// This node's copy goes wrong with every entry.
    pub sick: bool,
    pub panics_on: Option<Vec<u8>>,
    /// The payload that ends the process.
    pub dies_of: Option<Vec<u8>>,
    pub slow: Duration,
}

impl Journal {
    fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for line in &self.lines {
            hasher.update(&(line.len() as u64).to_le_bytes());
            hasher.update(line);
        }
        hasher.finalize().into()
    }
}

impl Machine for Journal {
    fn apply(&mut self, _index: u64, entry: &Entry) -> Applied {
        std::thread::sleep(self.slow);
        assert!(self.panics_on.as_ref() != Some(&entry.payload), "told to panic");
        if self.dies_of.as_ref() == Some(&entry.payload) && !self.seen.contains(&(entry.incarnation, entry.seq)) {
            std::process::abort();
        }
        if self.seen.insert((entry.incarnation, entry.seq)) {
            self.lines.push(entry.payload.clone());
            if self.sick {
                self.lines.push(b"a flipped bit".to_vec());
            }
        }
        Applied { outcome: (self.lines.len() as u64).to_le_bytes().to_vec(), effects_digest: [0; 32] }
    }
    fn skip(&mut self, _: u64, entry: &Entry) -> Applied {
        self.seen.insert((entry.incarnation, entry.seq));
        Applied { outcome: b"skipped".to_vec(), effects_digest: [0; 32] }
    }
    fn batch_end(&mut self) -> [u8; 32] {
        self.hash()
    }
    fn snapshot(&mut self) -> Vec<u8> {
        // What only grows comes first, so that what is cut from it stays as it was.
        let mut image = (self.lines.len() as u64).to_le_bytes().to_vec();
        for line in &self.lines {
            image.extend_from_slice(&(line.len() as u64).to_le_bytes());
            image.extend_from_slice(line);
        }
        for (a, b) in &self.seen {
            image.extend_from_slice(&a.to_le_bytes());
            image.extend_from_slice(&b.to_le_bytes());
        }
        image
    }
    fn restore(&mut self, image: &[u8]) -> Result<(), String> {
        let mut rest = image;
        let number = |rest: &mut &[u8]| -> Result<u64, String> {
            let (head, tail) = rest.split_first_chunk::<8>().ok_or("short")?;
            *rest = tail;
            Ok(u64::from_le_bytes(*head))
        };
        self.lines.clear();
        for _ in 0..number(&mut rest)? {
            let len = number(&mut rest)? as usize;
            let (line, tail) = rest.split_at_checked(len).ok_or("short")?;
            self.lines.push(line.to_vec());
            rest = tail;
        }
        self.seen.clear();
        while !rest.is_empty() {
            self.seen.insert((number(&mut rest)?, number(&mut rest)?));
        }
        Ok(())
    }
    fn role(&mut self, leading: bool, term: u64) {
        self.roles.push((leading, term));
    }
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// What machines of one node are made with.
#[derive(Clone, Default)]
pub struct Plan {
    pub sick: bool,
    pub panics_on: Option<Vec<u8>>,
    pub dies_of: Option<Vec<u8>>,
    /// It makes no replica because others ask it to.
    pub reserved: bool,
}

impl Machines for Plan {
    fn make(&self, _group: GroupId) -> Box<dyn Machine> {
        let plan = self.clone();
        Box::new(Journal { sick: plan.sick, panics_on: plan.panics_on, dies_of: plan.dies_of, ..Journal::default() })
    }
    fn may_join(&self, _: GroupId) -> Result<(), String> {
        if self.reserved { Err("it is not ready for it".into()) } else { Ok(()) }
    }
}

/// Whoever is attached can be reached, unless the pair is cut.
pub struct Net {
    nodes: Mutex<BTreeMap<NodeId, Groups>>,
    cut: Mutex<BTreeSet<(NodeId, NodeId)>>,
    pub frames: AtomicU64,
    pub bulk_bytes: AtomicU64,
    /// Snapshots' bytes beyond so many are swallowed.
    pub bulk_max: AtomicU64,
    pub frame_bytes_max: AtomicU64,
}

impl Default for Net {
    fn default() -> Net {
        Net {
            nodes: Mutex::default(),
            cut: Mutex::default(),
            frames: AtomicU64::new(0),
            bulk_bytes: AtomicU64::new(0),
            bulk_max: AtomicU64::new(u64::MAX),
            frame_bytes_max: AtomicU64::new(0),
        }
    }
}

impl Net {
    pub fn isolate(&self, node: NodeId, others: &[NodeId]) {
        let mut cut = self.cut.lock();
        for other in others.iter().filter(|o| **o != node) {
            cut.insert((node, *other));
            cut.insert((*other, node));
        }
    }
    /// Nothing gets from one to the other; the way back is open.
    pub fn deafen(&self, from: u32, to: u32) {
        self.cut.lock().insert((NodeId(from), NodeId(to)));
    }
    pub fn heal(&self) {
        self.cut.lock().clear();
    }
}

pub struct End {
    net: Arc<Net>,
    me: NodeId,
}

impl Wire for End {
    fn send(&self, to: NodeId, bytes: Vec<u8>, bulk: bool) -> bool {
        self.net.frames.fetch_add(1, Ordering::Relaxed);
        self.net.frame_bytes_max.fetch_max(bytes.len() as u64, Ordering::Relaxed);
        if bulk {
            let sent = self.net.bulk_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if sent > self.net.bulk_max.load(Ordering::Relaxed) {
                return true;
            }
        }
        // A cut wire swallows: the sender cannot tell.
        if self.net.cut.lock().contains(&(self.me, to)) {
            return true;
        }
        let Some(groups) = self.net.nodes.lock().get(&to).cloned() else { return false };
        groups.receive(self.me, &bytes);
        true
    }
}

pub struct Cluster {
    pub net: Arc<Net>,
    pub dir: tempfile::TempDir,
    /// A folder that outlives this process.
    pub home: Option<PathBuf>,
    pub nodes: BTreeMap<u32, Groups>,
    pub plans: BTreeMap<u32, Plan>,
    pub tune: fn(&mut Config),
}

impl Cluster {
    pub async fn start(nodes: std::ops::RangeInclusive<u32>, tune: fn(&mut Config)) -> Cluster {
        let mut cluster = Cluster {
            net: Arc::default(),
            dir: tempfile::tempdir().unwrap(),
            home: None,
            nodes: BTreeMap::new(),
            plans: BTreeMap::new(),
            tune,
        };
        for node in nodes {
            cluster.open(node).await;
        }
        cluster
    }

    /// Nodes with one group on the first three of them, and a line in it.
    pub async fn with_a_group(nodes: std::ops::RangeInclusive<u32>, tune: fn(&mut Config)) -> (Cluster, GroupId) {
        let (cluster, g) = (Cluster::start(nodes, tune).await, group(1));
        cluster.create(g, &[1, 2, 3]).await;
        put(&cluster.nodes[&1], g, 0).await;
        (cluster, g)
    }

    pub fn folder(&self, node: u32) -> PathBuf {
        self.home.as_deref().unwrap_or(self.dir.path()).join(format!("n{node}"))
    }

    pub fn config(&self, node: u32) -> Config {
        let mut config = Config::new(self.folder(node), NodeId(node));
        // Patient, because tests share a small machine.
        config.heartbeat = Duration::from_millis(150);
        config.election_min = Duration::from_millis(700);
        config.election_max = Duration::from_millis(1400);
        config.log_file_bytes = 4 << 20;
        config.log_bytes = 16 << 20;
        config.fatal = Arc::new(|why| panic!("the disk failed: {why}"));
        (self.tune)(&mut config);
        config
    }

    pub async fn open(&mut self, node: u32) {
        let plan = self.plans.get(&node).cloned().unwrap_or_default();
        let end = End { net: self.net.clone(), me: NodeId(node) };
        let groups = Groups::open(self.config(node), Arc::new(end), Arc::new(plan)).await.unwrap();
        self.net.nodes.lock().insert(NodeId(node), groups.clone());
        self.nodes.insert(node, groups);
    }

    pub fn end(&self, node: u32) -> Arc<End> {
        Arc::new(End { net: self.net.clone(), me: NodeId(node) })
    }

    pub async fn close(&mut self, node: u32) {
        self.net.nodes.lock().remove(&NodeId(node));
        if let Some(groups) = self.nodes.remove(&node) {
            groups.shutdown().await;
        }
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().map(|n| NodeId(*n)).collect()
    }

    pub async fn create(&self, group: GroupId, voters: &[u32]) {
        let ids: Vec<NodeId> = voters.iter().map(|n| NodeId(*n)).collect();
        for node in voters {
            self.nodes[node].create(group, &ids).await.unwrap();
        }
    }

    /// The leader that a majority of those who answer `among` sees, once there is one.
    pub async fn leader(&self, group: GroupId, among: &[u32]) -> u32 {
        eventually("a leader", || {
            let seen: Vec<_> = among.iter().filter_map(|n| self.nodes[n].status(group)?.leader).collect();
            let first = *seen.first()?;
            let same = seen.iter().filter(|l| **l == first).count();
            (same > among.len() / 2 && among.contains(&first.0)).then_some(first.0)
        })
        .await
    }

    pub fn lines(&self, node: u32, group: GroupId) -> Vec<Vec<u8>> {
        self.nodes[&node].with_machine(group, |m| journal(m).lines.clone()).unwrap_or_default()
    }

    /// Waits until the nodes have the same lines, `count` of them. Who sleeps is woken, to be looked at.
    pub async fn agree(&self, group: GroupId, nodes: &[u32], count: usize) -> Vec<Vec<u8>> {
        for node in nodes {
            self.nodes[node].rouse(group).await;
        }
        eventually("the same lines everywhere", || {
            let all: Vec<_> = nodes.iter().map(|n| self.lines(*n, group)).collect();
            let first = all.first()?.clone();
            (first.len() == count && all.iter().all(|l| *l == first)).then_some(first)
        })
        .await
    }
}

pub fn journal(machine: &mut dyn Machine) -> &mut Journal {
    machine.as_any().downcast_mut().unwrap()
}

/// Proposes until it is answered.
pub async fn put(groups: &Groups, group: GroupId, seq: u64) -> u64 {
    let line = format!("line {seq}");
    groups.propose(group, entry(seq, line.as_bytes()), LONG).await.unwrap().index
}

/// Looks again and again, for a minute at most.
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test);
    runtime.shutdown_timeout(Duration::from_secs(5));
}

/// What a proposal came to: known to be in, or not known.
pub fn acknowledged(result: &Result<pando_raft::Committed, ProposeError>) -> bool {
    result.is_ok()
}

/// A node ends, and the others are told so.
pub async fn ends(cluster: &mut Cluster, node: u32) {
    cluster.close(node).await;
    cluster.nodes.values().for_each(|groups| groups.peer_down(NodeId(node)));
}

/// A node is there again, and there are sessions.
pub async fn comes_back(cluster: &mut Cluster, node: u32) {
    cluster.open(node).await;
    for other in cluster.ids().into_iter().filter(|other| other.0 != node) {
        // A node hears of a session before it hears anything in it.
        cluster.nodes[&node].peer_up(other);
        cluster.nodes[&other.0].peer_up(NodeId(node));
    }
}
