//! What stands on the disk about the disk itself and those of the others, so that old copies are recognised ([`crate::lives`]).
//!
//! ```text
//! region 1   lives       the lives of this disk, and whether it is an old copy
//!            d + group   the replica of the group here has forgotten what it promised, and takes no part
//!            w + node    what a node has told last
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::Ordering;

use pando_abi::NodeId;
use raft_engine::LogBatch;
use rkyv::{Archive, Deserialize, Serialize};

use super::appender::Item;
use super::{Disk, Engine, REGION_META, group_key, key_of};
use crate::codec::{Malformed, decode, encode};
use crate::entry::GroupId;
use crate::lives::{Life, Lives, Mark};

const KEY_LIVES: &[u8] = b"lives";
const PREFIX_WITNESS: u8 = b'w';
const PREFIX_DOUBT: u8 = b'd';
/// Bytes of one record.
const BYTES_MAX: usize = 4096;

/// What a disk knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct LivesRecord {
    pub(crate) lives: Lives,
    /// It was found to be an old copy, and not all that follows from it is done.
    pub(crate) old: bool,
}

impl LivesRecord {
    fn item(&self) -> Item {
        Item::Put(REGION_META, KEY_LIVES.to_vec(), encode(self))
    }
}

/// What a node has told of its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct WitnessRecord {
    pub(crate) mark: Mark,
    /// It was not there when this node booted, and is not waited for the next time.
    pub(crate) absent: bool,
}

/// Mirrors those records.
#[derive(Default)]
pub(super) struct Promises {
    record: LivesRecord,
    doubts: BTreeSet<GroupId>,
    heard: BTreeMap<NodeId, WitnessRecord>,
}

fn doubt(group: GroupId) -> Item {
    Item::Put(REGION_META, key_of(PREFIX_DOUBT, group), vec![1])
}

fn witness_key(node: NodeId) -> Vec<u8> {
    let mut key = vec![PREFIX_WITNESS];
    key.extend_from_slice(&node.0.to_be_bytes());
    key
}

/// The lives in bytes from the disk.
pub(crate) fn decode_lives(bytes: &[u8]) -> Result<LivesRecord, Malformed> {
    decode("lives", bytes, BYTES_MAX)
}

/// What a node has told, in bytes from the disk.
pub(crate) fn decode_witness(bytes: &[u8]) -> Result<WitnessRecord, Malformed> {
    decode("witness", bytes, BYTES_MAX)
}

/// Looks at all keys with this prefix: at what follows it, and the value.
pub(super) fn scan(engine: &Engine, prefix: u8, mut look: impl FnMut(&[u8], &[u8])) -> Result<(), String> {
    let scanned = engine.scan_raw_messages(REGION_META, Some(&[prefix]), Some(&[prefix + 1]), false, |key, value| {
        look(key.get(1..).unwrap_or_default(), value);
        true
    });
    scanned.map_err(|e| e.to_string())
}

impl Promises {
    /// Reads what there is, and begins another life.
    pub(super) fn begin(engine: &Engine, life: u64, mark: &mut LogBatch) -> Result<Promises, String> {
        let mut promises = Promises::default();
        if let Some(bytes) = engine.get(REGION_META, KEY_LIVES) {
            promises.record = decode_lives(&bytes).map_err(|e| e.to_string())?;
        }
        let mut bad = None;
        scan(engine, PREFIX_DOUBT, |key, _| match <[u8; 16]>::try_from(key) {
            Ok(group) => _ = promises.doubts.insert(pando_abi::ActorId(group)),
            Err(_) => bad = Some("a group with a bad id".to_string()),
        })?;
        scan(engine, PREFIX_WITNESS, |key, value| match (<[u8; 4]>::try_from(key), decode_witness(value)) {
            (Ok(node), Ok(record)) => _ = promises.heard.insert(NodeId(u32::from_be_bytes(node)), record),
            (Err(_), _) => bad = Some("a node with a bad number".to_string()),
            (_, Err(e)) => bad = Some(e.to_string()),
        })?;
        promises.record.lives.begin(life);
        mark.put(REGION_META, KEY_LIVES.to_vec(), encode(&promises.record)).map_err(|e| e.to_string())?;
        bad.map_or(Ok(promises), Err)
    }

    /// The replica of the group here is gone, or trusted again.
    pub(super) fn dismiss(&mut self, group: GroupId) -> Item {
        self.doubts.remove(&group);
        Item::Delete(REGION_META, key_of(PREFIX_DOUBT, group))
    }
}

impl Disk {
    pub(crate) fn lives(&self) -> Lives {
        self.promises.lock().record.lives.clone()
    }

    /// Was it found to be an old copy, and is something left to do about it?
    pub(crate) fn is_old(&self) -> bool {
        self.promises.lock().record.old
    }

    /// Has the replica of the group here forgotten what it promised?
    pub(crate) fn doubts(&self, group: GroupId) -> bool {
        self.promises.lock().doubts.contains(&group)
    }

    /// What the others have told, by their numbers.
    pub(crate) fn heard(&self) -> BTreeMap<NodeId, WitnessRecord> {
        self.promises.lock().heard.clone()
    }

    /// What this node has told.
    pub(crate) fn heard_of(&self, node: NodeId) -> Option<WitnessRecord> {
        self.promises.lock().heard.get(&node).copied()
    }

    /// Keeps what a node has told last. If that is lost in a crash, so is nothing but the knowledge.
    pub(crate) fn hear(&self, node: NodeId, record: WitnessRecord) {
        let mut promises = self.promises.lock();
        if promises.heard.insert(node, record) != Some(record) {
            self.appender.write_lazy(vec![Item::Put(REGION_META, witness_key(node), encode(&record))]);
        }
    }

    /// Has it promised anything since this was asked last?
    pub(crate) fn has_promised(&self) -> bool {
        self.promised.swap(false, Ordering::Acquire)
    }

    /// Counts on: the count that is to be told.
    pub(crate) async fn count_on(&self) -> io::Result<Option<Life>> {
        let _one = self.counting.lock().await;
        let mut record = self.promises.lock().record.clone();
        record.lives.step();
        let now = record.lives.0.last().copied();
        let write = self.appender.write(vec![record.item()]);
        self.keep(record, write).await.map(|()| now)
    }

    /// From when it is written on, the disk knows this of itself. Nobody is told before: a crash in between would make an old copy of
    /// a good disk.
    async fn keep(&self, record: LivesRecord, write: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        write.await?;
        self.promises.lock().record = record;
        Ok(())
    }

    /// The disk does not know what a node has heard of it: from now on the replicas of all groups here are in doubt. `false`: they
    /// were, or are again what they should be.
    pub(crate) async fn lose(&self, mark: Mark) -> io::Result<bool> {
        let _one = self.counting.lock().await;
        let mut record = self.promises.lock().record.clone();
        let news = record.lives.lose(mark);
        record.old |= news;
        let mut items = vec![record.item()];
        let write = {
            let (mut book, mut promises) = (self.book.lock(), self.promises.lock());
            for (group, of) in book.groups.iter_mut().filter(|_| news) {
                promises.doubts.insert(*group);
                items.push(doubt(*group));
                of.joining = true;
                items.push(Item::Put(REGION_META, group_key(*group), encode(of)));
            }
            self.appender.write(items)
        };
        self.keep(record, write).await.map(|()| news)
    }

    /// The same for one group, whether it has a replica here or not yet.
    pub(crate) async fn doubt(&self, group: GroupId) -> io::Result<()> {
        let write = {
            let (mut book, mut promises) = (self.book.lock(), self.promises.lock());
            if !promises.doubts.insert(group) {
                return Ok(());
            }
            let mut items = vec![doubt(group)];
            if let Some(record) = book.groups.get_mut(&group) {
                record.joining = true;
                items.push(Item::Put(REGION_META, group_key(group), encode(record)));
            }
            self.appender.write(items)
        };
        write.await
    }

    /// Nobody counts any more on what the replica here has forgotten. `seated`: it votes, as before.
    pub(crate) async fn trust(&self, group: GroupId, seated: bool) -> io::Result<()> {
        let write = {
            let (mut book, mut promises) = (self.book.lock(), self.promises.lock());
            let mut items = vec![promises.dismiss(group)];
            if let Some(record) = book.groups.get_mut(&group).filter(|_| seated) {
                record.joining = false;
                items.push(Item::Put(REGION_META, group_key(group), encode(record)));
            }
            self.appender.write(items)
        };
        write.await
    }

    /// All that follows from its being an old copy is done, unless groups are left. Is it?
    pub(crate) async fn renew(&self) -> io::Result<bool> {
        let _one = self.counting.lock().await;
        let (record, left) = {
            let promises = self.promises.lock();
            (promises.record.clone(), !promises.doubts.is_empty())
        };
        if left {
            return Ok(false);
        }
        let record = LivesRecord { old: false, ..record };
        let write = self.appender.write(vec![record.item()]);
        self.keep(record, write).await.map(|()| true)
    }
}
