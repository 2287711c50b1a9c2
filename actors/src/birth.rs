//! What an actor is given before its first event.

use pando_abi::{ActorId, Address, NodeId, limits};

use crate::Capability;

/// What one actor may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of linear memory.
    pub memory_bytes: u64,
    /// Processor time of one handler. Kept by whoever answers `on_epoch`; here only for the sentence.
    pub handler_ms: u64,
    /// Fuel of one handler of a replica.
    pub fuel: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory_bytes: limits::MEMORY_BYTES_DEFAULT,
            handler_ms: limits::HANDLER_MS_DEFAULT,
            fuel: limits::HANDLER_FUEL_DEFAULT,
        }
    }
}

/// Who an actor is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Birth {
    /// What its children's ids and its grants are derived from: another one in each life.
    pub id: ActorId,
    /// Its own address.
    pub home: Address,
    /// Its handle 1.
    pub parent: Capability,
    /// Its handle 2; `None`: a realm handle without rights.
    pub realm: Option<Capability>,
    /// The node that it is on; none for a group.
    pub node: NodeId,
    /// 0: plain. Otherwise the voters of its group, which a child that names no node gets too.
    pub replicas: u8,
    /// Keep what is needed to undo a faulting event and to run queries cheaply. True for groups and `Restart::Resume`.
    pub undo: bool,
}
