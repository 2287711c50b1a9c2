//! What an interface says, once it is understood.
//!
//! Owns: the tree, its lookups and how types and signatures are written. Does not know: how the text was laid out.
//!
//! 1. Every [`Type::Named`] in an [`Interface`] that was parsed is the name of one of its records or enums.

use std::fmt;

use crate::nearest::nearest;

/// The method whose arguments are those of `spawn`.
pub const START: &str = "start";

/// The methods and types of one kind of actor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The word before the name: `actor`, `service`.
    pub kind: String,
    /// What the author calls it.
    pub name: String,
    /// The author's words.
    pub doc: String,
    /// In the order of the text, `start` among them if it is declared.
    pub methods: Vec<Method>,
    /// In the order of the text.
    pub records: Vec<Record>,
    /// In the order of the text.
    pub enums: Vec<Enum>,
}

/// One method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name, the first item of a request's body.
    pub name: String,
    /// The author's words.
    pub doc: String,
    /// Does it only read?
    pub query: bool,
    /// Its parameters.
    pub params: Vec<Field>,
    /// What it answers.
    pub result: Type,
}

/// A parameter, or a field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// A record: a CBOR map with text keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// The author's words.
    pub doc: String,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// An enum: CBOR text for a unit variant, `{variant: payload}` for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enum {
    /// Its name.
    pub name: String,
    /// The author's words.
    pub doc: String,
    /// Its variants.
    pub variants: Vec<Variant>,
}

/// One variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// What it carries.
    pub payload: Payload,
}

/// What a variant carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing.
    Unit,
    /// `Circle(f64)`: one value as itself, several as a list.
    Tuple(Vec<Type>),
    /// `Square { side: f64 }`: a map.
    Record(Vec<Field>),
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number with a sign and so many bits.
    Int(u8),
    /// A whole number without a sign and so many bits.
    Uint(u8),
    /// A number of 32 bits.
    F32,
    /// A number of 64 bits.
    F64,
    /// Unicode text.
    Text,
    /// Bytes.
    Bytes,
    /// Nothing: CBOR null.
    Unit,
    /// Many of one type.
    List(Box<Type>),
    /// Keys and values.
    Map(Box<Type>, Box<Type>),
    /// One, or null.
    Option(Box<Type>),
    /// One, or an error in words.
    Result(Box<Type>),
    /// A fixed row of types.
    Tuple(Vec<Type>),
    /// A handle; in CBOR its index among the message's handles.
    Actor,
    /// Whatever CBOR can say.
    Any,
    /// A record or an enum.
    Named(String),
}

impl Interface {
    /// The method of this name.
    pub fn method(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|m| m.name == name)
    }

    /// The arguments of `spawn`, if they are declared.
    pub fn start(&self) -> Option<&Method> {
        self.method(START)
    }

    /// What a person can call: every method but `start`.
    pub fn callable(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter().filter(|m| m.name != START)
    }

    /// The method that somebody who wrote `name` probably meant.
    pub fn nearest_method(&self, name: &str) -> Option<&str> {
        nearest(name, self.callable().map(|m| m.name.as_str()))
    }

    /// The record of this name.
    pub fn record(&self, name: &str) -> Option<&Record> {
        self.records.iter().find(|r| r.name == name)
    }

    /// The enum of this name.
    pub fn enumeration(&self, name: &str) -> Option<&Enum> {
        self.enums.iter().find(|e| e.name == name)
    }
}

/// `(by: i64)`
pub(crate) fn write_fields(f: &mut fmt::Formatter<'_>, fields: &[Field]) -> fmt::Result {
    for (i, field) in fields.iter().enumerate() {
        write!(f, "{}{}: {}", if i == 0 { "" } else { ", " }, field.name, field.ty)?;
    }
    Ok(())
}

/// `add(by: i64) -> i64`
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        write_fields(f, &self.params)?;
        f.write_str(")")?;
        if self.result != Type::Unit {
            write!(f, " -> {}", self.result)?;
        }
        Ok(())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => f.write_str("bool"),
            Type::Int(bits) => write!(f, "i{bits}"),
            Type::Uint(bits) => write!(f, "u{bits}"),
            Type::F32 => f.write_str("f32"),
            Type::F64 => f.write_str("f64"),
            Type::Text => f.write_str("text"),
            Type::Bytes => f.write_str("bytes"),
            Type::Unit => f.write_str("unit"),
            Type::List(of) => write!(f, "list<{of}>"),
            Type::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Type::Option(of) => write!(f, "option<{of}>"),
            Type::Result(of) => write!(f, "result<{of}>"),
            Type::Tuple(of) => {
                f.write_str("(")?;
                for (i, ty) in of.iter().enumerate() {
                    write!(f, "{}{ty}", if i == 0 { "" } else { ", " })?;
                }
                // `(A)` would be a bracket around a type.
                f.write_str(if of.len() == 1 { ",)" } else { ")" })
            }
            Type::Actor => f.write_str("actor"),
            Type::Any => f.write_str("any"),
            Type::Named(name) => f.write_str(name),
        }
    }
}
