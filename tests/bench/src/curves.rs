//! Cost against size: rings, messages, replicas, groups. Only for pictures.

use std::{sync::Arc, time::Instant};

use pando_tests::{
    Asker, Inside, Realm, Spawn,
    guests::{order, verb},
};

use crate::{
    Bench,
    gauge::{self, Calls},
    group::Crowd,
    local::{TOKEN_BYTES, WORKERS, tokens},
    many,
};

pub async fn measure(bench: &mut Bench) {
    if !bench.figures.wants(&["curves"]) {
        return;
    }
    rings(bench).await;
    messages(bench).await;
    replicas(bench).await;
    groups(bench).await;
}

async fn rings(bench: &mut Bench) {
    let mut points = Vec::new();
    let most = if bench.effort.quick { 1_000 } else { 1_000_000 };
    for size in [1u64, 10, 100, 1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|n| *n <= most) {
        let inside = Inside::start(1, WORKERS).await;
        let asker = inside.asker();
        asker.spawn(Spawn::guest("ring").name("ring").args(order(0, size - 1, 0, &[]))).await;
        // Once round: all of them are there.
        let long = std::time::Duration::from_secs(300);
        let run = async |many: u64, hops: u64| {
            let began = Instant::now();
            let key = asker.client().next_key();
            let order = tokens(many, hops, TOKEN_BYTES);
            asker.keyed("ring", order, Vec::new(), 0, key, long).await.expect("a ring answers");
            (many * hops) as f64 / began.elapsed().as_secs_f64()
        };
        run(1, size).await;
        let hops = bench.effort.scaled(3_000_000) / 100;
        run(100, hops / 10).await;
        points.push((size as f64, run(100, hops).await));
        inside.stop().await;
    }
    bench.plots.add("ring: messages a second against its size", ("actors", "msgs/s"), "100 tokens, 2 workers", points);
}

/// Microseconds of one of `calls` calls of a driver.
async fn round_trip(asker: &Asker, target: &str, calls: u64, bytes: usize) -> f64 {
    let began = Instant::now();
    let failed = asker.order("driver", order(verb::RUN, calls, 1, &vec![0; bytes]), &[target]).await.number();
    assert_eq!(failed, 0, "calls to {target} failed");
    began.elapsed().as_secs_f64() * 1e6 / calls as f64
}

async fn messages(bench: &mut Bench) {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("driver").on(1).name("driver")).await;
    for (name, node, label) in [("near", 1, "on one node"), ("far", 3, "between two nodes, encrypted")] {
        asker.spawn(Spawn::guest("echo").on(node).name(name)).await;
        let mut points = Vec::new();
        // The largest: the order that carries it is a message, too.
        for bytes in (3..20).step_by(2).map(|power| 1usize << power).chain([(1 << 20) - 64]) {
            let calls = bench.effort.scaled(if bytes < 16_384 { 20_000 } else { 1_000 });
            round_trip(&asker, name, calls.div_ceil(10), bytes).await;
            points.push((bytes as f64, round_trip(&asker, name, calls, bytes).await));
        }
        let axes = ("bytes there and back", "us a call");
        bench.plots.add("call: time against the size of the message", axes, label, points);
    }
}

async fn replicas(bench: &mut Bench) {
    let nodes = if bench.effort.quick { 3 } else { 7 };
    let realm = Realm::start(nodes).await;
    let asker = realm.asker();
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for replicas in 1..=nodes {
        let (group, driver) = (format!("tally-{replicas}"), format!("gauge-{replicas}"));
        asker.spawn(Spawn::guest("tally").replicas(replicas as u8).name(&group)).await;
        let leader = asker.leader(&group).await;
        gauge::spawn(&asker, &driver, leader).await;
        for (at_once, calls, points) in [(1, 1_000, &mut one), (64, 20_000, &mut many)] {
            let calls = bench.effort.scaled(calls);
            let order = Calls::of(calls, at_once).order();
            gauge::tell(&asker, &driver, order.clone(), &[&group]).await;
            let began = Instant::now();
            gauge::tell(&asker, &driver, order, &[&group]).await;
            points.push((f64::from(replicas), calls as f64 / began.elapsed().as_secs_f64()));
        }
    }
    let (title, axes) = ("replicated calls a second against the number of replicas", ("replicas", "calls/s"));
    bench.plots.add(title, axes, "one at a time", one);
    bench.plots.add(title, axes, "64 at once", many);
}

async fn groups(bench: &mut Bench) {
    let mut points = Vec::new();
    let most = if bench.effort.quick { 10 } else { 1_000 };
    for groups in [1u64, 10, 100, 1_000].into_iter().filter(|n| *n <= most) {
        let realm = Realm::start(3).await;
        many::begin(&realm, groups, 3).await;
        let names: Arc<[String]> = (0..groups).map(many::name).collect();
        let crowd = Crowd::meet(&realm, 256, &[1, 2, 3], 0).await;
        crowd.ask_any(names.clone(), 8, 1).await;
        points.push((groups as f64, crowd.ask_any(names, 8, bench.effort.seconds()).await.0));
    }
    let axes = ("groups", "commands/s");
    bench.plots.add("commands a second to all groups together", axes, "256 waiting callers", points);
}
