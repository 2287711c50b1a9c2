//! Two replicas that are fed the same events are the same.

use pando_abi::EventKind;
use pando_actors::{Actor, Class, Effect, Event, Image, Limits};

use crate::support::*;

/// Does a bit of everything, guided by randomness: floats with NaNs, memory, growth, handles, timers, spawns, faults, deep calls.
fn busy() -> String {
    guest_with(
        r#"(global $f (mut f64) (f64.const 1)) (global $n (mut i64) (i64.const 0))
           (func $deep (param i32) (result i32)
             (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 1))
               (else (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))))"#,
        r#"(global.set $n (i64.add (global.get $n) (call $random)))
           (local.set $n (i32.and (i32.wrap_i64 (call $random)) (i32.const 7)))
           (local.set $m (i32.and (i32.wrap_i64 (call $random)) (i32.const 0xfff8)))
           (if (i32.ge_u (local.get $m) (i32.const 4096)) (then (i64.store (local.get $m) (global.get $n))))
           (global.set $f (f64.div (f64.sub (global.get $f) (global.get $f)) (f64.sub (global.get $f) (global.get $f))))
           (f64.store (i32.const 4000) (f64.mul (f64.neg (global.get $f)) (f64.const -3)))
           (global.set $f (f64.convert_i64_s (global.get $n)))
           (if (i32.eq (local.get $n) (i32.const 0)) (then (drop (memory.grow (i32.const 1)))))
           (if (i32.eq (local.get $n) (i32.const 1)) (then (drop (call $timer (i64.const 4)))))
           (if (i32.eq (local.get $n) (i32.const 2)) (then
             (i64.store (i32.const 200) (i64.const 0))
             (drop (call $spawn (i32.const 0) (i32.const 200) (i32.const 72) (i32.const 0) (i32.const 0)))))
           (if (i32.eq (local.get $n) (i32.const 3)) (then
             (drop (call $send (i32.const 1) (i32.const 4000) (i32.const 8) (i32.const 0) (i32.const 0)))))
           (if (i32.eq (local.get $n) (i32.const 4)) (then unreachable))
           (if (i32.eq (local.get $n) (i32.const 5)) (then (drop (call $deep (i32.const 100000)))))
           (if (i32.eq (local.get $n) (i32.const 6)) (then (loop $l (br $l))))
           (drop (call $handle_copy (i32.const 1) (i32.const -1) (i64.const 0)))
           (call $answer (i64.add (call $now) (global.get $n)))"#,
    )
}

fn history() -> impl Iterator<Item = (u64, Event<'static>)> {
    (0..200u64).map(|n| {
        let event = Event {
            time_ns: 1000 + n,
            seed: n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            reply: (n % 3 == 0).then(|| reply_to(n)),
            body: if n % 2 == 0 {
                b"even"
            } else {
                b"odd, and longer than that by far: ...................................."
            },
            ..Event::new(EventKind::Message)
        };
        (n, event)
    })
}

type Trace = Vec<(u64, Option<String>, Vec<Effect>, [u8; 32])>;

/// Feeds the history; `between` may do what it likes to the actor after each event.
fn replay(between: impl Fn(u64, Actor) -> Actor) -> Trace {
    let module = load(&busy(), Class::Replicated);
    let limits = Limits { fuel: 200_000, memory_bytes: 6 * 65536, ..Limits::default() };
    let mut actor = Actor::new(&module, limits, replica()).unwrap();
    let mut trace = Trace::new();
    for (n, event) in history() {
        let (handled, effects) = handle(&mut actor, &event);
        trace.push((handled.fuel, handled.end.map(|e| e.to_string()), effects, actor.root()));
        actor = between(n, actor);
    }
    trace
}

#[test]
fn replicas_agree_on_fuel_faults_effects_and_roots_at_every_event() {
    let first = replay(|_, actor| actor);
    assert!(first.iter().any(|(_, end, ..)| end.as_ref().is_some_and(|e| e.starts_with("fault: `unreachable`"))));
    assert!(
        first.iter().any(|(_, end, ..)| end.as_ref().is_some_and(|e| e.starts_with("fault: the stack is too deep")))
    );
    assert!(first.iter().any(|(_, end, ..)| end.as_ref().is_some_and(|e| e.starts_with("cpu-limit"))));
    assert!(first.iter().any(|(_, _, effects, _)| effects.iter().any(|e| matches!(e, Effect::Spawn(_)))));
    assert_eq!(replay(|_, actor| actor), first);
}

#[test]
fn a_fault_is_undone_to_the_same_state_whenever_the_state_was_last_looked_at() {
    for class in [Class::Plain, Class::Replicated] {
        let module = load(&busy(), class);
        let limits = Limits { fuel: 200_000, memory_bytes: 6 * 65536, ..Limits::default() };
        let run = |look_every: u64| {
            let mut actor = Actor::new(&module, limits, replica()).unwrap();
            let (mut trace, mut faults) = (Vec::new(), 0);
            // A plain actor has no fuel to stop a loop: those seeds are left out.
            for (n, event) in history().filter(|(_, e)| class == Class::Replicated || !loops(e.seed)) {
                let (handled, effects) = handle(&mut actor, &event);
                faults += usize::from(handled.end.is_some());
                trace.push((handled, effects));
                if n % look_every == 0 {
                    actor.root();
                }
            }
            assert!(faults > 10, "{faults}");
            (trace, actor.root())
        };
        let first = run(1);
        for look_every in [3, 50, 1000] {
            assert_eq!(run(look_every), first, "{class:?} {look_every}");
        }
    }
}

/// Does the second random number after this seed make the guest loop?
fn loops(seed: u64) -> bool {
    let state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(2));
    let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ z >> 31) & 7 == 6
}

#[test]
fn a_replica_that_sleeps_moves_and_answers_queries_agrees_with_one_that_does_not() {
    let first = replay(|_, actor| actor);
    let other = replay(|n, mut actor| match n % 4 {
        0 => {
            actor.sleep();
            actor
        }
        1 => {
            let image = Image::from_bytes(&actor.image().unwrap().to_bytes()).unwrap();
            Actor::from_image(
                actor.module(),
                &image,
                Limits { fuel: 200_000, memory_bytes: 6 * 65536, ..Limits::default() },
            )
            .unwrap()
        }
        2 => {
            let event = Event { seed: n, reply: Some(reply_to(n)), ..message(b"question") };
            let _ = actor.query(&event, &mut Vec::new());
            actor
        }
        _ => actor,
    });
    assert_eq!(other, first);
}

#[test]
fn different_events_give_different_roots() {
    let module = load(&busy(), Class::Replicated);
    let root = |seed| {
        let mut actor = Actor::new(&module, Limits::default(), replica()).unwrap();
        let _ = actor.handle(&Event { seed, ..message(b"") }, &mut Vec::new());
        actor.root()
    };
    assert_ne!(root(1), root(2));
    assert_eq!(root(1), root(1));
}

#[test]
fn nans_are_canonical_in_a_replica() {
    // A NaN made by arithmetic from one with a payload: its bits differ between machines unless they are made canonical.
    let wat =
        guest("(call $answer (i64.reinterpret_f64 (f64.add (f64.reinterpret_i64 (i64.const -1)) (f64.const 1))))");
    let mut actor = Actor::new(&load(&wat, Class::Replicated), Limits::default(), replica()).unwrap();
    assert_eq!(call(&mut actor, b""), 0x7ff8_0000_0000_0000);
}
