use super::*;
use crate::identity::Identity;
use crate::member::Member;
use crate::transport::TransportEvent;
use pando_abi::RealmId;

fn set(nodes: &[u32]) -> Arc<MemberSet> {
    let member = |n: &u32| Member {
        node: NodeId(*n),
        key: Identity::from_seed([*n as u8; 32]).public(),
        addr: ([127, 0, 0, 1], *n as u16).into(),
    };
    Arc::new(MemberSet {
        realm: RealmId([1; 32]),
        members: nodes.iter().map(member).collect(),
        users: vec![PublicKey([9; 32])],
    })
}

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn boot(net: &MemoryNet, node: NodeId, life: u64) -> (Arc<MemoryNode>, Events) {
    net.node(node, Incarnation(life), set(&[1, 2]))
}

/// Steps and takes until nothing happens any more; what came out of `events`, as text.
fn settle(net: &MemoryNet, events: &mut [&mut Events]) -> Vec<Vec<String>> {
    let mut out = vec![Vec::new(); events.len()];
    loop {
        let stepped = net.run();
        let mut taken = 0;
        for (events, out) in events.iter_mut().zip(&mut out) {
            while let Some(event) = events.try_recv() {
                taken += 1;
                out.push(match event {
                    TransportEvent::Up { node, incarnation } => format!("up {node}.{}", incarnation.0),
                    TransportEvent::Down { node, incarnation, .. } => {
                        format!("down {node}.{}", incarnation.0)
                    }
                    TransportEvent::Frame { bytes, .. } => format!("{}", bytes[0]),
                    TransportEvent::Request(_) => "request".to_owned(),
                });
            }
        }
        if stepped + taken == 0 {
            return out;
        }
    }
}

fn byte(n: u8) -> Bytes {
    Bytes::from(vec![n])
}

#[test]
fn two_nodes_meet_exchange_and_part() {
    let net = MemoryNet::new(1);
    let ((a, mut ea), (b, mut eb)) = (boot(&net, A, 10), boot(&net, B, 20));
    assert_eq!(a.send(B, Channel::Actor, byte(1)), Err(SendError::Down));
    assert_eq!(a.send(NodeId(7), Channel::Actor, byte(1)), Err(SendError::Unknown));
    assert_eq!(settle(&net, &mut [&mut ea, &mut eb]), [["up n2.20"], ["up n1.10"]]);
    for n in 0..5 {
        a.send(B, Channel::Actor, byte(n)).unwrap();
    }
    assert_eq!(settle(&net, &mut [&mut ea, &mut eb])[1], ["0", "1", "2", "3", "4"]);
    b.send(A, Channel::Raft, byte(7)).unwrap();
    b.close();
    // What was queued before the orderly end still arrives.
    let seen = settle(&net, &mut [&mut ea, &mut eb]);
    assert_eq!(seen, [vec!["7", "down n2.20"], vec!["down n1.10"]]);
}

#[test]
fn a_partition_ends_the_session_and_healing_begins_another() {
    let net = MemoryNet::new(2);
    let ((a, mut ea), (_b, mut eb)) = (boot(&net, A, 10), boot(&net, B, 20));
    settle(&net, &mut [&mut ea, &mut eb]);
    a.send(B, Channel::Actor, byte(1)).unwrap();
    net.partition(A, B);
    assert_eq!(settle(&net, &mut [&mut ea, &mut eb]), [["down n2.20"], ["down n1.10"]]);
    assert_eq!(a.send(B, Channel::Actor, byte(2)), Err(SendError::Down));
    net.heal(A, B);
    assert_eq!(settle(&net, &mut [&mut ea, &mut eb]), [["up n2.20"], ["up n1.10"]]);
}

#[test]
fn a_restart_is_a_down_and_an_up_with_another_incarnation() {
    let net = MemoryNet::new(3);
    let ((_a, mut ea), (_b, mut eb)) = (boot(&net, A, 10), boot(&net, B, 20));
    settle(&net, &mut [&mut ea, &mut eb]);
    let (_b, mut eb2) = boot(&net, B, 21);
    assert_eq!(settle(&net, &mut [&mut ea, &mut eb2])[0], ["down n2.20", "up n2.21"]);
    assert!(eb.try_recv().is_none());
}

#[test]
fn delays_faults_and_budgets_do_as_they_are_told() {
    let net = MemoryNet::new(4);
    net.budgets(Budgets { actor_bytes: 0, ..Budgets::default() });
    let ((a, mut ea), (_b, mut eb)) = (boot(&net, A, 10), boot(&net, B, 20));
    settle(&net, &mut [&mut ea, &mut eb]);
    net.delay(A, B, 500);
    for n in 0..3 {
        a.send(B, Channel::Raft, byte(n)).unwrap();
    }
    assert!(net.drop_next(A, B, Channel::Raft) && net.duplicate_next(A, B, Channel::Raft));
    assert!(settle(&net, &mut [&mut ea, &mut eb])[1].is_empty());
    assert_eq!(net.next_due(), Some(500));
    net.advance_to(500);
    assert_eq!(settle(&net, &mut [&mut ea, &mut eb])[1], ["1", "1", "2"]);
    let large = Bytes::from(vec![1; FRAME_BYTES_MAX]);
    a.send(B, Channel::Actor, large).unwrap();
    assert_eq!(a.send(B, Channel::Actor, byte(1)), Err(SendError::Full));
    assert_eq!(a.send(B, Channel::Raft, byte(1)), Ok(()));
    net.advance_to(1000);
    settle(&net, &mut [&mut ea, &mut eb]);
    assert_eq!(a.send(B, Channel::Actor, byte(1)), Ok(()));
}

#[test]
fn a_removed_member_is_out_at_once() {
    let net = MemoryNet::new(5);
    let ((a, mut ea), (b, mut eb)) = (boot(&net, A, 10), boot(&net, B, 20));
    settle(&net, &mut [&mut ea, &mut eb]);
    b.send(A, Channel::Actor, byte(1)).unwrap();
    net.run();
    a.set_members(set(&[1]));
    assert_eq!(a.send(B, Channel::Actor, byte(1)), Err(SendError::Unknown));
    assert_eq!(settle(&net, &mut [&mut ea, &mut eb]), [["down n2.20"], ["down n1.10"]]);
}

#[test]
fn a_seed_tells_the_whole_run() {
    let run = |seed: u64| {
        let net = MemoryNet::new(seed);
        let ((a, mut ea), (_b, mut eb)) = (boot(&net, A, 1), boot(&net, B, 1));
        settle(&net, &mut [&mut ea, &mut eb]);
        let mut trace = Vec::new();
        for n in 0..40 {
            let channel = Channel::ALL[n as usize % 4];
            a.send(B, channel, byte(n)).unwrap();
        }
        while net.step() {
            while let Some(TransportEvent::Frame { bytes, .. }) = eb.try_recv() {
                trace.push(bytes[0]);
            }
        }
        assert_eq!(trace.len(), 40);
        trace
    };
    assert_eq!(run(77), run(77));
    assert!((1..20).any(|seed| run(seed) != run(77)));
}

#[tokio::test]
async fn a_user_asks_in_memory() {
    let net = MemoryNet::new(6);
    let (_a, mut ea) = boot(&net, A, 1);
    assert!(net.request(A, PublicKey([8; 32]), byte(1)).is_none());
    let mut answers = net.request(A, PublicKey([9; 32]), byte(1)).unwrap();
    let Some(TransportEvent::Request(mut request)) = ea.recv().await else {
        panic!("the request comes out");
    };
    request.respond(byte(5)).await.unwrap();
    drop(request);
    assert_eq!(answers.next().await, Ok(Some(byte(5))));
    assert_eq!(answers.next().await, Ok(None));
}
