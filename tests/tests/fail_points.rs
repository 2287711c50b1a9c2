//! Real processes that end at a place with a name: what was promised before is kept afterwards.
//!
//! Built with `--features pando-tests/planted`. Every change ends a node at seven places, others each day; `PANDO_POINTS=all` goes
//! through all of them, and `PANDO_POINTS=log.before-sync,move.left` through these. The places: `tests/FAILPOINTS.md`.
//!
//! Each time three nodes, one of which ends itself: callers of a group all the while; groups that come, go, write letters to each other and
//! change their voters; plain actors that move; new modules. When it has ended it is started again, and what everybody was told is
//! held against what is there.

use pando_abi::planted::fail::Point;
use pando_tests::program;

#[test]
fn the_page_lists_every_fail_point() {
    let page = std::fs::read_to_string(program::workspace().join("tests/FAILPOINTS.md")).expect("the page");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let wanted: Vec<String> = Point::ALL.iter().map(|(_, name, meaning)| format!("| `{name}` | {meaning} |")).collect();
    assert_eq!(rows, wanted);
}

#[cfg(not(feature = "planted"))]
#[test]
fn a_program_without_the_feature_has_none_of_it() {
    let bytes = std::fs::read(program::path()).expect("the program");
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("PANDO_LOG"), "what is in it is found");
    assert!(!has("PANDO_FAIL") && !has("PANDO_POISON") && !has(Point::LogBeforeSync.name()));
}

#[cfg(feature = "planted")]
mod campaign {
    use std::{
        sync::{
            Arc, Mutex,
            atomic::{AtomicU64, Ordering},
        },
        time::{Duration, SystemTime, UNIX_EPOCH},
    };

    use pando_abi::{Errno, planted::fail::Point};
    use pando_admin::Request;
    use pando_tests::{
        Asker, Realm, Spawn,
        guests::{order, verb, version},
        load::Load,
        until,
    };

    /// Points that every change goes through.
    const FEW: usize = 7;
    /// Until the work has led to the point.
    const REACHED: Duration = Duration::from_secs(120);
    const PATIENCE: Duration = Duration::from_secs(60);
    /// Entries between snapshots.
    const SNAPSHOT_EVERY: &str = "snapshot-every=16";

    /// The node that ends. What only leaders do happens on the first node, which new groups are led by.
    fn victim(point: Point) -> u32 {
        if matches!(point, Point::SaidHeard | Point::SeatChanged) { 1 } else { 2 }
    }

    /// Which time it is reached.
    fn nth(point: Point) -> u64 {
        use Point::*;
        match point {
            LogBeforeWrite | LogBeforeSync | LogAfterSync => 60,
            ApplyBefore | ApplyAfter => 100,
            LaneCommitted => 40,
            GroupRecorded => 4,
            VoteBeforeSave | VoteAfterSave | SaidHeard => 3,
            SnapshotBeforeSync | SnapshotBeforeRename | SnapshotAfterRename | ModuleBeforeFlush | ModuleAfterFlush => 2,
            _ => 1,
        }
    }

    /// What people were told.
    #[derive(Default)]
    struct Told {
        /// Calls of the plain actor that were answered, and that may have happened.
        plain: (AtomicU64, AtomicU64),
        /// Who wrote letters to whom, and how many were acknowledged.
        letters: Mutex<Vec<(String, u64)>>,
    }

    async fn call_plain(asker: &Asker, told: &Told) {
        told.plain.1.fetch_add(1, Ordering::Relaxed);
        if asker.try_order("plain", order(verb::TALLY, 0, 0, &[]), &[]).await.is_ok() {
            told.plain.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Everything that a realm does, in a small way. Whatever comes to nothing may have been the victim's end.
    async fn round(asker: &Asker, told: &Told, victim: u32, n: u64) {
        let other = 3;
        let (group, writer) = (format!("g{n}"), |i: u64| format!("c{n}-{i}"));
        let _ = asker.try_spawn(Spawn::wasm("tally", version("tally", n as u32)).replicas(3).name(&group)).await;
        for i in 0..3 {
            let _ = asker.try_spawn(Spawn::guest("courier").replicas(3).name(&writer(i))).await;
        }
        for i in 0..3 {
            let (from, to) = (writer(i), writer((i + 1) % 3));
            let mut acknowledged = 0;
            for _ in 0..4 {
                let posted = asker.try_order(&from, order(verb::POST, i, 0, &[]), &[&to]).await;
                acknowledged += u64::from(posted.is_ok());
            }
            told.letters.lock().expect("no panic").push((format!("{to} {i}"), acknowledged));
        }
        call_plain(asker, told).await;
        for node in [other, victim] {
            let _ = asker.ask(Request::Move { target: "plain".into(), node }).await;
            call_plain(asker, told).await;
        }
        // More than the logs keep behind a snapshot, so that who comes back needs one.
        for _ in 0..40 {
            let _ = asker.try_order(&group, order(verb::TALLY, 0, 0, &[]), &[]).await;
        }
        for target in [group.clone(), writer(0), writer(1), writer(2)] {
            // The victim itself goes and comes, and another one does.
            let node = if target == group { victim } else { other };
            let reseat = |add: Vec<u32>, remove: Vec<u32>| Request::Reseat { target: target.clone(), add, remove };
            let _ = asker.ask(reseat(vec![], vec![node])).await;
            let _ = asker.ask(reseat(vec![node], vec![])).await;
        }
        let _ = asker.ask(Request::Kill { target: group }).await;
    }

    async fn check(point: Point, deed: &str) {
        let began = std::time::Instant::now();
        let fail = format!("{}={deed}@{}", point.name(), nth(point));
        let victim = victim(point);
        let mut realm = Realm::found(3);
        for node in 1..=3 {
            realm.environment(node, &[("PANDO_SET", SNAPSHOT_EVERY)]);
        }
        realm.environment(victim, &[("PANDO_SET", SNAPSHOT_EVERY), ("PANDO_FAIL", &fail)]);
        (1..=3).for_each(|node| realm.launch(node));
        // The victim may end before it is there.
        realm.ready(&[3 - victim, 3]).await;
        let (asker, told) = (realm.asker(), Arc::new(Told::default()));
        let mut ended = false;
        // A group of three wants three nodes; one that ended before there was anything to do is started again before that.
        while let Err(why) = asker.try_spawn(Spawn::guest("tally").replicas(3).name("hits")).await {
            assert!(!ended || why.errno != Errno::REFUSED, "{fail}: {why:?}");
            if !ended && realm.buried(victim, Duration::from_secs(1)).await {
                ended = true;
                start_again(&mut realm, victim).await;
            }
        }
        let load = Load::start(&realm, "hits", 6).await;
        let _ = asker.try_spawn(Spawn::guest("tally").on(victim).name("plain")).await;
        let working = {
            let (asker, told) = (asker.clone(), told.clone());
            tokio::spawn(async move {
                for n in 0.. {
                    round(&asker, &told, victim, n).await;
                }
            })
        };
        if !ended {
            assert!(realm.buried(victim, REACHED).await, "{fail}: nothing led there in {REACHED:?}");
            start_again(&mut realm, victim).await;
        }
        working.abort();
        let goal = load.answered() + 100;
        until("calls are answered", PATIENCE, async || (load.answered() >= goal).then_some(())).await;
        let toll = load.stop().await;
        assert_eq!(toll.complaints, Vec::<String>::new(), "{fail}: {toll:?}");
        let value = asker.query("hits", order(verb::TALLY, 0, 0, &[])).await.number();
        assert_eq!(value as u64, toll.calls, "{fail}: the group counts otherwise than its callers");
        until("the replicas agree", PATIENCE, async || asker.agrees("hits", &[1, 2, 3]).await.then_some(())).await;
        letters_are_there_once(&asker, &told, &fail).await;
        the_plain_one_knows_its_calls_or_is_gone(&asker, &told, &fail).await;
        let all: Vec<u32> = (1..=3).collect();
        realm.stop(&all).await;
        println!("{fail:<36} kept; {} calls, {:.0} s", toll.calls, began.elapsed().as_secs_f64());
    }

    async fn start_again(realm: &mut Realm, victim: u32) {
        realm.environment(victim, &[("PANDO_SET", SNAPSHOT_EVERY)]);
        realm.boot(&[victim]).await;
    }

    async fn letters_are_there_once(asker: &Asker, told: &Told, fail: &str) {
        let letters = std::mem::take(&mut *told.letters.lock().expect("no panic"));
        for (who, acknowledged) in letters.into_iter().filter(|(_, acknowledged)| *acknowledged > 0) {
            let (to, line) = who.split_once(' ').expect("a name and a line");
            let line: u64 = line.parse().expect("a line");
            until(&format!("{fail}: {acknowledged} letters are at {to}"), PATIENCE, async || {
                let mail = asker.query(to, order(verb::MAIL, line, 0, &[])).await.value;
                let [came, again, skipped] = [0, 1, 2].map(|n| mail[n].as_u64().unwrap_or(u64::MAX));
                assert_eq!((again, skipped), (0, 0), "{fail}: {to} got letters twice or not at all: {mail}");
                (came >= acknowledged).then_some(())
            })
            .await;
        }
    }

    /// It is gone if it lived on the node that ended. Then it is so for everybody, and for good.
    async fn the_plain_one_knows_its_calls_or_is_gone(asker: &Asker, told: &Told, fail: &str) {
        let [least, most] = [&told.plain.0, &told.plain.1].map(|n| n.load(Ordering::Relaxed));
        let answer = until("it is known what became of the plain actor", PATIENCE, async || {
            match asker.try_order("plain", order(verb::TALLY, 0, 0, &[]), &[]).await {
                Ok(answer) => Some(Some(answer.number() as u64)),
                Err(why) if matches!(why.errno, Errno::DEAD | Errno::NOT_FOUND) => Some(None),
                Err(why) => {
                    eprintln!("{fail}: {why:?}; {:?}", asker.row("plain").await);
                    None
                }
            }
        })
        .await;
        if let Some(value) = answer {
            // Asked again while it was on its way, this very call may have happened more than once.
            assert!(value > least && value <= most + 30, "{fail}: it says {value}, of {least} to {most} calls before");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_node_that_ends_at_any_named_place_loses_nothing_that_was_promised() {
        let abort = Point::ALL.into_iter().map(|(point, ..)| (point, "abort"));
        // A disk that says no: the process ends itself.
        let mut cases: Vec<(Point, &str)> = abort.collect();
        cases.extend([(Point::LogBeforeSync, "error"), (Point::SnapshotBeforeSync, "error")]);
        let asked = std::env::var("PANDO_POINTS").unwrap_or_default();
        let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400) as usize;
        let all = cases.len();
        let chosen: Vec<(Point, &str)> = match asked.as_str() {
            "all" => cases,
            "" => (0..FEW).map(|n| cases[(days * FEW + n) % all]).collect(),
            names => {
                let names: Vec<&str> = names.split(',').map(str::trim).collect();
                let chosen = cases.into_iter().filter(|(point, _)| names.contains(&point.name()));
                chosen.collect()
            }
        };
        assert!(!chosen.is_empty(), "PANDO_POINTS names no point");
        for (point, deed) in chosen {
            check(point, deed).await;
        }
    }
}
