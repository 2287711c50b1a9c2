//! What only who sees inside of an actor can see: which pages are looked at, and what a flipped bit does.

use std::sync::Arc;

use pando_abi::{ActorId, Address, EventKind, NodeId, Rights};

use super::{Actor, Form};
use crate::{Birth, Capability, Class, Engine, EngineConfig, Event, Limits, Module, Verdict};

/// 16 MiB. Body: an instruction's number, and where it writes.
const WRITER: &str = r#"(module
  (memory (export "memory") 256)
  (data $passive "0123456789abcdef")
  (func (export "pando_inbox") (param i32) (result i32) (i32.const 1024))
  (func (export "pando_receive") (param i32)
    (local $how i32) (local $at i32)
    (local.set $how (i32.load (i32.const 1072)))
    (local.set $at (i32.load (i32.const 1076)))
    (block $v (block $init (block $copy (block $fill (block $f64 (block $i64 (block $i32off (block $i8
      (br_table $i8 $i32off $i64 $f64 $fill $copy $init $v (local.get $how)))
      (i32.store8 (local.get $at) (i32.const 5)) return)
      (i32.store offset=70000 (local.get $at) (i32.const 77)) return)
      (i64.store (local.get $at) (i64.const -1)) return)
      (f64.store (local.get $at) (f64.const 1.5)) return)
      (memory.fill (local.get $at) (i32.const 9) (i32.const 10000)) return)
      (memory.copy (local.get $at) (i32.const 1024) (i32.const 60)) return)
      (memory.init $passive (local.get $at) (i32.const 0) (i32.const 16)) return)
    (v128.store (local.get $at) (v128.const i64x2 3 4))))"#;

fn load() -> Arc<Module> {
    let config = EngineConfig { cache_dir: None, on_epoch: Arc::new(|| Verdict::Continue) };
    Engine::new(config).unwrap().load(&wat::parse_str(WRITER).unwrap(), Class::Replicated).unwrap()
}

fn actor() -> Actor {
    let id = ActorId([1; 16]);
    let birth = Birth {
        id,
        home: Address::group(id),
        parent: Capability::actor(Address::group(ActorId([2; 16])), Rights::CHILD_TO_PARENT),
        realm: None,
        node: NodeId::NONE,
        replicas: 3,
        undo: true,
    };
    Actor::new(&load(), Limits::default(), birth).unwrap()
}

fn write(actor: &mut Actor, how: u32, at: u32) {
    let body = [how.to_le_bytes(), at.to_le_bytes()].concat();
    let event = Event { body: &body, ..Event::new(EventKind::Message) };
    let handled = actor.handle(&event, &mut Vec::new());
    assert!(handled.end.is_none(), "{how} at {at}: {:?}", handled.end);
}

fn memory(actor: &mut Actor) -> &mut [u8] {
    let Form::Hot(hot) = &mut actor.form else { panic!("it is hot") };
    hot.shell.memory_mut()
}

/// What was found to be written is what was.
fn check(actor: &mut Actor, what: &str) {
    actor.root();
    let image = actor.image().unwrap();
    let mut again = Actor::from_image(actor.module(), &image, Limits::default()).unwrap();
    assert!(memory(actor) == memory(&mut again), "{what}");
}

#[test]
fn whatever_instruction_writes_wherever_the_page_is_found() {
    let mut actor = actor();
    let last = 256 * 65_536;
    for how in 0..8 {
        for at in [5_000_000, 8191, 8192 * 700 - 3, 65_536 * 130 - 1, 4096 * 999 + 4090, last - 80_000] {
            write(&mut actor, how, at);
            check(&mut actor, &format!("instruction {how} at {at}"));
        }
    }
    // At the very end, and a store beyond it, which is a fault and leaves no trace.
    write(&mut actor, 0, last - 1);
    check(&mut actor, "the last byte");
    for at in [last - 7, u32::MAX, u32::MAX - 69_999] {
        let body = [2u32.to_le_bytes(), at.to_le_bytes()].concat();
        let event = Event { body: &body, ..Event::new(EventKind::Message) };
        let root = actor.root();
        let end = actor.handle(&event, &mut Vec::new()).end.unwrap();
        assert!(end.message.contains("memory"), "{end:?}");
        check(&mut actor, &format!("a store at {at}"));
        assert_eq!(actor.root(), root);
    }
}

#[test]
fn a_fault_is_undone_on_the_pages_that_were_written_since_the_last_good_event() {
    let mut actor = actor();
    write(&mut actor, 4, 9_000_000);
    let root = actor.root();
    let before = memory(&mut actor).to_vec();
    for at in [256 * 65_536 - 4096, 256 * 65_536 - 9_999] {
        // Fills nothing, or part of the memory's end and beyond.
        let body = [4u32.to_le_bytes(), u32::to_le_bytes(at)].concat();
        let event = Event { body: &body, ..Event::new(EventKind::Message) };
        assert!(actor.handle(&event, &mut Vec::new()).end.is_some());
    }
    assert!(memory(&mut actor) == before.as_slice());
    assert_eq!(actor.root(), root);
}

#[test]
fn a_bit_that_flips_is_in_the_root_at_once_of_a_small_memory_and_of_a_large_one_in_its_turn() {
    let (mut good, mut bad) = (actor(), actor());
    for actor in [&mut good, &mut bad] {
        write(actor, 0, 5_000);
        actor.root();
    }
    // Where the next event writes: at once.
    memory(&mut bad)[5_002] ^= 4;
    for actor in [&mut good, &mut bad] {
        write(actor, 0, 5_000);
    }
    assert_ne!(good.root(), bad.root());
    memory(&mut bad)[5_002] ^= 4;
    for actor in [&mut good, &mut bad] {
        write(actor, 0, 5_000);
    }
    assert_eq!(good.root(), bad.root());
    // Where nobody writes: 16 MiB are gone through in 256 times.
    memory(&mut bad)[12_345_678] ^= 1;
    let found = (1..=256).find(|_| {
        for actor in [&mut good, &mut bad] {
            write(actor, 0, 5_000);
        }
        good.root() != bad.root()
    });
    assert!(found.is_some(), "never found");
}

#[test]
fn what_is_frozen_stays_while_the_actor_goes_on_and_thaws_to_the_same_actor() {
    let mut actor = actor();
    for at in [5_000, 3_000_000, 9_000_000] {
        write(&mut actor, 4, at);
    }
    let root = actor.root();
    let frozen = actor.freeze().unwrap();
    let areas = |frozen: &crate::Frozen| (0..frozen.areas()).map(|n| frozen.bytes(n)).collect::<Vec<_>>();
    let before = areas(&frozen);
    let hash = |bytes: &Vec<u8>| *blake3::hash(bytes).as_bytes();
    before.iter().enumerate().for_each(|(n, bytes)| frozen.named(n, hash(bytes)));
    for _ in 0..200 {
        write(&mut actor, 4, 3_000_000);
        write(&mut actor, 3, 3_500_000);
    }
    assert_ne!(actor.root(), root);
    assert_eq!(areas(&frozen), before);
    // Only what was written since has to be written again.
    let next = actor.freeze().unwrap();
    let unnamed: Vec<u32> = (0..next.areas())
        .filter(|n| next.name(*n).is_none())
        .map(|n| u32::from_le_bytes(*next.bytes(n).first_chunk().unwrap()))
        .collect();
    assert_eq!(unnamed, [0, 3_500_000 / 65_536], "the inbox, and the second place; what was filled is as it was");
    for (frozen, root) in [(frozen, root), (next, actor.root())] {
        let parts = areas(&frozen);
        let parts = parts.into_iter().rev().map(|bytes| Ok((hash(&bytes), bytes)));
        let mut again = Actor::thaw(actor.module(), frozen.head(), parts, Limits::default()).unwrap();
        assert_eq!(again.root(), root);
        let names = again.freeze().unwrap();
        assert!((0..names.areas()).all(|n| names.name(n) == Some(hash(&names.bytes(n)))), "and keeps the names");
    }
}

#[test]
fn an_area_that_does_not_fit_or_cannot_be_had_is_an_error_with_its_reason() {
    let mut actor = actor();
    write(&mut actor, 0, 5_000);
    let frozen = actor.freeze().unwrap();
    let thaw = |bytes: Result<Vec<u8>, String>| {
        let areas = std::iter::once(bytes.map(|bytes| ([0; 32], bytes)));
        Actor::thaw(actor.module(), frozen.head(), areas, Limits::default()).map(|_| ()).unwrap_err().to_string()
    };
    let beyond = [&256u32.to_le_bytes()[..], &[0, 0, 0, 0, 1, 0], &[1; 64]].concat();
    assert!(thaw(Ok(beyond)).contains("does not fit"));
    assert!(thaw(Ok(vec![1])).contains("does not fit"));
    assert!(thaw(Err("a disk has it".into())).contains("a disk has it"));
}
