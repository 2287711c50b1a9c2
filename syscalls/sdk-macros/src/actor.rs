//! `#[pando::actor]`: the `impl` block as it was, and beside it everything that makes it an actor.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{
    Error, Expr, ExprLit, ImplItem, ItemImpl, Lit, LitByteStr, LitInt, Meta, Result, Token, Type, Visibility,
    parse::Parser, parse_quote, parse2, punctuated::Punctuated, spanned::Spanned,
};

use crate::{client, dispatch, interface, method::Method, names::docs};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(arguments)?;
    let mut item: ItemImpl = parse2(item)?;
    let name = actor_name(&item)?;
    let methods = methods(&item)?;
    for part in &mut item.items {
        if let ImplItem::Fn(function) = part {
            function.attrs.retain(|attribute| !crate::method::is_query(attribute));
            // Methods are run by name; a compiler that looks for their callers must not complain.
            function.attrs.push(parse_quote!(#[allow(dead_code, clippy::needless_pass_by_value, clippy::unused_self)]));
        }
    }
    let by_name = |name: &str| methods.iter().find(|method| method.name == name);
    let (start, down, bounce) = (by_name("start"), by_name("on_down"), by_name("on_bounce"));
    let state = dispatch::state(by_name("export_state"), by_name("import_state"), options.state.as_ref())?;
    let callable: Vec<&Method> = methods.iter().filter(|method| !is_hook(method)).collect();

    let doc = docs(&item.attrs);
    let constant = interface::constant(&name.to_string(), &doc, start, &callable);
    let begin = dispatch::begin(start)?;
    let arms = callable.iter().map(|method| dispatch::arm(method));
    let down = down.map(|method| dispatch::hook(method, "down", &quote!(::pando::Down))).transpose()?;
    let bounce = bounce.map(|method| dispatch::hook(method, "bounce", &quote!(::pando::Bounce))).transpose()?;

    let vis: Visibility = parse_quote!(pub);
    let reference_doc = format!("A reference to an actor with the methods of `{name}`.");
    let reference = client::reference(&vis, &name, &quote!(#[doc = #reference_doc]), &callable);
    let starter = starter(&name, start);
    let export = options.export.then(|| {
        let carries = state.is_some().then(|| {
            quote! {
                #[unsafe(no_mangle)]
                extern "C" fn pando_export_state() -> u64 {
                    ::pando::macros::export(&DRIVER)
                }

                #[unsafe(no_mangle)]
                extern "C" fn pando_import_state(len: usize) {
                    ::pando::macros::import(&DRIVER, len)
                }
            }
        });
        let layout = options.layout.as_ref().map(|text| {
            let bytes = LitByteStr::new(text.as_bytes(), Span::call_site());
            let len = text.len();
            quote! {
                #[used]
                #[unsafe(link_section = "pando.layout")]
                static LAYOUT: [u8; #len] = *#bytes;
            }
        });
        quote!(::pando::__export!(#name, { #carries #layout });)
    });
    let reference_name = quote::format_ident!("{name}Ref");

    Ok(quote! {
        #item

        #reference
        #starter

        impl ::pando::Actor for #name {
            type Ref = #reference_name;

            const INTERFACE: &'static ::pando::schema::Interface = &#constant;

            fn begin(
                message: &mut ::pando::macros::Incoming<'_>,
            ) -> ::pando::Result<(::pando::This<Self>, ::core::option::Option<::pando::macros::Task>)> {
                #begin
            }

            fn dispatch(
                this: &::pando::This<Self>,
                message: &mut ::pando::macros::Incoming<'_>,
            ) -> ::pando::Result<::pando::macros::Outcome> {
                match message.method() {
                    #(#arms)*
                    _ => ::core::result::Result::Err(message.unknown()),
                }
            }

            #down
            #bounce
            #state
        }

        #export
    })
}

fn actor_name(item: &ItemImpl) -> Result<Ident> {
    if let Some((_, path, _)) = &item.trait_ {
        return Err(Error::new(path.span(), "an actor is an `impl` block of its own: `impl Counter { .. }`"));
    }
    if let Some(generic) = item.generics.params.first() {
        return Err(Error::new(generic.span(), "an actor cannot be generic: its module is one program"));
    }
    match &*item.self_ty {
        Type::Path(path) if path.path.get_ident().is_some() => Ok(path.path.segments[0].ident.clone()),
        other => Err(Error::new(other.span(), "an actor is a struct or enum of this crate, by its name")),
    }
}

fn methods(item: &ItemImpl) -> Result<Vec<Method>> {
    let mut methods = Vec::new();
    for part in &item.items {
        let ImplItem::Fn(function) = part else { continue };
        let method = Method::new(&function.attrs, &function.sig)?;
        if !is_hook(&method) && method.state == crate::method::State::None {
            let mend = "a method takes `&self`, `&mut self` or `this: This<Self>`; functions that are no methods go into another `impl` block";
            return Err(Error::new(method.span, mend));
        }
        method.check()?;
        methods.push(method);
    }
    Ok(methods)
}

fn is_hook(method: &Method) -> bool {
    matches!(method.name.as_str(), "start" | "on_down" | "on_bounce" | "export_state" | "import_state")
}

/// What stands in `#[pando::actor(..)]`.
struct Options {
    export: bool,
    /// The version of the state's form.
    state: Option<LitInt>,
    layout: Option<String>,
}

impl Options {
    fn parse(arguments: TokenStream) -> Result<Options> {
        let mut options = Options { export: true, state: None, layout: None };
        let wanted = "`actor` takes nothing, `no_export`, `state = 2` or `layout = \"a\"`";
        for meta in Punctuated::<Meta, Token![,]>::parse_terminated.parse2(arguments)? {
            match &meta {
                Meta::Path(path) if path.is_ident("no_export") => options.export = false,
                Meta::NameValue(pair) => match &pair.value {
                    Expr::Lit(ExprLit { lit: Lit::Int(n), .. }) if pair.path.is_ident("state") => {
                        n.base10_parse::<u32>()?;
                        options.state = Some(n.clone());
                    }
                    Expr::Lit(ExprLit { lit: Lit::Str(text), .. })
                        if pair.path.is_ident("layout") && !text.value().is_empty() =>
                    {
                        options.layout = Some(text.value());
                    }
                    other => return Err(Error::new(other.span(), wanted)),
                },
                other => return Err(Error::new(other.span(), wanted)),
            }
        }
        Ok(options)
    }
}

/// `CounterRef::start(Spawn::own(), ..)`
fn starter(name: &Ident, start: Option<&Method>) -> TokenStream {
    let reference = quote::format_ident!("{name}Ref");
    let none = Vec::new();
    let params = start.map_or(&none, |start| &start.params);
    let count = params.len();
    let (params, writes) = client::arguments(params);
    let doc = start.map_or(Vec::new(), |start| start.doc.clone());
    quote! {
        #[allow(dead_code, missing_docs, private_interfaces)]
        impl #reference {
            /// Starts one.
            ///
            #(#[doc = #doc])*
            pub fn start(how: ::pando::Spawn, #(#params),*) -> ::pando::Result<Self> {
                let mut arguments = ::pando::macros::Writer::new();
                let out = &mut arguments;
                out.list(#count);
                #(#writes;)*
                how.start_with(&arguments).map(#reference)
            }
        }
    }
}

#[cfg(test)]
mod tests;
