//! A snapshot that is on the disk, and files of parts as long as somebody needs them.
//!
//! Owns: reading parts, each checked by its hash. Does not know which snapshot is the current one.
//!
//! 1. A file of parts is there as long as a [`Kept`] holds it: who sends or restores one pins its files by having it.
//! 2. Bytes that are not what the manifest says are never handed on.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::form::{Manifest, Meta, Name, PartRow, Place};
use crate::files::{Files, OpenFile};

/// A file of parts: nothing but their bytes, one behind the other.
#[derive(Debug)]
pub(crate) struct PartFile {
    pub(super) number: u64,
    pub(super) path: PathBuf,
}

/// A snapshot whose parts are on the disk. Whoever has it can read it, whatever becomes the current one.
pub(crate) struct Kept {
    /// The hash of the manifest: the image's name.
    pub(crate) image: Name,
    /// The manifest's bytes.
    pub(crate) bytes: Vec<u8>,
    pub(crate) manifest: Manifest,
    pub(super) places: Vec<Place>,
    pub(super) files: BTreeMap<u64, Arc<PartFile>>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({:?}, {} parts)", self.manifest.meta.last, self.places.len())
    }
}

pub(super) fn damaged(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Kept {
    pub(super) fn new(
        bytes: Vec<u8>,
        manifest: Manifest,
        places: Vec<Place>,
        files: BTreeMap<u64, Arc<PartFile>>,
    ) -> Kept {
        Kept { image: *blake3::hash(&bytes).as_bytes(), bytes, manifest, places, files }
    }

    pub(crate) fn meta(&self) -> &Meta {
        &self.manifest.meta
    }

    /// What there is, by name, and how long it is.
    pub(super) fn index(&self) -> BTreeMap<Name, (Place, u32)> {
        let parts = self.manifest.parts.iter().zip(&self.places);
        parts.map(|(part, place)| (part.name, (*place, part.len))).collect()
    }
}

/// Reads parts, and keeps the file open that it read last.
pub(crate) struct Reader {
    files: Arc<dyn Files>,
    open: Mutex<Option<(u64, Arc<dyn OpenFile>)>>,
}

impl Reader {
    pub(crate) fn new(files: Arc<dyn Files>) -> Reader {
        Reader { files, open: Mutex::new(None) }
    }

    /// The bytes of a part. Damage is `InvalidData`, with the file's name. Blocks.
    pub(crate) fn part(&self, kept: &Kept, part: usize) -> io::Result<Vec<u8>> {
        match (kept.manifest.parts.get(part), kept.places.get(part)) {
            (Some(row), Some(place)) => self.at(&kept.files, *row, *place),
            _ => Err(damaged(format!("the snapshot has no part {part}"))),
        }
    }

    pub(super) fn at(&self, files: &BTreeMap<u64, Arc<PartFile>>, row: PartRow, place: Place) -> io::Result<Vec<u8>> {
        let Some(file) = files.get(&place.file) else {
            return Err(damaged(format!("a snapshot's part is in file {}, which is none of its files", place.file)));
        };
        let mut open = self.open.lock();
        let from = match &*open {
            Some((number, from)) if *number == place.file => from.clone(),
            _ => {
                let from = self.files.open(&file.path, false).map_err(|e| match e.kind() {
                    io::ErrorKind::NotFound => damaged(format!("{} is missing", file.path.display())),
                    _ => e,
                })?;
                *open = Some((place.file, from.clone()));
                from
            }
        };
        drop(open);
        let mut bytes = vec![0; row.len as usize];
        let filled = from.read_at(place.at, &mut bytes)?;
        if filled < bytes.len() || *blake3::hash(&bytes).as_bytes() != row.name {
            let (path, at) = (file.path.display(), place.at);
            return Err(damaged(format!("{path} is damaged: its bytes from {at} on are not those that were written")));
        }
        Ok(bytes)
    }
}
