//! Replicas that are on the disk alone.
//!
//! ```text
//! found on the disk at boot ──────────────────────────►  asleep  ◄── rested long, and does not lead
//! a leader's word that is on the disk here already         │          answered from the log: no openraft, no machine
//! anything else: a call, an entry, a vote, a silent leader ▼
//!                                                       started: from its snapshot and the log behind it
//! ```
//!
//! 1. What sleeps stands behind its vote and its log: it answers nothing that they do not say.
//! 2. Who was fenced, knows of another one that is wrong, joins, may die of an entry or has nothing on the disk never sleeps.
//! 3. One at a time starts or ends a replica. Whoever asks meanwhile waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use openraft::Raft;
use pando_abi::NodeId;

use super::node::Node;
use super::serve::{known_at, refused};
use crate::codec::record::GroupRecord;
use crate::codec::wire::{Answer, Ask};
use crate::disk::log::GroupLog;
use crate::entry::GroupId;
use crate::net::peer::Peers;
use crate::replica::apply::Replicated;
use crate::replica::rest::{Rest, Spot};
use crate::replica::supervise::{Patience, supervise};
use crate::replica::{Core, Replica, Seed};
use crate::status::GroupEvent;
use crate::types::term_of;

/// Heartbeats that are left out when a replica has woken, for what wakes most is one entry; and of a follower's longest silence the
/// part that this may take, for a leader's lease ends at half of it.
const CALM: u32 = 3;

impl Replica {
    /// Does its log end there, and follows that leader?
    pub(super) fn lies_at(&self, spot: Spot) -> bool {
        let log = &self.core.log;
        let follows = log.vote().is_some_and(|vote| {
            vote.committed && (vote.leader_id.term, vote.leader_id.voted_for) == (spot.term, spot.leader)
        });
        // Every leader has written an entry of its own term, so what ends in one of that term is what the leader has.
        let ends = log.last().is_some_and(|last| (term_of(&last), last.index) == (spot.term, spot.index));
        self.is_asleep() && follows && ends
    }

    /// May it be on the disk alone, as far as it knows?
    fn may_sleep(&self) -> bool {
        let core = &self.core;
        let odd = core.halted().is_some() || core.is_uneasy() || self.joining.load(Ordering::Relaxed);
        let dangerous = core.danger.is_awaited() || core.log.has_skips();
        !odd && !dangerous && core.log.vote().is_some() && core.log.last().is_some()
    }
}

impl Node {
    /// A replica of a record that was found on the disk, asleep if it can be.
    pub(super) async fn find(&self, group: GroupId, record: &GroupRecord) -> Result<Arc<Replica>, String> {
        let alone = record.founders == [self.id];
        let fresh = !alone && !self.config.rest_idle.is_zero();
        let replica = self.make(group, record, fresh).await?;
        if !fresh || !replica.may_sleep() || !self.machines.may_sleep(group) {
            self.start(&replica).await;
        }
        Ok(replica)
    }

    /// Starts the replica, if it sleeps.
    pub(crate) async fn rouse(&self, replica: &Arc<Replica>) {
        if replica.is_asleep() {
            self.start(replica).await;
        }
    }

    /// Starts the replica from what the disk has, unless somebody has or it has ended.
    pub(super) async fn start(&self, replica: &Arc<Replica>) {
        let _one = replica.starting.lock().await;
        if !replica.is_asleep() || replica.ending.load(Ordering::Relaxed) {
            return;
        }
        let (core, group) = (&replica.core, replica.core.group);
        if core.is_fenced() {
            return replica.started(None);
        }
        let config = match replica.joining.load(Ordering::Relaxed) || !self.meeting.is_over() {
            true => Arc::new(openraft::Config { enable_elect: false, ..(*self.raft).clone() }),
            false => self.raft.clone(),
        };
        let (link, notices, disk) = (self.link.clone(), self.notices.clone(), self.disk.clone());
        let peers = Peers { group, link, notices, disk, acked: core.acked.clone() };
        match Raft::new(self.id, config, peers, core.log.clone(), Replicated { core: core.clone() }).await {
            Ok(raft) => {
                tracing::debug!(%group, awake = replica.rest.is_awake(), "a replica is started");
                replica.started(Some(raft));
                self.let_elect(replica);
            }
            Err(e) => {
                // This group takes no part; the node and its other groups do.
                core.halt(&e.to_string(), false);
                let why = core.halted().unwrap_or_default();
                tracing::error!(%group, %why, "a replica could not be started");
                let _ = self.events.send(GroupEvent::Stopped { group, why });
                return replica.started(None);
            }
        }
        let patience = Patience {
            checkpoint: self.config.checkpoint_idle,
            rest: self.config.rest_idle,
            sleep: self.config.sleep_idle,
            calm: (self.config.heartbeat * CALM).min(self.config.election_max / CALM),
            awake: self.awake.clone(),
        };
        self.runtime.spawn(supervise(replica.clone(), self.events.clone(), patience));
    }

    /// A replica has rested long: it is put to sleep, if it rests still and does not lead.
    pub(super) async fn put_to_sleep(&self, group: GroupId) {
        let _turn = self.turns.of(group).await;
        let (Some(before), Some(record)) = (self.replica(group), self.disk.group(group)) else { return };
        let Some(spot) = before.rest.spot().filter(|spot| spot.leader != self.id) else { return };
        let stands = before.core.applied() == spot.index && before.core.log.last_index() == spot.index;
        let may = before.may_sleep() && self.machines.may_sleep(group) && record.fenced.is_none();
        if !may || before.is_asleep() || before.leads() || !stands {
            return;
        }
        let log = before.core.log.clone();
        let (last, vote) = (log.last(), log.vote());
        log.put_aside();
        let rest = Rest::resting(spot, self.awake.clone());
        let core = self.core_of(group, &record, log);
        core.members_of(&before.core);
        let after = Arc::new(Replica::new(core, rest, false, Some(before.status())));
        // Whoever wants it now waits until the one before it has ended.
        let _one = after.starting.lock().await;
        if !self.put(group, after.clone()) {
            return;
        }
        before.end().await;
        let log = &after.core.log;
        if before.rest.spot() != Some(spot) || (log.last(), log.vote()) != (last, vote) {
            // Something came in the last moment.
            after.wake();
        }
    }

    /// The answer of a replica that sleeps, if its log has one.
    pub(super) fn answer_asleep(self: &Arc<Self>, replica: &Arc<Replica>, from: NodeId, ask: &Ask) -> Option<Answer> {
        match ask {
            Ask::Append { vote, prev: Some(prev), .. } => {
                let spot = known_at(ask)?;
                let speaks = vote.committed && vote.node == u64::from(from.0) && prev.term == spot.term;
                if !speaks || !replica.lies_at(spot) {
                    return None;
                }
                replica.core.log.commit_all();
                replica.rest_at(spot);
                Some(Answer::Appended)
            }
            Ask::PreVote { .. } => self.doubts(replica).then(|| refused(replica)),
            _ => None,
        }
    }

    /// The log of a replica that is at hand, with a machine that has seen nothing of it.
    pub(super) fn core_of(&self, group: GroupId, record: &GroupRecord, log: GroupLog) -> Arc<Core> {
        let core = Core::new(Seed {
            group,
            node: self.id,
            disk: self.disk.clone(),
            log,
            link: self.link.clone(),
            attest_every: self.config.attest_every,
            notices: self.notices.clone(),
            machine: self.machines.make(group),
            place: self.disk.applying.place(record.region),
        });
        core.log.suspect(core.danger.deadly());
        Arc::new(core)
    }
}
