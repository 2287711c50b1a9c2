//! Random uses of a table against a map that is plainly right, and guesses.
//!
//! Holds the invariants of [`super`]: what is held is what was put in and not taken out, rights included; whatever else is
//! asked for is not there; and what is taken back leaves no trace.

use std::collections::{BTreeMap, BTreeSet};

use pando_abi::{ActorId, Address, Handle, NodeId, Rights, limits};
use proptest::prelude::*;

use super::{Kind, Table};
use crate::Capability;

#[derive(Clone, Debug)]
enum Step {
    Insert {
        to: u8,
        rights: u32,
    },
    Remove(usize),
    /// A handle that was taken out before.
    RemoveOld(usize),
    Open(usize),
    Close {
        kind: usize,
        which: usize,
    },
    /// What was done since the last event stays, or goes.
    Event {
        undone: bool,
    },
    /// Out of its parts, as from an image.
    Rest,
}

/// Everything that can be told of a table.
#[derive(Clone, Default, Debug)]
struct Model {
    held: BTreeMap<Handle, Capability>,
    old: Vec<Handle>,
    open: [BTreeSet<u64>; 4],
    last: [u64; 4],
    /// The free slots in the order in which they come to be used, as of the last event that stayed.
    free: Vec<Handle>,
}

fn cap(to: u8, rights: u32) -> Capability {
    Capability::actor(Address::actor(NodeId(1), ActorId([to; 16])), Rights(rights & 0x7f))
}

fn nth<T: Copy>(mut of: impl ExactSizeIterator<Item = T>, which: usize) -> Option<T> {
    let len = of.len();
    if len == 0 { None } else { of.nth(which % len) }
}

#[derive(Default)]
struct World {
    table: Table,
    model: Model,
    before: Model,
}

impl World {
    fn step(&mut self, step: &Step) {
        let World { table, model, before } = self;
        match *step {
            Step::Insert { to, rights } => {
                let made = table.insert(cap(to, rights)).unwrap();
                assert!(model.held.insert(made, cap(to, rights)).is_none(), "{made:?} was held already");
                // Histories are shorter than it takes for a generation to come again.
                assert!(!model.old.contains(&made), "{made:?} was dropped, and means something else now");
            }
            Step::Remove(which) => {
                if let Some(handle) = nth(model.held.keys().copied(), which) {
                    assert_eq!(table.remove(handle), model.held.remove(&handle));
                    model.old.push(handle);
                }
            }
            Step::RemoveOld(which) => {
                if let Some(handle) = nth(model.old.iter().copied(), which) {
                    assert_eq!(table.get(handle), None, "{handle:?} was dropped");
                    assert_eq!(table.remove(handle), None, "{handle:?} was dropped");
                }
            }
            Step::Open(kind) => {
                model.last[kind] += 1;
                assert_eq!(table.open(Kind::ALL[kind]), Some(model.last[kind]));
                model.open[kind].insert(model.last[kind]);
            }
            Step::Close { kind, which } => {
                // Also some that are not out, or never were.
                let id = which as u64 % (model.last[kind] + 2);
                assert_eq!(table.close(Kind::ALL[kind], id), model.open[kind].remove(&id));
                assert_eq!(table.was_opened(Kind::ALL[kind], id), id >= 1 && id <= model.last[kind]);
            }
            Step::Event { undone: true } => {
                table.undo_all();
                *model = before.clone();
                assert_eq!(table.free().collect::<Vec<_>>(), model.free, "it would hand out other handles than before");
            }
            Step::Event { undone: false } => {
                table.forget_log();
                model.free = table.free().collect();
                *before = model.clone();
            }
            Step::Rest => {
                let open = Kind::ALL.map(|kind| table.opened(kind).to_vec());
                let held: Vec<_> = table.held().map(|(handle, cap)| (handle, *cap)).collect();
                let free: Vec<_> = table.free().collect();
                *table = Table::from_parts(held.into_iter(), free.into_iter(), table.last(), open).unwrap();
                model.free = table.free().collect();
                *before = model.clone();
            }
        }
        self.agree();
    }

    fn agree(&self) {
        let World { table, model, .. } = self;
        let held: BTreeMap<Handle, Capability> = table.held().map(|(handle, cap)| (handle, *cap)).collect();
        assert_eq!(held, model.held);
        assert_eq!((table.len(), table.room()), (held.len(), limits::HANDLES_MAX - held.len()));
        for (kind, open) in Kind::ALL.into_iter().zip(&model.open) {
            assert_eq!(table.opened(kind), open.iter().copied().collect::<Vec<_>>());
        }
        assert_eq!(table.last(), model.last);
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<u8>(), any::<u32>()).prop_map(|(to, rights)| Step::Insert { to, rights }),
        6 => any::<usize>().prop_map(Step::Remove),
        2 => any::<usize>().prop_map(Step::RemoveOld),
        2 => (0..4usize).prop_map(Step::Open),
        2 => (0..4usize, any::<usize>()).prop_map(|(kind, which)| Step::Close { kind, which }),
        2 => any::<bool>().prop_map(|undone| Step::Event { undone }),
        1 => Just(Step::Rest),
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
    fn a_table_holds_what_a_map_would(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::default();
        steps.iter().for_each(|step| world.step(step));
    }
}

/// `PANDO_GUESSES` says how many, in place of 200,000.
#[test]
fn a_guessed_handle_is_held_only_if_it_was_given() {
    let guesses: u64 = std::env::var("PANDO_GUESSES").ok().and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        state >> 24
    };
    let (mut table, mut held) = (Table::default(), BTreeMap::new());
    let (mut hits, mut near) = (0u64, 0u64);
    let start = std::time::Instant::now();
    for guess in 0..guesses {
        // The table lives meanwhile: slots come and go, and most have been used before.
        if guess % 8 == 0 {
            let gone = nth(held.keys().copied(), random() as usize).filter(|_| held.len() > 500 || random() % 2 == 0);
            match gone {
                Some(gone) => assert_eq!(table.remove(gone), held.remove(&gone)),
                None => {
                    let new = cap(random() as u8, random() as u32);
                    assert!(held.insert(table.insert(new).unwrap(), new).is_none());
                    table.forget_log();
                }
            }
        }
        let anywhere = Handle(random() as u32);
        // Near what there is: a slot in use with another generation, a slot just beyond the end.
        let close = Handle::new(random() as u32 % 600, random() as u32 % 16);
        for handle in [anywhere, close] {
            assert_eq!(table.get(handle), held.get(&handle), "{handle:?}");
            hits += u64::from(held.contains_key(&handle));
            near += u64::from(handle.slot() < 600);
        }
    }
    eprintln!(
        "{} guesses in {:.1?}: {near} at slots in use, {hits} of them named what the actor held, none what it did not",
        2 * guesses,
        start.elapsed()
    );
}
