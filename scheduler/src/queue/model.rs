//! Random pushes, wakes, turns and thefts against the set of tasks that wait.
//!
//! Holds the invariants of [`super`]: a task that was put in comes out once, wherever it went in between; those of one
//! priority in their order, but for the slot; and whatever waits is reached within a bound that does not depend on what else
//! arrives.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Injector, LEVELS, Local};
use crate::limits::{INJECTOR_TURNS, ROTATION_TURNS, SLOT_TURNS_MAX};
use crate::policy::Priority;
use crate::runnable::{Outcome, Runnable, Task};
use crate::{Header, Turn};

struct Named {
    header: Header,
    name: u32,
}

impl Runnable for Named {
    fn header(&self) -> &Header {
        &self.header
    }
    fn run(&self, turn: &mut Turn<'_>) -> Outcome {
        turn.handled(self.name);
        Outcome::Idle
    }
}

fn name(task: &Task) -> u32 {
    let ticks = std::sync::atomic::AtomicU64::new(0);
    let mut turn = Turn::new(0, 1, 1, &ticks);
    task.run(&mut turn);
    turn.events()
}

#[derive(Clone, Debug)]
enum Step {
    Push { worker: usize, level: usize },
    Wake { worker: usize, level: usize },
    Inject { level: usize },
    Next { worker: usize },
    TakeFrom { worker: usize },
    Steal { thief: usize, from: usize },
    Spill { worker: usize },
}

const WORKERS: usize = 3;

#[derive(Default)]
struct World {
    injector: Option<Injector>,
    locals: Vec<Local>,
    waiting: BTreeMap<u32, usize>,
    made: u32,
}

impl World {
    fn new() -> World {
        World {
            injector: Some(Injector::new()),
            locals: (0..WORKERS).map(|_| Local::new()).collect(),
            ..World::default()
        }
    }

    fn task(&mut self, level: usize) -> Task {
        self.made += 1;
        self.waiting.insert(self.made, level);
        Arc::new(Named { header: Header::new(Priority::of_level(level)), name: self.made })
    }

    fn out(&mut self, task: Option<Task>) -> Result<(), TestCaseError> {
        if let Some(task) = task {
            let known = self.waiting.remove(&name(&task));
            prop_assert_eq!(known, Some(task.header().level()), "a task comes out twice");
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let injector = self.injector.take().expect("between two steps it is there");
        let found = match *step {
            Step::Push { worker, level } => {
                let task = self.task(level);
                self.locals[worker].push(task, &injector);
                None
            }
            Step::Wake { worker, level } => {
                let task = self.task(level);
                self.locals[worker].wake(task, &injector);
                None
            }
            Step::Inject { level } => {
                let task = self.task(level);
                injector.push(task);
                None
            }
            Step::Next { worker } => self.locals[worker].next(&injector),
            Step::TakeFrom { worker } => self.locals[worker].take_from(&injector),
            Step::Steal { thief, from } if thief != from => {
                let end = self.locals[from].thief();
                self.locals[thief].steal_from(&end)
            }
            Step::Steal { .. } => None,
            Step::Spill { worker } => {
                let waits = self.locals[worker].spill(&injector);
                prop_assert_eq!(
                    waits,
                    !self.locals[worker].thief().is_empty(),
                    "it says whether a thief finds something"
                );
                None
            }
        };
        self.injector = Some(injector);
        self.out(found)
    }

    /// Everything that waits comes out, and nothing else.
    fn empty(&mut self) -> Result<(), TestCaseError> {
        let mut found = Vec::new();
        let injector = self.injector.take().expect("it is there");
        self.locals.iter_mut().for_each(|local| found.extend(local.drain()));
        found.extend(std::iter::from_fn(|| injector.pop()));
        for task in found {
            self.out(Some(task))?;
        }
        prop_assert!(self.waiting.is_empty(), "lost: {:?}", self.waiting);
        Ok(())
    }
}

fn step() -> impl Strategy<Value = Step> {
    let worker = || 0..WORKERS;
    let level = || 0..LEVELS;
    prop_oneof![
        3 => (worker(), level()).prop_map(|(worker, level)| Step::Push { worker, level }),
        3 => (worker(), level()).prop_map(|(worker, level)| Step::Wake { worker, level }),
        1 => level().prop_map(|level| Step::Inject { level }),
        5 => worker().prop_map(|worker| Step::Next { worker }),
        1 => worker().prop_map(|worker| Step::TakeFrom { worker }),
        1 => (worker(), worker()).prop_map(|(thief, from)| Step::Steal { thief, from }),
        1 => worker().prop_map(|worker| Step::Spill { worker }),
    ]
}

/// So many random cases, or as many as `PANDO_CASES` says.
fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PANDO_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn a_task_that_was_put_in_comes_out_once_whoever_takes_it(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step)?;
        }
        world.empty()?;
    }

    /// One task waits, in a queue or in the injector, and others are put before it by every means and at every turn.
    #[test]
    fn whatever_waits_is_reached_within_a_bound_whatever_else_arrives(
        level in 0..LEVELS,
        injected in any::<bool>(),
        before in prop::collection::vec(0..LEVELS, 0..12),
        busy in prop::collection::vec((0..LEVELS, any::<bool>()), 1..6),
    ) {
        let (injector, mut local) = (Injector::new(), Local::new());
        let task = |level: usize, name: u32| -> Task {
            Arc::new(Named { header: Header::new(Priority::of_level(level)), name })
        };
        for level in &before {
            if injected { injector.push(task(*level, 1)) } else { _ = local.push(task(*level, 1), &injector) }
        }
        if injected { injector.push(task(level, 7)) } else { _ = local.push(task(level, 7), &injector) }
        // For each that is ahead of it: a round of the rotation, as often as the slot may go first; and the way out of the
        // injector.
        let ahead = (before.len() + busy.len() + 1) as u64;
        let most = (ahead + 2) * (ROTATION_TURNS * u64::from(SLOT_TURNS_MAX + 1) + INJECTOR_TURNS);
        for (level, _) in &busy {
            local.push(task(*level, 2), &injector);
        }
        let mut reached = false;
        for turn in 0..most {
            let Some(next) = local.next(&injector).or_else(|| local.take_from(&injector)) else { break };
            if name(&next) == 7 {
                reached = true;
                break;
            }
            if name(&next) == 2 {
                // It never rests: it is back at once, at the end of its queue or in the slot.
                let again = busy[turn as usize % busy.len()].1;
                if again { local.wake(next, &injector) } else { local.push(next, &injector) };
            }
        }
        prop_assert!(reached, "it waits for more than {most} turns");
    }
}
