//! A realm out of a backup: its groups and modules, laid on the disks of new nodes that have never run.
//!
//! Owns: the way from an empty folder to one that `pando up` boots. Does not know: the backup's file.
//!
//! 1. The realm keeps its identity, its names and its groups; its nodes and their keys are new.
//! 2. The record that makes a folder a realm is written last: what was cut off before is no realm.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::future::BoxFuture;
use pando_abi::{ActorId, ModuleHash, NodeId, RealmId};
use pando_raft::{Config, CopyError, GroupCopy, Laying, OpenError, Store};

use crate::{
    genesis::{Genesis, GenesisError},
    modules::{ModuleStoreError, Modules},
    realm::ROOT,
    root::{Founder, ImageError, Root},
};

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The folder.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A node's log.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// A group.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The root group's state.
    #[error("the realm's own state: {0}")]
    Image(#[from] ImageError),
    /// A module.
    #[error(transparent)]
    Module(#[from] ModuleStoreError),
    /// The root group's state does not go with the new nodes.
    #[error("the realm cannot begin again: {0}")]
    Root(String),
}

/// A node that has never run.
struct Blank {
    node: NodeId,
    log: Laying,
    store: Store,
}

/// A realm that is being restored.
pub struct Restore {
    data: PathBuf,
    genesis: Genesis,
    root: Root,
    copy: GroupCopy,
    blanks: Vec<Blank>,
}

impl Restore {
    /// Makes `count` nodes in `data`, for the realm whose root group is in `copy`.
    ///
    /// # Errors
    /// If `data` holds a realm, the copy is not the root group's, or a file cannot be written.
    pub fn begin<'a>(
        data: &'a Path,
        realm: RealmId,
        copy: &'a Bytes,
        count: u32,
    ) -> BoxFuture<'a, Result<Restore, RestoreError>> {
        Box::pin(async move {
            let copy = GroupCopy::from_bytes(copy)?;
            let root = Root::from_snapshot(realm, &copy.image())?;
            let (genesis, user) = Genesis::prepare(data, Some(realm), root.next_node(), count)?;
            let founders: Vec<Founder> = genesis.nodes.iter().map(Founder::from).collect();
            let root = root.restored(&founders, user, copy.index()).map_err(RestoreError::Root)?;
            let mut blanks = Vec::new();
            for member in &genesis.nodes {
                let dir = Genesis::node_dir(data, member.node);
                let log = Laying::open(Config::new(Genesis::log_dir(&dir), member.node)).await?;
                let store =
                    Store::open(Genesis::store_dir(&dir)).map_err(|e| ModuleStoreError::Store(e.to_string()))?;
                blanks.push(Blank { node: member.node, log, store });
            }
            Ok(Restore { data: data.to_owned(), genesis, root, copy, blanks })
        })
    }

    /// Puts a module where every node finds it.
    ///
    /// # Errors
    /// If the bytes are another module, or the disk fails.
    pub fn module(&self, hash: ModuleHash, wasm: &[u8]) -> Result<(), RestoreError> {
        if *blake3::hash(wasm).as_bytes() != hash.0 {
            return Err(RestoreError::Root(format!("the module {hash:.8} has another hash")));
        }
        self.blanks.iter().try_for_each(|blank| Modules::lay(&blank.store, hash, wasm)).map_err(Into::into)
    }

    /// Lays a group on the nodes that hold it from now on. `false`: the realm does not know it (any more).
    ///
    /// # Errors
    /// If the copy is damaged, or the disk fails.
    pub fn group<'a>(&'a self, id: ActorId, copy: &'a Bytes) -> BoxFuture<'a, Result<bool, RestoreError>> {
        Box::pin(async move {
            let Some(record) = self.root.group(id).filter(|group| group.ended.is_none()) else { return Ok(false) };
            self.lay(id, &GroupCopy::from_bytes(copy)?, &record.voter_ids()).await?;
            Ok(true)
        })
    }

    async fn lay(&self, id: ActorId, copy: &GroupCopy, voters: &[NodeId]) -> Result<(), RestoreError> {
        for blank in self.blanks.iter().filter(|blank| voters.contains(&blank.node)) {
            blank.log.lay(id, copy, voters).await?;
        }
        Ok(())
    }

    /// Lays the root group, and makes the folder a realm.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn finish(self) -> BoxFuture<'static, Result<Genesis, RestoreError>> {
        Box::pin(async move {
            let copy = self.copy.clone().with_image(self.root.snapshot());
            self.lay(ROOT, &copy, &self.root.seats()).await?;
            for blank in self.blanks {
                blank.store.flush().map_err(|e| ModuleStoreError::Store(e.to_string()))?;
                blank.log.close().await;
            }
            self.genesis.complete(&self.data)?;
            Ok(self.genesis)
        })
    }
}
