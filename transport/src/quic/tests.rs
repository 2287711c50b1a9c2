//! Over real QUIC on loopback. One thread runs all nodes of a test, so that what they log can be caught.

use super::*;
use crate::close::CloseCode;
use crate::member::Member;
use crate::transport::TransportEvent;
use pando_abi::RealmId;

mod crowds;
mod pressure;
mod process;
mod refusals;
mod sessions;
mod users;

const WAIT: Duration = Duration::from_secs(20);
const REALM: RealmId = RealmId([7; 32]);

fn key(n: u32) -> Identity {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&n.to_le_bytes());
    Identity::from_seed(seed)
}

fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn members(list: &[(u32, SocketAddr)], users: &[u32]) -> Arc<MemberSet> {
    let member = |(n, addr): &(u32, SocketAddr)| Member { node: NodeId(*n), key: key(*n).public(), addr: *addr };
    Arc::new(MemberSet {
        realm: REALM,
        members: list.iter().map(member).collect(),
        users: users.iter().map(|n| key(*n).public()).collect(),
    })
}

fn config(n: u32, life: u64) -> QuicConfig {
    QuicConfig {
        frame_bytes_max: 256 << 10,
        inbox_bytes: 512 << 10,
        ..QuicConfig::new(key(n), NodeId(n), Incarnation(life), loopback(), members(&[], &[]))
    }
}

struct TestNode {
    n: u32,
    quic: Arc<Quic>,
    events: Events,
}

impl TestNode {
    fn start(config: QuicConfig) -> TestNode {
        let n = config.node.0;
        let (quic, events) = Quic::start(config).unwrap();
        TestNode { n, quic, events }
    }

    fn place(&self) -> (u32, SocketAddr) {
        (self.n, self.quic.local_addr())
    }

    async fn next(&mut self) -> TransportEvent {
        let event = tokio::time::timeout(WAIT, self.events.recv()).await;
        event.expect("an event in time").expect("an open transport")
    }

    async fn up(&mut self) -> (u32, u64) {
        match self.next().await {
            TransportEvent::Up { node, incarnation } => (node.0, incarnation.0),
            other => panic!("n{}: expected an Up, not {other:?}", self.n),
        }
    }

    async fn down(&mut self) -> (u32, String) {
        loop {
            match self.next().await {
                TransportEvent::Down { node, reason, .. } => return (node.0, reason),
                TransportEvent::Frame { .. } => {}
                other => panic!("n{}: expected a Down, not {other:?}", self.n),
            }
        }
    }

    async fn frame(&mut self) -> (Channel, Bytes) {
        match self.next().await {
            TransportEvent::Frame { channel, bytes, .. } => (channel, bytes),
            other => panic!("n{}: expected a frame, not {other:?}", self.n),
        }
    }

    fn send(&self, to: u32, channel: Channel, frame: impl Into<Bytes>) -> Result<(), SendError> {
        self.quic.send(NodeId(to), channel, frame.into())
    }

    /// Waits for something in [`Transport::sessions`].
    async fn reason(&self, peer: u32, part: &str) {
        until(|| {
            let sessions = self.quic.sessions();
            let info = sessions.iter().find(|i| i.node.0 == peer);
            info.and_then(|i| i.reason.as_ref()).is_some_and(|r| r.contains(part))
        })
        .await;
    }
}

async fn until(holds: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < WAIT, "what was waited for did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Starts these nodes, lets them know each other, and waits until all sessions are up.
async fn realm(configs: Vec<QuicConfig>, users: &[u32]) -> Vec<TestNode> {
    let mut nodes: Vec<TestNode> = configs.into_iter().map(TestNode::start).collect();
    let places: Vec<_> = nodes.iter().map(TestNode::place).collect();
    for node in &nodes {
        node.quic.set_members(members(&places, users));
    }
    let others = nodes.len() - 1;
    for node in &mut nodes {
        for _ in 0..others {
            node.up().await;
        }
    }
    nodes
}

async fn two() -> (TestNode, TestNode) {
    let mut nodes = realm(vec![config(1, 10), config(2, 20)], &[]).await;
    let b = nodes.remove(1);
    (nodes.remove(0), b)
}

/// What is logged on this thread while the guard lives.
struct Log {
    lines: Arc<parking_lot::Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    fn catch() -> Log {
        let lines = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Sink(writer.clone())).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        Log { lines, _guard }
    }

    fn has(&self, parts: &[&str]) -> bool {
        let lines = self.lines.lock();
        let text = String::from_utf8_lossy(&lines);
        text.lines().any(|line| parts.iter().all(|part| line.contains(part)))
    }

    async fn wait(&self, parts: &[&str]) {
        let start = std::time::Instant::now();
        while !self.has(parts) {
            if start.elapsed() > WAIT {
                panic!("not logged: {parts:?}\n{}", String::from_utf8_lossy(&self.lines.lock()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

struct Sink(Arc<parking_lot::Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A connection that speaks QUIC and the handshake, and then whatever a test wants.
struct Rogue {
    socket: quinn::Endpoint,
    connection: quinn::Connection,
}

impl Rogue {
    async fn dial(identity: &Identity, to: SocketAddr) -> Rogue {
        let socket = endpoint::user_socket(to).unwrap();
        let dialling = endpoint::dialling(identity, Duration::from_secs(1)).unwrap();
        let connecting = socket.connect_with(dialling, to, "pando.invalid").unwrap();
        let connection = connecting.await.unwrap();
        Rogue { socket, connection }
    }

    /// Says hello as node `n` and becomes the session.
    async fn as_node(n: u32, to: SocketAddr) -> Rogue {
        let rogue = Rogue::dial(&key(n), to).await;
        link::greet(&rogue.connection, &hello(n, 99)).await.unwrap();
        rogue
    }

    /// Opens a stream and writes these bytes.
    async fn write(&self, bytes: &[u8]) -> quinn::SendStream {
        let mut stream = self.connection.open_uni().await.unwrap();
        stream.write_all(bytes).await.ok();
        stream
    }

    /// Waits until the other side has closed; gives what it said.
    async fn closed(&self) -> crate::Close {
        let closed = tokio::time::timeout(WAIT, self.connection.closed()).await;
        match End::from(closed.expect("a close in time")) {
            End::Told(close) => close,
            other => panic!("expected to be told, not {other:?}"),
        }
    }
}

fn hello(n: u32, life: u64) -> Hello {
    Hello {
        versions: Versions::CURRENT,
        role: Role::Node,
        node: NodeId(n),
        incarnation: Incarnation(life),
        realm: REALM,
    }
}
