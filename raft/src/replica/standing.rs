//! How a replica stands, for whoever asks: its node's services, and people.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use pando_abi::NodeId;

use super::Replica;
use crate::chain::Chain;
use crate::status::{Role, Status};

/// What is known of leadership here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lead {
    pub(crate) leader: Option<u64>,
    pub(crate) term: u64,
    pub(crate) state: ServerState,
    pub(crate) joint: bool,
}

impl Replica {
    pub(crate) fn lead(&self) -> Option<Lead> {
        let metrics = self.running()?.server_metrics();
        let now = metrics.borrow_watched();
        Some(Lead {
            leader: now.current_leader,
            term: now.vote.leader_id.term,
            state: now.state,
            joint: now.membership_config.membership().get_joint_config().len() > 1,
        })
    }

    pub(crate) fn status(&self) -> Status {
        if let (true, Some(slept)) = (self.is_asleep(), &self.slept) {
            return Status { asleep: true, resting: true, ..slept.clone() };
        }
        let core = &self.core;
        let halted = core.halted();
        let fenced = halted.clone().filter(|_| core.is_fenced());
        let (members, chain, seated_at) = {
            let members = core.members.lock();
            ((members.voters.clone(), members.all.clone()), members.chain, members.seated_at)
        };
        let (attested, rebuilding_peers, fenced_peers) = {
            let heard = core.heard.lock();
            let peers = heard.minority.iter().filter(|(n, _)| **n != core.node);
            let (rebuilding, fenced): (Vec<_>, Vec<_>) = peers
                .map(|(n, why)| (NodeId(*n as u32), why.clone()))
                .partition(|(n, _)| heard.aware.get(&u64::from(n.0)) == Some(&true));
            (heard.attested, rebuilding, fenced)
        };
        let nodes = |set: &BTreeSet<u64>| set.iter().map(|n| NodeId(*n as u32)).collect::<Vec<_>>();
        let mut status = Status {
            replica: core.log.region(),
            leader: None,
            term: core.log.vote().map_or(0, |v| v.leader_id.term),
            role: Role::Stopped,
            voters: nodes(&members.0),
            learners: nodes(&members.1.difference(&members.0).copied().collect()),
            changing: false,
            seated: seated_at.map(|at| (at, nodes(&members.0))),
            first_index: core.log.first_index(),
            last_index: core.log.last_index(),
            applied: core.applied(),
            chain: chain.hash,
            root: chain.root,
            root_index: chain.root_index,
            attested,
            fenced,
            rebuilding: core.mending(),
            fenced_peers,
            rebuilding_peers,
            stopped: halted,
            resting: self.rest.spot().is_some(),
            asleep: false,
            in_doubt: self.in_doubt.load(Ordering::Relaxed),
        };
        if self.is_asleep() {
            // What is in memory is none of its state, though it may be on its way there.
            let leader =
                core.log.vote().filter(|vote| vote.committed).map(|vote| NodeId(vote.leader_id.voted_for as u32));
            let none = Chain::default();
            (status.chain, status.root, status.root_index, status.applied) = (none.hash, none.root, none.root_index, 0);
            return Status { asleep: true, role: Role::Follower, seated: None, leader, ..status };
        }
        if let Some(raft) = self.running() {
            let metrics = raft.server_metrics();
            let now = metrics.borrow_watched();
            let membership = now.membership_config.membership();
            status.leader = now.current_leader.map(|n| NodeId(n as u32));
            status.term = now.vote.leader_id.term;
            status.voters = nodes(&membership.voter_ids().collect());
            status.learners = nodes(&membership.learner_ids().collect());
            status.changing = membership.get_joint_config().len() > 1;
            status.role = match now.state {
                ServerState::Leader => Role::Leader,
                ServerState::Follower => Role::Follower,
                ServerState::Candidate => Role::Candidate,
                ServerState::Learner => Role::Learner,
                ServerState::Shutdown => Role::Stopped,
            };
        }
        status
    }
}
