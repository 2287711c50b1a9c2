//! The system's files with somebody who looks on, for tests.
//!
//! Owns: passing everything on. Does not know what is looked for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Files, OpenFile, SystemFiles};

/// Who looks on.
pub(crate) trait Watch: Send + Sync + 'static {
    /// A file is about to be read: may it be?
    fn read(&self) -> io::Result<()> {
        Ok(())
    }
    /// So many bytes are about to be written to it.
    fn write(&self, _path: &Path, _bytes: usize) {}
    /// It is about to be synced.
    fn sync(&self, _path: &Path) {}
    /// It is about to be deleted.
    fn delete(&self, _path: &Path) {}
    /// Some file is about to get its last name.
    fn rename(&self) {}
}

/// The system's files under the eyes of somebody.
pub(crate) struct Watched<W>(pub(crate) Arc<W>);

struct WatchedFile<W> {
    path: PathBuf,
    file: Arc<dyn OpenFile>,
    watch: Arc<W>,
}

impl<W: Watch> Watched<W> {
    fn wrap(&self, path: &Path, file: Arc<dyn OpenFile>) -> Arc<dyn OpenFile> {
        Arc::new(WatchedFile { path: path.to_path_buf(), file, watch: self.0.clone() })
    }
}

impl<W: Watch> Files for Watched<W> {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        Ok(self.wrap(path, SystemFiles.create(path)?))
    }
    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn OpenFile>> {
        Ok(self.wrap(path, SystemFiles.open(path, write)?))
    }
    fn delete(&self, path: &Path) -> io::Result<()> {
        self.0.delete(path);
        SystemFiles.delete(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename();
        SystemFiles.rename(from, to)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        SystemFiles.list(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        SystemFiles.sync_dir(dir)
    }
}

impl<W: Watch> OpenFile for WatchedFile<W> {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.watch.read()?;
        self.file.read_at(at, buf)
    }
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.watch.write(&self.path, bytes.len());
        self.file.write_at(at, bytes)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.watch.sync(&self.path);
        self.file.sync()
    }
}
