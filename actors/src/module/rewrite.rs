//! The module as it is compiled: every mutable global has an export, and the start function waits to be called.
//!
//! Owns: one change of one section. Does not know why; that is [`crate::shell`].
//!
//! 1. Nothing but exports and the start section differs, so indices, code and names stay as the author has them.
//! 2. The same module gives the same bytes.

use wasm_encoder::{ExportKind, ExportSection, RawSection};
use wasmparser::{ExternalKind, Parser, Payload};

use super::{
    ModuleError,
    inspect::{Facts, RESERVED},
};

/// Changes whenever this file would write other bytes for the same module. Part of the cache's key.
pub(super) const VERSION: u32 = 1;

/// The export name of the `n`th mutable global.
pub(crate) fn global_name(n: usize) -> String {
    format!("{RESERVED}global.{n}")
}

/// The export name of the start function.
pub(crate) fn start_name() -> String {
    format!("{RESERVED}start")
}

/// A module that [`super::inspect`] has passed, rewritten.
pub(super) fn rewrite(wasm: &[u8], facts: &Facts) -> Result<Vec<u8>, ModuleError> {
    let broken =
        |e: wasmparser::BinaryReaderError| ModuleError::Invalid { message: e.message().into(), offset: e.offset() };
    let mut module = wasm_encoder::Module::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(broken)?;
        match &payload {
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
