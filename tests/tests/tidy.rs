//! The house is tidy: what STYLE and reviewers would otherwise have to say by hand.
//!
//! 1. Every rule says in its message what to do.
//! 2. Rules look at text, so what they look for is written here in two halves.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines of one Rust file. Past it, ask which second idea has moved in.
const LINES_MAX: usize = 600;

struct File {
    /// From the workspace's root.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

/// Every file of ours with one of these endings.
fn files(endings: &[&str]) -> Vec<File> {
    fn walk(dir: &Path, endings: &[&str], out: &mut Vec<File>) {
        let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let mut entries: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if path.is_dir() {
                // `.git` and what is built are not ours; `.ci` is.
                if !matches!(name, ".git" | "target" | "node_modules") {
                    walk(&path, endings, out);
                }
            } else if endings.iter().any(|e| name.ends_with(e)) {
                // A file that went away under our feet is nobody's untidiness.
                let Ok(text) = fs::read_to_string(&path) else { continue };
                let path = path.strip_prefix(root()).expect("in the workspace").display().to_string();
                out.push(File { path, text });
            }
        }
    }
    let mut out = Vec::new();
    walk(&root(), endings, &mut out);
    assert!(!out.is_empty(), "no file with {endings:?}");
    out
}

fn demand(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// `path:line: what` for every line in which one of `needles` stands.
fn lines_with(files: &[File], needles: &[String], what: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(needle) = needles.iter().find(|n| line.contains(n.as_str())) {
                complaints.push(format!("{}:{}: `{needle}`: {what}", file.path, number + 1));
            }
        }
    }
    complaints
}

#[test]
fn no_file_is_longer_than_one_idea() {
    let long = files(&[".rs"]).into_iter().map(|f| (f.text.lines().count(), f.path)).filter(|(n, _)| *n > LINES_MAX);
    demand(long.map(|(n, path)| format!("{path}: {n} lines; cut it where the second idea starts")).collect());
}

#[test]
fn every_module_opens_with_a_tagline() {
    let mut complaints = Vec::new();
    // `src/foo/tests.rs` and what is in `src/foo/tests/` belong to `foo.rs`, which has said it all.
    let beside = |path: &str| path.contains("/src/") && (path.ends_with("/tests.rs") || path.contains("/tests/"));
    for file in files(&[".rs"]).into_iter().filter(|f| !beside(&f.path)) {
        let front: Vec<&str> = file.text.lines().map_while(|l| l.strip_prefix("//! ")).collect();
        let sentence = front.join(" ");
        if sentence.len() < 8 || front.len() > 2 || !sentence.ends_with(['.', ':', '?']) {
            let mend = "open with `//! ` and one sentence that says what it is, then a blank `//!` before more";
            complaints.push(format!("{}:1: {mend}", file.path));
        }
    }
    demand(complaints);
}

#[test]
fn modules_lie_beside_their_folders() {
    let mods = files(&[".rs"]).into_iter().filter(|f| f.path.ends_with("/mod.rs"));
    demand(mods.map(|f| format!("{}: call it after its folder, beside it", f.path)).collect());
}

#[test]
fn nothing_is_left_to_do() {
    let needles = [("todo", "!("), ("unimplemented", "!("), ("dbg", "!("), ("TO", "DO"), ("FIX", "ME"), ("XX", "X:")];
    let needles: Vec<String> = needles.iter().map(|(a, b)| format!("{a}{b}")).collect();
    demand(lines_with(&files(&[".rs", ".wat", ".toml", ".h"]), &needles, "do it or let it be"));
}

#[test]
fn what_a_node_is_made_of_denies_what_can_panic_and_what_two_nodes_see_differently() {
    let crates = ["syscalls", "scheduler", "actors", "transport", "raft", "kernel", "kernel/admin"];
    let lints = ["unwrap_used", "expect_used", "indexing_slicing", "panic", "unreachable", "iter_over_hash_type"];
    let lints = lints.iter().chain(&["disallowed_methods", "allow_attributes_without_reason"]);
    let mut complaints = Vec::new();
    for path in crates.map(|krate| format!("{krate}/src/lib.rs")) {
        let text = fs::read_to_string(root().join(&path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        let denied = text.split_once("deny(\n").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(list, _)| list);
        let denied: Vec<&str> = denied.split(',').map(str::trim).collect();
        let missing = lints.clone().map(|l| format!("clippy::{l}")).filter(|l| !denied.contains(&l.as_str()));
        complaints.extend(missing.map(|l| format!("{path}: deny `{l}`, as the others do")));
    }
    demand(complaints);
}

#[test]
fn no_path_of_somebodys_machine_is_in_a_file() {
    let needles = [("/wo", "rk/main"), ("/wo", "rk/shared"), ("/ro", "ot/."), ("/tm", "p/w/"), ("/tm", "p/bash")];
    let needles: Vec<String> = needles.iter().map(|(a, b)| format!("{a}{b}")).collect();
    let files = files(&[".rs", ".wat", ".toml", ".h", ".md", ".lock", ".sh", "run"]);
    demand(lines_with(&files, &needles, "a path of one machine"));
}

#[test]
fn what_the_pages_point_to_is_there() {
    let mut complaints = Vec::new();
    for page in files(&[".md"]) {
        let folder = root().join(&page.path);
        let folder = folder.parent().expect("a page lies in a folder");
        for (number, line) in page.text.lines().enumerate() {
            for target in line.split("](").skip(1).filter_map(|l| l.split(')').next()) {
                let file = target.split('#').next().unwrap_or_default();
                let elsewhere = file.is_empty() || file.contains("://");
                if !elsewhere && !folder.join(file).exists() {
                    complaints.push(format!("{}:{}: `{target}` leads nowhere", page.path, number + 1));
                }
            }
        }
    }
    demand(complaints);
}

#[test]
fn every_folder_is_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let navigating = readme.split("## Navigating").nth(1).expect("README.md has `## Navigating`");
    let entries = fs::read_dir(root()).expect("the root").map(|e| e.expect("an entry"));
    let names = entries.filter(|e| e.path().is_dir()).map(|e| e.file_name().to_string_lossy().into_owned());
    let ours = names.filter(|n| !n.starts_with('.') && n != "target");
    let missing = ours.filter(|n| !navigating.contains(&format!("`{n}/`")));
    demand(missing.map(|n| format!("README.md, Navigating: a line for `{n}/`")).collect());
}

#[test]
fn the_gate_runs_the_readmes_test_command() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let readme = read("README.md");
    let block = readme
        .split("## Test it")
        .nth(1)
        .and_then(|t| t.split("```sh\n").nth(1))
        .expect("a command under `## Test it`");
    let command = block.lines().next().unwrap_or_default();
    assert!(command.starts_with("cargo test"), "{command}");
    // Last, so that its summary is the end of the gate's output.
    assert_eq!(read(".ci/run").lines().last(), Some(command), "the last line of .ci/run");
}
