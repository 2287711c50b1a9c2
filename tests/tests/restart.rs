//! A realm that was stopped, in order or by a power cut, is there again: state, names, groups, modules.

use std::time::Duration;

use pando_tests::{Asker, Realm, Spawn, load::settle, until};

const PATIENCE: Duration = Duration::from_secs(30);
const ALL: [u32; 3] = [1, 2, 3];

/// Two groups, one of three and one of a single replica on n2, with some history each.
async fn furnish(asker: &Asker) {
    asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
    asker.spawn(Spawn::guest("tally").replicas(1).on(2).name("diary")).await;
    for n in 1..=20 {
        assert_eq!(asker.call("hits add").await.number(), n);
    }
    for n in 1..=7 {
        assert_eq!(asker.call("diary add").await.number(), n);
    }
}

/// Everything is as [`furnish`] left it, `more` calls of each group on.
async fn furnished(asker: &Asker, more: i64) {
    until("names are known again", PATIENCE, async || {
        let names: Vec<String> = asker.names().await.into_iter().map(|row| row.name).collect();
        (names == ["diary", "hits"]).then_some(())
    })
    .await;
    let groups: Vec<_> = asker.ps().await.into_iter().map(|row| (row.name, row.voters)).collect();
    assert!(groups.contains(&("hits".into(), vec![1, 2, 3])), "{groups:?}");
    assert!(groups.contains(&("diary".into(), vec![2])), "{groups:?}");
    asker.leader("hits").await;
    asker.leader("diary").await;
    assert_eq!(asker.call("hits value").await.number(), 20 + more);
    assert_eq!(asker.call("diary value").await.number(), 7 + more);
    assert_eq!(asker.call("hits add").await.number(), 21 + more);
    assert_eq!(asker.call("diary add").await.number(), 8 + more);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_that_was_stopped_in_order_goes_on_where_it_was() {
    let mut realm = Realm::start(3).await;
    furnish(&realm.asker()).await;
    realm.stop(&ALL).await;
    realm.boot(&ALL).await;
    furnished(&realm.asker(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_of_the_whole_realm_takes_nothing_that_was_acknowledged() {
    let mut realm = Realm::start(3).await;
    furnish(&realm.asker()).await;
    for round in 0..2 {
        ALL.iter().for_each(|node| realm.kill(*node));
        realm.boot(&ALL).await;
        furnished(&realm.asker(), round).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_answer_went_down_with_the_realm_is_not_done_twice() {
    let mut realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
    let key = asker.client().next_key();
    assert_eq!(settle(&asker, "hits", key).await.0.number(), 1);
    ALL.iter().for_each(|node| realm.kill(*node));
    realm.boot(&ALL).await;
    let asker = realm.asker();
    assert_eq!(settle(&asker, "hits", key).await.0.number(), 1, "the same key is the same call, after a power cut too");
    assert_eq!(asker.call("hits add").await.number(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_majority_that_comes_back_is_enough_and_the_last_one_catches_up() {
    let mut realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
    for n in 1..=5 {
        assert_eq!(asker.call("hits add").await.number(), n);
    }
    ALL.iter().for_each(|node| realm.kill(*node));
    realm.boot(&[1, 3]).await;
    let asker = realm.asker();
    asker.leader("hits").await;
    for n in 6..=60 {
        assert_eq!(asker.call("hits add").await.number(), n);
    }
    realm.boot(&[2]).await;
    until("n2 has caught up", PATIENCE, async || {
        let line = |lines: Vec<(String, String)>| lines.into_iter().find(|(title, _)| title == "chain");
        let here = line(asker.inspect(Some(1), "hits").await.ok()?);
        let there = line(asker.inspect(Some(2), "hits").await.ok()?);
        (here.is_some() && here == there).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_actors_end_with_their_node_and_their_names_are_free_again() {
    let mut realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").on(2).name("brief")).await;
    assert_eq!(asker.call("brief add").await.number(), 1);
    realm.kill(2);
    realm.boot(&[2]).await;
    let asker = realm.asker();
    until("the name is free", PATIENCE, async || asker.names().await.is_empty().then_some(())).await;
    asker.spawn(Spawn::guest("tally").on(3).name("brief")).await;
    assert_eq!(asker.call("brief add").await.number(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_applied_again_comes_to_the_same_state_and_chain() {
    let mut realm = Realm::start(1).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").replicas(1).name("hits")).await;
    asker.spawn(Spawn::bundled("counter").replicas(1).name("votes")).await;
    for n in 1..=150 {
        assert_eq!(asker.call("hits add").await.number(), n);
        assert_eq!(asker.call("votes add 2").await.number(), 2 * n);
        // Who only reads leaves no trace.
        assert_eq!(asker.call("hits value").await.number(), n);
    }
    let lines = async |asker: &Asker, name: &str| -> Vec<(String, String)> {
        let lines = asker.inspect(None, name).await.unwrap_or_else(|e| panic!("inspect {name}: {e:?}"));
        lines.into_iter().filter(|(title, _)| matches!(title.as_str(), "log" | "chain" | "root")).collect()
    };
    let before = [lines(&asker, "hits").await, lines(&asker, "votes").await];
    realm.kill(1);
    realm.boot(&[1]).await;
    let asker = realm.asker();
    for (name, before) in ["hits", "votes"].into_iter().zip(before) {
        asker.leader(name).await;
        // A new leader has written an entry of its own; the agreed root before it is the same.
        let root = |lines: &[(String, String)]| lines.iter().find(|(t, _)| t == "root").map(|(_, text)| text.clone());
        assert_eq!(root(&lines(&asker, name).await), root(&before), "{name}");
    }
}
