//! The bundled programs, built to Wasm, and the template that `pando new` copies.
//!
//! Owns: bytes that were made while building. Does not know: who runs them.
//!
//! 1. The bytes are those of this build's sources: there is no checked-in Wasm that could be older.

#![forbid(unsafe_code)]

use std::path::Path;

/// A program in Wasm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Program {
    /// What people call it.
    pub name: &'static str,
    /// Its module.
    pub wasm: &'static [u8],
}

static PROGRAMS: &[Program] = include!(concat!(env!("OUT_DIR"), "/programs.rs"));

static TEMPLATE: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/template.rs"));

/// Every program, by name.
pub fn programs() -> &'static [Program] {
    PROGRAMS
}

/// The program of this name.
pub fn get(name: &str) -> Option<Program> {
    PROGRAMS.iter().copied().find(|program| program.name == name)
}

/// The files of a new crate called `name` whose SDK is at `sdk`: path and text.
///
/// The template is a crate that builds as it stands; its name and the path to the SDK are put in their places.
pub fn template(name: &str, sdk: &Path) -> Vec<(String, String)> {
    let file = |(path, text): &(&str, &str)| {
        let sdk = toml_text(&sdk.display().to_string());
        let text = text.replace("\"../../../syscalls/sdk\"", &sdk);
        let text = text.replace("Greeter", &camel(name)).replace("greeter", name);
        // In code a name has no hyphens.
        let text = if path.ends_with(".rs") { text.replace(name, &name.replace('-', "_")) } else { text };
        ((*path).to_owned(), text)
    };
    TEMPLATE.iter().map(file).collect()
}

/// A literal string where that can stand, for Windows' paths.
fn toml_text(text: &str) -> String {
    if text.contains('\'') { format!("{text:?}") } else { format!("'{text}'") }
}

/// `MyActor` for `my-actor`.
fn camel(name: &str) -> String {
    let words = name.split(['-', '_']).filter(|word| !word.is_empty());
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    words.map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_crate_has_its_own_name_everywhere() {
        let files = template("my-actor", Path::new("/opt/pando/sdk"));
        let file = |path: &str| &files.iter().find(|(found, _)| found == path).expect(path).1;
        assert!(file("Cargo.toml").contains("name = \"my-actor\""));
        assert!(file("Cargo.toml").contains("path = '/opt/pando/sdk'"));
        assert!(file("src/lib.rs").contains("impl MyActor") && !file("src/lib.rs").contains("my-actor"));
        assert!(files.iter().all(|(_, text)| !text.contains("reeter")));
    }

    #[test]
    fn every_program_is_wasm_with_an_interface_and_its_names() {
        assert!(programs().iter().any(|program| program.name == "counter"));
        for program in programs() {
            assert!(program.wasm.starts_with(b"\0asm\x01\0\0\0"), "{}", program.name);
            let has = |text: &str| program.wasm.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(has("pando.interface") && has("pando_receive") && has("memory"), "{}", program.name);
            assert!(has("pando::receive"), "{} has no names of functions for backtraces", program.name);
            assert!(!has("/root/") && !has("/home/"), "{} tells where it was built", program.name);
            assert!(program.wasm.len() < 200 << 10, "{} has {} bytes", program.name, program.wasm.len());
            assert_eq!(get(program.name), Some(*program));
        }
        assert_eq!(get("nothing"), None);
    }

    #[test]
    fn programs_and_template_are_locked_to_what_they_need() {
        // An older lock would be mended in silence, and the modules of one commit would differ.
        for folder in ["../programs", "../templates/greeter"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let mut cargo = std::process::Command::new(env!("CARGO"));
            let metadata = cargo.args(["metadata", "--locked", "--format-version", "1"]).current_dir(&folder).output();
            let metadata = metadata.expect("cargo runs");
            let words = String::from_utf8_lossy(&metadata.stderr);
            assert!(
                metadata.status.success(),
                "run `cargo build` in {} and commit Cargo.lock: {words}",
                folder.display()
            );
        }
    }
}
