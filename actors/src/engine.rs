//! Two configurations of one compiler: for plain actors, and for replicas that must agree to the bit.
//!
//! Owns: what wasmtime is allowed to do, the epoch, the modules that are loaded. Does not know actors.
//!
//! 1. A plain actor is metered by epochs: time. A replica is metered by fuel: instructions. Epochs may pause a replica, for
//!    a pause is not state.
//! 2. No signal handler is installed: every trap is an explicit check, and costs nanoseconds.
//! 3. Linear memories are small mappings that grow by moving; see [`crate::memory`].
//! 4. A module is loaded once for each class, however many ask for it at the same time.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Weak},
};

use pando_abi::ModuleHash;
use parking_lot::Mutex;
use wasmtime::{Config, Linker, OptLevel, WasmBacktraceDetails, WasmFeatures};

use crate::{
    Module, ModuleError,
    guest::Guest,
    host,
    memory::Mappings,
    module::{self, Cache},
};

/// Bytes of native stack that a guest may use. Part of what replicas agree on: with it, the depth of a recursion.
pub(crate) const STACK_BYTES: usize = 512 << 10;

/// What a running guest does after an epoch tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It goes on.
    Continue,
    /// It is stopped, and ends with `cpu-limit`.
    Kill,
}

/// Which engine runs a module.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Metered by time.
    Plain,
    /// Metered by fuel, NaNs canonical.
    Replicated,
}

/// Called on the running thread each time an epoch tick passes inside a guest.
pub type OnEpoch = Arc<dyn Fn() -> Verdict + Send + Sync>;

/// How an engine is made.
#[derive(Clone)]
pub struct EngineConfig {
    /// Where compiled code is kept between runs; `None`: nowhere. Made private to this user.
    pub cache_dir: Option<PathBuf>,
    /// Called on the running thread each time an epoch tick passes inside a guest. In a replica `Kill` is for a node that
    /// stops: it is no event that other replicas see.
    pub on_epoch: OnEpoch,
}

/// Why an engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime does not run here.
    #[error("the Wasm engine does not run on this machine: {0}")]
    Machine(String),
    /// The cache folder is no good.
    #[error("the folder for compiled code, {folder}, cannot be used: {cause}")]
    Cache {
        /// Which.
        folder: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
}

/// Compiles modules and gives them a place to run.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    plain: ClassEngine,
    replicated: ClassEngine,
    cache: Option<Cache>,
    loaded: Mutex<HashMap<(ModuleHash, Class), Arc<Place>>>,
}

/// Where one module of one class is. Locked while it compiles.
type Place = Mutex<Weak<Module>>;

/// wasmtime in one configuration, with the syscalls linked.
pub(crate) struct ClassEngine {
    pub(crate) class: Class,
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) linker: Linker<Guest>,
    pub(crate) on_epoch: OnEpoch,
}

impl Engine {
    /// Both engines, and the cache if there is to be one.
    pub fn new(config: EngineConfig) -> Result<Engine, EngineError> {
        let class = |class| {
            ClassEngine::new(class, config.on_epoch.clone()).map_err(|e| EngineError::Machine(format!("{e:#}")))
        };
        let cache = match config.cache_dir {
            None => None,
            Some(folder) => match Cache::open(&folder) {
                Ok(cache) => Some(cache),
                Err(cause) => return Err(EngineError::Cache { folder, cause }),
            },
        };
        Ok(Engine(Arc::new(Shared {
            plain: class(Class::Plain)?,
            replicated: class(Class::Replicated)?,
            cache,
            loaded: Mutex::new(HashMap::new()),
        })))
    }

    /// The module with these bytes: the loaded one, or compiled code from the cache, or compiled now.
    pub fn load(&self, wasm: &[u8], class: Class) -> Result<Arc<Module>, ModuleError> {
        module::check_front(wasm)?;
        let hash = ModuleHash(*blake3::hash(wasm).as_bytes());
        self.once(hash, class, |engine| module::load(engine, self.0.cache.as_ref(), wasm, hash))
    }

    /// The module with this name, if it is loaded or was compiled before: its bytes are not needed.
    pub fn recall(&self, hash: ModuleHash, class: Class) -> Option<Arc<Module>> {
        self.once(hash, class, |engine| module::recall(engine, self.0.cache.as_ref(), hash).ok_or(())).ok()
    }

    /// The loaded module, or what `load` gives, which others wait for meanwhile.
    fn once<E>(
        &self,
        hash: ModuleHash,
        class: Class,
        load: impl FnOnce(&ClassEngine) -> Result<Module, E>,
    ) -> Result<Arc<Module>, E> {
        let place = self.place(hash, class);
        let mut place = place.lock();
        if let Some(module) = place.upgrade() {
            return Ok(module);
        }
        let module = Arc::new(load(self.class(class))?);
        *place = Arc::downgrade(&module);
        Ok(module)
    }

    /// A module that is loaded, if it is.
    pub fn loaded(&self, hash: ModuleHash, class: Class) -> Option<Arc<Module>> {
        let place = self.0.loaded.lock().get(&(hash, class)).cloned()?;
        place.lock().upgrade()
    }

    /// Moves the epoch: guests that run now call `on_epoch` soon.
    pub fn tick(&self) {
        self.0.plain.wasmtime.increment_epoch();
        self.0.replicated.wasmtime.increment_epoch();
    }

    fn class(&self, class: Class) -> &ClassEngine {
        match class {
            Class::Plain => &self.0.plain,
            Class::Replicated => &self.0.replicated,
        }
    }

    fn place(&self, hash: ModuleHash, class: Class) -> Arc<Place> {
        let mut loaded = self.0.loaded.lock();
        // Places of modules that nobody has any more; one that somebody is loading into has more than one owner.
        if loaded.len() >= 64 && !loaded.contains_key(&(hash, class)) {
            #[expect(clippy::disallowed_methods, reason = "each place stays or goes by itself")]
            loaded.retain(|_, place| Arc::strong_count(place) > 1 || place.lock().strong_count() > 0);
        }
        loaded.entry((hash, class)).or_default().clone()
    }
}

impl ClassEngine {
    fn new(class: Class, on_epoch: OnEpoch) -> wasmtime::Result<ClassEngine> {
        let wasmtime = wasmtime::Engine::new(&config(class))?;
        let mut linker = Linker::new(&wasmtime);
        host::link(&mut linker)?;
        Ok(ClassEngine { class, wasmtime, linker, on_epoch })
    }
}

/// What guests may be made of. The same for both classes, so that a module does not fit one by chance.
pub(crate) const FEATURES: wasmparser::WasmFeatures = wasmparser::WasmFeatures::MUTABLE_GLOBAL
    .union(wasmparser::WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(wasmparser::WasmFeatures::SIGN_EXTENSION)
    .union(wasmparser::WasmFeatures::REFERENCE_TYPES)
    .union(wasmparser::WasmFeatures::MULTI_VALUE)
    .union(wasmparser::WasmFeatures::BULK_MEMORY)
    .union(wasmparser::WasmFeatures::SIMD)
    .union(wasmparser::WasmFeatures::FLOATS)
    .union(wasmparser::WasmFeatures::TAIL_CALL)
    .union(wasmparser::WasmFeatures::EXTENDED_CONST)
    .union(wasmparser::WasmFeatures::CUSTOM_PAGE_SIZES);

fn config(class: Class) -> Config {
    let mut config = Config::new();
    let refused = WasmFeatures::all() - WasmFeatures::from_bits_truncate(FEATURES.bits());
    config
        .wasm_features(refused, false)
        .wasm_features(WasmFeatures::CUSTOM_PAGE_SIZES, true)
        // For the memory of marks that the rewrite adds; the author's module was held against FEATURES before.
        .wasm_features(WasmFeatures::MULTI_MEMORY, class == Class::Replicated)
        .epoch_interruption(true)
        .consume_fuel(class == Class::Replicated)
        .cranelift_nan_canonicalization(class == Class::Replicated)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(STACK_BYTES)
        // For unwinders that know nothing of Wasm. It is a twelfth of the code, and is registered function by function.
        .native_unwind_info(cfg!(windows))
        // Names come from the name section; line numbers would put debug information into every compiled module.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .signals_based_traps(false)
        .memory_reservation(0)
        .memory_reservation_for_growth(0)
        .memory_guard_size(0)
        .guard_before_linear_memory(false)
        .memory_init_cow(false)
        .with_host_memory(Arc::new(Mappings));
    config
}
