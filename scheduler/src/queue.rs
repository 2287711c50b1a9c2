//! What waits: a worker's own queues with their slot, the injector, and theft.
//!
//! Owns the order of tasks that wait. Knows no threads: a [`Local`] is used by whoever holds it, a [`Thief`] and the
//! [`Injector`] by anybody.
//!
//! 1. A local queue holds at most [`LOCAL_TASKS_MAX`] tasks of each priority (and one theft more); the rest goes to the injector.
//! 2. The slot holds the task woken last. It goes first, because its messages are in the cache, but at most
//!    [`SLOT_TURNS_MAX`] times before the same task of its priority, and never before one that the rotation puts first.
//! 3. A task that waits, here or in the injector, is reached after finitely many turns of a worker, whatever else arrives.

#![expect(
    clippy::indexing_slicing,
    reason = "levels are numbered by `Priority`, and every array here has one place for each"
)]

use crossbeam_deque as deque;

use crate::limits::{INJECTOR_TURNS, LOCAL_TASKS_MAX, SLOT_TURNS_MAX, STEAL_TASKS_MAX};
use crate::policy::{self, Priority};
use crate::runnable::Task;

const LEVELS: usize = Priority::COUNT;

/// Where tasks wait that belong to no worker. It is bounded by the number of tasks, for each is queued at most once.
pub(crate) struct Injector {
    levels: [deque::Injector<Task>; LEVELS],
}

impl Injector {
    pub(crate) fn new() -> Injector {
        Injector { levels: std::array::from_fn(|_| deque::Injector::new()) }
    }

    pub(crate) fn push(&self, task: Task) {
        self.levels[task.header().level()].push(task);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.levels.iter().all(deque::Injector::is_empty)
    }

    /// Takes one out; for emptying it at the end.
    pub(crate) fn pop(&self) -> Option<Task> {
        self.levels.iter().find_map(|level| insist(|| level.steal()))
    }
}

/// The end of a worker's queues that others steal from.
pub(crate) struct Thief {
    levels: [deque::Stealer<Task>; LEVELS],
}

impl Thief {
    pub(crate) fn is_empty(&self) -> bool {
        self.levels.iter().all(deque::Stealer::is_empty)
    }
}

/// A worker's own queues.
pub(crate) struct Local {
    levels: [deque::Worker<Task>; LEVELS],
    slot: Option<Task>,
    /// By priority: how often the slot has gone before a task that waits in that queue, since the queue had its last turn.
    slot_turns: [u32; LEVELS],
    turn: u64,
}

impl Local {
    pub(crate) fn new() -> Local {
        Local {
            levels: std::array::from_fn(|_| deque::Worker::new_fifo()),
            slot: None,
            slot_turns: [0; LEVELS],
            turn: 0,
        }
    }

    pub(crate) fn thief(&self) -> Thief {
        Thief { levels: std::array::from_fn(|level| self.levels[level].stealer()) }
    }

    /// A task was woken by the one that runs here. True: there is work for two.
    pub(crate) fn wake(&mut self, task: Task, injector: &Injector) -> bool {
        match self.slot.replace(task) {
            None => false,
            Some(displaced) => self.push(displaced, injector),
        }
    }

    /// A task goes behind the others of its priority. True: there is work for two.
    pub(crate) fn push(&mut self, task: Task, injector: &Injector) -> bool {
        let queue = &self.levels[task.header().level()];
        if queue.len() >= LOCAL_TASKS_MAX {
            injector.push(task);
            return true;
        }
        queue.push(task);
        policy::is_work_for_two(self.slot.is_some(), self.queued())
    }

    /// The slot's task goes where others can steal it. True: something waits.
    pub(crate) fn spill(&mut self, injector: &Injector) -> bool {
        if let Some(task) = self.slot.take() {
            self.push(task, injector);
        }
        self.queued() > 0
    }

    /// The task whose turn it is.
    pub(crate) fn next(&mut self, injector: &Injector) -> Option<Task> {
        self.turn = self.turn.wrapping_add(1);
        if self.turn & (INJECTOR_TURNS - 1) == 0 {
            for level in 0..LEVELS {
                self.fetch(injector, level);
            }
        } else if !injector.levels[Priority::High as usize].is_empty() {
            self.fetch(injector, Priority::High as usize);
        }
        let order = policy::order(self.turn);
        if self.slot.is_some()
            && let Some(task) = self.take_slot(order, injector)
        {
            return Some(task);
        }
        let (level, task) = order.iter().find_map(|&level| Some((level, self.levels[level].pop()?)))?;
        self.slot_turns[level] = 0;
        Some(task)
    }

    /// The slot's task, if it may go first; if it has gone before others of its priority too often it is put behind them.
    fn take_slot(&mut self, order: &[usize; LEVELS], injector: &Injector) -> Option<Task> {
        let task = self.slot.take()?;
        let own = task.header().level();
        let passes = !self.levels[own].is_empty();
        if passes && self.slot_turns[own] >= SLOT_TURNS_MAX {
            self.push(task, injector);
            return None;
        }
        let first = order.iter().take_while(|&&level| level != own).all(|&level| self.levels[level].is_empty());
        if !first {
            self.slot = Some(task);
            return None;
        }
        // What other queues were given in between does not count: those who wait here have waited all the same.
        self.slot_turns[own] = if passes { self.slot_turns[own] + 1 } else { 0 };
        Some(task)
    }

    /// Half of what waits in the injector, up to one theft. Also into a queue that is just full: otherwise the same tasks could
    /// fill it for ever, and those in the injector would never be reached.
    fn fetch(&self, injector: &Injector, level: usize) {
        let (from, to) = (&injector.levels[level], &self.levels[level]);
        if !from.is_empty() && to.len() <= LOCAL_TASKS_MAX {
            insist(|| from.steal_batch_with_limit(to, STEAL_TASKS_MAX));
        }
    }

    /// A task out of the injector, and some more into the own queues.
    pub(crate) fn take_from(&self, injector: &Injector) -> Option<Task> {
        injector.levels.iter().zip(&self.levels).find_map(|(from, to)| {
            if from.is_empty() { None } else { insist(|| from.steal_batch_with_limit_and_pop(to, STEAL_TASKS_MAX)) }
        })
    }

    /// A task out of another worker's queues, and up to half of the others into the own queues.
    pub(crate) fn steal_from(&self, thief: &Thief) -> Option<Task> {
        thief.levels.iter().zip(&self.levels).find_map(|(from, to)| {
            if from.is_empty() { None } else { insist(|| from.steal_batch_with_limit_and_pop(to, STEAL_TASKS_MAX)) }
        })
    }

    /// Takes everything out, whatever its order: for the end. (Dropping is not enough, for thieves share the queues.)
    pub(crate) fn drain(&mut self) -> Vec<Task> {
        let levels = self.levels.iter().flat_map(|level| std::iter::from_fn(|| level.pop()));
        levels.chain(self.slot.take()).collect()
    }

    fn queued(&self) -> usize {
        self.levels.iter().map(deque::Worker::len).sum()
    }
}

/// Tries until it has an answer: "retry" means that somebody else took one, so somebody makes progress.
fn insist<T>(mut steal: impl FnMut() -> deque::Steal<T>) -> Option<T> {
    loop {
        match steal() {
            deque::Steal::Success(found) => return Some(found),
            deque::Steal::Empty => return None,
            deque::Steal::Retry => std::hint::spin_loop(),
        }
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Header, Outcome, Runnable, Turn};

    struct Named {
        header: Header,
        name: usize,
    }

    impl Runnable for Named {
        fn header(&self) -> &Header {
            &self.header
        }
        fn run(&self, turn: &mut Turn<'_>) -> Outcome {
            turn.handled(self.name as u32);
            Outcome::Idle
        }
    }

    fn task(priority: Priority, name: usize) -> Task {
        Arc::new(Named { header: Header::new(priority), name })
    }

    /// The name comes back through what it reports.
    fn name(task: &Task) -> usize {
        let ticks = std::sync::atomic::AtomicU64::new(0);
        let mut turn = Turn::new(0, 1, 1, &ticks);
        task.run(&mut turn);
        turn.events() as usize
    }

    #[test]
    fn the_task_woken_last_goes_first_but_not_for_ever() {
        let (mut local, injector) = (Local::new(), Injector::new());
        local.push(task(Priority::Normal, 1), &injector);
        local.wake(task(Priority::Normal, 2), &injector);
        let mut before = 0;
        loop {
            let next = local.next(&injector).unwrap();
            if name(&next) == 1 {
                break;
            }
            before += 1;
            local.wake(next, &injector);
        }
        assert_eq!(before, SLOT_TURNS_MAX);
        assert_eq!(name(&local.next(&injector).unwrap()), 2, "and the slot's task was not lost");
        assert!(local.next(&injector).is_none());
    }

    #[test]
    fn a_low_task_runs_although_high_ones_never_end_and_the_slot_is_always_taken() {
        let (mut local, injector) = (Local::new(), Injector::new());
        local.push(task(Priority::Low, 9), &injector);
        local.push(task(Priority::Normal, 8), &injector);
        for n in 0..4 {
            local.push(task(Priority::High, n), &injector);
        }
        let mut waited = [None; 2];
        for turn in 0..400 {
            let next = local.next(&injector).unwrap();
            match name(&next) {
                9 => waited[0] = Some(turn),
                8 => waited[1] = Some(turn),
                n if n % 2 == 0 => drop(local.wake(next, &injector)),
                _ => drop(local.push(next, &injector)),
            }
        }
        let bound = (crate::limits::ROTATION_TURNS + u64::from(SLOT_TURNS_MAX)) as usize;
        assert!(waited.iter().all(|turn| turn.is_some_and(|turn| turn <= bound)), "{waited:?}");
    }

    #[test]
    fn a_task_behind_the_slot_runs_although_tasks_of_higher_priority_have_turns_in_between() {
        let (mut local, injector) = (Local::new(), Injector::new());
        local.push(task(Priority::High, 1), &injector);
        local.push(task(Priority::Normal, 9), &injector);
        local.wake(task(Priority::Normal, 2), &injector);
        // One that never rests, and one that is woken whenever it has run.
        let reached = (0..64 * (SLOT_TURNS_MAX + 1)).any(|_| {
            let next = local.next(&injector).unwrap();
            match name(&next) {
                1 => _ = local.push(next, &injector),
                2 => _ = local.wake(next, &injector),
                _ => return true,
            }
            false
        });
        assert!(reached);
    }

    #[test]
    fn a_full_queue_spills_into_the_injector_and_nothing_is_lost() {
        let (mut local, injector) = (Local::new(), Injector::new());
        let count = LOCAL_TASKS_MAX + 100;
        for n in 0..count {
            local.push(task(Priority::Normal, n), &injector);
        }
        assert_eq!(local.queued(), LOCAL_TASKS_MAX);
        assert!(!injector.is_empty());
        let mut seen = vec![false; count];
        while let Some(next) = local.next(&injector).or_else(|| local.take_from(&injector)) {
            assert!(!std::mem::replace(&mut seen[name(&next)], true));
        }
        assert!(seen.iter().all(|&seen| seen));
    }

    #[test]
    fn work_in_the_injector_is_found_by_a_worker_that_is_never_idle() {
        let (mut local, injector) = (Local::new(), Injector::new());
        local.push(task(Priority::Normal, 1), &injector);
        injector.push(task(Priority::Low, 2));
        let found = (0..4 * INJECTOR_TURNS).any(|_| {
            let next = local.next(&injector).unwrap();
            let found = name(&next) == 2;
            local.push(next, &injector);
            found
        });
        assert!(found);
    }

    #[test]
    fn more_tasks_that_never_rest_than_a_queue_holds_all_have_turns() {
        let (mut local, injector) = (Local::new(), Injector::new());
        let mut turns = vec![0; 3 * LOCAL_TASKS_MAX];
        for n in 0..turns.len() {
            local.push(task(Priority::Normal, n), &injector);
        }
        for _ in 0..40 * turns.len() {
            let next = local.next(&injector).unwrap();
            turns[name(&next)] += 1;
            local.push(next, &injector);
            assert!(local.queued() <= LOCAL_TASKS_MAX + STEAL_TASKS_MAX);
        }
        assert!(turns.iter().all(|&turns| turns >= 10), "the fewest: {:?}", turns.iter().min());
    }

    #[test]
    fn another_worker_is_called_only_when_there_is_work_for_two() {
        let (mut local, injector) = (Local::new(), Injector::new());
        assert!(!local.wake(task(Priority::Normal, 1), &injector), "one in the slot: the caller takes it");
        assert!(local.wake(task(Priority::Normal, 2), &injector));
        local.next(&injector);
        local.next(&injector);
        assert!(!local.push(task(Priority::Normal, 3), &injector));
        assert!(local.push(task(Priority::Normal, 4), &injector));
    }

    #[test]
    fn a_thief_takes_half_and_leaves_the_slot_until_it_is_spilt() {
        let (mut local, injector, other) = (Local::new(), Injector::new(), Local::new());
        let thief = local.thief();
        local.wake(task(Priority::Normal, 0), &injector);
        assert!(other.steal_from(&thief).is_none());
        assert!(local.spill(&injector));
        for n in 1..10 {
            local.push(task(Priority::Normal, n), &injector);
        }
        assert_eq!(name(&other.steal_from(&thief).unwrap()), 0);
        assert_eq!((local.queued(), other.queued()), (5, 4));
    }
}
