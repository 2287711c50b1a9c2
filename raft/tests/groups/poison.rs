//! Entries of which whoever applies them dies: real processes that end, and are started again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Cluster, LONG, Plan, entry, eventually, group, put, run};

const DIR: &str = "PANDO_POISON_DIR";
const DYING: &str = "PANDO_POISON_DYING";
/// Far beyond what it can take.
const LIVES_MAX: usize = 12;

/// Runs the three nodes below, again whenever they have died. How often they did, and what the last life said.
fn lives(dir: &Path, dying: &str, test: &str) -> (usize, String) {
    for deaths in 0..LIVES_MAX {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(DIR, dir)
            .env(DYING, dying)
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout).into_owned();
        if child.status.success() {
            return (deaths, said);
        }
        use std::os::unix::process::ExitStatusExt;
        assert!(
            child.status.signal().is_some(),
            "it failed instead of dying: {said}{:?}",
            String::from_utf8_lossy(&child.stderr)
        );
    }
    panic!("it died {LIVES_MAX} times");
}

/// Three nodes in one process, on the parent's folder. Some of them die of the line "poison".
async fn nodes() -> Cluster {
    #[allow(clippy::reversed_empty_ranges, reason = "nobody yet")]
    let mut cluster = Cluster::start(1..=0, |config| {
        config.attest_every = 16;
        config.checkpoint_idle = Duration::from_millis(300);
    })
    .await;
    cluster.home = Some(PathBuf::from(std::env::var(DIR).unwrap()));
    let dying = std::env::var(DYING).unwrap();
    for node in 1..=3u32 {
        let dies_of = dying.contains(&node.to_string()).then(|| b"poison".to_vec());
        cluster.plans.insert(node, Plan { dies_of, ..Plan::default() });
        cluster.open(node).await;
    }
    cluster
}

#[test]
#[ignore = "a process that dies: it is started by the others"]
fn a_process_that_tries_the_poison() {
    run(async {
        let began = Instant::now();
        let cluster = nodes().await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        for seq in 0..20 {
            put(&cluster.nodes[&1], g, seq).await;
        }
        // Asked again under its key in each life, as whoever has not heard an answer does.
        let told = cluster.nodes[&2].propose(g, entry(1_000, b"poison"), LONG).await.unwrap();
        println!("answered after {:?}: {:?}", began.elapsed(), String::from_utf8_lossy(&told.outcome));
        for seq in 20..60 {
            put(&cluster.nodes[&3], g, seq).await;
        }
        let lines = cluster.agree(g, &[1, 2, 3], 60 + cluster.lines(1, g).contains(&b"poison".to_vec()) as usize).await;
        println!("{} lines, poisoned {}", lines.len(), lines.contains(&b"poison".to_vec()));
        eventually("all are well", || {
            let all: Vec<_> = (1..=3).filter_map(|n| cluster.nodes[&n].status(g)).collect();
            let well = |s: &pando_raft::Status| {
                s.stopped.is_none()
                    && s.rebuilding.is_none()
                    && s.fenced_peers.is_empty()
                    && s.rebuilding_peers.is_empty()
            };
            let same = all.iter().all(|s| (s.chain, s.root) == (all[0].chain, all[0].root) && s.attested > 0);
            (all.len() == 3 && same && all.iter().all(well)).then_some(())
        })
        .await;
    });
}

const CHILD: &str = "poison::a_process_that_tries_the_poison";

#[test]
fn an_entry_that_kills_every_process_is_skipped_by_all_and_the_group_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (deaths, said) = lives(dir.path(), "123", CHILD);
    println!("{deaths} deaths; {said}");
    // Each of a majority has to die of it twice; one process holds them all.
    assert!((4..=6).contains(&deaths), "{deaths} deaths");
    assert!(said.contains("poisoned false"), "{said}");
    // And so it stays, whoever begins anew.
    let (deaths, said) = lives(dir.path(), "123", CHILD);
    assert!(deaths == 0 && said.contains("poisoned false"), "{deaths} deaths: {said}");
}

#[test]
fn an_entry_that_kills_one_process_only_is_applied_and_that_replica_is_rebuilt_from_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let (deaths, said) = lives(dir.path(), "2", CHILD);
    println!("{deaths} deaths; {said}");
    assert_eq!(deaths, 2);
    assert!(said.contains("poisoned true"), "{said}");
}
