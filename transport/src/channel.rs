//! Four classes of traffic between two nodes, each with a queue and a budget of its own.
//!
//! Pure: the queue knows no stream and no task. The driver drains it in batches.
//!
//! 1. A queue never holds more than its budget, counting an overhead for each frame, with what is being written included.
//! 2. A frame that fits an empty queue is never refused for ever: every budget holds the longest frame.

use std::collections::VecDeque;

use bytes::Bytes;

/// What a queued frame costs beside its bytes.
pub const FRAME_OVERHEAD_BYTES: usize = 64;

/// A class of traffic. Each has its own ordered stream to every peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Channel {
    /// Votes, appends, heartbeats: never behind anything else.
    Raft = 0,
    /// Links, monitors, names, spawns, replies of the kernel.
    Control = 1,
    /// Messages of actors.
    Actor = 2,
    /// Snapshots, modules: whatever is large and can wait.
    Bulk = 3,
}

impl Channel {
    /// All, most urgent first.
    pub const ALL: [Channel; 4] = [Channel::Raft, Channel::Control, Channel::Actor, Channel::Bulk];

    /// The channel with this number, if there is one.
    pub fn from_u8(n: u8) -> Option<Channel> {
        Channel::ALL.get(n as usize).copied()
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Raft => "raft",
            Channel::Control => "control",
            Channel::Actor => "actor",
            Channel::Bulk => "bulk",
        }
    }
}

/// Bytes that may wait for one peer, by channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budgets {
    /// For [`Channel::Raft`].
    pub raft_bytes: usize,
    /// For [`Channel::Control`].
    pub control_bytes: usize,
    /// For [`Channel::Actor`].
    pub actor_bytes: usize,
    /// For [`Channel::Bulk`].
    pub bulk_bytes: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Budgets { raft_bytes: 16 << 20, control_bytes: 8 << 20, actor_bytes: 16 << 20, bulk_bytes: 16 << 20 }
    }
}

impl Budgets {
    /// The budget of one channel, raised to hold at least one frame of `frame_max`.
    pub fn of(&self, channel: Channel, frame_max: usize) -> usize {
        let bytes = match channel {
            Channel::Raft => self.raft_bytes,
            Channel::Control => self.control_bytes,
            Channel::Actor => self.actor_bytes,
            Channel::Bulk => self.bulk_bytes,
        };
        bytes.max(frame_max + FRAME_OVERHEAD_BYTES)
    }
}

/// The frames that wait for one peer on one channel.
#[derive(Debug)]
pub struct Outbox {
    frames: VecDeque<Bytes>,
    /// Bytes queued and bytes taken but not [`Outbox::written`].
    used: usize,
    budget: usize,
}

impl Outbox {
    /// An empty queue that holds up to `budget` bytes.
    pub fn new(budget: usize) -> Outbox {
        Outbox { frames: VecDeque::new(), used: 0, budget }
    }

    /// Queues a frame. `Err` gives it back when it does not fit; `Ok(true)` says that the queue was empty before.
    pub fn push(&mut self, frame: Bytes) -> Result<bool, Bytes> {
        let cost = cost(&frame);
        if self.used + cost > self.budget {
            return Err(frame);
        }
        self.used += cost;
        self.frames.push_back(frame);
        Ok(self.frames.len() == 1)
    }

    /// Moves frames into `batch` until it has `batch_bytes` or the queue is empty. They still count against the budget;
    /// the result is what to give to [`Outbox::written`].
    pub fn take(&mut self, batch: &mut Vec<Bytes>, batch_bytes: usize) -> usize {
        let mut taken = 0;
        while taken < batch_bytes {
            let Some(frame) = self.frames.pop_front() else {
                break;
            };
            taken += cost(&frame);
            batch.push(frame);
        }
        taken
    }

    /// Frees the budget of a batch that has left.
    pub fn written(&mut self, taken: usize) {
        assert!(taken <= self.used, "a batch is written once");
        self.used -= taken;
    }

    /// Bytes that count against the budget now.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Whether nothing waits. A batch may still be on its way out.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// What `frame` counts against a budget.
pub fn cost(frame: &Bytes) -> usize {
    frame.len() + FRAME_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_recovers_when_its_batch_is_written() {
        let mut outbox = Outbox::new(3 * (FRAME_OVERHEAD_BYTES + 10));
        let frame = || Bytes::from_static(&[1; 10]);
        assert_eq!(outbox.push(frame()), Ok(true));
        assert_eq!(outbox.push(frame()), Ok(false));
        assert_eq!(outbox.push(frame()), Ok(false));
        assert!(outbox.push(frame()).is_err());
        let mut batch = Vec::new();
        let taken = outbox.take(&mut batch, usize::MAX);
        assert_eq!(batch.len(), 3);
        // Taken is not written: the bytes are still in memory.
        assert!(outbox.is_empty() && outbox.push(frame()).is_err());
        outbox.written(taken);
        assert_eq!((outbox.used(), outbox.push(frame())), (0, Ok(true)));
    }

    #[test]
    fn a_batch_stops_at_its_size_and_keeps_the_order() {
        let mut outbox = Outbox::new(1 << 20);
        for n in 0..100u8 {
            outbox.push(Bytes::from(vec![n; 100])).unwrap();
        }
        let mut all = Vec::new();
        while !outbox.is_empty() {
            let mut batch = Vec::new();
            let taken = outbox.take(&mut batch, 1000);
            assert!(batch.len() <= 7);
            outbox.written(taken);
            all.extend(batch.iter().map(|f| f[0]));
        }
        assert_eq!(all, (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn every_budget_holds_the_longest_frame() {
        let small = Budgets { raft_bytes: 1, control_bytes: 1, actor_bytes: 1, bulk_bytes: 1 };
        for channel in Channel::ALL {
            let mut outbox = Outbox::new(small.of(channel, 1000));
            assert_eq!(outbox.push(Bytes::from(vec![0; 1000])), Ok(true));
            assert_eq!(Channel::from_u8(channel as u8), Some(channel));
        }
        assert_eq!(Channel::from_u8(4), None);
    }
}
