//! Groups: one process in many places. Log, machine, membership.
//!
//! Owns openraft, the log engine and sled; knows neither actors nor Wasm. The kernel gives it a
//! [`Machine`] per group and a [`Wire`] between nodes, and gets a log that a quorum agrees on.
//!
//! 1. Nothing is acknowledged, to a peer or a proposer, before it is on the disk (one flush for all groups).
//! 2. No type of openraft, and no encoding of it, leaves this crate.
//! 3. Bytes from a peer are validated before they mean anything; the worst they cause is a warning.
//! 4. A replica that disagrees with a majority about the chain takes no further part.
//! 5. A node whose folder was lost must come back under a new [`NodeId`]: it has forgotten what it
//!    voted for and acknowledged, and under its old number could undo both.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::iter_over_hash_type,
        clippy::disallowed_methods,
        clippy::allow_attributes_without_reason
    )
)]

mod attest;
mod chain;
mod codec;
mod config;
#[doc(hidden)]
pub mod decoders;
mod disk;
mod entry;
mod error;
mod files;
mod groups;
mod lives;
mod machine;
mod net;
mod replica;
mod runtime;
mod status;
mod store;
mod types;

pub use config::{Config, Fatal};
pub use entry::{Committed, Entry, GroupId, PAYLOAD_BYTES_MAX};
pub use error::{ChangeError, CopyError, CreateError, LeaveError, LinearError, OpenError, ProposeError, StoreError};
pub use files::{Files, OpenFile, SystemFiles};
pub use groups::{GroupCopy, Groups, Laying};
pub use machine::{Applied, Cut, Machine, Machines, PART_BYTES_MAX, Parts, Whole, Wire};
pub use pando_abi::NodeId;
pub use replica::blocking;
pub use runtime::draw_from;
pub use status::{GroupEvent, Role, Status};
pub use store::{Store, Tree};

/// Bytes of one frame given to [`Wire::send`], at most.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
