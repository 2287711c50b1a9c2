//! Reference types: a method for each method, that makes a call.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, ItemTrait, Result, TraitItem, Visibility, parse2, spanned::Spanned};

use crate::{
    method::{Method, Param},
    names::{is_bytes, is_named},
};

/// `#[pando::client] trait Kv { .. }`
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new(arguments.span(), "`client` takes no arguments"));
    }
    let item: ItemTrait = parse2(item)?;
    let mut methods = Vec::new();
    for part in &item.items {
        match part {
            TraitItem::Fn(function) => methods.push(Method::new(&function.attrs, &function.sig)?),
            other => return Err(Error::new(other.span(), "a client has methods and nothing else")),
        }
    }
    let doc = item.attrs.iter().filter(|attribute| attribute.path().is_ident("doc"));
    let reference = reference(&item.vis, &item.ident, &quote!(#(#doc)*), &methods.iter().collect::<Vec<_>>());
    Ok(reference)
}

/// The type `<name>Ref`.
pub(crate) fn reference(vis: &Visibility, name: &Ident, doc: &TokenStream, methods: &[&Method]) -> TokenStream {
    let reference = format_ident!("{}Ref", name);
    let methods = methods.iter().map(|method| call(method));
    quote! {
        #doc
        #[derive(Clone, PartialEq, Debug)]
        #[allow(dead_code, missing_docs)]
        #vis struct #reference(::pando::Handle);

        #[allow(dead_code, missing_docs, private_interfaces)]
        impl #reference {
            #(#methods)*
        }

        impl ::core::ops::Deref for #reference {
            type Target = ::pando::Handle;
            fn deref(&self) -> &::pando::Handle {
                &self.0
            }
        }

        impl ::pando::Client for #reference {
            fn of(handle: ::pando::Handle) -> Self {
                #reference(handle)
            }
            fn handle(&self) -> &::pando::Handle {
                &self.0
            }
        }

        impl ::pando::Data for #reference {
            const TYPE: &'static ::pando::schema::Type = <::pando::Handle as ::pando::Data>::TYPE;
            fn write(&self, out: &mut ::pando::macros::Writer) {
                ::pando::Data::write(&self.0, out)
            }
            fn read(
                from: &mut ::pando::macros::Reader<'_>,
            ) -> ::core::result::Result<Self, ::pando::macros::Malformed> {
                ::pando::Data::read(from).map(#reference)
            }
        }
    }
}

fn call(method: &Method) -> TokenStream {
    let Method { ident, name, doc, .. } = method;
    let (params, writes) = arguments(&method.params);
    let count = method.params.len();
    let answer = method.answer();
    let query = method.query.then(|| quote!(.query()));
    quote_spanned! {method.span=>
        #(#[doc = #doc])*
        pub fn #ident(&self, #(#params),*) -> ::pando::Call<<#answer as ::pando::macros::Answer>::Value> {
            ::pando::Call::open(&self.0, #name, #count) #(.argument(|out| #writes))* #query
        }
    }
}

/// Parameters that are pleasant to call with, and how each is written to `out`. Text and bytes may be borrowed.
pub(crate) fn arguments(params: &[Param]) -> (Vec<TokenStream>, Vec<TokenStream>) {
    params
        .iter()
        .map(|Param { ident, ty, .. }| {
            if is_named(ty, "String") {
                (quote!(#ident: impl ::core::convert::AsRef<str>), quote!(out.text(#ident.as_ref())))
            } else if is_bytes(ty) {
                (quote!(#ident: impl ::core::convert::AsRef<[u8]>), quote!(out.blob(#ident.as_ref())))
            } else {
                (quote!(#ident: #ty), quote!(<#ty as ::pando::Data>::write(&#ident, out)))
            }
        })
        .unzip()
}
