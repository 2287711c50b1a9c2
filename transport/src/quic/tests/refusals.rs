use super::*;
use crate::frame::{Kind, encode, header};

/// Two nodes that work, a stranger that does not, and afterwards two nodes that still work.
struct Scene {
    log: Log,
    a: TestNode,
    b: TestNode,
}

impl Scene {
    async fn set() -> Scene {
        let log = Log::catch();
        let mut nodes = realm(vec![config(1, 10), config(2, 20)], &[50]).await;
        // Node 3 is a member that never runs as itself: rogues use its key.
        let mut places: Vec<_> = nodes.iter().map(TestNode::place).collect();
        places.push((3, ([127, 0, 0, 1], 9).into()));
        for node in &nodes {
            node.quic.set_members(members(&places, &[50]));
        }
        let b = nodes.remove(1);
        Scene { log, a: nodes.remove(0), b }
    }

    /// The other session has not noticed anything.
    async fn undisturbed(&mut self) {
        self.a.send(2, Channel::Actor, "fine").unwrap();
        loop {
            match self.b.next().await {
                TransportEvent::Frame { bytes, .. } => return assert_eq!(bytes, "fine"),
                TransportEvent::Down { node, .. } => assert_eq!(node.0, 3),
                TransportEvent::Up { node, .. } => assert_eq!(node.0, 3),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_a_reason_on_both_sides() {
    let mut scene = Scene::set().await;
    let mut stranger = TestNode::start(config(4, 1));
    stranger.quic.set_members(members(&[scene.a.place(), stranger.place()], &[]));
    let its_key = format!("{:.16}", key(4).public());
    scene.log.wait(&["connection refused", "unknown key", &its_key]).await;
    stranger.reason(1, "the peer closed: unknown key").await;
    scene.log.wait(&["WARN", "no session", "peer=n1", "unknown key", &its_key]).await;
    assert!(stranger.events.try_recv().is_none());
    scene.undisturbed().await;
}

#[tokio::test]
async fn another_realm_is_refused_with_a_reason_on_both_sides() {
    let mut scene = Scene::set().await;
    let mut set = (*members(&[scene.b.place()], &[])).clone();
    set.realm = RealmId([8; 32]);
    let other = QuicConfig { members: Arc::new(set), ..config(3, 1) };
    let other = TestNode::start(other);
    scene.log.wait(&["connection refused", "wrong realm"]).await;
    other.reason(2, "the peer closed: wrong realm").await;
    scene.log.wait(&["no session", "peer=n2", "the peer closed: wrong realm"]).await;
    scene.undisturbed().await;
}

#[tokio::test]
async fn another_version_is_refused_with_a_reason_on_both_sides() {
    let mut scene = Scene::set().await;
    let newer = QuicConfig {
        versions: Versions { oldest: 2, newest: 3 },
        members: members(&[scene.a.place()], &[]),
        ..config(3, 1)
    };
    let newer = TestNode::start(newer);
    scene.log.wait(&["connection refused", "wrong version", "2 to 3 there"]).await;
    newer.reason(1, "the peer closed: wrong version").await;
    scene.undisturbed().await;
}

#[tokio::test]
async fn a_dialler_refuses_who_is_not_whom_it_dialled() {
    let mut scene = Scene::set().await;
    // Node 3 thinks that node 2 lives where node 1 does.
    let lost = TestNode::start(config(3, 1));
    lost.quic.set_members(members(&[(2, scene.a.place().1)], &[]));
    lost.reason(2, "wrong node: expected n2").await;
    scene.log.wait(&["connection refused", "the peer closed: wrong node: expected n2"]).await;
    scene.undisturbed().await;
}

#[tokio::test]
async fn what_is_no_frame_ends_its_session_with_a_reason_and_no_other() {
    let long = header(Kind::Data, (256 << 10) + 1);
    let cases: [(&[&[u8]], CloseCode, &str); 8] = [
        (&[&[2], &long], CloseCode::Oversized, "on the actor channel"),
        (&[&[2], b"garbage!"], CloseCode::Malformed, "on the actor channel"),
        (&[&[2], &[0, 0, 0, 0x10]], CloseCode::Malformed, "an empty frame"),
        (&[&[2], &encode(Kind::Hello, b"x")], CloseCode::Malformed, "of kind 2"),
        (&[&[9]], CloseCode::Malformed, "channel 9"),
        (&[&[0, 1, 2]], CloseCode::Malformed, "inside a frame"),
        (&[b"\x00", b"", &[]], CloseCode::Malformed, ""),
        (&[&[1], &encode(Kind::Data, b"ok"), &[1, 0, 0, 0xff]], CloseCode::Malformed, "of kind 15"),
    ];
    let mut scene = Scene::set().await;
    for (bytes, code, text) in cases {
        let rogue = Rogue::as_node(3, scene.b.place().1).await;
        // The seventh case: the same channel twice.
        let twice = bytes.len() == 3 && bytes[1].is_empty();
        let mut first = rogue.write(&bytes.concat()).await;
        let _second = if twice { Some(rogue.write(&bytes.concat()).await) } else { None };
        if !twice {
            first.finish().ok();
        }
        // Its Up has to be taken before anything is read from it.
        while !matches!(scene.b.next().await, TransportEvent::Down { node, .. } if node.0 == 3) {}
        let close = rogue.closed().await;
        assert_eq!(close.code, code, "{close}");
        assert!(close.reason.contains(text), "{close}");
        scene.log.wait(&["session down", "peer=n3", code.text(), text]).await;
        scene.undisturbed().await;
    }
}

#[tokio::test]
async fn an_oversized_frame_of_a_real_node_is_logged_on_both_sides_and_the_two_meet_again() {
    let log = Log::catch();
    let generous = QuicConfig { frame_bytes_max: 500 << 10, ..config(1, 10) };
    let mut nodes = realm(vec![generous, config(2, 20), config(3, 30)], &[]).await;
    nodes[0].send(2, Channel::Control, vec![1; 300 << 10]).unwrap();
    let reason = "oversized frame: on the control channel: a frame of 307200 bytes; 262144 are the most";
    assert_eq!(nodes[1].down().await, (1, reason.to_owned()));
    assert_eq!(nodes[0].down().await, (2, format!("the peer closed: {reason}")));
    assert!(log.has(&["WARN", "session refused", "peer=n1", reason]));
    assert!(log.has(&["WARN", "session refused", "peer=n2", &format!("the peer closed: {reason}")]));
    assert_eq!((nodes[0].up().await.0, nodes[1].up().await.0), (2, 1));
    // The third has seen nothing of it.
    assert!(nodes[2].events.try_recv().is_none());
}

#[tokio::test]
async fn a_hello_that_is_none_is_refused() {
    let mut scene = Scene::set().await;
    let to = scene.a.place().1;
    let good = hello(3, 1);
    let cases: [(Vec<u8>, CloseCode); 6] = [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), CloseCode::Malformed),
        (encode(Kind::Hello, b"nonsense").to_vec(), CloseCode::Malformed),
        (header(Kind::Hello, 1 << 20).to_vec(), CloseCode::Malformed),
        (encode(Kind::Data, &good.to_bytes()).to_vec(), CloseCode::Malformed),
        // A member's key, and another member's number; this node's own number.
        (encode(Kind::Hello, &hello(2, 1).to_bytes()).to_vec(), CloseCode::WrongNode),
        (encode(Kind::Hello, &hello(1, 1).to_bytes()).to_vec(), CloseCode::WrongNode),
    ];
    for (bytes, code) in cases {
        let rogue = Rogue::dial(&key(3), to).await;
        let (mut send, _receive) = rogue.connection.open_bi().await.unwrap();
        send.write_all(&bytes).await.ok();
        assert_eq!(rogue.closed().await.code, code, "{bytes:?}");
    }
    let user = Rogue::dial(&key(50), to).await;
    assert!(link::greet(&user.connection, &good).await.is_err());
    assert_eq!(user.closed().await.code, CloseCode::NotAllowed);
    scene.undisturbed().await;
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let mut scene = Scene::set().await;
    let rogue = Rogue::dial(&key(3), scene.a.place().1).await;
    assert_eq!(rogue.closed().await.code, CloseCode::Late);
    scene.log.wait(&["connection refused", "hello too late"]).await;
    scene.undisturbed().await;
}

#[tokio::test]
async fn a_node_has_no_credit_for_requests_nor_for_a_fifth_channel() {
    let mut scene = Scene::set().await;
    let rogue = Rogue::as_node(3, scene.b.place().1).await;
    scene.undisturbed().await;
    let mut channels = Vec::new();
    for number in 0..4 {
        channels.push(rogue.write(&[number]).await);
    }
    let wait = Duration::from_millis(300);
    let request = tokio::time::timeout(wait, rogue.connection.open_bi()).await;
    assert!(request.is_err(), "a node cannot open a stream for requests");
    let fifth = tokio::time::timeout(wait, rogue.connection.open_uni()).await;
    assert!(fifth.is_err(), "a node cannot open a fifth channel");
    scene.undisturbed().await;
}

#[tokio::test]
async fn a_peer_without_tls_1_3_or_our_protocol_gets_nowhere() {
    let mut scene = Scene::set().await;
    let mut tls = tls::client(&key(3)).unwrap();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let dialling = quinn::ClientConfig::new(Arc::new(tls));
    let to = scene.a.place().1;
    let socket = endpoint::user_socket(to).unwrap();
    let outcome = socket.connect_with(dialling, to, "pando.invalid").unwrap().await;
    assert!(outcome.is_err());
    scene.log.wait(&["connection refused"]).await;
    scene.undisturbed().await;
}
