//! A million actors in a process of their own: what each takes, how fast they come, how fast any of them wakes.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use pando_tests::{
    Asker, Realm,
    guests::{self, order, verb},
    until_quiet,
};

use crate::{
    Bench,
    duel::Duel,
    figures::{Better, Target},
    gauge::{self, Calls, Times},
    local::quantiles,
    peers::{Peers, named, output},
};

/// Who spawns, holds handles and calls: as many as it takes to hold a million.
const CREW: u64 = 127;
const EACH: u64 = 7_875;
/// Of the crew, at work at a time: so many calls are on their way at once.
const AT_A_TIME: u64 = 16;

pub async fn measure(bench: &mut Bench) {
    if !bench.figures.wants(&["idle", "wake"]) {
        return;
    }
    let (crew, each) = if bench.effort.quick { (4, 5_000) } else { (CREW, EACH) };
    let actors = crew * each;
    let (mut rates, mut bytes) = (Vec::new(), Vec::new());
    let mut theirs = Ok(Vec::new());
    let mut woken = (Vec::new(), Vec::new(), Times::default());
    let runs = if bench.figures.wants(&["idle"]) { bench.effort.runs } else { 1 };
    for run in 0..runs {
        let realm = Realm::start(1).await;
        let asker = realm.asker();
        gauge::spawn(&asker, "crew", 1).await;
        // With the realm, so that they can spawn another module than their own.
        gauge::tell(&asker, "crew", order(verb::FORM, crew, 0, &[1]), &[]).await;
        let sleeper = asker.put("echo", guests::wasm("echo")).await.expect("a module that fits");
        let before = resident(&asker).await;
        let began = Instant::now();
        gauge::tell(&asker, "crew", order(verb::ALL, 2, 0, &order(verb::HIRE, each, 0, &sleeper)), &[]).await;
        rates.push(actors as f64 / began.elapsed().as_secs_f64());
        // One message to each, and its answer.
        let once = Calls::of(each, 64).sweep();
        gauge::tell(&asker, "crew", order(verb::ALL, AT_A_TIME, 0, &once), &[]).await;
        bytes.push((resident(&asker).await - before) / actors as f64);
        if run + 1 == runs && bench.figures.wants(&["wake"]) {
            woken = wake(bench, &asker, actors / crew).await;
        }
        drop(realm);
        if bench.figures.wants(&["idle"]) {
            let their = tokio::task::block_in_place(|| bench.peers.idle(actors));
            theirs = theirs.and_then(|mut list: Vec<(f64, f64)>| their.map(|pair| list.push(pair)).map(|()| list));
        }
    }
    let their_rates = theirs.as_ref().map(|list| list.iter().map(|pair| pair.0).collect()).map_err(Clone::clone);
    let their_bytes = theirs.map(|list| list.iter().map(|pair| pair.1).collect());
    if bench.figures.wants(&["idle"]) {
        let what = format!("bytes of each of {} idle actors", crate::figures::count(actors));
        // At most 0.35 of Erlang's.
        let target = ("Erlang", Target::Times(1.0 / 0.35));
        let duel = Duel { ours: bytes, theirs: their_bytes };
        // A tenth of a million of ractor's: a million takes eight gigabytes.
        let tenth = bench.effort.percent().div_ceil(10);
        let tokio = bench.peers.rust("tokiopeer", "spawn", 1, tenth);
        let ractor = bench.peers.rust("ractorpeer", "spawn", 1, tenth);
        bench
            .figures
            .versus("idle", &what, ("bytes", Better::Less), target, duel)
            .note("resident set; ours have handled a start and a message, and who holds their handles is counted; Erlang's have handled none")
            .also("tokio", &named(&tokio, &["memory", "2-workers"]))
            .also("ractor", &named(&ractor, &["memory", "2-workers"]));
        let duel = Duel { ours: rates, theirs: their_rates };
        bench
            .figures
            .versus("idle", "spawn rate of them", ("actors/s", Better::More), ("Erlang", Target::Times(1.0)), duel)
            .note("ours until each has handled its start and told its parent; Erlang's two spawners until spawned");
    }
    if bench.figures.wants(&["wake"]) {
        let (rate, p99, times) = woken;
        bench.plots.times("local call", "any of a million asleep, 16 at once", &times);
        let more = ("calls/s", Better::More);
        let what = format!("wake any of {} sleeping actors and answer", crate::figures::count(actors));
        bench
            .figures
            .alone("wake", &what, more, Target::Figure(400_000.0), rate)
            .note(format!("{AT_A_TIME} at once; {}", quantiles(&times)));
        let less = ("us", Better::Less);
        bench.figures.alone("wake", "the same, p99", less, Target::Figure(50.0), p99);
    }
}

async fn wake(bench: &Bench, asker: &Asker, each: u64) -> (Vec<f64>, Vec<f64>, Times) {
    let (mut rate, mut p99, mut all) = (Vec::new(), Vec::new(), Times::default());
    let crew = if bench.effort.quick { 4 } else { CREW };
    for run in 0..=bench.effort.runs {
        let calls = Calls::of(each, 1);
        let began = Instant::now();
        let times = gauge::tell(asker, "crew", calls.all(AT_A_TIME), &[]).await;
        let took = began.elapsed().as_secs_f64();
        if run > 0 {
            rate.push((each * crew) as f64 / took);
            p99.push(times.quantile_us(0.99));
            all.add(&times);
        }
    }
    (rate, p99, all)
}

/// Resident bytes of the one node, once they rest.
async fn resident(asker: &Asker) -> f64 {
    let look = async || asker.top().await.first().map_or(0, |row| row.resident >> 16);
    until_quiet("the node's memory", Duration::from_secs(60), 25, look).await as f64 * 65_536.0
}

impl Peers {
    /// Erlang's spawn rate and bytes of so many idle processes of two spawners, in a virtual machine of their own.
    fn idle(&mut self, actors: u64) -> Result<(f64, f64), String> {
        let percent = (actors / 10_000).to_string();
        let ebin = self.erlang_modules()?;
        let mut command = Command::new("erl");
        command.args(["-noshell", "-noinput", "+P", "4000000", "+S", "2:2", "-pa"]).arg(ebin);
        command.args(["-run", "anchor_local", "main", "spawn-process-2"]).env("ANCHOR_SCALE", percent);
        let said = output(&mut command)?;
        let mut numbers = said.split_whitespace().map(str::parse::<f64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(rate)), Some(Ok(bytes))) => Ok((rate, bytes)),
            _ => Err(format!("printed {said}")),
        }
    }
}
