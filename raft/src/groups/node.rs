//! What all groups of a node share, and how a group begins and ends on it.
//!
//! 1. A replica is in the map from when it can be found on the disk until it is deleted from it.
//! 2. Beginning and ending are one at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use futures::StreamExt;
use openraft::SnapshotPolicy;
use pando_abi::NodeId;
use pando_abi::limits::REPLICAS_MAX;
use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast, mpsc};

use super::old_copy::{AT_ONCE, MARK_EVERY, Meeting};
use super::poison::decide;
use crate::codec::record::{GroupRecord, VoteRecord};
use crate::codec::wire::Packet;
use crate::config::Config;
use crate::disk::Disk;
use crate::disk::log::GroupLog;
use crate::entry::GroupId;
use crate::error::{CreateError, OpenError};
use crate::groups::turns::Turns;
use crate::machine::{Machines, Wire};
use crate::net::Link;
use crate::replica::rest::{Awake, Rest};
use crate::replica::{Notice, Replica, blocking};
use crate::status::GroupEvent;

/// Groups that are restarted at once.
const RESTARTS_AT_ONCE: usize = 8;
/// Events kept for a slow receiver.
const EVENTS_MAX: usize = 1024;

pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) config: Config,
    pub(crate) link: Arc<Link>,
    pub(crate) runtime: Handle,
    pub(crate) events: broadcast::Sender<GroupEvent>,
    pub(crate) in_flight: Semaphore,
    pub(crate) in_flight_bytes: AtomicUsize,
    pub(crate) closed: AtomicBool,
    pub(crate) disk: Arc<Disk>,
    pub(super) machines: Arc<dyn Machines>,
    pub(super) raft: Arc<openraft::Config>,
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    replicas: RwLock<BTreeMap<GroupId, Arc<Replica>>>,
    pub(super) turns: Turns,
    /// How many of the replicas here are awake.
    pub(super) awake: Awake,
    pub(crate) meeting: Meeting,
    /// Those that ask whether they may take part again.
    pub(super) readmitting: Semaphore,
}

fn raft_config(config: &Config) -> Result<openraft::Config, OpenError> {
    let millis = |d: std::time::Duration| d.as_millis() as u64;
    // openraft waits for a lease, as long as its longest timeout, and then for a random one on top; it
    // bounds a request for votes, which a disk must sync, by its shortest. So the lease is half of our
    // longest silence, and the random part begins at a quarter of it.
    let lease = config.election_max / 2;
    let shortest = config.election_min.saturating_sub(lease).max(config.election_max / 4).max(config.heartbeat * 3 / 2);
    let raft = openraft::Config {
        cluster_name: "pando".into(),
        heartbeat_interval: millis(config.heartbeat),
        election_timeout_min: millis(shortest).min(millis(lease).saturating_sub(1)),
        election_timeout_max: millis(lease),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.snapshot_every),
        max_in_snapshot_log_to_keep: config.log_keep,
        purge_batch_size: 1,
        // A replica further behind than this is brought up by a snapshot, if there is one to bring.
        replication_lag_threshold: (config.snapshot_every + config.log_keep).max(1000),
        install_snapshot_timeout: 20_000,
        enable_pre_vote: Some(true),
        // A leader that restarts stands for election like anybody: its term is over, so that machines
        // are told of leadership by a new term's first entry, always.
        enable_leader_restore: Some(false),
        backoff: "50ms 100ms 200ms ...500ms".into(),
        api_channel_size: Some(4096),
        notification_channel_size: Some(4096),
        ..Default::default()
    };
    raft.validate().map_err(|e| OpenError::Config(e.to_string()))
}

/// The voters as a set, or what is wrong with them.
pub(crate) fn check_voters(voters: &[NodeId]) -> Result<BTreeSet<u64>, String> {
    let set: BTreeSet<u64> = voters.iter().map(|n| u64::from(n.0)).collect();
    match () {
        _ if set.is_empty() => Err("there are none".into()),
        _ if set.len() != voters.len() => Err("one stands there twice".into()),
        _ if set.contains(&0) => Err("0 is no node".into()),
        _ if set.len() > REPLICAS_MAX => Err(format!("{} of them, over the limit of {REPLICAS_MAX}", set.len())),
        _ => Ok(set),
    }
}

impl Node {
    pub(crate) async fn open(
        config: Config,
        wire: Arc<dyn Wire>,
        machines: Arc<dyn Machines>,
    ) -> Result<Arc<Node>, OpenError> {
        config.check().map_err(OpenError::Config)?;
        let raft = Arc::new(raft_config(&config)?);
        let dir = config.dir.clone();
        let for_disk = config.clone();
        let opened = blocking(move || Disk::open(&for_disk)).await;
        let disk = opened.map_err(|source| OpenError::Io { what: "open", path: dir.clone(), source })??;
        let (notices, inbox) = mpsc::unbounded_channel();
        let found = disk.groups();
        // Nothing was promised where there is nothing.
        let known = disk.heard().into_iter().filter(|(_, record)| !found.is_empty() && !record.absent);
        let meeting = Meeting::with(known.map(|(node, _)| node).filter(|node| *node != config.node).collect());
        let node = Arc::new(Node {
            id: u64::from(config.node.0),
            link: Arc::new(Link::new(wire, config.boot)),
            runtime: Handle::current(),
            events: broadcast::channel(EVENTS_MAX).0,
            in_flight: Semaphore::new(config.in_flight_max),
            in_flight_bytes: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            disk: Arc::new(disk),
            machines,
            raft,
            notices,
            replicas: RwLock::default(),
            turns: Turns::default(),
            awake: Awake::default(),
            meeting,
            readmitting: Semaphore::new(AT_ONCE),
            config,
        });
        // While the groups are found: whoever is there has compared by then.
        node.runtime.spawn(Node::meet(Arc::downgrade(&node)));
        let begun = futures::stream::iter(found)
            .map(|(group, record)| {
                let node = node.clone();
                async move {
                    let replica = node.find(group, &record).await.map_err(|why| (group, why))?;
                    // What made it may have been cut short. A replica that stops here says so itself.
                    node.initialise(group, &record, &replica).await;
                    Ok::<_, (GroupId, String)>(())
                }
            })
            .buffer_unordered(RESTARTS_AT_ONCE);
        let failed: Vec<_> = begun.filter_map(|r| async { r.err() }).collect().await;
        if let Some((group, why)) = failed.into_iter().next() {
            node.close().await;
            return Err(OpenError::Damaged { path: dir, why: format!("group {group}: {why}") });
        }
        node.readmit_all();
        node.wake_fresh(node.config.election_max);
        node.runtime.spawn(keep_house(Arc::downgrade(&node), inbox));
        Ok(node)
    }

    pub(crate) fn replica(&self, group: GroupId) -> Option<Arc<Replica>> {
        self.replicas.read().get(&group).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Replica>> {
        self.replicas.read().values().cloned().collect()
    }

    pub(crate) fn list(&self) -> Vec<GroupId> {
        self.replicas.read().keys().copied().collect()
    }

    pub(crate) fn flushes(&self) -> u64 {
        self.disk.appender.flushes()
    }

    /// Makes the replica of a record from what the disk has, asleep.
    /// `fresh`: it was here before the boot, and its group may rest.
    pub(super) async fn make(&self, group: GroupId, record: &GroupRecord, fresh: bool) -> Result<Arc<Replica>, String> {
        let log = self.log_of(group, record).await.map_err(|e| e.to_string())?;
        let core = self.core_of(group, record, log);
        let how = self.fence_of(group);
        if let Some(why) = &record.fenced {
            core.was_fenced(how.as_ref().map_or(0, |how| how.index), why);
        }
        // Who the others are, as far as is known before anything was applied: proposals go to them.
        core.assume_members(
            how.as_ref().filter(|_| record.fenced.is_some()).map_or(&record.founders, |how| &how.members),
        );
        let deadly = core.danger.deadly().is_some() && record.fenced.is_none();
        let replica = Replica::new(core, Rest::new(fresh, self.awake.clone()), record.joining, None);
        replica.in_doubt.store(self.disk.doubts(group), Ordering::Relaxed);
        let replica = Arc::new(replica);
        self.replicas.write().insert(group, replica.clone());
        if deadly {
            let _ = self.notices.send(Notice::Deadly { group });
        }
        if record.fenced.is_some() || how.is_some_and(|how| !how.mended) {
            // The node is closing if nobody listens.
            let _ = self.notices.send(Notice::Resume { group });
        }
        Ok(replica)
    }

    /// Makes the replica of a record and starts it.
    pub(super) async fn begin(&self, group: GroupId, record: &GroupRecord) -> Result<Arc<Replica>, String> {
        let replica = self.make(group, record, false).await?;
        self.start(&replica).await;
        Ok(replica)
    }

    /// Takes the place of the replica that is there. `false`: there is none, for the node is closing.
    pub(super) fn put(&self, group: GroupId, replica: Arc<Replica>) -> bool {
        self.replicas.write().get_mut(&group).map(|before| *before = replica).is_some()
    }

    /// The log of a record. What a snapshot has was applied here, or came from a leader; the log behind it need not have been synced
    /// by then. So after a crash it may end in entries that others have taken the place of: those were never the history's.
    async fn log_of(&self, group: GroupId, record: &GroupRecord) -> io::Result<GroupLog> {
        let log = GroupLog::open(self.disk.clone(), record.region)?;
        let (disk, own) = (self.disk.clone(), log.clone());
        let replaced = blocking(move || {
            // One that is damaged is told of by whoever needs it.
            let kept = disk.snapshots.load(group).ok().flatten();
            let last = kept.and_then(|kept| kept.meta().last).filter(|last| own.is_superseded((*last).into()));
            last.map(|last| own.begin_after(last.into()).map(|()| last)).transpose()
        });
        let Some(last) = replaced.await.flatten()? else { return Ok(log) };
        tracing::warn!(%group, index = last.index, term = last.term, "the log ended in entries that a snapshot has others for");
        if log.vote().is_none_or(|vote| vote.leader_id.term < last.term) {
            // Somebody was elected in that term: nobody else must be.
            let vote = VoteRecord { term: last.term, node: self.id, committed: false };
            self.disk.set_vote(record, vote).await?;
            return GroupLog::open(self.disk.clone(), record.region);
        }
        Ok(log)
    }

    /// Makes the replica here if there is none. With founders: initialises if this node is the first, or later if nobody has.
    pub(crate) async fn add(self: &Arc<Self>, group: GroupId, founders: Option<&[NodeId]>) -> Result<(), CreateError> {
        let founders = match founders {
            Some(voters) => {
                let set = check_voters(voters).map_err(CreateError::Voters)?;
                if !set.contains(&self.id) {
                    return Err(CreateError::Voters(format!("this node, {}, is not among them", self.config.node)));
                }
                set
            }
            None => BTreeSet::new(),
        };
        let stopped = |e: String| CreateError::Stopped(e);
        let _turn = self.turns.of(group).await;
        if self.closed.load(Ordering::Relaxed) {
            return Err(stopped("the node is closing".into()));
        }
        let listed: Vec<u64> = founders.iter().copied().collect();
        let record = self.disk.add_group(group, &listed).await.map_err(|e| stopped(e.to_string()))?;
        if !founders.is_empty() && !record.founders.is_empty() && record.founders != listed {
            return Err(CreateError::Exists);
        }
        let replica = match self.replica(group) {
            Some(replica) => {
                replica.joins.fetch_add(1, Ordering::Relaxed);
                replica
            }
            None => self.begin(group, &record).await.map_err(stopped)?,
        };
        self.initialise(group, &record, &replica).await;
        Ok(())
    }

    /// A leader wants this node to have a replica.
    pub(crate) async fn join_for_peer(self: &Arc<Self>, group: GroupId) -> Result<(), String> {
        match self.replica(group) {
            None => self.machines.may_join(group)?,
            Some(replica) if replica.in_doubt.load(Ordering::Relaxed) => return Err("its replica is in doubt".into()),
            Some(_) => {}
        }
        self.add(group, None).await.map_err(|e| e.to_string())
    }

    /// A leader says at which index this node became a member. Once what was applied here reaches there, the replica votes
    /// like any other.
    pub(crate) async fn seat(&self, replica: &Replica, index: u64) -> Result<(), String> {
        let applied = replica.core.applied();
        if applied < index {
            return Err(format!("{applied} of {index} is applied here"));
        }
        if replica.in_doubt.load(Ordering::Relaxed) {
            return Err("it is not known yet what it has forgotten".into());
        }
        if replica.joining.load(Ordering::Relaxed) {
            self.disk.seat_group(replica.core.group).await.map_err(|e| e.to_string())?;
            replica.joining.store(false, Ordering::Relaxed);
            self.let_elect(replica);
        }
        Ok(())
    }

    /// See [`crate::Groups::restart`].
    pub(crate) async fn restart(&self, group: GroupId) -> Result<(), CreateError> {
        let _turn = self.turns.of(group).await;
        let stopped = self.replica(group).filter(|r| r.core.halted().is_some() && !r.core.is_fenced());
        if let (Some(stopped), Some(record), false) =
            (stopped, self.disk.group(group), self.closed.load(Ordering::Relaxed))
        {
            stopped.end().await;
            self.begin(group, &record).await.map_err(CreateError::Stopped)?;
        }
        Ok(())
    }

    /// Ends the replica here and deletes what it has on the disk.
    pub(crate) async fn remove(&self, group: GroupId) -> Result<(), CreateError> {
        let _turn = self.turns.of(group).await;
        self.delete(group, None).await
    }

    /// The same, unless this is another replica by now, or somebody has asked it to join since.
    pub(crate) async fn remove_if(&self, replica: &Arc<Replica>, joins: u64) -> Result<bool, CreateError> {
        let _turn = self.turns.of(replica.core.group).await;
        let group = replica.core.group;
        let same = self.replica(group).is_some_and(|now| Arc::ptr_eq(&now, replica));
        if !same || replica.joins.load(Ordering::Relaxed) != joins {
            return Ok(false);
        }
        self.delete(group, replica.core.log.vote().map(Into::into)).await?;
        Ok(true)
    }

    async fn delete(&self, group: GroupId, voted: Option<VoteRecord>) -> Result<(), CreateError> {
        let gone = self.replicas.write().remove(&group);
        if let Some(replica) = gone {
            replica.end().await;
        }
        self.disk.remove_group(group, voted).await.map_err(|e| CreateError::Stopped(e.to_string()))
    }

    /// Ends every replica, writes what is pending and lets go of the folder.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.in_flight.close();
        let _closed = self.turns.none().await;
        let replicas: Vec<_> = std::mem::take(&mut *self.replicas.write()).into_values().collect();
        futures::stream::iter(replicas).for_each_concurrent(16, |replica| async move { replica.end().await }).await;
        let disk = self.disk.clone();
        if let Err(e) = blocking(move || disk.close()).await {
            tracing::error!(%e, "the log was not closed in order");
        }
    }

    async fn notice(self: &Arc<Self>, notice: Notice) {
        match notice {
            Notice::Fence { group, index, why } => {
                if let Some(replica) = self.replica(group).filter(|replica| replica.core.is_fenced()) {
                    self.fence(replica, index, why).await;
                }
            }
            Notice::Deadly { group } => {
                if let Some(replica) = self.replica(group)
                    && let Some(index) = replica.core.danger.deadly()
                {
                    self.runtime.spawn(decide(Arc::downgrade(self), replica, index));
                }
            }
            Notice::Resume { group } => {
                if let Some(replica) = self.replica(group) {
                    self.resume(replica);
                }
            }
            Notice::Mended { group, node } => {
                tracing::info!(%group, node, "a replica that was fenced agrees again");
                let _ = self.events.send(GroupEvent::Mended { group, node: NodeId(node as u32) });
                if node == self.id
                    && let Err(e) = self.disk.mend_group(group).await
                {
                    tracing::warn!(%group, %e, "that the replica here agrees again could not be written");
                }
            }
            Notice::Minority { group, node, why } => {
                tracing::error!(%group, node, %why, "a replica disagrees with the majority");
                let _ = self.events.send(GroupEvent::Fenced { group, node: NodeId(node as u32), why });
            }
            Notice::Lost { group, node, index } => {
                let Some(replica) = self.replica(group) else { return };
                let why = format!(
                    "its log has lost entries that it had acknowledged, up to index {index}; it leaves the members and joins \
                     again"
                );
                let to = NodeId(node as u32);
                // If it is lost the next denial says it again.
                self.link.send(to, &Packet::Forgot { group: group.0 }, false);
                if replica.core.note_fenced(node, u64::MAX, &why, false) {
                    tracing::error!(%group, node, %why, "a replica lost acknowledged entries");
                    let _ = self.events.send(GroupEvent::Fenced { group, node: to, why });
                }
            }
            Notice::Rewrite { group } => {
                if let Some(replica) = self.replica(group)
                    && let Some(raft) = replica.running()
                {
                    // If it has ended meanwhile, somebody else says so.
                    let _ = raft.trigger().snapshot().await;
                }
            }
            Notice::Rouse { group } => {
                if let Some(replica) = self.replica(group) {
                    let node = self.clone();
                    self.runtime.spawn(async move { node.rouse(&replica).await });
                }
            }
            Notice::Sleep { group } => {
                let node = self.clone();
                self.runtime.spawn(async move { node.put_to_sleep(group).await });
            }
            Notice::Split { group, index } => {
                tracing::error!(%group, index, "replicas disagree and neither side has a majority");
                let _ = self.events.send(GroupEvent::Diverged { group, index });
            }
        }
    }
}

/// Serves notices and drops old log files until the node is gone.
async fn keep_house(node: Weak<Node>, mut inbox: mpsc::UnboundedReceiver<Notice>) {
    let mut purge = tokio::time::interval(Disk::purge_interval());
    purge.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut marks = tokio::time::interval(MARK_EVERY);
    marks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            notice = inbox.recv() => {
                let (Some(notice), Some(node)) = (notice, node.upgrade()) else { return };
                node.notice(notice).await;
            }
            _ = marks.tick() => {
                let Some(node) = node.upgrade() else { return };
                node.count_on().await;
            }
            _ = purge.tick() => {
                let Some(node) = node.upgrade() else { return };
                if node.closed.load(Ordering::Relaxed) {
                    return;
                }
                node.all().iter().for_each(|replica| replica.loan.expire());
                let disk = node.disk.clone();
                match blocking(move || disk.purge()).await {
                    // The engine panics when a sync fails.
                    Err(e) => (node.config.fatal)(format!("old log files could not be rewritten: {e}")),
                    Ok(Err(e)) => tracing::error!(%e, "old log files could not be dropped"),
                    // These hold old files in use: a snapshot lets go of them.
                    Ok(Ok(held)) => for replica in held.into_iter().filter_map(|group| node.replica(group)) {
                        node.rouse(&replica).await;
                        if let Some(raft) = replica.running() {
                            let _ = raft.trigger().snapshot().await;
                        }
                    },
                }
            }
        }
    }
}
