//! Feeding a machine and carrying out what it says.
//!
//! 1. Outputs are carried out in their order, under the lock under which the input was fed.
//! 2. Nothing here waits: what takes time is a task, an order to one, or a notice to the kernel.

use std::sync::Arc;

use pando_abi::NodeId;

use super::{Core, Node};
use crate::close::CloseCode;
use crate::inbox::Cell;
use crate::quic::link::{self, Order};
use crate::quic::wire::Wire;
use crate::session::{LinkId, Output, Session};

impl Node {
    pub(super) fn feed(
        self: &Arc<Self>,
        core: &mut Core,
        peer: NodeId,
        input: impl FnOnce(&mut Session, u64, &mut Vec<Output>),
    ) {
        let mut out = Vec::new();
        if let Some(p) = core.peers.get_mut(&peer) {
            input(&mut p.machine, self.now_ms(), &mut out);
        }
        self.carry_out(core, peer, out, false);
        self.rescheduled.notify_one();
    }

    pub(super) fn carry_out(self: &Arc<Self>, core: &mut Core, peer: NodeId, out: Vec<Output>, revoke: bool) {
        for output in out {
            match output {
                Output::Dial { link } => self.dial(core, peer, link),
                Output::Hello { link } => core.order(link, Order::Hello),
                Output::Go { link } => core.order(link, Order::Go),
                Output::Up { link, incarnation, version } => {
                    let cell = Cell::new(peer, incarnation);
                    self.up(core, peer, link, cell, version);
                }
                Output::Down { link, reason } => self.down(core, peer, link, reason, revoke),
                Output::Close { link, close } => {
                    let Some(entry) = core.links.remove(&link) else {
                        continue;
                    };
                    match close.code {
                        CloseCode::Duplicate | CloseCode::Replaced | CloseCode::Closing => {
                            tracing::debug!(%peer, %close, "connection closed");
                        }
                        _ => tracing::warn!(%peer, %close, "connection refused"),
                    }
                    if let Some(connection) = entry.connection {
                        connection.close((close.code as u32).into(), close.reason.as_bytes());
                    }
                }
            }
        }
    }

    fn dial(self: &Arc<Self>, core: &mut Core, peer: NodeId, link: LinkId) {
        let Some(member) = core.peers.get(&peer).map(|p| p.member) else {
            return;
        };
        let orders = core.enter(link, None);
        self.spawn(link::dial(self.clone(), link, member, orders));
    }

    fn up(&self, core: &mut Core, peer: NodeId, link: LinkId, cell: Arc<Cell>, version: u16) {
        let Some(connection) = core.links.get(&link).and_then(|l| l.connection.clone()) else {
            return;
        };
        let addr = connection.remote_address();
        let limits = &self.limits;
        let wire = Wire::new(cell.clone(), connection, version, &limits.budgets, limits.frame_bytes_max);
        if let Some(entry) = core.links.get_mut(&link) {
            entry.wire = Some(wire.clone());
        }
        if let Some(p) = core.peers.get_mut(&peer) {
            p.reason = None;
        }
        let incarnation = cell.incarnation.0;
        tracing::info!(%peer, %addr, incarnation, version, "session up");
        self.slots.write().insert(peer, Some(wire.clone()));
        self.inbox.announce(&cell);
        core.order(link, Order::Up(wire));
    }

    fn down(&self, core: &mut Core, peer: NodeId, link: LinkId, reason: String, revoke: bool) {
        let Some(wire) = core.links.get_mut(&link).and_then(|l| l.wire.take()) else {
            return;
        };
        if let Some(p) = core.peers.get_mut(&peer) {
            p.reason = Some(reason.clone());
        }
        let incarnation = wire.cell.incarnation.0;
        tracing::info!(%peer, incarnation, reason, "session down");
        self.slots.write().insert(peer, None);
        self.inbox.end(&wire.cell, reason, revoke);
    }
}
