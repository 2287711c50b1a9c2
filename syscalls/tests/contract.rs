//! The four forms of the contract say the same: the crate, `SPEC.md`, `abi.wat` and `pando.h`.
//!
//! A change of one alone fails here, and the message says which of them is left behind.

#[path = "contract/facts.rs"]
mod facts;
#[path = "contract/header.rs"]
mod header;
#[path = "contract/markdown.rs"]
mod markdown;

use std::{path::Path, process::Command};

use facts::{Numbers, limit_numbers, numbers};
use markdown::{capitals, pages, table, tables};
use pando_abi::{Call, Errno, EventHeader, IMPORT_MODULE, call::Value, call::exports};

const SPEC: &str = include_str!("../SPEC.md");
const WAT: &str = include_str!("../abi.wat");
const HEADER: &str = include_str!("../pando.h");
const BINDINGS: &str = include_str!("../BINDINGS.md");

fn value(v: Value) -> &'static str {
    match v {
        Value::I32 => "i32",
        Value::I64 => "i64",
    }
}

fn params(call: Call) -> Vec<(String, &'static str)> {
    call.params().iter().map(|(name, v)| ((*name).to_owned(), value(*v))).collect()
}

/// `send(target: i32, ...) -> i32`, as SPEC.md writes it.
fn signature(call: Call) -> String {
    let params: Vec<String> = params(call).iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
    let result = call.result().map(|v| format!(" -> {}", value(v))).unwrap_or_default();
    format!("{}({}){result}", call.name(), params.join(", "))
}

fn upper(names: &[String]) -> Vec<String> {
    names.iter().map(|n| n.to_uppercase()).collect()
}

#[test]
fn the_specification_has_a_page_for_every_call_with_its_number_and_types() {
    let pages = pages(SPEC);
    let found: Vec<_> = pages.iter().map(|p| (p.number, p.name.as_str(), p.signature.clone())).collect();
    let expected: Vec<_> = Call::ALL.iter().map(|c| (*c as u64, c.name(), signature(*c))).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_page_has_the_same_parts_and_its_errors_are_in_the_table() {
    for page in pages(SPEC) {
        assert_eq!(page.parts, ["Arguments", "Returns", "Errors", "Faults", "Notes"], "the page of `{}`", page.name);
        let limits: Vec<String> = limit_numbers().into_iter().map(|(n, _)| n).collect();
        for name in capitals(&page.errors) {
            let known = Errno::ALL.iter().any(|e| e.name() == name) || limits.contains(&name);
            assert!(known, "the page of `{}` names `{name}`, which is neither error nor limit", page.name);
        }
    }
}

#[test]
fn the_specification_has_the_tables_of_errors_and_exits() {
    let tables = tables(SPEC);
    let errnos = table(&tables, "Errno table", "code");
    let found: Vec<_> =
        errnos.numbers("code").into_iter().zip(errnos.column("name")).zip(errnos.column("meaning")).collect();
    let expected: Vec<_> = facts::errnos().into_iter().map(|(n, name, text)| ((n, name), text)).collect();
    assert_eq!(found, expected);

    let exits = table(&tables, "Exit kinds", "number");
    let takes = exits.column("takes links").into_iter().map(|t| t == "yes");
    let found = exits.numbers("number").into_iter().zip(exits.column("kind")).zip(exits.column("blame")).zip(takes);
    let found: Vec<_> = found.map(|(((n, kind), blame), takes)| (n, kind, blame, takes)).collect();
    assert_eq!(found, facts::exits());
}

#[test]
fn the_specification_has_the_tables_of_events_flags_rights_handles_and_policies() {
    let tables = tables(SPEC);
    let pairs = |heading: &str, number: &str, name: &str| -> Vec<(u64, String)> {
        let table = table(&tables, heading, number);
        table.numbers(number).into_iter().zip(upper(&table.column(name))).collect()
    };
    let sorted = |numbers: Numbers| {
        let mut all: Vec<(u64, String)> = numbers.into_iter().map(|(n, v)| (v, n)).collect();
        all.sort();
        all
    };
    assert_eq!(pairs("Events", "number", "kind"), facts::events());
    assert_eq!(pairs("Events", "bit", "flag"), sorted(facts::event_flags()));
    assert_eq!(pairs("Handles", "bit", "right"), sorted(facts::rights()));
    assert_eq!(pairs("Handles", "handle", "name"), sorted(facts::handles()));
    assert_eq!(pairs("Restart", "number", "policy"), facts::restarts());
}

#[test]
fn the_specification_has_every_limit_with_its_value() {
    let tables = tables(SPEC);
    let limits = table(&tables, "Limits", "limit");
    let found: Vec<_> = limits.column("limit").into_iter().zip(limits.numbers("value")).collect();
    assert_eq!(found, limit_numbers());
}

#[test]
fn the_specification_and_the_header_lay_structures_out_as_the_crate_does() {
    let tables = tables(SPEC);
    let layouts: Vec<_> = tables.iter().filter(|t| t.header.starts_with(&["offset".into(), "size".into()])).collect();
    // In the order of the page: event and exit record, what handle_stat writes, the spawn spec.
    let facts = facts::layouts();
    assert_eq!(layouts.len(), facts.len(), "one table for each structure");
    for (spec, (name, fields)) in layouts.iter().zip(&facts) {
        let rows = spec.numbers("offset").into_iter().zip(spec.numbers("size")).zip(spec.column("field"));
        let rows: Vec<_> = rows.map(|((o, s), name)| (name, o as usize, s as usize)).collect();
        let expected: Vec<_> = fields.iter().map(|f| (f.name.clone(), f.offset, f.size)).collect();
        assert_eq!(rows, expected, "the table of {name} in SPEC.md");
        assert_eq!(&header::layout(HEADER, name), fields, "struct pando_{name} in pando.h");
    }
    for (size, place) in [
        (48, "The header is 48 bytes"),
        (8, "The record is 8 bytes"),
        (24, "of a handle: 24 bytes"),
        (72, "72 bytes, then"),
    ] {
        assert!(SPEC.contains(place), "SPEC.md says `{place}`");
        let sizes: Vec<usize> = facts.iter().map(|(_, f)| f.iter().map(|f| f.size).sum()).collect();
        assert!(sizes.contains(&size), "a structure of {size} bytes");
    }
}

#[test]
fn the_header_has_every_number_and_no_other() {
    let found = header::numbers(HEADER);
    let expected = numbers();
    for (name, value) in &expected {
        assert_eq!(found.get(name), Some(value), "PANDO_{name} in pando.h");
    }
    for name in found.keys() {
        assert!(expected.contains_key(name), "PANDO_{name} in pando.h is not in the crate");
    }
    for text in [IMPORT_MODULE, pando_abi::call::INTERFACE_SECTION, pando_abi::call::LAYOUT_SECTION] {
        assert!(HEADER.contains(&format!("\"{text}\"")) && SPEC.contains(&format!("`{text}`")), "`{text}`");
    }
}

#[test]
fn the_header_declares_every_call_with_its_types() {
    let expected: Vec<_> = Call::ALL
        .iter()
        .map(|c| header::Function {
            import: c.name().to_owned(),
            name: format!("pando_{}", c.name()),
            params: params(*c),
            result: c.result().map(value),
        })
        .collect();
    assert_eq!(header::functions(HEADER), expected);
}

#[test]
fn the_text_module_imports_every_call_once_and_exports_what_a_guest_must() {
    let wasm = wat::parse_str(WAT).expect("abi.wat is valid text format");
    wasmparser::validate(&wasm).expect("abi.wat is a valid module");
    let (imports, exports) = surface(&wasm);
    let expected: Vec<_> = Call::ALL
        .iter()
        .map(|c| {
            let params = c.params().iter().map(|(_, v)| value(*v)).collect::<Vec<_>>();
            (
                IMPORT_MODULE.to_owned(),
                c.name().to_owned(),
                params,
                c.result().into_iter().map(value).collect::<Vec<_>>(),
            )
        })
        .collect();
    assert_eq!(imports, expected);
    assert_eq!(exports, [exports::MEMORY, exports::INBOX, exports::RECEIVE]);

    // Names of parameters are only in the text.
    let lines: Vec<&str> = WAT.lines().filter(|l| l.trim().starts_with("(import")).collect();
    for (call, line) in Call::ALL.iter().zip(lines) {
        let named: Vec<&str> =
            line.split("(param $").skip(1).map(|p| p.split(' ').next().unwrap_or_default()).collect();
        let expected: Vec<&str> = call.params().iter().map(|(n, _)| *n).collect();
        assert_eq!(named, expected, "{}", call.name());
    }
}

type Import = (String, String, Vec<&'static str>, Vec<&'static str>);

/// Functions that a module imports, and the names of what it exports.
fn surface(wasm: &[u8]) -> (Vec<Import>, Vec<String>) {
    use wasmparser::{Parser, Payload, TypeRef, ValType};
    let name = |v: &ValType| match v {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        other => panic!("the type {other} at the boundary"),
    };
    let (mut types, mut imports, mut exports) = (Vec::new(), Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.expect("a valid module") {
            Payload::TypeSection(section) => {
                types.extend(section.into_iter_err_on_gc_types().map(|t| t.expect("a function type")));
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.expect("an import");
                    let TypeRef::Func(ty) = import.ty else { panic!("{} is not a function", import.name) };
                    let ty = &types[ty as usize];
                    imports.push((
                        import.module.to_owned(),
                        import.name.to_owned(),
                        ty.params().iter().map(name).collect(),
                        ty.results().iter().map(name).collect(),
                    ));
                }
            }
            Payload::ExportSection(section) => {
                exports.extend(section.into_iter().map(|e| e.expect("an export").name.to_owned()));
            }
            _ => {}
        }
    }
    (imports, exports)
}

#[test]
fn a_native_c_compiler_agrees_with_the_crate() {
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("skipped: no `cc` on this machine; the header is still held against the crate as text");
        return;
    }
    let mut source = String::from("#include <stddef.h>\n#include <stdio.h>\n#include \"pando.h\"\n");
    for (name, value) in numbers() {
        source += &format!("_Static_assert(PANDO_{name} == {value}ull, \"{name}\");\n");
    }
    for (name, fields) in facts::layouts() {
        for field in fields {
            let (field, offset) = (field.name, field.offset);
            source +=
                &format!("_Static_assert(offsetof(struct pando_{name}, {field}) == {offset}, \"{name}.{field}\");\n");
        }
    }
    source += "int main(void) { for (int n = 0; n <= PANDO_MESSAGE_HANDLES_MAX; n++) {\n\
        struct pando_event e = { .handle_count = (uint16_t)n };\n\
        printf(\"%d\\n\", (int)(pando_event_body(&e) - (const uint8_t *)&e)); } return 0; }\n";
    let dir = tempfile::tempdir().expect("a folder for the compiler");
    let (file, program) = (dir.path().join("header.c"), dir.path().join("header"));
    std::fs::write(&file, source).expect("the source is written");
    run(Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", env!("CARGO_MANIFEST_DIR"), "-o"])
        .arg(&program)
        .arg(&file));
    let offsets = run(&mut Command::new(&program));
    let expected: Vec<String> =
        (0..=pando_abi::limits::MESSAGE_HANDLES_MAX).map(|n| EventHeader::body_offset(n).to_string()).collect();
    assert_eq!(offsets.lines().collect::<Vec<_>>(), expected, "where the body starts, by number of handles");
}

#[test]
fn the_guides_actor_in_c_builds_to_a_module_that_a_node_takes() {
    let source =
        BINDINGS.split("```c\n").nth(1).and_then(|b| b.split("```").next()).expect("the example in BINDINGS.md");
    let dir = tempfile::tempdir().expect("a folder for the compiler");
    let (file, out) = (dir.path().join("counter.c"), dir.path().join("counter.wasm"));
    std::fs::write(&file, source).expect("the source is written");
    let Some(mut clang) = wasm_clang(dir.path()) else {
        eprintln!(
            "skipped: no clang with a wasm32 linker on this machine (Debian: clang-22 lld-22; elsewhere: clang lld, or ziglang)"
        );
        return;
    };
    run(clang
        .args(["-ffreestanding", "-nostdlib", "-O2", "-Wl,--no-entry"])
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-I", env!("CARGO_MANIFEST_DIR"), "-o"])
        .arg(&out)
        .arg(&file));
    let wasm = std::fs::read(&out).expect("the module is there");
    wasmparser::validate(&wasm).expect("the module is valid");
    let (imports, exported) = surface(&wasm);
    for (module, name, params, result) in imports {
        assert_eq!(module, IMPORT_MODULE);
        let call = Call::ALL.iter().find(|c| c.name() == name).unwrap_or_else(|| panic!("`{name}` is no call"));
        assert_eq!(params, call.params().iter().map(|(_, v)| value(*v)).collect::<Vec<_>>(), "{name}");
        assert_eq!(result, call.result().into_iter().map(value).collect::<Vec<_>>(), "{name}");
    }
    for name in [exports::MEMORY, exports::INBOX, exports::RECEIVE] {
        assert!(exported.iter().any(|e| e == name), "the module exports `{name}`");
    }
    let section = wasmparser::Parser::new(0).parse_all(&wasm).find_map(|p| match p {
        Ok(wasmparser::Payload::CustomSection(s)) if s.name() == pando_abi::call::INTERFACE_SECTION => {
            Some(s.data().to_vec())
        }
        _ => None,
    });
    let text = String::from_utf8(section.expect("the module has its interface")).expect("the interface is text");
    assert!(text.starts_with("actor Counter\n") && text.contains("fn add(by: i64) -> i64"), "{text}");
}

/// A clang that links wasm32, if there is one: tried, for a clang without its linker is none.
fn wasm_clang(dir: &Path) -> Option<Command> {
    let probe = dir.join("probe.c");
    std::fs::write(&probe, "int probe;\n").ok()?;
    let newest_first = ["clang", "clang-22", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17", "clang-16"];
    newest_first.into_iter().find_map(|name| {
        let new = || {
            let mut clang = Command::new(name);
            clang.arg("--target=wasm32");
            clang
        };
        let tried = new().args(["-nostdlib", "-Wl,--no-entry", "-o"]).arg(dir.join("probe.wasm")).arg(&probe).output();
        tried.is_ok_and(|o| o.status.success()).then(new)
    })
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("its output is text")
}
