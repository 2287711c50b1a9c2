//! What the scheduler promises with threads.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use pando_scheduler::{Config, Header, Outcome, Priority, Runnable, Scheduler, State, Task, TimerSink, Turn, limits};

const PATIENCE: Duration = Duration::from_secs(60);

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A scheduler whose ticks can be seen, as a guest sees the epoch.
fn start(workers: usize) -> (Scheduler, Arc<AtomicU64>) {
    let epoch = Arc::new(AtomicU64::new(0));
    let ticks = epoch.clone();
    let on_tick = Arc::new(move || {
        ticks.fetch_add(1, Ordering::Relaxed);
    });
    (Scheduler::start(Config { on_tick, ..Config::new(workers) }), epoch)
}

type Body = Box<dyn Fn(&mut Turn<'_>) -> Outcome + Send + Sync>;

/// A task that is a closure.
struct Does {
    header: Header,
    body: Body,
    heard: Mutex<Vec<String>>,
}

impl Runnable for Does {
    fn header(&self) -> &Header {
        &self.header
    }
    fn run(&self, turn: &mut Turn<'_>) -> Outcome {
        (self.body)(turn)
    }
    fn panicked(&self, message: &str) {
        self.heard.lock().unwrap().push(message.into());
    }
}

fn does(priority: Priority, body: impl Fn(&mut Turn<'_>) -> Outcome + Send + Sync + 'static) -> Arc<Does> {
    Arc::new(Does { header: Header::new(priority), body: Box::new(body), heard: Mutex::default() })
}

/// Computes until `end`; calls at every tick, as an epoch callback does.
fn compute(scheduler: &Scheduler, epoch: &AtomicU64, mut end: impl FnMut(pando_scheduler::Overrun) -> bool) {
    let mut seen = epoch.load(Ordering::Relaxed);
    loop {
        let now = epoch.load(Ordering::Relaxed);
        if now != seen {
            seen = now;
            if end(scheduler.overrun()) {
                return;
            }
        }
        std::hint::spin_loop();
    }
}

/// Counts what it is sent, and passes some of it on.
struct Counter {
    header: Header,
    scheduler: Scheduler,
    waiting: Mutex<Vec<u64>>,
    handled: AtomicU64,
    inside: AtomicBool,
    peers: OnceLock<Vec<Weak<Counter>>>,
    /// Now and then it overruns, if it has an epoch to see.
    epoch: Option<Arc<AtomicU64>>,
}

impl Counter {
    fn put(self: &Arc<Self>, message: u64) {
        self.waiting.lock().unwrap().push(message);
        self.scheduler.wake_typed(self);
    }
}

impl Runnable for Counter {
    fn header(&self) -> &Header {
        &self.header
    }
    fn run(&self, turn: &mut Turn<'_>) -> Outcome {
        assert!(!self.inside.swap(true, Ordering::SeqCst), "on two threads at once");
        let mut outcome = Outcome::Idle;
        let taken: Vec<u64> = {
            let mut waiting = self.waiting.lock().unwrap();
            let keep = waiting.len().saturating_sub(turn.events_max() as usize);
            if keep > 0 {
                outcome = Outcome::Again;
            }
            waiting.drain(keep..).collect()
        };
        for message in &taken {
            self.handled.fetch_add(1, Ordering::Relaxed);
            // A message is a number of hops left, and where to.
            if let (hops @ 1.., peers) = (message & 0xff, self.peers.get().unwrap()) {
                let to = (message >> 8) as usize % peers.len();
                if let Some(peer) = peers[to].upgrade() {
                    peer.put((message >> 8).wrapping_mul(0x9e37_79b9) << 8 | (hops - 1));
                }
            }
        }
        if let Some(epoch) = self.epoch.as_ref().filter(|_| taken.iter().any(|message| message % 977 == 5)) {
            compute(&self.scheduler, epoch, |overrun| overrun.cpu_ns > 6_000_000);
        }
        turn.handled(taken.len() as u32);
        self.inside.store(false, Ordering::SeqCst);
        outcome
    }
}

fn account_for_every_message(workers: usize, wakers: usize, tasks: usize, messages: u64, bursts: bool, overruns: bool) {
    let (scheduler, epoch) = start(workers);
    let boxes: Vec<Arc<Counter>> = (0..tasks)
        .map(|n| {
            let priority = [Priority::High, Priority::Normal, Priority::Normal, Priority::Low][n % 4];
            Arc::new(Counter {
                header: Header::new(priority),
                scheduler: scheduler.clone(),
                waiting: Mutex::default(),
                handled: AtomicU64::new(0),
                inside: AtomicBool::new(false),
                peers: OnceLock::new(),
                epoch: overruns.then(|| epoch.clone()),
            })
        })
        .collect();
    for one in &boxes {
        one.peers.set(boxes.iter().map(Arc::downgrade).collect()).unwrap();
    }
    const HOPS: u64 = 7;
    let handled = || boxes.iter().map(|one| one.handled.load(Ordering::Relaxed)).sum::<u64>();
    thread::scope(|scope| {
        for waker in 0..wakers as u64 {
            let boxes = &boxes;
            scope.spawn(move || {
                let mut random = waker.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1;
                for n in 0..messages {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    boxes[random as usize % boxes.len()].put(random << 8 | HOPS);
                    // Pauses of every length, so that workers are met running, looking, falling asleep and asleep.
                    if bursts && random.is_multiple_of(11) {
                        let pause = Duration::from_nanos(random >> 20 & 0x3_ffff);
                        let start = Instant::now();
                        while start.elapsed() < pause {
                            if n % 2 == 0 { thread::yield_now() } else { std::hint::spin_loop() }
                        }
                    }
                }
            });
        }
    });
    let expected = wakers as u64 * messages * (HOPS + 1);
    wait_until("every message was handled", || handled() >= expected);
    wait_until("everybody is at rest", || boxes.iter().all(|one| one.header.state() == State::Idle));
    assert_eq!(handled(), expected, "and none twice");
    assert!(!overruns || scheduler.stats().hand_overs() > 0, "nothing overran");
    wait_until("statistics have the same sum", || scheduler.stats().events() == expected);
    scheduler.stop();
}

#[test]
fn every_message_of_many_threads_is_handled_once_under_load() {
    account_for_every_message(4, 4, 64, 20_000, false, false);
}

#[test]
fn every_message_is_handled_once_when_workers_fall_asleep_all_the_time() {
    account_for_every_message(3, 3, 8, 4_000, true, false);
}

#[test]
fn every_message_is_handled_once_by_a_single_worker() {
    account_for_every_message(1, 3, 5, 4_000, true, false);
}

#[test]
fn every_message_is_handled_once_while_queues_change_hands_all_the_time() {
    account_for_every_message(2, 2, 12, 2_000, false, true);
}

#[test]
fn a_wake_up_that_meets_a_worker_just_falling_asleep_is_never_lost() {
    for workers in [1, 2] {
        let (scheduler, _) = start(workers);
        let ran = Arc::new(AtomicU64::new(0));
        let counter = ran.clone();
        let task: Task = does(Priority::Normal, move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            Outcome::Idle
        });
        for n in 1..=20_000_u64 {
            // About as long as a worker looks for work before it sleeps, in steps finer than falling asleep takes.
            let pause = Duration::from_nanos(n * 7_919 % (limits::SPIN_NS_MAX + 10_000));
            let start = Instant::now();
            while start.elapsed() < pause {
                std::hint::spin_loop();
            }
            scheduler.wake(&task);
            while ran.load(Ordering::SeqCst) < n {
                assert!(start.elapsed() < PATIENCE, "wake-up {n} was lost");
                thread::yield_now();
            }
        }
        scheduler.stop();
    }
}

#[test]
fn neighbours_go_on_beside_more_endless_loops_than_workers_and_each_loop_is_killed_at_its_limit() {
    let (scheduler, epoch) = start(2);
    let limit = Duration::from_millis(60).as_nanos() as u64;
    let killed: Arc<Mutex<Vec<u64>>> = Arc::default();
    for _ in 0..4 {
        let (inner, epoch, killed) = (scheduler.clone(), epoch.clone(), killed.clone());
        let looper: Task = does(Priority::Normal, move |_| {
            compute(&inner, &epoch, |overrun| {
                let over = overrun.cpu_ns >= limit;
                if over {
                    assert!(overrun.wall_ns > 0);
                    killed.lock().unwrap().push(overrun.cpu_ns);
                }
                over || overrun.stopping
            });
            Outcome::Idle
        });
        scheduler.wake(&looper);
    }
    // Meanwhile a neighbour is woken again and again, and always runs.
    let ran = Arc::new(AtomicU64::new(0));
    let counter = ran.clone();
    let neighbour: Task = does(Priority::Normal, move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Outcome::Idle
    });
    let mut rounds = 0;
    wait_until("the loops are killed", || {
        let before = ran.load(Ordering::SeqCst);
        scheduler.wake(&neighbour);
        wait_until("the neighbour runs", || ran.load(Ordering::SeqCst) > before);
        rounds += 1;
        killed.lock().unwrap().len() == 4
    });
    assert!(rounds > 5);
    assert!(killed.lock().unwrap().iter().all(|&cpu| cpu >= limit));
    wait_until("the lane is empty", || scheduler.stats().lane == 0);
    let stats = scheduler.stats();
    assert!(stats.hand_overs() >= 4, "{stats:?}");
    wait_until("threads without use have ended", || scheduler.stats().threads <= 2 + limits::SPARES_MAX);
    scheduler.stop();
    assert_eq!(scheduler.stats().threads, 0);
}

#[test]
fn overrunners_share_one_lane_and_take_turns() {
    let (scheduler, epoch) = start(1);
    let (inside, most, ends) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let order: Arc<Mutex<Vec<usize>>> = Arc::default();
    for n in 0..3 {
        let (inner, epoch, order) = (scheduler.clone(), epoch.clone(), order.clone());
        let (inside, most, ends) = (inside.clone(), most.clone(), ends.clone());
        let looper: Task = does(Priority::Normal, move |_| {
            let mut on_lane = false;
            let mut seen = epoch.load(Ordering::Relaxed);
            loop {
                let now = epoch.load(Ordering::Relaxed);
                if now == seen {
                    continue;
                }
                seen = now;
                if on_lane {
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
                let overrun = inner.overrun();
                on_lane |= overrun.cpu_ns >= 5_000_000;
                if on_lane {
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let mut order = order.lock().unwrap();
                    if order.last() != Some(&n) {
                        order.push(n);
                    }
                }
                if overrun.cpu_ns > 80_000_000 || overrun.stopping {
                    inside.fetch_sub(1, Ordering::SeqCst);
                    ends.fetch_add(1, Ordering::SeqCst);
                    return Outcome::Idle;
                }
            }
        });
        scheduler.wake(&looper);
    }
    wait_until("all have ended", || ends.load(Ordering::SeqCst) == 3);
    assert_eq!(most.load(Ordering::SeqCst), 1, "one at a time");
    let order = order.lock().unwrap();
    for n in 0..3 {
        assert!(order.iter().filter(|&&turn| turn == n).count() >= 3, "{order:?}");
    }
    scheduler.stop();
}

#[test]
fn who_overran_is_queued_again_when_it_was_woken_meanwhile_or_wants_more() {
    let (scheduler, epoch) = start(2);
    let runs = Arc::new(AtomicU64::new(0));
    let (inner, counter) = (scheduler.clone(), runs.clone());
    let task: Task = does(Priority::High, move |_| {
        let run = counter.fetch_add(1, Ordering::SeqCst);
        if run < 2 {
            compute(&inner, &epoch, |overrun| overrun.cpu_ns > 12_000_000 || overrun.stopping);
        }
        if run == 0 { Outcome::Again } else { Outcome::Idle }
    });
    scheduler.wake(&task);
    wait_until("the second run has begun", || runs.load(Ordering::SeqCst) == 2);
    scheduler.wake(&task);
    wait_until("the third run has begun", || runs.load(Ordering::SeqCst) == 3);
    wait_until("it is at rest", || task.header().state() == State::Idle);
    scheduler.stop();
}

#[test]
fn what_a_long_turn_has_woken_does_not_wait_for_its_end() {
    // Not even for the end of its slice.
    let epoch = Arc::new(AtomicU64::new(0));
    let ticks = epoch.clone();
    let on_tick = Arc::new(move || {
        ticks.fetch_add(1, Ordering::Relaxed);
    });
    let scheduler = Scheduler::start(Config { on_tick, slice: PATIENCE, ..Config::new(2) });
    let ran = Arc::new(AtomicBool::new(false));
    let flag = ran.clone();
    let woken: Task = does(Priority::Normal, move |_| {
        flag.store(true, Ordering::SeqCst);
        Outcome::Idle
    });
    let inner = scheduler.clone();
    let waits: Task = does(Priority::Normal, move |_| {
        inner.wake(&woken);
        compute(&inner, &epoch, |overrun| ran.load(Ordering::SeqCst) || overrun.stopping);
        Outcome::Idle
    });
    scheduler.wake(&waits);
    wait_until("both have run", || waits.header().state() == State::Idle);
    scheduler.stop();
}

#[test]
fn a_task_that_panics_is_dead_its_owner_is_told_and_the_worker_goes_on() {
    let (scheduler, _) = start(1);
    let bad = does(Priority::Normal, |_| panic!("a planted {}", "panic"));
    scheduler.wake_typed(&bad);
    wait_until("it is dead", || bad.header().is_dead());
    wait_until("its owner was told", || !bad.heard.lock().unwrap().is_empty());
    assert_eq!(*bad.heard.lock().unwrap(), ["a planted panic"]);
    scheduler.wake_typed(&bad);
    let ran = Arc::new(AtomicBool::new(false));
    let flag = ran.clone();
    let good: Task = does(Priority::Normal, move |_| {
        flag.store(true, Ordering::SeqCst);
        Outcome::Idle
    });
    scheduler.wake(&good);
    wait_until("the worker goes on", || ran.load(Ordering::SeqCst));
    assert_eq!((scheduler.stats().panics, bad.heard.lock().unwrap().len()), (1, 1));
    scheduler.stop();
}

#[test]
fn an_overrunner_that_panics_leaves_the_lane() {
    let (scheduler, epoch) = start(1);
    let inner = scheduler.clone();
    let bad: Task = does(Priority::Normal, move |_| {
        compute(&inner, &epoch, |overrun| overrun.cpu_ns > 20_000_000 || overrun.stopping);
        panic!("after its slice");
    });
    scheduler.wake(&bad);
    wait_until("it is dead", || bad.header().is_dead());
    wait_until("the lane is empty", || scheduler.stats().lane == 0);
    scheduler.stop();
}

#[test]
fn low_tasks_run_beside_high_ones_that_never_rest() {
    let (scheduler, _) = start(1);
    for _ in 0..8 {
        let busy: Task = does(Priority::High, |_| Outcome::Again);
        scheduler.wake(&busy);
    }
    let runs = Arc::new(AtomicU64::new(0));
    let counter = runs.clone();
    let low: Task = does(Priority::Low, move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Outcome::Again
    });
    scheduler.wake(&low);
    wait_until("the low task had a hundred turns", || runs.load(Ordering::SeqCst) > 100);
    scheduler.stop();
}

#[derive(Default)]
struct Fired(Mutex<Vec<(u64, u64)>>);

impl TimerSink for Fired {
    fn fire(&self, key: u64, now_ns: u64) {
        self.0.lock().unwrap().push((key, now_ns));
    }
}

#[test]
fn timers_fire_in_order_never_early_and_not_when_cancelled() {
    let config = Config::new(1);
    let clock = config.clock.clone();
    let scheduler = Scheduler::start(config);
    let sink = Arc::new(Fired::default());
    let weak: Weak<dyn TimerSink> = Arc::downgrade(&(sink.clone() as Arc<dyn TimerSink>));
    let now = clock();
    let at = |ms: u64| now + ms * 1_000_000;
    // A far one first, so that the thread sleeps long and must be woken by the others.
    let far = scheduler.timer(at(3_600_000), weak.clone(), 99);
    thread::sleep(Duration::from_millis(5));
    for (key, ms) in [(3, 60), (1, 20), (2, 40), (4, 60)] {
        scheduler.timer(at(ms), weak.clone(), key);
    }
    let cancelled = scheduler.timer(at(30), weak.clone(), 7);
    assert!(scheduler.cancel(cancelled) && !scheduler.cancel(cancelled));
    wait_until("four timers have fired", || sink.0.lock().unwrap().len() == 4);
    let fired = sink.0.lock().unwrap().clone();
    assert_eq!(fired.iter().map(|&(key, _)| key).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for (&(_, when), due) in fired.iter().zip([20, 40, 60, 60]) {
        assert!(when >= at(due));
    }
    assert!(scheduler.cancel(far));
    assert_eq!((scheduler.next_timer(), scheduler.stats().timers), (None, 0));
    scheduler.timer(clock(), weak.clone(), 5);
    wait_until("one that is due already fires", || sink.0.lock().unwrap().len() == 5);
    drop(sink);
    scheduler.timer(clock(), weak, 6);
    wait_until("one without its sink is gone", || scheduler.stats().timers == 0);
    scheduler.stop();
}

#[test]
fn stop_ends_every_thread_also_overrunners_that_wait_and_lets_queued_tasks_go() {
    let (scheduler, epoch) = start(1);
    for _ in 0..3 {
        let (inner, epoch) = (scheduler.clone(), epoch.clone());
        let looper: Task = does(Priority::Normal, move |_| {
            compute(&inner, &epoch, |overrun| overrun.stopping);
            Outcome::Idle
        });
        scheduler.wake(&looper);
    }
    wait_until("all overrun", || scheduler.stats().lane == 3);
    let task: Task = does(Priority::Normal, |_| Outcome::Again);
    scheduler.wake(&task);
    scheduler.stop();
    assert_eq!(scheduler.stats().threads, 0);
    assert_eq!(Arc::strong_count(&task), 1, "nothing holds it any more");
    scheduler.stop();
}

#[test]
fn a_scheduler_that_nobody_holds_ends_by_itself() {
    let (scheduler, _) = start(2);
    let held = Arc::new(());
    let inside = held.clone();
    let task: Task = does(Priority::Normal, move |_| {
        let _held = &inside;
        Outcome::Again
    });
    scheduler.wake(&task);
    drop((task, scheduler));
    wait_until("its tasks are gone", || Arc::strong_count(&held) == 1);
}

#[test]
fn a_task_may_stop_the_scheduler_that_runs_it() {
    let (scheduler, _) = start(2);
    let inner = scheduler.clone();
    let task: Task = does(Priority::Normal, move |_| {
        inner.stop();
        Outcome::Idle
    });
    scheduler.wake(&task);
    wait_until("its threads have ended", || scheduler.stats().threads == 0);
}

#[test]
fn two_schedulers_in_one_process_do_not_mix_their_tasks() {
    let (one, _) = start(1);
    let (two, _) = start(1);
    let name = Arc::new(Mutex::new(String::new()));
    let seen = name.clone();
    let inner: Task = does(Priority::Normal, move |turn| {
        turn.handled(1);
        *seen.lock().unwrap() = "ran".into();
        Outcome::Idle
    });
    let other = two.clone();
    let outer: Task = does(Priority::Normal, move |_| {
        other.wake(&inner);
        Outcome::Idle
    });
    one.wake(&outer);
    wait_until("the task of the second has run", || *name.lock().unwrap() == "ran");
    wait_until("it ran there", || two.stats().events() == 1);
    assert_eq!(one.stats().events(), 0);
    one.stop();
    two.stop();
}
