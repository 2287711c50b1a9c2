//! What groups promise, on real folders with a wire in memory.

mod failures;
mod harness;
mod members;
mod old_copy;
mod poison;
mod rebuild;
mod rest;
mod sleep;
mod storage;

use std::time::Duration;

use harness::{Cluster, LONG, acknowledged, entry, eventually, group, journal, put, run};
use pando_raft::{GroupEvent, NodeId, ProposeError, Role};

#[test]
fn three_nodes_elect_a_leader_and_every_node_gets_every_entry_in_one_order() {
    run(async {
        let cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        for seq in 0..30 {
            // From every node: those that do not lead forward.
            put(&cluster.nodes[&(seq as u32 % 3 + 1)], g, seq).await;
        }
        let lines = cluster.agree(g, &[1, 2, 3], 30).await;
        let wanted: Vec<Vec<u8>> = (0..30).map(|seq| format!("line {seq}").into_bytes()).collect();
        assert_eq!(lines, wanted);
        let chains: Vec<_> = eventually("one chain", || {
            let all: Vec<_> = [1, 2, 3].map(|n| cluster.nodes[&n].status(g).unwrap()).into();
            let same = all.iter().all(|s| s.applied == all[0].applied && s.chain == all[0].chain);
            same.then(|| all.iter().map(|s| s.chain).collect())
        })
        .await;
        assert_ne!(chains[0], [0; 32]);
    });
}

#[test]
fn a_proposal_that_came_before_its_group_is_in_as_soon_as_the_group_is_led() {
    run(async {
        let cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        let all = [1, 2, 3].map(NodeId);
        let node = cluster.nodes[&1].clone();
        let early = tokio::spawn(async move {
            loop {
                match node.propose_via(&all, g, entry(1, b"early"), LONG).await {
                    Err(ProposeError::Unknown) => tokio::time::sleep(Duration::from_millis(2)).await,
                    other => return other,
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let began = std::time::Instant::now();
        cluster.create(g, &[1, 2, 3]).await;
        assert!(acknowledged(&early.await.unwrap()));
        // Nobody waits for an election's silence, and nobody for another try.
        println!("in after {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(10));
        cluster.agree(g, &[1, 2, 3], 1).await;
    });
}

#[test]
fn the_answer_is_the_machines_and_a_doubled_proposal_is_applied_once() {
    run(async {
        let cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        let first = cluster.nodes[&1].propose(g, entry(1, b"a"), LONG).await.unwrap();
        let again = cluster.nodes[&2].propose(g, entry(1, b"a"), LONG).await.unwrap();
        assert_eq!(first.outcome, 1u64.to_le_bytes());
        assert_eq!(again.outcome, first.outcome);
        assert!(again.index > first.index);
        assert_eq!(first.leader, NodeId(cluster.leader(g, &[1, 2, 3]).await));
        cluster.agree(g, &[1, 2, 3], 1).await;
    });
}

#[test]
fn a_linear_read_on_any_node_sees_what_was_acknowledged_before_it() {
    run(async {
        let cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        for seq in 0..20u64 {
            let index = put(&cluster.nodes[&1], g, seq).await;
            for node in [1, 2, 3] {
                let read = cluster.nodes[&node].linear(g, LONG).await.unwrap();
                assert!(read >= index && cluster.nodes[&node].applied(g) >= index);
                assert_eq!(cluster.lines(node, g).len() as u64, seq + 1);
            }
        }
    });
}

#[test]
fn a_node_without_a_replica_proposes_through_those_who_have_one() {
    run(async {
        let cluster = Cluster::start(1..=4, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        let outsider = &cluster.nodes[&4];
        let via = [NodeId(1), NodeId(2), NodeId(3)];
        for seq in 0..10 {
            outsider.propose_via(&via, g, entry(seq, b"x"), LONG).await.unwrap();
        }
        cluster.agree(g, &[1, 2, 3], 10).await;
        let nowhere = outsider.propose_via(&via, group(9), entry(0, b"x"), LONG).await;
        assert_eq!(nowhere, Err(ProposeError::Unknown));
        assert_eq!(outsider.propose(g, entry(0, b"x"), LONG).await, Err(ProposeError::Unknown));
    });
}

#[test]
fn the_machine_hears_that_it_leads_after_all_entries_of_earlier_terms() {
    run(async {
        let mut cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        for seq in 0..10 {
            put(&cluster.nodes[&1], g, seq).await;
        }
        let old = cluster.leader(g, &[1, 2, 3]).await;
        let roles = cluster.nodes[&old].with_machine(g, |m| journal(m).roles.clone()).unwrap();
        assert_eq!(roles.last().map(|r| r.0), Some(true));
        let mut events = cluster.nodes[&(old % 3 + 1)].watch();
        cluster.close(old).await;
        let rest: Vec<u32> = cluster.nodes.keys().copied().collect();
        let new = cluster.leader(g, &rest).await;
        let (role, lines) = eventually("the new leader is told", || {
            let seen = cluster.nodes[&new].with_machine(g, |m| {
                let journal = journal(m);
                (*journal.roles.last()?, journal.lines.len()).into()
            });
            seen.flatten().filter(|(role, _): &((bool, u64), usize)| role.0)
        })
        .await;
        assert_eq!(lines, 10);
        assert_eq!(role.1, cluster.nodes[&new].status(g).unwrap().term);
        let event = tokio::time::timeout(LONG, events.recv()).await.unwrap().unwrap();
        assert!(matches!(event, GroupEvent::Leader { group, .. } if group == g), "{event:?}");
    });
}

#[test]
fn more_proposals_than_may_wait_are_refused_at_once() {
    run(async {
        let cluster = Cluster::start(1..=3, |config| config.in_flight_max = 2).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        put(&cluster.nodes[&1], g, 0).await;
        for node in [1, 2, 3] {
            let _ = cluster.nodes[&node].with_machine(g, |m| journal(m).slow = Duration::from_millis(300));
        }
        let node = cluster.nodes[&1].clone();
        let many = (1..20).map(|seq| {
            let node = node.clone();
            async move { node.propose(g, entry(seq, b"x"), LONG).await }
        });
        let results = futures::future::join_all(many).await;
        assert!(results.iter().any(acknowledged));
        assert!(results.contains(&Err(ProposeError::Overloaded)), "{results:?}");
        let large = node.propose(g, entry(99, &vec![0; pando_raft::PAYLOAD_BYTES_MAX + 1]), LONG).await;
        assert!(matches!(large, Err(ProposeError::TooLarge(_))));
    });
}

#[test]
fn an_entry_of_the_largest_size_crosses_in_frames_below_the_limit() {
    run(async {
        let cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        let follower = leader % 3 + 1;
        let payload = vec![5; pando_raft::PAYLOAD_BYTES_MAX];
        cluster.nodes[&follower].propose(g, entry(1, &payload), LONG).await.unwrap();
        cluster.agree(g, &[1, 2, 3], 1).await;
        let largest = cluster.net.frame_bytes_max.load(std::sync::atomic::Ordering::Relaxed);
        assert!(largest <= pando_raft::FRAME_BYTES_MAX as u64);
    });
}

#[test]
fn garbage_from_a_peer_changes_nothing() {
    run(async {
        let cluster = Cluster::start(1..=3, |_| {}).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        put(&cluster.nodes[&1], g, 0).await;
        for len in 0..200 {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 37 + len) as u8).collect();
            cluster.nodes[&1].receive(NodeId(2), &bytes);
            cluster.nodes[&1].receive(NodeId(2), &[&[1], bytes.as_slice()].concat());
        }
        cluster.nodes[&1].receive(NodeId(2), &vec![1; pando_raft::FRAME_BYTES_MAX + 1]);
        put(&cluster.nodes[&1], g, 1).await;
        cluster.agree(g, &[1, 2, 3], 2).await;
        assert_ne!(cluster.nodes[&1].status(g).unwrap().role, Role::Stopped);
    });
}
