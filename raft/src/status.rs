//! What can be seen of a group from one of its nodes.

use pando_abi::NodeId;

use crate::entry::GroupId;

/// What a replica is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Lets effects out.
    Leader,
    /// Counts in quorums.
    Follower,
    /// Stands for election.
    Candidate,
    /// Follows without counting.
    Learner,
    /// Fenced or failed: takes part in nothing.
    Stopped,
}

/// A replica, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which replica of the group on this node: a number that goes up each time that one is made anew.
    pub replica: u64,
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// The current term.
    pub term: u64,
    /// What the replica here is doing.
    pub role: Role,
    /// Those who count, in order; of a change under way, the old and the new ones.
    pub voters: Vec<NodeId>,
    /// Those who follow without counting.
    pub learners: Vec<NodeId>,
    /// A change of voters is under way.
    pub changing: bool,
    /// The members as applied here, and so committed: at which index, and who counts. `None`: nothing was applied yet, or
    /// what was is the joint configuration of a change.
    pub seated: Option<(u64, Vec<NodeId>)>,
    /// The first index in the log here; what was before it is in the snapshot.
    pub first_index: u64,
    /// The last index in the log here.
    pub last_index: u64,
    /// The last index applied here.
    pub applied: u64,
    /// The chain at `applied`.
    pub chain: [u8; 32],
    /// The root at the last agreed index.
    pub root: [u8; 32],
    /// That agreed index. 0: none yet.
    pub root_index: u64,
    /// The last agreed index at which a majority of the voters was seen to have this replica's chain.
    pub attested: u64,
    /// Why the replica here is fenced.
    pub fenced: Option<String>,
    /// Why it was, if it is being rebuilt from the others or has been and has not been seen to agree since.
    pub rebuilding: Option<String>,
    /// Other nodes whose replicas disagree with a majority, and why.
    pub fenced_peers: Vec<(NodeId, String)>,
    /// Other nodes whose replicas did so and are being rebuilt, and why.
    pub rebuilding_peers: Vec<(NodeId, String)>,
    /// Why the replica here has stopped, fenced or not.
    pub stopped: Option<String>,
    /// Nothing happens in the group, so its members send each other no heartbeats.
    pub resting: bool,
    /// It rests so long that it is on the disk alone, or has been since the node booted: what is told of what was applied is how it
    /// stood when it was put aside, or nothing. Whoever asks something of it starts it.
    pub asleep: bool,
    /// The disk here has forgotten what the replica promised: it takes no part before the others have taken it out.
    pub in_doubt: bool,
}

/// What happens to groups here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    /// A leader was elected.
    Leader {
        /// Which group.
        group: GroupId,
        /// Who leads.
        leader: NodeId,
        /// Since when.
        term: u64,
    },
    /// The replica on `node` disagrees with a majority and takes no further part.
    Fenced {
        /// Which group.
        group: GroupId,
        /// Whose replica.
        node: NodeId,
        /// How that is known.
        why: String,
    },
    /// The replica on `node` was fenced and is being rebuilt from the others.
    Rebuilding {
        /// Which group.
        group: GroupId,
        /// Whose replica.
        node: NodeId,
    },
    /// The replica on `node` was fenced and agrees with the majority again.
    Mended {
        /// Which group.
        group: GroupId,
        /// Whose replica.
        node: NodeId,
    },
    /// The leader here has taken a member out whose replica had forgotten what it promised: it may join again.
    Removed {
        /// Which group.
        group: GroupId,
        /// Whose replica.
        node: NodeId,
    },
    /// The disk here is an older copy of the one that this node had: its replicas leave their groups and join again.
    OldCopy {
        /// Who knows more of it than it does.
        witness: NodeId,
        /// How many.
        groups: usize,
    },
    /// Replicas disagree and there is no majority for either side. They go on; a person must look.
    Diverged {
        /// Which group.
        group: GroupId,
        /// Where it was seen.
        index: u64,
    },
    /// The replica here has stopped.
    Stopped {
        /// Which group.
        group: GroupId,
        /// Why.
        why: String,
    },
}
