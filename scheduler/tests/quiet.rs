//! In a process of its own, for it measures the whole process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pando_scheduler::{Config, Header, Outcome, Priority, Runnable, Scheduler, State, Task, Turn};

struct Nothing(Header);

impl Runnable for Nothing {
    fn header(&self) -> &Header {
        &self.0
    }
    fn run(&self, _turn: &mut Turn<'_>) -> Outcome {
        Outcome::Idle
    }
}

struct WaitsForTicks {
    header: Header,
    heard: Arc<AtomicU64>,
}

impl Runnable for WaitsForTicks {
    fn header(&self) -> &Header {
        &self.header
    }
    fn run(&self, _turn: &mut Turn<'_>) -> Outcome {
        let before = self.heard.load(Ordering::Relaxed);
        while self.heard.load(Ordering::Relaxed) < before + 20 {
            std::hint::spin_loop();
        }
        Outcome::Idle
    }
}

/// Processor time of the process, in clock ticks of a hundredth of a second.
#[cfg(target_os = "linux")]
fn cpu_hundredths() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn while_nothing_runs_nothing_is_used_and_no_tick_is_heard() {
    let heard = Arc::new(AtomicU64::new(0));
    let ticks = heard.clone();
    let on_tick = Arc::new(move || {
        ticks.fetch_add(1, Ordering::Relaxed);
    });
    let scheduler = Scheduler::start(Config { on_tick, ..Config::new(4) });
    let task: Task = Arc::new(Nothing(Header::new(Priority::Normal)));
    scheduler.wake(&task);
    let start = Instant::now();
    while !scheduler.stats().workers.iter().all(|worker| worker.parked) {
        assert!(start.elapsed() < Duration::from_secs(60), "a worker without work does not sleep");
        thread::sleep(Duration::from_millis(1));
    }
    // The ticker falls asleep a little later.
    thread::sleep(Duration::from_millis(300));
    let (before, cpu_before) = (heard.load(Ordering::Relaxed), cpu_hundredths());
    thread::sleep(Duration::from_millis(1_500));
    let used = cpu_hundredths() - cpu_before;
    assert!(used <= 3, "{used} hundredths of a second in 150");
    assert_eq!(heard.load(Ordering::Relaxed), before);
    // And who runs after a long silence is told of ticks again.
    let waits: Task = Arc::new(WaitsForTicks { header: Header::new(Priority::Normal), heard: heard.clone() });
    scheduler.wake(&waits);
    let start = Instant::now();
    while heard.load(Ordering::Relaxed) < before + 20 || waits.header().state() != State::Idle {
        assert!(start.elapsed() < Duration::from_secs(60), "the ticker sleeps on");
        thread::sleep(Duration::from_millis(1));
    }
    scheduler.stop();
}
