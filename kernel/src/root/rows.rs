//! What the root group knows, row by row.
//!
//! Owns: the rows' fields and their limits. Does not know: how a row comes to change.
//!
//! 1. A row holds its own key, so a list of rows is the whole state.
//! 2. Everything is bounded, in number and in bytes.

use std::net::SocketAddr;

use pando_abi::{ActorId, Address, ExitKind, ModuleHash, NodeId, SpawnSpec, limits};
use rkyv::{Archive, Deserialize, Serialize};

use super::{
    table::Row,
    wire::{ActorDef, AddressDef, ModuleDef, NodeDef},
};

/// People and devices that may use the admin interface.
pub const USERS_MAX: usize = 256;
/// Tickets that are good, or were used and are remembered.
pub const TICKETS_MAX: usize = 64;
/// Nodes that vote in the root group at most; the others follow it.
pub const SEATS_MAX: usize = 5;
/// How long a node is waited for before its replicas go elsewhere, unless told: ten minutes, in milliseconds.
pub const REPLACE_AFTER_MS: u64 = 600_000;
/// Names in a realm.
pub const NAMES_MAX: usize = 1 << 16;
/// Modules in a realm.
pub const MODULES_MAX: usize = 1 << 12;
/// Groups alive in a realm.
pub const GROUPS_MAX: usize = 1 << 16;
/// Bytes of start arguments that the groups alive hold together: they stand in every snapshot.
pub const ARGS_BYTES_MAX: usize = 64 << 20;
/// Groups that ended and are remembered.
pub const ENDED_MAX: usize = 1 << 12;
/// Bytes of the message kept with a group that ended; longer ones are cut.
pub const ENDED_MESSAGE_BYTES_MAX: usize = 1 << 10;
/// Bytes of a capability as the kernel encodes it. Opaque here.
pub const CAPABILITY_BYTES: usize = 64;

const _: () = {
    assert!(limits::MESSAGE_BYTES_MAX <= ARGS_BYTES_MAX);
    assert!(ENDED_MESSAGE_BYTES_MAX <= limits::EXIT_MESSAGE_BYTES_MAX);
};

/// What a node is in its realm.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Counts in quorums.
    Voter,
    /// Follows and serves reads; may be off for months.
    Observer,
}

/// How much is to be expected of a node.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// It is given replicas, and votes in the root group if there is a seat.
    Present,
    /// Nobody has seen it for so long that its replicas go elsewhere, if there is room.
    Away,
    /// A person wants nothing to be held on it.
    Drained,
    /// A person has taken it out of the realm; it is forgotten as soon as nothing counts on it any more.
    Leaving,
}

/// A node of the realm.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct MemberEntry {
    /// Its number, never used again.
    #[rkyv(with = NodeDef)]
    pub node: NodeId,
    /// Its public key.
    pub key: [u8; 32],
    /// Where it listens.
    pub addr: SocketAddr,
    /// Voter or observer.
    pub role: Role,
    /// May it be given anything to hold?
    pub standing: Standing,
    /// The index in the root group's log at which it joined.
    pub joined_at: u64,
    /// A number that it drew when its disk was empty, before it took part in anything; 0: it has not begun. A disk that
    /// does not know this number was wiped.
    pub begun: u64,
}

impl MemberEntry {
    /// May a replica be placed on it?
    pub fn is_placeable(&self) -> bool {
        self.role == Role::Voter && self.standing == Standing::Present
    }
}

/// A ticket: who proves its key may have one node admitted.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct TicketEntry {
    /// The public half of the ticket's key.
    pub key: [u8; 32],
    /// Until when it is good, in nanoseconds since 1970.
    pub expires_ns: u64,
    /// The node that was admitted with it; none yet: 0. Asked again for that node, it gives the same answer.
    #[rkyv(with = NodeDef)]
    pub used: NodeId,
}

/// Somebody who may use the admin interface.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct UserEntry {
    /// The public key.
    pub key: [u8; 32],
    /// The index at which it was admitted.
    pub added_at: u64,
}

/// Earlier modules that the record of a group names; its log is compacted long before more are needed.
pub(super) const EARLIER_MAX: usize = 64;

/// A name in the realm. It has one holder; a holder may have many names.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct NameEntry {
    /// The name.
    pub name: String,
    /// What it means.
    #[rkyv(with = AddressDef)]
    pub address: Address,
    /// The holder's module, for whoever wants to know what can be called on it; all zero: unknown.
    #[rkyv(with = ModuleDef)]
    pub module: ModuleHash,
}

/// A module that the realm knows. Its bytes are in the nodes' stores.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct ModuleEntry {
    /// BLAKE3 of its bytes.
    #[rkyv(with = ModuleDef)]
    pub hash: ModuleHash,
    /// A name for people; may be empty.
    pub label: String,
    /// Bytes.
    pub size: u64,
    /// The index at which it was last put: of several with one label, the latest is meant.
    pub put_at: u64,
}

/// How a group ended.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// An [`ExitKind`] as its number.
    pub kind: u16,
    /// What was given to `exit`, or 0.
    pub code: i32,
    /// The reason, cut to [`ENDED_MESSAGE_BYTES_MAX`].
    pub message: String,
    /// The index at which it ended.
    pub at: u64,
}

impl Ended {
    /// The kind as what it is.
    pub fn exit_kind(&self) -> ExitKind {
        // Checked before the row was made.
        ExitKind::from_u16(self.kind).unwrap_or(ExitKind::NoActor)
    }
}

/// One group: a process in many places.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct GroupRecord {
    /// Its id, which is also its address.
    #[rkyv(with = ActorDef)]
    pub id: ActorId,
    /// Its module.
    #[rkyv(with = ModuleDef)]
    pub module: ModuleHash,
    /// A [`SpawnSpec`] as its bytes.
    pub spec: [u8; SpawnSpec::SIZE],
    /// Body of the start event. Empty once it has ended.
    pub args: Vec<u8>,
    /// Capabilities that go with the start event. Empty once it has ended.
    pub handles: Vec<[u8; CAPABILITY_BYTES]>,
    /// The capability that becomes its second handle.
    pub parent: [u8; CAPABILITY_BYTES],
    /// Does it get the realm service?
    pub realm: bool,
    /// How many replicas it shall have.
    pub replicas: u8,
    /// The nodes that hold it, as its leader last said: in ascending order, none twice.
    pub voters: Vec<u32>,
    /// The nodes that shall hold it. While they are others than the voters, its leader is changing them.
    pub wanted: Vec<u32>,
    /// The index in the group's own log at which its voters became what they are; 0: they are its founders.
    pub seated_at: u64,
    /// The index at which it was created.
    pub created_at: u64,
    /// Counts the modules that it has run, from 1.
    pub epoch: u32,
    /// Hashes of modules that ran before this one, the first one and the latest: events in its log may be theirs.
    pub earlier: Vec<[u8; 32]>,
    /// How it ended, if it has.
    pub ended: Option<Ended>,
}

impl GroupRecord {
    /// Where messages to it go.
    pub fn address(&self) -> Address {
        Address::group(self.id)
    }
    /// The nodes that hold it.
    pub fn voter_ids(&self) -> Vec<NodeId> {
        self.voters.iter().map(|node| NodeId(*node)).collect()
    }
    /// The nodes that hold it or shall: one of them knows its leader.
    pub fn holders(&self) -> Vec<NodeId> {
        let mut all: Vec<NodeId> = self.voters.iter().chain(&self.wanted).map(|node| NodeId(*node)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Is a change of its voters under way?
    pub fn is_moving(&self) -> bool {
        self.voters != self.wanted
    }

    /// Every module that a replica of it may need.
    pub fn modules(&self) -> Vec<ModuleHash> {
        self.earlier.iter().map(|hash| ModuleHash(*hash)).chain([self.module]).collect()
    }
    /// What its spawner asked for.
    pub fn spawn_spec(&self) -> SpawnSpec {
        // Checked before the row was made.
        SpawnSpec::from_bytes(&self.spec).unwrap_or_default()
    }
}

impl Row for MemberEntry {
    type Key = NodeId;
    fn key(&self) -> NodeId {
        self.node
    }
}

impl Row for TicketEntry {
    type Key = [u8; 32];
    fn key(&self) -> [u8; 32] {
        self.key
    }
}

impl Row for UserEntry {
    type Key = [u8; 32];
    fn key(&self) -> [u8; 32] {
        self.key
    }
}

impl Row for NameEntry {
    type Key = std::sync::Arc<str>;
    fn key(&self) -> std::sync::Arc<str> {
        self.name.as_str().into()
    }
}

impl Row for ModuleEntry {
    type Key = ModuleHash;
    fn key(&self) -> ModuleHash {
        self.hash
    }
}

impl Row for GroupRecord {
    type Key = ActorId;
    fn key(&self) -> ActorId {
        self.id
    }
}

/// Is this a name that can be registered: 1 to [`limits::NAME_BYTES_MAX`] of ASCII letters, digits, `-`, `_`, `.`, `/`?
pub fn name_is_valid(name: &str) -> bool {
    (1..=limits::NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
}
