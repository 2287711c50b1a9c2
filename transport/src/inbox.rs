//! From the readers of all sessions to the one kernel: a lane for each channel, in the order of urgency.
//!
//! Owns: what has arrived and is not taken yet, and the life of a session as the kernel sees it. Does not know: QUIC.
//!
//! 1. A lane holds a bounded number of bytes. A reader that finds its lane full waits, so its QUIC stream fills, so the
//!    sender's queue fills, so the sender is told. Readers of one lane are let in in the order in which they came.
//! 2. Lanes do not wait for each other: raft frames are taken before actor frames, however many of those there are. A lower lane
//!    is served once in a while nevertheless.
//! 3. A session opens when the kernel takes its Up. Nothing is read from it before, and nothing can be sent into it.
//! 4. The kernel takes a session's Down after its last frame, and its Up only if it took no Down for it yet. A session
//!    that ends before its Up is taken leaves no trace.
//! 5. A revoked session's frames are never handed out, not even those that had arrived.

#![expect(clippy::indexing_slicing, reason = "there is one place for each channel in every array")]

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::channel::{Channel, cost};
use crate::request::UserRequest;
use crate::transport::TransportEvent;

mod cell;
mod order;

pub(crate) use cell::{Cell, Phase, Reading};
use order::{Lane, Order};

/// The receiving end of a transport. Not to be cloned: one kernel takes.
pub struct Events {
    inbox: Arc<Inbox>,
}

impl Events {
    /// The next event; `None` when the transport is closed and everything has been taken. Can be dropped and called again.
    pub async fn recv(&mut self) -> Option<TransportEvent> {
        loop {
            // Announced before the look, so that nothing that comes after the look is missed.
            let ready = self.inbox.ready.notified();
            if let Some(event) = self.inbox.take() {
                return Some(event);
            }
            if self.is_finished() {
                return None;
            }
            ready.await;
        }
    }

    /// Appends up to `max` events to `out`, waiting only for the first. Gives how many; 0 says that the transport is closed.
    pub async fn recv_many(&mut self, out: &mut Vec<TransportEvent>, max: usize) -> usize {
        let Some(first) = self.recv().await else {
            return 0;
        };
        out.push(first);
        1 + self.inbox.take_many(out, max.saturating_sub(1))
    }

    /// The next event if there is one now.
    pub fn try_recv(&mut self) -> Option<TransportEvent> {
        self.inbox.take()
    }

    /// Hands out no frame of this channel until [`Events::resume`]: senders on it come to wait, other channels go on. A Down
    /// whose frames are held back by this is held back too.
    pub fn pause(&mut self, channel: Channel) {
        self.inbox.state.lock().order.paused[channel as usize] = true;
    }

    /// Hands out frames of this channel again.
    pub fn resume(&mut self, channel: Channel) {
        self.inbox.state.lock().order.paused[channel as usize] = false;
    }

    fn is_finished(&self) -> bool {
        let state = self.inbox.state.lock();
        state.finished && state.is_empty()
    }
}

/// The kernel is gone: readers that wait for room are told so.
impl Drop for Events {
    fn drop(&mut self) {
        let mut state = self.inbox.state.lock();
        state.abandoned = true;
        state.notices.clear();
        state.lanes.iter_mut().for_each(VecDeque::clear);
        state.requests.clear();
        drop(state);
        self.inbox.room.iter().for_each(Semaphore::close);
        self.inbox.orphaned.notify_waiters();
    }
}

/// Nobody takes events any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Abandoned;

pub(crate) struct Inbox {
    state: Mutex<State>,
    ready: Notify,
    room: [Semaphore; 4],
    lane_bytes: usize,
    orphaned: Notify,
}

struct State {
    /// Ups and Downs, oldest first. At most one Down and one Up for each peer.
    notices: VecDeque<Notice>,
    lanes: [VecDeque<Item>; 4],
    /// Bounded by the memory permits that each request holds.
    requests: VecDeque<UserRequest>,
    order: Order,
    finished: bool,
    abandoned: bool,
}

enum Notice {
    Up(Arc<Cell>),
    Down(Arc<Cell>, String),
}

struct Item {
    cell: Arc<Cell>,
    bytes: Bytes,
}

impl State {
    fn is_empty(&self) -> bool {
        self.notices.is_empty() && self.requests.is_empty() && self.lanes.iter().all(VecDeque::is_empty)
    }
}

impl Inbox {
    /// An inbox whose lanes hold `lane_bytes` each, and its receiving end.
    pub fn new(lane_bytes: usize) -> (Arc<Inbox>, Events) {
        let lane_bytes = lane_bytes.min(u32::MAX as usize >> 1);
        let inbox = Arc::new(Inbox {
            state: Mutex::new(State {
                notices: VecDeque::new(),
                lanes: Default::default(),
                requests: VecDeque::new(),
                order: Order::default(),
                finished: false,
                abandoned: false,
            }),
            ready: Notify::new(),
            room: std::array::from_fn(|_| Semaphore::new(lane_bytes)),
            lane_bytes,
            orphaned: Notify::new(),
        });
        let events = Events { inbox: inbox.clone() };
        (inbox, events)
    }

    /// Bytes that have come and are not taken, by channel.
    #[cfg(test)]
    pub fn waiting(&self) -> [usize; 4] {
        let state = self.state.lock();
        std::array::from_fn(|lane| state.lanes[lane].iter().map(|item| cost(&item.bytes)).sum())
    }

    /// A session stands: the kernel will be told.
    pub fn announce(&self, cell: &Arc<Cell>) {
        let mut state = self.state.lock();
        if !state.abandoned {
            state.notices.push_back(Notice::Up(cell.clone()));
        }
        drop(state);
        self.ready.notify_one();
    }

    /// A session is over. Called once for each announced session. `revoke`: nothing of it may come out any more.
    pub fn end(&self, cell: &Arc<Cell>, reason: String, revoke: bool) {
        let mut dropped = Vec::new();
        let mut state = self.state.lock();
        cell.end(revoke);
        let unseen = state.notices.iter().position(|n| matches!(n, Notice::Up(c) if Arc::ptr_eq(c, cell)));
        match unseen {
            Some(at) => drop(state.notices.remove(at)),
            None if state.abandoned => {}
            None => state.notices.push_back(Notice::Down(cell.clone(), reason)),
        }
        if revoke {
            for (lane, room) in state.lanes.iter_mut().zip(&self.room) {
                let (mine, others): (VecDeque<_>, VecDeque<_>) =
                    lane.drain(..).partition(|i| Arc::ptr_eq(&i.cell, cell));
                *lane = others;
                room.add_permits(mine.iter().map(|i| cost(&i.bytes)).sum());
                dropped.extend(mine);
            }
        }
        drop(state);
        for _ in dropped {
            cell.settle();
        }
        self.ready.notify_one();
    }

    /// Queues frames of one session, waiting for room. All of them at once, unless they are more than a lane holds.
    pub async fn push(&self, cell: &Arc<Cell>, channel: Channel, frames: &mut Vec<Bytes>) -> Result<(), Abandoned> {
        let room = &self.room[channel as usize];
        while !frames.is_empty() {
            let (mut count, mut bytes) = (0, 0);
            for frame in frames.iter() {
                if count > 0 && bytes + cost(frame) > self.lane_bytes {
                    break;
                }
                (count, bytes) = (count + 1, bytes + cost(frame));
            }
            // A lane is made to hold the longest frame, see `QuicConfig`.
            let permit = room.acquire_many(bytes as u32).await;
            permit.map_err(|_| Abandoned)?.forget();
            self.enter(cell, channel, frames.drain(..count), bytes);
        }
        Ok(())
    }

    /// Queues one frame if there is room now; gives it back if not.
    pub fn try_push(&self, cell: &Arc<Cell>, channel: Channel, frame: Bytes) -> Result<(), Bytes> {
        let bytes = cost(&frame);
        match self.room[channel as usize].try_acquire_many(bytes as u32) {
            Err(_) => Err(frame),
            Ok(permit) => {
                permit.forget();
                self.enter(cell, channel, [frame].into_iter(), bytes);
                Ok(())
            }
        }
    }

    fn enter(&self, cell: &Arc<Cell>, channel: Channel, frames: impl Iterator<Item = Bytes>, bytes: usize) {
        let mut state = self.state.lock();
        if cell.phase() == Phase::Revoked || state.abandoned {
            drop(state);
            frames.for_each(drop);
            self.room[channel as usize].add_permits(bytes);
            return;
        }
        let lane = &mut state.lanes[channel as usize];
        for bytes in frames {
            cell.owe();
            let cell = cell.clone();
            lane.push_back(Item { cell, bytes });
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Queues a user's request.
    pub fn request(&self, request: UserRequest) -> Result<(), Abandoned> {
        let mut state = self.state.lock();
        if state.abandoned || state.finished {
            return Err(Abandoned);
        }
        state.requests.push_back(request);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// A reader has ended: a Down may have become takeable.
    pub fn nudge(&self) {
        self.ready.notify_one();
    }

    /// No more events will come.
    pub fn finish(&self) {
        self.state.lock().finished = true;
        self.ready.notify_one();
    }

    /// Resolves when the kernel has dropped its end.
    pub async fn orphaned(&self) {
        loop {
            let gone = self.orphaned.notified();
            if self.state.lock().abandoned {
                return;
            }
            gone.await;
        }
    }

    fn take(&self) -> Option<TransportEvent> {
        let mut freed = [0; 4];
        let event = self.state.lock().take(&mut freed);
        self.free(freed);
        event
    }

    fn take_many(&self, out: &mut Vec<TransportEvent>, max: usize) -> usize {
        let mut freed = [0; 4];
        let mut state = self.state.lock();
        let events = std::iter::from_fn(|| state.take(&mut freed)).take(max);
        let before = out.len();
        out.extend(events);
        drop(state);
        self.free(freed);
        out.len() - before
    }

    fn free(&self, freed: [usize; 4]) {
        for (room, bytes) in self.room.iter().zip(freed) {
            if bytes > 0 {
                room.add_permits(bytes);
            }
        }
    }
}

impl State {
    /// The next event. What it frees of each lane is added to `freed`.
    fn take(&mut self, freed: &mut [usize; 4]) -> Option<TransportEvent> {
        if let Some(event) = self.take_notice() {
            return Some(event);
        }
        let (lanes, requests) = (&self.lanes, &self.requests);
        let waiting = |lane| match lane {
            Lane::Channel(c) => !lanes[c as usize].is_empty(),
            Lane::Requests => !requests.is_empty(),
        };
        let channel = match self.order.next(waiting, self.finished)? {
            Lane::Requests => return self.requests.pop_front().map(TransportEvent::Request),
            Lane::Channel(channel) => channel,
        };
        let Item { cell, bytes } = self.lanes[channel as usize].pop_front()?;
        freed[channel as usize] += cost(&bytes);
        cell.settle();
        Some(TransportEvent::Frame { from: cell.node, incarnation: cell.incarnation, channel, bytes })
    }

    /// The oldest notice that may come out: a Down waits for its frames, and what concerns the same peer waits behind it.
    fn take_notice(&mut self) -> Option<TransportEvent> {
        if self.notices.is_empty() {
            return None;
        }
        let mut waiting = Vec::new();
        let at = self.notices.iter().position(|notice| {
            let (cell, held) = match notice {
                Notice::Up(cell) => (cell, false),
                Notice::Down(cell, _) => (cell, cell.owes()),
            };
            let passes = !held && !waiting.contains(&cell.node);
            if !passes {
                waiting.push(cell.node);
            }
            passes
        })?;
        Some(match self.notices.remove(at)? {
            Notice::Up(cell) => {
                cell.open();
                TransportEvent::Up { node: cell.node, incarnation: cell.incarnation }
            }
            Notice::Down(cell, reason) => {
                TransportEvent::Down { node: cell.node, incarnation: cell.incarnation, reason }
            }
        })
    }
}

#[cfg(test)]
mod tests;
