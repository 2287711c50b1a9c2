//! What actors do to each other across nodes: messages, monitors, links, names, modules, voters.

use std::time::Duration;

use pando_abi::{Errno, ExitKind, Restart};
use pando_tests::{
    Asker, Inside, Realm, Spawn,
    guests::{Report, order, verb},
    until,
};

const PATIENCE: Duration = Duration::from_secs(30);

async fn report(asker: &Asker, who: &str) -> Report {
    Report::of(&asker.order(who, order(verb::REPORT, 0, 0, &[]), &[]).await.value)
}

/// Waits until `who` has seen what is wanted.
async fn saw(asker: &Asker, who: &str, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
    until(&format!("{who} sees {what}"), PATIENCE, async || Some(report(asker, who).await).filter(&wanted)).await
}

async fn sentinels(realm: &Realm, on: &[(&str, u32)]) -> Asker {
    let asker = realm.asker();
    for (name, node) in on {
        let row = asker.spawn(Spawn::guest("sentinel").on(*node).name(name)).await;
        assert_eq!(row.node, *node, "{name} runs where it was put");
    }
    asker
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_cross_nodes_in_the_order_in_which_they_were_sent() {
    let realm = Realm::start(3).await;
    let asker = sentinels(&realm, &[("ada", 1), ("bob", 3)]).await;
    for (from, to) in [("ada", "bob"), ("bob", "ada")] {
        asker.order(from, order(verb::WRITE, 0, 1_000, &[]), &[to]).await;
        let seen = saw(&asker, to, "a thousand letters", |r| r.letters == 1_000).await;
        assert_eq!((seen.sum, seen.out_of_order), (500_500, 0));
    }
    // A call across nodes is answered by the other side.
    assert_eq!(asker.order("ada", order(verb::ASK, 0, 0, &[]), &["bob"]).await.number(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_across_nodes_tells_how_its_target_ended() {
    let realm = Realm::start(3).await;
    let asker = sentinels(&realm, &[("ada", 1)]).await;
    let ends: [(&str, u64, u64, ExitKind, i64); 3] = [
        ("leaves with 7", verb::LEAVE, 7, ExitKind::Error, 7),
        ("leaves in peace", verb::LEAVE, 0, ExitKind::Normal, 0),
        ("falls", verb::FALL, 0, ExitKind::Fault, 0),
    ];
    for (n, (how, verb, a, kind, code)) in ends.into_iter().enumerate() {
        asker.spawn(Spawn::guest("sentinel").on(3).name("bob")).await;
        asker.order("ada", order(verb::MONITOR, 0, 0, &[]), &["bob"]).await;
        asker.send("bob", order(verb, a, 0, &[])).await;
        let downs = n as u64 + 1;
        let seen = saw(&asker, "ada", &format!("that bob {how}"), |r| r.downs == downs).await;
        assert_eq!((seen.kind, seen.code), (kind as u64, code), "bob {how}");
        until("the name is free", PATIENCE, async || asker.names().await.iter().all(|n| n.name != "bob").then_some(()))
            .await;
    }
    asker.spawn(Spawn::guest("sentinel").on(3).name("bob")).await;
    asker.order("ada", order(verb::MONITOR, 0, 0, &[]), &["bob"]).await;
    asker.kill("bob").await;
    assert_eq!(saw(&asker, "ada", "the kill", |r| r.downs == 4).await.kind, ExitKind::Killed as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_across_nodes_takes_the_other_along() {
    let realm = Realm::start(3).await;
    let asker = sentinels(&realm, &[("ada", 1), ("bob", 3)]).await;
    asker.link("ada", "bob").await;
    let ada = asker.watch("ada").await;
    asker.send("bob", order(verb::LEAVE, 3, 0, &[])).await;
    assert_eq!(ada.await.expect("a watch").kind, "linked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_undone_takes_nobody_along() {
    let realm = Realm::start(3).await;
    let asker = sentinels(&realm, &[("ada", 1), ("bob", 3)]).await;
    asker.link("ada", "bob").await;
    let request = pando_admin::Request::Link { a: "ada".into(), b: "bob".into(), unlink: true };
    asker.ask(request).await.expect("the link is undone");
    until("ada has no links", PATIENCE, async || (asker.count("ada", "links").await == 0).then_some(())).await;
    until("bob has no links", PATIENCE, async || (asker.count("bob", "links").await == 0).then_some(())).await;
    let bob = asker.watch("bob").await;
    asker.send("bob", order(verb::LEAVE, 3, 0, &[])).await;
    assert_eq!(bob.await.expect("a watch").kind, "error");
    assert_eq!(report(&asker, "ada").await.downs, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_node_dies_monitors_say_so_links_fire_and_calls_are_answered() {
    let mut realm = Realm::start(3).await;
    let asker = sentinels(&realm, &[("ada", 1), ("eve", 1), ("bob", 3)]).await;
    asker.order("ada", order(verb::MONITOR, 0, 0, &[]), &["bob"]).await;
    asker.link("eve", "bob").await;
    let eve = asker.watch("eve").await;
    realm.kill(3);
    assert_eq!(saw(&asker, "ada", "that bob's node is gone", |r| r.downs == 1).await.kind, ExitKind::NodeDown as u64);
    assert_eq!(eve.await.expect("a watch").kind, "linked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_bears_children_on_other_nodes_and_hears_of_their_end() {
    let mut realm = Realm::start(3).await;
    let asker = sentinels(&realm, &[("ada", 1)]).await;
    let child = asker.order("ada", order(verb::BEAR, 3, 1, &[]), &[]).await.handles[0].clone();
    assert!(child.starts_with("n3/"), "{child} is not on n3");
    until("the child runs", PATIENCE, async || asker.try_order(&child, order(verb::REPORT, 0, 0, &[]), &[]).await.ok())
        .await;
    // Its module was fetched by n3: it was only ever put on the node that was asked.
    asker.send(&child, order(verb::LEAVE, 9, 0, &[])).await;
    let seen = saw(&asker, "ada", "the child leave", |r| r.downs == 1).await;
    assert_eq!((seen.kind, seen.code), (ExitKind::Error as u64, 9));
    // A child with its node.
    asker.order("ada", order(verb::BEAR, 2, 1, &[]), &[]).await;
    until("the child runs", PATIENCE, async || asker.ps().await.iter().any(|row| row.node == 2).then_some(())).await;
    realm.kill(2);
    assert_eq!(saw(&asker, "ada", "the node die", |r| r.downs == 2).await.kind, ExitKind::NodeDown as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_bears_a_group_and_monitors_it_through_the_death_of_its_leader() {
    let mut realm = Realm::start(3).await;
    let asker = sentinels(&realm, &[("ada", 1)]).await;
    let child = asker.order("ada", order(verb::BEAR, 0, 5, &[]), &[]).await.handles[0].clone();
    assert!(child.starts_with("group/"), "{child} is not a group");
    until("the group answers", PATIENCE, async || {
        asker.try_order(&child, order(verb::REPORT, 0, 0, &[]), &[]).await.ok()
    })
    .await;
    let leader = until("the group has a leader", PATIENCE, async || {
        asker.ps().await.iter().find(|row| row.address == child).map(|row| row.node).filter(|n| *n != 0)
    })
    .await;
    // Ada lives on n1; the group is only led away from there if it is led there.
    if leader != 1 {
        realm.kill(leader);
        until("another leads", PATIENCE, async || {
            asker.try_order(&child, order(verb::REPORT, 0, 0, &[]), &[]).await.ok().filter(|a| a.node != leader)
        })
        .await;
        assert_eq!(report(&asker, "ada").await.downs, 0, "a group does not end with its leader");
    }
    asker.kill(&child).await;
    assert_eq!(saw(&asker, "ada", "the group's end", |r| r.downs == 1).await.kind, ExitKind::Killed as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_hears_of_the_end_of_what_it_monitors_once() {
    let mut realm = Realm::start(3).await;
    let asker = sentinels(&realm, &[("bob", 3)]).await;
    asker.spawn(Spawn::guest("sentinel").replicas(3).name("council")).await;
    asker.order("council", order(verb::MONITOR, 0, 0, &[]), &["bob"]).await;
    realm.kill(3);
    let seen = saw(&asker, "council", "bob's node die", |r| r.downs > 0).await;
    assert_eq!((seen.downs, seen.kind), (1, ExitKind::NodeDown as u64));
    realm.boot(&[3]).await;
    // Letters of a group to a plain actor and of a plain actor to a group: once each, in order.
    asker.spawn(Spawn::guest("sentinel").on(3).name("bert")).await;
    asker.order("council", order(verb::WRITE, 0, 500, &[]), &["bert"]).await;
    asker.order("bert", order(verb::WRITE, 0, 500, &[]), &["council"]).await;
    for who in ["bert", "council"] {
        let seen = saw(&asker, who, "five hundred letters", |r| r.letters >= 500).await;
        assert_eq!((seen.letters, seen.sum, seen.out_of_order), (500, 125_250, 0), "{who}");
    }
    assert_eq!(report(&asker, "council").await.downs, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_between_groups_arrive_exactly_once_while_a_node_dies() {
    let mut realm = Realm::start(3).await;
    let asker = realm.asker();
    for name in ["senate", "house"] {
        asker.spawn(Spawn::guest("sentinel").replicas(3).name(name)).await;
    }
    for round in 1..=3 {
        asker.order("senate", order(verb::WRITE, 0, 300, &[]), &["house"]).await;
        let node = asker.leader("senate").await;
        realm.kill(node);
        let what = format!("{round} times three hundred letters");
        let seen = saw(&asker, "house", &what, |r| r.letters >= 300 * round).await;
        assert_eq!(seen.letters, 300 * round, "exactly once");
        realm.boot(&[node]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_means_one_actor_in_the_whole_realm() {
    let realm = Realm::start(3).await;
    let asker = sentinels(&realm, &[("ada", 1)]).await;
    let trouble = realm.asker_at(3).await.try_spawn(Spawn::guest("sentinel").on(3).name("ada")).await.unwrap_err();
    assert_eq!(trouble.errno, Errno::EXISTS, "{trouble:?}");
    assert!(!trouble.mend.is_empty(), "{trouble:?}");
    assert!(asker.ps().await.iter().all(|row| row.node == 1), "who was refused the name does not run");
    // Every node knows it, and reaches whom it means.
    for node in 1..=3 {
        let there = realm.asker_at(node).await;
        until(&format!("n{node} knows ada"), PATIENCE, async || {
            there.names().await.iter().any(|row| row.name == "ada" && row.address.starts_with("n1/")).then_some(())
        })
        .await;
        report(&there, "ada").await;
    }
    // Many at once: one has it.
    let mut racers = Vec::new();
    for n in 0..6u32 {
        let asker = realm.asker_at(n % 3 + 1).await;
        racers.push(tokio::spawn(async move {
            asker.try_spawn(Spawn::guest("sentinel").on(n % 3 + 1).name("crown")).await.map_err(|t| t.errno)
        }));
    }
    let mut won = 0;
    for racer in racers {
        match racer.await.expect("a racer") {
            Ok(_) => won += 1,
            Err(errno) => assert_eq!(errno, Errno::EXISTS),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_actor_keeps_its_address_and_a_killed_one_stays_ended() {
    let realm = Realm::start(3).await;
    let asker = realm.asker_at(1).await;
    let row = asker.spawn(Spawn::guest("sentinel").on(3).name("bob").restart(Restart::OnFailure)).await;
    asker.send("bob", order(verb::FALL, 0, 0, &[])).await;
    let seen = saw(&asker, "bob", "its second life", |r| r.restarted == 1).await;
    assert_eq!(seen.letters, 0, "a new life has fresh memory");
    assert_eq!(asker.row("bob").await.map(|r| (r.address, r.restarts)), Some((row.address, 1)));
    asker.kill("bob").await;
    until("bob is gone", PATIENCE, async || asker.row("bob").await.is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_moves_to_other_nodes_and_keeps_what_it_knew() {
    let mut realm = Realm::start(4).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").replicas(3).on(1).name("hits")).await;
    let voters = asker.row("hits").await.expect("a row").voters;
    let spare = (1..=4).find(|node| !voters.contains(node)).expect("four nodes, three voters");
    for n in 1..=10 {
        assert_eq!(asker.call("hits add").await.number(), n);
    }
    let leaving = asker.leader("hits").await;
    let new: Vec<u32> = voters.iter().copied().filter(|n| *n != leaving).chain([spare]).collect();
    let request = pando_admin::Request::Voters { target: "hits".into(), nodes: new.clone() };
    asker.ask(request).await.unwrap_or_else(|e| panic!("voters {new:?}: {e:?}"));
    let mut wanted = new.clone();
    wanted.sort_unstable();
    let voters = until("the voters are the new ones", PATIENCE, async || {
        asker
            .row("hits")
            .await
            .map(|mut row| {
                row.voters.sort_unstable();
                row.voters
            })
            .filter(|v| *v == wanted)
    })
    .await;
    assert_eq!(voters, wanted);
    // The one that left is not needed any more; the one that came is a full member: with it, a minority can die.
    realm.kill(leaving);
    for n in 11..=20 {
        assert_eq!(asker.call("hits add").await.number(), n);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_after_the_end_is_told_how_it_ended() {
    let inside = Inside::start(1, 2).await;
    let asker = inside.asker();
    let row = asker.spawn(Spawn::guest("sentinel")).await;
    let watch = asker.watch(&row.id).await;
    asker.send(&row.id, order(verb::LEAVE, 7, 0, &[])).await;
    let ended = watch.await.expect("a watch");
    assert_eq!((ended.kind.as_str(), ended.code), ("error", 7));
    // The id still means who it meant: a watch ends as the one before did, a call says that there is nobody.
    let again = asker.watch(&row.id).await.await.expect("a watch");
    assert_eq!(again, ended);
    let called = asker.try_order(&row.id, order(verb::REPORT, 0, 0, &[]), &[]).await.expect_err("nobody answers");
    assert_eq!(called.errno, Errno::DEAD);
    let inspected = asker.inspect(None, &row.id).await.expect_err("nobody is there");
    assert!(inspected.errno == Errno::DEAD && inspected.text.contains("has ended: error 7"), "{inspected:?}");
    inside.stop().await;
}
