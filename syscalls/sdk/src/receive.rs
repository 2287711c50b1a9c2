//! From an event to the method that handles it.
//!
//! Owns: what each kind of event means to an actor that is written with the SDK. Does not know: where events come from; a
//! guest gets them in its inbox, a native test makes them.
//!
//! 1. A message that is not understood is answered `BAD_REQUEST` with what is wrong; it never faults the actor.
//! 2. Kinds of events that a later kernel may add are let be.

use core::cell::RefCell;

use pando_abi::{EventHeader, EventKind, Handle as Number, event::flags};

use crate::{
    Actor, Bounce, Down, Errno, Handle, State, This,
    actor::{Incoming, Outcome},
    data::Writer,
    executor,
    prelude::*,
    reply::{self, OneTime},
    runtime::{Arrived, Kind, Present, Runtime, current},
};

/// The state of one actor, once it has begun.
pub struct Driver<S>(RefCell<Option<This<S>>>);

impl<S: Actor> Default for Driver<S> {
    fn default() -> Self {
        Driver::new()
    }
}

/// An event, taken out of its bytes.
pub(crate) struct Event<'a> {
    pub(crate) header: EventHeader,
    pub(crate) handles: Vec<Handle>,
    pub(crate) body: &'a [u8],
}

impl<S: Actor> Driver<S> {
    /// Before `start`.
    pub const fn new() -> Driver<S> {
        Driver(RefCell::new(None))
    }

    /// Handles one event, up to where every task waits.
    pub(crate) fn handle(&self, event: Event<'_>) {
        current(|runtime| {
            runtime.present.set(Present {
                time_ns: event.header.time_ns,
                badge: event.header.badge,
                flags: event.header.flags,
            });
            runtime.spent.set((0, 0));
            self.route(runtime, event);
            executor::run(runtime);
        });
    }

    /// The actor's state, if it has begun.
    pub(crate) fn this(&self) -> Option<This<S>> {
        self.0.borrow().clone()
    }

    fn route(&self, runtime: &Runtime, event: Event<'_>) {
        let token = event.header.token;
        match EventKind::from_u16(event.header.kind) {
            Some(EventKind::Start) => self.start(event),
            Some(EventKind::Message) => self.message(event),
            Some(EventKind::Reply) => {
                let arrived =
                    Arrived::Reply { status: event.header.status, body: event.body.to_vec(), handles: event.handles };
                drop(runtime.arrive(Kind::Reply, token, arrived));
            }
            Some(EventKind::Timer) => drop(runtime.arrive(Kind::Timer, token, Arrived::Timer)),
            Some(EventKind::Down) => {
                let monitor = (event.header.flags & flags::LINK == 0).then_some(token);
                let down = Down::read(monitor, event.body);
                let unwanted = runtime.arrive(Kind::Down, token, Arrived::Down(down));
                if let (Some(Arrived::Down(down)), Some(this)) = (unwanted, self.this()) {
                    S::down(&this, down).into_iter().for_each(executor::add);
                }
            }
            Some(EventKind::Bounce) => {
                let error = Errno::from_code(event.header.status).unwrap_or(Errno::INTERNAL);
                if let Some(this) = self.this() {
                    S::bounce(&this, Bounce { count: token, error }).into_iter().for_each(executor::add);
                }
            }
            Some(EventKind::Upgrade) | None => {}
        }
    }

    /// The state, written for the next version of the code.
    pub(crate) fn export(&self) -> Option<(u32, Writer)> {
        self.this().and_then(|this| S::export(&this))
    }

    /// Takes up what another version wrote; what it cannot take up ends the attempt.
    pub(crate) fn import(&self, event: Event<'_>) {
        current(|runtime| {
            let EventHeader { time_ns, flags, token, .. } = event.header;
            runtime.present.set(Present { time_ns, badge: 0, flags });
            runtime.spent.set((0, 0));
            match S::import(State::new(token as u32, event.body, event.handles)) {
                Ok(this) => drop(self.0.replace(Some(this))),
                Err(error) => crate::exit(1, error.words()),
            }
            executor::run(runtime);
        });
    }

    fn start(&self, event: Event<'_>) {
        let begun = Incoming::start(event.body, event.handles).and_then(|mut arguments| S::begin(&mut arguments));
        match begun {
            Ok((this, task)) => {
                self.0.replace(Some(this));
                task.into_iter().for_each(executor::add);
            }
            Err(error) => crate::exit(1, error.words()),
        }
    }

    fn message(&self, event: Event<'_>) {
        let caller = Some(event.header.reply).filter(|reply| *reply != Number::NONE.0).map(OneTime::new);
        let Some(this) = self.this() else {
            return reply::finish(caller, Err(Errno::REFUSED.into()));
        };
        let mut message = match Incoming::message(event.body, event.handles) {
            Ok(message) => message,
            Err(error) => return reply::finish(caller, Err(error)),
        };
        message.query = event.header.flags & flags::QUERY != 0;
        message.reply = caller;
        match S::dispatch(&this, &mut message) {
            Ok(Outcome::Now(answer)) => reply::finish(message.reply, answer),
            Ok(Outcome::Later(future)) => {
                let caller = message.reply;
                executor::add(Box::pin(async move { reply::finish(caller, future.await) }));
            }
            Ok(Outcome::Kept) => {}
            Err(error) => reply::finish(message.reply, Err(error)),
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod guest {
    use super::*;
    use crate::single::Single;

    /// Eight bytes each, because events are aligned so.
    static INBOX: Single<RefCell<Vec<u64>>> = Single::new(RefCell::new(Vec::new()));

    /// `pando_inbox`: room for an event of `len` bytes, good until asked again.
    pub fn inbox(len: usize) -> *mut u8 {
        let mut inbox = INBOX.get().borrow_mut();
        let words = len.div_ceil(8);
        #[cfg(feature = "std")]
        if inbox.is_empty() {
            // The kernel asks for room before the first event.
            crate::panic::hook();
        }
        if inbox.len() < words {
            // What was there is of no use; freed first, the new one may take its place.
            *inbox = Vec::new();
            inbox.resize(words, 0);
        }
        inbox.as_mut_ptr().cast()
    }

    /// `pando_export_state`: where the state is written, and how long it is. The kernel takes it at once and forgets what
    /// writing it changed.
    pub fn export<S: Actor>(driver: &Single<Driver<S>>) -> u64 {
        let Some((version, body)) = driver.get().export() else {
            panic!("the actor has not begun, or does not export its state");
        };
        let state = crate::state::seal(version, &body).leak();
        state.as_ptr() as u64 | (state.len() as u64) << 32
    }

    /// `pando_import_state`: takes up the state in the event of `len` bytes in the inbox.
    pub fn import<S: Actor>(driver: &Single<Driver<S>>, len: usize) {
        with_event(len, |event| driver.get().import(event));
    }

    /// `pando_receive`: handles the event of `len` bytes in the inbox.
    pub fn receive<S: Actor>(driver: &Single<Driver<S>>, len: usize) {
        with_event(len, |event| driver.get().handle(event));
    }

    fn with_event(len: usize, f: impl FnOnce(Event<'_>)) {
        // Nobody else touches the inbox while the handler runs; a handler that faults is undone, this borrow included.
        let inbox = INBOX.get().borrow();
        let len = len.min(inbox.len() * 8);
        // SAFETY: the inbox has `len` initialised bytes, and is borrowed for as long as `bytes` lives.
        let bytes = unsafe { core::slice::from_raw_parts(inbox.as_ptr().cast::<u8>(), len) };
        if let Some(event) = event(bytes) {
            f(event);
        }
    }

    fn event(bytes: &[u8]) -> Option<Event<'_>> {
        let header = EventHeader::from_bytes(bytes)?;
        let count = usize::from(header.handle_count);
        let numbers = bytes.get(EventHeader::SIZE..EventHeader::SIZE + 4 * count)?;
        let handles = numbers.chunks_exact(4).map(|b| Handle::owned(u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        let start = EventHeader::body_offset(count);
        let body = bytes.get(start..start + header.body_len as usize)?;
        Some(Event { header, handles: handles.collect(), body })
    }
}
#[cfg(target_arch = "wasm32")]
pub use guest::{export, import, inbox, receive};
