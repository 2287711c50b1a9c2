//! From a spawn order to an actor: the same for plain and replicated.

use pando_abi::{ActorId, NodeId, SpawnSpec, limits};
use pando_actors::{Birth, Limits};
use pando_scheduler::Priority;

use crate::{input::SpawnOrder, process::Identity};

/// The engine that runs replicas: fuel costs are no promise across its versions, so a group's epoch names it.
pub const ENGINE: &str = "wasmtime 48.0.8";

/// The limits that a spec asks for, within those of the system.
pub fn limits(spec: &SpawnSpec) -> Limits {
    let or = |n: u64, default: u64, max: u64| if n == 0 { default } else { n.min(max) };
    Limits {
        memory_bytes: or(spec.memory_bytes, limits::MEMORY_BYTES_DEFAULT, limits::MEMORY_BYTES_MAX),
        handler_ms: or(u64::from(spec.handler_ms), limits::HANDLER_MS_DEFAULT, limits::HANDLER_MS_MAX),
        fuel: or(u64::from(spec.fuel_millions) * 1_000_000, limits::HANDLER_FUEL_DEFAULT, limits::HANDLER_FUEL_MAX),
    }
}

/// The priority that a spec asks for.
pub fn priority(spec: &SpawnSpec) -> Priority {
    match spec.priority {
        0 => Priority::High,
        2 => Priority::Low,
        _ => Priority::Normal,
    }
}

/// What an actor is born with, in this boot of its node; of a group, which outlives boots, in none.
pub fn birth(identity: &Identity, order: &SpawnOrder, boot: u64) -> Birth {
    Birth {
        id: lineage(identity.me.id, identity.generation, boot),
        home: identity.me,
        parent: order.parent,
        realm: order.realm,
        node: identity.node,
        replicas: if identity.replicated { order.spec.replicas.max(1) } else { 0 },
        undo: identity.replicated || identity.resumes,
    }
}

/// From which the ids of children are derived: another one in each life, so that no child's id comes twice. Who asks again for what
/// has ended with its node gets an actor with the same id, of whose children in the life before groups may be left.
pub fn lineage(mut id: ActorId, generation: u32, boot: u64) -> ActorId {
    id.0.iter_mut().zip(boot.to_le_bytes()).for_each(|(byte, of)| *byte ^= of);
    if generation == 0 {
        return id;
    }
    let mut hash = blake3::Hasher::new();
    hash.update(&id.0);
    hash.update(&generation.to_le_bytes());
    first16(&hash)
}

/// The id of what `origin` spawns with its `n`th request: for spawners that are not actors.
pub fn derive(origin: &[u8], incarnation: u64, n: u64) -> ActorId {
    let mut hash = blake3::Hasher::new();
    hash.update(origin);
    hash.update(&incarnation.to_le_bytes());
    hash.update(&n.to_le_bytes());
    first16(&hash)
}

fn first16(hash: &blake3::Hasher) -> ActorId {
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    ActorId(id)
}

/// The node that a plain actor runs on.
pub fn node_of(spec: &SpawnSpec, own: NodeId) -> NodeId {
    if spec.node == 0 { own } else { NodeId(spec.node) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_life_of_an_actor_gives_its_children_other_ids() {
        let id = pando_abi::ActorId([7; 16]);
        let lives = [(0, 0), (1, 0), (2, 0), (0, 5), (1, 5), (0, 6)].map(|(life, boot)| super::lineage(id, life, boot));
        let different: std::collections::BTreeSet<_> = lives.into_iter().collect();
        assert_eq!(different.len(), lives.len());
        assert_eq!(lives[0], id, "of a group it stays what it was");
    }

    #[test]
    fn the_epoch_names_the_engine_that_is_built_in() {
        let lock = include_str!("../../Cargo.lock");
        let version = super::ENGINE.strip_prefix("wasmtime ").unwrap();
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{version}\"\n")));
    }
}
