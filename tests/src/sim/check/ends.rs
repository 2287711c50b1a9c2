//! Nothing outlives its actor: when all have ended, no actor, no group, no timer and nothing led is left.

use crate::sim::world::World;

/// What is left on the nodes that should not be; empty when all is clean.
pub fn left(world: &World) -> Vec<String> {
    let mut left = Vec::new();
    for machine in &world.machines {
        let Some(kernel) = machine.kernel() else { continue };
        let id = machine.id();
        let root = pando_kernel::realm::ROOT;
        let groups = kernel.groups().list().into_iter().filter(|g| *g != root).count();
        let counts = [
            ("actors", kernel.cells().count()),
            ("groups", groups),
            ("groups led", kernel.leaders().list().into_iter().filter(|g| *g != root).count()),
            ("timers", machine.timers()),
        ];
        left.extend(counts.into_iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{id} has {n} {what}")));
    }
    left
}
