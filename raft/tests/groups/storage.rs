//! What is on the disk, and comes back from it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pando_raft::{CopyError, GroupCopy, GroupEvent, Groups, Laying, NodeId, OpenError};

use crate::harness::{Cluster, End, LONG, Plan, entry, eventually, group, put, run};

#[test]
fn all_nodes_restart_at_once_and_keep_every_acknowledged_entry() {
    run(async {
        let mut cluster = Cluster::start(1..=3, |_| {}).await;
        let groups = [group(1), group(2)];
        for g in groups {
            cluster.create(g, &[1, 2, 3]).await;
            for seq in 0..25 {
                put(&cluster.nodes[&1], g, seq).await;
            }
        }
        for node in 1..=3 {
            cluster.close(node).await;
        }
        for node in 1..=3 {
            cluster.open(node).await;
            assert_eq!(cluster.nodes[&node].list(), groups);
        }
        for g in groups {
            put(&cluster.nodes[&2], g, 25).await;
            cluster.agree(g, &[1, 2, 3], 26).await;
        }
    });
}

#[test]
fn a_restart_from_a_snapshot_and_the_log_behind_it_gives_the_same_chain() {
    run(async {
        let mut cluster = Cluster::start(1..=1, |config| {
            config.snapshot_every = 20;
            config.log_keep = 5;
            config.checkpoint_idle = Duration::ZERO;
        })
        .await;
        let g = group(1);
        cluster.create(g, &[1]).await;
        for seq in 0..90 {
            put(&cluster.nodes[&1], g, seq).await;
        }
        let snapshot = cluster.folder(1).join("snapshots").join(format!("{g}.snap"));
        eventually("a snapshot on the disk", || snapshot.exists().then_some(())).await;
        let before = cluster.nodes[&1].status(g).unwrap();
        cluster.close(1).await;
        cluster.open(1).await;
        // The blank entry of the new term comes on top, so the chain is compared where it was.
        let lines = cluster.agree(g, &[1], 90).await;
        assert_eq!(lines[89], b"line 89");
        let after = cluster.nodes[&1].status(g).unwrap();
        assert!(after.applied >= before.applied);
        assert_eq!((after.root, after.root_index), (before.root, before.root_index));
    });
}

#[test]
fn many_groups_share_one_log_and_few_flushes() {
    run(async {
        const GROUPS: u8 = 50;
        let cluster = Cluster::start(1..=1, |_| {}).await;
        let node = &cluster.nodes[&1];
        for n in 1..=GROUPS {
            node.create(group(n), &[NodeId(1)]).await.unwrap();
        }
        for n in 1..=GROUPS {
            put(node, group(n), 0).await;
        }
        let before = node.flushes();
        let rounds = 10;
        for round in 1..=rounds {
            let all = (1..=GROUPS).map(|n| put(node, group(n), round));
            futures::future::join_all(all).await;
        }
        let flushes = node.flushes() - before;
        let writes = u64::from(GROUPS) * rounds;
        assert!(flushes > 0 && flushes < writes / 2, "{flushes} flushes for {writes} entries");
        let logs = fs::read_dir(cluster.folder(1)).unwrap().flatten().filter(|f| f.file_name() == "log").count();
        assert_eq!(logs, 1);
    });
}

#[test]
fn a_folder_in_use_is_not_opened_a_second_time() {
    run(async {
        let mut cluster = Cluster::start(1..=1, |_| {}).await;
        let open = |cluster: &Cluster, node: u32| {
            let mut config = cluster.config(1);
            config.node = NodeId(node);
            let end: Arc<End> = cluster.end(node);
            Groups::open(config, end, Arc::new(Plan::default()))
        };
        let Err(refused) = open(&cluster, 1).await else { panic!("opened twice") };
        assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
        let text = refused.to_string();
        assert!(text.contains(&cluster.folder(1).display().to_string()) && text.contains("stop"), "{text}");
        cluster.close(1).await;
        let Err(refused) = open(&cluster, 2).await else { panic!("opened as another node") };
        assert!(matches!(refused, OpenError::OtherNode { found: NodeId(1), .. }), "{refused}");
        cluster.open(1).await;
    });
}

/// Cuts the last batches off a node's log.
fn tear(cluster: &Cluster, node: u32) {
    let files = fs::read_dir(cluster.folder(node).join("log")).unwrap().flatten().map(|f| f.path());
    let mut files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "raftlog")).collect();
    files.sort();
    let last = files.last().unwrap();
    // The file is preallocated: what was written ends where the zeros begin.
    let end = fs::read(last).unwrap().iter().rposition(|b| *b != 0).unwrap();
    fs::OpenOptions::new().write(true).open(last).unwrap().set_len(end as u64 - 500).unwrap();
}

#[test]
fn a_torn_tail_of_the_log_is_cut_off_and_the_rest_is_kept() {
    run(async {
        let mut cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        for seq in 0..40 {
            put(&cluster.nodes[&1], g, seq).await;
        }
        cluster.agree(g, &[1, 2, 3], 40).await;
        let whole = cluster.nodes[&3].status(g).unwrap().last_index;
        for node in 1..=3 {
            cluster.close(node).await;
        }
        tear(&cluster, 3);
        // Alone, so that what is missing cannot be sent again before it is looked at.
        cluster.open(3).await;
        let torn = cluster.nodes[&3].status(g).unwrap().last_index;
        assert!(torn > 30 && torn < whole, "{torn} of {whole}");
        for node in 1..=2 {
            cluster.open(node).await;
        }
        put(&cluster.nodes[&3], g, 40).await;
        cluster.agree(g, &[1, 2, 3], 41).await;
    });
}

#[test]
fn a_replica_whose_disk_lost_what_it_acknowledged_is_named_and_brought_up_again() {
    brought_up_after_the_loss(Duration::ZERO);
}

#[test]
fn a_replica_whose_disk_lost_what_it_acknowledged_is_named_and_brought_up_again_though_its_group_rested() {
    brought_up_after_the_loss(Duration::from_secs(3));
}

fn brought_up_after_the_loss(idle: Duration) {
    run(async {
        let mut cluster = Cluster::start(1..=3, |_| {}).await;
        let (g, all) = (group(1), [NodeId(1), NodeId(2), NodeId(3)]);
        cluster.create(g, &[1, 2, 3]).await;
        for seq in 0..40 {
            put(&cluster.nodes[&1], g, seq).await;
        }
        cluster.agree(g, &[1, 2, 3], 40).await;
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        let victim = leader % 3 + 1;
        tokio::time::sleep(idle).await;
        cluster.close(victim).await;
        tear(&cluster, victim);
        let mut events = cluster.nodes[&leader].watch();
        cluster.open(victim).await;
        // Either the leader goes on and names it, or another one was elected and brings it up.
        let mut named = false;
        eventually("the loss is seen", || {
            while let Ok(event) = events.try_recv() {
                match event {
                    GroupEvent::Fenced { node, why, .. } => {
                        assert!(node == NodeId(victim) && why.contains("lost"), "{node}: {why}");
                        named = true;
                    }
                    GroupEvent::Removed { node, .. } => assert_eq!(node, NodeId(victim)),
                    _ => continue,
                }
                return Some(());
            }
            let status = cluster.nodes[&leader].status(g)?;
            (status.leader != Some(NodeId(leader))).then_some(())
        })
        .await;
        if named {
            eventually("it is taken out", || {
                (!cluster.nodes[&leader].status(g)?.voters.contains(&NodeId(victim))).then_some(())
            })
            .await;
        }
        cluster.nodes[&leader].change_voters(g, &all).await.unwrap();
        put(&cluster.nodes[&leader], g, 40).await;
        cluster.agree(g, &[1, 2, 3], 41).await;
        let status = cluster.nodes[&leader].status(g).unwrap();
        assert!(status.fenced_peers.is_empty(), "{status:?}");
    });
}

#[test]
fn a_removed_group_leaves_nothing_behind() {
    run(async {
        let mut cluster = Cluster::start(1..=1, |config| config.snapshot_every = 10).await;
        let node = cluster.nodes[&1].clone();
        node.create(group(1), &[NodeId(1)]).await.unwrap();
        node.create(group(2), &[NodeId(1)]).await.unwrap();
        for seq in 0..30 {
            put(&node, group(1), seq).await;
        }
        node.remove(group(1)).await.unwrap();
        assert_eq!(node.list(), [group(2)]);
        assert!(node.status(group(1)).is_none());
        drop(node);
        cluster.close(1).await;
        assert_eq!(fs::read_dir(cluster.folder(1).join("snapshots")).unwrap().count(), 0);
        cluster.open(1).await;
        assert_eq!(cluster.nodes[&1].list(), [group(2)]);
        cluster.nodes[&1].propose(group(2), entry(0, b"x"), LONG).await.unwrap();
    });
}

#[test]
fn a_copy_of_a_group_goes_on_where_it_was_on_other_nodes_disks() {
    run(async {
        let (cluster, g) = Cluster::with_a_group(1..=3, |_| {}).await;
        for seq in 1..30 {
            put(&cluster.nodes[&1], g, seq).await;
        }
        // Whichever replica is asked.
        let copy = cluster.nodes[&3].copy_out(g, LONG).await.unwrap().to_bytes();
        let before = cluster.nodes[&3].status(g).unwrap();
        let copy = GroupCopy::from_bytes(&copy).unwrap();
        assert!(copy.index() >= 30, "{}", copy.index());
        // Nobody runs there yet.
        let mut other = Cluster::start(std::ops::RangeInclusive::new(1, 0), |_| {}).await;
        let voters: Vec<NodeId> = (7..=9).map(NodeId).collect();
        for node in 7..=9 {
            let laying = Laying::open(other.config(node)).await.unwrap();
            laying.lay(g, &copy, &voters).await.unwrap();
            let twice = laying.lay(g, &copy, &voters).await.unwrap_err();
            assert!(matches!(twice, CopyError::Exists(_)), "{twice}");
            laying.close().await;
            other.open(node).await;
        }
        put(&other.nodes[&8], g, 30).await;
        let lines = other.agree(g, &[7, 8, 9], 31).await;
        assert_eq!((lines[0].as_slice(), lines[30].as_slice()), (b"line 0".as_slice(), b"line 30".as_slice()));
        // What was told stays told, and the terms that were are over.
        let again = other.nodes[&8].propose(g, entry(29, b"line 29"), LONG).await.unwrap();
        assert!(again.index > before.applied && again.term > before.term, "{again:?}");
        other.agree(g, &[7, 8, 9], 31).await;
        // The chain went on: a third node that joins gets it whole, and nobody is fenced.
        other.open(10).await;
        other.nodes[&7].change_voters(g, &[NodeId(7), NodeId(8), NodeId(9), NodeId(10)]).await.unwrap();
        other.agree(g, &[7, 8, 9, 10], 31).await;
        assert!((7..=10).all(|n| other.nodes[&n].status(g).unwrap().stopped.is_none()));
    });
}

#[test]
fn bytes_that_are_no_copy_are_refused() {
    for bytes in [Bytes::new(), Bytes::from_static(b"PANDOCPY and more that means nothing at all")] {
        assert!(matches!(GroupCopy::from_bytes(&bytes), Err(CopyError::Damaged(_))));
    }
}
