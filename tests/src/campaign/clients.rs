//! Somebody who asks under keys, and asks again under the same key until the answer is known.
//!
//! Owns: one client's keys, which node it asks, and when it gives up. Does not know: whether answers are right.
//!
//! 1. A write is asked for again under its key, whatever comes in between, until its outcome is known or time is over.
//! 2. Nothing is called refused but what the receiver itself has refused.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use pando_abi::{Errno, NodeId, call::call_flags};
use pando_admin::SequenceKey;
use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::{Answer, Asker, Trouble};

/// How long one attempt is waited for.
pub const ATTEMPT: Duration = Duration::from_secs(1);
/// How long a call may take with all its attempts: longer than any trouble and its healing.
pub const CALL: Duration = Duration::from_secs(150);
/// The same once everything is healed for good.
pub const LAST_CALL: Duration = Duration::from_secs(45);
const AGAIN: Duration = Duration::from_millis(20);
/// The longest that a client thinks between two calls.
const THOUGHT_MS_MAX: u64 = 40;

/// What all clients share.
#[derive(Default)]
pub struct Common {
    /// No more calls; those under way may be finished.
    pub stop: AtomicBool,
    /// Attempts that came to nothing, by errno: of groups, and of plain actors, which may be gone.
    pub failed: [Mutex<BTreeMap<&'static str, u64>>; 2],
}

impl Common {
    fn note(&self, plain: bool, errno: Errno) {
        *self.failed[usize::from(plain)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(errno.name())
            .or_default() += 1;
    }

    /// Shall everybody come to an end?
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What came of a write.
pub enum Settled {
    /// The answer, and at which attempt.
    Answered(Answer, u32),
    /// The receiver said no.
    No(Trouble, u32),
    /// Time is over, or it was given up on purpose.
    Unknown(u32),
}

/// See the module.
pub struct Caller {
    /// Its number.
    pub number: u32,
    /// Its chances.
    pub dice: Dice,
    /// Does it ask plain actors?
    pub plain: bool,
    asker: Asker,
    nodes: u32,
    common: Arc<Common>,
    key: SequenceKey,
}

impl Caller {
    /// A client that asks one of `nodes` nodes first.
    pub async fn new(asker: Asker, number: u32, nodes: u32, seed: u64, common: Arc<Common>) -> Caller {
        let mut origin = [0xcc; 16];
        origin[8..].copy_from_slice(&u64::from(number).to_le_bytes());
        let key = SequenceKey { origin, seq: 0, ..asker.client().next_key() };
        let dice = Dice::of(seed, 1_000 + u64::from(number));
        let mut caller = Caller { number, dice, plain: false, asker, nodes, common, key };
        caller.turn().await;
        caller
    }

    /// Asks another node from now on.
    async fn turn(&mut self) {
        let node = self.dice.between(1, u64::from(self.nodes)) as u32;
        self.asker.client().prefer(NodeId(node)).await;
    }

    fn next_key(&mut self) -> SequenceKey {
        self.key.seq += 1;
        self.key
    }

    /// Thinks for a while. False if all shall end.
    pub async fn think(&mut self) -> bool {
        let thought = self.dice.below(THOUGHT_MS_MAX);
        sleep(Duration::from_millis(thought)).await;
        if self.dice.chance(20) {
            self.turn().await;
        }
        !self.common.is_over()
    }

    /// Writes until the outcome is known.
    pub async fn settle(&mut self, target: &str, body: &[u8], handles: &[&str]) -> Settled {
        let key = self.next_key();
        let began = Instant::now();
        let mut over: Option<Instant> = None;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.attempt(target, body, handles, 0, key, ATTEMPT).await {
                Ok(answer) => return Settled::Answered(answer, attempts),
                Err(trouble) if is_no(trouble.errno) => return Settled::No(trouble, attempts),
                Err(_) => {}
            }
            if self.common.is_over() {
                over.get_or_insert_with(Instant::now);
            }
            if began.elapsed() > CALL || over.is_some_and(|at| at.elapsed() > LAST_CALL) {
                return Settled::Unknown(attempts);
            }
            self.turn().await;
            // Nodes that refuse at once are not asked in a tight loop.
            sleep(AGAIN).await;
        }
    }

    /// Writes, and does not care for long what became of it.
    pub async fn fling(&mut self, target: &str, body: &[u8], handles: &[&str], wait: Duration) -> Settled {
        let key = self.next_key();
        match self.attempt(target, body, handles, 0, key, wait).await {
            Ok(answer) => Settled::Answered(answer, 1),
            Err(trouble) if is_no(trouble.errno) => Settled::No(trouble, 1),
            Err(_) => {
                self.turn().await;
                Settled::Unknown(1)
            }
        }
    }

    /// Reads once; a read that comes to nothing did nothing.
    pub async fn read(&mut self, target: &str, body: &[u8], linear: bool) -> Option<Answer> {
        let flags = if linear { call_flags::QUERY } else { call_flags::QUERY | call_flags::FINAL };
        let key = self.next_key();
        let answer = self.attempt(target, body, &[], flags, key, 2 * ATTEMPT).await;
        if answer.is_err() {
            self.turn().await;
        }
        answer.ok()
    }

    async fn attempt(
        &mut self,
        target: &str,
        body: &[u8],
        handles: &[&str],
        flags: i32,
        key: SequenceKey,
        patience: Duration,
    ) -> Result<Answer, Trouble> {
        let handles = handles.iter().map(|h| (*h).to_owned()).collect();
        let answer = self.asker.keyed(target, body.to_vec(), handles, flags, key, patience).await;
        if let Err(trouble) = &answer {
            self.common.note(self.plain, trouble.errno);
        }
        answer
    }
}

/// Is this the receiver's own no, and not the way's?
fn is_no(errno: Errno) -> bool {
    matches!(errno, Errno::BAD_REQUEST | Errno::APPLICATION | Errno::TRAPPED | Errno::DENIED | Errno::NO_REPLY)
}
