//! `#[derive(Data)]`: records, tuples and enums.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, Result, Type, parse2, punctuated::Punctuated, spanned::Spanned,
};

use crate::names::{docs, plain};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let item: DeriveInput = parse2(item)?;
    if let Some(generic) = item.generics.params.first() {
        return Err(Error::new(generic.span(), "data has one name in the interface, so it cannot be generic"));
    }
    let (name, text) = (&item.ident, plain(&item.ident));
    let doc = docs(&item.attrs);
    let (ty, write, read) = match &item.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => record(&text, &doc, &named(fields.named.iter())?),
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => newtype(&fields.unnamed[0].ty),
            Fields::Unnamed(fields) => row(fields.unnamed.iter().map(|field| &field.ty).collect()),
            Fields::Unit => record(&text, &doc, &[]),
        },
        Data::Enum(data) => enumeration(&text, &doc, data)?,
        Data::Union(data) => return Err(Error::new(data.union_token.span(), "a union cannot travel")),
    };
    Ok(quote! {
        #[automatically_derived]
        impl ::pando::Data for #name {
            const TYPE: &'static ::pando::schema::Type = #ty;

            fn write(&self, out: &mut ::pando::macros::Writer) {
                #write
            }

            fn read(from: &mut ::pando::macros::Reader<'_>) -> ::core::result::Result<Self, ::pando::macros::Malformed> {
                #read
            }
        }
    })
}

/// A field with a name, and what its attributes say.
struct Named<'a> {
    ident: &'a Ident,
    name: String,
    ty: &'a Type,
    default: bool,
    any: bool,
}

fn named<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<Vec<Named<'a>>> {
    let one = |field: &'a Field| {
        let Some(ident) = &field.ident else { return Err(Error::new(field.span(), "a field with a name is wanted")) };
        let mut named = Named { ident, name: plain(ident), ty: &field.ty, default: false, any: false };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("data")) {
            read_attribute(attribute, &mut named)?;
        }
        Ok(named)
    };
    fields.map(one).collect()
}

fn read_attribute(attribute: &Attribute, named: &mut Named<'_>) -> Result<()> {
    attribute.parse_nested_meta(|meta| {
        if meta.path.is_ident("default") {
            named.default = true;
        } else if meta.path.is_ident("any") {
            named.any = true;
        } else {
            return Err(meta.error("a field may be `default` or `any`"));
        }
        Ok(())
    })
}

fn schema_fields(fields: &[Named<'_>]) -> TokenStream {
    let fields = fields.iter().map(|Named { name, ty, default, any, .. }| {
        let of =
            if *any { quote!(<::pando::Any as ::pando::Data>::TYPE) } else { quote!(<#ty as ::pando::Data>::TYPE) };
        let of = if *default { quote!(&::pando::schema::Type::Option(#of)) } else { of };
        quote!(::pando::schema::Field { name: #name, ty: #of })
    });
    quote!(&[#(#fields),*])
}

type Parts = (TokenStream, TokenStream, TokenStream);

fn record(name: &str, doc: &[String], fields: &[Named<'_>]) -> Parts {
    let schema = schema_fields(fields);
    let ty = quote! {
        &::pando::schema::Type::Record(&::pando::schema::Record { name: #name, doc: &[#(#doc),*], fields: #schema })
    };
    let values = fields.iter().map(|Named { ident, .. }| quote!(&self.#ident));
    let write = write_fields(fields, values);
    let read = read_fields(fields, &quote!(Self));
    (ty, write, read)
}

/// Writes the map; `values` are references to the fields' values.
fn write_fields(fields: &[Named<'_>], values: impl Iterator<Item = TokenStream>) -> TokenStream {
    let count = fields.len();
    let each = fields.iter().zip(values).map(|(Named { name, ty, .. }, value)| {
        quote! {
            out.text(#name);
            <#ty as ::pando::Data>::write(#value, out);
        }
    });
    quote! {
        out.map(#count);
        #(#each)*
    }
}

/// Reads the map into `target { .. }`.
fn read_fields(fields: &[Named<'_>], target: &TokenStream) -> TokenStream {
    let slots: Vec<_> = fields.iter().map(|field| format_ident!("field_{}", field.name)).collect();
    let arms = fields.iter().zip(&slots).map(|(Named { name, ty, default, .. }, slot)| {
        let read = if *default {
            quote!(<::core::option::Option<#ty> as ::pando::Data>::read(from).map(|read| #slot = read))
        } else {
            quote!(<#ty as ::pando::Data>::read(from).map(|read| #slot = ::core::option::Option::Some(read)))
        };
        quote!(#name => #read.map_err(|malformed| malformed.of(#name))?,)
    });
    let done = fields.iter().zip(&slots).map(|(Named { ident, name, default, .. }, slot)| {
        if *default {
            quote!(#ident: #slot.unwrap_or_default())
        } else {
            quote!(#ident: ::pando::macros::field(#slot, #name)?)
        }
    });
    let declarations = fields.iter().zip(&slots).map(
        |(Named { ty, .. }, slot)| quote!(let mut #slot: ::core::option::Option<#ty> = ::core::option::Option::None;),
    );
    quote! {
        #(#declarations)*
        from.fields(|name, from| {
            match name {
                #(#arms)*
                _ => return ::core::result::Result::Ok(false),
            }
            #[allow(unreachable_code)]
            ::core::result::Result::Ok(true)
        })?;
        ::core::result::Result::Ok(#target { #(#done),* })
    }
}

fn newtype(ty: &Type) -> Parts {
    (
        quote!(<#ty as ::pando::Data>::TYPE),
        quote!(<#ty as ::pando::Data>::write(&self.0, out)),
        quote!(<#ty as ::pando::Data>::read(from).map(Self)),
    )
}

fn row(types: Vec<&Type>) -> Parts {
    let count = types.len();
    let places = (0..count).map(syn::Index::from);
    (
        quote!(&::pando::schema::Type::Tuple(&[#(<#types as ::pando::Data>::TYPE),*])),
        quote! {
            out.list(#count);
            #(<#types as ::pando::Data>::write(&self.#places, out);)*
        },
        quote! {
            from.row(#count)?;
            ::core::result::Result::Ok(Self(#(<#types as ::pando::Data>::read(from)?),*))
        },
    )
}

fn enumeration(name: &str, doc: &[String], data: &syn::DataEnum) -> Result<Parts> {
    let (mut schemas, mut writes, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    for variant in &data.variants {
        let (ident, text) = (&variant.ident, plain(&variant.ident));
        let (payload, write, read) = match &variant.fields {
            Fields::Unit => (
                quote!(::pando::schema::Payload::Unit),
                quote!(Self::#ident => out.text(#text),),
                quote!((#text, false) => ::core::result::Result::Ok(Self::#ident),),
            ),
            Fields::Unnamed(fields) => tuple_variant(ident, &text, &fields.unnamed),
            Fields::Named(fields) => {
                let fields = named(fields.named.iter())?;
                let schema = schema_fields(&fields);
                let idents: Vec<_> = fields.iter().map(|field| field.ident).collect();
                let bound: Vec<_> = fields.iter().map(|field| format_ident!("field_{}", field.name)).collect();
                let write = write_fields(&fields, bound.iter().map(|bound| quote!(#bound)));
                let read = read_fields(&fields, &quote!(Self::#ident));
                (
                    quote!(::pando::schema::Payload::Record(#schema)),
                    quote!(Self::#ident { #(#idents: #bound),* } => { out.map(1); out.text(#text); #write }),
                    quote!((#text, true) => { #read }),
                )
            }
        };
        schemas.push(quote!(::pando::schema::Variant { name: #text, payload: #payload }));
        writes.push(write);
        reads.push(read);
    }
    Ok((
        quote! {
            &::pando::schema::Type::Enum(&::pando::schema::Enum { name: #name, doc: &[#(#doc),*], variants: &[#(#schemas),*] })
        },
        quote!(match self { #(#writes)* }),
        quote! {
            from.variant(|name, payload, from| match (name, payload) {
                #(#reads)*
                _ => ::core::result::Result::Err(::pando::macros::Malformed::new(concat!("a variant of `", #name, "` is wanted"))),
            })
        },
    ))
}

/// One value as itself, several as a list.
fn tuple_variant(ident: &Ident, text: &str, fields: &Punctuated<Field, syn::Token![,]>) -> Parts {
    let types: Vec<&Type> = fields.iter().map(|field| &field.ty).collect();
    let bound: Vec<_> = (0..types.len()).map(|at| format_ident!("value_{at}")).collect();
    let count = types.len();
    let many = count != 1;
    let front = many.then(|| quote!(out.list(#count);));
    let row = many.then(|| quote!(from.row(#count)?;));
    (
        quote!(::pando::schema::Payload::Tuple(&[#(<#types as ::pando::Data>::TYPE),*])),
        quote! {
            Self::#ident(#(#bound),*) => {
                out.map(1);
                out.text(#text);
                #front
                #(<#types as ::pando::Data>::write(#bound, out);)*
            }
        },
        quote! {
            (#text, true) => {
                #row
                ::core::result::Result::Ok(Self::#ident(#(<#types as ::pando::Data>::read(from)?),*))
            }
        },
    )
}
