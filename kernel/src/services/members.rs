//! Keeps the transport's member set as the root group has it: who is no longer a member is cut off at once.
//!
//! 1. A node that was admitted goes by what it was told then until what it knows of the root group has come as far: while it
//!    is sent the realm's history from the beginning, that knows neither the node nor perhaps who sends it.
//! 2. Whoever is behind takes the word of a member that is further for who else belongs to the realm, until it has come as far
//!    itself: the root group's leader may be somebody whom it does not know yet. Nobody is cut off on such a word.

use std::sync::Arc;

use pando_abi::NodeId;
use pando_transport::MemberSet;

use crate::{node::Kernel, peers::Hint, realm::ROOT, root::Root};

pub(super) async fn work(kernel: &Arc<Kernel>) {
    let mut changes = kernel.root().changes();
    let mut hints = kernel.calls().hints();
    let genesis = &kernel.parts.genesis;
    let mut known = genesis.member_set();
    loop {
        let own = kernel.root().read(|root| current(root, kernel.id(), genesis.joined));
        let applied = kernel.groups().applied(ROOT);
        let set = {
            let hint = hints.borrow_and_update();
            with_hint(own.clone().unwrap_or_else(|| genesis.member_set()), applied, &hint)
        };
        if known != set {
            kernel.transport().set_members(Arc::new(set.clone()));
            known = set;
            if own.is_some() {
                for node in kernel.nodes_up().into_iter().filter(|node| *node != kernel.id()) {
                    kernel.tell_members(node);
                }
            }
        }
        let changed = tokio::select! {
            changed = changes.changed() => changed,
            changed = hints.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Who may connect; `None`: what is known here is older than this node.
fn current(root: &Root, node: NodeId, joined: bool) -> Option<MemberSet> {
    let knows_itself = !joined || root.member(node).is_some();
    (root.is_founded() && knows_itself).then(|| root.member_set())
}

/// The same, and whoever else a member knows that is further than this node.
fn with_hint(mut set: MemberSet, applied: u64, (at, nodes): &Hint) -> MemberSet {
    if *at > applied {
        for member in nodes {
            if set.member(member.node).is_none() && set.by_key(&member.key).is_none() {
                set.members.push(*member);
            }
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use pando_abi::RealmId;
    use pando_transport::{Member, PublicKey};

    use super::*;
    use crate::root::{Founder, Role, RootCommand};

    #[test]
    fn a_newcomer_is_not_cut_off_by_a_history_that_does_not_know_it_yet() {
        let addr = "127.0.0.1:1".parse().expect("an address");
        let mut root = Root::new(RealmId([1; 32]));
        assert_eq!(current(&root, NodeId(1), false), None);
        let founder = Founder { node: NodeId(1), key: [1; 32], addr };
        root.command(1, RootCommand::Found { members: vec![founder], users: vec![] });
        assert_eq!(current(&root, NodeId(1), false).map(|set| set.members.len()), Some(1));
        for n in 2..=3 {
            assert_eq!(current(&root, NodeId(3), true), None);
            root.command(2, RootCommand::AddMember { key: [n; 32], addr, role: Role::Voter });
        }
        assert_eq!(current(&root, NodeId(3), true).map(|set| set.members.len()), Some(3));
    }

    #[test]
    fn who_is_behind_takes_a_members_word_for_who_else_there_is_until_it_has_come_as_far() {
        let member = |n: u8| Member {
            node: NodeId(n.into()),
            key: PublicKey([n; 32]),
            addr: "127.0.0.1:1".parse().expect("an address"),
        };
        let own = MemberSet { realm: RealmId([1; 32]), members: vec![member(1), member(2)], users: vec![] };
        let impostor = Member { node: NodeId(2), ..member(9) };
        let hint: Hint = (7, vec![member(3), impostor]);
        let set = with_hint(own.clone(), 6, &hint);
        assert_eq!(set.members, [member(1), member(2), member(3)], "nobody is replaced");
        assert_eq!(with_hint(own.clone(), 7, &hint), own);
    }
}
