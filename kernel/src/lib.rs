//! Authority and composition: the only crate that knows every other room, and the only one that decides.
//!
//! ```text
//! admin, services ──► node ──► router ──► cell    ──► process ──► actors
//!                                    ├──► lanes   ──► raft ──► replica ──► process
//!                                    └──► transport
//! ```
//!
//! Pure rooms: [`process`], [`served`], [`supervise`], [`outbox`], [`input`], [`wire`], [`root`], [`place`], and
//! [`replica`] but for its port. Everything else composes them with time, threads, disks and networks.
//!
//! 1. One address, one send: where something is, only [`router`] asks.
//! 2. A plain actor and a replica run the same [`process`].
//! 3. Time and randomness come in through [`door`]; it and every other door of a node are its [`platform`].

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

mod admin;
mod backup;
mod beginning;
pub mod boot;
pub mod bounds;
pub mod cell;
pub mod cells;
pub mod console;
#[doc(hidden)]
pub mod decoders;
pub mod door;
pub mod genesis;
pub mod input;
pub mod lanes;
pub mod launch;
pub mod leaders;
pub mod logbook;
pub mod modules;
mod moving;
pub mod node;
pub mod outbox;
mod paths;
pub mod peers;
pub mod place;
pub mod platform;
pub mod process;
pub mod realm;
pub mod replica;
pub mod restore;
pub mod root;
pub mod router;
pub mod served;
mod services;
pub mod supervise;
#[cfg(test)]
mod testing;
pub mod wire;

pub use boot::{Node, NodeConfig, NodeError};
pub use genesis::{Genesis, GenesisError};
pub use node::Kernel;
pub use pando_actors::small_pages;
pub use platform::{Platform, Tuning};
pub use restore::{Restore, RestoreError};
