//! Hostile guests against what a node has for all: each is told no in time, and the others go on.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use pando_abi::{Errno, Incarnation, NodeId, RealmId};
use pando_kernel::Genesis;
use pando_tests::{
    Asker, Inside, Realm, Spawn,
    decoders::input,
    dice::Dice,
    guests::{order, wasm},
    hostile::{modules, syscalls},
    model::Machine,
    until,
};
use pando_transport::{Channel, Identity, Quic, QuicConfig, Transport, UserClient};
use tokio::task::JoinHandle;

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

/// Bytes of a process that are in memory.
fn resident(pid: u32) -> usize {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    pages.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// A member gone bad, with the key of the third node: frames of noise on every channel, as fast as they go.
async fn bad_member(realm: &Realm, flood: Arc<AtomicU64>) -> (usize, JoinHandle<()>) {
    let genesis = realm.genesis();
    let identity =
        Identity::load(&Genesis::node_dir(realm.data(), NodeId(3)).join("node.key")).expect("the third node's key");
    let config =
        QuicConfig::new(identity, NodeId(3), Incarnation(99), genesis.nodes[2].addr, Arc::new(genesis.member_set()));
    let cap = config.memory_bytes_max(genesis.nodes.len() - 1);
    let (rogue, mut events) = Quic::start(config).expect("its address is free");
    tokio::spawn(async move { while events.recv().await.is_some() {} });
    until("the bad member has its session", PATIENCE, async || {
        rogue.sessions().iter().any(|session| session.node == NodeId(1) && session.up.is_some()).then_some(())
    })
    .await;
    let noise = Bytes::from((0..60_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<u8>>());
    let attack = tokio::spawn(async move {
        for n in 0usize.. {
            for channel in Channel::ALL {
                let frame = noise.slice(n % 1_000..);
                flood.fetch_add(u64::from(rogue.send(NodeId(1), channel, frame).is_ok()), Ordering::Relaxed);
            }
            if n % 64 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    (cap, attack)
}

/// Strangers: noise, what looks like first packets, and keys that nobody knows.
fn strangers(to: SocketAddr, realm: RealmId, came: Arc<AtomicU64>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        for n in 0u8.. {
            for k in 0..200u16 {
                let mut packet = vec![n ^ k as u8; if k % 2 == 0 { 1_200 } else { 20 + usize::from(k) }];
                if k % 2 == 0 {
                    // A long header of version 1 with an id of eight bytes, and nothing behind it that anybody could open.
                    packet[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
                }
                // A full socket loses it, as networks do.
                let _ = socket.send_to(&packet, to);
            }
            let key = Identity::from_seed([n; 32]);
            let refused = UserClient::connect_within(Duration::from_millis(200), to, None, &key, realm).await;
            assert!(refused.is_err(), "a stranger was let in");
            came.fetch_add(200, Ordering::Relaxed);
            if n == u8::MAX - 1 {
                return;
            }
        }
    })
}

/// A user who asks for what nobody can read, in pieces as large as they may be.
fn bad_user(to: SocketAddr, realm: RealmId, key: Identity, asked: Arc<AtomicU64>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let noise = Bytes::from(vec![0xa5; 20 << 20]);
        loop {
            let Ok(client) = UserClient::connect(to, None, &key, realm).await else { continue };
            while let Ok(mut answers) = client.request(noise.clone()).await {
                asked.fetch_add(1, Ordering::Relaxed);
                let _ = answers.next().await;
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_under_every_flood_stays_within_its_memory_and_its_groups_answer() {
    let mut realm = Realm::start(3).await;
    let asker = realm.asker_at(2).await;
    asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
    let pid = realm.pids()[0];
    realm.kill(3);
    let before = resident(pid);
    let counts: [Arc<AtomicU64>; 3] = Default::default();
    let (to, id) = (realm.genesis().nodes[0].addr, realm.genesis().realm);
    let (cap, flood) = bad_member(&realm, counts[0].clone()).await;
    let user = || Identity::load(&Genesis::user_key_path(realm.data())).expect("the founder has a key");
    let mut attacks = vec![flood, strangers(to, id, counts[1].clone())];
    attacks.extend((0..4).map(|_| bad_user(to, id, user(), counts[2].clone())));
    let (began, mut peak, mut answers, mut longest) = (Instant::now(), 0, 0u64, Duration::ZERO);
    // A call needs both nodes: the one that is flooded leads, or has to follow.
    while began.elapsed() < Duration::from_secs(8) {
        let asked = Instant::now();
        if asker.try_order("hits", order(0, 0, 0, &[]), &[]).await.is_ok() {
            answers += 1;
            longest = longest.max(asked.elapsed());
        }
        peak = peak.max(resident(pid));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    attacks.iter().for_each(JoinHandle::abort);
    let [frames, packets, requests] = counts.each_ref().map(|n| n.load(Ordering::Relaxed));
    let grown = peak.saturating_sub(before);
    eprintln!(
        "{frames} frames, {packets} packets, {requests} requests; {answers} answers, the longest after {longest:?}; {} MiB, {} MiB more than before, {} MiB allowed",
        peak >> 20,
        grown >> 20,
        cap >> 20
    );
    assert!(frames > 1_000 && packets > 1_000 && requests > 3, "{frames} {packets} {requests}");
    // What is allowed counts windows that none of these fills: strangers' before they are known.
    assert!(before > 0 && grown < cap / 2, "{grown} bytes more than before, where {cap} are allowed");
    assert!(answers > 10, "{answers} calls were answered beside the floods");
    realm.stop(&[1, 2]).await;
}
