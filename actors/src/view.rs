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
//! 3. A hash that is there is that of its page; a name that is there is that of its area.

#![expect(
    clippy::indexing_slicing,
    reason = "a page's place in its area and an area's in its block are remainders; blocks are grown before they are looked at"
)]

use std::sync::{Arc, OnceLock};

use crate::{
    module::Module,
    pages::{self, PAGE},
    shell::Shell,
};

/// Pages of an area: what a snapshot writes again if one of them has changed.
pub(crate) const PAGES: usize = 16;
/// Areas of a block: what is copied in one piece of words when a part of it changes that others see.
const AREAS: usize = 16;

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
    /// What a snapshot calls these bytes; whoever has written them says so.
    pub(crate) name: OnceLock<[u8; 32]>,
}

/// A page that differs from the base, or did once.
struct Page {
    bytes: Box<[u8]>,
    hash: OnceLock<[u8; 32]>,
}

impl Page {
    fn new(bytes: &[u8]) -> Arc<Page> {
        Arc::new(Page { bytes: bytes.into(), hash: OnceLock::new() })
    }
}

impl Area {
    /// The pages that differ from the base or did once, with their numbers in the area.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let pages = self.pages.iter().enumerate();
        pages.filter_map(|(n, page)| page.as_deref().map(|page| (n, &*page.bytes)))
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
            Some(page) => &page.bytes,
            None => module.base.page(index, len),
        }
    }

    fn own(&self, index: usize) -> Option<&Arc<Page>> {
        self.area(index / PAGES)?.pages[index % PAGES].as_ref()
    }

    /// The memory is larger now: what is new is as at birth.
    pub(crate) fn grow(&mut self, size: usize) {
        let (last, len) = (self.size / PAGE, self.size % PAGE);
        self.size = size;
        self.blocks.resize(self.areas().div_ceil(AREAS), Arc::default());
        // What was the last page and short is longer.
        if len > 0 && self.own(last).is_some() {
            let mut longer = [0; PAGE];
            let longer = &mut longer[..PAGE.min(size - last * PAGE)];
            longer[..len].copy_from_slice(self.own(last).map_or(&[], |page| &page.bytes));
            self.put(last, longer);
        }
    }

    /// This is what the page is now.
    pub(crate) fn put(&mut self, index: usize, bytes: &[u8]) {
        let n = index / PAGES;
        let block = Arc::make_mut(&mut self.blocks[n / AREAS]);
        let area = Arc::make_mut(block.0[n % AREAS].get_or_insert_default());
        area.name = OnceLock::new();
        let place = &mut area.pages[index % PAGES];
        match place.as_mut().and_then(Arc::get_mut) {
            Some(page) if page.bytes.len() == bytes.len() => {
                page.bytes.copy_from_slice(bytes);
                page.hash = OnceLock::new();
            }
            _ => *place = Some(Page::new(bytes)),
        }
    }

    /// A hash over an area's pages. Only pages that changed since somebody asked are hashed.
    pub(crate) fn hash_area(&self, module: &Module, n: usize) -> [u8; 32] {
        let pages = n * PAGES..((n + 1) * PAGES).min(pages::count(self.size));
        let mut hashes = [[0; 32]; PAGES];
        let count = pages.len();
        for (hash, index) in hashes.iter_mut().zip(pages) {
            *hash = match self.own(index) {
                Some(page) => *page.hash.get_or_init(|| *blake3::hash(&page.bytes).as_bytes()),
                None => module.base.hash(index, (self.size - index * PAGE).min(PAGE)),
            };
        }
        *blake3::hash(hashes[..count].as_flattened()).as_bytes()
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
            Some(marked) => marked.into_iter().for_each(|index| self.put_back(shell, module, index)),
            None => (0..pages::count(self.size)).for_each(|index| self.put_back(shell, module, index)),
        }
        shell.set_globals(&self.globals).is_some()
    }

    /// Brings another instance here, whatever it was.
    #[must_use]
    pub(crate) fn restore_into(&self, fresh: &mut Shell, module: &Module) -> bool {
        if fresh.size() != self.size {
            return false;
        }
        (0..pages::count(self.size)).for_each(|index| self.put_back(fresh, module, index));
        fresh.forget_marks();
        fresh.set_globals(&self.globals).is_some()
    }

    /// A page that is there already is not written.
    fn put_back(&self, shell: &mut Shell, module: &Module, index: usize) {
        let page = pages::of_mut(shell.memory_mut(), index);
        let good = self.page(module, index, page.len());
        if page != good {
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
