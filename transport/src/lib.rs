//! Bytes between authenticated nodes.
//!
//! Owns: keys, sessions, channels, frames, flow control. Knows nothing of actors, groups or Wasm: a frame is bytes to it.
//!
//! What a user of this crate may count on:
//!
//! 1. Both ends of every connection have proved an Ed25519 key, and the key stands in the [`MemberSet`] of now.
//! 2. Two nodes share one session at most. It exists for this node from the [`TransportEvent::Up`] that [`Events`] hands out
//!    to the [`TransportEvent::Down`]: every Up has exactly one Down, and between them lie all frames of that session.
//! 3. Within one session frames of one channel arrive whole, in order and at most once. Between channels there is no order.
//! 4. Nothing here grows without bound. A full channel is [`SendError::Full`] to its sender; a slow receiver slows the
//!    senders of the channel it is slow on, and no other channel.
//! 5. What is refused is refused with a reason that both ends log.
//!
//! ```text
//!   send()  ->  Outbox (bytes counted)  ->  writer  ->  QUIC stream  ->  reader  ->  lane (bytes counted)  ->  Events::recv()
//!               one per peer and channel                 one per peer and channel     one per channel
//! ```

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

pub mod channel;
pub mod client;
pub mod close;
#[doc(hidden)]
pub mod decoders;
pub mod frame;
pub mod hello;
pub mod identity;
mod inbox;
pub mod member;
pub mod memory;
pub mod quic;
pub mod request;
pub mod session;
mod transport;

pub use channel::{Budgets, Channel};
pub use client::{ClientError, UserClient};
pub use close::{Close, CloseCode};
pub use hello::{Hello, Role, Versions};
pub use identity::{Identity, IdentityError, PublicKey};
pub use inbox::Events;
pub use member::{Member, MemberSet};
pub use memory::{MemoryNet, MemoryNode};
pub use quic::{Quic, QuicConfig, StartError};
pub use request::{RequestClosed, ResponseError, ResponseStream, UserRequest};
pub use transport::{SendError, SessionInfo, Transport, TransportEvent};
