//! Which lane is served next.
//!
//! Pure. Strictly by urgency, except that every sixteenth turn goes to the least urgent lane that waits: raft never queues
//! behind actors, and bulk never starves.

#![expect(clippy::indexing_slicing, reason = "there is one place for each channel in every array")]

use crate::channel::Channel;

/// Every how many turns the order is turned round.
const ROUND: u32 = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lane {
    Channel(Channel),
    Requests,
}

const LANES: [Lane; 5] = [
    Lane::Channel(Channel::Raft),
    Lane::Channel(Channel::Control),
    Lane::Requests,
    Lane::Channel(Channel::Actor),
    Lane::Channel(Channel::Bulk),
];

#[derive(Default, Debug)]
pub(super) struct Order {
    pub paused: [bool; 4],
    turn: u32,
}

impl Order {
    /// The lane to serve, of those that wait. `all`: pauses count no more.
    pub fn next(&mut self, waits: impl Fn(Lane) -> bool, all: bool) -> Option<Lane> {
        let served = |lane: &Lane| {
            let paused = matches!(lane, Lane::Channel(c) if self.paused[*c as usize]);
            (all || !paused) && waits(*lane)
        };
        let turned = self.turn % ROUND == ROUND - 1;
        let lane = if turned {
            LANES.iter().rev().copied().find(|l| served(l))
        } else {
            LANES.iter().copied().find(|l| served(l))
        };
        if lane.is_some() {
            self.turn = self.turn.wrapping_add(1);
        }
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urgent_goes_first_and_nobody_starves() {
        let mut order = Order::default();
        let turns: Vec<Lane> = (0..ROUND * 4).filter_map(|_| order.next(|_| true, false)).collect();
        let of = |lane| turns.iter().filter(|l| **l == lane).count();
        assert_eq!(of(Lane::Channel(Channel::Raft)), 60);
        assert_eq!(of(Lane::Channel(Channel::Bulk)), 4);
    }

    #[test]
    fn a_paused_lane_is_passed_over_and_others_are_not() {
        let mut order = Order::default();
        order.paused[Channel::Raft as usize] = true;
        let only_raft = |l| l == Lane::Channel(Channel::Raft);
        assert_eq!(order.next(only_raft, false), None);
        assert_eq!(order.next(|_| true, false), Some(LANES[1]));
        assert_eq!(order.next(only_raft, true), Some(LANES[0]));
    }
}
