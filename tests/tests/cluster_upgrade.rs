//! Other code for what lives: real processes, real compilers, under load, while leaders are killed.
//!
//! 1. Not one acknowledged call is lost or doubled across an upgrade, whoever dies in the middle of it.
//! 2. What cannot be taken over is refused, and the old code goes on with the old state.
//! 3. What became of a call whose answer was lost is told, and what has not happened never does.

use std::{path::Path, time::Duration};

use pando_abi::Errno;
use pando_admin::{CallFate, Carried};
use pando_tests::{
    Asker, Realm, Spawn, Trouble,
    guests::{self, order, verb},
    load::{Load, settle},
    shell::Shell,
    until,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for other code until it runs.
async fn insist(asker: &Asker, target: &str, wasm: Vec<u8>) -> Carried {
    loop {
        match asker.try_upgrade(target, "tally", wasm.clone()).await {
            Ok((carried, _)) => return carried,
            Err(Trouble {
                errno: Errno::UNREACHABLE | Errno::NO_QUORUM | Errno::TIMEOUT | Errno::NO_MODULE, ..
            }) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(trouble) => panic!("{trouble:?}"),
        }
    }
}

/// What every node that runs says of the group: its module, how far it is, its chain.
async fn at_one(realm: &Realm, asker: &Asker, target: &str) -> String {
    until("the replicas agree", PATIENCE, async || {
        let mut seen = Vec::new();
        for node in realm.running() {
            let lines = asker.inspect(Some(node), target).await.ok()?;
            let line = |title: &str| lines.iter().find(|(t, _)| t == title).map(|(_, text)| text.clone());
            assert_eq!(line("fenced"), None, "n{node} holds a replica for wrong");
            seen.push((line("module")?, line("log")?, line("chain")?));
        }
        seen.windows(2).all(|pair| pair[0] == pair[1]).then(|| seen[0].0.clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_under_load_loses_and_doubles_nothing_while_the_leader_is_killed() {
    let mut realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
    let load = Load::start(&realm, "hits", 12).await;
    load.go_on(100, PATIENCE).await;
    // In calm first: the answer says how the state came over, and from which index.
    let (carried, index) = asker.try_upgrade("hits", "tally", guests::version("tally", 1)).await.expect("in calm");
    assert_eq!(carried, Carried::Exported { version: 1 });
    assert!(index > 0);
    for n in 2..=4 {
        let leader = asker.leader("hits").await;
        let (task, wasm) = (asker.clone(), guests::version("tally", n));
        let upgrading = tokio::spawn(async move { insist(&task, "hits", wasm).await });
        tokio::time::sleep(Duration::from_millis(u64::from(n) * 30)).await;
        realm.kill(leader);
        load.go_on(50, PATIENCE).await;
        realm.boot(&[leader]).await;
        let carried = upgrading.await.expect("the upgrade is done");
        // Its first answer may have died with the leader.
        assert!(matches!(carried, Carried::Exported { version: 1 } | Carried::Already), "{carried:?}");
        load.go_on(50, PATIENCE).await;
    }
    // Code that traps while it takes over is undone, under load, and its reason is told.
    let refused = asker.try_upgrade("hits", "broken", guests::broken_tally()).await.expect_err("it traps");
    assert_eq!(refused.errno, Errno::REFUSED, "{refused:?}");
    assert!(refused.text.contains("in the new code: `unreachable`"), "{refused:?}");
    load.go_on(50, PATIENCE).await;
    let toll = load.stop().await;
    assert_eq!(toll.complaints, Vec::<String>::new(), "{toll:?}");
    let value = asker.query("hits", order(verb::TALLY, 0, 0, &[])).await.number();
    assert_eq!(value as u64, toll.calls, "the group counts otherwise than its callers");
    let hash = blake3::hash(&guests::version("tally", 4)).to_hex();
    let module = at_one(&realm, &asker, "hits").await;
    assert!(module.contains(&hash.as_str()[..16]), "{module} is not {hash}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_kept_keeps_timers_monitors_and_calls_of_groups_and_of_plain_actors() {
    let realm = Realm::start(3).await;
    let asker = realm.asker();
    for (name, spawn) in [("group", Spawn::guest("witness").replicas(3)), ("plain", Spawn::guest("witness").on(2))] {
        asker.spawn(spawn.name(name)).await;
        asker.spawn(Spawn::guest("witness").on(3).name(&format!("{name}-friend"))).await;
        let friend = format!("{name}-friend");
        asker.order(name, order(verb::TIMERS, 2_000_000_000, 1, &[]), &[]).await;
        asker.order(name, order(verb::WATCH, 0, 0, &[]), &[&friend]).await;
        let (carried, _) = asker.try_upgrade(name, "witness", guests::version("witness", 1)).await.expect(name);
        assert_eq!(carried, Carried::Kept, "{name}");
        let (again, _) = asker.try_upgrade(name, "witness", guests::version("witness", 1)).await.expect(name);
        assert_eq!(again, Carried::Already, "{name}");
        asker.kill(&friend).await;
        until(&format!("{name} hears of its timer and of its friend"), PATIENCE, async || {
            let body = asker.query(name, order(verb::TESTIFY, 0, 0, &[])).await.body;
            let seen = guests::Testimony::of(&body).expect("a testimony");
            assert_eq!((seen.timers_wrong, seen.restarted), (0, 0));
            (seen.timers_fired == 1 && seen.downs == 1).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_call_is_told_by_every_node_and_every_leader_and_what_has_not_happened_never_does() {
    let mut realm = Realm::start(3).await;
    let asker = realm.asker();
    asker.spawn(Spawn::guest("tally").replicas(3).name("hits")).await;
    asker.spawn(Spawn::guest("tally").on(2).name("plain")).await;
    for target in ["hits", "plain"] {
        let (happened, never) = (asker.client().next_key(), asker.client().next_key());
        let (answer, _) = settle(&asker, target, happened).await;
        for node in 1..=3 {
            let fate = realm.asker_at(node).await.outcome(target, happened).await.expect(target);
            assert!(matches!(&fate, CallFate::Happened { status: 0, body, .. } if *body == answer.body), "{fate:?}");
            assert_eq!(realm.asker_at(node).await.outcome(target, never).await, Ok(CallFate::Never), "{target}");
        }
        // The call arrives after all: too late.
        let late = asker.keyed(target, order(verb::TALLY, 0, 0, &[]), Vec::new(), 0, never, PATIENCE).await;
        assert_eq!(late.expect_err("it was fenced").errno, Errno::REFUSED);
        assert_eq!(asker.query(target, order(verb::TALLY, 0, 0, &[])).await.number(), 1, "{target}");
    }
    // Without a quorum the call is not answered; with one again it is known what became of it.
    let leader = asker.leader("hits").await;
    let others: Vec<u32> = (1..=3).filter(|node| *node != leader).collect();
    let key = asker.client().next_key();
    others.iter().for_each(|node| realm.kill(*node));
    let alone = asker.keyed("hits", order(verb::TALLY, 0, 0, &[]), Vec::new(), 0, key, Duration::from_secs(2)).await;
    assert!(alone.is_err(), "one of three has answered alone: {alone:?}");
    realm.boot(&others).await;
    let fate =
        until("the group says what became of the call", PATIENCE, async || asker.outcome("hits", key).await.ok());
    let counted = match fate.await {
        CallFate::Happened { status: 0, .. } => 2,
        CallFate::Never => 1,
        other => panic!("{other:?}"),
    };
    realm.kill(asker.leader("hits").await);
    let (again, _) = settle(&asker, "hits", asker.client().next_key()).await;
    assert_eq!(again.number(), counted + 1, "what was told holds under the next leader");
}

/// A counter whose state has this form, and reads those before it.
fn write_version(folder: &Path, name: &str, source: &str) {
    std::fs::write(folder.join(name).join("src/lib.rs"), source).expect("the crate was made");
}

const FIRST: &str = r#"#![no_std]
use pando::prelude::*;

#[derive(Default)]
pub struct Hits {
    value: i64,
}

#[pando::actor]
impl Hits {
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }
    fn export_state(&self) -> i64 {
        self.value
    }
    fn import_state(state: State) -> pando::Result<Self> {
        match state.version() {
            1 => Ok(Hits { value: state.read()? }),
            newer => Err(format!("version {newer} is newer than this code").into()),
        }
    }
}
"#;

const SECOND: &str = r#"#![no_std]
use pando::prelude::*;

#[derive(Default)]
pub struct Hits {
    value: i64,
    label: String,
}

#[pando::actor(state = 2)]
impl Hits {
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }
    #[query]
    fn label(&self) -> String {
        self.label.clone()
    }
    fn export_state(&self) -> (i64, String) {
        (self.value, self.label.clone())
    }
    fn import_state(state: State) -> pando::Result<Self> {
        match state.version() {
            1 => Ok(Hits { value: state.read()?, label: "new".into() }),
            _ => state.read().map(|(value, label)| Hits { value, label }),
        }
    }
}
"#;

const THIRD: &str = r#"#![no_std]
use pando::prelude::*;

#[derive(Data, Clone, Default)]
pub struct Kept {
    cents: i64,
    label: String,
}

#[derive(Default)]
pub struct Hits {
    kept: Kept,
}

#[pando::actor(state = 3)]
impl Hits {
    fn cents(&mut self, by: i64) -> i64 {
        self.kept.cents += by;
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
            1 => Kept { cents: 100 * state.read::<i64>()?, label: "new".into() },
            2 => {
                let (value, label) = state.read::<(i64, String)>()?;
                Kept { cents: 100 * value, label }
            }
            _ => state.read()?,
        };
        Ok(Hits { kept })
    }
}
"#;

#[test]
fn an_actor_of_the_first_version_becomes_the_third_by_way_of_the_second_and_directly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut shell = Shell::start(&["up", "--ephemeral", "--keep-going"], None, Some(folder.path()));
    for (name, source) in [("first", FIRST), ("second", SECOND), ("third", THIRD)] {
        assert!(!shell.tell(&format!("new {name}")).contains("error"), "{name}");
        write_version(folder.path(), name, source);
    }
    let mut says = |line: &str, wanted: &str| {
        let said = shell.tell(line);
        assert!(said.contains(wanted), "`{line}` should say `{wanted}`, and says:\n{said}");
    };
    says("spawn ./first --replicas 3 --name steps --deadline 80s", "steps");
    says("spawn ./first --replicas 3 --name leap", "leap");
    says("spawn ./first --name plain", "plain");
    for name in ["steps", "leap", "plain"] {
        says(&format!("call {name} add 7"), "7");
    }
    says("upgrade steps ./second --deadline 80s", "steps runs second  state of version 1 taken over  from index");
    says("call steps add 1", "8");
    says("call steps label", "new");
    says("upgrade steps ./third --deadline 80s", "steps runs third  state of version 2 taken over");
    says("upgrade leap ./third", "leap runs third  state of version 1 taken over");
    says("upgrade plain ./third", "plain runs third  state of version 1 taken over");
    for (name, cents) in [("steps", "801"), ("leap", "701"), ("plain", "701")] {
        says(&format!("call {name} cents 1"), cents);
        says(&format!("call {name} label"), "new");
    }
    // Back is not a way: the old code says so in its own words, and the new one goes on.
    says("upgrade steps ./first", "version 3 is newer than this code");
    says("call steps cents 1", "802");
    says("upgrade plain ./first", "version 3 is newer than this code");
    says("call plain cents 1", "702");
    // Code that cannot take anything over.
    says("upgrade steps counter", "does not export pando_import_state");
    says("call steps cents 1", "803");
}

const WAITS: &str = r#"#![no_std]
use pando::prelude::*;

#[derive(Default)]
pub struct Waits {
    value: i64,
}

#[pando::actor(layout = "one")]
impl Waits {
    async fn later(this: This<Self>, by: i64) {
        pando::sleep(Duration::from_secs(8)).await;
        this.with(|s| s.value += by);
    }
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }
}
"#;

#[test]
fn an_async_method_that_waits_goes_on_in_other_code_where_the_layout_is_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut shell = Shell::start(&["up", "--ephemeral", "--keep-going"], None, Some(folder.path()));
    assert!(!shell.tell("new waits").contains("error"));
    write_version(folder.path(), "waits", WAITS);
    for (name, how) in [("group", "--replicas 3"), ("plain", "")] {
        shell.tell(&format!("spawn ./waits {how} --name {name} --deadline 80s"));
        assert!(shell.tell(&format!("call {name} add 1")).starts_with('1'), "{name}");
    }
    // Built before anybody waits: a compiler may take longer than they do.
    write_version(folder.path(), "waits", &WAITS.replace("self.value += by;", "self.value += 1_000 * by;"));
    shell.tell("spawn ./waits --name other --deadline 80s");
    for name in ["group", "plain"] {
        shell.tell(&format!("send {name} later 40"));
        let said = shell.tell(&format!("upgrade {name} ./waits"));
        assert!(said.contains("memory kept"), "{said}");
        shell.until(&format!("call {name} add 0"), |said| said.starts_with("41"));
        assert!(shell.tell(&format!("call {name} add 1")).starts_with("1041"), "the code is the new one");
    }
}
