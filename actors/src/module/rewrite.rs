//! The module as it is compiled: every mutable global has an export, and the start function waits to be called. Of a replicated
//! module the code says which pages it writes ([`super::marking`]).
//!
//! Owns: what of a module is changed. Does not know why; that is [`crate::shell`].
//!
//! 1. Nothing but exports and the start section differs, and with marks the code and a second memory: indices and names stay as
//!    the author has them.
//! 2. The same module gives the same bytes.

use wasm_encoder::{CodeSection, ExportKind, ExportSection, MemorySection, RawSection};
use wasmparser::{CompositeInnerType, ExternalKind, Parser, Payload};

use super::{
    ModuleError,
    inspect::{Facts, RESERVED},
    marking,
};

/// Changes whenever this file would write other bytes for the same module. Part of the cache's key.
pub(super) const VERSION: u32 = 3;

/// The export name of the `n`th mutable global.
pub(crate) fn global_name(n: usize) -> String {
    format!("{RESERVED}global.{n}")
}

/// The export name of the start function.
pub(crate) fn start_name() -> String {
    format!("{RESERVED}start")
}

/// A module that [`super::inspect`] has passed, rewritten. `marks`: its code says which pages it writes.
pub(super) fn rewrite(wasm: &[u8], facts: &Facts, marks: bool) -> Result<Vec<u8>, ModuleError> {
    let broken =
        |e: wasmparser::BinaryReaderError| ModuleError::Invalid { message: e.message().into(), offset: e.offset() };
    let mut module = wasm_encoder::Module::new();
    // How many parameters the functions of each type have, and the types of the module's own functions that are to come.
    let mut params = Vec::new();
    let mut functions = Vec::new().into_iter();
    let mut code: Option<(CodeSection, u32)> = None;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(broken)?;
        match &payload {
            Payload::TypeSection(section) if marks => {
                for group in section.clone() {
                    params.extend(group.map_err(broken)?.into_types().map(|ty| match ty.composite_type.inner {
                        CompositeInnerType::Func(f) => f.params().len() as u32,
                        _ => 0,
                    }));
                }
            }
            Payload::FunctionSection(section) if marks => {
                functions = section.clone().into_iter().collect::<Result<Vec<u32>, _>>().map_err(broken)?.into_iter();
            }
            _ => {}
        }
        match &payload {
            Payload::MemorySection(section) if marks => {
                let mut memories = MemorySection::new();
                for memory in section.clone() {
                    let memory = memory.map_err(broken)?;
                    memories.memory(wasm_encoder::MemoryType {
                        minimum: memory.initial,
                        maximum: memory.maximum,
                        memory64: memory.memory64,
                        shared: memory.shared,
                        page_size_log2: memory.page_size_log2,
                    });
                }
                memories.memory(marking::memory());
                module.section(&memories);
            }
            Payload::CodeSectionStart { count, .. } if marks && *count > 0 => code = Some((CodeSection::new(), *count)),
            Payload::CodeSectionEntry(body) => {
                let Some((section, left)) = &mut code else { continue };
                let ty = functions.next().unwrap_or_default() as usize;
                marking::function(wasm, body, params.get(ty).copied().unwrap_or_default(), section).map_err(broken)?;
                *left -= 1;
                if *left == 0 {
                    module.section(section);
                    code = None;
                }
            }
            Payload::ExportSection(section) => {
                let mut exports = ExportSection::new();
                for export in section.clone() {
                    let export = export.map_err(broken)?;
                    exports.export(export.name, kind(export.kind)?, export.index);
                }
                for (n, (index, _)) in facts.globals.iter().enumerate() {
                    exports.export(&global_name(n), ExportKind::Global, *index);
                }
                if let Some(index) = facts.start {
                    exports.export(&start_name(), ExportKind::Func, index);
                }
                if marks {
                    exports.export(&marking::marks_name(), ExportKind::Memory, marking::index());
                }
                module.section(&exports);
            }
            Payload::StartSection { .. } => {}
            other => {
                if let Some((id, range)) = other.as_section() {
                    #[expect(clippy::indexing_slicing, reason = "the parser has found the section in these bytes")]
                    module.section(&RawSection { id, data: &wasm[range] });
                }
            }
        }
    }
    Ok(module.finish())
}

fn kind(kind: ExternalKind) -> Result<ExportKind, ModuleError> {
    Ok(match kind {
        ExternalKind::Func | ExternalKind::FuncExact => ExportKind::Func,
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Global => ExportKind::Global,
        ExternalKind::Tag => return Err(ModuleError::Unsupported("exceptions".into())),
    })
}
