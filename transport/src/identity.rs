//! A node's or a user's Ed25519 key: made once, kept in a file that only its owner reads.
//!
//! Owns: drawing, storing and loading keys. Does not know: who may do what with them ([`crate::member`]).
//!
//! ```text
//! key file (UTF-8)
//! pando-key-1 <64 hexadecimal digits of the secret seed>\n
//! ```
//!
//! 1. A key file is complete or absent: it is written under another name, synced, and linked into place.
//! 2. Two processes that make the same key file at once end with the same key.
//! 3. A key file that others can read or write is not used.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;

const TAG: &str = "pando-key-1 ";

/// The public half: who somebody is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Reads exactly the hexadecimal digits that `Display` prints.
    pub fn from_hex(text: &str) -> Option<PublicKey> {
        from_hex(text).map(PublicKey)
    }
}

/// Lower-case hexadecimal. `{:.8}` prints the first eight digits.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        for nibble in nibbles.take(f.precision().unwrap_or(usize::MAX)) {
            write!(f, "{nibble:x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Both halves. The secret never leaves this crate but through the key file.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
}

/// Never prints the secret.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:.16})", self.public())
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness for a key: {0}")]
    Entropy(String),
    /// The file could not be read or written.
    #[error("key file {path}: {source}")]
    Io {
        /// The key file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file is there, but it is no key.
    #[error("key file {0} is not a Pando key; restore it, or remove it to become somebody new")]
    Malformed(PathBuf),
    /// The file is open to others.
    #[error("key file {path} may be read or written by others (mode {mode:o}); run: chmod 600 {path}")]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl Identity {
    /// Draws a new key.
    #[expect(
        clippy::disallowed_methods,
        reason = "a key is drawn once in a node's life, and from nothing less than the system's entropy"
    )]
    pub fn generate() -> Result<Identity, IdentityError> {
        let mut seed = [0u8; 32];
        getrandom::fill(&mut seed).map_err(|e| IdentityError::Entropy(e.to_string()))?;
        Ok(Identity::from_seed(seed))
    }

    /// The key with this secret seed: for simulations and tests, which must not draw.
    pub fn from_seed(seed: [u8; 32]) -> Identity {
        Identity { key: SigningKey::from_bytes(&seed) }
    }

    /// The key in the file at `path`; it is made if there is none. The folder must exist.
    pub fn load_or_create(path: &Path) -> Result<Identity, IdentityError> {
        match Identity::load(path) {
            Err(IdentityError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let fresh = Identity::generate()?;
        match fresh.store_new(path) {
            // Somebody else was faster: theirs is the key.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Identity::load(path),
            Err(source) => Err(IdentityError::Io { path: path.to_owned(), source }),
            Ok(()) => Ok(fresh),
        }
    }

    /// The key in the file at `path`.
    pub fn load(path: &Path) -> Result<Identity, IdentityError> {
        let io = |source| IdentityError::Io { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(io)?;
        check_mode(&file, path)?;
        let mut text = String::new();
        // A key file has 77 bytes; of a larger one no more is read than shows that it is none.
        io::Read::read_to_string(&mut io::Read::take(file, 256), &mut text).map_err(|e| {
            if e.kind() == io::ErrorKind::InvalidData { IdentityError::Malformed(path.to_owned()) } else { io(e) }
        })?;
        text.strip_prefix(TAG)
            .and_then(|rest| from_hex(rest.trim_end()))
            .map(Identity::from_seed)
            .ok_or_else(|| IdentityError::Malformed(path.to_owned()))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.verifying_key().to_bytes())
    }

    /// The secret half as TLS wants it.
    pub(crate) fn pkcs8(&self) -> Option<Vec<u8>> {
        Some(self.key.to_pkcs8_der().ok()?.as_bytes().to_vec())
    }

    /// A key for `purpose` that only this identity can derive, and that is the same at every boot.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, self.key.as_bytes())
    }

    #[expect(clippy::disallowed_methods, reason = "the name of a scratch file; nothing of the realm depends on it")]
    fn store_new(&self, path: &Path) -> io::Result<()> {
        let mut nonce = [0u8; 8];
        getrandom::fill(&mut nonce).map_err(|e| io::Error::other(e.to_string()))?;
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{:016x}.new", u64::from_le_bytes(nonce)));
        let scratch = PathBuf::from(name);
        let outcome = self.write_to(&scratch).and_then(|()| {
            // A link and not a rename: it fails if the name is taken, so no key is ever overwritten.
            std::fs::hard_link(&scratch, path)
        });
        std::fs::remove_file(&scratch).ok();
        outcome?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        std::fs::File::open(folder)?.sync_all()
    }

    fn write_to(&self, path: &Path) -> io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(TAG.as_bytes())?;
        // Digit by digit: no copy of the secret is left behind in a formatted string.
        for byte in self.key.as_bytes() {
            write!(file, "{byte:02x}")?;
        }
        file.write_all(b"\n")?;
        file.sync_all()
    }
}

#[cfg(unix)]
fn check_mode(file: &std::fs::File, path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt;
    let meta = file.metadata().map_err(|source| IdentityError::Io { path: path.to_owned(), source })?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(IdentityError::Exposed { path: path.to_owned(), mode })
}

#[cfg(not(unix))]
fn check_mode(_: &std::fs::File, _: &Path) -> Result<(), IdentityError> {
    Ok(())
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'A'..=b'F' => None,
        _ => char::from(digit).to_digit(16),
    };
    let mut out = [0u8; 32];
    for (byte, [high, low]) in out.iter_mut().zip(text.as_chunks::<2>().0) {
        *byte = (nibble(*high)? << 4 | nibble(*low)?) as u8;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let made = Identity::load_or_create(&path).unwrap();
        let found = Identity::load_or_create(&path).unwrap();
        assert_eq!(made.public(), found.public());
        assert_ne!(made.public(), Identity::generate().unwrap().public());
        // Nothing else is left in the folder.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn threads_that_make_one_key_file_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let keys: Vec<PublicKey> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Identity::load_or_create(&path).unwrap().public())).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|k| *k == keys[0]));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_is_private_and_one_that_is_not_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        Identity::load_or_create(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Identity::load_or_create(&path).unwrap_err();
        assert!(matches!(refused, IdentityError::Exposed { .. }));
        assert!(refused.to_string().contains("chmod 600"));
    }

    #[test]
    fn a_damaged_key_file_is_named_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        Identity::load_or_create(&path).unwrap();
        for damage in [&b""[..], b"pando-key-1 00", b"\xff\xfe", &[b'a'; 5000]] {
            std::fs::write(&path, damage).unwrap();
            let refused = Identity::load_or_create(&path).unwrap_err();
            assert!(matches!(refused, IdentityError::Malformed(_)), "{refused}");
            assert_eq!(std::fs::read(&path).unwrap(), damage);
        }
    }

    #[test]
    fn a_public_key_reads_what_it_prints() {
        let key = Identity::from_seed([7; 32]).public();
        assert_eq!(PublicKey::from_hex(&key.to_string()), Some(key));
        assert_eq!(PublicKey::from_hex(&key.to_string().to_uppercase()), None);
        assert_eq!(format!("{key:.8}").len(), 8);
    }
}
