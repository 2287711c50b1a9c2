//! Ten thousand groups on three nodes: commands a second to all of them together, and what they cost when nobody asks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pando_abi::call::call_flags;
use pando_tests::{Asker, Realm, Spawn, guests::order, until_quiet};

use crate::{
    Bench,
    duel::duel,
    figures::{Better, Target},
    group::Crowd,
    local::quantiles,
    peers::{Ra, ticks},
};

/// Groups that are begun at once.
const AT_ONCE: u64 = 16;
const CALLERS: u64 = 256;
/// A read from what the node has that is asked.
const QUERY_HERE: i32 = call_flags::QUERY | call_flags::FINAL;
const LONG: Duration = Duration::from_secs(120);
/// After this long without work a replica that does not lead is on the disk alone, or soon will be.
const SLEEP: Duration = Duration::from_secs(35);
/// How long an idle realm is watched.
fn watched(bench: &Bench) -> Duration {
    Duration::from_secs(if bench.effort.quick { 2 } else { 10 })
}

pub async fn measure(bench: &mut Bench) {
    if !bench.figures.wants(&["groups"]) {
        return;
    }
    let groups = bench.effort.groups;
    let shown = crate::figures::count(groups);
    let mut realm = Realm::start(3).await;
    let asker = realm.asker();
    let before = resident(&asker).await;
    let began = Instant::now();
    begin(&realm, groups, 3).await;
    let took = began.elapsed().as_secs_f64();
    let unit = ("groups/s", Better::More);
    bench.figures.alone(
        "groups",
        &format!("begin {shown} groups on 3 nodes"),
        unit,
        Target::None,
        vec![groups as f64 / took],
    );
    let watched = watched(bench);
    if !bench.effort.quick {
        // Until those sleep that do not lead.
        tokio::time::sleep(SLEEP).await;
    }
    let idle = idle(&realm, watched).await;
    let each = (resident(&asker).await - before) / groups as f64;
    let what = format!("memory of each of {shown} groups that nobody asks");
    let kib = ("KiB", Better::Less);
    bench.figures.alone("groups", &what, kib, Target::None, vec![each / 1_024.0]).note(
        "resident, all three nodes together, with its actor of 64 KiB where it is led; the other two replicas sleep",
    );
    let mut ra = tokio::task::block_in_place(|| started(bench.peers.ra(), groups));
    let theirs = tokio::task::block_in_place(|| their_idle(&mut ra, watched));
    let duel_idle = crate::duel::Duel { ours: vec![idle], theirs: theirs.map(|part| vec![part]) };
    let what = format!("{shown} groups that nobody asks: part of a core");
    let share = ("%", Better::Less);
    bench
        .figures
        .versus("groups", &what, share, ("Ra", Target::Figure(2.0)), duel_idle)
        .note("all three nodes together, one run");
    let names: Arc<[String]> = (0..groups).map(name).collect();
    let seconds = bench.effort.seconds();
    let crowd = Crowd::meet(&realm, CALLERS, &[1, 2, 3], 0).await;
    let mut times = crate::gauge::Times::default();
    let ours = async || {
        let (rate, took) = crowd.ask_any(names.clone(), 8, seconds).await;
        times.add(&took);
        rate
    };
    let theirs = || ra.as_mut().map_err(|why| why.clone())?.over_many(groups, CALLERS, seconds);
    let duel = duel(bench.effort, ours, theirs).await;
    let what = format!("commands to {shown} groups on 3 nodes together");
    let unit = ("commands/s", Better::More);
    bench.figures.versus("groups", &what, unit, ("Ra", Target::Times(3.0)), duel).note(format!(
        "256 waiting callers, ours in a process of their own, Ra's at a member; 8 B; {}",
        quantiles(&times)
    ));
    drop(crowd);
    again(bench, &mut realm, &shown).await;
}

/// One of the three nodes boots again: until it answers from what it has itself, and until it is quiet.
async fn again(bench: &mut Bench, realm: &mut Realm, shown: &str) {
    quiet(realm).await;
    realm.stop(&[1]).await;
    let before = used(realm);
    let began = Instant::now();
    realm.boot(&[1]).await;
    let asker = realm.asker_at(1).await;
    asker
        .keyed(&name(0), vec![0; 8], Vec::new(), QUERY_HERE, asker.client().next_key(), LONG)
        .await
        .expect("it answers");
    let first = began.elapsed().as_secs_f64();
    quiet(realm).await;
    let took = (used(realm) - before) as f64 / 100.0;
    let what = format!("boot of one of three nodes with {shown} groups, to the first answer of its own");
    bench
        .figures
        .alone("groups", &what, ("s", Better::Less), Target::None, vec![first])
        .note(format!("the three nodes take {took:.1} s of processor time until they are quiet again"));
}

/// What a group is called.
pub fn name(n: u64) -> String {
    format!("g{n}")
}

/// Begins so many groups of so many replicas.
pub async fn begin(realm: &Realm, groups: u64, replicas: u8) {
    let nodes = realm.running().len() as u32;
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for n in 0..AT_ONCE {
        let (asker, next) = (realm.asker_at(n as u32 % nodes + 1).await, next.clone());
        tasks.push(tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= groups {
                    return;
                }
                let spawn = Spawn::guest("shelf").replicas(replicas).name(&name(n)).args(order(0, 8, 0, &[]));
                asker.spawn(spawn).await;
            }
        }));
    }
    for task in tasks {
        task.await.expect("somebody who spawns");
    }
}

/// A node that has groups boots again: until one of them answers.
pub async fn boot(bench: &mut Bench) {
    if !bench.figures.wants(&["boot"]) {
        return;
    }
    let groups = if bench.effort.quick { 50 } else { 1_000 };
    let mut realm = Realm::start(1).await;
    begin(&realm, groups, 1).await;
    let mut first = Vec::new();
    for run in 0..bench.effort.few() as u64 {
        realm.stop(&[1]).await;
        let began = Instant::now();
        realm.boot(&[1]).await;
        realm.asker().order(&name(run * 7 % groups), vec![0; 16], &[]).await;
        first.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let what = format!("boot of a node with {} groups of one, to the first answer", crate::figures::count(groups));
    bench.figures.alone("boot", &what, ("ms", Better::Less), Target::Figure(1_000.0), first);
}

/// Hundredths of a second that the nodes that run have used.
fn used(realm: &Realm) -> u64 {
    realm.pids().iter().map(|pid| ticks(*pid)).sum()
}

/// Waits until the nodes have nothing left to do.
async fn quiet(realm: &Realm) {
    until_quiet("what the nodes have left to do", Duration::from_secs(300), 3, async || {
        let before = used(realm);
        tokio::time::sleep(Duration::from_secs(1)).await;
        (used(realm) - before) / 10
    })
    .await;
}

/// Hundredths of a core that the three nodes use together when nobody asks.
async fn idle(realm: &Realm, watched: Duration) -> f64 {
    quiet(realm).await;
    let (before, began) = (used(realm), Instant::now());
    tokio::time::sleep(watched).await;
    // A tick is a hundredth of a second.
    (used(realm) - before) as f64 / began.elapsed().as_secs_f64()
}

/// Resident bytes of all nodes.
async fn resident(asker: &Asker) -> f64 {
    asker.top().await.iter().map(|row| row.resident).sum::<u64>() as f64
}

fn started(ra: Result<Ra, String>, groups: u64) -> Result<Ra, String> {
    let mut ra = ra?;
    ra.more_groups(groups)?;
    Ok(ra)
}

fn their_idle(ra: &mut Result<Ra, String>, watched: Duration) -> Result<f64, String> {
    let ra = ra.as_mut().map_err(|why| why.clone())?;
    let pids = ra.pids()?;
    std::thread::sleep(watched / 2);
    let used = || pids.iter().map(|pid| ticks(*pid)).sum::<u64>();
    let (before, began) = (used(), Instant::now());
    std::thread::sleep(watched);
    Ok((used() - before) as f64 / began.elapsed().as_secs_f64())
}
