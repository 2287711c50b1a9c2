//! Three nodes with disks: replicated commands, reads, failover.
//!
//! 1. The work is Ra's and etcd's: a value of so many bytes is put under one of ten thousand keys.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pando_abi::{Errno, call::call_flags};
use pando_admin::{Reply, Request};
use pando_tests::{
    Asker, Realm, Spawn, Trouble,
    guests::{order, verb},
    until,
};

use crate::{
    Bench,
    duel::duel,
    figures::{Better, Target},
    gauge::{self, Calls, Times},
    local::quantiles,
    peers::{Ra, Reads},
};

/// Leaders that are killed for the figures of failover.
const KILLS: usize = 100;
const KEYS: u64 = 10_000;
const LONG: Duration = Duration::from_secs(120);
/// Callers that share a session; as many as share a connection of etcd's.
const SHARED_BY: u64 = 64;
const COMMANDS: (&str, Better) = ("commands/s", Better::More);

/// A peer that may not be there.
type Beside<P> = Result<P, String>;

pub async fn measure(bench: &mut Bench, realm: &mut Realm) {
    let asker = realm.asker();
    if bench.figures.wants(&["pipelined", "group", "reads", "catch-up"]) {
        for (bytes, name) in [(8, "shelf-8"), (1_024, "shelf-1024")] {
            let shelf = Spawn::guest("shelf").replicas(3).name(name).args(order(0, bytes, 0, &[]));
            asker.spawn(shelf).await;
        }
    }
    if bench.figures.wants(&["pipelined", "group"]) {
        let mut ra = bench.peers.ra();
        if bench.figures.wants(&["pipelined"]) {
            pipelined(bench, &asker, &mut ra).await;
        }
        if bench.figures.wants(&["group"]) {
            waiting(bench, realm, &asker, &mut ra).await;
        }
    }
    if bench.figures.wants(&["reads"]) {
        reads(bench, realm, &asker).await;
    }
    if bench.figures.wants(&["move"]) {
        moving(bench, &asker).await;
    }
    if bench.figures.wants(&["catch-up"]) {
        catch_up(bench, realm, &asker).await;
    }
    if bench.figures.wants(&["failover"]) {
        asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
        across(bench, realm, &asker).await;
        failover(bench, realm, &asker).await;
    }
}

fn ask<P, T>(peer: &mut Beside<P>, what: impl FnOnce(&mut P) -> Result<T, String>) -> Result<T, String> {
    what(peer.as_mut().map_err(|why| why.clone())?)
}

/// Five clients beside the leader, five hundred commands of each on their way.
async fn pipelined(bench: &mut Bench, asker: &Asker, ra: &mut Beside<Ra>) {
    const CLIENTS: u64 = 5;
    const AT_ONCE: u64 = 500;
    for (bytes, size) in [(8, "8 B"), (1_024, "1 KiB")] {
        let shelf = format!("shelf-{bytes}");
        let leader = asker.leader(&shelf).await;
        let crew = format!("pipe-{bytes}");
        gauge::spawn(asker, &crew, leader).await;
        gauge::form(asker, &crew, CLIENTS, 0, &[&shelf]).await;
        let seconds = bench.effort.seconds();
        let mut each = 1_000;
        let mut times = Times::default();
        let ours = async || {
            let calls = Calls { keys: KEYS, bytes: 8 + bytes, ..Calls::of(each, AT_ONCE) };
            let began = Instant::now();
            times = gauge::tell(asker, &crew, calls.all(CLIENTS), &[]).await;
            let rate = (CLIENTS * each) as f64 / began.elapsed().as_secs_f64();
            // As many as take the time that the peer is given.
            each = ((rate * seconds as f64) as u64 / CLIENTS).max(AT_ONCE);
            rate
        };
        let duel = duel(bench.effort, ours, || ask(ra, |ra| ra.pipelined(bytes, seconds))).await;
        let what = format!("replicated, 3 nodes, disk, pipelined, {size}");
        bench
            .figures
            .versus("pipelined", &what, COMMANDS, ("Ra", Target::Times(3.0)), duel)
            .note(format!("5 clients at the leader, 500 at once each; {}", quantiles(&times)));
        bench.plots.times("replicated call", &format!("pipelined, {size}"), &times);
    }
}

/// Callers in this process, each of which waits for its answer.
async fn waiting(bench: &mut Bench, realm: &Realm, asker: &Asker, ra: &mut Beside<Ra>) {
    let mut etcd = bench.peers.etcd();
    let leader = asker.leader("shelf-8").await;
    let seconds = bench.effort.seconds();
    let rows = [(1, Target::Times(1.2)), (64, Target::Times(2.5)), (256, Target::Times(3.0)), (1_000, Target::None)];
    for (callers, target) in rows {
        let crowd = Crowd::meet(realm, callers, &[leader], 0).await;
        let mut times = Times::default();
        let ours = async || {
            let (rate, took) = crowd.ask("shelf-8", 8, seconds).await;
            times.add(&took);
            rate
        };
        let mut of_etcd = Ok(Vec::new());
        let theirs = || {
            let puts = ask(&mut etcd, |etcd| etcd.puts(callers, 8, seconds));
            of_etcd = std::mem::replace(&mut of_etcd, Ok(Vec::new()))
                .and_then(|mut list: Vec<f64>| puts.map(|found| list.push(found[0])).map(|()| list));
            ask(ra, |ra| ra.waiting(callers, 8, seconds)).map(|found| found[0])
        };
        let duel = duel(bench.effort, ours, theirs).await;
        let what =
            format!("replicated, 3 nodes, disk, {callers} waiting caller{}", if callers == 1 { "" } else { "s" });
        let row = bench.figures.versus("group", &what, COMMANDS, ("Ra", target), duel);
        row.note(format!("8 B; callers in a process of their own; {}", quantiles(&times))).also("etcd", &of_etcd);
        bench.plots.times("replicated call", &format!("{callers} waiting"), &times);
    }
}

async fn reads(bench: &mut Bench, realm: &Realm, asker: &Asker) {
    const CALLERS: u64 = 64;
    let mut etcd = bench.peers.etcd();
    let seconds = bench.effort.seconds();
    // Something to read.
    let leader = asker.leader("shelf-8").await;
    let writers = Crowd::meet(realm, CALLERS, &[leader], 0).await;
    writers.ask("shelf-8", 8, seconds).await;
    if let Err(why) = tokio::task::block_in_place(|| ask(&mut etcd, |etcd| etcd.puts(256, 8, seconds))) {
        etcd = Err(why);
    }
    let follower = beside(leader);
    let (linear, last) = (call_flags::QUERY, call_flags::QUERY | call_flags::FINAL);
    let rows: [(&str, &[u32], i32, Reads, &str); 2] = [
        ("linear reads on a follower", &[follower], linear, Reads::Linear, "etcd, linearizable"),
        ("final reads on all three nodes", &[1, 2, 3], last, Reads::Serial, "etcd, serializable"),
    ];
    for (what, nodes, flags, how, peer) in rows {
        let crowd = Crowd::meet(realm, CALLERS, nodes, flags).await;
        let mut times = Times::default();
        let ours = async || {
            let (rate, took) = crowd.ask("shelf-8", 8, seconds).await;
            times.add(&took);
            rate
        };
        let duel = duel(bench.effort, ours, || ask(&mut etcd, |etcd| etcd.reads(how, CALLERS, seconds))).await;
        let unit = ("reads/s", Better::More);
        bench
            .figures
            .versus("reads", what, unit, (peer, Target::Times(5.0)), duel)
            .note(format!("64 waiting callers in a process of their own; {}", quantiles(&times)));
    }
}

/// A node that does not lead.
fn beside(leader: u32) -> u32 {
    if leader == 1 { 2 } else { 1 }
}

/// Callers that each ask one after the other.
pub struct Crowd {
    askers: Vec<Asker>,
    flags: i32,
    dice: Arc<AtomicU64>,
}

impl Crowd {
    /// So many, spread over these nodes.
    pub async fn meet(realm: &Realm, callers: u64, nodes: &[u32], flags: i32) -> Crowd {
        let sessions = callers.div_ceil(SHARED_BY).max(nodes.len() as u64);
        let mut shared = Vec::new();
        for n in 0..sessions {
            shared.push(realm.asker_at(nodes[n as usize % nodes.len()]).await);
        }
        let askers = (0..callers).map(|n| shared[(n % sessions) as usize].clone()).collect();
        Crowd { askers, flags, dice: Arc::default() }
    }

    /// Calls a second, and how long each took.
    pub async fn ask(&self, target: &str, bytes: usize, seconds: u64) -> (f64, Times) {
        self.ask_any(Arc::new([target.to_owned()]), bytes, seconds).await
    }

    /// The same, each call to any of these.
    pub async fn ask_any(&self, targets: Arc<[String]>, bytes: usize, seconds: u64) -> (f64, Times) {
        let stop = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let mut tasks = Vec::new();
        for asker in &self.askers {
            let (asker, stop, dice) = (asker.clone(), stop.clone(), self.dice.clone());
            let (targets, flags) = (targets.clone(), self.flags);
            tasks.push(tokio::spawn(async move {
                let mut times = Times::default();
                while !stop.load(Ordering::Relaxed) {
                    let n = dice.fetch_add(1, Ordering::Relaxed);
                    let any = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let target = &targets[(any >> 32) as usize % targets.len()];
                    let mut body = (any % KEYS).to_le_bytes().to_vec();
                    if flags == 0 {
                        body.resize(8 + bytes, 1);
                    }
                    let key = asker.client().next_key();
                    let began = Instant::now();
                    let answer = asker.keyed(target, body, Vec::new(), flags, key, Duration::from_secs(30)).await;
                    answer.unwrap_or_else(|e| panic!("{target}: {e:?}"));
                    times.note(began.elapsed().as_nanos() as u64);
                }
                times
            }));
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        stop.store(true, Ordering::Relaxed);
        let mut all = Times::default();
        for task in tasks {
            all.add(&task.await.expect("a caller"));
        }
        (all.count() as f64 / began.elapsed().as_secs_f64(), all)
    }
}

/// How long a live actor stands still that is carried to another node.
async fn moving(bench: &mut Bench, asker: &Asker) {
    asker.spawn(Spawn::guest("tally").on(1).name("nomad")).await;
    asker.order("nomad", order(verb::TALLY, 1, 0, &[]), &[]).await;
    let (mut pauses, mut size) = (Vec::new(), 0);
    for node in (0..4 * bench.effort.runs as u32).map(|n| n % 3 + 1).skip(1) {
        match asker.ask(Request::Move { target: "nomad".to_owned(), node }).await {
            Ok(Reply::Moved { bytes, paused_us, .. }) => {
                pauses.push(paused_us as f64 / 1e3);
                size = bytes;
            }
            other => panic!("nomad to n{node}: {other:?}"),
        }
    }
    let what = "move of a plain actor to another node, its pause";
    bench.figures.alone("move", what, ("ms", Better::Less), Target::None, pauses).note(format!("{size} bytes at rest"));
}

/// How fast a replica that was away takes in what the others have done meanwhile.
async fn catch_up(bench: &mut Bench, realm: &mut Realm, asker: &Asker) {
    const CLIENTS: u64 = 5;
    let leader = asker.leader("shelf-8").await;
    let away = beside(leader);
    let other = 6 - leader - away;
    gauge::spawn(asker, "missed", other).await;
    gauge::form(asker, "missed", CLIENTS, 0, &["shelf-8"]).await;
    let each = bench.effort.scaled(10_000);
    let mut rates = Vec::new();
    for _ in 0..bench.effort.few() {
        realm.kill(away);
        let asker = realm.asker_at(other).await;
        let calls = Calls { keys: KEYS, bytes: 16, ..Calls::of(each, 500) };
        gauge::tell(&asker, "missed", calls.all(CLIENTS), &[]).await;
        let began = Instant::now();
        realm.boot(&[away]).await;
        until("it has caught up", LONG, async || asker.agrees("shelf-8", &[other, away]).await.then_some(())).await;
        rates.push((CLIENTS * each) as f64 / began.elapsed().as_secs_f64());
    }
    let what = "a replica that was away catches up";
    let note = format!("{} commands, from the start of its process on", CLIENTS * each);
    bench.figures.alone("catch-up", what, COMMANDS, Target::None, rates).note(note);
}

/// Calls while their group's leader is killed and another one takes over.
async fn across(bench: &mut Bench, realm: &mut Realm, asker: &Asker) {
    const CALLERS: usize = 16;
    const BEFORE: Duration = Duration::from_secs(2);
    const AFTER: Duration = Duration::from_secs(3);
    let mut times = Times::default();
    for _ in 0..bench.effort.runs {
        let leader = asker.leader("hits").await;
        let other = beside(leader);
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for _ in 0..CALLERS {
            let (caller, stop) = (realm.asker_at(other).await, stop.clone());
            tasks.push(tokio::spawn(async move {
                let mut times = Times::default();
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    answered(&caller).await;
                    times.note(began.elapsed().as_nanos() as u64);
                }
                times
            }));
        }
        tokio::time::sleep(BEFORE).await;
        realm.kill(leader);
        tokio::time::sleep(AFTER).await;
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            times.add(&task.await.expect("a caller"));
        }
        realm.boot(&[leader]).await;
        answered(asker).await;
    }
    let note = format!("{CALLERS} callers at another node; {} calls over {} kills", times.count(), bench.effort.runs);
    for (part, name) in [(0.5, "p50"), (0.99, "p99"), (1.0, "the slowest")] {
        let what = format!("a call while the leader is killed, {name}");
        let ms = vec![times.quantile_us(part) / 1e3];
        bench.figures.alone("failover", &what, ("ms", Better::Less), Target::None, ms).note(note.clone());
    }
}

/// From the kill of a leader to the next answered call of somebody who asks the others.
async fn failover(bench: &mut Bench, realm: &mut Realm, asker: &Asker) {
    let kills = if bench.effort.quick { bench.effort.runs } else { KILLS };
    let mut waits = Vec::new();
    for _ in 0..kills {
        let leader = asker.leader("hits").await;
        let other = beside(leader);
        let caller = realm.asker_at(other).await;
        caller.order("hits", order(verb::TALLY, 0, 0, &[]), &[]).await;
        realm.kill(leader);
        let began = Instant::now();
        answered(&caller).await;
        waits.push(began.elapsed().as_secs_f64() * 1e3);
        realm.boot(&[leader]).await;
        answered(asker).await;
    }
    waits.sort_by(f64::total_cmp);
    // Of 100 the 99th: one is slower.
    let p99 = waits[(kills * 99).div_ceil(100) - 1];
    let unit = ("ms", Better::Less);
    let what = "failover: kill -9 of a leader to the next answer";
    bench
        .figures
        .alone("failover", what, unit, Target::None, waits)
        .note(format!("{kills} kills, asked through another node"));
    bench.figures.alone("failover", "the same, p99", unit, Target::Figure(1_000.0), vec![p99]);
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

/// From nothing to three nodes that answer, and on to the first answer of a replicated actor.
pub async fn boot(bench: &mut Bench) {
    if !bench.figures.wants(&["boot"]) {
        return;
    }
    let (mut ready, mut first) = (Vec::new(), Vec::new());
    for _ in 0..bench.effort.few() {
        let mut realm = Realm::found(3);
        let began = Instant::now();
        realm.boot(&[1, 2, 3]).await;
        ready.push(began.elapsed().as_secs_f64() * 1e3);
        let asker = realm.asker();
        asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
        asker.call("hits add").await;
        first.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let unit = ("ms", Better::Less);
    bench.figures.alone("boot", "boot of a new three-node realm: every node answers", unit, Target::None, ready);
    let what = "... to the first answer of a group spawned there";
    bench.figures.alone("boot", what, unit, Target::None, first);
}
