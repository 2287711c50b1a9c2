//! What travels between actors: bytes, and capabilities beside them.
//!
//! 1. A message is small to move; what it says stays where it was put. No bytes and no handles cost no allocation.

use std::ops::Deref;

use crate::Capability;

/// Bytes of a message. Two words: a message is moved often between a sender's memory and a receiver's.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Body(Box<[u8]>);

impl Body {
    /// No bytes.
    pub fn new() -> Body {
        Body::default()
    }
    /// A copy of `bytes`.
    #[inline]
    pub fn from_slice(bytes: &[u8]) -> Body {
        Body(bytes.into())
    }
    /// Takes the bytes over.
    pub fn from_vec(bytes: Vec<u8>) -> Body {
        Body(bytes.into())
    }
    /// Gives the bytes away.
    pub fn into_vec(self) -> Vec<u8> {
        self.0.into()
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
