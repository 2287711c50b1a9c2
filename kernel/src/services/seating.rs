//! Makes the voters of the groups that are led here those that the realm wants, and tells the realm when they are.
//!
//! The root group says who shall hold a group; the group's own log says who does. This service drives the second to the first,
//! on the node that leads the group. Whatever it does may be done twice, and an interruption anywhere is found again by the
//! next leader: by what the root group says is under way, and by a look at each group that a node begins to lead.
//!
//! 1. What is told is what is committed in the group's log, with its index: an older word never replaces a newer one.
//! 2. A group is worked on by one task at a time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pando_abi::planted::fail::{Point, pass};
use pando_abi::{ActorId, NodeId};
use pando_raft::{GroupEvent, Role, Status};
use tokio::{sync::broadcast, task::JoinSet};

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
    let mut events = kernel.groups().watch();
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
            removed = a_removal(&mut events) => match removed {
                Some(group) => _ = open.insert(group),
                None => open.extend(kernel.leaders().list()),
            },
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

/// Waits until a member of a group that is led here was taken out without the realm wanting so. `None`: it may have been several.
async fn a_removal(events: &mut broadcast::Receiver<GroupEvent>) -> Option<ActorId> {
    loop {
        match events.recv().await {
            Ok(GroupEvent::Removed { group, .. }) => return Some(group),
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return None,
            // The node is stopping, and so is who waits here.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
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
    /// Nobody is known to lead it, which may be this node again without being told so anew; or what was done is not yet
    /// committed.
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
        (Role::Leader, Some(_)) => next(&record, &status),
        (Role::Stopped, _) => Look::Settled,
        (_, Some(leader)) if leader != kernel.id() => Look::Settled,
        _ => Look::Unclear,
    }
}

/// What the leader of a group has to do. It is not done before what is wanted is committed and the realm has been told.
fn next(record: &GroupRecord, status: &Status) -> Look {
    let wanted: Vec<NodeId> = record.wanted.iter().map(|node| NodeId(*node)).collect();
    let seated = status.seated.as_ref().map(|(at, voters)| (*at, voters.iter().map(|node| node.0).collect::<Vec<_>>()));
    match seated {
        Some((at, voters)) if voters != record.voters && at > record.seated_at => Look::Do(Step::Tell { voters, at }),
        _ if status.voters != wanted || !status.learners.is_empty() || status.changing => {
            Look::Do(Step::Change { wanted })
        }
        Some((_, voters)) if voters == record.voters && voters == record.wanted => Look::Settled,
        // On its way: written and not committed, or committed and not yet applied here.
        _ => Look::Unclear,
    }
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
                        if changed.is_ok() {
                            pass(Point::SeatChanged);
                        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(voters: &[u32], wanted: &[u32], seated_at: u64) -> GroupRecord {
        GroupRecord {
            id: ActorId([1; 16]),
            module: pando_abi::ModuleHash([1; 32]),
            spec: [0; pando_abi::SpawnSpec::SIZE],
            args: Vec::new(),
            handles: Vec::new(),
            parent: [0; 64],
            realm: false,
            replicas: 3,
            voters: voters.to_vec(),
            wanted: wanted.to_vec(),
            seated_at,
            created_at: 1,
            epoch: 1,
            earlier: Vec::new(),
            ended: None,
        }
    }

    fn status(voters: &[u32], seated: Option<(u64, &[u32])>, changing: bool) -> Status {
        let ids = |nodes: &[u32]| nodes.iter().map(|node| NodeId(*node)).collect::<Vec<_>>();
        Status {
            replica: 2,
            leader: Some(NodeId(1)),
            term: 1,
            role: Role::Leader,
            voters: ids(voters),
            learners: Vec::new(),
            changing,
            seated: seated.map(|(at, voters)| (at, ids(voters))),
            first_index: 0,
            last_index: 9,
            applied: 9,
            chain: [0; 32],
            root: [0; 32],
            root_index: 0,
            attested: 0,
            fenced: None,
            rebuilding: None,
            fenced_peers: Vec::new(),
            rebuilding_peers: Vec::new(),
            stopped: None,
            resting: false,
            asleep: false,
            in_doubt: false,
        }
    }

    fn check(record: &GroupRecord, status: &Status, expected: &str) {
        let found = match next(record, status) {
            Look::Settled => "settled".to_owned(),
            Look::Unclear => "wait".to_owned(),
            Look::Do(Step::Tell { voters, at }) => format!("tell {voters:?} at {at}"),
            Look::Do(Step::Change { wanted }) => format!("change to {wanted:?}"),
        };
        assert_eq!(found, expected, "{record:?} {status:?}");
    }

    #[test]
    fn a_change_is_over_when_it_is_committed_and_told_and_not_before() {
        let (old, new) = ([1, 2, 3], [2, 3]);
        check(&record(&old, &old, 0), &status(&old, Some((0, &old)), false), "settled");
        check(&record(&old, &new, 0), &status(&old, Some((0, &old)), false), "change to [NodeId(2), NodeId(3)]");
        check(&record(&old, &new, 0), &status(&old, None, true), "change to [NodeId(2), NodeId(3)]");
        // Written, and perhaps never committed.
        check(&record(&old, &new, 0), &status(&new, None, false), "wait");
        check(&record(&old, &new, 0), &status(&new, Some((0, &old)), false), "wait");
        check(&record(&old, &new, 0), &status(&new, Some((8, &new)), false), "tell [2, 3] at 8");
        check(&record(&new, &new, 8), &status(&new, Some((8, &new)), false), "settled");
        // Somebody changed their mind meanwhile: first what is so is told, then it is changed back.
        check(&record(&old, &old, 0), &status(&new, Some((8, &new)), false), "tell [2, 3] at 8");
        check(
            &record(&new, &old, 8),
            &status(&new, Some((8, &new)), false),
            "change to [NodeId(1), NodeId(2), NodeId(3)]",
        );
        // The realm has heard more than this node has applied.
        check(&record(&old, &old, 12), &status(&old, Some((8, &new)), false), "wait");
    }
}
