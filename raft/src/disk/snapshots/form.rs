//! What a snapshot says of itself, as bytes.
//!
//! ```text
//!  0        8         12       16             24           32
//!  | magic  | version | crc32  | manifest len | places len | manifest (rkyv) | places (rkyv) |
//! ```
//!
//! The checksum covers everything behind it. What crosses the wire is the manifest, and then parts by their hashes; places
//! are this disk's own.
//!
//! 1. A manifest that was read names at most [`PARTS_MAX`] parts, each of at most [`PART_BYTES_MAX`] bytes, together at most
//!    [`SNAPSHOT_BYTES_MAX`], and members that may be some.
//! 2. The hash of a manifest is the name of the image: it says every byte of it.

use rkyv::{Archive, Deserialize, Serialize};

use crate::codec::record::{LogIdRecord, MembershipRecord};
use crate::codec::{Malformed, decode, encode};
use crate::machine::PART_BYTES_MAX;

const MAGIC: &[u8; 8] = b"PANDOSNP";
const VERSION: u32 = 2;
const HEADER: usize = 32;
/// Bytes of one snapshot.
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 4 << 30;
/// Parts of one snapshot.
pub(crate) const PARTS_MAX: usize = 1 << 17;
/// Bytes of a manifest.
pub(crate) const MANIFEST_BYTES_MAX: usize = PARTS_MAX * size_of::<ArchivedPartRow>() + (64 << 10);
const PLACES_BYTES_MAX: usize = PARTS_MAX * size_of::<ArchivedPlace>() + 64;

/// A part's name: the hash of its bytes.
pub(crate) type Name = [u8; 32];

/// What a snapshot is a snapshot of.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) last: Option<LogIdRecord>,
    pub(crate) membership_at: Option<LogIdRecord>,
    pub(crate) membership: MembershipRecord,
    pub(crate) chain: [u8; 32],
    pub(crate) root: [u8; 32],
    pub(crate) root_index: u64,
}

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct PartRow {
    pub(crate) name: Name,
    pub(crate) len: u32,
}

/// A snapshot without its parts' bytes.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) meta: Meta,
    pub(crate) parts: Vec<PartRow>,
}

/// Where on this disk a part is: in which file of parts, and from where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) file: u64,
    pub(crate) at: u64,
}

fn bad(why: &str) -> Malformed {
    Malformed::Invalid { what: "snapshot", why: why.to_string() }
}

impl Manifest {
    /// From bytes of anybody.
    pub(crate) fn read(bytes: &[u8]) -> Result<Manifest, Malformed> {
        let manifest: Manifest = decode("snapshot manifest", bytes, MANIFEST_BYTES_MAX)?;
        let long = manifest.parts.iter().any(|part| part.len as usize > PART_BYTES_MAX);
        let total: u64 = manifest.parts.iter().map(|part| u64::from(part.len)).sum();
        if manifest.parts.len() > PARTS_MAX || long || total > SNAPSHOT_BYTES_MAX {
            return Err(bad("more bytes than a snapshot has"));
        }
        Ok(manifest)
    }
}

/// The bytes of a snapshot's file.
#[expect(clippy::indexing_slicing, reason = "the first HEADER bytes have just been written")]
pub(crate) fn pack(manifest: &[u8], places: &Vec<Place>) -> Vec<u8> {
    let places = encode(places);
    let mut out = Vec::with_capacity(HEADER + manifest.len() + places.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(manifest.len() as u64).to_le_bytes());
    out.extend_from_slice(&(places.len() as u64).to_le_bytes());
    out.extend_from_slice(manifest);
    out.extend_from_slice(&places);
    let crc = crc32fast::hash(&out[16..]);
    out[12..16].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The parts of a snapshot's file: the manifest as it stands there and as it reads, and where its parts are.
pub(crate) fn unpack(file: &[u8]) -> Result<(&[u8], Manifest, Vec<Place>), Malformed> {
    let number = |at: usize| -> Option<u64> { Some(u64::from_le_bytes(file.get(at..at + 8)?.try_into().ok()?)) };
    let half = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?)) };
    if file.get(..8) != Some(MAGIC.as_slice()) {
        return Err(bad("no snapshot"));
    }
    if half(8) != Some(VERSION) {
        return Err(bad("unknown version"));
    }
    let (Some(crc), Some(first), Some(second)) = (half(12), number(16), number(24)) else {
        return Err(bad("too short"));
    };
    if first > MANIFEST_BYTES_MAX as u64
        || second > PLACES_BYTES_MAX as u64
        || HEADER as u64 + first + second != file.len() as u64
    {
        return Err(bad("wrong length"));
    }
    if file.get(16..).map(crc32fast::hash) != Some(crc) {
        return Err(bad("wrong checksum"));
    }
    let split = HEADER + first as usize;
    let (Some(bytes), Some(places)) = (file.get(HEADER..split), file.get(split..)) else {
        return Err(bad("too short"));
    };
    let manifest = Manifest::read(bytes)?;
    let places: Vec<Place> = decode("snapshot places", places, PLACES_BYTES_MAX)?;
    if places.len() != manifest.parts.len() {
        return Err(bad("not as many places as parts"));
    }
    Ok((bytes, manifest, places))
}
