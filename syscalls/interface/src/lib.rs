//! The text that describes an actor's methods: parse it, check typed arguments, print typed answers.
//!
//! A module carries the text in its `pando.interface` section ([`pando_abi::call::INTERFACE_SECTION`]); the shell and any
//! other tool for people read it through this crate. Owns: the grammar, what people may write for each type, what they
//! see for each value. Does not know: who is called, how bytes travel, terminals.
//!
//! 1. Nothing that a stranger sends (text, CBOR) panics, recurses without bound or allocates more than a small multiple
//!    of its length.
//! 2. What is printed for a value can be written as an argument of its type again, wherever the type has a literal; a
//!    record or variant is printed without a blank before its bracket, so that it is one word of a shell.
//! 3. Control characters never reach a terminal: text is escaped before it is printed.

#![forbid(unsafe_code)]

mod arguments;
mod decode;
mod hint;
mod lex;
mod literal;
mod nearest;
mod parse;
mod print;
mod syntax;

pub use arguments::{ArgumentError, Encoded, encode_call, encode_start};
pub use decode::{DecodeError, decode};
pub use hint::{Expect, expect_argument};
pub use nearest::nearest;
pub use parse::ParseError;
pub use print::{escape, human, json};
pub use syntax::{Enum, Field, Interface, Method, Payload, Record, START, Type, Variant};
