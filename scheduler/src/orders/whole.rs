//! The parts together: workers with queues, a slot, theft, sleep, overrunners on the lane and spare threads that take over.
//!
//! The same steps as `executor/worker.rs` and `executor/overrun.rs`, with the real header, queues, idle protocol, lane and
//! berths, and without clocks and system threads. Shuttle takes random orders of seven threads through it. The queues of
//! crossbeam are not taken apart: others have proved them.

use std::sync::{Arc, OnceLock, Weak};

use super::{Token, explore, thread};
use crate::berth::Berth;
use crate::budget::Turn;
use crate::header::{Header, State};
use crate::idle::Idle;
use crate::lane::Lane;
use crate::policy::Priority;
use crate::queue::{Injector, Local, Thief};
use crate::runnable::{Outcome, Runnable, Task};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

const WORKERS: usize = 3;
const WAKERS: usize = 2;
const TASKS: usize = 3;
const MESSAGES: u32 = 3;

struct Seat {
    index: usize,
    local: Local,
}

struct House {
    injector: Injector,
    thieves: Vec<Thief>,
    idle: Idle,
    bells: Vec<Token>,
    lane: Mutex<Lane<Arc<Token>>>,
    on_lane: AtomicUsize,
    spares: Mutex<(Vec<Arc<Berth<Seat>>>, bool)>,
    stopping: AtomicBool,
    left: AtomicU32,
    turns: AtomicU32,
}

/// Handles one message a turn, and passes those that have a hop left to the next task.
struct Node {
    header: Header,
    mailbox: Mutex<Vec<u32>>,
    inside: AtomicBool,
    next: OnceLock<Weak<Node>>,
    house: Arc<House>,
    /// Whom the turn has woken: queued in the worker's own seat when it ends.
    woken: Mutex<Vec<Task>>,
}

impl Node {
    /// True: it must be queued.
    fn put(&self, hops: u32) -> bool {
        self.mailbox.lock().push(hops);
        self.header.wake()
    }
}

impl Runnable for Node {
    fn header(&self) -> &Header {
        &self.header
    }
    fn run(&self, _turn: &mut Turn<'_>) -> Outcome {
        assert!(!self.inside.swap(true, Ordering::SeqCst), "on two threads at once");
        let (message, more) = {
            let mut mailbox = self.mailbox.lock();
            let message = mailbox.pop();
            (message, !mailbox.is_empty())
        };
        if let Some(hops) = message {
            if hops > 0 {
                let next = self.next.get().and_then(Weak::upgrade).expect("all tasks live as long as the house");
                if next.put(hops - 1) {
                    self.woken.lock().push(next);
                }
            }
            self.house.handled();
        }
        self.inside.store(false, Ordering::SeqCst);
        if more { Outcome::Again } else { Outcome::Idle }
    }
}

impl House {
    fn call(&self) {
        if let Some(seat) = self.idle.call() {
            self.bells[seat].ring();
        }
    }

    fn queue_anywhere(&self, task: Task) {
        self.injector.push(task);
        self.call();
    }

    fn has_work(&self) -> bool {
        !self.injector.is_empty() || self.thieves.iter().any(|thief| !thief.is_empty())
    }

    fn handled(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.stopping.store(true, Ordering::SeqCst);
            self.bells.iter().for_each(Token::ring);
            let mut spares = self.spares.lock();
            spares.1 = true;
            spares.0.drain(..).for_each(|berth| berth.close());
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn look(&self, seat: &Seat) -> Option<Task> {
        let others = || self.thieves.iter().enumerate().filter(|(n, _)| *n != seat.index);
        seat.local.take_from(&self.injector).or_else(|| others().find_map(|(_, thief)| seat.local.steal_from(thief)))
    }

    fn next(&self, seat: &mut Seat) -> Option<Task> {
        if self.is_stopping() {
            return None;
        }
        if let Some(task) = seat.local.next(&self.injector).or_else(|| seat.local.take_from(&self.injector)) {
            return Some(task);
        }
        let mut looks = self.idle.look();
        loop {
            if looks && let Some(task) = self.look(seat) {
                if self.idle.found() && self.has_work() {
                    self.call();
                }
                return Some(task);
            }
            if self.is_stopping() {
                return None;
            }
            if self.idle.sleep(seat.index, looks) && self.has_work() {
                self.call();
            }
            while self.idle.is_asleep(seat.index) && !self.is_stopping() {
                self.bells[seat.index].wait();
            }
            looks = true;
        }
    }

    /// Works until the seat is gone. Every third turn overruns.
    fn work(self: &Arc<House>, mut seat: Seat) -> bool {
        while let Some(task) = self.next(&mut seat) {
            task.header().begin();
            let ticks = std::sync::atomic::AtomicU64::new(0);
            let outcome = task.run(&mut Turn::new(seat.index, 1, 1, &ticks));
            let mut held = Some(seat);
            let mut stay = None;
            if self.turns.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
                (held, stay) = self.overrun(held.take().expect("it has a seat"));
            }
            self.after(&task, outcome, held.as_mut());
            if let Some(ticket) = stay
                && let Some(next) = self.lane.lock().leave(ticket)
            {
                next.ring();
            }
            match held {
                Some(kept) => seat = kept,
                None => return true,
            }
        }
        // The rest is dropped; nothing of it can matter, for everything has been handled.
        drop(seat.local.drain());
        false
    }

    /// What a turn has woken, and the task itself, are queued: here, or anywhere if the seat is gone.
    fn after(&self, task: &Task, outcome: Outcome, mut seat: Option<&mut Seat>) {
        let mut queue = |task: Task, again: bool| {
            let Some(seat) = seat.as_mut() else { return self.queue_anywhere(task) };
            let work_for_two =
                if again { seat.local.push(task, &self.injector) } else { seat.local.wake(task, &self.injector) };
            if work_for_two {
                self.call();
            }
        };
        for woken in woken_by(task) {
            queue(woken, false);
        }
        if task.header().finish(outcome) {
            queue(task.clone(), true);
        }
    }

    fn overrun(&self, mut seat: Seat) -> (Option<Seat>, Option<crate::lane::Ticket>) {
        let sleeper = Arc::new(Token::default());
        let ticket = self.lane.lock().enter(sleeper.clone());
        if seat.local.spill(&self.injector) {
            self.call();
        }
        let berth = {
            let mut spares = self.spares.lock();
            if spares.1 { None } else { spares.0.pop() }
        };
        let Some(berth) = berth else {
            if let Some(next) = self.lane.lock().leave(ticket) {
                next.ring();
            }
            return (Some(seat), None);
        };
        berth.put(seat);
        while !self.lane.lock().has(ticket) {
            sleeper.wait();
        }
        assert_eq!(self.on_lane.fetch_add(1, Ordering::SeqCst), 0, "two have the lane");
        self.on_lane.fetch_sub(1, Ordering::SeqCst);
        (None, Some(ticket))
    }

    /// A thread's life: in a seat, or waiting for one.
    fn live(self: &Arc<House>, seat: Option<Seat>) {
        let berth = Arc::new(Berth::default());
        match seat {
            Some(seat) => berth.put(seat),
            None => {
                if !self.retire(&berth) {
                    return;
                }
            }
        }
        while let Some(seat) = berth.wait() {
            if !self.work(seat) || !self.retire(&berth) {
                return;
            }
        }
    }

    fn retire(&self, berth: &Arc<Berth<Seat>>) -> bool {
        let mut spares = self.spares.lock();
        if !spares.1 {
            spares.0.push(berth.clone());
        }
        !spares.1
    }
}

thread_local! {
    /// The tasks of the model that runs on this machine thread. Shuttle's threads all run on the one that calls it.
    static NODES: std::cell::RefCell<Vec<Arc<Node>>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn woken_by(task: &Task) -> Vec<Task> {
    let header: *const Header = task.header();
    let node = NODES.with_borrow(|nodes| nodes.iter().find(|node| std::ptr::eq(&node.header, header)).cloned());
    node.map(|node| std::mem::take(&mut *node.woken.lock())).unwrap_or_default()
}

fn run() {
    let locals: Vec<Local> = (0..WORKERS).map(|_| Local::new()).collect();
    // A message of h hops is handled h + 1 times.
    let total: u32 = WAKERS as u32 * (1..=MESSAGES).sum::<u32>();
    let house = Arc::new(House {
        injector: Injector::new(),
        thieves: locals.iter().map(Local::thief).collect(),
        idle: Idle::new(WORKERS),
        bells: (0..WORKERS).map(|_| Token::default()).collect(),
        lane: Mutex::new(Lane::new()),
        on_lane: AtomicUsize::new(0),
        spares: Mutex::default(),
        stopping: AtomicBool::new(false),
        left: AtomicU32::new(total),
        turns: AtomicU32::new(0),
    });
    let nodes: Vec<Arc<Node>> = (0..TASKS)
        .map(|n| {
            Arc::new(Node {
                header: Header::new([Priority::High, Priority::Normal, Priority::Low][n % 3]),
                mailbox: Mutex::default(),
                inside: AtomicBool::new(false),
                next: OnceLock::new(),
                house: house.clone(),
                woken: Mutex::default(),
            })
        })
        .collect();
    for (n, node) in nodes.iter().enumerate() {
        let next = Arc::downgrade(&nodes[(n + 1) % TASKS]);
        assert!(node.next.set(next).is_ok());
    }
    NODES.with_borrow_mut(|all| *all = nodes.clone());
    let mut threads: Vec<_> = locals
        .into_iter()
        .enumerate()
        .map(|(index, local)| {
            let house = house.clone();
            thread::spawn(move || house.live(Some(Seat { index, local })))
        })
        .collect();
    let spare = house.clone();
    threads.push(thread::spawn(move || spare.live(None)));
    threads.extend((0..WAKERS).map(|w| {
        let (house, nodes) = (house.clone(), nodes.clone());
        thread::spawn(move || {
            for hops in 0..MESSAGES {
                let node = &nodes[(w + hops as usize) % TASKS];
                if node.put(hops) {
                    house.queue_anywhere(node.clone());
                }
            }
        })
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(house.left.load(Ordering::SeqCst), 0);
    for node in &nodes {
        assert!(node.mailbox.lock().is_empty(), "a message was forgotten");
        assert!(matches!(node.header.state(), State::Idle | State::Queued));
    }
    // What is still queued holds the house, and the house holds it.
    while house.injector.pop().is_some() {}
    NODES.with_borrow_mut(Vec::clear);
}

/// Nobody ends before everything is handled, so a lost wake-up, a sleeper beside work, a seat that nobody has or a lane that
/// is never passed on is a deadlock, which shuttle reports.
#[test]
fn every_message_is_handled_once_by_three_workers_a_spare_and_overrunners() {
    explore("whole, 3 workers, 1 spare, 2 wakers of 3 messages with up to 2 hops", None, run);
}
