//! Hashes of many short pieces, wherever they lie: a processor makes eight of them in the time of one.
//!
//! Owns: what the hash of a piece is. Does not know what is a piece of what: whoever hashes hashes of pieces does so with pieces of
//! another length, so that no row of hashes is taken for bytes.
//!
//! BLAKE3 hashes an input as a tree over chunks of 1 KiB, and the chunks of one input beside each other. What an event writes and
//! what an entry holds is short and spread, so it is the chunks alone that are wanted here. What the hash of a chunk is says
//! `blake3::hazmat`, one at a time; many at a time is what the crate does inside, with the same result. That is no part of what it
//! promises, so its version is fixed, and the test below compares the two.
//!
//! 1. The same bytes have the same hash, whoever hashes how many beside them, on every processor.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::disallowed_methods
    )
)]

use blake3::{IncrementCounter, platform::Platform};

/// The hash of a piece: the chaining value of a first chunk that is not the root.
pub type Hash = [u8; 32];

/// What a chunk's first block and its last are marked with, and what it starts from: see the BLAKE3 paper, 2.2 and 2.4.
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 2;
const IV: [u32; 8] =
    [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];

/// The hashes of these, in their order. A piece is of whole blocks of 64 bytes, and of 1 KiB at most.
pub fn many<const BYTES: usize>(pieces: &[&[u8; BYTES]]) -> Vec<Hash> {
    const { assert!(BYTES > 0 && BYTES.is_multiple_of(64) && BYTES <= 1024) };
    let mut hashes = vec![Hash::default(); pieces.len()];
    let out = hashes.as_flattened_mut();
    Platform::detect().hash_many(pieces, &IV, 0, IncrementCounter::No, 0, CHUNK_START, CHUNK_END, out);
    hashes
}

#[cfg(test)]
mod tests {
    use blake3::{Hasher, hazmat::HasherExt};

    use super::*;

    /// One at a time, by what the crate promises.
    fn one(piece: &[u8]) -> Hash {
        Hasher::new().update(piece).finalize_non_root()
    }

    fn are_what_the_crate_promises<const BYTES: usize>() {
        let bytes: Vec<u8> = (0..40 * BYTES as u64).map(|n| (n.wrapping_mul(0x9E37_79B9) >> 13) as u8).collect();
        let pieces: Vec<&[u8; BYTES]> = bytes.as_chunks().0.iter().collect();
        let alone: Vec<Hash> = pieces.iter().map(|piece| one(*piece)).collect();
        for count in [0, 1, 2, 3, 4, 7, 8, 9, 16, 40] {
            assert_eq!(many(&pieces[..count]), alone[..count], "{count} pieces of {BYTES} bytes");
        }
    }

    #[test]
    fn many_hashes_are_those_of_each_alone() {
        are_what_the_crate_promises::<64>();
        are_what_the_crate_promises::<128>();
        are_what_the_crate_promises::<256>();
        are_what_the_crate_promises::<512>();
        are_what_the_crate_promises::<1024>();
    }
}
