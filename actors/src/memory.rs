//! Linear memories as anonymous mappings: zero until touched, no reservation, no guard.
//!
//! Owns: mapping, growing, unmapping; and looking at files in the same way. Does not know what is in them.
//!
//! 1. Bytes between size and capacity have never been seen by a guest and are zero.
//! 2. Code that runs over these memories has explicit bounds checks: the engine is configured with neither guard nor
//!    reservation, and [`Mappings`] refuses to make a memory for any other configuration.
//! 3. Neighbouring mappings merge in the kernel's books, so their number is not what bounds that of live instances.

use std::ptr::NonNull;

use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

/// Makes mappings for wasmtime.
pub(crate) struct Mappings;

/// One linear memory.
struct Mapping {
    base: NonNull<u8>,
    size: usize,
    capacity: usize,
}

// SAFETY: a mapping belongs to one `Mapping`, which hands its address to one wasmtime memory; nothing in it is tied to a thread.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference only the address and the sizes can be read.
unsafe impl Sync for Mapping {}

const HOST_PAGE: usize = 4096;

/// How the sentence starts when the machine refuses.
pub(crate) const NO_MEMORY: &str = "no memory: ";

fn round(bytes: usize) -> Result<usize, String> {
    let most = pando_abi::limits::MEMORY_BYTES_MAX as usize;
    if bytes > most {
        return Err(format!("a memory of {bytes} bytes is over the limit of {most}"));
    }
    Ok(bytes.max(1).next_multiple_of(HOST_PAGE))
}

fn refused(why: impl std::fmt::Display) -> String {
    format!("{NO_MEMORY}{why}")
}

/// From now on this process gets its memory in small pages, also where it asks for huge ones, as allocators do. A node holds many
/// things of which each is small and used for itself: with huge pages 300 groups took ten times the memory, and a new one the
/// time to clear two megabytes. Elsewhere than on Linux it does nothing.
///
/// # Errors
/// What the system says if it does not know of this: then all is as it was.
pub fn small_pages() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: of this option nothing but the five numbers is looked at, and it changes no memory that exists.
    if unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

fn map(capacity: usize) -> Result<NonNull<u8>, String> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice touches nothing that exists.
    let base = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            capacity,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANON,
            -1,
            0,
        )
    };
    if base == libc::MAP_FAILED {
        return Err(refused(std::io::Error::last_os_error()));
    }
    NonNull::new(base.cast()).ok_or_else(|| refused("a mapping at address zero"))
}

/// Looks at a whole file of `len` bytes without copying it.
///
/// # Errors
/// What the system says.
///
/// # Safety
/// Nobody writes or shortens the file meanwhile.
pub(crate) unsafe fn look_at<R>(file: &std::fs::File, len: usize, look: impl FnOnce(&[u8]) -> R) -> std::io::Result<R> {
    use std::os::fd::AsRawFd;
    if len == 0 {
        return Ok(look(&[]));
    }
    // Its pages come as they are looked at, many at a time: to have all of them put in before (`MAP_POPULATE`) takes a third longer.
    // SAFETY: a mapping at an address of the kernel's choice touches nothing that exists.
    let base =
        unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
    if base == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: these bytes are mapped until the end of this function, and nobody changes them, as the caller has promised.
    let looked = look(unsafe { std::slice::from_raw_parts(base.cast(), len) });
    // SAFETY: the mapping is ours, and nothing points into it any more.
    unsafe { libc::munmap(base, len) };
    Ok(looked)
}

impl Mapping {
    fn grow(&mut self, capacity: usize) -> Result<(), String> {
        #[cfg(target_os = "linux")]
        {
            // SAFETY: `base` and `capacity` are those of a mapping that this value owns; afterwards only the new address is used.
            let base =
                unsafe { libc::mremap(self.base.as_ptr().cast(), self.capacity, capacity, libc::MREMAP_MAYMOVE) };
            if base == libc::MAP_FAILED {
                return Err(refused(std::io::Error::last_os_error()));
            }
            self.base = NonNull::new(base.cast()).ok_or_else(|| refused("a mapping at address zero"))?;
            self.capacity = capacity;
        }
        #[cfg(not(target_os = "linux"))]
        {
            let mut wider = Mapping { base: map(capacity)?, size: self.size, capacity };
            // SAFETY: both mappings hold at least `size` bytes and are different.
            unsafe { std::ptr::copy_nonoverlapping(self.base.as_ptr(), wider.base.as_ptr(), self.size) };
            std::mem::swap(self, &mut wider);
        }
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and wasmtime drops the value with the last user of its address.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.capacity) };
    }
}

// SAFETY: the memory is zero when made (invariant 1), at least `minimum` bytes, and lives as long as the value.
unsafe impl MemoryCreator for Mappings {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        if reserved.unwrap_or(0) != 0 || guard != 0 {
            return Err("linear memories here have neither reservation nor guard".into());
        }
        let capacity = round(minimum)?;
        Ok(Box::new(Mapping { base: map(capacity)?, size: minimum, capacity }))
    }
}

// SAFETY: `as_ptr` is the start of `byte_capacity` mapped bytes, of which the first `byte_size` are the guest's.
unsafe impl LinearMemory for Mapping {
    fn byte_size(&self) -> usize {
        self.size
    }

    fn byte_capacity(&self) -> usize {
        self.capacity
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        assert!(new_size >= self.size, "a linear memory never shrinks");
        let capacity = round(new_size).map_err(wasmtime::Error::msg)?;
        if capacity > self.capacity {
            self.grow(capacity).map_err(wasmtime::Error::msg)?;
        }
        self.size = new_size;
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }
}
