//! The groups of one node: the public face of this crate.

mod copy;
mod founding;
mod members;
mod node;
pub(crate) mod old_copy;
mod poison;
mod propose;
pub(crate) mod rebuild;
pub(crate) mod rest;
mod serve;
mod sleep;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use pando_abi::NodeId;
use tokio::sync::broadcast;

use crate::config::Config;
use crate::entry::{Committed, Entry, GroupId};
use crate::error::{ChangeError, CreateError, LeaveError, LinearError, OpenError, ProposeError};
use crate::machine::{Machine, Machines, Wire};
use crate::status::{GroupEvent, Status};
use node::Node;

pub use copy::{GroupCopy, Laying};

/// Many groups, one log engine, one flush. Cheap to clone; all clones are one node.
#[derive(Clone)]
pub struct Groups {
    node: Arc<Node>,
}

impl Groups {
    /// Locks the folder, opens the log and finds the groups in it. Call inside a tokio runtime, which from then on runs the
    /// groups: each is started when it is wanted, or when no leader has told it that it need not.
    ///
    /// Frames may be handed to [`Groups::receive`] as soon as this has returned; earlier ones are lost,
    /// which is no harm.
    pub fn open(
        config: Config,
        wire: Arc<dyn Wire>,
        machines: Arc<dyn Machines>,
    ) -> BoxFuture<'static, Result<Groups, OpenError>> {
        Box::pin(async move { Ok(Groups { node: Node::open(config, wire, machines).await? }) })
    }

    /// Founds the group. Each voter calls it with the same voters; one of them (by the group's id) initialises, and if it does not,
    /// after some seconds the next one. Idempotent.
    ///
    /// Not for a node that is added later: that one joins.
    pub fn create<'a>(&'a self, group: GroupId, voters: &'a [NodeId]) -> BoxFuture<'a, Result<(), CreateError>> {
        Box::pin(self.node.add(group, Some(voters)))
    }

    /// Makes an empty replica that waits for a leader to find it: what a node calls that was not a founder.
    /// [`Groups::change_voters`] does it for the nodes it adds. Idempotent.
    pub fn join(&self, group: GroupId) -> BoxFuture<'_, Result<(), CreateError>> {
        Box::pin(self.node.add(group, None))
    }

    /// The same where the members count on this node already, for it had a replica that its disk has forgotten: takes no part
    /// before they have taken it out. `via`: nodes that should have one.
    pub fn rejoin<'a>(&'a self, group: GroupId, via: &'a [NodeId]) -> BoxFuture<'a, Result<(), CreateError>> {
        Box::pin(self.node.rejoin(group, via))
    }

    /// Was the disk here found to be an older copy of the one that this node had, and is something left to do about it? Then groups
    /// that it should have and has not are to be [joined anew](Groups::rejoin), for they may have been forgotten.
    pub fn is_old_copy(&self) -> bool {
        self.node.disk.is_old()
    }

    /// The groups that this node should have are there again: its disk counts as an old copy no longer. `false`: it does, for some
    /// are in doubt still.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn renew(&self) -> BoxFuture<'_, std::io::Result<bool>> {
        Box::pin(self.node.disk.renew())
    }

    /// Proposes, from any node with a replica, and answers when the leader has applied it.
    ///
    /// Tries again, at another leader if need be, until the deadline: the same entry may be committed more
    /// than once, and the machine must drop what it has seen by (origin, incarnation, seq).
    pub fn propose(
        &self,
        group: GroupId,
        entry: Entry,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Committed, ProposeError>> {
        Box::pin(self.node.propose(&[], group, entry, timeout))
    }

    /// Proposes from a node that may have no replica: `via` are nodes that should have one.
    pub fn propose_via<'a>(
        &'a self,
        via: &'a [NodeId],
        group: GroupId,
        entry: Entry,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Committed, ProposeError>> {
        Box::pin(self.node.propose(via, group, entry, timeout))
    }

    /// Waits until the replica here has everything that was committed when this was called; gives the index.
    pub fn linear(&self, group: GroupId, timeout: Duration) -> BoxFuture<'_, Result<u64, LinearError>> {
        Box::pin(self.node.linear(group, timeout))
    }

    /// The last index applied here; 0 if there is no replica.
    pub fn applied(&self, group: GroupId) -> u64 {
        self.node.replica(group).map_or(0, |replica| replica.core.applied())
    }

    /// Looks into the machine here, between two entries. Waits for the entry that is being applied, so call
    /// it from a thread that may wait that long; never from inside a machine, and do not propose in `f`.
    /// `None`: no replica here, or it is fenced, has stopped or sleeps.
    pub fn with_machine<R>(&self, group: GroupId, f: impl FnOnce(&mut dyn Machine) -> R) -> Option<R> {
        self.node.replica(group).filter(|replica| !replica.is_asleep())?.core.with_machine(f)
    }

    /// Starts the replica here if it sleeps: [`Groups::with_machine`] finds something then.
    pub fn rouse(&self, group: GroupId) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(replica) = self.node.replica(group) {
                self.node.rouse(&replica).await;
            }
        })
    }

    /// Makes `new` the voters: asks those who are missing to join, catches them up, changes over, finishes.
    /// From any node with a replica. Idempotent; gives up waiting after a minute, and the leader goes on.
    pub fn change_voters<'a>(&'a self, group: GroupId, new: &'a [NodeId]) -> BoxFuture<'a, Result<(), ChangeError>> {
        Box::pin(self.node.change_members(group, new, &[]))
    }

    /// The same, with `learners` beside the voters: they follow without counting.
    pub fn change_members<'a>(
        &'a self,
        group: GroupId,
        voters: &'a [NodeId],
        learners: &'a [NodeId],
    ) -> BoxFuture<'a, Result<(), ChangeError>> {
        Box::pin(self.node.change_members(group, voters, learners))
    }

    /// The replica here. `None`: there is none.
    pub fn status(&self, group: GroupId) -> Option<Status> {
        self.node.replica(group).map(|replica| replica.status())
    }

    /// Has nothing ever been proposed in this group, as far as the disk here knows? So it is too if there is no replica.
    pub fn is_blank(&self, group: GroupId) -> bool {
        self.node.replica(group).is_none_or(|replica| replica.core.log.is_blank())
    }

    /// The groups with a replica here, in order.
    pub fn list(&self) -> Vec<GroupId> {
        self.node.list()
    }

    /// What happens from now on. Slow receivers miss the oldest events and are told so.
    pub fn watch(&self) -> broadcast::Receiver<GroupEvent> {
        self.node.events.subscribe()
    }

    /// Hands in a frame that `from` sent with [`Wire::send`]. Never blocks; malformed bytes are dropped
    /// with a warning that names the peer.
    pub fn receive(&self, from: NodeId, bytes: &[u8]) {
        serve::receive(&self.node, from, bytes);
    }

    /// There is a session with `peer`: groups that rest are told so.
    pub fn peer_up(&self, peer: NodeId) {
        self.node.link.up(peer);
        self.node.tell_lives(peer, &self.node.disk.lives());
        self.node.greet(peer);
        self.node.hear_again(peer);
    }

    /// The session with `peer` is over: nothing that it was asked in it will be answered, and groups that it leads and that
    /// rest wake.
    pub fn peer_down(&self, peer: NodeId) {
        self.node.link.down(peer);
        self.node.mourn(peer);
    }

    /// The same, at once, if this node leads: one try, for who tries again by themselves.
    pub fn change_members_here<'a>(
        &'a self,
        group: GroupId,
        voters: &'a [NodeId],
        learners: &'a [NodeId],
    ) -> BoxFuture<'a, Result<(), ChangeError>> {
        Box::pin(self.node.change_here(group, voters, learners))
    }

    /// Starts a replica that has stopped anew, from what the disk has: the cause is gone. A fenced one stays what it is.
    ///
    /// # Errors
    /// If what the disk has cannot be read.
    pub fn restart(&self, group: GroupId) -> BoxFuture<'_, Result<(), CreateError>> {
        Box::pin(self.node.restart(group))
    }

    /// Ends the replica here and deletes its log and snapshots, once the group's leader has said that this node is no
    /// member any more. `via`: nodes that should know the leader.
    ///
    /// This is the only safe way to delete a replica of a group that goes on: what a voter has acknowledged must not be
    /// lost, whatever this node believes about who votes.
    pub fn leave<'a>(&'a self, group: GroupId, via: &'a [NodeId]) -> BoxFuture<'a, Result<(), LeaveError>> {
        Box::pin(self.node.leave(group, via))
    }

    /// Ends the replica here and deletes its log and snapshots. For a group that is over; of one that goes on see
    /// [`Groups::leave`].
    pub fn remove(&self, group: GroupId) -> BoxFuture<'_, Result<(), CreateError>> {
        Box::pin(self.node.remove(group))
    }

    /// Times that the log was synced since it was opened, for all groups together.
    pub fn flushes(&self) -> u64 {
        self.node.flushes()
    }

    /// Proposals of this node that wait, and how many may.
    pub fn in_flight(&self) -> (usize, usize) {
        let most = self.node.config.in_flight_max;
        (most.saturating_sub(self.node.in_flight.available_permits()), most)
    }

    /// Stops every group, writes what is pending and unlocks the folder.
    pub fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.node.close().await;
        })
    }
}
