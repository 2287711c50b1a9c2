//! Who can reach whom: a million random uses of handles against a graph that knows every right there is.
//!
//! The actors are real: their tables are used by a Wasm guest through the syscalls, their processes check grants, and what
//! goes to another node goes through the bytes of the wire. Beside them stands a graph of plain maps: who holds which handle,
//! with which rights, under which grant of which life. After every use the real outcome must be the graph's, so nothing is
//! reachable that the graph cannot reach, rights never grow, and what was revoked, or granted by a life that is over, sends,
//! kills, links and watches no more.
//!
//! `cargo test` runs a slice, and short histories that shrink. The whole: `PANDO_GRAPH_USES=1000000` with this test's name.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use pando_abi::{ActorId, Address, Errno, ExitKind, Handle, NodeId, Rights};
use pando_actors::{Actor, Birth, Capability, Class, Effect, Engine, EngineConfig, Limits, Module, Verdict};
use proptest::prelude::*;

use super::{Identity, Moment, Process, Standing};
use crate::input::{Action, Delivery, Input};
use crate::wire::{self, WireInput};

/// A message of 16 bytes `op a b c` is a command: its result goes to handle 1 as 8 bytes and what `handle_stat` wrote. Any
/// other message brings handles: their numbers go to handle 1.
const GUEST: &str = r#"(module
    (import "pando_1" "send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
    (import "pando_1" "kill" (func $kill (param i32) (result i32)))
    (import "pando_1" "link" (func $link (param i32) (result i32)))
    (import "pando_1" "monitor" (func $monitor (param i32) (result i64)))
    (import "pando_1" "exit" (func $exit (param i32 i32 i32)))
    (import "pando_1" "handle_copy" (func $copy (param i32 i32 i64) (result i64)))
    (import "pando_1" "handle_drop" (func $drop (param i32) (result i32)))
    (import "pando_1" "handle_revoke" (func $revoke (param i32) (result i32)))
    (import "pando_1" "handle_stat" (func $stat (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "pando_inbox") (param i32) (result i32) (i32.const 1024))
    (func $body (result i32)
      (i32.and (i32.add (i32.const 1079) (i32.mul (i32.const 4) (i32.load16_u (i32.const 1028)))) (i32.const -8)))
    (func $word (param $n i32) (result i32)
      (i32.load (i32.add (call $body) (i32.mul (i32.const 4) (local.get $n)))))
    (func $do (param $op i32) (param $a i32) (param $b i32) (param $c i32) (result i64)
      (if (i32.eq (local.get $op) (i32.const 0)) (then
        (return (call $copy (local.get $a) (local.get $b) (i64.extend_i32_u (local.get $c))))))
      (if (i32.eq (local.get $op) (i32.const 1)) (then (return (i64.extend_i32_s (call $drop (local.get $a))))))
      (if (i32.eq (local.get $op) (i32.const 2)) (then (return (i64.extend_i32_s (call $revoke (local.get $a))))))
      (if (i32.eq (local.get $op) (i32.const 3)) (then
        (i32.store (i32.const 64) (local.get $b))
        (return (i64.extend_i32_s
          (call $send (local.get $a) (i32.const 0) (i32.const 0) (i32.const 64) (local.get $c))))))
      (if (i32.eq (local.get $op) (i32.const 4)) (then (return (i64.extend_i32_s (call $kill (local.get $a))))))
      (if (i32.eq (local.get $op) (i32.const 5)) (then (return (i64.extend_i32_s (call $link (local.get $a))))))
      (if (i32.eq (local.get $op) (i32.const 6)) (then (return (call $monitor (local.get $a)))))
      (if (i32.eq (local.get $op) (i32.const 7)) (then
        (return (i64.extend_i32_s (call $stat (local.get $a) (i32.const 136))))))
      (if (i32.eq (local.get $op) (i32.const 8)) (then (call $exit (i32.const 1) (i32.const 0) (i32.const 0))))
      (i64.const 0))
    (func (export "pando_receive") (param i32)
      (if (i32.gt_u (i32.load16_u (i32.const 1024)) (i32.const 1)) (then (return)))
      (if (i32.eq (i32.load (i32.const 1060)) (i32.const 16))
        (then
          (i64.store (i32.const 128) (call $do (call $word (i32.const 0)) (call $word (i32.const 1))
            (call $word (i32.const 2)) (call $word (i32.const 3))))
          (drop (call $send (i32.const 1) (i32.const 128) (i32.const 32) (i32.const 0) (i32.const 0))))
        (else
          (drop (call $send (i32.const 1) (i32.const 1072)
            (i32.mul (i32.const 4) (i32.load16_u (i32.const 1028))) (i32.const 0) (i32.const 0)))))))"#;

fn module() -> Arc<Module> {
    static MODULE: OnceLock<(Engine, Arc<Module>)> = OnceLock::new();
    let made = MODULE.get_or_init(|| {
        let config = EngineConfig { cache_dir: None, on_epoch: Arc::new(|| Verdict::Continue) };
        let engine = Engine::new(config).unwrap();
        let module = engine.load(&wat::parse_str(GUEST).unwrap(), Class::Plain).unwrap();
        (engine, module)
    });
    made.1.clone()
}

const ACTORS: usize = 6;
/// More than the guests of this model fill.
const HELD_MAX: usize = 40;

fn harness() -> Address {
    Address::actor(NodeId(99), ActorId([0xee; 16]))
}

/// One use: who, what, and three numbers that choose.
type Use = (u8, u8, u32, u32, u32);

/// What the graph knows of one handle.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Edge {
    to: Address,
    rights: Rights,
    /// Which of all grants that were ever minted; `None`: it stands on no grant.
    grant: Option<usize>,
    badge: u64,
}

struct Minted {
    owner: Address,
    life: u32,
    taken_back: bool,
}

/// One actor as it is, and as the graph has it.
struct Node {
    address: Address,
    life: u32,
    process: Process,
    actor: Actor,
    held: BTreeMap<Handle, Edge>,
    /// What is on its way to it.
    mailbox: VecDeque<(Input, Sent)>,
}

/// The graph's side of what is on its way.
#[derive(Clone)]
struct Sent {
    from: Address,
    grant: Option<usize>,
    what: What,
}

#[derive(Clone)]
enum What {
    Handles(Vec<Edge>),
    Kill,
    Link,
    Watch,
    /// Of no interest to the graph.
    News,
}

#[derive(Default, Debug)]
struct Counts {
    uses: u64,
    allowed: u64,
    denied: u64,
    delivered: u64,
    revoked: u64,
    kills: u64,
    restarts: u64,
    wire: u64,
}

struct World {
    nodes: Vec<Node>,
    minted: Vec<Minted>,
    born: u64,
    counts: Counts,
    effects: Vec<Effect>,
}

impl World {
    fn new() -> World {
        let mut world =
            World { nodes: Vec::new(), minted: Vec::new(), born: 0, counts: Counts::default(), effects: Vec::new() };
        for n in 0..ACTORS {
            let address = world.fresh(n);
            world.nodes.push(World::node(address, 0));
        }
        for n in 0..ACTORS {
            world.introduce(n);
        }
        world
    }

    fn fresh(&mut self, n: usize) -> Address {
        self.born += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.born.to_le_bytes());
        Address::actor(NodeId(n as u32 % 3 + 1), ActorId(id))
    }

    fn node(address: Address, life: u32) -> Node {
        let identity =
            Identity { me: address, node: address.node, generation: life, replicated: false, resumes: false };
        let birth = Birth {
            id: crate::launch::lineage(address.id, life, 0),
            home: address,
            parent: Capability::actor(harness(), Rights::CHILD_TO_PARENT),
            realm: None,
            node: address.node,
            replicas: 0,
            undo: false,
        };
        let actor = Actor::new(&module(), Limits::default(), birth).unwrap();
        let own = Edge { to: address, rights: Rights::ALL, grant: None, badge: 0 };
        let held = BTreeMap::from([(Handle::SELF, own)]);
        Node { address, life, process: Process::new(identity), actor, held, mailbox: VecDeque::new() }
    }

    /// A new actor gets a handle to its neighbour from its spawner, and the neighbour one to it.
    fn introduce(&mut self, n: usize) {
        let peer = (n + 1) % ACTORS;
        for (to, of) in [(n, peer), (peer, n)] {
            let edge = Edge { to: self.nodes[of].address, rights: Rights::PEER, grant: None, badge: 0 };
            let capability = Capability::actor(edge.to, edge.rights);
            let sent = Sent { from: harness(), grant: None, what: What::Handles(vec![edge]) };
            let input = message(harness(), 0, 0, &[], vec![capability]);
            self.nodes[to].mailbox.push_back((input, sent));
        }
    }

    fn alive(&self, grant: usize) -> bool {
        let minted = &self.minted[grant];
        !minted.taken_back && self.nodes.iter().any(|node| node.address == minted.owner && node.life == minted.life)
    }

    /// One use of a handle, or a delivery.
    fn step(&mut self, (who, op, a, b, c): Use) {
        let n = usize::from(who) % ACTORS;
        // Half of the time something arrives somewhere.
        if op % 2 == 0 && self.nodes.iter().any(|node| !node.mailbox.is_empty()) {
            let full: Vec<usize> = (0..ACTORS).filter(|n| !self.nodes[*n].mailbox.is_empty()).collect();
            return self.deliver(full[a as usize % full.len()]);
        }
        self.counts.uses += 1;
        let node = &self.nodes[n];
        let pick = |from: u32| {
            let at = from as usize % node.held.len();
            node.held.iter().nth(at).map(|(handle, edge)| (*handle, *edge)).unwrap()
        };
        let (handle, edge) = pick(a);
        let full = node.held.len() >= HELD_MAX;
        match op / 2 % 12 {
            0..=2 if !full => {
                self.copy(n, handle, edge, Rights(b & 0x7f), if handle == Handle::SELF { c.into() } else { 0 })
            }
            0..=3 if handle != Handle::SELF && (full || b % 3 == 0) => {
                self.expect(n, 1, [handle.0, 0, 0], true);
                self.nodes[n].held.remove(&handle);
            }
            4 => self.revoke(n, handle, edge),
            5..=8 => {
                let (passed, with) = pick(b);
                self.send(n, (handle, edge), (c % 3 != 0).then_some((passed, with)));
            }
            9 if b % 16 == 0 => self.signal(n, 4, (handle, edge), Rights::KILL, What::Kill),
            9 if b % 16 == 1 => self.restart(n),
            10 => {
                let (op, right, what) =
                    if b % 2 == 0 { (6, Rights::MONITOR, What::Watch) } else { (5, Rights::LINK, What::Link) };
                // To be linked to oneself is nothing.
                if op == 6 || edge.to != self.nodes[n].address {
                    self.signal(n, op, (handle, edge), right, what);
                }
            }
            _ => {
                let report = self.expect(n, 7, [handle.0, 0, 0], true);
                let rights = u32::from_le_bytes(report[12..16].try_into().unwrap());
                let badge = u64::from_le_bytes(report[16..24].try_into().unwrap());
                assert_eq!((Rights(rights), badge), (edge.rights, edge.badge), "a handle is not what it was");
            }
        }
        let real = self.nodes[n].actor.handles_len();
        assert_eq!(real, self.nodes[n].held.len() + 2, "it holds more or less than the graph says");
    }

    fn copy(&mut self, n: usize, handle: Handle, edge: Edge, mask: Rights, badge: u64) {
        let may = edge.rights.contains(Rights::SHARE);
        let report = self.expect(n, 0, [handle.0, mask.0, badge as u32], may);
        if !may {
            return;
        }
        let made = Handle(i64::from_le_bytes(report[..8].try_into().unwrap()) as u32);
        let mut new = Edge { rights: edge.rights.and(mask), ..edge };
        if handle == Handle::SELF {
            let node = &self.nodes[n];
            self.minted.push(Minted { owner: node.address, life: node.life, taken_back: false });
            new = Edge { rights: new.rights.and(Rights::PEER), grant: Some(self.minted.len() - 1), badge, ..new };
        }
        assert!(edge.rights.contains(new.rights), "rights grew");
        assert!(self.nodes[n].held.insert(made, new).is_none(), "{made:?} is held already");
    }

    fn revoke(&mut self, n: usize, handle: Handle, edge: Edge) {
        let own = edge.to == self.nodes[n].address && edge.grant.is_some();
        self.expect(n, 2, [handle.0, 0, 0], own);
        if let (true, Some(grant)) = (own, edge.grant) {
            // A grant of an earlier life is gone already.
            self.minted[grant].taken_back |= self.minted[grant].life == self.nodes[n].life;
        }
    }

    fn send(&mut self, n: usize, (handle, edge): (Handle, Edge), passed: Option<(Handle, Edge)>) {
        let may = edge.rights.contains(Rights::SEND) && passed.is_none_or(|(_, e)| e.rights.contains(Rights::SHARE));
        let own = self.nodes[n].address;
        let left = |e: Edge| if e.to == own { Edge { rights: e.rights.and(Rights::PEER), ..e } } else { e };
        let edges = passed.iter().map(|(_, e)| left(*e)).collect();
        let args = [handle.0, passed.map_or(0, |(h, _)| h.0), u32::from(passed.is_some())];
        self.ask(n, 3, args, may, Some((edge, What::Handles(edges))));
    }

    fn signal(&mut self, n: usize, op: u32, (handle, edge): (Handle, Edge), right: Rights, what: What) {
        self.ask(n, op, [handle.0, 0, 0], edge.rights.contains(right), Some((edge, what)));
    }

    fn restart(&mut self, n: usize) {
        self.counts.restarts += 1;
        let (stepped, _) = self.run(n, command(8, [0; 3]));
        assert_eq!(stepped.end.map(|end| end.kind), Some(ExitKind::Error));
        self.next_life(n);
    }

    fn next_life(&mut self, n: usize) {
        let (address, life) = (self.nodes[n].address, self.nodes[n].life + 1);
        let waiting = std::mem::take(&mut self.nodes[n].mailbox);
        self.nodes[n] = World::node(address, life);
        self.nodes[n].mailbox = waiting;
        self.introduce(n);
    }

    /// Killed for good: another actor takes the place, at another address.
    fn replace(&mut self, n: usize) {
        self.counts.kills += 1;
        let address = self.fresh(n);
        self.nodes[n] = World::node(address, 0);
        self.introduce(n);
    }

    fn expect(&mut self, n: usize, op: u32, args: [u32; 3], allowed: bool) -> Vec<u8> {
        self.ask(n, op, args, allowed, None)
    }

    /// A command to a guest, whose answer must be the graph's. `leaves`: what goes out by it if it is allowed.
    fn ask(&mut self, n: usize, op: u32, args: [u32; 3], allowed: bool, leaves: Option<(Edge, What)>) -> Vec<u8> {
        let (stepped, actions) = self.run(n, command(op, args));
        assert!(stepped.ran && stepped.end.is_none(), "{stepped:?}");
        let from = self.nodes[n].address;
        let mut leaves = leaves.filter(|_| allowed);
        let mut report = Vec::new();
        for action in actions {
            match action {
                Action::Deliver { to, input: Input::Message(d) } if to == harness() && d.message.body.len() == 32 => {
                    report = d.message.body.to_vec();
                }
                Action::Deliver { to, input } => {
                    let (edge, what) = leaves.take().expect("something leaves that the graph does not let out");
                    assert_eq!(to, edge.to, "it goes to another actor than the handle's");
                    self.post(to, input, Sent { from, grant: edge.grant, what });
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(report.len(), 32);
        let result = i64::from_le_bytes(report[..8].try_into().unwrap());
        if allowed {
            self.counts.allowed += 1;
            // Linking twice is linking once.
            assert!(result >= 0 && (leaves.is_none() || op == 5), "op {op}: {result}, where the graph allows it");
        } else {
            self.counts.denied += 1;
            assert_eq!(result, i64::from(Errno::DENIED.as_return()), "op {op}, which the graph does not allow");
        }
        report
    }

    /// On its way; between nodes through the wire's bytes.
    fn post(&mut self, to: Address, input: Input, sent: Sent) {
        let input = if sent.from.node == to.node {
            input
        } else {
            self.counts.wire += 1;
            let bytes = wire::encode(&WireInput::from(&input));
            wire::decode::<WireInput>(&bytes, wire::ITEM_BYTES_MAX).unwrap().open().unwrap()
        };
        // To who has ended for good it goes nowhere; to the harness neither.
        if let Some(node) = self.nodes.iter_mut().find(|node| node.address == to) {
            node.mailbox.push_back((input, sent));
        }
    }

    fn deliver(&mut self, n: usize) {
        let Some((input, sent)) = self.nodes[n].mailbox.pop_front() else { return };
        let open = sent.grant.is_none_or(|grant| {
            let minted = &self.minted[grant];
            self.alive(grant) && (minted.owner, minted.life) == (self.nodes[n].address, self.nodes[n].life)
        });
        let (stepped, actions) = self.run(n, input);
        let told = |errno: Errno| {
            actions.iter().any(|action| {
                matches!(action, Action::Deliver { to, input: Input::Bounce { status, .. } }
                    if *to == sent.from && *status == errno.code())
            })
        };
        let refused = || {
            actions.iter().any(|action| {
                matches!(action, Action::Deliver { to, input: Input::Down { exit, .. } }
                    if *to == sent.from && exit.kind == ExitKind::NoActor)
            })
        };
        *(if open { &mut self.counts.delivered } else { &mut self.counts.revoked }) += 1;
        match (&sent.what, open) {
            (What::Handles(edges), true) => {
                assert!(stepped.ran && stepped.end.is_none());
                let [Action::Deliver { input: Input::Message(report), .. }] = &actions[..] else {
                    panic!("{actions:?}")
                };
                let numbers = report.message.body.as_chunks::<4>().0;
                assert_eq!(numbers.len(), edges.len());
                for (number, edge) in numbers.iter().zip(edges) {
                    let handle = Handle(u32::from_le_bytes(*number));
                    assert!(self.nodes[n].held.insert(handle, *edge).is_none(), "{handle:?} is held already");
                }
            }
            (What::Handles(_), false) => {
                assert!(!stepped.ran && told(Errno::REVOKED), "a revoked handle sent: {actions:?}")
            }
            (What::Kill, true) => {
                assert_eq!(stepped.end.map(|end| end.kind), Some(ExitKind::Killed));
                return self.replace(n);
            }
            (What::Kill, false) => assert!(stepped.end.is_none() && told(Errno::REVOKED), "a revoked handle killed"),
            (What::Link | What::Watch, false) => assert!(refused(), "a revoked handle linked or watched"),
            (What::Link | What::Watch, true) => assert!(actions.is_empty()),
            (What::News, _) => {}
        }
        // Ends and bounces are news: they give nobody anything.
        for action in actions {
            if let Action::Deliver { to, input: input @ (Input::Bounce { .. } | Input::Unwatch { .. }) } = action {
                let from = self.nodes[n].address;
                self.post(to, input, Sent { from, grant: None, what: What::News });
            }
        }
    }

    fn run(&mut self, n: usize, input: Input) -> (super::Stepped, Vec<Action>) {
        let node = &mut self.nodes[n];
        let moment = Moment { now_ns: 1, seed: 2, standing: Standing::default() };
        let mut actions = Vec::new();
        let stepped = node.process.step(&mut node.actor, input, moment, &mut self.effects, &mut actions);
        (stepped, actions)
    }
}

fn message(from: Address, grant: u64, badge: u64, body: &[u8], handles: Vec<Capability>) -> Input {
    let mut message = pando_actors::Message::bytes(body);
    message.handles = handles.into();
    Input::Message(Box::new(Delivery { grant, badge, ..Delivery::new(from, message) }))
}

fn command(op: u32, [a, b, c]: [u32; 3]) -> Input {
    let words = [op, a, b, c];
    let body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    message(harness(), 0, 0, &body, Vec::new())
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[test]
fn nothing_is_reachable_that_the_graph_cannot_reach() {
    let whole: u64 = std::env::var("PANDO_GRAPH_USES").ok().and_then(|n| n.parse().ok()).unwrap_or(50_000);
    let start = std::time::Instant::now();
    let (mut world, mut seed) = (World::new(), 1);
    while world.counts.uses < whole {
        let (x, y) = (splitmix(&mut seed), splitmix(&mut seed));
        let used = (x as u8, (x >> 8) as u8, (x >> 32) as u32, y as u32, (y >> 32) as u32);
        world.step(used);
    }
    let counts = &world.counts;
    assert!([counts.allowed, counts.denied, counts.delivered, counts.revoked].iter().all(|n| *n > whole / 100));
    assert!([counts.kills, counts.restarts].iter().all(|n| *n > whole / 2_000), "{counts:?}");
    eprintln!("{counts:?}, {} grants, {:.1?}", world.minted.len(), start.elapsed());
}

#[test]
fn a_handle_that_was_guessed_hits_nothing() {
    let whole: u64 = std::env::var("PANDO_GRAPH_USES").ok().and_then(|n| n.parse().ok()).unwrap_or(50_000);
    let mut world = World::new();
    let mut seed = 2;
    let start = std::time::Instant::now();
    for n in 0..whole / 10 {
        let (x, y) = (splitmix(&mut seed), splitmix(&mut seed));
        world.step((x as u8, (x >> 8) as u8, (x >> 32) as u32, y as u32, (y >> 32) as u32));
        let at = (n % ACTORS as u64) as usize;
        // Half of them near what is held: another generation of a slot in use, a slot just beyond.
        let near = Handle::new(y as u32 % 64, (y >> 32) as u32 % 8);
        let guess = if n % 2 == 0 { near } else { Handle(x as u32) };
        // 1 and 2 are there from birth.
        if world.nodes[at].held.contains_key(&guess) || guess.0 == 1 || guess.0 == 2 {
            continue;
        }
        let (stepped, actions) = world.run(at, command([3, 4, 5, 7, 1][n as usize % 5], [guess.0, 0, 0]));
        let why = stepped.end.expect("a guess is a fault");
        assert!(why.kind == ExitKind::Fault && why.message.contains("does not hold"), "{why}");
        let news = |a: &Action| matches!(a, Action::Deliver { input: Input::Down { .. } | Input::Unwatch { .. }, .. });
        assert!(actions.iter().all(news), "a guess did something: {actions:?}");
        world.next_life(at);
    }
    eprintln!("{} guesses through the syscalls, {:.1?}", whole / 10, start.elapsed());
}

proptest! {
    #![proptest_config(crate::testing::cases(300))]

    #[test]
    fn no_short_history_reaches_what_the_graph_cannot(
        uses in prop::collection::vec(any::<Use>(), 1..120),
    ) {
        let mut world = World::new();
        uses.into_iter().for_each(|used| world.step(used));
    }
}
