use super::*;

#[tokio::test]
async fn a_full_channel_says_so_others_go_on_and_it_recovers() {
    let (a, mut b) = two().await;
    // The kernel of b takes no actor frames for a while.
    b.events.pause(Channel::Actor);
    let frame = Bytes::from(vec![1; 100_000]);
    let mut sent = 0;
    until_full(&a, &frame, &mut sent).await;
    // What is buffered on the whole way is bounded: queue, QUIC's windows, lane.
    let bytes = sent * frame.len();
    assert!(bytes < 40 << 20, "{bytes} bytes are in memory somewhere");
    assert!(a.quic.sessions()[0].queued_bytes[Channel::Actor as usize] <= 16 << 20);
    for channel in [Channel::Raft, Channel::Control, Channel::Bulk] {
        for n in 0..100u8 {
            a.send(2, channel, vec![n]).unwrap();
        }
        for n in 0..100u8 {
            assert_eq!(b.frame().await, (channel, Bytes::from(vec![n])));
        }
    }
    b.events.resume(Channel::Actor);
    for _ in 0..sent {
        assert_eq!(b.frame().await, (Channel::Actor, frame.clone()));
    }
    a.send(2, Channel::Actor, frame).unwrap();
    b.frame().await;
}

/// Sends until it has been full for a while, so that all buffers on the way are full.
async fn until_full(a: &TestNode, frame: &Bytes, sent: &mut usize) {
    let mut full = 0;
    while full < 50 {
        match a.send(2, Channel::Actor, frame.clone()) {
            Ok(()) => (*sent, full) = (*sent + 1, 0),
            Err(SendError::Full) => {
                full += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn raft_is_not_blocked_while_every_other_channel_is() {
    let (a, mut b) = two().await;
    for channel in [Channel::Control, Channel::Actor, Channel::Bulk] {
        b.events.pause(channel);
    }
    for channel in [Channel::Control, Channel::Actor, Channel::Bulk] {
        let mut full = 0;
        while full < 20 {
            if a.send(2, channel, vec![1; 100_000]) == Err(SendError::Full) {
                full += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    for n in 0..1000u32 {
        a.send(2, Channel::Raft, n.to_le_bytes().to_vec()).unwrap();
        assert_eq!(b.frame().await.1, n.to_le_bytes()[..]);
    }
}

#[tokio::test]
async fn a_peer_that_goes_while_a_lane_is_full_is_down_all_the_same() {
    let (a, mut b) = two().await;
    b.events.pause(Channel::Actor);
    let (frame, mut sent) = (Bytes::from(vec![1; 100_000]), 0);
    until_full(&a, &frame, &mut sent).await;
    a.quic.node.endpoint.close(0u32.into(), b"");
    b.events.resume(Channel::Actor);
    assert_eq!(b.down().await.0, 1);
}

#[tokio::test]
async fn a_stopped_kernel_stops_nothing_else_and_its_peers_learn_of_its_end() {
    let (mut a, b) = two().await;
    let TestNode { quic, events, .. } = b;
    drop(events);
    let (_, reason) = a.down().await;
    assert!(reason.contains("the kernel is gone"), "{reason}");
    drop(quic);
}
