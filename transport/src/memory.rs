//! The driver for simulation: a network in memory that does nothing by itself.
//!
//! Owns: what is on its way between nodes, and what goes wrong there. Everything happens in [`MemoryNet::step`], one thing at a time;
//! which of the possible things comes next is drawn from the seed. No clock, no thread, no task.
//!
//! 1. The same seed and the same calls give the same run.
//! 2. What holds for [`crate::Quic`] holds here: Up, frames in order within a channel, Down; budgets; membership. Only
//!    [`MemoryNet::drop_next`] and [`MemoryNet::duplicate_next`] break the order's promise, and only when told.
//! 3. The two ends of a broken session learn of it at different times.

#![expect(clippy::indexing_slicing, reason = "a side is 0 or 1")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pando_abi::{Incarnation, NodeId};
use parking_lot::Mutex;

use crate::channel::{Budgets, Channel};
use crate::identity::PublicKey;
use crate::inbox::{Cell, Events, Inbox};
use crate::member::MemberSet;
use crate::request::{ResponseStream, UserRequest};
use crate::transport::{SendError, SessionInfo, Transport};

mod pair;

use pair::{Pair, PairId, Pipe};

/// Bytes of one lane of an inbox in a simulation.
const INBOX_BYTES: usize = 8 << 20;
/// The longest frame in a simulation.
const FRAME_BYTES_MAX: usize = 4 << 20;

/// A network in memory. Clones are the same network.
#[derive(Clone)]
pub struct MemoryNet {
    net: Arc<Mutex<Net>>,
}

/// One node's transport in a [`MemoryNet`].
pub struct MemoryNode {
    net: Arc<Mutex<Net>>,
    me: NodeId,
    incarnation: Incarnation,
}

struct Net {
    seed: u64,
    now_ns: u64,
    budgets: Budgets,
    nodes: BTreeMap<NodeId, Node>,
    pairs: BTreeMap<PairId, Pair>,
    cut: BTreeSet<PairId>,
    delay_ns: BTreeMap<(NodeId, NodeId), u64>,
}

struct Node {
    incarnation: Incarnation,
    members: Arc<MemberSet>,
    inbox: Arc<Inbox>,
}

/// One thing that may happen next.
#[derive(Clone, Copy)]
enum Possible {
    Connect(PairId),
    Learn(PairId, usize),
    Deliver(PairId, usize, Channel),
}

impl MemoryNet {
    /// An empty network whose course is drawn from `seed`.
    pub fn new(seed: u64) -> MemoryNet {
        let net = Net {
            seed: seed | 1,
            now_ns: 0,
            budgets: Budgets::default(),
            nodes: BTreeMap::new(),
            pairs: BTreeMap::new(),
            cut: BTreeSet::new(),
            delay_ns: BTreeMap::new(),
        };
        MemoryNet { net: Arc::new(Mutex::new(net)) }
    }

    /// Boots a node. If it runs already, its former life is killed.
    pub fn node(&self, node: NodeId, incarnation: Incarnation, members: Arc<MemberSet>) -> (Arc<MemoryNode>, Events) {
        self.kill(node);
        let (inbox, events) = Inbox::new(INBOX_BYTES);
        let entry = Node { incarnation, members, inbox };
        self.net.lock().nodes.insert(node, entry);
        let transport = MemoryNode { net: self.net.clone(), me: node, incarnation };
        (Arc::new(transport), events)
    }

    /// Ends a node's process in the middle of whatever it does. Its own events just end.
    pub fn kill(&self, node: NodeId) {
        let mut net = self.net.lock();
        if let Some(dead) = net.nodes.remove(&node) {
            dead.inbox.finish();
        }
        for (id, pair) in net.pairs.iter_mut().filter(|(id, _)| id.has(node)) {
            pair.ends[id.side(node)] = None;
            pair.break_off("nothing heard");
        }
        net.sweep();
    }

    /// Nothing passes between `a` and `b` until [`MemoryNet::heal`].
    pub fn partition(&self, a: NodeId, b: NodeId) {
        let mut net = self.net.lock();
        let id = PairId::of(a, b);
        net.cut.insert(id);
        if let Some(pair) = net.pairs.get_mut(&id) {
            pair.break_off("nothing heard");
        }
    }

    /// `a` and `b` can connect again.
    pub fn heal(&self, a: NodeId, b: NodeId) {
        self.net.lock().cut.remove(&PairId::of(a, b));
    }

    /// Everybody can connect with everybody again.
    pub fn heal_all(&self) {
        self.net.lock().cut.clear();
    }

    /// Frames from `a` to `b` that are sent from now on take this long.
    pub fn delay(&self, a: NodeId, b: NodeId, ns: u64) {
        self.net.lock().delay_ns.insert((a, b), ns);
    }

    /// Bytes that may wait between two nodes, for sessions that begin from now on.
    pub fn budgets(&self, budgets: Budgets) {
        self.net.lock().budgets = budgets;
    }

    /// Loses the next frame on its way from `a` to `b`. False if there is none.
    pub fn drop_next(&self, a: NodeId, b: NodeId, channel: Channel) -> bool {
        let mut net = self.net.lock();
        net.pipe(a, b).is_some_and(|pipe| pipe.pop(channel).is_some())
    }

    /// Doubles the next frame on its way from `a` to `b`. False if there is none.
    pub fn duplicate_next(&self, a: NodeId, b: NodeId, channel: Channel) -> bool {
        let mut net = self.net.lock();
        net.pipe(a, b).is_some_and(|pipe| pipe.duplicate(channel))
    }

    /// Breaks the session between `a` and `b` once; they connect again.
    pub fn break_session(&self, a: NodeId, b: NodeId) {
        if let Some(pair) = self.net.lock().pairs.get_mut(&PairId::of(a, b)) {
            pair.break_off("the connection broke");
        }
    }

    /// A user asks a node. `None` if the node is not there or the user may not.
    pub fn request(&self, node: NodeId, user: PublicKey, bytes: Bytes) -> Option<ResponseStream> {
        let net = self.net.lock();
        let node = net.nodes.get(&node).filter(|n| n.members.is_user(&user))?;
        let (request, answers) = UserRequest::local(user, bytes);
        node.inbox.request(request).ok()?;
        Some(answers)
    }

    /// Lets one possible thing happen. False if nothing can happen now: then time has to pass, or events have to be taken.
    pub fn step(&self) -> bool {
        let mut net = self.net.lock();
        let mut possible = net.possible();
        while !possible.is_empty() {
            let at = net.draw(possible.len());
            if net.happen(possible.swap_remove(at)) {
                return true;
            }
        }
        false
    }

    /// Steps until nothing can happen now. Gives how much did.
    pub fn run(&self) -> usize {
        std::iter::from_fn(|| self.step().then_some(())).count()
    }

    /// Lets time pass.
    pub fn advance_to(&self, now_ns: u64) {
        let mut net = self.net.lock();
        net.now_ns = net.now_ns.max(now_ns);
    }

    /// When the next frame that is on its way is due, if one is.
    pub fn next_due(&self) -> Option<u64> {
        let net = self.net.lock();
        let now_ns = net.now_ns;
        net.pairs.values().filter_map(|p| p.next_due(now_ns)).min()
    }
}

impl Net {
    fn draw(&mut self, n: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        ((self.seed >> 16) % n as u64) as usize
    }

    fn pipe(&mut self, a: NodeId, b: NodeId) -> Option<&mut Pipe> {
        let id = PairId::of(a, b);
        Some(&mut self.pairs.get_mut(&id)?.pipes[id.side(a)])
    }

    /// Whether both run, know each other, and can reach each other.
    fn connectable(&self, id: PairId) -> bool {
        let knows = |a: NodeId, b: NodeId| {
            let Some(node) = self.nodes.get(&a) else {
                return false;
            };
            self.nodes.contains_key(&b) && node.members.member(b).is_some()
        };
        !self.cut.contains(&id) && knows(id.0, id.1) && knows(id.1, id.0)
    }

    fn possible(&self) -> Vec<Possible> {
        let mut out = Vec::new();
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        for (i, a) in nodes.iter().enumerate() {
            for b in nodes.iter().skip(i + 1) {
                let id = PairId::of(*a, *b);
                if !self.pairs.contains_key(&id) && self.connectable(id) {
                    out.push(Possible::Connect(id));
                }
            }
        }
        for (id, pair) in &self.pairs {
            for side in 0..2 {
                if pair.can_learn(side) {
                    out.push(Possible::Learn(*id, side));
                }
                for channel in Channel::ALL {
                    if pair.can_deliver(side, channel, self.now_ns) {
                        out.push(Possible::Deliver(*id, side, channel));
                    }
                }
            }
        }
        out
    }

    fn happen(&mut self, what: Possible) -> bool {
        match what {
            Possible::Connect(id) => self.connect(id),
            Possible::Learn(id, side) => self.learn(id, side),
            Possible::Deliver(id, side, channel) => self.deliver(id, side, channel),
        }
    }

    fn connect(&mut self, id: PairId) -> bool {
        let (Some(a), Some(b)) = (self.nodes.get(&id.0), self.nodes.get(&id.1)) else {
            return false;
        };
        let ends = [Cell::new(id.1, b.incarnation), Cell::new(id.0, a.incarnation)];
        a.inbox.announce(&ends[0]);
        b.inbox.announce(&ends[1]);
        self.pairs.insert(id, Pair::new(ends, &self.budgets, FRAME_BYTES_MAX));
        true
    }

    fn learn(&mut self, id: PairId, side: usize) -> bool {
        let Some(pair) = self.pairs.get_mut(&id) else {
            return false;
        };
        let reason = pair.broken.clone().unwrap_or_default();
        let (end, node) = (pair.ends[side].take(), self.nodes.get(&id.node(side)));
        if let (Some(cell), Some(node)) = (end, node) {
            node.inbox.end(&cell, reason, false);
        }
        self.sweep();
        true
    }

    /// Delivers what `side` has sent.
    fn deliver(&mut self, id: PairId, side: usize, channel: Channel) -> bool {
        let Some(receiver) = self.nodes.get(&id.node(1 - side)) else {
            return false;
        };
        let Some(pair) = self.pairs.get_mut(&id) else {
            return false;
        };
        let (Some(cell), Some(frame)) = (&pair.ends[1 - side], pair.pipes[side].front(channel)) else {
            return false;
        };
        if receiver.inbox.try_push(cell, channel, frame).is_err() {
            return false;
        }
        pair.pipes[side].pop(channel);
        pair.settle();
        true
    }

    /// Forgets sessions of which both ends have learnt that they are over.
    fn sweep(&mut self) {
        self.pairs.retain(|_, pair| pair.ends.iter().any(Option::is_some));
    }

    /// Ends `me`'s sessions: with whom `ends` says so.
    fn end_own(&mut self, me: NodeId, reason: &str, revoke: bool, ends: impl Fn(NodeId) -> bool) {
        let Some(node) = self.nodes.get(&me) else {
            return;
        };
        for (id, pair) in self.pairs.iter_mut().filter(|(id, _)| id.has(me)) {
            let side = id.side(me);
            if !ends(id.node(1 - side)) {
                continue;
            }
            if let Some(cell) = pair.ends[side].take() {
                node.inbox.end(&cell, reason.to_owned(), revoke);
            }
            if revoke {
                pair.break_off(reason);
            } else {
                pair.finish(side);
            }
        }
        self.sweep();
    }
}

impl MemoryNode {
    /// Runs `f` if this life of the node is still the running one.
    fn alive<T>(&self, f: impl FnOnce(&mut Net) -> T) -> Option<T> {
        let mut net = self.net.lock();
        let running = net.nodes.get(&self.me).map(|n| n.incarnation);
        (running == Some(self.incarnation)).then(|| f(&mut net))
    }
}

impl Transport for MemoryNode {
    fn send(&self, to: NodeId, channel: Channel, frame: Bytes) -> Result<(), SendError> {
        let me = self.me;
        let sent = self.alive(|net| {
            let member = net.nodes.get(&me).and_then(|n| n.members.member(to));
            if member.is_none() || to == me {
                return Err(SendError::Unknown);
            }
            if frame.is_empty() || frame.len() > FRAME_BYTES_MAX {
                return Err(SendError::TooLarge);
            }
            let delay_ns = net.delay_ns.get(&(me, to)).copied().unwrap_or(0);
            let (id, due_ns) = (PairId::of(me, to), net.now_ns + delay_ns);
            let pair = net.pairs.get_mut(&id).ok_or(SendError::Down)?;
            pair.send(id.side(me), channel, frame, due_ns)
        });
        sent.unwrap_or(Err(SendError::Down))
    }

    fn set_members(&self, members: Arc<MemberSet>) {
        let me = self.me;
        self.alive(|net| {
            let Some(node) = net.nodes.get_mut(&me) else {
                return;
            };
            if node.members.realm != members.realm {
                return;
            }
            node.members = members.clone();
            net.end_own(me, "removed from the member set", true, |peer| members.member(peer).is_none());
        });
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        let me = self.me;
        let list = |net: &mut Net| {
            let members = net.nodes.get(&me).map(|n| n.members.clone());
            let mut out = Vec::new();
            for member in members.iter().flat_map(|m| &m.members).filter(|m| m.node != me) {
                let id = PairId::of(me, member.node);
                let pair = net.pairs.get(&id);
                let up = pair.and_then(|p| p.ends[id.side(me)].as_ref());
                let way = |a, b| net.delay_ns.get(&(a, b)).copied().unwrap_or(0);
                out.push(SessionInfo {
                    node: member.node,
                    addr: member.addr,
                    up: up.map(|cell| cell.incarnation),
                    version: u16::from(up.is_some()),
                    rtt: Duration::from_nanos(way(me, member.node) + way(member.node, me)),
                    queued_bytes: pair.map_or([0; 4], |p| p.pipes[id.side(me)].used()),
                    reason: pair.and_then(|p| p.broken.clone()),
                });
            }
            out.sort_by_key(|info| info.node);
            out
        };
        self.alive(list).unwrap_or_default()
    }

    fn close(&self) {
        let me = self.me;
        self.alive(|net| {
            net.end_own(me, "closed here", false, |_| true);
            if let Some(node) = net.nodes.remove(&me) {
                node.inbox.finish();
            }
        });
    }

    fn closed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests;
