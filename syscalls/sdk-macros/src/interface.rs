//! The interface as a constant.

use proc_macro2::TokenStream;
use quote::quote;

use crate::method::Method;

/// An expression of type `Interface`.
pub(crate) fn constant(name: &str, doc: &[String], start: Option<&Method>, methods: &[&Method]) -> TokenStream {
    let methods = start.into_iter().chain(methods.iter().copied()).map(method);
    quote! {
        ::pando::schema::Interface { name: #name, doc: &[#(#doc),*], methods: &[#(#methods),*] }
    }
}

fn method(method: &Method) -> TokenStream {
    let Method { name, doc, query, .. } = method;
    let params = method.params.iter().map(|param| {
        let (name, ty) = (&param.name, &param.ty);
        quote!(::pando::schema::Field { name: #name, ty: <#ty as ::pando::Data>::TYPE })
    });
    let result = if name == "start" {
        quote!(<() as ::pando::Data>::TYPE)
    } else {
        let answer = method.answer();
        quote!(<#answer as ::pando::macros::Answer>::TYPE)
    };
    quote! {
        ::pando::schema::Method { name: #name, doc: &[#(#doc),*], query: #query, params: &[#(#params),*], result: #result }
    }
}
