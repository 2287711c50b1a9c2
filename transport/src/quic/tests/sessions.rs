use super::*;

#[tokio::test]
async fn two_nodes_exchange_frames_in_order_on_every_channel_under_load() {
    const FRAMES: u32 = 4000;
    let (a, b) = two().await;
    let flood = |from: Arc<Quic>, to: u32| async move {
        for n in 0..FRAMES {
            for channel in Channel::ALL {
                // Now and then a frame that spans many packets.
                let size = if n % 500 == 7 { 100_000 } else { 4 + n as usize % 200 };
                let mut frame = n.to_le_bytes().to_vec();
                frame.resize(size, channel as u8);
                let frame = Bytes::from(frame);
                while from.send(NodeId(to), channel, frame.clone()) == Err(SendError::Full) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    };
    let floods = [tokio::spawn(flood(a.quic.clone(), 2)), tokio::spawn(flood(b.quic.clone(), 1))];
    let mut listening = Vec::new();
    for mut node in [a, b] {
        let mut next = [0u32; 4];
        while next != [FRAMES; 4] {
            let (channel, bytes) = node.frame().await;
            let n = u32::from_le_bytes(bytes[..4].try_into().unwrap());
            assert_eq!(n, next[channel as usize], "{}", channel.name());
            assert!(bytes[4..].iter().all(|byte| *byte == channel as u8));
            next[channel as usize] += 1;
        }
        listening.push(node);
    }
    for flood in floods {
        flood.await.unwrap();
    }
}

#[tokio::test]
async fn three_nodes_have_one_session_with_each() {
    let mut nodes = realm((1..=3).map(|n| config(n, 10)).collect(), &[]).await;
    // Both sides dial: give second connections time to be refused.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for node in &mut nodes {
        assert!(node.events.try_recv().is_none());
        let sessions = node.quic.sessions();
        assert_eq!(sessions.len(), 2);
        assert!(sessions.iter().all(|s| s.up == Some(Incarnation(10)) && s.version == 1));
        assert_eq!(node.quic.node.endpoint.open_connections(), 2);
    }
}

#[tokio::test]
async fn a_restarted_peer_is_down_then_up_with_another_incarnation() {
    let (mut a, b) = two().await;
    let (place_a, place_b) = (a.place(), b.place());
    // As a process that is killed: nothing is said.
    b.quic.node.endpoint.close(0u32.into(), b"");
    drop(b);
    let again = QuicConfig { listen: place_b.1, ..config(2, 21) };
    let mut b = loop {
        match Quic::start(again.clone()) {
            Ok((quic, events)) => break TestNode { n: 2, quic, events },
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    b.quic.set_members(members(&[place_a, place_b], &[]));
    assert_eq!(a.down().await.0, 2);
    assert_eq!(a.up().await, (2, 21));
    assert_eq!(b.up().await, (1, 10));
    a.send(2, Channel::Actor, "hello again").unwrap();
    assert_eq!(b.frame().await.1, "hello again");
}

/// The new process knows nobody and dials nobody: it only answers packets of its former life with a reset that proves its key.
#[test]
fn a_restarted_process_tells_its_former_peers_by_itself() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (here, there) = (runtime(), runtime());
    let mut a = here.block_on(async { TestNode::start(config(1, 10)) });
    let mut b = there.block_on(async { TestNode::start(config(2, 20)) });
    let place = b.place();
    let set = members(&[a.place(), place], &[]);
    a.quic.set_members(set.clone());
    b.quic.set_members(set);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            there.block_on(async {
                b.up().await;
                until(|| stop.load(std::sync::atomic::Ordering::Acquire)).await;
            });
            // Its tasks stop where they are: nothing is sent any more.
            drop(there);
        });
        here.block_on(a.up());
        stop.store(true, std::sync::atomic::Ordering::Release);
    });
    drop(b);
    here.block_on(async {
        let _again = TestNode::start(QuicConfig { listen: place.1, ..config(2, 21) });
        let (_, reason) = a.down().await;
        assert!(reason.contains("has restarted"), "{reason}");
    });
}

#[tokio::test]
async fn a_new_life_of_a_peer_replaces_the_old_one_even_if_that_was_not_seen_to_end() {
    let (mut a, mut b) = two().await;
    let place_a = a.place();
    // The same node from elsewhere, while the former process still answers.
    let mut second = TestNode::start(config(2, 21));
    second.quic.set_members(members(&[place_a, second.place()], &[]));
    assert_eq!(a.down().await.0, 2);
    assert_eq!(a.up().await, (2, 21));
    assert_eq!(second.up().await, (1, 10));
    assert_eq!(b.down().await.0, 1);
}

#[tokio::test]
async fn an_orderly_end_delivers_what_was_queued_and_is_seen_at_once() {
    let (mut a, b) = two().await;
    for n in 0..2000u32 {
        b.send(1, Channel::Actor, n.to_le_bytes().to_vec()).unwrap();
    }
    b.quic.close();
    assert_eq!(b.send(1, Channel::Actor, "late"), Err(SendError::Down));
    for n in 0..2000u32 {
        assert_eq!(a.frame().await.1, n.to_le_bytes()[..]);
    }
    let (_, reason) = a.down().await;
    assert!(reason.contains("good order"), "{reason}");
    let mut b = b;
    assert_eq!(b.down().await.0, 1);
    assert!(b.events.recv().await.is_none());
    tokio::time::timeout(WAIT, b.quic.closed()).await.unwrap();
}

#[tokio::test]
async fn closing_takes_bounded_time_even_if_the_peer_takes_nothing() {
    let (mut a, mut b) = two().await;
    a.events.pause(Channel::Bulk);
    while b.send(1, Channel::Bulk, vec![1; 200_000]).is_ok() {}
    let start = std::time::Instant::now();
    b.quic.close();
    tokio::time::timeout(WAIT, b.quic.closed()).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(8));
    assert_eq!(b.down().await.0, 1);
    a.events.resume(Channel::Bulk);
    assert_eq!(a.down().await.0, 2);
}

#[tokio::test]
async fn a_removed_member_loses_its_session_at_once_and_others_keep_theirs() {
    let log = Log::catch();
    let mut nodes = realm((1..=3).map(|n| config(n, 10)).collect(), &[]).await;
    let places: Vec<_> = nodes.iter().map(TestNode::place).collect();
    nodes[2].send(1, Channel::Actor, "never seen").unwrap();
    for node in &nodes[..2] {
        node.quic.set_members(members(&places[..2], &[]));
        assert_eq!(node.send(3, Channel::Raft, "x"), Err(SendError::Unknown));
    }
    for node in &mut nodes[..2] {
        match node.next().await {
            TransportEvent::Down { node, reason, .. } => {
                assert_eq!(node.0, 3);
                assert!(reason.contains("removed"), "{reason}");
            }
            other => panic!("expected a Down, not {other:?}"),
        }
    }
    for _ in 0..2 {
        let (_, reason) = nodes[2].down().await;
        assert!(reason.contains("the peer closed: removed"), "{reason}");
    }
    // It tries again and is refused as unknown, and both sides say so.
    nodes[2].reason(1, "unknown key").await;
    log.wait(&["connection refused", "unknown key"]).await;
    log.wait(&["no session", "peer=n1", "the peer closed: unknown key"]).await;
    nodes[0].send(2, Channel::Actor, "still here").unwrap();
    assert_eq!(nodes[1].frame().await.1, "still here");
}

#[tokio::test]
async fn a_member_whose_key_changed_is_another_member() {
    let (mut a, b) = two().await;
    let mut set = (*members(&[a.place(), b.place()], &[])).clone();
    set.members[1].key = key(77).public();
    a.quic.set_members(Arc::new(set));
    assert_eq!(a.down().await.0, 2);
    assert_eq!(a.send(2, Channel::Raft, "x"), Err(SendError::Down));
    a.reason(2, "wrong node").await;
}

#[tokio::test]
async fn a_member_set_of_another_realm_is_not_taken_over() {
    let log = Log::catch();
    let (a, mut b) = two().await;
    a.quic.set_members(Arc::new(MemberSet { realm: RealmId([8; 32]), members: Vec::new(), users: Vec::new() }));
    assert!(log.has(&["another realm"]));
    a.send(2, Channel::Actor, "still here").unwrap();
    assert_eq!(b.frame().await.1, "still here");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_the_mend() {
    let a = TestNode::start(config(1, 1));
    let taken = QuicConfig { listen: a.place().1, ..config(2, 1) };
    let Err(error) = Quic::start(taken) else { panic!("two cannot have one port") };
    let text = error.to_string();
    assert!(text.contains(&a.place().1.to_string()) && text.contains("choose another port"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_at_once() {
    let (a, _b) = two().await;
    assert_eq!(a.send(2, Channel::Raft, ""), Err(SendError::TooLarge));
    assert_eq!(a.send(2, Channel::Raft, vec![0; (256 << 10) + 1]), Err(SendError::TooLarge));
    assert_eq!(a.send(1, Channel::Raft, "to myself"), Err(SendError::Unknown));
    assert_eq!(a.send(9, Channel::Raft, "x"), Err(SendError::Unknown));
}
