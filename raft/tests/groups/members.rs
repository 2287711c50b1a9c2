//! Changing who counts.

use std::time::Duration;

use pando_raft::{ChangeError, CreateError, NodeId};

use crate::harness::{Cluster, eventually, group, put, run};

fn ids(nodes: &[u32]) -> Vec<NodeId> {
    nodes.iter().map(|n| NodeId(*n)).collect()
}

#[test]
fn a_voter_is_added_with_all_that_was_and_another_is_taken_out() {
    run(async {
        let mut cluster = Cluster::start(1..=4, |config| {
            config.snapshot_every = 30;
            config.log_keep = 5;
        })
        .await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        for seq in 0..100 {
            put(&cluster.nodes[&1], g, seq).await;
        }
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        let asked = leader % 3 + 1;
        cluster.nodes[&asked].change_voters(g, &ids(&[1, 2, 3, 4])).await.unwrap();
        cluster.agree(g, &[1, 2, 3, 4], 100).await;
        // The leader itself goes.
        let rest: Vec<u32> = [1, 2, 3, 4].into_iter().filter(|n| *n != leader).collect();
        cluster.nodes[&leader].change_voters(g, &ids(&rest)).await.unwrap();
        eventually("the new voters everywhere", || {
            rest.iter()
                .all(|n| {
                    let status = cluster.nodes[n].status(g).unwrap();
                    status.voters == ids(&rest) && !status.changing
                })
                .then_some(())
        })
        .await;
        cluster.leader(g, &rest).await;
        put(&cluster.nodes[&4], g, 100).await;
        cluster.agree(g, &rest, 101).await;
        cluster.nodes[&leader].remove(g).await.unwrap();
        // And it survives a restart.
        for node in &rest {
            cluster.close(*node).await;
        }
        for node in &rest {
            cluster.open(*node).await;
        }
        put(&cluster.nodes[&4], g, 101).await;
        cluster.agree(g, &rest, 102).await;
    });
}

#[test]
fn a_change_that_is_done_already_is_no_change() {
    run(async {
        let cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        put(&cluster.nodes[&1], g, 0).await;
        let before = cluster.nodes[&1].status(g).unwrap().last_index;
        cluster.nodes[&2].change_voters(g, &ids(&[3, 2, 1])).await.unwrap();
        assert_eq!(cluster.nodes[&1].status(g).unwrap().last_index, before);
    });
}

#[test]
fn a_change_whose_leader_dies_is_finished_by_the_next() {
    run(async {
        let mut cluster = Cluster::start(1..=5, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        put(&cluster.nodes[&1], g, 0).await;
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        let change = {
            let node = cluster.nodes[&leader].clone();
            tokio::spawn(async move { node.change_voters(g, &ids(&[1, 2, 3, 4, 5])).await })
        };
        // Somewhere in the middle of it, wherever that is this time.
        tokio::time::sleep(Duration::from_millis(60)).await;
        cluster.close(leader).await;
        drop(change);
        let rest: Vec<u32> = cluster.nodes.keys().copied().collect();
        let founders: Vec<u32> = rest.iter().copied().filter(|n| *n <= 3).collect();
        eventually("no change is under way", || {
            founders
                .iter()
                .all(|n| cluster.nodes[n].status(g).is_some_and(|s| s.leader.is_some() && !s.changing))
                .then_some(())
        })
        .await;
        cluster.nodes[&founders[0]].change_voters(g, &ids(&rest)).await.unwrap();
        put(&cluster.nodes[&5], g, 1).await;
        cluster.agree(g, &rest, 2).await;
    });
}

#[test]
fn founding_and_changing_refuse_lists_that_cannot_work() {
    run(async {
        let cluster = Cluster::start(1..=1, |_| {}).await;
        let node = &cluster.nodes[&1];
        for bad in [vec![], vec![1, 1], vec![0, 1], vec![2, 3], (1..=8).collect()] {
            let refused = node.create(group(1), &ids(&bad)).await;
            assert!(matches!(refused, Err(CreateError::Voters(_))), "{bad:?}: {refused:?}");
        }
        node.create(group(1), &ids(&[1])).await.unwrap();
        node.create(group(1), &ids(&[1])).await.unwrap();
        assert_eq!(node.create(group(1), &ids(&[1, 2])).await, Err(CreateError::Exists));
        assert!(matches!(node.change_voters(group(1), &[]).await, Err(ChangeError::Voters(_))));
        assert_eq!(node.change_voters(group(2), &ids(&[1])).await, Err(ChangeError::Unknown));
    });
}
