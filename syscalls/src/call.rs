//! The closed list of syscalls.
//!
//! Pointers are offsets into the guest's exported `memory`; a (pointer, length) pair that leaves it faults the caller,
//! as does a handle that the caller does not hold. Results: `0` or positive for success, `-code` of an
//! [`Errno`](crate::Errno) for bad luck.

/// The module that every import comes from. A change that old guests could notice gets another name.
pub const IMPORT_MODULE: &str = "pando_1";

/// What a guest must export, beside the memory.
pub mod exports {
    /// The linear memory.
    pub const MEMORY: &str = "memory";
    /// `(len: i32) -> i32`: room for an event of `len` bytes, 8-aligned, good until asked again.
    pub const INBOX: &str = "pando_inbox";
    /// `(len: i32)`: handle the event at the inbox.
    pub const RECEIVE: &str = "pando_receive";
    /// `() -> i64`: where the actor's state is, written for the next version of its code: the offset in the low half, the
    /// length in the high one. See [`super::StateHeader`]. Optional.
    pub const EXPORT_STATE: &str = "pando_export_state";
    /// `(len: i32)`: take up the state in the `upgrade` event at the inbox. Optional.
    pub const IMPORT_STATE: &str = "pando_import_state";
}

/// The custom section by which an author says that memory of one version is good for the next: text, the same in both. Optional.
pub const LAYOUT_SECTION: &str = "pando.layout";

/// The front of an exported state: 8 bytes. Handles of 4 bytes each, zeros up to a multiple of 8 and the body follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct StateHeader {
    /// The version of the state's form, as its author counts.
    pub version: u32,
    /// Handles that go with it.
    pub handle_count: u32,
}

impl StateHeader {
    /// Bytes.
    pub const SIZE: usize = 8;

    /// Where the body starts, in bytes from the start of the state.
    pub const fn body_offset(handle_count: usize) -> usize {
        (Self::SIZE + 4 * handle_count).next_multiple_of(8)
    }

    /// The layout as bytes.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[..4].copy_from_slice(&self.version.to_le_bytes());
        out[4..].copy_from_slice(&self.handle_count.to_le_bytes());
        out
    }

    /// Reads the layout; `None` if there are fewer than [`Self::SIZE`] bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<StateHeader> {
        let (front, _) = bytes.split_first_chunk::<8>()?;
        let [a, b, c, d, e, f, g, h] = *front;
        Some(StateHeader { version: u32::from_le_bytes([a, b, c, d]), handle_count: u32::from_le_bytes([e, f, g, h]) })
    }
}

const _: () = assert!(size_of::<StateHeader>() == StateHeader::SIZE);

/// The custom section with the actor's interface: text as `SPEC.md` describes it. Optional.
pub const INTERFACE_SECTION: &str = "pando.interface";

/// Bits of the `flags` of `call`.
pub mod call_flags {
    /// The method only reads: the receiver runs it on a copy of its state.
    pub const QUERY: i32 = 1;
    /// With `QUERY` to a group: any replica may answer from what it has applied (`final`), without a round to a quorum (`linear`).
    pub const FINAL: i32 = 2;
}

/// A value type at the boundary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    /// `i32`
    I32,
    /// `i64`
    I64,
}

macro_rules! calls {
    ($($(#[$doc:meta])+ $variant:ident = $number:literal, $name:literal, ($($arg:ident: $ty:ident),*) $(-> $ret:ident)?;)*) => {
        /// One syscall.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Call { $($(#[$doc])+ $variant = $number,)* }

        impl Call {
            /// Every syscall, in order of number.
            pub const ALL: &'static [Call] = &[$(Call::$variant,)*];

            /// The import's name.
            pub const fn name(self) -> &'static str {
                match self { $(Call::$variant => $name,)* }
            }
            /// Names and types of the parameters.
            pub const fn params(self) -> &'static [(&'static str, Value)] {
                match self { $(Call::$variant => &[$((stringify!($arg), Value::$ty)),*],)* }
            }
            /// Type of the result, if there is one.
            pub const fn result(self) -> Option<Value> {
                match self { $(Call::$variant => { let r: &[Value] = &[$(Value::$ret)?]; match r { [] => None, [one, ..] => Some(*one) } })* }
            }
        }
    };
}

calls! {
    /// Sends a message. It leaves when the handler returns.
    Send = 1, "send", (target: I32, body: I32, body_len: I32, handles: I32, handle_count: I32) -> I32;
    /// Sends a message with a one-time reply handle. Returns a token that comes back with the reply.
    Call = 2, "call", (target: I32, body: I32, body_len: I32, handles: I32, handle_count: I32, deadline_ns: I64, flags: I32) -> I64;
    /// Answers a call; the reply handle is used up.
    Reply = 3, "reply", (reply: I32, status: I32, body: I32, body_len: I32, handles: I32, handle_count: I32) -> I32;
    /// Starts an actor or a group. Returns a handle that is good at once.
    Spawn = 4, "spawn", (authority: I32, spec: I32, spec_len: I32, handles: I32, handle_count: I32) -> I64;
    /// Ends the caller when the handler returns: `0` is `normal`. Does not return.
    Exit = 5, "exit", (code: I32, message: I32, message_len: I32);
    /// Ends another actor.
    Kill = 6, "kill", (target: I32) -> I32;
    /// Ties two lives together.
    Link = 7, "link", (target: I32) -> I32;
    /// Unties them.
    Unlink = 8, "unlink", (target: I32) -> I32;
    /// Asks for a `down` event when the target ends. Returns the monitor's id.
    Monitor = 9, "monitor", (target: I32) -> I64;
    /// Takes a monitor back. After it no `down` with this id comes.
    Demonitor = 10, "demonitor", (monitor: I64) -> I32;
    /// Asks for a `timer` event after so many nanoseconds. Returns the timer's id.
    Timer = 11, "timer", (delay_ns: I64) -> I64;
    /// Takes a timer back. After it no `timer` event with this id comes.
    Cancel = 12, "cancel", (timer: I64) -> I32;
    /// The event's time: nanoseconds since 1970. Does not move inside a handler.
    Now = 13, "now", () -> I64;
    /// Sixty-four random bits, from the event's seed.
    Random = 14, "random", () -> I64;
    /// Writes a line to the actor's log.
    Log = 15, "log", (level: I32, text: I32, text_len: I32);
    /// Makes a handle with fewer rights; on one's own handle, with a badge and a grant of its own.
    HandleCopy = 16, "handle_copy", (handle: I32, rights: I32, badge: I64) -> I64;
    /// Lets a handle go. A reply handle that is let go answers `NO_REPLY`.
    HandleDrop = 17, "handle_drop", (handle: I32) -> I32;
    /// Takes back the grant that a copy of one's own handle carries, wherever its copies are.
    HandleRevoke = 18, "handle_revoke", (handle: I32) -> I32;
    /// Writes what is known of a handle: 24 bytes, see [`crate::handle::HandleStat`].
    HandleStat = 19, "handle_stat", (handle: I32, out: I32) -> I32;
    /// Do two handles reach the same actor? 1 or 0.
    HandleSame = 20, "handle_same", (a: I32, b: I32) -> I32;
}

const _: () = assert!(Call::ALL.len() < 30);
