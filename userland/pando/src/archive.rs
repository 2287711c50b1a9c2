//! A backup as a file: a tar archive that other tools can look into, too.
//!
//! Owns: the names in the archive, and the manifest with the hash of each. Does not know: what is in a copy of a group.
//!
//! ```text
//! root                  the root group's copy: members, names, modules, groups
//! groups/<id>           a group's copy
//! modules/<hash>.wasm   a module
//! manifest.json         the realm, when and by which version; bytes and BLAKE3 of everything above
//! ```
//!
//! 1. A file under its final name is complete and on the disk.
//! 2. Nothing is taken out of an archive before every hash in it was found right.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tempfile::SpooledTempFile;

use crate::failure::{Failure, io};

const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
/// Bytes of a manifest at most: a line for each of some 70,000 groups and modules.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Bytes of one part that are kept in memory before it goes into the archive.
const SPOOL_BYTES: usize = 32 << 20;

const ROOT: &str = "root";
const GROUPS: &str = "groups/";
const MODULES: &str = "modules/";
const WASM: &str = ".wasm";

/// What an archive says of itself.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Manifest {
    format: u32,
    /// The realm's id.
    pub realm: String,
    /// When it was begun, in seconds since 1970.
    pub taken: u64,
    /// The version of the program that made it.
    pub version: String,
    /// The nodes that were up.
    pub nodes: Vec<String>,
    parts: BTreeMap<String, Sum>,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
struct Sum {
    bytes: u64,
    blake3: String,
}

/// What a name in an archive means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    Root,
    Group([u8; 16]),
    Module([u8; 32]),
}

impl Part {
    pub fn name(self) -> String {
        match self {
            Part::Root => ROOT.to_owned(),
            Part::Group(id) => format!("{GROUPS}{}", pando_abi::ActorId(id)),
            Part::Module(hash) => format!("{MODULES}{}{WASM}", pando_abi::ModuleHash(hash)),
        }
    }

    fn of(name: &str) -> Option<Part> {
        if name == ROOT {
            return Some(Part::Root);
        }
        match name.strip_prefix(GROUPS) {
            Some(id) => pando_abi::ActorId::from_hex(id).map(|id| Part::Group(id.0)),
            None => {
                let hash = name.strip_prefix(MODULES)?.strip_suffix(WASM)?;
                pando_abi::ModuleHash::from_hex(hash).map(|hash| Part::Module(hash.0))
            }
        }
    }
}

/// An archive that is being written.
pub struct Writer {
    path: PathBuf,
    scratch: PathBuf,
    tar: tar::Builder<File>,
    manifest: Manifest,
    done: bool,
}

/// One part on its way into an archive.
pub struct Spool {
    file: SpooledTempFile,
    hash: blake3::Hasher,
    bytes: u64,
}

impl Spool {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|e| {
            Failure::new(
                format!("cannot write a temporary file: {e}"),
                "make room, or set TMPDIR to a folder with room",
            )
        })
    }
}

impl Writer {
    /// Begins an archive that will be at `path`.
    pub fn begin(path: &Path, realm: &str, nodes: Vec<String>) -> Result<Writer, Failure> {
        if path.exists() {
            return Err(Failure::new(
                format!("{} is there already", path.display()),
                "take another name, or remove it",
            ));
        }
        let mut scratch = path.as_os_str().to_owned();
        scratch.push(".part");
        let scratch = PathBuf::from(scratch);
        let file = File::create(&scratch)
            .map_err(|e| io("write", &scratch, &e, "check that the folder exists and is yours"))?;
        let taken = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let manifest =
            Manifest { format: FORMAT, realm: realm.to_owned(), taken, version, nodes, parts: BTreeMap::new() };
        Ok(Writer { path: path.to_owned(), scratch, tar: tar::Builder::new(file), manifest, done: false })
    }

    pub fn spool(&self) -> Spool {
        Spool { file: SpooledTempFile::new(SPOOL_BYTES), hash: blake3::Hasher::new(), bytes: 0 }
    }

    fn failed(&self) -> impl Fn(io::Error) -> Failure + use<> {
        let scratch = self.scratch.clone();
        move |e| io("write", &scratch, &e, "make room on that disk and make the backup again")
    }

    fn put(&mut self, name: &str, bytes: u64, content: impl Read) -> Result<(), Failure> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(self.manifest.taken);
        let put = self.tar.append_data(&mut header, name, content);
        put.map_err(self.failed())
    }

    /// Puts a whole part in.
    pub fn part(&mut self, part: Part, mut spool: Spool) -> Result<(), Failure> {
        let name = part.name();
        spool.file.seek(SeekFrom::Start(0)).map_err(self.failed())?;
        self.put(&name, spool.bytes, &mut spool.file)?;
        let blake3 = spool.hash.finalize().to_hex().to_string();
        self.manifest.parts.insert(name, Sum { bytes: spool.bytes, blake3 });
        Ok(())
    }

    /// Everything is in. The bytes of the archive.
    pub fn finish(mut self) -> Result<u64, Failure> {
        let text = serde_json::to_vec_pretty(&self.manifest).unwrap_or_default();
        self.put(MANIFEST, text.len() as u64, text.as_slice())?;
        let failed = self.failed();
        let mut close = || -> io::Result<u64> {
            self.tar.finish()?;
            let file = self.tar.get_mut();
            file.sync_all()?;
            let bytes = file.metadata()?.len();
            fs::rename(&self.scratch, &self.path)?;
            Ok(bytes)
        };
        let bytes = close().map_err(failed)?;
        self.done = true;
        Ok(bytes)
    }
}

impl Drop for Writer {
    /// What is not complete is not left.
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.scratch);
        }
    }
}

fn damaged(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(
        format!("{} is not a backup, or a damaged one: {why}", path.display()),
        "restore from another copy of it",
    )
}

fn open(path: &Path) -> Result<tar::Archive<BufReader<File>>, Failure> {
    let file = File::open(path).map_err(|e| io("read", path, &e, "name a file that `backup` has made"))?;
    Ok(tar::Archive::new(BufReader::new(file)))
}

/// Reads all of an archive, and holds it against its manifest.
pub fn check(path: &Path) -> Result<Manifest, Failure> {
    let wrong = |why: &dyn std::fmt::Display| damaged(path, why);
    let mut found: BTreeMap<String, Sum> = BTreeMap::new();
    let mut manifest = None;
    for entry in open(path)?.entries().map_err(|e| wrong(&e))? {
        let mut entry = entry.map_err(|e| wrong(&e))?;
        let name = entry.path().map_err(|e| wrong(&e))?.to_string_lossy().into_owned();
        if name == MANIFEST {
            let mut text = Vec::new();
            entry.by_ref().take(MANIFEST_BYTES_MAX).read_to_end(&mut text).map_err(|e| wrong(&e))?;
            manifest = Some(serde_json::from_slice::<Manifest>(&text).map_err(|e| wrong(&e))?);
            continue;
        }
        let mut hash = blake3::Hasher::new();
        let bytes = io::copy(&mut entry, &mut hash).map_err(|e| wrong(&e))?;
        found.insert(name, Sum { bytes, blake3: hash.finalize().to_hex().to_string() });
    }
    let manifest = manifest.ok_or_else(|| wrong(&"it has no manifest, so it was cut off"))?;
    if manifest.format != FORMAT {
        let text = format!("{} has format {}, and this program reads {FORMAT}", path.display(), manifest.format);
        return Err(Failure::new(text, format!("use the program that made it, version {}", manifest.version)));
    }
    for (name, sum) in &manifest.parts {
        match found.get(name) {
            Some(there) if there == sum => {}
            Some(_) => return Err(wrong(&format!("{name} is not what the manifest says"))),
            None => return Err(wrong(&format!("{name} is missing"))),
        }
    }
    if let Some(odd) = found.keys().find(|name| Part::of(name).is_none() || !manifest.parts.contains_key(*name)) {
        return Err(wrong(&format!("it does not say what {odd} is")));
    }
    Ok(manifest)
}

/// The parts of an archive that was checked, in order.
pub fn parts(path: &Path, mut each: impl FnMut(Part, Vec<u8>) -> Result<(), Failure>) -> Result<(), Failure> {
    let wrong = |why: &dyn std::fmt::Display| damaged(path, why);
    for entry in open(path)?.entries().map_err(|e| wrong(&e))? {
        let mut entry = entry.map_err(|e| wrong(&e))?;
        let name = entry.path().map_err(|e| wrong(&e))?.to_string_lossy().into_owned();
        let Some(part) = Part::of(&name) else { continue };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| wrong(&e))?;
        each(part, bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dir: &Path) -> PathBuf {
        let path = dir.join("grove.backup");
        let mut writer = Writer::begin(&path, &"ab".repeat(32), vec!["n1".into()]).unwrap();
        for (part, content) in [(Part::Root, b"root".as_slice()), (Part::Group([7; 16]), &[9; 2_000])] {
            let mut spool = writer.spool();
            spool.write(content).unwrap();
            writer.part(part, spool).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    #[test]
    fn what_was_put_in_comes_out_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let manifest = check(&path).unwrap();
        assert_eq!((manifest.realm.len(), manifest.nodes), (64, vec!["n1".to_owned()]));
        let mut out = Vec::new();
        parts(&path, |part, bytes| {
            out.push((part, bytes.len()));
            Ok(())
        })
        .unwrap();
        assert_eq!(out, [(Part::Root, 4), (Part::Group([7; 16]), 2_000)]);
        assert!(Writer::begin(&path, "", vec![]).err().unwrap().sentence.contains("is there already"));
    }

    #[test]
    fn an_archive_that_was_cut_off_or_changed_anywhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let whole = fs::read(written(dir.path())).unwrap();
        let path = dir.path().join("other");
        // A tar archive ends in empty blocks, which nobody misses.
        let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
        for at in (0..end).step_by(97) {
            fs::write(&path, &whole[..at]).unwrap();
            assert!(check(&path).is_err(), "cut off at {at}");
        }
        for at in [513, 1_537, 2_000] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(check(&path).unwrap_err().sentence.contains("a damaged one"), "changed at {at}");
        }
    }

    #[test]
    fn a_backup_that_is_not_finished_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grove.backup");
        drop(Writer::begin(&path, "", vec![]).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
