//! Why a module was refused: one sentence each, with what would mend it.

use pando_abi::{Call, call::Value, limits};

/// Why a module was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ModuleError {
    /// Not a core Wasm module.
    #[error("this is not a WebAssembly module: {0}")]
    NotWasm(String),
    /// The validator says no.
    #[error("the module is not valid: {message} (at byte {offset:#x})")]
    Invalid {
        /// The validator's words.
        message: String,
        /// Where.
        offset: usize,
    },
    /// It uses a part of WebAssembly that actors do not have.
    #[error("the module uses {0}, which actors do not have")]
    Unsupported(String),
    /// Something must be exported that is not.
    #[error("the module does not export {name}: it must export {wanted}")]
    MissingExport {
        /// What.
        name: &'static str,
        /// In words.
        wanted: &'static str,
    },
    /// An export has another type than the contract says.
    #[error("the module's export {name} is {found}; it must be {wanted}")]
    WrongExport {
        /// Which.
        name: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// An import that is no syscall.
    #[error("the module imports {module}.{name}, which is not a call of {}{}", pando_abi::IMPORT_MODULE, nearest_text(*.nearest))]
    UnknownImport {
        /// From where.
        module: String,
        /// What.
        name: String,
        /// The syscall that was perhaps meant.
        nearest: Option<Call>,
    },
    /// A syscall with another type.
    #[error("the module imports {} as {found}; it is {}", .call.name(), signature(*.call))]
    WrongImport {
        /// Which.
        call: Call,
        /// As what.
        found: String,
    },
    /// Too much of something.
    #[error("the module has {found} {what}; the limit is {max}")]
    OverLimit {
        /// Of what.
        what: &'static str,
        /// How much.
        found: u64,
        /// How much may be.
        max: u64,
    },
    /// Its instances cannot be made into images, and the class needs that.
    #[error("the module cannot be replicated or undone: {0}")]
    NoImage(String),
    /// The interface section is not text.
    #[error("the module's section {} is not UTF-8", pando_abi::call::INTERFACE_SECTION)]
    Interface,
    /// It cannot be instantiated.
    #[error("the module cannot be instantiated: {0}")]
    Instantiate(String),
    /// The compiler failed.
    #[error("the module could not be compiled: {0}")]
    Compile(String),
}

fn nearest_text(nearest: Option<Call>) -> String {
    match nearest {
        Some(call) => format!("; did you mean {}?", call.name()),
        None => String::new(),
    }
}

/// `send(i32, i32) -> i32`, as the contract has it.
fn signature(call: Call) -> String {
    let word = |v: Value| match v {
        Value::I32 => "i32",
        Value::I64 => "i64",
    };
    let params: Vec<_> = call.params().iter().map(|(_, v)| word(*v)).collect();
    let result = call.result().map(|v| format!(" -> {}", word(v))).unwrap_or_default();
    format!("({}){result}", params.join(", "))
}

/// The syscall whose name is nearest, if one is near enough to have been meant.
pub(super) fn nearest(name: &str) -> Option<Call> {
    if name.len() > 64 {
        return None;
    }
    let (distance, call) = Call::ALL.iter().map(|c| (edits(name, c.name()), *c)).min()?;
    (distance <= 1 + name.len() / 3).then_some(call)
}

/// How many letters have to be added, dropped or changed.
#[expect(clippy::indexing_slicing, reason = "`row` is one longer than `b`, and `j` is a place in `b`")]
fn edits(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = before + usize::from(x != *y);
            before = row[j + 1];
            row[j + 1] = change.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

pub(super) fn over(what: &'static str, found: usize, max: usize) -> Result<(), ModuleError> {
    if found > max {
        return Err(ModuleError::OverLimit { what, found: found as u64, max: max as u64 });
    }
    Ok(())
}

/// Is this worth reading at all? Cheap, and before anything is hashed.
pub(crate) fn check_front(wasm: &[u8]) -> Result<(), ModuleError> {
    let not = |why: &str| Err(ModuleError::NotWasm(why.into()));
    match wasm {
        [] => not("there are no bytes"),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => over("bytes", wasm.len(), limits::MODULE_BYTES_MAX),
        [0, b'a', b's', b'm', _, 0, 1, 0, ..] => not("it is a component; build a core module (wasm32-unknown-unknown)"),
        [0, b'a', b's', b'm', ..] => not("it has an unknown version"),
        [0x7f, b'E', b'L', b'F', ..] => not("it is a native ELF program; build for wasm32-unknown-unknown"),
        [b'(', ..] => not("it is WebAssembly text; assemble it first"),
        _ => not("it does not start with \\0asm"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised_and_a_foreign_name_is_not() {
        assert_eq!(nearest("sned"), Some(Call::Send));
        assert_eq!(nearest("handle_stats"), Some(Call::HandleStat));
        assert_eq!(nearest("fd_write"), None);
        assert_eq!(nearest("environ_sizes_get"), None);
    }

    #[test]
    fn bytes_that_are_no_module_are_told_what_they_are() {
        for (bytes, word) in [
            (&b""[..], "no bytes"),
            (b"\x7fELF....", "ELF"),
            (b"(module)", "text"),
            (b"\0asm\x0d\0\x01\0", "component"),
            (b"#!/bin/sh", "does not start"),
        ] {
            let said = check_front(bytes).unwrap_err().to_string();
            assert!(said.contains(word), "{said}");
        }
    }
}
