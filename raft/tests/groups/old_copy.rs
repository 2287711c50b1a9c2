//! Disks that are put back as they once were.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use pando_raft::{GroupEvent, GroupId, NodeId};

use crate::harness::{Cluster, comes_back, ends, eventually, group, put, run};

/// A while in which a node counts on and tells it.
const COUNTED: Duration = Duration::from_millis(2_500);

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => _ = std::fs::copy(entry.path(), to).unwrap(),
        }
    }
}

/// Nodes with sessions between them.
async fn realm(nodes: u32) -> Cluster {
    let cluster = Cluster::start(1..=nodes, |_| {}).await;
    for (a, groups) in &cluster.nodes {
        cluster.nodes.keys().filter(|b| *b != a).for_each(|b| groups.peer_up(NodeId(*b)));
    }
    cluster
}

/// Three nodes and a group with a line in it; its leader, and the two others.
async fn one_line() -> (Cluster, GroupId, u32, (u32, u32)) {
    let (cluster, g) = (realm(3).await, group(1));
    cluster.create(g, &[1, 2, 3]).await;
    put(&cluster.nodes[&1], g, 0).await;
    let leader = cluster.leader(g, &[1, 2, 3]).await;
    (cluster, g, leader, (leader % 3 + 1, (leader + 1) % 3 + 1))
}

/// The disk of a node as it is now, while the node runs.
fn keep(cluster: &Cluster, node: u32) -> tempfile::TempDir {
    let kept = tempfile::tempdir().unwrap();
    copy(&cluster.folder(node), kept.path());
    kept
}

/// The node ends, and its disk becomes what was kept.
async fn put_back(cluster: &mut Cluster, node: u32, kept: &tempfile::TempDir) {
    ends(cluster, node).await;
    std::fs::remove_dir_all(cluster.folder(node)).unwrap();
    copy(kept.path(), &cluster.folder(node));
}

/// As the realm does it: whoever was taken out is put back.
async fn seat_again(cluster: &Cluster, g: GroupId, voters: &[u32], node: u32) {
    let leader = cluster.leader(g, &voters.iter().copied().filter(|n| *n != node).collect::<Vec<_>>()).await;
    eventually("it is out", || {
        let status = cluster.nodes[&leader].status(g)?;
        (!status.voters.contains(&NodeId(node)) && !status.changing).then_some(())
    })
    .await;
    let ids: Vec<NodeId> = voters.iter().map(|n| NodeId(*n)).collect();
    cluster.nodes[&leader].change_voters(g, &ids).await.unwrap();
}

/// The disk of a node, kept before lines of these numbers were put; the nodes have had time to tell how far theirs have come.
async fn kept_before(cluster: &Cluster, g: GroupId, leader: u32, victim: u32, lines: Range<u64>) -> tempfile::TempDir {
    tokio::time::sleep(COUNTED).await;
    let kept = keep(cluster, victim);
    for seq in lines {
        put(&cluster.nodes[&leader], g, seq).await;
    }
    tokio::time::sleep(COUNTED).await;
    kept
}

fn check(lines: &[Vec<u8>]) {
    for (seq, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("line {seq}").into_bytes(), "nothing is lost or doubled");
    }
}

#[test]
fn an_old_copy_of_a_disk_is_recognised_and_loses_nothing_though_it_was_one_of_two_that_had_it() {
    run(async {
        let mut cluster = realm(3).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        put(&cluster.nodes[&1], g, 0).await;
        cluster.agree(g, &[1, 2, 3], 1).await;
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        let (victim, behind) = (leader % 3 + 1, (leader + 1) % 3 + 1);
        tokio::time::sleep(COUNTED).await;
        let kept = keep(&cluster, victim);
        cluster.net.isolate(NodeId(behind), &cluster.ids());
        for seq in 1..40 {
            put(&cluster.nodes[&leader], g, seq).await;
        }
        tokio::time::sleep(COUNTED).await;
        put_back(&mut cluster, victim, &kept).await;
        // With what the copy has, those two would be a majority that knows nothing of 39 lines.
        cluster.net.heal();
        comes_back(&mut cluster, victim).await;
        seat_again(&cluster, g, &[1, 2, 3], victim).await;
        put(&cluster.nodes[&victim], g, 40).await;
        check(&cluster.agree(g, &[1, 2, 3], 41).await);
        // It counts again.
        ends(&mut cluster, behind).await;
        put(&cluster.nodes[&victim], g, 41).await;
        check(&cluster.agree(g, &[leader, victim], 42).await);
        // And is no old copy the next time.
        tokio::time::sleep(COUNTED).await;
        ends(&mut cluster, victim).await;
        comes_back(&mut cluster, victim).await;
        let mut events = cluster.nodes[&victim].watch();
        put(&cluster.nodes[&victim], g, 42).await;
        check(&cluster.agree(g, &[leader, victim], 43).await);
        while let Ok(event) = events.try_recv() {
            assert!(!matches!(event, GroupEvent::OldCopy { .. }), "{event:?}");
        }
    });
}

#[test]
fn an_old_copy_that_dies_again_before_anybody_can_help_it_is_in_doubt_after_the_boot_too() {
    run(async {
        let (mut cluster, g, leader, (victim, other)) = one_line().await;
        let kept = kept_before(&cluster, g, leader, victim, 1..20).await;
        put_back(&mut cluster, victim, &kept).await;
        // Who is left knows, and is no majority.
        ends(&mut cluster, leader).await;
        comes_back(&mut cluster, victim).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        for _ in 0..2 {
            let status = cluster.nodes[&other].status(g).unwrap();
            assert_eq!(status.leader.filter(|l| l.0 != leader), None, "somebody was elected with its vote: {status:?}");
            ends(&mut cluster, victim).await;
            comes_back(&mut cluster, victim).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        comes_back(&mut cluster, leader).await;
        seat_again(&cluster, g, &[1, 2, 3], victim).await;
        put(&cluster.nodes[&victim], g, 20).await;
        check(&cluster.agree(g, &[1, 2, 3], 21).await);
    });
}

#[test]
fn an_old_copy_of_one_of_two_voters_takes_the_word_of_the_other_one() {
    run(async {
        for sick_leads in [false, true] {
            let mut cluster = realm(2).await;
            let g = group(1);
            cluster.create(g, &[1, 2]).await;
            put(&cluster.nodes[&1], g, 0).await;
            cluster.agree(g, &[1, 2], 1).await;
            let leader = cluster.leader(g, &[1, 2]).await;
            let victim = if sick_leads { leader } else { 3 - leader };
            let kept = kept_before(&cluster, g, leader, victim, 1..20).await;
            put_back(&mut cluster, victim, &kept).await;
            comes_back(&mut cluster, victim).await;
            put(&cluster.nodes[&victim], g, 20).await;
            check(&cluster.agree(g, &[1, 2], 21).await);
        }
    });
}

#[test]
fn a_group_that_an_old_copy_has_forgotten_altogether_takes_its_node_back() {
    run(async {
        let mut cluster = realm(3).await;
        let (before, g) = (group(1), group(2));
        cluster.create(before, &[1, 2, 3]).await;
        put(&cluster.nodes[&1], before, 0).await;
        tokio::time::sleep(COUNTED).await;
        let kept = keep(&cluster, 3);
        cluster.create(g, &[1, 2, 3]).await;
        for seq in 0..20 {
            put(&cluster.nodes[&1], g, seq).await;
        }
        tokio::time::sleep(COUNTED).await;
        put_back(&mut cluster, 3, &kept).await;
        comes_back(&mut cluster, 3).await;
        eventually("it is found to be an old copy", || cluster.nodes[&3].is_old_copy().then_some(())).await;
        cluster.nodes[&3].rejoin(g, &[NodeId(1), NodeId(2), NodeId(3)]).await.unwrap();
        for g in [before, g] {
            seat_again(&cluster, g, &[1, 2, 3], 3).await;
        }
        put(&cluster.nodes[&3], g, 20).await;
        check(&cluster.agree(g, &[1, 2, 3], 21).await);
        assert!(cluster.nodes[&3].renew().await.unwrap() && !cluster.nodes[&3].is_old_copy());
    });
}

#[test]
fn a_witness_whose_own_disk_is_an_old_copy_does_not_bring_down_a_node_that_was_mended_before() {
    run(async {
        let (mut cluster, g, leader, (one, other)) = one_line().await;
        let kept = kept_before(&cluster, g, leader, one, 1..5).await;
        // Another life of it, of which the other one's copy has heard, and one more, of which it has not.
        ends(&mut cluster, one).await;
        comes_back(&mut cluster, one).await;
        let others = kept_before(&cluster, g, leader, other, 5..10).await;
        ends(&mut cluster, one).await;
        comes_back(&mut cluster, one).await;
        tokio::time::sleep(COUNTED).await;
        put_back(&mut cluster, one, &kept).await;
        comes_back(&mut cluster, one).await;
        seat_again(&cluster, g, &[1, 2, 3], one).await;
        put(&cluster.nodes[&one], g, 10).await;
        check(&cluster.agree(g, &[1, 2, 3], 11).await);
        put_back(&mut cluster, other, &others).await;
        comes_back(&mut cluster, other).await;
        eventually("it is found to be an old copy", || cluster.nodes[&other].is_old_copy().then_some(())).await;
        seat_again(&cluster, g, &[1, 2, 3], other).await;
        put(&cluster.nodes[&other], g, 11).await;
        check(&cluster.agree(g, &[1, 2, 3], 12).await);
    });
}
