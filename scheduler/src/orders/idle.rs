//! Who sleeps: work is never left lying beside a sleeper.

use std::sync::Arc;

use super::{Token, explore, thread};
use crate::idle::Idle;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

/// Work that waits, as weakly ordered as the queues of crossbeam: putting down releases, and who looks fences first.
struct Deposit(AtomicUsize);

impl Deposit {
    fn put(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    fn is_empty(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Acquire) == 0
    }

    fn take(&self) -> bool {
        fence(Ordering::SeqCst);
        let one_less = |n: usize| n.checked_sub(1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).is_ok()
    }
}

/// The loop of `executor/worker.rs`, with one look where that one looks for a while.
struct House {
    idle: Idle,
    work: Deposit,
    left: AtomicUsize,
    stopping: AtomicBool,
    bells: Vec<Token>,
}

impl House {
    fn new(seats: usize, items: usize) -> Arc<House> {
        Arc::new(House {
            idle: Idle::new(seats),
            work: Deposit(AtomicUsize::new(0)),
            left: AtomicUsize::new(items),
            stopping: AtomicBool::new(false),
            bells: (0..seats).map(|_| Token::default()).collect(),
        })
    }

    fn put(&self) {
        self.work.put();
        self.call();
    }

    fn call(&self) {
        if let Some(seat) = self.idle.call() {
            self.bells[seat].ring();
        }
    }

    /// The last item ends the model: then, and only then, does everybody get up for nothing.
    fn handle(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.stopping.store(true, Ordering::Release);
            self.bells.iter().for_each(Token::ring);
        }
    }

    fn live(&self, seat: usize) {
        while let Some(()) = self.next(seat) {
            self.handle();
        }
    }

    fn next(&self, seat: usize) -> Option<()> {
        if self.stopping.load(Ordering::Acquire) {
            return None;
        }
        if self.work.take() {
            return Some(());
        }
        let mut looks = self.idle.look();
        loop {
            if looks && self.work.take() {
                if self.idle.found() && !self.work.is_empty() {
                    self.call();
                }
                return Some(());
            }
            if self.stopping.load(Ordering::Acquire) {
                return None;
            }
            if self.idle.sleep(seat, looks) && !self.work.is_empty() {
                self.call();
            }
            while self.idle.is_asleep(seat) && !self.stopping.load(Ordering::Acquire) {
                self.bells[seat].wait();
            }
            looks = true;
        }
    }
}

/// Nobody ends before all work is done, so work beside sleepers is a deadlock, which the checkers report.
fn work_off(workers: usize, producers: usize, items: usize) {
    let house = House::new(workers, producers * items);
    let producers: Vec<_> = (0..producers)
        .map(|_| {
            let house = house.clone();
            thread::spawn(move || (0..items).for_each(|_| house.put()))
        })
        .collect();
    let others: Vec<_> = (1..workers)
        .map(|seat| {
            let house = house.clone();
            thread::spawn(move || house.live(seat))
        })
        .collect();
    house.live(0);
    producers.into_iter().chain(others).for_each(|thread| thread.join().unwrap());
    assert!(house.work.is_empty() && house.left.load(Ordering::Acquire) == 0);
}

#[test]
fn a_worker_that_falls_asleep_is_called_for_work_that_comes_meanwhile() {
    explore("idle, 1 worker, 1 producer", None, || work_off(1, 1, 1));
    explore("idle, 1 worker, 1 producer of 2", Some(4), || work_off(1, 1, 2));
    explore("idle, 1 worker, 2 producers", Some(2), || work_off(1, 2, 1));
}

#[test]
fn of_two_workers_one_always_finds_the_work() {
    explore("idle, 2 workers, 1 producer", Some(3), || work_off(2, 1, 1));
    explore("idle, 2 workers, 1 producer of 2", Some(2), || work_off(2, 1, 2));
}
