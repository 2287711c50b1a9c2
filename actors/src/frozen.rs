//! An actor in two halves: what it is beside its memory, and its memory in areas that a snapshot can keep from one time to the
//! next.
//!
//! Owns: the form of an area's bytes. Does not know where they are written.
//!
//! ```text
//!  0        4
//!  | area   | delta of its 64 KiB, chunks counted from its start |
//! ```
//!
//! 1. What was frozen does not change, however the actor goes on, and holds nobody up.
//! 2. The same actor gives the same head and the same areas, whoever froze it and when.
//! 3. Bytes of anybody may be put into a memory that is at its base: nothing outside of their area is written.

use std::sync::{Arc, OnceLock};

use crate::{
    Image, Module,
    delta::{self, Writer},
    pages::PAGE,
    view::{Area, PAGES, View},
};

/// Bytes of an area.
const AREA: usize = PAGES * PAGE;

/// An actor as it was when it was frozen.
pub struct Frozen {
    module: Arc<Module>,
    head: Image,
    view: View,
    /// Which areas of it differ from the module's base: found by who asks first, for the actor's thread has no time for that.
    touched: OnceLock<Vec<u32>>,
}

impl Frozen {
    pub(crate) fn new(module: Arc<Module>, head: Image, view: View) -> Frozen {
        Frozen { module, head, view, touched: OnceLock::new() }
    }

    fn touched(&self) -> &[u32] {
        self.touched.get_or_init(|| self.view.touched_areas().map(|(n, _)| n as u32).collect())
    }

    fn area(&self, n: usize) -> Option<(u32, &Area)> {
        let index = *self.touched().get(n)?;
        Some((index, self.view.area(index as usize)?))
    }

    /// Everything but its memory.
    pub fn head(&self) -> &Image {
        &self.head
    }

    /// How many areas differ from the module's base, or did once.
    pub fn areas(&self) -> usize {
        self.touched().len()
    }

    /// The name that was given to the bytes of the `n`th of them, if that area has not been written since.
    pub fn name(&self, n: usize) -> Option<[u8; 32]> {
        self.area(n)?.1.name()
    }

    /// The bytes of the `n`th of them have this name. The actor's next freezing says so too, if it does not write there.
    pub fn named(&self, n: usize, name: [u8; 32]) {
        if let Some((_, area)) = self.area(n) {
            area.named(name);
        }
    }

    /// The bytes of the `n`th of them.
    pub fn bytes(&self, n: usize) -> Vec<u8> {
        let Some((index, area)) = self.area(n) else { return Vec::new() };
        let first = index as usize * PAGES;
        let mut writer = Writer::from(&self.module.base, first);
        for (page, bytes) in area.touched() {
            writer.page(first + page, bytes);
        }
        let mut out = index.to_le_bytes().to_vec();
        out.extend_from_slice(&writer.finish());
        out
    }
}

/// Puts an area's bytes into a memory that is at its base. Gives which area it is.
pub(crate) fn put(memory: &mut [u8], bytes: &[u8]) -> Result<u32, String> {
    let bad = || "an area of memory in it does not fit".to_owned();
    let (index, delta) = bytes.split_first_chunk::<4>().ok_or_else(bad)?;
    let index = u32::from_le_bytes(*index);
    let start = (index as usize).checked_mul(AREA).filter(|start| *start < memory.len()).ok_or_else(bad)?;
    let end = (start + AREA).min(memory.len());
    let area = memory.get_mut(start..end).ok_or_else(bad)?;
    delta::apply(delta, area).ok_or_else(bad)?;
    Ok(index)
}
