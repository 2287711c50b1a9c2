//! A value of a type that only its reader knows.

use crate::{
    data::{Data, Malformed, Reader, Writer},
    prelude::*,
    schema::Type,
};

/// Any value that has no handles in it, as CBOR.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Any(Vec<u8>);

impl Any {
    /// This value. `None` if handles are in it: those cannot be kept as bytes.
    pub fn new<T: Data>(value: &T) -> Option<Any> {
        let mut out = Writer::new();
        value.write(&mut out);
        out.handles().is_empty().then(|| Any(out.bytes().to_vec()))
    }

    /// The value as a `T`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn get<T: Data>(&self) -> Result<T, Malformed> {
        T::read(&mut Reader::new(&self.0, Vec::new()))
    }

    /// The CBOR.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Data for Any {
    const TYPE: &'static Type = &Type::Word("any");
    fn write(&self, out: &mut Writer) {
        out.raw(&self.0);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.skip().map(|bytes| Any(bytes.to_vec()))
    }
}
