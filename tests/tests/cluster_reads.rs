//! Three processes and queries that take long: a group is read beside its writer, on every node.

use std::time::Duration;

use pando_abi::{Errno, call::call_flags};
use pando_tests::{
    Asker, Realm, Spawn,
    guests::{order, verb},
    until,
};

/// Rounds of a query that takes a good part of a second, and most of the fuel that it may have.
const LONG: u64 = 150_000_000;
/// So many of them at once keep two cores busy for seconds; they leave a few of the queries that a node answers at once.
const MANY: usize = 28;
const PATIENCE: Duration = Duration::from_secs(120);

/// What a query says that takes so many rounds.
async fn read(asker: &Asker, rounds: u64, flags: i32) -> u64 {
    let (body, key) = (order(verb::TALLY, rounds, 0, &[]), asker.client().next_key());
    let answer = asker.keyed("hits", body, Vec::new(), call_flags::QUERY | flags, key, PATIENCE).await;
    answer.expect("it is answered").number() as u64
}

async fn add(asker: &Asker) -> u64 {
    asker.order("hits", order(verb::TALLY, 0, 0, &[]), &[]).await.number() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn long_queries_hold_up_neither_calls_nor_other_queries_and_say_what_was_when_they_began() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
    for before in 1..=3 {
        assert_eq!(add(&asker).await, before);
    }
    let leader = asker.leader("hits").await;
    let there = realm.asker_at(leader).await;
    for flags in [0, call_flags::FINAL] {
        let before = read(&there, 0, 0).await;
        let long: Vec<_> = (0..MANY)
            .map(|_| {
                let there = there.clone();
                tokio::spawn(async move { read(&there, LONG, flags).await })
            })
            .collect();
        // Until they are under way.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut seen = 0;
        for n in 1..=5 {
            assert_eq!(add(&there).await, before + n);
            seen = read(&there, 0, flags).await;
        }
        assert_eq!(seen, before + 5, "a read after a call sees it");
        let still = long.iter().filter(|query| !query.is_finished()).count();
        assert!(still > 0, "calls and short queries waited for all long ones");
        for query in long {
            let said = query.await.expect("no panic");
            assert!(said >= before && said <= before + 5, "{said}, and it was {before} when it was asked");
        }
    }
    assert_eq!(read(&asker, 0, 0).await, 13, "no query has changed anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_runs_out_of_fuel_ends_nothing_and_the_log_says_why() {
    let realm = Realm::start(1).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").replicas(1).name("hits")).await;
    let (body, key) = (order(verb::TALLY, u64::MAX, 0, &[]), asker.client().next_key());
    let answer = asker.keyed("hits", body, Vec::new(), call_flags::QUERY, key, PATIENCE).await;
    assert_eq!(answer.expect_err("it never ends by itself").errno, Errno::TRAPPED);
    assert_eq!(add(&asker).await, 1);
    until("the log says it", PATIENCE, async || {
        let lines = asker.log(Some("hits"), 10).await;
        lines.iter().any(|line| line.text.contains("query undone") && line.text.contains("fuel")).then_some(())
    })
    .await;
}
