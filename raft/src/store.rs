//! Rebuildable key-value trees: modules, images, indexes.
//!
//! On sled, whose `flush` on Linux promises nothing about a power cut; [`Store::flush`] therefore
//! syncs the file as well. Values over about a megabyte are kept by sled in files of their own, so a
//! flush syncs those too. Still, keep here only what can be made again from log and snapshots.
//!
//! 1. Nothing in here is ever needed to answer what was acknowledged.
//! 2. After `flush` returned, what was put before is on the disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::StoreError;

/// A sled database in a folder of its own, or, for a simulation, maps in memory.
#[derive(Clone)]
pub struct Store(Kind);

#[derive(Clone)]
enum Kind {
    Sled { db: sled::Db, dir: PathBuf },
    Memory { trees: Arc<Mutex<BTreeMap<String, Map>>>, safe: Arc<Mutex<Safe>> },
}

/// What was there at the last flush.
type Safe = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

type Map = Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>;

/// One named tree of a [`Store`].
#[derive(Clone)]
pub struct Tree(TreeKind);

#[derive(Clone)]
enum TreeKind {
    Sled(sled::Tree),
    Memory(Map),
}

impl Store {
    /// Opens or makes the folder.
    pub fn open(dir: impl AsRef<Path>) -> Result<Store, StoreError> {
        let dir = dir.as_ref().to_path_buf();
        let db = sled::Config::new().path(&dir).open()?;
        Ok(Store(Kind::Sled { db, dir }))
    }

    /// A store without a disk. Clones are the same store, so what is put stays while one of them does.
    pub fn in_memory() -> Store {
        Store(Kind::Memory { trees: Arc::default(), safe: Arc::default() })
    }

    /// What a power cut would do to a store in memory: only what was flushed is left. Trees must be opened anew.
    pub fn lose_unflushed(&self) {
        if let Kind::Memory { trees, safe } = &self.0 {
            let left =
                safe.lock().iter().map(|(name, map)| (name.clone(), Arc::new(Mutex::new(map.clone())))).collect();
            *trees.lock() = left;
        }
    }

    /// The tree of this name, made if missing.
    pub fn tree(&self, name: &str) -> Result<Tree, StoreError> {
        Ok(Tree(match &self.0 {
            Kind::Sled { db, .. } => TreeKind::Sled(db.open_tree(name)?),
            Kind::Memory { trees, .. } => TreeKind::Memory(trees.lock().entry(name.to_owned()).or_default().clone()),
        }))
    }

    /// Returns when everything put so far is on the disk.
    pub fn flush(&self) -> Result<(), StoreError> {
        let (db, dir) = match &self.0 {
            Kind::Sled { db, dir } => (db, dir),
            Kind::Memory { trees, safe } => {
                *safe.lock() = trees.lock().iter().map(|(name, map)| (name.clone(), map.lock().clone())).collect();
                return Ok(());
            }
        };
        db.flush()?;
        sync(&dir.join("db"))?;
        let blobs = dir.join("blobs");
        if let Ok(files) = std::fs::read_dir(&blobs) {
            for file in files.flatten() {
                sync(&file.path())?;
            }
            sync(&blobs)?;
        }
        sync(dir)
    }
}

fn sync(path: &Path) -> Result<(), StoreError> {
    match File::open(path).and_then(|file| file.sync_data()) {
        // A blob may have been collected since it was listed.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoreError::Io { path: path.to_path_buf(), source }),
        Ok(()) => Ok(()),
    }
}

impl Tree {
    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(match &self.0 {
            TreeKind::Sled(tree) => tree.get(key)?.map(|value| value.to_vec()),
            TreeKind::Memory(map) => map.lock().get(key).cloned(),
        })
    }

    /// Sets the value of `key`.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        match &self.0 {
            TreeKind::Sled(tree) => drop(tree.insert(key, value)?),
            TreeKind::Memory(map) => drop(map.lock().insert(key.to_vec(), value.to_vec())),
        }
        Ok(())
    }

    /// Removes `key`; whether it was there.
    pub fn delete(&self, key: &[u8]) -> Result<bool, StoreError> {
        Ok(match &self.0 {
            TreeKind::Sled(tree) => tree.remove(key)?.is_some(),
            TreeKind::Memory(map) => map.lock().remove(key).is_some(),
        })
    }

    /// Every pair whose key begins with `prefix`, in order, until `f` returns `false`.
    pub fn scan(&self, prefix: &[u8], mut f: impl FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        match &self.0 {
            TreeKind::Sled(tree) => {
                for pair in tree.scan_prefix(prefix) {
                    let (key, value) = pair?;
                    if !f(&key, &value) {
                        break;
                    }
                }
            }
            TreeKind::Memory(map) => {
                let map = map.lock();
                let found = map.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
                for (key, value) in found {
                    if !f(key, value) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_flushed_is_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let large = vec![7; 3 << 20];
        {
            let store = Store::open(dir.path().join("store")).unwrap();
            let tree = store.tree("modules").unwrap();
            for (key, value) in [("a1", b"x".as_slice()), ("a2", &large), ("b1", b"z")] {
                tree.put(key.as_bytes(), value).unwrap();
            }
            assert!(tree.delete(b"b1").unwrap() && !tree.delete(b"b1").unwrap());
            store.flush().unwrap();
        }
        let store = Store::open(dir.path().join("store")).unwrap();
        let tree = store.tree("modules").unwrap();
        assert_eq!(tree.get(b"a2").unwrap(), Some(large));
        assert_eq!(tree.get(b"b1").unwrap(), None);
        assert_eq!(store.tree("images").unwrap().get(b"a1").unwrap(), None);
        let mut keys = Vec::new();
        tree.scan(b"a", |key, _| {
            keys.push(key.to_vec());
            true
        })
        .unwrap();
        assert_eq!(keys, [b"a1", b"a2"]);
    }
}
