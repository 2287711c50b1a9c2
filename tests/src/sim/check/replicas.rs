//! Raft's own promises, looked at from outside while it runs.
//!
//! 1. Election safety: a term has one leader.
//! 2. State-machine safety and log matching: replicas that have applied the same index have the same chain, and at the
//!    same agreed index the same root, for ever.
//! 3. What was applied stays: while a node and its replica live, the applied index never goes down.
//! 4. No replica is fenced, or stops but for a rotten disk or until its module has come, and none calls another one odd; but
//!    for a group in which a bit has flipped, until it is mended.

use std::{collections::BTreeMap, sync::Arc};

use pando_abi::ActorId;
use pando_kernel::{Kernel, replica::LACKS_MODULE};
use pando_raft::{Role, Status};

use crate::sim::{flips::Flips, world::World};

/// What was seen so far.
#[derive(Default)]
pub struct Replicas {
    leaders: BTreeMap<(ActorId, u64), u32>,
    chains: BTreeMap<(ActorId, u64), [u8; 32]>,
    roots: BTreeMap<(ActorId, u64), [u8; 32]>,
    applied: BTreeMap<(usize, u64, ActorId, u64), u64>,
    /// Different (group, term) with a leader.
    pub terms: usize,
    /// Different (group, index) that were compared between replicas.
    pub compared: usize,
}

impl Replicas {
    /// Looks at every replica of every node that lives.
    pub fn look(&mut self, world: &World, flips: &Flips, found: &mut Vec<String>) {
        for (at, machine) in world.machines.iter().enumerate() {
            let Some(kernel) = machine.kernel() else { continue };
            if machine.disk.is_cut() {
                continue;
            }
            let id = machine.id();
            for group in kernel.groups().list() {
                let Some(status) = kernel.groups().status(group) else { continue };
                if status.role == Role::Leader {
                    let leader = *self.leaders.entry((group, status.term)).or_insert(id.0);
                    if leader != id.0 {
                        found.push(format!("term {} of {group:.8} has two leaders, n{leader} and {id}", status.term));
                    }
                }
                if flips.is_open(group) {
                    self.applied.remove(&(at, machine.boots(), group, status.replica));
                    continue;
                }
                if let Some(why) = &status.stopped
                    && !machine.disk.is_hurt()
                    && !why.contains(LACKS_MODULE)
                {
                    found.push(format!("the replica of {group:.8} on {id} has stopped: {why}"));
                }
                let odd = status.fenced_peers.iter().chain(&status.rebuilding_peers).next();
                if let Some((peer, why)) = odd.filter(|_| !flips.had(group)) {
                    found.push(format!("{id} calls the replica of {group:.8} on {peer} odd: {why}"));
                }
                if let Some(why) = status.rebuilding.as_ref().filter(|_| !flips.had(group)) {
                    found.push(format!("{id} rebuilds the replica of {group:.8}: {why}"));
                }
                self.compare(group, status.applied, status.chain, true, id.0, found);
                if status.root_index > 0 {
                    self.compare(group, status.root_index, status.root, false, id.0, found);
                }
                let applied = self.applied.entry((at, machine.boots(), group, status.replica)).or_insert(0);
                // On an old copy of a disk every replica is begun anew.
                if status.applied < *applied && !kernel.groups().is_old_copy() {
                    found.push(format!("{group:.8} on {id} went back from {applied} to {}", status.applied));
                }
                *applied = status.applied;
            }
        }
        self.terms = self.leaders.len();
    }

    fn compare(&mut self, group: ActorId, index: u64, hash: [u8; 32], chain: bool, node: u32, found: &mut Vec<String>) {
        let (map, what) = if chain { (&mut self.chains, "chain") } else { (&mut self.roots, "root") };
        match map.get(&(group, index)) {
            None => drop(map.insert((group, index), hash)),
            Some(known) if *known == hash => self.compared += 1,
            Some(_) => found.push(format!("{group:.8} has two {what}s at index {index}, one of them on n{node}")),
        }
    }

    /// In the end every voter has applied the same. What differs, if anything. Replicas of a group in which a bit has flipped that no
    /// event has shown yet differ until somebody asks.
    pub fn apart(world: &World, flips: &Flips) -> Option<String> {
        let mut ends: BTreeMap<ActorId, (u64, [u8; 32], u32)> = BTreeMap::new();
        for machine in world.machines.iter().filter(|machine| !machine.gone) {
            let Some(kernel) = machine.kernel() else { return Some(format!("{} is not up", machine.id())) };
            for group in kernel.groups().list() {
                let Some(status) = kernel.groups().status(group) else { continue };
                if is_unread(kernel, group, &status) {
                    return Some(format!("{group:.8} sleeps on {}", machine.id()));
                }
                if status.leader.is_none() {
                    return Some(format!("{} knows no leader of {group:.8}", machine.id()));
                }
                if flips.is_open(group) {
                    continue;
                }
                let (applied, chain, first) =
                    *ends.entry(group).or_insert((status.applied, status.chain, machine.id().0));
                if (applied, chain) != (status.applied, status.chain) {
                    let (id, here) = (machine.id(), status.applied);
                    return Some(format!("{group:.8} is at {applied} on n{first} and at {here} on {id}"));
                }
            }
        }
        None
    }
}

/// A replica that has slept since its node booted says nothing of its state before somebody asks it: now it is asked.
pub fn is_unread(kernel: &Arc<Kernel>, group: ActorId, status: &Status) -> bool {
    let unread = status.asleep && status.seated.is_none();
    if unread {
        let asked = kernel.clone();
        kernel.runtime().spawn(async move { asked.groups().rouse(group).await });
    }
    unread
}
