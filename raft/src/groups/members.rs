//! Changing the members.
//!
//! The leader does it: asks the new nodes to make a replica, adds them as learners, waits until those who shall vote are
//! near the end of the log, then goes through a joint configuration. Whoever asks elsewhere is forwarded. Every step can
//! be done again, so an interruption anywhere is mended by asking again, and a joint configuration left behind is finished
//! by whoever leads (see [`crate::replica::supervise`]).
//!
//! 1. A node that joins neither votes nor stands for election before its log reaches to where it became a member. Until then
//!    it knows members of long ago, itself perhaps among them, and several such nodes together could take themselves for a
//!    majority.
//! 2. A replica of a group that goes on is deleted only after its leader, sure of its quorum, has said that the node is no
//!    member; and not if anybody has asked the node to join since. A leader asks first and writes the member into its log
//!    afterwards, so no configuration that counts the node can be on its way then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use pando_abi::NodeId;
use pando_abi::limits::NODES_MAX;
use tokio::time::Instant;

use super::node::{Node, check_voters};
use super::serve::read_index;
use crate::codec::wire::{Answer, Ask};
use crate::entry::GroupId;
use crate::error::{ChangeError, CreateError, LeaveError};
use crate::replica::{GroupRaft, Replica};

/// How long a change may take before the caller is told that it goes on without them.
const CHANGE_MAX: Duration = Duration::from_secs(60);
/// How far behind a learner may be when it becomes a voter.
const NEAR: u64 = 64;
const PAUSE: Duration = Duration::from_millis(100);
/// How long who shall vote may take to say that it is there, before a change is begun that needs it.
const ALIVE_MAX: Duration = Duration::from_secs(1);
/// How long a leader that rested may take to hear from a quorum.
const AWAKE_MAX: Duration = Duration::from_secs(1);
/// How long a node may take to make a replica, and how often it is asked whether it is still there while it catches up.
const JOIN_MAX: Duration = Duration::from_secs(5);
/// How long the leader is looked for by a node that wants to leave.
const LEAVE_MAX: Duration = Duration::from_secs(5);

type WriteError = RaftError<crate::types::Types, ClientWriteError<crate::types::Types>>;

/// Who shall be members.
pub(super) struct Wanted {
    pub(super) voters: BTreeSet<u64>,
    pub(super) learners: BTreeSet<u64>,
}

impl Wanted {
    fn new(voters: &[NodeId], learners: &[NodeId]) -> Result<Wanted, String> {
        let voters = check_voters(voters)?;
        let learners: BTreeSet<u64> =
            learners.iter().map(|n| u64::from(n.0)).filter(|n| *n != 0 && !voters.contains(n)).collect();
        if learners.len() > NODES_MAX {
            return Err(format!("{} learners, over the limit of {NODES_MAX}", learners.len()));
        }
        Ok(Wanted { voters, learners })
    }

    fn all(&self) -> BTreeSet<u64> {
        self.voters.union(&self.learners).copied().collect()
    }
}

fn refused(e: WriteError) -> Answer {
    match e {
        RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => Answer::NotLeader { leader: to.leader_id },
        RaftError::APIError(e) => Answer::Failed { why: e.to_string() },
        RaftError::Fatal(e) => Answer::Stopped { why: e.to_string() },
    }
}

fn numbers(nodes: &[u64]) -> Vec<NodeId> {
    nodes.iter().map(|n| NodeId(*n as u32)).collect()
}

impl Node {
    /// See [`Node::change_as_leader`], for a peer that asks.
    pub(crate) async fn change_for_peer(
        &self,
        replica: &Arc<Replica>,
        voters: &[u64],
        learners: &[u64],
        timeout: Duration,
    ) -> Answer {
        match Wanted::new(&numbers(voters), &numbers(learners)) {
            Ok(wanted) => self.change_as_leader(replica, &wanted, timeout).await,
            Err(why) => Answer::Failed { why },
        }
    }

    /// Makes the members as wanted, if this node leads.
    pub(super) async fn change_as_leader(&self, replica: &Arc<Replica>, wanted: &Wanted, timeout: Duration) -> Answer {
        replica.work();
        let lead = replica.lead();
        let Some(raft) = replica.running().filter(|_| lead.is_some_and(|l| l.leader == Some(self.id))) else {
            return Answer::NotLeader { leader: lead.and_then(|l| l.leader).filter(|l| *l != self.id) };
        };
        let change = async {
            let _mine = replica.changing.lock().await;
            // One that rested leads still, but writes nothing before it has heard from a quorum again.
            _ = replica.confirm_lead(AWAKE_MAX).await;
            self.change(replica, raft, wanted).await
        };
        match tokio::time::timeout(timeout, change).await {
            Ok(answer) => answer,
            Err(_) => Answer::Unclear,
        }
    }

    async fn change(&self, replica: &Replica, raft: &GroupRaft, wanted: &Wanted) -> Answer {
        let group = replica.core.group;
        let now = || raft.server_metrics().borrow_watched().membership_config.membership().clone();
        let membership = now();
        let members: BTreeSet<u64> = membership.nodes().map(|(id, ())| *id).collect();
        let seated = membership.get_joint_config().as_slice() == [wanted.voters.clone()];
        if seated && members == wanted.all() {
            return Answer::Done;
        }
        // A learner that is away keeps nobody from voting; it is told in the end.
        let mut away = None;
        for new in wanted.all().into_iter().filter(|n| !members.contains(n) && *n != self.id) {
            match self.ask_to_join(group, new).await {
                Ok(()) => {}
                Err(why) if wanted.learners.contains(&new) => {
                    away = Some(why);
                    continue;
                }
                Err(why) => return Answer::Failed { why },
            }
            // What it had as the member that it was once is nothing that it must have now.
            replica.core.forgive(NodeId(new as u32));
            if let Err(e) = raft.add_learner(new, (), false).await {
                return refused(e);
            }
        }
        if !seated {
            let voting: BTreeSet<u64> = membership.voter_ids().collect();
            let new: BTreeSet<u64> =
                wanted.voters.iter().copied().filter(|n| !voting.contains(n) && *n != self.id).collect();
            if let Err(why) = self.catch_up(group, raft, &new).await {
                return Answer::Failed { why: format!("the new voters did not catch up: {why}") };
            }
            if let Err(why) = self.seat_all(group, raft, &new).await {
                return Answer::Failed { why: format!("the new voters did not catch up: {why}") };
            }
            // It could be begun, but never finished: the new voters decide about it, too.
            let gone = self.silent(group, &wanted.voters).await;
            if 2 * gone.len() >= wanted.voters.len() {
                let names: Vec<String> = gone.iter().map(|n| format!("n{n}")).collect();
                let why = format!("{} of the new voters are down, and no majority would be left", names.join(" and "));
                return Answer::Failed { why };
            }
            // Who was a voter and shall be a learner stays one of the members.
            let retain = wanted.learners.iter().any(|n| voting.contains(n));
            if let Err(e) = raft.change_membership(wanted.voters.clone(), retain).await {
                return refused(e);
            }
        }
        let all = wanted.all();
        let extra: BTreeSet<u64> = now().learner_ids().filter(|n| !all.contains(n)).collect();
        if !extra.is_empty()
            && let Err(e) = raft.change_membership(ChangeMembers::RemoveNodes(extra), false).await
        {
            return refused(e);
        }
        away.map_or(Answer::Done, |why| Answer::Failed { why })
    }

    /// Those who do not answer now, or cannot take part. That there is no session, or none yet, says less: whoever leads may have
    /// begun a moment ago; and that there is an answer says nothing of a node that has lost its disk.
    async fn silent(&self, group: GroupId, nodes: &BTreeSet<u64>) -> Vec<u64> {
        let others = nodes.iter().copied().filter(|node| *node != self.id);
        let answers = futures::future::join_all(others.map(async |node| {
            let answer = self.link.ask(NodeId(node as u32), group, Ask::Join, false, ALIVE_MAX).await;
            (node, answer == Ok(Answer::Done))
        }));
        answers.await.into_iter().filter(|(_, answers)| !answers).map(|(node, _)| node).collect()
    }

    async fn ask_to_join(&self, group: GroupId, node: u64) -> Result<(), String> {
        match self.link.ask(NodeId(node as u32), group, Ask::Join, false, JOIN_MAX).await {
            Ok(Answer::Done) => Ok(()),
            Ok(Answer::Failed { why } | Answer::Stopped { why }) => Err(format!("n{node} did not join: {why}")),
            Ok(other) => Err(format!("n{node} did not join: {other:?}")),
            Err(e) => Err(format!("n{node} could not be asked to join: {e}")),
        }
    }

    /// Waits until the learners that shall vote are near the end of the log, as long as they are there.
    async fn catch_up(&self, group: GroupId, raft: &GroupRaft, new: &BTreeSet<u64>) -> Result<(), String> {
        loop {
            let Err(e) = raft.wait(Some(JOIN_MAX)).metrics(|m| caught_up(m, new), "learners catch up").await else {
                return Ok(());
            };
            let metrics = raft.server_metrics();
            let members: BTreeSet<u64> = {
                let now = metrics.borrow_watched();
                now.membership_config.membership().nodes().map(|(id, ())| *id).collect()
            };
            if !new.is_subset(&members) {
                return Err(e.to_string());
            }
            for node in new {
                self.ask_to_join(group, *node).await?;
            }
        }
    }

    /// Has the learners that shall vote make sure that they know themselves for members.
    async fn seat_all(&self, group: GroupId, raft: &GroupRaft, new: &BTreeSet<u64>) -> Result<(), String> {
        let deadline = Instant::now() + JOIN_MAX * 2;
        let index = {
            let metrics = raft.server_metrics();
            let now = metrics.borrow_watched();
            now.membership_config.log_id().map_or(0, |id| id.index)
        };
        for node in new {
            loop {
                let asked = self.link.ask(NodeId(*node as u32), group, Ask::Seat { index }, false, JOIN_MAX).await;
                match asked {
                    Ok(Answer::Done) => break,
                    // What is committed is told to it with the next heartbeat.
                    Ok(Answer::Failed { .. }) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
                    Ok(other) => return Err(format!("n{node}: {other:?}")),
                    Err(e) => return Err(format!("n{node} could not be asked: {e}")),
                }
            }
        }
        Ok(())
    }

    /// See [`crate::Groups::change_members`].
    pub(crate) async fn change_members(
        &self,
        group: GroupId,
        voters: &[NodeId],
        learners: &[NodeId],
    ) -> Result<(), ChangeError> {
        let wanted = Wanted::new(voters, learners).map_err(ChangeError::Voters)?;
        let replica = self.replica(group).ok_or(ChangeError::Unknown)?;
        self.rouse(&replica).await;
        let deadline = Instant::now() + CHANGE_MAX;
        let mut last: Option<String> = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(last.map_or(ChangeError::NoQuorum, ChangeError::Timeout));
            }
            let Some(lead) = replica.lead() else {
                return Err(ChangeError::Stopped(replica.core.halted().unwrap_or_default()));
            };
            let answer = match lead.leader {
                None => Answer::NotLeader { leader: None },
                Some(leader) if leader == self.id => self.change_as_leader(&replica, &wanted, left).await,
                Some(leader) => {
                    let numbers = |set: &BTreeSet<u64>| set.iter().copied().collect();
                    let (voters, learners) = (numbers(&wanted.voters), numbers(&wanted.learners));
                    let ask = Ask::ChangeMembers { voters, learners, timeout_ms: left.as_millis() as u64 };
                    let asked = self.link.ask(NodeId(leader as u32), group, ask, false, left.min(CHANGE_MAX / 4));
                    asked.await.unwrap_or(Answer::Unclear)
                }
            };
            match answer {
                Answer::Done => return Ok(()),
                Answer::NotLeader { .. } => {}
                Answer::Unclear => last = Some("the leader has not answered".into()),
                Answer::Failed { why } | Answer::Stopped { why } | Answer::Fenced { why } => last = Some(why),
                other => last = Some(format!("{other:?}")),
            }
            tokio::time::sleep(PAUSE.min(left)).await;
        }
    }

    /// Makes the members as wanted if this node leads: one try, for who tries again by themselves.
    pub(crate) async fn change_here(
        &self,
        group: GroupId,
        voters: &[NodeId],
        learners: &[NodeId],
    ) -> Result<(), ChangeError> {
        let wanted = Wanted::new(voters, learners).map_err(ChangeError::Voters)?;
        let replica = self.replica(group).ok_or(ChangeError::Unknown)?;
        match self.change_as_leader(&replica, &wanted, CHANGE_MAX).await {
            Answer::Done => Ok(()),
            Answer::NotLeader { .. } => Err(ChangeError::NoQuorum),
            Answer::Failed { why } | Answer::Stopped { why } | Answer::Fenced { why } => Err(ChangeError::Timeout(why)),
            other => Err(ChangeError::Timeout(format!("{other:?}"))),
        }
    }

    /// May `from`, which is not or no longer a member, delete its replica? Only a leader that has a quorum can say so.
    pub(crate) async fn may_leave(&self, replica: &Replica, raft: &GroupRaft, from: NodeId) -> Answer {
        let Ok(_mine) = replica.changing.try_lock() else {
            return Answer::Failed { why: "a change of the members is under way".into() };
        };
        match read_index(raft, LEAVE_MAX / 2).await {
            Answer::Read { .. } => {}
            other => return other,
        }
        let (membership, at) = {
            let metrics = raft.server_metrics();
            let now = metrics.borrow_watched();
            (now.membership_config.membership().clone(), now.membership_config.log_id().map_or(0, |id| id.index))
        };
        let open = membership.get_joint_config().len() > 1 || replica.core.applied() < at;
        if open {
            return Answer::Failed { why: "a change of the members is not finished".into() };
        }
        match membership.nodes().any(|(id, ())| *id == u64::from(from.0)) {
            true => Answer::Failed { why: format!("{from} is a member") },
            false => Answer::Done,
        }
    }

    /// See [`crate::Groups::leave`].
    pub(crate) async fn leave(&self, group: GroupId, via: &[NodeId]) -> Result<(), LeaveError> {
        let Some(replica) = self.replica(group) else { return Ok(()) };
        let joins = replica.joins.load(Ordering::Relaxed);
        let mut asked: BTreeSet<NodeId> = via.iter().copied().collect();
        asked.extend(replica.core.member_nodes());
        asked.remove(&NodeId(self.id as u32));
        let asked: Vec<NodeId> = asked.into_iter().collect();
        let deadline = Instant::now() + LEAVE_MAX;
        let (mut turn, mut hint) = (0, None);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let to: Option<NodeId> = hint.take().or_else(|| asked.iter().cycle().nth(turn).copied());
            let Some(to) = to.filter(|_| !left.is_zero()) else { return Err(LeaveError::NoQuorum) };
            turn += 1;
            match self.link.ask(to, group, Ask::Leave, false, left.min(LEAVE_MAX / 2)).await {
                Ok(Answer::Done) => break,
                Ok(Answer::Failed { why }) => return Err(LeaveError::Member(why)),
                Ok(Answer::NotLeader { leader: Some(leader) }) if leader != self.id => {
                    hint = Some(NodeId(leader as u32)).filter(|leader| *leader != to);
                }
                _ => {}
            }
            if hint.is_none() {
                tokio::time::sleep(PAUSE.min(left)).await;
            }
        }
        match self.remove_if(&replica, joins).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(LeaveError::Member("it was asked to join again".into())),
            Err(CreateError::Stopped(why)) => Err(LeaveError::Stopped(why)),
            Err(other) => Err(LeaveError::Stopped(other.to_string())),
        }
    }
}

fn caught_up(metrics: &openraft::RaftMetrics<crate::types::Types>, new: &BTreeSet<u64>) -> bool {
    // No longer leading: what follows finds out.
    let Some(replication) = &metrics.replication else { return true };
    let end = metrics.last_log_index.unwrap_or(0);
    new.iter().all(|n| {
        let matched = replication.get(n).and_then(|id| id.as_ref()).map_or(0, |id| id.index);
        matched + NEAR >= end && replication.contains_key(n)
    })
}
