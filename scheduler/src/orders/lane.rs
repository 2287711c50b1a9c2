//! The low lane under its lock: one overrunner has it, and nobody waits for ever.

use std::sync::Arc;

use super::{Token, explore, thread};
use crate::lane::{Lane, Ticket};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};

struct Overrunner {
    lane: Arc<Mutex<Lane<Arc<Token>>>>,
    sleeper: Arc<Token>,
    inside: Arc<AtomicUsize>,
}

impl Overrunner {
    /// A stay as in `executor/overrun.rs`: enter, wait, perhaps a rotation after each turn, leave.
    fn stay(&self, rotations: usize) {
        let ticket = self.lane.lock().enter(self.sleeper.clone());
        self.turn(ticket);
        for _ in 0..rotations {
            let waits = match self.lane.lock().rotate(ticket) {
                Some(next) => {
                    next.ring();
                    true
                }
                None => false,
            };
            if waits {
                self.turn(ticket);
            }
        }
        if let Some(next) = self.lane.lock().leave(ticket) {
            next.ring();
        }
    }

    fn turn(&self, ticket: Ticket) {
        while !self.lane.lock().has(ticket) {
            self.sleeper.wait();
        }
        assert_eq!(self.inside.fetch_add(1, Ordering::Relaxed), 0, "two have the lane");
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

fn stays(overrunners: usize, rotations: usize) {
    let (lane, inside) = (Arc::new(Mutex::new(Lane::new())), Arc::new(AtomicUsize::new(0)));
    let one = || Overrunner { lane: lane.clone(), sleeper: Arc::default(), inside: inside.clone() };
    let others: Vec<_> = (1..overrunners)
        .map(|_| {
            let other = one();
            thread::spawn(move || other.stay(rotations))
        })
        .collect();
    one().stay(rotations);
    others.into_iter().for_each(|other| other.join().unwrap());
    assert_eq!(lane.lock().len(), 0);
}

#[test]
fn one_overrunner_has_the_lane_and_everybody_comes_to_an_end() {
    explore("lane, 2 overrunners, 1 rotation each", None, || stays(2, 1));
    explore("lane, 3 overrunners", Some(4), || stays(3, 0));
}
