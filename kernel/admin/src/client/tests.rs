use std::{collections::VecDeque, sync::Mutex as Lock};

use bytes::Bytes;
use pando_abi::Errno;

use super::*;

/// What a fake node does with the next thing that it is asked.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "a test has a few of them")]
enum Will {
    Answer(Reply),
    /// Takes the request and dies.
    Die,
    /// Takes the request and is silent.
    Hang,
}

#[derive(Default)]
struct World {
    /// Nodes that take connections.
    up: Vec<u32>,
    /// Nodes where a dial hangs.
    stuck: Vec<u32>,
    wills: BTreeMap<u32, VecDeque<Will>>,
    /// (node, request) in order.
    asked: Vec<(u32, Request)>,
    dialled: Vec<u32>,
}

#[derive(Clone, Default)]
struct Fake(Arc<Lock<World>>);

struct FakeSession(u32, Fake);

struct FakeStream(Option<Will>);

impl Dial for Fake {
    type Session = FakeSession;
    async fn dial(&self, to: &Endpoint) -> Result<FakeSession, String> {
        let (up, stuck) = {
            let mut world = self.0.lock().unwrap();
            world.dialled.push(to.node.0);
            (world.up.contains(&to.node.0), world.stuck.contains(&to.node.0))
        };
        if stuck {
            std::future::pending::<()>().await;
        }
        if up { Ok(FakeSession(to.node.0, self.clone())) } else { Err("it is off".into()) }
    }
}

impl Session for FakeSession {
    type Stream = FakeStream;
    async fn ask(&self, request: Bytes) -> Result<FakeStream, String> {
        let mut world = self.1.0.lock().unwrap();
        world.asked.push((self.0, Request::decode(&request).unwrap()));
        let will = world.wills.get_mut(&self.0).and_then(VecDeque::pop_front).unwrap_or(Will::Answer(Reply::Done));
        if matches!(will, Will::Die) {
            let node = self.0;
            world.up.retain(|n| *n != node);
        }
        Ok(FakeStream(Some(will)))
    }
}

impl Stream for FakeStream {
    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        match self.0.take() {
            Some(Will::Answer(reply)) => Ok(Some(reply.encode().into())),
            Some(Will::Die) => Err("it died".into()),
            Some(Will::Hang) => std::future::pending().await,
            None => Ok(None),
        }
    }
}

fn realm(up: &[u32]) -> (Fake, Client<Fake>) {
    let fake = Fake::default();
    fake.0.lock().unwrap().up = up.to_vec();
    let endpoints = (1..=3)
        .map(|n| Endpoint { node: NodeId(n), key: PublicKey([n as u8; 32]), addr: ([127, 0, 0, 1], 1).into() })
        .collect();
    let patience = Patience {
        head_start: Duration::from_millis(20),
        dial_max: Duration::from_secs(60),
        grace: Duration::from_millis(100),
        pause: Duration::from_millis(10),
    };
    (fake.clone(), Client::with(fake, [1; 16], endpoints, patience))
}

fn call(client: &Client<Fake>) -> Request {
    Request::Call {
        target: "hits".into(),
        body: vec![],
        handles: vec![],
        flags: 0,
        deadline_ms: 0,
        key: client.next_key(),
    }
}

fn keys(fake: &Fake) -> Vec<(u32, u64)> {
    let world = fake.0.lock().unwrap();
    let key = |r: &Request| match r {
        Request::Call { key, .. } => key.seq,
        _ => 0,
    };
    world.asked.iter().map(|(node, request)| (*node, key(request))).collect()
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_call_whose_node_dies_is_asked_elsewhere_with_the_same_key() {
    let (fake, client) = realm(&[1, 2, 3]);
    fake.0.lock().unwrap().wills.insert(1, [Will::Die].into());
    assert_eq!(client.ask(call(&client), LONG).await, Ok(Reply::Done));
    assert_eq!(keys(&fake), [(1, 1), (2, 1)]);
    client.ask(call(&client), LONG).await.unwrap();
    assert_eq!(keys(&fake)[2], (2, 2), "the node that answered is asked first, and a new call has a new key");
}

#[tokio::test]
async fn the_deadline_that_a_node_is_told_shrinks_with_every_try() {
    let (fake, client) = realm(&[1, 2]);
    fake.0.lock().unwrap().wills.insert(1, [Will::Die].into());
    client.ask(call(&client), LONG).await.unwrap();
    let world = fake.0.lock().unwrap();
    let told: Vec<u32> = world
        .asked
        .iter()
        .map(|(_, r)| match r {
            Request::Call { deadline_ms, .. } => *deadline_ms,
            _ => 0,
        })
        .collect();
    assert!(told[0] <= 20_000 && told[1] < told[0] && told[1] > 1_000, "{told:?}");
}

#[tokio::test]
async fn a_realm_that_comes_back_before_the_deadline_answers() {
    let (fake, client) = realm(&[1]);
    fake.0.lock().unwrap().wills.insert(1, [Will::Die].into());
    let back = fake.clone();
    tokio::spawn(async move {
        sleep(SHORT).await;
        back.0.lock().unwrap().up.push(3);
    });
    assert_eq!(client.ask(call(&client), LONG).await, Ok(Reply::Done));
    assert_eq!(keys(&fake), [(1, 1), (3, 1)]);
}

#[tokio::test]
async fn a_realm_that_stays_away_ends_in_one_error_at_the_deadline() {
    let (fake, client) = realm(&[1]);
    fake.0.lock().unwrap().wills.insert(1, [Will::Die].into());
    let start = Instant::now();
    let error = client.ask(call(&client), SHORT).await.unwrap_err();
    assert!(matches!(error, ClientError::Lost { node: NodeId(1), .. }), "{error}");
    assert!(error.to_string().ends_with("the request may have happened"));
    assert!(start.elapsed() <= LONG);
}

#[tokio::test]
async fn a_realm_that_is_off_is_told_at_once() {
    let (_, client) = realm(&[]);
    let start = Instant::now();
    let error = client.ask(Request::Names, 10 * LONG).await.unwrap_err();
    assert_eq!(error.to_string(), "no node of the realm answers; n1: it is off; n2: it is off; n3: it is off");
    assert_eq!(error.mend(), "start the realm with `pando up`");
    assert!(start.elapsed() < LONG);
}

#[tokio::test]
async fn a_dead_node_costs_a_moment_and_not_its_time_out() {
    let (fake, client) = realm(&[2]);
    fake.0.lock().unwrap().stuck = vec![1];
    let start = Instant::now();
    client.ask(Request::Names, LONG).await.unwrap();
    assert!(start.elapsed() < LONG);
    assert_eq!(fake.0.lock().unwrap().dialled, [1, 2]);
}

#[tokio::test]
async fn a_node_that_was_asked_for_is_the_only_one_asked() {
    let (fake, client) = realm(&[1, 3]);
    let error = client.ask_node(NodeId(2), Request::Names, LONG).await.unwrap_err();
    assert_eq!(error.to_string(), "n2 does not answer: it is off");
    client.ask_node(NodeId(3), Request::Names, LONG).await.unwrap();
    assert_eq!(fake.0.lock().unwrap().dialled, [2, 3]);
    let error = client.ask_node(NodeId(9), Request::Names, LONG).await.unwrap_err();
    assert_eq!((error.to_string(), error.mend()), ("the realm has no node n9".into(), "it has n1, n2, n3".into()));
}

#[tokio::test]
async fn a_refusal_is_final_and_a_silent_node_runs_into_the_deadline() {
    let (fake, client) = realm(&[1, 2, 3]);
    let no = Reply::refused(Errno::NOT_FOUND, "there is no `hist`", "look with `names`");
    fake.0.lock().unwrap().wills.insert(1, [Will::Answer(no), Will::Hang].into());
    let error = client.ask(call(&client), LONG).await.unwrap_err();
    assert_eq!((error.errno(), error.mend().as_str()), (Errno::NOT_FOUND, "look with `names`"));
    let error = client.ask(call(&client), SHORT).await.unwrap_err();
    assert_eq!(error, ClientError::Timeout { after: SHORT });
    assert_eq!(keys(&fake), [(1, 1), (1, 2)]);
}

#[tokio::test]
async fn stop_is_never_sent_to_a_second_node() {
    let (fake, client) = realm(&[1, 2, 3]);
    fake.0.lock().unwrap().wills.insert(1, [Will::Die].into());
    assert!(client.ask(Request::Stop, LONG).await.is_err());
    assert_eq!(fake.0.lock().unwrap().asked.len(), 1);
}

#[tokio::test]
async fn a_followed_stream_goes_on_until_its_node_ends_it() {
    let (fake, client) = realm(&[2]);
    fake.0.lock().unwrap().wills.insert(2, [Will::Answer(Reply::Log(vec![]))].into());
    let mut replies = client.follow(None, Request::Log { target: None, tail: 5, follow: true }).await.unwrap();
    assert_eq!(replies.node(), NodeId(2));
    assert_eq!(replies.next().await, Ok(Some(Reply::Log(vec![]))));
    assert_eq!(replies.next().await, Ok(None));
}
