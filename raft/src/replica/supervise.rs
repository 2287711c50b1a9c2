//! Watching over one replica: leadership told, changes of voters finished, ends reported.
//!
//! 1. Every change of leadership reaches the machine (its end from here, its beginning from applying).
//! 2. A joint configuration that nobody is working on is finished by the leader.
//! 3. A replica that stops by itself says why.
//! 4. A replica that rests is looked at when something changes, and not before, but for the comparison that its last entries have
//!    still to come: that wakes it once. One that does not lead and rests long is put to sleep.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::{ChangeMembers, ServerState};
use pando_abi::NodeId;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::rest::Awake;
use super::{GroupRaft, Lead, Notice, Replica, blocking};
use crate::config::{AWAKE_WELL, REST_SOONEST};
use crate::groups::rest::offer;
use crate::status::GroupEvent;
use crate::types::Command;

/// How often a quiet leader looks for work left over.
const LOOK: Duration = Duration::from_millis(500);

/// How often the time between two offers to rest is doubled.
const OFFERS_MAX: u32 = 5;

/// Runs until the replica ends.
pub(crate) async fn supervise(replica: Arc<Replica>, events: broadcast::Sender<GroupEvent>, patience: Patience) {
    let Some(raft) = replica.raft().cloned() else { return };
    let group = replica.core.group;
    let mut metrics = raft.server_metrics();
    let mut told: Option<(u64, u64)> = None;
    // The term in which the machine knows that this replica follows, and whether as a learner.
    let mut follows: Option<(u64, bool)> = None;
    let mut idle = Idle { applied: 0, touched: 0, since: Instant::now(), offers: 0 };
    let mut waking = Waking { which: None, since: Instant::now(), ticks: false };
    loop {
        let look = async {
            match (replica.rest.is_awake(), replica.leads()) {
                (true, true) if waking.ticks => tokio::time::sleep(patience.look()).await,
                (true, true) => tokio::time::sleep(patience.look().min(patience.calm)).await,
                (true, false) if waking.ticks => tokio::time::sleep(LOOK).await,
                (true, false) => tokio::time::sleep(patience.calm).await,
                (false, true) if patience.compares(&replica) => {
                    _ = tokio::time::timeout(patience.checkpoint, replica.woken.notified()).await;
                }
                (false, false) if !patience.sleep.is_zero() => {
                    if tokio::time::timeout(patience.sleep, replica.woken.notified()).await.is_err() {
                        // The node is closing if nobody listens.
                        let _ = replica.core.notices.send(Notice::Sleep { group });
                    }
                }
                (false, _) => replica.woken.notified().await,
            }
        };
        let ended = tokio::select! {
            biased;
            changed = metrics.changed() => changed.is_err(),
            () = look => false,
        };
        if ended {
            break;
        }
        waking.look(&replica, patience.calm);
        let Some(lead) = replica.lead() else { break };
        if let Some(leader) = lead.leader
            && told != Some((leader, lead.term))
        {
            told = Some((leader, lead.term));
            tracing::info!(%group, leader, term = lead.term, "a leader was elected");
            // Nobody may be watching.
            let _ = events.send(GroupEvent::Leader { group, leader: NodeId(leader as u32), term: lead.term });
        }
        let learner = lead.state == ServerState::Learner;
        match lead.state {
            ServerState::Leader => {
                follows = None;
                tidy(&replica, &raft, lead, &mut idle, &patience).await;
            }
            ServerState::Candidate => {}
            _ if follows == Some((lead.term, learner)) => {}
            _ => {
                let core = replica.core.clone();
                match blocking(move || core.follow(lead.term, learner)).await {
                    Ok(told) => follows = told.then_some((lead.term, learner)),
                    Err(e) => replica.core.halt(&e.to_string(), false),
                }
            }
        }
    }
    if replica.ending.load(Ordering::Relaxed) || replica.core.is_fenced() {
        return;
    }
    let why = match &raft.metrics().borrow_watched().running_state {
        Err(e) => e.to_string(),
        Ok(()) => "it ended".to_string(),
    };
    // A machine's own reason says more than what openraft makes of it.
    replica.core.halt(&why, false);
    let why = replica.core.halted().unwrap_or(why);
    tracing::error!(%group, %why, "a replica has stopped");
    let _ = events.send(GroupEvent::Stopped { group, why });
    let _ = raft.shutdown().await;
}

/// How long a leader without work waits.
pub(crate) struct Patience {
    /// Before it has its replicas compared, if it has not come to rest before that.
    pub(crate) checkpoint: Duration,
    /// Before it rests, if few are awake on its node.
    pub(crate) rest: Duration,
    /// How long one rests that does not lead before it is put to sleep. Zero: it never is.
    pub(crate) sleep: Duration,
    /// How long it is awake without heartbeats.
    pub(crate) calm: Duration,
    pub(crate) awake: Awake,
}

impl Patience {
    /// Are there entries of the machine of which nobody has been told yet where they led?
    fn compares(&self, replica: &Replica) -> bool {
        !self.checkpoint.is_zero() && replica.core.wants_checkpoint()
    }

    /// Before it rests, now. Zero: it never does.
    fn rest(&self) -> Duration {
        let crowd = self.awake.count().div_ceil(AWAKE_WELL).max(1) as u32;
        (self.rest / crowd).max(REST_SOONEST.min(self.rest))
    }

    /// How often to look whether it is over.
    fn look(&self) -> Duration {
        if self.rest.is_zero() { LOOK } else { self.rest().min(LOOK) }
    }
}

/// A time that a replica is awake.
struct Waking {
    which: Option<u64>,
    since: Instant,
    /// It shows signs of life.
    ticks: bool,
}

impl Waking {
    fn look(&mut self, replica: &Replica, calm: Duration) {
        let which = replica.rest.awakening();
        if which != self.which {
            *self = Waking { which, since: Instant::now(), ticks: false };
        }
        if which.is_some() && !self.ticks && self.since.elapsed() >= calm {
            replica.tick();
            self.ticks = true;
        }
    }
}

struct Idle {
    applied: u64,
    touched: u64,
    since: Instant,
    /// To rest, since.
    offers: u32,
}

/// What a leader does beside leading.
async fn tidy(replica: &Replica, raft: &GroupRaft, lead: Lead, idle: &mut Idle, patience: &Patience) {
    if lead.joint
        && let Ok(_mine) = replica.changing.try_lock()
    {
        // Nobody here is working on it, so whoever was has gone: finish with the newer configuration.
        let finish = raft.change_membership(ChangeMembers::AddVoterIds(BTreeSet::new()), false);
        match tokio::time::timeout(LOOK * 4, finish).await {
            Ok(Ok(_)) => tracing::info!(group = %replica.core.group, "an interrupted change of voters was finished"),
            Ok(Err(e)) => {
                tracing::debug!(group = %replica.core.group, %e, "a joint configuration cannot be finished yet")
            }
            Err(_) => {}
        }
    }
    let applied = replica.core.applied();
    let touched = replica.touched.load(Ordering::Relaxed);
    if (applied, touched) != (idle.applied, idle.touched) {
        *idle = Idle { applied, touched, since: Instant::now(), offers: 0 };
    }
    let idle_for = idle.since.elapsed();
    if patience.compares(replica) && idle_for >= patience.checkpoint {
        idle.since = Instant::now();
        replica.core.count_comparison();
        // If openraft has ended the next look says so.
        let _ = replica.write_own(raft, Command::Checkpoint, LOOK * 4).await;
    } else if !patience.rest.is_zero() && idle_for >= patience.rest() * (1 << idle.offers.min(OFFERS_MAX)) {
        // If somebody cannot take it, the next one comes later.
        idle.offers += 1;
        offer(replica).await;
    }
}
