//! A realm of three processes on loopback: boot, remote calls, groups, failover.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pando_abi::Errno;
use pando_tests::{
    Asker, Realm, Spawn, Trouble,
    guests::{order, verb},
    program,
};
use tokio::runtime::Runtime;

use crate::{
    Effort,
    figures::{Figures, median},
    local::round_trip,
};

pub fn measure(figures: &mut Figures, effort: Effort, runtime: &dyn Fn() -> Runtime) {
    if figures.wants(&["boot"]) {
        runtime().block_on(boot(figures, effort));
    }
    if figures.wants(&["remote", "group", "failover"]) {
        runtime().block_on(async {
            let mut realm = Realm::start(3).await;
            let asker = realm.asker();
            if figures.wants(&["remote"]) {
                remote(figures, effort, &asker).await;
            }
            if figures.wants(&["group", "failover"]) {
                asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
            }
            if figures.wants(&["group"]) {
                group(figures, effort, &realm, &asker).await;
            }
            if figures.wants(&["failover"]) {
                failover(figures, effort, &mut realm, &asker).await;
            }
        });
    }
    if figures.wants(&["size"]) {
        let size = std::fs::metadata(program::path()).map_or(0, |m| m.len());
        figures.add("the pando program, release", size as f64 / f64::from(1 << 20), "MiB");
        figures.note("with debug lines, not stripped; bundled programs inside");
    }
}

/// From nothing to three nodes that answer, and on to the first answer of a replicated actor.
async fn boot(figures: &mut Figures, effort: Effort) {
    let (mut ready, mut first) = (Vec::new(), Vec::new());
    for _ in 0..effort.few() {
        let mut realm = Realm::found(3);
        let began = Instant::now();
        realm.boot(&[1, 2, 3]).await;
        ready.push(began.elapsed().as_secs_f64() * 1e3);
        let asker = realm.asker();
        asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
        asker.call("hits add").await;
        first.push(began.elapsed().as_secs_f64() * 1e3);
    }
    figures.add("boot of a three-node realm: every node answers", median(ready), "ms");
    figures.note("three processes, from their start");
    figures.add("... to the first answer of a group spawned there", median(first), "ms");
}

async fn remote(figures: &mut Figures, effort: Effort, asker: &Asker) {
    asker.spawn(Spawn::guest("driver").on(1).name("driver")).await;
    asker.spawn(Spawn::guest("echo").on(3).name("far")).await;
    asker.spawn(Spawn::guest("echo").on(1).name("near")).await;
    let near = runs(effort, async || round_trip(asker, "driver", "near", effort.scaled(200_000), 1).await).await;
    let far = runs(effort, async || round_trip(asker, "driver", "far", effort.scaled(20_000), 1).await).await;
    let many = runs(effort, async || round_trip(asker, "driver", "far", effort.scaled(200_000), 64).await).await;
    figures.add("remote call round trip, n1 to n3, one at a time", far, "us");
    figures.note(&format!("{:.0} times a local one in the same process", far / near));
    figures.add("remote calls, n1 to n3, 64 at once", 1e6 / many, "calls/s");
}

async fn runs(effort: Effort, mut run: impl AsyncFnMut() -> f64) -> f64 {
    run().await;
    let mut values = Vec::new();
    for _ in 0..effort.few() {
        values.push(run().await);
    }
    median(values)
}

async fn group(figures: &mut Figures, effort: Effort, realm: &Realm, asker: &Asker) {
    for callers in [1, 64] {
        let rate = runs(effort, async || people(realm, asker, callers, effort.seconds()).await).await;
        let who = if callers == 1 { "1 caller".to_owned() } else { format!("{callers} callers") };
        figures.add(&format!("replicated calls, {who}"), rate, "calls/s");
        figures.note("three replicas, every answer final; callers are QUIC clients at the leader's node");
    }
    // The callers' processor time is not the group's: the same from an actor beside the leader.
    let leader = asker.leader("hits").await;
    asker.spawn(Spawn::guest("driver").on(leader).name("beside")).await;
    for at_once in [1, 64] {
        let calls = effort.scaled(if at_once == 1 { 2_000 } else { 50_000 });
        let took = runs(effort, async || round_trip(asker, "beside", "hits", calls, at_once).await).await;
        figures.add(&format!("replicated calls from one actor, {at_once} at once"), 1e6 / took, "calls/s");
    }
}

/// Calls a second by so many clients, each one after the other.
async fn people(realm: &Realm, asker: &Asker, callers: usize, seconds: f64) -> f64 {
    let leader = asker.leader("hits").await;
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let asker = realm.asker_at(leader).await;
        // The session is opened before the clock runs.
        asker.order("hits", order(verb::TALLY, 0, 0, &[]), &[]).await;
        let (stop, count) = (stop.clone(), count.clone());
        tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                asker.order("hits", order(verb::TALLY, 0, 0, &[]), &[]).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let (began, before) = (Instant::now(), count.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let rate = (count.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("a caller");
    }
    rate
}

/// From the kill of a leader to the next answered call of somebody who asks the others.
async fn failover(figures: &mut Figures, effort: Effort, realm: &mut Realm, asker: &Asker) {
    let mut waits = Vec::new();
    for _ in 0..effort.runs() {
        let leader = asker.leader("hits").await;
        let other = (1..=3).find(|node| *node != leader).expect("three nodes");
        let caller = realm.asker_at(other).await;
        caller.order("hits", order(verb::TALLY, 0, 0, &[]), &[]).await;
        realm.kill(leader);
        let began = Instant::now();
        answered(&caller).await;
        waits.push(began.elapsed().as_secs_f64() * 1e3);
        realm.boot(&[leader]).await;
        answered(asker).await;
    }
    let longest = waits.iter().copied().fold(0.0, f64::max);
    figures.add("failover: kill -9 of a leader to the next answer", median(waits), "ms");
    figures.note(&format!("the longest {longest:.0}; asked through another node"));
}

async fn answered(asker: &Asker) {
    let key = asker.client().next_key();
    loop {
        let body = order(verb::TALLY, 0, 0, &[]);
        match asker.keyed("hits", body, Vec::new(), 0, key, Duration::from_secs(5)).await {
            Ok(_) => return,
            Err(Trouble { errno: Errno::TIMEOUT | Errno::UNREACHABLE | Errno::NO_QUORUM, .. }) => {}
            Err(trouble) => panic!("the group does not answer: {trouble:?}"),
        }
    }
}
