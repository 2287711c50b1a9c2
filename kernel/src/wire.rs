//! How inputs look on a wire and in a log: rkyv, validated, capped.
//!
//! These types are flat on purpose (scalars, byte vectors, options): no shared pointers, no hash maps. What arrives is
//! an allegation until [`decode`] has returned.
//!
//! 1. `decode(encode(x)) == x`.
//! 2. No bytes make `decode` panic or take more memory than a small multiple of their length.

#![allow(missing_docs, reason = "fields of variants that say what they are, and what rkyv derives")]

use std::sync::Arc;

use pando_abi::{ActorId, Address, ExitKind, Home, NodeId, SpawnSpec};
use pando_actors::{Body, Capability, Exit, Handles, Message};
use rkyv::{Archive, Deserialize, Serialize};

use crate::input::{Delivery, Input, Key, Moved, ReplyTo, SpawnOrder, Standing};

/// Bytes of one encoded item at most: the largest message with all its handles, and its frame.
pub const ITEM_BYTES_MAX: usize = pando_abi::limits::MESSAGE_BYTES_MAX + (16 << 10);

/// What the places of all that is encoded are multiples of.
const ALIGNMENT: usize = 16;

/// Bytes that are not what they should be.
#[derive(Debug, thiserror::Error)]
#[error("malformed: {0}")]
pub struct Malformed(pub String);

/// An [`Address`].
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireAddress {
    home: u8,
    node: u32,
    id: [u8; 16],
}

impl From<Address> for WireAddress {
    fn from(a: Address) -> Self {
        WireAddress { home: a.home as u8, node: a.node.0, id: a.id.0 }
    }
}

impl WireAddress {
    /// The address, if its parts make one.
    pub fn open(self) -> Result<Address, Malformed> {
        let home = Home::from_u32(self.home as u32).ok_or_else(|| Malformed(format!("home {}", self.home)))?;
        Ok(Address { home, node: NodeId(self.node), id: ActorId(self.id) })
    }
}

/// A [`Message`].
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct WireMessage {
    body: Vec<u8>,
    handles: Vec<[u8; 64]>,
}

impl From<&Message> for WireMessage {
    fn from(m: &Message) -> Self {
        WireMessage { body: m.body.to_vec(), handles: m.handles.iter().map(Capability::to_bytes).collect() }
    }
}

impl WireMessage {
    /// The message, if it is within the limits.
    pub fn open(self) -> Result<Message, Malformed> {
        Ok(Message { body: open_body(self.body)?, handles: open_handles(&self.handles)? })
    }
}

fn open_body(body: Vec<u8>) -> Result<Body, Malformed> {
    if body.len() > pando_abi::limits::MESSAGE_BYTES_MAX {
        return Err(Malformed(format!("a body of {} bytes", body.len())));
    }
    Ok(Body::from_vec(body))
}

fn open_handles(handles: &[[u8; 64]]) -> Result<Handles, Malformed> {
    if handles.len() > pando_abi::limits::MESSAGE_HANDLES_MAX {
        return Err(Malformed(format!("{} handles", handles.len())));
    }
    handles.iter().map(open_capability).collect()
}

fn open_capability(bytes: &[u8; 64]) -> Result<Capability, Malformed> {
    Capability::from_bytes(bytes).ok_or_else(|| Malformed("a handle".into()))
}

/// A [`Key`].
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireKey {
    origin: [u8; 16],
    incarnation: u64,
    seq: u64,
}

impl From<Key> for WireKey {
    fn from(k: Key) -> Self {
        WireKey { origin: k.origin.0, incarnation: k.incarnation, seq: k.seq }
    }
}

impl WireKey {
    /// The key.
    pub fn open(self) -> Key {
        Key { origin: ActorId(self.origin), incarnation: self.incarnation, seq: self.seq }
    }
}

/// An [`Exit`].
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct WireExit {
    kind: u16,
    code: i32,
    message: String,
}

impl From<&Exit> for WireExit {
    fn from(e: &Exit) -> Self {
        WireExit { kind: e.kind as u16, code: e.code, message: e.message.clone() }
    }
}

impl WireExit {
    /// The reason, if its kind is known.
    pub fn open(self) -> Result<Exit, Malformed> {
        let kind = ExitKind::from_u16(self.kind).ok_or_else(|| Malformed(format!("exit kind {}", self.kind)))?;
        Ok(Exit { kind, code: self.code, message: self.message })
    }
}

/// An [`Input`].
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub enum WireInput {
    /// [`Input::Start`]
    Start { args: Vec<u8>, handles: Vec<[u8; 64]>, restarted: bool },
    /// [`Input::Message`]
    Message {
        from: WireAddress,
        grant: u64,
        badge: u64,
        flags: i32,
        reply: Option<(WireAddress, u64)>,
        key: Option<WireKey>,
        message: WireMessage,
    },
    /// [`Input::Reply`]
    Reply { token: u64, status: u16, message: WireMessage, index: u64, linear: bool, node: u32 },
    /// [`Input::Timer`]
    Timer { id: u64 },
    /// [`Input::Deadline`]
    Deadline { token: u64 },
    /// [`Input::Watch`]
    Watch { watcher: WireAddress, id: u64, grant: u64 },
    /// [`Input::Unwatch`]
    Unwatch { watcher: WireAddress, id: u64 },
    /// [`Input::Link`]
    Link { peer: WireAddress, grant: u64 },
    /// [`Input::Unlink`]
    Unlink { peer: WireAddress },
    /// [`Input::Down`]
    Down { target: WireAddress, exit: WireExit },
    /// [`Input::Outcome`]
    Outcome { key: WireKey, reply: (WireAddress, u64) },
    /// [`Input::Kill`]
    Kill { by: WireAddress, grant: u64 },
    /// [`Input::NodeDown`]
    NodeDown { node: u32 },
    /// [`Input::Bounce`]
    Bounce { status: u16, count: u64 },
    /// [`Input::ChildEnded`]
    ChildEnded { child: WireAddress },
    /// [`Input::NodeDownBut`]
    NodeDownBut { node: u32, away: Vec<WireAddress>, here: Vec<WireAddress> },
}

impl From<&Input> for WireInput {
    fn from(input: &Input) -> Self {
        match input {
            Input::Start { args, handles, restarted } => WireInput::Start {
                args: args.to_vec(),
                handles: handles.iter().map(Capability::to_bytes).collect(),
                restarted: *restarted,
            },
            Input::Message(d) => WireInput::Message {
                from: d.from.into(),
                grant: d.grant,
                badge: d.badge,
                flags: d.flags,
                reply: d.reply.map(|r| (r.address.into(), r.token)),
                key: d.key.as_deref().copied().map(Into::into),
                message: (&d.message).into(),
            },
            Input::Reply { token, status, message, standing } => WireInput::Reply {
                token: *token,
                status: *status,
                message: (&**message).into(),
                index: standing.index,
                linear: standing.linear,
                node: standing.node,
            },
            Input::Timer { id } => WireInput::Timer { id: *id },
            Input::Deadline { token } => WireInput::Deadline { token: *token },
            Input::Watch { watcher, id, grant } => {
                WireInput::Watch { watcher: (*watcher).into(), id: *id, grant: *grant }
            }
            Input::Unwatch { watcher, id } => WireInput::Unwatch { watcher: (*watcher).into(), id: *id },
            Input::Link { peer, grant } => WireInput::Link { peer: (*peer).into(), grant: *grant },
            Input::Unlink { peer } => WireInput::Unlink { peer: (*peer).into() },
            Input::Down { target, exit } => WireInput::Down { target: (*target).into(), exit: exit.into() },
            Input::Outcome { key, reply } => {
                WireInput::Outcome { key: (*key).into(), reply: (reply.address.into(), reply.token) }
            }
            Input::Kill { by, grant } => WireInput::Kill { by: (*by).into(), grant: *grant },
            Input::NodeDown { node } => WireInput::NodeDown { node: *node },
            Input::Bounce { status, count } => WireInput::Bounce { status: *status, count: *count },
            Input::ChildEnded { child } => WireInput::ChildEnded { child: (*child).into() },
            Input::NodeDownBut { node, moved } => WireInput::NodeDownBut {
                node: *node,
                away: moved.away.iter().map(|a| (*a).into()).collect(),
                here: moved.here.iter().map(|a| (*a).into()).collect(),
            },
        }
    }
}

impl WireInput {
    /// The input, if every part of it holds.
    pub fn open(self) -> Result<Input, Malformed> {
        Ok(match self {
            WireInput::Start { args, handles, restarted } => {
                Input::Start { args: open_body(args)?, handles: open_handles(&handles)?, restarted }
            }
            WireInput::Message { from, grant, badge, flags, reply, key, message } => {
                let reply = match reply {
                    Some((address, token)) => Some(ReplyTo { address: address.open()?, token }),
                    None => None,
                };
                Input::Message(Box::new(Delivery {
                    from: from.open()?,
                    grant,
                    badge,
                    flags,
                    reply,
                    key: key.map(|key| Box::new(key.open())),
                    message: message.open()?,
                }))
            }
            WireInput::Reply { token, status, message, index, linear, node } => Input::Reply {
                token,
                status,
                message: Box::new(message.open()?),
                standing: Standing { index, linear, node },
            },
            WireInput::Timer { id } => Input::Timer { id },
            WireInput::Deadline { token } => Input::Deadline { token },
            WireInput::Watch { watcher, id, grant } => Input::Watch { watcher: watcher.open()?, id, grant },
            WireInput::Unwatch { watcher, id } => Input::Unwatch { watcher: watcher.open()?, id },
            WireInput::Link { peer, grant } => Input::Link { peer: peer.open()?, grant },
            WireInput::Unlink { peer } => Input::Unlink { peer: peer.open()? },
            WireInput::Down { target, exit } => Input::Down { target: target.open()?, exit: exit.open()? },
            WireInput::Outcome { key, reply: (address, token) } => {
                Input::Outcome { key: key.open(), reply: ReplyTo { address: address.open()?, token } }
            }
            WireInput::Kill { by, grant } => Input::Kill { by: by.open()?, grant },
            WireInput::NodeDown { node } => Input::NodeDown { node },
            WireInput::Bounce { status, count } => Input::Bounce { status, count },
            WireInput::ChildEnded { child } => Input::ChildEnded { child: child.open()? },
            WireInput::NodeDownBut { node, away, here } => {
                let open = |list: Vec<WireAddress>| list.into_iter().map(WireAddress::open).collect::<Result<_, _>>();
                Input::NodeDownBut { node, moved: Arc::new(Moved { away: open(away)?, here: open(here)? }) }
            }
        })
    }
}

/// A [`SpawnOrder`].
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct WireSpawn {
    child: WireAddress,
    spec: [u8; SpawnSpec::SIZE],
    args: Vec<u8>,
    handles: Vec<[u8; 64]>,
    parent: [u8; 64],
    realm: Option<[u8; 64]>,
}

impl From<&SpawnOrder> for WireSpawn {
    fn from(o: &SpawnOrder) -> Self {
        WireSpawn {
            child: o.child.into(),
            spec: o.spec.to_bytes(),
            args: o.args.to_vec(),
            handles: o.handles.iter().map(Capability::to_bytes).collect(),
            parent: o.parent.to_bytes(),
            realm: o.realm.as_ref().map(Capability::to_bytes),
        }
    }
}

impl WireSpawn {
    /// The order, if every part of it holds.
    pub fn open(self) -> Result<SpawnOrder, Malformed> {
        Ok(SpawnOrder {
            child: self.child.open()?,
            spec: SpawnSpec::from_bytes(&self.spec).ok_or_else(|| Malformed("a spawn spec".into()))?,
            args: open_body(self.args)?,
            handles: open_handles(&self.handles)?,
            parent: open_capability(&self.parent)?,
            realm: self.realm.as_ref().map(open_capability).transpose()?,
        })
    }
}

/// What nodes say to each other on the actor channel.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub enum Envelope {
    /// Bring an input to an address at the receiving node (or to a group's replica there).
    Deliver { from: WireAddress, to: WireAddress, input: WireInput },
    /// The same, from a group: acknowledged with [`ControlMessage::Ack`], delivered once.
    Stamped { group: [u8; 16], seq: u64, index: u64, to: WireAddress, input: WireInput },
    /// Start an actor at the receiving node.
    Spawn(WireSpawn),
    /// The same, from a group.
    StampedSpawn { group: [u8; 16], seq: u64, index: u64, order: WireSpawn },
    /// Bring an input to an actor that has moved to the receiving node; it is not passed on again.
    Passed { from: WireAddress, to: WireAddress, input: WireInput },
    /// The same, from a group that is led at `speaker`, who is to be acknowledged.
    PassedStamped { speaker: u32, group: [u8; 16], seq: u64, index: u64, to: WireAddress, input: WireInput },
    /// Pack an actor that lives at the receiving node, for `target`. It is on this channel because everything that was
    /// passed to the actor has come before it.
    Pack { mark: u64, before: u64, address: WireAddress, target: u32 },
}

/// What nodes say to each other on the control channel.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub enum ControlMessage {
    /// A group's effect to `to` has arrived: it need not be said again.
    Ack { group: [u8; 16], to: WireAddress, seq: u64 },
    /// An admin request on behalf of somebody who asked the sending node.
    Admin { id: u64, request: Vec<u8> },
    /// Its answer.
    AdminReply { id: u64, reply: Vec<u8> },
    /// A piece of a module is wanted.
    FetchModule { hash: [u8; 32], offset: u64 },
    /// Here it is; `total` 0: not here.
    ModulePiece { hash: [u8; 32], offset: u64, total: u64, bytes: Vec<u8> },
    /// The sender's disk is empty: may it begin, with this number?
    MayBegin { life: u64 },
    /// What is known of that.
    Begins { life: u64, word: BeginWord },
    /// A step of carrying a plain actor elsewhere; the mark says which time.
    Move { mark: u64, step: MoveStep },
    /// A plain actor that was born at the receiving node has ended at the sending one.
    Ended { address: WireAddress, exit: WireExit },
    /// The nodes of the realm as the sender knows them at this index of the root group's log: (number, key, address).
    Members { at: u64, nodes: Vec<(u32, [u8; 32], String)> },
}

/// What is said while a plain actor is carried elsewhere: see [`crate::moving`].
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub enum MoveStep {
    /// To the target, before anything stands still: have this module ready, and room.
    Prepare { module: [u8; 32] },
    /// From the target: so it is.
    Prepared,
    /// From the source: it stands still, and is so many bytes.
    Packed { total: u64 },
    /// To the target: fetch it there.
    Offer { address: WireAddress, source: u32, total: u64, before: u64 },
    /// To the source: a piece from here on, please.
    Fetch { offset: u64 },
    /// From the source.
    Piece { offset: u64, bytes: Vec<u8> },
    /// From the target: it is all here, and could run.
    Ready,
    /// From source or target: it cannot be.
    Refused { errno: u16, text: String, mend: String },
    /// To both: the realm has written it down.
    Go,
    /// To both: it stays where it is.
    Undo,
    /// From the source to itself as leader of the move: it is gone from here.
    Left,
    /// From the target: it runs.
    Started,
}

/// What a node knows of another one that would begin.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub enum BeginWord {
    /// The realm has written down that it begins now.
    Begin,
    /// It has begun before, on another disk.
    Refused { text: String, mend: String },
    /// This node's own disk knows of no founding either.
    Blank,
}

/// What is sent at once of something longer: from the offset on, none behind its end.
pub fn piece(bytes: &[u8], offset: u64, bytes_max: usize) -> &[u8] {
    let rest = usize::try_from(offset).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
    rest.get(..bytes_max).unwrap_or(rest)
}

/// Encodes.
pub fn encode<T>(value: &T) -> Vec<u8>
where
    T: for<'a> Serialize<
        rkyv::api::high::HighSerializer<Vec<u8>, rkyv::ser::allocator::ArenaHandle<'a>, rkyv::rancor::Error>,
    >,
{
    // Serialising to memory fails only when memory does.
    rkyv::api::high::to_bytes_in(value, Vec::new()).unwrap_or_default()
}

/// Decodes what another machine or a disk holds: length first, then every byte validated.
///
/// # Errors
/// If the bytes are too many or are not a `T`.
pub fn decode<T>(bytes: &[u8], bytes_max: usize) -> Result<T, Malformed>
where
    T: Archive,
    T::Archived: for<'a> rkyv::bytecheck::CheckBytes<rkyv::api::high::HighValidator<'a, rkyv::rancor::Error>>
        + Deserialize<T, rkyv::api::high::HighDeserializer<rkyv::rancor::Error>>,
{
    if bytes.len() > bytes_max {
        return Err(Malformed(format!("{} bytes, at most {bytes_max} are taken", bytes.len())));
    }
    // Validation wants the buffer aligned; what is a part of something else may not be.
    let decoded = if bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
        rkyv::from_bytes::<T, rkyv::rancor::Error>(bytes)
    } else {
        let mut aligned = rkyv::util::AlignedVec::<ALIGNMENT>::with_capacity(bytes.len());
        aligned.extend_from_slice(bytes);
        rkyv::from_bytes::<T, rkyv::rancor::Error>(&aligned)
    };
    decoded.map_err(|e| Malformed(e.to_string()))
}
