//! Hashes of chunks, pages and areas, many at a time.
//!
//! Owns: the tree from a memory's bytes up to its areas. Does not know which of them have changed.
//!
//! ```text
//! chunk = H(1 KiB)      page = H(its chunks' hashes)      area = H(its pages' hashes)
//! ```
//!
//! H is BLAKE2s with the level as its node depth, for that is a hash of which a processor makes eight beside each other, of eight
//! inputs that lie anywhere. BLAKE3 is as wide, but only over one input of 8 KiB and more, and what an event writes is short and
//! spread: a page at a time it took four times as long, of which three quarters went into what nobody had written.
//!
//! 1. The same bytes have the same hash, whoever hashes how many beside them.

use blake2s_simd::{
    Params,
    many::{HashManyJob, hash_many},
};

/// Bytes of a chunk: what is hashed again if one of them has changed.
pub(crate) const CHUNK: usize = 1024;

pub(crate) type Hash = [u8; 32];

/// What is hashed.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Chunk,
    Page,
    Area,
}

/// The hashes of these, in their order.
pub(crate) fn many<'a>(level: Level, inputs: impl Iterator<Item = &'a [u8]>) -> Vec<Hash> {
    let mut params = Params::new();
    params.node_depth(level as u8);
    let mut jobs: Vec<_> = inputs.map(|input| HashManyJob::new(&params, input)).collect();
    hash_many(&mut jobs);
    jobs.iter().map(|job| *job.to_hash().as_array()).collect()
}

/// The hash of one page.
pub(crate) fn page(bytes: &[u8]) -> Hash {
    let chunks = many(Level::Chunk, bytes.chunks(CHUNK));
    let page = many(Level::Page, std::iter::once(chunks.as_flattened()));
    page.first().copied().unwrap_or_default()
}
