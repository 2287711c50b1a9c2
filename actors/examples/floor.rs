//! What the building blocks cost: `cargo run --release -p pando-actors --example floor`.
//!
//! Ratios say more than absolutes: other work on the machine moves all of them.

use std::{sync::Arc, time::Instant};

use pando_abi::{ActorId, Address, EventKind, NodeId, Rights};
use pando_actors::{Actor, Birth, Capability, Class, Effect, Engine, EngineConfig, Event, Limits, Module, Verdict};

/// Counts in memory; answers a call with the count, and sends what it was sent on to its parent. `pages` of 64 KiB.
fn guest(pages: u32) -> Vec<u8> {
    let wat = format!(
        r#"(module
        (import "pando_1" "send" (func $send (param i32 i32 i32 i32 i32) (result i32)))
        (import "pando_1" "reply" (func $reply (param i32 i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") {pages})
        (global $calls (mut i32) (i32.const 0))
        (func (export "pando_inbox") (param i32) (result i32) (i32.const 1024))
        (func (export "pando_receive") (param $len i32)
          (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
          (i64.store (i32.const 4096) (i64.add (i64.load (i32.const 4096)) (i64.const 1)))
          (if (i32.ne (i32.load (i32.const 1056)) (i32.const -1))
            (then (drop (call $reply (i32.load (i32.const 1056)) (i32.const 0) (i32.const 4096) (i32.const 8) (i32.const 0) (i32.const 0))))
            (else (drop (call $send (i32.const 1) (i32.const 1072) (i32.load (i32.const 1060)) (i32.const 0) (i32.const 0)))))))"#
    );
    wat::parse_str(wat).unwrap_or_default()
}

fn birth(n: u64, undo: bool) -> Birth {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_le_bytes());
    let home = Address::actor(NodeId(1), ActorId(id));
    let parent = Capability::actor(Address::actor(NodeId(1), ActorId([9; 16])), Rights::CHILD_TO_PARENT);
    Birth { id: ActorId(id), home, parent, realm: None, node: NodeId(1), replicas: 0, undo }
}

/// Nanoseconds each, the best of five rounds.
fn best(rounds: u32, mut work: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..rounds {
            work();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(rounds));
    }
    best
}

fn line(what: &str, ns: f64) {
    match ns {
        ns if ns < 1_000.0 => println!("{what:<72} {ns:>9.1} ns"),
        ns => println!("{what:<72} {:>9.2} µs", ns / 1_000.0),
    }
}

fn main() {
    let config = EngineConfig { cache_dir: None, on_epoch: Arc::new(|| Verdict::Continue) };
    let Ok(engine) = Engine::new(config) else { return println!("no engine here") };
    for (pages, size) in [(1, "64 KiB"), (18, "1.1 MiB")] {
        let load = |class| engine.load(&guest(pages), class);
        match (load(Class::Plain), load(Class::Replicated)) {
            (Ok(plain), Ok(replicated)) => {
                println!("\nmemory of {size}");
                measure(&plain, &replicated);
            }
            (Err(e), _) | (_, Err(e)) => println!("{e}"),
        }
    }
}

fn measure(plain: &Arc<Module>, replicated: &Arc<Module>) {
    let body = [7; 64];
    let message = Event { body: &body, ..Event::new(EventKind::Message) };
    let caller = Capability::reply(Address::actor(NodeId(1), ActorId([3; 16])), 1);
    let call = Event { reply: Some(caller), ..message };
    let mut effects: Vec<Effect> = Vec::new();
    let new = |module, n, undo| match Actor::new(module, Limits::default(), birth(n, undo)) {
        Ok(actor) => actor,
        Err(e) => panic!("{e}"),
    };
    let cases = [("plain", plain, false), ("plain with undo", plain, true), ("replica", replicated, true)];
    for (name, module, undo) in cases {
        let mut actor = new(module, 1, undo);
        let mut deliver = |event: &Event<'_>| {
            effects.clear();
            let handled = actor.handle(event, &mut effects);
            assert!(handled.end.is_none() && effects.len() == 1);
        };
        line(&format!("{name}: hot event, 64 B in, one send of 64 B out"), best(50_000, || deliver(&message)));
        line(&format!("{name}: hot call, answered"), best(50_000, || deliver(&call)));
        line(
            &format!("{name}: query"),
            best(1_000, || {
                effects.clear();
                assert!(actor.query(&call, &mut effects).end.is_none());
            }),
        );
        if undo {
            line(
                &format!("{name}: event and root"),
                best(1_000, || {
                    effects.clear();
                    let _ = actor.handle(&message, &mut effects);
                    actor.root();
                }),
            );
        }
    }
    line("spawn (before the first event)", best(20_000, || drop(new(plain, 1, false))));
    line(
        "spawn, first event, drop",
        best(2_000, || {
            let mut actor = new(plain, 1, false);
            effects.clear();
            let _ = actor.handle(&message, &mut effects);
        }),
    );
    let mut actor = new(plain, 1, false);
    line(
        "wake, deliver, sleep",
        best(2_000, || {
            effects.clear();
            let _ = actor.handle(&message, &mut effects);
            actor.sleep();
        }),
    );
    let mut all: Vec<Actor> = (0..50_000).map(|n| new(plain, n, false)).collect();
    let visit = |actor: &mut Actor, effects: &mut Vec<Effect>| {
        effects.clear();
        let _ = actor.handle(&message, effects);
        actor.sleep();
    };
    all.iter_mut().for_each(|actor| visit(actor, &mut effects));
    let mut at = 0;
    line(
        "the same, 50,000 sleepers in a scattered order",
        best(10_000, || {
            at = (at + 31_337) % all.len();
            visit(&mut all[at], &mut effects);
        }),
    );
    let bytes: usize = all.iter().filter_map(Actor::cold_bytes).sum();
    println!("{:<72} {:>9} B", "a sleeper", bytes / all.len());
}
