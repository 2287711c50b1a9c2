//! Orders of threads, tried one after the other: what the lock-free parts promise, under loom and under shuttle.
//!
//! Compiled only with `--cfg loom` or `--cfg shuttle`, in tests. Loom tries every order of up to three threads that C11's
//! memory model allows, stale reads included; where that is too many it is told how often a thread may be interrupted, and
//! the model says so. Shuttle tries random orders of more threads on a machine without stale reads.
//!
//! Owns the models and how they are explored. What a model puts around the part that it looks at (a queue, a mailbox) is as
//! weak as what stands there in the product, or weaker.

mod hand_over;
mod header;
mod idle;
mod lane;
#[cfg(shuttle)]
mod whole;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(loom)]
pub(crate) use loom::thread;
#[cfg(all(shuttle, not(loom)))]
pub(crate) use shuttle::thread;

use crate::sync::{Bell, Mutex};

/// Runs a model in many orders, and says in how many. `preemptions`: how often a running thread may be interrupted in one
/// order under loom; `None`: as often as it can be, which makes it every order that there is.
fn explore(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let count = orders.clone();
    let model = move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    };
    let start = std::time::Instant::now();
    search(preemptions, model);
    let bound = match preemptions {
        Some(most) if cfg!(loom) => format!(", at most {most} interruptions each"),
        None if cfg!(loom) => ", which is every one".to_owned(),
        _ => String::new(),
    };
    eprintln!("{name}: {} orders{bound}, {:.1?}", orders.load(Ordering::Relaxed), start.elapsed());
}

#[cfg(loom)]
fn search(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 50_000;
    builder.check(model);
}

/// `SHUTTLE_ORDERS` says how many, in place of 10,000: half of them at random, half with few interruptions at bad places.
#[cfg(all(shuttle, not(loom)))]
fn search(_preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let orders = std::env::var("SHUTTLE_ORDERS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let model = Arc::new(model);
    let again = model.clone();
    shuttle::check_random(move || model(), orders / 2);
    shuttle::check_pct(move || again(), orders / 2, 3);
}

/// A thread's call to another: as a `Parker`, a call that comes before the wait is not lost.
#[derive(Default)]
struct Token {
    rung: Mutex<bool>,
    bell: Bell,
}

impl Token {
    fn ring(&self) {
        *self.rung.lock() = true;
        self.bell.ring();
    }

    fn wait(&self) {
        let mut rung = self.rung.lock();
        while !*rung {
            rung = self.bell.wait(rung);
        }
        *rung = false;
    }
}
