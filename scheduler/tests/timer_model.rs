//! The wheel against a model that is plainly right: a map ordered by (time, order of setting).

use std::collections::BTreeMap;

use pando_scheduler::{TimerId, Wheel};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Set {
        delay: u64,
    },
    SetPast {
        back: u64,
    },
    Cancel {
        which: usize,
    },
    /// Takes out what is due, but at most so many.
    Advance {
        by: u64,
        at_most: usize,
    },
    AdvanceToNext,
    Back {
        by: u64,
    },
}

/// Delays of every size, most of them near the edges of slots and levels.
fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..200u64,
        (0..64u32, 0..3u64).prop_map(|(bit, off)| (1u64 << bit).wrapping_add(off).wrapping_sub(1)),
        (0..45u32).prop_flat_map(|bit| 0..(1u64 << bit) + 1),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => delay().prop_map(|delay| Step::Set { delay }),
        1 => (0..1_000u64).prop_map(|back| Step::SetPast { back }),
        2 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        3 => (delay(), prop_oneof![Just(usize::MAX), 0..4usize]).prop_map(|(by, at_most)| Step::Advance { by, at_most }),
        3 => Just(Step::AdvanceToNext),
        1 => (0..1_000u64).prop_map(|back| Step::Back { by: back }),
    ]
}

#[derive(Default)]
struct Model {
    present: u64,
    set: u64,
    waiting: BTreeMap<(u64, u64), u64>,
}

impl Model {
    fn set(&mut self, at: u64) -> (u64, u64) {
        let key = (at.max(self.present), self.set);
        self.waiting.insert(key, self.set);
        self.set += 1;
        key
    }

    fn expire(&mut self, now: u64) -> Option<(u64, u64)> {
        match self.waiting.first_key_value() {
            Some((&(at, n), _)) if at <= now => {
                self.waiting.remove(&(at, n));
                self.present = at;
                Some((at, n))
            }
            _ => {
                self.present = self.present.max(now);
                None
            }
        }
    }
}

fn check(start: u64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut wheel = Wheel::new(start);
    let mut model = Model { present: start, ..Model::default() };
    let mut now = start;
    let mut ids: Vec<(TimerId, (u64, u64))> = Vec::new();
    for step in steps {
        match step {
            Step::Set { delay } => {
                let at = now.saturating_add(delay);
                let key = model.set(at);
                ids.push((wheel.set(at, key.1).unwrap(), key));
            }
            Step::SetPast { back } => {
                let at = now.saturating_sub(back);
                let key = model.set(at);
                ids.push((wheel.set(at, key.1).unwrap(), key));
            }
            Step::Cancel { which } => {
                if !ids.is_empty() {
                    // Also ids that have fired or were cancelled.
                    let (id, key) = ids[which % ids.len()];
                    prop_assert_eq!(wheel.cancel(id), model.waiting.remove(&key));
                }
            }
            Step::Advance { by, at_most } => {
                now = now.saturating_add(by);
                for _ in 0..at_most {
                    let (due, expected) = (wheel.expire(now), model.expire(now));
                    prop_assert_eq!(due.as_ref().map(|due| (due.at, due.payload)), expected);
                    if expected.is_none() {
                        break;
                    }
                }
            }
            Step::AdvanceToNext => {
                if let Some(next) = wheel.next() {
                    now = now.max(next);
                    let (due, expected) = (wheel.expire(next), model.expire(next));
                    prop_assert_eq!(due.map(|due| (due.at, due.payload)), expected);
                }
            }
            Step::Back { by } => {
                let earlier = now.saturating_sub(by);
                let (due, expected) = (wheel.expire(earlier), model.expire(earlier));
                prop_assert_eq!(due.map(|due| (due.at, due.payload)), expected);
            }
        }
        prop_assert_eq!(wheel.len(), model.waiting.len());
        prop_assert_eq!(wheel.next(), model.waiting.keys().next().map(|&(at, _)| at));
        prop_assert!(wheel.next_bound() <= wheel.next());
        prop_assert_eq!(wheel.present(), model.present);
    }
    while let Some(expected) = model.expire(u64::MAX) {
        prop_assert_eq!(wheel.expire(u64::MAX).map(|due| (due.at, due.payload)), Some(expected));
    }
    prop_assert!(wheel.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_wheel_gives_out_what_an_ordered_map_would(
        start in prop_oneof![Just(0u64), delay(), any::<u64>()],
        steps in prop::collection::vec(step(), 1..200),
    ) {
        check(start, steps)?;
    }
}
