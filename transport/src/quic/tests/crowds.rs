use super::*;
use std::net::UdpSocket;

/// First packets of so many handshakes that nobody will ever go on with, as somebody sends them who forges addresses.
async fn first_packets(count: usize) -> Vec<Vec<u8>> {
    let sink = UdpSocket::bind(loopback()).unwrap();
    let to = sink.local_addr().unwrap();
    sink.set_nonblocking(true).unwrap();
    let socket = endpoint::user_socket(to).unwrap();
    let dialling = endpoint::dialling(&key(77), Duration::from_secs(1)).unwrap();
    let connect = || socket.connect_with(dialling.clone(), to, "pando.invalid").unwrap();
    let connecting: Vec<_> = (0..count).map(|_| connect()).collect();
    // By the id that the dialler made up for the other side: a repetition would be the same connection.
    let mut packets = std::collections::BTreeMap::new();
    let mut packet = [0; 2048];
    while packets.len() < count {
        match sink.recv(&mut packet) {
            Ok(length) if length >= 1200 && packet[0] & 0xf0 == 0xc0 => {
                let id = packet[6..6 + packet[5] as usize].to_vec();
                packets.entry(id).or_insert_with(|| packet[..length].to_vec());
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    drop(connecting);
    packets.into_values().collect()
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
