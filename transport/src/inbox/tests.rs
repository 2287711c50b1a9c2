use super::*;
use pando_abi::{Incarnation, NodeId};

fn cell(node: u32, life: u64) -> Arc<Cell> {
    Cell::new(NodeId(node), Incarnation(life))
}

fn frame(n: u8) -> Bytes {
    Bytes::from(vec![n; 10])
}

fn names(events: &mut Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_recv())
        .map(|event| match event {
            TransportEvent::Up { node, incarnation } => format!("up {node}.{}", incarnation.0),
            TransportEvent::Down { node, incarnation, .. } => format!("down {node}.{}", incarnation.0),
            TransportEvent::Frame { from, channel, bytes, .. } => {
                format!("{} {from} {}", channel.name(), bytes[0])
            }
            TransportEvent::Request(_) => "request".to_owned(),
        })
        .collect()
}

#[tokio::test]
async fn a_session_is_up_then_frames_then_down() {
    let (inbox, mut events) = Inbox::new(10_000);
    let (one, two) = (cell(2, 1), cell(2, 2));
    inbox.announce(&one);
    assert_eq!(one.phase(), Phase::Announced);
    assert_eq!(names(&mut events), ["up n2.1"]);
    assert_eq!(one.phase(), Phase::Open);
    inbox.push(&one, Channel::Bulk, &mut vec![frame(1), frame(2)]).await.unwrap();
    // The peer is back before the kernel has taken what came from its former life.
    inbox.end(&one, "gone".into(), false);
    inbox.announce(&two);
    assert_eq!(names(&mut events), ["bulk n2 1", "bulk n2 2", "down n2.1", "up n2.2"]);
}

#[tokio::test]
async fn a_down_waits_for_the_readers_and_holds_up_nobody_else() {
    let (inbox, mut events) = Inbox::new(10_000);
    let (one, other) = (cell(2, 1), cell(3, 1));
    inbox.announce(&one);
    names(&mut events);
    let reading = Reading::new(&one, &inbox);
    inbox.end(&one, "gone".into(), false);
    inbox.announce(&other);
    assert_eq!(names(&mut events), ["up n3.1"]);
    inbox.push(&one, Channel::Actor, &mut vec![frame(5)]).await.unwrap();
    drop(reading);
    assert_eq!(names(&mut events), ["actor n2 5", "down n2.1"]);
}

#[tokio::test]
async fn a_session_that_ends_unseen_leaves_no_trace() {
    let (inbox, mut events) = Inbox::new(10_000);
    for life in 0..1000 {
        let c = cell(2, life);
        inbox.announce(&c);
        inbox.end(&c, "gone".into(), false);
        assert!(inbox.state.lock().notices.is_empty());
    }
    assert!(names(&mut events).is_empty());
}

#[tokio::test]
async fn nothing_of_a_revoked_session_comes_out() {
    let (inbox, mut events) = Inbox::new(10_000);
    let (one, other) = (cell(2, 1), cell(3, 1));
    for c in [&one, &other] {
        inbox.announce(c);
        names(&mut events);
        inbox.push(c, Channel::Raft, &mut vec![frame(1)]).await.unwrap();
    }
    inbox.end(&one, "removed".into(), true);
    // A reader that was on its way is too late.
    inbox.push(&one, Channel::Raft, &mut vec![frame(2)]).await.unwrap();
    assert_eq!(names(&mut events), ["down n2.1", "raft n3 1"]);
    // The room of what was dropped is free again.
    assert_eq!(inbox.room[0].available_permits(), 10_000);
}

#[tokio::test]
async fn a_full_lane_makes_its_readers_wait_and_no_others() {
    let (inbox, mut events) = Inbox::new(3 * cost(&frame(0)));
    let one = cell(2, 1);
    inbox.announce(&one);
    names(&mut events);
    let pushed = {
        let (inbox, one) = (inbox.clone(), one.clone());
        tokio::spawn(async move {
            let mut frames = (0..10).map(frame).collect();
            inbox.push(&one, Channel::Actor, &mut frames).await
        })
    };
    tokio::task::yield_now().await;
    assert!(inbox.try_push(&one, Channel::Actor, frame(99)).is_err());
    assert_eq!(inbox.state.lock().lanes[Channel::Actor as usize].len(), 3);
    assert!(inbox.try_push(&one, Channel::Raft, frame(77)).is_ok());
    assert_eq!(names(&mut events)[0], "raft n2 77");
    let mut seen = 3;
    while seen < 10 {
        if let Some(TransportEvent::Frame { .. }) = events.recv().await {
            seen += 1;
        }
    }
    pushed.await.unwrap().unwrap();
}

#[tokio::test]
async fn readers_learn_that_the_kernel_is_gone() {
    let (inbox, events) = Inbox::new(cost(&frame(0)));
    let one = cell(2, 1);
    let waiting = {
        let (inbox, one) = (inbox.clone(), one.clone());
        tokio::spawn(async move {
            let mut frames = (0..3).map(frame).collect();
            inbox.push(&one, Channel::Actor, &mut frames).await
        })
    };
    tokio::task::yield_now().await;
    drop(events);
    assert_eq!(waiting.await.unwrap(), Err(Abandoned));
    inbox.orphaned().await;
}

#[tokio::test]
async fn a_finished_inbox_is_emptied_before_it_ends() {
    let (inbox, mut events) = Inbox::new(10_000);
    let one = cell(2, 1);
    inbox.announce(&one);
    events.try_recv().unwrap();
    events.pause(Channel::Actor);
    inbox.push(&one, Channel::Actor, &mut vec![frame(1)]).await.unwrap();
    assert!(events.try_recv().is_none());
    inbox.end(&one, "closed".into(), false);
    inbox.finish();
    assert_eq!(names(&mut events), ["actor n2 1", "down n2.1"]);
    assert!(events.recv().await.is_none());
}
