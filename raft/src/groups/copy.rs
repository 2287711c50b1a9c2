//! A group's state, carried from one realm's disks to another one's.
//!
//! Owns: the copy, and how it is laid on a disk. Does not know: which groups, or why.
//!
//! 1. A copy is the state at one index, with the chain up to there: what comes after goes on from it.
//! 2. It is laid on a disk that nobody has open, and that has no such group.
//! 3. Whoever leads the group there does so in a later term than any that the copy has seen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use pando_abi::NodeId;

use crate::codec::record::{MembershipRecord, VoteRecord};
use crate::codec::{decode, encode};
use crate::config::Config;
use crate::disk::Disk;
use crate::disk::snapshots::form::{Meta, PARTS_MAX};
use crate::entry::GroupId;
use crate::error::{CopyError, OpenError};
use crate::machine::{Cut, PART_BYTES_MAX, Whole};
use crate::replica::blocking;

use super::Groups;
use super::node::check_voters;

const MAGIC: &[u8; 8] = b"PANDOCPY";
const VERSION: u32 = 1;
/// Magic, version, checksum of what follows, length of what it is a copy of.
const HEADER: usize = 20;
const META_BYTES_MAX: usize = 64 << 10;

/// A group's state at one index.
///
/// ```text
///  0       8         12      16         20
///  | magic | version | crc32 | meta len | meta (rkyv) | part len | part | part len | part ...
/// ```
#[derive(Clone)]
pub struct GroupCopy {
    meta: Meta,
    parts: Vec<Bytes>,
}

/// The parts of a copy, on their way to a disk.
struct Laid<'a>(&'a [Bytes]);

impl Cut for Laid<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }
    fn name(&self, _: usize) -> Option<[u8; 32]> {
        None
    }
    fn bytes(&self, part: usize) -> Vec<u8> {
        self.0.get(part).map(|part| part.to_vec()).unwrap_or_default()
    }
    fn named(&mut self, _: usize, _: [u8; 32]) {}
}

fn all_of(cut: &dyn Cut) -> Vec<Bytes> {
    (0..cut.count()).map(|part| cut.bytes(part).into()).collect()
}

impl GroupCopy {
    pub(crate) fn new(meta: Meta, parts: Vec<Bytes>) -> GroupCopy {
        GroupCopy { meta, parts }
    }

    /// The copy that `bytes` hold.
    ///
    /// # Errors
    /// If they are damaged, or no copy at all.
    pub fn from_bytes(bytes: &Bytes) -> Result<GroupCopy, CopyError> {
        let bad = |why: &str| CopyError::Damaged(why.to_owned());
        let number = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
        if bytes.get(..8) != Some(MAGIC.as_slice()) {
            return Err(bad("no copy"));
        }
        if number(8) != Some(VERSION) {
            return Err(bad("unknown version"));
        }
        let (Some(crc), Some(len), Some(content)) = (number(12), number(16), bytes.get(16..)) else {
            return Err(bad("too short"));
        };
        if crc32fast::hash(content) != crc {
            return Err(bad("wrong checksum"));
        }
        let mut at = HEADER.saturating_add(len as usize);
        let meta = bytes.get(HEADER..at).ok_or_else(|| bad("too short"))?;
        let meta = decode("copy", meta, META_BYTES_MAX).map_err(|why| CopyError::Damaged(why.to_string()))?;
        let mut parts = Vec::new();
        while at < bytes.len() {
            let len = number(at).ok_or_else(|| bad("too short"))? as usize;
            let end = at + 4 + len;
            if len > PART_BYTES_MAX || parts.len() >= PARTS_MAX || end > bytes.len() {
                return Err(bad("parts that are no parts"));
            }
            parts.push(bytes.slice(at + 4..end));
            at = end;
        }
        Ok(GroupCopy::new(meta, parts))
    }

    /// As bytes, with a checksum.
    pub fn to_bytes(&self) -> Bytes {
        let meta = encode(&self.meta);
        let parts: usize = self.parts.iter().map(|part| 4 + part.len()).sum();
        let mut out = Vec::with_capacity(HEADER + meta.len() + parts);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for part in std::iter::once(&meta[..]).chain(self.parts.iter().map(|part| &part[..])) {
            out.extend_from_slice(&(part.len() as u32).to_le_bytes());
            out.extend_from_slice(part);
        }
        if let Some((front, content)) = out.split_first_chunk_mut::<16>() {
            front[12..].copy_from_slice(&crc32fast::hash(content).to_le_bytes());
        }
        out.into()
    }

    /// The image of a machine that cuts its state as one run of bytes.
    pub fn image(&self) -> Vec<u8> {
        self.parts.concat()
    }

    /// The index that the state stands at.
    pub fn index(&self) -> u64 {
        self.meta.last.map_or(0, |last| last.index)
    }

    /// The same, with the image of another state.
    #[must_use]
    pub fn with_image(self, image: Vec<u8>) -> GroupCopy {
        GroupCopy { parts: all_of(&Whole::new(image)), ..self }
    }
}

impl Groups {
    /// A copy of a group with a replica here, which has at least everything that was committed when this was called.
    ///
    /// # Errors
    /// If there is no replica here that works, or no quorum.
    pub fn copy_out(&self, group: GroupId, timeout: Duration) -> BoxFuture<'_, Result<GroupCopy, CopyError>> {
        Box::pin(async move {
            self.linear(group, timeout).await.map_err(|why| CopyError::NotNow(why.to_string()))?;
            let replica =
                self.node.replica(group).ok_or_else(|| CopyError::NotNow("there is no replica here".into()))?;
            let copied = blocking(move || match replica.core.halted() {
                Some(why) => Err(CopyError::NotNow(why)),
                None => {
                    let (meta, cut) = replica.core.copy();
                    Ok(GroupCopy::new(meta, all_of(&*cut)))
                }
            });
            copied.await.map_err(|why| CopyError::NotNow(why.to_string()))?
        })
    }
}

/// The folder of a node that has not run yet, while copies are laid on it.
pub struct Laying {
    disk: Disk,
    node: NodeId,
    dir: PathBuf,
}

impl Laying {
    /// Makes and locks the folder.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(config: Config) -> BoxFuture<'static, Result<Laying, OpenError>> {
        Box::pin(async move {
            config.check().map_err(OpenError::Config)?;
            let (node, dir) = (config.node, config.dir.clone());
            let opened = blocking(move || Disk::open(&config)).await;
            let disk = opened.map_err(|source| OpenError::Io { what: "open", path: dir.clone(), source })??;
            Ok(Laying { disk, node, dir })
        })
    }

    /// Lays a copy down. `voters` hold the group from now on, this node among them.
    ///
    /// # Errors
    /// If the group is there already, the voters cannot be voters, the copy is of a group that never began, or the disk fails.
    pub fn lay<'a>(
        &'a self,
        group: GroupId,
        copy: &'a GroupCopy,
        voters: &'a [NodeId],
    ) -> BoxFuture<'a, Result<(), CopyError>> {
        Box::pin(async move {
            let voters: Vec<u64> = check_voters(voters).map_err(CopyError::Voters)?.into_iter().collect();
            let last = copy.meta.last.ok_or_else(|| CopyError::Damaged("the group had not begun".into()))?;
            if self.disk.group(group).is_some() {
                return Err(CopyError::Exists(group));
            }
            let failed = |source| CopyError::Disk { dir: self.dir.clone(), source };
            let vote = VoteRecord { term: last.term, node: u64::from(self.node.0), committed: false };
            let record = self.disk.add_group(group, &voters).await.map_err(failed)?;
            self.disk.set_vote(&record, vote).await.map_err(failed)?;
            let membership = MembershipRecord { configs: vec![voters.clone()], nodes: voters };
            let meta = Meta { membership, membership_at: Some(last), ..copy.meta.clone() };
            self.disk.snapshots.save(group, meta, &mut Laid(&copy.parts)).map_err(failed)?;
            Ok(())
        })
    }

    /// Everything is on the disk; the folder is unlocked.
    pub fn close(self) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let disk = Arc::new(self.disk);
            // Nothing is pending: each copy was waited for.
            _ = blocking(move || disk.close()).await;
        })
    }
}
