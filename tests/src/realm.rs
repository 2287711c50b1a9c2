//! A realm of real processes on loopback, with real disks, and what happens to machines.
//!
//! Owns: the folder and the processes. Does not know: what is asked of them.
//!
//! 1. A node ends with this process, however this process ends: its standard input is a pipe from here.
//! 2. When a test fails, the end of every node's log is printed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use pando_abi::NodeId;
use pando_admin::{
    Client, Patience, Reply, Request,
    client::{QuicDial, origin},
};
use pando_kernel::Genesis;
use pando_transport::Identity;
use tempfile::TempDir;

use crate::{Asker, Turn, program, shell, until};

/// Until a realm answers, with every core busy elsewhere.
pub const READY: Duration = Duration::from_secs(60);
const STOPPED: Duration = Duration::from_secs(30);
const LOG_TAIL_BYTES: u64 = 6_000;

/// What the disk of a node held at some time.
pub struct Kept(TempDir);

/// A realm of processes.
pub struct Realm {
    genesis: Genesis,
    nodes: BTreeMap<u32, Child>,
    /// What a node finds in its environment.
    environment: BTreeMap<u32, Vec<(String, String)>>,
    // Goes after the processes that write there.
    folder: TempDir,
    _turn: Turn,
}

impl Realm {
    /// Founds a realm of `count` nodes, starts them all and waits until they answer.
    pub async fn start(count: u32) -> Realm {
        let mut realm = Realm::found(count);
        let all: Vec<u32> = (1..=count).collect();
        realm.boot(&all).await;
        realm
    }

    /// Founds a realm of `count` nodes. Nothing runs yet.
    pub fn found(count: u32) -> Realm {
        let turn = Turn::take();
        let folder = tempfile::Builder::new().prefix("pando-test-").tempdir().expect("a temporary folder");
        let genesis = Genesis::found(folder.path(), count).expect("a realm is founded");
        Realm { genesis, nodes: BTreeMap::new(), environment: BTreeMap::new(), folder, _turn: turn }
    }

    /// A realm that is in a folder already. Nothing runs yet.
    pub fn of(folder: TempDir) -> Realm {
        let turn = Turn::take();
        let genesis = Genesis::load(folder.path()).expect("a realm's folder");
        Realm { genesis, nodes: BTreeMap::new(), environment: BTreeMap::new(), folder, _turn: turn }
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// The founding record.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Numbers of the nodes whose processes run.
    pub fn running(&self) -> Vec<u32> {
        self.nodes.keys().copied().collect()
    }

    /// Process ids of the nodes that run.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.values().map(Child::id).collect()
    }

    /// Starts processes and waits until each answers for the realm.
    pub async fn boot(&mut self, nodes: &[u32]) {
        for node in nodes {
            self.launch(*node);
        }
        self.ready(nodes).await;
    }

    /// From its next start on a node finds this in its environment, and nothing of what was said before.
    pub fn environment(&mut self, node: u32, variables: &[(&str, &str)]) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.environment.insert(node, variables.iter().map(own).collect());
    }

    /// Waits until a process that may end by itself has ended, and forgets it. `false`: it has not, in this time.
    pub async fn buried(&mut self, node: u32, patience: Duration) -> bool {
        let until = tokio::time::Instant::now() + patience;
        while !self.has_ended(node) {
            if tokio::time::Instant::now() > until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.nodes.remove(&node);
        true
    }

    /// Starts one process.
    pub fn launch(&mut self, node: u32) {
        self.launch_with(node, &[]);
    }

    /// A new machine joins with a ticket, and is waited for. `node`: the number that it must get.
    pub async fn admit(&mut self, node: u32) {
        let ticket = self.ticket();
        std::fs::create_dir(self.dir(node)).expect("a folder for the newcomer");
        self.launch_with(node, &["--join", &ticket]);
        self.ready(&[node]).await;
    }

    /// A ticket, as a person gets it.
    pub fn ticket(&self) -> String {
        let said = shell::pando(self.data(), &["ticket", "--json"]);
        assert_eq!(said.code, 0, "{said:?}");
        let json: serde_json::Value = serde_json::from_str(&said.out).expect("a document");
        json["ticket"].as_str().expect("a ticket").to_owned()
    }

    /// A node's process has ended: what is left of its disk is its key and its record.
    pub fn wipe(&mut self, node: u32) {
        assert!(!self.nodes.contains_key(&node), "n{node} runs");
        for part in ["raft", "store", "cache"] {
            std::fs::remove_dir_all(self.dir(node).join(part)).expect("a folder that can be removed");
        }
    }

    /// The disk of a node whose process has ended, as it is.
    pub fn keep(&self, node: u32) -> Kept {
        assert!(!self.nodes.contains_key(&node), "n{node} runs");
        let kept = tempfile::tempdir().expect("a temporary folder");
        copy(&self.dir(node), kept.path());
        Kept(kept)
    }

    /// A node's process has ended: its disk becomes what it was, but for what its log book says.
    pub fn put_back(&self, node: u32, kept: &Kept) {
        assert!(!self.nodes.contains_key(&node), "n{node} runs");
        let (dir, log) = (self.dir(node), "node.log");
        let said = std::fs::read(dir.join(log)).expect("a log file");
        std::fs::remove_dir_all(&dir).expect("a folder that can be removed");
        copy(kept.0.path(), &dir);
        std::fs::write(dir.join(log), said).expect("a log file");
    }

    /// What a node has said so far.
    pub fn said(&self, node: u32) -> String {
        std::fs::read_to_string(self.dir(node).join("node.log")).expect("a log file")
    }

    /// Waits until a process has ended by itself; what it said last.
    pub async fn ended(&mut self, node: u32) -> String {
        let mut child = self.nodes.remove(&node).unwrap_or_else(|| panic!("n{node} does not run"));
        let status = until(&format!("n{node} ends by itself"), READY, async || child.try_wait().ok().flatten()).await;
        assert!(!status.success(), "n{node} ended as if all were well");
        tail(&self.dir(node).join("node.log"))
    }

    fn launch_with(&mut self, node: u32, words: &[&str]) {
        assert!(!self.nodes.contains_key(&node), "n{node} runs already");
        let dir = self.dir(node);
        let log = File::options().create(true).append(true).open(dir.join("node.log")).expect("a log file");
        let child = Command::new(program::path())
            .arg("node")
            .arg("--dir")
            .arg(&dir)
            .args(words)
            .arg("--with-parent")
            .env_remove("PANDO_DATA")
            .envs(self.environment.get(&node).into_iter().flatten().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a second handle to the log"))
            .stderr(log)
            .spawn()
            .expect("the pando program starts");
        self.nodes.insert(node, child);
    }

    /// Waits until these nodes answer for the realm.
    pub async fn ready(&mut self, nodes: &[u32]) {
        let probe = self.probe();
        for node in nodes {
            let what = format!("n{node} answers for the realm");
            let id = NodeId(*node);
            let child = self.nodes.get_mut(node).expect("it was started");
            until(&what, READY, async || {
                if let Ok(Some(status)) = child.try_wait() {
                    panic!("n{node} ended while it started: {status}");
                }
                let hello = probe.ask_node(id, Request::Hello, Duration::from_millis(500)).await;
                matches!(hello, Ok(Reply::Hello { ready: true, .. })).then_some(())
            })
            .await;
        }
    }

    /// Ends a process at once, as a power cut would.
    pub fn kill(&mut self, node: u32) {
        let mut child = self.nodes.remove(&node).unwrap_or_else(|| panic!("n{node} does not run"));
        child.kill().expect("own children can be killed");
        child.wait().expect("a killed child ends");
    }

    /// Stops a process from running, without ending it.
    pub fn freeze(&self, node: u32) {
        self.signal(node, "STOP");
    }

    /// Lets a frozen process run on, as if nothing had been.
    pub fn thaw(&self, node: u32) {
        self.signal(node, "CONT");
    }

    fn signal(&self, node: u32, signal: &str) {
        let pid = self.nodes[&node].id();
        let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().expect("kill(1) runs");
        assert!(status.success(), "n{node} could not be sent {signal}");
    }

    /// Stops nodes in good order and waits until their processes have ended.
    pub async fn stop(&mut self, nodes: &[u32]) {
        let client = self.client();
        for node in nodes {
            // The last ones may go before their answer arrives.
            let _ = client.ask_node(NodeId(*node), Request::Stop, Duration::from_secs(10)).await;
        }
        for node in nodes {
            let mut child = self.nodes.remove(node).unwrap_or_else(|| panic!("n{node} does not run"));
            let status = until(&format!("n{node} stops"), STOPPED, async || child.try_wait().ok().flatten()).await;
            assert!(status.success(), "n{node} was told to stop and ended with {status}");
        }
    }

    /// Has this process ended by itself?
    pub fn has_ended(&mut self, node: u32) -> bool {
        self.nodes.get_mut(&node).is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// A client of its own, that proves itself as the founder.
    pub fn client(&self) -> Client {
        Client::new(self.identity(), self.genesis.realm, self.genesis.nodes.clone())
    }

    /// Asks in the founder's name.
    pub fn asker(&self) -> Asker {
        Asker::new(self.client())
    }

    /// A client that asks `node` first, as long as it answers.
    pub async fn asker_at(&self, node: u32) -> Asker {
        let client = self.client();
        client.prefer(NodeId(node)).await;
        Asker::new(client)
    }

    /// One that gives up quickly: a first packet to a port that is not open yet is lost, and sent anew only after a
    /// second.
    fn probe(&self) -> Client {
        let identity = self.identity();
        let origin = origin(&identity.public());
        let patience = Patience { dial_max: Duration::from_millis(300), grace: Duration::ZERO, ..Patience::default() };
        Client::with(QuicDial::new(identity, self.genesis.realm), origin, self.genesis.nodes.clone(), patience)
    }

    fn identity(&self) -> Identity {
        Identity::load(&Genesis::user_key_path(self.data())).expect("the founder has a key")
    }

    fn dir(&self, node: u32) -> PathBuf {
        Genesis::node_dir(self.data(), NodeId(node))
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        for child in self.nodes.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let founders = self.genesis.nodes.iter().map(|member| member.node.0);
            let all: std::collections::BTreeSet<u32> = founders.chain(self.nodes.keys().copied()).collect();
            for node in all {
                let log = self.dir(node).join("node.log");
                eprintln!("---- n{node}: the end of its log\n{}", tail(&log));
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder that can be read") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        match from.is_dir() {
            true => copy(&from, &to),
            false => _ = std::fs::copy(from, to).expect("a file that can be copied"),
        }
    }
}

fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|e| format!("(no log: {e})"))
}
