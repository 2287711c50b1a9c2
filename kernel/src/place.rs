//! Who holds a group: one pure choice, made the same on every replica of the root group.
//!
//! Owns: the order in which nodes are taken. Does not know: why a node is down, what a group is for, what it costs.
//!
//! 1. Never a node twice, never an observer, never a node that the proposer does not see alive.
//! 2. The answer depends on what is in the lists, never on their order.
//! 3. The wish comes before the spread, the spread before chance; chance is a hash of the group's id, so that groups
//!    made at one moment do not all fall on the nodes with the smallest numbers.

use std::collections::{BTreeMap, BTreeSet};

use pando_abi::{ActorId, NodeId};

/// A node that could hold a replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    /// Which.
    pub node: NodeId,
    /// Does it count in quorums? Observers do not.
    pub votes: bool,
    /// Does the proposer see it alive?
    pub alive: bool,
    /// Groups that it holds already.
    pub groups: u32,
}

/// Too few nodes for so many replicas.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{wanted} replicas need {wanted} voting nodes that are up, and {}", found(fit))]
pub struct Shortage {
    /// How many were wanted.
    pub wanted: usize,
    /// Who could have held one, in ascending order.
    pub fit: Vec<NodeId>,
}

fn found(fit: &[NodeId]) -> String {
    match fit {
        [] => "there is none".to_owned(),
        [one] => format!("there is 1 ({one})"),
        many => {
            let names: Vec<String> = many.iter().map(NodeId::to_string).collect();
            format!("there are {} ({})", many.len(), names.join(", "))
        }
    }
}

/// Chooses `replicas` nodes for `group`, in ascending order.
///
/// Where one node has several seats, the least favourable of their words counts.
///
/// # Errors
/// If fewer than `replicas` nodes vote and are alive.
pub fn place(group: ActorId, replicas: usize, seats: &[Seat], preferred: &[NodeId]) -> Result<Vec<NodeId>, Shortage> {
    let mut fit: BTreeMap<NodeId, Seat> = BTreeMap::new();
    for seat in seats {
        fit.entry(seat.node)
            .and_modify(|known| {
                known.votes &= seat.votes;
                known.alive &= seat.alive;
                known.groups = known.groups.max(seat.groups);
            })
            .or_insert(*seat);
    }
    fit.retain(|_, seat| seat.votes && seat.alive);
    if fit.len() < replicas {
        return Err(Shortage { wanted: replicas, fit: fit.into_keys().collect() });
    }
    let wish: BTreeSet<NodeId> = preferred.iter().copied().collect();
    let mut order: Vec<(bool, u32, u64, NodeId)> = fit
        .values()
        .map(|seat| (!wish.contains(&seat.node), seat.groups, chance(group, seat.node), seat.node))
        .collect();
    order.sort_unstable();
    let mut chosen: Vec<NodeId> = order.into_iter().take(replicas).map(|(.., node)| node).collect();
    chosen.sort_unstable();
    debug_assert_eq!(chosen.len(), replicas);
    debug_assert!(chosen.is_sorted_by(|a, b| a < b));
    Ok(chosen)
}

/// Rendezvous hashing: a node's rank for a group does not move when other nodes come and go.
fn chance(group: ActorId, node: NodeId) -> u64 {
    let mut hash = blake3::Hasher::new();
    hash.update(&group.0);
    hash.update(&node.0.to_le_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(node: u32, groups: u32) -> Seat {
        Seat { node: NodeId(node), votes: true, alive: true, groups }
    }

    fn id(n: u32) -> ActorId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        ActorId(id)
    }

    fn check(seats: &[Seat], replicas: usize, preferred: &[u32], expected: &[u32]) {
        let preferred: Vec<NodeId> = preferred.iter().map(|n| NodeId(*n)).collect();
        let chosen: Vec<u32> =
            place(id(7), replicas, seats, &preferred).unwrap().into_iter().map(|node| node.0).collect();
        assert_eq!(chosen, expected);
    }

    #[test]
    fn those_who_hold_least_are_taken_first() {
        check(&[seat(1, 9), seat(2, 0), seat(3, 4), seat(4, 1)], 2, &[], &[2, 4]);
        check(&[seat(1, 9), seat(2, 0), seat(3, 4), seat(4, 1)], 3, &[], &[2, 3, 4]);
    }

    #[test]
    fn a_wish_comes_before_the_spread() {
        check(&[seat(1, 9), seat(2, 0), seat(3, 4)], 1, &[1], &[1]);
        check(&[seat(1, 9), seat(2, 0), seat(3, 4)], 2, &[1], &[1, 2]);
        // Of those wished for, the one that holds least.
        check(&[seat(1, 9), seat(2, 0), seat(3, 4)], 1, &[1, 3], &[3]);
        // A wish for a node that does not exist is no obstacle.
        check(&[seat(1, 9), seat(2, 0)], 1, &[8], &[2]);
    }

    #[test]
    fn observers_and_the_absent_never_hold_a_replica_however_much_wished_for() {
        let observer = Seat { votes: false, ..seat(1, 0) };
        let absent = Seat { alive: false, ..seat(2, 0) };
        let seats = [observer, absent, seat(3, 50), seat(4, 60)];
        check(&seats, 1, &[1, 2], &[3]);
        check(&seats, 2, &[1, 2], &[3, 4]);
        let shortage = place(id(7), 3, &seats, &[NodeId(1)]).unwrap_err();
        assert_eq!(shortage, Shortage { wanted: 3, fit: vec![NodeId(3), NodeId(4)] });
        assert_eq!(shortage.to_string(), "3 replicas need 3 voting nodes that are up, and there are 2 (n3, n4)");
    }

    #[test]
    fn a_node_that_is_listed_twice_is_chosen_once() {
        check(&[seat(1, 0), seat(1, 0), seat(2, 0)], 2, &[1, 1], &[1, 2]);
        assert!(place(id(7), 2, &[seat(1, 0), seat(1, 3)], &[]).is_err());
        // The least favourable word about it counts.
        assert!(place(id(7), 1, &[seat(1, 0), Seat { alive: false, ..seat(1, 0) }], &[]).is_err());
    }

    #[test]
    fn the_order_of_the_lists_does_not_matter() {
        for n in 0..200 {
            let mut seats: Vec<Seat> = (1..=6).map(|node| seat(node, node * n % 3)).collect();
            let wish = [NodeId(1 + n % 6), NodeId(1 + n / 6 % 6)];
            let first = place(id(n), 3, &seats, &wish).unwrap();
            seats.rotate_left(n as usize % 6);
            assert_eq!(place(id(n), 3, &seats, &[wish[1], wish[0]]).unwrap(), first);
            seats.reverse();
            assert_eq!(place(id(n), 3, &seats, &wish).unwrap(), first);
        }
    }

    #[test]
    fn groups_of_one_moment_spread_over_equal_nodes() {
        let seats: Vec<Seat> = (1..=4).map(|node| seat(node, 0)).collect();
        let mut held = BTreeMap::new();
        for n in 0..400 {
            for node in place(id(n), 1, &seats, &[]).unwrap() {
                *held.entry(node).or_insert(0) += 1;
            }
        }
        assert!(held.len() == 4 && held.values().all(|count| (50..150).contains(count)), "{held:?}");
    }

    #[test]
    fn placed_one_after_the_other_no_node_holds_two_more_than_another() {
        let mut held = [0u32; 5];
        for n in 0..97 {
            let seats: Vec<Seat> = (0..5).map(|i| seat(i as u32 + 1, held[i])).collect();
            for node in place(id(n), 3, &seats, &[]).unwrap() {
                held[node.0 as usize - 1] += 1;
            }
            assert!(held.iter().max().unwrap() - held.iter().min().unwrap() <= 1, "{held:?}");
        }
    }

    #[test]
    fn a_node_that_is_not_chosen_does_not_change_the_choice() {
        for n in 0..200 {
            let seats: Vec<Seat> = (1..=5).map(|node| seat(node, 0)).collect();
            let chosen = place(id(n), 3, &seats, &[]).unwrap();
            let fewer: Vec<Seat> = seats
                .iter()
                .copied()
                .scan(false, |dropped, seat| {
                    let drop = !*dropped && !chosen.contains(&seat.node);
                    *dropped |= drop;
                    Some((!drop).then_some(seat))
                })
                .flatten()
                .collect();
            assert_eq!(fewer.len(), 4);
            assert_eq!(place(id(n), 3, &fewer, &[]).unwrap(), chosen);
        }
    }

    #[test]
    fn nobody_is_needed_for_no_replicas_and_a_realm_without_nodes_says_so() {
        assert_eq!(place(id(1), 0, &[], &[]), Ok(vec![]));
        assert_eq!(
            place(id(1), 1, &[], &[]).unwrap_err().to_string(),
            "1 replicas need 1 voting nodes that are up, and there is none"
        );
    }
}
