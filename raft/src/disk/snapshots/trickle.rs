//! A file that grows, and reaches the disk little by little.
//!
//! Owns: when what was appended is flushed. Does not know what it is.
//!
//! 1. Not more than [`DUE_BYTES`] wait for the disk at once: whoever else waits for it, the log above all, waits for no more than that.

use std::io;
use std::sync::Arc;

use pando_abi::planted::{Bug, planted};

use crate::files::OpenFile;

/// Bytes that are flushed together: some milliseconds of an ordinary disk.
const DUE_BYTES: u64 = 1 << 20;

/// See the module.
pub(super) struct Trickle {
    out: Arc<dyn OpenFile>,
    end: u64,
    flushed: u64,
}

impl Trickle {
    /// At the beginning of a new file.
    pub(super) fn new(out: Arc<dyn OpenFile>) -> Trickle {
        Trickle { out, end: 0, flushed: 0 }
    }

    /// Bytes so far.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_at(self.end, bytes)?;
        self.end += bytes.len() as u64;
        if self.end - self.flushed >= DUE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Returns when all of it is on the disk.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.flushed < self.end && !planted(Bug::SnapshotNotSynced) {
            self.out.sync()?;
            self.flushed = self.end;
        }
        Ok(())
    }
}
