//! A boss and its workers: a supervised tree.
//!
//! The boss spawns workers of its own module, hands out jobs, and hears when a worker ends: then it spawns another, and
//! the job that the worker had goes to the next. Nobody who asked for a job notices.
//!
//! ```pando
//! spawn workers 4 --name jobs
//! call jobs submit 10000
//! call jobs crash 0
//! call jobs submit 10000
//! call jobs status
//! ```

#![no_std]

use pando::{Down, Spawn, prelude::*};

/// Workers unless told, and at most.
const WORKERS: u32 = 3;
const WORKERS_MAX: u32 = 100;
/// Jobs that may wait.
const WAITING_MAX: usize = 10_000;
/// A job that has cost so many workers their lives is given up.
const TRIES_MAX: u32 = 3;

/// A boss, or a worker.
#[derive(Default)]
pub struct Workers {
    desks: Vec<Desk>,
    waiting: VecDeque<Job>,
    done: u64,
    replaced: u64,
}

/// A worker's place.
struct Desk {
    worker: WorkersRef,
    monitor: u64,
    busy: bool,
}

struct Job {
    caller: Reply<u64>,
    below: u32,
    tries: u32,
}

/// How a boss is getting on.
#[derive(Data, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// Workers that it has.
    pub workers: u32,
    /// Those of them that work.
    pub busy: u32,
    /// Jobs that wait for a worker.
    pub waiting: u32,
    /// Jobs that are done.
    pub done: u64,
    /// Workers that ended and were replaced.
    pub replaced: u64,
}

/// A boss with workers of its own module. A job is to count the primes below a number.
#[pando::actor]
impl Workers {
    /// Begins as a boss with so many workers: 3 unless told. (A boss starts its workers with 0.)
    fn start(&mut self, workers: Option<u32>) -> pando::Result<()> {
        let workers = workers.unwrap_or(WORKERS);
        if workers > WORKERS_MAX {
            return Err(format!("a boss has at most {WORKERS_MAX} workers").into());
        }
        for _ in 0..workers {
            self.desks.push(hire()?);
        }
        Ok(())
    }

    /// Has a worker count the primes below a number.
    fn submit(this: This<Self>, reply: Reply<u64>, below: u32) {
        let refusal = this.with(|s| match s.waiting.len() {
            _ if s.desks.is_empty() => Some("this is no boss"),
            WAITING_MAX => Some("too many jobs wait"),
            _ => None,
        });
        match refusal {
            Some(words) => reply.fail(words),
            None => {
                this.with(|s| s.waiting.push_back(Job { caller: reply, below, tries: 0 }));
                hand_out(&this);
            }
        }
    }

    /// Tells a worker to crash, by its number from 0.
    fn crash(&mut self, worker: u32) -> pando::Result<()> {
        let desk = self.desks.get(worker as usize).ok_or("there is no such worker")?;
        desk.worker.fall_over().send()
    }

    /// How it is getting on.
    #[query]
    fn status(&self) -> Status {
        Status {
            workers: self.desks.len() as u32,
            busy: self.desks.iter().filter(|desk| desk.busy).count() as u32,
            waiting: self.waiting.len() as u32,
            done: self.done,
            replaced: self.replaced,
        }
    }

    /// What a boss asks of a worker: to count the primes below a number.
    fn primes(&mut self, below: u32) -> u64 {
        self.done += 1;
        primes(below)
    }

    /// What a boss asks of a worker that is to crash.
    fn fall_over(&mut self) {
        panic!("a worker was told to fall over");
    }

    fn on_down(this: This<Self>, down: Down) {
        let replaced = this.with(|s| {
            let desk = s.desks.iter_mut().find(|desk| Some(desk.monitor) == down.monitor)?;
            s.replaced += 1;
            Some(hire().map(|hired| *desk = hired))
        });
        match replaced {
            Some(Ok(())) => pando::log!(Warning, "a worker ended ({}) and was replaced", down.kind.name()),
            Some(Err(error)) => pando::exit(1, error.words()),
            None => {}
        }
        hand_out(&this);
    }
}

fn hire() -> pando::Result<Desk> {
    let worker = WorkersRef::start(Spawn::own(), Some(0))?;
    let monitor = worker.watch()?;
    Ok(Desk { worker, monitor, busy: false })
}

/// Gives waiting jobs to workers that are free.
fn hand_out(this: &This<Workers>) {
    while let Some((worker, job)) = this.with(next) {
        pando::task(work(this.clone(), worker, job));
    }
}

fn next(s: &mut Workers) -> Option<(WorkersRef, Job)> {
    let desk = s.desks.iter_mut().find(|desk| !desk.busy)?;
    let job = s.waiting.pop_front()?;
    desk.busy = true;
    Some((desk.worker.clone(), job))
}

async fn work(this: This<Workers>, worker: WorkersRef, mut job: Job) {
    let answer = worker.primes(job.below).await;
    match answer {
        Ok(count) => {
            this.with(|s| {
                s.done += 1;
                // A worker that fell over meanwhile has no desk any more.
                s.desks.iter_mut().filter(|desk| desk.worker == worker).for_each(|desk| desk.busy = false);
            });
            job.caller.send(count);
        }
        Err(error) => {
            job.tries += 1;
            if job.tries == TRIES_MAX {
                job.caller.fail(format!("given up after {TRIES_MAX} workers: {error}"));
            } else {
                this.with(|s| s.waiting.push_front(job));
            }
        }
    }
    // A worker that failed stays busy until its end is heard of, and its successor is free.
    hand_out(&this);
}

/// The sieve of Eratosthenes, in pieces that fit a small memory.
fn primes(below: u32) -> u64 {
    const PIECE: u32 = 8_192;
    let mut small: Vec<u32> = Vec::new();
    let mut count = 0;
    let mut from = 2;
    while from < below {
        let to = below.min(from.saturating_add(PIECE));
        let mut composite = vec![false; (to - from) as usize];
        for prime in small.iter().take_while(|prime| **prime <= to / **prime) {
            let first = (from.div_ceil(*prime) * prime).max(prime * prime);
            (first..to).step_by(*prime as usize).for_each(|n| composite[(n - from) as usize] = true);
        }
        for n in from..to {
            if !composite[(n - from) as usize] {
                count += 1;
                if n <= u32::from(u16::MAX) {
                    small.push(n);
                    // In the first piece a prime has to strike out what is behind it in the same piece.
                    (n.saturating_mul(n)..to).step_by(n as usize).for_each(|n| composite[(n - from) as usize] = true);
                }
            }
        }
        from = to;
    }
    count
}

#[cfg(test)]
mod tests;
