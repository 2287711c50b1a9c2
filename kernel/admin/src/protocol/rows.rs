//! What replies are made of: nodes, actors, names, log lines, counters.

#![allow(missing_docs, reason = "what rkyv derives has none")]

use rkyv::{Archive, Deserialize, Serialize};

/// What became of a call.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub enum CallFate {
    /// It happened, and this was its answer.
    Happened {
        /// 0, or the code of an errno.
        status: u16,
        /// CBOR value, or CBOR text with the receiver's words.
        body: Vec<u8>,
        /// Handles that came along, as addresses for people.
        handles: Vec<String>,
    },
    /// It happened. It is not answered yet, or wanted no answer, or its answer is not remembered any more.
    Handled,
    /// It has not happened and never will.
    Never,
    /// It will not happen from now on. Whether it has is not remembered.
    Forgotten,
}

/// How an actor's state came to its new module.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carried {
    /// It ran that module already.
    Already,
    /// Memory was kept.
    Kept,
    /// It was exported in this version, and imported.
    Exported {
        /// What the old code called it.
        version: u32,
    },
}

/// How final an answer is.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// A plain actor's word, from where it lives.
    Local,
    /// Committed by a quorum.
    Final,
    /// Committed, and not older than the question.
    Linear,
}

/// A group to be copied.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct CopyRow {
    /// Its id.
    pub id: [u8; 16],
    /// The nodes that hold it.
    pub voters: Vec<u32>,
}

/// Where a node is, and who.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// Its number.
    pub node: u32,
    /// Its public key.
    pub key: [u8; 32],
    /// Where it listens: an IP address and a port.
    pub addr: String,
}

/// One node.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct NodeRow {
    /// Its number.
    pub node: u32,
    /// Where it listens.
    pub addr: String,
    /// Its public key in hexadecimal.
    pub key: String,
    /// Does the answering node have a session with it (or is it itself)?
    pub up: bool,
    /// Its incarnation, while it is up.
    pub incarnation: u64,
    /// Does it lead the root group?
    pub root_leader: bool,
    /// Does it vote in the root group? Otherwise it follows.
    pub voter: bool,
    /// May it be given anything to hold: `present`, `away`, `drained`, `leaving`.
    pub standing: String,
    /// Is it the one that answers?
    pub this: bool,
}

/// One actor or group.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct ActorRow {
    /// `n1/7f3a2b10` or `group/7f3a2b10`.
    pub address: String,
    /// The whole id in hexadecimal.
    pub id: String,
    /// The first of its names, or empty.
    pub name: String,
    /// Label of its module.
    pub module: String,
    /// The node (plain), or the leader (group); 0: unknown.
    pub node: u32,
    /// Voters, for a group.
    pub voters: Vec<u32>,
    /// Those that shall be its voters; the same unless a change is under way.
    pub wanted: Vec<u32>,
    /// `running`, `restarting`, `running, rebuilding on n2`, `fenced here: ...`
    pub state: String,
    /// Messages waiting.
    pub mailbox: u64,
    /// Bytes of linear memory.
    pub memory: u64,
    /// Events handled.
    pub events: u64,
    /// Restarts so far.
    pub restarts: u32,
    /// Last applied index, for a group.
    pub index: u64,
}

/// One name.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct NameRow {
    /// The name.
    pub name: String,
    /// What it means.
    pub address: String,
    /// Label of its module, if known.
    pub module: String,
}

/// One line of a log.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct LogLine {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// The node that wrote it.
    pub node: u32,
    /// 1 error, 2 warning, 3 information, 4 debug, 5 trace.
    pub level: u8,
    /// An actor's name or address, or `kernel`.
    pub source: String,
    /// The text.
    pub text: String,
}

/// Counters of one node.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct TopRow {
    /// The node.
    pub node: u32,
    /// Seconds since it booted.
    pub uptime_s: u64,
    /// Actors alive.
    pub actors: u64,
    /// Groups it holds a replica of.
    pub groups: u64,
    /// Groups it leads.
    pub leads: u64,
    /// Events handled since boot.
    pub events: u64,
    /// Messages sent to other nodes since boot.
    pub remote: u64,
    /// Processor seconds used since boot, in milliseconds.
    pub cpu_ms: u64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Activations that ran over their slice.
    pub overruns: u64,
}
