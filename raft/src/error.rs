//! One error per operation. Each says what is known about the outcome.

use std::path::PathBuf;

use pando_abi::NodeId;
use thiserror::Error;

/// Why a data folder was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Somebody has it.
    #[error(
        "the data folder {dir} is in use by another process: stop that one, or start this node with another folder"
    )]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder was written by another node.
    #[error("the data folder {dir} belongs to node {found}, not {asked}: give the node its own folder")]
    OtherNode {
        /// The folder.
        dir: PathBuf,
        /// Whose it is.
        found: NodeId,
        /// Who asked.
        asked: NodeId,
    },
    /// The operating system refused.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What is on the disk cannot be read. It is left as it is.
    #[error("{path} is damaged: {why}; restore it from a copy, or remove the folder and join the realm as a new node")]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// A setting that cannot work.
    #[error("bad configuration: {0}")]
    Config(String),
}

/// Why a group's state was not carried out of one realm, or into another.
#[derive(Debug, Error)]
pub enum CopyError {
    /// Nobody can say now what the state is.
    #[error("the group cannot be copied now: {0}")]
    NotNow(String),
    /// The bytes are no copy.
    #[error("not a copy of a group, or a damaged one: {0}")]
    Damaged(String),
    /// No voters, too many, or the same one twice.
    #[error("bad list of voters: {0}")]
    Voters(String),
    /// The folder has the group.
    #[error("the folder has group {0} already: restore into an empty one")]
    Exists(crate::entry::GroupId),
    /// The disk.
    #[error("cannot write {dir}: {source}")]
    Disk {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Why a group was not created, joined or removed here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CreateError {
    /// No voters, too many, the same one twice, or this node is not among them.
    #[error("bad list of voters: {0}")]
    Voters(String),
    /// The group exists here and has other founders.
    #[error("the group exists with other founders")]
    Exists,
    /// The node is closing or its disk failed.
    #[error("stopped: {0}")]
    Stopped(String),
}

/// Why a proposal has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// No leader was found until the deadline. Nothing was proposed.
    #[error("no leader could be reached")]
    NoQuorum,
    /// Proposed, but not known to be committed until the deadline. **The outcome is unknown**: it may
    /// be applied still. Proposing the same sequence key again is safe.
    #[error("no answer until the deadline; the outcome is unknown")]
    Timeout,
    /// Neither here nor at any of the nodes asked.
    #[error("no such group")]
    Unknown,
    /// This replica is fenced, and no other one could be asked.
    #[error("this replica is fenced: {0}")]
    Fenced(String),
    /// The replica or the node has stopped.
    #[error("stopped: {0}")]
    Stopped(String),
    /// Too many proposals wait. Nothing was proposed.
    #[error("too many proposals are waiting")]
    Overloaded,
    /// The payload is over [`crate::PAYLOAD_BYTES_MAX`].
    #[error("the payload has {0} bytes, over the limit")]
    TooLarge(usize),
}

/// Why a linear read cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LinearError {
    /// No leader was found, or it could not reach a quorum, until the deadline.
    #[error("no leader with a quorum could be reached")]
    NoQuorum,
    /// The index is known but was not applied here until the deadline.
    #[error("this replica did not catch up until the deadline")]
    Timeout,
    /// There is no replica here.
    #[error("no such group here")]
    Unknown,
    /// The replica here is fenced.
    #[error("this replica is fenced: {0}")]
    Fenced(String),
    /// The replica or the node has stopped.
    #[error("stopped: {0}")]
    Stopped(String),
}

/// Why the voters are not (known to be) the ones asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// No voters, too many, or the same one twice.
    #[error("bad list of voters: {0}")]
    Voters(String),
    /// No leader was found until the deadline.
    #[error("no leader could be reached")]
    NoQuorum,
    /// Begun but not finished until the deadline. The leader goes on with it; ask again to wait for it.
    #[error("not finished until the deadline: {0}")]
    Timeout(String),
    /// There is no replica here.
    #[error("no such group here")]
    Unknown,
    /// The replica or the node has stopped.
    #[error("stopped: {0}")]
    Stopped(String),
}

/// Why a replica was not deleted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LeaveError {
    /// It counts still, or may: a change is under way.
    #[error("it cannot leave yet: {0}")]
    Member(String),
    /// No leader was found that could say so.
    #[error("no leader could be reached")]
    NoQuorum,
    /// The node is closing or its disk failed.
    #[error("stopped: {0}")]
    Stopped(String),
}

/// Why the [`crate::Store`] failed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// From the database.
    #[error("store: {0}")]
    Sled(#[from] sled::Error),
    /// From the operating system.
    #[error("store {path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
