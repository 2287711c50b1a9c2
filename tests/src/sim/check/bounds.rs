//! Bounded queues stay bounded: whatever happens, what waits at a node is within its stated limit, and what is no longer needed goes.
//!
//! Looked at while it runs. Mailboxes, lanes, outboxes, what is held for an actor on its way, calls and questions that wait for their
//! answers ([`pando_kernel::bounds`]), and what waits to be sent to each other node.

use std::collections::BTreeMap;

use pando_transport::{Budgets, Channel};

use crate::sim::world::World;

/// The longest frame of the simulated network.
const FRAME_BYTES_MAX: usize = 4 << 20;

/// What was seen so far.
#[derive(Default)]
pub struct Bounds {
    /// Of each kind, the most that was ever there.
    pub most: BTreeMap<&'static str, usize>,
}

impl Bounds {
    /// Looks at every node that lives.
    pub fn look(&mut self, world: &World, found: &mut Vec<String>) {
        for machine in &world.machines {
            let Some(kernel) = machine.kernel() else { continue };
            if machine.disk.is_cut() {
                continue;
            }
            let id = machine.id();
            for bound in kernel.bounds() {
                let most = self.most.entry(bound.what).or_default();
                *most = bound.used.max(*most);
                if !bound.holds() {
                    found.push(format!("{id}: {}: {}, where {} may be", bound.what, bound.used, bound.most));
                }
            }
            for session in kernel.transport().sessions() {
                for (channel, queued) in Channel::ALL.into_iter().zip(session.queued_bytes) {
                    let most = Budgets::default().of(channel, FRAME_BYTES_MAX);
                    let (to, name) = (session.node, channel.name());
                    if queued > most {
                        found.push(format!(
                            "{id}: {queued} bytes wait for {to} on the {name} channel, where {most} may"
                        ));
                    }
                }
            }
        }
    }
}
