//! Replicas that rest long are on the disk alone, and are there when they are wanted.

use std::time::Duration;

use pando_raft::{Config, GroupEvent, GroupId};

use crate::harness::{Cluster, LONG, comes_back, ends, eventually, group, journal, put, run};

const ALL: [u32; 3] = [1, 2, 3];
const GROUPS: u8 = 12;

fn sleepy(config: &mut Config) {
    config.rest_idle = Duration::from_millis(100);
    config.sleep_idle = Duration::from_millis(300);
}

fn restless(config: &mut Config) {
    config.rest_idle = Duration::from_millis(1);
    config.sleep_idle = Duration::from_millis(1);
}

/// Waits until all replicas but the leader's sleep; gives who leads.
async fn sleeps(cluster: &Cluster, g: GroupId, on: &[u32]) -> u32 {
    let leader = cluster.leader(g, on).await;
    let asleep = |node: &u32| *node == leader || cluster.nodes[node].status(g).unwrap().asleep;
    eventually("sleep", || on.iter().all(asleep).then_some(())).await;
    leader
}

async fn many_asleep(cluster: &Cluster) -> Vec<GroupId> {
    let groups: Vec<GroupId> = (1..=GROUPS).map(group).collect();
    for (n, g) in (0..).zip(&groups) {
        cluster.create(*g, &ALL).await;
        put(&cluster.nodes[&(n % 3 + 1)], *g, 0).await;
    }
    for g in &groups {
        sleeps(cluster, *g, &ALL).await;
    }
    groups
}

fn terms(cluster: &Cluster, node: u32, groups: &[GroupId]) -> Vec<u64> {
    groups.iter().map(|g| cluster.nodes[&node].status(*g).unwrap().term).collect()
}

#[test]
fn a_replica_that_has_slept_knows_all_it_knew_and_takes_what_is_new() {
    run(async {
        let cluster = Cluster::start(1..=3, sleepy).await;
        let groups = many_asleep(&cluster).await;
        for (n, g) in (0..).zip(&groups) {
            let before = terms(&cluster, 1, &[*g]);
            let sleeper = *ALL.iter().find(|node| cluster.nodes[node].status(*g).unwrap().asleep).unwrap();
            let status = cluster.nodes[&sleeper].status(*g).unwrap();
            assert!(status.resting && status.applied > 0 && status.voters.len() == 3, "{status:?}");
            assert!(cluster.nodes[&sleeper].with_machine(*g, |_| ()).is_none(), "its state is in memory");
            put(&cluster.nodes[&(n % 3 + 1)], *g, 1).await;
            cluster.agree(*g, &ALL, 2).await;
            assert_eq!(terms(&cluster, 1, &[*g]), before, "an election");
        }
        // Who sleeps has the same chain as who does not.
        for g in &groups {
            let leader = sleeps(&cluster, *g, &ALL).await;
            let at = |node: u32| cluster.nodes[&node].status(*g).map(|s| (s.applied, s.chain)).unwrap();
            assert!(ALL.iter().all(|node| at(*node) == at(leader)));
        }
    });
}

#[test]
fn a_linear_read_and_a_look_start_a_replica_that_sleeps() {
    run(async {
        let cluster = Cluster::start(1..=3, sleepy).await;
        let groups = many_asleep(&cluster).await;
        for (n, g) in groups.iter().enumerate() {
            let sleeper = *ALL.iter().find(|node| cluster.nodes[node].status(*g).unwrap().asleep).unwrap();
            let node = &cluster.nodes[&sleeper];
            match n % 2 {
                0 => _ = node.linear(*g, Duration::from_secs(20)).await.unwrap(),
                _ => node.rouse(*g).await,
            }
            assert_eq!(node.with_machine(*g, |m| journal(m).lines.len()), Some(1));
        }
    });
}

#[test]
fn a_node_that_boots_starts_none_of_the_groups_that_others_lead() {
    run(async {
        let mut cluster = Cluster::start(1..=3, sleepy).await;
        let groups = many_asleep(&cluster).await;
        ends(&mut cluster, 3).await;
        let left = [1, 2];
        for g in &groups {
            cluster.leader(*g, &left).await;
            sleeps(&cluster, *g, &left).await;
        }
        let before = terms(&cluster, 1, &groups);
        comes_back(&mut cluster, 3).await;
        // Longer than an election, were there one.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let asleep = |g: &&GroupId| cluster.nodes[&3].status(**g).unwrap().asleep;
        // What it missed it has to be told; the others have nothing new for it.
        let started = groups.len() - groups.iter().filter(asleep).count();
        let led_by_it = before.iter().filter(|term| **term > 1).count();
        assert!(started <= led_by_it, "{started} were started, {led_by_it} have another leader");
        assert_eq!(terms(&cluster, 1, &groups), before, "elections");
        for g in &groups {
            put(&cluster.nodes[&3], *g, 1).await;
            cluster.agree(*g, &ALL, 2).await;
        }
    });
}

#[test]
fn groups_of_which_all_but_the_leader_sleep_get_another_leader_when_its_node_ends() {
    run(async {
        let mut cluster = Cluster::start(1..=3, sleepy).await;
        let groups = many_asleep(&cluster).await;
        ends(&mut cluster, 1).await;
        for g in &groups {
            // Without anybody asking for it.
            cluster.leader(*g, &[2, 3]).await;
            put(&cluster.nodes[&2], *g, 1).await;
            cluster.agree(*g, &[2, 3], 2).await;
        }
    });
}

#[test]
fn nothing_is_lost_or_refused_when_it_comes_while_replicas_fall_asleep() {
    run(async {
        let cluster = Cluster::start(1..=3, restless).await;
        let groups: Vec<GroupId> = (1..=4).map(group).collect();
        for g in &groups {
            cluster.create(*g, &ALL).await;
        }
        let callers = groups.iter().map(|g| async {
            for seq in 0..120 {
                let node = &cluster.nodes[&(seq as u32 % 3 + 1)];
                put(node, *g, seq).await;
                // Some come in the very moment.
                tokio::time::sleep(Duration::from_millis(seq * 7 % 13)).await;
            }
        });
        futures::future::join_all(callers).await;
        for g in &groups {
            cluster.nodes[&1].linear(*g, LONG).await.unwrap();
            for node in ALL {
                cluster.nodes[&node].linear(*g, LONG).await.unwrap();
            }
            let chains: Vec<_> = ALL.iter().map(|node| cluster.nodes[node].status(*g).unwrap()).collect();
            assert!(chains.iter().all(|status| status.stopped.is_none() && status.fenced_peers.is_empty()));
            eventually("120 lines in order", || {
                let lines = ALL.iter().map(|node| cluster.lines(*node, *g)).max_by_key(Vec::len)?;
                (lines.len() == 120).then_some(())
            })
            .await;
        }
    });
}

fn compared_at_rest(config: &mut Config) {
    config.rest_idle = Duration::from_secs(1);
    config.checkpoint_idle = Duration::ZERO;
    config.attest_every = 1 << 20;
}

fn flip(cluster: &Cluster, node: u32, g: GroupId) {
    cluster.nodes[&node].with_machine(g, |machine| journal(machine).lines[0][0] ^= 4).unwrap();
}

#[test]
fn a_bit_that_has_flipped_is_found_when_the_group_comes_to_rest_without_an_entry_for_it() {
    run(async {
        for sick in ALL {
            let (cluster, g) = Cluster::with_a_group(1..=3, compared_at_rest).await;
            cluster.agree(g, &ALL, 1).await;
            let mut events = cluster.nodes[&sick].watch();
            flip(&cluster, sick, g);
            let fenced = async {
                loop {
                    if let GroupEvent::Fenced { node, .. } = events.recv().await.unwrap() {
                        return node.0;
                    }
                }
            };
            assert_eq!(tokio::time::timeout(LONG, fenced).await.expect("it is not found"), sick);
            // If it led, another one does, without anybody asking for it.
            let others: Vec<u32> = ALL.into_iter().filter(|node| *node != sick).collect();
            cluster.leader(g, &others).await;
            put(&cluster.nodes[&others[0]], g, 1).await;
            cluster.agree(g, &ALL, 2).await;
        }
    });
}

#[test]
fn a_replica_that_another_one_knows_to_be_wrong_is_not_elected_and_hears_so() {
    run(async {
        let (mut cluster, g) = Cluster::with_a_group(1..=3, compared_at_rest).await;
        cluster.agree(g, &ALL, 1).await;
        let leader = cluster.leader(g, &ALL).await;
        let [sick, third] = [leader % 3 + 1, (leader + 1) % 3 + 1];
        cluster.net.deafen(third, sick);
        flip(&cluster, sick, g);
        // The leader's word and its own are no majority: it cannot know which is right.
        eventually("the third to know", || {
            let status = cluster.nodes[&third].status(g)?;
            status.fenced_peers.iter().any(|(node, _)| node.0 == sick).then_some(())
        })
        .await;
        assert_eq!(cluster.nodes[&sick].status(g).unwrap().fenced, None);
        ends(&mut cluster, leader).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let standing = cluster.nodes[&sick].status(g).unwrap();
        assert_ne!(standing.leader.map(|leader| leader.0), Some(sick), "it was elected");
        // Once it can hear it is told, and is made anew from the others when there are two.
        cluster.net.heal();
        eventually("it to know", || cluster.nodes[&sick].status(g)?.fenced).await;
        comes_back(&mut cluster, leader).await;
        put(&cluster.nodes[&third], g, 1).await;
        cluster.agree(g, &ALL, 2).await;
    });
}
