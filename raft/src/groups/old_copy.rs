//! A node whose disk is an older copy than the one that it promised things on: recognised, and mended without anybody's doing.
//!
//! ```text
//! boot, session; every second of work   ── Lives ──►              whoever is met; other voters: keep the last
//! known or not                          ◄── Heard{mark, known} ── compares it with what was heard before
//!
//! not known: every replica here is in doubt, takes no part and does not lead
//! may I take part again?                ── Readmit ──►            who leads takes it out of the members
//!                                       ◄── Removed ──            and the realm puts it back, like one that joins
//! ```
//!
//! Why nothing that was promised is lost or done twice:
//!
//! 1. A node that has booted acknowledges and votes only once those whom it knew at the boot before have compared, or were not there
//!    for [`MEET_MAX`].
//! 2. A replica in doubt neither votes nor acknowledges, so what takes it out is decided by a majority of the others, in an
//!    entry. A candidate that has its forgotten vote lacks this entry, and one of that majority refuses it; so whatever it does
//!    after it was put back contradicts nothing.
//! 3. Of two voters the other one has had a part in all that was decided: the one in doubt takes its word and goes on.
//! 4. In doubt it is on the disk, too: whatever dies in between, it asks again.
//!
//! What was promised within [`MARK_EVERY`] before the end, or only to nodes that are gone, nobody can miss.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use pando_abi::NodeId;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::members::Wanted;
use super::node::Node;
use crate::codec::wire::{Answer, Ask, Packet};
use crate::disk::promises::WitnessRecord;
use crate::entry::GroupId;
use crate::error::CreateError;
use crate::lives::{LIVES_MAX, Life, Lives, Mark};
use crate::replica::Replica;
use crate::status::GroupEvent;

/// How often a node counts on while its disk promises something.
pub(crate) const MARK_EVERY: Duration = Duration::from_secs(1);
/// How long a node that has booted waits for those whom it knew.
const MEET_MAX: Duration = Duration::from_secs(2);
/// How often it tells them.
const MEET_AGAIN: Duration = Duration::from_millis(100);
/// How long one question may take, and the pause between two at most.
const ASK_MAX: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Replicas that are taken out of their groups at once.
pub(super) const AT_ONCE: usize = 8;

/// Whether those whom a node knew before its boot have compared what it says of its disk.
pub(crate) struct Meeting {
    awaited: Mutex<BTreeSet<NodeId>>,
    /// So many have said that the disk is an old copy, and what follows from it at once is not done yet.
    held_up: AtomicUsize,
    over: watch::Sender<bool>,
}

impl Meeting {
    /// With those who were there the last time.
    pub(super) fn with(awaited: BTreeSet<NodeId>) -> Meeting {
        let over = watch::Sender::new(awaited.is_empty());
        Meeting { awaited: Mutex::new(awaited), held_up: AtomicUsize::new(0), over }
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Waits until it is over: [`MEET_MAX`] at most.
    pub(crate) async fn ends(&self) {
        if !self.is_over() {
            // Whoever could say so no more is closing.
            let _ = self.over.subscribe().wait_for(|over| *over).await;
        }
    }

    fn awaited(&self) -> BTreeSet<NodeId> {
        self.awaited.lock().clone()
    }

    /// One of them has compared. Was it the last?
    fn met(&self, node: NodeId) -> bool {
        let mut awaited = self.awaited.lock();
        awaited.remove(&node) && awaited.is_empty() && self.may_end()
    }

    fn may_end(&self) -> bool {
        self.held_up.load(Ordering::Relaxed) == 0
    }
}

impl Node {
    /// Those whom this node knew are told how far its disk has come, until they have compared or it has been long enough.
    pub(super) async fn meet(node: Weak<Node>) {
        let since = Instant::now();
        loop {
            let Some(node) = node.upgrade().filter(|node| !node.meeting.is_over()) else { return };
            let awaited = node.meeting.awaited();
            if node.meeting.may_end() && (awaited.is_empty() || since.elapsed() >= MEET_MAX) {
                let heard = node.disk.heard();
                for (away, record) in heard.into_iter().filter(|(node, _)| awaited.contains(node)) {
                    tracing::info!(%away, "it was not met after the boot, and is not waited for");
                    node.disk.hear(away, WitnessRecord { absent: true, ..record });
                }
                return node.take_part();
            }
            let lives = node.disk.lives();
            awaited.iter().for_each(|to| node.tell_lives(*to, &lives));
            drop(node);
            tokio::time::sleep(MEET_AGAIN).await;
        }
    }

    /// From now on replicas here vote, acknowledge and stand for election.
    fn take_part(&self) {
        self.meeting.over.send_replace(true);
        self.all().iter().for_each(|replica| self.let_elect(replica));
    }

    /// A replica stands for election, if it may.
    pub(super) fn let_elect(&self, replica: &Replica) {
        if self.meeting.is_over()
            && !replica.joining.load(Ordering::Relaxed)
            && let Some(raft) = replica.raft()
        {
            raft.runtime_config().elect(true);
        }
    }

    pub(crate) fn tell_lives(&self, to: NodeId, lives: &Lives) {
        // If it is lost it is told again with the next session or the next count.
        self.link.send(to, &Packet::Lives { lives: lives.0.clone() }, false);
    }

    /// Counts on if the disk has promised something, and tells those who count on it.
    pub(super) async fn count_on(&self) {
        if !self.disk.has_promised() {
            return;
        }
        let busy = self.all().into_iter().filter(|replica| replica.core.log.has_promised());
        let mut voters: BTreeSet<u64> = busy.flat_map(|replica| replica.core.others().1).collect();
        voters.remove(&self.id);
        match self.disk.count_on().await {
            // They know the lives before.
            Ok(Some(now)) => voters.into_iter().for_each(|to| self.tell_lives(NodeId(to as u32), &Lives(vec![now]))),
            Ok(None) => {}
            Err(_) if self.closed.load(Ordering::Relaxed) => {}
            // The node ends itself.
            Err(e) => tracing::error!(%e, "how far the disk has come could not be written"),
        }
    }

    /// A node says how far its disk has come.
    pub(crate) fn hear_lives(&self, from: NodeId, lives: Vec<Life>) {
        let (lives, before) = (Lives(lives), self.disk.heard_of(from));
        let Some(now) = lives.now().filter(|_| lives.0.len() <= LIVES_MAX) else { return };
        let known = before.is_none_or(|before| lives.know(before.mark));
        let mark = before.map_or(now, |before| before.mark);
        if known {
            self.disk.hear(from, WitnessRecord { mark: now, absent: false });
        }
        // Who just counts on needs no answer.
        if !known || lives.0.len() > 1 {
            self.link.send(from, &Packet::Heard { mark, known }, false);
        }
    }

    /// A node has compared what it heard of the disk here.
    pub(crate) fn hear_of_lives(self: &Arc<Self>, from: NodeId, mark: Mark, known: bool) {
        let lives = self.disk.lives();
        if known || lives.know(mark) {
            // It may have been asked before what was lost was taken in, or been told of the present life alone.
            if !known {
                self.tell_lives(from, &lives);
            }
            if self.meeting.met(from) {
                self.take_part();
            }
            return;
        }
        let node = self.clone();
        self.meeting.held_up.fetch_add(1, Ordering::Relaxed);
        self.runtime.spawn(async move {
            node.is_old_copy(from, mark).await;
            node.meeting.held_up.fetch_sub(1, Ordering::Relaxed);
            let lives = node.disk.lives();
            node.disk.heard().keys().for_each(|to| node.tell_lives(*to, &lives));
        });
    }

    /// The disk here does not know what `from` heard of it.
    async fn is_old_copy(self: &Arc<Self>, from: NodeId, mark: Mark) {
        let groups = match self.disk.lose(mark).await {
            Ok(true) => self.list(),
            Ok(false) => Vec::new(),
            Err(e) => return tracing::error!(%e, "that the disk is an old copy could not be written"),
        };
        if !groups.is_empty() {
            tracing::error!(
                witness = %from, groups = groups.len(),
                "the disk here is an older copy of the one that this node had: its replicas leave their groups and join again"
            );
            let _ = self.events.send(GroupEvent::OldCopy { witness: from, groups: groups.len() });
        }
        // None of them promises anything any more; then one after the other is begun anew.
        groups.iter().filter_map(|group| self.replica(*group)).for_each(|replica| _ = replica.doubt());
        for group in groups {
            self.begin_in_doubt(group).await;
        }
    }

    /// Starts the replica here anew as one that is in doubt, as it is on the disk already: it may have led.
    async fn begin_in_doubt(self: &Arc<Self>, group: GroupId) {
        let _turn = self.turns.of(group).await;
        let (Some(before), Some(record)) = (self.replica(group), self.disk.group(group)) else { return };
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        before.end_and_depose().await;
        match self.begin(group, &record).await {
            Ok(replica) => _ = self.runtime.spawn(readmit(Arc::downgrade(self), replica)),
            Err(why) => tracing::error!(%group, %why, "a replica could not be started"),
        }
    }

    /// After a boot: the replicas that were in doubt before.
    pub(super) fn readmit_all(self: &Arc<Self>) {
        for replica in self.all().into_iter().filter(|replica| replica.in_doubt.load(Ordering::Relaxed)) {
            self.runtime.spawn(readmit(Arc::downgrade(self), replica));
        }
    }

    /// The replica here denied to its leader what it had acknowledged.
    pub(crate) fn has_forgotten(self: &Arc<Self>, group: GroupId, by: NodeId) {
        let Some(replica) = self.replica(group) else { return };
        let leads = replica.lead().is_some_and(|lead| lead.leader == Some(u64::from(by.0)));
        if !leads || replica.core.is_fenced() || replica.doubt() {
            return;
        }
        tracing::error!(%group, leader = %by, "the replica here has lost entries that it acknowledged: it leaves and joins again");
        let node = self.clone();
        self.runtime.spawn(async move {
            match node.disk.doubt(group).await {
                Ok(()) => node.begin_in_doubt(group).await,
                Err(e) => tracing::error!(%group, %e, "that a replica has forgotten could not be written"),
            }
        });
    }

    /// See [`crate::Groups::rejoin`].
    pub(crate) async fn rejoin(self: &Arc<Self>, group: GroupId, via: &[NodeId]) -> Result<(), CreateError> {
        if self.replica(group).is_some() {
            return Ok(());
        }
        self.disk.doubt(group).await.map_err(|e| CreateError::Stopped(e.to_string()))?;
        self.add(group, None).await?;
        if let Some(replica) = self.replica(group).filter(|replica| replica.in_doubt.load(Ordering::Relaxed)) {
            replica.core.assume_members(&via.iter().map(|node| u64::from(node.0)).collect::<Vec<_>>());
            self.runtime.spawn(readmit(Arc::downgrade(self), replica));
        }
        Ok(())
    }

    /// A member whose replica is in doubt asks whether it may take part again.
    pub(crate) async fn readmit_for_peer(&self, replica: &Arc<Replica>, from: NodeId) -> Answer {
        let Some(raft) = replica.running().filter(|_| !replica.in_doubt.load(Ordering::Relaxed)) else {
            return Answer::Failed { why: "the replica here cannot say".into() };
        };
        let node = u64::from(from.0);
        let membership = raft.server_metrics().borrow_watched().membership_config.membership().clone();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let two = membership.get_joint_config().len() == 1 && voters.iter().all(|n| [node, self.id].contains(n));
        if two && !voters.is_empty() {
            // If it does not lead, whoever leads next begins with what it finds.
            _ = raft.trigger().allow_next_revert(&node, true).await;
            replica.core.forgive(from);
            return Answer::Done;
        }
        if membership.nodes().any(|(member, ())| *member == node) {
            let left = |set: BTreeSet<u64>| set.into_iter().filter(|n| *n != node).collect();
            let wanted = Wanted { voters: left(voters), learners: left(membership.learner_ids().collect()) };
            match self.change_as_leader(replica, &wanted, ASK_MAX * 4 / 5).await {
                Answer::Done => {
                    tracing::warn!(group = %replica.core.group, node, "a member that forgot its promises was taken out")
                }
                other => return other,
            }
        }
        match self.may_leave(replica, raft, from).await {
            Answer::Done => {
                replica.core.forgive(from);
                let _ = self.events.send(GroupEvent::Removed { group: replica.core.group, node: from });
                Answer::Removed
            }
            other => other,
        }
    }

    /// Nobody counts any more on what the replica has forgotten.
    async fn trust(&self, replica: &Replica, seated: bool) -> std::io::Result<()> {
        self.disk.trust(replica.core.group, seated).await?;
        replica.in_doubt.store(false, Ordering::Relaxed);
        if seated {
            replica.joining.store(false, Ordering::Relaxed);
            self.let_elect(replica);
        }
        Ok(())
    }
}

impl Replica {
    /// It has forgotten what it promised. Was that known?
    fn doubt(&self) -> bool {
        if let Some(raft) = self.raft() {
            raft.runtime_config().elect(false);
        }
        self.in_doubt.swap(true, Ordering::Relaxed)
    }
}

/// Asks until a replica that is in doubt may take part again, or is not here any more.
async fn readmit(node: Weak<Node>, replica: Arc<Replica>) {
    let group = replica.core.group;
    let (mut hint, mut turn, mut pause) = (None, 0, PAUSE);
    // Those who know nothing of the group.
    let mut strangers = BTreeSet::new();
    loop {
        let Some(this) = node.upgrade().filter(|node| node.holds(&replica)) else { return };
        let Ok(_place) = this.readmitting.acquire().await else { return };
        let own = NodeId(this.id as u32);
        let mut asked: BTreeSet<NodeId> = replica.core.member_nodes().into_iter().collect();
        asked.extend(this.disk.heard().into_iter().filter(|(_, record)| !record.absent).map(|(node, _)| node));
        asked.remove(&own);
        // Nobody else was promised anything, if nobody else has it.
        let alone = replica.core.others().1 == BTreeSet::from([this.id]);
        let to = hint.take().or_else(|| asked.iter().cycle().nth(turn).copied());
        turn = (turn + 1) % asked.len().max(1);
        let answer = match to {
            Some(to) => this.link.ask(to, group, Ask::Readmit, false, ASK_MAX).await.ok().map(|answer| (to, answer)),
            None => None,
        };
        let trusted = match answer {
            Some((_, Answer::Removed)) => Some(false),
            Some((_, Answer::Done)) => Some(true),
            Some((to, Answer::NotLeader { leader })) => {
                strangers.remove(&to);
                hint = leader.map(|leader| NodeId(leader as u32)).filter(|leader| *leader != own && *leader != to);
                None
            }
            Some((to, Answer::Unknown)) => {
                strangers.insert(to);
                (alone && asked.is_subset(&strangers)).then_some(true)
            }
            Some((to, other)) => {
                tracing::debug!(%group, %to, ?other, "a replica is in doubt still");
                None
            }
            None => (alone && to.is_none()).then_some(true),
        };
        if let Some(seated) = trusted {
            match this.trust(&replica, seated).await {
                Ok(()) => tracing::info!(%group, seated, "the replica here takes part again"),
                Err(e) => tracing::error!(%group, %e, "that a replica is trusted again could not be written"),
            }
            return;
        }
        drop(_place);
        drop(this);
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(PAUSE_MAX);
    }
}
