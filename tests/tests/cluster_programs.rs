//! The bundled programs on three nodes: what people get with Pando does what it says.

use std::time::Duration;

use pando_tests::{Asker, Realm, Spawn, until};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);

/// What a member has heard from whom, in order.
async fn heard(asker: &Asker, who: &str) -> Vec<(String, String)> {
    let lines = asker.call(&format!("{who} heard_so_far")).await.value;
    let text = |line: &serde_json::Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    lines.as_array().into_iter().flatten().map(|line| (text(line, "from"), text(line, "text"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_goes_over_all_nodes_and_survives_the_death_of_its_leader() {
    let mut realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::bundled("chat").replicas(3).name("chat")).await;
    for (n, (name, who)) in [("ada", "Ada"), ("bob", "Bob"), ("eve", "Eve")].into_iter().enumerate() {
        asker.spawn(Spawn::bundled("member").with(who).on(n as u32 + 1).name(name)).await;
        asker.call(&format!("{name} join chat tea")).await;
    }
    assert_eq!(asker.call("ada say tea hello").await.value, json!(2), "it goes to the two others");
    for who in ["bob", "eve"] {
        until(&format!("{who} hears Ada"), PATIENCE, async || {
            heard(&asker, who).await.contains(&("Ada".into(), "hello".into())).then_some(())
        })
        .await;
    }
    // A node goes, and its member with it: the chat notices, and tells those who are left.
    let leader = asker.leader("chat").await;
    realm.kill(leader);
    let lost = ["Ada", "Bob", "Eve"][leader as usize - 1];
    let left: Vec<&str> = ["ada", "bob", "eve"].into_iter().filter(|n| !n.eq_ignore_ascii_case(lost)).collect();
    for who in &left {
        until(&format!("{who} hears that {lost} is gone"), PATIENCE, async || {
            heard(&asker, who).await.iter().any(|(_, text)| text.contains(lost) && text.contains("gone")).then_some(())
        })
        .await;
    }
    assert_eq!(asker.call(&format!("{} say tea still-here", left[0])).await.value, json!(1));
    until("the other one hears it", PATIENCE, async || {
        heard(&asker, left[1]).await.iter().any(|(_, text)| text == "still-here").then_some(())
    })
    .await;
    // Once each: nothing that was said came twice.
    let lines = heard(&asker, left[1]).await;
    for said in ["still-here", "hello"] {
        assert!(lines.iter().filter(|(_, text)| text == said).count() <= 1, "{lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boss_replaces_its_workers_and_nobody_who_waits_notices() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::bundled("workers").with("4").on(2).name("jobs")).await;
    asker.spawn(Spawn::bundled("workers").with("2").replicas(3).name("council")).await;
    for boss in ["jobs", "council"] {
        assert_eq!(asker.call(&format!("{boss} submit 10000")).await.value, json!(1_229), "{boss}");
        asker.call(&format!("{boss} crash 0")).await;
        assert_eq!(asker.call(&format!("{boss} submit 10000")).await.value, json!(1_229), "{boss}");
        until(&format!("{boss} has replaced a worker"), PATIENCE, async || {
            let status = asker.call(&format!("{boss} status")).await.value;
            (status["replaced"] == json!(1) && status["busy"] == json!(0)).then_some(())
        })
        .await;
    }
    // Many at once, and a worker that falls over among them.
    let mut jobs = Vec::new();
    for _ in 0..20 {
        let asker = asker.clone();
        jobs.push(tokio::spawn(async move { asker.call("jobs submit 50000").await.value }));
    }
    asker.call("jobs crash 1").await;
    for job in jobs {
        assert_eq!(job.await.expect("a job"), json!(5_133));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ping_and_pong_play_across_nodes() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::bundled("pong").on(3).name("pong")).await;
    asker.spawn(Spawn::bundled("ping").on(1).name("ping")).await;
    assert_eq!(asker.call("ping play pong 1000").await.value["rounds"], json!(1_000));
    assert_eq!(asker.call("ping play_with pong 10").await.value["rounds"], json!(10));
    assert_eq!(asker.call("ping many 1000 50").await.value["rounds"], json!(1_000));
    assert_eq!(asker.call("pong answered").await.value, json!(2_010));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_values_is_the_same_from_every_node() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::bundled("kv").replicas(3).name("settings")).await;
    asker.call("settings put colour blue").await;
    for node in 1..=3 {
        assert_eq!(realm.asker_at(node).await.call("settings get colour").await.value, json!("blue"), "n{node}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gremlin_does_its_worst_and_the_realm_goes_on() {
    let mut realm = Realm::start(1).await;
    let asker = realm.asker();
    asker.spawn(Spawn::bundled("counter").name("hits")).await;
    // A misdeed, and a word of what its caller is told; nothing where it is answered.
    let misdeeds = [
        ("recurse", Some("faulted")),
        ("grow_memory", None),
        ("bad_pointer", Some("faulted")),
        ("bad_handle", Some("faulted")),
        ("guess_handles 100", Some("faulted")),
        ("trap", Some("faulted")),
        ("panic oh", Some("faulted")),
        ("divide 1 0", Some("faulted")),
        ("flood_self 100000 8", None),
        ("flood hits 100000 8", None),
        ("spawn_storm 1000", None),
        ("handle_storm", None),
        ("grant_storm", None),
        ("timer_storm", None),
        ("monitor_storm hits", None),
        ("call_storm hits", None),
        ("log_storm 10000", None),
        ("huge_message 2000000", Some("faulted")),
        ("drop_reply", Some("without answering")),
        ("use_after_drop", Some("faulted")),
        ("drop_self", Some("faulted")),
        ("reply_to_nobody", Some("faulted")),
        ("bad_spec", Some("faulted")),
        ("bad_timer", Some("faulted")),
        ("mischief_in_a_query", None),
        ("loop_forever", Some("faulted")),
    ];
    let mut complaints = Vec::new();
    for (adds, (misdeed, told)) in (1..).zip(misdeeds) {
        asker.spawn(Spawn::bundled("gremlin").name("gremlin").cpu_ms(5_000)).await;
        let answer = asker.try_call(&format!("gremlin {misdeed}")).await;
        match (&answer, told) {
            (Ok(_), None) => {}
            (Err(trouble), Some(word)) if format!("{} {}", trouble.errno.text(), trouble.text).contains(word) => {}
            _ => complaints.push(format!("{misdeed}: {answer:?}")),
        }
        // A flooded mailbox may be full for a moment, and says so.
        until("the neighbour answers", PATIENCE, async || match asker.try_call("hits add 1").await {
            Ok(answer) => {
                assert_eq!(answer.number(), adds, "after {misdeed}");
                Some(())
            }
            Err(trouble) if trouble.errno == pando_abi::Errno::FULL => None,
            Err(trouble) => panic!("after {misdeed}: {trouble:?}"),
        })
        .await;
        let _ = asker.ask(pando_admin::Request::Kill { target: "gremlin".into() }).await;
        until("the gremlin is gone", PATIENCE, async || {
            asker.names().await.iter().all(|row| row.name != "gremlin").then_some(())
        })
        .await;
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    assert!(!realm.has_ended(1));
}
