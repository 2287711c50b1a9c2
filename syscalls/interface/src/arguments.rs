//! Shell words into the body of a request.
//!
//! Owns: how many arguments a method wants, and the sentences when they do not fit. Does not know: who is called.
//!
//! 1. A body that is given back has at most [`pando_abi::limits::MESSAGE_BYTES_MAX`] bytes.
//! 2. Trailing parameters of an option type may be left out: they are null.

mod cbor;
mod encode;

use pando_abi::limits::MESSAGE_BYTES_MAX;

use self::{cbor::Cbor, encode::Encoder};
use crate::syntax::{Interface, Method, START, Type};

/// A request's body, and what goes beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The CBOR.
    pub body: Vec<u8>,
    /// The actors among the arguments, as they were written; an argument's index stands in the body.
    pub handles: Vec<String>,
    /// Does the method only read?
    pub query: bool,
    /// What it answers.
    pub result: Type,
}

/// Arguments that do not fit. Each is one sentence; [`ArgumentError::mend`] is the next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// There is no such method.
    #[error("{who} has no method `{method}`{}", meant.as_ref().map(|m| format!("; did you mean `{m}`?")).unwrap_or_default())]
    NoMethod {
        /// The actor.
        who: String,
        /// What was asked.
        method: String,
        /// What was probably meant.
        meant: Option<String>,
        /// What there is.
        methods: Vec<String>,
    },
    /// One argument is not there.
    #[error("{what} wants {param}: {ty}, but it is missing")]
    Missing {
        /// The method.
        what: String,
        /// The parameter.
        param: String,
        /// Its type.
        ty: Type,
        /// The whole method.
        signature: String,
    },
    /// More than the method wants.
    #[error("{what} wants {}, but {given} {} given", arguments(*wanted), if *given == 1 { "was" } else { "were" })]
    TooMany {
        /// The method.
        what: String,
        /// How many it wants.
        wanted: usize,
        /// How many there were.
        given: usize,
        /// The whole method.
        signature: String,
    },
    /// One is not of its type.
    #[error("{what} wants {param}: {ty}, but {why}")]
    Wrong {
        /// The method.
        what: String,
        /// The parameter.
        param: String,
        /// Its type.
        ty: Type,
        /// The rest of the sentence.
        why: String,
        /// The whole method.
        signature: String,
    },
    /// More than one message carries.
    #[error("the arguments take {0} bytes, and a message has at most {MESSAGE_BYTES_MAX}")]
    TooLong(usize),
}

impl ArgumentError {
    /// What to do about it.
    pub fn mend(&self) -> String {
        match self {
            ArgumentError::NoMethod { methods, .. } if methods.is_empty() => "it has no methods to call".to_owned(),
            ArgumentError::NoMethod { methods, .. } => format!("it has {}", methods.join(", ")),
            ArgumentError::Missing { signature, .. }
            | ArgumentError::TooMany { signature, .. }
            | ArgumentError::Wrong { signature, .. } => format!("it is declared as {signature}"),
            ArgumentError::TooLong(_) => "send less at a time".to_owned(),
        }
    }
}

fn arguments(n: usize) -> String {
    match n {
        0 => "no arguments".to_owned(),
        1 => "1 argument".to_owned(),
        n => format!("{n} arguments"),
    }
}

/// The body of a call or send: `[method, argument...]`. `who` is the target as the person knows it. Without an interface
/// every argument is taken for what it looks like.
///
/// # Errors
/// If there is no such method, or the words do not fit its parameters.
pub fn encode_call(
    interface: Option<&Interface>,
    who: &str,
    method: &str,
    words: &[impl AsRef<str>],
) -> Result<Encoded, ArgumentError> {
    let Some(known) = interface else {
        let mut encoder = Encoder::new(None);
        encoder.out.array(1 + words.len());
        encoder.out.text(method);
        return untyped(encoder, method, words);
    };
    let declared = known.callable().find(|m| m.name == method).ok_or_else(|| ArgumentError::NoMethod {
        who: crate::escape(who),
        method: crate::escape(method),
        meant: known.nearest_method(method).map(str::to_owned),
        methods: known.callable().map(|m| m.name.clone()).collect(),
    })?;
    let mut encoder = Encoder::new(interface);
    encoder.out.array(1 + declared.params.len());
    encoder.out.text(method);
    typed(encoder, method, declared, words)
}

/// The body of a start event: `[argument...]`, or nothing where there are no arguments.
///
/// # Errors
/// If the words do not fit the parameters of `start`, or there are words and it is not declared.
pub fn encode_start(
    interface: Option<&Interface>,
    who: &str,
    words: &[impl AsRef<str>],
) -> Result<Encoded, ArgumentError> {
    let nothing = Encoded { body: Vec::new(), handles: Vec::new(), query: false, result: Type::Unit };
    let what = format!("the start of {}", crate::escape(who));
    match interface.map(Interface::start) {
        None if words.is_empty() => Ok(nothing),
        None => {
            let mut encoder = Encoder::new(None);
            encoder.out.array(words.len());
            untyped(encoder, &what, words)
        }
        Some(None) if words.is_empty() => Ok(nothing),
        Some(None) => {
            Err(ArgumentError::TooMany { what, wanted: 0, given: words.len(), signature: format!("{START}()") })
        }
        Some(Some(start)) if start.params.is_empty() && words.is_empty() => Ok(nothing),
        Some(Some(start)) => {
            let mut encoder = Encoder::new(interface);
            encoder.out.array(start.params.len());
            typed(encoder, &what, start, words)
        }
    }
}

fn typed<'a, W: AsRef<str>>(
    mut encoder: Encoder<'a>,
    what: &str,
    method: &'a Method,
    words: &'a [W],
) -> Result<Encoded, ArgumentError> {
    let signature = || method.to_string();
    if words.len() > method.params.len() {
        return Err(ArgumentError::TooMany {
            what: what.to_owned(),
            wanted: method.params.len(),
            given: words.len(),
            signature: signature(),
        });
    }
    for (i, param) in method.params.iter().enumerate() {
        match (words.get(i), &param.ty) {
            (Some(word), ty) => encoder.argument(ty, word.as_ref()).map_err(|why| ArgumentError::Wrong {
                what: what.to_owned(),
                param: param.name.clone(),
                ty: ty.clone(),
                why,
                signature: signature(),
            })?,
            (None, Type::Option(_)) => encoder.out.null(),
            (None, ty) => {
                return Err(ArgumentError::Missing {
                    what: what.to_owned(),
                    param: param.name.clone(),
                    ty: ty.clone(),
                    signature: signature(),
                });
            }
        }
    }
    finish(encoder, method.query, method.result.clone())
}

fn untyped<'a, W: AsRef<str>>(mut encoder: Encoder<'a>, what: &str, words: &'a [W]) -> Result<Encoded, ArgumentError> {
    for (i, word) in words.iter().enumerate() {
        encoder.argument(&Type::Any, word.as_ref()).map_err(|why| ArgumentError::Wrong {
            what: what.to_owned(),
            param: format!("argument {}", i + 1),
            ty: Type::Any,
            why,
            signature: format!("{what}(any ...)"),
        })?;
    }
    finish(encoder, false, Type::Any)
}

fn finish(encoder: Encoder<'_>, query: bool, result: Type) -> Result<Encoded, ArgumentError> {
    let Encoder { out: Cbor(body), handles, .. } = encoder;
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(ArgumentError::TooLong(body.len()));
    }
    Ok(Encoded { body, handles, query, result })
}

#[cfg(test)]
mod tests;
