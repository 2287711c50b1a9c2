//! Which compiler builds for Wasm.
//!
//! In this order: one's own with a Wasm library, the system's with one, and then whichever of the two has the library's
//! sources, from which a private one is built once. Owns: what a compiler is asked about itself. Does not know: crates.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{BuildError, TARGET, sysroot};

/// Where Debian's `rustc-web` puts its compiler, which does not come before rustup's on a person's PATH.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

/// A compiler that can build for Wasm.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// The compiler.
    pub rustc: PathBuf,
    /// Its folder.
    pub sysroot: PathBuf,
    /// A folder with a Wasm library of its own, if the compiler has none.
    pub std: Option<PathBuf>,
    /// A linker, if the compiler comes without.
    pub linker: Option<PathBuf>,
}

/// What a compiler says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    pub(crate) rustc: PathBuf,
    pub(crate) sysroot: PathBuf,
    pub(crate) host: String,
    /// The whole of `rustc -vV`: two compilers that say the same take each other's libraries.
    pub(crate) version: String,
}

impl Toolchain {
    /// Chooses for the crate in `dir` (whose `rust-toolchain.toml` rustup obeys), and builds a library if it must.
    ///
    /// # Errors
    /// When no compiler here can do it.
    pub fn choose(dir: &Path, cache: Option<&Path>, progress: &mut dyn FnMut(&str)) -> Result<Toolchain, BuildError> {
        let own = std::env::var_os("RUSTC").filter(|v| !v.is_empty()).unwrap_or_else(|| OsString::from("rustc"));
        let compilers: Vec<Compiler> = [PathBuf::from(own), PathBuf::from(SYSTEM_RUSTC)]
            .into_iter()
            .filter_map(|rustc| Compiler::ask(rustc, dir))
            .collect();
        if let Some(compiler) = compilers.iter().find(|c| c.has_std()) {
            return compiler.toolchain(None, &compilers);
        }
        if let Some(compiler) = compilers.iter().find(|c| c.has_sources()) {
            let toolchain = compiler.toolchain(None, &compilers)?;
            let std = sysroot::ensure(compiler, toolchain.linker.as_deref(), cache, progress)?;
            return Ok(Toolchain { std: Some(std), ..toolchain });
        }
        Err(BuildError::NoCompiler { looked: looked(&compilers) })
    }
}

fn looked(compilers: &[Compiler]) -> String {
    let each: Vec<String> = compilers
        .iter()
        .map(|c| format!("{}, {}, which has neither the library nor its sources", c.rustc.display(), c.release()))
        .collect();
    if each.is_empty() { format!("`rustc` and {SYSTEM_RUSTC}, and found neither") } else { each.join("; ") }
}

impl Compiler {
    fn ask(rustc: PathBuf, dir: &Path) -> Option<Compiler> {
        let say = |args: &[&str]| -> Option<String> {
            let output =
                Command::new(&rustc).args(args).current_dir(dir).env_remove("LD_LIBRARY_PATH").output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let version = say(&["-vV"])?;
        let sysroot = PathBuf::from(say(&["--print", "sysroot"])?);
        let host = version.lines().find_map(|line| line.strip_prefix("host: "))?.to_owned();
        Some(Compiler { rustc, sysroot, host, version })
    }

    /// `rustc 1.95.0`
    pub(crate) fn release(&self) -> &str {
        self.version.lines().find_map(|line| line.strip_prefix("release: ")).unwrap_or("of an unknown version")
    }

    /// The folder with the sources of the standard library.
    pub(crate) fn library(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust/library")
    }

    fn has_std(&self) -> bool {
        let Ok(files) = std::fs::read_dir(self.sysroot.join("lib/rustlib").join(TARGET).join("lib")) else {
            return false;
        };
        files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
    }

    fn has_sources(&self) -> bool {
        self.library().join("std/Cargo.toml").is_file()
    }

    fn toolchain(&self, std: Option<PathBuf>, others: &[Compiler]) -> Result<Toolchain, BuildError> {
        let linker = if self.own_linker().is_file() {
            None
        } else {
            Some(self.find_linker(others).ok_or_else(|| BuildError::NoLinker { rustc: self.rustc.clone() })?)
        };
        Ok(Toolchain { rustc: self.rustc.clone(), sysroot: self.sysroot.clone(), std, linker })
    }

    fn own_linker(&self) -> PathBuf {
        let name = format!("rust-lld{}", std::env::consts::EXE_SUFFIX);
        self.sysroot.join("lib/rustlib").join(&self.host).join("bin").join(name)
    }

    /// Another compiler's linker serves as well: what they hand it are plain object files.
    fn find_linker(&self, others: &[Compiler]) -> Option<PathBuf> {
        let of_others = others.iter().map(Compiler::own_linker).find(|linker| linker.is_file());
        of_others.or_else(|| {
            let path = std::env::var_os("PATH")?;
            let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
            let names = ["rust-lld", "wasm-ld"].map(str::to_owned).into_iter();
            let mut names = names.chain((14..40).rev().map(|version| format!("wasm-ld-{version}")));
            names.find_map(|name| folders.iter().map(|folder| folder.join(&name)).find(|file| file.is_file()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_cannot_build_is_told_both_mends() {
        let compiler = Compiler {
            rustc: "rustc".into(),
            sysroot: "/nowhere".into(),
            host: "x".into(),
            version: "rustc 1.95.0\nrelease: 1.95.0".into(),
        };
        assert!(!compiler.has_std() && !compiler.has_sources());
        let words = BuildError::NoCompiler { looked: looked(&[compiler]) }.to_string();
        assert!(words.contains("rustup target add wasm32-unknown-unknown"), "{words}");
        assert!(words.contains("apt-get install rustc-web rust-web-src"), "{words}");
        assert!(words.contains("rustc, 1.95.0, which has neither"), "{words}");
    }
}
