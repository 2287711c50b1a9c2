//! From a folder with a crate to Wasm modules, with whatever compiler the machine has.
//!
//! Owns: the choice of a compiler, a standard library for it where it has none, the nested call of cargo, and what is done
//! to a module afterwards. Does not know: what is in the crate, who will run the module.
//!
//! 1. The same sources and the same compiler give the same bytes in every folder, and no path of the machine is in them.
//!    (On Windows the order of functions may differ from folder to folder; see `cargo.rs`, `WRAPPER`.)
//! 2. Nothing of the outer build's environment reaches the nested one, and the two never share a target folder.
//! 3. A machine that cannot build is told what to install, in one sentence.

#![forbid(unsafe_code)]

mod cargo;
mod error;
mod module;
mod sysroot;
mod toolchain;

use std::path::{Path, PathBuf};

pub use error::BuildError;
pub use toolchain::Toolchain;

/// The target of every module.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Bytes of a guest's stack. It lies below its data, so running over it faults and overwrites nothing.
pub const STACK_BYTES: usize = 32 << 10;

/// How to build.
#[derive(Default)]
pub struct Options<'a> {
    /// Where the nested cargo keeps its work. Unless told: `target/pando` in the crate's folder.
    pub target_dir: Option<PathBuf>,
    /// Where a standard library that had to be built is kept. Unless told: `$PANDO_CACHE_DIR`, or `pando` in the
    /// person's cache folder.
    pub cache_dir: Option<PathBuf>,
    /// Called with each line that the compiler has for people.
    pub progress: Option<&'a mut dyn FnMut(&str)>,
}

/// One module that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The package's name.
    pub name: String,
    /// The file.
    pub wasm: PathBuf,
}

/// Builds every `cdylib` of the crate or workspace at `crate_dir`, in release, sorted by name.
///
/// # Errors
/// When there is no crate, no compiler that can build for Wasm, or the compiler refuses the crate.
pub fn build(crate_dir: &Path, options: Options<'_>) -> Result<Vec<Built>, BuildError> {
    let crate_dir = std::path::absolute(crate_dir).map_err(|e| BuildError::io("find", crate_dir, e))?;
    if !crate_dir.join("Cargo.toml").is_file() {
        return Err(BuildError::NoCrate { dir: crate_dir });
    }
    let mut quiet = |_: &str| {};
    let progress: &mut dyn FnMut(&str) = match options.progress {
        Some(progress) => progress,
        None => &mut quiet,
    };
    let cache_dir = options.cache_dir.or_else(default_cache_dir);
    let toolchain = Toolchain::choose(&crate_dir, cache_dir.as_deref(), progress)?;
    let target_dir = options.target_dir.unwrap_or_else(|| crate_dir.join("target").join("pando"));
    let artifacts = cargo::build(&crate_dir, &target_dir, &toolchain, progress)?;
    if artifacts.is_empty() {
        return Err(BuildError::NoModule { dir: crate_dir });
    }
    let out_dir = target_dir.join("modules");
    std::fs::create_dir_all(&out_dir).map_err(|e| BuildError::io("make", &out_dir, e))?;
    let mut built = Vec::with_capacity(artifacts.len());
    for (name, file) in artifacts {
        let bytes = std::fs::read(&file).map_err(|e| BuildError::io("read", &file, e))?;
        let bytes = module::finish(&bytes).ok_or(BuildError::Malformed { file })?;
        let wasm = out_dir.join(format!("{name}.wasm"));
        write_if_changed(&wasm, &bytes)?;
        built.push(Built { name, wasm });
    }
    built.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(built)
}

/// A file that did not change keeps its time, so that what is built from it is not built again.
fn write_if_changed(file: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    if std::fs::read(file).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    std::fs::write(file, bytes).map_err(|e| BuildError::io("write", file, e))
}

fn default_cache_dir() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(dir) = var("PANDO_CACHE_DIR") {
        return Some(dir);
    }
    let caches = if cfg!(windows) {
        var("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        var("HOME").map(|home| home.join("Library").join("Caches"))
    } else {
        var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")))
    };
    caches.map(|dir| dir.join("pando"))
}
