//! Plain actors that live elsewhere than where they were born: address by address.
//!
//! Owns: where such an actor lives, and by which node what is sent to it goes. Does not know: how it is carried there.
//!
//! ```text
//! no row -- MoveActor --> row -- MoveActor --> row' -- EndMoved, ForgetMove, ForgetMember --> no row
//! ```
//!
//! 1. A move says from which row it starts (its `mark`): of two that start from one row the second is refused, so an actor never
//!    lives in two places.
//! 2. A row's node is a member: who is forgotten takes along those who lived there, names and all.
//! 3. A row says nothing new only while its actor is on its way home; then it goes.

use pando_abi::{Address, Errno, Home, NodeId};
use rkyv::{Archive, Deserialize, Serialize};

use super::{
    Root,
    apply::{Answer, Step},
    rules::{refuse, refuse_node},
    table::Row,
    wire::{AddressDef, NodeDef},
};

/// Actors that live elsewhere, in a realm.
pub const MOVED_MAX: usize = 1 << 14;

/// A plain actor that lives elsewhere than where it was born.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct MovedEntry {
    /// The actor.
    #[rkyv(with = AddressDef)]
    pub address: Address,
    /// Where it lives.
    #[rkyv(with = NodeDef)]
    pub node: NodeId,
    /// The boot of that node in which it arrived: with that it ends.
    pub life: u64,
    /// By which node what is sent to it goes, so that its order is kept.
    #[rkyv(with = NodeDef)]
    pub via: NodeId,
    /// The boot of that node. In another one it knows nothing of what it has passed on, and is not asked.
    pub via_life: u64,
    /// Drawn for each move, never 0.
    pub mark: u64,
}

impl Row for MovedEntry {
    type Key = Address;
    fn key(&self) -> Address {
        self.address
    }
}

impl Root {
    /// Where this plain actor lives, if it is or was elsewhere than at home.
    pub fn moved(&self, address: Address) -> Option<&MovedEntry> {
        self.moved.get(&address)
    }

    /// Every plain actor that lives elsewhere, by address.
    pub fn moves(&self) -> impl Iterator<Item = &MovedEntry> {
        self.moved.iter()
    }

    /// Where a plain actor lives, as far as the realm knows.
    pub fn lives(&self, address: Address) -> NodeId {
        self.moved(address).map_or(address.node, |row| row.node)
    }

    /// `to` as [`MovedEntry`] has it; `before`: the mark of the row that is known, 0 if there is none.
    pub(super) fn move_actor(&mut self, to: MovedEntry, from: NodeId, before: u64) -> Answer {
        let address = to.address;
        if address.home != Home::Node || to.mark == 0 {
            return refuse(Errno::BAD_REQUEST, "only a plain actor can be moved", "a group moves with `group move`");
        }
        if address.node == NodeId::NONE || address.node.0 >= self.next_node {
            return refuse_node(address.node);
        }
        let known = self.moved.get(&address).copied();
        if known == Some(to) {
            return Ok(Step::SAME);
        }
        let (node, mark) = known.map_or((address.node, 0), |row| (row.node, row.mark));
        if (node, mark) != (from, before) {
            return refuse(Errno::EXISTS, format!("{address} has moved meanwhile: it lives on {node}"), "look again");
        }
        match self.members.get(&to.node) {
            None => return refuse_node(to.node),
            // Whoever stays where it is may.
            Some(member) if to.node != from && !member.is_placeable() => {
                let text = format!("{} takes nothing new", to.node);
                return refuse(Errno::REFUSED, text, "`nodes` shows why; name another node");
            }
            Some(_) => {}
        }
        if known.is_none() && self.moved.len() >= MOVED_MAX {
            let text = format!("{MOVED_MAX} actors live elsewhere than where they were born, and no more can");
            return refuse(Errno::LIMIT, text, "end some, or move some home");
        }
        self.moved.put(to);
        Ok(Step::CHANGED)
    }

    pub(super) fn end_moved(&mut self, address: Address, mark: u64) -> Answer {
        if self.moved.get(&address).is_none_or(|row| row.mark != mark) {
            return Ok(Step::SAME);
        }
        self.moved.take(&address);
        self.take_names_of(address);
        Ok(Step::CHANGED)
    }

    pub(super) fn forget_move(&mut self, address: Address, mark: u64) -> Answer {
        let at_home = |row: &MovedEntry| row.mark == mark && row.node == address.node && row.via == address.node;
        if !self.moved.get(&address).is_some_and(at_home) || !self.members.has(&address.node) {
            return Ok(Step::SAME);
        }
        self.moved.take(&address);
        Ok(Step::CHANGED)
    }

    /// Those who lived on a node that is forgotten went with it.
    pub(super) fn forget_moved_on(&mut self, node: NodeId) {
        let gone: Vec<Address> = self.moved.iter().filter(|row| row.node == node).map(|row| row.address).collect();
        for address in gone {
            self.moved.take(&address);
            self.take_names_of(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::promises::*, super::*, *};

    fn actor() -> Address {
        Address::actor(NodeId(1), id(100))
    }

    fn row(node: u32, mark: u64) -> MovedEntry {
        MovedEntry { address: actor(), node: NodeId(node), life: 7, via: NodeId(1), via_life: 8, mark }
    }

    fn founded() -> Root {
        let mut root = Root::new(REALM);
        root.command(1, founding(3));
        root
    }

    fn moves(root: &mut Root, node: u32, mark: u64, from: u32, before: u64) -> RootOutcome {
        let command = RootCommand::MoveActor { to: row(node, mark), from: NodeId(from), before };
        let outcome = root.command(9, command);
        root.check().expect("the rules hold");
        outcome
    }

    #[test]
    fn of_two_moves_from_one_place_only_the_first_is_made() {
        let mut root = founded();
        assert_eq!(moves(&mut root, 2, 5, 1, 0), RootOutcome::Done);
        assert_eq!(moves(&mut root, 2, 5, 1, 0), RootOutcome::Done, "asked once more");
        assert_eq!(moves(&mut root, 3, 6, 1, 0).errno(), Some(Errno::EXISTS));
        assert_eq!(root.lives(actor()), NodeId(2));
        // Whoever wants to be sure that a move will not be made has the row changed under it.
        assert_eq!(moves(&mut root, 2, 7, 2, 5), RootOutcome::Done);
        assert_eq!(moves(&mut root, 3, 8, 2, 5).errno(), Some(Errno::EXISTS));
        assert_eq!(root.lives(actor()), NodeId(2));
    }

    #[test]
    fn a_name_outlives_the_first_home_and_goes_with_the_node_where_its_holder_lives() {
        let mut root = founded();
        let name = |name: &str| RootCommand::RegisterName { name: name.into(), address: actor(), module: module(1) };
        assert_eq!(root.command(2, name("a")), RootOutcome::Done);
        moves(&mut root, 2, 5, 1, 0);
        for node in [1, 2] {
            let remove = RootCommand::RemoveMember { node: NodeId(node), alive: vec![], lost: false };
            assert_eq!(root.command(3, remove), RootOutcome::Done);
            assert_eq!(root.command(4, RootCommand::ForgetMember { node: NodeId(node) }), RootOutcome::Done);
            root.check().expect("the rules hold");
            assert_eq!(root.lookup("a").is_some(), node == 1);
            assert_eq!(root.moved(actor()).is_some(), node == 1);
            if node == 1 {
                assert_eq!(root.command(5, name("b")), RootOutcome::Done, "it may have another name");
            }
        }
        assert_eq!(root.command(6, name("c")).errno(), Some(Errno::NOT_FOUND));
    }

    #[test]
    fn the_row_goes_at_the_end_and_at_home_and_only_for_the_move_that_is_meant() {
        let mut root = founded();
        moves(&mut root, 2, 5, 1, 0);
        let forget = |mark| RootCommand::ForgetMove { address: actor(), mark };
        let end = |mark| RootCommand::EndMoved { address: actor(), mark };
        root.command(2, forget(5));
        root.command(3, end(4));
        assert_eq!(root.lives(actor()), NodeId(2));
        moves(&mut root, 1, 6, 2, 5);
        root.command(4, forget(5));
        assert!(root.moved(actor()).is_some());
        root.command(5, forget(6));
        assert_eq!((root.moved(actor()), root.lives(actor())), (None, NodeId(1)));
        moves(&mut root, 3, 7, 1, 0);
        root.command(6, end(7));
        assert_eq!(root.moved(actor()), None);
    }
}
