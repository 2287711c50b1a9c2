//! A handler is a transaction.

use pando_abi::{EventKind, ExitKind};
use pando_actors::{Actor, Birth, Class, Effect, Event, Limits};

use crate::support::*;

/// Body byte 0: 0 read, 1 change everything and return, 2 change everything and fault, 3 change everything and exit.
/// What is read: memory word + global + table state, mixed.
const EVERYTHING: &str = r#"
  (if (i32.eqz (call $byte (i32.const 0))) (then
    (call $answer (i64.add (i64.load (i32.const 4096)) (i64.mul (i64.const 1000) (global.get $g))))
    return))
  (i64.store (i32.const 4096) (i64.add (i64.load (i32.const 4096)) (i64.const 1)))
  (i64.store (i32.const 65528) (i64.const -1))
  (global.set $g (i64.add (global.get $g) (i64.const 1)))
  (drop (call $handle_copy (i32.const 1) (i32.const -1) (i64.const 0)))
  (drop (call $timer (i64.const 5)))
  (drop (call $monitor (i32.const 1)))
  (drop (call $handle_copy (i32.const 0) (i32.const -1) (i64.const 77)))
  (call $log (i32.const 3) (i32.const 0) (i32.const 1))
  (if (i32.eq (call $byte (i32.const 0)) (i32.const 2)) (then unreachable))
  (if (i32.eq (call $byte (i32.const 0)) (i32.const 3)) (then (call $exit (i32.const 9) (i32.const 0) (i32.const 0))))
"#;

fn everything() -> String {
    guest_with("(global $g (mut i64) (i64.const 0))", EVERYTHING)
}

#[test]
fn a_fault_leaves_memory_globals_handles_ids_and_effects_as_they_were() {
    let mut actor = actor(&everything());
    send(&mut actor, &[1]);
    let (root, handles) = (actor.root(), actor.handles_len());
    let mut effects = vec![Effect::Cancel { id: 99 }];
    let handled = actor.handle(&message(&[2]), &mut effects);
    assert_eq!(handled.end.unwrap().kind, ExitKind::Fault);
    assert_eq!(effects.len(), 2, "what was there, and the line for people: {effects:?}");
    assert_eq!(effects[0], Effect::Cancel { id: 99 });
    assert!(matches!(effects[1], Effect::Log { .. }));
    assert_eq!((actor.root(), actor.handles_len()), (root, handles));
    assert_eq!(call(&mut actor, &[0]), 1001);
}

#[test]
fn after_an_undone_fault_ids_come_as_if_it_had_not_been() {
    let ids = |with_fault: bool| {
        let mut actor = actor(&everything());
        send(&mut actor, &[1]);
        if with_fault {
            let (handled, _) = handle(&mut actor, &message(&[2]));
            assert!(handled.end.is_some());
        }
        send(&mut actor, &[1])
    };
    assert_eq!(ids(true), ids(false));
}

#[test]
fn memory_that_a_faulting_handler_grew_is_small_again() {
    let handler = r#"
      (if (i32.eqz (call $byte (i32.const 0))) (then
        (call $answer (i64.extend_i32_u (memory.size)))
        return))
      (drop (memory.grow (i32.const 3)))
      (i32.store (i32.const 70000) (i32.const 1))
      (if (i32.eq (call $byte (i32.const 0)) (i32.const 2)) (then unreachable))"#;
    let mut actor = actor(&guest(handler));
    send(&mut actor, &[0]);
    let root = actor.root();
    assert!(handle(&mut actor, &message(&[2])).0.end.is_some());
    assert_eq!((call(&mut actor, &[0]), actor.memory_bytes()), (1, 65536));
    let mut twin = twin(handler);
    send(&mut twin, &[0]);
    assert_eq!(twin.root(), root);
    call(&mut twin, &[0]);
    assert_eq!(twin.root(), actor.root());
    send(&mut actor, &[1]);
    assert_eq!(actor.memory_bytes(), 4 * 65536);
    assert!(handle(&mut actor, &message(&[2])).0.end.is_some());
    assert_eq!(call(&mut actor, &[0]), 4);
}

fn twin(handler: &str) -> Actor {
    actor(&guest(handler))
}

#[test]
fn exit_keeps_the_state_and_the_effects_before_it() {
    let mut actor = actor(&everything());
    let (handled, effects) = handle(&mut actor, &message(&[3]));
    let exit = handled.end.unwrap();
    assert_eq!((exit.kind, exit.code), (ExitKind::Error, 9));
    assert!(effects.iter().any(|e| matches!(e, Effect::Timer { .. })), "{effects:?}");
    let (again, effects) = handle(&mut actor, &message(&[0]));
    assert_eq!((again.end, effects), (Some(exit), vec![]), "an actor that has ended handles nothing more");
}

#[test]
fn exit_with_zero_is_normal_and_its_words_are_kept() {
    let mut actor = actor(&guest_with(
        r#"(data (i32.const 100) "done\ff")"#,
        "(call $exit (i32.const 0) (i32.const 100) (i32.const 5))",
    ));
    let exit = handle(&mut actor, &message(b"")).0.end.unwrap();
    assert_eq!((exit.kind, exit.code, exit.message.as_str()), (ExitKind::Normal, 0, "done\u{fffd}"));
}

#[test]
fn without_undo_a_fault_ends_the_actor_but_open_calls_can_still_be_answered() {
    let handler = "(if (i32.eq (call $byte (i32.const 0)) (i32.const 2)) (then (drop (call $handle_drop (i32.load (i32.const 2048)))) unreachable))
                   (i32.store (i32.const 2048) (i32.load (i32.const 1056)))";
    let module = load(&guest(handler), Class::Plain);
    let mut actor = Actor::new(&module, Limits::default(), Birth { undo: false, ..birth() }).unwrap();
    let (handled, _) = handle(&mut actor, &Event { reply: Some(reply_to(8)), ..message(&[1]) });
    assert_eq!(handled.end, None);
    let (handled, effects) = handle(&mut actor, &message(&[2]));
    assert_eq!((handled.end.unwrap().kind, effects), (ExitKind::Fault, vec![]));
    assert!(actor.live_capabilities().any(|c| c == reply_to(8)));
    assert!(handle(&mut actor, &message(&[1])).0.end.is_some());
}

#[test]
fn what_an_event_says_holds_though_the_guest_faults_on_it() {
    // One timer may run at a time in this test's eyes: cancel after a faulted fire must ask for nothing.
    let handler = r#"
      (if (i32.eq (i32.load16_u (i32.const 1024)) (i32.const 3)) (then unreachable))
      (if (i32.eqz (call $byte (i32.const 0))) (then (drop (call $timer (i64.const 5))) return))
      (drop (call $cancel (i64.const 1)))"#;
    let mut actor = actor(&guest(handler));
    assert_eq!(send(&mut actor, &[0]), vec![Effect::Timer { id: 1, delay_ns: 5 }]);
    let fired = Event { token: 1, ..Event::new(EventKind::Timer) };
    assert!(handle(&mut actor, &fired).0.end.is_some());
    assert_eq!(send(&mut actor, &[1]), vec![]);
}
