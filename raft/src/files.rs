//! The door to the disk: where log and snapshots lie.
//!
//! Owns: the trait, and the system's own files behind it. Does not know: what is in them. A simulation brings another
//! [`Files`], in which a crash may lose what was not synced.
//!
//! 1. What was written is on the disk when [`OpenFile::sync`] has returned, and not before.
//! 2. A file that was made, renamed or deleted is so after a power cut when [`Files::sync_dir`] has returned.

#[cfg(test)]
pub(crate) mod watched;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Files by their paths.
pub trait Files: Send + Sync {
    /// Opens a file to read and write; made if missing.
    ///
    /// # Errors
    /// As the system says.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>>;
    /// Opens a file that is there.
    ///
    /// # Errors
    /// As the system says; `NotFound` if it is not there.
    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn OpenFile>>;
    /// Takes a file away.
    ///
    /// # Errors
    /// As the system says; `NotFound` if it is not there.
    fn delete(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, in place of what has it.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// The files in a folder, in any order.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Puts the names in a folder on the disk.
    ///
    /// # Errors
    /// As the system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// How long a write is held up before it begins: zero but in a simulation of a slow disk.
    fn delay(&self) -> Duration {
        Duration::ZERO
    }
}

/// One open file.
pub trait OpenFile: Send + Sync {
    /// Fills `buf` from `at` on, as far as the file goes; gives how much.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes` at `at`.
    ///
    /// # Errors
    /// As the system says.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Its length.
    ///
    /// # Errors
    /// As the system says.
    fn len(&self) -> io::Result<u64>;
    /// Is there nothing in it?
    ///
    /// # Errors
    /// As the system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or lengthens it.
    ///
    /// # Errors
    /// As the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Returns when everything written is on the disk.
    ///
    /// # Errors
    /// As the system says. After one, nothing is known of what is on the disk.
    fn sync(&self) -> io::Result<()>;
}

/// The whole of a file.
pub(crate) fn read_all(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
    let file = files.open(path, false)?;
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    let filled = file.read_at(0, &mut bytes)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// The system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(File::options().read(true).write(true).create(true).truncate(false).open(path)?))
    }
    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(File::options().read(true).write(write).open(path)?))
    }
    fn delete(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl OpenFile for File {
    #[expect(clippy::indexing_slicing, reason = "`filled` is below the length wherever the loop goes on")]
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match FileExt::read_at(self, &mut buf[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}
