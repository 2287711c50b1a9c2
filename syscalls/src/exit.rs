//! How an actor ended, and who is to blame.

/// How an actor ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum ExitKind {
    /// It called `exit(0)`: its work was done. Links are not taken along.
    Normal = 0,
    /// It called `exit` with another code, which is in the record.
    Error = 1,
    /// It broke the contract or trapped; the message has the reason and the guest's backtrace.
    Fault = 2,
    /// It ran over its limit of processor time or fuel in one handler.
    CpuLimit = 3,
    /// It ran over its limit of memory.
    MemoryLimit = 4,
    /// Somebody with the right killed it.
    Killed = 5,
    /// A linked actor ended otherwise than normally.
    Linked = 6,
    /// Its node stopped or cannot be reached. It may run on, unseen.
    NodeDown = 7,
    /// Its group lost its quorum for good.
    QuorumLost = 8,
    /// It never lived: no such actor, or ended so long ago that nobody knows how.
    NoActor = 9,
    /// Its module cannot be had or does not fit.
    BadModule = 10,
    /// The node or realm stopped in order.
    Shutdown = 11,
}

/// Who has to mend what made an actor end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// Nobody: it was meant.
    Nobody,
    /// The author of the actor's code.
    Program,
    /// Another actor or a person with the right.
    Other,
    /// A machine or the network.
    Machine,
}

impl ExitKind {
    /// Every kind, in order.
    pub const ALL: [ExitKind; 12] = [
        ExitKind::Normal,
        ExitKind::Error,
        ExitKind::Fault,
        ExitKind::CpuLimit,
        ExitKind::MemoryLimit,
        ExitKind::Killed,
        ExitKind::Linked,
        ExitKind::NodeDown,
        ExitKind::QuorumLost,
        ExitKind::NoActor,
        ExitKind::BadModule,
        ExitKind::Shutdown,
    ];

    /// The kind with this number.
    pub fn from_u16(n: u16) -> Option<ExitKind> {
        Self::ALL.get(n as usize).copied()
    }

    /// The word that people and logs see: `cpu-limit`.
    pub const fn name(self) -> &'static str {
        match self {
            ExitKind::Normal => "normal",
            ExitKind::Error => "error",
            ExitKind::Fault => "fault",
            ExitKind::CpuLimit => "cpu-limit",
            ExitKind::MemoryLimit => "memory-limit",
            ExitKind::Killed => "killed",
            ExitKind::Linked => "linked",
            ExitKind::NodeDown => "node-down",
            ExitKind::QuorumLost => "quorum-lost",
            ExitKind::NoActor => "no-actor",
            ExitKind::BadModule => "bad-module",
            ExitKind::Shutdown => "shutdown",
        }
    }

    /// Who has to mend it.
    pub const fn blame(self) -> Blame {
        match self {
            ExitKind::Normal | ExitKind::Shutdown => Blame::Nobody,
            ExitKind::Error | ExitKind::Fault | ExitKind::CpuLimit | ExitKind::MemoryLimit | ExitKind::BadModule => {
                Blame::Program
            }
            ExitKind::Killed | ExitKind::Linked | ExitKind::NoActor => Blame::Other,
            ExitKind::NodeDown | ExitKind::QuorumLost => Blame::Machine,
        }
    }

    /// Does this end take linked actors along?
    pub const fn takes_links(self) -> bool {
        !matches!(self, ExitKind::Normal)
    }
}

/// The front of a `down` event's body: 8 bytes, then the message (UTF-8, may be empty).
///
/// ```text
///  0      2      4        8
///  | kind | 0    | code   | message ...
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct ExitRecord {
    /// An [`ExitKind`].
    pub kind: u16,
    /// Zero.
    pub reserved: u16,
    /// What the actor gave to `exit`, or 0.
    pub code: i32,
}

impl ExitRecord {
    /// Bytes.
    pub const SIZE: usize = 8;

    /// The layout as bytes.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut out = [0; 8];
        out[0..2].copy_from_slice(&self.kind.to_le_bytes());
        out[4..8].copy_from_slice(&self.code.to_le_bytes());
        out
    }

    /// Reads the layout; `None` if there are fewer than 8 bytes.
    pub fn from_bytes(b: &[u8]) -> Option<ExitRecord> {
        let b: &[u8; 8] = b.get(..8)?.try_into().ok()?;
        Some(ExitRecord {
            kind: u16::from_le_bytes([b[0], b[1]]),
            reserved: 0,
            code: i32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        })
    }
}

const _: () = assert!(size_of::<ExitRecord>() == ExitRecord::SIZE);
