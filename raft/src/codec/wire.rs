//! Frames between nodes.
//!
//! ```text
//!  0          1
//!  | version  | rkyv of Packet, to the end of the frame                        |
//! ```
//!
//! A packet that does not fit one frame is cut into `Part`s (see [`crate::net::parts`]).
//!
//! 1. A packet never says who sent it: the transport knows, and proved it.
//! 2. An `Answer` carries the number of its `Ask`; numbers are unique per boot of the asker.

use rkyv::{Archive, Deserialize, Serialize};

use super::record::{LogIdRecord, LogRecord, VoteRecord};
use super::{Malformed, decode, encode_into};
use crate::entry::{Entry, GroupId};
use crate::lives::{Life, Mark};

/// The version of this encoding.
pub(crate) const VERSION: u8 = 6;
/// Bytes of a packet put together from parts.
pub(crate) const PACKET_BYTES_MAX: usize = 16 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) enum Packet {
    Ask {
        id: u64,
        group: [u8; 16],
        ask: Ask,
    },
    Answer {
        id: u64,
        answer: Answer,
    },
    /// What the sender's replica has at an agreed index.
    Attest {
        group: [u8; 16],
        index: u64,
        chain: [u8; 32],
        root: [u8; 32],
    },
    /// The sender's replica fenced itself: it was found wrong at this index.
    Fenced {
        group: [u8; 16],
        index: u64,
        why: String,
        /// It is being rebuilt from the others.
        rebuilding: bool,
    },
    /// From a leader: the group rests at this index of its log, and this is the chain and the root that it has there, if
    /// they are to be compared.
    Rest {
        group: [u8; 16],
        term: u64,
        index: u64,
        word: Option<([u8; 32], [u8; 32])>,
    },
    /// To a leader: the sender's replica rests there, and perhaps has the same.
    Rests {
        group: [u8; 16],
        term: u64,
        index: u64,
        agrees: bool,
    },
    /// To a leader: a member stands elsewhere, or doubts that there is a leader.
    Wake {
        group: [u8; 16],
    },
    /// How far the sender's disk has come: the lives of its node.
    Lives {
        lives: Vec<Life>,
    },
    /// What the sender has heard of the receiver's disk last, and whether the receiver's lives know it.
    Heard {
        mark: Mark,
        known: bool,
    },
    /// To a follower: its replica denies what it acknowledged.
    Forgot {
        group: [u8; 16],
    },
    /// Part `part` of `parts` of a longer packet.
    Part {
        id: u64,
        part: u32,
        parts: u32,
        bytes: Vec<u8>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) enum Ask {
    Append {
        vote: VoteRecord,
        prev: Option<LogIdRecord>,
        entries: Vec<LogRecord>,
        commit: Option<LogIdRecord>,
    },
    Vote {
        vote: VoteRecord,
        last: Option<LogIdRecord>,
        transfer: bool,
    },
    PreVote {
        vote: VoteRecord,
        last: Option<LogIdRecord>,
    },
    /// Bytes of the manifest of the snapshot with this name, from `offset` on.
    Manifest {
        vote: VoteRecord,
        image: [u8; 32],
        total: u64,
        offset: u64,
        bytes: Vec<u8>,
    },
    /// Parts of it, by their numbers in the manifest.
    Parts {
        vote: VoteRecord,
        image: [u8; 32],
        parts: Vec<(u32, Vec<u8>)>,
    },
    Transfer {
        from: VoteRecord,
        to: u64,
        last: Option<LogIdRecord>,
    },
    Propose {
        entry: Entry,
        timeout_ms: u64,
    },
    ReadIndex {
        timeout_ms: u64,
    },
    ChangeMembers {
        voters: Vec<u64>,
        learners: Vec<u64>,
        timeout_ms: u64,
    },
    Join,
    /// May the asker delete its replica?
    Leave,
    /// The asker's replica has forgotten what it promised: may it take part again?
    Readmit,
    /// At this index the receiver became a member: does its log reach there? From then on it may vote.
    Seat {
        index: u64,
    },
    /// Which snapshot of index `least` or later may the asker fetch, whose replica is fenced? It is one that a majority agrees to.
    Lend {
        least: u64,
    },
    /// The manifest's bytes of the snapshot that is lent, from `offset` on.
    LentManifest {
        image: [u8; 32],
        offset: u64,
    },
    /// Parts of it, by their numbers in the manifest.
    LentParts {
        image: [u8; 32],
        parts: Vec<u32>,
    },
    /// To a leader: have the replicas compared.
    Compare,
    /// What became of this entry where you are?
    Fate {
        index: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) enum Answer {
    Appended,
    AppendedUpTo {
        last: Option<LogIdRecord>,
    },
    Conflict,
    Higher {
        vote: VoteRecord,
    },
    Voted {
        vote: VoteRecord,
        granted: bool,
        last: Option<LogIdRecord>,
    },
    /// Send the manifest's bytes from here on.
    ManifestNext {
        offset: u64,
    },
    /// Send these parts.
    PartsNext {
        parts: Vec<u32>,
    },
    SnapshotDone {
        vote: VoteRecord,
    },
    Committed {
        index: u64,
        term: u64,
        outcome: Vec<u8>,
    },
    Read {
        index: u64,
    },
    Done,
    /// The asker is no member any more, for certain.
    Removed,
    /// Ask that one, if known.
    NotLeader {
        leader: Option<u64>,
    },
    /// It may have happened or may happen still.
    Unclear,
    Unknown,
    Fenced {
        why: String,
    },
    Stopped {
        why: String,
    },
    Overloaded,
    Failed {
        why: String,
    },
    /// This one, whose manifest has so many bytes.
    Lent {
        image: [u8; 32],
        total: u64,
    },
    LentBytes {
        bytes: Vec<u8>,
    },
    LentParts {
        parts: Vec<(u32, Vec<u8>)>,
    },
    /// The process has died of it twice; or it was applied.
    Fate {
        deadly: bool,
        applied: bool,
    },
}

impl Packet {
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode_into(self, vec![VERSION])
    }

    pub(crate) fn decode(bytes: &[u8], max: usize) -> Result<Packet, Malformed> {
        match bytes.split_first() {
            Some((&VERSION, body)) => decode("packet", body, max),
            Some((version, _)) => Err(Malformed::Meaning(format!("version {version} instead of {VERSION}"))),
            None => Err(Malformed::Meaning("an empty frame".into())),
        }
    }
}

pub(crate) fn group_of(id: [u8; 16]) -> GroupId {
    pando_abi::ActorId(id)
}
