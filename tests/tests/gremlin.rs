//! Hostile and broken guests beside a well-behaved neighbour, on one node: each is bounded, with a reason, and the node
//! and the neighbour go on.

use std::time::{Duration, Instant};

use pando_abi::{Errno, Restart, limits};
use pando_tests::{Asker, Realm, Spawn, Trouble, guests::order, until};

const PATIENCE: Duration = Duration::from_secs(60);
/// The neighbour answers within this, whatever goes on beside it and on the machine.
const NEIGHBOURLY: Duration = Duration::from_secs(5);

/// The imp's deeds, as `imp.wat` numbers them.
mod deed {
    pub const LOOP: u64 = 1;
    pub const RECURSE: u64 = 2;
    pub const MEMORY: u64 = 3;
    pub const HANDLES: u64 = 4;
    pub const GRANTS: u64 = 5;
    pub const BREED: u64 = 6;
    pub const FLOOD_SELF: u64 = 7;
    pub const FLOOD_BYTES: u64 = 8;
    pub const TIMERS: u64 = 9;
    pub const CALLS: u64 = 10;
    pub const MONITORS: u64 = 11;
    pub const LOG: u64 = 12;
    pub const POINTER: u64 = 13;
    pub const HANDLE: u64 = 14;
    pub const DIVIDE: u64 = 15;
    pub const SPIN: u64 = 16;
    pub const NEVER_REST: u64 = 17;
    pub const FLOOD_OTHER: u64 = 18;
    pub const LONG_FAREWELL: u64 = 19;
}

/// A node with a neighbour that counts.
async fn street() -> (Realm, Asker, Neighbour) {
    let realm = Realm::start(1).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").name("neighbour")).await;
    let neighbour = Neighbour { asker: realm.asker(), calls: 0 };
    (realm, asker, neighbour)
}

struct Neighbour {
    asker: Asker,
    calls: i64,
}

impl Neighbour {
    /// Answers, soon, and has forgotten nothing.
    async fn answers(&mut self) {
        let began = Instant::now();
        self.calls += 1;
        assert_eq!(self.asker.call("neighbour add").await.number(), self.calls);
        assert!(began.elapsed() < NEIGHBOURLY, "the neighbour took {:?}", began.elapsed());
    }
}

async fn imp(asker: &Asker) -> Spawn {
    // Nobody else has the name by now.
    until("the last imp is gone", PATIENCE, async || asker.names().await.iter().all(|n| n.name != "imp").then_some(()))
        .await;
    Spawn::guest("imp").name("imp")
}

async fn does(asker: &Asker, deed: u64, a: u64) -> Result<i64, Trouble> {
    asker.try_order("imp", order(deed, a, 0, &[]), &[]).await.map(|answer| answer.number())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_is_ended_at_its_limit_and_its_neighbour_answers_meanwhile() {
    let (mut realm, asker, mut neighbour) = street().await;
    asker.spawn(imp(&asker).await.cpu_ms(1_500)).await;
    let end = asker.watch("imp").await;
    let looping = asker.clone();
    let call = tokio::spawn(async move { does(&looping, deed::LOOP, 0).await });
    let mut meanwhile = 0;
    until("the loop is ended", PATIENCE, async || {
        neighbour.answers().await;
        meanwhile += 1;
        end.is_finished().then_some(())
    })
    .await;
    let end = end.await.expect("a watch");
    assert_eq!(end.kind, "cpu-limit", "{end:?}");
    assert!(meanwhile > 3, "the neighbour answered only {meanwhile} times in a second and a half");
    let errno = call.await.expect("a call").expect_err("it never answers").errno;
    assert!(matches!(errno, Errno::DEAD | Errno::TRAPPED), "{errno:?}");
    assert!(!realm.has_ended(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn four_endless_loops_on_two_cores_leave_the_neighbour_alone() {
    let (mut realm, asker, mut neighbour) = street().await;
    let mut ends = Vec::new();
    for n in 0..4 {
        let name = format!("imp{n}");
        asker.spawn(Spawn::guest("imp").name(&name).cpu_ms(1_000)).await;
        ends.push(asker.watch(&name).await);
        asker.send(&name, order(deed::LOOP, 0, 0, &[])).await;
    }
    until("the loops are ended", PATIENCE, async || {
        neighbour.answers().await;
        ends.iter().all(|end| end.is_finished()).then_some(())
    })
    .await;
    for end in ends {
        assert_eq!(end.await.expect("a watch").kind, "cpu-limit");
    }
    assert!(!realm.has_ended(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_anything_ends_at_a_published_limit() {
    let (mut realm, asker, mut neighbour) = street().await;
    let limit = i64::from(Errno::LIMIT.code());
    let pages = (limits::MEMORY_BYTES_DEFAULT >> 16) as i64;
    // What it does, and what it is told.
    let storms: [(&str, u64, i64); 10] = [
        ("memory", deed::MEMORY, pages),
        ("handles", deed::HANDLES, limit),
        ("grants", deed::GRANTS, limit),
        ("timers", deed::TIMERS, limit),
        ("monitors", deed::MONITORS, limit),
        ("log lines", deed::LOG, 0),
        ("calls", deed::CALLS, 0),
        ("bytes of messages", deed::FLOOD_BYTES, 0),
        ("messages to itself", deed::FLOOD_SELF, 0),
        ("children", deed::BREED, 0),
    ];
    for (what, deed, told) in storms {
        asker.spawn(imp(&asker).await.cpu_ms(20_000)).await;
        let answer = does(&asker, deed, 0).await;
        match what {
            // A module may grow to its limit, but not one page beyond.
            "memory" => assert!(answer.as_ref().is_ok_and(|n| *n > pages - 17 && *n <= pages), "{what}: {answer:?}"),
            _ => assert_eq!(answer, Ok(told), "{what}"),
        }
        neighbour.answers().await;
        asker.kill("imp").await;
    }
    // Those that were bred live on, bounded by what one handler may ask for.
    let top = asker.top().await;
    assert!(top[0].actors <= limits::EFFECTS_MAX as u64 + 2, "{top:?}");
    neighbour.answers().await;
    assert!(!realm.has_ended(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn misuse_ends_the_guilty_with_a_reason_that_names_it() {
    let (mut realm, asker, mut neighbour) = street().await;
    // What it does, what it is told, and where it was: the innermost frames.
    let misuses: [(&str, u64, &str, &str); 4] = [
        ("recursion without end", deed::RECURSE, "stack", "deeper"),
        ("a pointer out of memory", deed::POINTER, "memory", "on_message"),
        ("a handle that was never given", deed::HANDLE, "handle", "on_message"),
        ("a division by zero", deed::DIVIDE, "divided by zero", "on_message"),
    ];
    for (what, deed, word, place) in misuses {
        asker.spawn(imp(&asker).await).await;
        let end = asker.watch("imp").await;
        let trouble = does(&asker, deed, 0).await.expect_err(what);
        assert_eq!(trouble.errno, Errno::TRAPPED, "{what}: {trouble:?}");
        let end = end.await.expect("a watch");
        assert_eq!(end.kind, "fault", "{what}: {end:?}");
        assert!(end.message.contains(word), "{what}: {end:?}");
        assert!(end.message.contains(place), "{what} has no backtrace: {end:?}");
        neighbour.answers().await;
    }
    assert!(!realm.has_ended(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_is_to_resume_loses_the_event_that_faulted_and_nothing_else() {
    let (_realm, asker, mut neighbour) = street().await;
    asker.spawn(imp(&asker).await.restart(Restart::Resume)).await;
    for deed in [deed::RECURSE, deed::POINTER, deed::HANDLE, deed::DIVIDE] {
        assert_eq!(does(&asker, deed, 0).await.expect_err("it faults").errno, Errno::TRAPPED);
        assert_eq!(does(&asker, deed::SPIN, 10).await, Ok(0), "it lives");
    }
    neighbour.answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_faults_again_and_again_is_not_restarted_for_ever() {
    let (_realm, asker, mut neighbour) = street().await;
    asker.spawn(imp(&asker).await.restart(Restart::Always)).await;
    let end = asker.watch("imp").await;
    until("it is given up", PATIENCE, async || {
        // Between two lives nobody may be there to be called.
        let _ = does(&asker, deed::DIVIDE, 0).await;
        end.is_finished().then_some(())
    })
    .await;
    assert_eq!(end.await.expect("a watch").kind, "fault");
    neighbour.answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_never_rest_share_with_their_neighbours() {
    let (mut realm, asker, mut neighbour) = street().await;
    for n in 0..8 {
        let name = format!("imp{n}");
        asker.spawn(Spawn::guest("imp").name(&name)).await;
        asker.order(&name, order(deed::NEVER_REST, 0, 0, &[]), &[]).await;
    }
    for _ in 0..50 {
        neighbour.answers().await;
    }
    // Killing is heard between two events.
    for n in 0..8 {
        asker.kill(&format!("imp{n}")).await;
    }
    until("they are gone", PATIENCE, async || (asker.top().await[0].actors == 1).then_some(())).await;
    assert!(!realm.has_ended(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flooded_mailbox_refuses_and_its_owner_survives() {
    let (mut realm, asker, mut neighbour) = street().await;
    asker.spawn(Spawn::guest("sentinel").name("victim")).await;
    for n in 0..3 {
        let name = format!("imp{n}");
        asker.spawn(Spawn::guest("imp").name(&name)).await;
        asker.order(&name, order(deed::FLOOD_OTHER, 0, 0, &[]), &["victim"]).await;
    }
    for _ in 0..20 {
        neighbour.answers().await;
        let row = asker.row("victim").await.expect("the victim lives");
        assert!(row.mailbox <= limits::MAILBOX_MESSAGES_MAX as u64 + 64, "{row:?}");
    }
    for n in 0..3 {
        asker.kill(&format!("imp{n}")).await;
    }
    until("the victim has worked it off", PATIENCE, async || {
        asker.row("victim").await.filter(|row| row.mailbox == 0).map(|_| ())
    })
    .await;
    neighbour.answers().await;
    assert!(!realm.has_ended(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_farewell_is_cut() {
    let (_realm, asker, mut neighbour) = street().await;
    asker.spawn(imp(&asker).await).await;
    let end = asker.watch("imp").await;
    asker.send("imp", order(deed::LONG_FAREWELL, 0, 0, &[])).await;
    let end = end.await.expect("a watch");
    assert_eq!((end.kind.as_str(), end.code), ("error", 3));
    assert!(end.message.len() <= limits::EXIT_MESSAGE_BYTES_MAX + 64, "{} bytes", end.message.len());
    neighbour.answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replicated_guest_runs_out_of_fuel_and_its_neighbours_do_not() {
    let (mut realm, asker, mut neighbour) = street().await;
    asker.spawn(Spawn::guest("tally").replicas(1).name("ledger")).await;
    asker.spawn(imp(&asker).await.replicas(1)).await;
    let end = asker.watch("imp").await;
    asker.send("imp", order(deed::LOOP, 0, 0, &[])).await;
    let mut n = 0;
    until("the loop is ended", PATIENCE, async || {
        neighbour.answers().await;
        n += 1;
        assert_eq!(asker.call("ledger add").await.number(), n);
        end.is_finished().then_some(())
    })
    .await;
    assert_eq!(end.await.expect("a watch").kind, "cpu-limit");
    assert!(!realm.has_ended(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_module_is_refused_with_a_reason() {
    let (_realm, asker, mut neighbour) = street().await;
    let assemble = |text: &str| wat::parse_str(text).expect("text that assembles");
    let refused: [(&str, Vec<u8>, &str); 5] = [
        ("noise", b"hello".to_vec(), ""),
        ("nothing-exported", assemble("(module)"), "pando_receive"),
        (
            "unknown-import",
            assemble("(module (import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32) (result i32))))"),
            "wasi_snapshot_preview1",
        ),
        (
            "wrong-type",
            assemble("(module (import \"pando_1\" \"now\" (func (param i32))) (memory (export \"memory\") 1))"),
            "now",
        ),
        ("two-memories", assemble("(module (memory 1) (memory 1))"), ""),
    ];
    for (label, wasm, word) in refused {
        let trouble = asker.put(label, wasm).await.expect_err(label);
        assert!(trouble.text.contains(word), "{label}: {trouble:?}");
        assert_ne!(trouble.errno, Errno::INTERNAL, "{label}: {trouble:?}");
        neighbour.answers().await;
    }
}
