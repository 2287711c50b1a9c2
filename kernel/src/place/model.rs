//! Random realms against what makes a choice a good one, told without saying how it is found.

use std::collections::BTreeSet;

use pando_abi::{ActorId, NodeId};
use proptest::prelude::*;

use super::{Seat, Shortage, place};

fn seat() -> impl Strategy<Value = Seat> {
    let unlikely = prop::bool::weighted(0.8);
    (1..9u32, unlikely, unlikely, 0..4u32).prop_map(|(node, votes, alive, groups)| Seat {
        node: NodeId(node),
        votes,
        alive,
        groups,
    })
}

/// Everything that was said of a node counts, and the least favourable most.
fn fit(seats: &[Seat], node: NodeId) -> Option<u32> {
    let said: Vec<&Seat> = seats.iter().filter(|seat| seat.node == node).collect();
    let good = !said.is_empty() && said.iter().all(|seat| seat.votes && seat.alive);
    good.then(|| said.iter().map(|seat| seat.groups).max().unwrap_or(0))
}

proptest! {
    #![proptest_config(crate::testing::cases(5_000))]

    #[test]
    fn no_node_that_was_passed_over_would_have_been_better_and_the_lists_order_is_no_matter(
        id in any::<[u8; 16]>(),
        replicas in 0..6usize,
        mut seats in prop::collection::vec(seat(), 0..10),
        mut wish in prop::collection::vec(1..10u32, 0..4),
        turn in any::<usize>(),
    ) {
        let ask = |seats: &[Seat], wish: &[u32]| {
            let wish: Vec<NodeId> = wish.iter().map(|node| NodeId(*node)).collect();
            place(ActorId(id), replicas, seats, &wish)
        };
        let all: BTreeSet<NodeId> = seats.iter().map(|seat| seat.node).collect();
        let able: Vec<NodeId> = all.iter().copied().filter(|node| fit(&seats, *node).is_some()).collect();
        let choice = ask(&seats, &wish);
        match &choice {
            Err(shortage) => {
                prop_assert!(able.len() < replicas);
                prop_assert_eq!(shortage, &Shortage { wanted: replicas, fit: able });
            }
            Ok(chosen) => {
                prop_assert_eq!(chosen.len(), replicas);
                prop_assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]), "a node twice, or out of order");
                // Smaller is better: first who was wished for, then who holds least.
                let rank = |node: &NodeId| (!wish.contains(&node.0), fit(&seats, *node));
                for node in chosen {
                    prop_assert!(able.contains(node), "{node} cannot hold a replica");
                    for other in able.iter().filter(|other| !chosen.contains(other)) {
                        prop_assert!(rank(node) <= rank(other), "{other} would have been better than {node}");
                    }
                }
            }
        }
        if !seats.is_empty() {
            let by = turn % seats.len();
            seats.rotate_left(by);
        }
        wish.reverse();
        prop_assert_eq!(&ask(&seats, &wish), &choice);
        // What was said twice was said.
        let twice = [&seats[..], &seats[..]].concat();
        prop_assert_eq!(&ask(&twice, &wish), &choice);
    }
}
