//! One typed literal into CBOR.
//!
//! Owns: which literal fits which type, and how it is encoded. Does not know: methods.
//!
//! 1. Floats keep the width of their type (f32: 4 bytes, f64: 8), so that a small guest needs no half floats.
//! 2. Whole numbers take the shortest form; lengths are always given.

use pando_abi::limits::MESSAGE_HANDLES_MAX;

use super::cbor::Cbor;
use crate::{
    literal::{self, Literal, Shape, excerpt},
    nearest::nearest,
    syntax::{Enum, Field, Interface, Payload, Type},
};

/// The types of an actor without an interface are all `any`.
static NOTHING: Interface = Interface {
    kind: String::new(),
    name: String::new(),
    doc: String::new(),
    methods: Vec::new(),
    records: Vec::new(),
    enums: Vec::new(),
};

/// Turns shell words into CBOR values, one after the other.
pub(crate) struct Encoder<'a> {
    interface: &'a Interface,
    source: &'a str,
    /// Names of fields and numbers of items from the argument down to where we are.
    path: Vec<String>,
    pub(crate) out: Cbor,
    pub(crate) handles: Vec<String>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(interface: Option<&'a Interface>) -> Self {
        Encoder {
            interface: interface.unwrap_or(&NOTHING),
            source: "",
            path: Vec::new(),
            out: Cbor::default(),
            handles: Vec::new(),
        }
    }

    /// One argument. The error is a reason that follows "but".
    pub(crate) fn argument(&mut self, ty: &Type, word: &'a str) -> Result<(), String> {
        self.source = word;
        self.path.clear();
        let result = self.word(ty, word);
        match (result, self.path.is_empty()) {
            (Err(why), false) => Err(format!("{why} (at {})", self.path.join("."))),
            (result, _) => result,
        }
    }

    fn word(&mut self, ty: &Type, word: &str) -> Result<(), String> {
        match ty {
            // The shell took the quotes off already.
            Type::Text => {
                self.out.text(word);
                Ok(())
            }
            Type::Option(_) if matches!(word, "none" | "null") || word.starts_with("some(") => {
                let literal = literal::parse(word)?;
                self.value(ty, &literal)
            }
            Type::Option(of) => self.word(of, word),
            Type::Actor => self.actor(word),
            Type::Any => match literal::parse(word) {
                Ok(literal) => self.any(&literal),
                Err(_) => {
                    self.out.text(word);
                    Ok(())
                }
            },
            Type::Bool | Type::Int(_) | Type::Uint(_) | Type::F32 | Type::F64 | Type::Bytes | Type::Unit => {
                self.scalar(ty, word.trim())
            }
            _ => {
                let literal = literal::parse(word)?;
                self.value(ty, &literal)
            }
        }
    }

    fn value(&mut self, ty: &Type, literal: &Literal) -> Result<(), String> {
        match (ty, &literal.shape) {
            (Type::Any, _) => self.any(literal),
            (Type::Option(_), Shape::Word(word)) if word == "none" || word == "null" => {
                self.out.null();
                Ok(())
            }
            (Type::Option(of), Shape::Named(name, inside)) if name == "some" => self.value(of, only(inside)),
            (Type::Option(of), _) => self.value(of, literal),
            (Type::Text, Shape::Word(text) | Shape::Quoted(text)) => {
                self.out.text(text);
                Ok(())
            }
            (Type::Actor, Shape::Word(target) | Shape::Quoted(target)) => self.actor(target),
            (Type::Unit, Shape::Tuple(items)) if items.is_empty() => {
                self.out.null();
                Ok(())
            }
            (Type::Bool | Type::Int(_) | Type::Uint(_) | Type::F32 | Type::F64 | Type::Bytes | Type::Unit, shape) => {
                match shape {
                    Shape::Word(word) => self.scalar(ty, word),
                    // A map's keys are quoted in JSON, whatever their type.
                    Shape::Quoted(word) if *ty != Type::Unit => self.scalar(ty, word),
                    _ => self.scalar(ty, self.text_of(literal)),
                }
            }
            (Type::List(of), Shape::List(items)) => self.list(items, |_| of),
            (Type::Tuple(types), Shape::Tuple(items) | Shape::List(items)) => {
                if items.len() != types.len() {
                    return Err(format!(
                        "{} has {}, and {ty} has {}",
                        self.show(literal),
                        count(items.len()),
                        types.len()
                    ));
                }
                self.list(items, |i| &types[i])
            }
            (Type::Map(key, value), Shape::Map(pairs)) => {
                self.out.map(pairs.len());
                for (k, v) in pairs {
                    self.value(key, k)?;
                    self.path.push(self.text_of(k).to_owned());
                    self.value(value, v)?;
                    self.path.pop();
                }
                Ok(())
            }
            (Type::Result(of), Shape::Named(name, inside)) if name == "ok" => {
                self.out.map(1);
                self.out.text("Ok");
                self.value(of, only(inside))
            }
            (Type::Result(_), Shape::Named(name, inside)) if name == "err" => {
                self.out.map(1);
                self.out.text("Err");
                self.value(&Type::Text, only(inside))
            }
            (Type::Named(name), _) => self.named(name, literal),
            (Type::List(_), _) => Err(format!("{} is not a list; write it as [a, b]", self.show(literal))),
            (Type::Tuple(_), _) => Err(format!("{} is not a tuple; write it as (a, b)", self.show(literal))),
            (Type::Map(..), _) => Err(format!("{} is not a map; write it as {{key: value}}", self.show(literal))),
            (Type::Result(_), _) => {
                Err(format!("{} is not a result; write it as ok(value) or err(text)", self.show(literal)))
            }
            (Type::Text, _) => Err(format!("{} is not text; put it in quotes", self.show(literal))),
            (Type::Actor, _) => Err(format!("{} is not the name or address of an actor", self.show(literal))),
        }
    }

    fn named(&mut self, name: &str, literal: &Literal) -> Result<(), String> {
        let interface = self.interface;
        if let Some(record) = interface.record(name) {
            return match &literal.shape {
                Shape::Map(pairs) => self.fields(name, &record.fields, pairs),
                Shape::Named(said, inside) if said == name => match &inside.shape {
                    Shape::Map(pairs) => self.fields(name, &record.fields, pairs),
                    _ => Err(format!("{} wants its fields in {{ }}", self.show(literal))),
                },
                _ => Err(format!("{} is not a {name}; write it as {{field: value}}", self.show(literal))),
            };
        }
        let Some(of) = interface.enumeration(name) else {
            return Err(format!("the type {name} is not declared"));
        };
        match &literal.shape {
            Shape::Word(variant) | Shape::Quoted(variant) => self.variant(of, variant, None),
            Shape::Named(variant, inside) => self.variant(of, variant, Some(inside)),
            Shape::Map(pairs) => match pairs.as_slice() {
                [(key, value)] => match &key.shape {
                    Shape::Word(variant) | Shape::Quoted(variant) => self.variant(of, variant, Some(value)),
                    _ => Err(format!("{} is not a variant of {name}", self.show(key))),
                },
                _ => Err(format!("{} is not one variant of {name}", self.show(literal))),
            },
            _ => Err(format!("{} is not a variant of {name}", self.show(literal))),
        }
    }

    fn variant(&mut self, of: &Enum, said: &str, payload: Option<&Literal>) -> Result<(), String> {
        let Some(variant) = of.variants.iter().find(|v| v.name == said) else {
            let names: Vec<&str> = of.variants.iter().map(|v| v.name.as_str()).collect();
            return Err(match nearest(said, names.iter().copied()) {
                Some(meant) => format!("{} has no variant `{}`; did you mean `{meant}`?", of.name, crate::escape(said)),
                None => format!("{} is one of {}, not `{}`", of.name, names.join(", "), crate::escape(said)),
            });
        };
        let (payload, literal) = match (&variant.payload, payload) {
            (Payload::Unit, None) => {
                self.out.text(said);
                return Ok(());
            }
            (Payload::Unit, Some(_)) => return Err(format!("the variant {said} carries nothing; write {said} alone")),
            (Payload::Tuple(_), None) => return Err(format!("the variant {said} carries something; write {said}(…)")),
            (Payload::Record(_), None) => {
                return Err(format!("the variant {said} has fields; write {said} {{field: value}}"));
            }
            (payload, Some(literal)) => (payload, literal),
        };
        self.out.map(1);
        self.out.text(said);
        self.path.push(said.to_owned());
        match (payload, &literal.shape) {
            (Payload::Tuple(types), Shape::Tuple(items)) if types.len() == 1 && items.len() == 1 => {
                self.value(&types[0], &items[0])?;
            }
            (Payload::Tuple(types), _) if types.len() == 1 => self.value(&types[0], literal)?,
            (Payload::Tuple(types), _) => self.value(&Type::Tuple(types.clone()), literal)?,
            (Payload::Record(fields), Shape::Map(pairs)) => self.fields(said, fields, pairs)?,
            _ => return Err(format!("{} is not a row of fields in {{ }}", self.show(literal))),
        }
        self.path.pop();
        Ok(())
    }

    fn fields(&mut self, of: &str, fields: &[Field], pairs: &[(Literal, Literal)]) -> Result<(), String> {
        let mut given: Vec<Option<&Literal>> = vec![None; fields.len()];
        for (key, value) in pairs {
            let (Shape::Word(name) | Shape::Quoted(name)) = &key.shape else {
                return Err(format!("{} is not the name of a field of {of}", self.show(key)));
            };
            let Some(at) = fields.iter().position(|f| f.name == *name) else {
                let meant = nearest(name, fields.iter().map(|f| f.name.as_str()));
                let meant = meant.map(|m| format!("; did you mean `{m}`?")).unwrap_or_default();
                return Err(format!("{of} has no field {}{meant}", self.show(key)));
            };
            if given[at].replace(value).is_some() {
                return Err(format!("the field {} is given twice", self.show(key)));
            }
        }
        self.out.map(fields.len());
        for (field, literal) in fields.iter().zip(given) {
            self.out.text(&field.name);
            self.path.push(field.name.clone());
            match (literal, &field.ty) {
                (Some(literal), ty) => self.value(ty, literal)?,
                (None, Type::Option(_)) => self.out.null(),
                (None, ty) => {
                    self.path.pop();
                    return Err(format!("the field {}: {ty} of {of} is missing", field.name));
                }
            }
            self.path.pop();
        }
        Ok(())
    }

    fn list<'t>(&mut self, items: &[Literal], ty: impl Fn(usize) -> &'t Type) -> Result<(), String> {
        self.out.array(items.len());
        for (i, item) in items.iter().enumerate() {
            self.path.push((i + 1).to_string());
            self.value(ty(i), item)?;
            self.path.pop();
        }
        Ok(())
    }

    fn scalar(&mut self, ty: &Type, word: &str) -> Result<(), String> {
        let shown = excerpt(word);
        match ty {
            Type::Bool => match word {
                "true" => self.out.bool(true),
                "false" => self.out.bool(false),
                _ => return Err(format!("{shown} is neither true nor false")),
            },
            Type::Int(_) | Type::Uint(_) => {
                let number = whole(word).ok_or_else(|| format!("{shown} is not a whole number"))?;
                let (least, most) = match ty {
                    Type::Int(bits) => (-1i128 << (bits - 1), (1i128 << (bits - 1)) - 1),
                    Type::Uint(bits) => (0, (1i128 << bits) - 1),
                    _ => (0, 0),
                };
                if number < least || number > most {
                    return Err(format!("{shown} does not fit: {ty} goes from {least} to {most}"));
                }
                self.out.integer(number);
            }
            Type::F32 => {
                let number: f32 = float(word).ok_or_else(|| format!("{shown} is not a number"))? as f32;
                if number.is_infinite() && !word.contains("inf") {
                    return Err(format!("{shown} is too large for f32"));
                }
                self.out.f32(number);
            }
            Type::F64 => {
                let number = float(word).ok_or_else(|| format!("{shown} is not a number"))?;
                if number.is_infinite() && !word.contains("inf") {
                    return Err(format!("{shown} is too large for f64"));
                }
                self.out.f64(number);
            }
            Type::Bytes => self.out.bytes(&bytes(word).ok_or_else(|| {
                format!("{shown} is not bytes; write them as 0x and two hexadecimal digits each, as in 0xcafe")
            })?),
            _ => match word {
                "null" | "none" | "unit" | "()" => self.out.null(),
                _ => return Err(format!("{shown} is not (), the only value of unit")),
            },
        }
        Ok(())
    }

    fn any(&mut self, literal: &Literal) -> Result<(), String> {
        match &literal.shape {
            Shape::Word(word) => match word.as_str() {
                "true" => self.out.bool(true),
                "false" => self.out.bool(false),
                "null" | "none" => self.out.null(),
                word => {
                    if let Some(bytes) = bytes(word) {
                        self.out.bytes(&bytes);
                    } else if let Some(number) =
                        whole(word).filter(|n| (i64::MIN as i128..=u64::MAX as i128).contains(n))
                    {
                        self.out.integer(number);
                    } else if let Some(number) = float(word).filter(|_| word.contains(|c: char| c.is_ascii_digit())) {
                        self.out.f64(number);
                    } else {
                        self.out.text(word);
                    }
                }
            },
            Shape::Quoted(text) => self.out.text(text),
            Shape::List(items) | Shape::Tuple(items) => {
                self.out.array(items.len());
                items.iter().try_for_each(|item| self.any(item))?;
            }
            Shape::Map(pairs) => {
                self.out.map(pairs.len());
                for (key, value) in pairs {
                    match &key.shape {
                        Shape::Word(word) if whole(word).is_none() => self.out.text(word),
                        _ => self.any(key)?,
                    }
                    self.any(value)?;
                }
            }
            Shape::Named(name, inside) => {
                self.out.map(1);
                self.out.text(name);
                self.any(only(inside))?;
            }
        }
        Ok(())
    }

    fn actor(&mut self, target: &str) -> Result<(), String> {
        if target.is_empty() {
            return Err("an empty word names no actor".to_owned());
        }
        if self.handles.len() >= MESSAGE_HANDLES_MAX {
            return Err(format!("a message carries at most {MESSAGE_HANDLES_MAX} actors"));
        }
        self.out.integer(self.handles.len() as i128);
        self.handles.push(target.to_owned());
        Ok(())
    }

    fn text_of(&self, literal: &Literal) -> &'a str {
        &self.source[literal.span.clone()]
    }

    fn show(&self, literal: &Literal) -> String {
        excerpt(self.text_of(literal))
    }
}

/// `name(x)` is read as a name and a tuple of one: its only item is meant.
fn only(inside: &Literal) -> &Literal {
    match &inside.shape {
        Shape::Tuple(items) if items.len() == 1 => &items[0],
        _ => inside,
    }
}

fn count(items: usize) -> String {
    if items == 1 { "1 item".to_owned() } else { format!("{items} items") }
}

/// `12`, `-3`, `1_000_000`.
fn whole(word: &str) -> Option<i128> {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.len() <= 40
        && digits.chars().all(|c| c.is_ascii_digit() || c == '_');
    plain.then(|| word.replace('_', "").parse().ok()).flatten()
}

fn float(word: &str) -> Option<f64> {
    word.replace('_', "").parse().ok()
}

fn bytes(word: &str) -> Option<Vec<u8>> {
    let digits = word.strip_prefix("0x")?.as_bytes();
    let digit = |d: u8| (d as char).to_digit(16).map(|d| d as u8);
    digits.len().is_multiple_of(2).then(|| {
        digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect::<Option<Vec<u8>>>()
    })?
}
