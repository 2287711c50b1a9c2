//! What goes wrong in a guest ends its handler with a sentence that a person can use, and nothing else.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use pando_abi::ExitKind;
use pando_actors::{Actor, Birth, Class, Engine, EngineConfig, Event, Limits, Verdict};

use crate::support::*;

#[test]
fn a_trap_has_a_reason_and_the_names_of_the_functions() {
    let wat = guest_with(
        r#"(func $outer (param i32) (call $_ZN7counter7Counter3add17h0123456789abcdefE (local.get 0)))
           (func $_ZN7counter7Counter3add17h0123456789abcdefE (param i32) (drop (i32.div_u (i32.const 1) (local.get 0))))"#,
        "(call $outer (i32.const 0))",
    );
    let message = fault_of(&mut actor(&wat), &message(b""));
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[0], "an integer was divided by zero");
    assert!(lines[1].starts_with("  at counter::Counter::add +0x"), "{message}");
    assert!(lines[2].starts_with("  at outer +0x"), "{message}");
    assert!(lines[3].starts_with("  at receive +0x"), "{message}");
    assert_eq!(lines.len(), 4, "{message}");
}

#[test]
fn every_trap_has_its_own_words() {
    for (handler, reason) in [
        ("unreachable", "`unreachable` was reached: a panic, an abort or a failed assertion"),
        ("(drop (i32.load (i32.const 65533)))", "a load or store outside of the memory"),
        ("(i64.store (i32.const -1) (i64.const 0))", "a load or store outside of the memory"),
        ("(memory.fill (i32.const 65535) (i32.const 0) (i32.const 2))", "a load or store outside of the memory"),
        (
            "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
            "a division or a conversion overflowed an integer",
        ),
        ("(drop (i32.trunc_f64_s (f64.const 1e300)))", "a division or a conversion overflowed an integer"),
        ("(drop (i32.trunc_f64_s (f64.const nan)))", "a float that is not a number was converted to an integer"),
        ("(call_indirect (i32.const 0))", "an indirect call to nothing"),
        ("(call_indirect (i32.const 9))", "an indirect call outside of the table"),
        ("(call_indirect (param i32) (i32.const 0) (i32.const 1))", "an indirect call to a function of another type"),
        ("(call $deep)", "the stack is too deep: a recursion without an end?"),
    ] {
        let wat = guest_with(
            "(table 3 funcref) (elem (i32.const 1) func $deep) (func $deep (call $deep) (call $deep))",
            handler,
        );
        let message = fault_of(&mut actor(&wat), &message(b""));
        assert_eq!(message.lines().next(), Some(reason), "{handler}");
    }
}

#[test]
fn an_actor_with_undo_goes_on_after_each_trap() {
    let wat = guest_with(
        "(func $deep (call $deep) (call $deep))",
        "(if (i32.eq (call $byte (i32.const 0)) (i32.const 1)) (then (call $deep))) (call $answer (i64.const 3))",
    );
    let mut actor = actor(&wat);
    for _ in 0..50 {
        fault_of(&mut actor, &message(&[1]));
        assert_eq!(call(&mut actor, &[0]), 3);
    }
}

#[test]
fn an_inbox_that_cannot_be_used_is_a_fault() {
    for (inbox, reason) in [
        ("(i32.const 1025)", "`pando_inbox` returned 0x401, which is not a multiple of 8"),
        ("(i32.const 65528)", "`pando_inbox` returned 0xfff8 for 512 bytes, which leaves the memory of 0x10000 bytes"),
        ("(i32.const -8)", "`pando_inbox` returned 0xfffffff8 for 512 bytes, which leaves the memory of 0x10000 bytes"),
        (
            "(drop (call $now)) (i32.const 1024)",
            "called `now` within `pando_inbox` or a start function, where no call may be made",
        ),
    ] {
        let wat = guest_with(&format!(r#"(func (export "pando_inbox") (param i32) (result i32) {inbox})"#), "(nop)");
        let message = fault_of(&mut actor(&wat), &message(b""));
        assert_eq!(message.lines().next(), Some(reason));
    }
}

#[test]
fn a_start_function_that_makes_a_call_is_a_fault_of_the_first_event() {
    let wat = guest_with("(func $boot (drop (call $random))) (start $boot)", "(nop)");
    let message = fault_of(&mut actor(&wat), &message(b""));
    assert!(message.starts_with("called `random` within `pando_inbox` or a start function"), "{message}");
}

#[test]
fn an_event_that_is_larger_than_the_inbox_asks_for_a_new_one() {
    let wat = guest_with(
        r#"(global $asked (mut i32) (i32.const 0))
           (func (export "pando_inbox") (param i32) (result i32)
             (global.set $asked (i32.add (global.get $asked) (i32.const 1)))
             (if (result i32) (i32.le_u (local.get 0) (i32.const 512)) (then (i32.const 1024)) (else
               (i32.mul (memory.grow (i32.div_u (i32.add (local.get 0) (i32.const 65535)) (i32.const 65536))) (i32.const 65536)))))"#,
        "(if (i32.gt_u (local.get $len) (i32.const 512)) (then return))
         (call $answer (i64.extend_i32_u (global.get $asked)))",
    );
    // The helpers read the inbox at 1024, so only the small event may ask; it comes first and last in different lives.
    let mut actor = actor(&wat);
    assert_eq!(call(&mut actor, &[0; 400]), 1);
    assert_eq!(call(&mut actor, &[0; 400]), 1, "it fits the inbox that is there");
    let body = vec![7; 1 << 20];
    send(&mut actor, &body);
    let size = actor.memory_bytes();
    send(&mut actor, &body);
    assert_eq!(actor.memory_bytes(), size, "the large inbox is used again");
}

#[test]
fn a_replica_without_an_end_is_stopped_by_its_fuel_at_the_same_place_each_time() {
    let module = load(
        &guest(
            "(loop $l (local.set $x (i64.add (local.get $x) (i64.const 1))) (i64.store (i32.const 4096) (local.get $x)) (br $l))",
        ),
        Class::Replicated,
    );
    let limits = Limits { fuel: 1_000_000, ..Limits::default() };
    let run = || {
        let mut actor = Actor::new(&module, limits, replica()).unwrap();
        let (handled, effects) = handle(&mut actor, &message(b""));
        assert_eq!(effects, vec![]);
        (handled.fuel, handled.end.unwrap(), actor.root())
    };
    let (fuel, exit, root) = run();
    assert_eq!(exit.kind, ExitKind::CpuLimit);
    assert_eq!(exit.message.lines().next(), Some("the handler used up its 1000000 units of fuel"));
    assert!(exit.message.lines().nth(1).unwrap().starts_with("  at receive"), "{exit}");
    assert!(fuel >= 1_000_000, "{fuel}");
    assert_eq!(run(), (fuel, exit, root));
}

#[test]
fn a_plain_actor_without_an_end_is_stopped_when_the_epoch_says_so() {
    let asked = Arc::new(AtomicUsize::new(0));
    let on_epoch = {
        let asked = asked.clone();
        move || if asked.fetch_add(1, Ordering::Relaxed) >= 9 { Verdict::Kill } else { Verdict::Continue }
    };
    let engine = Engine::new(EngineConfig { cache_dir: None, on_epoch: Arc::new(on_epoch) }).unwrap();
    let wasm = wat::parse_str(guest(
        "(if (i32.eqz (call $byte (i32.const 0))) (then (call $answer (i64.const 4)) return)) (loop $l (br $l))",
    ))
    .unwrap();
    let module = engine.load(&wasm, Class::Plain).unwrap();
    let mut actor = Actor::new(&module, Limits { handler_ms: 123, ..Limits::default() }, birth()).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let ticker = {
        let (engine, done) = (engine.clone(), done.clone());
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                engine.tick();
                std::thread::yield_now();
            }
        })
    };
    let (handled, effects) = handle(&mut actor, &message(&[1]));
    done.store(true, Ordering::Relaxed);
    ticker.join().unwrap();
    let exit = handled.end.unwrap();
    assert_eq!((exit.kind, effects), (ExitKind::CpuLimit, vec![]));
    assert_eq!(exit.message.lines().next(), Some("the handler ran over its limit of 123 ms of processor time"));
    assert!(asked.load(Ordering::Relaxed) >= 10);
    assert_eq!(call(&mut actor, &[0]), 4, "its state is that from before the event");
}

#[test]
fn memory_grows_to_the_limit_and_then_says_no() {
    let handler =
        "(local.set $n (memory.grow (call $word (i32.const 0)))) (call $answer (i64.extend_i32_s (local.get $n)))";
    for class in [Class::Plain, Class::Replicated] {
        let module = load(&guest(handler), class);
        let limits = Limits { memory_bytes: 4 * 65536, ..Limits::default() };
        let mut actor = Actor::new(&module, limits, birth()).unwrap();
        for (pages, answer) in [(4, -1), (3, 1), (1, -1), (0, 4), (70000, -1)] {
            assert_eq!(call(&mut actor, &u32::to_le_bytes(pages)), answer, "{pages} more");
        }
    }
}

#[test]
fn a_module_that_starts_over_the_memory_limit_is_not_born() {
    let module = load(&guest_with(r#"(memory (export "memory") 2)"#, "(nop)"), Class::Plain);
    let limits = Limits { memory_bytes: 65536, ..Limits::default() };
    let exit = Actor::new(&module, limits, Birth { undo: false, ..birth() }).err().unwrap();
    assert_eq!(exit.to_string(), "memory-limit: the module starts with 131072 bytes of memory; the limit is 65536");
}

#[test]
fn lines_of_a_faulting_handler_are_kept_for_people() {
    let wat = guest_with(
        r#"(data (i32.const 100) "almost")"#,
        "(call $log (i32.const 2) (i32.const 100) (i32.const 6)) (drop (call $timer (i64.const 1))) unreachable",
    );
    let (handled, effects) = handle(&mut actor(&wat), &Event { reply: Some(reply_to(1)), ..message(b"") });
    assert_eq!(handled.end.unwrap().kind, ExitKind::Fault);
    assert_eq!(effects, vec![pando_actors::Effect::Log { level: 2, text: "almost".into() }]);
}
