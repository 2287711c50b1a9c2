//! Compiled code between runs: two private files for each (module, class, engine), the code as wasmtime wrote it, which is mapped and
//! not read, and beside it what is known of the module.
//!
//! Owns: the folder and the files' form. Does not know what compiled code is.
//!
//! ```text
//!  KEY.known
//!  0        8                           40                44              52
//!  | magic  | BLAKE3 of all behind it   | CRC-32 of code  | its length    | rkyv of `Known` ...
//! ```
//!
//! 1. What is read back is what this node wrote: the folder and the files are this user's alone, and nothing that comes over a
//!    network is ever put here. Compiled code is trusted code.
//! 2. A file appears whole or not at all, and is not written again; one that is torn or altered by the disk is as if it were not there.
//!    The checksum is against that alone: whoever may write here may do everything that the node may.
//! 3. The cache never fails a load: at worst the module is compiled again.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rkyv::{rancor, util::AlignedVec};

use super::Known;
use crate::memory::look_at;

const MAGIC: &[u8; 8] = b"pandocc2";
const FRONT: usize = 8 + 32 + 4 + 8;
/// What is known of a module is never so long.
const KNOWN_BYTES_MAX: u64 = 8 << 20;

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

    fn path(&self, key: &Key, what: &str) -> PathBuf {
        self.folder.join(format!("{}.{what}", blake3::Hash::from_bytes(*key).to_hex()))
    }

    /// What is known of the module under this key, and its code, if they are there and whole.
    pub(crate) fn get(&self, key: &Key) -> Option<(Known, File)> {
        match self.read(key) {
            Ok(found) => Some(found),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => {
                let path = self.path(key, CODE);
                tracing::warn!(path = %path.display(), cause = %e, "compiled code is compiled again");
                None
            }
        }
    }

    /// Keeps code under this key.
    pub(crate) fn put(&self, key: &Key, known: &Known, code: &[u8]) {
        let written = self.write(&self.path(key, CODE), &[code]).and_then(|()| {
            let known = rkyv::to_bytes::<rancor::Error>(known).map_err(io::Error::other)?;
            let (crc, len) = (crc32fast::hash(code).to_le_bytes(), (code.len() as u64).to_le_bytes());
            let behind = [&crc[..], &len, &known].concat();
            self.write(&self.path(key, KNOWN), &[MAGIC, blake3::hash(&behind).as_bytes(), &behind])
        });
        if let Err(e) = written {
            tracing::warn!(folder = %self.folder.display(), cause = %e, "compiled code was not kept");
        }
    }

    /// Forgets what is under this key.
    pub(crate) fn remove(&self, key: &Key) {
        let _ = fs::remove_file(self.path(key, KNOWN));
        let _ = fs::remove_file(self.path(key, CODE));
    }

    /// Not synced: a file that a power cut tears is recognised.
    fn write(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let n = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{}-{n}.tmp", std::process::id()));
        let written = create(&temporary)
            .and_then(|mut file| parts.iter().try_for_each(|part| file.write_all(part)))
            .and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    fn read(&self, key: &Key) -> io::Result<(Known, File)> {
        let torn = |_| io::Error::new(io::ErrorKind::InvalidData, "the file is torn or altered");
        let (front, known) = read_known(&self.path(key, KNOWN))?.ok_or(()).map_err(torn)?;
        let code = File::open(self.path(key, CODE))?;
        if code.metadata()?.len() != front.1 {
            return Err(torn(()));
        }
        // SAFETY: nobody writes it again (invariant 2).
        if unsafe { look_at(&code, front.1 as usize, crc32fast::hash)? } != front.0 {
            return Err(torn(()));
        }
        Ok((known, code))
    }
}

/// Names of the two files.
const CODE: &str = "code";
const KNOWN: &str = "known";

fn create(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Checksum and length of the code, and what is known of the module. `None`: the file is torn or altered.
fn read_known(path: &Path) -> io::Result<Option<((u32, u64), Known)>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(KNOWN_BYTES_MAX).read_to_end(&mut bytes)?;
    let Some((front, known)) = bytes.split_first_chunk::<FRONT>() else { return Ok(None) };
    let (magic, rest) = front.split_at(8);
    let (hash, rest) = rest.split_at(32);
    let (crc, len) = rest.split_at(4);
    let (Ok(crc), Ok(len), Some((_, behind))) = (crc.try_into(), len.try_into(), bytes.split_at_checked(40)) else {
        return Ok(None);
    };
    if magic != MAGIC || hash != blake3::hash(behind).as_bytes() {
        return Ok(None);
    }
    let mut aligned = AlignedVec::<16>::with_capacity(known.len());
    aligned.extend_from_slice(known);
    let known = rkyv::from_bytes::<Known, rancor::Error>(&aligned).ok();
    Ok(known.map(|known| ((u32::from_le_bytes(crc), u64::from_le_bytes(len)), known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known { bytes: 7, interface: Some("reads".into()), ..Known::default() }
    }

    /// What is under this key, as bytes.
    fn got(cache: &Cache, key: &Key) -> Option<(Known, Vec<u8>)> {
        let (known, _) = cache.get(key)?;
        Some((known, fs::read(cache.path(key, CODE)).unwrap()))
    }

    #[test]
    fn what_is_kept_comes_back_and_what_is_torn_or_altered_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let key = [1; 32];
        assert_eq!(got(&cache, &key), None);
        cache.put(&key, &known(), b"code");
        assert_eq!(got(&cache, &key), Some((known(), b"code".to_vec())));
        for path in [cache.path(&key, CODE), cache.path(&key, KNOWN)] {
            let whole = fs::read(&path).unwrap();
            for len in 0..whole.len() {
                fs::write(&path, &whole[..len]).unwrap();
                assert_eq!(got(&cache, &key), None, "{} torn at {len}", path.display());
            }
            for at in 0..whole.len() {
                let mut altered = whole.clone();
                altered[at] ^= 1;
                fs::write(&path, &altered).unwrap();
                assert_eq!(got(&cache, &key), None, "{} altered at {at}", path.display());
            }
            fs::remove_file(&path).unwrap();
            assert_eq!(got(&cache, &key), None, "without {}", path.display());
            fs::write(&path, &whole).unwrap();
        }
        assert!(got(&cache, &key).is_some());
        cache.remove(&key);
        assert_eq!((got(&cache, &key), fs::read_dir(folder.path()).unwrap().count()), (None, 0));
    }

    #[cfg(unix)]
    #[test]
    fn folder_and_files_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        cache.put(&[2; 32], &known(), b"code");
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        assert!([CODE, KNOWN].iter().all(|what| mode(&cache.path(&[2; 32], what)) == 0o600));
    }
}
