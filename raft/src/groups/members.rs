//! Changing the voters.
//!
//! The leader does it: asks the new nodes to make a replica, adds them as learners, waits until they
//! are near the end of the log, then goes through a joint configuration. Whoever asks elsewhere is
//! forwarded. Every step can be done again, so an interruption anywhere is mended by asking again, and
//! a joint configuration left behind is finished by whoever leads (see [`crate::replica::supervise`]).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{ClientWriteError, RaftError};
use pando_abi::NodeId;
use tokio::time::Instant;

use super::node::{Node, check_voters};
use crate::codec::wire::{Answer, Ask};
use crate::entry::GroupId;
use crate::error::ChangeError;
use crate::replica::{GroupRaft, Replica};

/// How long a change may take before the caller is told that it goes on without them.
const CHANGE_MAX: Duration = Duration::from_secs(60);
/// How far behind a learner may be when it becomes a voter.
const NEAR: u64 = 64;
const PAUSE: Duration = Duration::from_millis(100);

type WriteError = RaftError<crate::types::Types, ClientWriteError<crate::types::Types>>;

fn refused(e: WriteError) -> Answer {
    match e {
        RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => Answer::NotLeader { leader: to.leader_id },
        RaftError::APIError(e) => Answer::Failed { why: e.to_string() },
        RaftError::Fatal(e) => Answer::Stopped { why: e.to_string() },
    }
}

impl Node {
    /// Makes `voters` the voters, if this node leads.
    pub(crate) async fn change_as_leader(&self, replica: &Arc<Replica>, voters: Vec<u64>, timeout: Duration) -> Answer {
        let nodes: Vec<NodeId> = voters.iter().map(|n| NodeId(*n as u32)).collect();
        let voters = match check_voters(&nodes) {
            Ok(voters) => voters,
            Err(why) => return Answer::Failed { why },
        };
        replica.work();
        let lead = replica.lead();
        let Some(raft) = replica.running().filter(|_| lead.is_some_and(|l| l.leader == Some(self.id))) else {
            return Answer::NotLeader { leader: lead.and_then(|l| l.leader).filter(|l| *l != self.id) };
        };
        let change = async {
            let _mine = replica.changing.lock().await;
            self.change(replica, raft, voters).await
        };
        match tokio::time::timeout(timeout, change).await {
            Ok(answer) => answer,
            Err(_) => Answer::Unclear,
        }
    }

    async fn change(&self, replica: &Replica, raft: &GroupRaft, voters: BTreeSet<u64>) -> Answer {
        let group = replica.core.group;
        use openraft::async_runtime::WatchReceiver;
        let membership = raft.server_metrics().borrow_watched().membership_config.membership().clone();
        if membership.get_joint_config().as_slice() == [voters.clone()] {
            return Answer::Done;
        }
        let members: BTreeSet<u64> = membership.nodes().map(|(id, ())| *id).collect();
        for new in voters.iter().filter(|n| !members.contains(n) && **n != self.id) {
            match self.link.ask(NodeId(*new as u32), group, Ask::Join, false, Duration::from_secs(5)).await {
                Ok(Answer::Done) => {}
                Ok(other) => return Answer::Failed { why: format!("n{new} did not join: {other:?}") },
                Err(e) => return Answer::Failed { why: format!("n{new} could not be asked to join: {e}") },
            }
            if let Err(e) = raft.add_learner(*new, (), false).await {
                return refused(e);
            }
        }
        if let Err(e) =
            raft.wait(Some(CHANGE_MAX)).metrics(|m| caught_up(m, &voters, self.id), "learners catch up").await
        {
            return Answer::Failed { why: format!("the new voters did not catch up: {e}") };
        }
        match raft.change_membership(voters, false).await {
            Ok(_) => Answer::Done,
            Err(e) => refused(e),
        }
    }

    /// See [`crate::Groups::change_voters`].
    pub(crate) async fn change_voters(&self, group: GroupId, new: &[NodeId]) -> Result<(), ChangeError> {
        let voters: Vec<u64> = check_voters(new).map_err(ChangeError::Voters)?.into_iter().collect();
        let replica = self.replica(group).ok_or(ChangeError::Unknown)?;
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
                Some(leader) if leader == self.id => self.change_as_leader(&replica, voters.clone(), left).await,
                Some(leader) => {
                    let ask = Ask::ChangeVoters { voters: voters.clone(), timeout_ms: left.as_millis() as u64 };
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
}

fn caught_up(metrics: &openraft::RaftMetrics<crate::types::Types>, voters: &BTreeSet<u64>, me: u64) -> bool {
    // No longer leading: what follows finds out.
    let Some(replication) = &metrics.replication else { return true };
    let end = metrics.last_log_index.unwrap_or(0);
    voters.iter().filter(|n| **n != me).all(|n| {
        let matched = replication.get(n).and_then(|id| id.as_ref()).map_or(0, |id| id.index);
        matched + NEAR >= end && replication.contains_key(n)
    })
}
