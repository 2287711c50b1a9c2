//! Numbers, truth, text, nothing.

use crate::{
    data::{Data, Malformed, Reader, Writer},
    prelude::*,
    schema::Type,
};

macro_rules! whole {
    ($($type:ident $put:ident $wide:ident $get:ident $wanted:literal;)*) => {
        $(impl Data for $type {
            const TYPE: &'static Type = &Type::Word(stringify!($type));
            fn write(&self, out: &mut Writer) {
                out.$put($wide::from(*self));
            }
            fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                $type::try_from(from.$get()?).map_err(|_| Malformed::new($wanted))
            }
        })*
    };
}
whole! {
    i8 signed i64 signed "a whole number of 8 bits is wanted";
    i16 signed i64 signed "a whole number of 16 bits is wanted";
    i32 signed i64 signed "a whole number of 32 bits is wanted";
    i64 signed i64 signed "a whole number of 64 bits is wanted";
    u16 unsigned u64 unsigned "a whole number of 16 bits is wanted";
    u32 unsigned u64 unsigned "a whole number of 32 bits is wanted";
    u64 unsigned u64 unsigned "a whole number of 64 bits is wanted";
}

/// A list of it is bytes.
impl Data for u8 {
    const TYPE: &'static Type = &Type::Word("u8");
    const LIST: &'static Type = &Type::Word("bytes");

    fn write(&self, out: &mut Writer) {
        out.unsigned(u64::from(*self));
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        u8::try_from(from.unsigned()?).map_err(|_| Malformed::new("a whole number of 8 bits is wanted"))
    }
    fn write_list(items: &[Self], out: &mut Writer) {
        out.blob(items);
    }
    fn read_list(from: &mut Reader<'_>) -> Result<Vec<Self>, Malformed> {
        from.blob().map(<[u8]>::to_vec)
    }
}

impl Data for f32 {
    const TYPE: &'static Type = &Type::Word("f32");
    fn write(&self, out: &mut Writer) {
        out.f32(*self);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.f64().map(|n| n as f32)
    }
}

impl Data for f64 {
    const TYPE: &'static Type = &Type::Word("f64");
    fn write(&self, out: &mut Writer) {
        out.f64(*self);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.f64()
    }
}

impl Data for bool {
    const TYPE: &'static Type = &Type::Word("bool");
    fn write(&self, out: &mut Writer) {
        out.bool(*self);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.bool()
    }
}

impl Data for String {
    const TYPE: &'static Type = &Type::Word("text");
    fn write(&self, out: &mut Writer) {
        out.text(self);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.text().map(ToOwned::to_owned)
    }
}

impl Data for () {
    const TYPE: &'static Type = &Type::Word("unit");
    fn write(&self, out: &mut Writer) {
        out.null();
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        if from.null() { Ok(()) } else { Err(Malformed::new("nothing is wanted")) }
    }
    fn absent() -> Option<Self> {
        Some(())
    }
}

impl<T: Data> Data for Option<T> {
    const TYPE: &'static Type = &Type::Option(T::TYPE);
    fn write(&self, out: &mut Writer) {
        match self {
            Some(value) => value.write(out),
            None => out.null(),
        }
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        if from.null() { Ok(None) } else { T::read(from).map(Some) }
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Data> Data for Box<T> {
    const TYPE: &'static Type = T::TYPE;
    fn write(&self, out: &mut Writer) {
        (**self).write(out);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        T::read(from).map(Box::new)
    }
    fn absent() -> Option<Self> {
        T::absent().map(Box::new)
    }
}
