//! Small questions about syntax.

use syn::{Attribute, Expr, GenericArgument, Ident, Lit, Meta, PathArguments, Type, ext::IdentExt};

/// The name without `r#`.
pub(crate) fn plain(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// The lines of the doc comments.
pub(crate) fn docs(attributes: &[Attribute]) -> Vec<String> {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let Meta::NameValue(pair) = &attribute.meta
            && let Expr::Lit(literal) = &pair.value
            && let Lit::Str(text) = &literal.lit
        {
            lines.extend(text.value().split('\n').map(str::to_owned));
        }
    }
    lines
}

/// Is the type's last name this one? (`This<Self>`, `pando::This<Self>`.)
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|segment| segment.ident == name))
}

/// The `T` of `Reply<T>`.
pub(crate) fn inner(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    match arguments.args.first()? {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}

/// Is it `Vec<u8>`?
pub(crate) fn is_bytes(ty: &Type) -> bool {
    is_named(ty, "Vec") && inner(ty).is_some_and(|of| is_named(of, "u8"))
}
