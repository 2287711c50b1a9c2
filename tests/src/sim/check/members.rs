//! Who belongs to the realm, and who holds what.
//!
//! 1. A number is one key's for ever.
//! 2. A node whose disk was wiped takes part in nothing under its number.
//! 3. In the end every group is held by the nodes that shall hold it, by as many as there is room for, and by nobody else; the
//!    root group's voters are those that have a seat.

use std::collections::{BTreeMap, BTreeSet};

use pando_abi::{ActorId, NodeId};
use pando_kernel::realm::ROOT;
use pando_raft::Role;

use crate::sim::world::World;

/// Whose number is whose.
#[derive(Default)]
pub struct Members {
    keys: BTreeMap<u32, [u8; 32]>,
}

impl Members {
    /// Looks at what every node knows of the realm.
    pub fn look(&mut self, world: &World, found: &mut Vec<String>) {
        for machine in &world.machines {
            let Some(kernel) = machine.kernel() else { continue };
            if machine.wiped && !kernel.groups().list().is_empty() {
                found.push(format!("{} takes part on a disk that was wiped", machine.id()));
            }
            kernel.root().read(|root| {
                for member in root.members() {
                    let known = self.keys.entry(member.node.0).or_insert(member.key);
                    if *known != member.key {
                        found.push(format!("{} has two keys", member.node));
                    }
                }
            });
        }
    }
}

/// What is not yet as it shall be, if anything.
pub fn unsettled(world: &World) -> Option<String> {
    let on: Vec<_> = world.machines.iter().filter(|machine| !machine.gone).collect();
    let up: Vec<u32> = on.iter().map(|machine| machine.id().0).collect();
    for machine in on {
        let (id, Some(kernel)) = (machine.id(), machine.kernel()) else {
            return Some(format!("{} is not up", machine.id()));
        };
        let root = kernel.root().snapshot();
        if let Some(group) = root.moving_groups().next() {
            return Some(format!("{id} sees {:.8} on its way from {:?} to {:?}", group.id, group.voters, group.wanted));
        }
        if root.wants_mending(&up) {
            return Some(format!("{id} sees a group that could be on better nodes"));
        }
        let shall: BTreeSet<ActorId> = root.groups_of(id).map(|group| group.id).chain([ROOT]).collect();
        let has: BTreeSet<ActorId> = kernel.groups().list().into_iter().collect();
        if shall != has {
            return Some(format!("{id} holds {has:?} and shall hold {shall:?}"));
        }
        for group in has {
            let Some(status) = kernel.groups().status(group).filter(|status| status.role == Role::Leader) else {
                continue;
            };
            let (voters, learners) = match root.group(group) {
                Some(record) => (record.wanted.iter().map(|n| NodeId(*n)).collect(), Vec::new()),
                None => (root.seats(), root.followers()),
            };
            if status.changing || status.voters != voters || status.learners != learners {
                return Some(format!(
                    "{group:.8} is held by {:?} {:?} and not by {voters:?} {learners:?}",
                    status.voters, status.learners
                ));
            }
        }
    }
    None
}
