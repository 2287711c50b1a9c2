//! The contract between the Pando kernel and its guests: numbers, layouts, errors, ids and limits.
//!
//! Host and guest meet only in this crate. It is `no_std`, allocates nothing and depends on nothing.
//! `SPEC.md` beside it is the same contract for people, `abi.wat` for machines, `pando.h` for C;
//! tests hold the four together.
//!
//! 1. Everything is little-endian; every structure has a fixed layout, asserted at compile time.
//! 2. A number once published is never given another meaning; the import module's name changes instead.
//! 3. Misuse faults the caller; bad luck returns an [`Errno`].

#![no_std]
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

pub mod call;
pub mod errno;
pub mod event;
pub mod exit;
pub mod handle;
pub mod id;
pub mod limits;
#[doc(hidden)]
pub mod planted;
pub mod policy;

pub use call::{Call, IMPORT_MODULE};
pub use errno::Errno;
pub use event::{EventHeader, EventKind};
pub use exit::{Blame, ExitKind};
pub use handle::{Handle, Rights};
pub use id::{ActorId, Address, Home, Incarnation, ModuleHash, NodeId, RealmId};
pub use policy::{Priority, Restart, SpawnSpec};
