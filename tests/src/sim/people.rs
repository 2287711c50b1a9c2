//! Who asks: clients that add, read, post, set timers, watch and call, and write down what they were told.
//!
//! Owns: the history. Does not know: what is right; that is [`super::check`]'s.
//!
//! 1. A call is retried under its key, at other nodes, until it is answered or given up: then nobody knows.
//! 2. A refusal counts as one only if no earlier try of the same key may have happened.

#![allow(missing_docs, reason = "fields of variants that say what they are")]

mod audit;
mod jacks;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use pando_abi::{Errno, NodeId, RealmId, Restart, call::call_flags};
use pando_admin::{CallFate, Level, Reply, Request, SequenceKey, SpawnRequest};
use pando_transport::{MemoryNet, PublicKey};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::world::{PERSON, World};
use crate::{
    dice::Dice,
    guests::{self, Testimony, order, verb},
};

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// One more.
    Add { tally: usize },
    /// The value.
    Read { tally: usize, level: Level },
    /// Letters from a witness to another.
    Post { from: usize, to: usize, many: u64 },
    /// Timers for a witness.
    Timers { who: usize, many: u64, apart_ms: u64 },
    /// A witness watches another.
    Watch { who: usize, target: usize },
    /// A witness calls another.
    Calls { who: usize, target: usize, many: u64, deadline_ms: u64 },
    /// The same, and the other one never answers: every call ends by its deadline, whoever leads by then.
    Silence { who: usize, target: usize, many: u64, deadline_ms: u64 },
    /// A plain witness leaves, and another takes its name.
    Leave { plain: usize },
    /// A name for a tally.
    Name { name: u64, tally: usize },
    /// A jack does this and that, with two others.
    Deeds { jack: usize, with: [usize; 2], many: u64, stir: u64 },
    /// Other code for a tally, or behind them for a witness.
    Upgrade { who: usize, to: Version },
}

/// Which code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One that works; there are two.
    Good(u32),
    /// One that traps while it takes over.
    Broken,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody knows, or it is under way.
    Unknown,
    /// It has not happened and will not.
    Refused(Errno),
    /// It was answered.
    Answered { status: u16, number: u64, level: Level, index: u64, node: u32 },
    /// It is done.
    Done,
}

/// One line of the history.
#[derive(Clone, Debug)]
pub struct Deed {
    /// What was wanted.
    pub wish: Wish,
    /// When it was asked for.
    pub called: Duration,
    /// When it was answered or given up.
    pub ended: Option<Duration>,
    /// What became of it.
    pub fate: Fate,
}

/// Who there is to talk to.
#[derive(Clone, Debug, Default)]
pub struct Cast {
    /// Counters, as groups.
    pub tallies: Vec<String>,
    /// Witnesses: first the groups, then the plain ones.
    pub witnesses: Vec<String>,
    /// How many of the witnesses are groups.
    pub groups: usize,
    /// Who does everything that the contract offers: first a group, if there is one, then plain ones.
    pub jacks: Vec<String>,
    /// How many of the jacks are groups.
    pub jack_groups: usize,
    /// Voters of a group.
    pub replicas: u8,
}

/// How many there are of each.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Counters.
    pub tallies: usize,
    /// Witnesses that are groups.
    pub groups: usize,
    /// Witnesses that are plain.
    pub plain: usize,
    /// Jacks that are groups.
    pub jack_groups: usize,
    /// Jacks that are plain.
    pub jacks: usize,
    /// Voters of a group.
    pub replicas: u8,
}

/// What an audit found, in the end.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// The counters' values.
    pub values: Vec<u64>,
    /// The witnesses' testimonies; `None`: it did not live.
    pub testimonies: Vec<Option<Testimony>>,
    /// Letters that group `.0` says it has sent to group `.1`.
    pub sent: Vec<(usize, usize, u64)>,
    /// Who has each name that was fought over.
    pub names: Vec<(u64, Option<String>)>,
    /// What each jack that lives says it has done, and how often the kernel broke the contract.
    pub accusations: Vec<Option<(u64, u64)>>,
    /// The same testimonies after everybody else was killed.
    pub last_words: Vec<Option<Testimony>>,
}

/// What is known to all.
#[derive(Default)]
pub struct Board {
    /// The time.
    pub now: Duration,
    /// Who there is, once everybody is there.
    pub cast: Option<Cast>,
    /// The history.
    pub history: Vec<Deed>,
    /// Clients begin nothing new.
    pub stop: bool,
    /// Clients that are still at work.
    pub working: usize,
    /// What the audit found.
    pub audit: Option<Audit>,
    /// How far the audit is, for people.
    pub audit_at: String,
    /// The realm.
    pub realm: RealmId,
    /// Nodes that came after the founding, and nodes that went for good.
    pub came: Vec<u32>,
    /// See there.
    pub left: Vec<u32>,
    /// What the operator wants done to machines.
    pub orders: Vec<super::operator::Order>,
    /// The node whose disk was wiped, and that the operator has to replace.
    pub wiped: Option<u32>,
    /// The next life of a plain witness.
    pub lives: u64,
}

/// What people share.
pub type Shared = Arc<Mutex<Board>>;

/// A person with a key of their own.
pub struct Client {
    pub(super) net: MemoryNet,
    pub(super) nodes: u32,
    pub(super) board: Shared,
    pub(super) dice: Dice,
    crashes: watch::Receiver<BTreeMap<NodeId, u64>>,
    origin: [u8; 16],
    seq: u64,
}

impl Client {
    /// The client with this number.
    pub fn new(number: u64, world: &World, nodes: u32, board: Shared, mut dice: Dice) -> Client {
        let mut origin = [0; 16];
        origin[..8].copy_from_slice(&(number + 1).to_le_bytes());
        origin[8..].copy_from_slice(&dice.throw().to_le_bytes());
        let (net, crashes) = (world.net.clone(), world.crashes.subscribe());
        Client { net, nodes, board, dice, crashes, origin, seq: 0 }
    }

    fn key(&mut self) -> SequenceKey {
        self.seq += 1;
        SequenceKey { origin: self.origin, incarnation: 1, seq: self.seq }
    }

    /// A node that is not known to have gone for good.
    pub(super) fn some_node(&mut self) -> NodeId {
        let board = self.board.lock();
        let nodes: Vec<u32> = (1..=self.nodes).chain(board.came.iter().copied()).collect();
        let nodes: Vec<u32> = nodes.into_iter().filter(|n| !board.left.contains(n)).collect();
        NodeId(self.dice.pick(&nodes))
    }

    /// Asks a node once.
    async fn ask_once(&self, node: NodeId, request: &Request, patience: Duration) -> Option<Reply> {
        self.ask_as(PERSON, node, request, patience).await
    }

    /// The same, as somebody else.
    pub(super) async fn ask_as(
        &self,
        who: PublicKey,
        node: NodeId,
        request: &Request,
        patience: Duration,
    ) -> Option<Reply> {
        let mut answers = self.net.request(node, who, Bytes::from(request.encode()))?;
        let mut crashes = self.crashes.clone();
        let before = crashes.borrow_and_update().get(&node).copied();
        let crashed = crashes.wait_for(|crashes| crashes.get(&node).copied() != before);
        let answer = tokio::select! {
            biased;
            _ = crashed => return None,
            answer = timeout(patience, answers.next()) => answer.ok()?.ok()??,
        };
        Some(Reply::decode(&answer).expect("a reply that is one"))
    }

    /// Asks node after node until one does not refuse, or `tries` are over: the reply, and whether an earlier try may have
    /// happened.
    pub(super) async fn ask(&mut self, request: &Request, tries: u32, patience: Duration) -> (Option<Reply>, bool) {
        let mut maybe = false;
        let mut last = None;
        for _ in 0..tries {
            let node = self.some_node();
            match self.ask_once(node, request, patience).await {
                Some(reply @ Reply::Refused { .. }) => {
                    let errno = errno_of(&reply);
                    maybe |= may_have_happened(errno);
                    last = Some(reply);
                }
                Some(reply) => return (Some(reply), maybe),
                None => maybe = true,
            }
            let pause = self.dice.between(5, 120);
            sleep(Duration::from_millis(pause)).await;
        }
        (last, maybe)
    }

    /// Asks until it is done.
    async fn insist(&mut self, request: &Request) -> Reply {
        loop {
            let (reply, _) = self.ask(request, 1, Duration::from_secs(20)).await;
            match reply {
                Some(Reply::Refused { errno, text, .. }) => {
                    self.board.lock().audit_at = format!("refused: {errno} {text}, for {request:.80?}");
                }
                Some(reply) => return reply,
                None => {}
            }
        }
    }

    async fn call(&mut self, target: &str, body: Vec<u8>, handles: Vec<String>, flags: i32, tries: u32) -> Fate {
        let deadline_ms = 4_000;
        let key = self.key();
        let target = target.to_owned();
        let request = Request::Call { target, body, handles, flags: flags as u32, deadline_ms, key };
        let (reply, maybe) = self.ask(&request, tries, Duration::from_secs(6)).await;
        let fate = match reply {
            Some(Reply::Answer { status, body, level, index, node, .. }) => {
                let errno = Errno::from_code(status);
                match errno {
                    None => Fate::Answered { status, number: number(&body), level, index, node },
                    Some(errno) if maybe || may_have_happened(errno) => Fate::Unknown,
                    Some(errno) => Fate::Refused(errno),
                }
            }
            Some(ref reply @ Reply::Refused { .. }) if !maybe => Fate::Refused(errno_of(reply)),
            _ => Fate::Unknown,
        };
        if fate == Fate::Unknown && flags & call_flags::QUERY == 0 && self.dice.below(3) > 0 {
            return self.find_out(request).await;
        }
        fate
    }

    /// What became of a call whose answer was not heard. If it has not happened it never will, and that is tried, too.
    async fn find_out(&mut self, request: Request) -> Fate {
        let Request::Call { target, key, .. } = &request else { return Fate::Unknown };
        let (target, key) = (target.clone(), *key);
        let (reply, _) = self.ask(&Request::Outcome { target, key }, 3, Duration::from_secs(8)).await;
        let Some(Reply::Outcome { fate, level, index, node }) = reply else { return Fate::Unknown };
        match fate {
            CallFate::Happened { status: 0, body, .. } => {
                Fate::Answered { status: 0, number: number(&body), level, index, node }
            }
            CallFate::Never => {
                let (late, _) = self.ask(&request, 1, Duration::from_secs(6)).await;
                if let Some(Reply::Answer { status: 0, .. }) = late {
                    panic!("a call was answered after it was said that it never will: {key:?}");
                }
                Fate::Refused(Errno::REFUSED)
            }
            CallFate::Happened { .. } | CallFate::Handled | CallFate::Forgotten => Fate::Unknown,
        }
    }

    /// Asks for other code until it runs.
    async fn upgrade(&mut self, cast: &Cast, who: usize, to: Version, tries: u32) -> Fate {
        let (target, label) = match cast.tallies.get(who) {
            Some(tally) => (tally.clone(), "tally"),
            None => (cast.witnesses[who - cast.tallies.len()].clone(), "witness"),
        };
        let module = *blake3::hash(&code(label, to)).as_bytes();
        match self.ask(&Request::Upgrade { target, module }, tries, Duration::from_secs(45)).await {
            (Some(Reply::Upgraded { .. }), _) => Fate::Done,
            (Some(ref reply @ Reply::Refused { .. }), false) => Fate::Refused(errno_of(reply)),
            _ => Fate::Unknown,
        }
    }

    /// Founds the cast: modules, groups, plain actors.
    pub async fn found(mut self, sizes: Sizes) {
        let Sizes { tallies, groups, plain, replicas, .. } = sizes;
        let mut cast = Cast { groups, replicas, ..Cast::default() };
        let versions = [("tally", Version::Good(1)), ("tally", Version::Broken), ("witness", Version::Good(1))];
        for (label, version) in versions {
            let request = Request::PutModule { label: label.into(), wasm: code(label, version) };
            self.insist(&request).await;
        }
        for (label, wasm) in
            [("tally", code("tally", Version::Good(0))), ("witness", code("witness", Version::Good(0)))]
        {
            let Reply::Module { hash, .. } = self.insist(&Request::PutModule { label: label.into(), wasm }).await
            else {
                panic!("a module was not put");
            };
            let (many, letter) = if label == "tally" { (tallies, 't') } else { (groups, 'w') };
            for n in 0..many {
                let name = format!("{letter}{n}");
                self.spawn(hash, &name, replicas, None).await;
                if label == "tally" { cast.tallies.push(name) } else { cast.witnesses.push(name) }
            }
            if label == "witness" {
                for n in 0..plain {
                    let name = format!("p{n}");
                    self.spawn(hash, &name, 0, Some(n as u32 % self.nodes + 1)).await;
                    cast.witnesses.push(name);
                }
            }
        }
        self.found_jacks(&mut cast, sizes).await;
        self.board.lock().cast = Some(cast);
    }

    async fn spawn(&mut self, module: [u8; 32], name: &str, replicas: u8, node: Option<u32>) {
        let request = spawn_request(module, name, replicas, node, self.key());
        self.insist(&request).await;
    }

    /// Wishes for this and that until told to stop.
    pub async fn work(mut self) {
        let cast = loop {
            if let Some(cast) = self.board.lock().cast.clone() {
                break cast;
            }
            sleep(Duration::from_millis(20)).await;
        };
        while !self.board.lock().stop {
            let wish = self.wish(&cast);
            let at = {
                let mut board = self.board.lock();
                let called = board.now;
                board.history.push(Deed { wish, called, ended: None, fate: Fate::Unknown });
                board.history.len() - 1
            };
            let fate = self.fulfil(&cast, wish).await;
            {
                let mut board = self.board.lock();
                let now = board.now;
                let deed = &mut board.history[at];
                (deed.fate, deed.ended) = (fate, Some(now));
            }
            let pause = self.dice.below(60);
            sleep(Duration::from_millis(pause)).await;
        }
        self.board.lock().working -= 1;
    }

    fn wish(&mut self, cast: &Cast) -> Wish {
        let dice = &mut self.dice;
        if !cast.jacks.is_empty() && dice.percent(15) {
            let [jack, a, b] = [0; 3].map(|_: u8| dice.below(cast.jacks.len() as u64) as usize);
            return Wish::Deeds { jack, with: [a, b], many: dice.between(1, 30), stir: dice.throw() };
        }
        let tally = dice.below(cast.tallies.len() as u64) as usize;
        let group = dice.below(cast.groups as u64) as usize;
        let any = dice.below(cast.witnesses.len() as u64) as usize;
        let plain = cast.witnesses.len() - cast.groups;
        match dice.below(104) {
            0..=34 => Wish::Add { tally },
            35..=44 => Wish::Read { tally, level: Level::Linear },
            45..=49 => Wish::Read { tally, level: Level::Final },
            50..=69 => Wish::Post { from: group, to: any, many: dice.between(1, 5) },
            70..=74 => Wish::Post { from: any, to: any, many: dice.between(1, 5) },
            75..=81 => Wish::Timers { who: any, many: dice.between(1, 3), apart_ms: dice.between(1, 900) },
            82..=87 => Wish::Watch { who: group, target: any },
            92..=94 => Wish::Silence {
                who: group,
                target: any,
                many: dice.between(1, 3),
                deadline_ms: dice.between(50, 8_000),
            },
            88..=91 => {
                Wish::Calls { who: group, target: any, many: dice.between(1, 3), deadline_ms: dice.between(50, 3_000) }
            }
            100..=103 => {
                let who = dice.below((cast.tallies.len() + cast.witnesses.len()) as u64) as usize;
                let broken = who < cast.tallies.len() && dice.below(4) == 0;
                Wish::Upgrade { who, to: if broken { Version::Broken } else { Version::Good(dice.below(2) as u32) } }
            }
            95..=97 if plain > 0 => Wish::Leave { plain: cast.groups + dice.below(plain as u64) as usize },
            _ => Wish::Name { name: dice.below(6), tally },
        }
    }

    async fn fulfil(&mut self, cast: &Cast, wish: Wish) -> Fate {
        let tries = self.dice.between(1, 6) as u32;
        let witness = |n: usize| cast.witnesses[n].clone();
        match wish {
            Wish::Add { tally } => self.call(&cast.tallies[tally], Vec::new(), Vec::new(), 0, tries).await,
            Wish::Read { tally, level } => {
                let finality = if level == Level::Final { call_flags::FINAL } else { 0 };
                self.call(&cast.tallies[tally], Vec::new(), Vec::new(), call_flags::QUERY | finality, tries).await
            }
            Wish::Post { from, to, many } => {
                let body = order(verb::LETTERS, from as u64, many, &(to as u64).to_le_bytes());
                self.call(&witness(from), body, vec![witness(to)], 0, tries).await
            }
            Wish::Timers { who, many, apart_ms } => {
                self.call(&witness(who), order(verb::TIMERS, apart_ms * 1_000_000, many, &[]), Vec::new(), 0, tries)
                    .await
            }
            Wish::Watch { who, target } => {
                self.call(&witness(who), order(verb::WATCH, 0, 0, &[]), vec![witness(target)], 0, tries).await
            }
            Wish::Calls { who, target, many, deadline_ms } => {
                let body = order(verb::CALLS, deadline_ms * 1_000_000, many, &[]);
                self.call(&witness(who), body, vec![witness(target)], 0, tries).await
            }
            Wish::Silence { who, target, many, deadline_ms } => {
                let body = order(verb::SILENCE, deadline_ms * 1_000_000, many, &[]);
                self.call(&witness(who), body, vec![witness(target)], 0, tries).await
            }
            Wish::Deeds { jack, with, many, stir } => self.deeds(cast, jack, with, many, stir).await,
            Wish::Upgrade { who, to } => self.upgrade(cast, who, to, tries).await,
            Wish::Leave { plain } => self.leave(&witness(plain), plain as u32).await,
            Wish::Name { name, tally } => {
                let request = Request::Name { name: format!("x{name}"), target: Some(cast.tallies[tally].clone()) };
                match self.ask(&request, tries, Duration::from_secs(6)).await {
                    (Some(Reply::Done), _) => Fate::Done,
                    (Some(ref reply @ Reply::Refused { .. }), false) => Fate::Refused(errno_of(reply)),
                    _ => Fate::Unknown,
                }
            }
        }
    }

    /// A plain witness goes, and a new one gets its name if it is free by then.
    async fn leave(&mut self, name: &str, place: u32) -> Fate {
        let fate = self.call(name, order(verb::LEAVE, 7, 0, &[]), Vec::new(), 0, 1).await;
        let life = {
            let mut board = self.board.lock();
            board.lives += 1;
            board.lives
        };
        let module = *blake3::hash(&guests::wasm("witness")).as_bytes();
        let node = (place + life as u32) % self.nodes + 1;
        let request = spawn_request(module, name, 0, Some(node), self.key());
        // Refused while the name is taken: then there is nobody of that name for a while.
        self.ask(&request, 3, Duration::from_secs(6)).await;
        fate
    }
}

/// The module of a version.
fn code(label: &str, version: Version) -> Vec<u8> {
    match version {
        Version::Good(0) => guests::wasm(label),
        Version::Good(n) => guests::version(label, n),
        Version::Broken => guests::broken_tally(),
    }
}

fn spawn_request(module: [u8; 32], name: &str, replicas: u8, node: Option<u32>, key: SequenceKey) -> Request {
    Request::Spawn(SpawnRequest {
        module,
        name: Some(name.to_owned()),
        node,
        replicas,
        restart: Restart::Never as u8,
        priority: 1,
        memory_bytes: 0,
        handler_ms: 0,
        args: Vec::new(),
        realm: false,
        key,
    })
}

pub(super) fn errno_of(reply: &Reply) -> Errno {
    match reply {
        Reply::Refused { errno, .. } => Errno::from_code(*errno).unwrap_or(Errno::INTERNAL),
        _ => Errno::INTERNAL,
    }
}

/// May something have happened though this was the answer?
fn may_have_happened(errno: Errno) -> bool {
    !matches!(
        errno,
        Errno::NOT_FOUND
            | Errno::FULL
            | Errno::LIMIT
            | Errno::NO_MODULE
            | Errno::BAD_REQUEST
            | Errno::EXISTS
            | Errno::DEAD
    )
}

/// A CBOR number of nine bytes.
fn number(body: &[u8]) -> u64 {
    match body {
        [0x1b, rest @ ..] => rest.try_into().map_or(u64::MAX, u64::from_be_bytes),
        _ => u64::MAX,
    }
}
