//! Two nodes on loopback, each a process: calls and one-way messages, encrypted.

use std::time::Instant;

use pando_tests::{Asker, Realm};

use crate::{
    Bench,
    duel::duel,
    figures::{Better, Target},
    gauge::{self, Calls, Times},
    local::quantiles,
    peers::Pair,
};

const THERE: &str = "'server@127.0.0.1'";

pub async fn measure(bench: &mut Bench, realm: &Realm) {
    if !bench.figures.wants(&["remote", "one-way"]) {
        return;
    }
    let asker = realm.asker();
    let mut erlang = bench.peers.erlang_pair();
    gauge::spawn(&asker, "here", 1).await;
    gauge::spawn(&asker, "far", 3).await;
    if bench.figures.wants(&["remote"]) {
        calls(bench, &asker, &mut erlang).await;
    }
    if bench.figures.wants(&["one-way"]) {
        one_way(bench, &asker, &mut erlang).await;
    }
}

fn rate(erlang: &mut Result<Pair, String>, expression: &str) -> Result<f64, String> {
    erlang.as_mut().map_err(|why| why.clone())?.client.rate(expression)
}

async fn calls(bench: &mut Bench, asker: &Asker, erlang: &mut Result<Pair, String>) {
    let many = bench.effort.scaled(20_000);
    let mut times = Times::default();
    let ours = async || {
        let began = Instant::now();
        times.add(&gauge::tell(asker, "here", Calls::of(many, 1).order(), &["far"]).await);
        many as f64 / began.elapsed().as_secs_f64()
    };
    let theirs = || rate(erlang, &format!("anchor_dist:pingpong({THERE}, {many}, binary:copy(<<1>>, 8))"));
    let one = duel(bench.effort, ours, theirs).await;
    let unit = ("round trips/s", Better::More);
    let peer = |times| ("Erlang over TLS", Target::Times(times));
    bench
        .figures
        .versus("remote", "remote call, encrypted, 8 B, one pair", unit, peer(1.2), one)
        .note(quantiles(&times));
    bench.plots.times("remote call", "one pair", &times);

    const PAIRS: u64 = 64;
    let each = bench.effort.scaled(4_000);
    gauge::spawn(asker, "pairs", 1).await;
    gauge::form(asker, "pairs", PAIRS, 3, &[]).await;
    let mut times = Times::default();
    let ours = async || {
        let began = Instant::now();
        times.add(&gauge::tell(asker, "pairs", Calls::of(each, 1).all(PAIRS), &[]).await);
        (PAIRS * each) as f64 / began.elapsed().as_secs_f64()
    };
    let theirs = || rate(erlang, &format!("anchor_dist:pairs({THERE}, {PAIRS}, {each}, binary:copy(<<1>>, 8))"));
    let many = duel(bench.effort, ours, theirs).await;
    bench
        .figures
        .versus("remote", "remote call, encrypted, 8 B, 64 pairs", unit, peer(3.0), many)
        .note(quantiles(&times));
    bench.plots.times("remote call", "64 pairs", &times);
}

async fn one_way(bench: &mut Bench, asker: &Asker, erlang: &mut Result<Pair, String>) {
    const BURST: u64 = 64;
    for (bytes, size, times) in [(8, "8 B", 5.0), (1_024, "1 KiB", 4.0)] {
        let many = bench.effort.scaled(300_000) / BURST * BURST;
        let calls = Calls { burst: BURST, bytes, ..Calls::of(many / BURST, 32) };
        let ours = async || {
            let began = Instant::now();
            gauge::tell(asker, "here", calls.order(), &["far"]).await;
            many as f64 / began.elapsed().as_secs_f64()
        };
        let theirs = || rate(erlang, &format!("anchor_dist:oneway({THERE}, {many}, binary:copy(<<1>>, {bytes}))"));
        let duel = duel(bench.effort, ours, theirs).await;
        let what = format!("remote one-way, encrypted, {size}");
        let peer = ("Erlang over TLS", Target::Times(times));
        bench
            .figures
            .versus("one-way", &what, ("msgs/s", Better::More), peer, duel)
            .note("ours with a word back for each 64");
    }
}
