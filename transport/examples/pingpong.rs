//! Two nodes on loopback: round trips a second, and messages of 64 bytes a second one way.
//!
//! `cargo run --release -p pando-transport --example pingpong [seconds]`

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pando_abi::{Incarnation, NodeId, RealmId};
use pando_transport::{
    Channel, Events, Identity, Member, MemberSet, Quic, QuicConfig, SendError, Transport, TransportEvent,
};

const BYTES: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let span = Duration::from_secs(seconds);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let ((a, mut a_events), (b, mut b_events)) = pair()?;
        up(&mut a_events).await;
        up(&mut b_events).await;
        let echo = tokio::spawn(echo(b.clone(), b_events));
        for waiting in [1, 16] {
            let trips = ping(&a, &mut a_events, span, waiting).await;
            let micros = span.as_secs_f64() * 1e6 * waiting as f64 / trips as f64;
            let rate = trips as f64 / span.as_secs_f64();
            println!("ping-pong, {waiting:>2} at once   {rate:>10.0} round trips/s   {micros:>6.1} us each");
        }
        let (messages, took) = flood(&a, &mut a_events, span).await;
        println!("one way                {:>10.0} messages/s", messages as f64 / took.as_secs_f64());
        for node in [&a, &b] {
            node.close();
        }
        a.closed().await;
        b.closed().await;
        echo.await?;
        Ok(())
    })
}

type Started = (Arc<Quic>, Events);

fn pair() -> Result<(Started, Started), Box<dyn std::error::Error>> {
    let keys = [Identity::generate()?, Identity::generate()?];
    let set = |members| {
        let realm = RealmId([7; 32]);
        let users = Vec::new();
        Arc::new(MemberSet { realm, members, users })
    };
    let mut started = Vec::new();
    for (key, number) in keys.iter().zip(1..) {
        let (node, life) = (NodeId(number), Incarnation(1));
        let config = QuicConfig::new(key.clone(), node, life, ([127, 0, 0, 1], 0).into(), set(Vec::new()));
        started.push(Quic::start(config)?);
    }
    let members: Vec<Member> = (0..2)
        .map(|i| Member { node: NodeId(i as u32 + 1), key: keys[i].public(), addr: started[i].0.local_addr() })
        .collect();
    for (node, _) in &started {
        node.set_members(set(members.clone()));
    }
    let b = started.remove(1);
    Ok((started.remove(0), b))
}

async fn up(events: &mut Events) {
    while !matches!(events.recv().await, Some(TransportEvent::Up { .. }) | None) {}
}

/// Sends pings back, counts everything else, and tells the count when the first byte asks for it.
async fn echo(node: Arc<Quic>, mut events: Events) {
    let (mut seen, mut batch) = (0u64, Vec::new());
    while events.recv_many(&mut batch, 256).await > 0 {
        for event in batch.drain(..) {
            let TransportEvent::Frame { from, channel, bytes, .. } = event else { continue };
            match bytes[0] {
                b'p' => drop(node.send(from, channel, bytes)),
                b'?' => drop(node.send(from, channel, Bytes::copy_from_slice(&seen.to_le_bytes()))),
                _ => seen += 1,
            }
        }
    }
}

async fn ping(node: &Quic, events: &mut Events, span: Duration, waiting: u32) -> u64 {
    let ping = Bytes::from(vec![b'p'; BYTES]);
    let start = Instant::now();
    for _ in 0..waiting {
        node.send(NodeId(2), Channel::Actor, ping.clone()).ok();
    }
    let mut trips = 0;
    while start.elapsed() < span {
        if let Some(TransportEvent::Frame { bytes, .. }) = events.recv().await {
            trips += 1;
            node.send(NodeId(2), Channel::Actor, bytes).ok();
        }
    }
    for _ in 0..waiting {
        events.recv().await;
    }
    trips
}

/// As many as go through: when the queue is full, others get the thread.
async fn flood(node: &Quic, events: &mut Events, span: Duration) -> (u64, Duration) {
    let message = Bytes::from(vec![b'm'; BYTES]);
    let start = Instant::now();
    while start.elapsed() < span {
        for _ in 0..256 {
            if node.send(NodeId(2), Channel::Actor, message.clone()) == Err(SendError::Full) {
                break;
            }
        }
        tokio::task::yield_now().await;
    }
    let question = Bytes::from_static(b"?");
    while node.send(NodeId(2), Channel::Actor, question.clone()) == Err(SendError::Full) {
        tokio::task::yield_now().await;
    }
    loop {
        if let Some(TransportEvent::Frame { bytes, .. }) = events.recv().await
            && let Ok(count) = <[u8; 8]>::try_from(&bytes[..])
        {
            return (u64::from_le_bytes(count), start.elapsed());
        }
    }
}
