//! How the replicas of a group come to rest together, and wake.
//!
//! ```text
//! leader, after a while without work    ── Rest{term, index, word} ──►  every other member
//! a member that stands exactly there    ◄── Rests{agrees} ──             and no longer misses heartbeats
//! leader, when all in reach have taken      sends no more of them
//! ```
//!
//! Where all stand at one index they are compared there, without an entry for it: the leader says its word with the offer, and who
//! has the same says so. Who has not says its own to all of them.
//!
//! What wakes a replica: a proposal or linear read, anything that its group sends and that it does not know, the end of the
//! session with its leader's node, a member that asks for a vote. A node that boots leaves its groups fresh: their leaders
//! tell it where they stand as soon as there is a session, and those of whom it does not hear are woken after a while.
//!
//! 1. An offer is taken only by who follows its sender, in that term, and has applied all up to that index.
//! 2. Who cannot take it says so, and the leader brings it up.
//! 3. After the end of a leader's node its followers wake one after the other, so that the first is elected at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::ServerState;
use pando_abi::NodeId;
use tokio::sync::Semaphore;

use super::node::Node;
use crate::attest::Word;
use crate::codec::wire::Packet;
use crate::entry::GroupId;
use crate::replica::rest::Spot;
use crate::replica::{Replica, blocking};

/// Replicas that are woken at once, when there are many of them.
const WOKEN_AT_ONCE: usize = 64;
/// Replicas that sleep and are started at once, if nobody asks for one of them.
const STARTED_AT_ONCE: usize = 8;
/// The pause between.
const WAKE_PAUSE: Duration = Duration::from_millis(10);

/// A leader that has nothing to do offers to rest, and has the replicas compared if they have not been since they worked. May take
/// as long as the root of the state does.
pub(crate) async fn offer(replica: &Replica) {
    let Some(spot) = standing(replica) else { return };
    let mut word = replica.core.word_at(spot.index);
    if word.is_none() && replica.core.wants_checkpoint() {
        word = say(replica, spot.index).await;
    }
    if !replica.rest.offer(spot) {
        return;
    }
    let others = replica.core.member_nodes();
    for to in &others {
        replica.core.correct(*to);
        // If it is lost there is another one after a while.
        replica.core.link().send(*to, &offered(replica, spot, word), false);
    }
    if others.is_empty() {
        replica.rest_if(spot);
    }
}

fn offered(replica: &Replica, spot: Spot, word: Option<Word>) -> Packet {
    let Spot { term, index, .. } = spot;
    Packet::Rest { group: replica.core.group.0, term, index, word: word.map(|word| (word.chain, word.root)) }
}

/// Where a leader stands if there is nothing left to do.
fn standing(replica: &Replica) -> Option<Spot> {
    let lead = replica.lead().filter(|lead| lead.state == ServerState::Leader && !lead.joint)?;
    // A change of members that waits for one of them is work, too.
    let changing = replica.changing.try_lock().is_err();
    let index = replica.core.log.last_index();
    (!changing && replica.core.applied() == index).then_some(Spot { term: lead.term, leader: replica.core.node, index })
}

/// What this replica has there, if it stands there.
async fn say(replica: &Replica, index: u64) -> Option<Word> {
    let core = replica.core.clone();
    let said = blocking(move || core.say_at(index)).await;
    said.inspect_err(|e| replica.core.halt(&e.to_string(), false)).ok().flatten()
}

/// Does this replica follow that leader and stand exactly there?
fn follows(replica: &Replica, spot: Spot) -> bool {
    if replica.is_asleep() {
        return replica.lies_at(spot);
    }
    let Some(lead) = replica.lead() else { return false };
    let follows = matches!(lead.state, ServerState::Follower | ServerState::Learner)
        && lead.leader == Some(spot.leader)
        && lead.term == spot.term
        && !lead.joint;
    follows && replica.core.log.last_index() == spot.index && replica.core.applied() == spot.index
}

impl Node {
    /// A leader says that its group rests, and what it has there.
    pub(crate) fn rest_offered(self: &Arc<Self>, group: GroupId, spot: Spot, word: Option<Word>) {
        let there = |replica: &Arc<Replica>| !replica.in_doubt.load(Ordering::Relaxed);
        let Some(replica) = self.replica(group).filter(there) else { return };
        let index = spot.index;
        // One that sleeps has no state at hand to compare.
        let Some(theirs) = word.filter(|_| !replica.is_asleep() && follows(&replica, spot)) else {
            return self.rest_taken_up(&replica, spot, false);
        };
        let leader = NodeId(spot.leader as u32);
        if let Some(own) = replica.core.word_at(index) {
            replica.core.listen(leader, index, theirs);
            return self.rest_taken_up(&replica, spot, own == theirs);
        }
        let node = self.clone();
        self.runtime.spawn(async move {
            let own = say(&replica, index).await;
            replica.core.listen(leader, index, theirs);
            if let Some(own) = own.filter(|_| replica.core.is_disputed(index)) {
                replica.core.tell(index, own);
            }
            node.rest_taken_up(&replica, spot, own == Some(theirs));
        });
    }

    fn rest_taken_up(&self, replica: &Replica, spot: Spot, agrees: bool) {
        let (group, to) = (replica.core.group.0, NodeId(spot.leader as u32));
        let answer = if follows(replica, spot) && !self.link.is_down(to) {
            if replica.is_asleep() {
                // A leader that rests has applied all of it.
                replica.core.log.commit_all();
            }
            replica.rest_at(spot);
            Packet::Rests { group, term: spot.term, index: spot.index, agrees }
        } else {
            Packet::Wake { group }
        };
        self.link.send(to, &answer, false);
    }

    /// A member rests, and has what this leader has if it says so.
    pub(crate) fn rest_taken(&self, from: NodeId, group: GroupId, term: u64, index: u64, agrees: bool) {
        let Some(replica) = self.replica(group) else { return };
        if let Some(own) = replica.core.word_at(index).filter(|_| agrees) {
            replica.core.listen(from, index, own);
        }
        let spot = Spot { term, leader: self.id, index };
        let Some(takers) = replica.rest.taken(spot, u64::from(from.0)) else { return };
        let (others, voters) = replica.core.others();
        let all = others.iter().all(|n| takers.contains(&u64::from(n.0)) || self.link.is_down(*n));
        let with_me = voters.iter().filter(|n| **n == self.id || takers.contains(n)).count();
        if all && with_me * 2 > voters.len() && standing(&replica) == Some(spot) {
            replica.rest_if(spot);
        }
    }

    /// There is a session with `peer`: it is told where the groups stand that this node leads.
    pub(crate) fn greet(&self, peer: NodeId) {
        for replica in self.all() {
            if replica.rest.spot().is_some_and(|spot| spot.leader == self.id)
                && replica.core.is_member(u64::from(peer.0))
                && let Some(spot) = standing(&replica)
            {
                self.link.send(peer, &offered(&replica, spot, replica.core.word_at(spot.index)), false);
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
        let starting = Arc::new(Semaphore::new(STARTED_AT_ONCE));
        self.runtime.spawn(async move {
            let began = tokio::time::Instant::now();
            let mut woken = 0;
            for (after, group) in turns {
                tokio::time::sleep_until(began + after).await;
                let Some(node) = node.upgrade() else { return };
                let Some(replica) = node.replica(group).filter(|r| r.rest.still_rising()) else { continue };
                if replica.is_asleep()
                    && let Ok(turn) = starting.clone().acquire_owned().await
                {
                    let task = node.clone();
                    node.runtime.spawn(async move {
                        task.rouse(&replica).await;
                        replica.wake_to_elect();
                        drop(turn);
                    });
                    continue;
                }
                replica.wake_to_elect();
                woken += 1;
                if woken % WOKEN_AT_ONCE == 0 {
                    tokio::time::sleep(WAKE_PAUSE).await;
                }
            }
        });
    }
}
