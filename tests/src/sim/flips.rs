//! Bits that flip in the memories of replicas.
//!
//! Owns: which have flipped, and since when the replicas of a group may differ for it. A flip is where no guest looks, so nobody
//! is told anything wrong; only the root knows.
//!
//! 1. A bit flips in one replica of a group of three voters or more, and once in a run for each group: with two voters nobody
//!    could say who is right.
//! 2. Once a replica was found wrong, all of them are well before long, and have the same. A flip shows at the first root behind
//!    an event that its actor has handled; of a group in which nothing happens nobody asks it.

use std::collections::{BTreeMap, BTreeSet};

use pando_abi::ActorId;
use pando_kernel::{realm::ROOT, replica::Replica};
use pando_raft::{Role, Status};

use super::world::World;
use crate::dice::Dice;

/// See the module.
pub struct Flips {
    dice: Dice,
    ppm: u64,
    /// Groups whose replicas may differ, and the index since when.
    open: BTreeMap<ActorId, u64>,
    had: BTreeSet<ActorId>,
    found: BTreeSet<ActorId>,
    mended: usize,
}

impl Flips {
    /// None yet. `may`: the voters of groups stay who they are.
    pub fn new(mut dice: Dice, may: bool) -> Flips {
        let ppm = if may && !dice.percent(35) { dice.between(500, 4_000) } else { 0 };
        Flips { dice, ppm, open: BTreeMap::new(), had: BTreeSet::new(), found: BTreeSet::new(), mended: 0 }
    }

    /// How many bits have flipped, and how many of them were found by the product and mended.
    pub fn counts(&self) -> (usize, usize) {
        (self.had.len(), self.mended)
    }

    /// May the replicas of this group differ?
    pub fn is_open(&self, group: ActorId) -> bool {
        self.open.contains_key(&group)
    }

    /// Did one flip in this group? A replica that was mended may say once more that it is being rebuilt, if its node ends before it has
    /// written down that it agrees: then it asks again.
    pub fn had(&self, group: ActorId) -> bool {
        self.had.contains(&group)
    }

    /// Flips one, perhaps. What happened, if anything.
    pub fn act(&mut self, world: &World) -> Option<String> {
        if !self.dice.ppm(self.ppm) {
            return None;
        }
        let at = self.dice.below(world.machines.len() as u64) as usize;
        let machine = world.machines.get(at).filter(|machine| !machine.disk.is_cut())?;
        let kernel = machine.kernel()?;
        let fit = |group: &ActorId| -> Option<(ActorId, u64)> {
            let status = kernel.groups().status(*group).filter(|_| *group != ROOT && !self.had.contains(group))?;
            let voters = status.seated.as_ref().map(|(_, voters)| voters)?;
            let sound = status.role == Role::Follower && !status.changing && voters.len() >= 3;
            (sound && voters.contains(&machine.id())).then_some((*group, status.applied))
        };
        let all: Vec<(ActorId, u64)> = kernel.groups().list().iter().filter_map(fit).collect();
        if all.is_empty() {
            return None;
        }
        let ((group, index), bit) = (self.dice.pick(&all), self.dice.below(8) as u8);
        let flip = |machine: &mut dyn pando_raft::Machine| {
            machine.as_any().downcast_mut::<Replica>().is_some_and(|replica| replica.flip(bit))
        };
        if kernel.groups().with_machine(group, flip) != Some(true) {
            return None;
        }
        self.had.insert(group);
        self.open.insert(group, index);
        Some(format!("a bit of the replica of {group:.8} on {} flips, behind {index}", machine.id()))
    }

    /// Looks which are over.
    pub fn look(&mut self, world: &World) {
        for (group, since) in self.open.clone() {
            let all = statuses(world, group);
            if all.iter().flatten().any(|status| !is_well(status)) {
                self.found.insert(group);
            }
            let compared = |status: &Status| is_well(status) && status.root_index > since && status.attested > since;
            if self.found.contains(&group) && all.iter().all(|status| status.as_ref().is_some_and(compared)) {
                self.open.remove(&group);
                self.mended += 1;
            }
        }
    }

    /// What is not as it should be in the end, if anything. A flip behind which nothing has happened cannot be found.
    pub fn unmended(&self, world: &World) -> Option<String> {
        self.open.iter().find_map(|(group, since)| {
            let all = statuses(world, *group);
            let odd = all.iter().flatten().find(|status| !is_well(status));
            let compared: Vec<bool> = all.iter().flatten().map(|status| status.root_index > *since).collect();
            let apart = compared.contains(&true) && compared.contains(&false);
            let why = odd.map(|status| format!("{status:?}")).or(apart.then(|| "not all are compared".to_owned()))?;
            Some(format!("a bit flipped in {group:.8} behind {since}: {why}"))
        })
    }
}

/// What the nodes say of a group that hold it, or should: nothing, if they are down.
fn statuses(world: &World, group: ActorId) -> Vec<Option<Status>> {
    let machines = world.machines.iter().filter(|machine| !machine.gone);
    let said: Vec<(pando_abi::NodeId, Option<Option<Status>>)> =
        machines.map(|m| (m.id(), m.kernel().map(|kernel| kernel.groups().status(group)))).collect();
    let voters: BTreeSet<_> =
        said.iter().filter_map(|(_, said)| said.as_ref()?.as_ref()).flat_map(|s| s.voters.clone()).collect();
    let of_voter = |(id, said): (_, Option<Option<Status>>)| match said {
        None => Some(None),
        Some(status) => voters.contains(&id).then_some(status),
    };
    said.into_iter().filter_map(of_voter).collect()
}

fn is_well(status: &Status) -> bool {
    let others = status.fenced_peers.is_empty() && status.rebuilding_peers.is_empty();
    status.fenced.is_none() && status.rebuilding.is_none() && others
}
