//! What methods that wait can rely on.

use pando::{Down, ExitKind, Rights, Time, join, join_all, prelude::*, race, realm, testing::Test};

#[derive(Default)]
struct Waiter {
    notes: Vec<String>,
    ticks: u32,
}

#[pando::client]
trait Adder {
    fn add(by: i64) -> i64;
    #[query]
    fn value() -> i64;
    fn note(text: String);
}

#[pando::actor(no_export)]
impl Waiter {
    async fn sum(this: This<Self>, peer: AdderRef, by: i64) -> pando::Result<i64> {
        this.with(|s| s.notes.push(format!("asking {by}")));
        let sum = peer.add(by).deadline(Duration::from_millis(500)).await?;
        this.with(|s| s.notes.push(format!("got {sum}")));
        Ok(sum)
    }

    #[query]
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    async fn both(this: This<Self>, left: AdderRef, right: AdderRef) -> pando::Result<i64> {
        let _ = this;
        let (left, right) = join(left.value().start(), right.value().start()).await;
        Ok(left? + right?)
    }

    async fn all(_: This<Self>, peers: Vec<AdderRef>) -> Vec<Option<i64>> {
        let calls: Vec<_> = peers.iter().map(|peer| peer.value().start()).collect();
        join_all(calls).await.into_iter().map(Result::ok).collect()
    }

    async fn nap(_: This<Self>, ms: u64) -> u64 {
        let before = pando::now();
        pando::sleep(Duration::from_millis(ms)).await;
        (pando::now() - before).as_millis() as u64
    }

    async fn first(_: This<Self>, peer: AdderRef) -> String {
        match race(peer.value().start(), pando::sleep(Duration::from_secs(1))).await {
            pando::future::First::Left(value) => format!("{value:?}"),
            pando::future::First::Right(()) => "too late".into(),
        }
    }

    async fn limited(_: This<Self>, peer: AdderRef) -> pando::Result<i64> {
        pando::timeout(Duration::from_secs(1), peer.value().start()).await?
    }

    async fn outlive(_: This<Self>, other: Handle) -> pando::Result<String> {
        let down: Down = other.monitor()?.await;
        Ok(format!("{}: {}", down.kind.name(), down.message))
    }

    fn tick(this: This<Self>) {
        pando::task(async move {
            let mut every = pando::interval(Duration::from_secs(1));
            loop {
                every.tick().await;
                this.with(|s| s.ticks += 1);
            }
        });
    }

    async fn tell(_: This<Self>, name: String) -> pando::Result<bool> {
        let Some(found) = realm::whereis::<AdderRef>(&name).await? else { return Ok(false) };
        found.note("hello").send()?;
        Ok(true)
    }

    async fn badges(_: This<Self>) -> (u64, u64) {
        let before = pando::badge();
        pando::yield_now().await;
        (before, pando::badge())
    }

    async fn weak(_: This<Self>, peer: Handle) -> pando::Result<i64> {
        let weak: AdderRef = peer.limited(Rights::SHARE)?.cast();
        weak.value().await
    }
}

#[test]
fn while_a_method_waits_others_run_and_see_the_state() {
    let mut waiter = Test::<Waiter>::start(());
    let adder = waiter.peer("adder");
    let one = waiter.begin(|w| w.sum(adder.cast(), 1));
    let two = waiter.begin(|w| w.sum(adder.cast(), 2));
    assert_eq!(waiter.ask(|w| w.notes()).unwrap(), ["asking 1", "asking 2"]);
    let (first, second) = (waiter.expect_call(&adder, "add"), waiter.expect_call(&adder, "add"));
    assert_eq!(first.deadline, Some(Duration::from_millis(500)));
    assert_eq!(second.args::<(i64,)>(), (2,));
    waiter.reply(second, Ok(20));
    assert_eq!(waiter.answer(&two), Some(Ok(20)));
    assert_eq!(waiter.answer(&one), None);
    waiter.reply::<i64>(first, Err(Errno::TIMEOUT.into()));
    let error = waiter.answer(&one).unwrap().unwrap_err();
    assert_eq!((error.errno(), error.words()), (Errno::APPLICATION, Errno::TIMEOUT.text()));
    assert_eq!(waiter.ask(|w| w.notes()).unwrap(), ["asking 1", "asking 2", "got 20"]);
    assert_eq!((waiter.tasks(), waiter.handles()), (0, 0));
}

#[test]
fn two_calls_can_be_on_their_way_at_once() {
    let mut waiter = Test::<Waiter>::start(());
    let (left, right) = (waiter.peer("left"), waiter.peer("right"));
    let asked = waiter.begin(|w| w.both(left.cast(), right.cast()));
    let (to_left, to_right) = (waiter.expect_call(&left, "value"), waiter.expect_call(&right, "value"));
    assert!(to_left.query && to_right.query);
    waiter.reply(to_right, Ok(2));
    assert_eq!(waiter.answer(&asked), None);
    waiter.reply(to_left, Ok(40));
    assert_eq!(waiter.answer(&asked), Some(Ok(42)));
}

#[test]
fn many_answers_come_in_any_order_and_stay_in_theirs() {
    let mut waiter = Test::<Waiter>::start(());
    let peers: Vec<_> = ["a", "b", "c"].iter().map(|name| waiter.peer(name)).collect();
    let asked = waiter.begin(|w| w.all(peers.iter().map(|peer| peer.cast()).collect()));
    let mut calls: Vec<_> = peers.iter().map(|peer| waiter.expect_call(peer, "value")).collect();
    waiter.reply(calls.pop().unwrap(), Ok(3));
    waiter.reply::<i64>(calls.pop().unwrap(), Err(Errno::DEAD.into()));
    waiter.reply(calls.pop().unwrap(), Ok(1));
    assert_eq!(waiter.answer(&asked), Some(Ok(vec![Some(1), None, Some(3)])));
}

#[test]
fn sleeping_takes_the_time_that_it_takes() {
    let mut waiter = Test::<Waiter>::start(());
    let (long, short) = (waiter.begin(|w| w.nap(50)), waiter.begin(|w| w.nap(20)));
    waiter.advance(Duration::from_millis(19));
    assert_eq!(waiter.answer(&short), None);
    waiter.advance(Duration::from_millis(1));
    assert_eq!((waiter.answer(&short), waiter.answer(&long)), (Some(Ok(20)), None));
    waiter.advance(Duration::from_secs(1));
    assert_eq!(waiter.answer(&long), Some(Ok(50)), "a timer fires at its own time, not when somebody looks");
}

#[test]
fn of_two_the_first_counts_and_the_other_is_taken_back() {
    let mut waiter = Test::<Waiter>::start(());
    let adder = waiter.peer("adder");
    let asked = waiter.begin(|w| w.first(adder.cast()));
    let call = waiter.expect_call(&adder, "value");
    waiter.advance(Duration::from_secs(1));
    assert_eq!(waiter.answer(&asked), Some(Ok("too late".into())));
    waiter.reply(call, Ok(1)); // Nobody waits for it any more, and nothing happens.
    let asked = waiter.begin(|w| w.first(adder.cast()));
    let call = waiter.expect_call(&adder, "value");
    waiter.reply(call, Ok(1));
    assert_eq!(waiter.answer(&asked), Some(Ok("Ok(1)".into())));
    waiter.advance(Duration::from_secs(2));
    assert_eq!(waiter.tasks(), 0);
}

#[test]
fn a_limit_of_time_is_an_error() {
    let mut waiter = Test::<Waiter>::start(());
    let adder = waiter.peer("adder");
    let asked = waiter.begin(|w| w.limited(adder.cast()));
    waiter.advance(Duration::from_secs(2));
    assert_eq!(waiter.answer(&asked).unwrap().unwrap_err().words(), Errno::TIMEOUT.text());
}

#[test]
fn an_end_can_be_waited_for() {
    let mut waiter = Test::<Waiter>::start(());
    let ada = waiter.peer("ada");
    let asked = waiter.begin(|w| w.outlive(ada.handle()));
    waiter.down(&ada, ExitKind::Killed, "enough");
    assert_eq!(waiter.answer(&asked), Some(Ok("killed: enough".into())));
}

#[test]
fn a_task_runs_beside_the_methods() {
    let mut waiter = Test::<Waiter>::start(());
    waiter.send(|w| w.tick());
    waiter.advance(Duration::from_millis(3500));
    assert_eq!(waiter.state(|s| s.ticks), 3);
    assert_eq!(waiter.now(), Time(pando::testing::EPOCH.0 + 3_500_000_000));
}

#[test]
fn names_are_found_through_the_realm() {
    let mut waiter = Test::<Waiter>::start(());
    let (realm, bob) = (waiter.realm(), waiter.peer("bob"));
    let asked = waiter.begin(|w| w.tell("bob"));
    let call = waiter.expect_call(&realm, "lookup");
    assert_eq!(call.args::<(String,)>().0, "bob");
    waiter.reply(call, Ok(bob.handle()));
    assert_eq!(waiter.expect_send(&bob, "note").args::<(String,)>().0, "hello");
    assert_eq!(waiter.answer(&asked), Some(Ok(true)));

    let asked = waiter.begin(|w| w.tell("eve"));
    let call = waiter.expect_call(&realm, "lookup");
    waiter.reply::<Handle>(call, Err(Errno::NOT_FOUND.into()));
    assert_eq!(waiter.answer(&asked), Some(Ok(false)));
    waiter.expect_nothing();
}

#[test]
fn a_method_keeps_its_callers_badge_while_it_waits() {
    let mut waiter = Test::<Waiter>::start(());
    let asked = waiter.begin_with_badge(5, |w| w.badges());
    waiter.advance(Duration::from_millis(1));
    assert_eq!(waiter.answer(&asked), Some(Ok((5, 5))));
}

#[test]
fn a_call_without_the_right_fails_at_once() {
    let mut waiter = Test::<Waiter>::start(());
    let ada = waiter.peer("ada");
    assert_eq!(waiter.ask(|w| w.weak(ada.handle())).unwrap_err().words(), Errno::DENIED.text());
    waiter.expect_nothing();
}

#[test]
#[should_panic(expected = "the actor has not answered yet")]
fn asking_a_method_that_waits_fails_the_test() {
    let mut waiter = Test::<Waiter>::start(());
    let _ = waiter.ask(|w| w.nap(5));
}

#[test]
#[should_panic(expected = "nothing was expected, but there is [Call(query to adder: [\"value\"])]")]
fn an_effect_that_was_not_expected_fails_the_test_and_is_named() {
    let mut waiter = Test::<Waiter>::start(());
    let adder = waiter.peer("adder");
    waiter.send(|w| w.first(adder.cast()));
    waiter.expect_nothing();
}
