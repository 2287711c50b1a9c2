//! The difference between a memory and its module's base, as bytes.
//!
//! ```text
//!  0            4        6
//!  | chunk      | count  | count · 64 bytes ...    the last chunk of a memory may be shorter
//! ```
//!
//! 1. Runs come in order and do not overlap: the same difference gives the same bytes.
//! 2. [`apply`] writes nothing outside of the memory, whatever it is given.

use crate::pages::{self, Base, PAGE};

/// Bytes of a chunk.
const CHUNK: usize = 64;

/// Writes the difference of one page after another.
pub(crate) struct Writer<'a> {
    base: &'a Base,
    /// The page that chunks are counted from.
    first: usize,
    out: Vec<u8>,
    /// Where the open run's count stands, and the chunk after it.
    run: Option<(usize, u32)>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(base: &'a Base) -> Writer<'a> {
        Writer::from(base, 0)
    }

    /// Chunks are counted from this page on.
    pub(crate) fn from(base: &'a Base, first: usize) -> Writer<'a> {
        Writer { base, first, out: Vec::new(), run: None }
    }

    /// Page `index` is now `page`. Pages come in order.
    pub(crate) fn page(&mut self, index: usize, page: &[u8]) {
        let base = self.base.page(index, page.len());
        if page == base {
            return;
        }
        for (n, (new, old)) in page.chunks(CHUNK).zip(base.chunks(CHUNK)).enumerate() {
            if new != old {
                self.chunk(((index - self.first) * (PAGE / CHUNK) + n) as u32, new);
            }
        }
    }

    #[expect(clippy::indexing_slicing, reason = "`at` is where the run's count was written, and `out` only grows")]
    fn chunk(&mut self, chunk: u32, bytes: &[u8]) {
        match self.run {
            Some((at, next)) if next == chunk && self.count(at) < u16::MAX => {
                let count = self.count(at) + 1;
                self.out[at..at + 2].copy_from_slice(&count.to_le_bytes());
                self.run = Some((at, chunk + 1));
            }
            _ => {
                self.out.extend_from_slice(&chunk.to_le_bytes());
                self.run = Some((self.out.len(), chunk + 1));
                self.out.extend_from_slice(&1u16.to_le_bytes());
            }
        }
        self.out.extend_from_slice(bytes);
    }

    #[expect(clippy::indexing_slicing, reason = "`at` is where the run's count was written, and `out` only grows")]
    fn count(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.out[at], self.out[at + 1]])
    }

    /// The bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// Puts a difference into a memory that is at its base. `None` if it is not one of such a memory.
pub(crate) fn apply(delta: &[u8], memory: &mut [u8]) -> Option<()> {
    runs(delta, memory, |place, _, bytes| place.copy_from_slice(bytes))
}

/// Takes a difference out again: the memory is at its base where it was put in.
pub(crate) fn revert(delta: &[u8], base: &Base, memory: &mut [u8]) -> Option<()> {
    runs(delta, memory, |mut place, mut at, _| {
        while !place.is_empty() {
            let within = at % PAGE;
            let len = place.len().min(PAGE - within);
            let (front, rest) = place.split_at_mut(len);
            #[expect(clippy::indexing_slicing, reason = "a page is given as long as it was asked for")]
            front.copy_from_slice(&base.page(at / PAGE, within + len)[within..]);
            (place, at) = (rest, at + len);
        }
    })
}

/// Each run's place in the memory, where that is, and its bytes.
fn runs(mut delta: &[u8], memory: &mut [u8], mut run: impl FnMut(&mut [u8], usize, &[u8])) -> Option<()> {
    while !delta.is_empty() {
        let (front, rest) = delta.split_first_chunk::<6>()?;
        let start = (u32::from_le_bytes([front[0], front[1], front[2], front[3]]) as usize).checked_mul(CHUNK)?;
        let len = usize::from(u16::from_le_bytes([front[4], front[5]])) * CHUNK;
        let place = memory.get_mut(start..)?;
        let len = len.min(place.len());
        let (bytes, rest) = rest.split_at_checked(len)?;
        if bytes.is_empty() {
            return None;
        }
        run(place.get_mut(..len)?, start, bytes);
        delta = rest;
    }
    Some(())
}

/// Writes every page of a memory.
pub(crate) fn of_memory(base: &Base, memory: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(base);
    for index in 0..pages::count(memory.len()) {
        writer.page(index, pages::of(memory, index));
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_brings_the_memory_back_whatever_its_size() {
        for size in [1, 63, 64, 100, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 7] {
            let mut memory: Vec<u8> = (0..size).map(|i| (i / 100) as u8).collect();
            let base = Base::capture(&memory);
            for at in [0, size / 2, size - 1] {
                memory[at] ^= 0xff;
            }
            memory.extend_from_slice(&[0, 0, 5]);
            let delta = of_memory(&base, &memory);
            let mut again: Vec<u8> = Vec::new();
            for index in 0..pages::count(memory.len()) {
                again.extend_from_slice(base.page(index, pages::of(&memory, index).len()));
            }
            let fresh = again.clone();
            apply(&delta, &mut again).unwrap();
            assert_eq!(again, memory, "size {size}");
            revert(&delta, &base, &mut again).unwrap();
            assert_eq!(again, fresh, "size {size}");
        }
    }

    #[test]
    fn a_memory_at_its_base_has_no_delta() {
        let memory = vec![3; 2 * PAGE + 1];
        assert!(of_memory(&Base::capture(&memory), &memory).is_empty());
    }

    #[test]
    fn bytes_that_are_no_delta_are_refused_and_write_nothing_outside() {
        let mut memory = vec![0; 128];
        for bad in [&[0, 0][..], &[0, 0, 0, 0, 1, 0, 9], &[9, 0, 0, 0, 1, 0], &[0, 0, 0, 0, 0, 0], &[255; 6]] {
            assert_eq!(apply(bad, &mut memory), None, "{bad:?}");
        }
    }

    #[test]
    fn neighbouring_chunks_share_a_run() {
        let base = Base::capture(&[0; PAGE]);
        let mut memory = vec![0; PAGE];
        memory[10..200].fill(1);
        assert_eq!(of_memory(&base, &memory).len(), 6 + 4 * CHUNK);
    }
}
