use super::*;
use std::net::UdpSocket;

/// First packets of so many handshakes that nobody will ever go on with, as somebody sends them who forges addresses. They are
/// made one after the other: what the sink's buffer has no room for is lost, and no dialler of a crowd says it again.
async fn first_packets(count: usize) -> Vec<Vec<u8>> {
    let sink = tokio::net::UdpSocket::bind(loopback()).await.unwrap();
    let to = sink.local_addr().unwrap();
    let dialling = endpoint::dialling(&key(77), Duration::from_secs(1)).unwrap();
    let socket = endpoint::user_socket(to).unwrap();
    let mut packets = Vec::with_capacity(count);
    let mut packet = [0; 2048];
    // The id that the dialler made up for the other side: what comes once more is of the same connection.
    let id = |packet: &[u8]| packet[6..6 + usize::from(packet[5])].to_vec();
    let mut seen = std::collections::BTreeSet::new();
    // Who lets go of one has a goodbye sent.
    let mut connecting = Vec::with_capacity(count);
    for _ in 0..count {
        connecting.push(socket.connect_with(dialling.clone(), to, "pando.invalid").unwrap());
        loop {
            let length = tokio::time::timeout(WAIT, sink.recv(&mut packet)).await.expect("a packet in time").unwrap();
            if length >= 1200 && packet[0] & 0xf0 == 0xc0 && seen.insert(id(&packet)) {
                packets.push(packet[..length].to_vec());
                break;
            }
        }
    }
    packets
}

#[tokio::test]
async fn members_get_in_while_a_crowd_of_forged_strangers_is_at_the_door() {
    let node = TestNode::start(config(1, 10));
    let mut other = TestNode::start(config(2, 20));
    let places = [node.place(), other.place()];
    let packets = first_packets(150).await;
    let forger = UdpSocket::bind(loopback()).unwrap();
    for packet in &packets {
        forger.send_to(packet, node.place().1).unwrap();
        tokio::task::yield_now().await;
    }
    until(|| node.quic.node.doors.taken() >= 64).await;
    let start = std::time::Instant::now();
    node.quic.set_members(members(&places[..1], &[50]));
    other.quic.set_members(members(&places, &[50]));
    // The second node dials: it is let in though the door knows nothing of it, and is only then found to be nobody's.
    other.reason(1, "unknown key").await;
    node.quic.set_members(members(&places, &[50]));
    assert_eq!(other.up().await.0, 1);
    assert!(node.quic.node.doors.taken() >= 60, "the crowd was gone when the member came");
    assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
    crate::client::UserClient::connect(node.place().1, None, &key(50), REALM).await.unwrap();
}

async fn try_dial(n: u32, to: SocketAddr) -> Option<Rogue> {
    let socket = endpoint::user_socket(to).ok()?;
    let dialling = endpoint::dialling(&key(n), Duration::from_secs(1)).ok()?;
    let connecting = socket.connect_with(dialling, to, "pando.invalid").ok()?;
    let connection = tokio::time::timeout(Duration::from_secs(2), connecting).await.ok()?.ok()?;
    Some(Rogue { socket, connection })
}

/// A stranger: noise, forged and replayed first packets, keys that nobody knows, a user that says what a user does not say.
async fn stranger(to: SocketAddr, deeds: Arc<parking_lot::Mutex<[u32; 4]>>) {
    let packets = first_packets(80).await;
    let socket = UdpSocket::bind(loopback()).unwrap();
    for n in 0u32.. {
        let deed = n as usize % 4;
        match deed {
            0 => (0..40u8).for_each(|k| _ = socket.send_to(&vec![k ^ n as u8; 20 + 17 * usize::from(k)], to)),
            1 => packets.iter().for_each(|packet| _ = socket.send_to(packet, to)),
            2 => _ = try_dial(99, to).await,
            _ => {
                let Some(rogue) = try_dial(50, to).await else { continue };
                _ = link::greet(&rogue.connection, &hello(1, 10)).await;
            }
        }
        deeds.lock()[deed] += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A stream with these bytes, if there is credit for one still.
async fn write(rogue: &Rogue, bytes: &[u8]) -> Option<quinn::SendStream> {
    let mut stream = rogue.connection.open_uni().await.ok()?;
    stream.write_all(bytes).await.ok()?;
    Some(stream)
}

/// A member that has gone bad: it replays its hello, claims to be another, promises frames that never come, writes noise, leaves
/// frames half-written, floods.
async fn bad_member(to: SocketAddr, deeds: Arc<parking_lot::Mutex<[u32; 5]>>) {
    use crate::frame::{Kind, encode, header};
    for n in 0u32.. {
        let deed = n as usize % 5;
        let Some(rogue) = try_dial(3, to).await else { continue };
        let says = if deed == 0 { hello(2, 20) } else { hello(3, 99) };
        let greeted = link::greet(&rogue.connection, &says).await;
        assert!(deed != 0 || greeted.is_err(), "a member passed for another one");
        if greeted.is_err() {
            deeds.lock()[0] += u32::from(deed == 0);
            continue;
        }
        deeds.lock()[deed] += 1;
        let work = async {
            let promise = header(Kind::Data, 200 << 10);
            match deed {
                1 => {
                    let mut open = Vec::new();
                    for channel in 0..4u8 {
                        open.extend(write(&rogue, &[&[channel][..], &promise].concat()).await);
                    }
                    for _ in 0..20 {
                        for stream in &mut open {
                            stream.write_all(&[1]).await.ok();
                        }
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                2 => _ = write(&rogue, &[0xa5; 5_000]).await.map(|mut stream| stream.finish()),
                3 => {
                    let bytes = [&[1][..], &encode(Kind::Data, b"whole"), &promise, b"gap"].concat();
                    _ = write(&rogue, &bytes).await.map(|mut stream| stream.finish());
                }
                _ => {
                    let Some(mut flood) = write(&rogue, &[2]).await else { return };
                    let frame = encode(Kind::Data, &vec![7; 64 << 10]);
                    while flood.write_all(&frame).await.is_ok() {}
                }
            }
        };
        _ = tokio::time::timeout(Duration::from_millis(300), work).await;
        rogue.socket.close(0u32.into(), b"");
    }
}

#[tokio::test]
async fn heartbeats_stay_on_time_whatever_a_stranger_and_a_bad_member_do() {
    let mut nodes = realm(vec![config(1, 10), config(2, 20)], &[50]).await;
    let mut places: Vec<_> = nodes.iter().map(TestNode::place).collect();
    places.push((3, ([127, 0, 0, 1], 9).into()));
    nodes.iter().for_each(|node| node.quic.set_members(members(&places, &[50])));
    let (b, mut a) = (nodes.remove(1), nodes.remove(0));
    let (strange, bad): (Arc<parking_lot::Mutex<_>>, Arc<parking_lot::Mutex<_>>) = Default::default();
    let (to, inbox_bytes) = (a.place().1, config(1, 10).inbox_bytes);
    let attacks = [tokio::spawn(stranger(to, strange.clone())), tokio::spawn(bad_member(to, bad.clone()))];
    let (mut worst, mut beats, mut flood) = (Duration::ZERO, 0u32, 0);
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(4) || strange.lock().contains(&0) || bad.lock().contains(&0) {
        let sent = std::time::Instant::now();
        assert!(start.elapsed() < WAIT, "{:?} {:?}", strange.lock(), bad.lock());
        b.send(1, Channel::Raft, beats.to_le_bytes().to_vec()).expect("a session that stands");
        loop {
            match a.next().await {
                TransportEvent::Frame { from, channel: Channel::Raft, bytes, .. } if from.0 == 2 => {
                    assert_eq!(bytes, beats.to_le_bytes()[..]);
                    break;
                }
                TransportEvent::Frame { from, .. } if from.0 == 3 => flood += 1,
                TransportEvent::Up { node, .. } | TransportEvent::Down { node, .. } if node.0 == 3 => {}
                other => panic!("{other:?}"),
            }
        }
        worst = worst.max(sent.elapsed());
        beats += 1;
        assert!(a.quic.node.doors.taken() <= 128);
        // Whatever is thrown at it, what it holds is bounded, by its own counts: what has come, and what waits to go.
        let (inbox, limits) = (&a.quic.node.inbox, &a.quic.node.limits);
        assert!(inbox.waiting().iter().all(|bytes| *bytes <= inbox_bytes), "{:?}", inbox.waiting());
        for session in a.quic.sessions() {
            for (channel, queued) in Channel::ALL.into_iter().zip(session.queued_bytes) {
                assert!(queued <= limits.budgets.of(channel, limits.frame_bytes_max), "{session:?}");
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(worst < Duration::from_secs(2), "a heartbeat took {worst:?}");
    assert!(beats > 20 && flood > 0, "{beats} heartbeats beside {flood} frames of a flood");
    assert!(attacks.iter().all(|attack| !attack.is_finished()), "an attack has ended by itself");
    attacks.iter().for_each(|attack| attack.abort());
    // Nothing of the crowd stays.
    until(|| a.quic.node.endpoint.open_connections() <= 2 && a.quic.node.doors.taken() == 0).await;
}
