//! What a group promises about its code and about what became of calls, on the machine itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use pando_abi::{ActorId, Address, Errno, Home, ModuleHash, NodeId, Restart, Rights, SpawnSpec, id::service};
use pando_actors::{Body, Capability, Class, Engine, EngineConfig, Exit, Handles, Message, Module, Verdict};
use pando_raft::{Entry, Machine};
use parking_lot::Mutex;

use super::{
    Leading, NoModule, Output, Port, Replica,
    entry::{BATCH, BIRTH, Batch, BatchItem, Birth, ItemOutcome, Outcome, Switched, UPGRADE, Upgrade},
};
use crate::{
    input::{Delivery, Input, Key, ReplyTo, SpawnOrder},
    outbox::{Item, Saying},
    served::Found,
    wire,
};

/// Byte 0: 0 add one and answer value + `BASE`; 1 keep the caller waiting; 2 trap; 3 send 16,000 messages to a friend.
fn text(base: u32, import: &str) -> String {
    format!(
        r#"(module
        (import "pando_1" "reply" (func $reply (param i32 i32 i32 i32 i32 i32) (result i32)))
        (import "pando_1" "exit" (func $exit (param i32 i32 i32)))
        (import "pando_1" "send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "pando_inbox") (param i32) (result i32) (i32.const 1024))
        (func $body (result i32)
          (i32.and (i32.add (i32.const 1079) (i32.mul (i32.const 4) (i32.load16_u (i32.const 1028)))) (i32.const -8)))
        (func (export "pando_receive") (param i32)
          (local $n i32)
          (if (i32.ne (i32.load16_u (i32.const 1024)) (i32.const 1)) (then (return)))
          (local.set $n (i32.load8_u (call $body)))
          (if (i32.eq (local.get $n) (i32.const 2)) (then (unreachable)))
          (if (i32.eq (local.get $n) (i32.const 3)) (then
            (loop $more
              (drop (call $send (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
              (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 16003))))
            (return)))
          (if (i32.eqz (local.get $n)) (then
            (i64.store (i32.const 4096) (i64.add (i64.load (i32.const 4096)) (i64.const 1)))
            (i64.store (i32.const 512) (i64.add (i64.load (i32.const 4096)) (i64.const {base})))
            (drop (call $reply (i32.load (i32.const 1056)) (i32.const 0) (i32.const 512) (i32.const 8) (i32.const 0) (i32.const 0))))))
        (func (export "pando_export_state") (result i64)
          (i32.store (i32.const 2048) (i32.const 1))
          (i64.store (i32.const 2056) (i64.load (i32.const 4096)))
          (i64.const 0x1000000800))
        (func (export "pando_import_state") (param i32)
          {import}
          (i64.store (i32.const 4096) (i64.load (call $body)))))"#
    )
}

fn load(text: &str) -> Arc<Module> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        Engine::new(EngineConfig { cache_dir: None, on_epoch: Arc::new(|| Verdict::Continue) }).unwrap()
    });
    engine.load(&wat::parse_str(text).unwrap(), Class::Replicated).unwrap()
}

/// A node's modules, and what its replica lets out.
#[derive(Default)]
struct Node {
    modules: Mutex<BTreeMap<ModuleHash, Arc<Module>>>,
    said: Mutex<Vec<Item>>,
    epochs: Mutex<Vec<(u32, ModuleHash)>>,
    unsaid: Mutex<Vec<(Address, Input)>>,
}

impl Port for Node {
    fn module(&self, hash: ModuleHash) -> Result<Arc<Module>, NoModule> {
        self.modules.lock().get(&hash).cloned().ok_or_else(|| NoModule::Absent("it is not here".into()))
    }
    fn leads(&self, _: ActorId, _: u64, standing: Leading) {
        self.epochs.lock().extend(standing.epoch);
    }
    fn follows(&self, _: ActorId) {}
    fn effects(&self, _: ActorId, output: Output) {
        self.said.lock().extend(output.items);
        self.epochs.lock().extend(output.epoch);
        self.unsaid.lock().extend(output.unsaid);
    }
    fn ended(&self, _: ActorId, _: &Exit) {}
}

fn friend() -> Address {
    Address::actor(NodeId(2), ActorId([66; 16]))
}

const GROUP: ActorId = ActorId([5; 16]);

/// One group on as many nodes as there are replicas; all of them apply what is logged, and must agree.
struct World {
    nodes: Vec<Arc<Node>>,
    replicas: Vec<Replica>,
    index: u64,
    seq: u64,
    calls: u64,
    /// What is logged is skipped.
    skips: bool,
}

impl World {
    fn new(modules: &[&Arc<Module>]) -> World {
        let nodes: Vec<Arc<Node>> = (0..3).map(|_| Arc::default()).collect();
        for node in &nodes {
            node.modules.lock().extend(modules.iter().map(|m| (m.hash(), (*m).clone())));
        }
        let replicas = (1..).zip(&nodes).map(|(n, node)| Replica::new(GROUP, NodeId(n), node.clone())).collect();
        let mut world = World { nodes, replicas, index: 0, seq: 0, calls: 0, skips: false };
        world.replicas[0].role(true, 1);
        let spec = SpawnSpec { replicas: 3, restart: Restart::OnFailure as u8, ..SpawnSpec::new() };
        let order = SpawnOrder {
            child: Address::group(GROUP),
            spec,
            args: Body::new(),
            handles: Handles::from_slice(&[Capability::actor(friend(), Rights::PEER)]),
            parent: Capability::actor(Address::actor(NodeId(1), ActorId([99; 16])), Rights::NONE),
            realm: None,
        };
        let birth = Birth {
            epoch: 1,
            engine: crate::launch::ENGINE.into(),
            abi: pando_abi::IMPORT_MODULE.into(),
            order: (&order).into(),
            module: modules[0].hash().0,
        };
        world.log(BIRTH, wire::encode(&birth));
        world
    }

    fn log(&mut self, kind: u16, payload: Vec<u8>) -> Outcome {
        self.seq += 1;
        self.log_again(kind, payload)
    }

    /// The latest entry stands in the log once more.
    fn log_again(&mut self, kind: u16, payload: Vec<u8>) -> Outcome {
        self.index += 1;
        let entry =
            Entry { origin: [7; 16], incarnation: 1, seq: self.seq, epoch: 1, kind, payload, ..Entry::default() };
        let apply = |replica: &mut Replica| match self.skips {
            true => replica.skip(self.index, &entry),
            false => replica.apply(self.index, &entry),
        };
        let applied: Vec<_> = self.replicas.iter_mut().map(apply).collect();
        let roots: Vec<_> = self.replicas.iter_mut().map(Replica::batch_end).collect();
        assert!(applied.iter().all(|a| *a == applied[0]), "replicas answer differently");
        assert!(roots.iter().all(|r| *r == roots[0]), "replicas differ");
        wire::decode(&applied[0].outcome, 1 << 20).unwrap()
    }

    fn input(&mut self, input: &Input) -> ItemOutcome {
        let batch = Batch { acks: Vec::new(), items: vec![BatchItem { stamp: None, input: input.into() }] };
        match self.log(BATCH, wire::encode(&batch)) {
            Outcome::Items(mut items) => items.remove(0),
            other => panic!("{other:?}"),
        }
    }

    fn call(&mut self, body: &[u8], seq: u64) -> ItemOutcome {
        let message = Message::bytes(body);
        let (reply, key) = (Some(self.console()), Some(Box::new(key(seq))));
        let from = Address::service(service::CONSOLE);
        self.input(&Input::Message(Box::new(Delivery { reply, key, ..Delivery::new(from, message) })))
    }

    fn value(&mut self, seq: u64) -> u64 {
        match self.call(&[0], seq) {
            ItemOutcome::Answered { status: 0, message, .. } => {
                u64::from_le_bytes(message.open().unwrap().body[..].try_into().unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    fn outcome(&mut self, seq: u64) -> Found {
        let reply = self.console();
        match self.input(&Input::Outcome { key: key(seq), reply }) {
            ItemOutcome::Answered { status, message, index } => {
                Found::open(status, Box::new(message.open().unwrap()), index).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    fn console(&mut self) -> ReplyTo {
        self.calls += 1;
        let address = Address { home: Home::Service, node: NodeId(1), ..Address::service(service::CONSOLE) };
        ReplyTo { address, token: self.calls }
    }

    fn upgrade(&mut self, module: &Module) -> Switched {
        match self.log(UPGRADE, upgrade(module)) {
            Outcome::Switched(switched) => switched,
            other => panic!("{other:?}"),
        }
    }
}

fn upgrade(module: &Module) -> Vec<u8> {
    let (engine, abi) = (crate::launch::ENGINE.into(), pando_abi::IMPORT_MODULE.into());
    wire::encode(&Upgrade { engine, abi, module: module.hash().0 })
}

fn key(seq: u64) -> Key {
    Key { origin: ActorId([3; 16]), incarnation: 8, seq }
}

#[test]
fn all_replicas_switch_at_one_index_and_the_epoch_stands_in_state_and_snapshot() {
    let (old, new) = (load(&text(0, "")), load(&text(1_000, "")));
    let mut world = World::new(&[&old, &new]);
    assert_eq!((world.value(1), world.value(2)), (1, 2));
    let done = Switched::Done { epoch: 2, version: Some(1), already: false };
    assert_eq!(world.upgrade(&new), done);
    assert_eq!(*world.nodes[0].epochs.lock(), [(2, new.hash())], "the leader tells the realm");
    assert!(world.nodes[1].epochs.lock().is_empty());
    // A proposal that was retried stands in the log twice, and switches once.
    assert!(matches!(world.log_again(UPGRADE, upgrade(&new)), Outcome::Switched(again) if again == done));
    assert_eq!(world.value(3), 1_003);
    assert_eq!(world.upgrade(&new), Switched::Done { epoch: 2, version: None, already: true });
    // A replica that comes out of the snapshot runs the new code, and needs the old one no more.
    let image = world.replicas[0].snapshot();
    let node = Arc::new(Node::default());
    node.modules.lock().insert(new.hash(), new.clone());
    let mut lagging = Replica::new(GROUP, NodeId(3), node.clone());
    lagging.restore(&image).unwrap();
    assert_eq!(lagging.epoch(), Some((2, new.hash())));
    world.replicas[2] = lagging;
    assert_eq!(world.value(4), 1_004);
    world.replicas[2].role(true, 2);
    assert_eq!(*node.epochs.lock(), [(2, new.hash())], "and says so again when it leads");
}

#[test]
fn a_migration_that_fails_changes_nothing_but_the_log_and_says_why() {
    let old = load(&text(0, ""));
    let traps = load(&text(1_000, "(unreachable)"));
    let exits = load(&text(2_000, "(call $exit (i32.const 1) (i32.const 0) (i32.const 0))"));
    let mut world = World::new(&[&old, &traps, &exits]);
    world.value(1);
    let root = world.replicas[0].batch_end();
    for (module, why) in [(&traps, "in the new code: `unreachable`"), (&exits, "the new code refuses")] {
        match world.upgrade(module) {
            Switched::Refused { errno, why: told } => {
                assert_eq!(errno, Errno::REFUSED.code());
                assert!(told.contains(why) && !told.contains('\n'), "{told}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(world.replicas[0].batch_end(), root, "{why}");
    }
    assert_eq!(world.replicas[0].epoch(), Some((1, old.hash())));
    assert_eq!(world.value(2), 2);
}

#[test]
fn who_waits_for_old_code_is_told_and_the_next_life_begins_with_the_new() {
    let (old, new) = (load(&text(0, "")), load(&text(1_000, "")));
    let mut world = World::new(&[&old, &new]);
    assert!(matches!(world.call(&[1], 1), ItemOutcome::Done));
    assert!(matches!(world.upgrade(&new), Switched::Done { .. }));
    let said: Vec<u16> = std::mem::take(&mut *world.nodes[0].said.lock())
        .into_iter()
        .filter_map(|item| match item.saying {
            Saying::Deliver(Input::Reply { token: 1, status, .. }) => Some(status),
            _ => None,
        })
        .collect();
    assert_eq!(said, [Errno::UPGRADED.code()]);
    // And it is told the same when it asks again: the call does not happen twice.
    assert!(matches!(world.call(&[1], 1), ItemOutcome::Answered { status: 19, .. }));
    let told = world.call(&[2], 2);
    assert!(matches!(told, ItemOutcome::Answered { .. }), "{told:?}");
    assert_eq!(world.replicas[0].figures().1, 1, "it began another life");
    assert_eq!(world.value(3), 1_001);
}

#[test]
fn what_became_of_a_call_is_known_whoever_leads_and_whatever_life_it_is() {
    let (old, new) = (load(&text(0, "")), load(&text(1_000, "")));
    let mut world = World::new(&[&old, &new]);
    assert_eq!(world.value(1), 1);
    let index = world.index;
    for round in 0..3 {
        let Found::Answered(first) = world.outcome(1) else { panic!("it happened") };
        assert_eq!((first.status, first.index, &first.message.body[..]), (0, index, &1u64.to_le_bytes()[..]));
        assert!(matches!(world.outcome(7), Found::Never));
        // A copy that comes late is refused, in each round.
        assert!(matches!(world.call(&[0], 7), ItemOutcome::Answered { status: 16, .. }), "round {round}");
        match round {
            0 => drop(world.upgrade(&new)),
            _ => {
                world.call(&[2], 20 + round);
                assert_eq!(world.replicas[0].figures().1, round as u32, "another life");
            }
        }
        let image = world.replicas[1].snapshot();
        world.replicas[2].restore(&image).unwrap();
    }
    assert_eq!(world.value(8), 1_001, "what was fenced has not counted");
}

#[test]
fn an_entry_that_is_skipped_reaches_no_guest_and_is_answered_and_not_tried_again() {
    let (old, new) = (load(&text(0, "")), load(&text(1_000, "")));
    let mut world = World::new(&[&old, &new]);
    assert_eq!(world.value(1), 1);
    world.skips = true;
    let trapped = Errno::TRAPPED.code();
    assert!(matches!(world.call(&[0], 2), ItemOutcome::Answered { status, .. } if status == trapped));
    // Who wants no answer hears that it came back.
    let from = Address::actor(NodeId(1), ActorId([99; 16]));
    let message = Message::bytes(&[0]);
    world.input(&Input::Message(Box::new(Delivery::new(from, message))));
    let said: Vec<Item> = std::mem::take(&mut *world.nodes[0].said.lock());
    let bounced = |item: &Item| {
        let bounce = matches!(item.saying, Saying::Deliver(Input::Bounce { status, .. }) if status == trapped);
        bounce && item.to == from
    };
    assert!(said.iter().any(bounced), "{said:?}");
    assert!(matches!(world.upgrade(&new), Switched::Refused { errno, .. } if errno == trapped));
    world.skips = false;
    // Whoever asks again under its key is told the same, and the guest still sees nothing of it.
    assert!(matches!(world.call(&[0], 2), ItemOutcome::Answered { status, .. } if status == trapped));
    let image = world.replicas[1].snapshot();
    world.replicas[2].restore(&image).unwrap();
    assert_eq!(world.value(3), 2, "what was skipped has not counted");
    assert_eq!(world.replicas[0].figures().1, 0, "it is the same life");
}

#[test]
fn what_does_not_fit_the_outbox_comes_back_to_the_group_by_its_log() {
    let mut world = World::new(&[&load(&text(0, ""))]);
    let fit = crate::outbox::ITEMS_MAX as u64;
    for n in 0..=fit / 16_000 {
        assert!(world.nodes[0].unsaid.lock().is_empty(), "{n} times 16,000 fit");
        world.call(&[3], n + 1);
    }
    let told = std::mem::take(&mut *world.nodes[0].unsaid.lock());
    let over = (fit / 16_000 + 1) * 16_000 - fit;
    match &told[..] {
        [(to, Input::Bounce { status, count })] => {
            assert_eq!((*to, *status, *count), (Address::group(GROUP), Errno::FULL.code(), over));
        }
        other => panic!("{other:?}"),
    }
    // Once they are heard there is room again.
    let batch = Batch { acks: vec![(friend().into(), 100)], items: Vec::new() };
    world.log(BATCH, wire::encode(&batch));
    world.call(&[3], 50);
    let told = std::mem::take(&mut *world.nodes[0].unsaid.lock());
    assert!(matches!(told[..], [(_, Input::Bounce { count: 15_900, .. })]), "{told:?}");
}
