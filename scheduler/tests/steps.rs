//! What step mode promises.

use std::sync::{Arc, Mutex, Weak};

use pando_scheduler::{Config, Header, Outcome, Priority, Runnable, Scheduler, TimerSink, Turn};

type Trace = Arc<Mutex<Vec<String>>>;

/// Wakes its neighbours a few times, and writes down its name.
struct Node {
    header: Header,
    name: usize,
    left: Mutex<u32>,
    peers: Mutex<Vec<Weak<Node>>>,
    scheduler: Scheduler,
    trace: Trace,
}

impl Runnable for Node {
    fn header(&self) -> &Header {
        &self.header
    }
    fn run(&self, turn: &mut Turn<'_>) -> Outcome {
        self.trace.lock().unwrap().push(format!("{}@{}", self.name, turn.worker()));
        turn.handled(1);
        let mut left = self.left.lock().unwrap();
        if *left == 0 {
            return Outcome::Idle;
        }
        *left -= 1;
        for peer in self.peers.lock().unwrap().iter().filter_map(Weak::upgrade) {
            self.scheduler.wake_typed(&peer);
        }
        if left.is_multiple_of(3) { Outcome::Again } else { Outcome::Idle }
    }
}

struct Sink {
    node: Arc<Node>,
}

impl TimerSink for Sink {
    fn fire(&self, key: u64, now_ns: u64) {
        self.node.trace.lock().unwrap().push(format!("timer {key} at {now_ns}"));
        self.node.scheduler.wake_typed(&self.node);
    }
}

fn run(seed: u64) -> Vec<String> {
    let scheduler = Scheduler::stepped(Config::new(3), seed);
    let trace = Trace::default();
    let nodes: Vec<Arc<Node>> = (0..6)
        .map(|name| {
            Arc::new(Node {
                header: Header::new([Priority::High, Priority::Normal, Priority::Low][name % 3]),
                name,
                left: Mutex::new(10),
                peers: Mutex::default(),
                scheduler: scheduler.clone(),
                trace: trace.clone(),
            })
        })
        .collect();
    for node in &nodes {
        *node.peers.lock().unwrap() = nodes.iter().filter(|peer| peer.name != node.name).map(Arc::downgrade).collect();
    }
    let sinks: Vec<Arc<dyn TimerSink>> =
        nodes.iter().map(|node| Arc::new(Sink { node: node.clone() }) as Arc<dyn TimerSink>).collect();
    for (n, sink) in sinks.iter().enumerate() {
        scheduler.timer(100 * (n as u64 % 4), Arc::downgrade(sink), n as u64);
    }
    loop {
        while scheduler.step() {}
        let Some(next) = scheduler.next_timer() else { break };
        assert!(scheduler.advance_to(next) > 0);
    }
    assert!(!scheduler.step());
    assert_eq!(
        scheduler.stats().turns() as usize,
        trace.lock().unwrap().iter().filter(|line| line.contains('@')).count()
    );
    trace.lock().unwrap().clone()
}

#[test]
fn the_same_seed_gives_the_same_run_and_other_seeds_give_others() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    let different: std::collections::BTreeSet<_> = (0..20).map(run).collect();
    assert!(different.len() > 15, "only {} runs of 20", different.len());
}

#[test]
fn timers_fire_in_order_only_when_time_is_advanced() {
    let trace = run(1);
    let timers: Vec<&String> = trace.iter().filter(|line| line.starts_with("timer")).collect();
    assert_eq!(
        timers,
        ["timer 0 at 0", "timer 4 at 0", "timer 1 at 100", "timer 5 at 100", "timer 2 at 200", "timer 3 at 300"]
    );
}

struct Looper {
    header: Header,
    scheduler: Scheduler,
}

impl Runnable for Looper {
    fn header(&self) -> &Header {
        &self.header
    }
    fn run(&self, turn: &mut Turn<'_>) -> Outcome {
        for tick in 1.. {
            assert_eq!(self.scheduler.overrun().cpu_ns, tick * 1_000_000);
            if tick == 7 {
                break;
            }
        }
        assert!(turn.slice_over());
        panic!("planted");
    }
}

#[test]
fn an_overrun_counts_ticks_and_a_panic_ends_only_its_task() {
    let scheduler = Scheduler::stepped(Config::new(1), 0);
    let looper = Arc::new(Looper { header: Header::new(Priority::Normal), scheduler: scheduler.clone() });
    scheduler.wake_typed(&looper);
    assert!(scheduler.step() && !scheduler.step());
    assert!(looper.header.is_dead());
    scheduler.wake_typed(&looper);
    assert!(!scheduler.step());
    assert_eq!((scheduler.stats().panics, scheduler.stats().ticks), (1, 7));
}
