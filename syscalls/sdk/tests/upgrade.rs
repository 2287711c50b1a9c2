//! What an actor can rely on when its code is replaced: three versions of one, each of which reads all before it.

use pando::{Errno, Handle, State, prelude::*, testing::Test};

#[pando::client]
trait Listener {
    fn counted(value: i64);
}

#[derive(Default)]
struct First {
    value: i64,
}

#[pando::actor(no_export)]
impl First {
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    async fn later(this: This<Self>) -> i64 {
        pando::sleep(Duration::from_secs(1)).await;
        this.with(|s| s.value)
    }

    fn export_state(&self) -> i64 {
        self.value
    }

    fn import_state(state: State) -> pando::Result<Self> {
        match state.version() {
            1 => Ok(First { value: state.read()? }),
            newer => Err(format!("version {newer} is newer than this code").into()),
        }
    }
}

/// Adds a label and a listener.
#[derive(Default)]
struct Second {
    value: i64,
    label: String,
    listener: Option<ListenerRef>,
}

#[pando::actor(no_export, state = 2)]
impl Second {
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        if let Some(listener) = &self.listener {
            let _ = listener.counted(self.value).send();
        }
        self.value
    }

    fn listen(&mut self, who: Handle) {
        self.listener = Some(who.cast());
    }

    fn export_state(&self) -> (i64, String, Option<ListenerRef>) {
        (self.value, self.label.clone(), self.listener.clone())
    }

    fn import_state(state: State) -> pando::Result<Self> {
        match state.version() {
            1 => Ok(Second { value: state.read()?, label: "hits".into(), listener: None }),
            2 => state.read().map(|(value, label, listener)| Second { value, label, listener }),
            newer => Err(format!("version {newer} is newer than this code").into()),
        }
    }
}

/// Counts in cents.
#[derive(Data, Clone, Default)]
struct Kept {
    cents: i64,
    label: String,
    listener: Option<ListenerRef>,
}

#[derive(Default)]
struct Third {
    kept: Kept,
}

#[pando::actor(no_export, state = 3)]
impl Third {
    fn add(&mut self, by: i64) -> i64 {
        self.kept.cents += 100 * by;
        if let Some(listener) = &self.kept.listener {
            let _ = listener.counted(self.kept.cents).send();
        }
        self.kept.cents
    }

    #[query]
    fn label(&self) -> String {
        self.kept.label.clone()
    }

    fn export_state(&self) -> Kept {
        self.kept.clone()
    }

    fn import_state(state: State) -> pando::Result<Self> {
        let kept = match state.version() {
            1 => Kept { cents: 100 * state.read::<i64>()?, label: "hits".into(), listener: None },
            2 => {
                let (value, label, listener) = state.read::<(i64, String, Option<ListenerRef>)>()?;
                Kept { cents: 100 * value, label, listener }
            }
            _ => state.read()?,
        };
        Ok(Third { kept })
    }
}

#[test]
fn the_first_version_becomes_the_third_by_way_of_the_second_and_directly() {
    let first = || {
        let mut first = Test::<First>::start(());
        assert_eq!(first.ask(|c| c.add(5)), Ok(5));
        first
    };
    let mut direct = first().upgrade::<Third>().unwrap();
    assert_eq!((direct.ask(|c| c.add(1)), direct.ask(|c| c.label())), (Ok(600), Ok("hits".into())));

    let mut second = first().upgrade::<Second>().unwrap();
    assert_eq!(second.ask(|c| c.add(1)), Ok(6));
    let mut third = second.upgrade::<Third>().unwrap();
    assert_eq!((third.ask(|c| c.add(1)), third.ask(|c| c.label())), (Ok(700), Ok("hits".into())));
    let mut again = third.upgrade::<Third>().unwrap();
    assert_eq!(again.ask(|c| c.add(0)), Ok(700), "a version reads its own");
}

#[test]
fn handles_in_the_state_reach_whom_they_reached_and_others_are_let_go() {
    let mut second = Test::<First>::start(()).upgrade::<Second>().unwrap();
    let (ear, other) = (second.peer("ear"), second.peer("other"));
    for peer in [&other, &ear] {
        let handle = peer.handle();
        assert_eq!(second.ask(|c| c.listen(handle)), Ok(()));
    }
    let mut third = second.upgrade::<Third>().unwrap();
    assert_eq!(third.handles(), 1);
    assert_eq!(third.ask(|c| c.add(2)), Ok(200));
    third.expect_send(&ear, "counted");
    third.expect_nothing();
}

#[test]
fn who_waits_for_code_that_is_gone_is_told_upgraded_and_its_timers_wake_nobody() {
    let mut first = Test::<First>::start(());
    let asked = first.begin(|c| c.later());
    assert_eq!(first.answer(&asked), None);
    let mut second = first.upgrade::<Second>().unwrap();
    assert_eq!(second.answer(&asked).map(|answer| answer.map_err(|e| e.errno())), Some(Err(Errno::UPGRADED)));
    second.advance(Duration::from_secs(5));
    assert_eq!((second.tasks(), second.ask(|c| c.add(1))), (0, Ok(1)));
}

#[test]
fn a_version_that_cannot_be_read_is_refused_in_the_words_of_the_code() {
    let third = Test::<First>::start(()).upgrade::<Third>().unwrap();
    let refused = third.upgrade::<First>().err().expect("an old version does not read a newer one");
    assert_eq!(refused.words(), "version 3 is newer than this code");
}
