//! What is being applied right now: for the next process, if this one dies of it.
//!
//! ```text
//! APPLYING: a slot of 64 bytes for each replica
//!  0       4     8        16      24     32
//!  | crc32 | how | region | first | last | nothing ...
//! how: 1 in one go, 2 one entry, which had been in a slot before
//! ```
//!
//! Owns: the file. Does not know: what is made of it ([`crate::replica::danger`]).
//!
//! 1. A slot is written before the entries reach the machine and erased behind them: two small writes for a batch, and none
//!    is synced. It outlives the process, and not the power.
//! 2. A slot that is not whole says nothing.
//! 3. Behind a door to another disk, as in a simulation, there is none: its crashes are those of the power.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::files::{Files, OpenFile, SystemFiles, read_all};

const SLOT: usize = 64;
const USED: usize = 32;
/// Slots that are read at most.
const SLOTS_MAX: usize = 1 << 16;

/// What a process was applying when it died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// It was one entry, and known to be dangerous.
    pub(crate) again: bool,
}

/// The file.
pub(crate) struct Applying {
    file: Option<Arc<dyn OpenFile>>,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    found: BTreeMap<u64, Trace>,
    of: BTreeMap<u64, u64>,
    free: BTreeSet<u64>,
    next: u64,
}

/// The slot of one replica.
pub(crate) struct Place {
    file: Option<Arc<dyn OpenFile>>,
    at: u64,
    region: u64,
    /// What was found in it.
    pub(crate) found: Option<Trace>,
}

fn pack(region: u64, trace: Trace) -> [u8; SLOT] {
    let mut out = [0; SLOT];
    let how = if trace.again { 2u32 } else { 1 };
    let words = [&how.to_le_bytes()[..], &region.to_le_bytes(), &trace.first.to_le_bytes(), &trace.last.to_le_bytes()];
    let words = words.concat();
    if let Some((sum, rest)) = out.split_first_chunk_mut::<4>() {
        rest.iter_mut().zip(&words).for_each(|(to, from)| *to = *from);
        *sum = crc32fast::hash(&words).to_le_bytes();
    }
    out
}

fn unpack(slot: &[u8]) -> Option<(u64, Trace)> {
    let (sum, words) = slot.get(..USED)?.split_first_chunk::<4>()?;
    if crc32fast::hash(words) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (how, rest) = words.split_first_chunk::<4>()?;
    let number = |n: usize| Some(u64::from_le_bytes(*rest.get(n * 8..)?.first_chunk::<8>()?));
    let again = match u32::from_le_bytes(*how) {
        1 => false,
        2 => true,
        _ => return None,
    };
    let (region, trace) = (number(0)?, Trace { first: number(1)?, last: number(2)?, again });
    (trace.first <= trace.last).then_some((region, trace))
}

impl Applying {
    /// Reads what the process before left. `on`: the disk is the system's.
    pub(crate) fn open(path: &Path, on: bool) -> io::Result<Applying> {
        if !on {
            return Ok(Applying { file: None, places: Mutex::default() });
        }
        let file = SystemFiles.create(path)?;
        let bytes = read_all(&SystemFiles, path)?;
        let mut places = Places::default();
        for (at, slot) in (0..).zip(bytes.chunks(SLOT).take(SLOTS_MAX)) {
            places.next = at + 1;
            match unpack(slot) {
                Some((region, trace)) if !places.found.contains_key(&region) => {
                    places.found.insert(region, trace);
                    places.of.insert(region, at);
                }
                _ => _ = places.free.insert(at),
            }
        }
        Ok(Applying { file: Some(file), places: Mutex::new(places) })
    }

    /// The slot of a replica: the one where it was found, or another. What was found is told once.
    pub(crate) fn place(&self, region: u64) -> Place {
        let mut places = self.places.lock();
        let at = match places.of.get(&region) {
            Some(at) => *at,
            None => {
                let next = places.next;
                let at = places.free.pop_first().unwrap_or(next);
                places.next = next.max(at + 1);
                places.of.insert(region, at);
                at
            }
        };
        let found = places.found.remove(&region);
        Place { file: self.file.clone(), at: at * SLOT as u64, region, found }
    }

    /// The replica is deleted.
    pub(crate) fn forget(&self, region: u64) -> io::Result<()> {
        let mut places = self.places.lock();
        let Some(at) = places.of.remove(&region) else { return Ok(()) };
        if let Some(file) = &self.file {
            file.write_at(at * SLOT as u64, &[0; SLOT])?;
        }
        places.free.insert(at);
        Ok(())
    }
}

impl Place {
    /// From now on this is being applied.
    pub(crate) fn begin(&self, trace: Trace) -> io::Result<()> {
        match &self.file {
            Some(file) => file.write_at(self.at, &pack(self.region, trace)),
            None => Ok(()),
        }
    }

    /// Nothing is.
    pub(crate) fn done(&self) -> io::Result<()> {
        match &self.file {
            Some(file) => file.write_at(self.at, &[0; USED]),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_being_applied_is_found_by_the_next_process_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("APPLYING");
        let traces = [Trace { first: 4, last: 9, again: false }, Trace { first: 7, last: 7, again: true }];
        {
            let applying = Applying::open(&path, true).unwrap();
            let places: Vec<Place> = (2..6).map(|region| applying.place(region)).collect();
            assert!(places.iter().all(|place| place.found.is_none()));
            places[0].begin(traces[0]).unwrap();
            places[1].begin(traces[0]).unwrap();
            places[1].done().unwrap();
            places[2].begin(traces[1]).unwrap();
            places[3].begin(traces[1]).unwrap();
            applying.forget(5).unwrap();
        }
        let applying = Applying::open(&path, true).unwrap();
        let found: Vec<Option<Trace>> = (2..6).map(|region| applying.place(region).found).collect();
        assert_eq!(found, [Some(traces[0]), None, Some(traces[1]), None]);
        // Another replica takes none of the places that say something.
        assert_eq!((applying.place(9).found, applying.place(4).found), (None, None));
        assert_eq!(Applying::open(&path, true).unwrap().place(4).found, Some(traces[1]));
    }

    #[test]
    fn a_slot_that_is_not_whole_says_nothing() {
        let whole = pack(3, Trace { first: 1, last: 2, again: true });
        assert!(unpack(&whole).is_some());
        for at in 0..USED {
            let mut torn = whole;
            torn[at] ^= 1;
            assert_eq!(unpack(&torn), None);
        }
        assert_eq!((unpack(&[0; SLOT]), unpack(&whole[..20])), (None, None));
        assert_eq!(unpack(&pack(3, Trace { first: 3, last: 2, again: false })), None);
    }
}
