//! What stands on the disk, and inside frames: votes, positions, members, log entries.
//!
//! These mirror openraft's types, so that its own encodings never reach a disk or a wire. Reading
//! checks meaning too: members are sorted out by openraft's own constructor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rkyv::{Archive, Deserialize, Serialize};

use super::{Malformed, decode, encode};
use crate::entry::{Entry, PAYLOAD_BYTES_MAX};
use crate::types::{Command, LogEntry, LogId, Membership, Vote, log_id, term_of};

/// Bytes of one encoded log entry.
pub(crate) const LOG_RECORD_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + 4096;
/// Nodes that one group may name.
pub(crate) const MEMBERS_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct LogIdRecord {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

impl From<LogId> for LogIdRecord {
    fn from(id: LogId) -> Self {
        LogIdRecord { term: term_of(&id), index: id.index }
    }
}

impl From<LogIdRecord> for LogId {
    fn from(id: LogIdRecord) -> Self {
        log_id(id.term, id.index)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct VoteRecord {
    pub(crate) term: u64,
    pub(crate) node: u64,
    pub(crate) committed: bool,
}

impl From<Vote> for VoteRecord {
    fn from(vote: Vote) -> Self {
        VoteRecord { term: vote.leader_id.term, node: vote.leader_id.voted_for, committed: vote.committed }
    }
}

impl From<VoteRecord> for Vote {
    fn from(vote: VoteRecord) -> Self {
        if vote.committed { Vote::new_committed(vote.term, vote.node) } else { Vote::new(vote.term, vote.node) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct MembershipRecord {
    /// One set of voters, or two while they change.
    pub(crate) configs: Vec<Vec<u64>>,
    /// All members.
    pub(crate) nodes: Vec<u64>,
}

impl From<&Membership> for MembershipRecord {
    fn from(m: &Membership) -> Self {
        MembershipRecord {
            configs: m.get_joint_config().iter().map(|c| c.iter().copied().collect()).collect(),
            nodes: m.nodes().map(|(id, ())| *id).collect(),
        }
    }
}

impl TryFrom<MembershipRecord> for Membership {
    type Error = Malformed;
    fn try_from(m: MembershipRecord) -> Result<Self, Malformed> {
        let voters: usize = m.configs.iter().map(Vec::len).sum();
        if m.configs.len() > 2 || voters > 2 * MEMBERS_MAX || m.nodes.len() > MEMBERS_MAX {
            return Err(Malformed::Meaning("too many members".into()));
        }
        let numbers = m.configs.iter().flatten().chain(&m.nodes);
        if numbers.into_iter().any(|n| *n > u64::from(u32::MAX)) {
            return Err(Malformed::Meaning("a member that is no node's number".into()));
        }
        let configs: Vec<BTreeSet<u64>> = m.configs.into_iter().map(|c| c.into_iter().collect()).collect();
        let nodes: BTreeMap<u64, ()> = m.nodes.into_iter().map(|n| (n, ())).collect();
        if configs.is_empty() && nodes.is_empty() {
            return Ok(Membership::default());
        }
        Membership::new(configs, nodes).map_err(|e| Malformed::Meaning(format!("bad membership: {e}")))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) enum PayloadRecord {
    Blank,
    Entry(Entry),
    Checkpoint,
    Membership(MembershipRecord),
    Skip { index: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct LogRecord {
    pub(crate) at: LogIdRecord,
    pub(crate) payload: PayloadRecord,
}

impl From<&LogEntry> for LogRecord {
    fn from(entry: &LogEntry) -> Self {
        use openraft::EntryPayload as P;
        let payload = match &entry.payload {
            P::Blank => PayloadRecord::Blank,
            P::Normal(Command::Entry(entry)) => PayloadRecord::Entry(Entry::clone(entry)),
            P::Normal(Command::Checkpoint) => PayloadRecord::Checkpoint,
            P::Normal(Command::Skip { index }) => PayloadRecord::Skip { index: *index },
            P::Membership(m) => PayloadRecord::Membership(m.into()),
        };
        LogRecord { at: entry.log_id.into(), payload }
    }
}

impl LogRecord {
    /// The entry, if it means something.
    pub(crate) fn into_entry(self) -> Result<LogEntry, Malformed> {
        use openraft::EntryPayload as P;
        let payload = match self.payload {
            PayloadRecord::Blank => P::Blank,
            PayloadRecord::Entry(entry) if entry.payload.len() > PAYLOAD_BYTES_MAX => {
                return Err(Malformed::TooLong { len: entry.payload.len(), max: PAYLOAD_BYTES_MAX });
            }
            PayloadRecord::Entry(entry) => P::Normal(Command::Entry(Arc::new(entry))),
            PayloadRecord::Checkpoint => P::Normal(Command::Checkpoint),
            PayloadRecord::Skip { index } if index >= self.at.index => {
                return Err(Malformed::Meaning("an entry that skips a later one".into()));
            }
            PayloadRecord::Skip { index } => P::Normal(Command::Skip { index }),
            PayloadRecord::Membership(m) => P::Membership(m.try_into()?),
        };
        Ok(LogEntry { log_id: self.at.into(), payload })
    }
}

/// The bytes of a log entry on the disk.
pub(crate) fn encode_entry(entry: &LogEntry) -> Vec<u8> {
    encode(&LogRecord::from(entry))
}

/// The log entry in bytes from the disk.
pub(crate) fn decode_entry(bytes: &[u8]) -> Result<LogEntry, Malformed> {
    decode::<LogRecord>("log entry", bytes, LOG_RECORD_BYTES_MAX)?.into_entry()
}

/// How a replica on this disk was fenced last.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct FenceRecord {
    /// Where it was found wrong.
    pub(crate) index: u64,
    /// Where that began: the first of `times`.
    pub(crate) since: u64,
    /// How often it was fenced since then.
    pub(crate) times: u32,
    pub(crate) why: String,
    /// It has agreed with the majority since.
    pub(crate) mended: bool,
    /// The members of the group, as far as was known here.
    pub(crate) members: Vec<u64>,
}

/// A group that has a replica on this disk.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    /// Its number in the log engine.
    pub(crate) region: u64,
    /// Its founders, if this node was one; empty if it joined.
    pub(crate) founders: Vec<u64>,
    /// Why it is fenced.
    pub(crate) fenced: Option<String>,
    /// It joined, and its log does not yet reach to where it became a member: it neither votes nor stands for election.
    pub(crate) joining: bool,
}
