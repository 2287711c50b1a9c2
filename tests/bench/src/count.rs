//! Work for a tool that counts instructions: so many local messages, spawns or replicated entries, in one thread.
//!
//! | word | one of it is |
//! |---|---|
//! | `messages` | a message round a ring of 16, 8 on their way |
//! | `spawns` | a child that tells its parent of itself and ends |
//! | `sleepers` | a child that tells its parent of itself and stays |
//! | `entries` | a call to a group of three, alone in its entry: all three nodes, and the time that passes meanwhile |
//! | `commands` | the same with 64 on their way, which share entries |
//! | `rests` | a person's call to a group of three that rests, and its way back to rest: all three nodes for 400 ms |
//! | `starts` | the same, and the two that do not lead have slept |
//!
//! Owns: a small simulated realm (real kernels, Wasm, log; simulated clocks, wires, disks) and what is asked of it. Does not know who
//! counts: `tests/instructions.rs` runs it under callgrind, which collects in [`counted_work`] and nowhere else.
//!
//! 1. What is counted begins when everything has been done once.

use std::time::Duration;

use pando_abi::NodeId;
use pando_admin::{Reply, Request, SequenceKey, SpawnRequest};
use pando_tests::{
    dice::Dice,
    guests::{self, order, verb},
    sim::world::{self, PERSON, Tuning, World},
};
use tokio::{runtime::Runtime, time::Instant};

use crate::gauge::Calls;

/// Simulated time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Does it, or says what it cannot do.
pub fn run(what: &str, many: u64) -> Result<(), String> {
    let mut stage;
    match what {
        "messages" => {
            const TOKENS: u64 = 8;
            stage = Stage::new(1);
            stage.spawn("ring", 0, order(0, 2 * TOKENS - 1, 0, &[]));
            stage.call("ring", order(verb::RUN, TOKENS, 100, &[]), &[]);
            stage.counted("ring", order(verb::RUN, TOKENS, many / TOKENS, &[]), &[]);
        }
        "spawns" => {
            stage = Stage::new(1);
            stage.spawn("nursery", 0, Vec::new());
            stage.call("nursery", order(verb::RUN, 100, 0, &[]), &[]);
            stage.counted("nursery", order(verb::RUN, many, 0, &[]), &[]);
        }
        "entries" | "commands" => {
            let at_once = if what == "entries" { 1 } else { 64 };
            stage = Stage::new(3);
            stage.spawn("tally", 3, Vec::new());
            stage.spawn("gauge", 0, Vec::new());
            stage.call("gauge", Calls::of(20 * at_once, at_once).order(), &["tally"]);
            stage.counted("gauge", Calls::of(many, at_once).order(), &["tally"]);
        }
        "rests" | "starts" => {
            stage = Stage::tuned(3, 50, if what == "starts" { 100 } else { 30_000 });
            stage.spawn("tally", 3, Vec::new());
            let one = |stage: &mut Stage| {
                stage.call("tally", order(0, 8, 0, &[]), &[]);
                stage.pass(Duration::from_millis(400));
            };
            (0..20).for_each(|_| one(&mut stage));
            counted_work(&mut || (0..many).for_each(|_| one(&mut stage)));
        }
        "sleepers" => {
            stage = Stage::new(1);
            stage.spawn("gauge", 0, Vec::new());
            let echo = stage.put("echo");
            stage.call("gauge", order(verb::HIRE, 100, 0, &echo), &[]);
            stage.counted("gauge", order(verb::HIRE, many, 0, &echo), &[]);
        }
        _ => {
            return Err(format!(
                "there is nothing called `{what}` to count: messages, spawns, sleepers, entries, commands, rests, starts"
            ));
        }
    }
    Ok(())
}

/// What is counted is what this calls.
#[inline(never)]
fn counted_work(work: &mut dyn FnMut()) {
    work();
}

/// A realm that stands still until it is asked something.
pub struct Stage {
    pub world: World,
    people: Runtime,
    since: Instant,
    seq: u64,
}

impl Stage {
    pub fn new(nodes: u32) -> Stage {
        Stage::tuned(nodes, 1_000, 30_000)
    }

    /// Groups rest after so many milliseconds, and sleep after so many more.
    fn tuned(nodes: u32, rest_ms: u64, sleep_ms: u64) -> Stage {
        let mut dice = Dice::new(1);
        let tuning = Tuning {
            snapshot_every: 4_096,
            log_keep: 1_024,
            attest_every: 64,
            log_file_bytes: 16 << 20,
            heartbeat_ms: 100,
            rest_ms,
            sleep_ms,
            kernel: world::KernelTuning::default(),
        };
        let mut world = World::new(&mut dice, nodes, tuning);
        for at in 0..nodes as usize {
            world.boot(at);
        }
        let people = world::runtime(&mut dice);
        let since = people.block_on(async { Instant::now() });
        let mut stage = Stage { world, people, since, seq: 0 };
        loop {
            if let Some(Reply::Hello { ready: true, .. }) = stage.ask(Request::Hello, Duration::from_secs(2)) {
                return stage;
            }
        }
    }

    /// Lets so much time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while self.world.now() < end {
            self.tick();
        }
    }

    fn tick(&mut self) {
        let dead = self.world.tick();
        assert!(dead.is_empty(), "{dead:?}");
        let until = self.since + self.world.now();
        self.people.block_on(async { tokio::time::sleep_until(until).await });
    }

    /// Lets time pass until the first node has answered.
    pub fn ask(&mut self, request: Request, patience: Duration) -> Option<Reply> {
        let end = self.world.now() + patience;
        let net = self.world.net.clone();
        let asked = self.people.spawn(async move {
            let mut answers = net.request(NodeId(1), PERSON, request.encode().into())?;
            let answer = answers.next().await.ok()??;
            Some(Reply::decode(&answer).expect("a reply that is one"))
        });
        while !asked.is_finished() {
            if self.world.now() > end {
                asked.abort();
                return None;
            }
            self.tick();
        }
        self.people.block_on(asked).expect("an asker")
    }

    fn key(&mut self) -> SequenceKey {
        self.seq += 1;
        SequenceKey { origin: [1; 16], incarnation: 1, seq: self.seq }
    }

    /// A guest's module.
    pub fn put(&mut self, label: &str) -> [u8; 32] {
        let put = Request::PutModule { label: label.into(), wasm: guests::wasm(label) };
        let Some(Reply::Module { hash, .. }) = self.ask(put, PATIENCE) else { panic!("{label} was not put") };
        hash
    }

    /// A guest under its own name.
    pub fn spawn(&mut self, label: &str, replicas: u8, args: Vec<u8>) {
        let module = self.put(label);
        let request = SpawnRequest {
            module,
            name: Some(label.into()),
            node: None,
            replicas,
            restart: 0,
            priority: 1,
            memory_bytes: 0,
            handler_ms: 0,
            args,
            realm: true,
            key: self.key(),
        };
        match self.ask(Request::Spawn(request), PATIENCE) {
            Some(Reply::Spawned(_)) => {}
            other => panic!("{label} was not spawned: {other:?}"),
        }
    }

    pub fn call(&mut self, target: &str, body: Vec<u8>, handles: &[&str]) {
        let handles = handles.iter().map(|h| (*h).to_owned()).collect();
        let key = self.key();
        let request = Request::Call { target: target.into(), body, handles, flags: 0, deadline_ms: 600_000, key };
        match self.ask(request, PATIENCE) {
            Some(Reply::Answer { status: 0, .. }) => {}
            other => panic!("{target} did not answer: {other:?}"),
        }
    }

    /// The same, counted.
    fn counted(&mut self, target: &str, body: Vec<u8>, handles: &[&str]) {
        counted_work(&mut || self.call(target, body.clone(), handles));
    }
}
