//! Watching over one replica: leadership told, changes of voters finished, ends reported.
//!
//! 1. Every change of leadership reaches the machine (its end from here, its beginning from applying).
//! 2. A joint configuration that nobody is working on is finished by the leader.
//! 3. A replica that stops by itself says why.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::{ChangeMembers, ServerState};
use pando_abi::NodeId;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::{GroupRaft, Lead, Replica, blocking};
use crate::status::GroupEvent;
use crate::types::Command;

/// How often a quiet leader looks for work left over.
const LOOK: Duration = Duration::from_millis(500);

/// Runs until the replica ends.
pub(crate) async fn supervise(replica: Arc<Replica>, events: broadcast::Sender<GroupEvent>, checkpoint_idle: Duration) {
    let Some(raft) = replica.raft.clone() else { return };
    let group = replica.core.group;
    let mut metrics = raft.server_metrics();
    let mut told: Option<(u64, u64)> = None;
    let mut idle = Idle { applied: 0, since: Instant::now() };
    loop {
        if let Ok(Err(_)) = tokio::time::timeout(LOOK, metrics.changed()).await {
            break;
        }
        let Some(lead) = replica.lead() else { break };
        if let Some(leader) = lead.leader
            && told != Some((leader, lead.term))
        {
            told = Some((leader, lead.term));
            tracing::info!(%group, leader, term = lead.term, "a leader was elected");
            // Nobody may be watching.
            let _ = events.send(GroupEvent::Leader { group, leader: NodeId(leader as u32), term: lead.term });
        }
        if lead.state == ServerState::Leader {
            tidy(&replica, &raft, lead, &mut idle, checkpoint_idle).await;
        } else if lead.state != ServerState::Candidate {
            let core = replica.core.clone();
            let learner = lead.state == ServerState::Learner;
            if let Err(e) = blocking(move || core.follow(lead.term, learner)).await {
                replica.core.halt(&e.to_string(), false);
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

struct Idle {
    applied: u64,
    since: Instant,
}

/// What a leader does beside leading.
async fn tidy(replica: &Replica, raft: &GroupRaft, lead: Lead, idle: &mut Idle, checkpoint_idle: Duration) {
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
    if applied != idle.applied {
        *idle = Idle { applied, since: Instant::now() };
    }
    if !checkpoint_idle.is_zero() && idle.since.elapsed() >= checkpoint_idle && replica.core.wants_checkpoint() {
        idle.since = Instant::now();
        // Without waiting: if it is not committed there will be another.
        let _ = raft.client_write_ff(Command::Checkpoint, None).await;
    }
}
