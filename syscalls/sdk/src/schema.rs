//! What an actor understands, as data; and the interface text, made of it while compiling.
//!
//! Owns: the constants that the macros fill, and their rendering by `const fn`. Does not know: how values are written.
//! SPEC.md, section 12, has the grammar.
//!
//! 1. The text is a constant: nothing of this module is in a running actor.
//! 2. Every record and enum that a method mentions, however deep, is declared once.

use crate::prelude::*;

/// The type of a value.
#[derive(Debug)]
pub enum Type {
    /// One that the grammar has a word for: `i64`, `text`, `actor`.
    Word(&'static str),
    /// Many.
    List(&'static Type),
    /// Keys and values.
    Map(&'static Type, &'static Type),
    /// One or none.
    Option(&'static Type),
    /// One, or an error in words.
    Result(&'static Type),
    /// A fixed row.
    Tuple(&'static [&'static Type]),
    /// A map with known keys.
    Record(&'static Record),
    /// One of several.
    Enum(&'static Enum),
}

/// A map with known keys.
#[derive(Debug)]
pub struct Record {
    /// Its name.
    pub name: &'static str,
    /// The author's words, a line each.
    pub doc: &'static [&'static str],
    /// Its fields.
    pub fields: &'static [Field],
}

/// One of several.
#[derive(Debug)]
pub struct Enum {
    /// Its name.
    pub name: &'static str,
    /// The author's words, a line each.
    pub doc: &'static [&'static str],
    /// Its variants.
    pub variants: &'static [Variant],
}

/// A field of a record, or a parameter.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: &'static Type,
}

/// A variant of an enum.
#[derive(Debug)]
pub struct Variant {
    /// Its name.
    pub name: &'static str,
    /// What it carries.
    pub payload: Payload,
}

/// What a variant carries.
#[derive(Debug)]
pub enum Payload {
    /// Nothing.
    Unit,
    /// Values in a row.
    Tuple(&'static [&'static Type]),
    /// Values with names.
    Record(&'static [Field]),
}

/// One method.
#[derive(Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// The author's words, a line each.
    pub doc: &'static [&'static str],
    /// Does it only read?
    pub query: bool,
    /// Its parameters.
    pub params: &'static [Field],
    /// What it answers.
    pub result: &'static Type,
}

/// Everything that one kind of actor understands.
#[derive(Debug)]
pub struct Interface {
    /// Its name.
    pub name: &'static str,
    /// The author's words, a line each.
    pub doc: &'static [&'static str],
    /// Its methods, `start` among them.
    pub methods: &'static [Method],
}

/// Bytes of the text of `interface`.
pub const fn length(interface: &Interface) -> usize {
    let mut text = Text { bytes: &mut [], len: 0 };
    write_interface(&mut text, interface);
    text.len
}

/// The text of `interface`, which has `N` bytes.
pub const fn text<const N: usize>(interface: &Interface) -> [u8; N] {
    let mut bytes = [0; N];
    let mut text = Text { bytes: &mut bytes, len: 0 };
    write_interface(&mut text, interface);
    assert!(text.len == N, "N is what `length` says");
    bytes
}

/// The text of `interface`, for tools and tests that run natively.
pub(crate) fn to_string(interface: &Interface) -> String {
    let mut bytes = vec![0; length(interface)];
    write_interface(&mut Text { bytes: &mut bytes, len: 0 }, interface);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Records and enums of one interface at most.
const NAMED_MAX: usize = 64;

/// Counts everything, keeps what fits: with no room at all it only counts.
struct Text<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

/// Records and enums that were met, in the order in which they were.
struct Named {
    types: [Option<&'static Type>; NAMED_MAX],
    len: usize,
}

impl Text<'_> {
    const fn put(&mut self, text: &str) {
        let from = text.as_bytes();
        let mut i = 0;
        while i < from.len() {
            if self.len < self.bytes.len() {
                self.bytes[self.len] = from[i];
            }
            self.len += 1;
            i += 1;
        }
    }
}

const fn write_interface(out: &mut Text<'_>, interface: &Interface) {
    let mut named = Named { types: [None; NAMED_MAX], len: 0 };
    write_doc(out, interface.doc);
    out.put("actor ");
    out.put(interface.name);
    out.put("\n");
    let mut i = 0;
    while i < interface.methods.len() {
        write_method(out, &mut named, &interface.methods[i]);
        i += 1;
    }
    // Declaring one may meet others, which are appended.
    let mut i = 0;
    while i < named.len {
        match named.types[i] {
            Some(Type::Record(record)) => write_record(out, &mut named, record),
            Some(Type::Enum(of)) => write_enum(out, &mut named, of),
            _ => {}
        }
        i += 1;
    }
}

const fn write_doc(out: &mut Text<'_>, lines: &[&str]) {
    let mut i = 0;
    while i < lines.len() {
        out.put("///");
        out.put(lines[i]);
        out.put("\n");
        i += 1;
    }
}

const fn write_method(out: &mut Text<'_>, named: &mut Named, method: &Method) {
    write_doc(out, method.doc);
    out.put(if method.query { "query " } else { "fn " });
    out.put(method.name);
    out.put("(");
    write_fields(out, named, method.params);
    out.put(")");
    if !matches!(method.result, Type::Word(word) if same(word, "unit")) {
        out.put(" -> ");
        write_type(out, named, method.result);
    }
    out.put("\n");
}

const fn write_record(out: &mut Text<'_>, named: &mut Named, record: &Record) {
    write_doc(out, record.doc);
    out.put("record ");
    out.put(record.name);
    out.put(" { ");
    write_fields(out, named, record.fields);
    out.put(" }\n");
}

const fn write_enum(out: &mut Text<'_>, named: &mut Named, of: &Enum) {
    write_doc(out, of.doc);
    out.put("enum ");
    out.put(of.name);
    out.put(" { ");
    let mut i = 0;
    while i < of.variants.len() {
        if i > 0 {
            out.put(", ");
        }
        out.put(of.variants[i].name);
        match of.variants[i].payload {
            Payload::Unit => {}
            Payload::Tuple(types) => {
                out.put("(");
                write_types(out, named, types);
                out.put(")");
            }
            Payload::Record(fields) => {
                out.put(" { ");
                write_fields(out, named, fields);
                out.put(" }");
            }
        }
        i += 1;
    }
    out.put(" }\n");
}

const fn write_fields(out: &mut Text<'_>, named: &mut Named, fields: &[Field]) {
    let mut i = 0;
    while i < fields.len() {
        if i > 0 {
            out.put(", ");
        }
        out.put(fields[i].name);
        out.put(": ");
        write_type(out, named, fields[i].ty);
        i += 1;
    }
}

const fn write_types(out: &mut Text<'_>, named: &mut Named, types: &[&'static Type]) {
    let mut i = 0;
    while i < types.len() {
        if i > 0 {
            out.put(", ");
        }
        write_type(out, named, types[i]);
        i += 1;
    }
}

const fn write_type(out: &mut Text<'_>, named: &mut Named, ty: &'static Type) {
    match ty {
        Type::Word(word) => out.put(word),
        Type::List(of) => write_around(out, named, "list<", of),
        Type::Option(of) => write_around(out, named, "option<", of),
        Type::Result(of) => write_around(out, named, "result<", of),
        Type::Map(key, value) => {
            out.put("map<");
            write_type(out, named, key);
            out.put(", ");
            write_type(out, named, value);
            out.put(">");
        }
        Type::Tuple(types) => {
            out.put("(");
            write_types(out, named, types);
            out.put(")");
        }
        Type::Record(record) => {
            out.put(record.name);
            named.meet(record.name, ty);
        }
        Type::Enum(of) => {
            out.put(of.name);
            named.meet(of.name, ty);
        }
    }
}

const fn write_around(out: &mut Text<'_>, named: &mut Named, front: &str, of: &'static Type) {
    out.put(front);
    write_type(out, named, of);
    out.put(">");
}

impl Named {
    const fn meet(&mut self, name: &str, ty: &'static Type) {
        let mut i = 0;
        while i < self.len {
            let known = match self.types[i] {
                Some(Type::Record(record)) => record.name,
                Some(Type::Enum(of)) => of.name,
                _ => "",
            };
            if same(known, name) {
                if let Some(other) = self.types[i] {
                    assert!(alike(other, ty), "two different types of one interface have the same name");
                }
                return;
            }
            i += 1;
        }
        assert!(self.len < NAMED_MAX, "an interface has at most 64 records and enums");
        self.types[self.len] = Some(ty);
        self.len += 1;
    }
}

/// Two types of one name are one type if they have the same fields or variants, by name.
const fn alike(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Record(a), Type::Record(b)) => {
            let mut i = 0;
            while i < a.fields.len() && i < b.fields.len() && same(a.fields[i].name, b.fields[i].name) {
                i += 1;
            }
            i == a.fields.len() && i == b.fields.len()
        }
        (Type::Enum(a), Type::Enum(b)) => {
            let mut i = 0;
            while i < a.variants.len() && i < b.variants.len() && same(a.variants[i].name, b.variants[i].name) {
                i += 1;
            }
            i == a.variants.len() && i == b.variants.len()
        }
        _ => false,
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}
