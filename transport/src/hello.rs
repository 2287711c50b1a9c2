//! The first thing that both sides of a connection say: versions, realm, who, which life.
//!
//! Pure. Travels as one frame of kind [`crate::frame::Kind::Hello`] on the first bidirectional stream, the dialler's first.
//!
//! ```text
//!  0      4        6        8      9        12     16            24                      56
//!  | PNDO | newest | oldest | role | 0 0 0  | node | incarnation | realm, 32 bytes       |
//! ```
//!
//! All little-endian. A later version may append fields, which an earlier one skips.
//!
//! 1. The first twelve bytes mean the same in every version, so that a wrong version can always be told from garbage.
//! 2. Both sides come to the same version, or both to none.

use pando_abi::{Incarnation, NodeId, RealmId};

use crate::close::{Close, CloseCode};

/// Bytes of a hello of this version.
pub const HELLO_BYTES: usize = 56;
/// Bytes of a hello of any version.
pub const HELLO_BYTES_MAX: usize = 1024;

const MAGIC: &[u8; 4] = b"PNDO";

/// The protocol versions that somebody speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    /// The oldest.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
}

impl Versions {
    /// What this build speaks.
    pub const CURRENT: Versions = Versions { oldest: 1, newest: 1 };
}

/// As what somebody connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Role {
    /// A node of the realm.
    Node = 1,
    /// A person or a script.
    User = 2,
}

/// What one side says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    /// What it speaks.
    pub versions: Versions,
    /// As what it connects.
    pub role: Role,
    /// Its number; none for a user.
    pub node: NodeId,
    /// Which of its lives; zero for a user.
    pub incarnation: Incarnation,
    /// Its realm.
    pub realm: RealmId,
}

impl Hello {
    /// The bytes that travel.
    pub fn to_bytes(&self) -> [u8; HELLO_BYTES] {
        let mut out = [0; HELLO_BYTES];
        out[0..4].copy_from_slice(MAGIC);
        out[4..6].copy_from_slice(&self.versions.newest.to_le_bytes());
        out[6..8].copy_from_slice(&self.versions.oldest.to_le_bytes());
        out[8] = self.role as u8;
        out[12..16].copy_from_slice(&self.node.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.incarnation.0.to_le_bytes());
        out[24..56].copy_from_slice(&self.realm.0);
        out
    }

    /// Reads what the other side says, as far as the two versions allow it. `ours` is what this side says.
    pub fn read(bytes: &[u8], ours: &Hello) -> Result<Hello, Close> {
        let bad = |text: &str| Close::new(CloseCode::Malformed, text);
        let Some(front) = bytes.first_chunk::<12>().filter(|front| front[0..4] == *MAGIC) else {
            return Err(bad("this is no hello"));
        };
        let newest = u16::from_le_bytes([front[4], front[5]]);
        let versions = Versions { newest, oldest: u16::from_le_bytes([front[6], front[7]]) };
        common(ours.versions, versions)?;
        let Some(bytes) = bytes.first_chunk::<HELLO_BYTES>() else {
            return Err(bad("the hello is cut short"));
        };
        let role = match bytes[8] {
            1 => Role::Node,
            2 => Role::User,
            _ => return Err(bad("the hello names no known role")),
        };
        let mut node = [0; 4];
        node.copy_from_slice(&bytes[12..16]);
        let mut incarnation = [0; 8];
        incarnation.copy_from_slice(&bytes[16..24]);
        let mut realm = [0; 32];
        realm.copy_from_slice(&bytes[24..56]);
        let hello = Hello {
            versions,
            role,
            node: NodeId(u32::from_le_bytes(node)),
            incarnation: Incarnation(u64::from_le_bytes(incarnation)),
            realm: RealmId(realm),
        };
        if hello.realm != ours.realm {
            let text = format!("{:.16} here, {:.16} there", ours.realm, hello.realm);
            return Err(Close::new(CloseCode::WrongRealm, text));
        }
        if (hello.role == Role::Node) == (hello.node == NodeId::NONE) {
            return Err(bad("nodes have a number and users have none"));
        }
        Ok(hello)
    }

    /// The version that this side and the other speak together.
    pub fn version_with(&self, other: &Hello) -> Result<u16, Close> {
        common(self.versions, other.versions)
    }
}

fn common(ours: Versions, theirs: Versions) -> Result<u16, Close> {
    let version = ours.newest.min(theirs.newest);
    if version >= ours.oldest && version >= theirs.oldest {
        return Ok(version);
    }
    let text = format!("{} to {} spoken here, {} to {} there", ours.oldest, ours.newest, theirs.oldest, theirs.newest);
    Err(Close::new(CloseCode::WrongVersion, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hello(oldest: u16, newest: u16) -> Hello {
        Hello {
            versions: Versions { oldest, newest },
            role: Role::Node,
            node: NodeId(3),
            incarnation: Incarnation(77),
            realm: RealmId([5; 32]),
        }
    }

    #[test]
    fn a_hello_arrives_as_it_was_said_and_may_grow_later() {
        let said = hello(1, 4);
        let mut bytes = said.to_bytes().to_vec();
        assert_eq!(Hello::read(&bytes, &hello(2, 3)), Ok(said));
        bytes.extend([1, 2, 3]);
        assert_eq!(Hello::read(&bytes, &hello(2, 3)), Ok(said));
    }

    #[test]
    fn both_sides_come_to_the_same_version_or_to_none() {
        let check = |a: (u16, u16), b: (u16, u16), expected: Option<u16>| {
            let (a, b) = (hello(a.0, a.1), hello(b.0, b.1));
            assert_eq!(a.version_with(&b).ok(), expected);
            assert_eq!(b.version_with(&a).ok(), expected);
        };
        check((1, 1), (1, 1), Some(1));
        check((1, 3), (2, 5), Some(3));
        check((1, 1), (2, 2), None);
        check((2, 9), (1, 1), None);
    }

    #[test]
    fn what_is_wrong_with_a_hello_is_named() {
        let ours = hello(1, 1);
        let check = |bytes: &[u8], expected: CloseCode| {
            assert_eq!(Hello::read(bytes, &ours).unwrap_err().code, expected);
        };
        check(b"GET / HTTP/1.1", CloseCode::Malformed);
        check(&ours.to_bytes()[..30], CloseCode::Malformed);
        check(&hello(2, 2).to_bytes(), CloseCode::WrongVersion);
        // A later version may have another shape behind its first twelve bytes.
        check(&hello(2, 2).to_bytes()[..12], CloseCode::WrongVersion);
        let mut other = ours;
        other.realm = RealmId([6; 32]);
        check(&other.to_bytes(), CloseCode::WrongRealm);
        other = ours;
        other.role = Role::User;
        check(&other.to_bytes(), CloseCode::Malformed);
        let mut bytes = ours.to_bytes();
        bytes[8] = 3;
        check(&bytes, CloseCode::Malformed);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), magic in any::<bool>()) {
            if magic && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(MAGIC);
            }
            let _ = Hello::read(&bytes, &hello(0, u16::MAX));
        }
    }
}
