//! Everything that a guest can ask for has an end.

use pando_abi::{Errno, EventKind, ExitKind, limits};
use pando_actors::{Actor, Effect, Event, Limits, Tally};

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
    let [Effect::Send { delivery, .. }] = &effects[..] else { panic!("{} effects", effects.len()) };
    let message = &delivery.message;
    assert!(message.body[..] == body[..] && message.handles[..] == handles[..]);
}

/// A handler that does `what` until it answers an error and stops there: how often it went well.
fn how_often(what: &str, tally: Tally) -> usize {
    let wat = guest(&format!("(loop $l (local.set $x {what}) (br_if $l (i64.ge_s (local.get $x) (i64.const 0))))"));
    let (handled, effects) = handle(&mut actor(&wat), &Event { tally, handles: &[peer(3)], ..message(b"") });
    assert_eq!(handled.end, None);
    effects.len()
}

#[test]
fn what_an_actor_has_already_counts_for_its_links_and_its_children() {
    let link = "(i64.extend_i32_s (call $link (i32.const 3)))";
    let with = |links| Tally { links, children: 0 };
    assert_eq!(how_often(link, with(0)), limits::LINKS_MAX);
    assert_eq!(how_often(link, with(limits::LINKS_MAX as u32 - 3)), 3);
    assert_eq!(how_often(link, with(limits::LINKS_MAX as u32)), 0);

    let spawn = "(call $spawn (i32.const 0) (i32.const 4096) (i32.const 72) (i32.const 0) (i32.const 0))";
    let with = |children| Tally { links: 0, children };
    assert_eq!(how_often(spawn, with(0)), limits::EFFECTS_MAX);
    assert_eq!(how_often(spawn, with(limits::CHILDREN_MAX as u32 - 3)), 3);
    assert_eq!(how_often(spawn, with(limits::CHILDREN_MAX as u32)), 0);
}

#[test]
fn a_spawn_that_was_refused_is_refused_again_when_events_are_handled_again() {
    // Spawns, and faults if the body is not empty: to undo that, what went before is handled again.
    let wat = guest(
        "(local.set $x (call $spawn (i32.const 0) (i32.const 4096) (i32.const 72) (i32.const 0) (i32.const 0)))
         (i64.store (i32.const 2048) (i64.add (i64.load (i32.const 2048)) (i64.extend_i32_u (i64.lt_s (local.get $x) (i64.const 0)))))
         (if (i32.load (i32.const 1060)) (then unreachable))
         (call $answer (i64.load (i32.const 2048)))",
    );
    let mut actor = actor(&wat);
    let full = Tally { links: 0, children: limits::CHILDREN_MAX as u32 };
    let call = |actor: &mut Actor, tally| {
        let (handled, effects) = handle(actor, &Event { tally, reply: Some(reply_to(5)), ..message(b"") });
        assert_eq!(handled.end, None);
        answer(&effects)
    };
    assert_eq!((call(&mut actor, full), call(&mut actor, Tally::default())), (1, 1));
    let (handled, _) = handle(&mut actor, &Event { tally: Tally::default(), ..message(b"fault") });
    assert_eq!(handled.end.unwrap().kind, ExitKind::Fault);
    assert_eq!(call(&mut actor, full), 2, "one refusal was forgotten or came twice");
}

#[test]
fn all_tables_of_an_actor_together_are_bounded() {
    let half = limits::TABLE_ELEMENTS_MAX / 2;
    let fields = format!("(table $a {half} funcref) (table $b 0 funcref) (table $c 0 {half} funcref)");
    let grow = |table: &str, n: usize| format!("(table.grow {table} (ref.null func) (i32.const {n}))");
    let wat = guest_with(
        &fields,
        &format!(
            "(if (i32.ne {} (i32.const -1)) (then unreachable))
             (if (i32.ne {} (i32.const 0)) (then unreachable))
             (if (i32.ne {} (i32.const 0)) (then unreachable))
             (if (i32.ne {} (i32.const -1)) (then unreachable))
             (if (i32.ne {} (i32.const -1)) (then unreachable))
             (if (i32.ne {} (i32.const -1)) (then unreachable))
             (if (i32.ne {} (i32.const {half})) (then unreachable))",
            grow("$c", half + 1),
            grow("$b", half - 1),
            grow("$c", 1),
            grow("$c", 1),
            grow("$b", 1),
            grow("$a", 1),
            grow("$a", 0),
        ),
    );
    let module = load(&wat, pando_actors::Class::Plain);
    let mut actor = Actor::new(&module, Limits::default(), pando_actors::Birth { undo: false, ..birth() }).unwrap();
    let (handled, _) = handle(&mut actor, &message(b""));
    assert_eq!(handled.end, None);
}
