//! A body that is being read, and the handles that came with it.

use crate::{
    Handle,
    data::{
        Data,
        cbor::{self, Items},
    },
    prelude::*,
};

/// Lists in maps in lists.
const DEPTH_MAX: u8 = 32;

/// What was wanted where something else is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// The field, if it is one.
    pub field: Option<&'static str>,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Malformed {
    /// Something that is not as the type wants it.
    pub const fn new(what: &'static str) -> Malformed {
        Malformed { field: None, what }
    }

    /// The same, known to be of this field.
    #[must_use]
    pub fn of(mut self, field: &'static str) -> Malformed {
        self.field = self.field.or(Some(field));
        self
    }

    /// For people.
    pub(crate) fn append_to(&self, text: &mut String) {
        if let Some(field) = self.field {
            text.push('`');
            text.push_str(field);
            text.push_str("`: ");
        }
        text.push_str(self.what);
    }
}

impl core::fmt::Display for Malformed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut text = String::new();
        self.append_to(&mut text);
        f.write_str(&text)
    }
}

/// A body and its handles.
pub struct Reader<'b> {
    items: Items<'b>,
    handles: Vec<Handle>,
    depth: u8,
}

impl<'b> Reader<'b> {
    /// Reads `bytes`, in which handles are indexes into `handles`.
    pub fn new(bytes: &'b [u8], handles: Vec<Handle>) -> Reader<'b> {
        Reader { items: Items { bytes }, handles, depth: 0 }
    }

    /// Is everything read?
    pub fn is_at_end(&self) -> bool {
        self.items.bytes.is_empty()
    }

    /// Takes a `null` if there is one.
    pub fn null(&mut self) -> bool {
        self.items.null()
    }

    /// A truth value.
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        self.items.bool().ok_or(Malformed::new("true or false is wanted"))
    }

    /// A whole number that is not negative.
    pub fn unsigned(&mut self) -> Result<u64, Malformed> {
        self.items.of(cbor::UNSIGNED).ok_or(Malformed::new("a whole number that is not negative is wanted"))
    }

    /// A whole number.
    pub fn signed(&mut self) -> Result<i64, Malformed> {
        self.items.signed().ok_or(Malformed::new("a whole number is wanted"))
    }

    /// A number; a whole one will do.
    pub fn f64(&mut self) -> Result<f64, Malformed> {
        self.items.float().ok_or(Malformed::new("a number is wanted"))
    }

    /// Text.
    pub fn text(&mut self) -> Result<&'b str, Malformed> {
        let text = self.items.content(cbor::TEXT).and_then(|bytes| core::str::from_utf8(bytes).ok());
        text.ok_or(Malformed::new("text is wanted"))
    }

    /// Bytes.
    pub fn blob(&mut self) -> Result<&'b [u8], Malformed> {
        self.items.content(cbor::BYTES).ok_or(Malformed::new("bytes are wanted"))
    }

    /// A handle. The same one may be read twice.
    pub fn handle(&mut self) -> Result<Handle, Malformed> {
        let wanted = Malformed::new("an actor is wanted");
        let index = self.items.of(cbor::UNSIGNED).ok_or(wanted)?;
        usize::try_from(index).ok().and_then(|index| self.handles.get(index)).cloned().ok_or(wanted)
    }

    /// The front of a list that has to have so many items, which are then to be read.
    pub fn row(&mut self, items: usize) -> Result<(), Malformed> {
        if self.list()? == items { Ok(()) } else { Err(Malformed::new("a list of another length is wanted")) }
    }

    /// The front of a list; how many items it has.
    pub(crate) fn list(&mut self) -> Result<usize, Malformed> {
        let items = self.items.of(cbor::LIST).and_then(|items| usize::try_from(items).ok());
        items.ok_or(Malformed::new("a list is wanted"))
    }

    /// A list: calls `read` for each item.
    pub fn items(&mut self, mut read: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        let count = self.list()?;
        self.inside(|from| (0..count).try_for_each(|_| read(from)))
    }

    /// A map: calls `read` at each key, to read key and value.
    pub fn pairs(&mut self, mut read: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        let count = self.items.of(cbor::MAP).ok_or(Malformed::new("a map is wanted"))?;
        self.inside(|from| (0..count).try_for_each(|_| read(from)))
    }

    /// A record: calls `read` with each field's name, to read the value; `false` if it does not know the name.
    pub fn fields(
        &mut self,
        mut read: impl FnMut(&str, &mut Self) -> Result<bool, Malformed>,
    ) -> Result<(), Malformed> {
        self.pairs(|from| {
            let name = from.text()?;
            if read(name, from)? { Ok(()) } else { from.skip().map(drop) }
        })
    }

    /// An enum: calls `read` with the variant's name, and whether a payload is there to be read.
    pub fn variant<T>(
        &mut self,
        read: impl FnOnce(&str, bool, &mut Self) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        if self.items.major() == Some(cbor::TEXT) {
            let name = self.text()?;
            return read(name, false, self);
        }
        if self.items.of(cbor::MAP) != Some(1) {
            return Err(Malformed::new("a variant's name is wanted"));
        }
        let name = self.text()?;
        self.inside(|from| read(name, true, from))
    }

    /// Anything at all: its bytes.
    pub fn skip(&mut self) -> Result<&'b [u8], Malformed> {
        self.items.item().ok_or(Malformed::new("a value is wanted"))
    }

    fn inside<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<T, Malformed> {
        if self.depth == DEPTH_MAX {
            return Err(Malformed::new("it is nested too deep"));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }
}

/// The field that was read, or what it is if it is not there.
#[doc(hidden)]
pub fn field<T: Data>(read: Option<T>, name: &'static str) -> Result<T, Malformed> {
    read.or_else(T::absent).ok_or(Malformed { field: Some(name), what: "it is missing" })
}
