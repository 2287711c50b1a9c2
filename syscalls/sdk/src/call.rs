//! Calls: from arguments to an answer.
//!
//! ```ignore
//! let sum = counter.add(5).await?;                                // call, wait
//! let sum = counter.add(5).deadline(Duration::from_millis(200)).await?;
//! counter.add(5).send()?;                                        // send, wait for nothing
//! let (a, b) = (left.add(1).start(), right.add(2).start());     // both are on their way
//! let sum = a.await? + b.await?;
//! ```
//!
//! 1. A call is made once, when it is awaited, started or sent; nothing happens to one that is dropped before.
//! 2. An answer that nobody waits for any more is let go, with its handles.

use core::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use pando_abi::call::call_flags;

use crate::{
    Data, Error, Handle, Result,
    data::{self, Arguments, Reader, Writer},
    prelude::*,
    runtime::{Arrived, Waiting},
    sys,
};

/// A call that is not made yet.
#[must_use = "a call does nothing until it is awaited, started or sent"]
#[derive(Debug)]
pub struct Call<R> {
    target: Handle,
    body: Writer,
    deadline_ns: u64,
    flags: i32,
    answer: PhantomData<fn() -> R>,
}

/// A call that is on its way.
#[must_use = "the answer is let go if nobody waits for it"]
#[derive(Debug)]
pub struct Pending<R> {
    state: core::result::Result<Waiting, Option<Error>>,
    answer: PhantomData<fn() -> R>,
}

impl<R: Data> Call<R> {
    /// A call of `method`.
    pub fn new(target: &Handle, method: &str, arguments: impl Arguments) -> Call<R> {
        let mut call = Call::open(target, method, data::count(&arguments));
        arguments.write(&mut call.body);
        call
    }

    /// A call whose arguments are still to be written.
    #[doc(hidden)]
    pub fn open(target: &Handle, method: &str, arguments: usize) -> Call<R> {
        let mut body = Writer::new();
        body.list(1 + arguments);
        body.text(method);
        Call { target: target.clone(), body, deadline_ns: 0, flags: 0, answer: PhantomData }
    }

    /// Writes the next argument.
    #[doc(hidden)]
    pub fn argument(mut self, write: impl FnOnce(&mut Writer)) -> Call<R> {
        write(&mut self.body);
        self
    }

    /// How long to wait. Without, as long as the target and the path to it live.
    pub fn deadline(mut self, deadline: Duration) -> Call<R> {
        self.deadline_ns = crate::time::nanos(deadline);
        self
    }

    /// Says that the method only reads: a group answers it without writing to its log.
    pub fn query(mut self) -> Call<R> {
        self.flags |= call_flags::QUERY;
        self
    }

    /// Lets any replica answer a query from what it has applied, which may be older than the question.
    pub fn from_any_replica(mut self) -> Call<R> {
        self.flags |= call_flags::QUERY | call_flags::FINAL;
        self
    }

    /// Sends it and waits for no answer, not even for whether it arrived.
    ///
    /// # Errors
    /// `DENIED` without the right, `LIMIT`.
    pub fn send(self) -> Result<()> {
        sys::send(self.target.number(), self.body.bytes(), &self.body.numbers())?;
        Ok(())
    }

    /// Makes the call now; the answer can be awaited later.
    pub fn start(self) -> Pending<R> {
        let (target, handles) = (self.target.number(), self.body.numbers());
        let made = sys::call(target, self.body.bytes(), &handles, self.deadline_ns, self.flags);
        let state = made.map(Waiting::for_reply).map_err(|errno| Some(errno.into()));
        Pending { state, answer: PhantomData }
    }

    /// The message as it would go.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn into_parts(self) -> (Writer, i32) {
        (self.body, self.flags)
    }
}

impl<R: Data> IntoFuture for Call<R> {
    type Output = Result<R>;
    type IntoFuture = Pending<R>;

    fn into_future(self) -> Pending<R> {
        self.start()
    }
}

impl<R: Data> Future for Pending<R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<R>> {
        let arrived = match &mut self.state {
            Ok(waiting) => core::task::ready!(waiting.poll(cx)),
            Err(error) => return Poll::Ready(Err(error.take().unwrap_or(pando_abi::Errno::INTERNAL.into()))),
        };
        Poll::Ready(match arrived {
            Arrived::Reply { status: 0, body, handles } => read_answer(&body, handles),
            Arrived::Reply { status, body, .. } => Err(Error::answered(status, &body)),
            _ => Err(pando_abi::Errno::INTERNAL.into()),
        })
    }
}

impl<R> Unpin for Pending<R> {}

fn read_answer<R: Data>(body: &[u8], handles: Vec<Handle>) -> Result<R> {
    // An empty body is what a guest sends that has nothing to say.
    if body.is_empty()
        && let Some(nothing) = R::absent()
    {
        return Ok(nothing);
    }
    R::read(&mut Reader::new(body, handles)).map_err(|malformed| {
        let mut words = String::from("the answer is not what the method promises: ");
        malformed.append_to(&mut words);
        Error::new(words)
    })
}
