//! How a node is reached.
//!
//! Owns: the three traits between the client's retries and the network. Does not know: which node, how often.
//!
//! 1. The traits exist so that retries are tested without a network; outside tests there is one implementation.

use std::future::Future;

use bytes::Bytes;
use pando_abi::RealmId;
use pando_transport::{Identity, Member, ResponseStream, UserClient};

/// Opens sessions.
pub trait Dial: Send + Sync + 'static {
    /// What it opens.
    type Session: Session;
    /// Opens one, or says why not.
    fn dial(&self, to: &Member) -> impl Future<Output = Result<Self::Session, String>> + Send;
}

/// An open session with one node.
pub trait Session: Send + Sync + 'static {
    /// The answers to one request.
    type Stream: Stream;
    /// Asks.
    fn ask(&self, request: Bytes) -> impl Future<Output = Result<Self::Stream, String>> + Send;
}

/// The answers to one request.
pub trait Stream: Send + 'static {
    /// The next, or `None` after the last, or why there cannot be one.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, String>> + Send;
}

/// Sessions over QUIC, with the node's key proved against the realm's record.
pub struct QuicDial {
    identity: Identity,
    realm: RealmId,
}

impl QuicDial {
    /// Proves itself by `identity` to nodes of `realm`.
    pub fn new(identity: Identity, realm: RealmId) -> Self {
        QuicDial { identity, realm }
    }
}

impl Dial for QuicDial {
    type Session = UserClient;

    async fn dial(&self, to: &Member) -> Result<UserClient, String> {
        UserClient::connect(to.addr, Some(to.key), &self.identity, self.realm).await.map_err(|e| e.to_string())
    }
}

impl Session for UserClient {
    type Stream = ResponseStream;

    async fn ask(&self, request: Bytes) -> Result<ResponseStream, String> {
        self.request(request).await.map_err(|e| e.to_string())
    }
}

impl Stream for ResponseStream {
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        ResponseStream::next(self).await.map_err(|e| e.to_string())
    }
}
