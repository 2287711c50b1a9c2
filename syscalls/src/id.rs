//! Who is who: nodes, realms, actors, modules.
//!
//! 1. A [`NodeId`] comes from the realm's committed log and is never used again.
//! 2. An [`ActorId`] is derived from (parent, event, n), so every replica of the parent derives the same one.
//! 3. No id is authority. Authority is a handle; see [`crate::handle`].

/// The number of a node in its realm. `0` is no node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct NodeId(pub u32);

impl NodeId {
    /// No node: an address with this home is found in another way (see [`Home`]).
    pub const NONE: NodeId = NodeId(0);
}

impl core::fmt::Display for NodeId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// Drawn at random at each boot of a node. Two boots of one node are told apart by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Incarnation(pub u64);

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub [u8; $len]);

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }

        /// Lower-case hexadecimal. `{:.4}` prints the first four digits.
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                for nibble in nibbles.take(f.precision().unwrap_or(usize::MAX)) {
                    write!(f, "{nibble:x}")?;
                }
                Ok(())
            }
        }

        impl $name {
            /// Reads exactly the hexadecimal digits that `Display` prints.
            pub fn from_hex(text: &str) -> Option<Self> {
                let text = text.as_bytes();
                if text.len() != 2 * $len {
                    return None;
                }
                let nibble = |digit: u8| match digit {
                    b'0'..=b'9' => Some(digit - b'0'),
                    b'a'..=b'f' => Some(digit - b'a' + 10),
                    _ => None,
                };
                let mut out = [0u8; $len];
                for (byte, [high, low]) in out.iter_mut().zip(text.as_chunks::<2>().0) {
                    *byte = nibble(*high)? << 4 | nibble(*low)?;
                }
                Some($name(out))
            }
        }
    };
}

bytes_id! {
    /// An actor or a group. 128 bits, derived from (parent, event, n); unique for all time in its realm.
    ActorId, 16
}
bytes_id! {
    /// A realm: the BLAKE3 hash of its founding record.
    RealmId, 32
}
bytes_id! {
    /// The BLAKE3 hash of a module's Wasm bytes. All zero means "my own module" in a [`crate::SpawnSpec`].
    ModuleHash, 32
}

/// Where an address is found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u32)]
pub enum Home {
    /// A plain actor: on the node the address names.
    #[default]
    Node = 0,
    /// A group: on whichever nodes the realm has placed it.
    Group = 1,
    /// A service of the kernel: on the node the address names, or on the sender's own if that is [`NodeId::NONE`].
    Service = 2,
}

impl Home {
    /// The home with this number, if there is one.
    pub const fn from_u32(n: u32) -> Option<Home> {
        match n {
            0 => Some(Home::Node),
            1 => Some(Home::Group),
            2 => Some(Home::Service),
            _ => None,
        }
    }
}

/// One place to which a message can be sent. Guests never see one: they hold handles.
///
/// ```text
///  0        4        8                                24
///  | home   | node   | id                             |
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(C)]
pub struct Address {
    /// How the address is found.
    pub home: Home,
    /// The node, where `home` wants one.
    pub node: NodeId,
    /// The actor, group or service.
    pub id: ActorId,
}

impl Address {
    /// A plain actor on `node`.
    pub const fn actor(node: NodeId, id: ActorId) -> Self {
        Address { home: Home::Node, node, id }
    }
    /// A group.
    pub const fn group(id: ActorId) -> Self {
        Address { home: Home::Group, node: NodeId::NONE, id }
    }
    /// A service of the kernel at the sender's own node.
    pub const fn service(number: u8) -> Self {
        let mut id = [0; 16];
        id[15] = number;
        Address { home: Home::Service, node: NodeId::NONE, id: ActorId(id) }
    }
}

impl core::fmt::Debug for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// `n3/7f3a2b10`, `group/7f3a2b10`, `realm`.
impl core::fmt::Display for Address {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.home {
            Home::Node => write!(f, "{}/{:.8}", self.node, self.id),
            Home::Group => write!(f, "group/{:.8}", self.id),
            Home::Service => match self.id.0[15] {
                service::REALM => f.write_str("realm"),
                service::CONSOLE => f.write_str("console"),
                service::KERNEL => f.write_str("kernel"),
                other => write!(f, "service/{other}"),
            },
        }
    }
}

/// Numbers of the kernel's services ([`Address::service`]).
pub mod service {
    /// Names, nodes, placement: what the third handle from birth reaches, if the spawner granted it.
    pub const REALM: u8 = 1;
    /// A person's shell or script: the origin of what it asks.
    pub const CONSOLE: u8 = 2;
    /// The kernel itself, as the parent of what nobody else spawned.
    pub const KERNEL: u8 = 3;
}

const _: () = assert!(size_of::<Address>() == 24 && align_of::<Address>() == 4);
