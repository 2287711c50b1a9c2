//! The heap of a guest: small, and small to begin with.
//!
//! It starts in what the first page has left after stack and data, and grows the memory by what it needs, so that a small
//! actor has one page of 64 KiB. Blocks of up to 1 KiB come in classes, each with a list of free ones; larger ones are cut
//! from a list sorted by address, in which neighbours grow together again.
//!
//! ```text
//! | stack | data | heap: blocks handed out so far ... | top: never used yet ... | end of memory
//! ```
//!
//! 1. Deterministic: the same calls give the same addresses, on every replica.
//! 2. A block of a class stays in its class; a large one can become part of any other large one.
//! 3. Every block starts at a multiple of 16.

use core::{
    alloc::Layout,
    ptr::{NonNull, null_mut},
};

/// Every size is a multiple of it, and every address.
const GRAIN: usize = 16;
/// Sizes up to here have classes.
const SMALL_MAX: usize = 1024;
/// Up to here a class for each multiple of the grain; then four for each doubling.
const FINE_MAX: usize = 128;
const CLASSES: usize = FINE_MAX / GRAIN + 4 * (SMALL_MAX / FINE_MAX).ilog2() as usize;

/// Where memory comes from: the guest's own, or an arena in tests.
pub(crate) trait Memory {
    /// Where the heap starts: the first address that nobody else uses.
    fn start(&self) -> usize;
    /// Makes the memory reach to `end` at least; where it now ends, or `None`.
    fn reach(&mut self, end: usize) -> Option<usize>;
}

/// A free block: lies in the block itself.
struct Free {
    next: *mut Free,
    /// Only in the list of large ones.
    size: usize,
}

pub(crate) struct Heap<M> {
    memory: M,
    classes: [*mut Free; CLASSES],
    large: *mut Free,
    top: usize,
    end: usize,
}

/// The class of a size of at most [`SMALL_MAX`], and the size of its blocks.
const fn class_of(size: usize) -> (usize, usize) {
    if size <= FINE_MAX {
        let class = if size == 0 { 0 } else { (size - 1) / GRAIN };
        return (class, (class + 1) * GRAIN);
    }
    // Between `low` and `2 * low` there are four, a quarter of `low` apart.
    let low = 1 << (size - 1).ilog2();
    let step = low / 4;
    let quarter = (size - 1 - low) / step;
    let class = FINE_MAX / GRAIN + 4 * (low / FINE_MAX).ilog2() as usize + quarter;
    (class, low + (quarter + 1) * step)
}

const _: () = {
    assert!(class_of(SMALL_MAX).0 == CLASSES - 1 && class_of(SMALL_MAX).1 == SMALL_MAX);
    assert!(size_of::<Free>() <= GRAIN && align_of::<Free>() <= GRAIN);
    let mut size = 1;
    while size <= SMALL_MAX {
        let (class, block) = class_of(size);
        assert!(class < CLASSES && block >= size && block % GRAIN == 0);
        size += 1;
    }
};

impl<M: Memory> Heap<M> {
    pub(crate) const fn new(memory: M) -> Heap<M> {
        Heap { memory, classes: [null_mut(); CLASSES], large: null_mut(), top: 0, end: 0 }
    }

    /// A block, or null.
    pub(crate) fn alloc(&mut self, layout: Layout) -> *mut u8 {
        let Some(size) = padded(layout) else { return null_mut() };
        let block = if size <= SMALL_MAX { self.alloc_small(size) } else { self.alloc_large(size) };
        let Some(block) = block else { return null_mut() };
        if layout.align() <= GRAIN {
            return block;
        }
        // There is room for a step of less than the alignment; `dealloc` finds the block's start again one grain below.
        let address = block as usize + GRAIN;
        let step = address.next_multiple_of(layout.align()) - block as usize;
        // SAFETY: `padded` made the block larger by the alignment and a grain, so both lie inside it; the word before the
        // address is the allocator's own.
        unsafe {
            let aligned = block.add(step);
            aligned.sub(GRAIN).cast::<usize>().write(block as usize);
            aligned
        }
    }

    /// Takes back a block.
    ///
    /// # Safety
    /// `alloc` gave it for `layout`, and it has not been taken back.
    pub(crate) unsafe fn dealloc(&mut self, block: *mut u8, layout: Layout) {
        let Some(size) = padded(layout) else { return };
        let block = if layout.align() > GRAIN {
            // SAFETY: `alloc` wrote the block's start there.
            unsafe { block.sub(GRAIN).cast::<*mut u8>().read() }
        } else {
            block
        };
        if size <= SMALL_MAX {
            let (class, _) = class_of(size);
            let free = block.cast::<Free>();
            // SAFETY: the block is the allocator's again, aligned to a grain and at least one long.
            unsafe { free.write(Free { next: self.classes[class], size: 0 }) };
            self.classes[class] = free;
        } else {
            self.free_large(block.cast(), size.next_multiple_of(GRAIN));
        }
    }

    /// Makes a large block larger without moving it, if what follows it is free; `false` if not.
    ///
    /// # Safety
    /// As for `dealloc`.
    pub(crate) unsafe fn grow(&mut self, block: *mut u8, layout: Layout, new_size: usize) -> bool {
        if layout.align() > GRAIN || layout.size() <= SMALL_MAX || new_size < layout.size() {
            return false;
        }
        let old = layout.size().next_multiple_of(GRAIN);
        let Some(new) = new_size.checked_next_multiple_of(GRAIN) else { return false };
        // Only at the top: that is where what grows again and again ends up, for every move of it goes there.
        block as usize + old == self.top && self.raise((block as usize).saturating_add(new))
    }

    fn alloc_small(&mut self, size: usize) -> Option<*mut u8> {
        let (class, size) = class_of(size);
        if let Some(free) = NonNull::new(self.classes[class]) {
            // SAFETY: what is in a list was written by `dealloc` and is nobody's.
            self.classes[class] = unsafe { free.as_ref() }.next;
            return Some(free.as_ptr().cast());
        }
        self.cut(size)
    }

    /// The first that fits, and what is left of it stays in the list.
    fn alloc_large(&mut self, size: usize) -> Option<*mut u8> {
        let size = size.checked_next_multiple_of(GRAIN)?;
        let mut link: *mut *mut Free = &mut self.large;
        // SAFETY: `link` is the head or the `next` of a block in the list; blocks in the list were written by `free_large`
        // and are nobody's. A rest is at least a grain, so it has room for its own entry.
        unsafe {
            while let Some(free) = NonNull::new(*link) {
                let Free { next, size: found } = free.read();
                if found >= size {
                    let rest = found - size;
                    *link = if rest == 0 {
                        next
                    } else {
                        let rest_block = free.as_ptr().cast::<u8>().add(size).cast::<Free>();
                        rest_block.write(Free { next, size: rest });
                        rest_block
                    };
                    return Some(free.as_ptr().cast());
                }
                link = &raw mut (*free.as_ptr()).next;
            }
        }
        self.cut(size)
    }

    fn free_large(&mut self, block: *mut Free, mut size: usize) {
        let mut link: *mut *mut Free = &mut self.large;
        let mut before: *mut Free = null_mut();
        // SAFETY: as in `alloc_large`; `block` is the allocator's again and at least a grain long.
        unsafe {
            while !(*link).is_null() && *link < block {
                before = *link;
                link = &raw mut (*before).next;
            }
            let mut next = *link;
            if !next.is_null() && block as usize + size == next as usize {
                size += (*next).size;
                next = (*next).next;
            }
            if !before.is_null() && before as usize + (*before).size == block as usize {
                (*before).size += size;
                (*before).next = next;
            } else {
                block.write(Free { next, size });
                *link = block;
            }
        }
    }

    /// From what was never used.
    fn cut(&mut self, size: usize) -> Option<*mut u8> {
        if self.top == 0 {
            self.top = self.memory.start().next_multiple_of(GRAIN);
            self.end = self.memory.reach(self.top)?;
        }
        let block = self.top;
        self.raise(block.checked_add(size)?).then_some(block as *mut u8)
    }

    fn raise(&mut self, top: usize) -> bool {
        if top > self.end {
            match self.memory.reach(top) {
                Some(end) => self.end = end,
                None => return false,
            }
        }
        self.top = top;
        true
    }
}

/// Room for the size, and for a step up to the alignment if that is more than a grain.
fn padded(layout: Layout) -> Option<usize> {
    if layout.align() <= GRAIN { Some(layout.size()) } else { layout.size().checked_add(layout.align() + GRAIN) }
}

#[cfg(all(target_arch = "wasm32", not(feature = "std")))]
mod guest {
    use core::{
        alloc::{GlobalAlloc, Layout},
        arch::wasm32::{memory_grow, memory_size},
        cell::RefCell,
        ptr::null_mut,
    };

    use super::{Heap, Memory};
    use crate::single::Single;

    const PAGE: usize = 64 << 10;

    unsafe extern "C" {
        /// Set by the linker: where stack and data end.
        static __heap_base: u8;
    }

    struct Own;

    impl Memory for Own {
        fn start(&self) -> usize {
            &raw const __heap_base as usize
        }
        fn reach(&mut self, end: usize) -> Option<usize> {
            let pages = memory_size::<0>();
            let wanted = end.div_ceil(PAGE);
            if wanted > pages && memory_grow::<0>(wanted - pages) == usize::MAX {
                return None;
            }
            Some(memory_size::<0>() * PAGE)
        }
    }

    struct Global(Single<RefCell<Heap<Own>>>);

    // SAFETY: the guest has one thread, and `Heap` never calls back, so the borrow is always free; blocks are disjoint and
    // aligned (Heap's invariants), and a block is reused only after it was handed back.
    unsafe impl GlobalAlloc for Global {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            self.0.get().borrow_mut().alloc(layout)
        }
        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: the caller of `GlobalAlloc` promises what `Heap` asks for.
            unsafe { self.0.get().borrow_mut().dealloc(block, layout) }
        }
        unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            // SAFETY: the caller of `GlobalAlloc` promises what `Heap` asks for.
            if unsafe { self.0.get().borrow_mut().grow(block, layout, new_size) } {
                return block;
            }
            let Ok(new) = Layout::from_size_align(new_size, layout.align()) else { return null_mut() };
            let moved = self.0.get().borrow_mut().alloc(new);
            if !moved.is_null() {
                // SAFETY: both blocks are live and at least as long as what is copied; they cannot overlap.
                unsafe {
                    block.copy_to_nonoverlapping(moved, layout.size().min(new_size));
                    self.dealloc(block, layout);
                }
            }
            moved
        }
    }

    #[global_allocator]
    static HEAP: Global = Global(Single::new(RefCell::new(Heap::new(Own))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    struct Arena {
        bytes: Box<[u128]>,
        asked: usize,
    }

    impl Memory for Arena {
        fn start(&self) -> usize {
            self.bytes.as_ptr() as usize
        }
        fn reach(&mut self, end: usize) -> Option<usize> {
            let all = self.start() + self.bytes.len() * 16;
            self.asked = self.asked.max(end - self.start());
            (end <= all).then_some(end.next_multiple_of(4096).min(all))
        }
    }

    fn heap(bytes: usize) -> Heap<Arena> {
        Heap::new(Arena { bytes: vec![0; bytes / 16].into_boxed_slice(), asked: 0 })
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_disjoint_aligned_and_keep_what_is_written_to_them() {
        let mut heap = heap(1 << 20);
        let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let mut seed = 7u64;
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % below
        };
        for round in 0..20_000 {
            if live.len() < 100 && next(3) > 0 {
                let size = [1, 8, 16, 17, 100, 129, 700, 1024, 1025, 4000][next(10)] + next(8);
                let layout = layout(size, [1, 8, 16, 64][next(4)]);
                let block = heap.alloc(layout);
                assert!(!block.is_null() && (block as usize).is_multiple_of(layout.align()));
                // SAFETY: the block has `size` bytes.
                unsafe { block.write_bytes(round as u8, size) };
                live.push((block, layout, round as u8));
            } else if !live.is_empty() {
                let (block, layout, mark) = live.swap_remove(next(live.len()));
                for i in 0..layout.size() {
                    // SAFETY: the block is live and has `size` bytes.
                    assert_eq!(unsafe { block.add(i).read() }, mark);
                }
                // SAFETY: it came from `alloc` with this layout and leaves `live` here.
                unsafe { heap.dealloc(block, layout) };
            }
        }
        assert!(heap.memory.asked < 600 << 10, "a hundred small blocks took {} bytes", heap.memory.asked);
    }

    #[test]
    fn what_is_freed_is_used_again() {
        let mut heap = heap(64 << 10);
        for size in [24, 1000, 5000] {
            for _ in 0..1000 {
                let block = heap.alloc(layout(size, 8));
                assert!(!block.is_null());
                // SAFETY: it came from `alloc` just now.
                unsafe { heap.dealloc(block, layout(size, 8)) };
            }
        }
        assert!(heap.memory.asked < 8 << 10);
    }

    #[test]
    fn free_neighbours_grow_together() {
        let mut heap = heap(32 << 10);
        let parts: Vec<*mut u8> = (0..6).map(|_| heap.alloc(layout(4096, 8))).collect();
        for i in [1, 3, 0, 2, 5, 4] {
            // SAFETY: each came from `alloc` and is given back once.
            unsafe { heap.dealloc(parts[i], layout(4096, 8)) };
        }
        assert_eq!(heap.alloc(layout(6 * 4096, 8)), parts[0]);
    }

    #[test]
    fn the_last_block_grows_where_it_is() {
        let mut heap = heap(64 << 10);
        let block = heap.alloc(layout(2000, 8));
        // SAFETY: it came from `alloc` with this layout.
        assert!(unsafe { heap.grow(block, layout(2000, 8), 30_000) });
        let other = heap.alloc(layout(2000, 8));
        assert!(other as usize >= block as usize + 30_000);
        // SAFETY: as before; another block lies behind it now.
        assert!(!unsafe { heap.grow(block, layout(30_000, 8), 40_000) });
    }

    #[test]
    fn a_full_memory_gives_null_and_goes_on() {
        let mut heap = heap(8 << 10);
        assert!(heap.alloc(layout(9 << 10, 8)).is_null());
        assert!(heap.alloc(layout(isize::MAX as usize - 7, 8)).is_null());
        assert!(!heap.alloc(layout(100, 8)).is_null());
    }
}
