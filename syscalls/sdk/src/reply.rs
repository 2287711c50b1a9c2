//! Answering: at once by returning, or later through a `Reply`.
//!
//! Owns: the one-time reply handle. Does not know: who asked.
//!
//! 1. Every call is answered once: by a value, by an error, or, when its reply is dropped, by `NO_REPLY`.

use core::marker::PhantomData;

use crate::{Answer, Data, Errno, Error, Level, Result, data::Writer, prelude::*, sys};

/// A caller that waits. A method that takes it as its first parameter answers when it likes, and may return before:
///
/// ```ignore
/// fn next(&mut self, reply: Reply<Job>) {
///     self.waiting.push_back(reply);
/// }
/// ```
///
/// Dropped, it tells the caller `NO_REPLY`. If the method was reached by `send` nobody waits, and an answer goes nowhere.
#[must_use = "a reply that is dropped tells the caller NO_REPLY"]
#[derive(Debug)]
pub struct Reply<T> {
    caller: Option<OneTime>,
    value: PhantomData<fn(T)>,
}

impl<T: Data> Reply<T> {
    pub(crate) fn new(caller: Option<OneTime>) -> Reply<T> {
        Reply { caller, value: PhantomData }
    }

    /// Does anybody wait?
    pub fn is_wanted(&self) -> bool {
        self.caller.is_some()
    }

    /// Answers with a value.
    pub fn send(self, value: T) {
        finish(self.caller, value.answer());
    }

    /// Answers with an error.
    pub fn fail(self, error: impl Into<Error>) {
        finish(self.caller, Err(error.into()));
    }

    /// Answers with the one or the other.
    pub fn finish(self, result: Result<T>) {
        finish(self.caller, result.answer());
    }
}

/// A reply handle.
#[derive(Debug)]
pub struct OneTime(u32);

impl OneTime {
    pub(crate) fn new(number: u32) -> OneTime {
        OneTime(number)
    }

    fn reply(self, status: u16, body: &[u8], handles: &[u32]) -> core::result::Result<(), (OneTime, Errno)> {
        match sys::reply(self.0, status, body, handles) {
            Ok(_) => {
                // The kernel has taken it.
                core::mem::forget(self);
                Ok(())
            }
            Err(errno) => Err((self, errno)),
        }
    }
}

impl Drop for OneTime {
    fn drop(&mut self) {
        let _ = sys::handle_drop(self.0);
    }
}

/// Answers, if somebody waits; an error that nobody waits for goes to the log.
pub(crate) fn finish(caller: Option<OneTime>, answer: Result<Writer>) {
    match (caller, answer) {
        (Some(caller), Ok(body)) => {
            if let Err((caller, errno)) = caller.reply(0, body.bytes(), &body.numbers()) {
                fail(caller, &Error::from(errno));
            }
        }
        (Some(caller), Err(error)) => fail(caller, &error),
        (None, Ok(_)) => {}
        (None, Err(error)) => {
            let mut text = String::from("a message failed: ");
            text.push_str(error.words());
            sys::log(Level::Warning as u8, &text);
        }
    }
}

fn fail(caller: OneTime, error: &Error) {
    let mut body = Writer::new();
    body.text(error.words());
    // If not even this can leave, dropping the handle is what is left: `NO_REPLY`.
    let _ = caller.reply(error.status().code(), body.bytes(), &[]);
}
