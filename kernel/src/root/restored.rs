//! The state of a realm that begins again on other nodes.
//!
//! Owns: what of the state outlives its nodes. Does not know: where the state comes from, or what the groups hold.
//!
//! 1. No number is used again: what lived on the old nodes is gone, as if they had been removed.
//! 2. Every group is held by new nodes, by as many as it wants and there are.
//! 3. Who could use the realm still can.

use std::collections::BTreeMap;

use pando_abi::{Home, NodeId};

use super::{
    Founder, Root, USERS_MAX,
    rows::{MemberEntry, Role, Standing, UserEntry},
};
use crate::place::{Seat, place};

impl Root {
    /// The same realm on `nodes`, whose numbers are from [`Root::next_node`] on, with one more user. `at`: the index in the root
    /// group's log that this state stands at.
    ///
    /// # Errors
    /// What the nodes or the user lack.
    pub fn restored(mut self, nodes: &[Founder], user: [u8; 32], at: u64) -> Result<Root, String> {
        let fresh = nodes.iter().zip(self.next_node..).all(|(founder, number)| founder.node.0 == number);
        if !self.is_founded() || nodes.is_empty() || !fresh {
            return Err("the new nodes are not numbered on from the old ones".into());
        }
        if !self.is_user(&user) && self.users.len() >= USERS_MAX {
            return Err(format!("the realm has {USERS_MAX} users, and no more fit"));
        }
        self.next_node += nodes.len() as u32;
        self.version += 1;
        self.tickets = Default::default();
        self.moved = Default::default();
        self.users.put(UserEntry { key: user, added_at: at });
        self.members = Default::default();
        for Founder { node, key, addr } in nodes {
            let (node, key, addr) = (*node, *key, *addr);
            let (role, standing) = (Role::Voter, Standing::Present);
            self.members.put(MemberEntry { node, key, addr, role, standing, joined_at: at, begun: 0 });
        }
        for entry in self.names.to_sorted() {
            if entry.address.home != Home::Group {
                self.names.take(entry.name.as_str());
            }
        }
        let mut load: BTreeMap<NodeId, u32> = nodes.iter().map(|founder| (founder.node, 0)).collect();
        for mut group in self.groups.to_sorted() {
            let seat =
                |(node, groups): (&NodeId, &u32)| Seat { node: *node, votes: true, alive: true, groups: *groups };
            let seats: Vec<Seat> = load.iter().map(seat).collect();
            let holders = place(group.id, usize::from(group.replicas).min(nodes.len()), &seats, &[]);
            let holders = holders.map_err(|why| why.to_string())?;
            for node in &holders {
                load.entry(*node).and_modify(|groups| *groups += 1);
            }
            group.voters = holders.iter().map(|node| node.0).collect();
            group.wanted = group.voters.clone();
            group.seated_at = 0;
            self.groups.put(group);
        }
        self.index = self.index_anew();
        self.check()?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use pando_abi::{ActorId, Address, Errno};

    use super::{
        super::promises::{addr, check, create, end, id, key, module, realm},
        *,
    };
    use crate::root::{RootCommand, RootOutcome, SEATS_MAX};

    fn founders(numbers: std::ops::RangeInclusive<u32>) -> Vec<Founder> {
        numbers.map(|n| Founder { node: NodeId(n), key: key(100 + n as u8), addr: addr(9000 + n as u16) }).collect()
    }

    fn groups(root: &Root) -> Vec<(ActorId, Vec<u32>)> {
        root.groups().map(|group| (group.id, group.voters.clone())).collect()
    }

    /// Three groups of three, one of one, one that has ended, a plain actor with a name, a ticket.
    fn lived() -> Root {
        let mut root = realm();
        let now_ns = 1;
        let commands = [
            create(1, 3, Some("hits")),
            create(2, 3, None),
            create(3, 3, None),
            create(4, 1, Some("lone")),
            create(5, 3, Some("gone")),
            end(5),
            RootCommand::RegisterName {
                name: "plain".into(),
                address: Address::actor(NodeId(2), id(9)),
                module: module(1),
            },
            RootCommand::AddTicket { key: key(77), expires_ns: 2, now_ns },
        ];
        for (index, command) in (3..).zip(commands) {
            check(&mut root, index, command, Ok(()));
        }
        root
    }

    #[test]
    fn what_is_the_realms_stays_and_what_was_its_nodes_goes() {
        let before = lived();
        let root = before.clone().restored(&founders(4..=6), key(50), 99).unwrap();
        assert_eq!(root.members().map(|m| m.node.0).collect::<Vec<_>>(), [4, 5, 6]);
        assert_eq!((root.next_node(), root.seats().len()), (NodeId(7), 3));
        assert_eq!(root.names("").map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["hits", "lone"]);
        assert!(root.is_user(&key(200)) && root.is_user(&key(50)) && root.ticket(&key(77)).is_none());
        assert!(root.module(module(1)).is_some());
        let held = groups(&root);
        assert_eq!(held.len(), 4);
        assert!(held[..3].iter().all(|(_, voters)| *voters == [4, 5, 6]), "{held:?}");
        assert_eq!((held[3].1.len(), root.groups().all(|group| !group.is_moving())), (1, true));
        // It comes out of its own image, and goes on.
        let mut again = Root::from_snapshot(root.realm(), &root.snapshot()).unwrap();
        assert_eq!(again, root);
        check(&mut again, 100, create(5, 3, None), Err(Errno::DEAD));
        let more = RootCommand::CreateGroup {
            group: Box::new(super::super::promises::group(6)),
            replicas: 3,
            preferred: vec![],
            alive: vec![4, 5, 6],
            name: None,
        };
        assert!(matches!(again.command(101, more), RootOutcome::Group { .. }));
    }

    #[test]
    fn groups_are_held_by_as_many_as_there_are_and_spread_over_them() {
        let one = lived().restored(&founders(4..=4), key(50), 99).unwrap();
        assert!(groups(&one).iter().all(|(_, voters)| *voters == [4]));
        let seven = lived().restored(&founders(4..=10), key(50), 99).unwrap();
        let load: Vec<u32> = (4..=10).map(|n| seven.load(NodeId(n))).collect();
        assert_eq!((load.iter().sum::<u32>(), *load.iter().max().unwrap()), (10, 2), "{load:?}");
        assert_eq!(seven.seats().len(), SEATS_MAX);
    }

    #[test]
    fn numbers_that_were_used_or_are_skipped_are_refused() {
        for numbers in [3..=5, 5..=6] {
            assert!(lived().restored(&founders(numbers), key(50), 99).is_err());
        }
        assert!(lived().restored(&[], key(50), 99).is_err());
        assert!(Root::new(realm().realm()).restored(&founders(1..=1), key(50), 9).is_err());
    }
}
