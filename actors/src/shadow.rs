//! What is needed to take an event back: memory and globals as of the last good event, and which pages have changed since the
//! last root.
//!
//! Owns: copies of pages that differ from the module's base, their hashes, and views of them that stay as they are. Does not
//! know handles; those undo themselves.
//!
//! Which pages an event has written says the guest itself, where its module was rewritten to do so (`module::marking`); of
//! other modules every page is compared.
//!
//! 1. After [`Shadow::take`] and after [`Shadow::keep`] the shadow is equal to the instance, but for bits that flipped by themselves.
//! 2. A page that is as at birth costs a word, not a copy.
//! 3. A hash that is there is that of the shadow's page.
//! 4. What a [`View`] or an area that was given out shows never changes: a page that others see is replaced, not written.
//! 5. A page that changed although nobody wrote it is taken for written by [`Shadow::scrub`], in the turn of its area: then the root
//!    shows it.

#![expect(
    clippy::indexing_slicing,
    reason = "`page % PAGES` is below PAGES, and areas are grown before they are looked at"
)]

use std::sync::{Arc, OnceLock};

use crate::{
    module::Module,
    pages::{self, PAGE},
    shell::Shell,
};

/// Pages of an area: what a snapshot writes again if one of them has changed.
pub(crate) const PAGES: usize = 16;
/// Areas that are compared for each root although nobody says that they were written: all of a memory of 2 MiB ..
const SCRUBBED_WHOLE: usize = 32;
/// .. and 512 KiB of a larger one.
const SCRUBBED: usize = 8;

/// Memory and globals as of the last good event.
pub(crate) struct Shadow {
    areas: Vec<Slot>,
    size: usize,
    globals: Vec<u128>,
    /// Whose turn it is to be compared.
    turn: usize,
}

#[derive(Clone, Default)]
struct Slot {
    /// `None`: as at birth.
    area: Option<Arc<Area>>,
    /// The hash over its pages' hashes. `None`: changed since the last root.
    hash: Option<[u8; 32]>,
}

/// Neighbouring pages, some of which differ from the base or did once.
#[derive(Clone, Default)]
pub(crate) struct Area {
    pages: [Shaded; PAGES],
    /// What a snapshot calls these bytes; whoever has written them says so.
    pub(crate) name: OnceLock<[u8; 32]>,
}

#[derive(Clone, Default)]
struct Shaded {
    /// `None`: as at birth.
    copy: Option<Arc<[u8]>>,
    /// `None`: changed since the last root.
    hash: Option<[u8; 32]>,
}

impl Area {
    /// The copy of a page of the memory. `None`: as at birth.
    fn copy(&self, index: usize) -> Option<&[u8]> {
        self.pages[index % PAGES].copy.as_deref()
    }

    /// The pages that differ from the base or did once, with their numbers in the area.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.pages.iter().enumerate().filter_map(|(n, page)| page.copy.as_deref().map(|copy| (n, copy)))
    }
}

impl Shadow {
    /// Of an instance as it is.
    pub(crate) fn take(shell: &mut Shell, module: &Module) -> Shadow {
        let mut shadow = Shadow { areas: Vec::new(), size: 0, globals: Vec::new(), turn: 0 };
        shell.forget_marks();
        shadow.keep_pages(shell, module, None);
        shadow
    }

    /// The instance has changed for good.
    pub(crate) fn keep(&mut self, shell: &mut Shell, module: &Module) {
        let marked = shell.take_marks();
        self.keep_pages(shell, module, marked);
    }

    /// `None`: any page may have changed.
    fn keep_pages(&mut self, shell: &mut Shell, module: &Module, marked: Option<Vec<usize>>) {
        self.globals = shell.globals();
        let memory = shell.memory();
        self.grow(memory.len());
        let Some(marked) = marked else {
            (0..pages::count(memory.len())).for_each(|index| self.look(memory, module, index));
            return;
        };
        marked.into_iter().for_each(|index| self.look(memory, module, index));
    }

    /// Compares pages that nobody says were written with what the shadow has: those of the areas whose turn it is.
    pub(crate) fn scrub(&mut self, shell: &Shell, module: &Module) {
        let memory = shell.memory();
        let areas = self.areas.len();
        for _ in 0..if areas <= SCRUBBED_WHOLE { areas } else { SCRUBBED } {
            self.turn = (self.turn + 1) % areas;
            let first = self.turn * PAGES;
            (first..first + PAGES).for_each(|index| self.look(memory, module, index));
        }
    }

    fn grow(&mut self, size: usize) {
        assert!(size >= self.size, "a memory never shrinks");
        if size == self.size {
            return;
        }
        // What was the last page and short is now longer: its copy and its hash are of fewer bytes. It is looked at again.
        let last = self.size / PAGE;
        let short = !self.size.is_multiple_of(PAGE);
        self.size = size;
        self.areas.resize(pages::count(size).div_ceil(PAGES), Slot::default());
        // An area that was not whole has more pages now.
        if let Some(slot) = self.areas.get_mut(last / PAGES) {
            slot.hash = None;
            if short && let Some(area) = &mut slot.area {
                let area = Arc::make_mut(area);
                area.name = OnceLock::new();
                let page = &mut area.pages[last % PAGES];
                page.hash = None;
                if let Some(copy) = &mut page.copy {
                    let mut longer = copy.to_vec();
                    longer.resize(PAGE.min(size - last * PAGE), 0);
                    *copy = longer.into();
                }
            }
        }
    }

    /// Takes over a page if it differs.
    fn look(&mut self, memory: &[u8], module: &Module, index: usize) {
        let page = pages::of(memory, index);
        if page.is_empty() || page == self.page(module, index, page.len()) {
            return;
        }
        let slot = &mut self.areas[index / PAGES];
        slot.hash = None;
        let area = Arc::make_mut(slot.area.get_or_insert_default());
        area.name = OnceLock::new();
        let shaded = &mut area.pages[index % PAGES];
        shaded.hash = None;
        match shaded.copy.as_mut().and_then(Arc::get_mut) {
            Some(copy) if copy.len() == page.len() => copy.copy_from_slice(page),
            _ => shaded.copy = Some(page.into()),
        }
    }

    /// Brings the instance back. `false` if its memory has grown, which cannot be taken back in the same instance.
    #[must_use]
    pub(crate) fn restore(&self, shell: &mut Shell, module: &Module) -> bool {
        take_back(shell, self.size, &self.globals, |index, len| self.page(module, index, len))
    }

    /// Brings another instance to where the shadow is, whatever it was.
    #[must_use]
    pub(crate) fn restore_into(&self, fresh: &mut Shell, module: &Module) -> bool {
        if fresh.size() != self.size {
            return false;
        }
        (0..pages::count(self.size)).for_each(|index| put_back(fresh, index, |len| self.page(module, index, len)));
        fresh.forget_marks();
        fresh.set_globals(&self.globals).is_some()
    }

    /// Bytes of memory as of the last good event.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// The globals as of the last good event.
    pub(crate) fn globals(&self) -> &[u128] {
        &self.globals
    }

    /// Pages that differ from the module's base, or did once.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let areas = self.areas.iter().enumerate();
        let areas = areas.filter_map(|(n, slot)| slot.area.as_deref().map(|area| (n * PAGES, area)));
        areas.flat_map(|(first, area)| area.touched().map(move |(n, page)| (first + n, page)))
    }

    /// The areas in which something differs or did once, as they are now.
    pub(crate) fn touched_areas(&self) -> Vec<(u32, Arc<Area>)> {
        let areas = self.areas.iter().enumerate();
        areas.filter_map(|(n, slot)| slot.area.clone().map(|area| (n as u32, area))).collect()
    }

    /// All of it, as it is now.
    pub(crate) fn view(&self) -> View {
        let areas = self.areas.iter().map(|slot| slot.area.clone()).collect();
        View { areas, size: self.size, globals: self.globals.clone() }
    }

    /// A snapshot has this name for an area as it is.
    pub(crate) fn named(&self, area: u32, name: [u8; 32]) {
        if let Some(area) = self.areas.get(area as usize).and_then(|slot| slot.area.as_ref()) {
            // It may have that name already.
            _ = area.name.set(name);
        }
    }

    /// Feeds the hash of every area, in order. Only pages that changed since the last time are hashed, and the areas that they
    /// are in.
    pub(crate) fn hash_areas(&mut self, module: &Module, out: &mut blake3::Hasher) {
        // In one piece: of many small ones none is hashed beside another.
        let mut hashes = Vec::with_capacity(self.areas.len() * blake3::OUT_LEN);
        for n in 0..self.areas.len() {
            let hash = match self.areas[n].hash {
                Some(hash) => hash,
                None => {
                    let hash = self.hash_area(module, n);
                    self.areas[n].hash = Some(hash);
                    hash
                }
            };
            hashes.extend_from_slice(&hash);
        }
        out.update(&hashes);
    }

    fn hash_area(&mut self, module: &Module, n: usize) -> [u8; 32] {
        let first = n * PAGES;
        let pages = PAGES.min(pages::count(self.size) - first);
        let mut out = blake3::Hasher::new();
        for index in first..first + pages {
            let len = (self.size - index * PAGE).min(PAGE);
            let known = self.areas[n].area.as_ref().and_then(|area| area.pages[index % PAGES].hash);
            let hash = known.unwrap_or_else(|| page_hash(self.page(module, index, len)));
            out.update(&hash);
            // Kept where nobody else sees the area; in a view of it a hash is of no use.
            if let (None, Some(area)) = (known, self.areas[n].area.as_mut().and_then(Arc::get_mut)) {
                area.pages[index % PAGES].hash = Some(hash);
            }
        }
        *out.finalize().as_bytes()
    }

    fn page<'a>(&'a self, module: &'a Module, index: usize, len: usize) -> &'a [u8] {
        shown(self.areas.get(index / PAGES).and_then(|slot| slot.area.as_ref()), module, index, len)
    }
}

/// A page as its area has it, or as at birth.
fn shown<'a>(area: Option<&'a Arc<Area>>, module: &'a Module, index: usize, len: usize) -> &'a [u8] {
    area.and_then(|area| area.copy(index)).unwrap_or_else(|| module.base.page(index, len))
}

/// Brings an instance back to such pages and globals, of which it has written what it has marked. `false` if its memory has grown.
fn take_back<'a>(shell: &mut Shell, size: usize, globals: &[u128], good: impl Fn(usize, usize) -> &'a [u8]) -> bool {
    if shell.size() != size {
        return false;
    }
    let back = |shell: &mut Shell, index| put_back(shell, index, |len| good(index, len));
    match shell.take_marks() {
        Some(marked) => marked.into_iter().for_each(|index| back(shell, index)),
        None => (0..pages::count(size)).for_each(|index| back(shell, index)),
    }
    shell.set_globals(globals).is_some()
}

/// A page that is there already is not written.
fn put_back<'a>(shell: &mut Shell, index: usize, good: impl FnOnce(usize) -> &'a [u8]) {
    let page = pages::of_mut(shell.memory_mut(), index);
    let good = good(page.len());
    if page != good {
        page.copy_from_slice(good);
    }
}

/// Memory and globals as they were at one moment.
pub(crate) struct View {
    areas: Vec<Option<Arc<Area>>>,
    size: usize,
    globals: Vec<u128>,
}

impl View {
    /// Bytes of memory.
    pub(crate) fn size(&self) -> usize {
        self.size
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

    /// Takes back what was written in an instance that was here. `false`: it has more memory.
    #[must_use]
    pub(crate) fn restore(&self, shell: &mut Shell, module: &Module) -> bool {
        take_back(shell, self.size, &self.globals, |index, len| self.page(module, index, len))
    }

    /// The pages that are not those of another view, or of the base.
    fn pages_beside<'a>(&'a self, other: Option<&'a View>) -> impl Iterator<Item = usize> + 'a {
        let there = move |n: usize| other.and_then(|other| other.areas.get(n)?.as_ref());
        let areas = self.areas.iter().enumerate().map(move |(n, area)| (n, area.as_ref(), there(n)));
        let apart = areas.filter(|(_, own, other)| own.map(Arc::as_ptr) != other.map(Arc::as_ptr));
        apart.flat_map(|(n, own, other)| {
            (n * PAGES..(n + 1) * PAGES).filter(move |index| {
                let copy = |area: Option<&'a Arc<Area>>| area.and_then(|area| area.copy(*index)).map(<[u8]>::as_ptr);
                copy(own) != copy(other)
            })
        })
    }

    fn page<'a>(&'a self, module: &'a Module, index: usize, len: usize) -> &'a [u8] {
        shown(self.areas.get(index / PAGES).and_then(Option::as_ref), module, index, len)
    }
}

/// The hash of one page. Most pages of most memories are zero, and their hash is known.
pub(crate) fn page_hash(page: &[u8]) -> [u8; 32] {
    static OF_ZERO: OnceLock<[u8; 32]> = OnceLock::new();
    if page.len() == PAGE && pages::is_zero(page) {
        return *OF_ZERO.get_or_init(|| *blake3::hash(&pages::ZERO).as_bytes());
    }
    *blake3::hash(page).as_bytes()
}
