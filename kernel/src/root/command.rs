//! What can be asked of the root group, and what it answers.
//!
//! Owns: the vocabulary and its encoding as an [`Entry`](pando_raft::Entry)'s payload. Does not know: the state.
//!
//! 1. A command carries everything that its answer depends on beside the state: even who is alive, as its proposer saw it.
//! 2. A refusal has an errno, one sentence, and the mend; the same words on every replica.

use std::net::SocketAddr;

use pando_abi::{ActorId, Address, Errno, ModuleHash, NodeId, SpawnSpec, limits};
use rkyv::{Archive, Deserialize, Serialize};

use super::{
    moved::MovedEntry,
    rows::{CAPABILITY_BYTES, GroupRecord, Role},
    wire::{self, ActorDef, AddressDef, ModuleDef, NodeDef},
};

/// Bytes of one encoded command: the largest arguments with every handle, and a little more.
pub const COMMAND_BYTES_MAX: usize = limits::MESSAGE_BYTES_MAX + (64 << 10);
/// Bytes of one encoded outcome: a group's record is the largest.
pub const OUTCOME_BYTES_MAX: usize = COMMAND_BYTES_MAX;

const _: () = assert!(limits::MESSAGE_HANDLES_MAX * CAPABILITY_BYTES + limits::NODES_MAX * 64 * 2 < 64 << 10);

/// A founding member.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Founder {
    /// Its number.
    #[rkyv(with = NodeDef)]
    pub node: NodeId,
    /// Its public key.
    pub key: [u8; 32],
    /// Where it listens at first.
    pub addr: SocketAddr,
}

impl From<&pando_transport::Member> for Founder {
    fn from(member: &pando_transport::Member) -> Founder {
        Founder { node: member.node, key: member.key.0, addr: member.addr }
    }
}

/// A group before it has a place.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct NewGroup {
    /// Its id: derived from (parent, event, n), or from a person's sequence key. The same id is the same group.
    #[rkyv(with = ActorDef)]
    pub id: ActorId,
    /// Its module.
    #[rkyv(with = ModuleDef)]
    pub module: ModuleHash,
    /// A [`SpawnSpec`] as its bytes; its module is this one or zero.
    pub spec: [u8; SpawnSpec::SIZE],
    /// Body of the start event.
    pub args: Vec<u8>,
    /// Capabilities that go with the start event.
    pub handles: Vec<[u8; CAPABILITY_BYTES]>,
    /// The capability that becomes its second handle.
    pub parent: [u8; CAPABILITY_BYTES],
    /// Does it get the realm service?
    pub realm: bool,
}

/// What can be asked.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub enum RootCommand {
    /// The first entry: who was there at the first moment. Every founder proposes it; only the first counts.
    Found {
        /// The first nodes, all voters.
        members: Vec<Founder>,
        /// The first users' keys.
        users: Vec<[u8; 32]>,
    },
    /// A node listens elsewhere now.
    SetAddr {
        /// The node.
        #[rkyv(with = NodeDef)]
        node: NodeId,
        /// Where.
        addr: SocketAddr,
    },
    /// Admits a node. Answered by [`RootOutcome::Member`]; a key that is a member already keeps its number.
    AddMember {
        /// Its public key.
        key: [u8; 32],
        /// Where it listens.
        addr: SocketAddr,
        /// Voter or observer.
        role: Role,
    },
    /// A node shall no longer be one of us. What it holds goes elsewhere first; then it is forgotten.
    RemoveMember {
        /// The node.
        #[rkyv(with = NodeDef)]
        node: NodeId,
        /// Nodes that the proposer sees alive.
        alive: Vec<u32>,
        /// Groups that cannot go on without it end.
        lost: bool,
    },
    /// A node that is leaving holds nothing any more and does not vote. Names of plain actors on it go with it.
    ForgetMember {
        /// The node.
        #[rkyv(with = NodeDef)]
        node: NodeId,
    },
    /// A node with an empty disk is about to take part for the first time. Refused if it has done so before.
    Begin {
        /// The node.
        #[rkyv(with = NodeDef)]
        node: NodeId,
        /// Drawn by the node, never 0. The same number is the same beginning.
        life: u64,
    },
    /// Whoever proves this key may have one node admitted.
    AddTicket {
        /// The public half.
        key: [u8; 32],
        /// Until when, in nanoseconds since 1970.
        expires_ns: u64,
        /// The proposer's time: tickets that are no longer good then are forgotten.
        now_ns: u64,
    },
    /// Admits a node by a ticket. Answered by [`RootOutcome::Member`].
    Admit {
        /// The public half of the ticket's key.
        ticket: [u8; 32],
        /// The node's key.
        key: [u8; 32],
        /// Where it listens.
        addr: SocketAddr,
        /// The proposer's time.
        now_ns: u64,
    },
    /// Nothing shall be held on a node, or something may again.
    Drain {
        /// The node.
        #[rkyv(with = NodeDef)]
        node: NodeId,
        /// Nothing shall be.
        drained: bool,
    },
    /// A node was not seen for too long, or is seen again.
    MarkAway {
        /// The node.
        #[rkyv(with = NodeDef)]
        node: NodeId,
        /// It was not seen.
        away: bool,
    },
    /// How long a node is waited for before its replicas go elsewhere.
    SetReplaceAfter {
        /// In milliseconds; 0: for ever.
        ms: u64,
    },
    /// Admits a user.
    AddUser {
        /// The public key.
        key: [u8; 32],
    },
    /// Gives a name.
    RegisterName {
        /// The name.
        name: String,
        /// What it shall mean.
        #[rkyv(with = AddressDef)]
        address: Address,
        /// The holder's module; all zero: unknown.
        #[rkyv(with = ModuleDef)]
        module: ModuleHash,
    },
    /// Takes a name away.
    UnregisterName {
        /// The name.
        name: String,
        /// Only if this is the holder.
        #[rkyv(with = rkyv::with::Map<AddressDef>)]
        holder: Option<Address>,
    },
    /// Takes all names of an actor away: it has ended.
    UnregisterAddress {
        /// The actor.
        #[rkyv(with = AddressDef)]
        address: Address,
    },
    /// Makes a module known.
    PutModule {
        /// BLAKE3 of its bytes.
        #[rkyv(with = ModuleDef)]
        hash: ModuleHash,
        /// A name for people; may be empty.
        label: String,
        /// Bytes.
        size: u64,
    },
    /// Creates a group and places it. Answered by [`RootOutcome::Group`].
    CreateGroup {
        /// The group.
        group: Box<NewGroup>,
        /// How many voters.
        replicas: u8,
        /// Nodes to take before others.
        preferred: Vec<u32>,
        /// Nodes that the proposer sees alive.
        alive: Vec<u32>,
        /// A name to give it in the same step.
        name: Option<String>,
    },
    /// A group has ended. Its names go, and the record stays for a while.
    EndGroup {
        /// The group.
        #[rkyv(with = ActorDef)]
        id: ActorId,
        /// A [`pando_abi::ExitKind`] as its number.
        kind: u16,
        /// What was given to `exit`, or 0.
        code: i32,
        /// The reason.
        message: String,
    },
    /// A group runs another module. A command of an earlier epoch than the known one changes nothing. Answered by
    /// [`RootOutcome::Group`].
    SetModule {
        /// The group.
        #[rkyv(with = ActorDef)]
        id: ActorId,
        /// The module.
        #[rkyv(with = ModuleDef)]
        module: ModuleHash,
        /// The group's epoch in which it runs.
        epoch: u32,
    },
    /// A group shall be held by these nodes. Answered by [`RootOutcome::Group`].
    SetVoters {
        /// The group.
        #[rkyv(with = ActorDef)]
        id: ActorId,
        /// The nodes.
        voters: Vec<u32>,
    },
    /// A group shall be held by some nodes more and by some no longer. Answered by [`RootOutcome::Group`].
    Reseat {
        /// The group.
        #[rkyv(with = ActorDef)]
        id: ActorId,
        /// Nodes that shall hold it too.
        add: Vec<u32>,
        /// Nodes that shall no longer.
        remove: Vec<u32>,
    },
    /// A group is held by these nodes now: its leader's word. Answered by [`RootOutcome::Group`].
    Seated {
        /// The group.
        #[rkyv(with = ActorDef)]
        id: ActorId,
        /// The nodes.
        voters: Vec<u32>,
        /// The index in the group's log at which it became so. An older word than the one that is known changes nothing.
        at: u64,
    },
    /// A plain actor lives elsewhere from now on; or stays, under another mark, so that no move that began before is made.
    MoveActor {
        /// Where it shall live, and how it is reached.
        to: MovedEntry,
        /// Where it lives.
        #[rkyv(with = NodeDef)]
        from: NodeId,
        /// The mark of the move before, 0 if there was none. If it is another one, nothing is done.
        before: u64,
    },
    /// A plain actor that lived elsewhere has ended: its row and its names go.
    EndMoved {
        /// The actor.
        #[rkyv(with = AddressDef)]
        address: Address,
        /// The move that brought it there.
        mark: u64,
    },
    /// A plain actor is home again, and nothing is on its way to it by another path.
    ForgetMove {
        /// The actor.
        #[rkyv(with = AddressDef)]
        address: Address,
        /// The move that brought it there.
        mark: u64,
    },
    /// Groups that have too few replicas, or have them on nodes that shall hold none, get others, as far as there is room.
    Mend {
        /// Nodes that the proposer sees alive.
        alive: Vec<u32>,
    },
}

/// What is answered.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub enum RootOutcome {
    /// It is so now.
    Done,
    /// The group, as it is now.
    Group {
        /// Its record.
        record: Box<GroupRecord>,
    },
    /// The node's number.
    Member {
        /// The node.
        #[rkyv(with = NodeDef)]
        node: NodeId,
    },
    /// Nothing was changed.
    Refused {
        /// An [`Errno`]'s code.
        errno: u16,
        /// What is wrong, in one sentence.
        text: String,
        /// What to do about it; may be empty.
        mend: String,
    },
}

/// Bytes that are not a command or an outcome. (What is wrong with them is in this node's log.)
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not something that the root group understands")]
pub struct Malformed;

impl RootCommand {
    /// As an entry's payload.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode_framed(self)
    }

    /// From an entry's payload.
    ///
    /// # Errors
    /// If it is none, or too long.
    pub fn decode(bytes: &[u8]) -> Result<RootCommand, Malformed> {
        wire::decode_framed(bytes, COMMAND_BYTES_MAX).ok_or(Malformed)
    }
}

impl RootOutcome {
    /// For the proposer.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode_framed(self)
    }

    /// What the proposer was answered.
    ///
    /// # Errors
    /// If it is none, or too long.
    pub fn decode(bytes: &[u8]) -> Result<RootOutcome, Malformed> {
        wire::decode_framed(bytes, OUTCOME_BYTES_MAX).ok_or(Malformed)
    }

    /// The error, if it is a refusal.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            RootOutcome::Refused { errno, .. } => Some(Errno::from_code(*errno).unwrap_or(Errno::INTERNAL)),
            _ => None,
        }
    }
}

/// Why a command is not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    errno: Errno,
    text: String,
    mend: String,
}

impl Refusal {
    pub(super) fn new(errno: Errno, text: impl Into<String>, mend: impl Into<String>) -> Refusal {
        Refusal { errno, text: text.into(), mend: mend.into() }
    }
}

impl From<Refusal> for RootOutcome {
    fn from(refusal: Refusal) -> RootOutcome {
        RootOutcome::Refused { errno: refusal.errno.code(), text: refusal.text, mend: refusal.mend }
    }
}
