//! Authority: a guest's index into its own table of capabilities.
//!
//! ```text
//!  31        20 19                0
//!  | generation | slot             |
//! ```
//!
//! 1. A handle means something only to the actor that holds it.
//! 2. Rights only shrink, by copy and by passing.
//! 3. A slot that is reused has another generation, so a stale handle faults instead of meaning something else.

/// An index into the holder's own table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct Handle(pub u32);

impl Handle {
    /// The actor itself, with every right. From birth, never dropped.
    pub const SELF: Handle = Handle(0);
    /// Who spawned it, with the rights that the spawner left on it.
    pub const PARENT: Handle = Handle(1);
    /// The realm service, if the spawner granted it.
    pub const REALM: Handle = Handle(2);
    /// No handle.
    pub const NONE: Handle = Handle(u32::MAX);

    /// How many low bits are the slot.
    pub const SLOT_BITS: u32 = 20;

    /// A handle from its parts.
    pub const fn new(slot: u32, generation: u32) -> Handle {
        Handle(slot & ((1 << Self::SLOT_BITS) - 1) | generation << Self::SLOT_BITS)
    }
    /// The index in the table.
    pub const fn slot(self) -> u32 {
        self.0 & ((1 << Self::SLOT_BITS) - 1)
    }
    /// How often the slot had been used before, modulo 4,096.
    pub const fn generation(self) -> u32 {
        self.0 >> Self::SLOT_BITS
    }
}

/// What the holder of a handle may do. A set of bits; only ever masked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Rights(pub u32);

impl Rights {
    /// `send` and `call`.
    pub const SEND: Rights = Rights(1);
    /// `kill`.
    pub const KILL: Rights = Rights(1 << 1);
    /// `link`.
    pub const LINK: Rights = Rights(1 << 2);
    /// `monitor`.
    pub const MONITOR: Rights = Rights(1 << 3);
    /// `handle_copy`, and passing the handle in a message or to a child.
    pub const SHARE: Rights = Rights(1 << 4);
    /// `spawn` under this handle: on one's own handle one's own module, on the realm's any module of the realm.
    pub const SPAWN: Rights = Rights(1 << 5);
    /// Mint grants with a badge, and revoke them. Only ever on the handle [`Handle::SELF`].
    pub const GRANT: Rights = Rights(1 << 6);

    /// None at all: a handle that can only be compared and dropped.
    pub const NONE: Rights = Rights(0);
    /// Every right there is.
    pub const ALL: Rights = Rights((1 << 7) - 1);
    /// What a handle to another actor has unless told: everything but SPAWN and GRANT.
    pub const PEER: Rights = Rights(0b1_1111);
    /// What a child may do with its parent unless told: send, monitor, share.
    pub const CHILD_TO_PARENT: Rights = Rights(0b1_1001);
    /// What a one-time reply handle has: to reply, and to be passed on.
    pub const REPLY: Rights = Rights(1 << 4);

    /// Are all of `other` in `self`?
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }
    /// Those in both.
    pub const fn and(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
    /// Those in either. For building constants; a held handle never gains.
    pub const fn or(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

/// `send+monitor`, or `none`.
impl core::fmt::Display for Rights {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names = ["send", "kill", "link", "monitor", "share", "spawn", "grant"];
        let mut first = true;
        for (bit, name) in names.iter().enumerate() {
            if self.0 >> bit & 1 == 1 {
                write!(f, "{}{name}", if first { "" } else { "+" })?;
                first = false;
            }
        }
        if first { f.write_str("none") } else { Ok(()) }
    }
}

impl core::fmt::Debug for Rights {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// What `handle_stat` writes: 24 bytes.
///
/// ```text
///  0        4        8                 16                24
///  | kind   | rights | badge           | node   | 0      |
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct HandleStat {
    /// 0 plain actor, 1 group, 2 service, 3 one-time reply handle.
    pub kind: u32,
    /// The holder's rights.
    pub rights: u32,
    /// The badge that messages through this handle carry.
    pub badge: u64,
    /// Where it is now; always 0 to an actor in a group, whose replicas must agree.
    pub node: u32,
    /// Zero.
    pub reserved: u32,
}

impl HandleStat {
    /// The layout as bytes.
    pub fn to_bytes(self) -> [u8; 24] {
        let mut out = [0; 24];
        out[0..4].copy_from_slice(&self.kind.to_le_bytes());
        out[4..8].copy_from_slice(&self.rights.to_le_bytes());
        out[8..16].copy_from_slice(&self.badge.to_le_bytes());
        out[16..20].copy_from_slice(&self.node.to_le_bytes());
        out
    }
}

const _: () = assert!(size_of::<HandleStat>() == 24);
