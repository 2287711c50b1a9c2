use super::*;
use crate::client::{ClientError, UserClient};
use crate::frame::{Kind, header};
use crate::request::{ResponseError, UserRequest};

const USER: u32 = 50;
const OTHER: u32 = 51;

async fn node(change: impl FnOnce(&mut QuicConfig)) -> TestNode {
    let mut config = config(1, 10);
    change(&mut config);
    let node = TestNode::start(config);
    node.quic.set_members(members(&[node.place()], &[USER, OTHER]));
    node
}

async fn client(node: &TestNode) -> UserClient {
    client_of(node, USER).await.unwrap()
}

async fn client_of(node: &TestNode, user: u32) -> Result<UserClient, ClientError> {
    let expected = Some(key(1).public());
    UserClient::connect(node.place().1, expected, &key(user), REALM).await
}

impl TestNode {
    async fn request(&mut self) -> UserRequest {
        match self.next().await {
            TransportEvent::Request(request) => request,
            other => panic!("expected a request, not {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_user_asks_and_reads_a_stream_of_answers() {
    let mut node = node(|_| {}).await;
    let client = client(&node).await;
    assert_eq!(client.server().await.1, NodeId(1));
    let mut answers = client.request("count".into()).await.unwrap();
    let mut request = node.request().await;
    assert_eq!((request.user, &request.bytes[..]), (key(USER).public(), &b"count"[..]));
    // More than fits on the way: the answerer goes as fast as the asker reads.
    let answering = tokio::spawn(async move {
        for n in 0..100u8 {
            request.respond(vec![n; 1 + n as usize * 1000].into()).await.unwrap();
        }
    });
    for n in 0..100u8 {
        let answer = answers.next().await.unwrap().unwrap();
        assert_eq!((answer[0], answer.len()), (n, 1 + n as usize * 1000));
    }
    answering.await.unwrap();
    assert_eq!(answers.next().await, Ok(None));
}

#[tokio::test]
async fn a_large_request_arrives_whole() {
    let mut node = node(|_| {}).await;
    let client = client(&node).await;
    let module = Bytes::from(vec![3; 20 << 20]);
    let asking = client.request(module.clone());
    let (answers, request) = tokio::join!(asking, node.request());
    assert_eq!(request.bytes, module);
    drop(request);
    assert_eq!(answers.unwrap().next().await, Ok(None));
}

#[tokio::test]
async fn a_follower_that_stops_is_noticed_and_one_that_is_slow_takes_no_memory() {
    let mut node = node(|_| {}).await;
    let client = client(&node).await;
    let answers = client.request("follow".into()).await.unwrap();
    let mut request = node.request().await;
    let closed = request.closed();
    // Nobody reads: answering comes to wait long before this is through.
    let mut sent = 0;
    let line = Bytes::from(vec![1; 64 << 10]);
    while let Ok(outcome) = tokio::time::timeout(Duration::from_millis(300), request.respond(line.clone())).await {
        outcome.unwrap();
        sent += line.len();
        assert!(sent < 16 << 20, "answers pile up");
    }
    drop(answers);
    tokio::time::timeout(WAIT, closed).await.unwrap();
    // The write that was given up may have gone half through; the next one says that nobody is there.
    assert!(request.respond(line).await.is_err());
}

#[tokio::test]
async fn whoever_is_no_user_is_told_why() {
    let node = node(|_| {}).await;
    let to = node.place().1;
    let refusal = |outcome: Result<UserClient, ClientError>| match outcome {
        Err(ClientError::Refused { close, .. }) => close.code,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("not refused"),
    };
    let stranger = UserClient::connect(to, None, &key(99), REALM).await;
    assert_eq!(refusal(stranger), CloseCode::UnknownKey);
    let a_node = UserClient::connect(to, None, &key(1), REALM).await;
    assert_eq!(refusal(a_node), CloseCode::NotAllowed);
    let elsewhere = UserClient::connect(to, None, &key(USER), RealmId([9; 32])).await;
    assert_eq!(refusal(elsewhere), CloseCode::WrongRealm);
    let wrong = UserClient::connect(to, Some(key(2).public()), &key(USER), REALM).await;
    assert!(matches!(wrong, Err(ClientError::WrongServer { .. })));
    let within = Duration::from_millis(300);
    let nobody = ([127, 0, 0, 1], 9).into();
    let nobody = UserClient::connect_within(within, nobody, None, &key(USER), REALM).await;
    assert!(matches!(nobody, Err(ClientError::Unreachable { .. })));
}

#[tokio::test]
async fn a_user_that_is_removed_is_out_at_once() {
    let mut node = node(|_| {}).await;
    let client = client(&node).await;
    let mut answers = client.request("follow".into()).await.unwrap();
    let _request = node.request().await;
    node.quic.set_members(members(&[node.place()], &[]));
    match answers.next().await {
        Err(ResponseError::Lost(why)) => assert!(why.contains("removed"), "{why}"),
        other => panic!("{other:?}"),
    }
    let again = client.request("more".into()).await;
    assert!(matches!(again, Err(ClientError::Refused { .. })));
}

#[tokio::test]
async fn a_connection_that_was_lost_is_made_again_by_the_next_request() {
    let mut node = node(|_| {}).await;
    let client = client(&node).await;
    let mut answers = client.request("one".into()).await.unwrap();
    drop(node.request().await);
    assert_eq!(answers.next().await, Ok(None));
    let place = node.place().1;
    drop(node);
    let again = QuicConfig { listen: place, ..config(1, 11) };
    let mut node = loop {
        match Quic::start(again.clone()) {
            Ok((quic, events)) => break TestNode { n: 1, quic, events },
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    node.quic.set_members(members(&[node.place()], &[USER]));
    let _answers = client.request("two".into()).await.unwrap();
    assert_eq!(&node.request().await.bytes[..], b"two");
    assert_eq!(client.server().await.2, Incarnation(11));
}

#[tokio::test]
async fn requests_at_once_are_limited_and_the_limit_is_only_a_wait() {
    let mut node = node(|c| c.requests_max = 3).await;
    let client = Arc::new(client(&node).await);
    let asked: Vec<_> = (0..10u8)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                client
                    .request(vec![n].into())
                    .await?
                    .next()
                    .await
                    .map_err(|e| ClientError::Unreachable { addr: client.addr(), reason: e.to_string() })
            })
        })
        .collect();
    let mut open = vec![node.request().await, node.request().await, node.request().await];
    assert!(tokio::time::timeout(Duration::from_millis(300), node.events.recv()).await.is_err());
    for _ in 0..7 {
        open.remove(0).respond("done".into()).await.unwrap();
        open.push(node.request().await);
    }
    for mut request in open {
        request.respond("done".into()).await.unwrap();
    }
    for outcome in asked {
        assert_eq!(outcome.await.unwrap().unwrap(), Some("done".into()));
    }
}

#[tokio::test]
async fn users_together_take_no_more_memory_than_their_cap() {
    let mut node = node(|c| {
        c.request_bytes_max = 1 << 20;
        c.requests_bytes_max = (2 << 20) + (128 << 10);
    })
    .await;
    let client = Arc::new(client(&node).await);
    let large = Bytes::from(vec![1; 1 << 20]);
    let asked: Vec<_> = (0..5)
        .map(|_| {
            let (client, large) = (client.clone(), large.clone());
            tokio::spawn(async move { client.request(large).await.map(drop) })
        })
        .collect();
    // Two fit. The others wait in the windows of their streams, and another user's small request waits behind them.
    let held = [node.request().await, node.request().await];
    assert!(tokio::time::timeout(Duration::from_millis(300), node.events.recv()).await.is_err());
    drop(held);
    for _ in 0..3 {
        drop(node.request().await);
    }
    for outcome in asked {
        outcome.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn one_user_who_never_ends_its_requests_takes_no_memory_of_the_others() {
    let mut node = node(|c| {
        c.request_bytes_max = 1 << 20;
        c.requests_bytes_max = 4 << 20;
        c.user_bytes_max = 2 << 20;
    })
    .await;
    // Over two connections eight requests begin that would take all there is, and none of them ends.
    let mut slow = Vec::new();
    for _ in 0..2 {
        let rogue = Rogue::dial(&key(USER), node.place().1).await;
        let ours = Hello { role: Role::User, node: NodeId::NONE, ..hello(0, 0) };
        link::greet(&rogue.connection, &ours).await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..4 {
            let (mut send, receive) = rogue.connection.open_bi().await.unwrap();
            send.write_all(&header(Kind::Data, 1 << 20)).await.unwrap();
            send.write_all(&[7; 100]).await.unwrap();
            streams.push((send, receive));
        }
        slow.push((rogue, streams));
    }
    let taken = || (4 << 20) - node.quic.node.request_memory.available_permits();
    until(|| taken() > 1 << 20).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(taken() <= 2 << 20, "{} bytes are taken", taken());
    let other = client_of(&node, OTHER).await.unwrap();
    let start = std::time::Instant::now();
    let asked = other.request(vec![1; 1 << 20].into());
    let (answers, request) = tokio::join!(asked, node.request());
    answers.unwrap();
    assert_eq!(request.user, key(OTHER).public());
    assert!(start.elapsed() < Duration::from_secs(10), "it waited for the others' patience to end");
}

#[tokio::test]
async fn an_oversized_or_malformed_request_is_refused_with_a_reason() {
    let log = Log::catch();
    let node = node(|c| c.request_bytes_max = 1000).await;
    let cases: [(&[u8], CloseCode); 3] = [
        (&header(Kind::Data, 1001), CloseCode::Oversized),
        (b"\0\0\0\0", CloseCode::Malformed),
        (&[5, 0, 0, 0x10, 1], CloseCode::Malformed),
    ];
    for (bytes, code) in cases {
        let rogue = Rogue::dial(&key(USER), node.place().1).await;
        let ours = Hello { role: Role::User, node: NodeId::NONE, ..hello(0, 0) };
        link::greet(&rogue.connection, &ours).await.unwrap();
        let (mut send, _receive) = rogue.connection.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        send.finish().unwrap();
        let close = rogue.closed().await;
        assert_eq!(close.code, code, "{close}");
        log.wait(&["connection refused", code.text(), "in a request"]).await;
        rogue.socket.close(0u32.into(), b"");
    }
    client(&node).await;
}

#[tokio::test]
async fn a_user_has_no_credit_for_anything_but_requests() {
    let node = node(|_| {}).await;
    let rogue = Rogue::dial(&key(USER), node.place().1).await;
    let ours = Hello { role: Role::User, node: NodeId::NONE, ..hello(0, 0) };
    link::greet(&rogue.connection, &ours).await.unwrap();
    let uni = tokio::time::timeout(Duration::from_millis(300), rogue.connection.open_uni());
    assert!(uni.await.is_err(), "a user cannot open a channel");
}

#[tokio::test]
async fn a_closing_node_lets_its_users_read_their_answers() {
    let mut node = node(|_| {}).await;
    let client = client(&node).await;
    let mut answers = client.request("stop yourself".into()).await.unwrap();
    let mut request = node.request().await;
    request.respond(vec![1; 1 << 20].into()).await.unwrap();
    drop(request);
    node.quic.close();
    let start = std::time::Instant::now();
    assert_eq!(answers.next().await.unwrap().map(|a| a.len()), Some(1 << 20));
    assert_eq!(answers.next().await, Ok(None));
    drop(answers);
    tokio::time::timeout(WAIT, node.quic.closed()).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn users_beyond_the_limit_are_told_that_it_is_busy() {
    let node = node(|c| c.users_max = 4).await;
    let busy = |third: Result<UserClient, ClientError>| match third {
        Err(ClientError::Refused { close, .. }) if close.code == CloseCode::Busy => close.reason,
        _ => panic!("not refused, or for another reason"),
    };
    let _one = client(&node).await;
    let two = client(&node).await;
    // One user takes half of the places and leaves the others.
    let third = busy(client_of(&node, USER).await);
    assert!(third.contains("of this user"), "{third}");
    let (_three, _four) = (client_of(&node, OTHER).await.unwrap(), client_of(&node, OTHER).await.unwrap());
    let fifth = busy(client_of(&node, OTHER).await);
    assert!(fifth.contains("of users"), "{fifth}");
    two.close().await;
    until(|| node.quic.node.endpoint.open_connections() < 4).await;
    client(&node).await;
}

#[tokio::test]
async fn a_client_that_is_dropped_leaves_once_its_answers_are_read() {
    let mut node = node(|_| {}).await;
    let client = client(&node).await;
    let mut answers = client.request("last".into()).await.unwrap();
    drop(client);
    let mut request = node.request().await;
    request.respond("here".into()).await.unwrap();
    drop(request);
    assert_eq!(answers.next().await, Ok(Some("here".into())));
    assert_eq!(answers.next().await, Ok(None));
    assert_eq!(node.quic.node.endpoint.open_connections(), 1);
    drop(answers);
    until(|| node.quic.node.endpoint.open_connections() == 0).await;
}
