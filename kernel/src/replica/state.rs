//! A replica's state at rest: what a snapshot holds.

#![allow(missing_docs, reason = "what rkyv derives has none")]

use rkyv::{Archive, Deserialize, Serialize};

use super::entry::Birth;
use crate::{outbox::OutboxRows, process::ProcessRows, supervise::Supervisor, wire::WireExit};

/// Everything that a group is.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct ReplicaRows {
    /// The latest event's time.
    pub time_ns: u64,
    /// Events handled.
    pub events: u64,
    /// Per boot of a proposer: (origin, incarnation, seq of the latest entry, its index, its outcome).
    pub proposers: Vec<([u8; 16], u64, u64, u64, Vec<u8>)>,
    /// Per speaking group: the highest number heard; who has been silent for longest comes first.
    pub heard: Vec<([u8; 16], u64)>,
    /// The group's own unacknowledged sayings.
    pub outbox: OutboxRows,
    /// How it was born, if it was; epoch, module and the like are those of now.
    pub birth: Option<Birth>,
    /// The process, while it lives.
    pub process: Option<ProcessRows>,
    /// Restart policy and history.
    pub supervisor: Option<Supervisor>,
    /// Raised by each restart.
    pub generation: u32,
    /// The actor's image, while it lives.
    pub image: Option<Vec<u8>>,
    /// How it ended, if it did.
    pub ended: Option<WireExit>,
}
