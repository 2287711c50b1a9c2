//! Makes the voters of the groups that are led here those that the realm wants, and tells the realm when they are.
//!
//! The root group says who shall hold a group; the group's own log says who does. This service drives the second to the first,
//! on the node that leads the group. Whatever it does may be done twice, and an interruption anywhere is found again by the
//! next leader: by what the root group says is under way, and by a look at each group that a node begins to lead.
//!
//! 1. What is told is what is committed in the group's log, with its index: an older word never replaces a newer one.
//! 2. A group is worked on by one task at a time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pando_abi::{ActorId, NodeId};
use pando_raft::{Role, Status};
use tokio::task::JoinSet;

use crate::{
    node::Kernel,
    root::{GroupRecord, RootCommand},
};

/// How soon what could not be done is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Groups that are changed at once.
const AT_ONCE: usize = 16;

pub(super) async fn work(kernel: &Arc<Kernel>) {
    let mut changes = kernel.root().changes();
    let mut tasks: JoinSet<(ActorId, bool)> = JoinSet::new();
    let mut busy: BTreeSet<ActorId> = BTreeSet::new();
    // Led here since a moment ago, or not finished the last time; at first everything.
    let mut open: BTreeSet<ActorId> = kernel.leaders().list().into_iter().collect();
    loop {
        open.extend(kernel.leaders().new_ones());
        open.extend(kernel.root().read(|root| root.moving_groups().map(|group| group.id).collect::<Vec<_>>()));
        let due: Vec<ActorId> = open.iter().copied().filter(|group| !busy.contains(group)).collect();
        for group in due {
            if busy.len() >= AT_ONCE {
                break;
            }
            match look(kernel, group) {
                Look::Settled => {
                    tracing::debug!(group = %group, node = %kernel.id(), "the voters are as wanted, or another node's care");
                    open.remove(&group);
                    continue;
                }
                Look::Unclear => continue,
                Look::Do(_) => {}
            }
            busy.insert(group);
            let kernel = kernel.clone();
            tasks.spawn(async move { (group, settle(&kernel, group).await) });
        }
        let pause = if open.is_empty() { Duration::from_secs(3_600) } else { AGAIN };
        tokio::select! {
            changed = changes.changed() => if changed.is_err() {
                return;
            },
            () = kernel.leaders().changed() => {}
            ended = tasks.join_next(), if !tasks.is_empty() => match ended {
                Some(Ok((group, done))) => {
                    busy.remove(&group);
                    if done {
                        open.remove(&group);
                    } else {
                        tokio::time::sleep(AGAIN / 2).await;
                    }
                }
                // Which one it was is not known: all are looked at again.
                _ => busy.clear(),
            },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What is to be done for a group next.
#[derive(Debug)]
enum Step {
    Tell { voters: Vec<u32>, at: u64 },
    Change { wanted: Vec<NodeId> },
}

/// How a group stands.
enum Look {
    /// As wanted, or the care of another node that leads it.
    Settled,
    /// Nobody is known to lead it: that may be this node again, without being told so anew.
    Unclear,
    /// There is something to do here.
    Do(Step),
}

fn look(kernel: &Kernel, group: ActorId) -> Look {
    let Some(status) = kernel.groups().status(group) else { return Look::Settled };
    let (record, ended) = kernel.root().read(|root| (root.group(group).cloned(), root.ended(group).is_some()));
    let Some(record) = record else {
        // The root group here may be behind.
        return if ended { Look::Settled } else { Look::Unclear };
    };
    match (status.role, status.leader) {
        (Role::Leader, Some(_)) => next(&record, &status).map_or(Look::Settled, Look::Do),
        (Role::Stopped, _) => Look::Settled,
        (_, Some(leader)) if leader != kernel.id() => Look::Settled,
        _ => Look::Unclear,
    }
}

fn next(record: &GroupRecord, status: &Status) -> Option<Step> {
    if let Some((at, voters)) = &status.seated {
        let voters: Vec<u32> = voters.iter().map(|node| node.0).collect();
        if *at > record.seated_at && voters != record.voters {
            return Some(Step::Tell { voters, at: *at });
        }
    }
    let wanted: Vec<NodeId> = record.wanted.iter().map(|node| NodeId(*node)).collect();
    let is_so = status.voters == wanted && status.learners.is_empty() && !status.changing;
    (!is_so).then_some(Step::Change { wanted })
}

/// Does what is to be done. `true`: all is as wanted, or somebody else leads.
async fn settle(kernel: &Arc<Kernel>, group: ActorId) -> bool {
    loop {
        let step = match look(kernel, group) {
            Look::Settled => return true,
            Look::Unclear => return false,
            Look::Do(step) => step,
        };
        tracing::debug!(group = %group, ?step, "the voters are to be changed or told");
        let done = match step {
            Step::Tell { voters, at } => {
                let told = kernel.root_command(RootCommand::Seated { id: group, voters, at }).await;
                told.map(|_| ()).map_err(|why| why.to_string())
            }
            Step::Change { wanted } => {
                let up = kernel.nodes_up();
                let held = kernel.groups().status(group).map(|status| status.voters).unwrap_or_default();
                match wanted.iter().find(|node| !held.contains(node) && !up.contains(node)) {
                    Some(down) => Err(format!("{down} is down")),
                    None => {
                        let changed = kernel.groups().change_members_here(group, &wanted, &[]).await;
                        changed.map_err(|why| why.to_string())
                    }
                }
            }
        };
        if let Err(why) = done {
            tracing::info!(group = %group, %why, "the voters are not yet as wanted");
            return false;
        }
    }
}
