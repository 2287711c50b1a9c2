//! What is needed to take an event back: memory and globals as of the last good event, and which areas have changed since the
//! last root.
//!
//! Owns: when a page is looked at, and the areas' hashes. Does not know handles; those undo themselves.
//!
//! Which pages an event has written says the guest itself, where its module was rewritten to do so (`module::marking`); of
//! other modules every page is compared.
//!
//! 1. After [`Shadow::take`] and after [`Shadow::keep`] the shadow is equal to the instance, but for bits that flipped by themselves.
//! 2. A page that changed although nobody wrote it is taken for written by [`Shadow::scrub`], in the turn of its area: then the root
//!    shows it.

#![expect(
    clippy::indexing_slicing,
    reason = "there is one of everything for each area, and pages are grown before they are looked at"
)]

use crate::{
    hashes::Hash,
    module::Module,
    pages::{self, PAGE},
    shell::Shell,
    view::{PAGES, View},
};

/// Areas that are compared for each root although nobody says that they were written: all of a memory of 256 KiB ..
const SCRUBBED_WHOLE: usize = 4;
/// .. and 64 KiB of a larger one. That is a page for every fourth event between two roots: their own pages are in a cache, these are not.
const SCRUBBED: usize = 1;

/// Pages that are hashed beside each other when the shadow takes them over: so many does a processor hash in the time of one ..
const FRESH: usize = 8;
/// .. as long as somebody wanted a root of one of so many renewals before.
const WANTED: u32 = 32;

/// Areas that are hashed beside each other: enough to be fast, and what it takes meanwhile does not go with the memory.
const HASHED: usize = 64;

/// Memory and globals as of the last good event.
pub(crate) struct Shadow {
    now: View,
    /// Of every area, over its pages' hashes.
    hashes: Vec<Hash>,
    /// The areas whose hash is of before.
    stale: Vec<bool>,
    /// Pages that were taken over and not hashed.
    fresh: Vec<usize>,
    /// Renewals for which pages are hashed while they are in a cache, unless somebody wants a root before.
    wanted: u32,
    /// Whose turn it is to be compared.
    turn: usize,
}

impl Shadow {
    /// Of an instance as it is.
    pub(crate) fn take(shell: &mut Shell, module: &Module) -> Shadow {
        let (now, hashes, stale, fresh) = (View::default(), Vec::new(), Vec::new(), Vec::new());
        let mut shadow = Shadow { now, hashes, stale, fresh, wanted: 0, turn: 0 };
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
    fn keep_pages(&mut self, shell: &mut Shell, module: &Module, marked: Option<Vec<(usize, usize)>>) {
        self.now.globals = shell.globals();
        self.wanted = self.wanted.saturating_sub(1);
        let memory = shell.memory();
        self.grow(memory.len());
        match marked {
            Some(marked) => marked.into_iter().for_each(|(index, len)| self.look(memory, module, index, len)),
            None => (0..pages::count(memory.len())).for_each(|index| self.look(memory, module, index, PAGE)),
        }
    }

    /// Compares pages that nobody says were written with what the shadow has: those of the areas whose turn it is.
    pub(crate) fn scrub(&mut self, shell: &Shell, module: &Module) {
        let memory = shell.memory();
        let areas = self.now.areas();
        for _ in 0..if areas <= SCRUBBED_WHOLE { areas } else { SCRUBBED } {
            self.turn = (self.turn + 1) % areas;
            let first = self.turn * PAGES;
            (first..first + PAGES).for_each(|index| self.look(memory, module, index, PAGE));
        }
    }

    fn grow(&mut self, size: usize) {
        let before = self.now.size();
        assert!(size >= before, "a memory never shrinks");
        if size == before {
            return;
        }
        // An area that was not whole has more pages now, or a longer one.
        if let Some(last) = self.stale.last_mut() {
            *last = true;
        }
        self.now.grow(size);
        self.hashes.resize(self.now.areas(), [0; 32]);
        self.stale.resize(self.now.areas(), true);
    }

    /// Takes over a page if it differs in its first bytes, of which there may be fewer.
    fn look(&mut self, memory: &[u8], module: &Module, index: usize, len: usize) {
        let page = pages::of(memory, index);
        let len = len.min(page.len());
        if page[..len] == self.now.page(module, index, page.len())[..len] {
            return;
        }
        self.now.put(index, page);
        self.stale[index / PAGES] = true;
        if self.wanted > 0 {
            self.fresh.push(index);
            if self.fresh.len() == FRESH {
                self.now.hash_pages(&self.fresh);
                self.fresh.clear();
            }
        }
    }

    /// Everything, as of the last good event.
    pub(crate) fn now(&self) -> &View {
        &self.now
    }

    /// Feeds the hash of every area, in order. Only what changed since the last time is hashed, and the pages and areas that it
    /// is in.
    pub(crate) fn hash_areas(&mut self, module: &Module, out: &mut blake3::Hasher) {
        self.fresh.clear();
        self.wanted = WANTED;
        let stale: Vec<usize> = (0..).zip(&self.stale).filter_map(|(n, stale)| stale.then_some(n)).collect();
        for some in stale.chunks(HASHED) {
            for (n, hash) in some.iter().zip(self.now.hash_areas(module, some)) {
                (self.hashes[*n], self.stale[*n]) = (hash, false);
            }
        }
        // In one piece: of many small ones none is hashed beside another.
        out.update(self.hashes.as_flattened());
    }
}
