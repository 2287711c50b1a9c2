//! What a function in an actor's `impl` block, or in a client's trait, says.
//!
//! Owns: which shapes of functions there are, and what is said about others.

use proc_macro2::Span;
use syn::{Attribute, Error, FnArg, Ident, Pat, Result, ReturnType, Signature, Type, parse_quote, spanned::Spanned};

use crate::names::{docs, inner, is_named, plain};

/// How a function reaches the state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not at all.
    None,
    /// `&self`
    Shared,
    /// `&mut self`
    Exclusive,
    /// `this: This<Self>`
    This,
}

/// One function.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) doc: Vec<String>,
    pub(crate) query: bool,
    pub(crate) state: State,
    pub(crate) waits: bool,
    /// The `T` of a parameter `Reply<T>`.
    pub(crate) reply: Option<Type>,
    pub(crate) params: Vec<Param>,
    /// What it returns, or answers through its `Reply`.
    pub(crate) result: Type,
    pub(crate) span: Span,
}

/// A parameter that comes from the message.
pub(crate) struct Param {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) ty: Type,
}

impl Method {
    /// Understands `signature`, or says why not.
    pub(crate) fn new(attributes: &[Attribute], signature: &Signature) -> Result<Method> {
        if let Some(generic) = signature.generics.params.first() {
            return Err(Error::new(generic.span(), "a method is called from elsewhere, so it cannot be generic"));
        }
        let mut method = Method {
            ident: signature.ident.clone(),
            name: plain(&signature.ident),
            doc: docs(attributes),
            query: attributes.iter().any(is_query),
            state: State::None,
            waits: signature.asyncness.is_some(),
            reply: None,
            params: Vec::new(),
            result: match &signature.output {
                ReturnType::Default => parse_quote!(()),
                ReturnType::Type(_, ty) => (**ty).clone(),
            },
            span: signature.ident.span(),
        };
        for (at, input) in signature.inputs.iter().enumerate() {
            method.input(at, input)?;
        }
        Ok(method)
    }

    fn input(&mut self, at: usize, input: &FnArg) -> Result<()> {
        let typed = match input {
            FnArg::Receiver(receiver) => {
                if receiver.colon_token.is_some() || receiver.reference.is_none() {
                    return Err(Error::new(
                        receiver.span(),
                        "a method takes `&self`, `&mut self` or `this: This<Self>`",
                    ));
                }
                self.state = if receiver.mutability.is_some() { State::Exclusive } else { State::Shared };
                return Ok(());
            }
            FnArg::Typed(typed) => typed,
        };
        if at == 0 && is_named(&typed.ty, "This") {
            self.state = State::This;
            return Ok(());
        }
        if is_named(&typed.ty, "Reply") {
            let before = usize::from(self.state != State::None);
            let of =
                inner(&typed.ty).ok_or_else(|| Error::new(typed.ty.span(), "`Reply` wants the type of the answer"))?;
            if at != before || self.reply.is_some() {
                return Err(Error::new(typed.span(), "the `Reply` is the first parameter after the state"));
            }
            self.reply = Some(of.clone());
            return Ok(());
        }
        let Pat::Ident(pattern) = &*typed.pat else {
            return Err(Error::new(typed.pat.span(), "a parameter has a name: callers see it"));
        };
        if let Type::Reference(reference) = &*typed.ty {
            let mend = "an argument comes out of a message, so the method owns it: take `String` for text, `Vec<u8>` for bytes";
            return Err(Error::new(reference.span(), mend));
        }
        self.params.push(Param { ident: pattern.ident.clone(), name: plain(&pattern.ident), ty: (*typed.ty).clone() });
        Ok(())
    }

    /// What every function in an actor's `impl` block must keep to.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |why: &str| Err(Error::new(self.span, why));
        if self.waits && matches!(self.state, State::Shared | State::Exclusive) {
            return refuse(
                "an `async` method cannot keep `self` while it waits, for other methods run meanwhile: \
                 take `this: This<Self>`, and borrow the state for a moment with `this.with(|s| ..)`",
            );
        }
        if self.query && (self.waits || self.state != State::Shared) {
            return refuse("a query only reads and cannot wait: it is a plain `fn` that takes `&self`");
        }
        if let Some(reply) = &self.reply {
            if !matches!(&self.result, Type::Tuple(tuple) if tuple.elems.is_empty()) {
                return refuse("a method that takes a `Reply` answers through it and returns nothing");
            }
            if self.query {
                return Err(Error::new(reply.span(), "a query answers by returning"));
            }
        }
        Ok(())
    }

    /// The type that the answer is made of.
    pub(crate) fn answer(&self) -> &Type {
        self.reply.as_ref().unwrap_or(&self.result)
    }
}

/// `#[query]`
pub(crate) fn is_query(attribute: &Attribute) -> bool {
    attribute.path().is_ident("query")
}
