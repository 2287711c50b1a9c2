use std::{cell::Cell, net::UdpSocket as Bound};

use tokio::time::timeout;

use crate::until;

use super::*;

const SOON: Duration = Duration::from_secs(10);
const NEVER: Duration = Duration::from_millis(300);

struct Scene {
    proxy: Proxy,
    a: UdpSocket,
    b: UdpSocket,
    to_b: SocketAddr,
    sent: Cell<u64>,
    taken: Cell<u64>,
}

/// Two nodes, 1 and 2, and the proxy between them.
async fn scene(seed: u64) -> Scene {
    let free = || Bound::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound");
    let a = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let b = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let place =
        |node, socket: &UdpSocket| Place { node, public: free(), private: socket.local_addr().expect("it is bound") };
    let places = [place(1, &a), place(2, &b)];
    let proxy = Proxy::start(&places, seed).await.expect("a proxy starts");
    Scene { proxy, a, b, to_b: places[1].public, sent: Cell::new(0), taken: Cell::new(0) }
}

async fn take(socket: &UdpSocket, within: Duration) -> Option<(u64, SocketAddr)> {
    let mut buffer = [0; 64];
    let (len, from) = timeout(within, socket.recv_from(&mut buffer)).await.ok()?.expect("a packet");
    assert_eq!(len, 8);
    Some((u64::from_le_bytes(buffer[..8].try_into().expect("eight bytes")), from))
}

impl Scene {
    async fn send(&self, numbers: std::ops::Range<u64>) {
        for n in numbers {
            self.a.send_to(&n.to_le_bytes(), self.to_b).await.expect("it is sent");
            self.sent.set(self.sent.get() + 1);
        }
    }

    /// What has come of all that was sent, however long it takes.
    async fn all(&self) -> Vec<u64> {
        let passed = until("every packet has its fate", SOON, async || {
            let Counts { passed, lost, cut, twice, .. } = self.proxy.counts();
            (passed + lost + cut == self.sent.get() + twice).then_some(passed)
        });
        let mut all = Vec::new();
        for _ in self.taken.get()..passed.await {
            all.push(take(&self.b, SOON).await.expect("what was passed arrives").0);
        }
        self.taken.set(self.taken.get() + all.len() as u64);
        all
    }
}

#[tokio::test]
async fn packets_go_there_and_answers_come_back_from_where_the_question_went() {
    let scene = scene(1).await;
    scene.send(0..1).await;
    let (n, from) = take(&scene.b, SOON).await.expect("it arrives");
    assert_eq!(n, 0);
    scene.b.send_to(&9u64.to_le_bytes(), from).await.expect("it is sent");
    assert_eq!(take(&scene.a, SOON).await, Some((9, scene.to_b)));
    assert_eq!(scene.proxy.counts(), Counts { passed: 2, ..Counts::default() });
}

#[tokio::test]
async fn a_cut_one_way_leaves_the_other_way_open() {
    let scene = scene(1).await;
    scene.send(0..1).await;
    let (_, from) = take(&scene.b, SOON).await.expect("it arrives");
    scene.proxy.set(1, 2, Way::CUT);
    scene.send(1..2).await;
    assert_eq!(take(&scene.b, NEVER).await, None);
    scene.b.send_to(&9u64.to_le_bytes(), from).await.expect("it is sent");
    assert_eq!(take(&scene.a, SOON).await, Some((9, scene.to_b)));
    scene.proxy.set(1, 2, Way::default());
    scene.proxy.set(2, 1, Way::CUT);
    scene.send(2..3).await;
    assert_eq!(take(&scene.b, SOON).await.map(|(n, _)| n), Some(2));
    scene.b.send_to(&9u64.to_le_bytes(), from).await.expect("it is sent");
    assert_eq!(take(&scene.a, NEVER).await, None);
    scene.proxy.calm();
    scene.b.send_to(&9u64.to_le_bytes(), from).await.expect("it is sent");
    assert!(take(&scene.a, SOON).await.is_some(), "calm again");
}

#[tokio::test]
async fn a_way_of_persons_is_none_of_the_nodes() {
    let scene = scene(1).await;
    let person = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    scene.proxy.set(PERSON, 2, Way::CUT);
    person.send_to(&1u64.to_le_bytes(), scene.to_b).await.expect("it is sent");
    scene.sent.set(1);
    scene.send(2..3).await;
    assert_eq!(scene.all().await, [2]);
    assert_eq!(scene.proxy.counts(), Counts { passed: 1, cut: 1, ..Counts::default() });
}

#[tokio::test]
async fn some_packets_are_lost_and_some_come_twice_as_the_seed_says() {
    let run = async |seed| {
        let scene = scene(seed).await;
        scene.proxy.set(1, 2, Way { loss: 300, twice: 200, ..Way::default() });
        let mut arrived = Vec::new();
        // In small portions, so that no socket's buffer overflows.
        for start in (0..200).step_by(20) {
            scene.send(start..start + 20).await;
            arrived.extend(scene.all().await);
        }
        let counts = scene.proxy.counts();
        assert!((20..100).contains(&counts.lost) && counts.twice > 10, "{counts:?}");
        assert_eq!(arrived.len() as u64, 200 - counts.lost + counts.twice);
        arrived
    };
    let (first, again, other) = tokio::join!(run(7), run(7), run(8));
    assert_eq!(first, again, "the same seed, the same packets");
    assert_ne!(first, other);
}

#[tokio::test]
async fn a_delay_keeps_the_order_and_jitter_does_not() {
    let scene = scene(3).await;
    scene.proxy.set(1, 2, Way { delay_ms: 50, ..Way::default() });
    scene.send(0..50).await;
    assert_eq!(scene.all().await, (0..50).collect::<Vec<_>>());
    scene.proxy.set(1, 2, Way { delay_ms: 1, jitter_ms: 100, ..Way::default() });
    scene.send(0..50).await;
    let mut late = scene.all().await;
    assert!(!late.is_sorted(), "{late:?}");
    late.sort_unstable();
    assert_eq!(late, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_does_not_fit_is_counted() {
    let scene = scene(4).await;
    scene.proxy.set(1, 2, Way { delay_ms: 60_000, ..Way::default() });
    let total = WAITING_MAX as u64 + 200;
    let began = Instant::now();
    // The proxy's own socket may overflow as well, so it is sent until the queue has.
    let mut sent = 0;
    while scene.proxy.counts().overflown == 0 {
        assert!(began.elapsed() < SOON * 3, "{sent} of {total} sent, and nothing was too much");
        scene.send(sent..sent + 20).await;
        sent += 20;
        tokio::task::yield_now().await;
    }
    assert!(sent > WAITING_MAX as u64, "{sent}");
}
