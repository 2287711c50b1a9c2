//! What is done to a module after the linker.
//!
//! Function names stay, for a person reads them in a backtrace, but as they stand in the source: the hashes that the compiler
//! puts behind them differ from folder to folder. Sections about how the module was made go.
//!
//! ```text
//! module  = magic(4) version(4) { id(1) size(leb) content }
//! custom  = id 0: name(leb, bytes) data        name section = { kind(1) size(leb) data }, kind 1: functions
//! ```
//!
//! 1. Nothing that can be executed is touched.

/// The finished module; `None` if `wasm` is not one.
pub(crate) fn finish(wasm: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader { bytes: wasm };
    let mut out = reader.take(8)?.to_vec();
    if out != *b"\0asm\x01\0\0\0" {
        return None;
    }
    while !reader.bytes.is_empty() {
        let id = reader.take(1)?[0];
        let size = reader.leb()? as usize;
        let content = reader.take(size)?;
        if id != 0 {
            section(&mut out, id, content);
            continue;
        }
        let mut custom = Reader { bytes: content };
        match custom.name()? {
            b"producers" | b"target_features" => {}
            b"name" => {
                let mut named = vec![4];
                named.extend_from_slice(b"name");
                named.extend(function_names(custom.bytes)?);
                section(&mut out, 0, &named);
            }
            _ => section(&mut out, 0, content),
        }
    }
    Some(out)
}

/// The subsection with the names of functions, made readable; the others are left out.
fn function_names(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader { bytes };
    let mut out = Vec::new();
    while !reader.bytes.is_empty() {
        let kind = reader.take(1)?[0];
        let size = reader.leb()? as usize;
        let mut names = Reader { bytes: reader.take(size)? };
        if kind != 1 {
            continue;
        }
        let count = names.leb()?;
        let mut map = Vec::new();
        leb(&mut map, count);
        for _ in 0..count {
            leb(&mut map, names.leb()?);
            let name = readable(std::str::from_utf8(names.name()?).ok()?);
            leb(&mut map, name.len() as u32);
            map.extend_from_slice(name.as_bytes());
        }
        section(&mut out, 1, &map);
    }
    Some(out)
}

/// `core::panicking::panic` for `_ZN4core9panicking5panic17h0123456789abcdefE`.
fn readable(name: &str) -> String {
    match rustc_demangle::try_demangle(name) {
        Ok(name) => format!("{name:#}"),
        Err(_) => name.to_owned(),
    }
}

fn section(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.push(id);
    leb(out, content.len() as u32);
    out.extend_from_slice(content);
}

fn leb(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    fn leb(&mut self) -> Option<u32> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    fn name(&mut self) -> Option<&'a [u8]> {
        let len = self.leb()? as usize;
        self.take(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(customs: &[(&str, &[u8])]) -> Vec<u8> {
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        section(&mut wasm, 1, &[1, 0x60, 0, 0]);
        for (name, data) in customs {
            let mut content = vec![name.len() as u8];
            content.extend_from_slice(name.as_bytes());
            content.extend_from_slice(data);
            section(&mut wasm, 0, &content);
        }
        wasm
    }

    #[test]
    fn names_become_readable_and_lose_their_hash() {
        let mangled = b"_ZN4core9panicking5panic17h0123456789abcdefE";
        let mut names = vec![1, 0, mangled.len() as u8];
        names.extend_from_slice(mangled);
        let mut data = vec![];
        section(&mut data, 1, &names);
        section(&mut data, 2, &[0]);
        let done = finish(&module(&[("name", &data)])).unwrap();
        let text = String::from_utf8_lossy(&done);
        assert!(text.contains("core::panicking::panic") && !text.contains("17h0123"), "{text:?}");
        wasmparser::validate(&done).unwrap();
    }

    #[test]
    fn the_interface_stays_and_the_makers_go() {
        let done = finish(&module(&[("producers", b"x"), ("pando.interface", b"actor A"), ("target_features", b"y")]))
            .unwrap();
        assert_eq!(done, module(&[("pando.interface", b"actor A")]));
    }

    #[test]
    fn what_is_cut_off_or_no_module_is_told_from_one() {
        let whole = module(&[("name", &[]), ("pando.interface", b"actor A")]);
        assert!(finish(&whole).is_some());
        assert_eq!(finish(b"\x7fELF...."), None);
        assert_eq!(finish(&whole[..whole.len() - 1]), None);
        assert_eq!(finish(&whole[..5]), None);
    }
}
