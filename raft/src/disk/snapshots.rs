//! Snapshot files: one per group, replaced whole.
//!
//! ```text
//!  0        8         12       16          24           32
//!  | magic  | version | crc32  | meta len  | image len  | meta (rkyv) | image      |
//! ```
//!
//! The checksum covers everything behind it. What crosses the wire is this file.
//!
//! 1. A file under its final name is complete and synced; a newer one replaces it by rename.
//! 2. A snapshot never replaces a newer one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use pando_abi::planted::{Bug, planted};
use parking_lot::Mutex;
use rkyv::{Archive, Deserialize, Serialize};

use crate::codec::record::{LogIdRecord, MembershipRecord};
use crate::codec::{Malformed, decode, encode};
use crate::entry::GroupId;
use crate::error::OpenError;
use crate::files::{Files, read_all};

const MAGIC: &[u8; 8] = b"PANDOSNP";
const VERSION: u32 = 1;
const HEADER: usize = 32;
const META_BYTES_MAX: usize = 64 << 10;
/// Bytes of one snapshot file.
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 4 << 30;

/// What a snapshot says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) last: Option<LogIdRecord>,
    pub(crate) membership_at: Option<LogIdRecord>,
    pub(crate) membership: MembershipRecord,
    pub(crate) chain: [u8; 32],
    pub(crate) root: [u8; 32],
    pub(crate) root_index: u64,
}

/// The bytes of a snapshot file.
#[expect(clippy::indexing_slicing, reason = "the first HEADER bytes have just been written")]
pub(crate) fn pack(meta: &Meta, image: &[u8]) -> Bytes {
    let meta = encode(meta);
    let mut out = Vec::with_capacity(HEADER + meta.len() + image.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(meta.len() as u64).to_le_bytes());
    out.extend_from_slice(&(image.len() as u64).to_le_bytes());
    out.extend_from_slice(&meta);
    out.extend_from_slice(image);
    let crc = crc32fast::hash(&out[16..]);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out.into()
}

/// The parts of a snapshot file.
#[expect(clippy::indexing_slicing, reason = "the length is checked first: it is that of header, meta and image")]
pub(crate) fn unpack(file: &Bytes) -> Result<(Meta, Bytes), Malformed> {
    let bad = |why: &str| Malformed::Invalid { what: "snapshot", why: why.to_string() };
    let number = |at: usize| -> Option<u64> { Some(u64::from_le_bytes(file.get(at..at + 8)?.try_into().ok()?)) };
    let half = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?)) };
    if file.get(..8) != Some(MAGIC.as_slice()) {
        return Err(bad("no snapshot"));
    }
    if half(8) != Some(VERSION) {
        return Err(bad("unknown version"));
    }
    let (Some(crc), Some(meta), Some(image)) = (half(12), number(16), number(24)) else {
        return Err(bad("too short"));
    };
    if meta > META_BYTES_MAX as u64 || (HEADER as u64 + meta).checked_add(image) != Some(file.len() as u64) {
        return Err(bad("wrong length"));
    }
    if crc32fast::hash(&file[16..]) != crc {
        return Err(bad("wrong checksum"));
    }
    let split = HEADER + meta as usize;
    Ok((decode("snapshot meta", &file[HEADER..split], META_BYTES_MAX)?, file.slice(split..)))
}

/// A snapshot that is damaged is as good as none; one that could not be read may be there.
pub(crate) fn known(loaded: io::Result<Option<(Meta, Bytes)>>) -> io::Result<Option<(Meta, Bytes)>> {
    match loaded {
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(None),
        other => other,
    }
}

/// The folder of snapshots.
pub(crate) struct Snapshots {
    dir: PathBuf,
    files: Arc<dyn Files>,
    /// Saves of one folder, one at a time: rule 2 compares with what is there.
    saving: Mutex<()>,
    next: AtomicU64,
}

impl Snapshots {
    pub(crate) fn open(dir: PathBuf, files: Arc<dyn Files>) -> Result<Snapshots, OpenError> {
        let refused = |what: &'static str, path: &Path| {
            let path = path.to_path_buf();
            move |source| OpenError::Io { what, path, source }
        };
        std::fs::create_dir_all(&dir).map_err(refused("make", &dir))?;
        for path in files.list(&dir).map_err(refused("read", &dir))? {
            if path.extension().is_some_and(|e| e == "tmp") {
                // What a crash left half-written; nobody was told of it.
                files.delete(&path).map_err(refused("remove", &path))?;
            }
        }
        Ok(Snapshots { dir, files, saving: Mutex::new(()), next: AtomicU64::new(0) })
    }

    fn path(&self, group: GroupId) -> PathBuf {
        self.dir.join(format!("{group}.snap"))
    }

    /// The current snapshot. Blocks.
    pub(crate) fn load(&self, group: GroupId) -> io::Result<Option<(Meta, Bytes)>> {
        let bytes = match read_all(&*self.files, &self.path(group)) {
            Ok(bytes) => Bytes::from(bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let (meta, _) = unpack(&bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
        Ok(Some((meta, bytes)))
    }

    /// Makes `file` the current snapshot unless a newer one is. Returns when it is on the disk. Blocks.
    pub(crate) fn save(&self, group: GroupId, file: &Bytes) -> io::Result<()> {
        let invalid = |e: Malformed| io::Error::new(io::ErrorKind::InvalidData, e.to_string());
        let (meta, _) = unpack(file).map_err(invalid)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let tmp = self.dir.join(format!("{group}.{number}.tmp"));
        let out = self.files.create(&tmp)?;
        out.write_at(0, file)?;
        if !planted(Bug::SnapshotNotSynced) {
            out.sync()?;
        }
        let _one = self.saving.lock();
        // A damaged current one does not stand in the way of a good one.
        let newer = known(self.load(group))?.is_some_and(|(current, _)| {
            current.last.map(|at| (at.term, at.index)) > meta.last.map(|at| (at.term, at.index))
        });
        if newer {
            return self.files.delete(&tmp);
        }
        self.files.rename(&tmp, &self.path(group))?;
        self.files.sync_dir(&self.dir)
    }

    /// Deletes the group's snapshot.
    pub(crate) fn remove(&self, group: GroupId) -> io::Result<()> {
        match self.files.delete(&self.path(group)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => self.files.sync_dir(&self.dir),
        }
    }
}
