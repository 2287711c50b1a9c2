//! One node: messages, calls and spawns in this process, memory in a process of its own.

use std::time::{Duration, Instant};

use pando_tests::{
    Asker, Inside, Realm, Spawn,
    guests::{order, verb},
    until_quiet,
};
use tokio::runtime::Runtime;

use crate::{
    Effort,
    figures::{Better, Figures, median},
    peers,
};

/// Worker threads, ours and the peers'.
const WORKERS: usize = 2;

pub fn measure(figures: &mut Figures, effort: Effort, runtime: &dyn Fn() -> Runtime) {
    if figures.wants(&["ring", "call", "spawn"]) {
        runtime().block_on(async {
            let inside = Inside::start(1, WORKERS).await;
            let asker = inside.asker();
            if figures.wants(&["ring"]) {
                ring(figures, effort, &asker).await;
            }
            if figures.wants(&["call"]) {
                call(figures, effort, &asker).await;
            }
            if figures.wants(&["spawn"]) {
                spawn(figures, effort, &asker).await;
            }
            inside.stop().await;
        });
    }
    if figures.wants(&["memory"]) {
        runtime().block_on(memory(figures, effort));
    }
}

/// The median of several runs after one that does not count.
async fn several(runs: usize, mut run: impl AsyncFnMut() -> f64) -> f64 {
    run().await;
    let mut values = Vec::new();
    for _ in 0..runs {
        values.push(run().await);
    }
    median(values)
}

/// What a peer does, off the runtime that the node runs on.
async fn beside(runs: usize, run: impl Fn() -> f64 + Send + 'static) -> f64 {
    let run = move || {
        run();
        median((0..runs).map(|_| run()).collect())
    };
    tokio::task::spawn_blocking(run).await.expect("a peer runs")
}

async fn ring(figures: &mut Figures, effort: Effort, asker: &Asker) {
    let size = peers::RING as u64;
    asker.spawn(Spawn::guest("ring").name("ring").args(order(0, size - 1, 0, &[]))).await;
    for (tokens, messages) in [(1, 2_000_000), (1_000, 10_000_000)] {
        let hops = effort.scaled(messages) / tokens;
        let ours = several(effort.runs(), async || {
            let began = Instant::now();
            asker.order("ring", order(verb::RUN, tokens, hops, &[]), &[]).await;
            (tokens * hops) as f64 / began.elapsed().as_secs_f64()
        })
        .await;
        let theirs = beside(effort.runs(), move || peers::ring(WORKERS, tokens, hops)).await;
        let tokens = if tokens == 1 { "1 token".to_owned() } else { "1,000 tokens".to_owned() };
        figures.add(&format!("ring of 1,000 Wasm actors, {tokens}, 64 B"), ours, "msgs/s");
        figures.beside("tokio tasks", theirs, Better::More).note("one node, two workers");
    }
}

async fn call(figures: &mut Figures, effort: Effort, asker: &Asker) {
    asker.spawn(Spawn::guest("echo").name("echo")).await;
    asker.spawn(Spawn::guest("driver").name("driver")).await;
    let calls = effort.scaled(500_000);
    let ours = several(effort.runs(), async || round_trip(asker, "driver", "echo", calls, 1).await).await * 1e3;
    let theirs = beside(effort.runs(), move || peers::call(WORKERS, calls)).await;
    figures.add("local call round trip, actor to actor", ours, "ns");
    figures.beside("tokio mpsc and oneshot", theirs, Better::Less);
    let many = effort.scaled(2_000);
    let person = several(effort.runs(), async || {
        let began = Instant::now();
        for _ in 0..many {
            asker.order("echo", vec![0], &[]).await;
        }
        began.elapsed().as_secs_f64() * 1e6 / many as f64
    })
    .await;
    figures.add("call round trip, person to actor (QUIC)", person, "us");
}

/// Microseconds of one of `calls` calls, `at_once` on their way.
pub async fn round_trip(asker: &Asker, driver: &str, target: &str, calls: u64, at_once: u64) -> f64 {
    let began = Instant::now();
    let failed = asker.order(driver, order(verb::RUN, calls, at_once, &[0; 16]), &[target]).await.number();
    assert_eq!(failed, 0, "calls to {target} failed");
    began.elapsed().as_secs_f64() * 1e6 / calls as f64
}

async fn spawn(figures: &mut Figures, effort: Effort, asker: &Asker) {
    asker.spawn(Spawn::guest("nursery").name("nursery")).await;
    let count = effort.scaled(50_000);
    let ours = several(effort.runs(), async || {
        let began = Instant::now();
        asker.order("nursery", order(verb::RUN, count, 0, &[]), &[]).await;
        count as f64 / began.elapsed().as_secs_f64()
    })
    .await;
    let theirs = beside(effort.runs(), move || peers::spawn(WORKERS, count)).await;
    figures.add("spawns: start, one message to the parent, exit", ours, "actors/s");
    figures.beside("tokio tasks", theirs, Better::More);
}

/// What an actor that has had its start event and waits takes of the node's resident memory.
async fn memory(figures: &mut Figures, effort: Effort) {
    let realm = Realm::start(1).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("nursery").name("nursery")).await;
    // What the first ones need is not theirs.
    asker.order("nursery", order(verb::RUN, 1_000, 1, &[]), &[]).await;
    let before = resident(&asker).await;
    let count = effort.scaled(50_000);
    asker.order("nursery", order(verb::RUN, count, 1, &[]), &[]).await;
    let after = resident(&asker).await;
    figures.add("resident memory of an idle actor", (after - before) / count as f64, "bytes");
    figures.note(&format!("of {count}, in a process of their own; one run"));
}

/// Resident bytes of the one node, once they rest.
async fn resident(asker: &Asker) -> f64 {
    let look = async || asker.top().await.first().map_or(0, |row| row.resident >> 16);
    until_quiet("the node's memory", Duration::from_secs(60), 25, look).await as f64 * 65_536.0
}
