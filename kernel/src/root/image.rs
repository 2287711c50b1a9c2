//! The state at rest, for a replica that was away too long.
//!
//! Owns: the snapshot's bytes. Does not know: who wants it.
//!
//! ```text
//!  0          8        12       16              48
//!  | pandroot | format | 0      | state's hash  | rows (rkyv) ...
//! ```
//!
//! 1. A state comes back equal, hash included, or not at all.
//! 2. An image is checked like input: capped, validated, every rule of the state held against it.

use pando_abi::RealmId;
use rkyv::{Archive, Deserialize, Serialize};

use super::{
    Root,
    dedupe::{Dedupe, KeptRow},
    index::Index,
    moved::MovedEntry,
    rows::{GroupRecord, MemberEntry, ModuleEntry, NameEntry, TicketEntry, UserEntry},
    table::{Row, Table},
    wire::{self, RealmDef},
};

const MAGIC: &[u8; 8] = b"pandroot";
const FORMAT: u32 = 3;
const HEADER_BYTES: usize = 48;
const IMAGE_BYTES_MAX: usize = 512 << 20;

/// Why an image is not a state.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ImageError {
    /// Other bytes, or torn ones.
    #[error("not an image of a root group")]
    Foreign,
    /// Written by another version.
    #[error("an image of format {0}, and this version reads format {FORMAT}; use the version that wrote it")]
    Format(u32),
    /// Another realm's.
    #[error("an image of realm {0}; this node belongs to another")]
    Realm(RealmId),
    /// It breaks a rule of the state, or its hash is not its own.
    #[error("a damaged image: {0}; restore it from another voter")]
    Damaged(String),
}

#[derive(Archive, Serialize, Deserialize)]
struct Rows {
    #[rkyv(with = RealmDef)]
    realm: RealmId,
    founded: Option<[u8; 32]>,
    next_node: u32,
    version: u64,
    replace_after_ms: u64,
    members: Vec<MemberEntry>,
    users: Vec<UserEntry>,
    tickets: Vec<TicketEntry>,
    names: Vec<NameEntry>,
    modules: Vec<ModuleEntry>,
    groups: Vec<GroupRecord>,
    ended: Vec<GroupRecord>,
    moved: Vec<MovedEntry>,
    seen: Vec<KeptRow>,
}

impl Root {
    /// The whole state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let rows = Rows {
            realm: self.realm,
            founded: self.founded,
            next_node: self.next_node,
            version: self.version,
            replace_after_ms: self.replace_after_ms,
            members: self.members.to_sorted(),
            users: self.users.to_sorted(),
            tickets: self.tickets.to_sorted(),
            names: self.names.to_sorted(),
            modules: self.modules.to_sorted(),
            groups: self.groups.to_sorted(),
            ended: self.ended.to_sorted(),
            moved: self.moved.to_sorted(),
            seen: self.seen.to_rows(),
        };
        let rows = wire::encode(&rows);
        let mut image = Vec::with_capacity(HEADER_BYTES + rows.len());
        image.extend_from_slice(MAGIC);
        image.extend_from_slice(&FORMAT.to_le_bytes());
        image.extend_from_slice(&[0; 4]);
        image.extend_from_slice(&self.hash());
        assert_eq!(image.len(), HEADER_BYTES);
        image.extend_from_slice(&rows);
        image
    }

    /// The state that an image holds.
    ///
    /// # Errors
    /// If it is not an image of `realm`'s root group, or a damaged one.
    pub fn from_snapshot(realm: RealmId, image: &[u8]) -> Result<Root, ImageError> {
        let (header, rows) = image.split_first_chunk::<HEADER_BYTES>().ok_or(ImageError::Foreign)?;
        if header[..8] != *MAGIC {
            return Err(ImageError::Foreign);
        }
        let format = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if format != FORMAT {
            return Err(ImageError::Format(format));
        }
        let rows: Rows = wire::decode(rows, IMAGE_BYTES_MAX).ok_or(ImageError::Foreign)?;
        if rows.realm != realm {
            return Err(ImageError::Realm(rows.realm));
        }
        let mut root = Root {
            realm,
            founded: rows.founded,
            next_node: rows.next_node,
            version: rows.version,
            replace_after_ms: rows.replace_after_ms,
            members: table(rows.members)?,
            users: table(rows.users)?,
            tickets: table(rows.tickets)?,
            names: table(rows.names)?,
            modules: table(rows.modules)?,
            groups: table(rows.groups)?,
            ended: table(rows.ended)?,
            moved: table(rows.moved)?,
            seen: Dedupe::from_rows(rows.seen).ok_or_else(|| ImageError::Damaged("a key twice".into()))?,
            index: Index::default(),
        };
        root.index = root.index_anew();
        root.check().map_err(ImageError::Damaged)?;
        if root.hash() != header[16..48] {
            return Err(ImageError::Damaged("its hash is another state's".into()));
        }
        Ok(root)
    }
}

fn table<R: Row>(rows: Vec<R>) -> Result<Table<R>, ImageError> {
    Table::from_sorted(rows).ok_or_else(|| ImageError::Damaged("rows out of order".into()))
}
