//! An actor at rest: everything that it is, in bytes.
//!
//! Owns: the form of images, and what must hold of one before it is believed. Does not know instances.
//!
//! ```text
//!  0        8        12       16                               48
//!  | magic  | version| 0      | module hash                    | rkyv of `Rest` ...
//! ```
//!
//! 1. Bytes of anybody may be read: length first, then rkyv's own validation, then ours. What passes is a state that the module's
//!    actors could be in as far as this crate can tell.
//! 2. The same actor gives the same bytes.

use pando_abi::{ActorId, Address, Handle, Home, ModuleHash, NodeId, limits};
use rkyv::{Archive, Deserialize, Serialize, rancor, util::AlignedVec};

use crate::{
    Capability, Module,
    guest::State,
    table::{Kind, Table},
};

const MAGIC: &[u8; 8] = b"pandoimg";
const VERSION: u32 = 2;
const FRONT: usize = 48;
/// Events that an actor can have handled: one each nanosecond for a hundred years.
const EVENTS_MAX: u64 = 1 << 62;
/// A delta repeats its place every 64 KiB or less, and a handle takes less than 128 bytes.
const IMAGE_BYTES_MAX: usize = limits::MEMORY_BYTES_MAX as usize * 5 / 4 + limits::HANDLES_MAX * 128;

/// An actor at rest.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    module: ModuleHash,
    rest: Box<[u8]>,
}

/// Why an image could not be made or taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ImageError {
    /// The bytes are none.
    #[error("these bytes are not an image of an actor: {0}")]
    Malformed(String),
    /// It is an image of another module's actor.
    #[error("the image is of module {image:.8}, not of {module:.8}")]
    OtherModule {
        /// The image's.
        image: ModuleHash,
        /// The one that was given.
        module: ModuleHash,
    },
    /// The actor's memory is over the limit that was given.
    #[error("the image has {found} bytes of memory; the limit is {max}")]
    Memory {
        /// Bytes.
        found: u64,
        /// Bytes.
        max: u64,
    },
    /// Actors of this module have no images.
    #[error("an actor of this module cannot be made into an image: {0}")]
    NoImage(String),
    /// The actor has ended, or its instance could not be had.
    #[error("the actor cannot be made into an image: {0}")]
    Ended(String),
}

/// What an image holds beside the module's name.
#[derive(Archive, Serialize, Deserialize, Debug)]
pub(crate) struct Rest {
    id: [u8; 16],
    home: Place,
    node: u32,
    replicas: u8,
    undo: bool,
    started: bool,
    events: u64,
    inbox: (u32, u32),
    held: Vec<Row>,
    free: Vec<u32>,
    last: [u64; 4],
    open: Vec<(u8, u64)>,
    globals: Vec<u64>,
    pub(crate) memory_bytes: u64,
    delta: Vec<u8>,
}

#[derive(Archive, Serialize, Deserialize, Debug)]
struct Place {
    home: u32,
    node: u32,
    id: [u8; 16],
}

#[derive(Archive, Serialize, Deserialize, Debug)]
struct Row {
    handle: u32,
    capability: [u8; 64],
}

/// Memory and globals of an actor at rest.
pub(crate) struct Rested {
    pub(crate) memory_bytes: usize,
    pub(crate) globals: Vec<u128>,
    pub(crate) delta: Vec<u8>,
}

impl Rested {
    /// Of an actor before its first event.
    pub(crate) fn newborn(module: &Module) -> Rested {
        Rested { memory_bytes: module.base.size(), globals: module.base_globals.clone(), delta: Vec::new() }
    }
}

fn malformed<T>(why: impl Into<String>) -> Result<T, ImageError> {
    Err(ImageError::Malformed(why.into()))
}

impl Image {
    /// The module whose actor this is.
    pub fn module(&self) -> ModuleHash {
        self.module
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FRONT + self.rest.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.module.0);
        out.extend_from_slice(&self.rest);
        out
    }

    /// From bytes of anybody.
    pub fn from_bytes(bytes: &[u8]) -> Result<Image, ImageError> {
        if bytes.len() > IMAGE_BYTES_MAX {
            return malformed(format!("{} bytes are more than any image has", bytes.len()));
        }
        let Some((front, rest)) = bytes.split_first_chunk::<FRONT>() else {
            return malformed("they are too few");
        };
        if front[..8] != *MAGIC {
            return malformed("they do not start as an image does");
        }
        let version = u32::from_le_bytes([front[8], front[9], front[10], front[11]]);
        if version != VERSION || front[12..16] != [0; 4] {
            return malformed(format!("version {version} is not known"));
        }
        let mut module = [0; 32];
        module.copy_from_slice(&front[16..48]);
        let image = Image { module: ModuleHash(module), rest: rest.into() };
        open(&image.rest)?;
        Ok(image)
    }

    pub(crate) fn from_parts(module: ModuleHash, rest: Box<[u8]>) -> Image {
        Image { module, rest }
    }

    pub(crate) fn rest(&self) -> &[u8] {
        &self.rest
    }
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({:.8}, {} bytes)", self.module, self.rest.len())
    }
}

/// State and body as the bytes of [`Rest`].
pub(crate) fn seal(state: &State, body: &Rested) -> Box<[u8]> {
    let table = &state.table;
    let rest = Rest {
        id: state.id.0,
        home: Place { home: state.home.home as u32, node: state.home.node.0, id: state.home.id.0 },
        node: state.node.0,
        replicas: state.replicas,
        undo: state.undo,
        started: state.started,
        events: state.events,
        inbox: state.inbox,
        held: table.held().map(|(h, c)| Row { handle: h.0, capability: c.to_bytes() }).collect(),
        free: table.free().map(|h| h.0).collect(),
        last: table.last(),
        open: Kind::ALL.iter().flat_map(|k| table.opened(*k).iter().map(|id| (*k as u8, *id))).collect(),
        globals: body.globals.iter().flat_map(|g| [*g as u64, (*g >> 64) as u64]).collect(),
        memory_bytes: body.memory_bytes as u64,
        delta: body.delta.clone(),
    };
    match rkyv::to_bytes::<rancor::Error>(&rest) {
        Ok(bytes) => bytes.as_slice().into(),
        #[expect(clippy::unreachable, reason = "the serializer writes to memory and its types have no case that fails")]
        Err(e) => unreachable!("an image could not be written: {e}"),
    }
}

/// Reads what [`seal`] wrote, or what somebody says it did.
pub(crate) fn open(bytes: &[u8]) -> Result<(State, Rested), ImageError> {
    let mut aligned = AlignedVec::<16>::with_capacity(bytes.len());
    aligned.extend_from_slice(bytes);
    let rest: Rest = match rkyv::from_bytes::<Rest, rancor::Error>(&aligned) {
        Ok(rest) => rest,
        Err(e) => return malformed(e.to_string()),
    };
    let Some(home) = Home::from_u32(rest.home.home) else {
        return malformed("its address has an unknown home");
    };
    if rest.memory_bytes > limits::MEMORY_BYTES_MAX
        || u64::from(rest.inbox.0) + u64::from(rest.inbox.1) > rest.memory_bytes
    {
        return malformed("its inbox or its memory is out of bounds");
    }
    if rest.events > EVENTS_MAX {
        return malformed("it has handled more events than anybody could");
    }
    let mut held = Vec::with_capacity(rest.held.len());
    for row in &rest.held {
        match Capability::from_bytes(&row.capability) {
            Some(capability) => held.push((Handle(row.handle), capability)),
            None => return malformed("a handle in it stands for nothing"),
        }
    }
    let mut open: [Vec<u64>; 4] = Default::default();
    for (kind, id) in rest.open {
        match open.get_mut(usize::from(kind)) {
            Some(ids) => ids.push(id),
            None => return malformed("an id in it is of an unknown kind"),
        }
    }
    let Some(table) = Table::from_parts(held.into_iter(), rest.free.into_iter().map(Handle), rest.last, open) else {
        return malformed("its handle table is none");
    };
    if table.get(Handle::SELF).is_none() {
        return malformed("its actor does not hold itself");
    }
    let globals = rest.globals.as_chunks::<2>().0.iter().map(|[low, high]| u128::from(*low) | u128::from(*high) << 64);
    let body = Rested { memory_bytes: rest.memory_bytes as usize, globals: globals.collect(), delta: rest.delta };
    let state = State {
        id: ActorId(rest.id),
        home: Address { home, node: NodeId(rest.home.node), id: ActorId(rest.home.id) },
        node: NodeId(rest.node),
        replicas: rest.replicas,
        undo: rest.undo,
        events: rest.events,
        started: rest.started,
        inbox: rest.inbox,
        table,
    };
    Ok((state, body))
}
