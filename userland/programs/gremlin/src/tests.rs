use pando::{
    abi::limits,
    sys,
    testing::{Effect, Test},
};

use super::*;

fn told(got: usize) -> Storm {
    Storm { got: got as u64, told: Some("LIMIT".into()) }
}

#[test]
fn every_storm_ends_at_its_limit() {
    let mut gremlin = Test::<Gremlin>::start(());
    let target = gremlin.peer("target");
    assert_eq!(gremlin.ask(|g| g.timer_storm(None)), Ok(told(limits::TIMERS_MAX)));
    assert_eq!(gremlin.ask(|g| g.monitor_storm(target.handle(), None)), Ok(told(limits::MONITORS_MAX)));
    assert_eq!(gremlin.ask(|g| g.call_storm(target.handle(), None)), Ok(told(limits::CALLS_MAX)));
    assert_eq!(gremlin.ask(|g| g.flood_self(100_000, 1)), Ok(told(limits::EFFECTS_MAX - sys::RESERVED_EFFECTS)));
    assert_eq!(gremlin.ask(|g| g.handle_storm(Some(100))), Ok(Storm { got: 100, told: None }));
    let storm = gremlin.ask(|g| g.handle_storm(None)).unwrap();
    assert_eq!(storm.told.as_deref(), Some("LIMIT"));
    assert_eq!(gremlin.ask(|g| g.hoarded()).unwrap(), storm.got + 100);
}

#[test]
fn a_query_has_no_effects() {
    let mut gremlin = Test::<Gremlin>::start(());
    let told = gremlin.ask(|g| g.mischief_in_a_query()).unwrap();
    assert_eq!(told.len(), 7);
    assert!(told.iter().all(|line| line.ends_with(": READ_ONLY")), "{told:?}");
    gremlin.expect_nothing();
}

#[test]
fn a_caller_is_told_or_waits_as_the_gremlin_likes() {
    let mut gremlin = Test::<Gremlin>::start(());
    assert_eq!(gremlin.ask(|g| g.drop_reply()).unwrap_err().errno(), Errno::NO_REPLY);
    let waiting = gremlin.begin(|g| g.never_reply());
    assert_eq!(gremlin.answer(&waiting), None);
    assert_eq!(gremlin.ask(|g| g.divide(7, 2)), Ok(3));
}

#[test]
fn it_breeds() {
    let mut gremlin = Test::<Gremlin>::start(());
    gremlin.ask(|g| g.breed(2)).unwrap();
    for _ in 0..2 {
        let child = gremlin.expect_spawn().child;
        gremlin.expect_effect(&Effect::Link(child.clone()));
        assert_eq!(gremlin.expect_send(&child, "breed").args::<(u32,)>(), (1,));
    }
    gremlin.expect_nothing();
}

#[test]
fn it_ends_as_it_is_told() {
    let mut gremlin = Test::<Gremlin>::start(());
    gremlin.send(|g| g.exit(3, Some("enough".into())));
    assert_eq!(gremlin.exited().unwrap().code, 3);
}

#[test]
#[should_panic(expected = "fault: the actor does not hold the handle")]
fn a_handle_that_was_made_up_is_a_fault() {
    Test::<Gremlin>::start(()).send(|g| g.bad_handle(None));
}

#[test]
#[should_panic(expected = "fault: the actor does not hold the handle")]
fn a_handle_that_was_dropped_is_a_fault() {
    Test::<Gremlin>::start(()).send(|g| g.use_after_drop());
}

#[test]
#[should_panic(expected = "fault: a body of")]
fn a_message_that_is_too_large_is_a_fault() {
    Test::<Gremlin>::start(()).send(|g| g.huge_message(limits::MESSAGE_BYTES_MAX as u32));
}

#[test]
#[should_panic(expected = "not my fault")]
fn a_panic_is_the_actors_end() {
    Test::<Gremlin>::start(()).send(|g| g.panic("not my fault"));
}
