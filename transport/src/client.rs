//! A user's end: connect with a key, ask, read answers.
//!
//! Owns: one connection to one node, made again when a request finds it lost. Does not know: what requests mean, or which other
//! nodes could be asked.
//!
//! 1. A request is sent once. Whether it may be sent again when its answers break off is for whoever knows what it means.
//! 2. A node that falls silent is given up within the same time as between nodes.
//! 3. When the node says goodbye, the connection ends as soon as no answers are awaited.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use pando_abi::{Incarnation, NodeId, RealmId};
use tokio::sync::{Mutex, watch};
use tokio::time::MissedTickBehavior;

use crate::close::{Close, CloseCode};
use crate::frame;
use crate::hello::{Hello, Role, Versions};
use crate::identity::{Identity, PublicKey};
use crate::quic::{endpoint, link, live, tls};
use crate::request::ResponseStream;
use crate::session::Liveness;

/// How long connecting may take unless told.
pub const CONNECT_MAX: Duration = Duration::from_secs(3);
/// The longest request and the longest answer.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// A node of which nothing was heard for so long is given up.
const SILENCE: Duration = Duration::from_millis(1500);

/// Why a node cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No UDP socket.
    #[error("cannot open a UDP socket: {0}")]
    Socket(std::io::Error),
    /// The key cannot be used for TLS.
    #[error("the key cannot be used for TLS: {0}")]
    Key(String),
    /// Nobody answered, or not to the end.
    #[error("no node answers at {addr}: {reason}")]
    Unreachable {
        /// Where.
        addr: SocketAddr,
        /// What happened.
        reason: String,
    },
    /// The node said no, or this side did on hearing it.
    #[error("refused at {addr}: {close}")]
    Refused {
        /// Where.
        addr: SocketAddr,
        /// The reason.
        close: Close,
    },
    /// Somebody else answered.
    #[error("another node answers at {addr}: expected key {expected:.16}, found {found:.16}")]
    WrongServer {
        /// Where.
        addr: SocketAddr,
        /// Whose key was expected.
        expected: PublicKey,
        /// Whose key was proved.
        found: PublicKey,
    },
    /// The request is empty or too long.
    #[error("the request has {0} bytes; 1 to {1} are allowed")]
    TooLarge(usize, usize),
}

/// A connection of a user to one node.
pub struct UserClient {
    addr: SocketAddr,
    expected: Option<PublicKey>,
    realm: RealmId,
    socket: quinn::Endpoint,
    dialling: quinn::ClientConfig,
    connect_max: Duration,
    line: Mutex<Line>,
}

/// The connection of now.
#[derive(Clone)]
struct Line {
    connection: quinn::Connection,
    server: PublicKey,
    node: NodeId,
    incarnation: Incarnation,
    /// One receiver for each stream of answers that is open.
    awaited: Arc<watch::Sender<()>>,
    /// Says that the client is still there.
    _owner: watch::Receiver<()>,
}

impl UserClient {
    /// Connects to the node at `addr` and proves `identity`. `expected`: the node must prove this key.
    pub fn connect(
        addr: SocketAddr,
        expected: Option<PublicKey>,
        identity: &Identity,
        realm: RealmId,
    ) -> BoxFuture<'_, Result<UserClient, ClientError>> {
        Box::pin(UserClient::connect_within(CONNECT_MAX, addr, expected, identity, realm))
    }

    /// Like [`UserClient::connect`], within a time, which also bounds every later attempt to connect again.
    pub fn connect_within(
        connect_max: Duration,
        addr: SocketAddr,
        expected: Option<PublicKey>,
        identity: &Identity,
        realm: RealmId,
    ) -> BoxFuture<'_, Result<UserClient, ClientError>> {
        Box::pin(async move {
            let socket = endpoint::user_socket(addr).map_err(ClientError::Socket)?;
            let dialling = endpoint::dialling(identity, SILENCE).map_err(ClientError::Key)?;
            let target = Target { addr, expected, realm, connect_max };
            let line = open(&socket, &dialling, &target).await?;
            Ok(UserClient { addr, expected, realm, socket, dialling, connect_max, line: Mutex::new(line) })
        })
    }

    /// The key that the node has proved, its number, and which of its lives answers.
    pub fn server(&self) -> BoxFuture<'_, (PublicKey, NodeId, Incarnation)> {
        Box::pin(async move {
            let line = self.line.lock().await;
            (line.server, line.node, line.incarnation)
        })
    }

    /// Where the node is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends a request. The connection is made again if it was lost since the last one.
    pub fn request(&self, request: Bytes) -> BoxFuture<'_, Result<ResponseStream, ClientError>> {
        Box::pin(async move {
            if request.is_empty() || request.len() > MESSAGE_BYTES_MAX {
                return Err(ClientError::TooLarge(request.len(), MESSAGE_BYTES_MAX));
            }
            let line = self.line().await?;
            let lost = || lost(&line.connection, self.addr);
            let (mut send, receive) = line.connection.open_bi().await.map_err(|_| lost())?;
            let mut chunks = Vec::with_capacity(2);
            frame::encode_batch(&mut vec![request], &mut chunks);
            match send.write_all_chunks(&mut chunks).await {
                Ok(()) => {
                    send.finish().ok();
                }
                // The node wants to read no further: it has answered already, or its reset says why.
                Err(quinn::WriteError::Stopped(_)) => {}
                Err(_) => return Err(lost()),
            }
            let guard = line.awaited.subscribe();
            Ok(ResponseStream::quic(receive, line.connection.clone(), MESSAGE_BYTES_MAX, guard))
        })
    }

    /// Ends the connection in good order.
    pub fn close(self) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.socket.close((CloseCode::Closing as u32).into(), b"");
            // So that the goodbye leaves before the program does.
            tokio::time::timeout(Duration::from_millis(300), self.socket.wait_idle()).await.ok();
        })
    }

    async fn line(&self) -> Result<Line, ClientError> {
        let mut line = self.line.lock().await;
        if line.connection.close_reason().is_some() {
            let target =
                Target { addr: self.addr, expected: self.expected, realm: self.realm, connect_max: self.connect_max };
            *line = open(&self.socket, &self.dialling, &target).await?;
        }
        Ok(line.clone())
    }
}

struct Target {
    addr: SocketAddr,
    expected: Option<PublicKey>,
    realm: RealmId,
    connect_max: Duration,
}

async fn open(socket: &quinn::Endpoint, dialling: &quinn::ClientConfig, target: &Target) -> Result<Line, ClientError> {
    let addr = target.addr;
    let unreachable = |reason: String| ClientError::Unreachable { addr, reason };
    let opening = async {
        let connecting = socket.connect_with(dialling.clone(), addr, "pando.invalid");
        let connecting = connecting.map_err(|e| unreachable(e.to_string()))?;
        let connection = connecting.await.map_err(|e| failure(link::End::from(e), addr))?;
        let outcome = introduce(&connection, target).await;
        if outcome.is_err() {
            connection.close((CloseCode::Closing as u32).into(), b"");
        }
        outcome
    };
    match tokio::time::timeout(target.connect_max, opening).await {
        Ok(outcome) => outcome,
        Err(_) => Err(unreachable(format!("nobody answers within {:?}", target.connect_max))),
    }
}

async fn introduce(connection: &quinn::Connection, target: &Target) -> Result<Line, ClientError> {
    let addr = target.addr;
    let Some(server) = tls::peer_key(connection) else {
        return Err(ClientError::Unreachable { addr, reason: "it proves no key".to_owned() });
    };
    if let Some(expected) = target.expected.filter(|key| *key != server) {
        let text = format!("expected key {expected:.16}, found key {server:.16}");
        connection.close((CloseCode::WrongNode as u32).into(), text.as_bytes());
        return Err(ClientError::WrongServer { addr, expected, found: server });
    }
    let ours = Hello {
        versions: Versions::CURRENT,
        role: Role::User,
        node: NodeId::NONE,
        incarnation: Incarnation(0),
        realm: target.realm,
    };
    let greeted = link::greet(connection, &ours).await;
    let hello = greeted.map_err(|end| {
        link::close(connection, &end);
        failure(end, addr)
    })?;
    let (owner, _owner) = watch::channel(());
    let line = Line {
        connection: connection.clone(),
        server,
        node: hello.node,
        incarnation: hello.incarnation,
        awaited: Arc::new(watch::Sender::new(())),
        _owner,
    };
    tokio::spawn(watch_over(connection.clone(), line.awaited.clone(), owner));
    Ok(line)
}

/// Ends the connection when the node falls silent; and when the node says goodbye or the client is dropped, but then not before
/// the answers that are awaited have come.
async fn watch_over(connection: quinn::Connection, awaited: Arc<watch::Sender<()>>, owner: watch::Sender<()>) {
    let mut looks = tokio::time::interval(SILENCE / live::LOOKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut liveness = Liveness::new(live::LOOKS);
    let mut ending = false;
    loop {
        tokio::select! {
            _ = connection.closed() => return,
            _ = connection.accept_uni(), if !ending => ending = true,
            () = owner.closed(), if !ending => ending = true,
            () = awaited.closed(), if ending => {
                return connection.close((CloseCode::Closing as u32).into(), b"");
            }
            _ = looks.tick() => if !liveness.look(connection.stats().udp_rx.datagrams) {
                let text = format!("nothing heard for {SILENCE:?}");
                return connection.close((CloseCode::Silent as u32).into(), text.as_bytes());
            },
        }
    }
}

fn lost(connection: &quinn::Connection, addr: SocketAddr) -> ClientError {
    failure(link::End::of(connection), addr)
}

fn failure(end: link::End, addr: SocketAddr) -> ClientError {
    match end {
        link::End::Told(close) | link::End::Refuse(close) => ClientError::Refused { addr, close },
        end => ClientError::Unreachable { addr, reason: end.reason() },
    }
}
