//! Which way something takes to a plain actor that has moved.
//!
//! Owns: which of this node's ways no longer lead through where they did. Does not know: how an actor is carried.
//!
//! What is sent to an actor that lives elsewhere goes on going to the node that it went to before, which passes it on: so there is
//! one path for each sender, and its order is kept. That node (`via` in the row) is the actor's birthplace, until it is lost; then
//! everybody goes straight to where the actor lives, and the next move is led from there.
//!
//! 1. A path changes once at most for each move and node: when the session with `via` ends, or that node is of another boot.
//! 2. What cannot go through `via` any more goes straight.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pando_abi::{Address, Errno, ExitKind, Home, Incarnation, NodeId};
use parking_lot::{Mutex, RwLock};

use crate::{
    input::{Input, Moved, exit},
    node::Kernel,
    root::{MovedEntry, Root},
    wire::Envelope,
};

/// See the module.
#[derive(Default)]
pub(crate) struct Paths {
    up: RwLock<BTreeMap<NodeId, Incarnation>>,
    /// Moves (by mark) of which this node's way through `via` has broken.
    straight: Mutex<BTreeMap<Address, u64>>,
    straight_count: AtomicUsize,
}

impl Paths {
    pub(crate) fn up(&self, node: NodeId, life: Incarnation) {
        self.up.write().insert(node, life);
    }

    pub(crate) fn down(&self, node: NodeId) {
        self.up.write().remove(&node);
    }

    /// The boot of a node with which a session stands.
    pub(crate) fn life(&self, node: NodeId) -> Option<Incarnation> {
        self.up.read().get(&node).copied()
    }

    fn is_straight(&self, row: &MovedEntry) -> bool {
        self.straight_count.load(Ordering::Relaxed) > 0
            && self.straight.lock().get(&row.address).is_some_and(|mark| *mark == row.mark)
    }

    fn break_off(&self, rows: &[MovedEntry], root: &Root) {
        if rows.is_empty() {
            return;
        }
        let mut straight = self.straight.lock();
        straight.retain(|address, mark| root.moved(*address).is_some_and(|row| row.mark == *mark));
        straight.extend(rows.iter().map(|row| (row.address, row.mark)));
        self.straight_count.store(straight.len(), Ordering::Relaxed);
    }
}

impl Root {
    /// For whom the loss of a node means something else than their addresses say.
    pub fn moved_about(&self, node: NodeId) -> Moved {
        let mut moved = Moved::default();
        for row in self.moves() {
            match (row.node == node, row.address.node == node || row.via == node) {
                (true, _) if row.address.node != node => moved.here.push(row.address),
                (false, true) => moved.away.push(row.address),
                _ => {}
            }
        }
        moved
    }
}

impl Kernel {
    /// The row of an actor that lives elsewhere, or did.
    pub(crate) fn moved(&self, address: Address) -> Option<MovedEntry> {
        if !self.root().has_moves() {
            return None;
        }
        self.root().read(|root| root.moved(address).copied())
    }

    /// Where a plain actor lives, as far as this node knows.
    pub fn lives(&self, address: Address) -> NodeId {
        self.moved(address).map_or(address.node, |row| row.node)
    }

    /// Does what is sent to this actor still go through the node that passes it on?
    fn goes_through(&self, row: &MovedEntry) -> bool {
        if row.via == self.id() {
            return self.incarnation().0 == row.via_life;
        }
        self.paths().life(row.via).is_some_and(|life| life.0 == row.via_life) && !self.paths().is_straight(row)
    }

    /// The node to which this node's things for a plain actor go; `None`: this one has it, or knows where it is.
    pub(crate) fn way(&self, to: Address) -> Option<NodeId> {
        let next = match self.moved(to) {
            Some(row) if self.goes_through(&row) => row.via,
            Some(row) => row.node,
            None => to.node,
        };
        (next != self.id()).then_some(next)
    }

    /// The node that leads the move of an actor: the one by which its messages come.
    pub(crate) fn led_by(&self, address: Address) -> NodeId {
        self.way(address).unwrap_or(self.id())
    }

    /// Nodes other than this one that an answer of this actor depends on.
    pub(crate) fn depends_on(&self, to: Address) -> Vec<NodeId> {
        let nodes = [self.lives(to)].into_iter().chain(self.way(to));
        nodes.filter(|node| *node != self.id()).collect()
    }

    /// The node to which a group that is led here says something; `None`: this one.
    pub(crate) fn hears_at(&self, to: Address) -> Option<NodeId> {
        if to.home != Home::Node {
            return (to.node != NodeId::NONE && to.node != self.id()).then_some(to.node);
        }
        // What passes through here goes with its number, so that it is heard once wherever it is said again from.
        self.way(to).or_else(|| self.lives_elsewhere(to))
    }

    /// The node to which what came here for this actor is passed on.
    pub(crate) fn lives_elsewhere(&self, to: Address) -> Option<NodeId> {
        let has = self.cells().get(to.id).is_some_and(|cell| cell.address() == to);
        if has { None } else { self.lives_elsewhere_now(to) }
    }

    /// The same where the actor's cell here, if there is one still, has just given it away.
    pub(crate) fn lives_elsewhere_now(&self, to: Address) -> Option<NodeId> {
        self.moved(to).map(|row| row.node).filter(|node| *node != self.id())
    }

    /// Sends something to a plain actor on another node; a way that has just broken is not waited for.
    pub(crate) fn send_far(&self, to: Address, next: NodeId, envelope: &Envelope) -> Result<(), Errno> {
        let sent = self.send_envelope(next, envelope);
        let (Err(Errno::UNREACHABLE | Errno::DEAD), Some(row)) = (&sent, self.moved(to)) else { return sent };
        if row.via != next || row.node == next || row.node == self.id() {
            return sent;
        }
        self.root().read(|root| self.paths().break_off(&[row], root));
        self.send_envelope(row.node, envelope)
    }

    /// A session has ended: whom that concerns is told, and ways through that node go straight from now on.
    pub(crate) fn lose(self: &Arc<Self>, node: NodeId) {
        let moved = self.root().read(|root| {
            let through: Vec<MovedEntry> = root.moves().filter(|row| row.via == node).copied().collect();
            self.paths().break_off(&through, root);
            root.moved_about(node)
        });
        self.tell_lost(node, moved);
    }

    /// Tells the actors and consoles here that others are gone.
    pub(crate) fn tell_lost(self: &Arc<Self>, node: NodeId, moved: Moved) {
        let moved = Arc::new(moved);
        let input = match moved.is_empty() {
            true => Input::NodeDown { node: node.0 },
            false => Input::NodeDownBut { node: node.0, moved: moved.clone() },
        };
        for cell in self.cells().all() {
            // Whoever never left this node may have dealt with somebody who has.
            if (cell.is_far() || !moved.is_empty()) && cell.push(input.clone()).is_ok_and(|first| first) {
                self.wake(&cell);
            }
        }
        for target in self.console().watched() {
            if moved.is_lost(node, target) {
                let why = exit(ExitKind::NodeDown, format!("{} cannot be reached", self.lives(target)));
                self.console().receive(Input::Down { target, exit: why });
            } else if moved.is_cut_off(target) {
                let watcher = self.console().address();
                for id in self.console().watches_of(target) {
                    self.deliver(watcher, target, Input::Watch { watcher, id, grant: 0 });
                }
            }
        }
        self.leaders().node_down(node, &moved);
        self.tell_groups(node, moved);
    }
}

#[cfg(test)]
mod tests {
    use pando_abi::{ActorId, RealmId};

    use super::*;
    use crate::root::{Founder, RootCommand};

    #[test]
    fn the_loss_of_a_node_is_told_by_where_actors_live_and_not_by_where_they_were_born() {
        let mut root = Root::new(RealmId([1; 32]));
        let addr = "127.0.0.1:1".parse().expect("an address");
        let founder = |n: u32| Founder { node: NodeId(n), key: [n as u8; 32], addr };
        root.command(1, RootCommand::Found { members: (1..=4).map(founder).collect(), users: vec![] });
        let actor = |home: u32, n: u8| Address::actor(NodeId(home), ActorId([n; 16]));
        let row = |address, node: u32, via: u32| MovedEntry {
            address,
            node: NodeId(node),
            life: 1,
            via: NodeId(via),
            via_life: 1,
            mark: 9,
        };
        for to in [row(actor(1, 1), 2, 1), row(actor(1, 2), 3, 2), row(actor(2, 3), 1, 2)] {
            let command = RootCommand::MoveActor { to, from: to.address.node, before: 0 };
            assert_eq!(root.command(2, command).errno(), None);
        }
        let about = |node: u32| root.moved_about(NodeId(node));
        assert_eq!(about(1), Moved { away: vec![actor(1, 1), actor(1, 2)], here: vec![actor(2, 3)] });
        assert_eq!(about(2), Moved { away: vec![actor(1, 2), actor(2, 3)], here: vec![actor(1, 1)] });
        assert_eq!(about(3), Moved { away: vec![], here: vec![actor(1, 2)] });
        assert!(about(4).is_empty());
        let (one, two) = (about(1), about(2));
        assert!(!one.is_lost(NodeId(1), actor(1, 1)) && one.is_lost(NodeId(1), actor(1, 9)));
        assert!(one.is_lost(NodeId(1), actor(2, 3)) && two.is_lost(NodeId(2), actor(1, 1)));
    }
}
