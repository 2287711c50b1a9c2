//! How the replicas of a group come to rest together, and wake.
//!
//! ```text
//! leader, after a while without work    ── Rest{term, index} ──►  every other member
//! a member that stands exactly there    ◄── Rests ──              and no longer misses heartbeats
//! leader, when all in reach have taken      sends no more of them
//! ```
//!
//! What wakes a replica: a proposal or linear read, anything that its group sends and that it does not know, the end of the
//! session with its leader's node, a member that asks for a vote. A node that boots leaves its groups fresh: their leaders
//! tell it where they stand as soon as there is a session, and those of whom it does not hear are woken after a while.
//!
//! 1. An offer is taken only by who follows its sender, in that term, and has applied all up to that index.
//! 2. Who cannot take it says so, and the leader brings it up.
//! 3. After the end of a leader's node its followers wake one after the other, so that the first is elected at once.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use pando_abi::NodeId;

use super::node::Node;
use crate::codec::wire::{Packet, group_of};
use crate::entry::GroupId;
use crate::replica::Replica;
use crate::replica::rest::Spot;

/// Replicas that are woken at once, when there are many of them.
const WOKEN_AT_ONCE: usize = 64;
/// The pause between.
const WAKE_PAUSE: Duration = Duration::from_millis(10);

/// A leader that has nothing to do offers to rest. What it sends goes to `only`, or to every other member.
pub(crate) fn offer(node_id: u64, replica: &Replica, only: Option<NodeId>) {
    let Some(spot) = standing(node_id, replica) else { return };
    if only.is_none() && !replica.rest.offer(spot) {
        return;
    }
    let core = &replica.core;
    let packet = Packet::Rest { group: core.group.0, term: spot.term, index: spot.index };
    let others = core.member_nodes();
    for to in others.iter().filter(|to| only.is_none_or(|only| only == **to)) {
        // If it is lost there is another one after a while.
        core.link().send(*to, &packet, false);
    }
    if others.is_empty() {
        replica.rest_if(spot);
    }
}

/// Where a leader stands if there is nothing left to do.
fn standing(me: u64, replica: &Replica) -> Option<Spot> {
    let lead = replica.lead().filter(|lead| lead.state == ServerState::Leader && !lead.joint)?;
    // A change of members that waits for one of them is work, too.
    let changing = replica.changing.try_lock().is_err();
    let index = replica.core.log.last_index();
    (!changing && replica.core.applied() == index).then_some(Spot { term: lead.term, leader: me, index })
}

impl Node {
    /// A leader says that its group rests.
    pub(crate) fn rest_offered(&self, from: NodeId, group: [u8; 16], term: u64, index: u64) {
        let Some(replica) = self.replica(group_of(group)) else { return };
        let Some(lead) = replica.lead() else { return };
        let spot = Spot { term, leader: u64::from(from.0), index };
        let follows = matches!(lead.state, ServerState::Follower | ServerState::Learner)
            && lead.leader == Some(spot.leader)
            && lead.term == term
            && !lead.joint;
        let stands = replica.core.log.last_index() == index && replica.core.applied() == index;
        let answer = if follows && stands && !self.link.is_down(from) {
            replica.rest_at(spot);
            Packet::Rests { group, term, index }
        } else {
            Packet::Wake { group }
        };
        self.link.send(from, &answer, false);
    }

    /// A member rests.
    pub(crate) fn rest_taken(&self, from: NodeId, group: [u8; 16], term: u64, index: u64) {
        let Some(replica) = self.replica(group_of(group)) else { return };
        let spot = Spot { term, leader: self.id, index };
        let Some(takers) = replica.rest.taken(spot, u64::from(from.0)) else { return };
        let (others, voters) = replica.core.others();
        let all = others.iter().all(|n| takers.contains(&u64::from(n.0)) || self.link.is_down(*n));
        let with_me = voters.iter().filter(|n| **n == self.id || takers.contains(n)).count();
        if all && with_me * 2 > voters.len() && standing(self.id, &replica) == Some(spot) {
            replica.rest_if(spot);
        }
    }

    /// There is a session with `peer`: it is told where the groups stand that this node leads.
    pub(crate) fn greet(&self, peer: NodeId) {
        for replica in self.all() {
            if replica.rest.spot().is_some_and(|spot| spot.leader == self.id)
                && replica.core.is_member(u64::from(peer.0))
            {
                offer(self.id, &replica, Some(peer));
            }
        }
    }

    /// The session with `peer` is over: the groups that it leads can no longer trust it.
    pub(crate) fn mourn(self: &Arc<Self>, peer: NodeId) {
        self.wake_led(peer, Duration::ZERO);
    }

    fn wake_led(self: &Arc<Self>, peer: NodeId, after: Duration) {
        let led = |replica: &Arc<Replica>| {
            replica.rest.spot().is_some_and(|spot| spot.leader == u64::from(peer.0)) && replica.rest.rise()
        };
        let woken = self.all().into_iter().filter(led);
        self.wake_in_turn(woken.map(|replica| (after + self.turn(&replica, peer), replica.core.group)).collect());
    }

    /// A leader's node may have been booted anew: it says again where its groups stand, or they are woken.
    pub(crate) fn hear_again(self: &Arc<Self>, peer: NodeId) {
        self.wake_led(peer, self.config.election_max);
    }

    /// How long this node waits so that the others of a group can be elected without it.
    fn turn(&self, replica: &Replica, gone: NodeId) -> Duration {
        let (_, voters) = replica.core.others();
        let left: Vec<u64> = voters.into_iter().filter(|n| *n != u64::from(gone.0)).collect();
        // Groups begin with different members, so that not one node gets all of them.
        let first = usize::from(replica.core.group.0[15]);
        let mine = left.iter().position(|n| *n == self.id).unwrap_or(left.len());
        let place = (mine + left.len().max(1) - first % left.len().max(1)) % left.len().max(1);
        self.config.election_max * place as u32
    }

    /// Somebody asks for a vote in a group that rests. `true`: its leader is to be heard first.
    pub(crate) fn doubts(self: &Arc<Self>, replica: &Replica) -> bool {
        let Some(spot) = replica.rest.spot() else { return false };
        let leader = NodeId(spot.leader as u32);
        if spot.leader == self.id || self.link.is_down(leader) {
            return false;
        }
        if replica.rest.rise() {
            self.link.send(leader, &Packet::Wake { group: replica.core.group.0 }, false);
            self.wake_in_turn(vec![(self.config.election_max, replica.core.group)]);
        }
        true
    }

    /// After a boot: those that no leader was heard of by then.
    pub(crate) fn wake_fresh(self: &Arc<Self>, after: Duration) {
        let fresh = |replica: &Arc<Replica>| replica.rest.is_fresh() && replica.rest.rise();
        let woken = self.all().into_iter().filter(fresh);
        self.wake_in_turn(woken.map(|r| (after + self.turn(&r, NodeId::NONE), r.core.group)).collect());
    }

    /// Wakes replicas after their times, unless their leaders are heard before.
    fn wake_in_turn(self: &Arc<Self>, mut turns: Vec<(Duration, GroupId)>) {
        if turns.is_empty() {
            return;
        }
        turns.sort();
        let node = Arc::downgrade(self);
        self.runtime.spawn(async move {
            let began = tokio::time::Instant::now();
            let mut woken = 0;
            for (after, group) in turns {
                tokio::time::sleep_until(began + after).await;
                let Some(node) = node.upgrade() else { return };
                let Some(replica) = node.replica(group).filter(|r| r.rest.still_rising()) else { continue };
                replica.wake();
                woken += 1;
                if woken % WOKEN_AT_ONCE == 0 {
                    tokio::time::sleep(WAKE_PAUSE).await;
                }
            }
        });
    }
}
