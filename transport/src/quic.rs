//! The driver for machines: QUIC over UDP, TLS 1.3 with raw public keys.
//!
//! Owns: the settings and the life of a node's transport. Its rooms, from the outside in:
//!
//! ```text
//!   endpoint  the socket, every number quinn is given     node  machines, links, members: the shared state and its one lock
//!   tls       who is there, proved                        live  a session's readers and its watch over silence
//!   link      a connection from handshake to end          wire  a session's queues and writers     user  requests
//! ```
//!
//! 1. Everything runs on the runtime in which [`Quic::start`] was called; `send` works from any thread.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pando_abi::{Incarnation, NodeId};

use crate::channel::{Budgets, Channel, FRAME_OVERHEAD_BYTES};
use crate::frame;
use crate::hello::{Hello, Role, Versions};
use crate::identity::Identity;
use crate::inbox::{Events, Inbox};
use crate::member::MemberSet;
use crate::session::Timing;
use crate::transport::{SendError, SessionInfo, Transport};

pub(crate) mod endpoint;
pub(crate) mod link;
pub(crate) mod live;
mod node;
pub(crate) mod tls;
mod user;
mod wire;

use link::End;
use node::{Life, Limits, Node};

/// What a node needs to take part. [`QuicConfig::new`] fills in what nobody needs to think about.
#[derive(Clone, Debug)]
pub struct QuicConfig {
    /// The key that this node proves.
    pub identity: Identity,
    /// Its number.
    pub node: NodeId,
    /// Which of its lives this is.
    pub incarnation: Incarnation,
    /// Where it listens. Port 0 takes any free one; [`Quic::local_addr`] tells which.
    pub listen: SocketAddr,
    /// Who may connect, and the realm.
    pub members: Arc<MemberSet>,
    /// The longest frame, in bytes.
    pub frame_bytes_max: usize,
    /// The longest request and the longest answer of and to a user, in bytes.
    pub request_bytes_max: usize,
    /// Bytes of requests of all users that are held at once.
    pub requests_bytes_max: usize,
    /// The same of one user, however many connections it has.
    pub user_bytes_max: usize,
    /// Requests of one user's connection that are open at once.
    pub requests_max: u32,
    /// Connections of users at once; one user has half of them at most.
    pub users_max: usize,
    /// What may wait for one peer.
    pub budgets: Budgets,
    /// What may wait for the kernel, for each channel, in bytes.
    pub inbox_bytes: usize,
    /// Protocol versions to speak.
    pub versions: Versions,
    /// A peer of which nothing was heard for so long is down.
    pub silence: Duration,
    /// The longest time between two attempts to reach a peer.
    pub retry_max: Duration,
    /// How long an orderly end may take to send what is queued.
    pub flush_max: Duration,
}

impl QuicConfig {
    /// The usual settings.
    pub fn new(
        identity: Identity,
        node: NodeId,
        incarnation: Incarnation,
        listen: SocketAddr,
        members: Arc<MemberSet>,
    ) -> QuicConfig {
        QuicConfig {
            identity,
            node,
            incarnation,
            listen,
            members,
            frame_bytes_max: 4 << 20,
            request_bytes_max: 40 << 20,
            requests_bytes_max: 96 << 20,
            user_bytes_max: 48 << 20,
            requests_max: 256,
            users_max: 64,
            budgets: Budgets::default(),
            inbox_bytes: 8 << 20,
            versions: Versions::CURRENT,
            silence: Duration::from_millis(1200),
            retry_max: Duration::from_secs(2),
            flush_max: Duration::from_secs(1),
        }
    }

    /// Bytes that the transport of a node with so many peers holds at most, about, whatever others do: what has come and was not
    /// taken, what waits to be sent, frames and requests that are being put together, and what QUIC keeps of connections, also of
    /// those of which it is not known yet whose they are.
    pub fn memory_bytes_max(&self, peers: usize) -> usize {
        let inbox = Channel::ALL.len() * self.inbox_bytes;
        let queues: usize = Channel::ALL.iter().map(|channel| self.budgets.of(*channel, self.frame_bytes_max)).sum();
        let peer = queues + Channel::ALL.len() * self.frame_bytes_max + endpoint::NODE_BYTES_MAX;
        let strangers = endpoint::INCOMING_BYTES_MAX + node::doors::HANDSHAKES_MAX * endpoint::STRANGER_BYTES_MAX;
        inbox + peers * peer + self.requests_bytes_max + self.users_max * endpoint::USER_BYTES_MAX + strangers
    }

    fn check(&self) -> Result<(), StartError> {
        let rule = |holds: bool, text: &str| match holds {
            true => Ok(()),
            false => Err(StartError::Config(text.to_owned())),
        };
        rule(self.node != NodeId::NONE, "a node's number cannot be 0")?;
        rule(
            (1..=frame::LENGTH_MAX / 2).contains(&self.frame_bytes_max),
            "frame_bytes_max must be between 1 and 128 MiB",
        )?;
        rule(
            (1..=frame::LENGTH_MAX / 2).contains(&self.request_bytes_max),
            "request_bytes_max must be between 1 and 128 MiB",
        )?;
        rule(
            self.requests_bytes_max.min(self.user_bytes_max) >= self.request_bytes_max + (64 << 10),
            "requests_bytes_max and user_bytes_max must hold the longest request and 64 KiB more",
        )?;
        rule(
            self.inbox_bytes >= self.frame_bytes_max + FRAME_OVERHEAD_BYTES,
            "inbox_bytes must hold the longest frame and its overhead",
        )?;
        rule(self.silence >= Duration::from_millis(60), "silence must be at least 60 ms")
    }

    fn limits(&self) -> Limits {
        let timing = Timing { retry_ms_max: self.retry_max.as_millis() as u64, ..Timing::default() };
        Limits {
            frame_bytes_max: self.frame_bytes_max,
            request_bytes_max: self.request_bytes_max,
            requests_max: self.requests_max,
            users_max: self.users_max,
            user_bytes_max: self.user_bytes_max,
            budgets: self.budgets,
            silence: self.silence,
            open_max: Duration::from_millis(timing.open_ms_max),
            flush_max: self.flush_max,
            timing,
        }
    }
}

/// Why a node's transport did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on UDP {addr}: {source}; {}", mend(.source))]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The key cannot be used for TLS.
    #[error("the node's key cannot be used for TLS: {0}")]
    Key(String),
    /// A setting contradicts another.
    #[error("{0}")]
    Config(String),
}

fn mend(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program has this port: stop it, or choose another port (0 takes any free one)"
        }
        std::io::ErrorKind::PermissionDenied => "choose a port above 1023",
        std::io::ErrorKind::AddrNotAvailable => "choose an address of this machine, such as 127.0.0.1",
        _ => "choose another address or port",
    }
}

/// A node's transport over QUIC. Dropping it ends every session at once; [`Transport::close`] ends them in good order.
pub struct Quic {
    node: Arc<Node>,
    local_addr: SocketAddr,
}

impl Quic {
    /// Listens, and keeps a session with every other member from now on. To be called within a tokio runtime, on which it
    /// then runs.
    #[expect(clippy::disallowed_methods, reason = "of real connections only: a simulation has `MemoryNet`")]
    pub fn start(config: QuicConfig) -> Result<(Arc<Quic>, Events), StartError> {
        config.check()?;
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(StartError::Config("the transport is to be started within a tokio runtime".to_owned()));
        }
        let endpoint = endpoint::listen(&config.identity, config.listen, config.silence)?;
        let local_addr = endpoint.local_addr().map_err(|source| StartError::Bind { addr: config.listen, source })?;
        let dialling = endpoint::dialling(&config.identity, config.silence).map_err(StartError::Key)?;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|e| StartError::Config(e.to_string()))?;
        let ours = Hello {
            versions: config.versions,
            role: Role::Node,
            node: config.node,
            incarnation: config.incarnation,
            realm: config.members.realm,
        };
        let (inbox, events) = Inbox::new(config.inbox_bytes);
        let node = Node::new(
            ours,
            config.limits(),
            endpoint,
            dialling,
            inbox,
            config.requests_bytes_max,
            config.members,
            u64::from_le_bytes(seed),
        );
        node.spawn(node.clone().keep_time());
        node.spawn(listen(node.clone()));
        node.spawn(end_with_the_kernel(node.clone()));
        tracing::info!(node = %config.node, addr = %local_addr, "listening");
        Ok((Arc::new(Quic { node, local_addr }), events))
    }

    /// Where this node listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl Transport for Quic {
    fn send(&self, to: NodeId, channel: Channel, frame: Bytes) -> Result<(), SendError> {
        self.node.send(to, channel, frame)
    }

    fn set_members(&self, members: Arc<MemberSet>) {
        self.node.set_members(members);
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        self.node.sessions()
    }

    fn close(&self) {
        let first = self.node.life.send_if_modified(|life| {
            let running = *life == Life::Running;
            if running {
                *life = Life::Closing;
            }
            running
        });
        if first {
            let open = self.node.finish_all();
            self.node.spawn(self.node.clone().close(open));
        }
    }

    fn closed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut life = self.node.life.subscribe();
        Box::pin(async move {
            life.wait_for(|l| *l == Life::Closed).await.ok();
        })
    }
}

impl Drop for Quic {
    fn drop(&mut self) {
        if self.node.is_running() {
            self.node.abort("the node has gone");
            self.node.finish();
        }
    }
}

async fn listen(node: Arc<Node>) {
    while let Some(incoming) = node.endpoint.accept().await {
        if node.is_running() {
            node.spawn(link::accept(node.clone(), incoming));
        } else {
            incoming.refuse();
        }
    }
}

/// Nobody takes events any more: peers learn of it at once, and not by their frames going nowhere.
async fn end_with_the_kernel(node: Arc<Node>) {
    tokio::select! {
        () = node.stopping() => {}
        () = node.inbox.orphaned() => {
            node.abort("the kernel is gone");
            node.finish();
        }
    }
}

/// Why a connection is closed, for people.
pub(crate) fn why_closed(connection: &quinn::Connection) -> String {
    End::of(connection).reason()
}

#[cfg(test)]
mod tests;
