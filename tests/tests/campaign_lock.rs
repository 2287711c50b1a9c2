//! The paused leader: it is stopped in the middle of its work, deposed, and wakes believing that it still leads.
//!
//! This is how locks with leases break: the one that slept holds no lock any more and does not know. Here the group is the
//! holder, and its letters are what it does to the world.
//!
//! 1. `PANDO_PAUSE_SECONDS=30 cargo test --release -p pando-tests --test campaign_lock` pauses it for half a minute.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pando_tests::{
    Asker, Realm, Spawn,
    guests::{order, verb},
    until,
};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(60);
/// Writers to each of the two receivers.
const WRITERS: usize = 4;

fn pause() -> Duration {
    let seconds = std::env::var("PANDO_PAUSE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

struct Writers {
    tasks: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
}

impl Writers {
    /// Have `post` write to both receivers without pause.
    async fn start(realm: &Realm) -> Writers {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = Vec::new();
        for n in 0..WRITERS {
            for (line, to) in [(0, "desk"), (1, "slip")] {
                let asker = realm.asker_at(1 + (n as u32 % 3)).await;
                let (stop, written) = (stop.clone(), written.clone());
                tasks.push(tokio::spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        write(&asker, line, to).await;
                        written.fetch_add(1, Ordering::Relaxed);
                    }
                }));
            }
        }
        Writers { tasks, stop, written }
    }

    async fn go_on(&self, more: u64) {
        let goal = self.written.load(Ordering::Relaxed) + more;
        let done = async || (self.written.load(Ordering::Relaxed) >= goal).then_some(());
        until(&format!("{more} more letters are written"), PATIENCE, done).await;
    }

    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a writer ends");
        }
        self.written.load(Ordering::Relaxed)
    }
}

/// One letter, asked for under one key until it is known to be written.
async fn write(asker: &Asker, line: u64, to: &str) {
    let key = asker.client().next_key();
    let began = Instant::now();
    loop {
        let body = order(verb::POST, line, 0, &[]);
        match asker.keyed("post", body, vec![to.to_owned()], 0, key, Duration::from_secs(1)).await {
            Ok(answer) => return assert_ne!(answer.number(), 0, "a letter to {to} could not be sent"),
            Err(trouble) => assert!(began.elapsed() < PATIENCE, "a letter to {to} is not written: {trouble:?}"),
        }
    }
}

/// What came to a receiver: how many, how many again or late, how many skipped, the highest number.
async fn mail(asker: &Asker, who: &str, line: u64) -> [u64; 4] {
    let answer = asker.query(who, order(verb::MAIL, line, 0, &[])).await;
    [0, 1, 2, 3].map(|at| answer.value[at].as_u64().expect("four numbers"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_slept_through_its_deposition_does_nothing_twice() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("courier").replicas(3).name("post")).await;
    asker.spawn(Spawn::guest("courier").replicas(3).name("desk")).await;
    let leader = asker.leader("post").await;
    // The plain one outlives the pause: it lives on a node that is not paused.
    let other = (1..=3).find(|node| *node != leader).expect("three nodes");
    asker.spawn(Spawn::guest("courier").on(other).name("slip")).await;
    let writers = Writers::start(&realm).await;
    writers.go_on(300).await;
    let mut paused = Vec::new();
    for _ in 0..2 {
        let leader = asker.leader("post").await;
        if leader == other {
            // Not this one: its receiver would sleep too. Somebody else leads after a while of load or not at all.
            break;
        }
        realm.freeze(leader);
        paused.push(leader);
        let began = Instant::now();
        // Others lead, and the world goes on ...
        writers.go_on(200).await;
        until("the pause is over", PATIENCE, async || (began.elapsed() >= pause()).then_some(())).await;
        // ... and the sleeper wakes with letters in its hand.
        realm.thaw(leader);
        writers.go_on(300).await;
    }
    assert!(!paused.is_empty(), "nobody was paused");
    let written = writers.stop().await;
    let arrived = async || {
        let (desk, slip) = (mail(&asker, "desk", 0).await, mail(&asker, "slip", 1).await);
        (desk[3] + slip[3] >= written).then_some((desk, slip))
    };
    let (desk, slip) = until("every letter has come", PATIENCE, arrived).await;
    // What would come twice has some time to come.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (desk, slip) = (mail(&asker, "desk", 0).await.max(desk), mail(&asker, "slip", 1).await.max(slip));
    eprintln!("{written} letters over pauses of {paused:?}; at the group {desk:?}, at the plain actor {slip:?}");
    for (who, [letters, again, skipped, highest]) in [("the group", desk), ("the plain actor", slip)] {
        assert_eq!((again, skipped), (0, 0), "letters to {who}: {letters}, up to {highest}");
        assert_eq!(letters, highest, "letters to {who}");
    }
    assert_eq!(desk[3] + slip[3], written);
}
