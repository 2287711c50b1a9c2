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

use std::hash::{Hash, Hasher};

use pando_abi::ModuleHash;
use parking_lot::Mutex;
use wasmtime::InstancePre;

pub use self::error::ModuleError;
pub(crate) use self::{
    cache::Cache,
    error::check_front,
    layout::Layout,
    marking::marks_name,
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
const RECYCLE_BYTES_MAX: usize = 256 << 10;

/// A compiled module.
pub struct Module {
    hash: ModuleHash,
    class: Class,
    bytes: usize,
    interface: Option<String>,
    no_image: Option<String>,
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) on_epoch: OnEpoch,
    pub(crate) globals: usize,
    pub(crate) has_start: bool,
    pub(crate) exports_state: bool,
    pub(crate) imports_state: bool,
    pub(crate) layout: Option<Layout>,
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
        self.interface.as_deref()
    }

    /// Which engine runs it.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Length of its Wasm bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of linear memory at birth.
    pub fn memory_bytes(&self) -> u64 {
        self.base.size() as u64
    }

    /// Why its actors cannot be undone, queried, put to sleep or made into images; `None`: they can. Never said of a
    /// replicated module: those are refused when they are loaded.
    pub fn no_image(&self) -> Option<&str> {
        self.no_image.as_deref()
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
        if self.no_image.is_none() && shell.size() <= RECYCLE_BYTES_MAX && shell.reset(self).is_some() {
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
        write!(f, "Module({:.8}, {:?}, {} bytes)", self.hash, self.class, self.bytes)
    }
}

/// What a module is compiled from, for [`crate::decoders`]: everything that happens to its bytes before that.
pub(crate) fn prepare(wasm: &[u8]) -> Result<Vec<u8>, ModuleError> {
    check_front(wasm)?;
    rewrite::rewrite(wasm, &inspect::inspect(wasm)?, true)
}

/// A module from its bytes, which [`check_front`] has passed.
pub(crate) fn load(
    engine: &ClassEngine,
    cache: Option<&Cache>,
    wasm: &[u8],
    hash: ModuleHash,
) -> Result<Module, ModuleError> {
    let facts = inspect::inspect(wasm)?;
    if let (Class::Replicated, Some(why)) = (engine.class, &facts.no_image) {
        return Err(ModuleError::NoImage(why.clone()));
    }
    let rewritten = rewrite::rewrite(wasm, &facts, engine.class == Class::Replicated)?;
    let compiled = compile(engine, cache, &rewritten, hash)?;
    let instantiate = |e: wasmtime::Error| ModuleError::Instantiate(format!("{:#}", e.root_cause()));
    let mut module = Module {
        hash,
        class: engine.class,
        bytes: wasm.len(),
        interface: facts.interface,
        no_image: facts.no_image,
        pre: engine.linker.instantiate_pre(&compiled).map_err(instantiate)?,
        on_epoch: engine.on_epoch.clone(),
        globals: facts.globals.len(),
        has_start: facts.start.is_some(),
        exports_state: facts.exports_state,
        imports_state: facts.imports_state,
        layout: facts.layout,
        base: Base::capture(&[]),
        base_globals: Vec::new(),
        shells: Mutex::default(),
    };
    // A trap here is a data or element segment that does not fit: the first instance says so.
    let mut shell = Shell::instantiate(&module).map_err(instantiate)?;
    debug_assert_eq!(shell.size() as u64, facts.memory_bytes);
    module.base = Base::capture(shell.memory());
    module.base_globals = shell.globals();
    module.put_shell(shell);
    Ok(module)
}

fn compile(
    engine: &ClassEngine,
    cache: Option<&Cache>,
    wasm: &[u8],
    hash: ModuleHash,
) -> Result<wasmtime::Module, ModuleError> {
    let failed = |e: wasmtime::Error| ModuleError::Compile(format!("{e:#}"));
    let Some(cache) = cache else {
        return wasmtime::Module::new(&engine.wasmtime, wasm).map_err(failed);
    };
    let key = key(engine, hash);
    if let Some(code) = cache.get(&key) {
        // SAFETY: the bytes are what this user wrote under this key, which no other engine has: the file is private, and its
        // hash was checked (`cache`, invariants 1 and 2).
        match unsafe { wasmtime::Module::deserialize(&engine.wasmtime, &code) } {
            Ok(module) => return Ok(module),
            Err(e) => {
                tracing::warn!(module = %hash, cause = %e, "compiled code does not fit this engine and is compiled again");
                cache.remove(&key);
            }
        }
    }
    let code = engine.wasmtime.precompile_module(wasm).map_err(failed)?;
    cache.put(&key, &code);
    // SAFETY: the bytes were made by this engine a line ago.
    unsafe { wasmtime::Module::deserialize(&engine.wasmtime, &code) }.map_err(failed)
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
