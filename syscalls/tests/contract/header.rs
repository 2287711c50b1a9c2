//! `pando.h` as data: its numbers, its structures and its functions.

use crate::facts::{Field, Numbers};

/// Every `#define PANDO_X number`, without the `PANDO_`.
pub fn numbers(header: &str) -> Numbers {
    let mut all = Numbers::new();
    for line in header.lines() {
        let Some(rest) = line.strip_prefix("#define PANDO_") else { continue };
        let mut words = rest.split_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        let digits = value.trim_end_matches(|c: char| c.is_ascii_lowercase());
        if let Ok(value) = digits.parse() {
            assert!(all.insert(name.to_owned(), value).is_none(), "{name} is defined twice");
        }
    }
    all
}

/// The fields of `struct pando_NAME`, laid out as C lays them out.
pub fn layout(header: &str, name: &str) -> Vec<Field> {
    let start = format!("struct pando_{name} {{\n");
    let body = header.split(&start).nth(1).unwrap_or_else(|| panic!("no {start}")).split("};").next();
    let mut offset = 0;
    let mut fields = Vec::new();
    for line in body.unwrap_or_default().lines() {
        let line = line.split("/*").next().unwrap_or_default().trim().trim_end_matches(';');
        let Some((ty, name)) = line.split_once(' ') else { continue };
        let (name, count) = match name.split_once('[') {
            Some((name, count)) => (name, count.trim_end_matches(']').parse().expect("a length")),
            None => (name, 1),
        };
        let size = match ty {
            "uint8_t" => 1,
            "uint16_t" => 2,
            "uint32_t" | "int32_t" | "pando_handle" => 4,
            "uint64_t" => 8,
            other => panic!("a field of type {other}"),
        };
        offset = usize::next_multiple_of(offset, size);
        fields.push(Field { name: name.to_owned(), offset, size: size * count });
        offset += size * count;
    }
    fields
}

/// A function with its import's name, its parameters and its result, types as WebAssembly has them.
#[derive(PartialEq, Eq, Debug)]
pub struct Function {
    pub import: String,
    pub name: String,
    pub params: Vec<(String, &'static str)>,
    pub result: Option<&'static str>,
}

/// Every function behind a `PANDO_IMPORT`, in order.
pub fn functions(header: &str) -> Vec<Function> {
    let function = |text: &str| {
        let (import, rest) = text.split_once("\")").expect("the import's name");
        let declaration = rest.split_once('\n').expect("a declaration").1.split(';').next().expect("one");
        let (front, params) = declaration.split_once('(').expect("parameters");
        let (result, name) = front.rsplit_once(' ').expect("type and name");
        let params = params.trim_end_matches(')').split(", ").filter(|p| *p != "void").map(|p| {
            let at = p.rfind([' ', '*']).expect("type and name") + 1;
            (p[at..].to_owned(), wasm(p[..at].trim()).expect("a parameter has a type"))
        });
        Function { import: import.to_owned(), name: name.to_owned(), params: params.collect(), result: wasm(result) }
    };
    header.split("\nPANDO_IMPORT(\"").skip(1).map(function).collect()
}

fn wasm(ty: &str) -> Option<&'static str> {
    match ty {
        "void" => None,
        "int64_t" | "uint64_t" => Some("i64"),
        "int32_t" | "uint32_t" | "pando_handle" => Some("i32"),
        pointer if pointer.ends_with('*') => Some("i32"),
        other => panic!("the type `{other}`"),
    }
}
