//! Leaders that vanish, replicas that fall behind or go wrong.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pando_raft::{Config, GroupEvent, LinearError, NodeId, ProposeError};

use crate::harness::{Cluster, LONG, Plan, entry, eventually, group, put, run};

#[test]
fn an_isolated_leader_is_replaced_cannot_commit_and_no_acknowledged_entry_is_lost() {
    run(async {
        let cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        for seq in 0..10 {
            put(&cluster.nodes[&1], g, seq).await;
        }
        let old = cluster.leader(g, &[1, 2, 3]).await;
        let rest: Vec<u32> = [1, 2, 3].into_iter().filter(|n| *n != old).collect();
        cluster.net.isolate(NodeId(old), &cluster.ids());
        // Handed to a leader without a quorum: nobody can know what becomes of it.
        let lost = cluster.nodes[&old].propose(g, entry(1000, b"lost"), Duration::from_secs(3)).await;
        assert!(matches!(lost, Err(ProposeError::Timeout)), "{lost:?}");
        let read = cluster.nodes[&old].linear(g, Duration::from_millis(500)).await;
        assert_eq!(read, Err(LinearError::NoQuorum));
        let new = cluster.leader(g, &rest).await;
        assert_ne!(new, old);
        for seq in 10..20 {
            put(&cluster.nodes[&rest[0]], g, seq).await;
        }
        assert!(!cluster.lines(old, g).contains(&b"lost".to_vec()));
        cluster.net.heal();
        put(&cluster.nodes[&old], g, 20).await;
        let count = cluster.lines(new, g).len();
        let lines = cluster.agree(g, &[1, 2, 3], count).await;
        for seq in 0..=20 {
            assert!(lines.contains(&format!("line {seq}").into_bytes()), "line {seq}");
        }
    });
}

#[test]
fn proposals_go_on_through_the_death_of_the_leader_and_none_is_doubled() {
    run(async {
        let mut cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        put(&cluster.nodes[&1], g, 0).await;
        let old = cluster.leader(g, &[1, 2, 3]).await;
        let other = cluster.nodes[&(old % 3 + 1)].clone();
        let proposer = tokio::spawn(async move {
            for seq in 1..60 {
                put(&other, g, seq).await;
            }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        cluster.close(old).await;
        proposer.await.unwrap();
        let rest: Vec<u32> = cluster.nodes.keys().copied().collect();
        cluster.agree(g, &rest, 60).await;
        cluster.open(old).await;
        let lines = cluster.agree(g, &[1, 2, 3], 60).await;
        let wanted: Vec<Vec<u8>> = (0..60).map(|seq| format!("line {seq}").into_bytes()).collect();
        assert_eq!(lines, wanted);
    });
}

#[test]
fn without_a_quorum_nothing_is_promised() {
    run(async {
        let mut cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        put(&cluster.nodes[&1], g, 0).await;
        for node in 1..=3 {
            cluster.close(node).await;
        }
        cluster.open(2).await;
        let short = Duration::from_millis(800);
        assert_eq!(cluster.nodes[&2].propose(g, entry(1, b"x"), short).await, Err(ProposeError::NoQuorum));
        assert_eq!(cluster.nodes[&2].linear(g, short).await, Err(LinearError::NoQuorum));
    });
}

/// Logs that are soon cut behind a snapshot.
fn soon_cut(config: &mut Config) {
    config.snapshot_every = 50;
    config.log_keep = 10;
}

#[test]
fn a_follower_that_missed_much_catches_up_by_snapshot() {
    run(async {
        let (mut cluster, g) = Cluster::with_a_group(1..=3, soon_cut).await;
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        let behind = leader % 3 + 1;
        cluster.close(behind).await;
        // Larger than one chunk.
        for seq in 1..4 {
            cluster.nodes[&leader].propose(g, entry(seq, &noise(seq, 700 << 10)), LONG).await.unwrap();
        }
        for seq in 4..400 {
            put(&cluster.nodes[&leader], g, seq).await;
        }
        // One that is away does not keep the log from being cut.
        eventually("the log is cut behind a snapshot", || {
            (cluster.nodes[&leader].status(g)?.first_index > 300).then_some(())
        })
        .await;
        let before = cluster.net.bulk_bytes.load(std::sync::atomic::Ordering::Relaxed);
        cluster.open(behind).await;
        cluster.agree(g, &[1, 2, 3], 400).await;
        let sent = cluster.net.bulk_bytes.load(std::sync::atomic::Ordering::Relaxed) - before;
        assert!(sent > 2 << 20, "only {sent} bytes of snapshot were sent");
        put(&cluster.nodes[&behind], g, 400).await;
        cluster.agree(g, &[1, 2, 3], 401).await;
    });
}

#[test]
fn a_snapshot_goes_on_where_the_connection_was_lost_and_brings_only_what_is_missing() {
    run(async {
        let (mut cluster, g) = Cluster::with_a_group(1..=3, soon_cut).await;
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        let behind = leader % 3 + 1;
        let (mut seq, mut lines) = (1, 1);
        let net = cluster.net.clone();
        let sent = || net.bulk_bytes.load(Ordering::Relaxed);
        for round in 0..2 {
            cluster.close(behind).await;
            // The whole, then a little more: the snapshot is of much that was there before.
            let (big, small) = if round == 0 { (12, 200) } else { (1, 400) };
            for n in 0..big + small {
                let line = if n < big { noise(seq, 700 << 10) } else { seq.to_le_bytes().to_vec() };
                cluster.nodes[&leader].propose(g, entry(seq, &line), LONG).await.unwrap();
                (seq, lines) = (seq + 1, lines + 1);
            }
            eventually("the log is cut behind a snapshot", || {
                let status = cluster.nodes[&leader].status(g)?;
                (status.first_index + 150 > status.last_index).then_some(())
            })
            .await;
            let before = sent();
            // The wire swallows everything after five MiB of the snapshot.
            net.bulk_max.store(before + (5 << 20), Ordering::Relaxed);
            cluster.open(behind).await;
            if round == 0 {
                eventually("the wire is full", || (sent() > before + (5 << 20)).then_some(())).await;
                net.bulk_max.store(u64::MAX, Ordering::Relaxed);
            }
            cluster.agree(g, &[1, 2, 3], lines).await;
            let sent = sent() - before;
            println!("round {round}: {} KiB of snapshot were sent", sent >> 10);
            // 8.2 MiB in all, and what was on its way when the wire was full; then 0.7 MiB and the keys of all lines.
            assert!(sent < if round == 0 { 10 << 20 } else { 2 << 20 }, "{sent} bytes");
            assert!(sent > if round == 0 { 8 << 20 } else { 700 << 10 }, "{sent} bytes");
        }
    });
}

/// Bytes of which no two runs are the same.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    let mut n = seed;
    while out.len() < len {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.extend_from_slice(&(n >> 16).to_le_bytes());
    }
    out.truncate(len);
    out
}

#[test]
fn replicas_that_agree_say_so_when_idle() {
    run(async {
        let cluster = Cluster::start(1..=3, |config| {
            config.attest_every = 1000;
            config.checkpoint_idle = Duration::from_millis(300);
        })
        .await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        let index = put(&cluster.nodes[&1], g, 0).await;
        for node in [1, 2, 3] {
            eventually("an attested checkpoint", || {
                let status = cluster.nodes[&node].status(g)?;
                (status.attested > index && status.root != [0; 32]).then_some(())
            })
            .await;
        }
        // And then nothing more is written.
        let before = cluster.nodes[&1].status(g).unwrap().last_index;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(cluster.nodes[&1].status(g).unwrap().last_index, before);
    });
}

#[test]
fn a_machine_that_panics_stops_its_group_with_the_reason_and_no_other() {
    run(async {
        #[allow(clippy::reversed_empty_ranges, reason = "nobody yet")]
        let mut cluster = Cluster::start(1..=0, |_| {}).await;
        cluster.plans.insert(1, Plan { panics_on: Some(b"boom".to_vec()), ..Plan::default() });
        cluster.open(1).await;
        let node = &cluster.nodes[&1];
        let mut events = node.watch();
        node.create(group(1), &[NodeId(1)]).await.unwrap();
        node.create(group(2), &[NodeId(1)]).await.unwrap();
        put(node, group(1), 0).await;
        let result = node.propose(group(1), entry(1, b"boom"), Duration::from_secs(5)).await;
        assert!(matches!(result, Err(ProposeError::Stopped(_) | ProposeError::Timeout)), "{result:?}");
        let stopped = async {
            loop {
                if let GroupEvent::Stopped { group, why } = events.recv().await.unwrap() {
                    return (group, why);
                }
            }
        };
        let (which, why) = tokio::time::timeout(LONG, stopped).await.unwrap();
        assert_eq!(which, group(1));
        assert!(why.contains("told to panic"), "{why}");
        put(node, group(2), 0).await;
        assert!(node.status(group(1)).unwrap().stopped.is_some());
    });
}
