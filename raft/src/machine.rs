//! The two doors to the rest of the kernel: the machine that is replicated, and the wire.
//!
//! 1. A machine is touched by one thread at a time, behind a mutex, never on a network thread.
//! 2. `apply` sees every index of normal entries in order and exactly once per life of the machine.
//! 3. `batch_end` is called at the same indexes on every replica, and only there.
//! 4. `role(true, t)` comes after every entry of earlier terms has been applied.

use std::any::Any;

use pando_abi::NodeId;

use crate::entry::{Entry, GroupId};

/// What handling an entry gave.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Applied {
    /// To the proposer.
    pub outcome: Vec<u8>,
    /// Over the effects, in order. Folded into the chain, so replicas with other effects are found.
    pub effects_digest: [u8; 32],
}

/// The deterministic state that a group replicates.
pub trait Machine: Send {
    /// Handles one entry. Must depend on nothing but the state, `index` and `entry`.
    fn apply(&mut self, index: u64, entry: &Entry) -> Applied;
    /// The root over the whole state. Called at agreed indexes, the same ones on every replica.
    fn batch_end(&mut self) -> [u8; 32];
    /// The whole state as bytes.
    fn snapshot(&mut self) -> Vec<u8>;
    /// Replaces the whole state. An error stops the replica.
    fn restore(&mut self, image: &[u8]) -> Result<(), String>;
    /// This replica leads from now on (and should let out again what was not acknowledged), or no
    /// longer does. `term` never goes down.
    fn role(&mut self, leading: bool, term: u64);
    /// For [`crate::Groups::with_machine`].
    fn as_any(&mut self) -> &mut dyn Any;
}

/// Makes the empty machine of a group: when it is created, joined or found on the disk.
pub trait Machines: Send + Sync {
    /// Must be the same on every replica.
    fn make(&self, group: GroupId) -> Box<dyn Machine>;

    /// A leader wants to add this node, which has no replica yet. An error says why that is too early: the leader's
    /// change fails, and may be asked for again.
    ///
    /// # Errors
    /// What the machine would miss here.
    fn may_join(&self, _group: GroupId) -> Result<(), String> {
        Ok(())
    }
}

/// A way to other nodes. One way only: this crate matches answers to questions itself.
///
/// Frames may be lost, doubled and reordered; each is at most [`crate::FRAME_BYTES_MAX`].
pub trait Wire: Send + Sync {
    /// Queues `bytes` for `to`. `bulk` is for snapshots, which must not delay the rest.
    /// `false`: not queued, because the peer is down or its queue full. Must not block.
    fn send(&self, to: NodeId, bytes: Vec<u8>, bulk: bool) -> bool;
}
