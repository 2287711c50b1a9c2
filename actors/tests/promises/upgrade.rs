//! Another module for an actor that lives: all of it, or nothing.

use std::sync::Arc;

use pando_abi::{Errno, EventKind, ExitKind};
use pando_actors::{Actor, Birth, Carried, Class, Effect, Event, Exit, Limits, Module, Upgraded};

use crate::support::*;

/// Where the state is written for export: 8 bytes of front, a handle, zeros, the value.
const EXPORT: &str = r#"
  (func (export "pando_export_state") (result i64)
    (i32.store (i32.const 2048) (i32.const VERSION))
    (i32.store (i32.const 2052) (i32.const 1))
    (i32.store (i32.const 2056) (i32.load (i32.const 4104)))
    (i64.store (i32.const 2064) (i64.load (i32.const 4096)))
    ;; What it does beside writing is forgotten.
    (i64.store (i32.const 4096) (i64.const -1))
    (drop (memory.grow (i32.const 1)))
    (i64.const 0x1800000800))"#;
/// Takes a value of any version, and the handle; asks for a timer.
const IMPORT: &str = r#"
  (func (export "pando_import_state") (param $len i32)
    (i64.store (i32.const 4096) (i64.add (i64.load (call $body)) (i64.load (i32.const 1040))))
    (i32.store (i32.const 4104) (i32.load (i32.const 1072)))
    (drop (call $timer (i64.const 77))))"#;
/// Byte 0: 0 add one and answer the value; 1 keep the reply handle; 2 copy handle 1 and keep the copy; 3 send through the copy.
const HANDLER: &str = r#"
  (if (i32.ne (i32.load16_u (i32.const 1024)) (i32.const 1)) (then return))
  (local.set $n (call $byte (i32.const 0)))
  (if (i32.eqz (local.get $n)) (then
    (i64.store (i32.const 4096) (i64.add (i64.load (i32.const 4096)) (i64.const 1)))
    (call $answer (i64.add (i64.load (i32.const 4096)) (i64.const BASE)))))
  (if (i32.eq (local.get $n) (i32.const 2)) (then
    (i32.store (i32.const 4104) (i32.wrap_i64 (call $handle_copy (i32.const 1) (i32.const -1) (i64.const 0))))))
  (if (i32.eq (local.get $n) (i32.const 3)) (then
    (drop (call $send (i32.load (i32.const 4104)) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))))"#;

fn export(version: u32) -> String {
    EXPORT.replace("VERSION", &version.to_string())
}

fn text(fields: &str, base: u32) -> String {
    guest_with(fields, &HANDLER.replace("BASE", &base.to_string()))
}

fn module(fields: &str, base: u32) -> Arc<Module> {
    load(&text(fields, base), Class::Plain)
}

fn layout(tag: &str) -> String {
    format!("(@custom \"pando.layout\" \"{tag}\")")
}

fn born(module: &Arc<Module>, undo: bool) -> Actor {
    Actor::new(module, Limits::default(), Birth { undo, ..birth() }).unwrap()
}

fn upgrade(actor: &mut Actor, module: &Arc<Module>) -> (Result<Upgraded, Exit>, Vec<Effect>) {
    let mut effects = Vec::new();
    let event = Event { time_ns: 5_000, seed: 9, ..Event::new(EventKind::Upgrade) };
    let upgraded = actor.upgrade(module, &event, &mut effects);
    (upgraded, effects)
}

#[test]
fn an_exported_state_is_taken_up_with_its_version_and_its_handles() {
    let old = module(&export(1), 0);
    let new = module(&format!("{}{IMPORT}", export(2)), 1_000);
    for undo in [true, false] {
        let mut actor = born(&old, undo);
        send(&mut actor, &[2]);
        for n in 1..=3 {
            assert_eq!(call(&mut actor, &[0]), n);
        }
        let (upgraded, effects) = upgrade(&mut actor, &new);
        let carried = Carried::Exported { version: 1, bytes: 8 };
        assert_eq!(upgraded, Ok(Upgraded { carried, fuel: 0, dropped: Vec::new() }));
        assert!(matches!(effects[..], [Effect::Timer { delay_ns: 77, .. }]), "{effects:?}");
        assert_eq!(actor.module().hash(), new.hash());
        // 3 and the version, one more, by the new code.
        assert_eq!(call(&mut actor, &[0]), 1_005);
        assert!(matches!(send(&mut actor, &[3])[..], [Effect::Send { .. }]), "its handle reaches whom it reached");
        actor.sleep();
        assert_eq!(call(&mut actor, &[0]), 1_006, "cold and hot are the same actor");
    }
}

#[test]
fn memory_is_kept_where_the_authors_say_so_and_everything_that_can_be_checked_agrees() {
    let old = module(&layout("a"), 0);
    let new = module(&layout("a"), 1_000);
    for undo in [true, false] {
        let mut actor = born(&old, undo);
        send(&mut actor, &[2]);
        call(&mut actor, &[0]);
        let handles = actor.handles_len();
        let (upgraded, effects) = upgrade(&mut actor, &new);
        assert_eq!(upgraded.unwrap().carried, Carried::Kept);
        assert_eq!((effects, actor.handles_len()), (Vec::new(), handles));
        assert_eq!(call(&mut actor, &[0]), 1_002);
        assert!(matches!(send(&mut actor, &[3])[..], [Effect::Send { .. }]));
    }
    // The author's word is not enough where the data is another, nor is equal data without it.
    let data = r#"(data (i32.const 6000) "other")"#;
    for (other, why) in [
        (layout("b"), "another text"),
        (format!("{}{data}", layout("a")), "its data"),
        (format!("{}(global (mut i32) (i32.const 1))", layout("a")), "its data"),
        (String::new(), "no section pando.layout"),
    ] {
        let mut actor = born(&old, true);
        call(&mut actor, &[0]);
        let refused = upgrade(&mut actor, &module(&other, 1_000)).0.unwrap_err();
        assert!(refused.message.contains(why), "{refused}");
        assert_eq!(call(&mut actor, &[0]), 2, "the old code goes on");
    }
}

#[test]
fn a_table_element_is_the_same_function_by_its_name_and_not_by_its_index() {
    let table = |functions: &str, elements: &str| {
        format!("{}(table 2 funcref){functions}(elem (i32.const 0) {elements})", layout("t"))
    };
    let old = table("(func $one) (func $two)", "$one $two");
    for (fields, keeps) in [
        ("(func $more) (func $one) (func $two)", true),
        ("(func $one) (func $three)", false),
        ("(func $one) (func $two (param i32))", false),
    ] {
        let second = if fields.contains("$three") { "$three" } else { "$two" };
        let mut actor = born(&module(&old, 0), true);
        let upgraded = upgrade(&mut actor, &module(&table(fields, &format!("$one {second}")), 1)).0;
        assert_eq!(upgraded.is_ok(), keeps, "{fields}: {upgraded:?}");
    }
}

#[test]
fn whatever_goes_wrong_in_a_migration_the_old_code_goes_on_with_the_old_state() {
    let good = export(1);
    let faults = good.replace("(drop (memory.grow (i32.const 1)))", "unreachable");
    let outside = good.replace("0x1800000800", "0x1000001fff8");
    let short =
        good.replace("(i32.store (i32.const 2052) (i32.const 1))", "(i32.store (i32.const 2052) (i32.const 900))");
    let made_up = good.replace(
        "(i32.store (i32.const 2056) (i32.load (i32.const 4104)))",
        "(i32.store (i32.const 2056) (i32.const 99))",
    );
    let asks = good.replace(
        "(drop (memory.grow (i32.const 1)))",
        "(if (i64.ne (call $timer (i64.const 1)) (i64.const -12)) (then unreachable))",
    );
    let traps =
        IMPORT.replace("(drop (call $timer (i64.const 77)))", "(drop (call $timer (i64.const 77))) unreachable");
    let exits = IMPORT.replace(
        "(drop (call $timer (i64.const 77)))",
        "(drop (call $timer (i64.const 77))) (call $exit (i32.const 1) (i32.const 6000) (i32.const 7))",
    );
    let exits = format!("{exits}(data (i32.const 6000) \"too old\")");
    for (from, to, kind, why) in [
        (faults.as_str(), IMPORT, ExitKind::Fault, "in the old code: `unreachable`"),
        (&outside, IMPORT, ExitKind::Fault, "leaves the memory"),
        (&short, IMPORT, ExitKind::BadModule, "shorter than it says"),
        (&made_up, IMPORT, ExitKind::BadModule, "handle 99"),
        (&good, &traps, ExitKind::Fault, "in the new code: `unreachable`"),
        (&good, &exits, ExitKind::Error, "refuses: too old"),
        (&good, "", ExitKind::BadModule, "does not export pando_import_state"),
        ("", IMPORT, ExitKind::BadModule, "does not export pando_export_state"),
    ] {
        for undo in [true, false] {
            let old = module(from, 0);
            let mut actor = born(&old, undo);
            send(&mut actor, &[2]);
            call(&mut actor, &[0]);
            let (root, handles, size) = (actor.root(), actor.handles_len(), actor.memory_bytes());
            let (refused, effects) = upgrade(&mut actor, &module(to, 1_000));
            let refused = refused.expect_err(why);
            assert_eq!(refused.kind, kind, "{refused}");
            assert!(refused.message.contains(why), "{refused}");
            assert_eq!(effects, Vec::new(), "{why}");
            assert_eq!((actor.root(), actor.handles_len(), actor.memory_bytes()), (root, handles, size), "{why}");
            assert_eq!(actor.module().hash(), old.hash());
            assert_eq!(call(&mut actor, &[0]), 2, "{why}");
        }
    }
    let mut actor = born(&module(&asks, 0), true);
    assert!(send(&mut actor, &[2]).is_empty());
    assert!(upgrade(&mut actor, &module(IMPORT, 0)).0.is_ok(), "an effect while exporting is {}", Errno::READ_ONLY);
}

#[test]
fn who_waits_for_code_that_is_gone_is_named_and_ids_are_never_given_twice() {
    let old = load(&text(&export(1), 0), Class::Replicated);
    let carries = format!("{}{IMPORT}", export(1));
    let new = load(&text(&carries, 0), Class::Replicated);
    let mut actor = Actor::new(&old, Limits::default(), replica()).unwrap();
    send(&mut actor, &[2]);
    let asked = Event { reply: Some(reply_to(41)), ..message(&[1]) };
    assert_eq!(handle(&mut actor, &asked).0.end, None);
    let (upgraded, effects) = upgrade(&mut actor, &new);
    let upgraded = upgraded.unwrap();
    assert_eq!(upgraded.dropped, [reply_to(41)]);
    assert!(upgraded.fuel > 0, "migration is metered");
    let [Effect::Timer { id: first, .. }] = effects[..] else { panic!("{effects:?}") };
    let again = load(&text(&format!("{carries}(func $other)"), 0), Class::Replicated);
    let (_, effects) = upgrade(&mut actor, &again);
    let [Effect::Timer { id: second, .. }] = effects[..] else { panic!("{effects:?}") };
    assert!(second > first);
}

#[test]
fn a_limit_in_a_migration_undoes_it() {
    let endless = IMPORT.replace("(drop (call $timer (i64.const 77)))", "(loop $for_ever (br $for_ever))");
    let old = load(&text(&export(1), 0), Class::Replicated);
    let new = load(&text(&endless, 0), Class::Replicated);
    let limits = Limits { fuel: 1_000_000, ..Limits::default() };
    let mut actor = Actor::new(&old, limits, replica()).unwrap();
    send(&mut actor, &[2]);
    call(&mut actor, &[0]);
    assert_eq!(upgrade(&mut actor, &new).0.unwrap_err().kind, ExitKind::CpuLimit);
    assert_eq!(call(&mut actor, &[0]), 2);
    let large = module("(memory (export \"memory\") 3)", 0);
    let mut actor = Actor::new(&module("", 0), Limits { memory_bytes: 2 << 16, ..limits }, birth()).unwrap();
    assert_eq!(upgrade(&mut actor, &large).0.unwrap_err().kind, ExitKind::MemoryLimit);
}
