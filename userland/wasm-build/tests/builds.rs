//! A crate becomes the same module in every folder.

use std::{fs, path::Path};

use pando_wasm_build::{BuildError, Options, build};

fn write(dir: &Path, file: &str, text: &str) {
    let file = dir.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// A crate with a path dependency beside it, both with panics that know where they are.
fn crates(dir: &Path) {
    write(
        dir,
        "actor/Cargo.toml",
        "[package]\nname = \"tiny-actor\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n\
         [dependencies]\nbeside = { path = \"../beside\" }\n[workspace]\n[profile.release]\nopt-level = \"z\"\nlto = true\ncodegen-units = 1\n",
    );
    write(
        dir,
        "actor/src/lib.rs",
        "#[unsafe(no_mangle)]\npub extern \"C\" fn half(n: i32) -> i32 {\n    if n % 2 == 1 { panic!(\"odd: {n}\") }\n    beside::all(n) / 2\n}\n",
    );
    write(dir, "beside/Cargo.toml", "[package]\nname = \"beside\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    write(
        dir,
        "beside/src/lib.rs",
        "#[inline(never)]\npub fn all(n: i32) -> i32 {\n    let v: Vec<i32> = (0..n).collect();\n    assert!(v.len() < 1000, \"many\");\n    v.len() as i32\n}\n",
    );
}

#[test]
fn the_same_sources_are_the_same_bytes_in_two_folders_and_name_neither() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut modules = Vec::new();
    for dir in [one.path(), two.path()] {
        crates(dir);
        let built = build(&dir.join("actor"), Options::default()).unwrap();
        assert_eq!(built.len(), 1);
        assert_eq!(built[0].name, "tiny-actor");
        modules.push(fs::read(&built[0].wasm).unwrap());
    }
    wasmparser::validate(&modules[0]).unwrap();
    let text = String::from_utf8_lossy(&modules[0]);
    assert!(text.contains("src/lib.rs"), "a panic says where it was");
    assert!(text.contains("beside::all"), "functions have names");
    for dir in [one.path(), two.path()] {
        assert!(!text.contains(dir.to_str().unwrap()));
    }
    assert!(!text.contains("/.cargo/") && !text.contains("/root/") && !text.contains("/home/"));
    assert!(modules[0] == modules[1], "{} and {} bytes", modules[0].len(), modules[1].len());
}

#[test]
fn a_crate_that_does_not_compile_tells_why() {
    let dir = tempfile::tempdir().unwrap();
    crates(dir.path());
    write(dir.path(), "actor/src/lib.rs", "pub fn f() -> i32 { \"text\" }\n");
    let mut lines = Vec::new();
    let options = Options { progress: Some(&mut |line: &str| lines.push(line.to_owned())), ..Options::default() };
    let error = build(&dir.path().join("actor"), options).unwrap_err();
    assert!(matches!(error, BuildError::Compile { .. }), "{error}");
    assert!(error.to_string().contains("mismatched types"), "{error}");
    assert!(lines.iter().any(|line| line.contains("Compiling tiny-actor")), "{lines:?}");
}

#[test]
fn a_folder_without_a_crate_and_a_crate_without_a_module_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(build(dir.path(), Options::default()), Err(BuildError::NoCrate { .. })));
    crates(dir.path());
    assert!(matches!(build(&dir.path().join("beside"), Options::default()), Err(BuildError::NoModule { .. })));
}
