//! A query is forgotten.

use pando_abi::{Errno, ExitKind};
use pando_actors::{Actor, Birth, Class, Effect, Event, Limits, ReplyTo};

use crate::support::*;

fn asked(body: &[u8]) -> Event<'_> {
    Event { reply: Some(reply_to(5)), ..message(body) }
}

const CHANGES: &str = r#"
  (i64.store (i32.const 4096) (i64.add (i64.load (i32.const 4096)) (i64.const 1)))
  (global.set $g (i64.add (global.get $g) (i64.const 1)))
  (drop (memory.grow (i32.const 1)))
  (drop (call $handle_copy (i32.const 1) (i32.const -1) (i64.const 0)))
  (call $answer (i64.add (i64.mul (i64.const 100) (i64.load (i32.const 4096))) (global.get $g)))
  (if (i32.eq (call $byte (i32.const 0)) (i32.const 2)) (then unreachable))"#;

#[test]
fn a_query_answers_and_leaves_no_trace_with_undo_or_without() {
    for undo in [true, false] {
        let module = load(&guest_with("(global $g (mut i64) (i64.const 0))", CHANGES), Class::Plain);
        let mut actor = Actor::new(&module, Limits::default(), Birth { undo, ..birth() }).unwrap();
        assert_eq!(call(&mut actor, &[0]), 101);
        let (root, handles, size) = (actor.root(), actor.handles_len(), actor.memory_bytes());
        for _ in 0..3 {
            let mut effects = Vec::new();
            let handled = actor.query(&asked(&[0]), &mut effects);
            assert_eq!((handled.end, handled.refused), (None, None));
            assert_eq!((answer(&effects), effects.len()), (202, 1));
        }
        assert_eq!((actor.root(), actor.handles_len(), actor.memory_bytes()), (root, handles, size), "undo {undo}");
        assert_eq!(call(&mut actor, &[0]), 202);
    }
}

#[test]
fn a_query_that_faults_leaves_the_actor_alive_and_as_it_was() {
    for undo in [true, false] {
        let module = load(&guest_with("(global $g (mut i64) (i64.const 0))", CHANGES), Class::Plain);
        let mut actor = Actor::new(&module, Limits::default(), Birth { undo, ..birth() }).unwrap();
        call(&mut actor, &[0]);
        let root = actor.root();
        let mut effects = Vec::new();
        let handled = actor.query(&asked(&[2]), &mut effects);
        assert_eq!((handled.end.unwrap().kind, effects.len()), (ExitKind::Fault, 0));
        assert_eq!(actor.root(), root);
        assert_eq!(call(&mut actor, &[0]), 202);
    }
}

#[test]
fn effects_in_a_query_are_read_only() {
    let read_only = i64::from(Errno::READ_ONLY.as_return());
    for (what, expected) in [
        (
            "(i64.extend_i32_s (call $send (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))",
            read_only,
        ),
        (
            "(call $call (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0))",
            read_only,
        ),
        ("(call $spawn (i32.const 0) (i32.const 8192) (i32.const 72) (i32.const 0) (i32.const 0))", read_only),
        ("(i64.extend_i32_s (call $kill (i32.const 1)))", read_only),
        ("(i64.extend_i32_s (call $link (i32.const 1)))", read_only),
        ("(i64.extend_i32_s (call $unlink (i32.const 1)))", read_only),
        ("(call $monitor (i32.const 1))", read_only),
        ("(call $timer (i64.const 1))", read_only),
        ("(call $handle_copy (i32.const 0) (i32.const -1) (i64.const 1))", read_only),
        ("(i64.extend_i32_s (call $handle_revoke (i32.const 1)))", read_only),
        ("(call $now)", 1000),
        ("(i64.extend_i32_s (call $handle_drop (i32.const 1)))", 0),
    ] {
        let mut actor = actor(&guest(&format!("(call $answer {what})")));
        let mut effects = Vec::new();
        let handled = actor.query(&asked(b""), &mut effects);
        assert_eq!(handled.end, None, "{what}");
        assert_eq!((answer(&effects), effects.len()), (expected, 1), "{what}");
    }
}

#[test]
fn a_query_answers_only_itself() {
    // Byte 0: 0 keep the reply handle, 1 answer the kept one, 2 let the kept one go, 3 let the own one go.
    let handler = r#"
      (local.set $n (call $byte (i32.const 0)))
      (if (i32.eqz (local.get $n)) (then (i32.store (i32.const 4096) (i32.load (i32.const 1056))) return))
      (if (i32.eq (local.get $n) (i32.const 1)) (then
        (call $answer (i64.extend_i32_s (call $reply (i32.load (i32.const 4096)) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))))
      (if (i32.eq (local.get $n) (i32.const 2)) (then
        (call $answer (i64.extend_i32_s (call $handle_drop (i32.load (i32.const 4096)))))))
      (if (i32.eq (local.get $n) (i32.const 3)) (then (drop (call $handle_drop (i32.load (i32.const 1056))))))"#;
    let mut actor = actor(&guest(handler));
    assert_eq!(handle(&mut actor, &Event { reply: Some(reply_to(1)), ..message(&[0]) }).1, vec![]);
    let mut query = |n: u8| {
        let mut effects = Vec::new();
        let body = [n];
        let handled = actor.query(&asked(&body), &mut effects);
        assert_eq!(handled.end, None);
        effects
    };
    assert_eq!(answer(&query(1)), i64::from(Errno::READ_ONLY.as_return()));
    assert_eq!((answer(&query(2)), query(2).len()), (0, 1));
    let dropped = query(3);
    assert!(
        matches!(&dropped[..], [Effect::Reply { to, status: 10, .. }] if *to == ReplyTo::of(&reply_to(5))),
        "{dropped:?}"
    );
    assert!(actor.live_capabilities().any(|c| c == reply_to(1)), "the kept one is still there");
}

#[test]
fn a_query_to_a_module_that_changes_tables_is_refused() {
    let wat =
        guest_with("(table 2 funcref) (elem declare func $receive)", "(table.set (i32.const 0) (ref.func $receive))");
    let module = load(&wat, Class::Plain);
    let mut actor = Actor::new(&module, Limits::default(), Birth { undo: false, ..birth() }).unwrap();
    let mut effects = Vec::new();
    assert_eq!(actor.query(&asked(b""), &mut effects).refused, Some(Errno::REFUSED));
}

#[test]
fn exit_in_a_query_is_a_fault_that_ends_nothing() {
    let mut actor = actor(&guest("(call $exit (i32.const 0) (i32.const 0) (i32.const 0))"));
    let mut effects = Vec::new();
    let exit = actor.query(&asked(b""), &mut effects).end.unwrap();
    assert_eq!(exit.kind, ExitKind::Fault);
    assert!(exit.message.starts_with("called `exit` in a query"), "{}", exit.message);
    assert!(actor.image().is_ok());
}

/// A replica whose memory starts with so many pages, as [`CHANGES`] has it, and a byte of it far behind that each event counts up.
fn forked(pages: usize) -> Actor {
    let far = pages * 65_536 - 8;
    let fields = format!(
        "(memory (export \"memory\") {pages}) (global $g (mut i64) (i64.const 0))\n(global $far i32 (i32.const {far}))"
    );
    let handler = format!(
        r#"
      (i64.store (global.get $far) (i64.add (i64.load (global.get $far)) (i64.const 1)))
      (if (i32.eq (call $byte (i32.const 0)) (i32.const 1)) (then (call $answer (i64.load (global.get $far))) return))
      {CHANGES}"#
    );
    let limits = Limits { memory_bytes: 1 << 30, ..Limits::default() };
    Actor::new(&load(&guest_with(&fields, &handler), Class::Replicated), limits, replica()).unwrap()
}

fn told(fork: pando_actors::Fork, body: &[u8]) -> i64 {
    let mut effects = Vec::new();
    let handled = fork.query(&asked(body), &mut effects);
    assert_eq!((handled.end, handled.refused), (None, None));
    answer(&effects)
}

#[test]
fn a_fork_says_what_was_while_the_actor_goes_on_whatever_other_queries_do() {
    // One that goes back among the warm shells, and one that is kept.
    for pages in [1, 32] {
        let mut actor = forked(pages);
        assert_eq!(call(&mut actor, &[1]), 1);
        let before = actor.fork().unwrap();
        let (root, handles) = (actor.root(), actor.handles_len());
        assert_eq!(call(&mut actor, &[1]), 2);
        assert_ne!(actor.root(), root);
        let after = [actor.fork().unwrap(), actor.fork().unwrap(), actor.fork().unwrap()];
        assert_eq!(told(before, &[1]), 2, "one more than was counted when it was made");
        for fork in after {
            assert_eq!(told(fork, &[1]), 3, "no query sees another one");
        }
        // They grow their memory, fault, and change globals; the next one sees nothing of it.
        for body in [[0], [2], [0]] {
            let mut effects = Vec::new();
            let handled = actor.fork().unwrap().query(&asked(&body), &mut effects);
            assert_eq!((handled.end.is_some(), effects.len()), (body == [2], usize::from(body != [2])));
            assert_eq!(told(actor.fork().unwrap(), &[1]), 3);
        }
        assert_eq!(actor.handles_len(), handles);
        assert_eq!(call(&mut actor, &[1]), 3);
    }
}

#[test]
fn forks_and_the_actor_run_at_the_same_time_and_each_says_what_it_should() {
    let mut actor = forked(32);
    // Not more at once than there is room for, however slow their threads are.
    for first in (1..200).step_by(20) {
        std::thread::scope(|threads| {
            for n in first..first + 20 {
                assert_eq!(call(&mut actor, &[1]), n);
                for fork in [actor.fork().unwrap(), actor.fork().unwrap()] {
                    threads.spawn(move || assert_eq!(told(fork, &[1]), n + 1));
                }
            }
        });
    }
}

#[test]
fn an_actor_has_no_more_forks_than_there_is_room_for_and_a_query_waits_for_it_then() {
    let mut actor = forked(1_024);
    call(&mut actor, &[1]);
    let (one, two) = (actor.fork().unwrap(), actor.fork().unwrap());
    assert!(actor.fork().is_none());
    assert_eq!(told(one, &[1]), 2);
    let mut effects = Vec::new();
    assert_eq!(actor.query(&asked(&[1]), &mut effects).end, None);
    assert_eq!(answer(&effects), 2);
    let again = actor.fork().unwrap();
    assert_eq!((told(two, &[1]), told(again, &[1])), (2, 2));
    assert!(forked(1_025).fork().is_none(), "it is too large for one");
}
