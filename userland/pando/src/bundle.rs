//! The programs and the template that this binary carries.
//!
//! The one place that knows the shape of `pando_bundle`.

use std::path::Path;

/// A program in Wasm.
pub struct Program {
    pub name: &'static str,
    pub wasm: &'static [u8],
}

/// Every bundled program, by name.
pub fn programs() -> impl Iterator<Item = Program> {
    pando_bundle::programs().iter().map(|p| Program { name: p.name, wasm: p.wasm })
}

/// The files of a new crate called `name` whose SDK is at `sdk`: path and text.
pub fn template(name: &str, sdk: &Path) -> Vec<(String, String)> {
    pando_bundle::template(name, sdk)
}
