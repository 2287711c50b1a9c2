//! What a handle stands for: an address with rights.
//!
//! Owns the value and its 64 bytes. Does not know tables: see [`crate::table`].
//!
//! ```text
//!  0        4        8        12       16                       32
//!  | kind   | rights | home   | node   | id                     |
//! 32                40                48                56      64
//!  | grant           | badge           | token           | 0      |
//! ```
//!
//! 1. What [`Capability::from_bytes`] takes, [`Capability::to_bytes`] gives back, byte for byte.

use pando_abi::{ActorId, Address, Home, NodeId, Rights};

/// What a capability reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u32)]
pub enum CapKind {
    /// An actor, a group or a service.
    #[default]
    Actor = 0,
    /// The caller that waits for an answer. Works once.
    Reply = 1,
}

/// An address with rights. Guests never see one: they hold handles.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Capability {
    /// What it reaches.
    pub kind: CapKind,
    /// Where it leads; of a reply, the caller.
    pub address: Address,
    /// What its holder may do.
    pub rights: Rights,
    /// The grant it was minted under by the actor at `address`; 0: none.
    pub grant: u64,
    /// What comes with each message through it.
    pub badge: u64,
    /// Of a reply: the caller's token.
    pub token: u64,
}

impl Capability {
    /// Bytes.
    pub const SIZE: usize = 64;

    /// A capability to an actor, a group or a service.
    pub const fn actor(address: Address, rights: Rights) -> Capability {
        Capability { kind: CapKind::Actor, address, rights, grant: 0, badge: 0, token: 0 }
    }

    /// The one-time right to answer the caller's call.
    pub const fn reply(caller: Address, token: u64) -> Capability {
        Capability { kind: CapKind::Reply, address: caller, rights: Rights::REPLY, grant: 0, badge: 0, token }
    }

    /// The layout as bytes.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0..4].copy_from_slice(&(self.kind as u32).to_le_bytes());
        out[4..8].copy_from_slice(&self.rights.0.to_le_bytes());
        out[8..12].copy_from_slice(&(self.address.home as u32).to_le_bytes());
        out[12..16].copy_from_slice(&self.address.node.0.to_le_bytes());
        out[16..32].copy_from_slice(&self.address.id.0);
        out[32..40].copy_from_slice(&self.grant.to_le_bytes());
        out[40..48].copy_from_slice(&self.badge.to_le_bytes());
        out[48..56].copy_from_slice(&self.token.to_le_bytes());
        out
    }

    /// Reads the layout. `None` where a field has a value that nobody writes.
    #[expect(clippy::indexing_slicing, reason = "every place and width in the layout is a constant below SIZE")]
    pub fn from_bytes(b: &[u8; Self::SIZE]) -> Option<Capability> {
        let u32_at = |i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        let u64_at = |i: usize| u64::from(u32_at(i)) | u64::from(u32_at(i + 4)) << 32;
        let kind = match u32_at(0) {
            0 => CapKind::Actor,
            1 => CapKind::Reply,
            _ => return None,
        };
        let rights = Rights(u32_at(4));
        if !Rights::ALL.contains(rights) || b[56..64] != [0; 8] {
            return None;
        }
        let mut id = [0; 16];
        id.copy_from_slice(&b[16..32]);
        Some(Capability {
            kind,
            address: Address { home: Home::from_u32(u32_at(8))?, node: NodeId(u32_at(12)), id: ActorId(id) },
            rights,
            grant: u64_at(32),
            badge: u64_at(40),
            token: u64_at(48),
        })
    }

    /// The same with at most these rights.
    #[must_use]
    pub const fn masked(mut self, rights: Rights) -> Capability {
        self.rights = self.rights.and(rights);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Capability {
        Capability {
            kind: CapKind::Reply,
            address: Address::actor(NodeId(3), ActorId([7; 16])),
            rights: Rights::PEER,
            grant: 1,
            badge: u64::MAX,
            token: 9,
        }
    }

    #[test]
    fn a_capability_survives_its_bytes() {
        for cap in [sample(), Capability::default(), Capability::reply(Address::service(1), 5)] {
            assert_eq!(Capability::from_bytes(&cap.to_bytes()), Some(cap));
        }
    }

    #[test]
    fn bytes_that_nobody_writes_are_refused() {
        let good = sample().to_bytes();
        for (at, value) in [(0, 2), (5, 1), (8, 3), (60, 1)] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(Capability::from_bytes(&bad), None, "byte {at} = {value}");
        }
    }
}
