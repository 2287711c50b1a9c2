//! What is proposed to a group, and what a proposer hears back.
//!
//! An [`Entry`] is opaque to this crate apart from its size: the machine decides what `kind` and
//! `payload` mean. The sequence key (origin, incarnation, seq) is the machine's to dedupe by: a
//! proposal may be retried, so an entry with the same key can stand in the log more than once.

use pando_abi::NodeId;
use rkyv::{Archive, Deserialize, Serialize};

/// A group is an actor, so it is named as one.
pub type GroupId = pando_abi::ActorId;

/// Bytes of an entry's payload. An event of the largest body and some bookkeeping fit.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;

/// One event of a group, in its log.
#[derive(Clone, Debug, PartialEq, Eq, Default, Archive, Serialize, Deserialize)]
pub struct Entry {
    /// Who proposes: an actor, a group or a service.
    pub origin: [u8; 16],
    /// The boot of the origin's node; a restored old disk then never reuses a sequence key.
    pub incarnation: u64,
    /// Counts up per (origin, incarnation).
    pub seq: u64,
    /// The time of the event, in nanoseconds since 1970, as its proposer saw it.
    pub time_ns: u64,
    /// The randomness of the event.
    pub seed: u64,
    /// Which engine, ABI, module and limits the event is handled under.
    pub epoch: u32,
    /// What `payload` is. The machine's to define.
    pub kind: u16,
    /// At most [`PAYLOAD_BYTES_MAX`].
    pub payload: Vec<u8>,
}

/// An entry that a quorum holds and that the leader has applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its place in the log. (A retried proposal may hold several; this is one of them.)
    pub index: u64,
    /// The term of the leader that wrote it.
    pub term: u64,
    /// What the machine answered.
    pub outcome: Vec<u8>,
    /// The leader that applied it.
    pub leader: NodeId,
}
