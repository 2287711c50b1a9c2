//! Which plain actors are on this node: a table in shards, found by an id that is uniform already.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pando_abi::ActorId;
use pando_actors::Exit;
use parking_lot::{Mutex, RwLock};

use crate::cell::Cell;

const SHARDS: usize = 16;
/// Ends that are remembered, for those who ask late.
pub(crate) const ENDS_MAX: usize = 4_096;

/// Takes eight bytes of an id as its hash: they are a piece of a BLAKE3 hash, so nothing is gained by another one.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        if let Some(Ok(eight)) = bytes.get(..8).map(<[u8; 8]>::try_from) {
            self.0 = u64::from_le_bytes(eight);
        }
    }
    // The length prefix of an array's hash says nothing.
    fn write_usize(&mut self, _: usize) {}
}

type Shard = RwLock<HashMap<ActorId, Arc<Cell>, BuildHasherDefault<IdHasher>>>;

/// See the module.
pub struct Cells {
    places: usize,
    taken: AtomicUsize,
    shards: [Shard; SHARDS],
    /// Actors that have a name already and no cell yet.
    expected: Mutex<BTreeSet<ActorId>>,
    ends: Mutex<(HashMap<ActorId, Exit, BuildHasherDefault<IdHasher>>, VecDeque<ActorId>)>,
}

impl Cells {
    /// A table for so many.
    pub fn new(places: usize) -> Cells {
        Cells {
            places,
            taken: AtomicUsize::new(0),
            shards: Default::default(),
            expected: Mutex::default(),
            ends: Mutex::default(),
        }
    }

    /// How many actors there may be.
    pub fn places(&self) -> usize {
        self.places
    }

    /// Takes a place for one more actor. `false`: there is none.
    pub fn take_place(&self) -> bool {
        let one_more = |taken| (taken < self.places).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Gives a place back: its actor was not put in.
    pub fn leave_place(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    /// Is there no place?
    pub fn is_full(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.places
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder by the shards' number")]
    fn shard(&self, id: ActorId) -> &Shard {
        &self.shards[id.0[15] as usize % SHARDS]
    }

    /// The actor with this id.
    pub fn get(&self, id: ActorId) -> Option<Arc<Cell>> {
        self.shard(id).read().get(&id).cloned()
    }

    /// An actor gets its name before it runs: until it is put in, it is known as one that comes.
    pub fn expect(&self, id: ActorId) {
        self.expected.lock().insert(id);
    }

    /// It has been put in, or will not be.
    pub fn expect_no_more(&self, id: ActorId) {
        self.expected.lock().remove(&id);
    }

    /// Is this actor here, or coming?
    pub fn is_known(&self, id: ActorId) -> bool {
        self.expected.lock().contains(&id) || self.get(id).is_some()
    }

    /// Puts in an actor, for which a place was taken. `false`: its id was there already.
    pub fn insert(&self, id: ActorId, cell: &Arc<Cell>) -> bool {
        let mut shard = self.shard(id).write();
        if shard.contains_key(&id) {
            return false;
        }
        shard.insert(id, cell.clone());
        true
    }

    /// Takes out an actor, and gives back its place.
    pub fn remove(&self, id: ActorId) {
        if self.shard(id).write().remove(&id).is_some() {
            self.leave_place();
        }
    }

    /// Every actor, in no order that means anything.
    #[expect(clippy::disallowed_methods, reason = "who asks for all wants no order; no machine of a group can ask")]
    pub fn all(&self) -> Vec<Arc<Cell>> {
        self.shards.iter().flat_map(|shard| shard.read().values().cloned().collect::<Vec<_>>()).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// Remembers for a while how an actor ended.
    pub fn remember_end(&self, id: ActorId, exit: &Exit) {
        let mut ends = self.ends.lock();
        let (map, order) = &mut *ends;
        if map.insert(id, exit.clone()).is_none() {
            order.push_back(id);
        }
        while order.len() > ENDS_MAX {
            if let Some(oldest) = order.pop_front() {
                map.remove(&oldest);
            }
        }
    }

    /// Whose ends are remembered, the oldest first.
    pub fn ended(&self) -> Vec<ActorId> {
        self.ends.lock().1.iter().copied().collect()
    }

    /// Is it known of an actor that it has ended?
    pub fn has_ended(&self, id: ActorId) -> bool {
        self.ends.lock().0.contains_key(&id)
    }

    /// How an actor ended, if that is still known.
    pub fn end_of(&self, id: ActorId) -> Option<Exit> {
        self.ends.lock().0.get(&id).cloned()
    }
}
