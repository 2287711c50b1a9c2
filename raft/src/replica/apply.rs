//! Applying: openraft's state machine over a [`Core`].
//!
//! 1. Entries are applied in order, in batches, on threads that may block.
//! 2. Between two entries of a batch, those who wait for the machine get their turn.
//! 3. A snapshot is on the disk before openraft hears of it, so before the log behind it is purged.
//! 4. Applying waits while a snapshot is cut, not while it is written.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::{FutureExt, Stream, StreamExt};
use openraft::storage::{ApplyResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, Snapshot};
use pando_abi::planted::fail::{Point, pass};
use pando_abi::planted::{Bug, planted};
use parking_lot::{Mutex, MutexGuard};

use super::{Core, blocking};
use crate::attest::Word;
use crate::chain::Chain;
use crate::codec::record::MembershipRecord;
use crate::codec::{Malformed, encode};
use crate::disk::snapshots::form::Meta;
use crate::disk::snapshots::kept::{Kept, Reader};
use crate::machine::{self, Parts};
use crate::types::{
    Command, Image, LogEntry, LogId, Membership, Reply, SnapshotMeta, SnapshotOf, StoredMembership, Types, term_of,
};

/// Entries of one visit to a blocking thread.
const BATCH: usize = 256;

pub(super) type Item = (LogEntry, Option<ApplyResponder<Types>>);

/// What openraft holds.
pub(crate) struct Replicated {
    pub(crate) core: Arc<Core>,
}

fn invalid(e: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e.to_string())
}

/// What a snapshot file says, as openraft wants it.
pub(crate) fn openraft_meta(meta: &Meta) -> Result<SnapshotMeta, Malformed> {
    let membership = Membership::try_from(meta.membership.clone())?;
    Ok(SnapshotMeta {
        last_log_id: meta.last.map(Into::into),
        last_membership: StoredMembership::new(meta.membership_at.map(Into::into), membership),
    })
}

impl Core {
    /// Applies a batch. Blocks.
    fn apply_batch(&self, batch: Vec<Item>) -> io::Result<()> {
        let mut words = Vec::new();
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Ok(()) };
        let (first, last) = (first.0.log_id.index, last.0.log_id.index);
        let is_skipped = |index| self.log.skip_of(index) == Some(true);
        let mut slot = self.slot.lock();
        let exposed = if first == last && is_skipped(first) { None } else { self.expose(first, last)? };
        for (entry, responder) in batch {
            if let Some(why) = self.halted() {
                return Err(io::Error::other(why));
            }
            let LogId { index, .. } = entry.log_id;
            let term = term_of(&entry.log_id);
            let mut reply = Reply::default();
            let mut agreed = self.attest_every > 0 && index % self.attest_every == 0 && index > 0;
            match entry.payload {
                EntryPayload::Blank => {
                    slot.links.other(term, index, b"blank");
                    if self.leads() == Some(term) {
                        slot.tell(true, term);
                    }
                }
                EntryPayload::Normal(Command::Entry(entry)) => {
                    pass(Point::ApplyBefore);
                    let applied = match is_skipped(index) {
                        true => slot.machine.skip(index, &entry),
                        false => slot.machine.apply(index, &entry),
                    };
                    pass(Point::ApplyAfter);
                    slot.links.entry(term, index, &entry, &applied);
                    self.worked.store(index, Ordering::Relaxed);
                    reply.outcome = applied.outcome;
                }
                EntryPayload::Normal(Command::Checkpoint) => {
                    slot.links.other(term, index, b"checkpoint");
                    agreed = true;
                }
                EntryPayload::Normal(Command::Skip { index: skipped }) => {
                    slot.links.other(term, index, format!("skip {skipped}").as_bytes());
                    agreed = true;
                }
                EntryPayload::Membership(membership) => {
                    slot.links.other(term, index, &encode(&MembershipRecord::from(&membership)));
                    slot.membership = StoredMembership::new(Some(entry.log_id), membership);
                }
            }
            slot.last = Some(entry.log_id);
            if let Some(responder) = responder {
                // Whoever hears of this entry must find it applied. They need not wait for the root.
                self.applied.send_replace(index);
                responder.send(reply);
            }
            if agreed {
                let root = slot.machine.batch_end();
                let chain = slot.links.root(index, root);
                self.agreed.store(index, Ordering::Relaxed);
                words.push((index, Word { chain, root }));
            }
            MutexGuard::bump(&mut slot);
        }
        drop(exposed);
        self.survived(last);
        self.publish(&mut slot);
        drop(slot);
        for (index, word) in words {
            self.attest(index, word);
        }
        Ok(())
    }

    /// Makes what the slot knows visible to those who must not wait for it.
    fn publish(&self, slot: &mut super::Slot) {
        let membership = slot.membership.membership();
        let mut members = self.members.lock();
        members.voters = membership.voter_ids().collect();
        members.all = membership.nodes().map(|(id, ())| *id).collect();
        let uniform = membership.get_joint_config().len() == 1;
        members.seated_at = slot.membership.log_id().filter(|_| uniform).map(|id| id.index);
        members.chain = slot.links.now();
        drop(members);
        self.applied.send_replace(slot.last.map_or(0, |id| id.index));
    }

    /// The state now, to be written while applying goes on. Blocks.
    fn cut(&self) -> Cut {
        let mut slot = self.slot.lock();
        let Chain { hash: chain, root, root_index } = slot.links.now();
        let mut meta = Meta {
            last: slot.last.map(Into::into),
            membership_at: slot.membership.log_id().map(Into::into),
            membership: slot.membership.membership().into(),
            chain,
            root,
            root_index,
        };
        let mut openraft = SnapshotMeta { last_log_id: slot.last, last_membership: slot.membership.clone() };
        if planted(Bug::SnapshotWrongIndex) {
            meta.last.iter_mut().for_each(|last| last.index += 1);
            openraft.last_log_id.iter_mut().for_each(|last| last.index += 1);
        }
        Cut { openraft, meta, state: Mutex::new(slot.machine.cut()) }
    }

    /// The state now, for another realm. Blocks while it is cut.
    pub(crate) fn copy(&self) -> (Meta, Box<dyn machine::Cut>) {
        let Cut { meta, state, .. } = self.cut();
        (meta, state.into_inner())
    }

    /// Replaces the state by a snapshot's. Blocks.
    fn take_up(&self, kept: &Arc<Kept>) -> io::Result<()> {
        let meta = kept.meta();
        let openraft = openraft_meta(meta).map_err(invalid)?;
        self.saving(|snapshots| snapshots.adopt(self.group, kept))?;
        pass(Point::SnapshotReceived);
        let image = OnDisk { core: self, kept, reader: Reader::new(self.disk.snapshots.files()) };
        let mut slot = self.slot.lock();
        slot.machine
            .take_up(&image)
            .map_err(|why| io::Error::other(format!("the machine refused a snapshot: {why}")))?;
        slot.last = openraft.last_log_id;
        slot.membership = openraft.last_membership;
        slot.links = Chain { hash: meta.chain, root: meta.root, root_index: meta.root_index }.into();
        self.agreed.store(meta.root_index, Ordering::Relaxed);
        self.survived(slot.last.map_or(0, |at| at.index));
        // The state is another one now, so the machine hears its role again.
        if let Some((leading, term)) = slot.told {
            slot.machine.role(leading, term);
        }
        self.publish(&mut slot);
        Ok(())
    }
}

/// A snapshot as the machine reads it.
struct OnDisk<'a> {
    core: &'a Core,
    kept: &'a Kept,
    reader: Reader,
}

impl Parts for OnDisk<'_> {
    fn count(&self) -> usize {
        self.kept.manifest.parts.len()
    }
    fn name(&self, part: usize) -> [u8; 32] {
        self.kept.manifest.parts.get(part).map(|row| row.name).unwrap_or_default()
    }
    fn bytes(&self, part: usize) -> Result<Vec<u8>, String> {
        let read = self.reader.part(self.kept, part);
        read.inspect_err(|e| self.core.disk.unless_damage("a snapshot could not be read", e)).map_err(|e| e.to_string())
    }
}

/// A state between applying and the disk.
struct Cut {
    openraft: SnapshotMeta,
    meta: Meta,
    /// Nobody else has it: the lock is only for openraft, which wants a builder to be `Sync`.
    state: Mutex<Box<dyn machine::Cut>>,
}

impl Replicated {
    /// Runs what blocks; a failure ends the replica with its reason.
    async fn run<R: Send + 'static>(&self, f: impl FnOnce(&Core) -> io::Result<R> + Send + 'static) -> io::Result<R> {
        let core = self.core.clone();
        let result = blocking(move || f(&core)).await.flatten();
        if let Err(e) = &result {
            self.core.halt(&e.to_string(), false);
        }
        result
    }
}

impl RaftStateMachine<Types> for Replicated {
    type SnapshotData = Image;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        self.run(|core| {
            let slot = core.slot.lock();
            Ok((slot.last, slot.membership.clone()))
        })
        .await
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<Item, io::Error>> + Unpin + Send,
    {
        while let Some(first) = entries.next().await {
            // What is there already, and no room for what is not: most batches are of one entry.
            let mut rest = VecDeque::from([first?]);
            while rest.len() < BATCH
                && let Some(Some(next)) = entries.next().now_or_never()
            {
                rest.push_back(next?);
            }
            while let Some(first) = rest.front().map(|(entry, _)| entry.log_id.index) {
                let piece = self.core.piece(&mut rest);
                self.core.decided(first).await?;
                self.run(move |core| core.apply_batch(piece)).await?;
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { core: self.core.clone(), cut: Some(self.run(|core| Ok(core.cut())).await) }
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMeta, image: Image) -> Result<(), io::Error> {
        self.run(move |core| core.take_up(&image)).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf>, io::Error> {
        self.run(|core| {
            let Some(kept) = core.disk.snapshot(core.group)? else { return Ok(None) };
            Ok(Some(Snapshot { meta: openraft_meta(kept.meta()).map_err(invalid)?, snapshot: kept }))
        })
        .await
    }
}

/// A snapshot on its way to the disk.
pub(crate) struct Builder {
    core: Arc<Core>,
    cut: Option<io::Result<Cut>>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Image;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf, io::Error> {
        let cut = self.cut.take();
        let Cut { openraft, meta, state } =
            cut.unwrap_or_else(|| Err(io::Error::other("the snapshot was built already")))?;
        let (core, mut state) = (self.core.clone(), state.into_inner());
        let saved = blocking(move || core.saving(|snapshots| snapshots.save(core.group, meta, &mut *state))).await;
        Ok(Snapshot { meta: openraft, snapshot: saved.flatten()? })
    }
}
