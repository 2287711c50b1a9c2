//! Replicas whose memory goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pando_raft::{Config, GroupEvent, GroupId, Groups, NodeId, Role, Status};
use tokio::sync::broadcast::Receiver;

use crate::harness::{Cluster, LONG, Plan, eventually, group, journal, put, run};

fn often_compared(config: &mut Config) {
    config.attest_every = 16;
    config.checkpoint_idle = Duration::from_millis(300);
}

/// A bit of what the machine remembers flips.
fn flip(cluster: &Cluster, node: u32, g: GroupId) {
    cluster.nodes[&node].with_machine(g, |machine| journal(machine).lines[0][0] ^= 4).unwrap();
}

/// Puts lines until told to stop. Gives how many were acknowledged, and the longest that one took.
fn keep_putting(groups: &Groups, g: GroupId, from: u64) -> (Arc<AtomicBool>, tokio::task::JoinHandle<(u64, Duration)>) {
    let (stop, groups) = (Arc::new(AtomicBool::new(false)), groups.clone());
    let told = stop.clone();
    let task = tokio::spawn(async move {
        let (mut seq, mut longest) = (from, Duration::ZERO);
        while !told.load(Ordering::Relaxed) {
            let since = Instant::now();
            put(&groups, g, seq).await;
            longest = longest.max(since.elapsed());
            seq += 1;
        }
        (seq, longest)
    });
    (stop, task)
}

/// What the node says of replicas that were found wrong, until one is well again.
async fn told(events: &mut Receiver<GroupEvent>) -> Vec<(&'static str, u32)> {
    let mut seen = Vec::new();
    let listen = async {
        loop {
            let (what, node) = match events.recv().await.unwrap() {
                GroupEvent::Fenced { node, .. } => ("fenced", node.0),
                GroupEvent::Rebuilding { node, .. } => ("rebuilding", node.0),
                GroupEvent::Mended { node, .. } => ("mended", node.0),
                _ => continue,
            };
            seen.push((what, node));
            if what == "mended" {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, listen).await.unwrap_or_else(|_| panic!("not mended"));
    seen
}

fn is_well(status: &Status) -> bool {
    let odd = !status.fenced_peers.is_empty() || !status.rebuilding_peers.is_empty();
    status.stopped.is_none() && status.rebuilding.is_none() && !odd
}

/// Waits until every node has the same, and says that all is well.
async fn all_well(cluster: &Cluster, g: GroupId, nodes: &[u32], lines: usize) {
    let lines = cluster.agree(g, nodes, lines).await;
    for (seq, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("line {seq}").into_bytes(), "nothing is lost, doubled or wrong");
    }
    eventually("all are well and have the same history", || {
        let all: Vec<Status> = nodes.iter().filter_map(|n| cluster.nodes[n].status(g)).collect();
        let same = all.iter().all(|s| (s.applied, s.chain, s.root) == (all[0].applied, all[0].chain, all[0].root));
        let attested = all.iter().all(|s| s.attested > 0 && s.attested == s.root_index);
        (all.len() == nodes.len() && same && attested && all.iter().all(is_well)).then_some(())
    })
    .await;
}

#[test]
fn a_bit_that_flips_in_a_replicas_memory_is_found_and_the_replica_is_rebuilt_while_the_others_serve() {
    run(async {
        let (mut cluster, g) = Cluster::with_a_group(1..=3, often_compared).await;
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        let (sick, other) = (leader % 3 + 1, (leader + 1) % 3 + 1);
        cluster.agree(g, &[1, 2, 3], 1).await;
        let mut events = [sick, other].map(|n| cluster.nodes[&n].watch());
        let (stop, putting) = keep_putting(&cluster.nodes[&other], g, 1);
        flip(&cluster, sick, g);
        for events in &mut events {
            let told = told(events).await;
            assert_eq!(told, [("fenced", sick), ("rebuilding", sick), ("mended", sick)]);
        }
        stop.store(true, Ordering::Relaxed);
        let (count, longest) = putting.await.unwrap();
        println!("{count} lines, the longest took {longest:?}");
        assert!(longest < Duration::from_secs(2), "the others did not serve for {longest:?}");
        all_well(&cluster, g, &[1, 2, 3], count as usize).await;
        // It counts again: with it there is a majority.
        cluster.close(other).await;
        put(&cluster.nodes[&sick], g, count).await;
        // And what is on its disk is right, too.
        cluster.open(other).await;
        cluster.close(sick).await;
        cluster.open(sick).await;
        // Where nothing happens, who was just booted says nothing of what it has.
        put(&cluster.nodes[&sick], g, count + 1).await;
        all_well(&cluster, g, &[1, 2, 3], count as usize + 2).await;
    });
}

#[test]
fn a_leader_whose_memory_goes_wrong_gives_way_and_is_rebuilt_and_nothing_acknowledged_is_lost() {
    run(async {
        let (cluster, g) = Cluster::with_a_group(1..=3, often_compared).await;
        let sick = cluster.leader(g, &[1, 2, 3]).await;
        let mut events = cluster.nodes[&sick].watch();
        let (stop, putting) = keep_putting(&cluster.nodes[&(sick % 3 + 1)], g, 1);
        flip(&cluster, sick, g);
        let told = told(&mut events).await;
        assert_eq!(told.first(), Some(&("fenced", sick)), "{told:?}");
        stop.store(true, Ordering::Relaxed);
        let (count, longest) = putting.await.unwrap();
        println!("{count} lines, the longest took {longest:?}");
        all_well(&cluster, g, &[1, 2, 3], count as usize).await;
    });
}

#[test]
fn a_replica_whose_own_snapshot_is_wrong_and_whose_log_is_cut_takes_those_of_the_others() {
    run(async {
        let (cluster, g) = Cluster::with_a_group(1..=3, |config| {
            often_compared(config);
            (config.snapshot_every, config.log_keep, config.attest_every) = (50, 10, 100_000);
            config.checkpoint_idle = Duration::from_secs(1);
        })
        .await;
        let sick = cluster.leader(g, &[1, 2, 3]).await % 3 + 1;
        cluster.agree(g, &[1, 2, 3], 1).await;
        let mut events = cluster.nodes[&sick].watch();
        flip(&cluster, sick, g);
        for seq in 1..200 {
            put(&cluster.nodes[&1], g, seq).await;
        }
        let first = eventually("its log is cut", || {
            let status = cluster.nodes[&sick].status(g)?;
            (status.first_index > 50 || status.stopped.is_some()).then_some(status.first_index)
        })
        .await;
        assert!(first > 50, "it was found before its log was cut");
        assert_eq!(told(&mut events).await, [("fenced", sick), ("rebuilding", sick), ("mended", sick)]);
        all_well(&cluster, g, &[1, 2, 3], 200).await;
    });
}

#[test]
fn a_replica_that_is_fenced_when_its_node_goes_down_is_rebuilt_after_the_boot() {
    run(async {
        let (mut cluster, g) = Cluster::with_a_group(1..=3, often_compared).await;
        let leader = cluster.leader(g, &[1, 2, 3]).await;
        let sick = leader % 3 + 1;
        cluster.agree(g, &[1, 2, 3], 1).await;
        flip(&cluster, sick, g);
        // Nothing that is large comes through.
        cluster.net.bulk_max.store(0, Ordering::Relaxed);
        let mut count = 1;
        while cluster.nodes[&sick].status(g).unwrap().fenced.is_none() {
            put(&cluster.nodes[&leader], g, count).await;
            count += 1;
        }
        eventually("it waits for the parts", || (cluster.net.bulk_bytes.load(Ordering::Relaxed) > 0).then_some(()))
            .await;
        let status = cluster.nodes[&sick].status(g).unwrap();
        assert_eq!((status.role, status.rebuilding.is_some()), (Role::Stopped, true), "{status:?}");
        assert!(cluster.nodes[&sick].with_machine(g, |_| ()).is_none());
        // Whoever asks there is served by the others.
        put(&cluster.nodes[&sick], g, count).await;
        cluster.close(sick).await;
        put(&cluster.nodes[&leader], g, count + 1).await;
        cluster.net.bulk_max.store(u64::MAX, Ordering::Relaxed);
        cluster.open(sick).await;
        all_well(&cluster, g, &[1, 2, 3], count as usize + 2).await;
    });
}

#[test]
fn a_replica_that_goes_wrong_again_and_again_is_left_fenced_and_named_everywhere_with_what_to_do() {
    run(async {
        let mut cluster = Cluster::start(1..=2, often_compared).await;
        cluster.plans.insert(3, Plan { sick: true, ..Plan::default() });
        cluster.open(3).await;
        let g = group(1);
        cluster.create(g, &[1, 2, 3]).await;
        let (stop, putting) = keep_putting(&cluster.nodes[&1], g, 0);
        let given_up = |cluster: &Cluster| {
            let status = cluster.nodes[&3].status(g)?;
            (status.fenced.is_some() && status.rebuilding.is_none()).then_some(status)
        };
        let status = eventually("it is given up", || given_up(&cluster)).await;
        assert_eq!(status.role, Role::Stopped);
        let why = status.fenced.unwrap();
        assert!(why.contains("rebuilt 2 times") && why.contains("take the replica out of the group"), "{why}");
        for node in [1, 2] {
            eventually("the others name it", || {
                let peers = cluster.nodes[&node].status(g)?.fenced_peers;
                (peers == [(NodeId(3), why.clone())]).then_some(())
            })
            .await;
        }
        stop.store(true, Ordering::Relaxed);
        let (count, _) = putting.await.unwrap();
        cluster.agree(g, &[1, 2], count as usize).await;
        cluster.close(3).await;
        cluster.open(3).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(given_up(&cluster).and_then(|status| status.fenced), Some(why), "also after a boot");
        // The others go on, also for those who ask at the fenced node.
        put(&cluster.nodes[&3], g, count).await;
    });
}
