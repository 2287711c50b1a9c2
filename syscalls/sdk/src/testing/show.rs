//! CBOR in diagnostic notation: `["add", 5]`.

use core::fmt::{Formatter, Result};

use crate::data::cbor::{BYTES, Items, LIST, MAP, TEXT};

/// Shows the next value; what is no value, as `?`.
pub(crate) fn value(from: &mut Items<'_>, f: &mut Formatter<'_>) -> Result {
    if let Some(number) = from.signed() {
        return write!(f, "{number}");
    }
    if let Some(number) = from.float() {
        return write!(f, "{number:?}");
    }
    if let Some(text) = from.content(TEXT) {
        return write!(f, "{:?}", alloc::string::String::from_utf8_lossy(text));
    }
    if let Some(bytes) = from.content(BYTES) {
        return bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"));
    }
    if let Some(items) = from.of(LIST) {
        return row(from, f, ("[", "]"), items, value);
    }
    if let Some(pairs) = from.of(MAP) {
        return row(from, f, ("{", "}"), pairs, |from, f| {
            value(from, f)?;
            f.write_str(": ")?;
            value(from, f)
        });
    }
    if let Some(truth) = from.bool() {
        return write!(f, "{truth}");
    }
    f.write_str(if from.null() { "null" } else { "?" })
}

fn row<'b>(
    from: &mut Items<'b>,
    f: &mut Formatter<'_>,
    (open, close): (&str, &str),
    count: u64,
    item: impl Fn(&mut Items<'b>, &mut Formatter<'_>) -> Result,
) -> Result {
    f.write_str(open)?;
    for at in 0..count {
        if from.bytes.is_empty() {
            return f.write_str("?");
        }
        if at > 0 {
            f.write_str(", ")?;
        }
        item(from, f)?;
    }
    f.write_str(close)
}
