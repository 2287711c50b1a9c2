//! A task's state: no wake-up is lost, and a task is queued at most once.

use std::sync::Arc;

use super::{explore, thread};
use crate::header::{Header, State};
use crate::policy::Priority;
use crate::runnable::Outcome;
use crate::sync::atomic::{AtomicU32, Ordering};

/// What would be a queue: so weak that what a run sees, it sees through the header alone.
#[derive(Default)]
struct Queue(AtomicU32);

impl Queue {
    fn put(&self) {
        assert_eq!(self.0.fetch_add(1, Ordering::Relaxed), 0, "queued twice");
    }

    fn take(&self) -> bool {
        self.0.compare_exchange(1, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Each waker puts its messages down, one after the other, with the weakest store there is, and wakes after each. The runner
/// looks `looks` times while they do, and until nothing is queued when they have ended.
fn deliver(wakers: usize, messages: u32, looks: usize, again: bool) {
    let header = Arc::new(Header::new(Priority::Normal));
    let mailboxes: Arc<Vec<AtomicU32>> = Arc::new((0..wakers).map(|_| AtomicU32::new(0)).collect());
    let queue = Arc::new(Queue::default());
    let threads: Vec<_> = (0..wakers)
        .map(|n| {
            let (header, mailboxes, queue) = (header.clone(), mailboxes.clone(), queue.clone());
            thread::spawn(move || {
                for message in 1..=messages {
                    mailboxes[n].store(message, Ordering::Relaxed);
                    if header.wake() {
                        queue.put();
                    }
                }
            })
        })
        .collect();
    let (mut seen, mut runs) = (vec![0; wakers], 0);
    let mut look = || {
        if !queue.take() {
            return false;
        }
        header.begin();
        runs += 1;
        for (seen, mailbox) in seen.iter_mut().zip(&*mailboxes) {
            *seen = mailbox.load(Ordering::Relaxed);
        }
        if header.finish(if again && runs == 1 { Outcome::Again } else { Outcome::Idle }) {
            queue.put();
        }
        true
    };
    (0..looks).for_each(|_| _ = look());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    while look() {}
    assert_eq!(seen, vec![messages; wakers], "a message was put down and no run saw it");
    assert_eq!(header.state(), State::Idle);
    assert!(runs <= wakers as u32 * messages + u32::from(again), "it ran in vain");
}

#[test]
fn a_message_of_either_of_two_wakers_is_seen_by_a_run_and_the_task_is_queued_once() {
    explore("header, 2 wakers of 1 message, 1 runner", None, || deliver(2, 1, 2, false));
}

#[test]
fn a_waker_that_comes_again_while_the_task_runs_is_not_forgotten() {
    explore("header, 1 waker of 3 messages, 1 runner that says Again once", None, || deliver(1, 3, 3, true));
    explore("header, 2 wakers of 2 messages, 1 runner", Some(4), || deliver(2, 2, 2, false));
}

#[test]
fn a_task_that_panics_while_it_is_woken_is_never_queued_again() {
    explore("header, 2 wakers, 1 runner that panics", None, || {
        let header = Arc::new(Header::new(Priority::Normal));
        assert!(header.wake());
        header.begin();
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let header = header.clone();
                thread::spawn(move || assert!(!header.wake(), "a dead or running task was queued"))
            })
            .collect();
        header.bury();
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
        assert!(header.is_dead() && !header.wake() && header.state() == State::Dead);
    });
}
