//! How a group begins: one of its founders writes the first entry.
//!
//! Groups have different first founders, so that not one node leads all of them. The first may be gone for good before it has founded
//! the group; so each other founder does, one after the other and later. All write the same first entry, which is as if one had; and
//! what a majority of founders has begun, the others cannot begin anew.
//!
//! A founder that has voted for another one, which went before anybody had an entry of it, is begun by openraft no more: it waits for
//! whom it voted for. Then the entry is put on the disk while the replica does not run; it keeps its vote.
//!
//! 1. Whoever joined waits to be found, and so does who is in doubt.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use pando_abi::NodeId;

use super::node::Node;
use crate::codec::record::GroupRecord;
use crate::codec::wire::{Answer, Ask};
use crate::entry::GroupId;
use crate::net::Link;
use crate::replica::{GroupRaft, Replica};

/// How often the founder of a group looks whether the others are there.
const FOUND_TRIES: u32 = 40;
/// The pause between.
const FOUND_PAUSE: Duration = Duration::from_millis(20);
/// How much later than the one before it each founder founds a group that nobody has founded; and how long whoever was voted for may
/// take to tell of it.
const FOUNDER_PATIENCE: Duration = Duration::from_secs(3);

impl Node {
    /// Founds the group, if it is for this node to do, now or later, and nobody has.
    pub(super) async fn initialise(self: &Arc<Self>, group: GroupId, record: &GroupRecord, replica: &Replica) {
        let Some(raft) = replica.running().cloned() else { return };
        let Some(place) = record.founders.iter().position(|founder| *founder == self.id) else { return };
        let founders = record.founders.len();
        let rank = (place + founders - usize::from(group.0[15]) % founders) % founders;
        if replica.core.log.last().is_some() {
            return;
        }
        let founding =
            Founding { link: self.link.clone(), me: self.id, group, raft, founders: record.founders.clone() };
        if rank == 0 && founding.begin().await {
            self.runtime.spawn(founding.elect());
        } else {
            self.runtime.spawn(later(Arc::downgrade(self), founding, FOUNDER_PATIENCE * rank as u32));
        }
    }

    /// Founds a group in which this node has voted already, and has nothing. `None`: there is no need, or it may not be.
    async fn found_with_a_vote(&self, group: GroupId) -> Option<GroupRaft> {
        let _turn = self.turns.of(group).await;
        let (before, record) = (self.replica(group)?, self.disk.group(group)?);
        let may = !before.in_doubt.load(Ordering::Relaxed) && !before.core.is_fenced();
        if !may || before.core.log.last().is_some() || self.closed.load(Ordering::Relaxed) {
            return None;
        }
        before.end().await;
        // What came in the last moment is as good.
        if before.core.log.last().is_none()
            && let Err(e) = self.disk.found(&record).await
        {
            // The node ends itself.
            tracing::error!(%group, %e, "a group's first entry could not be written");
            return None;
        }
        tracing::info!(%group, "whoever was voted for is gone: the group is founded without it");
        match self.begin(group, &record).await {
            Ok(replica) => replica.running().cloned(),
            Err(why) => {
                tracing::error!(%group, %why, "a replica could not be started");
                None
            }
        }
    }
}

async fn later(node: Weak<Node>, mut founding: Founding, after: Duration) {
    tokio::time::sleep(after).await;
    // If it has ended meanwhile, somebody else says so.
    if !founding.begin().await {
        tokio::time::sleep(FOUNDER_PATIENCE).await;
        let Some(node) = node.upgrade() else { return };
        let Some(raft) = node.found_with_a_vote(founding.group).await else { return };
        founding.raft = raft;
    }
    founding.elect().await;
}

/// A group that is being founded, as one of its founders sees it.
struct Founding {
    link: Arc<Link>,
    me: u64,
    group: GroupId,
    raft: GroupRaft,
    founders: Vec<u64>,
}

impl Founding {
    /// Writes the first entry, unless there is one or a vote. `false`: there was.
    async fn begin(&self) -> bool {
        let voters: BTreeSet<u64> = self.founders.iter().copied().collect();
        let begun = self.raft.initialize(voters).await;
        if let Err(e) = &begun {
            // A leader may have found it meanwhile, which is as good.
            tracing::debug!(group = %self.group, %e, "not initialised");
        }
        begun.is_ok()
    }

    /// Has this founder elected as soon as the others are there: without it a new group would wait for an election's silence.
    async fn elect(self) {
        for _ in 0..FOUND_TRIES {
            if self.raft.server_metrics().borrow_watched().current_leader.is_some() {
                return;
            }
            let others = self.founders.iter().filter(|founder| **founder != self.me).map(|other| {
                let ask = Ask::ReadIndex { timeout_ms: 0 };
                self.link.ask(NodeId(*other as u32), self.group, ask, false, FOUND_PAUSE * 10)
            });
            let answers = futures::future::join_all(others).await;
            let there = answers.into_iter().filter(|answer| !matches!(answer, Err(_) | Ok(Answer::Unknown))).count();
            if (there + 1) * 2 > self.founders.len() {
                // If it has ended meanwhile, somebody else says so.
                let _ = self.raft.trigger().elect(false).await;
                return;
            }
            tokio::time::sleep(FOUND_PAUSE).await;
        }
    }
}
