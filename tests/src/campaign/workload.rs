//! What clients do on a bad day: counters, registers, letters between groups, plain actors.
//!
//! Owns: the groups, the clients of each, and the last questions once everything is healed. Does not know: faults.
//!
//! | what | is | judged as |
//! |---|---|---|
//! | `hits` | a `tally`, in text | a counter with reads |
//! | `votes` | the bundled `counter` | a counter with reads, and calls that must be refused |
//! | `store` | the bundled `kv` | three registers, each a chain of puts |
//! | `post`, `desk` | two `courier`s that write to each other | two counters of letters written; letters got exactly once, in order |
//! | `brief`, `slip` | plain actors that live as long as their node | a counter for each life; letters of `post` never twice |

mod clerks;
mod last;
mod plain;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use self::plain::Keeper;
use super::{
    clients::{Caller, Common},
    field::Field,
    history::{History, Op, Outcome, What},
    oracle::{Kind, Wrong},
    report::Report,
};
use crate::Spawn;

/// The groups, which faults strike the leaders of.
pub const GROUPS: [&str; 5] = ["hits", "votes", "store", "post", "desk"];
/// The registers of `store`.
pub const KEYS: [&str; 3] = ["red", "green", "blue"];

/// A value with its history.
pub struct Track {
    /// What it is called.
    pub name: String,
    /// The group that holds it.
    pub group: usize,
    /// What it was asked.
    pub history: History,
}

/// See the module.
pub struct Workload {
    /// Every value of groups.
    pub tracks: Vec<Arc<Track>>,
    common: Arc<Common>,
    clients: Vec<JoinHandle<()>>,
    keeper: Arc<Keeper>,
    keeping: JoinHandle<()>,
    puts: clerks::Puts,
    registers: Vec<Arc<History>>,
    notes: Arc<Mutex<Vec<Wrong>>>,
    began: Instant,
}

impl Workload {
    /// Spawns groups and clients.
    pub async fn start(field: &Field, seed: u64) -> Workload {
        let asker = field.direct();
        let wide = field.nodes() as u8;
        asker.spawn(Spawn::guest("tally").replicas(wide).name("hits")).await;
        asker.spawn(Spawn::bundled("counter").replicas(3).name("votes")).await;
        asker.spawn(Spawn::bundled("kv").replicas(3).name("store")).await;
        asker.spawn(Spawn::guest("courier").replicas(3).name("post")).await;
        asker.spawn(Spawn::guest("courier").replicas(wide).name("desk")).await;
        let began = Instant::now();
        let track =
            |name: &str, group| Arc::new(Track { name: name.to_owned(), group, history: History::since(began) });
        let tracks: Vec<Arc<Track>> = vec![
            track("hits", 0),
            track("votes", 1),
            track("store", 2),
            track("post to desk", 3),
            track("desk to post", 4),
            track("post to slip", 3),
        ];
        let common = Arc::new(Common::default());
        let keeper = Arc::new(Keeper::new(began, field, seed));
        let notes: Arc<Mutex<Vec<Wrong>>> = Arc::default();
        let puts = clerks::Puts::default();
        let registers: Vec<Arc<History>> = KEYS.iter().map(|_| Arc::new(History::since(began))).collect();
        let mut clients = Vec::new();
        let mut number = 0;
        let mut caller = async || {
            number += 1;
            Caller::new(field.realm().asker(), number, field.nodes(), seed, common.clone()).await
        };
        for _ in 0..5 {
            clients.push(tokio::spawn(clerks::hits(caller().await, tracks[0].clone(), notes.clone())));
        }
        for _ in 0..4 {
            clients.push(tokio::spawn(clerks::votes(caller().await, tracks[1].clone(), notes.clone())));
        }
        for _ in 0..4 {
            let (registers, puts, notes) = (registers.clone(), puts.clone(), notes.clone());
            clients.push(tokio::spawn(clerks::store(caller().await, tracks[2].clone(), registers, puts, notes)));
        }
        for (track, times) in [(3, 3), (4, 2)] {
            for _ in 0..times {
                clients.push(tokio::spawn(clerks::letters(caller().await, tracks[track].clone(), notes.clone())));
            }
        }
        clients.push(tokio::spawn(plain::letters(caller().await, tracks[5].clone(), keeper.clone())));
        for _ in 0..2 {
            clients.push(tokio::spawn(plain::briefs(caller().await, keeper.clone())));
        }
        let keeping = tokio::spawn(plain::keep(keeper.clone(), common.clone(), notes.clone()));
        Workload { tracks, common, clients, keeper, keeping, puts, registers, notes, began }
    }

    /// The workload's clock.
    pub fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Who led a group when it last answered.
    pub fn leader(&self, group: usize) -> Option<u32> {
        let of_it = self.tracks.iter().filter(|track| track.group == group);
        of_it.filter_map(|track| track.history.latest()).max().map(|(_, node)| node)
    }

    /// Groups that have acknowledged nothing that was asked for after this.
    pub fn silent_since(&self, then: u64) -> Vec<usize> {
        let answers = |group| self.tracks.iter().any(|track| track.group == group && track.history.went_on_after(then));
        (0..GROUPS.len()).filter(|group| !answers(*group)).collect()
    }

    /// The first acknowledgement in a group of what was asked for after `then`: how long after.
    pub fn failover(&self, group: usize, then: u64) -> Option<Duration> {
        let of_it = self.tracks.iter().filter(|track| track.group == group);
        let ops = of_it.flat_map(|track| track.history.all());
        let news = ops.filter(|op| op.what == What::Add && op.asked > then && matches!(op.outcome, Outcome::Value(_)));
        news.map(|op| op.told).min().map(|told| Duration::from_nanos(told - then))
    }

    /// Additions so far: acknowledged, refused, unknown; reads.
    pub fn counts(&self) -> [u64; 4] {
        let mut counts = [0; 4];
        let registers = self.registers.iter().flat_map(|history| history.all());
        // The track of `store` says who led and when; its registers have the same puts.
        let groups = self.tracks.iter().filter(|t| t.name != "store").flat_map(|t| t.history.all());
        let plain = self.keeper.lives().into_iter().flat_map(|life| life.history.all());
        for op in groups.chain(registers).chain(plain) {
            let at = match (op.what, op.outcome) {
                (What::Linear | What::Final, _) => 3,
                (What::Add, Outcome::Value(_)) => 0,
                (What::Add, Outcome::Refused) => 1,
                (What::Add, Outcome::Unknown) => 2,
            };
            counts[at] += 1;
        }
        counts
    }

    /// Attempts that came to nothing, by errno: of groups, and of plain actors.
    pub fn failed(&self) -> [BTreeMap<&'static str, u64>; 2] {
        [0, 1].map(|at| self.common.failed[at].lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Every history with its name, to be kept.
    pub fn histories(&self) -> Vec<(String, Vec<Op>)> {
        let tracks = self.tracks.iter().map(|t| (t.name.clone(), t.history.all()));
        let registers = KEYS.iter().zip(&self.registers).map(|(key, h)| (format!("store {key}"), h.all()));
        let lives = self.keeper.lives().into_iter().map(|life| (life.brief.clone(), life.history.all()));
        tracks.chain(registers).chain(lives).collect()
    }

    /// Ends the clients once everything is healed, and judges.
    pub async fn finish(&mut self, field: &mut Field, report: &mut Report) -> Vec<Wrong> {
        self.common.stop.store(true, Ordering::Relaxed);
        let began = Instant::now();
        let limit = super::clients::LAST_CALL + Duration::from_secs(30);
        while began.elapsed() < limit && !self.clients.iter().all(JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut wrong: Vec<Wrong> = self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for client in std::mem::take(&mut self.clients) {
            if !client.is_finished() {
                wrong.push(Wrong::new(Kind::Stuck, "clients", "a client still waits for an answer"));
            } else if let Err(why) = client.await {
                wrong.push(Wrong::new(Kind::Stuck, "clients", format!("a client has broken: {why}")));
            }
        }
        self.keeping.abort();
        wrong.extend(last::questions(self, field, report).await);
        wrong
    }
}
