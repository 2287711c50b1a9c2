//! The data folder of a node.
//!
//! ```text
//! LOCK                   held while open
//! log/                   the log engine: region 1 is ours, one region per group from 2 on
//! snapshots/             the current snapshots of groups, see [`snapshots`]
//! APPLYING               what is being applied, see [`applying`]
//! ```
//!
//! 1. Nothing in the folder is opened before the lock is held.
//! 2. Everything written to the log goes through one [`appender::Appender`], in order.
//! 3. A region number is never used again.

pub(crate) mod appender;
pub(crate) mod applying;
mod engine_files;
pub(crate) mod log;
pub(crate) mod promises;
mod reading;
pub(crate) mod snapshots;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fs4::fs_std::FileExt;
use pando_abi::NodeId;
use pando_abi::planted::fail::{Point, pass};
use parking_lot::{Mutex, RwLock};
use raft_engine::{LogBatch, RecoveryMode};

use crate::codec::record::{FenceRecord, GroupRecord, VoteRecord};
use crate::codec::{decode, encode};
use crate::config::{Config, Fatal};
use crate::entry::GroupId;
use crate::error::OpenError;
use crate::files::SystemFiles;
use crate::types::{LogEntry, Membership, log_id};
use appender::{Appender, Item};
use applying::Applying;
use engine_files::EngineFiles;
use promises::Promises;
use reading::Reading;
use snapshots::Snapshots;
use snapshots::kept::Kept;

const REGION_META: u64 = 1;
const REGION_FIRST: u64 = 2;
const KEY_NODE: &[u8] = b"node";
const KEY_NEXT: &[u8] = b"next";
const PREFIX_GROUP: u8 = b'g';
const PREFIX_VOTE: u8 = b'v';
const PREFIX_FENCE: u8 = b'f';
/// Bytes of what is remembered of a fence.
const FENCE_BYTES_MAX: usize = 64 << 10;
/// How often expired log files are looked for.
const PURGE_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) type Engine = raft_engine::Engine<EngineFiles>;

/// An open data folder.
pub(crate) struct Disk {
    engine: RwLock<Option<Arc<Engine>>>,
    pub(crate) appender: Appender,
    pub(crate) snapshots: Snapshots,
    pub(crate) applying: Applying,
    fatal: Fatal,
    /// Locked before `promises`.
    book: Mutex<Book>,
    promises: Mutex<Promises>,
    /// Held while the record of the disk's lives is changed.
    counting: tokio::sync::Mutex<()>,
    /// Votes or entries were written since this was counted last.
    pub(crate) promised: AtomicBool,
    lock: Mutex<Option<File>>,
    reading: Reading,
}

/// What groups there are. Mirrors region 1.
struct Book {
    groups: BTreeMap<GroupId, GroupRecord>,
    next: u64,
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Io { what, path, source }
}

fn failed(path: &Path, e: raft_engine::Error) -> OpenError {
    io_error("write", path)(std::io::Error::other(e.to_string()))
}

fn key_of(prefix: u8, group: GroupId) -> Vec<u8> {
    let mut key = vec![prefix];
    key.extend_from_slice(&group.0);
    key
}

fn group_key(group: GroupId) -> Vec<u8> {
    key_of(PREFIX_GROUP, group)
}

fn vote_key(group: GroupId) -> Vec<u8> {
    key_of(PREFIX_VOTE, group)
}

fn fence_key(group: GroupId) -> Vec<u8> {
    key_of(PREFIX_FENCE, group)
}

/// Takes the lock of the folder, or says who should let go.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("LOCK");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io_error("open", &path))?;
    match FileExt::try_lock_exclusive(&file) {
        Ok(true) => Ok(file),
        Ok(false) => Err(OpenError::Locked { dir: dir.to_path_buf() }),
        Err(e) => Err(io_error("lock", &path)(e)),
    }
}

impl Disk {
    /// Locks and opens the folder. Blocks: recovery reads the whole log.
    pub(crate) fn open(config: &Config) -> Result<Disk, OpenError> {
        let dir = &config.dir;
        std::fs::create_dir_all(dir).map_err(io_error("make", dir))?;
        let lock = lock(dir)?;
        let files = config.files.clone().unwrap_or_else(|| Arc::new(SystemFiles));
        let snapshots = Snapshots::open(dir.join("snapshots"), files)?;
        let path = dir.join("APPLYING");
        let applying = Applying::open(&path, config.files.is_none()).map_err(io_error("open", &path))?;
        let log = dir.join("log");
        let engine = open_engine(config, &log)?;
        let book = read_book(&engine, config.node, dir)?;
        let engine = Arc::new(engine);
        let mut mark = LogBatch::default();
        mark.put(REGION_META, KEY_NODE.to_vec(), encode(&config.node.0)).map_err(|e| failed(&log, e))?;
        let damaged = |why| OpenError::Damaged { path: dir.clone(), why };
        let promises = Promises::begin(&engine, config.boot, &mut mark).map_err(damaged)?;
        engine.write(&mut mark, true).map_err(|e| failed(&log, e))?;
        let appender = Appender::start(engine.clone(), config);
        Ok(Disk {
            engine: RwLock::new(Some(engine)),
            appender,
            snapshots,
            applying,
            fatal: config.fatal.clone(),
            book: Mutex::new(book),
            promises: Mutex::new(promises),
            counting: tokio::sync::Mutex::default(),
            promised: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
            reading: Reading::new(),
        })
    }

    /// Reads entries. Blocks.
    pub(crate) fn read<R: Send>(&self, read: impl FnOnce(&Engine) -> R + Send) -> std::io::Result<R> {
        let engine = self.engine()?;
        Ok(self.reading.read(|| read(&engine)))
    }

    /// For reading anything but entries.
    pub(crate) fn engine(&self) -> std::io::Result<Arc<Engine>> {
        self.engine.read().clone().ok_or_else(|| std::io::Error::other("the log is closed"))
    }

    /// The groups with a replica here.
    pub(crate) fn groups(&self) -> Vec<(GroupId, GroupRecord)> {
        self.book.lock().groups.iter().map(|(id, record)| (*id, record.clone())).collect()
    }

    /// The group's record, if there is a replica here.
    pub(crate) fn group(&self, group: GroupId) -> Option<GroupRecord> {
        self.book.lock().groups.get(&group).cloned()
    }

    /// The group's record, made and synced if there is none.
    pub(crate) async fn add_group(&self, group: GroupId, founders: &[u64]) -> std::io::Result<GroupRecord> {
        let (record, write) = {
            let mut book = self.book.lock();
            if let Some(record) = book.groups.get(&group) {
                return Ok(record.clone());
            }
            let record = GroupRecord {
                region: book.next,
                founders: founders.to_vec(),
                fenced: None,
                joining: founders.is_empty(),
            };
            book.next += 1;
            book.groups.insert(group, record.clone());
            // Queued under the lock, so that the numbers reach the disk in order.
            let mut items = vec![
                Item::Put(REGION_META, KEY_NEXT.to_vec(), encode(&book.next)),
                Item::Put(REGION_META, group_key(group), encode(&record)),
            ];
            // What the replica before this one has voted for binds this one too.
            if let Some(vote) = self.engine()?.get(REGION_META, &vote_key(group)) {
                items.push(Item::Put(record.region, log::KEY_VOTE.to_vec(), vote));
            }
            (record, self.appender.write(items))
        };
        write.await?;
        pass(Point::GroupRecorded);
        Ok(record)
    }

    /// Writes a vote for a replica that does not run.
    pub(crate) async fn set_vote(&self, record: &GroupRecord, vote: VoteRecord) -> std::io::Result<()> {
        self.appender.write(vec![Item::Put(record.region, log::KEY_VOTE.to_vec(), encode(&vote))]).await
    }

    /// Writes the first entry of a group, its founders, for a replica that does not run and has nothing.
    pub(crate) async fn found(&self, record: &GroupRecord) -> std::io::Result<()> {
        let founders: BTreeSet<u64> = record.founders.iter().copied().collect();
        let nodes: BTreeMap<u64, ()> = founders.iter().map(|founder| (*founder, ())).collect();
        let membership = Membership::new(vec![founders], nodes).map_err(std::io::Error::other)?;
        let entry = LogEntry { log_id: log_id(0, 0), payload: openraft::EntryPayload::Membership(membership) };
        self.appender.write(vec![Item::Entries(record.region, vec![log::raw_entry(&entry)])]).await
    }

    /// Remembers that the replica here is fenced, and how.
    pub(crate) async fn fence_group(&self, group: GroupId, why: &str, how: &FenceRecord) -> std::io::Result<()> {
        let write = {
            let mut book = self.book.lock();
            let Some(record) = book.groups.get_mut(&group) else { return Ok(()) };
            record.fenced = Some(why.to_string());
            self.appender.write(vec![
                Item::Put(REGION_META, group_key(group), encode(record)),
                Item::Put(REGION_META, fence_key(group), encode(how)),
            ])
        };
        write.await
    }

    /// Remembers that the replica here is not fenced any more. How it was stays known.
    pub(crate) async fn unfence_group(&self, group: GroupId) -> std::io::Result<Option<GroupRecord>> {
        let (record, write) = {
            let mut book = self.book.lock();
            let Some(record) = book.groups.get_mut(&group) else { return Ok(None) };
            record.fenced = None;
            (record.clone(), self.appender.write(vec![Item::Put(REGION_META, group_key(group), encode(record))]))
        };
        write.await?;
        Ok(Some(record))
    }

    /// Remembers that the replica here, which was fenced, agrees again.
    pub(crate) async fn mend_group(&self, group: GroupId) -> std::io::Result<()> {
        let Some(how) = self.fence(group)? else { return Ok(()) };
        let how = encode(&FenceRecord { mended: true, ..how });
        self.appender.write(vec![Item::Put(REGION_META, fence_key(group), how)]).await
    }

    /// How the replica here was fenced last.
    pub(crate) fn fence(&self, group: GroupId) -> std::io::Result<Option<FenceRecord>> {
        let Some(bytes) = self.engine()?.get(REGION_META, &fence_key(group)) else { return Ok(None) };
        let read = decode("fence record", &bytes, FENCE_BYTES_MAX);
        read.map(Some).map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e.to_string()))
    }

    /// Remembers that the replica here has caught up with its own joining.
    pub(crate) async fn seat_group(&self, group: GroupId) -> std::io::Result<()> {
        let write = {
            let mut book = self.book.lock();
            let Some(record) = book.groups.get_mut(&group) else { return Ok(()) };
            record.joining = false;
            self.appender.write(vec![Item::Put(REGION_META, group_key(group), encode(record))])
        };
        write.await.inspect(|()| pass(Point::GroupSeated))
    }

    /// Deletes the group's log, its record and its snapshot. Of a group that goes on, what was `voted` for stays known: if
    /// the node joins again it must not vote otherwise in the same term.
    pub(crate) async fn remove_group(&self, group: GroupId, voted: Option<VoteRecord>) -> std::io::Result<()> {
        let (write, region) = {
            let mut book = self.book.lock();
            let Some(record) = book.groups.remove(&group) else { return Ok(()) };
            let vote = match voted {
                // Nobody leads here any more.
                Some(vote) => {
                    let vote = VoteRecord { committed: false, ..vote };
                    Item::Put(REGION_META, vote_key(group), encode(&vote))
                }
                None => Item::Delete(REGION_META, vote_key(group)),
            };
            let items = vec![
                Item::Clean(record.region),
                Item::Delete(REGION_META, group_key(group)),
                Item::Delete(REGION_META, fence_key(group)),
                self.promises.lock().dismiss(group),
                vote,
            ];
            (self.appender.write(items), record.region)
        };
        write.await?;
        pass(Point::GroupRemoved);
        self.applying.forget(region)?;
        self.snapshots.remove(group)
    }

    /// Drops log files that nobody needs, and names the groups that hold old ones in use.
    pub(crate) fn purge(&self) -> std::io::Result<Vec<GroupId>> {
        let purged = self.read(|engine| engine.purge_expired_files())?;
        let regions = purged.map_err(|e| std::io::Error::other(e.to_string()))?;
        let book = self.book.lock();
        let held = book.groups.iter().filter(|(_, record)| regions.contains(&record.region));
        Ok(held.map(|(group, _)| *group).collect())
    }

    /// Writes what is pending and unlocks the folder. Blocks. Nothing is written after this.
    pub(crate) fn close(&self) {
        self.appender.close();
        drop(self.engine.write().take());
        drop(self.lock.lock().take());
    }

    /// The disk failed: the process ends.
    pub(crate) fn fail(&self, why: String) {
        (self.fatal)(why);
    }

    /// The group's current snapshot. Blocks. A disk that cannot be read ends the process; damage is an error.
    pub(crate) fn snapshot(&self, group: GroupId) -> std::io::Result<Option<Arc<Kept>>> {
        self.snapshots.load(group).inspect_err(|e| self.unless_damage("a snapshot could not be read", e))
    }

    /// A disk that fails ends the process; damage does not.
    pub(crate) fn unless_damage(&self, what: &str, e: &std::io::Error) {
        if e.kind() != std::io::ErrorKind::InvalidData {
            self.fail(format!("{what}: {e}"));
        }
    }

    /// What the engine said when it was read. A disk that cannot be read ends the process; damage is an error.
    pub(crate) fn unread(&self, e: raft_engine::Error) -> std::io::Error {
        match e {
            raft_engine::Error::Io(e) => {
                self.fail(format!("the log could not be read: {e}"));
                e
            }
            damage @ raft_engine::Error::Corruption(_) => {
                std::io::Error::new(std::io::ErrorKind::InvalidData, format!("the log is damaged: {damage}"))
            }
            other => std::io::Error::other(other.to_string()),
        }
    }

    /// How often to call [`Disk::purge`].
    pub(crate) const fn purge_interval() -> Duration {
        PURGE_INTERVAL
    }
}

fn open_engine(config: &Config, path: &Path) -> Result<Engine, OpenError> {
    let damaged = |why: String| OpenError::Damaged { path: path.to_path_buf(), why };
    let Some(dir) = path.to_str() else {
        return Err(OpenError::Config(format!("the data folder's name is not UTF-8: {}", path.display())));
    };
    let engine_config = raft_engine::Config {
        dir: dir.to_string(),
        // A torn tail is what a crash leaves; what was synced lies before it.
        recovery_mode: RecoveryMode::TolerateTailCorruption,
        // One behind a door: what goes wrong in a simulation must not depend on which of two threads is first.
        recovery_threads: if config.files.is_some() { 1 } else { 2 },
        target_file_size: raft_engine::ReadableSize(config.log_file_bytes),
        purge_threshold: raft_engine::ReadableSize(config.log_bytes),
        // Batches are small and soon purged: to compress them takes a tenth of what an entry costs.
        batch_compression_threshold: raft_engine::ReadableSize(0),
        ..Default::default()
    };
    let files = Arc::new(EngineFiles::new(config.files.clone()));
    let misread = files.misread();
    // The engine panics on some kinds of damage; a damaged folder must end in a sentence.
    let opened =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Engine::open_with_file_system(engine_config, files)));
    if let Some(why) = misread.get() {
        return Err(io_error("read", path)(std::io::Error::other(why.clone())));
    }
    match opened {
        Ok(Ok(engine)) => Ok(engine),
        Ok(Err(e)) => Err(damaged(e.to_string())),
        Err(_) => Err(damaged("the log engine gave up on it".into())),
    }
}

fn read_book(engine: &Engine, node: NodeId, dir: &Path) -> Result<Book, OpenError> {
    let damaged = |why: String| OpenError::Damaged { path: PathBuf::from(dir), why };
    if let Some(bytes) = engine.get(REGION_META, KEY_NODE) {
        let found = NodeId(decode::<u32>("node", &bytes, 64).map_err(|e| damaged(e.to_string()))?);
        if found != node {
            return Err(OpenError::OtherNode { dir: dir.to_path_buf(), found, asked: node });
        }
    }
    let next = match engine.get(REGION_META, KEY_NEXT) {
        Some(bytes) => decode::<u64>("region counter", &bytes, 64).map_err(|e| damaged(e.to_string()))?,
        None => REGION_FIRST,
    };
    let mut groups = BTreeMap::new();
    let mut bad = None;
    promises::scan(engine, PREFIX_GROUP, |id, value| {
        match (<[u8; 16]>::try_from(id), decode::<GroupRecord>("group record", value, 1 << 16)) {
            (Ok(id), Ok(record)) => drop(groups.insert(pando_abi::ActorId(id), record)),
            (Err(_), _) => bad = Some("a group with a bad id".to_string()),
            (_, Err(e)) => bad = Some(e.to_string()),
        }
    })
    .map_err(damaged)?;
    match bad {
        Some(why) => Err(damaged(why)),
        None => Ok(Book { groups, next }),
    }
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod suite;
