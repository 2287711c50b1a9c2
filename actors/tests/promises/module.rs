//! A module is taken, or refused with a sentence that says why and what would mend it.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use pando_abi::Call;
use pando_actors::{Actor, Birth, Class, Engine, EngineConfig, Limits, ModuleError, Verdict};

use crate::support::*;

const GOOD: &str = r#"(memory (export "memory") 1)
    (func (export "pando_inbox") (param i32) (result i32) (i32.const 1024))
    (func (export "pando_receive") (param i32))"#;

fn refusal(wat: &str, class: Class) -> ModuleError {
    let wasm = wat::parse_str(wat).unwrap_or_else(|e| panic!("{e}"));
    match engine().load(&wasm, class) {
        Ok(_) => panic!("it was taken: {wat}"),
        Err(e) => e,
    }
}

#[test]
fn every_refusal_says_why() {
    for (fields, expected) in [
        (
            GOOD.replace("pando_receive", "receive"),
            "the module does not export pando_receive: it must export a function (len: i32)",
        ),
        (
            GOOD.replace("pando_inbox", "inbox"),
            "the module does not export pando_inbox: it must export a function (len: i32) -> i32",
        ),
        (GOOD.replace(r#""memory""#, r#""mem""#), "the module does not export memory: it must export a linear memory"),
        (
            GOOD.replace(
                r#"(func (export "pando_receive") (param i32))"#,
                r#"(func (export "pando_receive") (param i64) (result i32) i32.const 0)"#,
            ),
            "the module's export pando_receive is a function (i64) -> i32; it must be a function (len: i32)",
        ),
        (
            GOOD.replace(
                r#"(func (export "pando_receive") (param i32))"#,
                r#"(global (export "pando_receive") i32 (i32.const 0))"#,
            ),
            "the module's export pando_receive is a global; it must be a function (len: i32)",
        ),
        (
            format!(r#"(import "pando_1" "sned" (func (param i32))) {GOOD}"#),
            "the module imports pando_1.sned, which is not a call of pando_1; did you mean send?",
        ),
        (
            format!(r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32))) {GOOD}"#),
            "the module imports wasi_snapshot_preview1.fd_write, which is not a call of pando_1",
        ),
        (
            format!(r#"(import "env" "send" (func (param i32))) {GOOD}"#),
            "the module imports env.send, which is not a call of pando_1; did you mean send?",
        ),
        (
            format!(r#"(import "pando_1" "now" (func (result i32))) {GOOD}"#),
            "the module imports now as () -> i32; it is () -> i64",
        ),
        (
            format!(r#"(import "pando_1" "now" (global i32)) {GOOD}"#),
            "the module imports now as something else than a function; it is () -> i64",
        ),
        (GOOD.replace("1)", "1 1 shared)"), "the module uses shared memory and threads, which actors do not have"),
        (
            GOOD.replace(r#"(export "memory") 1"#, r#"(export "memory") i64 1"#),
            "the module uses 64-bit memory, which actors do not have",
        ),
        (format!("{GOOD} (memory 1)"), "the module uses more than one memory, which actors do not have"),
        (format!("{GOOD} (tag)"), "the module uses exceptions, which actors do not have"),
        (
            format!("{GOOD} (type (struct (field i32)))"),
            "the module uses garbage-collected types, which actors do not have",
        ),
        (
            format!("{GOOD} (func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))"),
            "the module uses relaxed SIMD, which actors do not have",
        ),
        (
            GOOD.replace(r#"(export "memory") 1"#, r#"(export "memory") 16385"#),
            "the module has 1073807360 bytes of initial memory; the limit is 1073741824",
        ),
        (format!("{GOOD} (table 65537 funcref)"), "the module has 65537 table elements; the limit is 65536"),
        (
            format!("(@custom \"pando.interface\" \"{}\") {GOOD}", "x".repeat(65537)),
            "the module has 65537 bytes of interface; the limit is 65536",
        ),
        (format!("(@custom \"pando.interface\" \"\\ff\") {GOOD}"), "the module's section pando.interface is not UTF-8"),
        (
            format!(r#"{GOOD} (func (export "pando$global.0"))"#),
            "the module uses the reserved export name pando$global.0, which actors do not have",
        ),
        (
            format!("{GOOD} (data (i32.const 65536) \"x\")"),
            "the module cannot be instantiated: wasm trap: out of bounds memory access",
        ),
    ] {
        let said = refusal(&format!("(module {fields})"), Class::Plain).to_string();
        assert_eq!(said, expected);
    }
}

#[test]
fn bytes_that_are_not_valid_are_refused_with_their_place() {
    let wasm = wat::parse_str(format!("(module {GOOD} (func (result i32)))")).unwrap();
    let refused = engine().load(&wasm, Class::Plain).unwrap_err();
    assert!(matches!(refused, ModuleError::Invalid { .. }), "{refused}");
    assert!(refused.to_string().starts_with("the module is not valid: type mismatch"), "{refused}");
    let wasm = wat::parse_str(guest("(nop)")).unwrap();
    for len in 0..wasm.len() {
        // Between two sections a module may end, if only names come after.
        let whole = wasm[len] == 0 && engine().load(&wasm[..len], Class::Plain).is_ok();
        assert!(whole || engine().load(&wasm[..len], Class::Plain).is_err(), "cut at {len}");
    }
}

#[test]
fn too_many_bytes_are_refused_before_they_are_read() {
    let mut wasm = b"\0asm\x01\0\0\0".to_vec();
    wasm.resize((32 << 20) + 1, 0);
    let refused = engine().load(&wasm, Class::Plain).unwrap_err();
    assert_eq!(refused.to_string(), "the module has 33554433 bytes; the limit is 33554432");
}

#[test]
fn a_module_that_changes_its_tables_is_plain_without_images_and_never_a_replica() {
    let wat = guest_with(
        "(table $t 2 funcref) (elem declare func $receive)",
        "(table.set $t (i32.const 0) (ref.func $receive))",
    );
    let refused = refusal(&wat, Class::Replicated).to_string();
    assert_eq!(refused, "the module cannot be replicated or undone: it changes its tables while it runs");
    let module = load(&wat, Class::Plain);
    assert_eq!(module.no_image(), Some("it changes its tables while it runs"));
    assert!(Actor::new(&module, Limits::default(), birth()).is_err(), "it was born with undo");
    let mut actor = Actor::new(&module, Limits::default(), Birth { undo: false, ..birth() }).unwrap();
    send(&mut actor, b"");
    assert!(actor.image().is_err());
    actor.sleep();
    assert!(actor.is_hot(), "it cannot sleep");
    send(&mut actor, b"");
}

#[test]
fn a_module_tells_what_it_is() {
    let wat = format!("(module (@custom \"pando.interface\" \"actor Empty\") {GOOD})");
    let wasm = wat::parse_str(&wat).unwrap();
    let module = engine().load(&wasm, Class::Replicated).unwrap();
    assert_eq!(module.interface(), Some("actor Empty"));
    assert_eq!((module.class(), module.bytes(), module.memory_bytes()), (Class::Replicated, wasm.len(), 65536));
    assert_eq!(module.hash().0, *blake3::hash(&wasm).as_bytes());
}

#[test]
fn a_module_is_loaded_once_for_each_class() {
    let wat = guest("(drop (call $now))");
    let first = load(&wat, Class::Plain);
    assert!(Arc::ptr_eq(&first, &load(&wat, Class::Plain)));
    assert!(!Arc::ptr_eq(&first, &load(&wat, Class::Replicated)));
    assert!(engine().loaded(first.hash(), Class::Plain).is_some());
    let hash = first.hash();
    drop(first);
    assert!(engine().loaded(hash, Class::Plain).is_none());
}

#[test]
fn every_syscall_is_there_with_the_type_of_the_contract() {
    let all = guest("(nop)");
    assert_eq!(all.matches("(import ").count(), Call::ALL.len());
    for class in [Class::Plain, Class::Replicated] {
        load(&all, class);
    }
    let abi = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../syscalls/abi.wat")).unwrap();
    load(&abi, Class::Replicated);
}

#[test]
fn guests_with_small_pages_are_taken() {
    let wat = guest_with(
        r#"(memory (export "memory") 5000 5000 (pagesize 1))"#,
        "(call $answer (i64.extend_i32_u (memory.size)))",
    );
    let module = load(&wat, Class::Replicated);
    let mut actor = Actor::new(&module, Limits::default(), birth()).unwrap();
    assert_eq!(call(&mut actor, b""), 5000);
    let root = actor.root();
    actor.sleep();
    assert_eq!(actor.root(), root);
    assert_eq!(call(&mut actor, b""), 5000);
}

fn cached(folder: &Path) -> Engine {
    Engine::new(EngineConfig { cache_dir: Some(folder.into()), on_epoch: Arc::new(|| Verdict::Continue) }).unwrap()
}

/// A module that takes a while to compile, and what calling it answers.
fn slow() -> Vec<u8> {
    let mut body = String::from("(local.set $x (i64.const 1))");
    for n in 0..4000 {
        body += &format!("(local.set $x (i64.rotl (i64.mul (local.get $x) (i64.const {})) (i64.const 7)))", n * 2 + 3);
        body += "(i64.store (i32.const 4096) (local.get $x))";
    }
    wat::parse_str(guest(&format!("{body} (call $answer (local.get $x))"))).unwrap()
}

fn ask(engine: &Engine, wasm: &[u8]) -> i64 {
    let module = engine.load(wasm, Class::Plain).unwrap();
    call(&mut Actor::new(&module, Limits::default(), birth()).unwrap(), b"")
}

#[test]
fn compiled_code_survives_a_restart_and_any_damage_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = &folder.path().join("not/yet/there");
    let wasm = slow();
    let timed = || {
        let start = Instant::now();
        (ask(&cached(folder), &wasm), start.elapsed())
    };
    let (answer, compiling) = timed();
    let files = || fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(files().len(), 2, "the code, and what is known of the module: {:?}", files());
    let fastest = (0..3).map(|_| timed()).inspect(|(a, _)| assert_eq!(*a, answer)).map(|(_, t)| t).min().unwrap();
    assert!(fastest < compiling, "from the cache {fastest:?}, compiled {compiling:?}");
    for file in files() {
        let whole = fs::read(&file).unwrap();
        for damage in [&whole[..whole.len() / 2], b"", b"rubbish", &[&whole[..70], b"!", &whole[71..]].concat()] {
            fs::write(&file, damage).unwrap();
            assert_eq!(timed().0, answer);
            assert_eq!(fs::read(&file).unwrap().len(), whole.len(), "it was written anew");
        }
    }
    assert_eq!(files().len(), 2, "nothing is left over");
    assert!(compiling > Duration::ZERO);
}

#[test]
fn what_was_compiled_before_is_started_without_its_bytes_and_what_was_not_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let with_interface = "(@custom \"pando.interface\" \"reads\")";
    let wasm =
        wat::parse_str(guest("(call $answer (i64.const 5))").replace("(module", &format!("(module {with_interface}")))
            .unwrap();
    let module = cached(folder.path()).load(&wasm, Class::Plain).unwrap();
    let engine = cached(folder.path());
    let recalled = engine.recall(module.hash(), Class::Plain).expect("it was compiled for this class");
    assert_eq!((recalled.hash(), recalled.bytes(), recalled.interface()), (module.hash(), wasm.len(), Some("reads")));
    assert_eq!(call(&mut Actor::new(&recalled, Limits::default(), birth()).unwrap(), b""), 5);
    assert!(Arc::ptr_eq(&recalled, &engine.load(&wasm, Class::Plain).unwrap()), "it is loaded once");
    assert!(engine.recall(module.hash(), Class::Replicated).is_none(), "not for the other class");
    assert!(engine.recall(pando_abi::ModuleHash([1; 32]), Class::Plain).is_none());
}

#[test]
fn code_of_another_class_or_engine_is_never_used() {
    let folder = tempfile::tempdir().unwrap();
    let engine = cached(folder.path());
    let wasm = wat::parse_str(guest("(call $answer (i64.const 5))")).unwrap();
    let _plain = engine.load(&wasm, Class::Plain).unwrap();
    let _replicated = engine.load(&wasm, Class::Replicated).unwrap();
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 4);
    // Whole files under each other's names, code and what is known of it: valid by themselves, compiled for another configuration.
    let aside = folder.path().join("aside");
    for (a, b) in [(&files[0], &files[2]), (&files[1], &files[3])] {
        for (from, to) in [(a, &aside), (b, a), (&aside, b)] {
            fs::rename(from, to).unwrap();
        }
    }
    assert_eq!(ask(&cached(folder.path()), &wasm), 5);
}

#[test]
fn a_cache_folder_that_cannot_be_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let config = EngineConfig { cache_dir: Some(file.join("cache")), on_epoch: Arc::new(|| Verdict::Continue) };
    let Err(e) = Engine::new(config) else { panic!("a file is no folder") };
    assert!(e.to_string().contains("file/cache"), "{e}");
}
