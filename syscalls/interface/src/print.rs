//! Values for people and for scripts.
//!
//! Owns: how each type looks. Does not know: colours, tables, where it is printed.
//!
//! 1. Printing never fails: a value that is not of its declared type is printed as what it is.

mod json;

use ciborium::Value;

pub use self::json::json;
use crate::{
    literal::is_plain_word,
    syntax::{Field, Interface, Payload, Type},
};

/// A value that fits in so many columns stays on one line.
const WIDTH: usize = 76;

/// `value` as a person reads it, typed by `ty`. `handles` are the actors that came beside it.
pub fn human(interface: Option<&Interface>, ty: &Type, value: &Value, handles: &[String]) -> String {
    Printer { interface, handles }.value(ty, value, 0)
}

/// `text` without anything that a terminal would obey, and so that it can stand between quotes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Controls, and marks that reorder the line around them.
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out
}

struct Printer<'a> {
    interface: Option<&'a Interface>,
    handles: &'a [String],
}

impl Printer<'_> {
    fn value(&self, ty: &Type, value: &Value, indent: usize) -> String {
        match (ty, value) {
            (Type::Unit, Value::Null) => "ok".to_owned(),
            (Type::Option(_), Value::Null) => "none".to_owned(),
            (Type::Option(of), value) => self.value(of, value, indent),
            (Type::Result(of), value) => match one_pair(value) {
                Some(("Ok", inside)) => format!("ok({})", self.value(of, inside, indent)),
                Some(("Err", inside)) => format!("err({})", self.value(&Type::Text, inside, indent)),
                _ => self.value(of, value, indent),
            },
            (Type::F32, Value::Float(n)) => format!("{:?}", *n as f32),
            (Type::F32 | Type::F64, Value::Integer(n)) => format!("{}.0", i128::from(*n)),
            (Type::Actor, value) => match actor(value, self.handles) {
                Some(address) => crate::escape(address),
                None => self.any(value, indent),
            },
            (Type::Bytes, Value::Array(items)) => match octets(items) {
                Some(bytes) => hex(&bytes),
                None => self.any(value, indent),
            },
            (Type::List(of), Value::Array(items)) => {
                block("[", "]", indent, items.iter().map(|item| self.value(of, item, indent + 2)))
            }
            (Type::Tuple(types), Value::Array(items)) if types.len() == items.len() => {
                let items = types.iter().zip(items).map(|(ty, item)| self.value(ty, item, indent + 2));
                block("(", ")", indent, items)
            }
            (Type::Map(key, of), Value::Map(pairs)) => {
                let pairs = pairs
                    .iter()
                    .map(|(k, v)| format!("{}: {}", self.value(key, k, indent + 2), self.value(of, v, indent + 2)));
                block("{", "}", indent, pairs)
            }
            (Type::Named(name), value) => self.named(name, value, indent).unwrap_or_else(|| self.any(value, indent)),
            (_, value) => self.any(value, indent),
        }
    }

    fn named(&self, name: &str, value: &Value, indent: usize) -> Option<String> {
        let interface = self.interface?;
        if let Some(record) = interface.record(name) {
            return Some(format!("{name}{}", self.fields(&record.fields, value, indent)?));
        }
        let of = interface.enumeration(name)?;
        let payload = |name: &str| of.variants.iter().find(|v| v.name == name).map(|v| &v.payload);
        match value {
            Value::Text(name) => matches!(payload(name)?, Payload::Unit).then(|| crate::escape(name)),
            value => {
                let (name, inside) = one_pair(value)?;
                Some(match payload(name)? {
                    Payload::Unit => return None,
                    Payload::Tuple(types) => match types.as_slice() {
                        [ty] => format!("{name}({})", self.value(ty, inside, indent)),
                        types => match inside {
                            Value::Array(items) if items.len() == types.len() => {
                                format!("{name}{}", self.value(&Type::Tuple(types.to_vec()), inside, indent))
                            }
                            _ => return None,
                        },
                    },
                    Payload::Record(fields) => format!("{name}{}", self.fields(fields, inside, indent)?),
                })
            }
        }
    }

    fn fields(&self, fields: &[Field], value: &Value, indent: usize) -> Option<String> {
        let Value::Map(pairs) = value else { return None };
        let mut lines = Vec::new();
        for (key, value) in pairs {
            let Value::Text(key) = key else { return None };
            let ty = fields.iter().find(|f| f.name == *key).map_or(&Type::Any, |f| &f.ty);
            lines.push(format!("{}: {}", plain_key(key), self.value(ty, value, indent + 2)));
        }
        Some(block("{", "}", indent, lines.into_iter()))
    }

    fn any(&self, value: &Value, indent: usize) -> String {
        match value {
            Value::Null => "none".to_owned(),
            Value::Bool(b) => b.to_string(),
            Value::Integer(n) => i128::from(*n).to_string(),
            Value::Float(n) => format!("{n:?}"),
            Value::Text(text) => format!("\"{}\"", escape(text)),
            Value::Bytes(bytes) => hex(bytes),
            Value::Array(items) => block("[", "]", indent, items.iter().map(|item| self.any(item, indent + 2))),
            Value::Map(pairs) => {
                let pairs = pairs.iter().map(|(k, v)| {
                    let key = match k {
                        Value::Text(key) => plain_key(key),
                        key => self.any(key, indent + 2),
                    };
                    format!("{key}: {}", self.any(v, indent + 2))
                });
                block("{", "}", indent, pairs)
            }
            Value::Tag(_, inside) => self.any(inside, indent),
            _ => "?".to_owned(),
        }
    }
}

/// The only pair of a map whose key is text.
pub(crate) fn one_pair(value: &Value) -> Option<(&str, &Value)> {
    match value {
        Value::Map(pairs) => match pairs.as_slice() {
            [(Value::Text(key), value)] => Some((key, value)),
            _ => None,
        },
        _ => None,
    }
}

/// The handle that an index stands for.
pub(crate) fn actor<'a>(value: &Value, handles: &'a [String]) -> Option<&'a str> {
    let index = usize::try_from(i128::from((*value).as_integer()?)).ok()?;
    handles.get(index).map(String::as_str)
}

pub(crate) fn octets(items: &[Value]) -> Option<Vec<u8>> {
    items.iter().map(|item| item.as_integer().and_then(|n| u8::try_from(i128::from(n)).ok())).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 + 2 * bytes.len());
    out.push_str("0x");
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(nibble.into(), 16).unwrap_or('?'));
        }
    }
    out
}

fn plain_key(key: &str) -> String {
    // A word that starts with a digit would be read as a number.
    if is_plain_word(key) && !key.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+') {
        key.to_owned()
    } else {
        format!("\"{}\"", escape(key))
    }
}

/// One line if it fits, else a line for each item.
fn block(open: &str, close: &str, indent: usize, items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    let width: usize = items.iter().map(|item| item.chars().count() + 2).sum();
    if indent + width <= WIDTH && !items.iter().any(|item| item.contains('\n')) {
        return format!("{open}{}{close}", items.join(", "));
    }
    let pad = " ".repeat(indent + 2);
    let mut out = String::from(open);
    for item in &items {
        out.push('\n');
        out.push_str(&pad);
        out.push_str(item);
        out.push(',');
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push_str(close);
    out
}

#[cfg(test)]
mod tests;
