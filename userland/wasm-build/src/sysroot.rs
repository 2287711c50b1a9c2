//! A standard library for a compiler that came with sources alone.
//!
//! Built once for each compiler, from its own sources and the crates vendored beside them, so nothing is downloaded where
//! the vendored ones are there. It is an ordinary library folder: the builds after it are ordinary builds.
//!
//! ```text
//! <cache>/std-1.96.0-<hash of rustc -vV>/lib/rustlib/wasm32-unknown-unknown/lib/*.rlib
//! ```
//!
//! 1. The folder appears whole or not at all.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{BuildError, TARGET, cargo, toolchain::Compiler};

/// The folder with the library for `compiler`, built if it is not there.
pub(crate) fn ensure(
    compiler: &Compiler,
    linker: Option<&Path>,
    cache: Option<&Path>,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, BuildError> {
    let fallback = std::env::temp_dir().join("pando");
    let cache = cache.unwrap_or(&fallback);
    let name = format!("std-{}-{:016x}", compiler.release(), fnv(compiler.version.as_bytes()));
    let done = cache.join(&name);
    if done.is_dir() {
        return Ok(done);
    }
    fs::create_dir_all(cache).map_err(|e| BuildError::io("make", cache, e))?;
    // One builder at a time; a second finds everything done. The lock goes with the file.
    let lock_file = cache.join(format!("{name}.lock"));
    let lock = fs::File::create(&lock_file).map_err(|e| BuildError::io("make", &lock_file, e))?;
    lock.lock().map_err(|e| BuildError::io("lock", &lock_file, e))?;
    if done.is_dir() {
        return Ok(done);
    }
    progress("Building the standard library for Wasm (once for each compiler, about a minute)");
    let work = cache.join(format!("build-{name}"));
    write_empty_crate(&work)?;
    cargo::build_std(&work, compiler, linker, progress)?;
    let fresh = cache.join(format!("{name}.{}", std::process::id()));
    let libraries = fresh.join("lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&libraries).map_err(|e| BuildError::io("make", &libraries, e))?;
    copy_libraries(&work.join("target").join(TARGET).join("release/deps"), &libraries)?;
    fs::rename(&fresh, &done).map_err(|e| BuildError::io("make", &done, e))?;
    // What it was built in is of no more use, and is ten times as large. Failing to remove it hurts nobody.
    let _ = fs::remove_dir_all(&work);
    Ok(done)
}

fn write_empty_crate(dir: &Path) -> Result<(), BuildError> {
    let src = dir.join("src");
    fs::create_dir_all(&src).map_err(|e| BuildError::io("make", &src, e))?;
    let manifest = "[package]\nname = \"empty\"\nedition = \"2021\"\n\n[workspace]\n\n[profile.release]\nopt-level = \"s\"\npanic = \"abort\"\n\
                    codegen-units = 1\ndebug = false\n";
    for (file, text) in [(dir.join("Cargo.toml"), manifest), (src.join("lib.rs"), "#![no_std]\n")] {
        fs::write(&file, text).map_err(|e| BuildError::io("write", &file, e))?;
    }
    Ok(())
}

fn copy_libraries(from: &Path, to: &Path) -> Result<(), BuildError> {
    let failed = |e| BuildError::io("read", from, e);
    for file in fs::read_dir(from).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libempty-") {
            fs::copy(&path, to.join(name)).map_err(|e| BuildError::io("copy", &path, e))?;
        }
    }
    Ok(())
}

/// FNV-1a: short, stable and good enough for telling a handful of compilers apart.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
