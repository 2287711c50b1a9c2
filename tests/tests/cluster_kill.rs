//! Three processes, real QUIC, real disks, many callers, and a leader that is killed again and again.
//!
//! 1. Not one acknowledged call is lost or doubled, whoever dies when. The oracle is in `pando_tests::load`.
//! 2. `PANDO_KILL_SECONDS=600 cargo test --release -p pando-tests --test cluster_kill` goes on for ten minutes.

use std::time::{Duration, Instant};

use pando_tests::{
    Asker, Realm, Spawn,
    guests::{order, verb},
    load::{Load, Toll},
    until,
};

const PATIENCE: Duration = Duration::from_secs(30);
const CALLERS: usize = 24;

/// How long leaders are killed.
fn length() -> Duration {
    let seconds = std::env::var("PANDO_KILL_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(12))
}

async fn group(realm: &Realm) -> Asker {
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
    asker
}

/// Nothing is wrong with what callers were told, the group's value says the same, and its replicas agree.
async fn settled(realm: &Realm, asker: &Asker, toll: &Toll) {
    assert_eq!(toll.complaints, Vec::<String>::new(), "{toll:?}");
    let value = asker.query("hits", order(verb::TALLY, 0, 0, &[])).await.number();
    assert_eq!(value as u64, toll.calls, "the group counts otherwise than its callers");
    agreed(realm, asker).await;
}

/// Every replica that runs has applied as much as the others, and its chain of entries, outcomes and effects is theirs.
async fn agreed(realm: &Realm, asker: &Asker) {
    until("the replicas agree", PATIENCE, async || asker.agrees("hits", &realm.running()).await.then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_call_is_lost_or_doubled_while_leaders_are_killed_under_load() {
    let mut realm = Realm::start(3).await;
    let asker = group(&realm).await;
    let load = Load::start(&realm, "hits", CALLERS).await;
    load.go_on(200, PATIENCE).await;
    let began = Instant::now();
    let mut kills = 0;
    let mut waits = Vec::new();
    while began.elapsed() < length() || kills < 3 {
        let leader = asker.leader("hits").await;
        realm.kill(leader);
        let killed = Instant::now();
        kills += 1;
        load.go_on(1, PATIENCE).await;
        waits.push(killed.elapsed().as_millis());
        load.go_on(200, PATIENCE).await;
        realm.boot(&[leader]).await;
        load.go_on(200, PATIENCE).await;
    }
    let toll = load.stop().await;
    eprintln!(
        "{} calls by {CALLERS} callers over {kills} kills of the leader; next answer after {waits:?} ms; {} attempts were repeats; longest call {:?}",
        toll.calls, toll.asked_again, toll.longest
    );
    settled(&realm, &asker, &toll).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_only_frozen_changes_nothing_when_it_wakes() {
    let realm = Realm::start(3).await;
    let asker = group(&realm).await;
    let load = Load::start(&realm, "hits", 8).await;
    load.go_on(100, PATIENCE).await;
    for _ in 0..2 {
        let leader = asker.leader("hits").await;
        realm.freeze(leader);
        // Others lead, and answer.
        load.go_on(100, PATIENCE).await;
        realm.thaw(leader);
        load.go_on(100, PATIENCE).await;
    }
    let toll = load.stop().await;
    settled(&realm, &asker, &toll).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_dies_costs_no_answer() {
    let mut realm = Realm::start(3).await;
    let asker = group(&realm).await;
    let load = Load::start(&realm, "hits", 8).await;
    load.go_on(100, PATIENCE).await;
    let leader = asker.leader("hits").await;
    let follower = (1..=3).find(|node| *node != leader).expect("three nodes");
    realm.kill(follower);
    load.go_on(200, PATIENCE).await;
    assert_eq!(asker.leader("hits").await, leader, "the leader did not have to change");
    realm.boot(&[follower]).await;
    load.go_on(100, PATIENCE).await;
    let toll = load.stop().await;
    settled(&realm, &asker, &toll).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_nothing_is_promised_and_with_one_again_everything_is_kept() {
    let mut realm = Realm::start(3).await;
    let asker = group(&realm).await;
    for n in 1..=5 {
        assert_eq!(asker.call("hits add").await.number(), n);
    }
    let leader = asker.leader("hits").await;
    let others: Vec<u32> = (1..=3).filter(|node| *node != leader).collect();
    others.iter().for_each(|node| realm.kill(*node));
    let key = asker.client().next_key();
    let body = order(verb::TALLY, 0, 0, &[]);
    let alone = asker.keyed("hits", body.clone(), Vec::new(), 0, key, Duration::from_secs(3)).await;
    assert!(alone.is_err(), "one of three has answered alone: {alone:?}");
    realm.boot(&others).await;
    // The same call, asked again: it counts once, however often it was tried.
    let (answer, _) = pando_tests::load::settle(&asker, "hits", key).await;
    assert_eq!(answer.number(), 6);
    assert_eq!(asker.call("hits add").await.number(), 7);
    agreed(&realm, &asker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_is_the_same_call_whoever_is_asked_and_whoever_leads() {
    let mut realm = Realm::start(3).await;
    let asker = group(&realm).await;
    let key = asker.client().next_key();
    let mut told = Vec::new();
    for node in 1..=3 {
        let asker = realm.asker_at(node).await;
        told.push(pando_tests::load::settle(&asker, "hits", key).await.0.number());
    }
    let leader = asker.leader("hits").await;
    realm.kill(leader);
    told.push(pando_tests::load::settle(&asker, "hits", key).await.0.number());
    assert_eq!(told, [1, 1, 1, 1]);
    assert_eq!(asker.call("hits add").await.number(), 2);
}
