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
use pando_abi::NodeId;

use crate::codec::record::{MembershipRecord, VoteRecord};
use crate::config::Config;
use crate::disk::Disk;
use crate::disk::snapshots::{Meta, pack, unpack};
use crate::entry::GroupId;
use crate::error::{CopyError, OpenError};
use crate::replica::blocking;

use super::Groups;
use super::node::check_voters;

/// A group's state at one index.
#[derive(Clone)]
pub struct GroupCopy {
    meta: Meta,
    image: Bytes,
}

impl GroupCopy {
    /// The copy that `bytes` hold.
    ///
    /// # Errors
    /// If they are damaged, or no copy at all.
    pub fn from_bytes(bytes: &Bytes) -> Result<GroupCopy, CopyError> {
        let (meta, image) = unpack(bytes).map_err(|why| CopyError::Damaged(why.to_string()))?;
        Ok(GroupCopy { meta, image })
    }

    /// As bytes, with a checksum.
    pub fn to_bytes(&self) -> Bytes {
        pack(&self.meta, &self.image)
    }

    /// The machine's image.
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// The index that the state stands at.
    pub fn index(&self) -> u64 {
        self.meta.last.map_or(0, |last| last.index)
    }

    /// The same, with another image.
    #[must_use]
    pub fn with_image(self, image: Vec<u8>) -> GroupCopy {
        GroupCopy { image: image.into(), ..self }
    }
}

impl Groups {
    /// A copy of a group with a replica here, which has at least everything that was committed when this was called.
    ///
    /// # Errors
    /// If there is no replica here that works, or no quorum.
    pub async fn copy_out(&self, group: GroupId, timeout: Duration) -> Result<GroupCopy, CopyError> {
        self.linear(group, timeout).await.map_err(|why| CopyError::NotNow(why.to_string()))?;
        let replica = self.node.replica(group).ok_or_else(|| CopyError::NotNow("there is no replica here".into()))?;
        let packed = blocking(move || match replica.core.halted() {
            Some(why) => Err(CopyError::NotNow(why)),
            None => GroupCopy::from_bytes(&replica.core.pack().1),
        });
        packed.await.map_err(|why| CopyError::NotNow(why.to_string()))?
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
    pub async fn open(config: Config) -> Result<Laying, OpenError> {
        config.check().map_err(OpenError::Config)?;
        let (node, dir) = (config.node, config.dir.clone());
        let opened = blocking(move || Disk::open(&config)).await;
        let disk = opened.map_err(|source| OpenError::Io { what: "open", path: dir.clone(), source })??;
        Ok(Laying { disk, node, dir })
    }

    /// Lays a copy down. `voters` hold the group from now on, this node among them.
    ///
    /// # Errors
    /// If the group is there already, the voters cannot be voters, the copy is of a group that never began, or the disk fails.
    pub async fn lay(&self, group: GroupId, copy: &GroupCopy, voters: &[NodeId]) -> Result<(), CopyError> {
        let voters: Vec<u64> = check_voters(voters).map_err(CopyError::Voters)?.into_iter().collect();
        let last = copy.meta.last.ok_or_else(|| CopyError::Damaged("the group had not begun".into()))?;
        if self.disk.group(group).is_some() {
            return Err(CopyError::Exists(group));
        }
        let failed = |source| CopyError::Disk { dir: self.dir.clone(), source };
        let vote = VoteRecord { term: last.term, node: u64::from(self.node.0), committed: false };
        self.disk.add_group(group, &voters).await.map_err(failed)?;
        self.disk.set_vote(group, vote).await.map_err(failed)?;
        let membership = MembershipRecord { configs: vec![voters.clone()], nodes: voters };
        let meta = Meta { membership, membership_at: Some(last), ..copy.meta.clone() };
        self.disk.snapshots.save(group, &pack(&meta, &copy.image)).map_err(failed)
    }

    /// Everything is on the disk; the folder is unlocked.
    pub async fn close(self) {
        let disk = Arc::new(self.disk);
        // Nothing is pending: each copy was waited for.
        _ = blocking(move || disk.close()).await;
    }
}
