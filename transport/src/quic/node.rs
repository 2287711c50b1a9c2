//! What all tasks of one node's transport share: the machines, the links, who may send.
//!
//! Owns: feeding the machines and carrying out what they say, under one lock that is never held across a wait. Two more locks are
//! taken inside of it, the slots' and the inbox's, and nothing is ever locked inside of those.
//!
//! 1. A node has a slot if and only if it is a member. What `send` needs is in the slots, so sending meets no other lock.
//! 2. Authorisation and the machine's acceptance are one step under the lock: no member can be removed between the two.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pando_abi::NodeId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::link::{End, Order};
use super::wire::Wire;
use crate::channel::{Budgets, Channel};
use crate::close::{Close, CloseCode};
use crate::hello::{Hello, Role};
use crate::identity::PublicKey;
use crate::inbox::Inbox;
use crate::member::{Member, MemberSet};
use crate::session::{LinkId, Session, Timing};
use crate::transport::{SendError, SessionInfo};

mod carry;
pub(super) mod doors;
mod strangers;

/// The settings that tasks look at.
pub(super) struct Limits {
    pub frame_bytes_max: usize,
    pub request_bytes_max: usize,
    pub requests_max: u32,
    pub users_max: usize,
    pub user_bytes_max: usize,
    pub budgets: Budgets,
    pub silence: Duration,
    pub open_max: Duration,
    pub flush_max: Duration,
    pub timing: Timing,
}

/// How far a transport's life has gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(super) enum Life {
    Running,
    Closing,
    Closed,
}

pub(super) struct Node {
    pub ours: Hello,
    pub limits: Limits,
    pub endpoint: quinn::Endpoint,
    pub dialling: quinn::ClientConfig,
    pub inbox: Arc<Inbox>,
    /// Connections of which nobody knows yet whose they are.
    pub doors: doors::Doors,
    /// Bytes of users' requests.
    pub request_memory: Arc<Semaphore>,
    pub life: watch::Sender<Life>,
    slots: RwLock<BTreeMap<NodeId, Option<Arc<Wire>>>>,
    core: Mutex<Core>,
    rescheduled: Notify,
    strangers: strangers::Gate,
    runtime: tokio::runtime::Handle,
    started: Instant,
    seed: u64,
}

struct Core {
    members: Arc<MemberSet>,
    peers: BTreeMap<NodeId, Peer>,
    links: BTreeMap<LinkId, Link>,
    users: BTreeMap<u64, (PublicKey, quinn::Connection)>,
    /// What each user may still have in memory, as long as anything of it is taken or could be.
    memories: BTreeMap<PublicKey, Weak<Semaphore>>,
    next: u64,
}

struct Peer {
    member: Member,
    machine: Session,
    /// Why it is not connected, as last logged.
    reason: Option<String>,
}

struct Link {
    connection: Option<quinn::Connection>,
    orders: mpsc::Sender<Order>,
    wire: Option<Arc<Wire>>,
}

/// The orders of one link: a hello, a go and an Up at most.
const ORDERS: usize = 4;

impl Node {
    #[expect(clippy::disallowed_methods, reason = "of real connections only: a simulation has `MemoryNet`")]
    pub fn new(
        ours: Hello,
        limits: Limits,
        endpoint: quinn::Endpoint,
        dialling: quinn::ClientConfig,
        inbox: Arc<Inbox>,
        requests_bytes_max: usize,
        members: Arc<MemberSet>,
        seed: u64,
    ) -> Arc<Node> {
        let node = Arc::new(Node {
            ours,
            limits,
            endpoint,
            dialling,
            inbox,
            doors: doors::Doors::new(),
            request_memory: Arc::new(Semaphore::new(requests_bytes_max)),
            life: watch::Sender::new(Life::Running),
            slots: RwLock::default(),
            core: Mutex::new(Core {
                members: Arc::new(MemberSet { realm: members.realm, members: Vec::new(), users: Vec::new() }),
                peers: BTreeMap::new(),
                links: BTreeMap::new(),
                users: BTreeMap::new(),
                memories: BTreeMap::new(),
                next: 1,
            }),
            rescheduled: Notify::new(),
            strangers: strangers::Gate::default(),
            runtime: tokio::runtime::Handle::current(),
            started: Instant::now(),
            seed,
        });
        node.set_members(members);
        node
    }

    /// Queues a frame.
    pub fn send(&self, to: NodeId, channel: Channel, frame: Bytes) -> Result<(), SendError> {
        match self.slots.read().get(&to) {
            None => Err(SendError::Unknown),
            Some(_) if frame.is_empty() || frame.len() > self.limits.frame_bytes_max => Err(SendError::TooLarge),
            Some(None) => Err(SendError::Down),
            Some(Some(wire)) => wire.send(channel, frame),
        }
    }

    pub fn members(&self) -> Arc<MemberSet> {
        self.core.lock().members.clone()
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    pub fn is_running(&self) -> bool {
        *self.life.borrow() == Life::Running
    }

    /// Resolves when the transport closes.
    pub async fn stopping(&self) {
        let mut life = self.life.subscribe();
        life.wait_for(|l| *l != Life::Running).await.ok();
    }

    /// Takes over a member set; see [`crate::Transport::set_members`].
    pub fn set_members(self: &Arc<Self>, set: Arc<MemberSet>) {
        if set.realm != self.ours.realm {
            let (ours, theirs) = (self.ours.realm, set.realm);
            tracing::error!(%ours, %theirs, "a member set of another realm is not taken over");
            return;
        }
        let mut core = self.core.lock();
        let now_ms = self.now_ms();
        let gone: Vec<NodeId> = core
            .peers
            .values()
            .filter(|p| set.member(p.member.node).map(|m| m.key) != Some(p.member.key))
            .map(|p| p.member.node)
            .collect();
        for node in gone {
            let close = Close::new(CloseCode::Removed, format!("{node} is no longer a member"));
            let mut out = Vec::new();
            if let Some(mut peer) = core.peers.remove(&node) {
                peer.machine.forget(now_ms, &close, &mut out);
            }
            self.carry_out(&mut core, node, out, true);
            self.slots.write().remove(&node);
        }
        for member in &set.members {
            if member.node == self.ours.node || member.node == NodeId::NONE {
                continue;
            }
            if let Some(peer) = core.peers.get_mut(&member.node) {
                peer.member.addr = member.addr;
                continue;
            }
            let seed = self.seed ^ u64::from(member.node.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let machine = Session::new(self.ours, member.node, self.limits.timing, seed, now_ms);
            let peer = Peer { member: *member, machine, reason: None };
            core.peers.insert(member.node, peer);
            self.slots.write().insert(member.node, None);
        }
        core.users.retain(|_, (key, connection)| {
            let stays = set.is_user(key);
            if !stays {
                let text = "the key is no longer a user's";
                tracing::warn!(user = %format_args!("{key:.16}"), "{text}: connection closed");
                connection.close((CloseCode::Removed as u32).into(), text.as_bytes());
            }
            stays
        });
        core.members = set;
        drop(core);
        self.rescheduled.notify_one();
    }

    /// A dialled connection has proved the right key. False if nobody waits for it any more.
    pub fn dialled(self: &Arc<Self>, peer: NodeId, link: LinkId, connection: &quinn::Connection) -> bool {
        let mut core = self.core.lock();
        let Some(entry) = core.links.get_mut(&link) else {
            return false;
        };
        entry.connection = Some(connection.clone());
        self.feed(&mut core, peer, |machine, _, out| machine.dialled(link, out));
        true
    }

    /// A member has dialled and said hello. Gives the link and its orders, or why not.
    pub fn accepted(
        self: &Arc<Self>,
        key: &PublicKey,
        connection: &quinn::Connection,
        hello: &Hello,
    ) -> Result<(LinkId, mpsc::Receiver<Order>), Close> {
        let mut core = self.core.lock();
        core.members.authorise(key, Role::Node, hello.node)?;
        if !core.peers.contains_key(&hello.node) {
            let text = format!("{} is this node itself", hello.node);
            return Err(Close::new(CloseCode::WrongNode, text));
        }
        let (link, orders) = core.link(Some(connection.clone()));
        self.feed(&mut core, hello.node, |machine, now_ms, out| {
            machine.accepted(now_ms, link, hello, out);
        });
        Ok((link, orders))
    }

    pub fn answered(self: &Arc<Self>, peer: NodeId, link: LinkId, hello: &Hello) {
        let mut core = self.core.lock();
        self.feed(&mut core, peer, |machine, now_ms, out| {
            machine.answered(now_ms, link, hello, out);
        });
    }

    pub fn go(self: &Arc<Self>, peer: NodeId, link: LinkId) {
        let mut core = self.core.lock();
        self.feed(&mut core, peer, |machine, now_ms, out| machine.go(now_ms, link, out));
    }

    /// A link's task is over.
    pub fn link_ended(self: &Arc<Self>, peer: NodeId, link: LinkId, end: &End) {
        let mut core = self.core.lock();
        if !core.links.contains_key(&link) {
            return;
        }
        let reason = end.reason();
        let live = core.peers.get(&peer).and_then(|p| p.machine.live());
        if live.is_some_and(|(l, _)| l == link) && end.is_refusal() {
            tracing::warn!(%peer, reason, "session refused");
        }
        if let Some(p) = core.peers.get_mut(&peer)
            && live.is_none()
            && !matches!(end, End::Told(c) | End::Refuse(c) if c.code == CloseCode::Duplicate)
        {
            // Said once, and once again if it changes: a peer that is away is tried for hours.
            if p.reason.as_ref() == Some(&reason) {
                tracing::debug!(%peer, reason, "no session");
            } else if end.is_stubborn() {
                tracing::warn!(%peer, addr = %p.member.addr, reason, "no session");
            } else {
                tracing::info!(%peer, addr = %p.member.addr, reason, "no session");
            }
            p.reason = Some(reason.clone());
        }
        self.feed(&mut core, peer, |machine, now_ms, out| {
            machine.ended(now_ms, link, &reason, end.is_stubborn(), out);
        });
        core.links.remove(&link);
    }

    /// Calls the machines when they want to be called, until the transport closes.
    pub async fn keep_time(self: Arc<Self>) {
        loop {
            let next_ms = {
                let core = self.core.lock();
                core.peers.values().filter_map(|p| p.machine.deadline_ms()).min()
            };
            let wait = match next_ms {
                Some(ms) => Duration::from_millis(ms.saturating_sub(self.now_ms())),
                None => Duration::from_secs(3600),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => self.tick(),
                () = self.rescheduled.notified() => {}
                () = self.stopping() => return,
            }
        }
    }

    fn tick(self: &Arc<Self>) {
        let mut core = self.core.lock();
        let now_ms = self.now_ms();
        let due: Vec<NodeId> = core
            .peers
            .iter()
            .filter(|(_, p)| p.machine.deadline_ms().is_some_and(|ms| ms <= now_ms))
            .map(|(node, _)| *node)
            .collect();
        for node in due {
            let fresh = core.fresh();
            self.feed(&mut core, node, |machine, now_ms, out| machine.tick(now_ms, fresh, out));
        }
    }

    /// A user's connection, if it may be. Gives the number under which it is kept, and the memory that all connections of this
    /// user share.
    pub fn enter_user(&self, key: &PublicKey, connection: &quinn::Connection) -> Result<(u64, Arc<Semaphore>), Close> {
        let mut core = self.core.lock();
        core.members.authorise(key, Role::User, NodeId::NONE)?;
        let busy = |text| Err(Close::new(CloseCode::Busy, text));
        if core.users.len() >= self.limits.users_max {
            return busy(format!("{} connections of users are open", core.users.len()));
        }
        // One user leaves places for the others.
        let own = core.users.values().filter(|(user, _)| user == key).count();
        if own >= self.limits.users_max.div_ceil(2) {
            return busy(format!("{own} connections of this user are open"));
        }
        core.memories.retain(|_, memory| memory.strong_count() > 0);
        let memory = core.memories.get(key).and_then(Weak::upgrade);
        let memory = memory.unwrap_or_else(|| Arc::new(Semaphore::new(self.limits.user_bytes_max)));
        core.memories.insert(*key, Arc::downgrade(&memory));
        let number = core.fresh();
        core.users.insert(number, (*key, connection.clone()));
        Ok((number, memory))
    }

    pub fn leave_user(&self, number: u64) {
        self.core.lock().users.remove(&number);
    }

    /// Somebody without a session was refused.
    pub fn stranger_refused(&self, from: SocketAddr, key: Option<&PublicKey>, why: &dyn std::fmt::Display) {
        self.strangers.refused(self.started.elapsed().as_secs(), from, key, why);
    }

    pub fn sessions(&self) -> Vec<SessionInfo> {
        let core = self.core.lock();
        let info = |peer: &Peer| {
            let live = peer.machine.live();
            let wire = live.and_then(|(link, _)| core.links.get(&link)?.wire.clone());
            let connection = wire.as_ref().map(|w| &w.connection);
            SessionInfo {
                node: peer.member.node,
                addr: connection.map_or(peer.member.addr, |c| c.remote_address()),
                up: live.map(|(_, incarnation)| incarnation),
                version: wire.as_ref().map_or(0, |w| w.version),
                rtt: connection.map_or(Duration::ZERO, |c| c.rtt()),
                queued_bytes: wire.as_ref().map_or([0; 4], |w| w.queued_bytes()),
                reason: peer.reason.clone(),
            }
        };
        core.peers.values().map(info).collect()
    }

    /// Begins the end of every session: nothing more is queued, what is queued is written. Gives what is still open.
    pub fn finish_all(&self) -> Vec<quinn::Connection> {
        let core = self.core.lock();
        let wires = core.links.values().filter_map(|l| l.wire.as_ref());
        let users = core.users.values().map(|(_, connection)| connection.clone());
        let nodes = wires.map(|wire| {
            wire.finish();
            wire.connection.clone()
        });
        nodes.chain(users).collect()
    }

    /// Ends what is still open once the other sides have taken everything, or in bounded time.
    pub async fn close(self: Arc<Self>, open: Vec<quinn::Connection>) {
        let all = async {
            for connection in &open {
                connection.closed().await;
            }
        };
        if tokio::time::timeout(self.limits.flush_max, all).await.is_err() {
            tracing::info!("closing before everything queued was taken");
        }
        self.abort("the node is closing");
        tokio::time::timeout(Duration::from_millis(300), self.endpoint.wait_idle()).await.ok();
        self.finish();
    }

    /// Ends every session now. The peers are told if the runtime goes on for a moment.
    pub fn abort(self: &Arc<Self>, reason: &str) {
        let mut core = self.core.lock();
        let close = Close::new(CloseCode::Closing, reason);
        let now_ms = self.now_ms();
        for node in core.peers.keys().copied().collect::<Vec<_>>() {
            let mut out = Vec::new();
            if let Some(peer) = core.peers.get_mut(&node) {
                peer.machine.forget(now_ms, &close, &mut out);
            }
            self.carry_out(&mut core, node, out, false);
        }
        drop(core);
        self.endpoint.close((CloseCode::Closing as u32).into(), reason.as_bytes());
    }

    pub fn finish(&self) {
        self.inbox.finish();
        self.life.send_replace(Life::Closed);
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
}

impl Core {
    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn link(&mut self, connection: Option<quinn::Connection>) -> (LinkId, mpsc::Receiver<Order>) {
        let link = self.fresh();
        (link, self.enter(link, connection))
    }

    fn enter(&mut self, link: LinkId, connection: Option<quinn::Connection>) -> mpsc::Receiver<Order> {
        let (orders, receive) = mpsc::channel(ORDERS);
        let entry = Link { connection, orders, wire: None };
        let before = self.links.insert(link, entry);
        assert!(before.is_none(), "links are numbered once");
        receive
    }

    fn order(&mut self, link: LinkId, order: Order) {
        if let Some(entry) = self.links.get(&link) {
            // Full it cannot be; closed it is if the task has ended, which is about to be reported.
            entry.orders.try_send(order).ok();
        }
    }
}
