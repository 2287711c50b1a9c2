//! The folder of snapshots: of each group a manifest, and files of parts that it names.
//!
//! ```text
//! <group>.snap        the current snapshot: which parts, and where they are
//! <group>.<n>.parts   parts, one behind the other
//! ```
//!
//! A snapshot writes the parts that are not on the disk yet into a file of their own, and a manifest that names those beside the
//! ones of earlier files. So its cost goes with what has changed. What a file has that nobody names any more is waste: when that
//! is half of it, what is left is written again and the file goes.
//!
//! 1. A manifest under its final name is complete and synced, and so is every part that it names; a newer one replaces it by
//!    rename.
//! 2. A snapshot never replaces a newer one.
//! 3. A file of parts that nobody needs is deleted by the next snapshot of its group, and not before the manifest that does not
//!    name it is on the disk.
//! 4. The files of the current snapshot have at most twice the bytes of its parts, and are at most [`FILES_MAX`].
//! 5. While a snapshot is written, the current one can be read.

pub(crate) mod form;
pub(crate) mod incoming;
pub(crate) mod kept;
#[cfg(test)]
mod tests;
mod trickle;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use pando_abi::planted::fail::{Point, fails, pass};
use pando_abi::planted::{Bug, planted};
use parking_lot::Mutex;

use crate::codec::{Malformed, encode};
use crate::entry::GroupId;
use crate::error::OpenError;
use crate::files::{Files, read_all};
use crate::machine::{Cut, PART_BYTES_MAX};
use form::{Manifest, Meta, Name, PARTS_MAX, PartRow, Place, SNAPSHOT_BYTES_MAX, pack, unpack};
use kept::{Kept, PartFile, damaged};
use trickle::Trickle;

/// Files of parts that one snapshot names at most.
const FILES_MAX: usize = 32;
/// Bytes that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// A snapshot that is damaged is as good as none; one that could not be read may be there.
fn unless_damaged(loaded: io::Result<Option<Arc<Kept>>>) -> io::Result<Option<Arc<Kept>>> {
    match loaded {
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(None),
        other => other,
    }
}

/// The folder of snapshots.
pub(crate) struct Snapshots {
    dir: PathBuf,
    files: Arc<dyn Files>,
    shelves: Mutex<BTreeMap<GroupId, Arc<Shelf>>>,
    /// What was found when the folder was opened, by the names of groups.
    found: BTreeMap<String, BTreeSet<u64>>,
}

/// What there is of one group.
struct Shelf {
    /// Held while a snapshot is written: one at a time.
    saving: Mutex<()>,
    state: Mutex<State>,
}

struct State {
    current: Option<Arc<Kept>>,
    /// Files of parts that are on the disk, and who needs them.
    there: BTreeMap<u64, Weak<PartFile>>,
    next: u64,
    /// A part on the disk was not what it was: the next snapshot names none of those that are there.
    distrusted: bool,
}

/// Parts on their way to a file of their own.
struct Writer {
    file: Arc<PartFile>,
    out: Trickle,
    waiting: Vec<u8>,
}

impl Writer {
    fn push(&mut self, bytes: &[u8]) -> io::Result<Place> {
        let place = Place { file: self.file.number, at: self.out.end() + self.waiting.len() as u64 };
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= WRITE_BYTES {
            self.write()?;
        }
        Ok(place)
    }

    fn write(&mut self) -> io::Result<()> {
        self.out.write(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

impl Snapshots {
    pub(crate) fn open(dir: PathBuf, files: Arc<dyn Files>) -> Result<Snapshots, OpenError> {
        let refused = |what: &'static str, path: &Path| {
            let path = path.to_path_buf();
            move |source| OpenError::Io { what, path, source }
        };
        std::fs::create_dir_all(&dir).map_err(refused("make", &dir))?;
        let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for path in files.list(&dir).map_err(refused("read", &dir))? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let mut words = name.split('.');
            match (words.next(), words.next().map(str::parse::<u64>), words.next()) {
                (Some(group), Some(Ok(number)), Some("parts")) => {
                    _ = found.entry(group.to_string()).or_default().insert(number)
                }
                // What a crash left half-written; nobody was told of it.
                (.., Some("tmp")) => files.delete(&path).map_err(refused("remove", &path))?,
                _ => {}
            }
        }
        Ok(Snapshots { dir, files, shelves: Mutex::default(), found })
    }

    /// The door to the disk.
    pub(crate) fn files(&self) -> Arc<dyn Files> {
        self.files.clone()
    }

    fn shelf(&self, group: GroupId) -> Arc<Shelf> {
        let make = || {
            let found = self.found.get(&group.to_string());
            let there: BTreeMap<u64, Weak<PartFile>> = found.into_iter().flatten().map(|n| (*n, Weak::new())).collect();
            let next = there.keys().next_back().map_or(1, |last| last.saturating_add(1));
            let state = State { current: None, there, next, distrusted: false };
            Arc::new(Shelf { saving: Mutex::new(()), state: Mutex::new(state) })
        };
        self.shelves.lock().entry(group).or_insert_with(make).clone()
    }

    fn path(&self, group: GroupId) -> PathBuf {
        self.dir.join(format!("{group}.snap"))
    }

    fn parts_path(&self, group: GroupId, number: u64) -> PathBuf {
        self.dir.join(format!("{group}.{number}.parts"))
    }

    /// The current snapshot. Blocks.
    pub(crate) fn load(&self, group: GroupId) -> io::Result<Option<Arc<Kept>>> {
        let shelf = self.shelf(group);
        let mut state = shelf.state.lock();
        if state.current.is_none() {
            let path = self.path(group);
            let file = match read_all(&*self.files, &path) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e),
            };
            let broken = |e: Malformed| damaged(format!("{} is damaged: {e}", path.display()));
            let (bytes, manifest, places) = unpack(&file).map_err(broken)?;
            let mut files = BTreeMap::new();
            for number in places.iter().map(|place| place.file).collect::<BTreeSet<u64>>() {
                if !state.there.contains_key(&number) {
                    return Err(damaged(format!("{} is missing", self.parts_path(group, number).display())));
                }
                let file = Arc::new(PartFile { number, path: self.parts_path(group, number) });
                state.there.insert(number, Arc::downgrade(&file));
                files.insert(number, file);
            }
            state.current = Some(Arc::new(Kept::new(bytes.to_vec(), manifest, places, files)));
        }
        Ok(state.current.clone())
    }

    /// The current snapshot, if it is not damaged. Blocks.
    fn known(&self, group: GroupId) -> io::Result<Option<Arc<Kept>>> {
        unless_damaged(self.load(group))
    }

    /// A part on the disk was not what it was: the next snapshot is written whole.
    pub(crate) fn distrust(&self, group: GroupId) {
        self.shelf(group).state.lock().distrusted = true;
    }

    /// A file of parts for this group, which is not there yet.
    fn new_file(&self, group: GroupId) -> io::Result<Arc<PartFile>> {
        let shelf = self.shelf(group);
        let mut state = shelf.state.lock();
        let number = state.next;
        state.next = number.checked_add(1).ok_or_else(|| io::Error::other("no number is left for a file"))?;
        let file = Arc::new(PartFile { number, path: self.parts_path(group, number) });
        state.there.insert(number, Arc::downgrade(&file));
        Ok(file)
    }

    /// Writes a machine's state, unless a newer one is here; returns when it is on the disk. Blocks; the machine goes on.
    pub(crate) fn save(&self, group: GroupId, meta: Meta, cut: &mut dyn Cut) -> io::Result<Arc<Kept>> {
        let shelf = self.shelf(group);
        let _one = shelf.saving.lock();
        let current = self.known(group)?;
        let base = current.filter(|_| !shelf.state.lock().distrusted);
        let mut have = base.as_ref().map(|kept| kept.index()).unwrap_or_default();
        let mut writer = None;
        let (mut parts, mut total) = (Vec::with_capacity(cut.count()), 0);
        for part in 0..cut.count() {
            let row = match cut.name(part).and_then(|name| Some((name, have.get(&name)?.1))) {
                Some((name, len)) => PartRow { name, len },
                None => {
                    let bytes = cut.bytes(part);
                    let row = PartRow { name: *blake3::hash(&bytes).as_bytes(), len: bytes.len() as u32 };
                    cut.named(part, row.name);
                    if let Entry::Vacant(vacant) = have.entry(row.name) {
                        vacant.insert((self.push(group, &mut writer, &bytes)?, row.len));
                    }
                    row
                }
            };
            total += u64::from(row.len);
            if row.len as usize > PART_BYTES_MAX || total > SNAPSHOT_BYTES_MAX || parts.len() == PARTS_MAX {
                return Err(damaged(format!("the state is larger than a snapshot may be: {total} bytes")));
            }
            parts.push(row);
        }
        if let Some(base) = &base {
            self.move_out_of_waste(group, base, &parts, &mut have, cut, &mut writer)?;
        }
        let places =
            parts.iter().map(|row| have.get(&row.name).map(|(place, _)| *place)).collect::<Option<Vec<Place>>>();
        let places = places.ok_or_else(|| io::Error::other("a part of a snapshot was not written"))?;
        let mut files = base.map(|kept| kept.files.clone()).unwrap_or_default();
        if let Some(mut writer) = writer {
            writer.write()?;
            if fails(Point::SnapshotBeforeSync) {
                return Err(io::Error::other("a fail point"));
            }
            writer.out.flush()?;
            files.insert(writer.file.number, writer.file);
        }
        let named: BTreeSet<u64> = places.iter().map(|place| place.file).collect();
        files.retain(|number, _| named.contains(number));
        let manifest = Manifest { meta, parts };
        let kept = Arc::new(Kept::new(encode(&manifest), manifest, places, files));
        self.publish(group, &shelf, kept)
    }

    /// Adds a part to the file of this snapshot, which is made when there is one to add.
    fn push(&self, group: GroupId, writer: &mut Option<Writer>, bytes: &[u8]) -> io::Result<Place> {
        let writer = match writer {
            Some(writer) => writer,
            None => {
                let file = self.new_file(group)?;
                let out = Trickle::new(self.files.create(&file.path)?);
                writer.insert(Writer { file, out, waiting: Vec::new() })
            }
        };
        writer.push(bytes)
    }

    /// Writes again what is needed of files that are waste for the most part, or too many.
    fn move_out_of_waste(
        &self,
        group: GroupId,
        base: &Kept,
        parts: &[PartRow],
        have: &mut BTreeMap<Name, (Place, u32)>,
        cut: &dyn Cut,
        writer: &mut Option<Writer>,
    ) -> io::Result<()> {
        let mut live: BTreeMap<u64, u64> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for row in parts.iter().filter(|row| seen.insert(row.name)) {
            if let Some((place, _)) = have.get(&row.name).filter(|(place, _)| base.files.contains_key(&place.file)) {
                *live.entry(place.file).or_default() += u64::from(row.len);
            }
        }
        let mut wasteful = BTreeSet::new();
        for (number, live) in &live {
            let Some(file) = base.files.get(number) else { continue };
            let len = match self.files.open(&file.path, false) {
                Ok(open) => open.len()?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
                Err(e) => return Err(e),
            };
            if live * 2 < len {
                wasteful.insert(*number);
            }
        }
        let mut left: Vec<(u64, u64)> = live.iter().map(|(n, live)| (*live, *n)).collect();
        left.retain(|(_, number)| !wasteful.contains(number));
        left.sort_unstable();
        let many = left.len().saturating_sub(FILES_MAX - 1);
        wasteful.extend(left.iter().take(many).map(|(_, number)| *number));
        for (part, row) in parts.iter().enumerate() {
            if have.get(&row.name).is_some_and(|(place, _)| wasteful.contains(&place.file)) {
                let bytes = cut.bytes(part);
                if *blake3::hash(&bytes).as_bytes() != row.name {
                    return Err(io::Error::other("a part of a snapshot has another hash than it had"));
                }
                have.insert(row.name, (self.push(group, writer, &bytes)?, row.len));
            }
        }
        Ok(())
    }

    /// Makes what came from elsewhere the current snapshot unless a newer one is. Blocks.
    pub(crate) fn adopt(&self, group: GroupId, kept: &Arc<Kept>) -> io::Result<()> {
        let shelf = self.shelf(group);
        let _one = shelf.saving.lock();
        if self.known(group)?.is_none_or(|current| current.image != kept.image) {
            self.publish(group, &shelf, kept.clone())?;
        }
        Ok(())
    }

    /// Makes what came from elsewhere the current snapshot, whatever is: that one is of a wrong state. Blocks.
    pub(crate) fn replace(&self, group: GroupId, kept: &Arc<Kept>) -> io::Result<()> {
        let shelf = self.shelf(group);
        let _one = shelf.saving.lock();
        self.put(group, &shelf, kept.clone()).map(drop)
    }

    fn publish(&self, group: GroupId, shelf: &Shelf, kept: Arc<Kept>) -> io::Result<Arc<Kept>> {
        let at = |kept: &Kept| kept.meta().last.map(|at| (at.term, at.index));
        // A damaged current one does not stand in the way of a good one.
        if self.known(group)?.is_some_and(|current| at(&current) > at(&kept)) {
            return Ok(kept);
        }
        self.put(group, shelf, kept)
    }

    fn put(&self, group: GroupId, shelf: &Shelf, kept: Arc<Kept>) -> io::Result<Arc<Kept>> {
        let number = self.new_file(group)?.number;
        let tmp = self.dir.join(format!("{group}.{number}.tmp"));
        let out = self.files.create(&tmp)?;
        out.write_at(0, &pack(&kept.bytes, &kept.places))?;
        if !planted(Bug::SnapshotNotSynced) {
            out.sync()?;
        }
        // The names of the parts come before the name that makes them count.
        self.files.sync_dir(&self.dir)?;
        pass(Point::SnapshotBeforeRename);
        self.files.rename(&tmp, &self.path(group))?;
        self.files.sync_dir(&self.dir)?;
        pass(Point::SnapshotAfterRename);
        let mut state = shelf.state.lock();
        state.there.remove(&number);
        state.current = Some(kept.clone());
        state.distrusted = false;
        self.collect(group, &mut state)?;
        Ok(kept)
    }

    /// Deletes the files of parts that nobody needs.
    fn collect(&self, group: GroupId, state: &mut State) -> io::Result<()> {
        let unneeded: Vec<u64> =
            state.there.iter().filter(|(_, file)| file.strong_count() == 0).map(|(number, _)| *number).collect();
        for number in unneeded {
            self.delete(&self.parts_path(group, number))?;
            state.there.remove(&number);
        }
        Ok(())
    }

    fn delete(&self, path: &Path) -> io::Result<()> {
        match self.files.delete(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Deletes the group's snapshot.
    pub(crate) fn remove(&self, group: GroupId) -> io::Result<()> {
        let shelf = self.shelf(group);
        let _one = shelf.saving.lock();
        let mut state = shelf.state.lock();
        self.delete(&self.path(group))?;
        self.files.sync_dir(&self.dir)?;
        state.current = None;
        for number in std::mem::take(&mut state.there).into_keys() {
            self.delete(&self.parts_path(group, number))?;
        }
        self.files.sync_dir(&self.dir)
    }
}
