//! How ids of the contract stand in the root group's log and image, and the one codec for both.
//!
//! Owns: rkyv's view of types of `pando-abi`, which itself depends on nothing. Does not know: what the rows mean.
//!
//! 1. The same value gives the same bytes on every machine: little-endian, no padding that is not zero, no hash maps.
//! 2. What travels alone is framed, so that a torn one is never taken for another: rkyv reads from the end, and the front
//!    of one value can look like a whole other.
//!
//!    ```text
//!     0        4        8
//!     | format | length | rkyv ...
//!    ```
//! 3. Bytes are capped, then validated, then read. What is wrong with them is told to this node's log only: rkyv's words
//!    hold memory addresses, which differ between replicas.

use pando_abi::{ActorId, Address, Home, ModuleHash, NodeId, RealmId};
use rkyv::{
    Archive, Deserialize, Serialize,
    api::high::{HighDeserializer, HighSerializer, HighValidator},
    bytecheck::CheckBytes,
    rancor::Error,
    ser::allocator::ArenaHandle,
    util::AlignedVec,
};

macro_rules! remote {
    ($def:ident = $ty:ident($inner:ty)) => {
        #[derive(Archive, Serialize, Deserialize)]
        #[rkyv(remote = $ty)]
        pub struct $def(pub $inner);

        impl From<$def> for $ty {
            fn from(def: $def) -> $ty {
                $ty(def.0)
            }
        }
    };
}
remote!(NodeDef = NodeId(u32));
remote!(ActorDef = ActorId([u8; 16]));
remote!(ModuleDef = ModuleHash([u8; 32]));
remote!(RealmDef = RealmId([u8; 32]));

#[derive(Archive, Serialize, Deserialize)]
#[rkyv(remote = Home)]
#[repr(u8)]
pub enum HomeDef {
    Node,
    Group,
    Service,
}

impl From<HomeDef> for Home {
    fn from(def: HomeDef) -> Home {
        match def {
            HomeDef::Node => Home::Node,
            HomeDef::Group => Home::Group,
            HomeDef::Service => Home::Service,
        }
    }
}

#[derive(Archive, Serialize, Deserialize)]
#[rkyv(remote = Address)]
pub struct AddressDef {
    #[rkyv(with = HomeDef)]
    pub home: Home,
    #[rkyv(with = NodeDef)]
    pub node: NodeId,
    #[rkyv(with = ActorDef)]
    pub id: ActorId,
}

impl From<AddressDef> for Address {
    fn from(def: AddressDef) -> Address {
        Address { home: def.home, node: def.node, id: def.id }
    }
}

/// What can be encoded.
pub trait Encode: for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Error>> {}
impl<T: for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Error>>> Encode for T {}

/// Encodes.
pub fn encode<T: Encode>(value: &T) -> AlignedVec {
    // Encoding to memory fails only when memory does; no bytes are then refused by whoever reads them.
    rkyv::to_bytes::<Error>(value).unwrap_or_default()
}

/// Decodes what a quorum or a disk holds: capped and validated.
pub fn decode<T>(bytes: &[u8], bytes_max: usize) -> Option<T>
where
    T: Archive,
    T::Archived: for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<T, HighDeserializer<Error>>,
{
    if bytes.len() > bytes_max {
        return None;
    }
    // Validation wants the buffer aligned; what comes out of a log is not.
    let mut aligned = AlignedVec::<16>::with_capacity(bytes.len());
    aligned.extend_from_slice(bytes);
    rkyv::from_bytes::<T, Error>(&aligned).inspect_err(|why| tracing::debug!(%why, "malformed bytes")).ok()
}

const FORMAT: u32 = 1;
const FRAME_BYTES: usize = 8;

/// Encodes in a frame.
pub fn encode_framed<T: Encode>(value: &T) -> Vec<u8> {
    let body = encode(value);
    let mut bytes = Vec::with_capacity(FRAME_BYTES + body.len());
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

/// Decodes what [`encode_framed`] gave.
pub fn decode_framed<T>(bytes: &[u8], bytes_max: usize) -> Option<T>
where
    T: Archive,
    T::Archived: for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<T, HighDeserializer<Error>>,
{
    let (frame, body) = bytes.split_first_chunk::<FRAME_BYTES>()?;
    let mut expected = [0; FRAME_BYTES];
    expected[..4].copy_from_slice(&FORMAT.to_le_bytes());
    expected[4..].copy_from_slice(&u32::try_from(body.len()).ok()?.to_le_bytes());
    if *frame == expected { decode(body, bytes_max) } else { None }
}
