//! What can go wrong between actors.
//!
//! Owns: the error that a call gives back and that a method may answer with. Does not know: who called whom.

use crate::{Errno, data::Malformed, prelude::*};

/// A result whose error can be answered with.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Why a call has no answer, or what a method answers instead of one.
///
/// `?` makes one of an [`Errno`], of text (then it is `APPLICATION`: the method's own words) and of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    errno: Errno,
    words: Option<String>,
}

impl Error {
    /// A failure of one's own, in words for people.
    pub fn new(words: impl Into<String>) -> Error {
        Error { errno: Errno::APPLICATION, words: Some(words.into()) }
    }

    /// One of the table's errors, in words that say more than the table.
    pub fn with_words(errno: Errno, words: impl Into<String>) -> Error {
        Error { errno, words: Some(words.into()) }
    }

    /// Which one of the table it is.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// For people: the answerer's words, or the table's.
    pub fn words(&self) -> &str {
        self.words.as_deref().unwrap_or(self.errno.text())
    }

    /// As the status and body of an answer say it.
    pub(crate) fn answered(status: u16, body: &[u8]) -> Error {
        let errno = Errno::from_code(status).unwrap_or(Errno::INTERNAL);
        let words = crate::data::Reader::new(body, Vec::new()).text().ok().map(ToOwned::to_owned);
        Error { errno, words }
    }

    /// The status to answer with. Codes by which the kernel speaks are not an actor's to use: a caller would take them
    /// for the fate of its own call.
    pub(crate) fn status(&self) -> Errno {
        match self.errno {
            Errno::NOT_FOUND | Errno::EXISTS | Errno::BAD_REQUEST | Errno::REFUSED => self.errno,
            _ => Errno::APPLICATION,
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.words())
    }
}

impl core::error::Error for Error {}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        Error { errno, words: None }
    }
}

impl From<String> for Error {
    fn from(words: String) -> Error {
        Error::new(words)
    }
}

impl From<&str> for Error {
    fn from(words: &str) -> Error {
        Error::new(words)
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Error {
        let mut words = String::new();
        malformed.append_to(&mut words);
        Error { errno: Errno::BAD_REQUEST, words: Some(words) }
    }
}
