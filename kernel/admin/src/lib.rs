//! What shells and scripts ask of a node, and how they ask it.
//!
//! [`protocol`] is the vocabulary: one [`Request`] on a stream, one or more [`Reply`]s back. [`client`] carries it over a
//! person's QUIC session, tries the realm's other nodes when one is gone, and keeps the sequence key, so that a call that
//! was tried twice happens once.

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

pub mod client;
pub mod protocol;
pub mod ticket;

pub use client::{Client, ClientError, Endpoint, Patience, Replies};
pub use protocol::*;
pub use ticket::{NoTicket, Ticket};
