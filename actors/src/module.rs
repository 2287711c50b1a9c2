//! A module: Wasm bytes, named by their hash, compiled once.
//!
//! Owns: what is known of a module, its warm shells. Does not know actors.
//!
//! 1. Compiled code comes from this process or from this node's own cache, never from anywhere else.
//! 2. Every shell in the pool is as a fresh instance: memory at its base, globals at their first values.
//! 3. The memory that instances start with follows from the bytes alone: the start function runs later, in the first event.

mod cache;
mod error;
mod inspect;
mod layout;
mod marking;
mod rewrite;

use std::{
    hash::{Hash, Hasher},
    io::{Read, Seek},
};

use pando_abi::ModuleHash;
use parking_lot::Mutex;
use wasmtime::InstancePre;

pub use self::error::ModuleError;
pub(crate) use self::{
    cache::Cache,
    error::check_front,
    inspect::Known,
    marking::{REACH, marks_name},
    rewrite::{global_name, start_name},
};
use crate::{
    Exit,
    engine::{Class, ClassEngine, OnEpoch},
    guest::Guest,
    pages::Base,
    shell::Shell,
};

/// Warm shells kept for one module.
const SHELLS_MAX: usize = 64;
/// Bytes of linear memory in them.
const SHELL_BYTES_MAX: usize = 64 << 20;

/// Comparing more memory than this costs more than a new instance.
pub(crate) const RECYCLE_BYTES_MAX: usize = 256 << 10;

/// A compiled module.
pub struct Module {
    hash: ModuleHash,
    class: Class,
    pub(crate) known: Known,
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) on_epoch: OnEpoch,
    pub(crate) base: Base,
    pub(crate) base_globals: Vec<u128>,
    shells: Mutex<Pool>,
}

/// Warm shells with their sizes, and the sum of those.
#[derive(Default)]
struct Pool {
    shells: Vec<(usize, Shell)>,
    bytes: usize,
}

impl Module {
    /// Its name: the BLAKE3 hash of its bytes.
    pub fn hash(&self) -> ModuleHash {
        self.hash
    }

    /// The text of its interface section, if it has one.
    pub fn interface(&self) -> Option<&str> {
        self.known.interface.as_deref()
    }

    /// Which engine runs it.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Length of its Wasm bytes.
    pub fn bytes(&self) -> usize {
        self.known.bytes as usize
    }

    /// Bytes of linear memory at birth.
    pub fn memory_bytes(&self) -> u64 {
        self.base.size() as u64
    }

    /// Why its actors cannot be undone, queried, put to sleep or made into images; `None`: they can. Never said of a
    /// replicated module: those are refused when they are loaded.
    pub fn no_image(&self) -> Option<&str> {
        self.known.no_image.as_deref()
    }

    /// How many mutable globals it has.
    pub(crate) fn globals(&self) -> usize {
        self.known.globals as usize
    }

    /// A shell whose memory is at its base and has at most `size` bytes.
    pub(crate) fn take_shell(&self, size: usize) -> Result<Shell, Exit> {
        let warm = {
            let mut pool = self.shells.lock();
            let exact = pool.shells.iter().rposition(|(has, _)| *has == size);
            let at = exact.or_else(|| pool.shells.iter().rposition(|(has, _)| *has < size));
            let warm = at.map(|at| pool.shells.swap_remove(at));
            pool.bytes -= warm.as_ref().map_or(0, |(has, _)| *has);
            warm
        };
        match warm {
            Some((_, shell)) => Ok(shell),
            None => Shell::new(self),
        }
    }

    /// Gives a shell back in whatever state, if bringing it to its base costs less than making a new one.
    pub(crate) fn recycle(&self, mut shell: Shell) {
        if self.known.no_image.is_none() && shell.size() <= RECYCLE_BYTES_MAX && shell.reset(self).is_some() {
            self.put_shell(shell);
        }
    }

    /// Gives a shell back, whose memory is at its base.
    pub(crate) fn put_shell(&self, shell: Shell) {
        let size = shell.size();
        let mut pool = self.shells.lock();
        if pool.shells.len() < SHELLS_MAX && pool.bytes + size <= SHELL_BYTES_MAX {
            pool.bytes += size;
            pool.shells.push((size, shell));
        }
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Module({:.8}, {:?}, {} bytes)", self.hash, self.class, self.known.bytes)
    }
}

/// What a module is compiled from, for [`crate::decoders`]: everything that happens to its bytes before that.
pub(crate) fn prepare(wasm: &[u8]) -> Result<Vec<u8>, ModuleError> {
    check_front(wasm)?;
    rewrite::rewrite(wasm, &inspect::inspect(wasm)?, true)
}

/// A module from its bytes, which [`check_front`] has passed: out of the cache if it was compiled before.
pub(crate) fn load(
    engine: &ClassEngine,
    cache: Option<&Cache>,
    wasm: &[u8],
    hash: ModuleHash,
) -> Result<Module, ModuleError> {
    if let Some(module) = recall(engine, cache, hash) {
        return Ok(module);
    }
    let facts = inspect::inspect(wasm)?;
    if let (Class::Replicated, Some(why)) = (engine.class, &facts.known.no_image) {
        return Err(ModuleError::NoImage(why.clone()));
    }
    let rewritten = rewrite::rewrite(wasm, &facts, engine.class == Class::Replicated)?;
    let failed = |e: wasmtime::Error| ModuleError::Compile(format!("{e:#}"));
    let code = match cache {
        None => wasmtime::Module::new(&engine.wasmtime, rewritten).map_err(failed)?,
        Some(cache) => {
            let code = engine.wasmtime.precompile_module(&rewritten).map_err(failed)?;
            cache.put(&key(engine, hash), &facts.known, &code);
            // SAFETY: the bytes were made by this engine two lines ago.
            unsafe { wasmtime::Module::deserialize(&engine.wasmtime, &code) }.map_err(failed)?
        }
    };
    of_code(engine, hash, facts.known, &code)
}

/// A module that this node has compiled before, without its bytes.
pub(crate) fn recall(engine: &ClassEngine, cache: Option<&Cache>, hash: ModuleHash) -> Option<Module> {
    let (cache, key) = (cache?, key(engine, hash));
    let (known, mut file) = cache.get(&key)?;
    // SAFETY: the bytes are what this user wrote under this key, which no other engine has: the file is private, never written
    // again, and its checksum was right (`cache`, invariants 1 and 2).
    let mapped = file
        .try_clone()
        .map_err(Into::into)
        .and_then(|file| unsafe { wasmtime::Module::deserialize_open_file(&engine.wasmtime, file) });
    // A folder may be on a disk from which nothing can be run.
    let code = mapped.or_else(|_| {
        let mut code = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut code)?;
        // SAFETY: as above.
        unsafe { wasmtime::Module::deserialize(&engine.wasmtime, &code) }
    });
    match code
        .map_err(|e| format!("{e:#}"))
        .and_then(|code| of_code(engine, hash, known, &code).map_err(|e| e.to_string()))
    {
        Ok(module) => Some(module),
        Err(cause) => {
            tracing::warn!(module = %hash, cause, "compiled code does not fit this engine and is compiled again");
            cache.remove(&key);
            None
        }
    }
}

/// A module with its first shell.
fn of_code(
    engine: &ClassEngine,
    hash: ModuleHash,
    known: Known,
    code: &wasmtime::Module,
) -> Result<Module, ModuleError> {
    let instantiate = |e: wasmtime::Error| ModuleError::Instantiate(format!("{:#}", e.root_cause()));
    let mut module = Module {
        hash,
        class: engine.class,
        known,
        pre: engine.linker.instantiate_pre(code).map_err(instantiate)?,
        on_epoch: engine.on_epoch.clone(),
        base: Base::capture(&[]),
        base_globals: Vec::new(),
        shells: Mutex::default(),
    };
    // A trap here is a data or element segment that does not fit: the first instance says so.
    let mut shell = Shell::instantiate(&module).map_err(instantiate)?;
    module.base = Base::capture(shell.memory());
    module.base_globals = shell.globals();
    module.put_shell(shell);
    Ok(module)
}

/// Everything that compiled code depends on. wasmtime's own hash covers its version, its settings and the processor.
fn key(engine: &ClassEngine, hash: ModuleHash) -> cache::Key {
    struct Feed(blake3::Hasher);
    impl Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut feed = Feed(blake3::Hasher::new_derive_key("pando 2026 compiled code"));
    feed.write(&hash.0);
    feed.write(&[engine.class as u8]);
    feed.write(&rewrite::VERSION.to_le_bytes());
    feed.write(env!("CARGO_PKG_VERSION").as_bytes());
    engine.wasmtime.precompile_compatibility_hash().hash(&mut feed);
    *feed.0.finalize().as_bytes()
}
