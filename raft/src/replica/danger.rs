//! Entries that kill the process which applies them: not a fault of the guest, which is undone, but of the host.
//!
//! ```text
//! before a batch reaches the machine, it stands in the slot of its replica (`crate::disk::applying`)
//! the process dies: the next one applies what stood there one by one, each in the slot before
//! it dies again:    that one entry is deadly here. It is not applied before it is decided what becomes of it
//! ```
//!
//! Owns: what is deadly here, and waiting. Does not know: who decides, and how ([`crate::groups::poison`]).
//!
//! 1. An entry is deadly only where two processes have died while they applied it, the second time it alone.
//! 2. What is deadly is applied by nobody here, until a committed [`crate::types::Command::Skip`] says that nobody does, or the replica is
//!    rebuilt from others that have applied it.
//! 3. Before an entry is applied it is looked up whether the log skips it. An uncommitted skip is waited for.
//! 4. A panic is no death: the replica stops, and its slot is erased.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Core;
use super::apply::Item;
use crate::disk::applying::{Place, Trace};

/// How often it is looked whether it is decided.
const LOOK: Duration = Duration::from_millis(20);
/// No index.
const NONE: u64 = u64::MAX;

/// What is deadly, or may be.
pub(crate) struct Danger {
    place: Place,
    /// From and up to where entries are applied one by one.
    alone: Mutex<Option<(u64, u64)>>,
    deadly: AtomicU64,
    ending: AtomicBool,
}

impl Danger {
    pub(crate) fn new(place: Place) -> Danger {
        let (alone, deadly) = match place.found {
            Some(Trace { first, again: true, .. }) => (None, first),
            Some(Trace { first, last, .. }) => (Some((first, last)), NONE),
            None => (None, NONE),
        };
        Danger { place, alone: Mutex::new(alone), deadly: AtomicU64::new(deadly), ending: AtomicBool::new(false) }
    }

    /// What this node has died of twice.
    pub(crate) fn deadly(&self) -> Option<u64> {
        Some(self.deadly.load(Ordering::Relaxed)).filter(|index| *index != NONE)
    }

    /// May the process have died of something that is not applied yet?
    pub(crate) fn is_awaited(&self) -> bool {
        self.deadly().is_some() || self.alone.lock().is_some()
    }

    /// Nobody waits any more.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    fn is_alone(&self, index: u64) -> bool {
        self.alone.lock().is_some_and(|(first, last)| (first..=last).contains(&index))
    }
}

/// Something is being applied, as long as this is there.
pub(crate) struct Exposed<'a>(&'a Core);

impl Drop for Exposed<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.0.danger.place.done() {
            self.0.disk.unless_damage("what is being applied could not be written", &e);
        }
    }
}

impl Core {
    /// What can be applied in one go: up to the first entry that must be alone, or that one.
    pub(crate) fn piece(&self, rest: &mut VecDeque<Item>) -> Vec<Item> {
        let calm = self.danger.deadly().is_none() && self.danger.alone.lock().is_none() && !self.log.has_skips();
        if calm {
            return std::mem::take(rest).into();
        }
        let alone = |item: &Item| {
            let index = item.0.log_id.index;
            self.danger.deadly() == Some(index) || self.danger.is_alone(index) || self.log.skip_of(index).is_some()
        };
        let count = match rest.iter().position(alone) {
            Some(0) => 1,
            Some(first) => first,
            None => rest.len(),
        };
        rest.drain(..count).collect()
    }

    /// Waits until it is decided whether this entry is applied. Where it can be, at once.
    pub(crate) async fn decided(&self, index: u64) -> io::Result<()> {
        loop {
            match self.log.skip_of(index) {
                Some(true) => return Ok(()),
                None if self.danger.deadly() != Some(index) => return Ok(()),
                _ => {}
            }
            if let Some(why) = self.halted() {
                return Err(io::Error::other(why));
            }
            if self.danger.ending.load(Ordering::Relaxed) {
                return Err(io::Error::other("the replica is ending"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// These entries are applied from here on until what is returned is dropped. `None`: what stands in the slot says more, for
    /// it is of an entry behind these.
    pub(crate) fn expose(&self, first: u64, last: u64) -> io::Result<Option<Exposed<'_>>> {
        let ahead = self.danger.alone.lock().is_some_and(|(first, _)| last < first);
        if ahead || self.danger.deadly().is_some() {
            return Ok(None);
        }
        let trace = Trace { first, last, again: first == last && self.danger.is_alone(first) };
        let begun = self.danger.place.begin(trace);
        begun.inspect_err(|e| self.disk.unless_damage("what is being applied could not be written", e))?;
        Ok(Some(Exposed(self)))
    }

    /// All up to here was applied or skipped, or is in a snapshot, and the process lives.
    pub(crate) fn survived(&self, index: u64) {
        if self.danger.deadly().is_some_and(|deadly| deadly <= index) {
            self.danger.deadly.store(NONE, Ordering::Relaxed);
            self.log.suspect(None);
            drop(Exposed(self));
        }
        let mut alone = self.danger.alone.lock();
        alone.take_if(|(_, last)| *last <= index);
    }

    /// What became of an entry here: deadly, applied.
    pub(crate) fn fate(&self, index: u64) -> (bool, bool) {
        let skipped = self.log.skip_of(index).is_some();
        (self.danger.deadly() == Some(index), self.applied() >= index && !skipped)
    }
}
