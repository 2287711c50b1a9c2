//! The processes of a realm's nodes on this machine.
//!
//! Owns: starting, finding and killing them by the data folder's `node.pid` files. Does not know: what nodes say.
//!
//! 1. A process is only ever signalled after it was seen to be a node of this data folder; a number that the system has
//!    given to somebody else is not ours.
//! 2. Nodes are in process groups of their own: the terminal's Ctrl-C is the shell's, not theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use pando_abi::NodeId;
use pando_kernel::Genesis;
use pando_transport::Member;

use super::process;
use crate::failure::{Failure, io};

/// How much of the end of a log is shown when a node does not start.
const LOG_TAIL_BYTES: u64 = 2_048;

/// The processes of a realm's nodes on this machine.
pub struct Fleet {
    data: PathBuf,
    nodes: Vec<NodeId>,
    /// Those that this process started.
    children: BTreeMap<NodeId, Child>,
    /// They end with this process.
    ephemeral: bool,
}

/// Nodes that joined the realm and have their folder beside the founders': `DATA/n4`.
fn joined(data: &Path, genesis: &Genesis) -> Vec<(NodeId, Genesis)> {
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| {
        let node = entry.file_name().to_str()?.strip_prefix('n')?.parse().ok().filter(|n| *n > 0).map(NodeId)?;
        // A founder's record tells nothing new, and one that cannot be read is told of by whoever starts that node.
        let record = Genesis::load(&entry.path()).ok()?;
        (record.joined && record.realm == genesis.realm).then_some((node, record))
    });
    let mut all: Vec<(NodeId, Genesis)> = numbered.collect();
    all.sort_by_key(|(node, _)| *node);
    all
}

/// Where it is noted that a node was removed from the realm.
fn removed_path(node_dir: &Path) -> PathBuf {
    node_dir.join("node.removed")
}

impl Fleet {
    /// The founders' nodes, and those that joined since with a folder beside theirs; without those that were removed.
    pub fn new(data: &Path, genesis: Option<&Genesis>, ephemeral: bool) -> Fleet {
        let mut nodes: BTreeSet<NodeId> = genesis.map(|g| g.nodes.iter().map(|m| m.node).collect()).unwrap_or_default();
        for (node, _) in genesis.iter().flat_map(|genesis| joined(data, genesis)) {
            nodes.insert(node);
        }
        let removed = |node: &NodeId| removed_path(&Genesis::node_dir(data, *node)).exists();
        let nodes = nodes.into_iter().filter(|node| !removed(node)).collect();
        Fleet { data: data.to_owned(), nodes, children: BTreeMap::new(), ephemeral }
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Whom to ask: the founders, and whoever is named in the records of the nodes that joined here.
    pub fn contacts(&self, genesis: &Genesis) -> Vec<Member> {
        let mut all: BTreeMap<NodeId, Member> = genesis.nodes.iter().map(|m| (m.node, *m)).collect();
        for (_, record) in joined(&self.data, genesis) {
            all.extend(record.nodes.iter().map(|m| (m.node, *m)));
        }
        all.into_values().collect()
    }

    /// A node was removed from the realm: its folder, if it is here, is started no more.
    pub fn removed(&mut self, node: NodeId) {
        self.nodes.retain(|known| *known != node);
        let dir = Genesis::node_dir(&self.data, node);
        if dir.is_dir()
            && let Err(e) = std::fs::write(removed_path(&dir), "This node was removed from its realm.\n")
        {
            tracing::warn!("cannot write into {}: {e}", dir.display());
        }
    }

    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// Those that run.
    pub fn alive(&mut self) -> Vec<NodeId> {
        let nodes = self.nodes.clone();
        nodes.into_iter().filter(|node| self.running(*node).is_ok_and(|pid| pid.is_some())).collect()
    }

    /// Those that this process started and that still run.
    pub fn own(&mut self) -> Vec<NodeId> {
        let own: Vec<NodeId> = self.children.keys().copied().collect();
        own.into_iter().filter(|node| self.running(*node).is_ok_and(|pid| pid.is_some())).collect()
    }

    /// The process of `node`, if it runs.
    pub fn running(&mut self, node: NodeId) -> Result<Option<u32>, Failure> {
        let dir = self.dir(node)?;
        if let Some(child) = self.children.get_mut(&node) {
            // Takes the dead child off the system's list.
            return match child.try_wait() {
                Ok(None) => Ok(Some(child.id())),
                _ => {
                    self.children.remove(&node);
                    self.running(node)
                }
            };
        }
        let pid = std::fs::read_to_string(Genesis::pid_path(&dir)).ok().and_then(|text| text.trim().parse().ok());
        Ok(pid.filter(|pid| process::is_node(*pid, &dir)))
    }

    /// Starts `node`; its output goes to its log.
    pub fn start(&mut self, node: NodeId) -> Result<(), Failure> {
        let dir = self.dir(node)?;
        if !dir.is_dir() {
            // Its key was in there; a new folder would be somebody whom the realm does not know.
            return Err(Failure::new(
                format!("the folder of {node} is gone: {}", dir.display()),
                "restore it from a copy, or found another realm with --data",
            ));
        }
        let path = dir.join("node.log");
        let mend = "check that the folder is yours, or choose another with --data";
        let log = File::options().create(true).append(true).open(&path).map_err(|e| io("write", &path, &e, mend))?;
        let errors = log.try_clone().map_err(|e| io("write", &path, &e, mend))?;
        let exe = std::env::current_exe()
            .map_err(|e| Failure::new(format!("cannot find this program's own file: {e}"), "start it by its path"))?;
        let mut command = Command::new(&exe);
        command.arg("node").arg("--dir").arg(&dir).stdout(log).stderr(errors);
        if self.ephemeral {
            // The pipe closes when this process ends, however it ends.
            command.arg("--with-parent").stdin(Stdio::piped());
        } else {
            command.stdin(Stdio::null());
        }
        process::own_group(&mut command);
        let child = command.spawn().map_err(|e| io("start", &exe, &e, "check that it may be executed"))?;
        self.children.insert(node, child);
        Ok(())
    }

    /// Ends `node` at once.
    pub fn kill(&mut self, node: NodeId) -> Result<(), Failure> {
        let Some(pid) = self.running(node)? else {
            return Err(Failure::new(format!("{node} does not run on this machine"), "`nodes` tells who is up"));
        };
        let failed =
            |why: String| Failure::new(format!("cannot kill {node}, process {pid}: {why}"), "check whose it is");
        match self.children.remove(&node) {
            Some(mut child) => {
                child.kill().map_err(|e| failed(e.to_string()))?;
                let _ = child.wait();
            }
            None => process::kill(pid).map_err(failed)?,
        }
        Ok(())
    }

    /// An error with the end of its log if `node` has ended though it should run.
    pub fn check(&mut self, node: NodeId) -> Result<(), Failure> {
        let status = match self.children.get_mut(&node) {
            Some(child) => match child.try_wait() {
                Ok(Some(status)) => status.to_string(),
                _ => return Ok(()),
            },
            None => return Ok(()),
        };
        self.children.remove(&node);
        let path = self.dir(node)?.join("node.log");
        let (why, mend) = last_words(&tail(&path));
        let log = format!("its log is {}", path.display());
        Err(Failure::new(
            format!("{node} ended while it started ({status}): {why}"),
            mend.map_or(log.clone(), |mend| format!("{mend}; {log}")),
        ))
    }

    /// Lets the children live on without us.
    pub fn let_go(&mut self) {
        self.children.clear();
    }

    fn dir(&self, node: NodeId) -> Result<PathBuf, Failure> {
        if !self.nodes.contains(&node) {
            let known: Vec<String> = self.nodes.iter().map(NodeId::to_string).collect();
            let mend = if known.is_empty() {
                "found a realm there with `pando up`".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            return Err(Failure::new(format!("{} holds no node {node}", self.data.display()), mend));
        }
        Ok(Genesis::node_dir(&self.data, node))
    }
}

/// What a node said last: its own sentence and mend if it refused to start, else its last line.
fn last_words(log: &str) -> (String, Option<String>) {
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // Both are told; one from an earlier start has other lines behind it.
    let told = match lines.as_slice() {
        [.., error, mend] => error.strip_prefix("error: ").zip(mend.strip_prefix("mend: ")),
        _ => None,
    };
    match told {
        Some((error, mend)) => (pando_interface::escape(error), Some(pando_interface::escape(mend))),
        None => {
            let last = lines.last().copied().unwrap_or("it wrote nothing");
            (pando_interface::escape(last.strip_prefix("error: ").unwrap_or(last)), None)
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
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_somebody_else_is_not_a_node() {
        let data = tempfile::tempdir().unwrap();
        let genesis = Genesis::found(data.path(), 1).unwrap();
        let mut fleet = Fleet::new(data.path(), Some(&genesis), false);
        let node = NodeId(1);
        assert_eq!(fleet.running(node), Ok(None));
        // This test's own process is alive, and no node.
        let pid = Genesis::pid_path(&Genesis::node_dir(data.path(), node));
        std::fs::write(pid, std::process::id().to_string()).unwrap();
        assert_eq!(fleet.running(node), Ok(None));
        assert_eq!(fleet.kill(node).unwrap_err().sentence, "n1 does not run on this machine");
        assert_eq!(fleet.running(NodeId(7)).unwrap_err().mend, "it has n1");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_look_into_a_realm_that_is_founded() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("realm");
        Genesis::found(&data, 1).unwrap();
        for path in [data.clone(), data.join("n1")] {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
        }
    }

    #[test]
    fn a_node_whose_folder_is_gone_is_not_started_anew() {
        let data = tempfile::tempdir().unwrap();
        let genesis = Genesis::found(data.path(), 1).unwrap();
        let dir = Genesis::node_dir(data.path(), NodeId(1));
        std::fs::remove_dir_all(&dir).unwrap();
        let failure = Fleet::new(data.path(), Some(&genesis), false).start(NodeId(1)).unwrap_err();
        assert!(failure.sentence.starts_with("the folder of n1 is gone: "), "{failure:?}");
        assert!(!dir.exists());
    }

    #[test]
    fn what_a_node_said_last_is_told_with_its_mend() {
        let told = |log| last_words(log);
        assert_eq!(
            told("INFO stopped\nerror: the port is taken\n  mend: free it\n"),
            ("the port is taken".to_owned(), Some("free it".to_owned()))
        );
        assert_eq!(
            told("error: the port is taken\n  mend: free it\nINFO starts\n\n"),
            ("INFO starts".to_owned(), None)
        );
        assert_eq!(told(""), ("it wrote nothing".to_owned(), None));
    }
}
