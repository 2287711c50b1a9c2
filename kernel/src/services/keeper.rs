//! Where the root group is led: sees to it that its own voters are those that have a seat, that replicas are on nodes that are
//! there, and that a node which was removed is forgotten once nothing counts on it.
//!
//! 1. It only proposes and changes what the root group's state asks for: two keepers at once, or one that is late, do no harm.
//! 2. A node counts as away only after this leader itself has not seen it for the realm's time: a new leader begins to wait anew.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pando_abi::NodeId;
use pando_raft::{Role, Status};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    node::Kernel,
    realm::ROOT,
    root::{RootCommand, Standing},
};

/// How often a leader looks.
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn work(kernel: &Arc<Kernel>) {
    let mut seen: BTreeMap<NodeId, Instant> = BTreeMap::new();
    // A newcomer may take long to catch up, and the rest goes on meanwhile.
    let mut seating: JoinSet<()> = JoinSet::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let status = kernel.groups().status(ROOT).filter(|status| status.role == Role::Leader);
        let Some(status) = status.filter(|_| kernel.root().read(|root| root.is_founded())) else {
            seen.clear();
            continue;
        };
        let up = kernel.nodes_up();
        let now = Instant::now();
        for command in wishes(kernel, &up, &mut seen, now, &status) {
            if let Err(why) = kernel.root_command(command).await {
                tracing::info!(%why, "the root group did not do what its leader wished");
            }
        }
        while seating.try_join_next().is_some() {}
        if seating.is_empty() {
            seating.spawn(seat(kernel.clone(), up, status));
        }
    }
}

/// What the root group should decide now.
fn wishes(
    kernel: &Kernel,
    up: &[NodeId],
    seen: &mut BTreeMap<NodeId, Instant>,
    now: Instant,
    status: &Status,
) -> Vec<RootCommand> {
    let counts = |node: &NodeId| status.voters.contains(node) || status.learners.contains(node) || status.changing;
    kernel.root().read(|root| {
        let mut wishes = Vec::new();
        seen.retain(|node, _| root.member(*node).is_some());
        let patience = root.replace_after_ms();
        for member in root.members() {
            let node = member.node;
            let is_up = up.contains(&node);
            let last = seen.entry(node).or_insert(now);
            if is_up {
                *last = now;
            }
            let gone = patience > 0 && now - *last >= Duration::from_millis(patience);
            match member.standing {
                Standing::Present if gone => wishes.push(RootCommand::MarkAway { node, away: true }),
                Standing::Away if is_up => wishes.push(RootCommand::MarkAway { node, away: false }),
                Standing::Leaving if root.load(node) == 0 && !counts(&node) => {
                    wishes.push(RootCommand::ForgetMember { node });
                }
                _ => {}
            }
        }
        let alive: Vec<u32> = up.iter().map(|node| node.0).collect();
        if root.wants_mending(&alive) {
            wishes.push(RootCommand::Mend { alive });
        }
        wishes
    })
}

/// Makes the root group's voters those that have a seat, and everybody else a follower.
async fn seat(kernel: Arc<Kernel>, up: Vec<NodeId>, status: Status) {
    let (mut seats, mut followers) = kernel.root().read(|root| (root.seats(), root.followers()));
    // Nobody is waited for who is not there: who counts already goes on, who is new has to be up.
    seats.retain(|node| status.voters.contains(node) || up.contains(node));
    followers.retain(|node| status.learners.contains(node) || status.voters.contains(node) || up.contains(node));
    let is_so = status.voters == seats && status.learners == followers && !status.changing;
    if is_so || seats.is_empty() {
        return;
    }
    if let Err(why) = kernel.groups().change_members_here(ROOT, &seats, &followers).await {
        tracing::info!(%why, "the root group's voters are not yet those that have a seat");
    }
}
