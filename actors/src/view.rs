//! Memory and globals as they were at one moment, in pieces that are shared until they differ.
//!
//! ```text
//! view ─┬─► block ─┬─► area ─┬─► page     4 KiB, and its hash once somebody wanted it
//!       │ 1 MiB    │ 64 KiB  └─► -        as at birth
//!       └─► block  └─► -                  all of it as at birth
//! ```
//!
//! Owns: that tree, what of it is as at birth, and how an instance is brought to it. Does not know why anything has changed.
//!
//! 1. A view is taken with a word for each block, and from then on never changes: what others see is replaced, not written.
//! 2. A page that is as at birth costs a word, not a copy.
//! 3. A hash that is there is that of its page or chunk; a name that is there is that of its area.

#![expect(
    clippy::indexing_slicing,
    reason = "a page's place in its area and an area's in its block are remainders; blocks are grown before they are looked at"
)]

use std::sync::{Arc, OnceLock};

use crate::{
    hashes::{self, CHUNK, CHUNKS, Hash},
    module::Module,
    pages::{self, PAGE},
    shell::Shell,
};

/// Pages of an area: what a snapshot writes again if one of them has changed.
pub(crate) const PAGES: usize = 16;
/// Areas of a block: what is copied in one piece of words when a part of it changes that others see.
const AREAS: usize = 16;

/// Others may have found some of them meanwhile, who found the same.
fn keep<'a>(places: impl IntoIterator<Item = &'a OnceLock<Hash>>, found: Vec<Hash>) {
    places.into_iter().zip(found).for_each(|(place, hash)| _ = place.set(hash));
}

/// Hashes pages that nobody has hashed yet: those of their chunks that changed since, and what is over them.
fn hash(pages: &[(&Page, &OnceLock<Hash>)]) {
    let (chunks, places): (Vec<_>, Vec<_>) = pages.iter().flat_map(|(page, _)| page.unhashed()).unzip();
    keep(places, hashes::many(&chunks));
    let rows: Vec<_> = pages.iter().map(|(page, _)| page.row()).collect();
    keep(pages.iter().map(|(_, place)| *place), hashes::rows::<CHUNKS, { CHUNKS * 32 }>(&rows));
}

/// Memory and globals.
#[derive(Clone, Default)]
pub(crate) struct View {
    blocks: Vec<Arc<Block>>,
    size: usize,
    pub(crate) globals: Vec<u128>,
}

/// Neighbouring areas. `None`: as at birth.
#[derive(Clone, Default)]
struct Block([Option<Arc<Area>>; AREAS]);

/// Neighbouring pages, some of which differ from the base or did once. `None`: as at birth.
#[derive(Clone, Default)]
pub(crate) struct Area {
    pages: [Option<Arc<Page>>; PAGES],
    /// Of the pages that are there. Here and not in each of them, so that to hash an area does not go through all of its pages.
    hashes: [OnceLock<Hash>; PAGES],
    /// See [`Area::name`].
    name: OnceLock<[u8; 32]>,
}

/// A page that differs from the base, or did once.
#[derive(Clone)]
struct Page {
    chunks: [OnceLock<Hash>; CHUNKS],
    /// The last page of a memory may be shorter; beyond it are zeros.
    len: usize,
    bytes: [u8; PAGE],
}

impl Page {
    fn new(bytes: &[u8]) -> Page {
        let mut page = Page { chunks: Default::default(), len: bytes.len(), bytes: [0; PAGE] };
        page.bytes[..bytes.len()].copy_from_slice(bytes);
        page
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The same page with other bytes, as many as before. What has not changed keeps its hash.
    fn put(&mut self, bytes: &[u8]) {
        for ((old, new), hash) in self.bytes.chunks_mut(CHUNK).zip(bytes.chunks(CHUNK)).zip(&mut self.chunks) {
            let old = &mut old[..new.len()];
            if old != new {
                old.copy_from_slice(new);
                *hash = OnceLock::new();
            }
        }
    }

    /// The chunks whose hash nobody has wanted yet.
    fn unhashed(&self) -> impl Iterator<Item = (&[u8; CHUNK], &OnceLock<Hash>)> {
        let chunks = self.bytes.as_chunks().0.iter();
        chunks.zip(&self.chunks).filter(|(_, hash)| hash.get().is_none())
    }

    /// The chunks' hashes, which are known.
    fn row(&self) -> [Hash; CHUNKS] {
        self.chunks.each_ref().map(|hash| hash.get().copied().unwrap_or_default())
    }
}

impl Area {
    /// The pages that differ from the base or did once, with their numbers in the area.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let pages = self.pages.iter().enumerate();
        pages.filter_map(|(n, page)| page.as_deref().map(|page| (n, page.bytes())))
    }

    /// What a snapshot calls these bytes, if one has them.
    pub(crate) fn name(&self) -> Option<[u8; 32]> {
        self.name.get().copied()
    }

    /// A snapshot has these bytes under this name. It may have said so already.
    pub(crate) fn named(&self, name: [u8; 32]) {
        _ = self.name.set(name);
    }

    /// The pages whose hash nobody has wanted yet.
    fn unhashed(&self) -> impl Iterator<Item = (&Page, &OnceLock<Hash>)> {
        let unhashed = self.pages.iter().zip(&self.hashes).filter(|(_, hash)| hash.get().is_none());
        unhashed.filter_map(|(page, hash)| page.as_deref().map(|page| (page, hash)))
    }
}

impl View {
    /// Bytes of memory.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// How many areas it has, touched or not.
    pub(crate) fn areas(&self) -> usize {
        pages::count(self.size).div_ceil(PAGES)
    }

    /// An area in which something differs from the base, or did once.
    pub(crate) fn area(&self, n: usize) -> Option<&Area> {
        self.shared_area(n).map(|area| &**area)
    }

    fn shared_area(&self, n: usize) -> Option<&Arc<Area>> {
        self.blocks.get(n / AREAS)?.0[n % AREAS].as_ref()
    }

    /// The areas in which something differs or did once, with their numbers.
    pub(crate) fn touched_areas(&self) -> impl Iterator<Item = (usize, &Area)> {
        (0..self.areas()).filter_map(|n| Some((n, self.area(n)?)))
    }

    /// Pages that differ from the base, or did once, with their numbers.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.touched_areas().flat_map(|(n, area)| area.touched().map(move |(page, bytes)| (n * PAGES + page, bytes)))
    }

    /// A page as it was.
    pub(crate) fn page<'a>(&'a self, module: &'a Module, index: usize, len: usize) -> &'a [u8] {
        match self.own(index) {
            Some(page) => page.bytes(),
            None => module.base.page(index, len),
        }
    }

    fn own(&self, index: usize) -> Option<&Arc<Page>> {
        self.area(index / PAGES)?.pages[index % PAGES].as_ref()
    }

    /// The memory is larger now: what is new is as at birth.
    pub(crate) fn grow(&mut self, size: usize) {
        let last = self.size / PAGE;
        self.size = size;
        self.blocks.resize(self.areas().div_ceil(AREAS), Arc::default());
        // What was the last page and short is longer.
        if let Some(page) = self.own(last).cloned() {
            self.put(last, &page.bytes[..PAGE.min(size - last * PAGE)]);
        }
    }

    /// This is what the page is now.
    pub(crate) fn put(&mut self, index: usize, bytes: &[u8]) {
        let n = index / PAGES;
        let block = Arc::make_mut(&mut self.blocks[n / AREAS]);
        let area = Arc::make_mut(block.0[n % AREAS].get_or_insert_default());
        area.name = OnceLock::new();
        area.hashes[index % PAGES] = OnceLock::new();
        match &mut area.pages[index % PAGES] {
            Some(page) if page.len == bytes.len() => Arc::make_mut(page).put(bytes),
            place => *place = Some(Arc::new(Page::new(bytes))),
        }
    }

    /// Hashes these pages, if that is not done yet. It takes least time while they are in a cache.
    pub(crate) fn hash_pages(&self, pages: &[usize]) {
        let place = |n: &usize| {
            let area = self.area(n / PAGES)?;
            Some((area.pages[n % PAGES].as_deref()?, &area.hashes[n % PAGES]))
        };
        hash(&pages.iter().filter_map(place).filter(|(_, hash)| hash.get().is_none()).collect::<Vec<_>>());
    }

    /// Hashes over these areas' pages. Only chunks that changed since somebody asked are hashed.
    pub(crate) fn hash_areas(&self, module: &Module, areas: &[usize]) -> Vec<Hash> {
        hash(&areas.iter().filter_map(|n| self.area(*n)).flat_map(Area::unhashed).collect::<Vec<_>>());
        let rows: Vec<_> = areas.iter().map(|n| self.row(module, *n)).collect();
        hashes::rows::<PAGES, { PAGES * 32 }>(&rows)
    }

    /// The hashes of an area's pages, of which those that differ from the base are known; zeros behind the memory.
    fn row(&self, module: &Module, n: usize) -> [Hash; PAGES] {
        let (area, first) = (self.area(n), n * PAGES);
        let mut row = [Hash::default(); PAGES];
        let count = PAGES.min(pages::count(self.size) - first);
        for (at, place) in row.iter_mut().enumerate().take(count) {
            let known = area.filter(|area| area.pages[at].is_some()).and_then(|area| area.hashes[at].get());
            *place = known.copied().unwrap_or_else(|| module.base.hash(first + at));
        }
        row
    }

    /// Brings an instance here that is at `from`, or at its base. `None`: it has more memory, or other globals.
    pub(crate) fn put_into(&self, shell: &mut Shell, module: &Module, from: Option<&View>) -> Option<()> {
        shell.grow_to(self.size).ok().filter(|()| shell.size() == self.size)?;
        let memory = shell.memory_mut();
        for index in self.pages_beside(from) {
            let page = pages::of_mut(memory, index);
            page.copy_from_slice(self.page(module, index, page.len()));
        }
        shell.set_globals(&self.globals)
    }

    /// Takes back what was written in an instance that was here. `false` if its memory has grown, which cannot be taken back in the
    /// same instance.
    #[must_use]
    pub(crate) fn restore(&self, shell: &mut Shell, module: &Module) -> bool {
        if shell.size() != self.size {
            return false;
        }
        match shell.take_marks() {
            Some(marked) => marked.into_iter().for_each(|(index, len)| self.put_back(shell, module, index, len)),
            None => self.put_all_back(shell, module),
        }
        shell.set_globals(&self.globals).is_some()
    }

    /// Brings another instance here, whatever it was.
    #[must_use]
    pub(crate) fn restore_into(&self, fresh: &mut Shell, module: &Module) -> bool {
        if fresh.size() != self.size {
            return false;
        }
        self.put_all_back(fresh, module);
        fresh.forget_marks();
        fresh.set_globals(&self.globals).is_some()
    }

    fn put_all_back(&self, shell: &mut Shell, module: &Module) {
        (0..pages::count(self.size)).for_each(|index| self.put_back(shell, module, index, PAGE));
    }

    /// Puts back a page that differs in its first bytes, of which there may be fewer. One that is there already is not written.
    fn put_back(&self, shell: &mut Shell, module: &Module, index: usize, len: usize) {
        let page = pages::of_mut(shell.memory_mut(), index);
        let good = self.page(module, index, page.len());
        let len = len.min(page.len());
        if page[..len] != good[..len] {
            page.copy_from_slice(good);
        }
    }

    /// The pages that are not those of another view, or of the base.
    fn pages_beside<'a>(&'a self, other: Option<&'a View>) -> impl Iterator<Item = usize> + 'a {
        let apart = move |n: &usize| {
            let there = other.and_then(|other| other.shared_area(*n));
            self.shared_area(*n).map(Arc::as_ptr) != there.map(Arc::as_ptr)
        };
        let pages = (0..self.areas()).filter(apart).flat_map(|n| n * PAGES..(n + 1) * PAGES);
        pages.filter(move |index| {
            self.own(*index).map(Arc::as_ptr) != other.and_then(|other| other.own(*index)).map(Arc::as_ptr)
        })
    }
}
