//! Compiled code between runs: one private file for each (module, class, engine).
//!
//! Owns: the folder and the files' form. Does not know what compiled code is.
//!
//! ```text
//!  0        8                        40
//!  | magic  | BLAKE3 of the code     | code ...
//! ```
//!
//! 1. What is read back is what this node wrote: the folder and the files are this user's alone, and nothing that comes over a
//!    network is ever put here. Compiled code is trusted code.
//! 2. A file appears whole or not at all; one that is torn or altered by the disk is as if it were not there.
//! 3. The cache never fails a load: at worst the module is compiled again.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

const MAGIC: &[u8; 8] = b"pandocc1";
const FRONT: usize = 8 + 32;
/// A file that is longer than any module's code could be is not read.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// A name for compiled code: the hash of all that it depends on.
pub(crate) type Key = [u8; 32];

/// The folder.
pub(crate) struct Cache {
    folder: PathBuf,
    temporary: AtomicU64,
}

impl Cache {
    /// Makes the folder if it is not there, and makes it private.
    pub(crate) fn open(folder: &Path) -> io::Result<Cache> {
        fs::create_dir_all(folder)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Fails if the folder is somebody else's, as it should.
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Cache { folder: folder.into(), temporary: AtomicU64::new(0) })
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.code", blake3::Hash::from_bytes(*key).to_hex()))
    }

    /// The code under this key, if it is there and whole.
    pub(crate) fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.path(key);
        match read(&path) {
            Ok(code) => Some(code),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => {
                tracing::warn!(path = %path.display(), cause = %e, "compiled code is compiled again");
                None
            }
        }
    }

    /// Keeps code under this key.
    pub(crate) fn put(&self, key: &Key, code: &[u8]) {
        let path = self.path(key);
        if let Err(e) = self.write(&path, code) {
            tracing::warn!(path = %path.display(), cause = %e, "compiled code was not kept");
        }
    }

    /// Forgets what is under this key.
    pub(crate) fn remove(&self, key: &Key) {
        let _ = fs::remove_file(self.path(key));
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let n = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{}-{n}.tmp", std::process::id()));
        let written = write_file(&temporary, code).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

fn write_file(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(MAGIC)?;
    file.write_all(blake3::hash(code).as_bytes())?;
    file.write_all(code)?;
    // Not synced: a file that a power cut tears is recognised by its hash.
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let torn = || io::Error::new(io::ErrorKind::InvalidData, "the file is torn or altered");
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    if len < FRONT as u64 || len > FILE_BYTES_MAX {
        return Err(torn());
    }
    let mut front = [0; FRONT];
    file.read_exact(&mut front)?;
    let mut code = Vec::with_capacity(len as usize - FRONT);
    file.take(FILE_BYTES_MAX).read_to_end(&mut code)?;
    if front[..8] != *MAGIC || front[8..] != *blake3::hash(&code).as_bytes() {
        return Err(torn());
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_what_is_torn_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        assert_eq!(cache.get(&[1; 32]), None);
        cache.put(&[1; 32], b"code");
        assert_eq!(cache.get(&[1; 32]).as_deref(), Some(&b"code"[..]));
        let path = cache.path(&[1; 32]);
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(cache.get(&[1; 32]), None, "torn at {len}");
        }
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            fs::write(&path, &altered).unwrap();
            assert_eq!(cache.get(&[1; 32]), None, "altered at {at}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn folder_and_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        cache.put(&[2; 32], b"code");
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&cache.path(&[2; 32]))), (0o700, 0o600));
    }
}
