//! What a module is, read from its bytes before anything is compiled.
//!
//! Owns: which modules are taken, and the sentence for those that are not. Does not know wasmtime.
//!
//! 1. What passes here is valid WebAssembly of [`FEATURES`], imports only syscalls by their right types, and exports what
//!    the contract wants.

use pando_abi::{
    Call, IMPORT_MODULE,
    call::{INTERFACE_SECTION, Value, exports},
    limits,
};
use rkyv::{Archive, Deserialize, Serialize};
use wasmparser::{
    CompositeInnerType, Encoding, ExternalKind, FuncType, GlobalType, MemoryType, Operator, Parser, Payload, TypeRef,
    ValType, Validator, WasmFeatures,
};

use super::{
    ModuleError,
    error::{nearest, over},
    layout::{self, Layout},
};
use crate::engine::FEATURES;

/// Prefix of the exports that the rewrite adds. No module may export such a name itself.
pub(crate) const RESERVED: &str = "pando$";

/// What is known of a module for good: kept beside its compiled code, so that what was inspected once need not be again.
#[derive(Clone, PartialEq, Eq, Debug, Default, Archive, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Length of its Wasm bytes.
    pub(crate) bytes: u64,
    pub(crate) interface: Option<String>,
    /// Why instances cannot be made into images, if they cannot.
    pub(crate) no_image: Option<String>,
    /// What its author says of its memory.
    pub(crate) layout: Option<Layout>,
    /// How many mutable globals it has.
    pub(crate) globals: u32,
    /// Has it a start function?
    pub(crate) has_start: bool,
    /// Does it write its state down for the next version of its code?
    pub(crate) exports_state: bool,
    /// Does it take up what an earlier version wrote?
    pub(crate) imports_state: bool,
}

/// What was found, with what its rewriting needs.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) known: Known,
    /// Index of the start function.
    pub(crate) start: Option<u32>,
    /// Mutable globals: index and type.
    pub(crate) globals: Vec<(u32, ValType)>,
}

/// Reads a module, or says why it is not taken.
pub(crate) fn inspect(wasm: &[u8]) -> Result<Facts, ModuleError> {
    let mut reader = Reader::default();
    for payload in Parser::new(0).parse_all(wasm) {
        reader.payload(payload.map_err(invalid)?)?;
    }
    let mut facts = reader.finish()?;
    facts.known.bytes = wasm.len() as u64;
    facts.known.globals = facts.globals.len() as u32;
    facts.known.has_start = facts.start.is_some();
    facts.known.layout = layout::of(wasm).map_err(invalid)?;
    // The features that are refused by name are caught above, in words; the validator catches the rest.
    Validator::new_with_features(FEATURES).validate_all(wasm).map_err(refused)?;
    Ok(facts)
}

fn invalid(e: wasmparser::BinaryReaderError) -> ModuleError {
    ModuleError::Invalid { message: e.message().into(), offset: e.offset() }
}

/// The validator says "x support is not enabled" for a feature that actors do not have.
fn refused(e: wasmparser::BinaryReaderError) -> ModuleError {
    match e.message().split_once(" support is not enabled") {
        Some((feature, _)) => ModuleError::Unsupported(feature.into()),
        None => invalid(e),
    }
}

fn unsupported(what: &str) -> ModuleError {
    ModuleError::Unsupported(what.into())
}

#[derive(Default)]
struct Reader {
    facts: Facts,
    types: Vec<Option<FuncType>>,
    functions: Vec<u32>,
    globals: Vec<GlobalType>,
    memories: Vec<MemoryType>,
    tables: u64,
    exports: Vec<(String, ExternalKind, u32)>,
}

impl Reader {
    fn payload(&mut self, payload: Payload<'_>) -> Result<(), ModuleError> {
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } => Err(unsupported("components")),
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group.map_err(invalid)?.into_types() {
                        self.types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(f) => Some(f),
                            _ => return Err(unsupported("garbage-collected types")),
                        });
                    }
                }
                Ok(())
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(invalid)?;
                    self.import(import.module, import.name, import.ty)?;
                }
                Ok(())
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.functions.push(ty.map_err(invalid)?);
                }
                Ok(())
            }
            Payload::TableSection(section) => {
                for table in section {
                    self.tables = self.tables.saturating_add(table.map_err(invalid)?.ty.initial);
                }
                over("table elements", self.tables as usize, limits::TABLE_ELEMENTS_MAX)
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.memory(memory.map_err(invalid)?)?;
                }
                Ok(())
            }
            Payload::TagSection(_) => Err(unsupported("exceptions")),
            Payload::GlobalSection(section) => {
                for global in section {
                    self.global(global.map_err(invalid)?.ty);
                }
                Ok(())
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.map_err(invalid)?;
                    if export.name.starts_with(RESERVED) {
                        return Err(ModuleError::Unsupported(format!("the reserved export name {}", export.name)));
                    }
                    self.exports.push((export.name.into(), export.kind, export.index));
                }
                Ok(())
            }
            Payload::StartSection { func, .. } => {
                self.facts.start = Some(func);
                Ok(())
            }
            Payload::CodeSectionEntry(body) => self.code(&body),
            Payload::CustomSection(section) if section.name() == INTERFACE_SECTION => {
                over("bytes of interface", section.data().len(), limits::INTERFACE_BYTES_MAX)?;
                let text = std::str::from_utf8(section.data()).map_err(|_| ModuleError::Interface)?;
                self.facts.known.interface = Some(text.into());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn import(&mut self, module: &str, name: &str, ty: TypeRef) -> Result<(), ModuleError> {
        let known = Call::ALL.iter().copied().find(|c| c.name() == name);
        let unknown = |nearest| ModuleError::UnknownImport { module: module.into(), name: name.into(), nearest };
        let (Some(call), true) = (known, module == IMPORT_MODULE) else {
            return Err(unknown(known.or_else(|| (module == IMPORT_MODULE).then(|| nearest(name)).flatten())));
        };
        let TypeRef::Func(index) = ty else {
            return Err(ModuleError::WrongImport { call, found: "something else than a function".into() });
        };
        let found = self.types.get(index as usize).and_then(Option::as_ref);
        let value = |v: &Value| match v {
            Value::I32 => ValType::I32,
            Value::I64 => ValType::I64,
        };
        let params: Vec<_> = call.params().iter().map(|(_, v)| value(v)).collect();
        let results: Vec<_> = call.result().iter().map(value).collect();
        match found {
            Some(f) if f.params() == params && f.results() == results => {
                self.functions.push(index);
                Ok(())
            }
            Some(f) => Err(ModuleError::WrongImport { call, found: function_text(f) }),
            None => Err(ModuleError::WrongImport { call, found: "a function of an unknown type".into() }),
        }
    }

    fn memory(&mut self, ty: MemoryType) -> Result<(), ModuleError> {
        if ty.shared {
            return Err(unsupported("shared memory and threads"));
        }
        if ty.memory64 {
            return Err(unsupported("64-bit memory"));
        }
        if !self.memories.is_empty() {
            return Err(unsupported("more than one memory"));
        }
        let page = 1u64 << ty.page_size_log2.unwrap_or(16);
        over("bytes of initial memory", ty.initial.saturating_mul(page) as usize, limits::MEMORY_BYTES_MAX as usize)?;
        self.memories.push(ty);
        Ok(())
    }

    fn global(&mut self, ty: GlobalType) {
        let index = self.globals.len() as u32;
        self.globals.push(ty);
        if !ty.mutable {
            return;
        }
        match ty.content_type {
            ValType::Ref(_) => self.no_image("it has a mutable global that holds a reference"),
            number => self.facts.globals.push((index, number)),
        }
    }

    fn code(&mut self, body: &wasmparser::FunctionBody<'_>) -> Result<(), ModuleError> {
        let mut operators = body.get_operators_reader().map_err(invalid)?;
        while !operators.eof() {
            match operators.read().map_err(invalid)? {
                Operator::TableSet { .. }
                | Operator::TableGrow { .. }
                | Operator::TableFill { .. }
                | Operator::TableCopy { .. }
                | Operator::TableInit { .. } => self.no_image("it changes its tables while it runs"),
                Operator::DataDrop { .. } | Operator::ElemDrop { .. } => {
                    self.no_image("it drops segments while it runs (data.drop, elem.drop)");
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn no_image(&mut self, why: &str) {
        self.facts.known.no_image.get_or_insert_with(|| why.into());
    }

    fn finish(mut self) -> Result<Facts, ModuleError> {
        let optional = |found: Result<(), ModuleError>| match found {
            Err(ModuleError::MissingExport { .. }) => Ok(false),
            found => found.map(|()| true),
        };
        let wanted = "a function () -> i64";
        self.facts.known.exports_state =
            optional(self.exported_function(exports::EXPORT_STATE, wanted, &[], &[ValType::I64]))?;
        let wanted = "a function (len: i32)";
        self.facts.known.imports_state =
            optional(self.exported_function(exports::IMPORT_STATE, wanted, &[ValType::I32], &[]))?;
        self.exported_function(exports::RECEIVE, "a function (len: i32)", &[ValType::I32], &[])?;
        self.exported_function(exports::INBOX, "a function (len: i32) -> i32", &[ValType::I32], &[ValType::I32])?;
        let wanted = "a linear memory";
        match self.export(exports::MEMORY) {
            Some((ExternalKind::Memory, _)) => Ok(self.facts),
            Some((kind, _)) => Err(ModuleError::WrongExport {
                name: exports::MEMORY,
                found: format!("a {kind:?}").to_lowercase(),
                wanted,
            }),
            None => Err(ModuleError::MissingExport { name: exports::MEMORY, wanted }),
        }
    }

    fn export(&self, name: &str) -> Option<(ExternalKind, u32)> {
        self.exports.iter().find(|(n, ..)| n == name).map(|(_, kind, index)| (*kind, *index))
    }

    fn exported_function(
        &self,
        name: &'static str,
        wanted: &'static str,
        params: &[ValType],
        results: &[ValType],
    ) -> Result<(), ModuleError> {
        let (kind, index) = self.export(name).ok_or(ModuleError::MissingExport { name, wanted })?;
        if kind != ExternalKind::Func {
            return Err(ModuleError::WrongExport { name, found: format!("a {kind:?}").to_lowercase(), wanted });
        }
        let ty = self.functions.get(index as usize).and_then(|t| self.types.get(*t as usize)).and_then(Option::as_ref);
        match ty {
            Some(f) if f.params() == params && f.results() == results => Ok(()),
            Some(f) => {
                Err(ModuleError::WrongExport { name, found: format!("a function {}", function_text(f)), wanted })
            }
            None => Err(ModuleError::WrongExport { name, found: "a function of an unknown type".into(), wanted }),
        }
    }
}

/// `(i32, i32) -> i64`
fn function_text(f: &FuncType) -> String {
    let list = |all: &[ValType]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match f.results() {
        [] => format!("({})", list(f.params())),
        results => format!("({}) -> {}", list(f.params()), list(results)),
    }
}

const _: () = assert!(FEATURES.bits() & WasmFeatures::THREADS.bits() == 0);
