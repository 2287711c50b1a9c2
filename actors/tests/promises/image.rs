//! An actor is its image.

use pando_actors::{Actor, Birth, Class, Effect, Event, Image, ImageError, Limits, Module, ReplyTo};
use std::sync::Arc;

use crate::support::*;

/// Counts in memory and in globals of every type, keeps handles, runs timers, grows when byte 0 is 1; answers with a mix of all.
fn rich() -> String {
    guest_with(
        r#"(global $a (mut i32) (i32.const 1)) (global $b (mut i64) (i64.const 2)) (global $c (mut f32) (f32.const 0.5))
           (global $d (mut f64) (f64.const 0.25)) (global $e (mut v128) (v128.const i64x2 3 4))
           (data (i32.const 5000) "hello")"#,
        r#"(global.set $a (i32.add (global.get $a) (i32.const 1)))
           (global.set $b (i64.add (global.get $b) (call $random)))
           (global.set $c (f32.add (global.get $c) (f32.const 1)))
           (global.set $d (f64.add (global.get $d) (f64.const 1)))
           (global.set $e (i64x2.add (global.get $e) (v128.const i64x2 1 2)))
           (i32.store8 (i32.const 5001) (global.get $a))
           (drop (call $timer (i64.const 9)))
           (local.set $n (i32.wrap_i64 (call $handle_copy (i32.const 1) (i32.const -1) (i64.const 0))))
           (if (i32.eq (call $byte (i32.const 0)) (i32.const 1)) (then
             (drop (call $handle_drop (local.get $n)))
             (drop (memory.grow (i32.const 2)))
             (i64.store (i32.const 100000) (call $now))))
           (local.set $x (i64.add (i64.load (i32.const 5000)) (global.get $b)))
           (local.set $x (i64.add (local.get $x) (i64x2.extract_lane 1 (global.get $e))))
           (local.set $x (i64.add (local.get $x) (i64.trunc_f64_s (f64.add (global.get $d) (f64.promote_f32 (global.get $c))))))
           (call $answer (i64.add (local.get $x) (i64.extend_i32_u (local.get $n))))"#,
    )
}

fn new(module: &Arc<Module>, undo: bool) -> Actor {
    Actor::new(module, Limits::default(), Birth { undo, ..birth() }).unwrap()
}

#[test]
fn an_image_out_and_in_is_the_same_actor() {
    for class in [Class::Plain, Class::Replicated] {
        for undo in [true, false] {
            let module = load(&rich(), class);
            let mut actor = new(&module, undo);
            for step in [0, 1, 0, 1, 0] {
                let bytes = actor.image().unwrap().to_bytes();
                let image = Image::from_bytes(&bytes).unwrap();
                let mut copy = Actor::from_image(&module, &image, Limits::default()).unwrap();
                assert_eq!((copy.root(), copy.handles_len()), (actor.root(), actor.handles_len()));
                assert_eq!(copy.image().unwrap(), image);
                assert_eq!(call(&mut copy, &[step]), call(&mut actor, &[step]));
                assert_eq!(copy.root(), actor.root());
            }
        }
    }
}

#[test]
fn sleep_is_not_noticed() {
    for undo in [true, false] {
        let module = load(&rich(), Class::Plain);
        let (mut awake, mut sleeper) = (new(&module, undo), new(&module, undo));
        for step in [0, 1, 1, 0] {
            assert_eq!(call(&mut awake, &[step]), call(&mut sleeper, &[step]));
            let (handles, memory) = (sleeper.handles_len(), sleeper.memory_bytes());
            sleeper.sleep();
            assert!(!sleeper.is_hot());
            assert_eq!((sleeper.handles_len(), sleeper.memory_bytes()), (handles, memory));
        }
        assert_eq!(awake.root(), sleeper.root());
    }
}

#[test]
fn a_shell_that_is_used_again_shows_nothing_of_the_actor_before() {
    // Byte 0: 1 leave traces everywhere, 0 look for any.
    let handler = r#"
      (if (call $byte (i32.const 0)) (then
        (memory.fill (i32.const 8192) (i32.const 0x55) (i32.const 57344))
        (if (i32.eq (call $byte (i32.const 0)) (i32.const 2)) (then
          (drop (memory.grow (i32.const 1)))
          (memory.fill (i32.const 65536) (i32.const 0x55) (i32.const 65536))))
        (global.set $g (i64.const 5))
        return))
      (local.set $x (global.get $g))
      (local.set $n (i32.const 8192))
      (if (call $byte (i32.const 1)) (then (drop (memory.grow (i32.const 1)))))
      (loop $next
        (local.set $x (i64.add (local.get $x) (i64.load (local.get $n))))
        (local.set $n (i32.add (local.get $n) (i32.const 8)))
        (br_if $next (i32.lt_u (local.get $n) (i32.mul (memory.size) (i32.const 65536)))))
      (call $answer (local.get $x))"#;
    let module = load(&guest_with("(global $g (mut i64) (i64.const 0))", handler), Class::Plain);
    for traces in [1, 2] {
        for undo in [false, true] {
            let mut first = new(&module, undo);
            send(&mut first, &[traces]);
            first.sleep();
            let mut second = new(&module, undo);
            assert_eq!(call(&mut second, &[0, traces - 1]), 0, "traces {traces}, undo {undo}");
        }
    }
}

#[test]
fn a_cold_actor_takes_a_few_hundred_bytes() {
    let module = load(&rich(), Class::Plain);
    let mut actor = new(&module, false);
    call(&mut actor, &[0]);
    actor.sleep();
    let bytes = actor.cold_bytes().unwrap();
    assert!(bytes < 1024, "{bytes}");
}

#[test]
fn an_actor_that_keeps_calls_open_keeps_them_over_an_image() {
    let handler = r#"
      (if (i32.eq (i32.load (i32.const 1056)) (i32.const -1)) (then
        (drop (call $reply (i32.load (i32.const 4096)) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        return))
      (i32.store (i32.const 4096) (i32.load (i32.const 1056)))"#;
    let module = load(&guest(handler), Class::Plain);
    let mut actor = new(&module, true);
    let (_, effects) = handle(&mut actor, &Event { reply: Some(reply_to(11)), ..message(b"") });
    assert_eq!(effects, vec![]);
    let mut copy = Actor::from_image(&module, &actor.image().unwrap(), Limits::default()).unwrap();
    let effects = send(&mut copy, b"");
    assert!(matches!(&effects[..], [Effect::Reply { to, .. }] if *to == ReplyTo::of(&reply_to(11))), "{effects:?}");
}

#[test]
fn bytes_that_are_no_image_are_refused_and_never_believed() {
    let module = load(&rich(), Class::Plain);
    let mut actor = new(&module, true);
    for step in [0, 1] {
        call(&mut actor, &[step]);
    }
    let good = actor.image().unwrap().to_bytes();
    for len in 0..good.len() {
        if let Ok(image) = Image::from_bytes(&good[..len]) {
            assert!(Actor::from_image(&module, &image, Limits::default()).is_err(), "cut at {len}");
        }
    }
    // An altered image is refused, or is that of another state: never a panic, never more than its limits.
    for at in 0..good.len() {
        for bit in [0, 3, 7] {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            if let Ok(image) = Image::from_bytes(&bad)
                && let Ok(mut actor) = Actor::from_image(&module, &image, Limits::default())
            {
                let _ = actor.handle(&message(&[0]), &mut Vec::new());
                assert!(actor.memory_bytes() <= Limits::default().memory_bytes);
            }
        }
    }
}

#[test]
fn an_image_goes_only_into_its_own_module_and_limits() {
    let module = load(&rich(), Class::Plain);
    let other = load(&guest("(nop)"), Class::Plain);
    let mut actor = new(&module, true);
    call(&mut actor, &[1]);
    let image = actor.image().unwrap();
    assert_eq!(image.module(), module.hash());
    let refused = Actor::from_image(&other, &image, Limits::default()).err().unwrap();
    assert!(matches!(refused, ImageError::OtherModule { .. }), "{refused}");
    let small = Limits { memory_bytes: 65536, ..Limits::default() };
    let refused = Actor::from_image(&module, &image, small).err().unwrap();
    assert_eq!(refused, ImageError::Memory { found: 3 * 65536, max: 65536 });
}

#[test]
fn a_start_function_runs_once_in_a_life_and_not_again_after_sleep() {
    let wat = guest_with(
        "(global $g (mut i64) (i64.const 0))
         (func $boot (global.set $g (i64.add (global.get $g) (i64.const 10))) (i32.store (i32.const 4096) (i32.const 3)))
         (start $boot)",
        "(call $answer (i64.add (global.get $g) (i64.load32_u (i32.const 4096))))",
    );
    let module = load(&wat, Class::Replicated);
    let mut actor = new(&module, true);
    assert_eq!(call(&mut actor, b""), 13);
    actor.sleep();
    assert_eq!(call(&mut actor, b""), 13);
    let mut copy = Actor::from_image(&module, &actor.image().unwrap(), Limits::default()).unwrap();
    assert_eq!(call(&mut copy, b""), 13);
}

#[test]
fn handles_from_before_a_sleep_are_stale_or_held_as_before() {
    let handler = r#"
      (if (i32.eqz (call $byte (i32.const 0))) (then
        (i32.store (i32.const 4096) (i32.wrap_i64 (call $handle_copy (i32.const 1) (i32.const -1) (i64.const 0))))
        (drop (call $handle_drop (i32.load (i32.const 4096))))
        return))
      (drop (call $handle_stat (i32.load (i32.const 4096)) (i32.const 0)))"#;
    let mut actor = new(&load(&guest(handler), Class::Plain), true);
    send(&mut actor, &[0]);
    actor.sleep();
    assert!(fault_of(&mut actor, &message(&[1])).contains("does not hold"));
}
