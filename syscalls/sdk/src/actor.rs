//! What `#[pando::actor]` makes of an `impl` block.
//!
//! Owns: the seam between the macro's code and the rest. Nothing here is called by people.

use core::{future::Future, pin::Pin};

use crate::{
    Bounce, Client, Data, Down, Errno, Error, This,
    data::{Reader, Writer},
    executor::Task,
    prelude::*,
    reply::OneTime,
    schema::{Interface, Type},
};

/// A kind of actor: its state.
pub trait Actor: Sized + 'static {
    /// The reference that knows its methods.
    type Ref: Client;

    /// What it understands.
    const INTERFACE: &'static Interface;

    /// Begins with the spawner's arguments.
    #[doc(hidden)]
    fn begin(arguments: &mut Incoming<'_>) -> Result<(This<Self>, Option<Task>)>;

    /// Finds the method and runs it, or its first part.
    #[doc(hidden)]
    fn dispatch(this: &This<Self>, message: &mut Incoming<'_>) -> Result<Outcome>;

    /// An actor that was watched, or linked, has ended.
    #[doc(hidden)]
    fn down(_this: &This<Self>, _down: Down) -> Option<Task> {
        None
    }

    /// The state, written for the next version of the code, with the version of its form.
    #[doc(hidden)]
    fn export(_this: &This<Self>) -> Option<(u32, Writer)> {
        None
    }

    /// The state that another version of the code wrote.
    #[doc(hidden)]
    fn import(_state: crate::State) -> Result<This<Self>> {
        Err(refuse(&["the new code has no `import_state`"]))
    }

    /// Sends of one's own could not be delivered.
    #[doc(hidden)]
    fn bounce(_this: &This<Self>, bounce: Bounce) -> Option<Task> {
        let mut text = String::from("messages could not be delivered: ");
        text.push_str(bounce.error.text());
        crate::sys::log(crate::Level::Warning as u8, &text);
        None
    }
}

/// What became of a message.
#[doc(hidden)]
pub enum Outcome {
    /// Answered at once.
    Now(Result<Writer>),
    /// Answered when it is done.
    Later(Pin<Box<dyn Future<Output = Result<Writer>>>>),
    /// The method has taken the reply handle.
    Kept,
}

/// What a method may return: a value, or a result of one.
#[doc(hidden)]
pub trait Answer {
    const TYPE: &'static Type;
    /// What the caller gets.
    type Value: Data;
    fn answer(self) -> Result<Writer>;
}

impl<T: Data> Answer for T {
    const TYPE: &'static Type = T::TYPE;
    type Value = T;
    fn answer(self) -> Result<Writer> {
        let mut out = Writer::new();
        self.write(&mut out);
        Ok(out)
    }
}

impl<T: Data, E: Into<Error>> Answer for core::result::Result<T, E> {
    const TYPE: &'static Type = &Type::Result(T::TYPE);
    type Value = T;
    fn answer(self) -> Result<Writer> {
        self.map_err(Into::into)?.answer()
    }
}

/// What `start` may return instead of `S`.
#[doc(hidden)]
pub trait Begun<S> {
    fn begun(self) -> Result<S>;
}

impl<S: Actor> Begun<S> for S {
    fn begun(self) -> Result<S> {
        Ok(self)
    }
}

impl<S: Actor, E: Into<Error>> Begun<S> for core::result::Result<S, E> {
    fn begun(self) -> Result<S> {
        self.map_err(Into::into)
    }
}

/// A message that is being taken apart.
#[doc(hidden)]
pub struct Incoming<'a> {
    pub(crate) reader: Reader<'a>,
    pub(crate) method: &'a str,
    pub(crate) left: usize,
    pub(crate) query: bool,
    pub(crate) reply: Option<OneTime>,
}

impl<'a> Incoming<'a> {
    /// A message: a list of the method's name and its arguments.
    pub(crate) fn message(body: &'a [u8], handles: Vec<Handle>) -> Result<Incoming<'a>> {
        let mut reader = Reader::new(body, handles);
        let refusal = || refuse(&["a request is a list of a method's name and its arguments"]);
        let items = reader.list().map_err(|_| refusal())?;
        let method = reader.text().map_err(|_| refusal())?;
        Ok(Incoming { reader, method, left: items.saturating_sub(1), query: false, reply: None })
    }

    /// Arguments of `start`: a list, or nothing.
    pub(crate) fn start(body: &'a [u8], handles: Vec<Handle>) -> Result<Incoming<'a>> {
        let mut reader = Reader::new(body, handles);
        let left = if body.is_empty() { 0 } else { reader.list()? };
        Ok(Incoming { reader, method: "start", left, query: false, reply: None })
    }

    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The method changes the state, so it cannot be called as a query.
    pub fn changes(&self) -> Result<()> {
        if self.query { Err(refuse(&["`", self.method, "` is no query"])) } else { Ok(()) }
    }

    /// The next argument.
    pub fn argument<T: Data>(&mut self, name: &'static str) -> Result<T> {
        if self.left == 0 {
            return T::absent().ok_or_else(|| refuse(&["`", self.method, "` wants `", name, "`"]));
        }
        self.left -= 1;
        T::read(&mut self.reader).map_err(|malformed| malformed.of(name).into())
    }

    /// All arguments are read.
    pub fn end(&self) -> Result<()> {
        if self.left > 0 { Err(refuse(&["`", self.method, "` has fewer arguments"])) } else { Ok(()) }
    }

    /// For a method that answers when and how it likes.
    pub fn take_reply<T: Data>(&mut self) -> Reply<T> {
        Reply::new(self.reply.take())
    }

    /// No method has the name.
    pub fn unknown(&self) -> Error {
        refuse(&["there is no method `", self.method, "`"])
    }
}

fn refuse(words: &[&str]) -> Error {
    let mut text = String::new();
    words.iter().for_each(|word| text.push_str(word));
    Error::with_words(Errno::BAD_REQUEST, text)
}

#[doc(hidden)]
pub fn begun<S: Actor>(state: S) -> This<S> {
    This::new(state)
}

/// Runs what `start` or a hook left to do; a failure ends the actor.
#[doc(hidden)]
pub fn or_exit<T: Answer>(future: impl Future<Output = T> + 'static) -> Task {
    Box::pin(async move {
        if let Err(error) = future.await.answer() {
            crate::exit(1, error.words());
        }
    })
}

#[doc(hidden)]
pub fn later<T: Answer>(future: impl Future<Output = T> + 'static) -> Outcome {
    Outcome::Later(Box::pin(async move { future.await.answer() }))
}
