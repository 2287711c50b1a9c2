//! Values that travel: in messages, answers and arguments of `start`.
//!
//! Owns: how each Rust type is written as CBOR, and what it is called in an interface text. `#[derive(Data)]` adds records and
//! enums. Does not know: methods, events, the kernel. SPEC.md, section 11, has the table.
//!
//! 1. Reading never panics, never recurses without bound, never allocates more than a small multiple of what is there.
//! 2. A key that a record does not know is let be, and a field that may be missing may be missing: old and new versions
//!    of an actor understand each other.

mod any;
pub(crate) mod cbor;
mod collections;
mod read;
mod scalars;
mod write;

pub use any::Any;
pub use read::{Malformed, Reader, field};
pub use write::Writer;

use crate::{prelude::*, schema::Type};

/// A type whose values can travel.
pub trait Data: Sized {
    /// What it is in an interface text.
    const TYPE: &'static Type;

    /// Writes the value.
    fn write(&self, out: &mut Writer);

    /// Reads a value.
    ///
    /// # Errors
    /// When something else is there.
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// The value of a field or argument that is not there, if the type has one.
    fn absent() -> Option<Self> {
        None
    }

    /// What a list of it is in an interface text: `list<...>`, but `bytes` for `u8`.
    #[doc(hidden)]
    const LIST: &'static Type = &Type::List(Self::TYPE);

    #[doc(hidden)]
    fn write_list(items: &[Self], out: &mut Writer) {
        out.list(items.len());
        for item in items {
            item.write(out);
        }
    }

    #[doc(hidden)]
    fn read_list(from: &mut Reader<'_>) -> Result<Vec<Self>, Malformed> {
        let mut items = Vec::new();
        from.items(|from| {
            items.push(Self::read(from)?);
            Ok(())
        })?;
        Ok(items)
    }
}

/// The arguments of a call or of `start`: a tuple.
pub trait Arguments {
    /// How many.
    const COUNT: usize;

    /// Writes them one after the other.
    fn write(&self, out: &mut Writer);
}

/// How many there are.
pub(crate) fn count<A: Arguments>(_: &A) -> usize {
    A::COUNT
}

macro_rules! arguments {
    ($($name:ident)*) => {
        impl<$($name: Data),*> Arguments for ($($name,)*) {
            const COUNT: usize = 0 $(+ { let _ = stringify!($name); 1 })*;

            #[allow(non_snake_case, unused_variables)]
            fn write(&self, out: &mut Writer) {
                let ($($name,)*) = self;
                $($name.write(out);)*
            }
        }
    };
}
arguments!();
arguments!(A);
arguments!(A B);
arguments!(A B C);
arguments!(A B C D);
arguments!(A B C D E);
arguments!(A B C D E F);
arguments!(A B C D E F G);
arguments!(A B C D E F G H);

#[cfg(test)]
mod tests;
