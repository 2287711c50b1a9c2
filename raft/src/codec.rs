//! The one door through which foreign bytes become values.
//!
//! Everything on disk and wire is rkyv behind this door: length cap first, then validation, then an
//! owned value. Only scalars, `Vec` and enums stand in those types.
//!
//! 1. No bytes make [`decode`] panic or allocate more than a small multiple of their length.
//! 2. What [`encode`] wrote, [`decode`] reads.

pub(crate) mod record;
pub(crate) mod wire;

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};
use thiserror::Error as ThisError;

/// What the places of all that is encoded are multiples of.
const ALIGNMENT: usize = 16;

/// Bytes that are not what they should be.
#[derive(Debug, ThisError, PartialEq, Eq)]
pub(crate) enum Malformed {
    #[error("{len} bytes, over the limit of {max}")]
    TooLong { len: usize, max: usize },
    #[error("not a valid {what}: {why}")]
    Invalid { what: &'static str, why: String },
    #[error("{0}")]
    Meaning(String),
}

/// The bytes of a value, appended to `out`.
pub(crate) fn encode_into<T>(value: &T, mut out: Vec<u8>) -> Vec<u8>
where
    T: for<'a> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, Error>>,
{
    out.extend_from_slice(&encode(value));
    out
}

/// The bytes of a value.
#[expect(clippy::expect_used, reason = "serialising plain vectors and enums into memory fails only where memory ends")]
pub(crate) fn encode<T>(value: &T) -> Vec<u8>
where
    T: for<'a> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, Error>>,
{
    rkyv::api::high::to_bytes_in::<_, Error>(value, Vec::new()).expect("serialising into memory")
}

/// The value in `bytes`, if they are at most `max` and hold one.
pub(crate) fn decode<T>(what: &'static str, bytes: &[u8], max: usize) -> Result<T, Malformed>
where
    T: Archive,
    T::Archived: for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<T, HighDeserializer<Error>>,
{
    if bytes.len() > max {
        return Err(Malformed::TooLong { len: bytes.len(), max });
    }
    let decoded = if bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
        rkyv::from_bytes::<T, Error>(bytes)
    } else {
        let mut aligned = AlignedVec::<ALIGNMENT>::with_capacity(bytes.len());
        aligned.extend_from_slice(bytes);
        rkyv::from_bytes::<T, Error>(&aligned)
    };
    decoded.map_err(|e| Malformed::Invalid { what, why: e.to_string() })
}

#[cfg(test)]
mod tests;
