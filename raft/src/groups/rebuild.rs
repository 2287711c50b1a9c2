//! Rebuilding a replica that was fenced, from the others and without anybody's doing.
//!
//! ```text
//! fenced: ends, tells the others        ── Fenced{index, rebuilding} ──►  every member
//! which snapshot may I have?            ── Lend{least} ──►                who has one that a majority agrees to
//! its manifest and the parts it lacks   ◄── Lent, LentBytes, LentParts ── its files stay until they are fetched
//! that snapshot becomes the own one, the log goes on behind it, the replica starts
//! are we one again?                     ── Compare ──►                    the leader, which writes a checkpoint
//! ```
//!
//! Owns: what is asked, how often it is tried, what may be lent. Does not know: why a machine went wrong.
//!
//! Why nothing that was promised is lost:
//!
//! 1. Vote and log stay. The replica goes on having acknowledged every entry that it had, but for those that the snapshot
//!    covers, and those that contradict it: those were never committed ([`GroupLog::begin_after`]). So it votes as before,
//!    and counts in no quorum for what it has not.
//! 2. The snapshot is of committed entries only, and its lender has since been seen to agree with a majority of the voters.
//!    It does not end before the index where the difference was found, so nothing that this replica applied up to there
//!    counts any more, nor what it has in its log there.
//! 3. On the disk the replica is fenced until snapshot and log are what they shall be: whatever dies in between, the rebuilding
//!    begins anew.
//! 4. A replica that goes wrong again and again is left fenced: see [`REBUILDS_MAX`].
//!
//! [`GroupLog::begin_after`]: crate::disk::log::GroupLog::begin_after

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::ServerState;
use pando_abi::NodeId;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::node::Node;
use super::serve::{position, stopped};
use crate::codec::record::{FenceRecord, VoteRecord};
use crate::codec::wire::{Answer, Ask};
use crate::disk::snapshots::incoming::{Next, Piece};
use crate::disk::snapshots::kept::Reader;
use crate::entry::GroupId;
use crate::net::peer::{CHUNK_BYTES, read};
use crate::replica::apply::openraft_meta;
use crate::replica::{GroupRaft, Replica, blocking};
use crate::status::GroupEvent;
use crate::types::{Command, Image};

/// How often a replica is rebuilt before it is left fenced, within [`REBUILD_WINDOW`].
const REBUILDS_MAX: u32 = 2;
/// Intervals between agreed indexes after which an earlier fence counts no more.
const REBUILD_WINDOW: u64 = 16;
/// How long one question may take.
const ASK_MAX: Duration = Duration::from_secs(10);
/// The pause between two tries, at first and at most.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long what is lent is kept for who has gone silent.
const LOAN_MAX: Duration = Duration::from_secs(60);

/// The snapshot that others may fetch: having it pins its files.
#[derive(Default)]
pub(crate) struct Loan(Mutex<Option<(Instant, Image)>>);

impl Loan {
    fn give(&self, image: &Image) {
        *self.0.lock() = Some((Instant::now(), image.clone()));
    }

    fn find(&self, name: &[u8; 32]) -> Option<Image> {
        let mut loan = self.0.lock();
        let (used, image) = loan.as_mut().filter(|(_, image)| image.image == *name)?;
        *used = Instant::now();
        Some(image.clone())
    }

    /// Lets go of what nobody has asked for in a while.
    pub(crate) fn expire(&self) {
        self.0.lock().take_if(|(used, _)| used.elapsed() > LOAN_MAX);
    }
}

/// How a replica is fenced now, after how it was before.
fn fenced(before: Option<FenceRecord>, index: u64, why: &str, members: Vec<u64>, window: u64) -> FenceRecord {
    let again = before.filter(|before| index <= before.since.saturating_add(window));
    let (since, times) = again.map_or((index, 1), |before| (before.since, before.times.saturating_add(1)));
    FenceRecord { index, since, times, why: why.to_string(), mended: false, members }
}

impl Node {
    /// How the replica here was fenced last. What cannot be read is as good as not there.
    pub(super) fn fence_of(&self, group: GroupId) -> Option<FenceRecord> {
        let read = self.disk.fence(group);
        read.inspect_err(|e| tracing::error!(%group, %e, "how the replica here was fenced cannot be read")).ok()?
    }

    /// The replica here was found wrong at `index`.
    pub(super) async fn fence(self: &Arc<Self>, replica: Arc<Replica>, index: u64, mut why: String) {
        if replica.ending.load(Ordering::Relaxed) {
            return;
        }
        let (group, core) = (replica.core.group, replica.core.clone());
        let members = core.member_nodes();
        let numbers = members.iter().map(|n| u64::from(n.0)).chain([self.id]).collect();
        let window = REBUILD_WINDOW.saturating_mul(self.config.attest_every);
        let how = fenced(self.fence_of(group), index, &why, numbers, window);
        let hopeless = how.times > REBUILDS_MAX;
        if hopeless {
            why = format!(
                "{why}; it was rebuilt {REBUILDS_MAX} times since index {} and goes wrong again: the memory of this machine or \
                 the module cannot be trusted; take the replica out of the group and have another node hold it",
                how.since
            );
            core.give_up(&why);
        }
        tracing::error!(%group, %why, "the replica here is fenced");
        if let Err(e) = self.disk.fence_group(group, &why, &how).await {
            tracing::error!(%group, %e, "the fence could not be written");
        }
        let packet = core.fence_packet(false);
        members.into_iter().for_each(|to| _ = self.link.send(to, &packet, false));
        let _ = self.events.send(GroupEvent::Fenced { group, node: self.config.node, why });
        replica.end_and_depose().await;
        if !hopeless {
            self.runtime.spawn(rebuild(Arc::downgrade(self), replica, how));
        }
    }

    /// Goes on after a boot or a restart of the replica.
    pub(super) fn resume(self: &Arc<Self>, replica: Arc<Replica>) {
        let how = self.fence_of(replica.core.group);
        let node = Arc::downgrade(self);
        if !replica.core.is_fenced() {
            if let Some(how) = how.filter(|how| !how.mended) {
                replica.core.mend(&how.why);
                self.runtime.spawn(confirm(node, replica));
            }
            return;
        }
        // One of before this was remembered: where it was found wrong is not known.
        let why = replica.core.halted().unwrap_or_default();
        let how = how.unwrap_or_else(|| fenced(None, 0, &why, Vec::new(), 0));
        if how.times <= REBUILDS_MAX {
            replica.core.mend(&why);
            self.runtime.spawn(rebuild(node, replica, how));
        }
    }

    /// Is this the replica here still?
    pub(super) fn holds(&self, replica: &Arc<Replica>) -> bool {
        let same = self.replica(replica.core.group).is_some_and(|now| Arc::ptr_eq(&now, replica));
        same && !self.closed.load(Ordering::Relaxed)
    }

    /// Which snapshot `from` may fetch here. A leader that has none yet sees to it that there is one soon.
    pub(crate) async fn lend(&self, replica: &Replica, raft: &GroupRaft, from: NodeId, least: u64) -> Answer {
        let core = &replica.core;
        if !core.is_member(u64::from(from.0)) {
            return Answer::Failed { why: format!("{from} is no member") };
        }
        let (disk, group) = (self.disk.clone(), core.group);
        let kept = match blocking(move || disk.snapshot(group)).await.flatten() {
            Ok(kept) => kept,
            Err(e) => {
                self.rewrite(replica, raft, &e).await;
                return Answer::Failed { why: e.to_string() };
            }
        };
        let last = kept.as_ref().and_then(|kept| kept.meta().last).map(|last| last.index).filter(|last| *last >= least);
        let attested = core.attested();
        if let (Some(kept), Some(_)) = (&kept, last.filter(|last| *last <= attested)) {
            replica.loan.give(kept);
            return Answer::Lent { image: kept.image, total: kept.bytes.len() as u64 };
        }
        match last {
            // Nobody has compared it yet.
            Some(_) => match self.compare(replica, raft).await {
                Answer::Done => {
                    Answer::Failed { why: "whether a majority agrees to its snapshot is being found out".into() }
                }
                other => other,
            },
            None => match self.leads(replica) {
                Ok(()) => match raft.trigger().snapshot().await {
                    Ok(()) => Answer::Failed { why: "it is writing a snapshot".into() },
                    Err(e) => stopped(e),
                },
                Err(other) => other,
            },
        }
    }

    fn leads(&self, replica: &Replica) -> Result<(), Answer> {
        match replica.lead() {
            Some(lead) if lead.state == ServerState::Leader => Ok(()),
            lead => Err(Answer::NotLeader { leader: lead.and_then(|l| l.leader).filter(|l| *l != self.id) }),
        }
    }

    /// A leader has the replicas compared.
    pub(crate) async fn compare(&self, replica: &Replica, raft: &GroupRaft) -> Answer {
        if let Err(other) = self.leads(replica) {
            return other;
        }
        match replica.write_own(raft, Command::Checkpoint, ASK_MAX).await {
            Ok(()) => Answer::Done,
            Err(e) => stopped(e),
        }
    }

    /// Has the leader do so, if there is one.
    async fn have_compared(&self, replica: &Replica) {
        match (replica.lead().and_then(|lead| lead.leader), replica.running()) {
            (Some(leader), Some(raft)) if leader == self.id => _ = self.compare(replica, raft).await,
            (Some(leader), Some(_)) => {
                // If nobody answers it is asked again.
                _ = self.link.ask(NodeId(leader as u32), replica.core.group, Ask::Compare, false, ASK_MAX).await;
            }
            _ => {}
        }
    }

    pub(crate) fn lent_manifest(&self, replica: &Replica, image: [u8; 32], offset: u64) -> Answer {
        let Some(kept) = replica.loan.find(&image) else { return no_longer() };
        let (from, total) = (usize::try_from(offset).unwrap_or(usize::MAX), kept.bytes.len());
        match kept.bytes.get(from..total.min(from.saturating_add(CHUNK_BYTES))) {
            Some(bytes) => Answer::LentBytes { bytes: bytes.to_vec() },
            None => Answer::Failed { why: "a manifest is not that long".into() },
        }
    }

    pub(crate) async fn lent_parts(&self, replica: &Replica, image: [u8; 32], parts: Vec<u32>) -> Answer {
        let Some(kept) = replica.loan.find(&image) else { return no_longer() };
        let reader = Reader::new(self.disk.snapshots.files());
        match blocking(move || read(&reader, &kept, parts)).await.flatten() {
            Ok(parts) => Answer::LentParts { parts },
            Err(e) => {
                if let Some(raft) = replica.running() {
                    self.rewrite(replica, raft, &e).await;
                }
                Answer::Failed { why: e.to_string() }
            }
        }
    }

    /// The snapshot here cannot be read. If it is damaged it is written anew.
    async fn rewrite(&self, replica: &Replica, raft: &GroupRaft, e: &std::io::Error) {
        let group = replica.core.group;
        self.disk.unless_damage("a snapshot could not be read", e);
        tracing::error!(%group, %e, "a snapshot cannot be lent and is written again");
        self.disk.snapshots.distrust(group);
        // If it has ended meanwhile, somebody else says so.
        let _ = raft.trigger().snapshot().await;
    }

    /// Fetches a snapshot from a peer.
    async fn borrow(&self, replica: &Replica, from: NodeId, least: u64) -> Result<Image, Refusal> {
        let group = replica.core.group;
        let ask = async |ask| {
            let asked = self.link.ask(from, group, ask, false, ASK_MAX).await;
            asked.map_err(|e| Refusal::of(format!("{from}: {e}")))
        };
        let refused = |answer: Answer| match answer {
            Answer::NotLeader { leader } => {
                let leader = leader.filter(|leader| *leader != self.id).map(|leader| NodeId(leader as u32));
                Refusal { why: format!("{from} does not lead"), leader }
            }
            Answer::Failed { why } | Answer::Stopped { why } | Answer::Fenced { why } => {
                Refusal::of(format!("{from}: {why}"))
            }
            other => Refusal::of(format!("{from}: {other:?}")),
        };
        let (image, total) = match ask(Ask::Lend { least }).await? {
            Answer::Lent { image, total } => (image, total),
            other => return Err(refused(other)),
        };
        let mut wanted = Ask::LentManifest { image, offset: 0 };
        loop {
            let offset = if let Ask::LentManifest { offset, .. } = wanted { offset } else { 0 };
            let piece = match ask(wanted).await? {
                Answer::LentBytes { bytes } if !bytes.is_empty() => Piece::Manifest { total, offset, bytes },
                Answer::LentParts { parts } if !parts.is_empty() => Piece::Parts(parts),
                other => return Err(refused(other)),
            };
            let (disk, incoming) = (self.disk.clone(), replica.incoming.clone());
            let taken = blocking(move || {
                let taken = disk.snapshots.receive(group, &mut incoming.lock(), image, piece);
                taken.inspect_err(|e| disk.unless_damage("a snapshot could not be taken in", e))
            });
            wanted = match taken.await.flatten().map_err(|e| Refusal::of(e.to_string()))? {
                Next::Manifest(offset) => Ask::LentManifest { image, offset },
                Next::Parts(parts) => Ask::LentParts { image, parts },
                Next::Nonsense(why) => return Err(Refusal::of(format!("{from} sent {why}"))),
                Next::Whole(whole) => {
                    let sound = position(whole.meta()).is_some_and(|last| last.index >= least);
                    return match sound && openraft_meta(whole.meta()).is_ok() {
                        true => Ok(whole),
                        false => Err(Refusal::of(format!("{from} sent a snapshot that is none"))),
                    };
                }
            };
        }
    }

    /// Starts the replica anew from a snapshot of another one. `None`: it is not here any more.
    async fn renew(&self, replica: &Arc<Replica>, image: Image, why: &str) -> Result<Option<Arc<Replica>>, String> {
        let _turn = self.turns.of(replica.core.group).await;
        let (group, core) = (replica.core.group, replica.core.clone());
        let (true, Some(record)) = (self.holds(replica), self.disk.group(group)) else { return Ok(None) };
        let Some(last) = image.meta().last else { return Err("a snapshot of nothing".into()) };
        // Nothing of the one before reaches the folder any more.
        replica.end().await;
        if core.log.vote().is_none_or(|vote| vote.leader_id.term < last.term) {
            // Somebody was elected in that term: nobody else must be.
            let vote = VoteRecord { term: last.term, node: self.id, committed: false };
            self.disk.set_vote(&record, vote).await.map_err(|e| e.to_string())?;
        }
        let disk = self.disk.clone();
        let laid = blocking(move || {
            let laid = disk.snapshots.replace(group, &image).and_then(|()| core.log.begin_after(last.into()));
            laid.inspect_err(|e| disk.unless_damage("a replica could not be rebuilt", e))
        });
        laid.await.flatten().map_err(|e| e.to_string())?;
        // Behind the log in the queue, so the log is there when this is.
        let Some(record) = self.disk.unfence_group(group).await.map_err(|e| e.to_string())? else { return Ok(None) };
        let renewed = self.begin(group, &record).await?;
        renewed.core.mend(why);
        Ok(Some(renewed))
    }
}

fn no_longer() -> Answer {
    Answer::Failed { why: "that snapshot is not lent any more".into() }
}

/// Why there is no snapshot, and who may have one.
struct Refusal {
    why: String,
    leader: Option<NodeId>,
}

impl Refusal {
    fn of(why: String) -> Refusal {
        Refusal { why, leader: None }
    }
}

/// Tries until the replica is rebuilt, or is not here any more.
async fn rebuild(node: Weak<Node>, replica: Arc<Replica>, how: FenceRecord) {
    let (group, core) = (replica.core.group, &replica.core);
    let (mut turn, mut leader, mut pause) = (0, None, PAUSE);
    let (mut told, mut hinted) = (false, false);
    loop {
        let Some(this) = node.upgrade().filter(|node| node.holds(&replica)) else { return };
        let members = core.member_nodes();
        // Whoever was not there at first hears of it later.
        let packet = core.fence_packet(true);
        members.iter().for_each(|to| _ = this.link.send(*to, &packet, false));
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(%group, "the replica here is being rebuilt from the others");
            let _ = this.events.send(GroupEvent::Rebuilding { group, node: this.config.node });
        }
        let ask: Option<NodeId> = leader.take().or_else(|| members.iter().cycle().nth(turn).copied());
        turn = (turn + 1) % members.len().max(1);
        let borrowed = match ask {
            Some(from) => this.borrow(&replica, from, how.index.max(core.log.purged())).await,
            None => Err(Refusal::of("no other member is known here".into())),
        };
        let refusal = match borrowed {
            Ok(image) => match this.renew(&replica, image, &how.why).await {
                Ok(Some(renewed)) => {
                    tracing::info!(%group, applied = renewed.core.applied(), "the replica here was rebuilt");
                    return;
                }
                Ok(None) => return,
                Err(why) => Refusal::of(why),
            },
            Err(refusal) => refusal,
        };
        tracing::debug!(%group, why = %refusal.why, "not rebuilt yet");
        drop(this);
        // Two that take each other for the leader are not asked in turn without end.
        hinted = !hinted && refusal.leader.is_some();
        if hinted {
            leader = refusal.leader;
            continue;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(PAUSE_MAX);
    }
}

/// Has a replica that was rebuilt compared with the others, until it is seen to agree.
async fn confirm(node: Weak<Node>, replica: Arc<Replica>) {
    let mut pause = PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        let Some(node) = node.upgrade().filter(|node| node.holds(&replica)) else { return };
        if replica.running().is_none() || replica.core.mending().is_none() {
            return;
        }
        node.have_compared(&replica).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fences_close_together_are_counted_and_one_long_afterwards_is_the_first_again() {
        let mut how = None;
        for (index, since, times) in [(64, 64, 1), (128, 64, 2), (1_088, 64, 3), (1_089, 1_089, 1), (1_090, 1_089, 2)] {
            let now = fenced(how, index, "why", vec![1, 2, 3], 1_024);
            assert_eq!((now.index, now.since, now.times, now.mended), (index, since, times, false));
            how = Some(FenceRecord { mended: true, ..now });
        }
    }
}
