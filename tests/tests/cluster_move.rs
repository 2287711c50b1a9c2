//! Plain actors that move while they are talked to, timed, watched, linked and called; and what becomes of them when a node goes.
//!
//! Real processes, as people start them: what a person would type is typed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pando_abi::{Errno, ExitKind, Restart};
use pando_admin::{Reply, Request};
use pando_tests::{
    Asker, Realm, Spawn, Trouble,
    guests::{Report, Testimony, order, verb},
    load::Load,
    shell::pando,
    until,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a person types must be done.
fn done(realm: &Realm, line: &str) -> String {
    let said = pando(realm.data(), &line.split(' ').collect::<Vec<_>>());
    assert_eq!(said.code, 0, "{line}: {said:?}");
    said.out
}

async fn try_move(asker: &Asker, target: &str, node: u32) -> Result<(u32, u64), Trouble> {
    match asker.ask(Request::Move { target: target.to_owned(), node }).await? {
        Reply::Moved { from, to, bytes, .. } => {
            assert_eq!(to, node);
            Ok((from, bytes))
        }
        other => panic!("move {target}: {other:?}"),
    }
}

async fn moves(asker: &Asker, target: &str, node: u32) -> u32 {
    try_move(asker, target, node).await.unwrap_or_else(|e| panic!("move {target} n{node}: {e:?}")).0
}

/// A move that may have to wait until everybody knows what happened to nodes.
async fn moves_at_last(asker: &Asker, target: &str, node: u32) {
    until(&format!("{target} moves to n{node}"), PATIENCE, async || try_move(asker, target, node).await.ok()).await;
}

async fn sentinel(asker: &Asker, name: &str, node: u32) {
    asker.spawn(Spawn::guest("sentinel").on(node).name(name)).await;
}

async fn report(asker: &Asker, who: &str) -> Report {
    Report::of(&asker.order(who, order(verb::REPORT, 0, 0, &[]), &[]).await.value)
}

async fn saw(asker: &Asker, who: &str, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
    until(&format!("{who} sees {what}"), PATIENCE, async || Some(report(asker, who).await).filter(&wanted)).await
}

async fn testimony(asker: &Asker, who: &str) -> Testimony {
    let answer = asker.order(who, order(verb::TESTIFY, 0, 0, &[]), &[]).await;
    Testimony::of(&answer.body).expect("a testimony")
}

async fn lives_on(asker: &Asker, name: &str) -> u32 {
    asker.row(name).await.unwrap_or_else(|| panic!("{name} is nowhere")).node
}

/// A node that does not lead the root group, and is none of these.
async fn follower(asker: &Asker, not: &[u32]) -> u32 {
    let nodes = until("the root group has a leader", PATIENCE, async || {
        Some(asker.nodes().await).filter(|nodes| nodes.iter().any(|node| node.root_leader))
    })
    .await;
    let fit = nodes.iter().find(|node| !node.root_leader && !not.contains(&node.node));
    fit.expect("a node that follows").node
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_are_sent_to_an_actor_while_it_moves_to_and_fro_arrive_once_each_and_in_order() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("witness").on(1).name("hub")).await;
    asker.spawn(Spawn::guest("witness").replicas(3).name("w4")).await;
    for n in 1..=3 {
        asker.spawn(Spawn::guest("witness").on(n).name(&format!("w{n}"))).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut senders = Vec::new();
    for n in 1..=4u64 {
        let asker = realm.asker_at(n as u32 % 3 + 1).await;
        let stop = stop.clone();
        senders.push(tokio::spawn(async move {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                let letters = order(verb::LETTERS, n, 20, &0u64.to_le_bytes());
                sent = asker.order(&format!("w{n}"), letters, &["hub"]).await.number();
                // Slow enough that a pause on a busy machine does not fill a mailbox: that would be told, as always.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            sent
        }));
    }
    let mut at = 1;
    for node in [3, 2, 1, 2, 3, 1, 3] {
        let from = moves(&asker, "hub", node).await;
        // Whoever lost the answer asks again, and is told that it lives there already.
        assert!(from == at || from == node, "it moves from n{from}, and was on n{at}");
        at = node;
        // Where it was may not have heard yet that it is gone from there.
        until("it is shown where it lives", PATIENCE, async || (lives_on(&asker, "hub").await == node).then_some(()))
            .await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for sender in senders {
        sent += sender.await.expect("a sender") as u64;
    }
    let (seen, bounces) = until("every letter is there or was told to be lost", PATIENCE, async || {
        let mut bounces = 0;
        for n in 1..=4 {
            bounces += testimony(&asker, &format!("w{n}")).await.bounces;
        }
        let seen = testimony(&asker, "hub").await;
        (seen.letters + bounces >= sent).then_some((seen, bounces))
    })
    .await;
    assert_eq!((seen.letters, seen.doubled, seen.missed, bounces, seen.restarted), (sent, 0, 0, 0, 0));
    assert!(sent > 200, "only {sent} letters were on their way");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_an_actor_that_moves_are_answered_each_once_and_a_person_is_told_how_long_it_stood_still() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    let address = asker.spawn(Spawn::guest("tally").on(2).name("hits")).await.address;
    let load = Load::start(&realm, "hits", 6).await;
    for (from, to) in [(2, 3), (3, 1), (1, 2), (2, 1)] {
        let goal = load.answered() + 50;
        until("calls go on", PATIENCE, async || (load.answered() >= goal).then_some(())).await;
        let said = done(&realm, &format!("move hits n{to}"));
        assert!(said.starts_with(&format!("hits moved n{from} -> n{to}, ")) && said.contains(", paused "), "{said}");
        let row = asker.row("hits").await.expect("a row");
        assert_eq!((row.node, &row.address), (to, &address), "its address stays");
    }
    let goal = load.answered() + 50;
    until("calls go on", PATIENCE, async || (load.answered() >= goal).then_some(())).await;
    let toll = load.stop().await;
    assert_eq!((toll.complaints.len(), toll.asked_again), (0, 0), "{toll:?}");
    let value = asker.query("hits", order(verb::TALLY, 0, 0, &[])).await.number();
    assert_eq!(value as u64, toll.calls, "it counts otherwise than its callers");
    assert!(done(&realm, "move hits n1").contains("lives on n1 already"));
    // Whoever asks any node by its address or id reaches it.
    for target in [address.as_str(), address.split('/').nth(1).expect("an id")] {
        for node in 1..=3 {
            let at = realm.asker_at(node).await;
            assert_eq!(at.query(target, order(verb::TALLY, 0, 0, &[])).await.number(), value, "{target} at n{node}");
        }
    }
    assert!(done(&realm, &format!("inspect {address}")).contains("events"));
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_that_were_set_before_a_move_fire_once_each_after_it() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("witness").on(1).name("clock")).await;
    // Forty timers, from a tenth of a second to four seconds.
    asker.order("clock", order(verb::TIMERS, 100_000_000, 40, &[]), &[]).await;
    for node in [2, 3, 1, 3] {
        moves(&asker, "clock", node).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let seen = until("the last timer", PATIENCE, async || {
        Some(testimony(&asker, "clock").await).filter(|t| t.timers_fired >= 40)
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(testimony(&asker, "clock").await, seen, "nothing comes after the last");
    assert_eq!((seen.timers_set, seen.timers_fired, seen.timers_wrong), (40, 40, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_and_links_go_along_and_tell_once_of_the_end() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    for (name, node) in [("ada", 1), ("eve", 1), ("cat", 3), ("bob", 2)] {
        sentinel(&asker, name, node).await;
    }
    asker.order("ada", order(verb::MONITOR, 0, 0, &[]), &["bob"]).await;
    asker.order("bob", order(verb::MONITOR, 0, 0, &[]), &["cat"]).await;
    asker.link("eve", "bob").await;
    let (bob, eve) = (asker.watch("bob").await, asker.watch("eve").await);
    // Those who watch move, and whom they watch.
    moves(&asker, "bob", 3).await;
    moves(&asker, "ada", 2).await;
    moves(&asker, "bob", 1).await;
    asker.kill("cat").await;
    assert_eq!(saw(&asker, "bob", "that cat is gone", |r| r.downs == 1).await.kind, ExitKind::Killed as u64);
    asker.send("bob", order(verb::LEAVE, 7, 0, &[])).await;
    let seen = saw(&asker, "ada", "that bob left", |r| r.downs > 0).await;
    assert_eq!((seen.kind, seen.code), (ExitKind::Error as u64, 7));
    assert_eq!(bob.await.expect("a watch").code, 7);
    assert_eq!(eve.await.expect("a watch").kind, "linked");
    assert_eq!(report(&asker, "ada").await.downs, 1, "it is told once");
    until("its name is free", PATIENCE, async || asker.names().await.iter().all(|n| n.name != "bob").then_some(()))
        .await;
    // One who is linked to somebody that moved ends with it, too, wherever it has moved itself.
    sentinel(&asker, "bob", 2).await;
    asker.link("bob", "ada").await;
    let ada = asker.watch("ada").await;
    moves(&asker, "bob", 3).await;
    moves(&asker, "ada", 1).await;
    asker.send("bob", order(verb::FALL, 0, 0, &[])).await;
    assert_eq!(ada.await.expect("a watch").kind, "linked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_waiting_when_its_caller_moved_is_answered() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    let slow = follower(&asker, &[]).await;
    let there: Vec<u32> = (1..=3).filter(|node| *node != slow).collect();
    sentinel(&asker, "ada", there[0]).await;
    sentinel(&asker, "bob", slow).await;
    let at = realm.asker_at(there[0]).await;
    realm.freeze(slow);
    let asked = tokio::spawn(async move { at.try_order("ada", order(verb::ASK, 0, 0, &[]), &["bob"]).await });
    let there_asker = realm.asker_at(there[0]).await;
    until("ada waits", PATIENCE, async || (there_asker.count("ada", "calls waiting").await == 1).then_some(())).await;
    moves(&there_asker, "ada", there[1]).await;
    assert!(!asked.is_finished());
    realm.thaw(slow);
    assert_eq!(asked.await.expect("a task").expect("an answer").number(), 0, "bob's answer found ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_moved_ends_with_the_node_where_it_lives_and_not_with_its_birthplace() {
    let mut realm = Realm::start(4).await;
    let asker = realm.asker_at(1).await;
    // Nobody lives where the root group is led, so that moves are decided whoever dies.
    for (name, node) in [("ada", 1), ("eve", 1), ("bob", 2), ("dan", 3)] {
        sentinel(&asker, name, node).await;
    }
    for whom in ["bob", "dan"] {
        asker.order("ada", order(verb::MONITOR, 0, 0, &[]), &[whom]).await;
    }
    asker.link("eve", "dan").await;
    moves(&asker, "bob", 3).await;
    moves(&asker, "dan", 4).await;
    until("everybody knows where they live", PATIENCE, async || {
        let mut known = true;
        for node in [1, 3, 4] {
            let lines = realm.asker_at(node).await.inspect(None, "bob").await;
            known &= lines.is_ok();
        }
        known.then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Bob was born there, and lives on.
    realm.kill(2);
    until("n2 is down for everybody", PATIENCE, async || {
        let nodes = asker.nodes().await;
        nodes.iter().any(|row| row.node == 2 && !row.up).then_some(())
    })
    .await;
    let seen =
        until("bob answers", PATIENCE, async || asker.try_order("bob", order(verb::REPORT, 0, 0, &[]), &[]).await.ok())
            .await;
    assert_eq!(seen.node, 3);
    assert_eq!(report(&asker, "ada").await.downs, 0, "nobody has ended");
    asker.order("ada", order(verb::WRITE, 0, 100, &[]), &["bob"]).await;
    saw(&asker, "bob", "a hundred letters", |r| r.letters == 100 && r.out_of_order == 0).await;
    // It can be moved further, though its birthplace is gone, and back to where it was born once that is there again.
    moves_at_last(&asker, "bob", 4).await;
    asker.order("ada", order(verb::WRITE, 0, 100, &[]), &["bob"]).await;
    saw(&asker, "bob", "two hundred letters", |r| r.letters == 200).await;
    realm.boot(&[2]).await;
    moves_at_last(&asker, "bob", 2).await;
    assert_eq!(report(&asker, "bob").await.letters, 200);
    moves_at_last(&asker, "bob", 4).await;
    assert_eq!(report(&asker, "ada").await.downs, 0);
    // Where both live now: that is their end.
    let eve = asker.watch("eve").await;
    realm.kill(4);
    let seen = saw(&asker, "ada", "both ends", |r| r.downs == 2).await;
    assert_eq!(seen.kind, ExitKind::NodeDown as u64);
    assert_eq!(eve.await.expect("a watch").kind, "linked");
    // It is back, and they are not.
    realm.boot(&[4]).await;
    until("their names are free", PATIENCE, async || {
        asker.names().await.iter().all(|row| row.name != "bob" && row.name != "dan").then_some(())
    })
    .await;
    let refused = asker.try_order("bob", order(verb::REPORT, 0, 0, &[]), &[]).await.expect_err("nobody");
    assert_eq!(refused.errno, Errno::NOT_FOUND, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_gives_its_actors_away_and_they_outlive_its_removal() {
    let mut realm = Realm::start(4).await;
    let asker = realm.asker_at(1).await;
    for n in 1..=5 {
        let name = format!("bob{n}");
        asker.spawn(Spawn::guest("sentinel").on(2).name(&name).restart(Restart::OnFailure)).await;
        asker.order(&name, order(verb::WRITE, 0, 10 * n, &[]), &[&name]).await;
    }
    sentinel(&asker, "ada", 3).await;
    asker.order("ada", order(verb::MONITOR, 0, 0, &[]), &["bob1"]).await;
    // A child of an actor that moves is born where it lives.
    let said = done(&realm, "drain n2");
    assert!(said.contains("n2 drained") && said.contains("5 plain actors moved to other nodes"), "{said}");
    assert!(asker.ps().await.iter().all(|row| row.node != 2));
    realm.stop(&[2]).await;
    done(&realm, "remove-node n2");
    until("n2 is gone for everybody", PATIENCE, async || {
        let mut gone = true;
        for node in [1, 3, 4] {
            gone &= realm.asker_at(node).await.nodes().await.iter().all(|row| row.node != 2);
        }
        gone.then_some(())
    })
    .await;
    for n in 1..=5u64 {
        let name = format!("bob{n}");
        for node in [1, 3, 4] {
            let seen = report(&realm.asker_at(node).await, &name).await;
            assert_eq!((seen.letters, seen.restarted), (10 * n, 0), "{name} by n{node}");
        }
    }
    let address = asker.row("bob1").await.expect("a row").address;
    assert!(address.starts_with("n2/"), "it is born where it was born: {address}");
    let home = lives_on(&asker, "bob1").await;
    let child = asker.order("bob1", order(verb::BEAR, 0, 0, &[]), &[]).await.handles[0].clone();
    assert!(child.starts_with(&format!("n{home}/")), "{child} is born where its parent lives, on n{home}");
    // Its supervisor starts it again where it lives.
    asker.send("bob2", order(verb::FALL, 0, 0, &[])).await;
    let home = lives_on(&asker, "bob2").await;
    let seen = saw(&asker, "bob2", "its second life", |r| r.restarted == 1).await;
    assert_eq!((seen.letters, lives_on(&asker, "bob2").await), (0, home));
    done(&realm, "name robert bob1");
    assert_eq!(report(&asker, "ada").await.downs, 0);
    asker.kill("robert").await;
    assert_eq!(saw(&asker, "ada", "the end", |r| r.downs == 1).await.kind, ExitKind::Killed as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_cannot_be_leaves_the_actor_where_it_was_and_says_why() {
    let mut realm = Realm::start(4).await;
    let asker = realm.asker_at(1).await;
    asker.spawn(Spawn::guest("tally").on(1).name("hits")).await;
    asker.spawn(Spawn::guest("tally").replicas(3).name("votes")).await;
    asker.call("hits add").await;
    done(&realm, "drain n4");
    until("n1 knows that n4 is drained", PATIENCE, async || {
        asker.nodes().await.iter().any(|row| row.node == 4 && row.standing == "drained").then_some(())
    })
    .await;
    realm.kill(3);
    until("n1 knows that n3 is down", PATIENCE, async || {
        asker.nodes().await.iter().any(|row| row.node == 3 && !row.up).then_some(())
    })
    .await;
    for (target, node, errno, words) in [
        ("hits", 9, Errno::NOT_FOUND, "the realm has no node n9"),
        ("hits", 4, Errno::REFUSED, "n4 takes nothing new"),
        ("hits", 3, Errno::UNREACHABLE, "n3 cannot be reached"),
        ("votes", 2, Errno::REFUSED, "it is a group"),
        ("nobody", 2, Errno::NOT_FOUND, "nothing is named `nobody`"),
    ] {
        let refused = try_move(&asker, target, node).await.expect_err("it cannot be");
        assert_eq!(refused.errno, errno, "{target} to n{node}: {refused:?}");
        assert!(refused.text.contains(words) && !refused.mend.is_empty(), "{target} to n{node}: {refused:?}");
        assert_eq!(lives_on(&asker, "hits").await, 1);
    }
    assert_eq!(asker.call("hits add").await.number(), 2);
    // Two at once: one is made, and the actor lives in one place.
    realm.boot(&[3]).await;
    until("n1 knows that n3 is up", PATIENCE, async || {
        asker.nodes().await.iter().any(|row| row.node == 3 && row.up).then_some(())
    })
    .await;
    let (a, b) = (realm.asker_at(1).await, realm.asker_at(2).await);
    let (one, two) = tokio::join!(try_move(&a, "hits", 2), try_move(&b, "hits", 3));
    assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
    assert_eq!(asker.call("hits add").await.number(), 3);
    assert_eq!(asker.ps().await.iter().filter(|row| row.name == "hits").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_with_megabytes_of_memory_comes_over_whole() {
    let realm = Realm::start(2).await;
    let asker = realm.asker();
    asker.spawn(Spawn::bundled("kv").on(1).name("store")).await;
    let value = |n: u64| {
        let mut text = String::new();
        let mut state = n + 1;
        while text.len() < 50_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("x{state:016x}"));
        }
        text
    };
    for n in 0..60 {
        asker.call(&format!("store put key{n} {}", value(n))).await;
    }
    let (from, bytes) = try_move(&asker, "store", 2).await.expect("it moves");
    assert!(from == 1 && bytes > 2 << 20, "{bytes} bytes from n{from}");
    for n in 0..60 {
        assert_eq!(asker.call(&format!("store get key{n}")).await.value.as_str(), Some(value(n).as_str()), "key{n}");
    }
    assert_eq!(lives_on(&asker, "store").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leads_or_receives_a_move_may_die_in_the_middle_of_it_and_the_actor_goes_on_in_one_place() {
    let mut realm = Realm::start(4).await;
    let asker = realm.asker_at(1).await;
    asker.spawn(Spawn::guest("tally").on(2).name("hits")).await;
    let mut value = 0;
    for (round, delay_ms) in [0, 3, 6, 12].into_iter().enumerate() {
        // It is reached by n2, and lives on n3 or n4; it shall go to the other one of these.
        moves_at_last(&asker, "hits", 3).await;
        let mover = realm.asker_at(1).await;
        let going = tokio::spawn(async move { try_move(&mover, "hits", 4).await.map(|_| ()) });
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let dies = if round % 2 == 0 { 2 } else { 4 };
        realm.kill(dies);
        let told = going.await.expect("a mover");
        let node = until("it goes on", PATIENCE, async || {
            let rows = asker.ps().await;
            let runs: Vec<u32> =
                rows.iter().filter(|row| row.name == "hits" && row.state == "running").map(|row| row.node).collect();
            let moved = match &told {
                Ok(()) => true,
                Err(why) => why.text.contains("has not been heard of since"),
            };
            if runs.is_empty() && dies == 4 && moved {
                return Some(4);
            }
            (runs.len() == 1).then(|| runs[0])
        })
        .await;
        realm.boot(&[dies]).await;
        if node == dies {
            // It had arrived, and ended with the node.
            until("its name is free", PATIENCE, async || {
                asker.names().await.iter().all(|row| row.name != "hits").then_some(())
            })
            .await;
            asker.spawn(Spawn::guest("tally").on(2).name("hits")).await;
            value = 0;
            continue;
        }
        value += 1;
        let counted = until("it answers", PATIENCE, async || asker.try_call("hits add").await.ok()).await;
        assert_eq!(counted.number(), value, "round {round}: nothing is lost, and nobody else counts");
    }
}
