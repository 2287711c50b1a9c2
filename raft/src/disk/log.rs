//! The log and the vote of one group, as openraft wants them, over the shared engine.
//!
//! Holds the tail in memory: what is not yet synced must be readable, and what is recent is read
//! often. openraft's index `i` is the engine's `i + 1`, because the engine's indexes begin at 1.
//!
//! The engine cannot cut its tail; it only overwrites. So a cut is a mark, dropped together with the
//! append that overwrites.
//!
//! ```text
//! region: entries | "vote" | "committed" | "purged" | "cut" = entries in the engine that count
//!         "skips" = which entries are skipped, and by which
//! ```
//!
//! 1. No holes: an append that would leave one is an error.
//! 2. Vote and log go through one queue, in order.
//! 3. The tail holds every entry that is not synced.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use pando_abi::planted::fail::{Point, fails, pass};
use pando_abi::planted::{Bug, planted};
use parking_lot::Mutex;
use raft::eraftpb;

use super::Disk;
use super::appender::{Done, Entries, Item};
use crate::codec::record::{LogIdRecord, VoteRecord, decode_entry, encode_entry};
use crate::codec::{Malformed, decode, encode};
use crate::types::{Command, LogEntry, LogId, Types, Vote, log_id};

pub(super) const KEY_VOTE: &[u8] = b"vote";
const KEY_COMMITTED: &[u8] = b"committed";
const KEY_PURGED: &[u8] = b"purged";
const KEY_CUT: &[u8] = b"cut";
const KEY_SKIPS: &[u8] = b"skips";
/// Bytes of what is skipped.
const SKIPS_BYTES_MAX: usize = 1 << 20;
/// Synced entries kept in memory.
const TAIL_ENTRIES_MAX: usize = 512;
/// Bytes of synced entries kept in memory.
const TAIL_BYTES_MAX: usize = 1 << 20;
/// A log of more entries than this is not looked through for one that means something.
const BLANK_MAX: u64 = 1 << 10;
/// Bytes that one read for a peer gives, about: the request should fit one frame.
const READ_BYTES_MAX: usize = 512 << 10;

/// A group's log. Cheap to clone; all clones are one log.
#[derive(Clone)]
pub(crate) struct GroupLog {
    shared: Arc<Shared>,
}

struct Shared {
    disk: Arc<Disk>,
    region: u64,
    state: Mutex<State>,
    /// The number of the last append that is synced.
    synced: Arc<AtomicU64>,
    /// A vote or entries were written since somebody asked last.
    promised: AtomicBool,
}

struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The first index that is there; a log may begin anywhere after a snapshot.
    first: u64,
    /// A cut was marked that no append has overwritten.
    cut: bool,
    /// Which entries are not to be applied, and where that stands.
    skips: BTreeMap<u64, u64>,
    /// What this node has died of twice.
    suspect: Option<u64>,
    tail: VecDeque<Held>,
    tail_bytes: usize,
    appends: u64,
}

struct Held {
    entry: LogEntry,
    bytes: usize,
    /// The append it came with.
    append: u64,
}

fn invalid(e: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e.to_string())
}

impl State {
    /// The index behind the last entry.
    fn end(&self) -> u64 {
        self.last.map_or(0, |id| id.index + 1)
    }

    /// The first index that is there, or would be.
    fn start(&self) -> u64 {
        self.purged.map_or(0, |id| id.index + 1).max(self.first)
    }

    /// The index of the first entry in the tail, or the end.
    fn tail_start(&self) -> u64 {
        self.tail.front().map_or(self.end(), |held| held.entry.log_id.index)
    }

    fn push(&mut self, held: Held) {
        self.last = Some(held.entry.log_id);
        self.tail_bytes += held.bytes;
        self.tail.push_back(held);
    }

    /// The first entry of which it is not decided whether it is applied.
    fn hold(&self) -> Option<u64> {
        let committed = self.committed.map_or(0, |id| id.index);
        let open = self.skips.iter().filter(|(_, at)| **at > committed).map(|(target, _)| *target);
        let suspect = self.suspect.filter(|suspect| self.skips.get(suspect).is_none_or(|at| *at > committed));
        open.chain(suspect).min()
    }

    /// What is skipped, to be written.
    fn skips_item(&self, region: u64) -> Item {
        let skips: Vec<(u64, u64)> = self.skips.iter().map(|(target, at)| (*target, *at)).collect();
        Item::Put(region, KEY_SKIPS.to_vec(), encode(&skips))
    }

    fn pop_front(&mut self) {
        if let Some(held) = self.tail.pop_front() {
            self.tail_bytes -= held.bytes;
        }
    }

    /// Forgets synced entries beyond what is worth keeping.
    fn shed(&mut self, synced: u64) {
        while (self.tail.len() > TAIL_ENTRIES_MAX || self.tail_bytes > TAIL_BYTES_MAX)
            && self.tail.front().is_some_and(|held| held.append <= synced)
        {
            self.pop_front();
        }
    }
}

/// An entry as the log engine takes it.
pub(super) fn raw_entry(entry: &LogEntry) -> eraftpb::Entry {
    let mut raw = eraftpb::Entry::default();
    raw.set_term(crate::types::term_of(&entry.log_id));
    raw.set_index(entry.log_id.index + 1);
    raw.set_data(encode_entry(entry).into());
    raw
}

impl GroupLog {
    /// The log of a region, as the disk has it.
    pub(crate) fn open(disk: Arc<Disk>, region: u64) -> io::Result<GroupLog> {
        let engine = disk.engine()?;
        let position = |key: &[u8]| -> io::Result<Option<LogId>> {
            let Some(bytes) = engine.get(region, key) else { return Ok(None) };
            Ok(Some(decode::<LogIdRecord>("position", &bytes, 256).map_err(invalid)?.into()))
        };
        let vote = match engine.get(region, KEY_VOTE) {
            Some(bytes) => Some(decode::<VoteRecord>("vote", &bytes, 256).map_err(invalid)?.into()),
            None => None,
        };
        let cut = match engine.get(region, KEY_CUT) {
            Some(bytes) => Some(decode::<u64>("cut", &bytes, 64).map_err(invalid)?),
            None => None,
        };
        let skips = match engine.get(region, KEY_SKIPS) {
            Some(bytes) => decode::<Vec<(u64, u64)>>("skips", &bytes, SKIPS_BYTES_MAX).map_err(invalid)?,
            None => Vec::new(),
        };
        let purged = position(KEY_PURGED)?;
        let (first, last) = (engine.first_index(region), engine.last_index(region));
        let last = last.map(|last| last.min(cut.unwrap_or(u64::MAX)));
        let last = match (first, last) {
            (Some(first), Some(last)) if first <= last => {
                let entry =
                    disk.read(|engine| engine.get_entry::<Entries>(region, last))?.map_err(|e| disk.unread(e))?;
                let entry = entry.ok_or_else(|| io::Error::other("the last entry is missing"))?;
                Some(log_id(entry.term, entry.index - 1))
            }
            _ => None,
        };
        let mut state = State {
            vote,
            committed: position(KEY_COMMITTED)?,
            last: last.max(purged),
            first: first.map_or(0, |first| first - 1),
            purged,
            cut: cut.is_some(),
            skips: skips.into_iter().collect(),
            suspect: None,
            tail: VecDeque::new(),
            tail_bytes: 0,
            appends: 0,
        };
        let (start, end) = (state.start(), state.end());
        state.skips.retain(|_, at| (start..end).contains(at));
        let synced = Arc::new(AtomicU64::new(0));
        drop(engine);
        // The engine forgets what it was told to drop when the file that says so is gone, and may then have entries again that were
        // purged long ago; it would not take others with a hole between them and those.
        if let (Some(purged), Some(first)) = (purged, first)
            && first <= purged.index + 1
        {
            disk.appender.write_lazy(vec![Item::Compact(region, purged.index + 2)]);
        }
        let promised = AtomicBool::new(false);
        Ok(GroupLog { shared: Arc::new(Shared { disk, region, state: Mutex::new(state), synced, promised }) })
    }

    /// The region of the log engine that holds it: another one each time that a replica is made anew.
    pub(crate) fn region(&self) -> u64 {
        self.shared.region
    }

    /// What was just queued is a promise. Not said before: a count that is told for it is queued behind it, so that a disk that has the
    /// count has the promise.
    fn promise(&self) {
        self.shared.promised.store(true, Ordering::Relaxed);
        self.shared.disk.promised.store(true, Ordering::Release);
    }

    /// Has it promised anything since this was asked last?
    pub(crate) fn has_promised(&self) -> bool {
        self.shared.promised.swap(false, Ordering::Relaxed)
    }

    /// This entry is not applied before it is decided whether it is skipped.
    pub(crate) fn suspect(&self, index: Option<u64>) {
        self.shared.state.lock().suspect = index;
    }

    /// Is it written here that this entry is skipped, and is that committed?
    pub(crate) fn skip_of(&self, index: u64) -> Option<bool> {
        let state = self.shared.state.lock();
        let at = state.skips.get(&index)?;
        Some(state.committed.is_some_and(|committed| committed.index >= *at))
    }

    /// Is any entry skipped?
    pub(crate) fn has_skips(&self) -> bool {
        !self.shared.state.lock().skips.is_empty()
    }

    /// The vote that is on the disk.
    pub(crate) fn vote(&self) -> Option<Vote> {
        self.shared.state.lock().vote
    }

    /// The first index that is there, or would be.
    pub(crate) fn first_index(&self) -> u64 {
        self.shared.state.lock().start()
    }

    /// The last index, purged or there; 0 if none.
    pub(crate) fn last_index(&self) -> u64 {
        self.shared.state.lock().last.map_or(0, |id| id.index)
    }

    /// The last entry's position, purged or there.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.shared.state.lock().last
    }

    /// All of it is committed, says the leader.
    pub(crate) fn commit_all(&self) {
        if let Some(last) = self.last() {
            self.note_committed(last);
        }
    }

    fn note_committed(&self, committed: LogId) {
        let mut state = self.shared.state.lock();
        if state.committed != Some(committed) {
            state.committed = Some(committed);
            let record = encode(&LogIdRecord::from(committed));
            self.shared.disk.appender.write_lazy(vec![Item::Put(self.shared.region, KEY_COMMITTED.to_vec(), record)]);
        }
    }

    /// What is on the disk is not kept in memory: nobody will read it for a while.
    pub(crate) fn put_aside(&self) {
        let mut state = self.shared.state.lock();
        let synced = self.shared.synced.load(Ordering::Acquire);
        while state.tail.front().is_some_and(|held| held.append <= synced) {
            state.pop_front();
        }
        state.tail.shrink_to_fit();
    }

    /// Does it hold nothing that a machine would apply, and has it never?
    pub(crate) fn is_blank(&self) -> bool {
        let work = |entry: &LogEntry| matches!(entry.payload, openraft::EntryPayload::Normal(Command::Entry(_)));
        let few = self.first_index() == 0 && self.last_index() < BLANK_MAX;
        few && self.read(0, BLANK_MAX, None).is_ok_and(|entries| !entries.iter().any(work))
    }

    /// Entries from `start` up to `end`, at least one if there is one, about `bytes` of them.
    fn read(&self, start: u64, end: u64, bytes: Option<usize>) -> io::Result<Vec<LogEntry>> {
        let shared = &self.shared;
        loop {
            let (start, from_engine, tail) = {
                let state = shared.state.lock();
                let start = start.max(state.start());
                let end = end.min(state.end());
                if start >= end {
                    return Ok(Vec::new());
                }
                let tail_start = state.tail_start();
                let skip = start.saturating_sub(tail_start) as usize;
                let take = end.saturating_sub(start.max(tail_start)) as usize;
                let mut budget = bytes.unwrap_or(usize::MAX);
                let whole_in_tail = start >= tail_start;
                let mut tail = Vec::new();
                for held in state.tail.iter().skip(skip).take(take) {
                    // The first entry of a read is given whatever its size.
                    if held.bytes > budget && !(tail.is_empty() && whole_in_tail) {
                        break;
                    }
                    budget = budget.saturating_sub(held.bytes);
                    tail.push(held.entry.clone());
                }
                (start, end.min(tail_start), tail)
            };
            if start >= from_engine {
                return Ok(tail);
            }
            let mut raw = Vec::new();
            let (first, end) = (start + 1, from_engine + 1);
            let read = shared
                .disk
                .read(|engine| engine.fetch_entries_to::<Entries>(shared.region, first, end, bytes, &mut raw));
            match read? {
                Ok(_) => {}
                // Purged meanwhile: look again where the log begins.
                Err(raft_engine::Error::EntryCompacted) if shared.state.lock().start() > start => continue,
                Err(e) => return Err(shared.disk.unread(e)),
            }
            let complete = raw.len() as u64 == from_engine - start;
            let mut entries: Vec<LogEntry> = Vec::with_capacity(raw.len());
            let mut size = 0;
            for entry in &raw {
                size += entry.data.len();
                entries.push(decode_entry(&entry.data).map_err(invalid)?);
            }
            if complete && bytes.is_none_or(|max| size < max) {
                entries.extend(tail);
            }
            return Ok(entries);
        }
    }
}

impl RaftLogReader<Types> for GroupLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, io::Error> {
        let start = match range.start_bound() {
            Bound::Included(i) => *i,
            Bound::Excluded(i) => *i + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(i) => i.saturating_add(1),
            Bound::Excluded(i) => *i,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start, end, None)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, io::Error> {
        self.read(start, end, Some(READ_BYTES_MAX))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.vote())
    }
}

impl RaftLogStorage<Types> for GroupLog {
    type LogReader = GroupLog;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let state = self.shared.state.lock();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> GroupLog {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let record = encode(&VoteRecord::from(*vote));
        if planted(Bug::VoteNotSaved) {
            self.shared.state.lock().vote = Some(*vote);
            return Ok(());
        }
        if fails(Point::VoteBeforeSave) {
            return Err(io::Error::other("a fail point"));
        }
        let write = self.shared.disk.appender.write(vec![Item::Put(self.shared.region, KEY_VOTE.to_vec(), record)]);
        self.promise();
        write.await?;
        pass(Point::VoteAfterSave);
        self.shared.state.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(committed) = committed {
            self.note_committed(committed);
        }
        Ok(())
    }

    // What must not be applied yet is told to be committed by the leader, and waited for then: a replica that starts must not
    // wait.
    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let (committed, hold, purged) = {
            let state = self.shared.state.lock();
            (state.committed, state.hold(), state.purged)
        };
        match hold {
            Some(hold) if committed.is_some_and(|at| at.index >= hold) => {
                let before = hold.saturating_sub(1);
                Ok(self.read(before, hold, None)?.first().map(|entry| entry.log_id).or(purged))
            }
            _ => Ok(committed),
        }
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = LogEntry> + Send,
        I::IntoIter: Send,
    {
        let shared = &self.shared;
        let encode_one = |entry: LogEntry| {
            let raw = raw_entry(&entry);
            (entry, raw.data.len(), raw)
        };
        let encoded: Vec<_> = entries.into_iter().map(encode_one).collect();
        let mut state = shared.state.lock();
        state.appends += 1;
        let op = state.appends;
        let mut raw = Vec::with_capacity(encoded.len());
        let mut skips = false;
        for (entry, bytes, one) in encoded {
            if state.last.is_none() {
                // An empty log begins where it is told to.
                state.first = entry.log_id.index;
            } else if entry.log_id.index != state.end() {
                let why = format!("append of {} to a log that ends before {}", entry.log_id, state.end());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            if let openraft::EntryPayload::Normal(Command::Skip { index }) = entry.payload {
                // Of several the first counts: it is cut off or dropped last.
                state.skips.entry(index).or_insert(entry.log_id.index);
                skips = true;
            }
            state.push(Held { entry, bytes, append: op });
            raw.push(one);
        }
        let mut items = vec![Item::Entries(shared.region, raw)];
        if skips {
            items.push(state.skips_item(shared.region));
        }
        if std::mem::take(&mut state.cut) {
            items.push(Item::Delete(shared.region, KEY_CUT.to_vec()));
        }
        state.shed(shared.synced.load(Ordering::Acquire));
        if planted(Bug::AckBeforeWrite) {
            callback.io_completed(Ok(()));
            shared.disk.appender.write_lazy(items);
            return Ok(());
        }
        // Queued under the lock, so that appends reach the disk in order.
        shared.disk.appender.write_then(items, Done::Flushed { callback, op, mark: shared.synced.clone() });
        self.promise();
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.cut_after(last);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.drop_upto(upto);
        Ok(())
    }
}

impl GroupLog {
    fn cut_after(&self, last: Option<LogId>) {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        let end = last.map_or(0, |id| id.index + 1).max(state.start());
        if end >= state.end() {
            return;
        }
        while state.tail.back().is_some_and(|held| held.entry.log_id.index >= end) {
            if let Some(held) = state.tail.pop_back() {
                state.tail_bytes -= held.bytes;
            }
        }
        state.last = last.max(state.purged);
        state.cut = true;
        // Unsynced is enough: the entries cut off were never acknowledged under the vote that cuts
        // them, and the append that follows is behind this in the queue.
        let mut items = vec![Item::Put(shared.region, KEY_CUT.to_vec(), encode(&end))];
        if state.skips.values().any(|at| *at >= end) {
            state.skips.retain(|_, at| *at < end);
            items.push(state.skips_item(shared.region));
        }
        shared.disk.appender.write_lazy(items);
    }

    fn drop_upto(&self, upto: LogId) {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        if state.purged >= Some(upto) {
            return;
        }
        state.purged = Some(upto);
        state.last = state.last.max(Some(upto));
        while state.tail.front().is_some_and(|held| held.entry.log_id.index <= upto.index) {
            state.pop_front();
        }
        // Unsynced is enough: what is purged is in a synced snapshot, and purging again does no harm.
        let mut items = vec![
            Item::Put(shared.region, KEY_PURGED.to_vec(), encode(&LogIdRecord::from(upto))),
            Item::Compact(shared.region, upto.index + 2),
        ];
        if state.skips.values().any(|at| *at <= upto.index) {
            state.skips.retain(|_, at| *at > upto.index);
            items.push(state.skips_item(shared.region));
        }
        shared.disk.appender.write_lazy(items);
    }

    /// Is this committed position of a later term than the log's end, which is not before it? Then what the log has there and behind
    /// it is another history's.
    pub(crate) fn is_superseded(&self, at: LogId) -> bool {
        self.shared.state.lock().last.is_some_and(|last| last < at && last.index >= at.index)
    }

    /// Has the log go on behind a committed position, of which a snapshot is on the disk. What it has up to there goes; what it
    /// has behind it stays, unless it never was the history's. Blocks. Nobody else must use this log.
    pub(crate) fn begin_after(&self, at: LogId) -> io::Result<()> {
        let purged = self.shared.state.lock().purged;
        let same =
            purged == Some(at) || self.read(at.index, at.index + 1, None)?.first().is_some_and(|e| e.log_id == at);
        if !same {
            // It ends before there, or what it has there was never committed, and so nothing was that comes after it.
            self.cut_after(purged);
        }
        self.drop_upto(at);
        Ok(())
    }

    /// The last index that is not in the log any more, but in a snapshot; 0: none, or that one.
    pub(crate) fn purged(&self) -> u64 {
        self.shared.state.lock().purged.map_or(0, |id| id.index)
    }
}

#[cfg(test)]
mod tests;
