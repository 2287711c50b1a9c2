//! Linear memory seen as pages, and the memory that every instance of a module starts with.
//!
//! Owns: the page size of undo, roots and images. Does not know instances.
//!
//! 1. A page is 4 KiB; the last one of a memory may be shorter.
//! 2. What lies beyond the stored bytes of a [`Base`] is zero.

#![expect(
    clippy::indexing_slicing,
    reason = "each bound is cut to what it is a bound of; a page has at most PAGE bytes"
)]

use std::sync::OnceLock;

use crate::hashes::{self, Hash};

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;

/// A page that begins where pages of memory do. A copy whose source lies a little before its target, modulo 4096, is several times
/// slower: each load has to wait for the store before it, for the processor takes them for the same place.
#[derive(Clone)]
#[repr(align(4096))]
struct Aligned([u8; PAGE]);

/// A page of zeros.
static ZERO: Aligned = Aligned([0; PAGE]);

/// How many pages hold so many bytes.
pub(crate) fn count(bytes: usize) -> usize {
    bytes.div_ceil(PAGE)
}

/// The part of `memory` that is page `index`. Empty if there is none.
pub(crate) fn of(memory: &[u8], index: usize) -> &[u8] {
    let start = (index * PAGE).min(memory.len());
    &memory[start..(start + PAGE).min(memory.len())]
}

/// The same, to write.
pub(crate) fn of_mut(memory: &mut [u8], index: usize) -> &mut [u8] {
    let start = (index * PAGE).min(memory.len());
    let end = (start + PAGE).min(memory.len());
    &mut memory[start..end]
}

/// The memory that every instance of a module starts with.
pub(crate) struct Base {
    /// Up to the last one that is not zero.
    pages: Vec<Aligned>,
    /// Of those pages, once somebody wanted them.
    hashes: Vec<OnceLock<Hash>>,
    size: usize,
}

impl Base {
    /// From a fresh instance.
    pub(crate) fn capture(memory: &[u8]) -> Base {
        let used = (0..count(memory.len())).rev().find(|i| !is_zero(of(memory, *i))).map_or(0, |i| i + 1);
        let mut pages = vec![ZERO.clone(); used];
        for (index, page) in pages.iter_mut().enumerate() {
            let there = of(memory, index);
            page.0[..there.len()].copy_from_slice(there);
        }
        Base { pages, hashes: vec![OnceLock::new(); used], size: memory.len() }
    }

    /// Bytes of memory at birth.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The first `len` bytes of page `index` at birth; zeros beyond the memory.
    pub(crate) fn page(&self, index: usize, len: usize) -> &[u8] {
        debug_assert!(len <= PAGE);
        &self.pages.get(index).unwrap_or(&ZERO).0[..len]
    }

    /// The hash of that page, with zeros where the memory has ended.
    pub(crate) fn hash(&self, index: usize) -> Hash {
        static OF_ZERO: OnceLock<Hash> = OnceLock::new();
        let page = self.pages.get(index).unwrap_or(&ZERO);
        *self.hashes.get(index).unwrap_or(&OF_ZERO).get_or_init(|| hashes::page(&page.0))
    }
}

/// Is it all zeros?
pub(crate) fn is_zero(page: &[u8]) -> bool {
    page == &ZERO.0[..page.len()]
}
