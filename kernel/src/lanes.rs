//! This node's way into groups: one lane for each group, one batch on its way at a time.
//!
//! Everything that this node has for a group (from its actors, its consoles, other groups whose leader is here) waits in
//! that group's lane; what waits goes as one log entry. So the order of each sender is kept, and a busy group pays for
//! one agreement a batch and not one a message.
//!
//! 1. A batch is proposed again, under the same sequence key, until it is known to be committed or given up.
//! 2. What is given up is told to its sender: [`pando_abi::Errno::NO_QUORUM`]. What has nobody to be told (an alarm, an end, a
//!    reply) is not given up: it waits for the quorum.
//! 3. A lane is bounded by count and bytes; what does not fit comes back `FULL`.

#![allow(missing_docs, reason = "fields of variants that say what they are")]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};

use pando_abi::{ActorId, Address, Errno, NodeId};
use pando_raft::{Entry, ProposeError};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    input::{Input, Standing, undeliverable},
    node::Kernel,
    replica::entry::{BATCH, Batch, BatchItem, ItemOutcome, Outcome},
    wire,
};

/// Inputs of one batch.
const BATCH_ITEMS_MAX: usize = 512;
/// Bytes of one batch, about.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Inputs that wait in one lane.
const LANE_ITEMS_MAX: usize = 1 << 15;
/// Bytes that wait in one lane.
const LANE_BYTES_MAX: usize = 64 << 20;
/// How long a batch is tried before it is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one proposal is waited for before it is tried anew.
const TRY: Duration = Duration::from_secs(3);
/// How long a group may be unknown to the realm before it counts as gone: its creation may be under way.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(5);
/// How long acknowledgements wait for company.
const ACK_DELAY: Duration = Duration::from_millis(10);

/// What became of an input that somebody waits for.
#[derive(Debug)]
pub enum Fate {
    /// Committed at this index under this leader.
    Handled { index: u64, leader: NodeId },
    /// The group wants another stamp first.
    Gap { expected: u64 },
    /// The group has ended, or is unknown.
    Gone(Box<pando_actors::Exit>),
    /// Given up; it may have happened.
    GivenUp,
}

/// An input on its way to a group.
pub struct LaneItem {
    /// Who sent it: told when it cannot be delivered.
    pub from: Address,
    /// What.
    pub input: Input,
    /// (group, seq), if a group said it.
    pub stamp: Option<(ActorId, u64)>,
    /// Told what became of it; if nobody is, its sender is told of failure in the usual way.
    pub fate: Option<oneshot::Sender<Fate>>,
}

#[derive(Default)]
struct Lane {
    items: VecDeque<LaneItem>,
    bytes: usize,
    acks: BTreeMap<Address, u64>,
    running: bool,
    seq: u64,
}

/// See the module.
pub struct Lanes {
    kernel: Weak<Kernel>,
    lanes: Mutex<BTreeMap<ActorId, Arc<Mutex<Lane>>>>,
}

impl Lanes {
    /// The lanes of a node.
    pub fn new(kernel: Weak<Kernel>) -> Lanes {
        Lanes { kernel, lanes: Mutex::default() }
    }

    /// Puts an input on its way to a group.
    ///
    /// # Errors
    /// The item comes back if the lane is full.
    pub fn push(&self, group: ActorId, item: LaneItem) -> Result<(), LaneItem> {
        let lane = self.lane(group);
        let mut state = lane.lock();
        let size = item.input.size();
        if state.items.len() >= LANE_ITEMS_MAX || state.bytes + size > LANE_BYTES_MAX {
            return Err(item);
        }
        state.bytes += size;
        state.items.push_back(item);
        self.run(group, &lane, &mut state, Duration::ZERO);
        Ok(())
    }

    /// Notes that `to` has heard `group` up to `seq`; the group is told before long.
    pub fn acknowledge(&self, group: ActorId, to: Address, seq: u64) {
        let lane = self.lane(group);
        let mut state = lane.lock();
        let known = state.acks.entry(to).or_insert(0);
        *known = seq.max(*known);
        self.run(group, &lane, &mut state, ACK_DELAY);
    }

    fn lane(&self, group: ActorId) -> Arc<Mutex<Lane>> {
        self.lanes.lock().entry(group).or_default().clone()
    }

    fn run(&self, group: ActorId, lane: &Arc<Mutex<Lane>>, state: &mut Lane, delay: Duration) {
        if state.running {
            return;
        }
        let Some(kernel) = self.kernel.upgrade() else { return };
        state.running = true;
        let lane = lane.clone();
        let runtime = kernel.runtime().clone();
        let kernel = self.kernel.clone();
        runtime.spawn(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            drive(kernel, group, lane).await;
        });
    }
}

/// Works a lane off until it is empty.
async fn drive(kernel: Weak<Kernel>, group: ActorId, lane: Arc<Mutex<Lane>>) {
    loop {
        let Some(kernel) = kernel.upgrade() else { return };
        let (items, acks, seq) = {
            let mut state = lane.lock();
            let items = take_batch(&mut state);
            let acks = std::mem::take(&mut state.acks);
            if items.is_empty() && acks.is_empty() {
                state.running = false;
                return;
            }
            state.seq += 1;
            (items, acks, state.seq)
        };
        let unborn = propose(&kernel, group, items, acks, seq).await;
        if !unborn.is_empty() {
            put_back(&lane, unborn);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn put_back(lane: &Mutex<Lane>, items: Vec<LaneItem>) {
    let mut state = lane.lock();
    for item in items.into_iter().rev() {
        state.bytes += item.input.size();
        state.items.push_front(item);
    }
}

fn take_batch(state: &mut Lane) -> Vec<LaneItem> {
    let mut items = Vec::new();
    let mut bytes = 0;
    while let Some(next) = state.items.front() {
        let size = next.input.size();
        if items.len() == BATCH_ITEMS_MAX || (bytes + size > BATCH_BYTES_MAX && !items.is_empty()) {
            break;
        }
        bytes += size;
        state.bytes -= size;
        items.extend(state.items.pop_front());
    }
    items
}

/// Proposes one batch until its fate is known. Returns what has to be tried anew: the group is not born yet, or has no quorum.
async fn propose(
    kernel: &Arc<Kernel>,
    group: ActorId,
    items: Vec<LaneItem>,
    acks: BTreeMap<Address, u64>,
    seq: u64,
) -> Vec<LaneItem> {
    let batch = Batch {
        acks: acks.iter().map(|(to, seq)| ((*to).into(), *seq)).collect(),
        items: items
            .iter()
            .map(|item| BatchItem { stamp: item.stamp.map(|(g, s)| (g.0, s)), input: (&item.input).into() })
            .collect(),
    };
    let mut origin = [0; 16];
    origin[..4].copy_from_slice(&kernel.id().0.to_le_bytes());
    let entry = Entry {
        origin,
        incarnation: kernel.incarnation().0,
        seq,
        time_ns: kernel.door().now_ns(),
        seed: kernel.door().seed(),
        epoch: 0,
        kind: BATCH,
        payload: wire::encode(&batch),
    };
    let groups = kernel.groups_opened().await;
    let began = tokio::time::Instant::now();
    loop {
        let waited = began.elapsed();
        let via = match kernel.whereabouts(group) {
            Whereabouts::At(voters) => voters,
            Whereabouts::Ended(exit) => {
                items.into_iter().for_each(|item| gone(kernel, group, item, &exit));
                return Vec::new();
            }
            Whereabouts::Unknown if waited < UNKNOWN_PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            Whereabouts::Unknown => {
                let exit = crate::input::exit(pando_abi::ExitKind::NoActor, "no such group");
                items.into_iter().for_each(|item| gone(kernel, group, item, &exit));
                return Vec::new();
            }
        };
        match groups.propose_via(&via, group, entry.clone(), TRY).await {
            Ok(committed) => {
                let standing = Standing { index: committed.index, linear: false, node: committed.leader.0 };
                return settle(kernel, group, items, &committed.outcome, standing);
            }
            Err(why) if waited > PATIENCE => {
                tracing::warn!(group = %group, %why, "a batch of {} was given up", items.len());
                return items.into_iter().filter_map(|item| give_up(kernel, group, item)).collect();
            }
            Err(ProposeError::Timeout) => {}
            Err(why) => {
                tracing::debug!(group = %group, %why, "a batch is tried again");
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        }
    }
}

/// Where a group is, as the root group knows it.
pub enum Whereabouts {
    /// On these nodes.
    At(Vec<NodeId>),
    /// Nowhere any more.
    Ended(Box<pando_actors::Exit>),
    /// The root group does not know it, or not yet.
    Unknown,
}

/// Tells everybody what became of a committed batch.
fn settle(
    kernel: &Arc<Kernel>,
    group: ActorId,
    items: Vec<LaneItem>,
    outcome: &[u8],
    standing: Standing,
) -> Vec<LaneItem> {
    let outcomes = match wire::decode::<Outcome>(outcome, usize::MAX) {
        Ok(Outcome::Items(outcomes)) => outcomes,
        Ok(Outcome::Switched(_)) => Vec::new(),
        Ok(Outcome::Malformed(why)) => {
            tracing::error!(group = %group, %why, "the group could not read a batch of this node");
            Vec::new()
        }
        Err(why) => {
            tracing::error!(group = %group, %why, "an outcome cannot be read");
            Vec::new()
        }
    };
    let mut unborn = Vec::new();
    let mut outcomes = outcomes.into_iter();
    for item in items {
        match outcomes.next().unwrap_or(ItemOutcome::Done) {
            ItemOutcome::Done | ItemOutcome::Duplicate => tell(item.fate, standing),
            ItemOutcome::Answered { status, message, index } => {
                let standing = Standing { index, ..standing };
                if let (Some(reply), Ok(message)) = (item.input.reply(), message.open()) {
                    let (token, message) = (reply.token, Box::new(message));
                    let input = Input::Reply { token, status, message, standing };
                    kernel.deliver(Address::group(group), reply.address, input);
                }
                tell(item.fate, standing);
            }
            ItemOutcome::Gap { expected } => {
                if let Some(fate) = item.fate {
                    let _ = fate.send(Fate::Gap { expected });
                }
            }
            ItemOutcome::NotBorn => unborn.push(item),
            ItemOutcome::Dead(exit) => match exit.open() {
                Ok(exit) => gone(kernel, group, item, &exit),
                Err(_) => unborn.extend(give_up(kernel, group, item)),
            },
        }
    }
    unborn
}

fn tell(fate: Option<oneshot::Sender<Fate>>, standing: Standing) {
    if let Some(fate) = fate {
        let _ = fate.send(Fate::Handled { index: standing.index, leader: NodeId(standing.node) });
    }
}

fn gone(kernel: &Arc<Kernel>, group: ActorId, item: LaneItem, exit: &pando_actors::Exit) {
    let to = Address::group(group);
    let told = match &item.input {
        Input::Watch { watcher: who, .. } | Input::Link { peer: who, .. } => {
            vec![(*who, Input::Down { target: to, exit: exit.clone() })]
        }
        input => undeliverable(to, input, Errno::DEAD),
    };
    for (who, input) in told {
        kernel.deliver(to, who, input);
    }
    if let Some(fate) = item.fate {
        let _ = fate.send(Fate::Gone(Box::new(exit.clone())));
    }
}

/// Tells whoever can be told. The item comes back if nobody can.
fn give_up(kernel: &Arc<Kernel>, group: ActorId, item: LaneItem) -> Option<LaneItem> {
    let to = Address::group(group);
    // A stamped input is its speaker's to try again.
    if item.stamp.is_none() {
        let told = match &item.input {
            // Whatever it carries: its asker waits for it.
            Input::Reply { .. } => Vec::new(),
            input => undeliverable(to, input, Errno::NO_QUORUM),
        };
        if told.is_empty() && item.fate.is_none() {
            return Some(item);
        }
        for (who, input) in told {
            kernel.deliver(to, who, input);
        }
    }
    if let Some(fate) = item.fate {
        let _ = fate.send(Fate::GivenUp);
    }
    None
}
