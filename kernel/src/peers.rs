//! Other nodes: their frames come in here, sessions come and go here, and questions to them are matched with answers.
//!
//! 1. Every frame is from a member whose key was proved; what is in it is an allegation still.
//! 2. The end of a session is told once to everybody on this node whom it concerns.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pando_abi::{ActorId, Address, ModuleHash, NodeId, limits};
use pando_admin::{Reply, Request};
use pando_raft::{Wire, blocking};
use pando_transport::{Channel, Member, PublicKey, Transport, TransportEvent};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    input::{Input, Moved},
    node::Kernel,
    realm::ROOT,
    replica::Replica,
    wire::{self, BeginWord, ControlMessage},
};

/// Bytes of one control message at most: a piece of a module, an admin reply.
const CONTROL_BYTES_MAX: usize = 1 << 20;

/// Questions to other nodes that wait at once.
pub(crate) const QUESTIONS_MAX: usize = 1 << 14;

/// Questions to other nodes that wait for their answers.
#[derive(Default)]
pub(crate) struct PeerCalls {
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, (NodeId, oneshot::Sender<Vec<u8>>)>>,
    /// Nodes for which the root group is being asked whether they may begin.
    pub(crate) beginning: Mutex<BTreeSet<NodeId>>,
    /// Nodes that others know of, from the furthest in the root group's log.
    hint: watch::Sender<Hint>,
    /// What others said about the beginning of this node.
    words: Mutex<Option<mpsc::UnboundedSender<(NodeId, u64, BeginWord)>>>,
}

/// A question that waits for its answer, until this is dropped.
struct Asked<'a> {
    calls: &'a PeerCalls,
    id: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.calls.waiting.lock().remove(&self.id);
    }
}

/// Nodes of the realm, and the index in the root group's log at which they are.
pub(crate) type Hint = (u64, Vec<Member>);

impl PeerCalls {
    /// A question to a node, and what will come. `None`: too many wait.
    fn ask(&self, node: NodeId) -> Option<(Asked<'_>, oneshot::Receiver<Vec<u8>>)> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.len() >= QUESTIONS_MAX {
            return None;
        }
        waiting.insert(id, (node, sender));
        Some((Asked { calls: self, id }, receiver))
    }

    /// Questions that wait: how many, and how many of them nobody waits for any more.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let waiting = self.waiting.lock();
        (waiting.len(), waiting.values().filter(|(_, sender)| sender.is_closed()).count())
    }

    /// What others say about who belongs to the realm.
    pub(crate) fn hints(&self) -> watch::Receiver<Hint> {
        self.hint.subscribe()
    }

    fn hear_members(&self, at: u64, nodes: Vec<(u32, [u8; 32], String)>) {
        let member = |(node, key, addr): (u32, [u8; 32], String)| {
            let addr = addr.parse().ok()?;
            (node != 0).then_some(Member { node: NodeId(node), key: PublicKey(key), addr })
        };
        let nodes: Vec<Member> = nodes.into_iter().take(limits::NODES_MAX).filter_map(member).collect();
        self.hint.send_if_modified(|(known, hint)| {
            let news = at > *known;
            if news {
                (*known, *hint) = (at, nodes);
            }
            news
        });
    }

    /// Hears what others say about the beginning of this node, from now on.
    pub(crate) fn hear_words(&self) -> mpsc::UnboundedReceiver<(NodeId, u64, BeginWord)> {
        let (sender, words) = mpsc::unbounded_channel();
        *self.words.lock() = Some(sender);
        words
    }

    fn begins(&self, from: NodeId, life: u64, word: BeginWord) {
        let mut words = self.words.lock();
        // Nobody listens any more: the beginning is over.
        if words.as_ref().is_some_and(|words| words.send((from, life, word)).is_err()) {
            *words = None;
        }
    }
}

/// Raft's way to other nodes.
pub(crate) struct RaftWire(pub Arc<dyn Transport>);

impl Wire for RaftWire {
    fn send(&self, to: NodeId, bytes: Vec<u8>, bulk: bool) -> bool {
        let channel = if bulk { Channel::Bulk } else { Channel::Raft };
        // One byte in front tells Raft's frames on the bulk channel from pieces of modules.
        let mut frame = Vec::with_capacity(bytes.len() + 1);
        frame.push(FRAME_RAFT);
        frame.extend_from_slice(&bytes);
        self.0.send(to, channel, frame.into()).is_ok()
    }
}

const FRAME_RAFT: u8 = 1;
const FRAME_CONTROL: u8 = 2;

impl Kernel {
    /// Takes one event of the transport.
    pub(crate) fn transport_event(self: &Arc<Self>, event: TransportEvent) {
        match event {
            TransportEvent::Up { node, incarnation } => {
                self.paths().up(node, incarnation);
                self.log_as("kernel".into(), 3, format!("{node} is up"));
                self.tell_members(node);
                self.groups().peer_up(node);
                self.leaders().node_up(node);
            }
            TransportEvent::Down { node, reason, .. } => {
                self.paths().down(node);
                self.log_as("kernel".into(), 2, format!("{node} is down: {reason}"));
                self.node_down(node);
            }
            TransportEvent::Frame { from, channel, bytes, .. } => match channel {
                Channel::Raft | Channel::Bulk => match bytes.split_first() {
                    Some((&FRAME_RAFT, frame)) => self.groups().receive(from, frame),
                    Some((&FRAME_CONTROL, frame)) if channel == Channel::Bulk => {
                        self.receive_control_bytes(from, frame)
                    }
                    _ => {
                        tracing::warn!(%from, "a frame of no known kind on the {} channel; it is dropped", channel.name())
                    }
                },
                Channel::Actor => self.receive_envelope(from, &bytes),
                Channel::Control => self.receive_control_bytes(from, &bytes),
            },
            TransportEvent::Request(request) => {
                let kernel = self.clone();
                self.runtime().spawn(async move { crate::admin::serve(kernel, request).await });
            }
        }
    }

    fn receive_control_bytes(self: &Arc<Self>, from: NodeId, bytes: &[u8]) {
        match wire::decode::<ControlMessage>(bytes, CONTROL_BYTES_MAX) {
            Ok(message) => self.receive_control(from, message),
            Err(why) => tracing::warn!(%from, %why, "a control message is not what it should be; it is dropped"),
        }
    }

    /// Sends what is large and can wait.
    pub(crate) fn send_bulk(&self, to: NodeId, message: &ControlMessage) -> bool {
        let bytes = wire::encode(message);
        let mut frame = Vec::with_capacity(bytes.len() + 1);
        frame.push(FRAME_CONTROL);
        frame.extend_from_slice(&bytes);
        self.transport().send(to, Channel::Bulk, frame.into()).is_ok()
    }

    fn receive_control(self: &Arc<Self>, from: NodeId, message: ControlMessage) {
        match message {
            ControlMessage::Ack { group, to, seq } => {
                // The receiver's node writes itself as the home: that is how this node numbered it, too.
                if let Ok(to) = to.open() {
                    self.leaders().heard(ActorId(group), to, seq);
                }
            }
            ControlMessage::Admin { id, request } => {
                let kernel = self.clone();
                self.runtime().spawn(async move {
                    let reply = match Request::decode(&request) {
                        Ok(request) => crate::admin::answer_here(&kernel, request).await,
                        Err(why) => Reply::refused(pando_abi::Errno::BAD_REQUEST, why.to_string(), ""),
                    };
                    kernel.send_control(from, &ControlMessage::AdminReply { id, reply: reply.encode() });
                });
            }
            ControlMessage::AdminReply { id, reply } => {
                let mut waiting = self.calls().waiting.lock();
                // Only whom it was asked of may answer it.
                if waiting.get(&id).is_some_and(|(node, _)| *node == from)
                    && let Some((_, sender)) = waiting.remove(&id)
                {
                    let _ = sender.send(reply);
                }
            }
            ControlMessage::FetchModule { hash, offset } => {
                let (total, bytes) = self.modules().piece(ModuleHash(hash), offset);
                let piece = ControlMessage::ModulePiece { hash, offset, total, bytes };
                self.send_control(from, &piece);
            }
            ControlMessage::ModulePiece { hash, offset, total, bytes } => {
                let hash = ModuleHash(hash);
                if let Some(offset) = self.modules().take_piece(hash, offset, total, &bytes) {
                    self.send_control(from, &ControlMessage::FetchModule { hash: hash.0, offset });
                }
            }
            ControlMessage::Move { mark, step } => self.move_step(from, mark, step),
            ControlMessage::Ended { address, exit } => self.moved_ended(from, address, exit),
            ControlMessage::Members { at, nodes } => self.calls().hear_members(at, nodes),
            ControlMessage::MayBegin { life } => self.may_begin(from, life),
            ControlMessage::Begins { life, word } => self.calls().begins(from, life, word),
        }
    }

    /// Tells another node who belongs to the realm: it may be behind, and not know yet who has to bring it up.
    pub(crate) fn tell_members(&self, to: NodeId) {
        let at = self.groups().applied(ROOT);
        let nodes =
            self.root().read(|root| root.members().map(|m| (m.node.0, m.key, m.addr.to_string())).collect::<Vec<_>>());
        if !nodes.is_empty() {
            self.send_control(to, &ControlMessage::Members { at, nodes });
        }
    }

    /// Asks another node on behalf of a person. `None`: it did not answer in time.
    pub(crate) async fn ask_node(&self, node: NodeId, request: &Request, patience: Duration) -> Option<Reply> {
        let (asked, receiver) = self.calls().ask(node)?;
        if !self.send_control(node, &ControlMessage::Admin { id: asked.id, request: request.encode() }) {
            return None;
        }
        let reply = tokio::time::timeout(patience, receiver).await.ok()?.ok()?;
        Reply::decode(&reply).ok()
    }

    /// Tells everybody on this node who has to know that a node is gone.
    fn node_down(self: &Arc<Self>, node: NodeId) {
        self.calls().waiting.lock().retain(|_, (asked, _)| *asked != node);
        self.groups().peer_down(node);
        self.lose(node);
    }

    /// Tells the groups that are led here.
    pub(crate) fn tell_groups(self: &Arc<Self>, node: NodeId, moved: Arc<Moved>) {
        let kernel = self.clone();
        // Machines may be busy, so this waits on a thread that may.
        let told = blocking(move || {
            for group in kernel.leaders().list().into_iter().filter(|g| *g != ROOT) {
                let concern = kernel.groups().with_machine(group, |machine| {
                    let replica = machine.as_any().downcast_mut::<Replica>();
                    replica.and_then(|r| r.process()).and_then(|p| p.concern(node, &moved))
                });
                if let Some(moved) = concern.flatten() {
                    let (to, node) = (Address::group(group), node.0);
                    let input = match moved.is_empty() {
                        true => Input::NodeDown { node },
                        false => Input::NodeDownBut { node, moved: Arc::new(moved) },
                    };
                    kernel.deliver(to, to, input);
                }
            }
        });
        self.runtime().spawn(async move {
            if let Err(why) = told.await {
                tracing::error!(%node, %why, "groups could not be told that a node is gone");
            }
        });
    }
}
