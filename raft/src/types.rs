//! openraft's type parameters, and nothing else: the names the rest of the crate uses for them.

use std::fmt;
use std::sync::Arc;

use openraft::type_config::alias;
use openraft::vote::RaftLeaderId;

use crate::entry::Entry;

openraft::declare_raft_types!(
    /// One leader per term, nodes without addresses (the wire knows those).
    pub(crate) Types:
        D = Command,
        R = Reply,
        NodeId = u64,
        Node = (),
        AsyncRuntime = crate::runtime::Runtime,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
);

pub(crate) type LogId = alias::LogIdOf<Types>;
pub(crate) type Vote = alias::VoteOf<Types>;
pub(crate) type LogEntry = alias::EntryOf<Types>;
pub(crate) type Membership = openraft::Membership<u64, ()>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<Types>;
/// A snapshot on the disk: having it pins it.
pub(crate) type Image = Arc<crate::disk::snapshots::kept::Kept>;
pub(crate) type SnapshotOf = alias::SnapshotOf<Types, Image>;

/// What stands in the log beside openraft's own entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// For the machine.
    Entry(Arc<Entry>),
    /// An agreed point: every replica computes its root here.
    Checkpoint,
    /// The entry at this index is not applied: whoever tries dies of it.
    Skip {
        /// Which.
        index: u64,
    },
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Entry(entry) => write!(f, "entry(kind {}, {} bytes)", entry.kind, entry.payload.len()),
            Command::Checkpoint => write!(f, "checkpoint"),
            Command::Skip { index } => write!(f, "skip of {index}"),
        }
    }
}

/// What a proposer hears.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) outcome: Vec<u8>,
}

/// The position (term, index).
pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: alias::LeaderIdOf::<Types>::new(term, 0).to_committed(), index }
}

/// The term of a position.
pub(crate) fn term_of(id: &LogId) -> u64 {
    id.leader_id.term
}
