//! Groups in which nothing happens cost nothing, and are there when they are wanted.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pando_raft::{Config, GroupId};

use crate::harness::{Cluster, comes_back, ends, eventually, group, put, run};

const ALL: [u32; 3] = [1, 2, 3];

fn soon(config: &mut Config) {
    config.rest_idle = Duration::from_millis(300);
    config.checkpoint_idle = Duration::from_millis(100);
}

/// Waits until the group rests on all of these nodes.
async fn rests(cluster: &Cluster, group: GroupId, on: &[u32]) {
    eventually("rest", || on.iter().all(|n| cluster.nodes[n].status(group).unwrap().resting).then_some(())).await;
}

/// Twenty groups, each with a line in it, that rest.
async fn many_at_rest(cluster: &Cluster) -> Vec<GroupId> {
    let groups: Vec<GroupId> = (1..=20).map(group).collect();
    for g in &groups {
        cluster.create(*g, &ALL).await;
        put(&cluster.nodes[&1], *g, 0).await;
    }
    for g in &groups {
        rests(cluster, *g, &ALL).await;
    }
    groups
}

#[test]
fn groups_in_which_nothing_happens_send_nothing_at_all() {
    run(async {
        let cluster = Cluster::start(1..=3, soon).await;
        let groups = many_at_rest(&cluster).await;
        // Each node tells once more how far its disk has come.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let before = cluster.net.frames.load(Ordering::Relaxed);
        // Ten heartbeats of each group.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let sent = cluster.net.frames.load(Ordering::Relaxed) - before;
        assert_eq!(sent, 0, "frames of groups that rest");
        // And they answer as ever, from every node, without an election.
        for (n, g) in groups.iter().enumerate() {
            let term = cluster.nodes[&1].status(*g).unwrap().term;
            put(&cluster.nodes[&(n as u32 % 3 + 1)], *g, 1).await;
            assert_eq!(cluster.agree(*g, &ALL, 2).await.len(), 2);
            assert_eq!(cluster.nodes[&1].status(*g).unwrap().term, term, "an election");
        }
        for g in &groups {
            rests(&cluster, *g, &ALL).await;
        }
    });
}

#[test]
fn a_group_that_rests_takes_an_entry_without_waiting_for_a_heartbeat() {
    const HEARTBEAT: Duration = Duration::from_secs(1);
    let rarely = |config: &mut Config| {
        soon(config);
        (config.heartbeat, config.election_min, config.election_max) = (HEARTBEAT, HEARTBEAT * 4, HEARTBEAT * 8);
    };
    run(async move {
        let cluster = Cluster::start(1..=3, rarely).await;
        let groups = many_at_rest(&cluster).await;
        let mut took = Vec::new();
        for g in groups {
            let leader = cluster.nodes[&1].status(g).unwrap().leader.expect("a leader");
            let began = Instant::now();
            put(&cluster.nodes[&leader.0], g, 1).await;
            took.push(began.elapsed());
        }
        took.sort();
        assert!(took[took.len() / 2] < HEARTBEAT / 4, "{took:?}");
    });
}

#[test]
fn a_linear_read_of_a_group_that_rests_is_answered_from_every_node() {
    run(async {
        let cluster = Cluster::start(1..=3, soon).await;
        let g = group(1);
        cluster.create(g, &ALL).await;
        let index = put(&cluster.nodes[&1], g, 0).await;
        rests(&cluster, g, &ALL).await;
        for node in ALL {
            let read = cluster.nodes[&node].linear(g, Duration::from_secs(20)).await.unwrap();
            assert!(read >= index, "{read} on n{node}, after {index}");
        }
    });
}

#[test]
fn a_group_that_rests_gets_another_leader_when_its_leaders_node_ends() {
    run(async {
        let (mut cluster, g) = Cluster::with_a_group(1..=3, soon).await;
        rests(&cluster, g, &ALL).await;
        let first = cluster.leader(g, &ALL).await;
        ends(&mut cluster, first).await;
        let left: Vec<u32> = ALL.into_iter().filter(|n| *n != first).collect();
        let began = Instant::now();
        // Without anybody asking for it.
        let second = cluster.leader(g, &left).await;
        assert_ne!(second, first);
        println!("elected after {:?}", began.elapsed());
        put(&cluster.nodes[&left[0]], g, 1).await;
        cluster.agree(g, &left, 2).await;
        // One of three is away: the others rest without it, and it learns what it missed.
        rests(&cluster, g, &left).await;
        comes_back(&mut cluster, first).await;
        cluster.agree(g, &ALL, 2).await;
        rests(&cluster, g, &ALL).await;
    });
}

#[test]
fn a_proposal_finds_out_that_the_leader_of_a_group_that_rests_is_gone() {
    run(async {
        let (mut cluster, g) = Cluster::with_a_group(1..=3, soon).await;
        rests(&cluster, g, &ALL).await;
        let first = cluster.leader(g, &ALL).await;
        // Nobody is told.
        cluster.close(first).await;
        let left: Vec<u32> = ALL.into_iter().filter(|n| *n != first).collect();
        put(&cluster.nodes[&left[0]], g, 1).await;
        cluster.agree(g, &left, 2).await;
    });
}

#[test]
fn groups_that_rested_are_led_again_after_all_nodes_were_restarted() {
    run(async {
        let mut cluster = Cluster::start(1..=3, soon).await;
        let groups = many_at_rest(&cluster).await;
        for node in ALL {
            cluster.close(node).await;
        }
        for node in ALL {
            comes_back(&mut cluster, node).await;
        }
        // The first is asked at once, the others are found by themselves.
        put(&cluster.nodes[&2], groups[0], 1).await;
        for g in &groups[1..] {
            cluster.leader(*g, &ALL).await;
        }
        for g in &groups {
            rests(&cluster, *g, &ALL).await;
        }
    });
}
