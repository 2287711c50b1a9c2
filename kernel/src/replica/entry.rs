//! What stands in a group's log, and what its proposers hear back.
//!
//! The first entry is the birth: it carries the epoch (engine, ABI, module, limits) and the start arguments, so a
//! replica needs nothing but its log. Every later one is a batch of inputs, each with the stamp of the group that said
//! it, if one did; or an upgrade, which begins the next epoch.

#![allow(missing_docs, reason = "what rkyv derives has none")]

use rkyv::{Archive, Deserialize, Serialize};

use crate::wire::{WireAddress, WireExit, WireInput, WireMessage, WireSpawn};

/// [`pando_raft::Entry::kind`] of a birth.
pub const BIRTH: u16 = 1;
/// [`pando_raft::Entry::kind`] of a batch.
pub const BATCH: u16 = 2;
/// [`pando_raft::Entry::kind`] of an upgrade.
pub const UPGRADE: u16 = 3;

/// The first entry.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct Birth {
    /// Counts up with every change of code or rules; entries carry it.
    pub epoch: u32,
    /// The engine under which the events are handled: same engine, same fuel.
    pub engine: String,
    /// The ABI: [`pando_abi::IMPORT_MODULE`].
    pub abi: String,
    /// What to start.
    pub order: WireSpawn,
    /// The module's hash.
    pub module: [u8; 32],
}

/// Which saying of a group an input is.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which group said it.
    pub group: [u8; 16],
    /// Its number among those to this receiver.
    pub seq: u64,
    /// Everything that was said before it is known to be heard: see [`super::heard`].
    pub begins: bool,
}

/// One input of a batch.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct BatchItem {
    /// Of a group that said it.
    pub stamp: Option<Stamp>,
    /// The input.
    pub input: WireInput,
}

/// Any later entry.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, Default)]
pub struct Batch {
    /// (receiver, seq): what was heard of the group's own sayings.
    pub acks: Vec<(WireAddress, u64)>,
    /// In order.
    pub items: Vec<BatchItem>,
}

/// Another module from here on.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct Upgrade {
    /// The engine under which events are handled from now on.
    pub engine: String,
    /// The ABI.
    pub abi: String,
    /// The module's hash. Every voter has had it on its disk before this entry was proposed.
    pub module: [u8; 32],
}

/// What became of an upgrade.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub enum Switched {
    /// The group runs the module, in this epoch.
    Done {
        /// Which.
        epoch: u32,
        /// The version of the state that was exported; `None`: memory was kept, or the module ran already.
        version: Option<u32>,
        /// Did it run the module already?
        already: bool,
    },
    /// It goes on as it was.
    Refused {
        /// An errno.
        errno: u16,
        /// Why.
        why: String,
    },
}

/// What became of one input.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub enum ItemOutcome {
    /// It was handled; an answer, if one is wanted, comes by itself.
    Done,
    /// It was handled and answered at once.
    Answered {
        /// 0 or an errno.
        status: u16,
        /// What it said.
        message: WireMessage,
        /// Where: the entry that a repeated call was first in.
        index: u64,
    },
    /// The stamp was seen before.
    Duplicate,
    /// The stamp is ahead of what the group expects from that sender.
    Gap {
        /// It expects this one.
        expected: u64,
    },
    /// The group has not been born yet: try again.
    NotBorn,
    /// The group has ended.
    Dead(WireExit),
}

/// What became of an entry.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub enum Outcome {
    /// One for each item.
    Items(Vec<ItemOutcome>),
    /// Of an upgrade.
    Switched(Switched),
    /// The entry could not be read; the same on every replica.
    Malformed(String),
}
