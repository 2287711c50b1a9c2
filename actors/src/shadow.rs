//! What is needed to take an event back: memory and globals as of the last good event, and which pages have changed since the
//! last root.
//!
//! Owns: copies of pages that differ from the module's base, and their hashes. Does not know handles; those undo themselves.
//!
//! 1. After [`Shadow::take`] and after [`Shadow::keep`] the shadow is equal to the instance.
//! 2. A page that is as at birth costs a word, not a copy.
//! 3. A hash that is there is that of the shadow's page.

#![expect(clippy::indexing_slicing, reason = "a page has at most PAGE bytes, and a copy has PAGE")]

use std::sync::OnceLock;

use crate::{
    module::Module,
    pages::{self, PAGE},
    shell::Shell,
};

/// Memory and globals as of the last good event.
pub(crate) struct Shadow {
    pages: Vec<Shaded>,
    size: usize,
    globals: Vec<u128>,
}

#[derive(Clone, Default)]
struct Shaded {
    /// `None`: as at birth. The last page's copy may be longer than the page.
    copy: Option<Box<[u8; PAGE]>>,
    /// `None`: changed since the last root.
    hash: Option<[u8; 32]>,
}

impl Shadow {
    /// Of an instance as it is.
    pub(crate) fn take(shell: &mut Shell, module: &Module) -> Shadow {
        let mut shadow = Shadow { pages: Vec::new(), size: 0, globals: Vec::new() };
        shadow.keep(shell, module);
        shadow
    }

    /// The instance has changed for good.
    pub(crate) fn keep(&mut self, shell: &mut Shell, module: &Module) {
        self.globals = shell.globals();
        let memory = shell.memory();
        assert!(memory.len() >= self.size, "a memory never shrinks");
        if memory.len() > self.size {
            // A page that was the last and short is now longer: its hash is of other bytes.
            if !self.size.is_multiple_of(PAGE)
                && let Some(last) = self.pages.last_mut()
            {
                last.hash = None;
            }
            self.size = memory.len();
            self.pages.resize(pages::count(self.size), Shaded::default());
        }
        for (index, shaded) in self.pages.iter_mut().enumerate() {
            let page = pages::of(memory, index);
            if page != shaded.bytes(module, index, page.len()) {
                let copy = shaded.copy.get_or_insert_with(|| Box::new([0; PAGE]));
                copy[..page.len()].copy_from_slice(page);
                shaded.hash = None;
            }
        }
    }

    /// Brings the instance back. `false` if its memory has grown, which cannot be taken back in the same instance.
    #[must_use]
    pub(crate) fn restore(&self, shell: &mut Shell, module: &Module) -> bool {
        let memory = shell.memory_mut();
        if memory.len() != self.size {
            return false;
        }
        for (index, shaded) in self.pages.iter().enumerate() {
            let page = pages::of_mut(memory, index);
            let good = shaded.bytes(module, index, page.len());
            if page != good {
                page.copy_from_slice(good);
            }
        }
        shell.set_globals(&self.globals).is_some()
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
        self.pages.iter().enumerate().filter_map(|(index, shaded)| {
            let len = (self.size - index * PAGE).min(PAGE);
            shaded.copy.as_ref().map(|copy| (index, &copy[..len]))
        })
    }

    /// Feeds the hash of every page, in order. Only pages that changed since the last time are hashed.
    pub(crate) fn hash_pages(&mut self, module: &Module, out: &mut blake3::Hasher) {
        for (index, shaded) in self.pages.iter_mut().enumerate() {
            let len = (self.size - index * PAGE).min(PAGE);
            let hash = match shaded.hash {
                Some(hash) => hash,
                None => {
                    let hash = page_hash(shaded.bytes(module, index, len));
                    shaded.hash = Some(hash);
                    hash
                }
            };
            out.update(&hash);
        }
    }
}

impl Shaded {
    fn bytes<'a>(&'a self, module: &'a Module, index: usize, len: usize) -> &'a [u8] {
        match &self.copy {
            Some(copy) => &copy[..len],
            None => module.base.page(index, len),
        }
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
