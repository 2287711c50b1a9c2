//! Everything that a guest can ask for has an end.

use pando_abi::{Errno, EventKind, limits};
use pando_actors::{Effect, Event};

use crate::support::*;

const LIMIT: i64 = Errno::LIMIT.as_return() as i64;

/// A handler that does `what` until it answers an error, then answers with that and says how often it went well.
fn until_error(what: &str) -> (i64, usize) {
    let wat = guest(&format!(
        "(loop $l (local.set $x {what}) (br_if $l (i64.ge_s (local.get $x) (i64.const 0))))
         (drop (call $handle_drop (i32.const 2)))
         (call $log (i32.const 3) (i32.const 0) (i32.const 0))
         (i64.store (i32.const 64) (local.get $x))
         (call $exit (i32.wrap_i64 (local.get $x)) (i32.const 0) (i32.const 0))"
    ));
    let (handled, effects) = handle(&mut actor(&wat), &message(b""));
    let asked = effects.iter().filter(|e| !matches!(e, Effect::Log { .. })).count();
    (i64::from(handled.end.unwrap().code), asked)
}

#[test]
fn each_table_of_an_actor_is_bounded() {
    for (what, max) in [
        ("(call $timer (i64.const 1))", limits::TIMERS_MAX),
        ("(call $monitor (i32.const 1))", limits::MONITORS_MAX),
        (
            "(call $call (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0))",
            limits::CALLS_MAX,
        ),
        ("(call $handle_copy (i32.const 0) (i32.const -1) (i64.const 1))", limits::GRANTS_MAX),
        ("(i64.extend_i32_s (call $link (i32.const 0)))", limits::EFFECTS_MAX),
        (
            "(i64.extend_i32_s (call $send (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))",
            limits::EFFECTS_MAX,
        ),
    ] {
        assert_eq!(until_error(what), (LIMIT, max), "{what}");
    }
}

#[test]
fn bodies_of_one_handler_are_bounded_in_bytes() {
    let what =
        "(i64.extend_i32_s (call $send (i32.const 1) (i32.const 0) (i32.const 65536) (i32.const 0) (i32.const 0)))";
    assert_eq!(until_error(what), (LIMIT, limits::EFFECT_BYTES_MAX / 65536));
}

#[test]
fn a_call_that_is_answered_a_timer_that_fires_and_a_monitor_that_tells_make_room() {
    for (what, kind) in [
        (
            "(call $call (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0))",
            EventKind::Reply,
        ),
        ("(call $timer (i64.const 1))", EventKind::Timer),
        ("(call $monitor (i32.const 1))", EventKind::Down),
    ] {
        let wat = guest(&format!("(loop $l (local.set $x {what}) (br_if $l (i64.ge_s (local.get $x) (i64.const 0))))"));
        let mut actor = actor(&wat);
        assert_eq!(send(&mut actor, b"").len(), 4096);
        assert_eq!(send(&mut actor, b"").len(), 0);
        let (handled, effects) = handle(&mut actor, &Event { token: 17, ..Event::new(kind) });
        assert_eq!((handled.end, effects.len()), (None, 1), "{kind:?} made room for one");
        let (_, effects) = handle(&mut actor, &Event { token: 17, ..Event::new(kind) });
        assert_eq!(effects.len(), 0, "{kind:?} came twice");
    }
}

#[test]
fn the_largest_event_is_handled() {
    let wat = guest_with(
        r#"(memory (export "memory") 40)
           (func (export "pando_inbox") (param i32) (result i32) (i32.const 1024))"#,
        "(drop (call $send (i32.const 1) (call $body) (i32.load (i32.const 1060)) (i32.const 1072) (i32.load16_u (i32.const 1028))))",
    );
    let body = vec![9; limits::MESSAGE_BYTES_MAX];
    let handles = [peer(3); limits::MESSAGE_HANDLES_MAX];
    let (handled, effects) = handle(&mut actor(&wat), &Event { handles: &handles, ..message(&body) });
    assert_eq!(handled.end, None);
    let [Effect::Send { message, .. }] = &effects[..] else { panic!("{} effects", effects.len()) };
    assert!(message.body[..] == body[..] && message.handles[..] == handles[..]);
}
