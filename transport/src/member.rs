//! Who may connect: the committed set of nodes and users, and the one decision that is made with it.
//!
//! Pure. Authentication (the TLS handshake) says who somebody is; this says whether they may.
//!
//! 1. The decision is made at every connection, and made again for every open one whenever the set changes.
//! 2. No node id and no key stands twice among the members: the first one counts.

use std::net::SocketAddr;

use pando_abi::{NodeId, RealmId};

use crate::close::{Close, CloseCode};
use crate::hello::Role;
use crate::identity::PublicKey;

/// A node of the realm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its number.
    pub node: NodeId,
    /// Its key.
    pub key: PublicKey,
    /// Where it listens.
    pub addr: SocketAddr,
}

/// The nodes of the realm and the keys of those who may administer it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberSet {
    /// The realm.
    pub realm: RealmId,
    /// Its nodes.
    pub members: Vec<Member>,
    /// Keys that may send requests.
    pub users: Vec<PublicKey>,
}

impl MemberSet {
    /// The member with this number.
    pub fn member(&self, node: NodeId) -> Option<&Member> {
        self.members.iter().find(|m| m.node == node)
    }

    /// The member with this key.
    pub fn by_key(&self, key: &PublicKey) -> Option<&Member> {
        self.members.iter().find(|m| m.key == *key)
    }

    /// Whether this key may send requests.
    pub fn is_user(&self, key: &PublicKey) -> bool {
        self.users.contains(key)
    }

    /// Whether whoever has proved `key` may connect as what they claim to be.
    pub fn authorise(&self, key: &PublicKey, role: Role, node: NodeId) -> Result<(), Close> {
        let unknown = || {
            let text = format!("key {key:.16} is not in the member set");
            Close::new(CloseCode::UnknownKey, text)
        };
        match role {
            Role::User if self.is_user(key) => Ok(()),
            Role::User if self.by_key(key).is_some() => {
                Err(Close::new(CloseCode::NotAllowed, format!("key {key:.16} is a node's and no user's")))
            }
            Role::User => Err(unknown()),
            Role::Node => match self.by_key(key) {
                Some(member) if member.node == node => Ok(()),
                Some(member) => Err(Close::new(
                    CloseCode::WrongNode,
                    format!("key {key:.16} is {}'s and not {node}'s", member.node),
                )),
                None if self.is_user(key) => {
                    Err(Close::new(CloseCode::NotAllowed, format!("key {key:.16} is a user's and no node's")))
                }
                None => Err(unknown()),
            },
        }
    }

    /// Whether this key may connect at all: what can be told before the hello.
    pub fn knows(&self, key: &PublicKey) -> Result<(), Close> {
        match self.authorise(key, Role::User, NodeId::NONE) {
            Err(close) if close.code == CloseCode::UnknownKey => Err(close),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> PublicKey {
        PublicKey([n; 32])
    }

    #[test]
    fn only_the_right_key_in_the_right_role_may_connect() {
        let set = MemberSet {
            realm: RealmId([1; 32]),
            members: (1..=2)
                .map(|n| Member { node: NodeId(n), key: key(n as u8), addr: ([127, 0, 0, 1], n as u16).into() })
                .collect(),
            users: vec![key(9)],
        };
        let check = |k: u8, role: Role, node: u32, expected: Option<CloseCode>| {
            let got = set.authorise(&key(k), role, NodeId(node));
            assert_eq!(got.err().map(|c| c.code), expected, "{k} {role:?} {node}");
        };
        check(1, Role::Node, 1, None);
        check(9, Role::User, 0, None);
        check(1, Role::Node, 2, Some(CloseCode::WrongNode));
        check(1, Role::User, 0, Some(CloseCode::NotAllowed));
        check(9, Role::Node, 1, Some(CloseCode::NotAllowed));
        check(5, Role::Node, 1, Some(CloseCode::UnknownKey));
        check(5, Role::User, 0, Some(CloseCode::UnknownKey));
        assert!(set.knows(&key(1)).is_ok() && set.knows(&key(9)).is_ok());
        assert!(set.knows(&key(5)).is_err());
    }
}
