//! What travels between actors: bytes, capabilities beside them, and what the receiver is told of the sender.
//!
//! 1. A delivery is one allocation unless it says much or carries handles. It is written once, where the sender asks for it, and
//!    what is moved between there and the receiver's memory is the pointer.

use std::ops::Deref;

use pando_abi::{ActorId, Address};
use smallvec::SmallVec;

use crate::Capability;

/// Bytes that a body holds without an allocation of its own: with them a [`Message`] is as long as a cache line.
const SMALL: usize = 40;

/// Bytes of a message.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Body(SmallVec<[u8; SMALL]>);

impl Body {
    /// No bytes.
    pub fn new() -> Body {
        Body::default()
    }
    /// A copy of `bytes`.
    #[inline(always)]
    pub fn from_slice(bytes: &[u8]) -> Body {
        Body(SmallVec::from_slice(bytes))
    }
    /// Takes the bytes over.
    pub fn from_vec(bytes: Vec<u8>) -> Body {
        Body(SmallVec::from_vec(bytes))
    }
    /// Gives the bytes away.
    pub fn into_vec(self) -> Vec<u8> {
        self.0.into_vec()
    }
}

impl Deref for Body {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Body {
        Body::from_slice(bytes)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body::from_vec(bytes)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.escape_ascii())
    }
}

/// Capabilities that travel beside a body. Two words when there are none.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Handles(Option<Box<[Capability]>>);

impl Handles {
    /// None.
    pub const fn new() -> Handles {
        Handles(None)
    }
    /// A copy of `capabilities`.
    pub fn from_slice(capabilities: &[Capability]) -> Handles {
        Handles((!capabilities.is_empty()).then(|| capabilities.into()))
    }
}

impl Deref for Handles {
    type Target = [Capability];
    fn deref(&self) -> &[Capability] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl FromIterator<Capability> for Handles {
    fn from_iter<I: IntoIterator<Item = Capability>>(iter: I) -> Handles {
        let all: Box<[Capability]> = iter.into_iter().collect();
        Handles((!all.is_empty()).then_some(all))
    }
}

impl<'a> IntoIterator for &'a Handles {
    type Item = &'a Capability;
    type IntoIter = std::slice::Iter<'a, Capability>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Vec<Capability>> for Handles {
    fn from(all: Vec<Capability>) -> Handles {
        Handles((!all.is_empty()).then(|| all.into_boxed_slice()))
    }
}

impl std::fmt::Debug for Handles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.deref().fmt(f)
    }
}

/// Bytes and capabilities.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Message {
    /// The bytes.
    pub body: Body,
    /// The capabilities.
    pub handles: Handles,
}

impl Message {
    /// Only bytes.
    pub fn bytes(body: &[u8]) -> Message {
        Message { body: Body::from_slice(body), handles: Handles::new() }
    }
}

/// (origin, incarnation, seq): the same key is the same message, however often it arrives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Key {
    /// Who asks: an actor, a group or a person.
    pub origin: ActorId,
    /// Drawn at random when a plain origin starts; 0 for a group, whose numbers are in its state.
    pub incarnation: u64,
    /// Counts up from 1 for each (origin, incarnation, receiver).
    pub seq: u64,
}

/// Where an answer goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ReplyTo {
    /// Who asked.
    pub address: Address,
    /// The asker's token.
    pub token: u64,
}

impl ReplyTo {
    /// Where a reply capability leads.
    #[inline]
    pub fn of(reply: &Capability) -> ReplyTo {
        ReplyTo { address: reply.address, token: reply.token }
    }
}

/// A message and how it was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Who sent it: told when it cannot be delivered.
    pub from: Address,
    /// The grant that the sender's handle carries.
    pub grant: u64,
    /// The badge that it carries.
    pub badge: u64,
    /// [`pando_abi::call::call_flags`].
    pub flags: i32,
    /// Where the answer goes, if it is a call.
    pub reply: Option<ReplyTo>,
    /// By which the receiver knows it again.
    pub key: Option<Box<Key>>,
    /// What it says.
    pub message: Message,
}

impl Delivery {
    /// A message that wants no answer, through no capability.
    #[inline]
    pub fn new(from: Address, message: Message) -> Delivery {
        Delivery { from, grant: 0, badge: 0, flags: 0, reply: None, key: None, message }
    }

    /// The same through a capability.
    #[inline(always)]
    pub fn through(target: &Capability, from: Address, message: Message) -> Box<Delivery> {
        let Capability { grant, badge, .. } = *target;
        Box::new(Delivery { from, grant, badge, flags: 0, reply: None, key: None, message })
    }
}
