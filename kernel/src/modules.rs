//! Modules on this node: bytes by hash, compiled once, fetched from other nodes when they are missing.
//!
//! Owns: the bytes (rebuildable, in the store), the compiled modules in memory. Does not know: names; those are the
//! root group's.
//!
//! 1. Bytes are only ever taken under the hash that they have.
//! 2. What was compiled elsewhere is never taken; see `pando_actors`.
//! 3. Bytes count as here when they are on the disk: a replica that came to lack its module after a power cut could not go on.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use pando_abi::{
    ModuleHash, limits,
    planted::{
        Bug,
        fail::{Point, fails, pass},
        planted,
    },
};
use pando_actors::{Class, Engine, Module};
use pando_raft::{Store, Tree};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Bytes of one piece of a module on the wire.
pub const PIECE_BYTES: usize = 256 << 10;

/// Where in the store the bytes are.
const TREE: &str = "modules";

/// See the module.
pub struct Modules {
    engine: Arc<Engine>,
    store: Store,
    bytes: Tree,
    loaded: Mutex<HashMap<(ModuleHash, bool), Arc<Module>>>,
    fetching: Mutex<BTreeMap<ModuleHash, Fetch>>,
    lacked: Mutex<BTreeSet<ModuleHash>>,
    arrivals: watch::Sender<u64>,
}

struct Fetch {
    total: u64,
    bytes: Vec<u8>,
}

/// Why a module cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModuleStoreError {
    /// It is not here.
    #[error("module {0:.8} is not on this node")]
    Missing(ModuleHash),
    /// The bytes are not a module that can run.
    #[error("{0}")]
    Invalid(#[from] pando_actors::ModuleError),
    /// The disk.
    #[error("the module store failed: {0}")]
    Store(String),
}

impl Modules {
    /// The modules of a node.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open(engine: Arc<Engine>, store: &Store) -> Result<Modules, ModuleStoreError> {
        let bytes = store.tree(TREE).map_err(|e| ModuleStoreError::Store(e.to_string()))?;
        Ok(Modules {
            engine,
            store: store.clone(),
            bytes,
            loaded: Mutex::default(),
            fetching: Mutex::default(),
            lacked: Mutex::default(),
            arrivals: watch::Sender::new(0),
        })
    }

    /// Puts bytes into the store of a node that does not run. They are on the disk once the store is flushed.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn lay(store: &Store, hash: ModuleHash, wasm: &[u8]) -> Result<(), ModuleStoreError> {
        let put = store.tree(TREE).and_then(|tree| tree.put(&hash.0, wasm));
        put.map_err(|e| ModuleStoreError::Store(e.to_string()))
    }

    /// The bytes, if they are here.
    pub fn bytes(&self, hash: ModuleHash) -> Option<Vec<u8>> {
        self.bytes.get(&hash.0).ok().flatten().map(|b| b.to_vec())
    }

    /// Are they here?
    pub fn has(&self, hash: ModuleHash) -> bool {
        self.bytes.get(&hash.0).ok().flatten().is_some()
    }

    /// A replica could not go on without it.
    pub fn note_lacked(&self, hash: ModuleHash) {
        self.lacked.lock().insert(hash);
    }

    /// What replicas could not go on without and what is not here still.
    pub fn lacked(&self) -> Vec<ModuleHash> {
        let mut lacked = self.lacked.lock();
        lacked.retain(|hash| !self.has(*hash));
        lacked.iter().copied().collect()
    }

    /// Takes bytes after they have proved to be a module. Compiles, so it may take a while.
    ///
    /// # Errors
    /// If they are not a module that can run, or the disk fails.
    pub fn put(&self, wasm: &[u8]) -> Result<Arc<Module>, ModuleStoreError> {
        let module = self.engine.load(wasm, Class::Plain)?;
        self.keep(module.hash(), wasm)?;
        self.loaded.lock().insert((module.hash(), false), module.clone());
        self.arrivals.send_modify(|n| *n += 1);
        Ok(module)
    }

    fn keep(&self, hash: ModuleHash, wasm: &[u8]) -> Result<(), ModuleStoreError> {
        let put = self.bytes.put(&hash.0, wasm);
        if fails(Point::ModuleBeforeFlush) {
            return Err(ModuleStoreError::Store("a fail point".into()));
        }
        let kept = if planted(Bug::ModuleNotFlushed) { put } else { put.and_then(|()| self.store.flush()) };
        kept.inspect(|()| pass(Point::ModuleAfterFlush)).map_err(|e| ModuleStoreError::Store(e.to_string()))
    }

    /// The compiled module, if it is in memory: cheap enough for a worker.
    pub fn loaded(&self, hash: ModuleHash, class: Class) -> Option<Arc<Module>> {
        self.loaded.lock().get(&(hash, class == Class::Replicated)).cloned()
    }

    /// The compiled module. Compiles if it must, so it may take a while.
    ///
    /// # Errors
    /// If the bytes are not here, or cannot run in this class.
    pub fn load(&self, hash: ModuleHash, class: Class) -> Result<Arc<Module>, ModuleStoreError> {
        if let Some(module) = self.loaded(hash, class) {
            return Ok(module);
        }
        let module = match self.engine.recall(hash, class) {
            Some(module) => module,
            None => self.engine.load(&self.bytes(hash).ok_or(ModuleStoreError::Missing(hash))?, class)?,
        };
        self.loaded.lock().insert((hash, class == Class::Replicated), module.clone());
        Ok(module)
    }

    /// Increases whenever a module arrives.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// How far a module has come that is being fetched: the offset to ask for next.
    pub fn wanted_from(&self, hash: ModuleHash) -> u64 {
        self.fetching.lock().get(&hash).map_or(0, |f| f.bytes.len() as u64)
    }

    /// A piece for another node: (total, bytes); total 0: not here.
    pub fn piece(&self, hash: ModuleHash, offset: u64) -> (u64, Vec<u8>) {
        let Some(wasm) = self.bytes(hash) else { return (0, Vec::new()) };
        (wasm.len() as u64, crate::wire::piece(&wasm, offset, PIECE_BYTES).to_vec())
    }

    /// A piece from another node. Returns the offset to ask that node for next, if there is more to come.
    pub fn take_piece(&self, hash: ModuleHash, offset: u64, total: u64, piece: &[u8]) -> Option<u64> {
        if total == 0 || total > limits::MODULE_BYTES_MAX as u64 || piece.is_empty() {
            return None;
        }
        let complete = {
            let mut fetching = self.fetching.lock();
            let fetch = fetching.entry(hash).or_insert(Fetch { total, bytes: Vec::new() });
            if fetch.total != total || fetch.bytes.len() as u64 != offset {
                return None; // Of another answer: the one under way goes on.
            }
            fetch.bytes.extend_from_slice(piece);
            if (fetch.bytes.len() as u64) < total {
                return Some(fetch.bytes.len() as u64);
            }
            fetching.remove(&hash).map(|f| f.bytes)?
        };
        if blake3::hash(&complete).as_bytes() != &hash.0 {
            tracing::warn!(module = %hash, "a peer sent bytes that do not have the hash that was asked for");
            return None;
        }
        match self.keep(hash, &complete) {
            Ok(()) => self.arrivals.send_modify(|n| *n += 1),
            Err(why) => tracing::error!(module = %hash, %why, "a module could not be kept"),
        }
        None
    }
}
