//! The layering is a test: what crates import is what ARCHITECTURE.md says.
//!
//! 1. The tables are read from the page itself, so page and code cannot drift apart.
//! 2. Both directions: an import that is not in a table fails, and so does a line that is no longer true.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

const PAGE: &str = include_str!("../../ARCHITECTURE.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

#[derive(Default)]
struct Package {
    folder: String,
    /// Normal dependencies.
    imports: BTreeSet<String>,
    /// Of tests and build scripts.
    beside: BTreeSet<String>,
    build: BTreeSet<String>,
}

/// The packages of a workspace, by name.
fn packages(manifest: &Path) -> BTreeMap<String, Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(manifest)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata speaks JSON");
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let mut packages = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let folder = PathBuf::from(text(&package["manifest_path"]));
        let folder = folder.parent().and_then(|f| f.strip_prefix(root()).ok()).expect("a folder in the workspace");
        let mut found = Package { folder: folder.display().to_string(), ..Package::default() };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let name = text(&dependency["name"]);
            match dependency["kind"].as_str() {
                None => found.imports.insert(name),
                Some("build") => found.build.insert(name.clone()) && found.beside.insert(name),
                Some(_) => found.beside.insert(name),
            };
        }
        packages.insert(text(&package["name"]), found);
    }
    packages
}

/// Rows of the table whose header starts with `first`: the cells, with code marks.
fn rows(first: &str) -> Vec<Vec<String>> {
    let from = PAGE.find(&format!("| {first} |")).unwrap_or_else(|| panic!("no table `{first}` in ARCHITECTURE.md"));
    let lines = PAGE[from..].lines().skip(2).take_while(|l| l.starts_with('|'));
    lines.map(|l| l.trim().trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect()).collect()
}

/// What stands between code marks.
fn codes(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn code(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

#[test]
fn our_crates_import_each_other_as_the_table_says() {
    let packages = packages(&root().join("Cargo.toml"));
    let ours = |names: &BTreeSet<String>| names.iter().filter(|n| packages.contains_key(*n)).cloned().collect();
    let found: BTreeMap<String, (String, BTreeSet<String>, BTreeSet<String>)> = packages
        .iter()
        .map(|(name, p)| (name.clone(), (p.folder.clone(), ours(&p.imports), ours(&p.beside))))
        .collect();
    let table: BTreeMap<String, (String, BTreeSet<String>, BTreeSet<String>)> =
        rows("crate").iter().map(|row| (code(&row[0]), (code(&row[1]), codes(&row[2]), codes(&row[3])))).collect();
    for (name, facts) in &found {
        assert_eq!(table.get(name), Some(facts), "`{name}`: left is ARCHITECTURE.md, right is Cargo.toml");
    }
    for name in table.keys() {
        assert!(found.contains_key(name), "ARCHITECTURE.md has `{name}`, the workspace has not");
    }
}

#[test]
fn imports_run_one_way() {
    let packages = packages(&root().join("Cargo.toml"));
    // Taking away what imports nothing that is left must leave nothing.
    let mut left: BTreeMap<&String, BTreeSet<&String>> = packages
        .iter()
        .map(|(name, p)| {
            let imports = p.imports.iter().chain(&p.beside).filter(|n| packages.contains_key(*n));
            (name, imports.collect())
        })
        .collect();
    while let Some(name) = left.iter().find(|(_, i)| i.iter().all(|n| !left.contains_key(*n))).map(|(n, _)| *n) {
        left.remove(name);
    }
    assert!(left.is_empty(), "these import each other in a ring: {:?}", left.keys());
}

#[test]
fn every_foreign_crate_lives_where_the_table_says() {
    let packages = packages(&root().join("Cargo.toml"));
    let mut homes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut in_tests: BTreeSet<String> = BTreeSet::new();
    for (name, package) in &packages {
        for foreign in package.imports.iter().chain(&package.build).filter(|n| !packages.contains_key(*n)) {
            if package.folder.starts_with("tests") {
                in_tests.insert(foreign.clone());
            } else {
                homes.entry(foreign.clone()).or_default().insert(name.clone());
            }
        }
        let beside = package.beside.difference(&package.build);
        in_tests.extend(beside.filter(|n| !packages.contains_key(*n)).cloned());
    }
    let mut table = BTreeMap::new();
    for row in rows("foreign crate") {
        assert!(!row[2].is_empty(), "{} stands without a reason", row[0]);
        table.insert(code(&row[0]), (codes(&row[1]), row[1] == "tests"));
    }
    let mut complaints = Vec::new();
    for (foreign, homes) in &homes {
        match table.get(foreign) {
            Some((listed, _)) if listed == homes => {}
            Some((listed, _)) => complaints.push(format!("`{foreign}` is in {listed:?} there, and in {homes:?} here")),
            None => complaints.push(format!("`{foreign}` is not there, and in {homes:?} here")),
        }
    }
    for foreign in in_tests.iter().filter(|f| !table.contains_key(*f)) {
        complaints.push(format!("`{foreign}` is not there, and used in tests here"));
    }
    for (foreign, (_, tests_only)) in &table {
        let used = if *tests_only { in_tests.contains(foreign) } else { homes.contains_key(foreign) };
        if !used {
            complaints.push(format!("`{foreign}` is there, and nobody imports it so here"));
        }
    }
    assert!(
        complaints.is_empty(),
        "\nARCHITECTURE.md, Dependencies (there) against Cargo.toml (here):\n{}\n",
        complaints.join("\n")
    );
}

#[test]
fn wasm_programs_import_the_sdk_and_nothing_else_of_ours() {
    let ours = packages(&root().join("Cargo.toml"));
    let manifest = root().join("userland/programs/Cargo.toml");
    let programs = packages(&manifest);
    assert!(!programs.is_empty(), "there are programs in {}", manifest.display());
    for (name, program) in &programs {
        let imports = program.imports.iter().chain(&program.beside);
        let ours: Vec<&String> = imports.filter(|n| ours.contains_key(*n) && *n != "pando").collect();
        assert!(ours.is_empty(), "the program `{name}` imports {ours:?}");
    }
}
