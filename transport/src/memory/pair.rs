//! One session in memory: two ends, and what is on its way between them.
//!
//! Pure. Side 0 is the node with the lower number.

#![expect(clippy::indexing_slicing, reason = "a side is 0 or 1; there is one place for each channel in every array")]

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use pando_abi::NodeId;

use crate::channel::{Budgets, Channel, cost};
use crate::inbox::{Cell, Phase};
use crate::transport::SendError;

/// Two nodes, the lower number first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PairId(pub NodeId, pub NodeId);

impl PairId {
    pub fn of(a: NodeId, b: NodeId) -> PairId {
        PairId(a.min(b), a.max(b))
    }

    pub fn has(self, node: NodeId) -> bool {
        self.0 == node || self.1 == node
    }

    pub fn side(self, node: NodeId) -> usize {
        usize::from(self.1 == node)
    }

    pub fn node(self, side: usize) -> NodeId {
        if side == 0 { self.0 } else { self.1 }
    }
}

pub(super) struct Pair {
    /// What each side holds of the session; `None` once it has learnt that it is over.
    pub ends: [Option<Arc<Cell>>; 2],
    /// What each side has sent.
    pub pipes: [Pipe; 2],
    /// Why it is over.
    pub broken: Option<String>,
    /// A side has closed in good order: what it had sent still arrives.
    finishing: [bool; 2],
}

impl Pair {
    pub fn new(ends: [Arc<Cell>; 2], budgets: &Budgets, frame_bytes_max: usize) -> Pair {
        Pair {
            ends: ends.map(Some),
            pipes: [(); 2].map(|()| Pipe::new(budgets, frame_bytes_max)),
            broken: None,
            finishing: [false; 2],
        }
    }

    /// What is on its way is lost; both ends will learn of it.
    pub fn break_off(&mut self, reason: &str) {
        self.pipes.iter_mut().for_each(Pipe::clear);
        self.broken.get_or_insert_with(|| reason.to_owned());
    }

    pub fn finish(&mut self, side: usize) {
        self.finishing[side] = true;
        self.pipes[1 - side].clear();
        self.settle();
    }

    /// A side that has finished and has nothing on its way any more is over.
    pub fn settle(&mut self) {
        let over = (0..2).any(|side| self.finishing[side] && self.pipes[side].is_empty());
        if over && self.broken.is_none() {
            self.break_off("closed in good order");
        }
    }

    pub fn send(&mut self, side: usize, channel: Channel, frame: Bytes, due_ns: u64) -> Result<(), SendError> {
        let open = self.ends[side].as_ref().is_some_and(|c| c.phase() == Phase::Open);
        if !open {
            return Err(SendError::Down);
        }
        // A side that has not learnt yet that the session is over sends into the void.
        if self.broken.is_some() || self.finishing[1 - side] {
            return Ok(());
        }
        self.pipes[side].push(channel, frame, due_ns)
    }

    pub fn can_learn(&self, side: usize) -> bool {
        self.broken.is_some() && self.ends[side].is_some()
    }

    /// Whether the next frame that `side` has sent may arrive.
    pub fn can_deliver(&self, side: usize, channel: Channel, now_ns: u64) -> bool {
        let open = self.ends[1 - side].as_ref().is_some_and(|c| c.phase() == Phase::Open);
        let due = self.pipes[side].queues[channel as usize].front();
        open && self.broken.is_none() && due.is_some_and(|(due_ns, _)| *due_ns <= now_ns)
    }

    /// When the next frame that is not due yet will be.
    pub fn next_due(&self, now_ns: u64) -> Option<u64> {
        let queues = self.pipes.iter().flat_map(|p| &p.queues);
        let heads = queues.filter_map(|q| q.front()).map(|(due_ns, _)| *due_ns);
        heads.filter(|due_ns| *due_ns > now_ns).min()
    }
}

pub(super) struct Pipe {
    queues: [VecDeque<(u64, Bytes)>; 4],
    used: [usize; 4],
    budgets: [usize; 4],
}

impl Pipe {
    fn new(budgets: &Budgets, frame_bytes_max: usize) -> Pipe {
        Pipe { queues: Default::default(), used: [0; 4], budgets: Channel::ALL.map(|c| budgets.of(c, frame_bytes_max)) }
    }

    fn push(&mut self, channel: Channel, frame: Bytes, due_ns: u64) -> Result<(), SendError> {
        let c = channel as usize;
        if self.used[c] + cost(&frame) > self.budgets[c] {
            return Err(SendError::Full);
        }
        self.used[c] += cost(&frame);
        self.queues[c].push_back((due_ns, frame));
        Ok(())
    }

    pub fn front(&self, channel: Channel) -> Option<Bytes> {
        self.queues[channel as usize].front().map(|(_, frame)| frame.clone())
    }

    pub fn pop(&mut self, channel: Channel) -> Option<Bytes> {
        let (_, frame) = self.queues[channel as usize].pop_front()?;
        self.used[channel as usize] -= cost(&frame);
        Some(frame)
    }

    pub fn duplicate(&mut self, channel: Channel) -> bool {
        let queue = &mut self.queues[channel as usize];
        let Some((due_ns, frame)) = queue.front().cloned() else {
            return false;
        };
        self.used[channel as usize] += cost(&frame);
        queue.push_front((due_ns, frame));
        true
    }

    pub fn used(&self) -> [usize; 4] {
        self.used
    }

    fn is_empty(&self) -> bool {
        self.queues.iter().all(VecDeque::is_empty)
    }

    fn clear(&mut self) {
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.used = [0; 4];
    }
}
