//! A realm in a file: backups that are of one piece though the realm goes on, and what is restored from them.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pando_admin::{Reply, Request};
use pando_tests::{
    Asker, Realm, Spawn,
    guests::{order, verb},
    load::Load,
    shell::pando,
    until,
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A backup of the realm, in a folder of its own.
fn backed_up(realm: &Realm) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("grove.backup");
    let said = pando(realm.data(), &["backup", text(&file)]);
    assert_eq!(said.code, 0, "{said:?}");
    (folder, file)
}

/// The realm that a backup makes, up and answering.
async fn restored(file: &Path, nodes: u32) -> Realm {
    let folder = tempfile::tempdir().expect("a folder");
    let said = pando(folder.path(), &["restore", text(file), "--nodes", &nodes.to_string()]);
    assert_eq!(said.code, 0, "{said:?}");
    let mut realm = Realm::of(folder);
    let all: Vec<u32> = realm.genesis().nodes.iter().map(|member| member.node.0).collect();
    realm.boot(&all).await;
    realm
}

/// Letters that `desk` got on a line: how many, how many again, how many were skipped.
async fn mail(asker: &Asker, line: u64) -> (u64, u64, u64) {
    let said = asker.query("desk", order(verb::MAIL, line, 0, &[])).await.value;
    let n = |i: usize| said[i].as_u64().unwrap_or_else(|| panic!("{said} is no report"));
    (n(0), n(1), n(2))
}

async fn post(asker: &Asker, line: u64) -> u64 {
    asker.order("post", order(verb::POST, line, 0, &[]), &["desk"]).await.number() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_is_restored_with_its_groups_names_and_modules_while_the_first_one_never_paused() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    let address = asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await.address;
    asker.spawn(Spawn::guest("tally").replicas(1).name("lone")).await;
    asker.spawn(Spawn::guest("echo").name("plain")).await;
    let load = Load::start(&realm, "hits", 4).await;
    until("calls go on", PATIENCE, async || (load.answered() > 50).then_some(())).await;
    let before = asker.query("hits", order(verb::TALLY, 0, 0, &[])).await.number();
    let (_folder, file) = backed_up(&realm);
    let after = asker.query("hits", order(verb::TALLY, 0, 0, &[])).await.number();
    let toll = load.stop().await;
    assert_eq!(toll.complaints, Vec::<String>::new(), "{toll:?}");
    drop(realm);
    // One node is enough for a look; the numbers go on where the first realm's ended.
    let mut again = restored(&file, 1).await;
    assert_eq!(again.running(), [4]);
    let asker = again.asker();
    let value = asker.query("hits", order(verb::TALLY, 0, 0, &[])).await.number();
    assert!((before..=after).contains(&value), "{value} is not between {before} and {after}");
    assert_eq!(asker.order("hits", order(verb::TALLY, 0, 0, &[]), &[]).await.number(), value + 1);
    assert_eq!(asker.order("lone", order(verb::TALLY, 0, 0, &[]), &[]).await.number(), 1);
    assert_eq!(asker.row("hits").await.expect("a row").address, address);
    let names: Vec<String> = asker.names().await.into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["hits", "lone"], "plain actors are not in a backup, nor are their names");
    // It is a realm like any other: it lasts, and grows.
    again.kill(4);
    again.boot(&[4]).await;
    again.admit(5).await;
    let said = pando(again.data(), &["group", "add", "hits", "n5"]);
    assert!(said.code == 0 && said.out.contains("voters n4 n5"), "{said:?}");
    assert_eq!(asker.order("hits", order(verb::TALLY, 0, 0, &[]), &[]).await.number(), value + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_groups_had_said_to_each_other_is_said_once_in_the_restored_realm() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("courier").replicas(3).name("post")).await;
    asker.spawn(Spawn::guest("courier").replicas(3).name("desk")).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|line| {
            let (asker, stop) = (realm.asker(), stop.clone());
            tokio::spawn(async move {
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    last = post(&asker, line).await;
                }
                last
            })
        })
        .collect();
    let mut files = Vec::new();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        files.push(backed_up(&realm));
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await.expect("a writer"));
    }
    // The first realm has lost nothing by holding still.
    for (line, last) in (0..).zip(&written) {
        until("all letters are there", PATIENCE, async || (mail(&asker, line).await.0 == *last).then_some(())).await;
        assert_eq!(mail(&asker, line).await, (*last, 0, 0), "line {line}");
    }
    drop(realm);
    for (_folder, file) in &files {
        let again = restored(file, 3).await;
        let asker = again.asker();
        for line in 0..4 {
            let last = post(&asker, line).await;
            assert!(last > 1, "line {line} begins anew");
            let what = format!("{last} letters of line {line}");
            let heard = until(&what, PATIENCE, async || Some(mail(&asker, line).await).filter(|m| m.0 >= last)).await;
            assert_eq!(heard, (last, 0, 0), "line {line} of {}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_dies_halts_nobody_for_long_and_two_do_not_mix() {
    let realm = Realm::start(1).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("courier").replicas(1).name("post")).await;
    asker.spawn(Spawn::guest("courier").replicas(1).name("desk")).await;
    let hold = |backup, lasts_ms, renew| Request::Hold { backup, lasts_ms, renew };
    assert_eq!(asker.ask(hold(1, 1_500, false)).await, Ok(Reply::Done));
    let refused = asker.ask(hold(2, 1_500, false)).await.unwrap_err();
    assert!(refused.text.contains("holds for another backup"), "{refused:?}");
    let file = realm.data().join("never.backup");
    let said = pando(realm.data(), &["backup", text(&file)]);
    assert!(said.code == 1 && said.err.contains("holds for another backup"), "{said:?}");
    assert!(!file.exists() && !realm.data().join("never.backup.part").exists());
    // Calls are answered; what groups say to each other waits, until nobody renews the hold.
    assert_eq!(post(&asker, 0).await, 1);
    assert_eq!(mail(&asker, 0).await.0, 0);
    until("the letter comes", PATIENCE, async || (mail(&asker, 0).await == (1, 0, 0)).then_some(())).await;
    let refused = asker.ask(hold(1, 1_500, true)).await.unwrap_err();
    assert!(refused.text.contains("does not hold for this backup"), "{refused:?}");
    let refused = asker.ask(Request::CopyGroup { backup: 1, group: [0; 16], offset: 0 }).await.unwrap_err();
    assert!(refused.text.contains("does not hold for this backup"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_backup_or_a_folder_with_something_in_it_is_refused_and_nothing_is_made() {
    let realm = Realm::start(1).await;
    realm.asker().spawn(Spawn::guest("tally").replicas(1).name("hits")).await;
    let (folder, file) = backed_up(&realm);
    let said = pando(realm.data(), &["backup", text(&file)]);
    assert!(said.code == 1 && said.err.contains("is there already"), "{said:?}");
    let said = pando(realm.data(), &["restore", text(&file)]);
    assert!(said.code == 1 && said.err.contains("is not empty"), "{said:?}");
    let whole = std::fs::read(&file).expect("the backup");
    let target = folder.path().join("target");
    let mut changed = whole.clone();
    changed[700] ^= 1;
    for bytes in [&whole[..whole.len() / 2], &changed, b"something else"] {
        let bad = folder.path().join("bad");
        std::fs::write(&bad, bytes).expect("a file");
        let said = pando(&target, &["restore", text(&bad)]);
        assert!(said.code == 1 && said.err.contains("not a backup, or a damaged one"), "{said:?}");
        assert!(!target.exists(), "a folder is left");
    }
}
