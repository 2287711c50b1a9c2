//! Changing who counts.

use std::time::Duration;

use pando_raft::{ChangeError, CreateError, LeaveError, NodeId, Role};

use crate::harness::{Cluster, LONG, Plan, entry, eventually, group, put, run};

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
        let (cluster, g) = Cluster::with_a_group(1..=3, |_| {}).await;
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
fn a_group_whose_first_founder_does_not_come_is_founded_by_the_next_and_the_first_may_come_later() {
    run(async {
        let cluster = Cluster::start(1..=3, |_| {}).await;
        // Each of the three is the first in one of them.
        for g in [group(1), group(2), group(3)] {
            for node in [2, 3] {
                cluster.nodes[&node].create(g, &ids(&[1, 2, 3])).await.unwrap();
            }
            put(&cluster.nodes[&3], g, 0).await;
            cluster.nodes[&1].create(g, &ids(&[1, 2, 3])).await.unwrap();
            put(&cluster.nodes[&1], g, 1).await;
            cluster.agree(g, &[1, 2, 3], 2).await;
        }
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

#[test]
fn a_learner_follows_without_counting_and_can_become_a_voter() {
    run(async {
        let mut cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2]).await;
        put(&cluster.nodes[&1], g, 0).await;
        cluster.nodes[&1].change_members(g, &ids(&[1, 2]), &ids(&[3])).await.unwrap();
        put(&cluster.nodes[&1], g, 1).await;
        cluster.agree(g, &[1, 2, 3], 2).await;
        let seen = eventually("the learner knows what it is", || {
            cluster.nodes[&3].status(g).filter(|s| s.learners == ids(&[3]) && s.leader.is_some())
        })
        .await;
        assert_eq!(seen.voters, ids(&[1, 2]));
        // It is away, and nobody misses it.
        cluster.close(3).await;
        put(&cluster.nodes[&2], g, 2).await;
        cluster.open(3).await;
        // A voter and the learner change places.
        cluster.nodes[&1].change_members(g, &ids(&[1, 3]), &ids(&[2])).await.unwrap();
        cluster.agree(g, &[1, 2, 3], 3).await;
        for node in 1..=3 {
            eventually("everybody knows who counts", || {
                let status = cluster.nodes[&node].status(g)?;
                (status.voters == ids(&[1, 3]) && status.learners == ids(&[2])).then_some(())
            })
            .await;
        }
        // Whoever does not lead applies it a moment later.
        let applied = || cluster.nodes[&1].status(g)?.seated.filter(|(at, voters)| *at > 0 && *voters == ids(&[1, 3]));
        eventually("it is applied", applied).await;
        cluster.nodes[&1].change_members(g, &ids(&[1, 3]), &[]).await.unwrap();
        eventually("no learner", || cluster.nodes[&1].status(g)?.learners.is_empty().then_some(())).await;
        put(&cluster.nodes[&3], g, 3).await;
    });
}

#[test]
fn a_replica_is_deleted_only_once_its_group_says_that_it_is_no_member() {
    run(async {
        let (cluster, g) = Cluster::with_a_group(1..=4, |_| {}).await;
        // Whatever a node believes about itself: it counts, so it stays.
        let via = ids(&[1, 2, 3]);
        let refused = cluster.nodes[&3].leave(g, &via).await;
        assert!(matches!(refused, Err(LeaveError::Member(_))), "{refused:?}");
        cluster.nodes[&1].change_voters(g, &ids(&[1, 2, 4])).await.unwrap();
        // Cut off it cannot be told, so it stays.
        cluster.net.isolate(NodeId(3), &cluster.ids());
        assert_eq!(cluster.nodes[&3].leave(g, &via).await, Err(LeaveError::NoQuorum));
        assert!(cluster.nodes[&3].status(g).is_some());
        cluster.net.heal();
        cluster.nodes[&3].leave(g, &via).await.unwrap();
        assert_eq!((cluster.nodes[&3].list(), cluster.nodes[&3].status(g)), (vec![], None));
        // Once more is no more.
        cluster.nodes[&3].leave(g, &via).await.unwrap();
        put(&cluster.nodes[&4], g, 1).await;
        cluster.agree(g, &[1, 2, 4], 2).await;
    });
}

#[test]
fn a_node_that_left_joins_again_and_gets_everything() {
    run(async {
        let mut cluster = Cluster::start(1..=3, |config| {
            config.snapshot_every = 20;
            config.log_keep = 2;
        })
        .await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        for turn in 0..3 {
            for seq in 0..30 {
                put(&cluster.nodes[&1], g, turn * 30 + seq).await;
            }
            // A founder, which may once have initialised the group, must not do so again.
            cluster.nodes[&2].change_voters(g, &ids(&[2, 3])).await.unwrap();
            cluster.nodes[&1].leave(g, &ids(&[2, 3])).await.unwrap();
            cluster.close(1).await;
            cluster.open(1).await;
            assert_eq!(cluster.nodes[&1].list(), []);
            cluster.nodes[&2].change_voters(g, &ids(&[1, 2, 3])).await.unwrap();
            cluster.agree(g, &[1, 2, 3], (turn as usize + 1) * 30).await;
        }
    });
}

#[test]
fn a_voter_that_is_away_does_not_keep_another_from_being_added() {
    run(async {
        let (mut cluster, g) = Cluster::with_a_group(1..=4, |_| {}).await;
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        let away = leader % 3 + 1;
        cluster.close(away).await;
        // Further behind than a new voter might be.
        for seq in 1..200 {
            put(&cluster.nodes[&leader], g, seq).await;
        }
        cluster.nodes[&leader].change_voters(g, &ids(&[1, 2, 3, 4])).await.unwrap();
        // And it is taken out while it is away.
        let rest: Vec<u32> = (1..=4).filter(|n| *n != away).collect();
        cluster.nodes[&leader].change_voters(g, &ids(&rest)).await.unwrap();
        cluster.agree(g, &rest, 200).await;
    });
}

#[test]
fn a_new_voter_that_does_not_answer_is_told_of_soon_and_changes_nothing() {
    run(async {
        let (mut cluster, g) = Cluster::with_a_group(1..=4, |_| {}).await;
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        cluster.close(4).await;
        let began = std::time::Instant::now();
        let refused = cluster.nodes[&leader].change_members_here(g, &ids(&[1, 2, 3, 4]), &[]).await;
        assert!(matches!(&refused, Err(ChangeError::Timeout(why)) if why.contains("n4")), "{refused:?}");
        assert!(began.elapsed() < Duration::from_secs(20));
        assert_eq!(cluster.nodes[&leader].status(g).unwrap().voters, ids(&[1, 2, 3]));
        put(&cluster.nodes[&leader], g, 1).await;
    });
}

#[test]
fn a_change_that_would_leave_no_majority_of_those_who_live_is_refused_and_the_group_goes_on() {
    refused_without_a_majority(false);
}

#[test]
fn a_change_that_would_need_a_node_whose_disk_was_wiped_is_refused_though_the_node_answers() {
    refused_without_a_majority(true);
}

fn refused_without_a_majority(wiped: bool) {
    run(async {
        let (mut cluster, g) = Cluster::with_a_group(1..=3, |_| {}).await;
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        let away = leader % 3 + 1;
        // Nobody has been told that it is gone, as after a boot of the leader.
        cluster.close(away).await;
        if wiped {
            std::fs::remove_dir_all(cluster.folder(away)).unwrap();
            cluster.plans.insert(away, Plan { reserved: true, ..Plan::default() });
            cluster.open(away).await;
        }
        // Two of three go on; one of two would not, and the change could never be finished.
        let refused = cluster.nodes[&leader].change_members_here(g, &ids(&[leader, away]), &[]).await;
        assert!(matches!(&refused, Err(ChangeError::Timeout(why)) if why.contains("no majority")), "{refused:?}");
        put(&cluster.nodes[&leader], g, 1).await;
        assert_eq!(cluster.nodes[&leader].status(g).unwrap().voters, ids(&[1, 2, 3]));
        // Without the one that is away it is done at once.
        let rest: Vec<u32> = (1..=3).filter(|n| *n != away).collect();
        cluster.nodes[&leader].change_voters(g, &ids(&rest)).await.unwrap();
        put(&cluster.nodes[&leader], g, 2).await;
    });
}

#[test]
fn nodes_that_left_and_join_again_never_take_themselves_for_the_majority_that_they_once_were() {
    run(async {
        let mut cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        // Once it was the only voter, and its log says so at its beginning.
        cluster.create(g, &[1]).await;
        let large = vec![7; 100_000];
        for seq in 0..40 {
            cluster.nodes[&1].propose(g, entry(seq, &large), LONG).await.unwrap();
        }
        cluster.nodes[&1].change_voters(g, &ids(&[2])).await.unwrap();
        cluster.leader(g, &[2]).await;
        // It comes back, and is cut off in the middle of what it is sent.
        let caught = loop {
            cluster.nodes[&1].leave(g, &ids(&[2])).await.unwrap();
            let leader = cluster.nodes[&2].clone();
            let adding = tokio::spawn(async move { leader.change_members_here(g, &ids(&[2]), &ids(&[1])).await });
            let end = cluster.nodes[&2].status(g).unwrap().last_index;
            // It is over in a few hundredths of a second, so it is looked at often.
            while cluster.nodes[&1].status(g).is_none_or(|s| s.last_index <= 2) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            cluster.net.isolate(NodeId(1), &cluster.ids());
            adding.await.unwrap().unwrap();
            // What had arrived by then is taken up still.
            tokio::time::sleep(Duration::from_millis(300)).await;
            let have = cluster.nodes[&1].status(g).unwrap();
            // What it knows is old.
            if have.last_index < end && have.voters == ids(&[1]) {
                break have;
            }
            cluster.net.heal();
            cluster.nodes[&2].change_members(g, &ids(&[2]), &[]).await.unwrap();
        };
        // It hears nothing for many election timeouts, also after a restart, and stands for nothing.
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_secs(4)).await;
            let status = cluster.nodes[&1].status(g).unwrap();
            assert!(!matches!(status.role, Role::Leader | Role::Candidate) && status.term == caught.term, "{status:?}");
            cluster.close(1).await;
            cluster.open(1).await;
        }
        cluster.net.heal();
        put(&cluster.nodes[&2], g, 40).await;
        cluster.agree(g, &[1, 2], 41).await;
        // Made a voter it leads like any other, and after another restart too.
        cluster.nodes[&2].change_voters(g, &ids(&[1])).await.unwrap();
        cluster.leader(g, &[1]).await;
        cluster.close(1).await;
        cluster.open(1).await;
        cluster.leader(g, &[1]).await;
        put(&cluster.nodes[&1], g, 41).await;
    });
}
