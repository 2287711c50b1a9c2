//! What an actor receives.
//!
//! The host writes one event at the guest's inbox and calls `pando_receive(len)`. An event is this header, then
//! `handle_count` handles of 4 bytes, then zeros up to a multiple of 8, then `body_len` bytes.
//!
//! ```text
//!   0      2      4      6      8                16
//!   | kind | flags| count| status| time_ns       |
//!  16                24               32        |
//!   | token          | badge          |
//!  32       36       40               48
//!   | reply  | body_len| seed          |
//! ```

/// Why the handler runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum EventKind {
    /// The first event. Body: the spawner's arguments; handles: those the spawner passed.
    Start = 0,
    /// A `send` or a `call` by somebody. `reply` is a handle if it was a call.
    Message = 1,
    /// The answer to an own `call`, with its `token`; `status` is 0 or an errno.
    Reply = 2,
    /// An own timer fired: `token` is its id.
    Timer = 3,
    /// A monitored or linked actor ended: `token` is the monitor's id (0 for a link); the body is an
    /// [`ExitRecord`](crate::exit::ExitRecord) and its message.
    Down = 4,
    /// The module was replaced by a new one: this is the first event to the new code.
    Upgrade = 5,
    /// Own sends could not be delivered, or own children had no place: `token` is how many since the last bounce, `status` the errno
    /// of the latest.
    Bounce = 6,
}

impl EventKind {
    /// The kind with this number.
    pub const fn from_u16(n: u16) -> Option<EventKind> {
        Some(match n {
            0 => EventKind::Start,
            1 => EventKind::Message,
            2 => EventKind::Reply,
            3 => EventKind::Timer,
            4 => EventKind::Down,
            5 => EventKind::Upgrade,
            6 => EventKind::Bounce,
            _ => return None,
        })
    }
}

/// Bits of [`EventHeader::flags`].
pub mod flags {
    /// The event is a query: effects are refused with `READ_ONLY`, changes to memory are forgotten.
    pub const QUERY: u16 = 1;
    /// The `down` is of a link, not of a monitor.
    pub const LINK: u16 = 2;
    /// The actor was started again by its supervisor, with fresh memory.
    pub const RESTARTED: u16 = 4;
    /// The actor is a replica in a group.
    pub const REPLICATED: u16 = 8;
    /// The `upgrade` kept memory, globals and everything that waits in them: nothing is to be taken up.
    pub const KEPT: u16 = 16;
}

/// The fixed front of every event: 48 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct EventHeader {
    /// An [`EventKind`].
    pub kind: u16,
    /// See [`flags`].
    pub flags: u16,
    /// How many handles follow.
    pub handle_count: u16,
    /// 0, or the code of an [`Errno`](crate::Errno).
    pub status: u16,
    /// Nanoseconds since 1970. In a group it never goes back; it does not move inside a handler.
    pub time_ns: u64,
    /// What the event answers: the token of a call, the id of a timer or a monitor.
    pub token: u64,
    /// The badge of the handle that the message came through.
    pub badge: u64,
    /// A one-time reply handle, or `u32::MAX`.
    pub reply: u32,
    /// Bytes of body.
    pub body_len: u32,
    /// Where `random` starts in this handler: 64 bits that nobody could foresee.
    pub seed: u64,
}

impl EventHeader {
    /// Bytes.
    pub const SIZE: usize = 48;

    /// Where the body starts, in bytes from the start of the event.
    pub const fn body_offset(handle_count: usize) -> usize {
        (Self::SIZE + 4 * handle_count).next_multiple_of(8)
    }

    /// The layout as bytes.
    #[inline]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0..2].copy_from_slice(&self.kind.to_le_bytes());
        out[2..4].copy_from_slice(&self.flags.to_le_bytes());
        out[4..6].copy_from_slice(&self.handle_count.to_le_bytes());
        out[6..8].copy_from_slice(&self.status.to_le_bytes());
        out[8..16].copy_from_slice(&self.time_ns.to_le_bytes());
        out[16..24].copy_from_slice(&self.token.to_le_bytes());
        out[24..32].copy_from_slice(&self.badge.to_le_bytes());
        out[32..36].copy_from_slice(&self.reply.to_le_bytes());
        out[36..40].copy_from_slice(&self.body_len.to_le_bytes());
        out[40..48].copy_from_slice(&self.seed.to_le_bytes());
        out
    }

    /// Reads the layout; `None` if there are fewer than [`Self::SIZE`] bytes.
    #[expect(clippy::indexing_slicing, reason = "every place and width in the layout is a constant below SIZE")]
    pub fn from_bytes(bytes: &[u8]) -> Option<EventHeader> {
        let b: &[u8; Self::SIZE] = bytes.get(..Self::SIZE)?.try_into().ok()?;
        let u16_at = |i: usize| u16::from_le_bytes([b[i], b[i + 1]]);
        let u32_at = |i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        let u64_at = |i: usize| u32_at(i) as u64 | (u32_at(i + 4) as u64) << 32;
        Some(EventHeader {
            kind: u16_at(0),
            flags: u16_at(2),
            handle_count: u16_at(4),
            status: u16_at(6),
            time_ns: u64_at(8),
            token: u64_at(16),
            badge: u64_at(24),
            reply: u32_at(32),
            body_len: u32_at(36),
            seed: u64_at(40),
        })
    }
}

const _: () = assert!(size_of::<EventHeader>() == EventHeader::SIZE && align_of::<EventHeader>() == 8);
