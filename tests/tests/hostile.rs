//! Hostile guests against what a node has for all: each is told no in time, and the others go on.

use std::time::Duration;

use pando_abi::Errno;
use pando_tests::{
    Asker, Inside, Spawn,
    decoders::input,
    dice::Dice,
    guests::{order, wasm},
    hostile::{modules, syscalls},
    model::Machine,
    until,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Spawns as many of itself as its order says, on the node that it says; answers with the bounces that it has had and the status
/// of the latest.
fn breeder() -> Vec<u8> {
    let text = r#"(module
      (import "pando_1" "spawn" (func $spawn (param i32 i32 i32 i32 i32) (result i64)))
      (import "pando_1" "reply" (func $reply (param i32 i32 i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (global $bounces (mut i64) (i64.const 0))
      (global $status (mut i64) (i64.const 0))
      (func (export "pando_inbox") (param i32) (result i32) (i32.const 8192))
      (func (export "pando_receive") (param i32)
        (local $n i64)
        (if (i32.eq (i32.load16_u (i32.const 8192)) (i32.const 6)) (then
          (global.set $bounces (i64.add (global.get $bounces) (i64.load (i32.const 8208))))
          (global.set $status (i64.load16_u (i32.const 8198)))))
        (if (i32.ne (i32.load16_u (i32.const 8192)) (i32.const 1)) (then (return)))
        (local.set $n (i64.load offset=8 (i32.const 8240)))
        (i32.store (i32.const 32) (i32.load offset=16 (i32.const 8240)))
        (loop $more (if (i64.gt_s (local.get $n) (i64.const 0)) (then
          (local.set $n (i64.sub (local.get $n) (i64.const 1)))
          (if (i64.lt_s (call $spawn (i32.const 0) (i32.const 0) (i32.const 73) (i32.const 0) (i32.const 0)) (i64.const 0))
            (then (unreachable)))
          (br $more))))
        ;; [bounces, status]
        (i32.store8 (i32.const 256) (i32.const 0x82))
        (i32.store8 (i32.const 257) (i32.const 0x19))
        (i32.store8 (i32.const 258) (i32.wrap_i64 (i64.shr_u (global.get $bounces) (i64.const 8))))
        (i32.store8 (i32.const 259) (i32.wrap_i64 (global.get $bounces)))
        (i32.store8 (i32.const 260) (i32.wrap_i64 (global.get $status)))
        (drop (call $reply (i32.load (i32.const 8224)) (i32.const 0) (i32.const 256) (i32.const 5) (i32.const 0) (i32.const 0)))))"#;
    wat::parse_str(text).expect("text that assembles")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_full_says_so_to_whoever_spawns_and_has_room_again_when_somebody_ends() {
    let inside = Inside::with(1, |config| config.actors_max = 8).await;
    let asker = inside.asker();
    asker.spawn(Spawn::guest("tally").name("neighbour")).await;
    asker.spawn(Spawn::wasm("breeder", breeder()).name("breeder")).await;
    // Two places are taken.
    asker.order("breeder", order(1, 10, 0, &[]), &[]).await;
    assert_eq!(bounced(&asker, "breeder", 4).await, u64::from(Errno::LIMIT.code()));
    children(&asker, "breeder", 6).await;
    assert_eq!(asker.top().await[0].actors, 8);
    let trouble = asker.try_spawn(Spawn::guest("tally").name("late")).await.expect_err("there is no place");
    assert_eq!(trouble.errno, Errno::LIMIT, "{trouble:?}");
    assert_eq!(asker.call("neighbour add").await.number(), 1);
    asker.kill(&child(&asker).await).await;
    children(&asker, "breeder", 5).await;
    asker.spawn(Spawn::guest("tally").name("late")).await;
    assert_eq!(asker.call("late add").await.number(), 1);
    inside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_hears_which_of_its_children_found_no_place_and_which_have_ended() {
    let inside = Inside::with(1, |config| config.actors_max = 1).await;
    let asker = inside.asker();
    asker.spawn(Spawn::wasm("breeder", breeder()).name("clan").replicas(1)).await;
    asker.order("clan", order(1, 3, 1, &[]), &[]).await;
    assert_eq!(bounced(&asker, "clan", 2).await, u64::from(Errno::LIMIT.code()));
    children(&asker, "clan", 1).await;
    asker.kill(&child(&asker).await).await;
    children(&asker, "clan", 0).await;
    // Without a node its children are groups, which take no place of a plain actor.
    asker.order("clan", order(1, 2, 0, &[]), &[]).await;
    children(&asker, "clan", 2).await;
    asker.kill(&child(&asker).await).await;
    children(&asker, "clan", 1).await;
    assert_eq!(bounced(&asker, "clan", 2).await, u64::from(Errno::LIMIT.code()));
    inside.stop().await;
}

/// Waits until a breeder has had so many bounces; the status of the latest.
async fn bounced(asker: &Asker, who: &str, bounces: u64) -> u64 {
    until("the spawner is told", PATIENCE, async || {
        let value = asker.order(who, order(1, 0, 0, &[]), &[]).await.value;
        (value[0] == bounces).then(|| value[1].as_u64().unwrap_or(0))
    })
    .await
}

/// Waits until so many children count.
async fn children(asker: &Asker, who: &str, count: u64) {
    until("its children count", PATIENCE, async || (asker.count(who, "children").await == count).then_some(())).await;
}

/// An actor without a name.
async fn child(asker: &Asker) -> String {
    until("somebody has no name", PATIENCE, async || {
        let rows = asker.ps().await;
        rows.into_iter().find(|row| row.name.is_empty() && row.state != "ended").map(|row| row.id)
    })
    .await
}

#[test]
fn twenty_thousand_random_calls_come_to_what_the_contract_says() {
    let seed = std::env::var("PANDO_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let tried = syscalls::run(20_000, seed, 0).unwrap_or_else(|why| panic!("{why}"));
    // Every call, and every way in which one can go.
    for call in pando_abi::Call::ALL {
        assert!(tried.results.keys().any(|(name, _)| *name == call.name()), "{}: never called", call.name());
    }
    for result in ["ok", "fault", "exit", "READ_ONLY", "DENIED", "LIMIT"] {
        assert!(tried.results.keys().any(|(_, name)| *name == result), "never came: {result}");
    }
    assert!(tried.faults > 100 && tried.exits > 10, "{tried:?}");
}

#[test]
fn a_reference_that_is_wrong_about_one_right_is_noticed() {
    assert!(syscalls::notices_a_wrong_reference(5_000, 1));
}

#[test]
fn damaged_modules_are_refused_or_live_and_end_within_their_limits() {
    let samples = ["tally", "sentinel", "imp", "echo", "courier"].map(wasm);
    let (machine, mut tried) = (Machine::new(), modules::Tried::default());
    for n in 0..1_500 {
        let damaged = input(&samples, &mut Dice::of(7, n));
        modules::live(&machine, &damaged, &mut tried).unwrap_or_else(|why| panic!("module {n}: {why}"));
    }
    // Neither is all of it refused, nor does all of it go well.
    assert!(tried.taken > 200 && tried.refused.values().sum::<u64>() > 500, "{tried}");
    assert!(tried.lived > 50 && tried.restored > 50 && tried.ends.contains_key("fault"), "{tried}");
}
