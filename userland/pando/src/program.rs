//! What `spawn` is given, into a module: a bundled program, a file, or a crate to build.
//!
//! Owns: which of the three it is, and what is wrong with it. Does not know: the realm.
//!
//! 1. A bare word is a bundled program first; a path with a separator or an ending is never one.

use std::path::Path;

use pando_abi::{call::INTERFACE_SECTION, limits::MODULE_BYTES_MAX};
use pando_interface::{Interface, nearest};
use pando_wasm_build::BuildError;
use wasmparser::{Parser, Payload};

use crate::{
    bundle,
    failure::{Failure, io},
    outcome::ProgramRow,
};

/// A module and what it says of itself.
#[derive(Debug)]
pub struct Module {
    /// A name for people: `counter`.
    pub label: String,
    pub wasm: Vec<u8>,
    /// `None`: it does not tell.
    pub interface: Option<Interface>,
}

/// The bundled programs.
pub fn bundled() -> Vec<ProgramRow> {
    bundle::programs()
        .map(|program| {
            let interface = section(program.wasm).ok().flatten().and_then(|text| Interface::parse(&text).ok());
            let methods = interface.iter().flat_map(|i| i.callable().map(|m| m.name.clone())).collect();
            let about = interface.map(|i| i.doc.lines().next().unwrap_or_default().to_owned()).unwrap_or_default();
            ProgramRow { name: program.name.to_owned(), about, methods, bytes: program.wasm.len() }
        })
        .collect()
}

/// What a bundled program says of itself.
pub fn bundled_interface(name: &str) -> Option<Interface> {
    let program = bundle::programs().find(|p| p.name == name)?;
    Interface::parse(&section(program.wasm).ok()??).ok()
}

/// Finds, reads or builds what `target` names. `progress` hears what takes long.
pub fn resolve(target: &str, progress: &mut dyn FnMut(&str)) -> Result<Module, Failure> {
    let path = Path::new(target);
    if path.components().count() == 1
        && path.extension().is_none()
        && !target.contains(['/', '\\'])
        && let Some(program) = bundle::programs().find(|p| p.name == target)
    {
        return module(target.to_owned(), program.wasm.to_vec());
    }
    if path.is_dir() {
        return build(path, progress);
    }
    if path.is_file() {
        let label = path.file_stem().map_or_else(|| target.to_owned(), |s| s.to_string_lossy().into_owned());
        let bytes = std::fs::read(path).map_err(|e| io("read", path, &e, "check that the file is yours to read"))?;
        return module(label, wasm_of(path, bytes)?);
    }
    let names: Vec<&str> = bundle::programs().map(|p| p.name).collect();
    let mend = match nearest(target, names.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if target.contains(['/', '\\']) => {
            let here = std::env::current_dir().map_or_else(|_| ".".to_owned(), |dir| dir.display().to_string());
            format!("paths begin in {here}; bundled are {}", names.join(", "))
        }
        None => format!("bundled are {}; a file or folder is written with its path, as ./{target}", names.join(", ")),
    };
    Err(Failure::new(format!("there is no program, file or folder `{}`", pando_interface::escape(target)), mend))
}

fn wasm_of(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if bytes.starts_with(b"\0asm") {
        return Ok(bytes);
    }
    if path.extension().is_some_and(|e| e == "wat") {
        let text = String::from_utf8_lossy(&bytes);
        return wat::parse_str(&text).map_err(|e| {
            let text = e.to_string();
            let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("it is not Wasm text").to_owned();
            let place = text.lines().find_map(|line| line.trim().strip_prefix("--> ")).map(str::to_owned);
            let place = place.and_then(|p| p.split_once(':').map(|(_, at)| format!(" at {at}"))).unwrap_or_default();
            Failure::new(format!("{} does not assemble{place}: {first}", path.display()), "mend the text there")
        });
    }
    Err(Failure::new(
        format!("{} is not a Wasm module", path.display()),
        "spawn takes .wasm, .wat, or the folder of a crate",
    ))
}

fn build(dir: &Path, progress: &mut dyn FnMut(&str)) -> Result<Module, Failure> {
    progress(&format!("building {}", dir.display()));
    let options = pando_wasm_build::Options { progress: Some(progress), ..Default::default() };
    let built = pando_wasm_build::build(dir, options).map_err(|e| build_failure(&e))?;
    let absolute = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let folder = absolute.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let chosen = match built.as_slice() {
        [only] => Some(only),
        many => many.iter().find(|b| b.name == folder),
    };
    let Some(chosen) = chosen else {
        let names: Vec<&str> = built.iter().map(|b| b.name.as_str()).collect();
        return Err(Failure::new(
            format!("{} makes several modules: {}", dir.display(), names.join(", ")),
            "give the folder of the one that is meant",
        ));
    };
    let wasm = std::fs::read(&chosen.wasm).map_err(|e| io("read", &chosen.wasm, &e, "build again"))?;
    module(chosen.name.clone(), wasm)
}

/// The builder's sentence, its mend, and the compiler's words below.
fn build_failure(error: &BuildError) -> Failure {
    let text = error.to_string();
    match error {
        BuildError::Compile { dir, output } => Failure::new(
            format!("{} does not compile:\n{}", dir.display(), output.trim_end()),
            "mend the errors above and spawn again",
        ),
        BuildError::Io { what, path, source } => io(what, path, source, "check that the folder is yours to write"),
        _ => match text.split_once("; ").or_else(|| text.split_once(": ")) {
            Some((sentence, mend)) if !mend.contains('\n') => Failure::new(sentence, mend),
            _ => Failure::new(text, ""),
        },
    }
}

fn module(label: String, wasm: Vec<u8>) -> Result<Module, Failure> {
    if wasm.len() > MODULE_BYTES_MAX {
        return Err(Failure::new(
            format!("{label} has {} bytes, and a module has at most {MODULE_BYTES_MAX}", wasm.len()),
            "build it with opt-level \"z\", lto and strip",
        ));
    }
    let text =
        section(&wasm).map_err(|why| Failure::new(format!("{label} is not a Wasm module: {why}"), "build it again"))?;
    let interface = match text {
        Some(text) => Some(Interface::parse(&text).map_err(|e| {
            Failure::new(
                format!("the interface of {label} cannot be read: {e}"),
                format!("mend the section {INTERFACE_SECTION}"),
            )
        })?),
        None => None,
    };
    Ok(Module { label, wasm, interface })
}

/// The text of the interface section. The node validates the module; here only its sections are walked.
fn section(wasm: &[u8]) -> Result<Option<String>, String> {
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(|e| e.message().to_owned())? {
            Payload::CustomSection(section) if section.name() == INTERFACE_SECTION => {
                let text = std::str::from_utf8(section.data()).map_err(|_| "its interface is not UTF-8".to_owned())?;
                return Ok(Some(text.to_owned()));
            }
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAT: &str = r#"(module (@custom "pando.interface" "actor Adder\nfn add(by: i64) -> i64"))"#;

    fn quiet(target: &Path) -> Result<Module, Failure> {
        resolve(&target.to_string_lossy(), &mut |_| {})
    }

    #[test]
    fn a_text_module_is_assembled_and_its_interface_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("adder.wat");
        std::fs::write(&path, WAT).unwrap();
        let module = quiet(&path).unwrap();
        assert_eq!(module.label, "adder");
        assert!(module.interface.unwrap().method("add").is_some());
    }

    #[test]
    fn what_is_no_module_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wat");
        std::fs::write(&path, "(module\n  (fnc))").unwrap();
        let failure = quiet(&path).unwrap_err();
        assert!(failure.sentence.contains("does not assemble at 2:4"), "{failure:?}");
        let path = dir.path().join("a.wasm");
        std::fs::write(&path, "hello").unwrap();
        assert!(quiet(&path).unwrap_err().sentence.ends_with("is not a Wasm module"));
        std::fs::write(&path, "\0asm\u{1}\0\0").unwrap();
        assert!(quiet(&path).unwrap_err().sentence.starts_with("a is not a Wasm module"));
        assert!(quiet(dir.path()).unwrap_err().sentence.contains("Cargo.toml"));
    }

    #[test]
    fn what_the_builder_says_is_cut_between_its_cause_and_its_mend() {
        let source = std::io::ErrorKind::PermissionDenied.into();
        let failure = build_failure(&BuildError::Io { what: "write", path: "a/target".into(), source });
        assert_eq!(failure.sentence, "cannot write a/target: permission denied");
        assert_eq!(failure.mend, "check that the folder is yours to write");
        let failure = build_failure(&BuildError::NoCompiler { looked: "rustc: no target".into() });
        assert!(failure.sentence.ends_with("can build for wasm32-unknown-unknown"), "{failure:?}");
        assert!(failure.mend.starts_with("run `rustup target add"), "{failure:?}");
    }

    #[test]
    fn a_path_that_is_not_there_is_told_where_paths_begin() {
        let failure = resolve("./nowhere/a.wasm", &mut |_| {}).unwrap_err();
        let here = std::env::current_dir().unwrap();
        assert!(failure.mend.starts_with(&format!("paths begin in {}; ", here.display())), "{failure:?}");
    }

    #[test]
    fn a_bundled_program_is_found_by_name_and_suggested_when_misspelt() {
        assert_eq!(resolve("counter", &mut |_| {}).unwrap().label, "counter");
        let failure = resolve("countr", &mut |_| {}).unwrap_err();
        assert_eq!(failure.sentence, "there is no program, file or folder `countr`");
        assert_eq!(failure.mend, "did you mean `counter`?");
    }
}
