//! The vocabulary of the admin interface.
//!
//! Encoded by rkyv, validated before use, capped at [`REQUEST_BYTES_MAX`] and [`REPLY_BYTES_MAX`].
//!
//! 1. A request is answered by exactly one [`Reply`], except `Log` that follows, which goes on until the stream closes, and `Watch`, which
//!    is answered by two.
//! 2. A refusal is [`Reply::Refused`]: an errno, one sentence, and the mend.
//! 3. Targets are written as people write them: a name (`hits`), an address (`n1/7f3a2b10`, `group/7f3a2b10`) or a prefix
//!    of an id that fits one actor only.

#![allow(missing_docs, reason = "what rkyv derives has none")]

mod rows;

use rkyv::{Archive, Deserialize, Serialize};

pub use rows::*;

/// Bytes of one encoded request: a module of the largest size and a little more.
pub const REQUEST_BYTES_MAX: usize = pando_abi::limits::MODULE_BYTES_MAX + (64 << 10);
/// Bytes of one encoded reply.
pub const REPLY_BYTES_MAX: usize = 4 << 20;

/// (origin, incarnation, seq): the same key is the same call, however often it arrives.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SequenceKey {
    /// Who asks: derived from the asker's public key.
    pub origin: [u8; 16],
    /// Drawn at random when the asker starts.
    pub incarnation: u64,
    /// Counts up from 1.
    pub seq: u64,
}

/// What to spawn.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct SpawnRequest {
    /// Hash of a module that the node has or the realm knows.
    pub module: [u8; 32],
    /// A name to register in the same step.
    pub name: Option<String>,
    /// The node, or the one that is asked.
    pub node: Option<u32>,
    /// 0: a plain actor; 1 and more: a group with so many voters.
    pub replicas: u8,
    /// A [`pando_abi::Restart`] as its number.
    pub restart: u8,
    /// A [`pando_abi::Priority`] as its number.
    pub priority: u8,
    /// Limit of linear memory in bytes; 0: the default.
    pub memory_bytes: u64,
    /// Limit of processor time of one handler in milliseconds; 0: the default.
    pub handler_ms: u16,
    /// Body of the start event: CBOR array of arguments, or empty.
    pub args: Vec<u8>,
    /// Grant the realm service.
    pub realm: bool,
    /// The same key is the same spawn.
    pub key: SequenceKey,
}

/// What a person or script asks.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Who are you, and which realm? Answered by [`Reply::Hello`].
    Hello,
    /// The realm's nodes. [`Reply::Nodes`].
    Nodes,
    /// Actors and groups of the whole realm, or of one node. [`Reply::Actors`].
    Ps {
        /// Only this node.
        node: Option<u32>,
    },
    /// Names in the realm. [`Reply::Names`].
    Names,
    /// Is this module there? [`Reply::Module`] or a refusal with `NO_MODULE`.
    HasModule {
        /// BLAKE3 of its bytes.
        hash: [u8; 32],
    },
    /// Puts a module in the realm's store. [`Reply::Module`].
    PutModule {
        /// A name for people: `counter`.
        label: String,
        /// The Wasm bytes.
        wasm: Vec<u8>,
    },
    /// Spawns. [`Reply::Spawned`].
    Spawn(SpawnRequest),
    /// What can be called on a target. [`Reply::Interface`].
    Interface {
        /// The target.
        target: String,
    },
    /// Calls and waits for the answer. [`Reply::Answer`].
    Call {
        /// The target.
        target: String,
        /// The message's body.
        body: Vec<u8>,
        /// Targets whose handles travel with the message; the node resolves them. The body has their indices.
        handles: Vec<String>,
        /// [`pando_abi::call::call_flags`].
        flags: u32,
        /// How long to wait, in milliseconds.
        deadline_ms: u32,
        /// The same key is the same call.
        key: SequenceKey,
    },
    /// Sends and does not wait for an answer. [`Reply::Done`] once the message is on its way (to a group: committed).
    Send {
        /// The target.
        target: String,
        /// The message's body.
        body: Vec<u8>,
        /// Targets whose handles travel with the message; the node resolves them. The body has their indices.
        handles: Vec<String>,
        /// The same key is the same message.
        key: SequenceKey,
    },
    /// What became of a call or send whose answer was not heard? [`Reply::Outcome`]. If it has not happened by now, it never
    /// will: a copy that comes later is refused.
    Outcome {
        /// The target that was called.
        target: String,
        /// The key of that call.
        key: SequenceKey,
    },
    /// Ends an actor or group. [`Reply::Done`].
    Kill {
        /// The target.
        target: String,
    },
    /// Links two actors to each other. [`Reply::Done`].
    Link {
        /// One.
        a: String,
        /// The other.
        b: String,
        /// Undo instead.
        unlink: bool,
    },
    /// Who is that? [`Reply::Located`].
    Locate {
        /// The target.
        target: String,
    },
    /// Watches until the target ends: [`Reply::Located`] when it is on its way, and [`Reply::Down`].
    Watch {
        /// The target.
        target: String,
    },
    /// Everything that is known about one target. [`Reply::Details`].
    Inspect {
        /// The target.
        target: String,
    },
    /// The latest log lines, then, if asked, those to come: [`Reply::Log`], many.
    Log {
        /// Only of this target.
        target: Option<String>,
        /// How many of the latest.
        tail: u32,
        /// Go on.
        follow: bool,
    },
    /// Counters of every node that can be reached. [`Reply::Top`].
    Top,
    /// Gives a name to a target, or takes it away (`target` is `None`). [`Reply::Done`].
    Name {
        /// The name.
        name: String,
        /// What it shall mean.
        target: Option<String>,
    },
    /// Gives an actor or group another module. [`Reply::Upgraded`]. Asking for a module that runs already changes nothing.
    Upgrade {
        /// The target.
        target: String,
        /// Hash of a module that the realm knows.
        module: [u8; 32],
    },
    /// Changes the voters of a group. [`Reply::Done`] when they are these.
    Voters {
        /// The group.
        target: String,
        /// The nodes that shall hold it.
        nodes: Vec<u32>,
    },
    /// Has some nodes hold a group too, and some no longer. [`Reply::Held`] when it is so.
    Reseat {
        /// The group.
        target: String,
        /// Nodes that shall hold it too.
        add: Vec<u32>,
        /// Nodes that shall no longer.
        remove: Vec<u32>,
    },
    /// Moves a plain actor with everything that it is. [`Reply::Moved`] when it runs there.
    Move {
        /// The actor.
        target: String,
        /// The node where it shall live.
        node: u32,
    },
    /// Has the asked node give its plain actors to others. [`Reply::Vacated`].
    Vacate,
    /// Makes a ticket good: whoever proves its key may have one node admitted. [`Reply::Ticket`].
    Ticket {
        /// The public half of a key that the asker has drawn.
        key: [u8; 32],
        /// For how long, in milliseconds.
        lifetime_ms: u64,
    },
    /// Admits a node; the asker proves a ticket's key and may ask nothing else. [`Reply::Joined`].
    Join {
        /// The node's public key.
        key: [u8; 32],
        /// Where it listens: an IP address and a port.
        addr: String,
    },
    /// Takes a node out of the realm for good. [`Reply::Done`] when it is forgotten.
    RemoveNode {
        /// The node.
        node: u32,
        /// Groups that cannot go on without it end.
        lost: bool,
    },
    /// Has nothing held on a node, or allows it again. [`Reply::Drained`] when nothing more can be moved.
    Drain {
        /// The node.
        node: u32,
        /// Nothing shall be held on it.
        drained: bool,
    },
    /// How long a node is waited for before its replicas go elsewhere. [`Reply::Settings`].
    Settings {
        /// In milliseconds, 0 for ever; `None`: as it is.
        replace_after_ms: Option<u64>,
    },
    /// Has the asked node hold still towards groups while a backup is made: see `kernel/src/backup.rs`. [`Reply::Done`].
    Hold {
        /// A number that was drawn for this backup.
        backup: u64,
        /// For how long, in milliseconds.
        lasts_ms: u32,
        /// Only if it has held since the backup began.
        renew: bool,
    },
    /// The asked node need hold no longer. [`Reply::Done`].
    Release {
        /// For whom it held.
        backup: u64,
    },
    /// Which groups and modules there are. [`Reply::Plan`].
    CopyPlan,
    /// A piece of a group's copy, of a node that holds the group and holds still. [`Reply::Piece`].
    CopyGroup {
        /// For whom it holds still.
        backup: u64,
        /// The group.
        group: [u8; 16],
        /// Where the piece begins; 0 makes the copy.
        offset: u64,
    },
    /// A piece of a module. [`Reply::Piece`].
    CopyModule {
        /// BLAKE3 of its bytes.
        hash: [u8; 32],
        /// Where the piece begins.
        offset: u64,
    },
    /// Stops the asked node in order. [`Reply::Done`], then the node goes.
    Stop,
}

/// What a node answers.
#[derive(Archive, Serialize, Deserialize, Clone, PartialEq, Debug)]
pub enum Reply {
    /// To `Hello`.
    Hello {
        /// The realm.
        realm: [u8; 32],
        /// The node that answers.
        node: u32,
        /// Its version.
        version: String,
        /// Can it answer for the realm: has it caught up with the root group, and does that have a leader?
        ready: bool,
    },
    /// To `Nodes`.
    Nodes(Vec<NodeRow>),
    /// To `Ps`.
    Actors {
        /// The rows.
        rows: Vec<ActorRow>,
        /// Nodes that did not answer in time, so that their plain actors are missing.
        silent: Vec<u32>,
    },
    /// To `Names`.
    Names(Vec<NameRow>),
    /// To `HasModule` and `PutModule`.
    Module {
        /// BLAKE3 of its bytes.
        hash: [u8; 32],
        /// Bytes.
        size: u64,
    },
    /// To `Spawn`.
    Spawned(ActorRow),
    /// To `Interface`.
    Interface {
        /// The text of the module's `pando.interface` section; empty if it has none.
        text: String,
        /// Is the target a group?
        group: bool,
    },
    /// To `Call`.
    Answer {
        /// 0, or the code of an errno.
        status: u16,
        /// CBOR value, or CBOR text with the receiver's words.
        body: Vec<u8>,
        /// How final the answer is.
        level: Level,
        /// The index in the group's log that the answer stands on; 0 for a plain actor.
        index: u64,
        /// Who answered: the node, or the group's leader.
        node: u32,
        /// Handles that came along, as addresses for people.
        handles: Vec<String>,
    },
    /// To `Outcome`.
    Outcome {
        /// What became of it.
        fate: CallFate,
        /// How final that is.
        level: Level,
        /// The index in the group's log that it stands on; 0 for a plain actor.
        index: u64,
        /// Who says so: the node, or the group's leader.
        node: u32,
    },
    /// To `Locate`, and first to `Watch`.
    Located {
        /// Where it was born; 0: it is a group.
        node: u32,
        /// Its id.
        id: [u8; 16],
    },
    /// To `Watch`: the target ended.
    Down {
        /// The target's address.
        target: String,
        /// How: `fault`, `killed` ...
        kind: String,
        /// Code given to `exit`.
        code: i32,
        /// The reason and, for a fault, the guest's backtrace.
        message: String,
    },
    /// To `Upgrade`: it runs the module.
    Upgraded {
        /// How its state came over.
        carried: Carried,
        /// The index in the group's log from which it runs; 0 for a plain actor.
        index: u64,
        /// How many modules the group has run; 0 for a plain actor.
        epoch: u32,
    },
    /// To `Inspect`: titled lines, in order.
    Details(Vec<(String, String)>),
    /// To `Log`.
    Log(Vec<LogLine>),
    /// To `Top`.
    Top(Vec<TopRow>),
    /// To `Reseat`: the nodes that hold the group now.
    Held(Vec<u32>),
    /// To `Ticket`: where one may come with it.
    Ticket {
        /// The realm.
        realm: [u8; 32],
        /// Nodes that admit: those that are up, the one that answers first.
        nodes: Vec<Contact>,
    },
    /// To `Join`.
    Joined {
        /// The number that the node has now.
        node: u32,
        /// Every node of the realm, the new one too.
        nodes: Vec<Contact>,
        /// Keys of those who may use the admin interface.
        users: Vec<[u8; 32]>,
    },
    /// To `Drain`.
    Drained {
        /// Names or addresses of groups that keep a replica on it, because no other node can take it.
        stay: Vec<String>,
        /// Plain actors that are on it still; `None`: it does not answer.
        actors: Option<u64>,
        /// Plain actors that moved elsewhere.
        moved: u64,
        /// Plain actors that could not be moved, and why.
        kept: Vec<(String, String)>,
    },
    /// To `Move`.
    Moved {
        /// Where it lived.
        from: u32,
        /// Where it lives.
        to: u32,
        /// Bytes that were carried; 0: it lived there already.
        bytes: u64,
        /// From when its messages were held until it ran again, in microseconds.
        paused_us: u64,
    },
    /// To `Vacate`.
    Vacated {
        /// How many were moved.
        moved: u64,
        /// Those that could not be, and why.
        stay: Vec<(String, String)>,
    },
    /// To `Settings`.
    Settings {
        /// Milliseconds until the replicas of a node that is gone go elsewhere; 0: never.
        replace_after_ms: u64,
    },
    /// To `CopyPlan`.
    Plan {
        /// The groups that are alive.
        groups: Vec<CopyRow>,
        /// Hashes of the modules.
        modules: Vec<[u8; 32]>,
    },
    /// To `CopyGroup` and `CopyModule`.
    Piece {
        /// Bytes of the whole.
        total: u64,
        /// From the offset on, some of them; none: there are no more.
        bytes: Vec<u8>,
    },
    /// It is done.
    Done,
    /// It is not done.
    Refused {
        /// An [`pando_abi::Errno`] code.
        errno: u16,
        /// What is wrong, in one sentence.
        text: String,
        /// What to do about it; may be empty.
        mend: String,
    },
}

impl Reply {
    /// A refusal.
    pub fn refused(errno: pando_abi::Errno, text: impl Into<String>, mend: impl Into<String>) -> Reply {
        Reply::Refused { errno: errno.code(), text: text.into(), mend: mend.into() }
    }
}

/// Bytes that are not what they should be.
#[derive(Debug, thiserror::Error)]
#[error("malformed admin message: {0}")]
pub struct Malformed(String);

macro_rules! codec {
    ($ty:ident, $max:ident) => {
        impl $ty {
            /// Encodes.
            pub fn encode(&self) -> Vec<u8> {
                // Encoding to memory fails only when memory does.
                rkyv::to_bytes::<rkyv::rancor::Error>(self).map(|b| b.to_vec()).unwrap_or_default()
            }
            /// Decodes what a stranger sent: capped and validated.
            pub fn decode(bytes: &[u8]) -> Result<$ty, Malformed> {
                if bytes.len() > $max {
                    return Err(Malformed(format!("{} bytes, at most {} are taken", bytes.len(), $max)));
                }
                // Validation wants the buffer aligned; what comes off a socket is not.
                let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(bytes.len());
                aligned.extend_from_slice(bytes);
                rkyv::from_bytes::<$ty, rkyv::rancor::Error>(&aligned).map_err(|e| Malformed(e.to_string()))
            }
        }
    };
}
codec!(Request, REQUEST_BYTES_MAX);
codec!(Reply, REPLY_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_as_it_went() {
        let request = Request::Call {
            target: "hits".into(),
            body: vec![1, 2, 3],
            handles: vec!["hits".into()],
            flags: 1,
            deadline_ms: 5_000,
            key: SequenceKey { origin: [7; 16], incarnation: 8, seq: 9 },
        };
        assert_eq!(Request::decode(&request.encode()).unwrap(), request);
    }

    #[test]
    fn torn_and_foreign_bytes_are_refused() {
        let bytes = Request::Names.encode();
        assert!(Request::decode(&bytes[..bytes.len() / 2]).is_err());
        assert!(Request::decode(&[0xff; 64]).is_err());
        assert!(Request::decode(&[]).is_err());
    }
}
