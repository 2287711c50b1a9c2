//! The nested call of cargo.
//!
//! Owns: its arguments, its environment, what is read from it. Does not know: which compiler, where modules go.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{BuildError, STACK_BYTES, TARGET, Toolchain, toolchain::Compiler};

/// Lines of the compiler's words that an error keeps.
const OUTPUT_LINES_MAX: usize = 400;

/// What an outer cargo, rustup or make leaves in the environment and the nested build must not see.
const DROPPED: &[&str] = &[
    "RUSTC",
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_LINKER",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_MAKEFLAGS",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_INCREMENTAL",
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "LD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "OUT_DIR",
    "TARGET",
    "HOST",
    "OPT_LEVEL",
    "DEBUG",
    "PROFILE",
    "NUM_JOBS",
];

/// Whole families of them.
const DROPPED_PREFIXES: &[&str] =
    &["CARGO_ENCODED_", "CARGO_CFG_", "CARGO_FEATURE_", "CARGO_PKG_", "CARGO_PROFILE_", "CARGO_TARGET_", "DEP_"];

/// Builds the crate; the names and files of its `cdylib`s.
pub(crate) fn build(
    dir: &Path,
    target_dir: &Path,
    toolchain: &Toolchain,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<(String, PathBuf)>, BuildError> {
    let mut cargo = command(dir, &toolchain.rustc, toolchain.linker.as_deref());
    cargo
        .args(["build", "--release", "--target", TARGET, "--message-format=json-render-diagnostics", "--target-dir"])
        .arg(target_dir);
    let neighbours = neighbours(dir, toolchain, progress)?;
    if cfg!(unix) {
        cargo.env("RUSTC_WRAPPER", wrapper(target_dir)?);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(dir, target_dir, &neighbours, toolchain));
    // A folder may ask for anything in its profile but these: an actor that could unwind would be half as large again.
    cargo.env("CARGO_PROFILE_RELEASE_PANIC", "abort");
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "false");
    cargo.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    let (ok, messages, output) = run(cargo, progress)?;
    if !ok {
        return Err(BuildError::Compile { dir: dir.to_owned(), output });
    }
    Ok(messages.iter().filter_map(|line| cdylib(line)).collect())
}

/// Builds the standard library that belongs to `compiler` in the empty crate at `dir`.
pub(crate) fn build_std(
    dir: &Path,
    compiler: &Compiler,
    linker: Option<&Path>,
    progress: &mut dyn FnMut(&str),
) -> Result<(), BuildError> {
    let mut cargo = command(dir, &compiler.rustc, linker);
    cargo.args(["build", "--release", "--target", TARGET, "-Zbuild-std=std,panic_abort", "--target-dir", "target"]);
    let vendored = compiler.library().join("vendor");
    if vendored.is_dir() {
        cargo.args(["--config", "source.crates-io.replace-with=\"vendored\"", "--config"]);
        cargo.arg(format!("source.vendored.directory={:?}", vendored.display().to_string()));
    }
    cargo.env("RUSTC_BOOTSTRAP", "1");
    // With bitcode beside the machine code, so that what links it may optimise through it or not.
    let library = std::fs::canonicalize(compiler.library()).unwrap_or_else(|_| compiler.library());
    let remaps =
        [compiler.library(), library].map(|path| format!("--remap-path-prefix={}=/rust/library", path.display()));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", format!("-Cembed-bitcode=yes\u{1f}{}\u{1f}{}", remaps[0], remaps[1]));
    let (ok, _, output) = run(cargo, progress)?;
    if ok { Ok(()) } else { Err(BuildError::Std { output }) }
}

fn command(dir: &Path, rustc: &Path, linker: Option<&Path>) -> Command {
    let program = std::env::var_os("CARGO").filter(|v| !v.is_empty()).unwrap_or_else(|| OsString::from("cargo"));
    let mut cargo = Command::new(program);
    cargo.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if DROPPED.contains(&&*name_text) || DROPPED_PREFIXES.iter().any(|prefix| name_text.starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
    cargo.env("RUSTC", rustc).env("CARGO_TERM_COLOR", "never");
    if let Some(linker) = linker {
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    cargo
}

/// The folders of path dependencies outside `dir`, each with a name that is the same everywhere.
fn neighbours(
    dir: &Path,
    toolchain: &Toolchain,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<(PathBuf, String)>, BuildError> {
    let mut cargo = command(dir, &toolchain.rustc, None);
    cargo.args(["metadata", "--format-version", "1", "--filter-platform", TARGET]);
    let (ok, lines, output) = run(cargo, progress)?;
    let metadata: Option<serde_json::Value> = lines.first().and_then(|line| serde_json::from_str(line).ok());
    let (true, Some(metadata)) = (ok, metadata) else {
        return Err(BuildError::Compile { dir: dir.to_owned(), output });
    };
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(packages.iter().filter_map(|package| neighbour(dir, package)).collect())
}

fn neighbour(dir: &Path, package: &serde_json::Value) -> Option<(PathBuf, String)> {
    let folder = Path::new(package["manifest_path"].as_str()?).parent()?;
    if !package["source"].is_null() || folder.starts_with(dir) {
        return None;
    }
    Some((folder.to_owned(), format!("/{}-{}", package["name"].as_str()?, package["version"].as_str()?)))
}

/// Separated by the byte that cargo wants. The later of two remappings that fit wins.
fn flags(dir: &Path, target_dir: &Path, neighbours: &[(PathBuf, String)], toolchain: &Toolchain) -> String {
    let mut flags = vec![format!("-Clink-arg=-zstack-size={STACK_BYTES}")];
    let mut remap = |from: &Path, to: &str| flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    remap(&cargo_home(), "/cargo");
    remap(&toolchain.sysroot.join("lib/rustlib/src/rust/library"), "/rust/library");
    for (folder, name) in neighbours {
        remap(folder, name);
    }
    remap(dir, "/src");
    remap(target_dir, "/target");
    if let Some(std) = &toolchain.std {
        flags.push(format!("--sysroot={}", std.display()));
    }
    flags.join("\u{1f}")
}

/// Cargo mixes the absolute path of a path dependency into its symbols' hashes, by which the compiler in turn orders
/// functions. This script stands before the compiler and puts the package's name and version in the path's place.
const WRAPPER: &str = r#"#!/bin/sh
rustc=$1
shift
first=1
for argument; do
    if [ "$first" ]; then set --; first=; fi
    case $argument in
        metadata=*) argument="metadata=$CARGO_PKG_NAME-$CARGO_PKG_VERSION" ;;
    esac
    set -- "$@" "$argument"
done
exec "$rustc" "$@"
"#;

fn wrapper(target_dir: &Path) -> Result<PathBuf, BuildError> {
    let file = target_dir.join("rustc-by-name.sh");
    std::fs::create_dir_all(target_dir).map_err(|e| BuildError::io("make", target_dir, e))?;
    // Written afresh only where it must be: another build may be running it.
    if std::fs::read(&file).is_ok_and(|old| old == WRAPPER.as_bytes()) {
        return Ok(file);
    }
    let fresh = target_dir.join(format!("rustc-by-name.{}", std::process::id()));
    let failed = |e| BuildError::io("write", &fresh, e);
    std::fs::write(&fresh, WRAPPER).map_err(failed)?;
    #[cfg(unix)]
    std::fs::set_permissions(&fresh, std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(failed)?;
    std::fs::rename(&fresh, &file).map_err(failed)?;
    Ok(file)
}

fn cargo_home() -> PathBuf {
    let set = std::env::var_os("CARGO_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || std::env::home_dir().map(|home| home.join(".cargo"));
    set.or_else(home).unwrap_or_else(|| PathBuf::from(".cargo"))
}

/// Runs it to its end: did it succeed, the lines of its output, its last words for people.
fn run(mut cargo: Command, progress: &mut dyn FnMut(&str)) -> Result<(bool, Vec<String>, String), BuildError> {
    let mut child = cargo.spawn().map_err(|e| BuildError::NoCargo { why: e.to_string() })?;
    let stdout = child.stdout.take();
    // Both pipes have to be emptied at once, or a full one would stop cargo.
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut stdout) = stdout {
            let _ = stdout.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect::<Vec<String>>()
    });
    let mut words: std::collections::VecDeque<String> = std::collections::VecDeque::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            progress(&line);
            if words.len() == OUTPUT_LINES_MAX {
                words.pop_front();
            }
            words.push_back(line);
        }
    }
    let status = child.wait().map_err(|e| BuildError::NoCargo { why: e.to_string() })?;
    let messages = reader.join().unwrap_or_default();
    Ok((status.success(), messages, words.make_contiguous().join("\n")))
}

/// Package name and file, if the line of JSON tells of a `cdylib` that is there.
fn cdylib(line: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let kinds = message["target"]["kind"].as_array()?;
    if !kinds.iter().any(|kind| kind == "cdylib") {
        return None;
    }
    let files = message["filenames"].as_array()?.iter().filter_map(|file| file.as_str());
    let wasm = files.into_iter().find(|file| file.ends_with(".wasm"))?;
    Some((package_name(&message).unwrap_or(message["target"]["name"].as_str()?).to_owned(), PathBuf::from(wasm)))
}

/// `path+file:///here/greeter#0.1.0` or `path+file:///here/there#greeter@0.1.0`.
fn package_name(message: &serde_json::Value) -> Option<&str> {
    let id = message["package_id"].as_str()?;
    let (place, rest) = id.rsplit_once('#')?;
    match rest.split_once('@') {
        Some((name, _)) => Some(name),
        None => place.rsplit('/').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cdylib_is_known_by_its_package() {
        let line = |id: &str, kind: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{id}","target":{{"kind":["{kind}"],"name":"my_actor"}},"filenames":["/t/my_actor.wasm"]}}"#
            )
        };
        let found = |id: &str| cdylib(&line(id, "cdylib")).map(|(name, _)| name);
        assert_eq!(found("path+file:///a/b#my-actor@0.1.0").as_deref(), Some("my-actor"));
        assert_eq!(found("path+file:///a/my-actor#0.1.0").as_deref(), Some("my-actor"));
        assert_eq!(cdylib(&line("path+file:///a/b#0.1.0", "rlib")), None);
        assert_eq!(cdylib("not json"), None);
    }

    #[test]
    fn a_dependency_beside_the_crate_is_called_the_same_everywhere() {
        let package = |path: &str, source: serde_json::Value| serde_json::json!({ "name": "pando", "version": "0.1.0", "manifest_path": path, "source": source });
        let dir = Path::new("/home/ada/greeter");
        let beside = neighbour(dir, &package("/opt/sdk/Cargo.toml", serde_json::Value::Null));
        assert_eq!(beside, Some((PathBuf::from("/opt/sdk"), "/pando-0.1.0".to_owned())));
        assert_eq!(neighbour(dir, &package("/home/ada/greeter/part/Cargo.toml", serde_json::Value::Null)), None);
        assert_eq!(neighbour(dir, &package("/x/registry/pando/Cargo.toml", "registry+https://x".into())), None);
    }
}
