//! The Wasm actor: modules, instances, images, mailboxes. The only room that knows wasmtime.
//!
//! Owns: what a module must be, how it is compiled and cached, what a syscall means within one handler, the transaction around a
//! handler, an actor's form at rest. Does not know: who sends, where anybody is, groups, clocks, threads.
//!
//! 1. Handling an event is a transaction: (state, event) -> (state', effects, fuel), or a fault and the state before.
//! 2. Time, randomness and every other input come in with the event. The same module, state and event of a replica give the same
//!    result on every node of the same engine.
//! 3. Nothing that a guest does takes the host down or shows it another guest's bytes.
//! 4. Everything is bounded by [`pando_abi::limits`].

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

mod actor;
mod birth;
mod capability;
#[doc(hidden)]
pub mod decoders;
mod delta;
mod effect;
mod engine;
mod event;
mod fault;
mod fork;
mod frozen;
mod guest;
mod hashes;
mod host;
mod hot;
mod image;
mod mailbox;
mod memory;
mod message;
mod module;
mod packed;
mod pages;
mod root;
mod shadow;
mod shell;
mod table;
mod transaction;
mod view;

pub use actor::{Actor, Carried, Upgraded};
pub use birth::{Birth, Limits};
pub use capability::{CapKind, Capability};
pub use effect::{Effect, Spawn};
pub use engine::{Class, Engine, EngineConfig, EngineError, OnEpoch, Verdict};
pub use event::{Event, Exit, Handled, Tally};
pub use fork::Fork;
pub use frozen::Frozen;
pub use image::{Image, ImageError};
pub use mailbox::{Hand, Mailbox, SIGNALS_MAX};
pub use memory::small_pages;
pub use message::{Body, Delivery, Handles, Key, Message, ReplyTo};
pub use module::{Module, ModuleError};
