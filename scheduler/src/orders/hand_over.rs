//! An overrunner's seat goes to a spare thread, or stays: its queue is worked off once, also when the scheduler closes.

use std::sync::Arc;

use super::{explore, thread};
use crate::berth::Berth;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU32, Ordering};

type Seat = Vec<usize>;

/// The spares of `executor/threads.rs`, without threads that are made on the way.
#[derive(Default)]
struct Spares {
    state: Mutex<(Vec<Arc<Berth<Seat>>>, bool)>,
}

impl Spares {
    fn give(&self, seat: Seat) -> Result<(), Seat> {
        let mut state = self.state.lock();
        match state.0.pop() {
            Some(berth) if !state.1 => {
                berth.put(seat);
                Ok(())
            }
            _ => Err(seat),
        }
    }

    fn add(&self, berth: &Arc<Berth<Seat>>) -> bool {
        let mut state = self.state.lock();
        if !state.1 {
            state.0.push(berth.clone());
        }
        !state.1
    }

    fn close(&self) {
        let mut state = self.state.lock();
        state.1 = true;
        state.0.drain(..).for_each(|berth| berth.close());
    }
}

struct House {
    spares: Spares,
    /// How often each task of the queue had its turn.
    turns: Vec<AtomicU32>,
}

impl House {
    /// Works the seat off; after the first task the turn is too long, and the rest goes to whoever is spare.
    fn work(&self, mut seat: Seat, mut overruns: bool) {
        while let Some(task) = seat.pop() {
            self.turns[task].fetch_add(1, Ordering::Relaxed);
            if overruns {
                overruns = false;
                match self.spares.give(seat) {
                    Ok(()) => return,
                    Err(kept) => seat = kept,
                }
            }
        }
    }

    /// A spare's life: waits for seats until the scheduler closes.
    fn wait(&self, overruns: bool) {
        let berth = Arc::new(Berth::default());
        while self.spares.add(&berth) {
            let Some(seat) = berth.wait() else { return };
            self.work(seat, overruns);
        }
    }
}

#[test]
fn every_task_of_an_overrunner_has_one_turn_whoever_takes_over_and_whenever_it_closes() {
    explore("hand-over, 1 overrunner, 1 spare, 1 who closes", None, || {
        let house = Arc::new(House { spares: Spares::default(), turns: (0..3).map(|_| AtomicU32::new(0)).collect() });
        let (spare, closer) = (house.clone(), house.clone());
        let spare = thread::spawn(move || spare.wait(true));
        let closer = thread::spawn(move || closer.spares.close());
        house.work(vec![0, 1, 2], true);
        spare.join().unwrap();
        closer.join().unwrap();
        assert!(house.turns.iter().all(|turns| turns.load(Ordering::Relaxed) == 1), "a task was lost or ran twice");
    });
}

#[test]
fn two_overrunners_never_give_their_seats_to_the_same_spare() {
    explore("hand-over, 2 overrunners, 1 spare", None, || {
        let house = Arc::new(House { spares: Spares::default(), turns: (0..4).map(|_| AtomicU32::new(0)).collect() });
        let (spare, other) = (house.clone(), house.clone());
        let spare = thread::spawn(move || spare.wait(false));
        let other = thread::spawn(move || other.work(vec![0, 1], true));
        house.work(vec![2, 3], true);
        other.join().unwrap();
        house.spares.close();
        spare.join().unwrap();
        assert!(house.turns.iter().all(|turns| turns.load(Ordering::Relaxed) == 1), "a task was lost or ran twice");
    });
}
