//! What the scheduler costs: a ring of 1,000 native tasks that pass 64-byte messages on, and the same beside endless loops.
//!
//! ```text
//! cargo run --release -p pando-scheduler --example ring            # everything
//! cargo run --release -p pando-scheduler --example ring -- 1000 2  # tokens, workers: only this, for a profiler
//! ```

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use pando_scheduler::{Config, Header, Outcome, Priority, Runnable, Scheduler, Task, TimerSink, Turn};
use parking_lot::Mutex;

const RING: usize = 1_000;
const SECONDS: f64 = 2.0;

/// 64 bytes: when it last passed the start, and ballast.
type Message = [u64; 8];

struct Node {
    header: Header,
    scheduler: Scheduler,
    inbox: Mutex<VecDeque<Message>>,
    /// Only ever locked by its own run.
    batch: Mutex<VecDeque<Message>>,
    next: OnceLock<Weak<Node>>,
    /// The start of the ring takes the time of every round.
    rounds: Option<Mutex<Vec<u64>>>,
    clock: Instant,
}

impl Node {
    fn put(self: &Arc<Self>, message: Message) {
        let was_empty = {
            let mut inbox = self.inbox.lock();
            inbox.push_back(message);
            inbox.len() == 1
        };
        // One wake-up per batch is enough: who empties the inbox takes everything.
        if was_empty {
            self.scheduler.wake_typed(self);
        }
    }
}

impl Runnable for Node {
    fn header(&self) -> &Header {
        &self.header
    }

    fn run(&self, turn: &mut Turn<'_>) -> Outcome {
        let mut batch = self.batch.lock();
        let left_over = !batch.is_empty();
        if !left_over {
            std::mem::swap(&mut *batch, &mut *self.inbox.lock());
        }
        let Some(next) = self.next.get().and_then(Weak::upgrade) else { return Outcome::Idle };
        let count = batch.len().min(turn.events_max() as usize);
        for mut message in batch.drain(..count) {
            if let Some(rounds) = &self.rounds {
                let now = self.clock.elapsed().as_nanos() as u64;
                let began = std::mem::replace(&mut message[0], now);
                if began != 0 {
                    rounds.lock().push(now - began);
                }
            }
            message[7] += 1;
            next.put(message);
        }
        turn.handled(count as u32);
        // Who finished what was left over has not looked into the inbox, and whoever filled that has called already.
        if batch.is_empty() && !left_over { Outcome::Idle } else { Outcome::Again }
    }
}

/// Computes for ever; like a guest it notices that a tick has passed, and calls.
struct Looper {
    header: Header,
    scheduler: Scheduler,
    epoch: Arc<AtomicU64>,
    end: Arc<AtomicBool>,
}

impl Runnable for Looper {
    fn header(&self) -> &Header {
        &self.header
    }

    fn run(&self, _turn: &mut Turn<'_>) -> Outcome {
        let mut seen = self.epoch.load(Ordering::Relaxed);
        let mut n = 0_u64;
        while !self.end.load(Ordering::Relaxed) {
            n = black_box(n.wrapping_mul(31).wrapping_add(1));
            let now = self.epoch.load(Ordering::Relaxed);
            if now != seen {
                seen = now;
                if self.scheduler.overrun().stopping {
                    break;
                }
            }
        }
        Outcome::Idle
    }
}

struct Result {
    rate: f64,
    /// Processor time a message, of the whole process: tells more than the rate where others use the machine.
    cpu_ns: f64,
    rounds: Vec<u64>,
    steals: u64,
    hand_overs: u64,
    lane: usize,
}

impl Result {
    fn quantile(&self, q: f64) -> f64 {
        let last = self.rounds.len().saturating_sub(1);
        self.rounds.get((last as f64 * q) as usize).map_or(f64::NAN, |&ns| ns as f64 / 1e3)
    }
}

fn process_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn ring(tokens: usize, workers: usize, loopers: usize, timed: bool) -> Result {
    let epoch = Arc::new(AtomicU64::new(0));
    let ticks = epoch.clone();
    let scheduler = Scheduler::start(Config {
        on_tick: Arc::new(move || {
            ticks.fetch_add(1, Ordering::Relaxed);
        }),
        ..Config::new(workers)
    });
    let clock = Instant::now();
    let nodes: Vec<Arc<Node>> = (0..RING)
        .map(|n| {
            Arc::new(Node {
                header: Header::new(Priority::Normal),
                scheduler: scheduler.clone(),
                inbox: Mutex::default(),
                batch: Mutex::default(),
                next: OnceLock::new(),
                rounds: (timed && n == 0).then(Mutex::default),
                clock,
            })
        })
        .collect();
    for (n, node) in nodes.iter().enumerate() {
        assert!(node.next.set(Arc::downgrade(&nodes[(n + 1) % RING])).is_ok());
    }
    let end = Arc::new(AtomicBool::new(false));
    for _ in 0..loopers {
        let looper: Task = Arc::new(Looper {
            header: Header::new(Priority::Normal),
            scheduler: scheduler.clone(),
            epoch: epoch.clone(),
            end: end.clone(),
        });
        scheduler.wake(&looper);
    }
    for token in 0..tokens {
        nodes[token * RING / tokens].put([0; 8]);
    }
    // Loopers have overrun by then, and the caches are warm.
    std::thread::sleep(Duration::from_millis(300));
    if let Some(rounds) = &nodes[0].rounds {
        rounds.lock().clear();
    }
    let (start, cpu, before) = (Instant::now(), process_cpu_ns(), scheduler.stats().events());
    std::thread::sleep(Duration::from_secs_f64(SECONDS));
    let stats = scheduler.stats();
    let messages = (stats.events() - before) as f64;
    let (rate, cpu_ns) = (messages / start.elapsed().as_secs_f64(), (process_cpu_ns() - cpu) as f64 / messages);
    let mut rounds = nodes[0].rounds.as_ref().map(|rounds| rounds.lock().clone()).unwrap_or_default();
    rounds.sort_unstable();
    end.store(true, Ordering::Relaxed);
    scheduler.stop();
    let steals = stats.workers.iter().map(|worker| worker.steals).sum();
    Result { rate, cpu_ns, rounds, steals, hand_overs: stats.hand_overs(), lane: stats.lane }
}

fn throughput(tokens: usize, workers: usize) {
    let result = ring(tokens, workers, 0, false);
    println!(
        "ring of {RING}  {tokens:>5} tokens  {workers} workers  {:>7.2} M msgs/s  {:>6.1} ns of processor each  {} steals",
        result.rate / 1e6,
        result.cpu_ns,
        result.steals
    );
}

fn beside_loopers(tokens: usize, workers: usize) {
    for loopers in [0, 4] {
        let result = ring(tokens, workers, loopers, true);
        println!(
            "round of {RING}  {tokens:>3} tokens  {workers} workers  {loopers} endless loops  p50 {:>7.1} µs  p99 {:>7.1} µs  \
             p99.9 {:>7.1} µs  max {:>8.1} µs  {:>6.2} M msgs/s  {} hand-overs  lane {}",
            result.quantile(0.5),
            result.quantile(0.99),
            result.quantile(0.999),
            result.quantile(1.0),
            result.rate / 1e6,
            result.hand_overs,
            result.lane
        );
    }
}

struct NoSink;

impl TimerSink for NoSink {
    fn fire(&self, _key: u64, _now_ns: u64) {}
}

/// Deadlines that never come are the usual case: set, and taken back.
fn timers(waiting: u64, count: u64) {
    let scheduler = Scheduler::start(Config::new(1));
    let sink: Arc<dyn TimerSink> = Arc::new(NoSink);
    let hour = 3_600_000_000_000;
    for n in 0..waiting {
        scheduler.timer(hour + n * 1_000_003, Arc::downgrade(&sink), n);
    }
    let (start, cpu) = (Instant::now(), process_cpu_ns());
    for n in 0..count {
        let id = scheduler.timer(hour + n * 7_919, Arc::downgrade(&sink), n);
        assert!(scheduler.cancel(id));
    }
    let each = |ns: u64| ns as f64 / count as f64;
    println!(
        "timer set and taken back, {waiting} waiting  {:>6.1} ns  {:>6.1} ns of processor",
        each(start.elapsed().as_nanos() as u64),
        each(process_cpu_ns() - cpu)
    );
    scheduler.stop();
}

fn main() {
    let args: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    if let [tokens, workers] = args[..] {
        return throughput(tokens, workers);
    }
    for workers in [1, 2] {
        for tokens in [1, 1_000] {
            throughput(tokens, workers);
        }
    }
    for workers in [1, 2] {
        beside_loopers(1, workers);
        beside_loopers(100, workers);
    }
    timers(100_000, 1_000_000);
}
