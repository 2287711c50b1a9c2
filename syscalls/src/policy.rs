//! Restart and placement as data: what a spawner asks for.

/// What a supervisor does when the actor ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Restart {
    /// Leave it ended.
    #[default]
    Never = 0,
    /// Start it again if it ended otherwise than `normal`, `killed` or `shutdown`.
    OnFailure = 1,
    /// Start it again however it ended, except by `killed` and `shutdown`.
    Always = 2,
    /// On a fault in a handler, undo the event and go on with the state before it; the caller is told `TRAPPED`.
    /// Any other end is as with [`Restart::Never`], and so is a fault in `start`.
    Resume = 3,
}

impl Restart {
    /// The policy with this number.
    pub const fn from_u8(n: u8) -> Option<Restart> {
        match n {
            0 => Some(Restart::Never),
            1 => Some(Restart::OnFailure),
            2 => Some(Restart::Always),
            3 => Some(Restart::Resume),
            _ => None,
        }
    }
}

/// Who runs first on a node. None starves another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Priority {
    /// Before the others.
    High = 0,
    /// What everybody has.
    #[default]
    Normal = 1,
    /// When nobody else wants to.
    Low = 2,
}

impl Priority {
    /// The priority with this number.
    pub const fn from_u8(n: u8) -> Option<Priority> {
        match n {
            0 => Some(Priority::High),
            1 => Some(Priority::Normal),
            2 => Some(Priority::Low),
            _ => None,
        }
    }
}

/// Bits of [`SpawnSpec::flags`]. (Linking and monitoring need none: a handler is a transaction, so `spawn` and then
/// `link` in one handler happen together.)
pub mod spawn_flags {
    /// Pass the spawner's realm handle on to the child.
    pub const GRANT_REALM: u16 = 1;
}

/// The fixed front of what `spawn` is given: 72 bytes, then the arguments of the child's `start` event.
///
/// ```text
///   0                                32       36       40
///   | module hash (0: my own)        | node   | fuel_M |
///  40                48      50  51  52  53  54      56
///   | memory_bytes   | flags |rst|pri|rep|0  | ms     |
///  56                64               72
///   | restarts_max   | window_ms      | arguments ...
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct SpawnSpec {
    /// The module, or all zero for the spawner's own.
    pub module: [u8; 32],
    /// The node to run on; 0: the spawner's own. A group that names none for a plain child gets a group like itself.
    pub node: u32,
    /// Fuel of one handler in millions; 0: the default. Only groups have fuel.
    pub fuel_millions: u32,
    /// Limit of linear memory; 0: the default.
    pub memory_bytes: u64,
    /// See [`spawn_flags`].
    pub flags: u16,
    /// A [`Restart`].
    pub restart: u8,
    /// A [`Priority`].
    pub priority: u8,
    /// 0: a plain actor; 1 and more: a group with so many voters.
    pub replicas: u8,
    /// Zero.
    pub reserved: u8,
    /// Processor time of one handler in milliseconds; 0: the default.
    pub handler_ms: u16,
    /// How many restarts within `window_ms` are borne before the actor stays ended; 0: three.
    pub restarts_max: u64,
    /// The window for `restarts_max`; 0: five seconds.
    pub window_ms: u64,
}

impl SpawnSpec {
    /// Bytes.
    pub const SIZE: usize = 72;

    /// The spawner's own module as a plain actor with every default.
    pub const fn new() -> SpawnSpec {
        SpawnSpec {
            module: [0; 32],
            node: 0,
            fuel_millions: 0,
            memory_bytes: 0,
            flags: 0,
            restart: Restart::Never as u8,
            priority: Priority::Normal as u8,
            replicas: 0,
            reserved: 0,
            handler_ms: 0,
            restarts_max: 0,
            window_ms: 0,
        }
    }

    /// The layout as bytes.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0..32].copy_from_slice(&self.module);
        out[32..36].copy_from_slice(&self.node.to_le_bytes());
        out[36..40].copy_from_slice(&self.fuel_millions.to_le_bytes());
        out[40..48].copy_from_slice(&self.memory_bytes.to_le_bytes());
        out[48..50].copy_from_slice(&self.flags.to_le_bytes());
        out[50] = self.restart;
        out[51] = self.priority;
        out[52] = self.replicas;
        out[53] = self.reserved;
        out[54..56].copy_from_slice(&self.handler_ms.to_le_bytes());
        out[56..64].copy_from_slice(&self.restarts_max.to_le_bytes());
        out[64..72].copy_from_slice(&self.window_ms.to_le_bytes());
        out
    }

    /// Reads the layout. `None` where a field has a value that the contract does not know.
    #[expect(clippy::indexing_slicing, reason = "every place and width in the layout is a constant below SIZE")]
    pub fn from_bytes(bytes: &[u8]) -> Option<SpawnSpec> {
        let b: &[u8; Self::SIZE] = bytes.get(..Self::SIZE)?.try_into().ok()?;
        let u32_at = |i: usize| u32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        let u64_at = |i: usize| u32_at(i) as u64 | (u32_at(i + 4) as u64) << 32;
        let mut module = [0; 32];
        module.copy_from_slice(&b[0..32]);
        let spec = SpawnSpec {
            module,
            node: u32_at(32),
            fuel_millions: u32_at(36),
            memory_bytes: u64_at(40),
            flags: u16::from_le_bytes([b[48], b[49]]),
            restart: b[50],
            priority: b[51],
            replicas: b[52],
            reserved: b[53],
            handler_ms: u16::from_le_bytes([b[54], b[55]]),
            restarts_max: u64_at(56),
            window_ms: u64_at(64),
        };
        let known = Restart::from_u8(spec.restart).is_some()
            && Priority::from_u8(spec.priority).is_some()
            && spec.flags & !spawn_flags::GRANT_REALM == 0
            && spec.reserved == 0;
        known.then_some(spec)
    }
}

impl Default for SpawnSpec {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(size_of::<SpawnSpec>() == SpawnSpec::SIZE && align_of::<SpawnSpec>() == 8);
