//! A message of which every process dies that handles it: real nodes, started again each time, as systemd would.
//!
//! Built with `--features pando-tests/planted`, together with the program: `--bin pando`.

#![cfg(feature = "planted")]

use std::time::{Duration, Instant};

use pando_abi::Errno;
use pando_admin::{Reply, Request};
use pando_tests::{
    Asker, Realm, Spawn,
    guests::{order, verb},
    until,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// What the nodes die of.
const POISON: &[u8] = b"of-this-a-host-dies";

/// Calls again and again under one key, until it is known what became of it.
async fn insist(asker: &Asker, target: &str, body: Vec<u8>) -> Errno {
    let key = asker.client().next_key();
    until("it is known what became of the poison", PATIENCE, async || {
        let told = asker.keyed(target, body.clone(), Vec::new(), 0, key, Duration::from_secs(2)).await;
        let errno = told.map(|answer| panic!("it was answered: {answer:?}")).unwrap_or_else(|trouble| trouble.errno);
        let unknown = [Errno::TIMEOUT, Errno::UNREACHABLE, Errno::NO_QUORUM].contains(&errno);
        (!unknown).then_some(errno)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kills_every_node_is_skipped_and_the_realm_goes_on() {
    let mut realm = Realm::found(3);
    for node in 1..=3 {
        realm.environment(node, &[("PANDO_POISON", &String::from_utf8_lossy(POISON))]);
    }
    realm.boot(&[1, 2, 3]).await;
    let asker = realm.asker();
    for name in ["hits", "others"] {
        asker.spawn(Spawn::guest("tally").replicas(3).name(name)).await;
        assert_eq!(asker.call(&format!("{name} add")).await.number(), 1);
    }
    let caller = realm.asker();
    let body = order(verb::TALLY, 0, 0, POISON);
    let (mut deaths, mut last, began) = (Vec::new(), Instant::now(), Instant::now());
    let restart = async {
        loop {
            for node in 1..=3 {
                if realm.has_ended(node) {
                    realm.ended(node).await;
                    realm.launch(node);
                    deaths.push(node);
                    last = Instant::now();
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let errno = tokio::select! {
        errno = insist(&caller, "hits", body) => errno,
        () = restart => unreachable!("it goes on for ever"),
    };
    let decided = last.elapsed();
    println!("died: {deaths:?}; known {decided:?} after the last start, {:?} in all", began.elapsed());
    assert_eq!(errno, Errno::TRAPPED);
    // One more may die of it before it hears that it is skipped.
    loop {
        let mut up = true;
        for node in 1..=3 {
            if realm.has_ended(node) {
                realm.ended(node).await;
                realm.launch(node);
                deaths.push(node);
            }
            let hello = asker.ask_node(node, Request::Hello).await;
            up &= matches!(hello, Ok(Reply::Hello { ready: true, .. }));
        }
        if up {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{deaths:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for node in 1..=3 {
        let times = deaths.iter().filter(|died| **died == node).count();
        assert!(times <= 2, "n{node} died {times} times");
    }
    assert!(deaths.len() >= 4, "a majority has to die of it twice: {deaths:?}");
    for name in ["hits", "others"] {
        assert_eq!(asker.call(&format!("{name} add")).await.number(), 2, "what was skipped has not counted");
        until("the replicas agree", PATIENCE, async || asker.agrees(name, &[1, 2, 3]).await.then_some(())).await;
    }
    // Whoever begins anew skips it, too.
    for node in 1..=3 {
        realm.kill(node);
        realm.boot(&[node]).await;
    }
    assert_eq!(asker.call("hits add").await.number(), 3);
    until("the replicas agree", PATIENCE, async || asker.agrees("hits", &[1, 2, 3]).await.then_some(())).await;
}
