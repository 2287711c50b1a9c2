//! `pando new`: a crate to start from.
//!
//! Owns: the folder, the crate's name, where the SDK is. Does not know: what is in the template.
//!
//! 1. Nothing that exists is written over.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::{
    bundle,
    failure::{Failure, io},
    outcome::Outcome,
};

/// Makes the crate and tells what to do next.
pub fn create(path: &Path, sdk: Option<&Path>) -> Result<Outcome, Failure> {
    let name = name_of(path)?;
    let sdk = sdk_path(sdk)?;
    if path.exists() {
        return Err(Failure::new(
            format!("{} exists already", path.display()),
            "give another name, or remove it first",
        ));
    }
    for (file, text) in bundle::template(&name, &sdk) {
        let file = path.join(file);
        let mend = "check that the folder is yours to write";
        if let Some(dir) = file.parent() {
            std::fs::create_dir_all(dir).map_err(|e| io("make", dir, &e, mend))?;
        }
        std::fs::write(&file, text).map_err(|e| io("write", &file, &e, mend))?;
    }
    let shown = match path.is_absolute() || path.starts_with(".") || path.starts_with("..") {
        true => path.display().to_string(),
        false => format!("./{}", path.display()),
    };
    let text = format!("made {shown}\n  write in {shown}/src/lib.rs, then: spawn {shown} --name {name}");
    Ok(Outcome::done(text, json!({ "created": shown, "name": name })))
}

/// What Cargo takes for a package: letters, digits, `-` and `_`.
fn name_of(path: &Path) -> Result<String, Failure> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_') {
        return Ok(name);
    }
    Err(Failure::usage(
        format!("`{}` is not the name of a crate", pando_interface::escape(&name)),
        "use lower-case letters, digits, - and _, beginning with a letter",
    ))
}

fn sdk_path(given: Option<&Path>) -> Result<PathBuf, Failure> {
    // Where this program was built from; it may have been moved to a machine without.
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../syscalls/sdk");
    let path = given.map_or(beside, Path::to_owned);
    match path.canonicalize() {
        Ok(path) if path.join("Cargo.toml").is_file() => Ok(path),
        _ => Err(Failure::new(
            format!("the SDK is not at {}", path.display()),
            "name its folder with --sdk, as --sdk ../pando/syscalls/sdk",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_made_once_and_never_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("greeter");
        create(&path, None).unwrap();
        assert!(path.join("Cargo.toml").is_file() && path.join("src/lib.rs").is_file());
        assert!(std::fs::read_to_string(path.join("Cargo.toml")).unwrap().contains("greeter"));
        assert!(create(&path, None).unwrap_err().sentence.ends_with("exists already"));
    }

    #[test]
    fn a_name_that_cargo_would_refuse_is_refused_first() {
        for name in ["Greeter", "9lives", "a b", ""] {
            assert_eq!(create(Path::new(name), None).unwrap_err().code, 2, "{name}");
        }
        let failure = create(Path::new("greeter"), Some(Path::new("/nowhere"))).unwrap_err();
        assert_eq!(failure.sentence, "the SDK is not at /nowhere");
    }
}
