//! Why a module could not be built, each with its mend.

use std::path::{Path, PathBuf};

/// Why a module could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder has no `Cargo.toml`.
    #[error("{} has no Cargo.toml; `pando new NAME` makes a crate to start from", dir.display())]
    NoCrate {
        /// The folder.
        dir: PathBuf,
    },
    /// Cargo cannot be started.
    #[error("cargo cannot be started ({why}); install Rust from https://rustup.rs")]
    NoCargo {
        /// What the system said.
        why: String,
    },
    /// No compiler on the machine can build for Wasm.
    #[error(
        "no Rust compiler here can build for {target}: run `rustup target add {target}`, or on Debian `apt-get install rustc-web rust-web-src` (looked at {looked})",
        target = crate::TARGET
    )]
    NoCompiler {
        /// Which compilers were looked at, and what they lack.
        looked: String,
    },
    /// The compiler has no linker for Wasm.
    #[error("{} comes without a linker for Wasm: install `lld`, or a toolchain with `rust-lld`", rustc.display())]
    NoLinker {
        /// The compiler.
        rustc: PathBuf,
    },
    /// The standard library could not be built for Wasm.
    #[error("the standard library cannot be built for Wasm:\n{output}")]
    Std {
        /// The compiler's last words.
        output: String,
    },
    /// The compiler refuses the crate.
    #[error("{} does not compile:\n{output}", dir.display())]
    Compile {
        /// The crate's folder.
        dir: PathBuf,
        /// The compiler's words.
        output: String,
    },
    /// The crate builds, but to nothing that can be loaded.
    #[error("{} makes no module: its Cargo.toml wants `[lib] crate-type = [\"cdylib\", \"rlib\"]`", dir.display())]
    NoModule {
        /// The crate's folder.
        dir: PathBuf,
    },
    /// The linker wrote something that is not Wasm.
    #[error("{} is not a Wasm module", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
    },
    /// A file or folder failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl BuildError {
    pub(crate) fn io(what: &'static str, path: &Path, source: std::io::Error) -> BuildError {
        BuildError::Io { what, path: path.to_owned(), source }
    }
}
