//! Where the `pando` program is, and that it is the one of these sources.
//!
//! `cargo test --workspace` and `cargo build` put it beside the test programs. When it is missing there, or older than its
//! sources, it is built: once for each test program that runs.
//!
//! 1. `PANDO_BIN` names another one, which is taken as it is.
//! 2. Tests that were built with the feature `planted` get a program with it; what is there may be one without, so cargo is asked.

use std::{
    env::consts::EXE_SUFFIX,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::SystemTime,
};

/// The program's path.
///
/// # Panics
/// If it cannot be built.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(find)
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ lies in the workspace").to_owned()
}

fn find() -> PathBuf {
    if let Some(given) = std::env::var_os("PANDO_BIN") {
        return given.into();
    }
    let folder = profile_folder();
    let program = folder.join(format!("pando{EXE_SUFFIX}"));
    if cfg!(feature = "planted") || !is_fresh(&program) {
        build(&workspace(), &folder);
    }
    assert!(program.is_file(), "there is no {}, though it was built", program.display());
    program
}

/// `target/release`: where this program lies, or `deps/` in it.
fn profile_folder() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let folder = own.parent().expect("a program lies in a folder");
    match folder.file_name().and_then(|n| n.to_str()) {
        Some("deps" | "examples") => folder.parent().expect("deps/ lies in a folder").to_owned(),
        _ => folder.to_owned(),
    }
}

fn build(root: &Path, folder: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--quiet", "--workspace", "--bin", "pando"]);
    if cfg!(feature = "planted") {
        command.args(["--features", "pando-tests/planted"]);
    }
    match folder.file_name().and_then(|n| n.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            command.args(["--profile", profile]);
        }
    }
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    let status = without_cargo(&mut command).status().expect("cargo runs");
    assert!(status.success(), "the pando program does not build: {status}");
}

/// Takes away what cargo tells a test about the test's own package: to another cargo it would look like a change.
pub fn without_cargo(command: &mut Command) -> &mut Command {
    const OWN: [&str; 6] =
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    for (name, _) in std::env::vars_os() {
        if OWN.iter().any(|front| name.to_string_lossy().starts_with(front)) {
            command.env_remove(&name);
        }
    }
    command.env_remove("LD_LIBRARY_PATH")
}

/// Is it newer than every file that it was made of? Cargo wrote them down beside it.
fn is_fresh(program: &Path) -> bool {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    let (Some(built), Ok(list)) = (changed(program), std::fs::read_to_string(program.with_extension("d"))) else {
        return false;
    };
    // `program: source source ...`, with spaces inside of paths escaped.
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources).replace("\\ ", "\0");
    let is_older =
        |source: &str| changed(Path::new(&source.replace('\0', " "))).is_some_and(|at: SystemTime| at <= built);
    sources.split_whitespace().all(is_older)
}
