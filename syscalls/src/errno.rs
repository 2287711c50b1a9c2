//! Bad luck as numbers: every expected failure of a remote thing, in one published table.
//!
//! A syscall returns `0` or a positive result for success and `-code` for one of these. A reply, a bounce and a
//! `down` carry the positive code in [`crate::EventHeader::status`]. Misuse is not here: it faults the caller.

macro_rules! errnos {
    ($($(#[$doc:meta])+ $name:ident = $code:literal, $text:literal;)*) => {
        /// Why something did not happen. Codes are stable for ever.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        pub enum Errno { $($(#[$doc])+ $name = $code,)* }

        impl Errno {
            /// Every code, in order.
            pub const ALL: &'static [Errno] = &[$(Errno::$name,)*];

            /// The code's name in the table: `DEAD`.
            pub const fn name(self) -> &'static str {
                match self { $(Errno::$name => stringify!($name),)* }
            }

            /// One sentence for a person.
            pub const fn text(self) -> &'static str {
                match self { $(Errno::$name => $text,)* }
            }

            /// The error with this code.
            pub const fn from_code(code: u16) -> Option<Errno> {
                match code { $($code => Some(Errno::$name),)* _ => None }
            }
        }
    };
}

#[expect(non_camel_case_types, reason = "the names of errors are written as guests see them")]
mod table {
    errnos! {
        /// The target has ended, and nothing will be delivered to it again.
        DEAD = 1, "the target has ended";
        /// The target's mailbox is full. Nothing was delivered.
        FULL = 2, "the target's mailbox is full";
        /// No reply came before the deadline. The call may have happened.
        TIMEOUT = 3, "no reply came before the deadline; the call may have happened";
        /// The path to the target's node is broken. What was under way may have happened.
        UNREACHABLE = 4, "the target's node cannot be reached; what was under way may have happened";
        /// The handle's grant was revoked by the target.
        REVOKED = 5, "the handle was revoked";
        /// The handle lacks the right that the call needs.
        DENIED = 6, "the handle lacks the right for this";
        /// No module with this hash is in the realm.
        NO_MODULE = 7, "no such module in the realm";
        /// A limit of the caller, the target or the node is reached.
        LIMIT = 8, "a limit is reached";
        /// The group has no quorum at present, so it can promise nothing.
        NO_QUORUM = 9, "the group has no quorum";
        /// The receiver let the one-time reply handle go without answering.
        NO_REPLY = 10, "the receiver ended its work without answering";
        /// The receiver's handler faulted on this message and was undone.
        TRAPPED = 11, "the receiver faulted on this message and was undone";
        /// An effect was asked for inside a query.
        READ_ONLY = 12, "a query cannot have effects";
        /// Nothing of that name or id exists.
        NOT_FOUND = 13, "nothing of that name exists";
        /// The name or id is taken.
        EXISTS = 14, "the name is taken";
        /// The receiver does not understand the request: unknown method, wrong arguments.
        BAD_REQUEST = 15, "the receiver does not understand the request";
        /// The request cannot be met: no such node, too few nodes for the replicas.
        REFUSED = 16, "the request cannot be met";
        /// The receiver's own failure; the body is its words (CBOR text by convention).
        APPLICATION = 17, "the receiver answered with an error of its own";
        /// The kernel failed at something it should not have failed at; the node's log has the cause.
        INTERNAL = 18, "the kernel failed; the node's log has the cause";
        /// The receiver's code was replaced while it worked on the call. The call may have happened in part.
        UPGRADED = 19, "the receiver's code was replaced while it worked on this; it may have happened in part";
    }
}
pub use table::Errno;

impl Errno {
    /// The positive code.
    pub const fn code(self) -> u16 {
        self as u16
    }
    /// What a syscall returns for this.
    pub const fn as_return(self) -> i32 {
        -(self as u16 as i32)
    }
}

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Errno {}
