//! From a method's name to the method.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, LitInt, Result};

use crate::method::{Method, State};

/// The arm of `dispatch` for one method.
pub(crate) fn arm(method: &Method) -> TokenStream {
    let Method { ident, name, .. } = method;
    let changes = (!method.query).then(|| quote!(message.changes()?;));
    let (reads, mut values) = arguments(method);
    let reply = method.reply.as_ref().map(|of| {
        values.insert(0, quote!(reply));
        quote!(let reply = message.take_reply::<#of>();)
    });
    let ran = match method.state {
        State::Shared | State::Exclusive => quote!(this.with(|state| state.#ident(#(#values),*))),
        State::This => quote!(Self::#ident(this.clone(), #(#values),*)),
        State::None => quote!(Self::#ident(#(#values),*)),
    };
    let outcome = match (method.reply.is_some(), method.waits) {
        (false, false) => quote!(::pando::macros::Outcome::Now(::pando::macros::Answer::answer(#ran))),
        (false, true) => quote!(::pando::macros::later(#ran)),
        (true, false) => quote!({ #ran; ::pando::macros::Outcome::Kept }),
        (true, true) => quote!({ ::pando::task(#ran); ::pando::macros::Outcome::Kept }),
    };
    quote_spanned! {method.span=>
        #name => {
            #changes
            #reads
            #reply
            ::core::result::Result::Ok(#outcome)
        }
    }
}

/// The body of `begin`.
pub(crate) fn begin(start: Option<&Method>) -> Result<TokenStream> {
    let Some(start) = start else {
        return Ok(quote! {
            message.end()?;
            ::core::result::Result::Ok((::pando::macros::begun(<Self as ::core::default::Default>::default()), ::core::option::Option::None))
        });
    };
    if start.query || start.reply.is_some() {
        return Err(Error::new(start.span, "`start` is called by the kernel: it is no query, and answers nobody"));
    }
    let (reads, values) = arguments(start);
    let default = quote!(<Self as ::core::default::Default>::default());
    let body = match (start.state, start.waits) {
        (State::None, false) => quote! {
            let state = ::pando::macros::Begun::<Self>::begun(Self::start(#(#values),*))?;
            ::core::result::Result::Ok((::pando::macros::begun(state), ::core::option::Option::None))
        },
        (State::None, true) => {
            let mend = "an `async` start takes `this: This<Self>`: messages may arrive while it waits, and need a state to meet";
            return Err(Error::new(start.span, mend));
        }
        (State::Shared | State::Exclusive, _) => quote! {
            let mut state = #default;
            ::pando::macros::Answer::answer(Self::start(&mut state, #(#values),*))?;
            ::core::result::Result::Ok((::pando::macros::begun(state), ::core::option::Option::None))
        },
        (State::This, false) => quote! {
            let this = ::pando::macros::begun(#default);
            ::pando::macros::Answer::answer(Self::start(this.clone(), #(#values),*))?;
            ::core::result::Result::Ok((this, ::core::option::Option::None))
        },
        (State::This, true) => quote! {
            let this = ::pando::macros::begun(#default);
            let task = ::pando::macros::or_exit(Self::start(this.clone(), #(#values),*));
            ::core::result::Result::Ok((this, ::core::option::Option::Some(task)))
        },
    };
    Ok(quote!(#reads #body))
}

/// The functions by which the state goes from one version of the code to the next.
pub(crate) fn state(
    export: Option<&Method>,
    import: Option<&Method>,
    version: Option<&LitInt>,
) -> Result<Option<TokenStream>> {
    let (export, import) = match (export, import) {
        (Some(export), Some(import)) => (export, import),
        (Some(one), None) | (None, Some(one)) => {
            let mend = "`export_state` and `import_state` come together: what one version writes, another reads";
            return Err(Error::new(one.span, mend));
        }
        (None, None) => {
            return match version {
                Some(version) => {
                    Err(Error::new(version.span(), "a state with a version has `export_state` and `import_state`"))
                }
                None => Ok(None),
            };
        }
    };
    if export.state != State::Shared || !export.params.is_empty() || export.waits || export.query {
        return Err(Error::new(export.span, "`export_state` takes `&self` and returns what is to be kept"));
    }
    if import.state != State::None || import.params.len() != 1 || import.waits || import.query {
        return Err(Error::new(import.span, "`import_state` takes a `State` and returns `Self`, or a result of it"));
    }
    let version = version.map_or_else(|| quote!(1u32), |version| quote!(#version));
    Ok(Some(quote! {
        fn export(this: &::pando::This<Self>) -> ::core::option::Option<(u32, ::pando::macros::Writer)> {
            let mut out = ::pando::macros::Writer::new();
            let state = this.with(|state| state.export_state());
            ::pando::Data::write(&state, &mut out);
            ::core::option::Option::Some((#version, out))
        }

        fn import(state: ::pando::State) -> ::pando::Result<::pando::This<Self>> {
            ::pando::macros::Begun::<Self>::begun(Self::import_state(state)).map(::pando::macros::begun)
        }
    }))
}

/// The function of the trait that a hook becomes.
pub(crate) fn hook(method: &Method, name: &str, argument: &TokenStream) -> Result<TokenStream> {
    let ident = &method.ident;
    if method.params.len() != 1 || method.query || method.reply.is_some() || method.state == State::None {
        let wanted = format!("`{}` takes the state and one value, and returns nothing", method.name);
        return Err(Error::new(method.span, wanted));
    }
    let body = match (method.state, method.waits) {
        (State::This, true) => {
            quote!(::core::option::Option::Some(::pando::macros::or_exit(Self::#ident(this.clone(), value))))
        }
        (State::This, false) => quote!(Self::#ident(this.clone(), value); ::core::option::Option::None),
        _ => quote!(this.with(|state| state.#ident(value)); ::core::option::Option::None),
    };
    let name = format_ident!("{name}");
    Ok(quote! {
        fn #name(this: &::pando::This<Self>, value: #argument) -> ::core::option::Option<::pando::macros::Task> {
            #body
        }
    })
}

/// Statements that read the arguments, and the expressions that are then their values.
fn arguments(method: &Method) -> (TokenStream, Vec<TokenStream>) {
    let values: Vec<_> = (0..method.params.len()).map(|at| format_ident!("argument_{at}")).collect();
    let reads = method.params.iter().zip(&values).map(|(param, value)| {
        let (ty, name) = (&param.ty, &param.name);
        quote!(let #value = message.argument::<#ty>(#name)?;)
    });
    (quote!(#(#reads)* message.end()?;), values.iter().map(|value| quote!(#value)).collect())
}
