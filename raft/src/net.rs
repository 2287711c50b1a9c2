//! Questions and answers over a one-way [`Wire`].
//!
//! Owns the numbers of questions and the parts of long packets. Knows nothing of Raft.
//!
//! 1. An answer counts only if it comes from the node that was asked.
//! 2. Every question ends: answered, timed out, or the wire would not take it.
//! 3. What a dropped question waited for is forgotten at once; what a peer was asked ends when its session does.

pub(crate) mod parts;
pub(crate) mod peer;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pando_abi::NodeId;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::FRAME_BYTES_MAX;
use crate::codec::wire::{Answer, Ask, PACKET_BYTES_MAX, Packet};
use crate::entry::GroupId;
use crate::machine::Wire;
use parts::Assembler;

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum AskError {
    #[error("the peer is down or its queue full")]
    Down,
    #[error("no answer in time")]
    Timeout,
}

/// This node's end of the wire.
pub(crate) struct Link {
    wire: Arc<dyn Wire>,
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, (NodeId, oneshot::Sender<Answer>)>>,
    parts: Mutex<HashMap<NodeId, Assembler>>,
    down: Mutex<BTreeSet<NodeId>>,
}

/// Forgets the question when its asker is dropped.
struct Waiting<'a> {
    link: &'a Link,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.link.waiting.lock().remove(&self.id);
    }
}

impl Link {
    /// Questions are numbered from `boot`, so that an answer to an earlier boot of this node fits no question of this one.
    pub(crate) fn new(wire: Arc<dyn Wire>, boot: u64) -> Link {
        Link {
            wire,
            next: AtomicU64::new(boot),
            waiting: Mutex::default(),
            parts: Mutex::default(),
            down: Mutex::default(),
        }
    }

    /// Asks and waits, for at most `timeout`.
    pub(crate) async fn ask(
        &self,
        to: NodeId,
        group: GroupId,
        ask: Ask,
        bulk: bool,
        timeout: Duration,
    ) -> Result<Answer, AskError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tx, rx) = oneshot::channel();
        self.waiting.lock().insert(id, (to, tx));
        let _waiting = Waiting { link: self, id };
        if !self.send(to, &Packet::Ask { id, group: group.0, ask }, bulk) {
            return Err(AskError::Down);
        }
        match tokio::time::timeout(timeout, rx).await {
            Ok(Ok(answer)) => Ok(answer),
            // Given up because the session ended: the question may have arrived.
            Ok(Err(_)) | Err(_) => Err(AskError::Timeout),
        }
    }

    /// The session with `node` is over: what it was asked it will not answer.
    pub(crate) fn down(&self, node: NodeId) {
        self.down.lock().insert(node);
        self.waiting.lock().retain(|_, (asked, _)| *asked != node);
    }

    /// There is a session with `node`.
    pub(crate) fn up(&self, node: NodeId) {
        self.down.lock().remove(&node);
    }

    /// There was a session with `node`, and it is over.
    pub(crate) fn is_down(&self, node: NodeId) -> bool {
        self.down.lock().contains(&node)
    }

    /// Sends a packet, in parts if it is long. `false`: the wire would not take all of it.
    pub(crate) fn send(&self, to: NodeId, packet: &Packet, bulk: bool) -> bool {
        let bytes = packet.encode();
        if bytes.len() <= FRAME_BYTES_MAX {
            return self.wire.send(to, bytes, bulk);
        }
        if bytes.len() > PACKET_BYTES_MAX {
            tracing::error!(%to, bytes = bytes.len(), "a packet is over the limit and was not sent");
            return false;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        parts::cut(id, bytes).into_iter().all(|frame| self.wire.send(to, frame, bulk))
    }

    /// Takes a frame. Answers find their asker; everything else is given back.
    pub(crate) fn receive(&self, from: NodeId, frame: &[u8]) -> Option<Packet> {
        match Packet::decode(frame, FRAME_BYTES_MAX) {
            Ok(Packet::Part { id, part, parts, bytes }) => {
                let taken = self.parts.lock().entry(from).or_default().take(id, part, parts, bytes);
                match taken {
                    Ok(Some(whole)) => match Packet::decode(&whole, PACKET_BYTES_MAX) {
                        Ok(Packet::Part { .. }) => warn(from, "a part within parts"),
                        Ok(packet) => self.sort(from, packet),
                        Err(e) => warn(from, &e.to_string()),
                    },
                    Ok(None) => None,
                    Err(e) => warn(from, &e),
                }
            }
            Ok(packet) => self.sort(from, packet),
            Err(e) => warn(from, &e.to_string()),
        }
    }

    fn sort(&self, from: NodeId, packet: Packet) -> Option<Packet> {
        let Packet::Answer { id, answer } = packet else { return Some(packet) };
        let mut waiting = self.waiting.lock();
        match waiting.get(&id) {
            Some((asked, _)) if *asked == from => {
                if let Some((_, asker)) = waiting.remove(&id) {
                    // The asker may be gone meanwhile.
                    let _ = asker.send(answer);
                }
            }
            Some(_) => drop(warn(from, "an answer to a question that was put to another node")),
            // Late: its asker has given up.
            None => {}
        }
        None
    }
}

/// The worst that bytes from a peer cause.
pub(crate) fn warn(from: NodeId, why: &str) -> Option<Packet> {
    tracing::warn!(peer = %from, %why, "a malformed frame was ignored");
    None
}
