//! The UDP socket and how QUIC is to behave on it.
//!
//! Owns: every number that quinn is given. The relations between them are what keeps channels apart:
//!
//! 1. The connection's windows, to send and to receive, hold more than all four channels' windows together. So a channel that
//!    nobody reads blocks itself, at its own window, and never another.
//! 2. A connection begins with room for one hello and for nothing else; the rest is given once it is known who is there.
//! 3. The idle timeout is long and finds forgotten connections. A dead peer is found by [`crate::session::Liveness`].
//! 4. A node that has restarted can tell its former peers so: the keys of connection ids and stateless resets are derived from
//!    its identity.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig, MtuDiscoveryConfig, TransportConfig, VarInt};

use super::StartError;
use super::tls;
use crate::identity::Identity;

/// Bytes of one stream that may arrive before they are read.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
/// The same for a connection before it is known who is there, and for users.
const STRANGER_WINDOW_BYTES: u32 = 2 << 20;
/// The same for a connection of a node: four channels, and room to spare.
const NODE_WINDOW_BYTES: u32 = 5 * STREAM_WINDOW_BYTES;
/// Answers to one user that wait to be sent.
const USER_SEND_WINDOW_BYTES: u64 = 1 << 20;
/// Bytes of one datagram at most, where the path takes so much: loopback does, and networks with jumbo frames take some of it. What
/// each datagram costs besides its bytes is then paid a quarter as often as with Ethernet's 1,452. Not more, for quinn hands ten
/// of them to the system at once, which takes 65,507 bytes and drops longer ones in silence.
const DATAGRAM_BYTES_MAX: u16 = 6_400;
/// Bytes that the system is asked to hold for the socket, each way: what comes while the node's thread is busy with something else.
const SOCKET_BYTES: usize = 4 << 20;
/// After so long without a sign a connection is forgotten.
const IDLE_MS: u32 = 10_000;

/// First packets of handshakes that wait for their turn.
pub(super) const INCOMING_BYTES_MAX: usize = 4 << 20;
/// What is kept of one connection at most: of a node, of a user, and of somebody of whom nothing is known yet.
pub(super) const NODE_BYTES_MAX: usize = 2 * NODE_WINDOW_BYTES as usize;
/// See there.
pub(super) const USER_BYTES_MAX: usize = STRANGER_WINDOW_BYTES as usize + USER_SEND_WINDOW_BYTES as usize;
/// See there.
pub(super) const STRANGER_BYTES_MAX: usize = STRANGER_WINDOW_BYTES as usize;

const _: () = assert!(NODE_WINDOW_BYTES > 4 * STREAM_WINDOW_BYTES);
const _: () = assert!(10 * DATAGRAM_BYTES_MAX as usize <= 65_507 && DATAGRAM_BYTES_MAX >= 1_200);

/// How quinn is to treat connections. `silence` is when a peer counts as dead.
fn transport(silence: Duration) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW_BYTES))
        .send_window(u64::from(NODE_WINDOW_BYTES))
        .keep_alive_interval(Some(silence / 5))
        .max_idle_timeout(Some(VarInt::from_u32(IDLE_MS).into()))
        // A peer that starts a moment after it was dialled is found at the second packet, not after a second.
        .initial_rtt(Duration::from_millis(100))
        .datagram_receive_buffer_size(None)
        .allow_spin(false);
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(DATAGRAM_BYTES_MAX);
    config.mtu_discovery_config(Some(discovery));
    config
}

/// What a connection may do once its other end is known to be a node.
pub(super) fn admit_node(connection: &quinn::Connection) {
    connection.set_receive_window(VarInt::from_u32(NODE_WINDOW_BYTES));
    connection.set_max_concurrent_uni_streams(VarInt::from_u32(4));
}

/// What a connection may do once its other end is known to be a user.
pub(super) fn admit_user(connection: &quinn::Connection, requests_max: u32) {
    connection.set_send_window(USER_SEND_WINDOW_BYTES);
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(requests_max));
}

/// How to dial other nodes, or a node as a user.
pub(crate) fn dialling(identity: &Identity, silence: Duration) -> Result<quinn::ClientConfig, String> {
    let tls = tls::client(identity).map_err(|e| e.to_string())?;
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).map_err(|e| e.to_string())?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    let mut transport = transport(silence);
    // A node says goodbye to its users on a stream of its own; see `user.rs`.
    transport.max_concurrent_uni_streams(VarInt::from_u32(1));
    config.transport_config(Arc::new(transport));
    config.token_store(Arc::new(quinn::NoneTokenStore));
    Ok(config)
}

/// Binds the socket and listens.
pub(super) fn listen(identity: &Identity, addr: SocketAddr, silence: Duration) -> Result<quinn::Endpoint, StartError> {
    let key = |e: &dyn std::fmt::Display| StartError::Key(e.to_string());
    let tls = tls::server(identity).map_err(|e| key(&e))?;
    let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).map_err(|e| key(&e))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(Arc::new(transport(silence)))
        .max_incoming(256)
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(INCOMING_BYTES_MAX as u64);
    let bind = |source| StartError::Bind { addr, source };
    let socket = std::net::UdpSocket::bind(addr).map_err(bind)?;
    widen(&socket);
    quinn::Endpoint::new(endpoint_config(identity), Some(server), socket, Arc::new(quinn::TokioRuntime)).map_err(bind)
}

/// Asks for more room than the system gives by itself; it gives what it allows.
fn widen(socket: &std::net::UdpSocket) {
    let socket = socket2::SockRef::from(socket);
    for (what, set) in
        [("receive", socket.set_recv_buffer_size(SOCKET_BYTES)), ("send", socket.set_send_buffer_size(SOCKET_BYTES))]
    {
        if let Err(e) = set {
            tracing::debug!(%e, "the system gives no more room to {what}");
        }
    }
}

/// A socket for a user, who only dials.
pub(crate) fn user_socket(to: SocketAddr) -> std::io::Result<quinn::Endpoint> {
    let any: SocketAddr = match (to, to.ip().is_loopback()) {
        (SocketAddr::V4(_), true) => ([127, 0, 0, 1], 0).into(),
        (SocketAddr::V4(_), false) => ([0, 0, 0, 0], 0).into(),
        (SocketAddr::V6(_), true) => (std::net::Ipv6Addr::LOCALHOST, 0).into(),
        (SocketAddr::V6(_), false) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    quinn::Endpoint::client(any)
}

fn endpoint_config(identity: &Identity) -> EndpointConfig {
    let key = identity.derive("pando transport: stateless resets, v1");
    let mut config = EndpointConfig::new(Arc::new(ResetKey(key)));
    config.cid_generator(|| Box::new(RandomIds));
    if config.max_udp_payload_size(DATAGRAM_BYTES_MAX).is_err() {
        tracing::error!("{DATAGRAM_BYTES_MAX} is no length of a datagram");
    }
    config
}

/// Tokens that prove to a peer that this node knows nothing of its connection (any more).
struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], out: &mut [u8]) {
        #[expect(clippy::indexing_slicing, reason = "quinn asks for `signature_len` bytes")]
        out.copy_from_slice(&blake3::keyed_hash(&self.0, data).as_bytes()[..out.len()]);
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let signature: &[u8; 32] = signature.try_into().map_err(|_| CryptoError)?;
        // Comparing `blake3::Hash`es takes the same time wherever they differ.
        if blake3::keyed_hash(&self.0, data) == blake3::Hash::from_bytes(*signature) {
            Ok(())
        } else {
            Err(CryptoError)
        }
    }
}

/// Random connection ids. (quinn's default ones are told from foreign ones by a key that a restarted node has lost, and then
/// packets of former connections are dropped in silence and not answered by a reset.)
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; 8];
        // Without randomness ids repeat, connections collide, and none is made: safe, and TLS fails as well.
        #[expect(clippy::disallowed_methods, reason = "of real connections only: a simulation has `MemoryNet`")]
        getrandom::fill(&mut id).ok();
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
