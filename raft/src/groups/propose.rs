//! Proposing and reading, from anywhere.
//!
//! A proposal is tried at whoever seems to lead, again and again until the deadline. That is safe
//! because the machine drops what it has seen by sequence key.
//!
//! 1. `NoQuorum` means that nothing was handed to a leader; after that, only `Timeout` is honest.
//! 2. What waits is bounded, in number and bytes, at the proposer and at the leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openraft::errors::{ClientWriteError, RaftError};
use pando_abi::NodeId;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::node::Node;
use super::serve::read_index;
use crate::codec::wire::{Answer, Ask};
use crate::entry::{Committed, Entry, GroupId, PAYLOAD_BYTES_MAX};
use crate::error::{LinearError, ProposeError};
use crate::net::AskError;
use crate::replica::Replica;
use crate::types::{Command, term_of};

/// The part of a follower's longest silence within which a leader that a quorum has just answered is surely followed: half of its lease.
const LEASE_PART: u32 = 4;
/// How long to wait before asking again when nobody leads.
const PAUSE: Duration = Duration::from_millis(20);
/// How long one node is given before another is tried; grows by half each time.
const ATTEMPT: Duration = Duration::from_secs(1);
const ATTEMPT_MAX: Duration = Duration::from_secs(8);

/// A proposal's share of what may wait.
struct Share<'a> {
    _permit: SemaphorePermit<'a>,
    bytes: usize,
    total: &'a AtomicUsize,
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Node {
    fn share(&self, entry: &Entry) -> Result<Share<'_>, ProposeError> {
        let bytes = entry.payload.len();
        if bytes > PAYLOAD_BYTES_MAX {
            return Err(ProposeError::TooLarge(bytes));
        }
        if self.closed.load(Ordering::Relaxed) {
            return Err(ProposeError::Stopped("the node is closing".into()));
        }
        let permit = self.in_flight.try_acquire().map_err(|_| ProposeError::Overloaded)?;
        let before = self.in_flight_bytes.fetch_add(bytes, Ordering::Relaxed);
        let share = Share { _permit: permit, bytes, total: &self.in_flight_bytes };
        // One proposal always fits, however large.
        if before > 0 && before + bytes > self.config.in_flight_bytes_max {
            return Err(ProposeError::Overloaded);
        }
        Ok(share)
    }

    /// Writes at this node, if it leads. Ends early when it no longer does.
    async fn write_here(&self, replica: &Replica, entry: Arc<Entry>, timeout: Duration) -> Answer {
        let Some(raft) = replica.running() else {
            let why = replica.core.halted().unwrap_or_default();
            return if replica.core.is_fenced() { Answer::Fenced { why } } else { Answer::Stopped { why } };
        };
        let deadline = Instant::now() + timeout;
        let rested = !replica.rest.is_awake();
        replica.work();
        // One that has rested for long would be refused, and then ask.
        let lately = self.config.election_max / LEASE_PART;
        let mut renewed = rested && !replica.was_heard(lately) && replica.confirm_lead(timeout.min(ATTEMPT)).await;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let written = tokio::time::timeout(left, raft.client_write(Command::Entry(entry.clone()))).await;
            return match written {
                Ok(Ok(written)) => Answer::Committed {
                    index: written.log_id.index,
                    term: term_of(&written.log_id),
                    outcome: written.data.outcome,
                },
                Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to)))) => {
                    if to.leader_id.is_none() && !renewed && replica.confirm_lead(left.min(ATTEMPT)).await {
                        renewed = true;
                        continue;
                    }
                    Answer::NotLeader { leader: to.leader_id }
                }
                Ok(Err(RaftError::APIError(_))) | Err(_) => Answer::Unclear,
                Ok(Err(RaftError::Fatal(e))) => Answer::Stopped { why: replica.core.halted().unwrap_or(e.to_string()) },
            };
        }
    }

    /// A proposal that a peer forwarded.
    pub(crate) async fn propose_for_peer(&self, replica: &Replica, entry: Entry, timeout: Duration) -> Answer {
        match self.share(&entry) {
            Ok(_share) => self.write_here(replica, Arc::new(entry), timeout).await,
            Err(ProposeError::Overloaded) => Answer::Overloaded,
            Err(e) => Answer::Failed { why: e.to_string() },
        }
    }

    /// See [`crate::Groups::propose_via`].
    pub(crate) async fn propose(
        &self,
        via: &[NodeId],
        group: GroupId,
        entry: Entry,
        timeout: Duration,
    ) -> Result<Committed, ProposeError> {
        let deadline = Instant::now() + timeout;
        let _share = self.share(&entry)?;
        if let Some(replica) = self.replica(group) {
            // It knows who leads.
            self.rouse(&replica).await;
        }
        let mut search = Search::new(self, via, group)?;
        let entry = Arc::new(entry);
        let mut handed = false;
        let mut attempt = ATTEMPT;
        let mut last = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(match last {
                    _ if handed => ProposeError::Timeout,
                    Some(error) => error,
                    None => ProposeError::NoQuorum,
                });
            }
            if search.replica.as_ref().is_none_or(|replica| replica.ending.load(Ordering::Relaxed)) {
                // Another one may have been made meanwhile, and lead: no other node would say so.
                search.replica = self.replica(group);
            }
            let Some(target) = search.next() else {
                pause(left).await;
                continue;
            };
            let answer = if u64::from(target.0) == self.id {
                match self.replica(group) {
                    Some(replica) => {
                        self.rouse(&replica).await;
                        self.write_here(&replica, entry.clone(), left).await
                    }
                    None => Answer::Unknown,
                }
            } else {
                let limit = left.min(attempt);
                let ask = Ask::Propose { entry: Entry::clone(&entry), timeout_ms: limit.as_millis() as u64 };
                let asked = self.link.ask(target, group, ask, false, limit);
                match search.unless_moved(target, asked).await {
                    Some(Ok(answer)) => answer,
                    Some(Err(AskError::Down)) => {
                        search.distrust(target);
                        pause(left).await;
                        continue;
                    }
                    Some(Err(AskError::Timeout)) => {
                        search.distrust(target);
                        handed = true;
                        attempt = (attempt * 3 / 2).min(ATTEMPT_MAX);
                        continue;
                    }
                    None => {
                        handed = true;
                        continue;
                    }
                }
            };
            match answer {
                Answer::Committed { index, term, outcome } => {
                    return Ok(Committed { index, term, outcome, leader: target });
                }
                // It was refused before it was written, unless an earlier attempt was not.
                Answer::NotLeader { leader } => search.hint(target, leader),
                Answer::Unclear => handed = true,
                Answer::Overloaded if !handed => return Err(ProposeError::Overloaded),
                Answer::Overloaded => {}
                Answer::Unknown => last = Some(search.unknown(target)),
                Answer::Fenced { why } => last = Some(ProposeError::Fenced(why)),
                Answer::Stopped { why } => {
                    // It may have stopped between writing and answering.
                    handed = true;
                    last = Some(ProposeError::Stopped(why));
                }
                other => tracing::warn!(peer = %target, ?other, "an unexpected answer to a proposal"),
            }
            if search.hopeless() && !handed {
                return Err(last.unwrap_or(ProposeError::Unknown));
            }
            pause(deadline.saturating_duration_since(Instant::now())).await;
        }
    }

    /// See [`crate::Groups::linear`].
    pub(crate) async fn linear(&self, group: GroupId, timeout: Duration) -> Result<u64, LinearError> {
        let deadline = Instant::now() + timeout;
        let mut replica = self.replica(group).ok_or(LinearError::Unknown)?;
        self.rouse(&replica).await;
        let index = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LinearError::NoQuorum);
            }
            if replica.ending.load(Ordering::Relaxed) {
                replica = self.replica(group).ok_or(LinearError::Unknown)?;
            }
            let Some(raft) = replica.running() else { return Err(halted(&replica)) };
            replica.work();
            let leader = replica.lead().and_then(|lead| lead.leader);
            let answer = match leader {
                None => None,
                Some(leader) if leader == self.id => Some(read_index(raft, left).await),
                Some(leader) => {
                    let (leader, limit) = (NodeId(leader as u32), left.min(ATTEMPT));
                    let ask = Ask::ReadIndex { timeout_ms: limit.as_millis() as u64 };
                    let asked = self.link.ask(leader, group, ask, false, limit).await;
                    asked.inspect_err(|_| replica.distrust(leader)).ok()
                }
            };
            match answer {
                Some(Answer::Read { index }) => break index,
                _ => tokio::time::sleep(left.min(PAUSE)).await,
            }
        };
        let mut applied = replica.core.watch_applied();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // It may end meanwhile, if this node is to hold the group no longer.
            let reached = tokio::time::timeout(left.min(ATTEMPT), applied.wait_for(|applied| *applied >= index)).await;
            match reached {
                Ok(Ok(applied)) => return Ok(*applied),
                _ if replica.running().is_none() => return Err(halted(&replica)),
                _ if left.is_zero() => return Err(LinearError::Timeout),
                _ => {}
            }
        }
    }
}

fn halted(replica: &Replica) -> LinearError {
    let why = replica.core.halted().unwrap_or_else(|| "the replica has ended".into());
    if replica.core.is_fenced() { LinearError::Fenced(why) } else { LinearError::Stopped(why) }
}

/// Where to try next.
struct Search {
    replica: Option<Arc<Replica>>,
    me: u64,
    via: Vec<NodeId>,
    /// Of `via`, those that know of no such group.
    unknown: Vec<NodeId>,
    turn: usize,
    hint: Option<NodeId>,
}

impl Search {
    fn new(node: &Node, via: &[NodeId], group: GroupId) -> Result<Search, ProposeError> {
        let replica = node.replica(group);
        // One that leads wakes when it writes.
        if let Some(fresh) = replica.as_ref().filter(|replica| replica.rest.is_fresh()) {
            fresh.wake_to_elect();
        }
        let mut via: Vec<NodeId> = via.iter().copied().filter(|n| u64::from(n.0) != node.id).collect();
        if let Some(replica) = &replica {
            // A fenced or stopped replica still knows who the others were.
            via.extend(replica.core.member_nodes());
        }
        via.sort();
        via.dedup();
        if replica.is_none() && via.is_empty() {
            return Err(ProposeError::Unknown);
        }
        if let Some(replica) = &replica
            && replica.running().is_none()
            && via.is_empty()
        {
            let why = replica.core.halted().unwrap_or_default();
            return Err(if replica.core.is_fenced() { ProposeError::Fenced(why) } else { ProposeError::Stopped(why) });
        }
        Ok(Search { replica, me: node.id, via, unknown: Vec::new(), turn: 0, hint: None })
    }

    /// The leader as this node's replica knows it. `None`: there is no replica that could know.
    fn known(&self) -> Option<Option<NodeId>> {
        let lead = self.replica.as_ref()?.lead()?;
        // A learner that was taken out hears of no leader ever again: then others are asked.
        if lead.leader.is_none() && lead.state == openraft::ServerState::Learner {
            return None;
        }
        Some(lead.leader.map(|n| NodeId(n as u32)))
    }

    fn next(&mut self) -> Option<NodeId> {
        if let Some(known) = self.known() {
            return known;
        }
        if let Some(hint) = self.hint.take() {
            return Some(hint);
        }
        let asked: Vec<NodeId> = self.via.iter().copied().filter(|n| !self.unknown.contains(n)).collect();
        let pick = asked.get(self.turn % asked.len().max(1)).copied();
        self.turn += 1;
        pick
    }

    /// The leader that the replica here knows has not answered.
    fn distrust(&self, leader: NodeId) {
        if let Some(replica) = &self.replica {
            replica.distrust(leader);
        }
    }

    fn hint(&mut self, from: NodeId, leader: Option<u64>) {
        self.hint = leader.map(|n| NodeId(n as u32)).filter(|n| *n != from && u64::from(n.0) != self.me);
    }

    fn unknown(&mut self, node: NodeId) -> ProposeError {
        if self.replica.is_none() {
            self.unknown.push(node);
        }
        ProposeError::Unknown
    }

    /// Everybody who could be asked knows of no such group.
    fn hopeless(&self) -> bool {
        self.replica.is_none() && self.via.iter().all(|n| self.unknown.contains(n))
    }

    /// Waits for `asked`, unless the replica here hears of another leader first.
    async fn unless_moved<T>(&self, target: NodeId, asked: impl Future<Output = T>) -> Option<T> {
        let Some(raft) = self.replica.as_ref().and_then(|r| r.running()) else { return Some(asked.await) };
        let mut metrics = raft.server_metrics();
        let moved = async {
            use openraft::async_runtime::WatchReceiver;
            loop {
                if metrics.changed().await.is_err() {
                    // The replica ended; the question goes on.
                    std::future::pending::<()>().await;
                }
                let leader = self.known().flatten();
                if leader.is_some_and(|leader| leader != target) {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            answer = asked => Some(answer),
            () = moved => None,
        }
    }
}

async fn pause(left: Duration) {
    tokio::time::sleep(left.min(PAUSE)).await;
}
