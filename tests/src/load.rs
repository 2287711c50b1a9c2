//! Many callers at once, and an oracle that knows what each was told.
//!
//! Every caller counts up a `tally` by calls of its own, one after the other, each under its own sequence key, and asks
//! again under the same key until it is told the answer. So in the end every call is *acknowledged*, and as each answer
//! is the value after that very call, the answers of all callers together must be 1, 2, 3 ... without a gap (a lost
//! call) and without a repetition (a doubled one).
//!
//! 1. A refusal that means no is not asked again: it ends the test.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pando_abi::Errno;
use pando_admin::SequenceKey;
use tokio::task::JoinHandle;

use crate::{
    Answer, Asker, Realm, Trouble,
    guests::{order, verb},
    until,
};

/// How long one attempt is waited for.
const ATTEMPT: Duration = Duration::from_secs(3);
/// How long a call may take with all its attempts.
const CALL: Duration = Duration::from_secs(60);

/// Callers that go on until they are told to stop.
pub struct Load {
    callers: Vec<JoinHandle<Told>>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

/// What one caller was told.
#[derive(Default)]
struct Told {
    values: Vec<i64>,
    asked_again: u64,
    longest: Duration,
}

/// What all callers were told together.
#[derive(Debug)]
pub struct Toll {
    /// Calls, all of them acknowledged.
    pub calls: u64,
    /// Attempts that were not the first of their call.
    pub asked_again: u64,
    /// The longest that a call took.
    pub longest: Duration,
    /// What is wrong with the answers; empty if nothing is.
    pub complaints: Vec<String>,
}

impl Load {
    /// So many callers of `target`, a third asking each node first.
    pub async fn start(realm: &Realm, target: &str, callers: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let nodes = realm.running();
        let mut tasks = Vec::new();
        for n in 0..callers {
            let asker = realm.asker_at(nodes[n % nodes.len()]).await;
            let (stop, answered, target) = (stop.clone(), answered.clone(), target.to_owned());
            tasks.push(tokio::spawn(caller(asker, target, n as u64, stop, answered)));
        }
        Load { callers: tasks, stop, answered }
    }

    /// Calls acknowledged so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many calls more are acknowledged than now.
    ///
    /// # Panics
    /// If they are not in this time.
    pub async fn go_on(&self, more: u64, patience: Duration) {
        let goal = self.answered() + more;
        let done = async || (self.answered() >= goal).then_some(());
        until(&format!("{more} more calls are answered"), patience, done).await;
    }

    /// Stops the callers, each after the call that it is at, and adds up.
    pub async fn stop(self) -> Toll {
        self.stop.store(true, Ordering::Relaxed);
        let mut told = Vec::new();
        for caller in self.callers {
            told.push(caller.await.expect("a caller is told everything"));
        }
        add_up(&told)
    }
}

async fn caller(asker: Asker, target: String, n: u64, stop: Arc<AtomicBool>, answered: Arc<AtomicU64>) -> Told {
    let mut origin = [0xca; 16];
    origin[8..].copy_from_slice(&n.to_le_bytes());
    let mut key = SequenceKey { origin, ..asker.client().next_key() };
    key.seq = 0;
    let mut told = Told::default();
    while !stop.load(Ordering::Relaxed) {
        key.seq += 1;
        let began = Instant::now();
        let (answer, attempts) = settle(&asker, &target, key).await;
        told.values.push(answer.number());
        told.asked_again += attempts - 1;
        told.longest = told.longest.max(began.elapsed());
        answered.fetch_add(1, Ordering::Relaxed);
    }
    told
}

/// Calls a `tally` under `key` until it is told the answer; how many attempts that took.
///
/// # Panics
/// If it is refused for good, or not answered in a minute.
pub async fn settle(asker: &Asker, target: &str, key: SequenceKey) -> (Answer, u64) {
    let began = Instant::now();
    let mut attempts = 0;
    loop {
        attempts += 1;
        match asker.keyed(target, order(verb::TALLY, 0, 0, &[]), Vec::new(), 0, key, ATTEMPT).await {
            Ok(answer) => return (answer, attempts),
            Err(trouble) if began.elapsed() > CALL => panic!("{key:?} was not answered in a minute: {trouble:?}"),
            Err(Trouble { errno: Errno::TIMEOUT | Errno::UNREACHABLE | Errno::NO_QUORUM | Errno::FULL, .. }) => {
                // Nodes that refuse at once must not be asked in a tight loop.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(trouble) => panic!("{key:?} was refused: {trouble:?}"),
        }
    }
}

fn add_up(told: &[Told]) -> Toll {
    let mut complaints = Vec::new();
    let mut seen: BTreeMap<i64, u64> = BTreeMap::new();
    for (n, one) in told.iter().enumerate() {
        if let Some(pair) = one.values.windows(2).find(|pair| pair[0] >= pair[1]) {
            complaints.push(format!("caller {n} was told {} and later {}", pair[0], pair[1]));
        }
        for value in &one.values {
            *seen.entry(*value).or_default() += 1;
        }
    }
    let calls = told.iter().map(|one| one.values.len() as u64).sum();
    complaints.extend(
        seen.iter().filter(|(_, n)| **n > 1).take(5).map(|(v, n)| format!("{v} was told {n} times: calls lost")),
    );
    let gaps = (1..=calls as i64).filter(|value| !seen.contains_key(value));
    complaints.extend(gaps.take(5).map(|v| format!("nobody was told {v}: a call counted twice, or lost its answer")));
    Toll {
        calls,
        asked_again: told.iter().map(|one| one.asked_again).sum(),
        longest: told.iter().map(|one| one.longest).max().unwrap_or_default(),
        complaints,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toll(callers: &[&[i64]]) -> Toll {
        let told: Vec<Told> = callers.iter().map(|v| Told { values: v.to_vec(), ..Told::default() }).collect();
        add_up(&told)
    }

    #[test]
    fn answers_without_gap_and_repetition_are_right() {
        let toll = toll(&[&[1, 4, 5], &[2, 3, 6]]);
        assert_eq!((toll.calls, toll.complaints.len()), (6, 0));
    }

    #[test]
    fn a_lost_a_doubled_and_a_reordered_call_are_each_seen() {
        // Both were told 2: one of the two calls went under.
        assert!(!toll(&[&[1, 2], &[2, 3]]).complaints.is_empty());
        // Nobody was told 2: some call counted twice.
        assert!(!toll(&[&[1, 3], &[4, 5]]).complaints.is_empty());
        assert!(!toll(&[&[2, 1]]).complaints.is_empty());
    }
}
