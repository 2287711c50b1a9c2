//! Who sleeps and who looks for work, so that work is never left lying beside a sleeper and nobody is called in vain.
//!
//! Owns the counts of workers that are awake and that look for work, and the list of sleepers. Knows no threads: it says
//! whom to call, and somebody else calls.
//!
//! The protocol, in the order that makes it right: who brings work first puts it down, then reads the counts (`call`);
//! the last one who stops looking first lowers the counts (`found` or `sleep`), then looks at all queues once more. Both
//! are sequentially consistent, so one of the two sees the other.
//!
//! 1. While a worker looks for work nobody is called: it will find the work, or look once more after it has stopped.
//! 2. At most half of the workers (and at least one) look at the same time.

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering, fence};

const LOOKING: u64 = 1;
const AWAKE: u64 = 1 << 32;

pub(crate) struct Idle {
    /// Low half: how many look. High half: how many are awake (those that look included).
    counts: AtomicU64,
    sleepers: Mutex<Vec<usize>>,
    seats: u64,
}

impl Idle {
    /// All seats are awake at first.
    pub(crate) fn new(seats: usize) -> Idle {
        let seats = seats as u64;
        Idle { counts: AtomicU64::new(seats * AWAKE), sleepers: Mutex::new(Vec::with_capacity(seats as usize)), seats }
    }

    /// Work was put down. `Some`: this seat is to be called; it counts as awake and looking already.
    pub(crate) fn call(&self) -> Option<usize> {
        fence(Ordering::SeqCst);
        if !self.worth_calling() {
            return None;
        }
        let mut sleepers = self.sleepers.lock();
        if !self.worth_calling() {
            return None;
        }
        let seat = sleepers.pop()?;
        self.counts.fetch_add(AWAKE + LOOKING, Ordering::SeqCst);
        Some(seat)
    }

    fn worth_calling(&self) -> bool {
        let counts = self.counts.load(Ordering::SeqCst);
        looking(counts) == 0 && awake(counts) < self.seats
    }

    /// A worker has nothing to do. False: enough others look already, it should sleep.
    pub(crate) fn look(&self) -> bool {
        let one_more = |counts| (2 * looking(counts) < self.seats).then_some(counts + LOOKING);
        self.counts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    /// A worker that looked has found something. True: it was the last; whatever else lies there, nobody looks for it.
    pub(crate) fn found(&self) -> bool {
        looking(self.counts.fetch_sub(LOOKING, Ordering::SeqCst)) == 1
    }

    /// A worker goes to sleep. True: it was the last that looked, so it must look at everything once more and `call`.
    pub(crate) fn sleep(&self, seat: usize, looked: bool) -> bool {
        let mut sleepers = self.sleepers.lock();
        let before = self.counts.fetch_sub(AWAKE + if looked { LOOKING } else { 0 }, Ordering::SeqCst);
        sleepers.push(seat);
        looked && looking(before) == 1
    }

    /// Whether the seat has not been called yet.
    pub(crate) fn is_asleep(&self, seat: usize) -> bool {
        self.sleepers.lock().contains(&seat)
    }

    /// How many run tasks, or are about to.
    pub(crate) fn busy(&self) -> u64 {
        let counts = self.counts.load(Ordering::SeqCst);
        awake(counts).saturating_sub(looking(counts))
    }
}

fn looking(counts: u64) -> u64 {
    counts & (AWAKE - 1)
}

fn awake(counts: u64) -> u64 {
    counts / AWAKE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_called_while_somebody_looks_or_everybody_is_awake() {
        let idle = Idle::new(2);
        assert_eq!(idle.call(), None, "everybody is awake");
        assert!(idle.look() && !idle.look(), "one of two may look");
        assert!(!idle.sleep(1, false));
        assert_eq!(idle.call(), None, "somebody looks");
        assert!(idle.sleep(0, true), "it was the last that looked");
        assert_eq!(idle.busy(), 0);
        let called = idle.call().unwrap();
        assert_eq!((called, idle.is_asleep(0), idle.is_asleep(1)), (0, false, true));
        assert_eq!(idle.call(), None, "whom we called looks now");
        assert!(idle.found());
        assert_eq!((idle.busy(), idle.call()), (1, Some(1)));
    }

    /// A worker as far as the protocol sees it; every step is one call or one look.
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Worker {
        Works,
        Seeks,
        Looks,
        Found,
        MaySleep { looked: bool },
        LooksOnceMore,
        Asleep,
    }

    struct Model {
        idle: Idle,
        waiting: u32,
        done: u32,
        workers: Vec<Worker>,
        /// What the producer still has to put down, and whether it has put something down and not called yet.
        producer: (u32, bool),
    }

    impl Model {
        fn can(&self, who: usize) -> bool {
            match self.workers.get(who) {
                Some(Worker::Asleep) => !self.idle.is_asleep(who),
                Some(_) => true,
                None => self.producer != (0, false),
            }
        }

        fn step(&mut self, who: usize) {
            let Some(&worker) = self.workers.get(who) else {
                if self.producer.1 {
                    self.idle.call();
                    self.producer.1 = false;
                } else {
                    self.waiting += 1;
                    self.producer = (self.producer.0 - 1, true);
                }
                return;
            };
            self.workers[who] = match worker {
                Worker::Works | Worker::Looks if self.waiting > 0 => {
                    self.waiting -= 1;
                    self.done += 1;
                    if worker == Worker::Looks { Worker::Found } else { Worker::Works }
                }
                Worker::Works => Worker::Seeks,
                Worker::Seeks if self.idle.look() => Worker::Looks,
                Worker::Seeks => Worker::MaySleep { looked: false },
                Worker::Looks => Worker::MaySleep { looked: true },
                Worker::Found => {
                    if self.idle.found() && self.waiting > 0 {
                        self.idle.call();
                    }
                    Worker::Works
                }
                Worker::MaySleep { looked } if self.idle.sleep(who, looked) => Worker::LooksOnceMore,
                Worker::MaySleep { .. } => Worker::Asleep,
                Worker::LooksOnceMore => {
                    if self.waiting > 0 {
                        self.idle.call();
                    }
                    Worker::Asleep
                }
                Worker::Asleep => Worker::Looks,
            };
        }
    }

    #[test]
    fn in_no_order_of_steps_does_everybody_sleep_while_work_waits() {
        for seed in 0..30_000 {
            let mut rng = crate::rng::Rng::new(seed);
            let seats = 1 + seed as usize % 4;
            let mut model = Model {
                idle: Idle::new(seats),
                waiting: 0,
                done: 0,
                workers: vec![Worker::Works; seats],
                producer: (6, false),
            };
            loop {
                let able: Vec<usize> = (0..=seats).filter(|&who| model.can(who)).collect();
                if able.is_empty() {
                    break;
                }
                model.step(able[rng.below(able.len())]);
            }
            assert_eq!((model.waiting, model.done), (0, 6), "seed {seed}: {:?}", model.workers);
            assert_eq!(model.idle.busy(), 0);
        }
    }

    #[test]
    fn a_single_worker_may_look() {
        let idle = Idle::new(1);
        assert!(idle.look() && !idle.look());
        assert!(idle.sleep(0, true));
        assert_eq!(idle.call(), Some(0));
    }
}
