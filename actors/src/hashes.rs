//! Hashes of a memory, from its bytes up to its areas.
//!
//! ```text
//! chunk = H(1 KiB)      page = H(its four chunks' hashes)      area = H(its sixteen pages' hashes)
//! ```
//!
//! Owns: that tree. Does not know which of it has changed, nor what H is: see [`pando_pieces`].
//!
//! 1. Where a memory ends within a page or an area, zeros are hashed: how long it is stands in the root.

pub(crate) use pando_pieces::{Hash, many};

use crate::pages::PAGE;

/// Bytes of a chunk: what is hashed again if one of them has changed.
pub(crate) const CHUNK: usize = 1024;
/// Chunks of a page.
pub(crate) const CHUNKS: usize = PAGE / CHUNK;

/// The hashes of rows of hashes.
pub(crate) fn rows<const HASHES: usize, const BYTES: usize>(rows: &[[Hash; HASHES]]) -> Vec<Hash> {
    let flat: Vec<&[u8; BYTES]> = rows.iter().filter_map(|row| row.as_flattened().first_chunk()).collect();
    many(&flat)
}

/// The hash of a page.
pub(crate) fn page(bytes: &[u8; PAGE]) -> Hash {
    let mut row = [Hash::default(); CHUNKS];
    let chunks: Vec<&[u8; CHUNK]> = bytes.as_chunks().0.iter().collect();
    row.iter_mut().zip(many(&chunks)).for_each(|(place, hash)| *place = hash);
    rows::<CHUNKS, { CHUNKS * 32 }>(&[row]).first().copied().unwrap_or_default()
}
