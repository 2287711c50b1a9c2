//! Three groups that talk through a middle that loses, doubles, reorders and changes leaders: every saying is heard once.
//!
//! The groups are real: the replicated machine with a Wasm guest in it, its outbox, its stamps and its snapshots. What stands
//! between them in a realm (leaders, lanes, networks, logs that hold an entry twice) is drawn. At every moment what a group
//! has heard of another is a beginning of what that one said; and once the trouble ends it is all of it.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use pando_abi::{ActorId, Address, ModuleHash, NodeId, Rights, SpawnSpec};
use pando_actors::{Body, Capability, Class, Engine, EngineConfig, Exit, Module, Verdict};
use pando_raft::{Entry, Machine};
use parking_lot::Mutex;
use proptest::prelude::*;

use crate::{
    input::{Delivery, Input, SpawnOrder},
    outbox::{Item, Saying},
    replica::{
        Leading, NoModule, Output, Port, Replica,
        entry::{BATCH, BIRTH, Batch, BatchItem, Birth, ItemOutcome, Outcome, Stamp},
    },
    wire,
};

const GROUPS: usize = 3;

/// Told `!hname` it sends `name` to handle h; told anything else it writes that down.
const GUEST: &str = r#"(module
    (import "pando_1" "send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
    (import "pando_1" "log" (func $log (param i32 i32 i32)))
    (memory (export "memory") 1)
    (func (export "pando_inbox") (param i32) (result i32) (i32.const 1024))
    (func (export "pando_receive") (param i32)
      (local $body i32) (local $len i32)
      (if (i32.ne (i32.load16_u (i32.const 1024)) (i32.const 1)) (then (return)))
      (local.set $len (i32.load (i32.const 1060)))
      (local.set $body (i32.and (i32.add (i32.const 1079) (i32.mul (i32.const 4) (i32.load16_u (i32.const 1028)))) (i32.const -8)))
      (if (i32.eq (i32.load8_u (local.get $body)) (i32.const 33))
        (then (drop (call $send (i32.load8_u offset=1 (local.get $body))
          (i32.add (local.get $body) (i32.const 2)) (i32.sub (local.get $len) (i32.const 2)) (i32.const 0) (i32.const 0))))
        (else (call $log (i32.const 3) (local.get $body) (local.get $len))))))"#;

fn module() -> Arc<Module> {
    static MODULE: OnceLock<(Engine, Arc<Module>)> = OnceLock::new();
    let made = MODULE.get_or_init(|| {
        let config = EngineConfig { cache_dir: None, on_epoch: Arc::new(|| Verdict::Continue) };
        let engine = Engine::new(config).unwrap();
        let module = engine.load(&wat::parse_str(GUEST).unwrap(), Class::Replicated).unwrap();
        (engine, module)
    });
    made.1.clone()
}

/// What a leader lets out, and what its guest writes down.
#[derive(Default)]
struct Ear {
    said: Mutex<Vec<Item>>,
    lines: Mutex<Vec<String>>,
}

impl Port for Ear {
    fn module(&self, _: ModuleHash) -> Result<Arc<Module>, NoModule> {
        Ok(module())
    }
    fn leads(&self, _: ActorId, _: u64, standing: Leading) {
        self.said.lock().extend(standing.items);
    }
    fn follows(&self, _: ActorId) {}
    fn effects(&self, _: ActorId, output: Output) {
        self.said.lock().extend(output.items);
        self.lines.lock().extend(output.logs.into_iter().map(|(_, text)| text));
    }
    fn ended(&self, group: ActorId, exit: &Exit) {
        panic!("{group} has ended: {exit}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A person tells a group to say something to another.
    Tell {
        group: usize,
        to: usize,
    },
    /// A saying on its way arrives, with the next one in the same batch, or comes again later, or stands in the log twice.
    Arrive {
        which: usize,
        batch: usize,
        again: bool,
        logged_twice: bool,
    },
    Lose(usize),
    /// That a saying was heard comes home, or comes again later.
    Heard {
        which: usize,
        again: bool,
    },
    HeardLost(usize),
    /// Another replica leads, and lets out what it does not know to be heard.
    Lead(usize),
    /// The group comes out of its snapshot on another node, which leads.
    Restore(usize),
}

struct World {
    replicas: Vec<Replica>,
    ears: Vec<Arc<Ear>>,
    index: u64,
    term: u64,
    /// On its way: who said it, and what.
    sayings: Vec<(usize, Item)>,
    /// On their way home: whose saying, to whom, up to which.
    acks: Vec<(usize, Address, u64)>,
    /// What each group was told to say to each other one.
    said: [[Vec<String>; GROUPS]; GROUPS],
    /// Numbers that each group gave to what it said to each other one, and the highest of them that is known to be heard.
    given: [[(BTreeSet<u64>, u64); GROUPS]; GROUPS],
}

fn group(n: usize) -> ActorId {
    ActorId([n as u8 + 1; 16])
}

fn of(address: Address) -> usize {
    usize::from(address.id.0[0]) - 1
}

impl World {
    fn new() -> World {
        let ears: Vec<Arc<Ear>> = (0..GROUPS).map(|_| Arc::default()).collect();
        let replicas = (0..GROUPS).map(|n| Replica::new(group(n), NodeId(1), ears[n].clone())).collect();
        let mut world = World {
            replicas,
            ears,
            index: 0,
            term: 1,
            sayings: Vec::new(),
            acks: Vec::new(),
            said: Default::default(),
            given: Default::default(),
        };
        for n in 0..GROUPS {
            world.replicas[n].role(true, 1);
            let peers = (0..GROUPS).map(|p| Capability::actor(Address::group(group(p)), Rights::PEER));
            let order = SpawnOrder {
                child: Address::group(group(n)),
                spec: SpawnSpec { replicas: 1, ..SpawnSpec::new() },
                args: Body::new(),
                handles: peers.collect(),
                parent: Capability::actor(Address::actor(NodeId(1), ActorId([99; 16])), Rights::NONE),
                realm: None,
            };
            let birth = Birth {
                epoch: 1,
                engine: crate::launch::ENGINE.into(),
                abi: pando_abi::IMPORT_MODULE.into(),
                order: (&order).into(),
                module: module().hash().0,
            };
            world.log(n, BIRTH, wire::encode(&birth), 1);
        }
        world
    }

    /// Puts an entry into a group's log, perhaps twice, as a retried proposal does. Gives what its proposer hears.
    fn log(&mut self, n: usize, kind: u16, payload: Vec<u8>, times: usize) -> Vec<ItemOutcome> {
        self.index += 1;
        let entry =
            Entry { origin: [7; 16], incarnation: 1, seq: self.index, epoch: 1, kind, payload, ..Entry::default() };
        let outcomes: Vec<Vec<u8>> = (0..times)
            .map(|_| {
                self.index += 1;
                self.replicas[n].apply(self.index, &entry).outcome
            })
            .collect();
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "one entry, two outcomes");
        let fresh = std::mem::take(&mut *self.ears[n].said.lock());
        fresh.iter().for_each(|item| _ = self.given[n][of(item.to)].0.insert(item.seq));
        self.sayings.extend(fresh.into_iter().map(|item| (n, item)));
        match wire::decode(&outcomes[0], 1 << 20).unwrap() {
            Outcome::Items(items) => items,
            other => panic!("{other:?}"),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Tell { group: n, to } => {
                let name = format!("{n}.{}", self.said[n][to].len());
                let mut body = vec![b'!', 3 + to as u8];
                body.extend(name.as_bytes());
                self.said[n][to].push(name);
                let from = Address::actor(NodeId(1), ActorId([99; 16]));
                let delivery = Delivery::new(from, pando_actors::Message::bytes(&body));
                let input = (&Input::Message(Box::new(delivery))).into();
                let batch = Batch { acks: Vec::new(), items: vec![BatchItem { stamp: None, input }] };
                self.log(n, BATCH, wire::encode(&batch), 1);
            }
            Step::Arrive { which, batch, again, logged_twice } => {
                if self.sayings.is_empty() {
                    return;
                }
                let place = which % self.sayings.len();
                let to = self.sayings[place].1.to;
                let taken: Vec<(usize, Item)> =
                    self.sayings[place..].iter().filter(|(_, item)| item.to == to).take(batch).cloned().collect();
                if !again {
                    self.sayings.remove(place);
                }
                self.arrive(of(to), &taken, 1 + usize::from(logged_twice));
            }
            Step::Lose(which) => lose(&mut self.sayings, which),
            Step::Heard { which, again } => {
                if self.acks.is_empty() {
                    return;
                }
                let place = which % self.acks.len();
                let (owner, to, seq) = if again { self.acks[place] } else { self.acks.swap_remove(place) };
                self.heard(owner, to, seq);
            }
            Step::HeardLost(which) => lose(&mut self.acks, which),
            Step::Lead(n) => self.lead(n),
            Step::Restore(n) => {
                let snapshot = self.replicas[n].snapshot();
                let mut fresh = Replica::new(group(n), NodeId(2), self.ears[n].clone());
                fresh.restore(&snapshot).unwrap();
                self.replicas[n] = fresh;
                self.lead(n);
            }
        }
        self.check(false);
    }

    fn arrive(&mut self, n: usize, items: &[(usize, Item)], times: usize) {
        let stamped = |(from, item): &(usize, Item)| {
            let Saying::Deliver(input) = &item.saying else { panic!("nobody spawns here") };
            // As soon as anybody may: when all before it is known to be heard, whoever knows it.
            let (given, known) = &self.given[*from][n];
            let begins = given.range(..item.seq).next_back().is_none_or(|before| before <= known);
            BatchItem { stamp: Some(Stamp { group: group(*from).0, seq: item.seq, begins }), input: input.into() }
        };
        let batch = Batch { acks: Vec::new(), items: items.iter().map(stamped).collect() };
        let outcomes = self.log(n, BATCH, wire::encode(&batch), times);
        for ((from, item), outcome) in items.iter().zip(outcomes) {
            match outcome {
                ItemOutcome::Done | ItemOutcome::Duplicate => {
                    let known = &mut self.given[*from][n].1;
                    *known = item.seq.max(*known);
                    self.acks.push((*from, item.to, item.seq));
                }
                ItemOutcome::Gap { expected } => assert!(expected < item.seq),
                other => panic!("{other:?}"),
            }
        }
    }

    fn heard(&mut self, owner: usize, to: Address, seq: u64) {
        let batch = Batch { acks: vec![(to.into(), seq)], items: Vec::new() };
        self.log(owner, BATCH, wire::encode(&batch), 1);
    }

    fn lead(&mut self, n: usize) {
        self.term += 1;
        self.replicas[n].role(false, self.term);
        self.replicas[n].role(true, self.term);
        let again = std::mem::take(&mut *self.ears[n].said.lock());
        self.sayings.extend(again.into_iter().map(|item| (n, item)));
    }

    /// What was heard is a beginning of what was said, or all of it.
    fn check(&self, all: bool) {
        for to in 0..GROUPS {
            let lines = self.ears[to].lines.lock();
            for from in 0..GROUPS {
                let heard: Vec<&String> = lines.iter().filter(|l| l.starts_with(&format!("{from}."))).collect();
                let said = &self.said[from][to];
                assert!(
                    said.iter().zip(&heard).all(|(s, h)| s == *h) && heard.len() <= said.len(),
                    "{heard:?} of {said:?}"
                );
                assert!(!all || heard.len() == said.len(), "{from} to {to}: {heard:?} of {said:?}");
            }
        }
    }

    /// From now on everything arrives.
    fn heal(&mut self) {
        self.sayings.clear();
        self.acks.clear();
        (0..GROUPS).for_each(|n| self.lead(n));
        while !self.sayings.is_empty() {
            let (from, item) = self.sayings.remove(0);
            self.arrive(of(item.to), &[(from, item)], 1);
            for (owner, to, seq) in std::mem::take(&mut self.acks) {
                self.heard(owner, to, seq);
            }
        }
        self.check(true);
        for replica in &self.replicas {
            assert_eq!(replica.figures().3, 0, "something said is still thought unheard");
        }
    }
}

fn lose<T>(of: &mut Vec<T>, which: usize) {
    if !of.is_empty() {
        of.swap_remove(which % of.len());
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..GROUPS, 0..GROUPS).prop_map(|(group, to)| Step::Tell { group, to }),
        8 => (any::<usize>(), 1..4usize, prop::bool::weighted(0.3), prop::bool::weighted(0.2))
            .prop_map(|(which, batch, again, logged_twice)| Step::Arrive { which, batch, again, logged_twice }),
        2 => any::<usize>().prop_map(Step::Lose),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(which, again)| Step::Heard { which, again }),
        1 => any::<usize>().prop_map(Step::HeardLost),
        1 => (0..GROUPS).prop_map(Step::Lead),
        1 => (0..GROUPS).prop_map(Step::Restore),
    ]
}

proptest! {
    #![proptest_config(crate::testing::cases(1_000))]

    #[test]
    fn between_groups_everything_said_is_heard_once_and_in_order(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        world.heal();
    }
}
