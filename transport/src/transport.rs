//! The one trait that carries frames between nodes, and the events that come out of it.
//!
//! Two drivers implement it: [`crate::Quic`] for machines and [`crate::MemoryNet`] for simulation.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pando_abi::{Incarnation, NodeId};

use crate::channel::Channel;
use crate::member::MemberSet;
use crate::request::UserRequest;

/// Carries frames to other nodes of the realm. Callable from any thread; no call waits.
pub trait Transport: Send + Sync {
    /// Queues `frame` for node `to`. `Ok` says that it is queued, not that it arrives: if the session ends first, a
    /// [`TransportEvent::Down`] says so.
    fn send(&self, to: NodeId, channel: Channel, frame: Bytes) -> Result<(), SendError>;

    /// Says who may connect from now on. When it returns, the sessions and connections of whoever is no longer in the
    /// set are closed and none of their frames comes out any more. A set of another realm is not taken over.
    fn set_members(&self, members: Arc<MemberSet>);

    /// One line for each other member, in the order of node ids.
    fn sessions(&self) -> Vec<SessionInfo>;

    /// Ends every session in good order: what is queued is still sent, for a bounded time. Every session gets its Down;
    /// then [`crate::Events::recv`] gives `None`.
    fn close(&self);

    /// Resolves when a [`Transport::close`] has finished and the peers have been told.
    fn closed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Why a frame was not queued. The frame is gone; whoever wants to retry keeps a clone, which is cheap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SendError {
    /// The channel to this node has reached its budget of bytes.
    #[error("the channel to this node is full")]
    Full,
    /// There is no session with this node now.
    #[error("there is no session with this node")]
    Down,
    /// The frame is longer than the realm's longest frame, or empty.
    #[error("the frame is empty or longer than a frame may be")]
    TooLarge,
    /// The node is not in the member set.
    #[error("the node is not a member")]
    Unknown,
}

/// What comes out of a transport.
#[derive(Debug)]
pub enum TransportEvent {
    /// A session with `node` stands: frames can be sent, and may come.
    Up {
        /// The other node.
        node: NodeId,
        /// Which of its lives.
        incarnation: Incarnation,
    },
    /// The session is over; what was queued or on its way in it is lost, all that did arrive came out before this.
    Down {
        /// The other node.
        node: NodeId,
        /// Which of its lives.
        incarnation: Incarnation,
        /// Why, for people.
        reason: String,
    },
    /// A frame of a session that is up.
    Frame {
        /// The other node.
        from: NodeId,
        /// Which of its lives.
        incarnation: Incarnation,
        /// The channel it came on.
        channel: Channel,
        /// The frame. It may share memory with its neighbours: copy what is kept for long.
        bytes: Bytes,
    },
    /// A request of a user.
    Request(UserRequest),
}

/// How it stands with one other member.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// The other node.
    pub node: NodeId,
    /// Where it is expected, or where its session comes from.
    pub addr: SocketAddr,
    /// The life of the peer with which the session is up; `None` if there is no session.
    pub up: Option<Incarnation>,
    /// Protocol version spoken in the session; 0 if there is none.
    pub version: u16,
    /// Smoothed round-trip time; zero if there is no session.
    pub rtt: Duration,
    /// Bytes that wait to be sent, by [`Channel`].
    pub queued_bytes: [usize; 4],
    /// Why there is no session, or why the one before ended.
    pub reason: Option<String>,
}
