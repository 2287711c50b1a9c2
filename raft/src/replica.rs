//! One group on this node: the machine, and what surrounds it.
//!
//! [`Core`] is what applying needs (the machine, the chain, who has attested what); [`Replica`] adds
//! openraft and what the node's services need.
//!
//! 1. The machine is touched only under `slot`, and `slot` is never held across an await or on a
//!    thread that the network needs; [`Core::hear`], [`Core::applied`] and the members never take it.
//! 2. A fenced replica applies nothing. It is replaced by one with another [`Core`] once it is rebuilt ([`crate::groups`]).
//! 3. `role(true, t)` is told when the blank entry of term `t` is applied, if this node still leads.

pub(crate) mod apply;
pub(crate) mod danger;
mod hear;
pub(crate) mod rest;
mod standing;
pub(crate) mod supervise;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use openraft::{Instant, Raft, ReadPolicy, ServerState};
use pando_abi::NodeId;
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Notify, mpsc, watch};

use crate::attest::Attestations;
use crate::chain::{Chain, Links};
use crate::codec::wire::Packet;
use crate::disk::Disk;
use crate::disk::applying::Place;
use crate::disk::log::GroupLog;
use crate::disk::snapshots::Snapshots;
use crate::disk::snapshots::incoming::Incoming;
use crate::entry::GroupId;
use crate::groups::rebuild::Loan;
use crate::machine::Machine;
use crate::net::Link;
use crate::net::peer::Acked;
use crate::status::Status;
use crate::types::{Command, LogId, StoredMembership, Types};
use apply::Replicated;
use danger::Danger;
use rest::{Rest, Spot};
pub(crate) use standing::Lead;

pub(crate) type GroupRaft = Raft<Types, Replicated>;

/// What a replica asks of its node.
#[derive(Debug)]
pub(crate) enum Notice {
    /// Fence the replica here: it was found wrong at this index.
    Fence { group: GroupId, index: u64, why: String },
    /// An entry is deadly here.
    Deadly { group: GroupId },
    /// The replica here was fenced before the boot, and perhaps rebuilt.
    Resume { group: GroupId },
    /// A replica that was fenced agrees with the majority again.
    Mended { group: GroupId, node: u64 },
    /// Another replica is in the minority.
    Minority { group: GroupId, node: u64, why: String },
    /// Another replica no longer has what it acknowledged.
    Lost { group: GroupId, node: u64, index: u64 },
    /// The snapshot here is damaged on the disk and not in memory.
    Rewrite { group: GroupId },
    /// Replicas disagree without a majority.
    Split { group: GroupId, index: u64 },
    /// The replica here sleeps and is wanted.
    Rouse { group: GroupId },
    /// The replica here has rested long.
    Sleep { group: GroupId },
}

/// The part of a replica that applies.
pub(crate) struct Core {
    pub(crate) group: GroupId,
    pub(crate) node: u64,
    pub(crate) disk: Arc<Disk>,
    pub(crate) log: GroupLog,
    link: Arc<Link>,
    attest_every: u64,
    notices: mpsc::UnboundedSender<Notice>,
    slot: Mutex<Slot>,
    applied: watch::Sender<u64>,
    /// The last agreed index, and the last index with an entry of the machine.
    agreed: AtomicU64,
    worked: AtomicU64,
    /// Up to where entries of the machine stood at the last comparison that was only for lost words, and how many those were.
    again: Mutex<(u64, u32)>,
    members: Mutex<Members>,
    heard: Mutex<Heard>,
    halted: Mutex<Option<String>>,
    fenced: AtomicBool,
    fenced_at: AtomicU64,
    /// Why this replica, or the one before it that it was rebuilt from the others for, was fenced; until it agrees again.
    mending: Mutex<Option<String>>,
    /// Whether snapshots may no longer be saved; held while one is.
    saved_last: Mutex<bool>,
    pub(crate) danger: Danger,
    /// What the others have acknowledged to this replica.
    pub(crate) acked: Acked,
}

/// The machine and what is true of it at its last applied entry.
struct Slot {
    machine: Box<dyn Machine>,
    last: Option<LogId>,
    membership: StoredMembership,
    links: Links,
    told: Option<(bool, u64)>,
}

#[derive(Clone, Default)]
struct Members {
    voters: BTreeSet<u64>,
    all: BTreeSet<u64>,
    /// The index at which they became members, unless a change is under way.
    seated_at: Option<u64>,
    chain: Chain,
}

#[derive(Default)]
struct Heard {
    words: Attestations,
    attested: u64,
    minority: BTreeMap<u64, String>,
    /// Of these, those that know it themselves, and whether they say that they are being rebuilt.
    aware: BTreeMap<u64, bool>,
    split: bool,
}

/// What [`Core::open`] needs.
pub(crate) struct Seed {
    pub(crate) group: GroupId,
    pub(crate) node: u64,
    pub(crate) disk: Arc<Disk>,
    pub(crate) log: GroupLog,
    pub(crate) link: Arc<Link>,
    pub(crate) attest_every: u64,
    pub(crate) notices: mpsc::UnboundedSender<Notice>,
    pub(crate) machine: Box<dyn Machine>,
    pub(crate) place: Place,
}

impl Core {
    pub(crate) fn new(seed: Seed) -> Core {
        let slot = Slot {
            machine: seed.machine,
            last: None,
            membership: StoredMembership::default(),
            links: Links::default(),
            told: None,
        };
        Core {
            group: seed.group,
            node: seed.node,
            disk: seed.disk,
            log: seed.log,
            link: seed.link,
            attest_every: seed.attest_every,
            notices: seed.notices,
            slot: Mutex::new(slot),
            applied: watch::Sender::new(0),
            agreed: AtomicU64::new(0),
            worked: AtomicU64::new(0),
            again: Mutex::new((0, 0)),
            members: Mutex::default(),
            heard: Mutex::default(),
            halted: Mutex::new(None),
            fenced: AtomicBool::new(false),
            fenced_at: AtomicU64::new(0),
            mending: Mutex::new(None),
            saved_last: Mutex::new(false),
            danger: Danger::new(seed.place),
            acked: Acked::default(),
        }
    }

    /// The last applied index.
    pub(crate) fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Wakes when more is applied.
    pub(crate) fn watch_applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// The last agreed index at which a majority of the voters was seen to have this replica's chain.
    pub(crate) fn attested(&self) -> u64 {
        self.heard.lock().attested
    }

    /// Why nothing more is applied here.
    pub(crate) fn halted(&self) -> Option<String> {
        self.halted.lock().clone()
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Relaxed)
    }

    /// From now on nothing is applied. The first reason stands.
    pub(crate) fn halt(&self, why: &str, fenced: bool) {
        self.halted.lock().get_or_insert_with(|| why.to_string());
        if fenced {
            self.fenced.store(true, Ordering::Relaxed);
        }
    }

    /// It was found fenced on the disk, since this index.
    pub(crate) fn was_fenced(&self, index: u64, why: &str) {
        self.fenced_at.store(index, Ordering::Relaxed);
        self.halt(why, true);
    }

    /// What a fenced replica says to the others.
    pub(crate) fn fence_packet(&self, rebuilding: bool) -> Packet {
        let why = self.halted().unwrap_or_default();
        Packet::Fenced { group: self.group.0, index: self.fenced_at.load(Ordering::Relaxed), why, rebuilding }
    }

    /// A fenced replica stays so, for this reason.
    pub(crate) fn give_up(&self, why: &str) {
        *self.halted.lock() = Some(why.to_string());
        *self.mending.lock() = None;
    }

    /// From now on it is being rebuilt, until it agrees again.
    pub(crate) fn mend(&self, why: &str) {
        *self.mending.lock() = Some(why.to_string());
    }

    /// Why it has been fenced, if it has not agreed since.
    pub(crate) fn mending(&self) -> Option<String> {
        self.mending.lock().clone()
    }

    /// Looks into the machine between two entries.
    pub(crate) fn with_machine<R>(&self, f: impl FnOnce(&mut dyn Machine) -> R) -> Option<R> {
        if self.halted.lock().is_some() {
            return None;
        }
        Some(f(&mut *self.slot.lock().machine))
    }

    /// This replica leads right now, by the vote that is on its disk.
    fn leads(&self) -> Option<u64> {
        let vote = self.log.vote()?;
        (vote.committed && vote.leader_id.voted_for == self.node).then_some(vote.leader_id.term)
    }

    /// This replica does not lead: tells the machine, unless that changed meanwhile. Does it know now? Blocks.
    pub(crate) fn follow(&self, term: u64, learner: bool) -> bool {
        let mut slot = self.slot.lock();
        let follows = learner || self.leads().is_none();
        if follows {
            slot.tell(false, term);
        }
        follows
    }

    /// It has ended while it led: tells the machine. Blocks.
    pub(crate) fn depose(&self) {
        let mut slot = self.slot.lock();
        if let Some((true, term)) = slot.told {
            slot.tell(false, term);
        }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// The other members, and the voters.
    pub(crate) fn others(&self) -> (Vec<NodeId>, BTreeSet<u64>) {
        let members = self.members.lock();
        let others = members.all.iter().filter(|n| **n != self.node).map(|n| NodeId(*n as u32)).collect();
        (others, members.voters.clone())
    }

    /// The other members, as far as applied here.
    pub(crate) fn member_nodes(&self) -> Vec<NodeId> {
        self.others().0
    }

    /// As another core of this group knows the members.
    pub(crate) fn members_of(&self, other: &Core) {
        *self.members.lock() = other.members.lock().clone();
    }

    /// What to go by when nothing was applied.
    pub(crate) fn assume_members(&self, founders: &[u64]) {
        let mut members = self.members.lock();
        if members.all.is_empty() {
            members.all = founders.iter().copied().collect();
            members.voters = members.all.clone();
        }
    }

    /// Makes something the group's snapshot on the disk, unless this replica has ended. Blocks.
    fn saving<R>(&self, save: impl FnOnce(&Snapshots) -> io::Result<R>) -> io::Result<R> {
        let ended = self.saved_last.lock();
        if *ended {
            return Err(io::Error::other("the replica has ended"));
        }
        let saved = save(&self.disk.snapshots);
        saved.inspect_err(|e| self.disk.unless_damage("a snapshot could not be written", e))
    }

    /// Whether `node` is a member, as far as applied here.
    pub(crate) fn is_member(&self, node: u64) -> bool {
        self.members.lock().all.contains(&node)
    }
}

impl Slot {
    fn tell(&mut self, leading: bool, term: u64) {
        let news = match self.told {
            None => true,
            Some((was, since)) => term > since || term == since && leading != was,
        };
        if news {
            self.told = Some((leading, term));
            self.machine.role(leading, term);
        }
    }
}

/// A group on this node.
///
/// One that sleeps is on the disk, and openraft and the machine's state are not in memory: it was found so when the node booted, or has
/// rested long and does not lead. It is started by whatever it cannot answer from its log alone ([`crate::groups::sleep`]).
pub(crate) struct Replica {
    pub(crate) core: Arc<Core>,
    /// Unset: it sleeps, was found fenced on the disk, or failed to start.
    raft: OnceLock<GroupRaft>,
    asleep: AtomicBool,
    /// How it stood when it was put to sleep.
    slept: Option<Status>,
    /// Held while it is started or ended.
    pub(crate) starting: tokio::sync::Mutex<()>,
    /// Held while this leader changes the members.
    pub(crate) changing: tokio::sync::Mutex<()>,
    /// It joined and does not vote yet, nor stand for election: its log may end before it became a member, and the members
    /// of that time are not those of now.
    pub(crate) joining: AtomicBool,
    /// It has forgotten what it promised, and takes no part ([`crate::groups::old_copy`]).
    pub(crate) in_doubt: AtomicBool,
    /// How often somebody asked this replica to join: what was found out before is old then.
    pub(crate) joins: AtomicU64,
    /// The node is ending this replica: what follows is no failure.
    pub(crate) ending: AtomicBool,
    /// A snapshot that is coming in.
    pub(crate) incoming: Arc<Mutex<Option<Incoming>>>,
    /// The snapshot that others may fetch here.
    pub(crate) loan: Loan,
    pub(crate) rest: Rest,
    /// Told whenever it wakes.
    pub(crate) woken: Notify,
    /// Counts what keeps it awake.
    pub(crate) touched: AtomicU64,
}

impl Replica {
    /// Asleep. `slept`: how it stood before, if it was not just found on the disk.
    pub(crate) fn new(core: Arc<Core>, rest: Rest, joining: bool, slept: Option<Status>) -> Replica {
        Replica {
            core,
            raft: OnceLock::new(),
            asleep: AtomicBool::new(true),
            slept,
            starting: tokio::sync::Mutex::default(),
            changing: tokio::sync::Mutex::new(()),
            joining: AtomicBool::new(joining),
            in_doubt: AtomicBool::new(false),
            joins: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            incoming: Arc::default(),
            loan: Loan::default(),
            rest,
            woken: Notify::new(),
            touched: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::Acquire)
    }

    /// It sleeps no longer. `None`: it takes no part.
    pub(crate) fn started(&self, raft: Option<GroupRaft>) {
        if let Some(raft) = raft {
            raft.runtime_config().tick(false);
            // There is none before, for who starts it has its turn.
            if self.raft.set(raft).is_ok() && self.rest.is_awake() {
                self.tick();
            }
        }
        self.asleep.store(false, Ordering::Release);
    }

    /// Something is to be done here: it does not rest before that is long over. What is done soon is done without heartbeats: who is
    /// awake longer is seen to by [`supervise`].
    pub(crate) fn wake(&self) {
        self.touched.fetch_add(1, Ordering::Relaxed);
        if self.rest.wake() {
            if self.is_asleep() {
                // The node is closing if nobody listens.
                let _ = self.core.notices.send(Notice::Rouse { group: self.core.group });
            }
            if self.core.member_nodes().is_empty() {
                // Nobody else renews its lease, and nobody is sent anything.
                self.tick();
            }
            self.woken.notify_one();
        }
    }

    /// The same, and it is for this replica to see to it that somebody leads.
    pub(crate) fn wake_to_elect(&self) {
        self.wake();
        self.tick();
    }

    /// From now on it shows signs of life and misses those of others, until it rests.
    pub(crate) fn tick(&self) {
        if let Some(raft) = self.raft.get() {
            raft.runtime_config().tick(true);
            if !self.rest.is_awake() {
                // It came to rest in this moment.
                raft.runtime_config().tick(false);
            }
        }
    }

    /// Has a quorum answered this leader in this time?
    pub(crate) fn was_heard(&self, within: Duration) -> bool {
        let heard = self.raft().and_then(|raft| raft.data_metrics().borrow_watched().last_quorum_acked);
        heard.is_some_and(|at| at.elapsed() < within)
    }

    /// A leader that has heard of nobody for a while, as in a rest, takes no entries: somebody else could lead by now. One round to
    /// a quorum says that nobody does. `false`: it does not lead, or there is no quorum in this time.
    pub(crate) async fn confirm_lead(&self, patience: Duration) -> bool {
        match self.running().filter(|_| self.leads()) {
            Some(raft) => {
                if self.core.member_nodes().is_empty() {
                    // A quorum by itself: it is no round that renews its lease. If it has ended the next line says so.
                    let _ = raft.trigger().heartbeat().await;
                }
                let round = raft.get_read_log_id(ReadPolicy::ReadIndex);
                tokio::time::timeout(patience, round).await.is_ok_and(|read| read.is_ok())
            }
            None => false,
        }
    }

    /// Writes what a leader writes by itself. It may have rested, so it hears from a quorum first. Nobody waits for the entry: whoever
    /// wants it writes another one if this is not committed.
    pub(crate) async fn write_own(
        &self,
        raft: &GroupRaft,
        command: Command,
        patience: Duration,
    ) -> Result<(), Fatal<Types>> {
        self.wake();
        match self.confirm_lead(patience).await {
            true => raft.client_write_ff(command, None).await,
            false => Ok(()),
        }
    }

    /// Does it lead, as far as it knows?
    pub(crate) fn leads(&self) -> bool {
        self.lead().is_some_and(|lead| lead.state == ServerState::Leader)
    }

    /// There is work for a leader: it wakes, and so does who has not heard of one since the boot.
    pub(crate) fn work(&self) {
        match self.rest.is_fresh() {
            true => self.wake_to_elect(),
            false if self.leads() => self.wake(),
            false => {}
        }
    }

    /// The leader that this replica trusts has not answered.
    pub(crate) fn distrust(&self, leader: NodeId) {
        if self.rest.spot().is_some_and(|spot| spot.leader == u64::from(leader.0)) {
            self.wake_to_elect();
        }
    }

    /// A follower rests.
    pub(crate) fn rest_at(&self, spot: Spot) {
        self.rest.take(spot);
        if let Some(raft) = self.raft.get() {
            raft.runtime_config().tick(false);
        }
    }

    /// A leader rests if it has offered to.
    pub(crate) fn rest_if(&self, spot: Spot) {
        if self.rest.rest(spot)
            && let Some(raft) = self.raft.get()
        {
            raft.runtime_config().tick(false);
        }
    }

    /// openraft, unless this replica takes no part or sleeps.
    pub(crate) fn running(&self) -> Option<&GroupRaft> {
        self.raft.get().filter(|_| self.core.halted.lock().is_none())
    }

    /// openraft, whether it takes part or not.
    pub(crate) fn raft(&self) -> Option<&GroupRaft> {
        self.raft.get()
    }

    /// Ends openraft here for a reason of its own: if it led, the machine lets nothing out any more.
    pub(crate) async fn end_and_depose(&self) {
        self.end().await;
        let core = self.core.clone();
        if let Err(e) = blocking(move || core.depose()).await {
            tracing::debug!(group = %self.core.group, %e, "the machine was not told that it no longer leads");
        }
    }

    /// Ends openraft here.
    pub(crate) async fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
        self.core.danger.end();
        let _one = self.starting.lock().await;
        self.asleep.store(false, Ordering::Release);
        if let Some(raft) = self.raft.get() {
            // It can only fail because it has ended already.
            let _ = raft.shutdown().await;
        }
        // A snapshot under way is waited for; after this none reaches the folder.
        let core = self.core.clone();
        if let Err(e) = blocking(move || *core.saved_last.lock() = true).await {
            tracing::debug!(%e, "not waited for a snapshot");
        }
    }
}

/// Runs what blocks off the async threads, or in its place where there is only one thread: so does a simulation. A panic
/// in it is an error.
///
/// # Errors
/// The panic, or that the runtime is ending.
pub async fn blocking<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> io::Result<R> {
    let panicked = |panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        io::Error::other(format!("it panicked: {}", text.unwrap_or_else(|| "no message".into())))
    };
    if one_thread() {
        return catch_unwind(AssertUnwindSafe(f)).map_err(panicked);
    }
    tokio::task::spawn_blocking(f).await.map_err(|e| match e.try_into_panic() {
        Ok(panic) => panicked(panic),
        Err(_) => io::Error::other("the node is closing"),
    })
}

/// Is this a runtime of one thread?
pub(crate) fn one_thread() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread)
}
