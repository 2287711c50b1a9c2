//! Plain actors: they live as long as their node, and then there are others.
//!
//! 1. A life is one actor: what it was told is judged by itself. Nothing is promised beyond its end.

use crate::dice::Dice;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Track, clerks::Notes};
use crate::{
    Asker, Spawn,
    campaign::{
        clients::{Caller, Common, Settled},
        field::Field,
        history::{History, Op, Outcome, What},
        oracle::{Kind, Wrong},
    },
    guests::{order, verb},
};

/// How often the keeper looks.
const LOOK: Duration = Duration::from_millis(300);
/// Calls in a row that came to nothing: the life is held to be over.
const FAILURES: u32 = 6;

/// One life: a `tally` and a `courier` on one node.
pub struct Life {
    /// The name of the tally.
    pub brief: String,
    /// The name of the courier.
    pub slip: String,
    /// What the tally was asked.
    pub history: History,
    failures: AtomicU32,
}

/// Knows who lives.
pub struct Keeper {
    began: Instant,
    asker: Asker,
    nodes: u32,
    dice: Mutex<Dice>,
    lives: Mutex<Vec<Arc<Life>>>,
}

impl Keeper {
    pub(super) fn new(began: Instant, field: &Field, seed: u64) -> Keeper {
        let (asker, nodes) = (field.direct(), field.nodes());
        Keeper { began, asker, nodes, dice: Mutex::new(Dice::of(seed, 3)), lives: Mutex::default() }
    }

    /// Every life so far.
    pub(super) fn lives(&self) -> Vec<Arc<Life>> {
        self.lock().clone()
    }

    fn current(&self) -> Option<Arc<Life>> {
        self.lock().last().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Life>>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn bear(&self) {
        let node = self.dice.lock().unwrap_or_else(PoisonError::into_inner).between(1, u64::from(self.nodes)) as u32;
        let number = self.lock().len() + 1;
        let (brief, slip) = (format!("brief-{number}"), format!("slip-{number}"));
        let spawn = |guest, name: &str| Spawn::guest(guest).on(node).name(name);
        // One that was spawned though nobody was told has a name that nobody uses.
        if self.asker.try_spawn(spawn("tally", &brief)).await.is_ok()
            && self.asker.try_spawn(spawn("courier", &slip)).await.is_ok()
        {
            let history = History::since(self.began);
            self.lock().push(Arc::new(Life { brief, slip, history, failures: AtomicU32::new(0) }));
        } else {
            // Its number is used up.
            let history = History::since(self.began);
            let life = Life { brief, slip, history, failures: AtomicU32::new(FAILURES) };
            self.lock().push(Arc::new(life));
        }
    }
}

/// Sees to it that somebody lives, and that no letter came to anybody twice.
pub(super) async fn keep(keeper: Arc<Keeper>, common: Arc<Common>, notes: Notes) {
    while !common.is_over() {
        match keeper.current() {
            Some(life) if life.failures.load(Ordering::Relaxed) < FAILURES => {
                if let Some([_, again, ..]) = mail(&keeper.asker, &life.slip, 1).await
                    && again > 0
                {
                    let text = format!("{again} letters came again or late in one life of the receiver");
                    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
                    if !notes.iter().any(|note| note.place == life.slip) {
                        notes.push(Wrong::new(Kind::Doubled, &life.slip, text));
                    }
                }
            }
            _ => keeper.bear().await,
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Letters that a courier got on a line: how many, how many again, how many skipped, the highest number.
pub(super) async fn mail(asker: &Asker, courier: &str, line: u64) -> Option<[u64; 4]> {
    let key = asker.client().next_key();
    let body = order(verb::MAIL, line, 0, &[]);
    let flags = pando_abi::call::call_flags::QUERY;
    let answer = asker.keyed(courier, body, Vec::new(), flags, key, Duration::from_secs(2)).await.ok()?;
    let n = |at: usize| answer.value[at].as_u64();
    Some([n(0)?, n(1)?, n(2)?, n(3)?])
}

/// Counts up whoever lives. To a plain actor nothing is sent twice, so that what is not answered is unknown.
pub(super) async fn briefs(mut caller: Caller, keeper: Arc<Keeper>) {
    caller.plain = true;
    let body = order(verb::TALLY, 0, 0, &[]);
    while caller.think().await {
        let Some(life) = keeper.current() else { continue };
        let asked = life.history.now();
        let settled = caller.fling(&life.brief, &body, &[], Duration::from_secs(1)).await;
        let op = Op {
            client: caller.number,
            what: What::Add,
            asked,
            told: life.history.now(),
            outcome: Outcome::Unknown,
            index: 0,
            node: 0,
            attempts: 1,
        };
        match settled {
            Settled::Answered(answer, _) => {
                life.failures.store(0, Ordering::Relaxed);
                let value = answer.value.as_u64().unwrap_or(u64::MAX);
                life.history.push(Op { outcome: Outcome::Value(value), node: answer.node, ..op });
            }
            Settled::No(..) | Settled::Unknown(_) => {
                life.failures.fetch_add(1, Ordering::Relaxed);
                life.history.push(op);
            }
        }
    }
}

/// Has `post` write to whoever lives.
pub(super) async fn letters(mut caller: Caller, track: Arc<Track>, keeper: Arc<Keeper>) {
    caller.plain = true;
    let body = order(verb::POST, 1, 0, &[]);
    while caller.think().await {
        let Some(life) = keeper.current() else { continue };
        let asked = track.history.now();
        let settled = caller.fling("post", &body, &[&life.slip], Duration::from_secs(1)).await;
        let op = Op {
            client: caller.number,
            what: What::Add,
            asked,
            told: track.history.now(),
            outcome: Outcome::Unknown,
            index: 0,
            node: 0,
            attempts: 1,
        };
        if let Settled::Answered(answer, _) = settled {
            // 0: the group could not send it, and has not used up a number.
            let outcome = match answer.value.as_u64().unwrap_or(u64::MAX) {
                0 => Outcome::Refused,
                value => Outcome::Value(value),
            };
            track.history.push(Op { outcome, index: answer.index, node: answer.node, ..op });
        } else {
            track.history.push(op);
        }
    }
}
