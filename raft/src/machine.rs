//! The two doors to the rest of the kernel: the machine that is replicated, and the wire.
//!
//! 1. A machine is touched by one thread at a time, behind a mutex, never on a network thread.
//! 2. `apply` sees every index of normal entries in order and exactly once per life of the machine.
//! 3. `batch_end` changes nothing that another call would see. At an agreed index every replica calls it; between two, where one
//!    stands still, it may be called by some.
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
    /// Whoever handles this entry dies of it, so it is not handled: what its proposer and others are told, and what keeps it
    /// from being tried again. Must not do what handling does with it; deterministic as [`Machine::apply`].
    fn skip(&mut self, _index: u64, _entry: &Entry) -> Applied {
        Applied::default()
    }
    /// The root over the whole state. Called at agreed indexes, and where replicas stand still and are compared.
    fn batch_end(&mut self) -> [u8; 32];
    /// The whole state as bytes. A machine whose state is large has a [`Machine::cut`] of its own.
    fn snapshot(&mut self) -> Vec<u8>;
    /// Replaces the whole state. An error stops the replica.
    fn restore(&mut self, image: &[u8]) -> Result<(), String>;
    /// The whole state as it is now, to be written while the machine goes on. Holds up whoever applies: milliseconds.
    fn cut(&mut self) -> Box<dyn Cut> {
        Box::new(Whole::new(self.snapshot()))
    }
    /// Replaces the whole state by what a cut has written. An error stops the replica.
    fn take_up(&mut self, image: &dyn Parts) -> Result<(), String> {
        let whole = (0..image.count()).map(|part| image.bytes(part)).collect::<Result<Vec<_>, _>>()?;
        self.restore(&whole.concat())
    }
    /// This replica leads from now on (and should let out again what was not acknowledged), or no
    /// longer does. `term` never goes down.
    fn role(&mut self, leading: bool, term: u64);
    /// For [`crate::Groups::with_machine`].
    fn as_any(&mut self) -> &mut dyn Any;
}

/// Bytes of one part of a snapshot at most.
pub const PART_BYTES_MAX: usize = 128 << 10;
/// Bytes of the parts that a state which is one run of bytes is cut into.
const WHOLE_PART_BYTES: usize = 64 << 10;

/// A machine's state at one index, in parts. A part is kept under the hash of its bytes: one that is as it was is not written
/// again, nor sent to who has it.
pub trait Cut: Send {
    /// How many parts there are.
    fn count(&self) -> usize;
    /// The hash of this part's bytes, if an earlier snapshot has told it and they are the same still.
    fn name(&self, part: usize) -> Option<[u8; 32]>;
    /// Its bytes, at most [`PART_BYTES_MAX`].
    fn bytes(&self, part: usize) -> Vec<u8>;
    /// It is on the disk under this name.
    fn named(&mut self, part: usize, name: [u8; 32]);
}

/// The parts of a snapshot, to be read.
pub trait Parts {
    /// How many there are.
    fn count(&self) -> usize;
    /// The hash of this one's bytes.
    fn name(&self, part: usize) -> [u8; 32];
    /// Its bytes.
    ///
    /// # Errors
    /// If they cannot be read, or are not what they were: in a sentence.
    fn bytes(&self, part: usize) -> Result<Vec<u8>, String>;
}

/// A state that is one run of bytes, as a cut.
pub struct Whole(Vec<u8>);

impl Whole {
    /// Cut into parts of one length.
    pub fn new(bytes: Vec<u8>) -> Whole {
        Whole(bytes)
    }
}

impl Cut for Whole {
    fn count(&self) -> usize {
        self.0.len().div_ceil(WHOLE_PART_BYTES)
    }
    fn name(&self, _: usize) -> Option<[u8; 32]> {
        None
    }
    fn bytes(&self, part: usize) -> Vec<u8> {
        self.0.chunks(WHOLE_PART_BYTES).nth(part).unwrap_or_default().to_vec()
    }
    fn named(&mut self, _: usize, _: [u8; 32]) {}
}

/// Makes the empty machine of a group: when it is created, joined or found on the disk.
pub trait Machines: Send + Sync {
    /// Must be the same on every replica.
    fn make(&self, group: GroupId) -> Box<dyn Machine>;

    /// May the machine of this group be dropped while the group rests, and made anew from the disk when it is wanted?
    fn may_sleep(&self, _group: GroupId) -> bool {
        true
    }

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
