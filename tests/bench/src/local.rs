//! One node in this process: messages, calls, spawns, and what a runaway does to its neighbours.

use std::time::{Duration, Instant};

use pando_tests::{
    Asker, Inside, PATIENCE, Spawn,
    guests::{order, verb},
    until,
};

use crate::{
    Bench,
    duel::{Duel, alone, duel},
    figures::{Better, Target},
    gauge::{self, Calls, Times},
    peers::{Erlang, named},
};

/// Worker threads, ours and the peers'.
pub const WORKERS: usize = 2;
/// Actors of a ring.
const RING: u64 = 1_000;
/// Bytes of a token: what Erlang's `{hop, N}` takes.
pub const TOKEN_BYTES: usize = 24;
const DEADLINE_NS: u64 = 5_000_000_000;

const WORDS: [&str; 6] = ["ring", "ping", "call", "fan-in", "spawn", "runaway"];

/// Ask of an Erlang that may not be there.
type Beside = Result<Erlang, String>;

pub async fn measure(bench: &mut Bench) {
    if !bench.figures.wants(&WORDS) {
        return;
    }
    let mut erlang = bench.peers.erlang();
    let inside = Inside::start(1, WORKERS).await;
    let asker = inside.asker();
    for word in WORDS {
        if !bench.figures.wants(&[word]) {
            continue;
        }
        match word {
            "ring" => ring(bench, &asker, &mut erlang).await,
            "ping" => ping(bench, &asker, &mut erlang).await,
            "call" => call(bench, &asker, &mut erlang).await,
            "fan-in" => fan_in(bench, &asker, &mut erlang).await,
            "spawn" => spawn(bench, &asker, &mut erlang).await,
            _ => runaway(bench, &asker, &mut erlang).await,
        }
    }
    inside.stop().await;
}

fn rate(erlang: &mut Beside, expression: &str) -> Result<f64, String> {
    erlang.as_mut().map_err(|why| why.clone())?.rate(expression)
}

/// The order of a ring's first: tokens of this many bytes in all.
pub fn tokens(many: u64, hops: u64, bytes: usize) -> Vec<u8> {
    order(verb::RUN, many, hops, &vec![0; bytes - TOKEN_BYTES])
}

async fn ring(bench: &mut Bench, asker: &Asker, erlang: &mut Beside) {
    asker.spawn(Spawn::guest("ring").name("ring").args(order(0, RING - 1, 0, &[]))).await;
    for (many, messages, target) in [(100, 3_000_000, 4.0), (1, 1_000_000, 2.5)] {
        let messages = bench.effort.scaled(messages);
        let hops = messages / many;
        let ours = async || {
            let began = Instant::now();
            asker.order("ring", tokens(many, hops, TOKEN_BYTES), &[]).await;
            (many * hops) as f64 / began.elapsed().as_secs_f64()
        };
        let laps = messages / RING;
        let theirs = || rate(erlang, &format!("anchor_local:ring({RING}, {laps}, {many})"));
        let duel = duel(bench.effort, ours, theirs).await;
        let what = format!("ring of 1,000, {}", if many == 1 { "one token" } else { "100 tokens" });
        let unit = ("msgs/s", Better::More);
        let row = bench.figures.versus("ring", &what, unit, ("Erlang", Target::Times(target)), duel);
        row.note(format!("{TOKEN_BYTES} B"));
        if many == 1 {
            let tokio = bench.peers.rust("tokiopeer", "ring", bench.effort.runs, bench.effort.percent());
            row.also("tokio", &named(&tokio, &["2-workers"]));
            let ractor = bench.peers.rust("ractorpeer", "ring", bench.effort.runs, bench.effort.percent());
            row.also("ractor", &named(&ractor, &["2-workers"]));
        }
    }
}

async fn ping(bench: &mut Bench, asker: &Asker, erlang: &mut Beside) {
    gauge::spawn(asker, "ping", 1).await;
    let rounds = bench.effort.scaled(500_000);
    let ours = async || {
        let began = Instant::now();
        gauge::tell(asker, "ping", order(verb::RALLY, rounds, 0, &[]), &[]).await;
        rounds as f64 / began.elapsed().as_secs_f64()
    };
    let duel = duel(bench.effort, ours, || rate(erlang, &format!("anchor_local:pingpong({rounds})"))).await;
    let unit = ("round trips/s", Better::More);
    let tokio = bench.peers.rust("tokiopeer", "pingpong", bench.effort.runs, bench.effort.percent());
    let ractor = bench.peers.rust("ractorpeer", "pingpong", bench.effort.runs, bench.effort.percent());
    bench
        .figures
        .versus("ping", "ping-pong, one pair, 8 B", unit, ("Erlang", Target::Times(3.0)), duel)
        .also("tokio", &named(&tokio, &["2-workers"]))
        .also("ractor", &named(&ractor, &["2-workers"]));
}

async fn call(bench: &mut Bench, asker: &Asker, erlang: &mut Beside) {
    gauge::spawn(asker, "callee", 1).await;
    gauge::spawn(asker, "caller", 1).await;
    let tokio = bench.peers.rust("tokiopeer", "call", bench.effort.runs, bench.effort.percent());
    for (bytes, size, payload) in [(8, "8 B", "binary:copy(<<1>>, 8)"), (1_024, "1 KiB", "lists:seq(1, 64)")] {
        let many = bench.effort.scaled(200_000);
        let calls = Calls { deadline_ns: DEADLINE_NS, bytes, ..Calls::of(many, 1) };
        let mut times = Times::default();
        let ours = async || {
            let began = Instant::now();
            times.add(&gauge::tell(asker, "caller", calls.order(), &["callee"]).await);
            many as f64 / began.elapsed().as_secs_f64()
        };
        let theirs = || rate(erlang, &format!("anchor_local:call({many}, {payload})"));
        let duel = duel(bench.effort, ours, theirs).await;
        let what = format!("call and reply with a deadline, {size}");
        let peer = ("Erlang gen_server", Target::Times(2.5));
        let row = bench.figures.versus("call", &what, ("calls/s", Better::More), peer, duel);
        row.note(quantiles(&times)).also("tokio, no deadline", &named(&tokio, &[&format!(" {bytes} B"), "2-workers"]));
        if bytes > 8 {
            row.note("Erlang's is a list, which it copies as we do; without deadline");
        }
        bench.plots.times("local call", &format!("{size}, one at a time"), &times);
    }
    // A person is another process behind QUIC.
    let many = bench.effort.scaled(2_000);
    let person = alone(bench.effort.few(), async || {
        let began = Instant::now();
        for _ in 0..many {
            asker.order("callee", vec![0; 8], &[]).await;
        }
        began.elapsed().as_secs_f64() * 1e6 / many as f64
    })
    .await;
    bench.figures.alone("call", "call by a person over QUIC", ("us", Better::Less), Target::None, person);
}

/// Half and all but a hundredth.
pub fn quantiles(times: &Times) -> String {
    format!("p50 {:.1} us, p99 {:.1} us", times.quantile_us(0.5), times.quantile_us(0.99))
}

async fn fan_in(bench: &mut Bench, asker: &Asker, erlang: &mut Beside) {
    const SENDERS: u64 = 100;
    // What is on its way fits the mailbox: the senders wait for a word now and then, Erlang's do not.
    const BURST: u64 = 64;
    gauge::spawn(asker, "sink", 1).await;
    gauge::spawn(asker, "chorus", 1).await;
    gauge::form(asker, "chorus", SENDERS, 0, &["sink"]).await;
    let each = bench.effort.scaled(20_000);
    let calls = Calls { burst: BURST, ..Calls::of(each / BURST, 2) };
    let ours = async || {
        let began = Instant::now();
        gauge::tell(asker, "chorus", calls.all(SENDERS), &[]).await;
        (SENDERS * (each / BURST) * BURST) as f64 / began.elapsed().as_secs_f64()
    };
    let theirs = || {
        let on = rate(erlang, &format!("anchor_local:fanin({SENDERS}, {each}, on_heap)"))?;
        let off = rate(erlang, &format!("anchor_local:fanin({SENDERS}, {each}, off_heap)"))?;
        Ok(on.max(off))
    };
    let duel = duel(bench.effort, ours, theirs).await;
    let tokio = bench.peers.rust("tokiopeer", "fanin", bench.effort.runs, bench.effort.percent());
    bench
        .figures
        .versus("fan-in", "fan-in, 100 to 1", ("msgs/s", Better::More), ("Erlang", Target::Times(2.0)), duel)
        .note("8 B, ours with bounded mailboxes and a word back for each 64; the better of Erlang's two mailboxes")
        .also("tokio", &named(&tokio, &["2-workers"]));
}

async fn spawn(bench: &mut Bench, asker: &Asker, erlang: &mut Beside) {
    gauge::spawn(asker, "nursery", 1).await;
    for (at_once, what) in [(1, "one at a time"), (100, "100 at a time")] {
        let many = bench.effort.scaled(100_000);
        let ours = async || {
            let began = Instant::now();
            gauge::tell(asker, "nursery", order(verb::MAYFLIES, many, at_once, &[]), &[]).await;
            many as f64 / began.elapsed().as_secs_f64()
        };
        let theirs = || rate(erlang, &format!("beside:mayflies({many}, {at_once})"));
        let duel = duel(bench.effort, ours, theirs).await;
        let what = format!("spawn and exit, monitored, {what}");
        let unit = ("actors/s", Better::More);
        bench.figures.versus("spawn", &what, unit, ("Erlang", Target::Times(1.5)), duel);
    }
}

async fn runaway(bench: &mut Bench, asker: &Asker, erlang: &mut Beside) {
    const AT_ONCE: u64 = 64;
    const CPU_MS: u16 = 2_000;
    gauge::spawn(asker, "herd", 1).await;
    gauge::hire(asker, "herd", 1_000).await;
    let many = bench.effort.scaled(200_000);
    let (mut calm, mut beside) = (Times::default(), Times::default());
    let mut count = 0;
    let ours = async || {
        let without = gauge::tell(asker, "herd", Calls::of(many, AT_ONCE).order(), &[]).await;
        count += 1;
        let runaway = format!("runaway-{count}");
        asker.spawn(Spawn::guest("gauge").name(&runaway).cpu_ms(CPU_MS)).await;
        asker.send(&runaway, order(verb::SPIN, 0, 0, &[])).await;
        // It has its slice before it is put aside.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let with = gauge::tell(asker, "herd", Calls::of(many, AT_ONCE).order(), &[]).await;
        let runs = asker.row(&runaway).await.is_some();
        until("the runaway ends", PATIENCE, async || asker.row(&runaway).await.is_none().then_some(())).await;
        assert!(runs, "the runaway ended before its neighbours were measured");
        calm.add(&without);
        beside.add(&with);
        with.quantile_us(0.99) / without.quantile_us(0.99)
    };
    let mut erlang_p99 = (Vec::new(), Vec::new());
    let theirs = || {
        let erlang = erlang.as_mut().map_err(|why| why.clone())?;
        let without = erlang.number(&format!("beside:good({many}, {AT_ONCE})"))?;
        let with = erlang.number(&format!("beside:good({many}, {AT_ONCE}, 1)"))?;
        erlang_p99.0.push(without);
        erlang_p99.1.push(with);
        Ok(with / without)
    };
    let Duel { ours, theirs } = duel(bench.effort, ours, theirs).await;
    let row = bench.figures.versus(
        "runaway",
        "p99 of 1,000 neighbours beside a runaway, against without",
        ("times", Better::Less),
        ("Erlang", Target::Figure(2.0)),
        Duel { ours, theirs },
    );
    row.note(format!("ours {:.1} us, {:.1} us without", beside.quantile_us(0.99), calm.quantile_us(0.99)));
    if !erlang_p99.0.is_empty() {
        let (without, with) = (crate::figures::median(&erlang_p99.0), crate::figures::median(&erlang_p99.1));
        row.note(format!("Erlang {with:.1} us, {without:.1} us without"));
    }
    bench.plots.times("local call", "any of 1,000, 64 at once", &calm);
    bench.plots.times("local call", "the same beside a runaway", &beside);
}
