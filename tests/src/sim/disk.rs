//! A node's disk in memory: what is written is not safe before it is synced, and a crash shows it.
//!
//! Owns: the bytes, which of them are on the medium, and what goes wrong. Does not know: what the bytes mean.
//!
//! The log engine lists its folder by itself, so every file of the log has an empty one of the same name on a real disk.
//!
//! 1. At a crash every unsynced sector is kept, lost or torn, each for itself; what was synced stays.
//! 2. Names in a folder whose sync this disk sees (the snapshots') are as little safe before it; the log's are at once.
//! 3. A write or sync that fails says so once; from then on, as after a crash, who still runs writes into the void: a process
//!    whose disk has failed must end. A read may fail once and succeed the next time.
//! 4. Rot flips bits of what was written long ago: of snapshots, and of log files that are full. It can be undone, as by
//!    somebody who has a copy.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pando_raft::{Files, OpenFile};
use parking_lot::Mutex;

use crate::dice::Dice;

/// Bytes that a disk writes at once, or not.
const SECTOR: usize = 512;

/// What goes wrong on a disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFaults {
    /// Writes that fail, in a million.
    pub write_ppm: u64,
    /// Syncs that fail, in a million.
    pub sync_ppm: u64,
    /// Syncs during which the power goes, in a million.
    pub cut_ppm: u64,
    /// Unsynced sectors that a crash damages, in a hundred; the others are kept.
    pub damage_percent: u64,
    /// The longest time that a write is held up.
    pub delay_ms_max: u64,
    /// Reads that fail, in a million.
    pub read_ppm: u64,
}

/// What a disk had once.
pub struct DiskCopy(BTreeMap<PathBuf, Vec<u8>>);

/// A disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

struct State {
    dice: Dice,
    faults: DiskFaults,
    files: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    /// Names that are not on the medium yet, in order.
    names: Vec<NameChange>,
    /// How often the disk was cut off: what was opened before writes into the void.
    life: u64,
    cut: bool,
    void: bool,
    /// Bytes that fit.
    room: Option<u64>,
    /// A read has failed since the power came back.
    misread: bool,
    syncs: u64,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// Bits that have rotted and were not written over since: where, and which.
    rot: Vec<(usize, u8)>,
    /// Which of its places cannot be read until the power comes back: the log engine reads in no order that a seed decides.
    salt: u64,
}

enum NameChange {
    Made(PathBuf),
    Moved { from: PathBuf, to: PathBuf, covered: Option<Arc<Mutex<Content>>> },
    Gone(PathBuf, Arc<Mutex<Content>>),
}

impl NameChange {
    fn dir(&self) -> Option<&Path> {
        match self {
            NameChange::Made(path) | NameChange::Gone(path, _) => path.parent(),
            NameChange::Moved { to, .. } => to.parent(),
        }
    }
}

fn off() -> io::Error {
    io::Error::other("the disk is cut off")
}

impl SimDisk {
    /// An empty disk.
    pub fn new(dice: Dice) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(State {
            dice,
            faults: DiskFaults::default(),
            files: BTreeMap::new(),
            names: Vec::new(),
            life: 0,
            cut: false,
            void: false,
            room: None,
            misread: false,
            syncs: 0,
        })))
    }

    /// Everything on it is gone. Only while its machine is off.
    pub fn wipe(&self) {
        let mut state = self.0.lock();
        state.files.clear();
        state.names.clear();
    }

    /// What is safe on it now, as a power cut would leave it.
    pub fn copy(&self) -> DiskCopy {
        let state = self.0.lock();
        let durable = state.files.iter().map(|(path, content)| (path.clone(), content.lock().durable.clone()));
        DiskCopy(durable.filter(|(_, bytes)| !bytes.is_empty()).collect())
    }

    /// It is again what it was. Only while its machine is off.
    ///
    /// # Panics
    /// If this machine's own disk fails.
    pub fn put_back(&self, copy: &DiskCopy) {
        let mut state = self.0.lock();
        for path in state.files.keys().filter(|path| is_mirrored(path)) {
            std::fs::remove_file(path).expect("a file that can be removed");
        }
        state.names.clear();
        let content = |(path, bytes): (&PathBuf, &Vec<u8>)| {
            if is_mirrored(path) {
                std::fs::File::create(path).expect("a file that can be made");
            }
            let content = Content { bytes: bytes.clone(), durable: bytes.clone(), ..Content::default() };
            (path.clone(), Arc::new(Mutex::new(content)))
        };
        state.files = copy.0.iter().map(content).collect();
    }

    /// What goes wrong from now on.
    pub fn faults(&self, faults: DiskFaults) {
        self.0.lock().faults = faults;
    }

    /// Its machine crashes: from now on nothing is written, whoever tries.
    pub fn cut(&self) {
        let mut state = self.0.lock();
        (state.cut, state.void) = (true, true);
    }

    /// Is it cut off?
    pub fn is_cut(&self) -> bool {
        self.0.lock().cut
    }

    /// Syncs so far.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// The power is back: what a crash leaves is what is there.
    pub fn back(&self) {
        let mut state = self.0.lock();
        let state = &mut *state;
        state.life += 1;
        (state.cut, state.void, state.misread) = (false, false, false);
        let kept = state.dice.below(state.names.len() as u64 + 1) as usize;
        for change in state.names.drain(..).skip(kept).collect::<Vec<_>>().into_iter().rev() {
            match change {
                NameChange::Made(path) => drop(state.files.remove(&path)),
                NameChange::Gone(path, content) => drop(state.files.insert(path, content)),
                NameChange::Moved { from, to, covered } => {
                    if let Some(content) = state.files.remove(&to) {
                        state.files.insert(from, content);
                    }
                    if let Some(covered) = covered {
                        state.files.insert(to, covered);
                    }
                }
            }
        }
        for content in state.files.values() {
            let mut content = content.lock();
            content.crash(&mut state.dice, state.faults.damage_percent);
            content.salt = state.dice.throw() | 1;
        }
    }

    /// Has it hurt its machine: is it cut off, or has a read failed, or something rotted?
    pub fn is_hurt(&self) -> bool {
        let state = self.0.lock();
        state.cut || state.misread || state.files.values().any(|content| !content.lock().rot.is_empty())
    }

    /// From now on so many bytes more fit; `None`: as many as anybody likes.
    pub fn room(&self, more: Option<u64>) {
        let mut state = self.0.lock();
        state.room = more.map(|more| state.used() + more);
    }

    /// Flips a bit that was written long ago. Gives in which file.
    pub fn rot(&self) -> Option<String> {
        let mut state = self.0.lock();
        // What is written last cannot be told from a torn write: nobody promises to survive its rot.
        let is_newest = |path: &Path| {
            let mut files = state.files.keys().filter(|p| is_mirrored(p) && p.extension() == path.extension());
            files.next_back().is_some_and(|newest| newest == path)
        };
        let old: Vec<_> = state
            .files
            .iter()
            .filter(|(path, content)| !is_newest(path) && !content.lock().durable.is_empty())
            .map(|(path, content)| (path.clone(), content.clone()))
            .collect();
        let (path, content) = old.get(state.dice.below(old.len() as u64) as usize)?;
        let mut content = content.lock();
        let at = state.dice.below(content.durable.len().min(content.bytes.len()) as u64) as usize;
        let bit = 1 << state.dice.below(8);
        content.flip(at, bit);
        content.rot.push((at, bit));
        Some(path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
    }

    /// Undoes all rot.
    pub fn mend(&self) {
        for content in self.0.lock().files.values() {
            let mut content = content.lock();
            for (at, bit) in std::mem::take(&mut content.rot) {
                content.flip(at, bit);
            }
        }
    }
}

impl Content {
    fn sectors(at: usize, len: usize) -> std::ops::Range<usize> {
        at / SECTOR..(at + len).div_ceil(SECTOR)
    }

    fn flip(&mut self, at: usize, bit: u8) {
        for bytes in [&mut self.bytes, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bit;
            }
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.rot.retain(|(rotten, _)| !(at..at + bytes.len()).contains(rotten));
        if self.bytes.len() < at + bytes.len() {
            self.bytes.resize(at + bytes.len(), 0);
        }
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.dirty.extend(Self::sectors(at, bytes.len()));
    }

    fn set_len(&mut self, len: usize) {
        let (low, high) = (len.min(self.bytes.len()), len.max(self.bytes.len()));
        self.rot.retain(|(rotten, _)| *rotten < len);
        self.bytes.resize(len, 0);
        self.dirty.extend(Self::sectors(low, high - low));
    }

    fn sync(&mut self) {
        // Only what changed is copied: a log file is large and its changes are small.
        self.durable.resize(self.bytes.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(self.bytes.len());
            if range.start < range.end {
                self.durable[range.clone()].copy_from_slice(&self.bytes[range]);
            }
        }
    }

    fn crash(&mut self, dice: &mut Dice, damage_percent: u64) {
        let dirty = std::mem::take(&mut self.dirty);
        if dirty.is_empty() && self.bytes.len() == self.durable.len() {
            return;
        }
        let new = std::mem::replace(&mut self.bytes, self.durable.clone());
        let byte = |bytes: &[u8], at: usize| bytes.get(at).copied().unwrap_or(0);
        for sector in dirty {
            let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(new.len()));
            if from >= to {
                continue;
            }
            let kept = match (dice.percent(damage_percent), dice.below(3)) {
                (false, _) => to,
                (true, 0) => dice.between(from as u64, to as u64) as usize, // torn
                (true, _) => from,
            };
            if kept > from {
                if self.bytes.len() < kept {
                    self.bytes.resize(kept, 0);
                }
                for at in from..kept {
                    self.bytes[at] = byte(&new, at);
                }
            }
        }
        self.durable = self.bytes.clone();
    }
}

/// The log's folder is listed by the engine itself.
fn is_mirrored(path: &Path) -> bool {
    path.parent().is_some_and(|dir| dir.ends_with("log"))
}

impl Files for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let mut state = self.0.lock();
        if state.cut {
            return Err(off());
        }
        if !state.files.contains_key(path) {
            if is_mirrored(path) {
                std::fs::File::create(path)?;
            } else {
                state.names.push(NameChange::Made(path.to_owned()));
            }
            state.files.insert(path.to_owned(), Arc::default());
        }
        state.handle(self, path)
    }

    fn open(&self, path: &Path, _write: bool) -> io::Result<Arc<dyn OpenFile>> {
        let mut state = self.0.lock();
        if state.cut {
            return Err(off());
        }
        state.handle(self, path)
    }

    fn delete(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.cut {
            return Err(off());
        }
        let content = state.files.remove(path).ok_or(io::ErrorKind::NotFound)?;
        if is_mirrored(path) {
            std::fs::remove_file(path)?;
        } else {
            state.names.push(NameChange::Gone(path.to_owned(), content));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.cut {
            return Err(off());
        }
        let content = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        let covered = state.files.insert(to.to_owned(), content);
        if is_mirrored(from) {
            std::fs::rename(from, to)?;
        } else {
            state.names.push(NameChange::Moved { from: from.to_owned(), to: to.to_owned(), covered });
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.0.lock();
        if state.cut {
            return Err(off());
        }
        Ok(state.files.keys().filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.cut {
            return Err(off());
        }
        state.names.retain(|change| change.dir() != Some(dir));
        Ok(())
    }

    fn delay(&self) -> Duration {
        let mut state = self.0.lock();
        let max = state.faults.delay_ms_max;
        Duration::from_millis(state.dice.below(max + 1))
    }
}

impl State {
    fn handle(&mut self, disk: &SimDisk, path: &Path) -> io::Result<Arc<dyn OpenFile>> {
        let content = self.files.get(path).ok_or(io::ErrorKind::NotFound)?.clone();
        Ok(Arc::new(SimFile { disk: disk.0.clone(), content, life: self.life }))
    }

    /// This went wrong, and nothing more is done.
    fn fail(&mut self, what: &str) -> io::Error {
        (self.cut, self.void) = (true, true);
        io::Error::other(what.to_owned())
    }

    fn used(&self) -> u64 {
        self.files.values().map(|c| c.lock().bytes.len() as u64).sum()
    }
}

struct SimFile {
    disk: Arc<Mutex<State>>,
    content: Arc<Mutex<Content>>,
    life: u64,
}

impl SimFile {
    fn work<R: Default>(&self, f: impl FnOnce(&mut State) -> io::Result<R>) -> io::Result<R> {
        let mut state = self.disk.lock();
        if state.void || state.life != self.life {
            return Ok(R::default());
        }
        if state.cut {
            return Err(off());
        }
        f(&mut state)
    }
}

impl OpenFile for SimFile {
    fn read_at(&self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.work(|state| {
            let content = self.content.lock();
            if content.salt != 0 && Dice::of(content.salt, at).ppm(state.faults.read_ppm) {
                state.misread = true;
                return Err(io::Error::other("a read failed"));
            }
            let at = (at as usize).min(content.bytes.len());
            let n = buf.len().min(content.bytes.len() - at);
            buf[..n].copy_from_slice(&content.bytes[at..at + n]);
            Ok(n)
        })
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.work(|state| {
            let ppm = state.faults.write_ppm;
            if state.dice.ppm(ppm) {
                return Err(state.fail("a write failed"));
            }
            let end = at + bytes.len() as u64;
            let grows = end.saturating_sub(self.content.lock().bytes.len() as u64);
            if grows > 0 && state.room.is_some_and(|room| state.used() + grows > room) {
                return Err(state.fail("the disk is full"));
            }
            self.content.lock().write(at as usize, bytes);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.work(|_| Ok(self.content.lock().bytes.len() as u64))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.work(|_| {
            self.content.lock().set_len(len as usize);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.work(|state| {
            state.syncs += 1;
            let DiskFaults { sync_ppm, cut_ppm, .. } = state.faults;
            if state.dice.ppm(cut_ppm) {
                return Err(state.fail("the power went"));
            }
            if state.dice.ppm(sync_ppm) {
                return Err(state.fail("a sync failed"));
            }
            self.content.lock().sync();
            Ok(())
        })
    }
}
