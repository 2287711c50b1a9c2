//! A person's or script's side of the admin interface.
//!
//! Owns: the list of nodes to try, the current session, the sequence key. Does not know: what requests mean, beyond which
//! of them may be tried again elsewhere.
//!
//! 1. A request that can be retried on another node is retried there, with the same key, until its deadline.
//! 2. Nodes are dialled side by side, a moment apart, so that a dead one costs that moment and not its time-out.
//! 3. Every failure tells whether the request may have happened, and what to do next.

mod dial;
mod failure;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pando_abi::{NodeId, RealmId};
pub use pando_transport::Member as Endpoint;
use pando_transport::{Identity, PublicKey};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

pub use self::{
    dial::{Dial, QuicDial, Session, Stream},
    failure::ClientError,
};
use crate::protocol::{NodeRow, Reply, Request, SequenceKey};

/// How long the client waits for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// How long a dialled node has before the next one is dialled too.
    pub head_start: Duration,
    /// How long a dialled node has in all.
    pub dial_max: Duration,
    /// The node keeps the deadline; its own answer about it gets so much time to arrive.
    pub grace: Duration,
    /// Between two rounds over all nodes.
    pub pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            head_start: Duration::from_millis(150),
            dial_max: Duration::from_secs(2),
            grace: Duration::from_secs(1),
            pause: Duration::from_millis(100),
        }
    }
}

/// Asks a realm's nodes. Cheap to clone; clones share the session.
pub struct Client<D: Dial = QuicDial> {
    shared: Arc<Shared<D>>,
}

impl<D: Dial> Clone for Client<D> {
    fn clone(&self) -> Self {
        Client { shared: self.shared.clone() }
    }
}

struct Shared<D: Dial> {
    dial: Arc<D>,
    endpoints: std::sync::Mutex<Vec<Endpoint>>,
    origin: [u8; 16],
    incarnation: u64,
    seq: AtomicU64,
    patience: Patience,
    sessions: Mutex<Sessions<D::Session>>,
}

struct Sessions<S> {
    open: BTreeMap<NodeId, Arc<S>>,
    /// The node that answered last: asked first.
    favourite: Option<NodeId>,
}

impl Client<QuicDial> {
    /// A client of `realm` that proves itself by `identity`. Nothing is dialled yet.
    pub fn new(identity: Identity, realm: RealmId, endpoints: Vec<Endpoint>) -> Client {
        let origin = origin(&identity.public());
        Client::with(QuicDial::new(identity, realm), origin, endpoints, Patience::default())
    }
}

/// The origin of a person's sequence keys: the front of the public key.
pub fn origin(user: &PublicKey) -> [u8; 16] {
    let mut origin = [0; 16];
    origin.copy_from_slice(&user.0[..16]);
    origin
}

impl<D: Dial> Client<D> {
    /// A client over another way to dial.
    #[expect(
        clippy::disallowed_methods,
        reason = "a client is outside of every node: nothing is replicated from here but its commands"
    )]
    pub fn with(dial: D, origin: [u8; 16], endpoints: Vec<Endpoint>, patience: Patience) -> Client<D> {
        let sessions = Mutex::new(Sessions { open: BTreeMap::new(), favourite: None });
        // Two clients of one person must not share keys; a clock alone could stand still.
        let incarnation = getrandom::u64().unwrap_or_else(|_| {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            since.as_nanos() as u64 ^ u64::from(std::process::id()) << 48
        });
        let dial = Arc::new(dial);
        let endpoints = std::sync::Mutex::new(endpoints);
        let shared = Shared { dial, endpoints, origin, incarnation, seq: AtomicU64::new(0), patience, sessions };
        Client { shared: Arc::new(shared) }
    }

    /// The nodes that are tried.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        // A lock whose holder panicked guards nothing that could be half done.
        self.shared.endpoints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over what a node says about which nodes there are: those that came later are tried too. Those that it does not
    /// name stay, because it may be the one that is wrong.
    fn learn(&self, rows: &[NodeRow]) {
        let mut known = self.shared.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let (Ok(addr), Some(key)) = (row.addr.parse(), PublicKey::from_hex(&row.key)) else { continue };
            let endpoint = Endpoint { node: NodeId(row.node), key, addr };
            // Where the others are is known from the realm's record, or from whoever made this client.
            if !known.iter().any(|e| e.node == endpoint.node) {
                known.push(endpoint);
            }
        }
    }

    /// A key for one new request that must not happen twice.
    pub fn next_key(&self) -> SequenceKey {
        let seq = self.shared.seq.fetch_add(1, Ordering::Relaxed) + 1;
        SequenceKey { origin: self.shared.origin, incarnation: self.shared.incarnation, seq }
    }

    /// Asks the favourite node first from now on.
    pub async fn prefer(&self, node: NodeId) {
        self.shared.sessions.lock().await.favourite = Some(node);
    }

    /// Forgets the session with a node that is known to have gone, so that nobody waits for it.
    pub async fn forget(&self, node: NodeId) {
        let mut sessions = self.shared.sessions.lock().await;
        sessions.open.remove(&node);
        if sessions.favourite == Some(node) {
            sessions.favourite = None;
        }
    }

    /// Asks any node that is alive and returns the one answer.
    ///
    /// # Errors
    /// If the request is refused, or no node answers before the deadline.
    pub async fn ask(&self, request: Request, deadline: Duration) -> Result<Reply, ClientError> {
        self.run(None, request, deadline).await
    }

    /// Asks one node only.
    ///
    /// # Errors
    /// If the request is refused, or the node does not answer before the deadline.
    pub async fn ask_node(&self, node: NodeId, request: Request, deadline: Duration) -> Result<Reply, ClientError> {
        if !self.endpoints().iter().any(|e| e.node == node) {
            // It may have been admitted since; what comes of that is seen below.
            let _ = self.run(None, Request::Nodes, deadline.min(self.shared.patience.dial_max)).await;
        }
        self.run(Some(node), request, deadline).await
    }

    /// Asks for answers that go on until the stream is dropped. Not tried again once the first has come.
    ///
    /// # Errors
    /// If no node (or not the one that is wanted) takes the request.
    pub async fn follow(&self, node: Option<NodeId>, request: Request) -> Result<Replies<D>, ClientError> {
        let until = Instant::now() + self.shared.patience.dial_max + self.shared.patience.grace;
        let bytes = request.encode();
        let mut last = None;
        while Instant::now() < until {
            let (node, session) = self.session(node, until, last.is_some()).await?;
            match session.ask(bytes.clone().into()).await {
                Ok(stream) => return Ok(Replies { node, stream, _session: session }),
                Err(why) => {
                    self.forget(node).await;
                    last = Some(ClientError::Lost { node, why });
                }
            }
        }
        Err(last.unwrap_or(ClientError::Timeout { after: self.shared.patience.dial_max }))
    }

    async fn run(&self, at: Option<NodeId>, mut request: Request, after: Duration) -> Result<Reply, ClientError> {
        let until = Instant::now() + after;
        let mut lost: Option<ClientError> = None;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if let (true, Some(lost)) = (left.is_zero(), &lost) {
                return Err(lost.clone());
            }
            if let Request::Call { deadline_ms, .. } = &mut request {
                *deadline_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1);
            }
            let (node, session) = match self.session(at, until + self.shared.patience.grace, lost.is_some()).await {
                Ok(found) => found,
                // What happened to the request itself matters more than that nobody is there now.
                Err(none) => return Err(lost.unwrap_or(none)),
            };
            match timeout_at(until + self.shared.patience.grace, one(&*session, &request)).await {
                Err(_) => return Err(ClientError::Timeout { after }),
                Ok(Ok(bytes)) => {
                    return match Reply::decode(&bytes) {
                        Ok(Reply::Refused { errno, text, mend }) => Err(ClientError::Refused { errno, text, mend }),
                        Ok(reply) => {
                            self.shared.sessions.lock().await.favourite = Some(node);
                            if let Reply::Nodes(rows) = &reply {
                                self.learn(rows);
                            }
                            Ok(reply)
                        }
                        Err(e) => Err(ClientError::Malformed { node, why: e.to_string() }),
                    };
                }
                Ok(Err(why)) => {
                    tracing::debug!(%node, why, "lost a session before the answer");
                    self.forget(node).await;
                    let error = ClientError::Lost { node, why };
                    if !can_move(&request) {
                        return Err(error);
                    }
                    lost = Some(error);
                    sleep(self.shared.patience.pause.min(until.saturating_duration_since(Instant::now()))).await;
                }
            }
        }
    }

    /// A session with `at`, or with the favourite, or with whoever answers first. `patient`: when nobody answers, go on
    /// until `until`, because somebody did a moment ago.
    async fn session(
        &self,
        at: Option<NodeId>,
        until: Instant,
        patient: bool,
    ) -> Result<(NodeId, Arc<D::Session>), ClientError> {
        loop {
            let mut sessions = self.shared.sessions.lock().await;
            let known = match at {
                Some(node) => Some(node),
                None => sessions.favourite.or_else(|| sessions.open.keys().next().copied()),
            };
            if let Some((node, session)) = known.and_then(|node| Some((node, sessions.open.get(&node)?.clone()))) {
                return Ok((node, session));
            }
            let candidates = self.candidates(at, sessions.favourite)?;
            match self.race(candidates, until).await {
                Ok((node, session)) => {
                    let session = Arc::new(session);
                    sessions.open.insert(node, session.clone());
                    return Ok((node, session));
                }
                Err(tried) => {
                    drop(sessions);
                    if !patient || Instant::now() + self.shared.patience.pause >= until {
                        return Err(match (at, tried.first()) {
                            (Some(node), Some((_, why))) => ClientError::NodeDown { node, why: why.clone() },
                            _ => ClientError::NoNode { tried },
                        });
                    }
                    sleep(self.shared.patience.pause).await;
                }
            }
        }
    }

    fn candidates(&self, at: Option<NodeId>, favourite: Option<NodeId>) -> Result<Vec<Endpoint>, ClientError> {
        let mut candidates = self.endpoints();
        if let Some(node) = at {
            candidates.retain(|e| e.node == node);
            if candidates.is_empty() {
                let known = self.endpoints().iter().map(|e| e.node).collect();
                return Err(ClientError::UnknownNode { node, known });
            }
        }
        candidates.sort_by_key(|e| (Some(e.node) != favourite, e.node));
        Ok(candidates)
    }

    /// Dials one after the other, each with a head start; the first that answers wins.
    async fn race(
        &self,
        candidates: Vec<Endpoint>,
        until: Instant,
    ) -> Result<(NodeId, D::Session), Vec<(NodeId, String)>> {
        let mut tried = Vec::new();
        let mut waiting = candidates.into_iter();
        let mut dialling = JoinSet::new();
        let limit = until.min(Instant::now() + self.shared.patience.dial_max);
        loop {
            if let Some(endpoint) = waiting.next() {
                let dial = self.shared.dial.clone();
                dialling.spawn(async move {
                    let node = endpoint.node;
                    match timeout_at(limit, dial.dial(&endpoint)).await {
                        Ok(Ok(session)) => Ok((node, session)),
                        Ok(Err(why)) => Err((node, why)),
                        Err(_) => Err((node, format!("nobody answers at {}", endpoint.addr))),
                    }
                });
            }
            let next = match waiting.len() {
                0 => dialling.join_next().await,
                _ => match tokio::time::timeout(self.shared.patience.head_start, dialling.join_next()).await {
                    Ok(ended) => ended,
                    Err(_) => continue,
                },
            };
            match next {
                Some(Ok(Ok(won))) => return Ok(won),
                Some(Ok(Err(failed))) => tried.push(failed),
                // A dial that panicked says nothing.
                Some(Err(_)) => {}
                None if waiting.len() == 0 => {
                    tried.sort();
                    return Err(tried);
                }
                None => {}
            }
        }
    }
}

async fn one<S: Session>(session: &S, request: &Request) -> Result<bytes::Bytes, String> {
    let mut stream = session.ask(request.encode().into()).await?;
    stream.next().await?.ok_or_else(|| "it ended the stream without an answer".to_owned())
}

/// May another node be asked when the first was lost in the middle? Not where the request is about the node itself.
fn can_move(request: &Request) -> bool {
    !matches!(request, Request::Stop)
}

/// Answers that go on.
pub struct Replies<D: Dial = QuicDial> {
    node: NodeId,
    stream: <D::Session as Session>::Stream,
    /// A stream ends with its session.
    _session: Arc<D::Session>,
}

impl<D: Dial> Replies<D> {
    /// The node that answers.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The next answer; `None` when the node has no more.
    ///
    /// # Errors
    /// If the request is refused or the node is lost.
    pub async fn next(&mut self) -> Result<Option<Reply>, ClientError> {
        let node = self.node;
        match self.stream.next().await {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => match Reply::decode(&bytes) {
                Ok(Reply::Refused { errno, text, mend }) => Err(ClientError::Refused { errno, text, mend }),
                Ok(reply) => Ok(Some(reply)),
                Err(e) => Err(ClientError::Malformed { node, why: e.to_string() }),
            },
            Err(why) => Err(ClientError::Lost { node, why }),
        }
    }
}

#[cfg(test)]
mod tests;
