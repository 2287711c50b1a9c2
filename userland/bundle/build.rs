//! Builds `userland/programs` to Wasm, and writes the tables that `src/lib.rs` includes.
//!
//! 1. Touching nothing builds nothing: what the programs are made of is named to cargo, file by file.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

fn main() {
    let here = PathBuf::from(env("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env("OUT_DIR"));
    let (userland, root) = (here.join(".."), here.join("../.."));
    let programs = userland.join("programs");
    let templates = userland.join("templates");

    for folder in [&programs, &templates] {
        watch(folder);
    }
    // What every program is linked with.
    for part in ["syscalls/src", "syscalls/sdk/src", "syscalls/sdk-macros/src"] {
        watch(&root.join(part));
    }
    for file in ["Cargo.toml", "syscalls/Cargo.toml", "syscalls/sdk/Cargo.toml", "syscalls/sdk-macros/Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(file).display());
    }
    println!("cargo::rerun-if-env-changed=PANDO_CACHE_DIR");

    let programs = canonical(&programs);
    let options = pando_wasm_build::Options { target_dir: Some(out.join("wasm")), ..Default::default() };
    let built = match pando_wasm_build::build(&programs, options) {
        Ok(built) => built,
        Err(error) => {
            // Cargo shows lines of this form as they are.
            for line in error.to_string().lines() {
                println!("cargo::error={line}");
            }
            std::process::exit(1);
        }
    };
    let mut text = String::from("&[\n");
    for module in &built {
        let _ = writeln!(
            text,
            "    Program {{ name: {:?}, wasm: include_bytes!({:?}) }},",
            module.name,
            module.wasm.display().to_string()
        );
    }
    text.push_str("]\n");
    write(&out.join("programs.rs"), &text);
    write(&out.join("template.rs"), &files(&templates.join("greeter")));
}

/// Paths and texts of every file below `folder`.
fn files(folder: &Path) -> String {
    let mut text = String::from("&[\n");
    for file in below(folder) {
        let name = file.strip_prefix(folder).expect("it is below the folder").to_string_lossy().replace('\\', "/");
        let _ = writeln!(text, "    ({name:?}, include_str!({:?})),", canonical(&file).display().to_string());
    }
    text.push_str("]\n");
    text
}

/// Every file, and the folders where files come and go. Not the whole: cargo would look into `target` as well.
fn watch(folder: &Path) {
    for file in below(folder) {
        println!("cargo::rerun-if-changed={}", file.display());
        if let Some(parent) = file.parent().filter(|parent| parent.ends_with("src")) {
            println!("cargo::rerun-if-changed={}", parent.display());
        }
    }
}

/// Every file below `folder`, sorted. What cargo makes there is left out.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("cannot read {}: {e}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if entry.file_name() != "target" {
                found.extend(below(&path));
            }
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|e| panic!("cannot find {}: {e}", path.display()))
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", file.display()));
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
