//! A fake kernel: drives one actor natively, under plain `cargo test`.
//!
//! ```ignore
//! let mut counter = Test::<Counter>::start(());
//! assert_eq!(counter.ask(|c| c.add(5)), Ok(5));
//!
//! // Others are peers; what the actor asks of them is on a list, in order, and the test answers.
//! let friend = counter.peer("friend");
//! let asked = counter.begin(|c| c.add_value_of(friend.cast()));
//! let call = counter.expect_call(&friend, "value");
//! counter.reply(call, Ok(3));
//! assert_eq!(counter.answer(&asked), Some(Ok(8)));
//! counter.expect_nothing();
//! ```
//!
//! Owns: what the kernel would do with each call of one actor. Does not know: Wasm, other actors, threads.
//!
//! 1. Deterministic: time moves when the test says so, randomness is a seed, effects come in order.
//! 2. Misuse that would fault a guest panics here with what is wrong; limits of the contract hold here too.
//! 3. Unlike the kernel it cannot undo a handler that panicked: the panic is the test's.

mod effect;
mod kernel;
pub(crate) mod platform;
mod show;

use std::{
    cell::RefCell,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::Rc,
};

use pando_abi::{EventHeader, EventKind, ExitKind, call::call_flags, event::flags, exit::ExitRecord};

pub use effect::{Effect, Message, Outgoing, Peer, Spawned};
use kernel::{Fake, Target};
use platform::World;

use crate::{
    Actor, Call, Level, Time,
    data::{self, Arguments, Reader, Writer},
    prelude::*,
    receive::{Driver, Event},
};

/// When tests begin: 2026-01-01, in nanoseconds since 1970.
pub const EPOCH: Time = Time(1_767_225_600_000_000_000);

/// One actor and the fake kernel around it.
pub struct Test<S: Actor> {
    driver: Driver<S>,
    world: Rc<World>,
    flags: u16,
}

/// A call to the actor that may not be answered yet.
#[derive(Debug)]
pub struct Asked<R> {
    reply: u64,
    value: PhantomData<fn() -> R>,
}

/// How the actor ended itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exited {
    /// What it gave to `exit`.
    pub code: i32,
    /// What it said.
    pub message: String,
}

impl<S: Actor> Test<S> {
    /// Starts the actor with these arguments: `()` for none.
    pub fn start(arguments: impl Arguments) -> Test<S> {
        Self::start_as(0, arguments)
    }

    /// Starts a replica of a group.
    pub fn start_replicated(arguments: impl Arguments) -> Test<S> {
        Self::start_as(flags::REPLICATED, arguments)
    }

    /// Starts it as its supervisor does after it has failed.
    pub fn restart(arguments: impl Arguments) -> Test<S> {
        Self::start_as(flags::RESTARTED, arguments)
    }

    fn start_as(flags: u16, arguments: impl Arguments) -> Test<S> {
        let world = Rc::new(World::new(Fake::new(EPOCH.0)));
        let mut test = Test { driver: Driver::new(), world, flags: flags & flags::REPLICATED };
        let mut out = Writer::new();
        out.list(data::count(&arguments));
        arguments.write(&mut out);
        test.deliver(EventKind::Start, |header| header.flags |= flags, out);
        test
    }

    /// Replaces the actor's code by that of another version, as the kernel does where memory is not kept: what waited in the
    /// old code is gone, and whoever called it is told `UPGRADED`.
    ///
    /// # Errors
    /// What the new code refuses with; its words.
    ///
    /// # Panics
    /// If the old code does not export its state.
    pub fn upgrade<N: Actor>(self) -> Result<Test<N>> {
        let exported = World::enter(&self.world, || self.driver.export());
        let (version, state) = exported.expect("the actor has begun, and has an `export_state`");
        let (bytes, numbers) = (state.bytes().to_vec(), state.numbers());
        let mut kernel = self.world.kernel.replace(Fake::new(EPOCH.0));
        kernel.keep(&numbers);
        let header = EventHeader {
            kind: EventKind::Upgrade as u16,
            flags: self.flags,
            handle_count: numbers.len() as u16,
            status: 0,
            time_ns: kernel.now,
            token: version.into(),
            badge: 0,
            reply: u32::MAX,
            body_len: bytes.len() as u32,
            seed: kernel.begin_event(),
        };
        let new = Test { driver: Driver::<N>::new(), world: Rc::new(World::new(kernel)), flags: self.flags };
        // What the old code holds goes with its memory, and lets go of nothing.
        std::mem::forget((state, self.driver, self.world));
        let handles = numbers.into_iter().map(Handle::owned).collect();
        let event = Event { header, handles, body: &bytes };
        let ran = World::enter(&new.world, || catch_unwind(AssertUnwindSafe(|| new.driver.import(event))));
        match ran.map_err(|panic| panic.downcast::<Exited>()) {
            Ok(()) => Ok(new),
            Err(Ok(exited)) => Err(Error::with_words(Errno::REFUSED, exited.message)),
            Err(Err(panic)) => resume_unwind(panic),
        }
    }

    /// Calls the actor, which answers at once.
    ///
    /// # Panics
    /// If it does not: a method that waits is called with [`Test::begin`].
    #[track_caller]
    pub fn ask<R: Data>(&mut self, call: impl FnOnce(&S::Ref) -> Call<R>) -> Result<R> {
        let asked = self.begin(call);
        match self.answer(&asked) {
            Some(answer) => answer,
            None => panic!("the actor has not answered yet; it asked for: {:?}", self.effects_left()),
        }
    }

    /// Calls the actor; [`Test::answer`] has the answer when it is there.
    pub fn begin<R: Data>(&mut self, call: impl FnOnce(&S::Ref) -> Call<R>) -> Asked<R> {
        self.begin_with_badge(0, call)
    }

    /// Calls the actor through a handle with this badge.
    pub fn begin_with_badge<R: Data>(&mut self, badge: u64, call: impl FnOnce(&S::Ref) -> Call<R>) -> Asked<R> {
        let (body, call_flags) = call(&S::Ref::of(self.me().handle())).into_parts();
        let (reply, number) = self.world.kernel.borrow_mut().new_reply();
        let query = if call_flags & call_flags::QUERY != 0 { flags::QUERY } else { 0 };
        let fill = |header: &mut EventHeader| {
            (header.badge, header.reply) = (badge, number);
            header.flags |= query;
        };
        self.deliver(EventKind::Message, fill, body);
        Asked { reply, value: PhantomData }
    }

    /// Sends the actor a message that nobody waits for.
    pub fn send<R: Data>(&mut self, call: impl FnOnce(&S::Ref) -> Call<R>) {
        let (body, _) = call(&S::Ref::of(self.me().handle())).into_parts();
        self.deliver(EventKind::Message, |_| {}, body);
    }

    /// Delivers a message as any stranger might write it.
    pub fn send_raw(&mut self, body: &[u8]) -> Asked<()> {
        let (reply, number) = self.world.kernel.borrow_mut().new_reply();
        let mut out = Writer::new();
        out.raw(body);
        self.deliver(EventKind::Message, |header| header.reply = number, out);
        Asked { reply, value: PhantomData }
    }

    /// The answer, if it is there.
    pub fn answer<R: Data>(&self, asked: &Asked<R>) -> Option<Result<R>> {
        let answer = self.world.kernel.borrow().answer(asked.reply)?;
        if answer.status != 0 {
            return Some(Err(Error::answered(answer.status, &answer.body)));
        }
        let handles = answer.handles.iter().map(Peer::handle).collect();
        Some(R::read(&mut Reader::new(&answer.body, handles)).map_err(Error::from))
    }

    /// Somebody else: another actor, as this test sees it.
    pub fn peer(&mut self, name: &str) -> Peer {
        self.world.kernel.borrow_mut().new_peer(name)
    }

    /// The actor itself.
    pub fn me(&self) -> Peer {
        Peer::ME
    }

    /// Its spawner.
    pub fn parent(&self) -> Peer {
        Peer::PARENT
    }

    /// The realm service.
    pub fn realm(&self) -> Peer {
        Peer::REALM
    }

    /// Lets time pass: timers fire in their order, each at its own time.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now() + by;
        loop {
            let due = self.world.kernel.borrow_mut().next_timer(end.0);
            let Some((time, id)) = due else { break };
            self.world.kernel.borrow_mut().now = time;
            self.deliver(EventKind::Timer, |header| header.token = id, Writer::new());
        }
        self.world.kernel.borrow_mut().now = end.0;
    }

    /// The time.
    pub fn now(&self) -> Time {
        Time(self.world.kernel.borrow().now)
    }

    /// Answers a call that the actor made.
    pub fn reply<R: Data>(&mut self, call: Outgoing, answer: Result<R>) {
        let mut body = Writer::new();
        let status = match &answer {
            Ok(value) => {
                value.write(&mut body);
                0
            }
            Err(error) => {
                body.text(error.words());
                error.errno().code()
            }
        };
        self.world.kernel.borrow_mut().end_call(call.token);
        let fill = |header: &mut EventHeader| (header.token, header.status) = (call.token, status);
        self.deliver(EventKind::Reply, fill, body);
    }

    /// Ends a peer: every monitor and link that the actor has on it tells.
    pub fn down(&mut self, peer: &Peer, kind: ExitKind, message: &str) {
        let (monitors, linked) = self.world.kernel.borrow_mut().end_peer(peer);
        let mut body = Writer::new();
        body.raw(&ExitRecord { kind: kind as u16, reserved: 0, code: 0 }.to_bytes());
        body.raw(message.as_bytes());
        for id in monitors {
            let mut copy = Writer::new();
            copy.raw(body.bytes());
            self.deliver(EventKind::Down, |header| header.token = id, copy);
        }
        if linked {
            self.deliver(EventKind::Down, |header| header.flags |= flags::LINK, body);
        }
    }

    /// Tells the actor that sends of its own were not delivered.
    pub fn bounce(&mut self, count: u64, error: Errno) {
        let fill = |header: &mut EventHeader| (header.token, header.status) = (count, error.code());
        self.deliver(EventKind::Bounce, fill, Writer::new());
    }

    /// The next effect is a call of `method` to `to`. The test is to answer it.
    #[track_caller]
    pub fn expect_call(&mut self, to: &Peer, method: &str) -> Outgoing {
        match self.expect("a call") {
            Effect::Call(call) if call.to == *to && call.message.method == method => call,
            other => panic!("a call of `{method}` to {to} was expected, but there is {other:?}"),
        }
    }

    /// The next effect is a message to `to`.
    #[track_caller]
    pub fn expect_send(&mut self, to: &Peer, method: &str) -> Message {
        match self.expect("a send") {
            Effect::Send { to: found, message } if found == *to && message.method == method => message,
            other => panic!("a send of `{method}` to {to} was expected, but there is {other:?}"),
        }
    }

    /// The next effect is a spawn.
    #[track_caller]
    pub fn expect_spawn(&mut self) -> Spawned {
        match self.expect("a spawn") {
            Effect::Spawn(spawned) => spawned,
            other => panic!("a spawn was expected, but there is {other:?}"),
        }
    }

    /// The next effect is this one.
    #[track_caller]
    pub fn expect_effect(&mut self, expected: &Effect) {
        let found = self.expect("an effect");
        assert!(found == *expected, "{expected:?} was expected, but there is {found:?}");
    }

    /// There is no effect that was not expected.
    #[track_caller]
    pub fn expect_nothing(&self) {
        let left = self.effects_left();
        assert!(left.is_empty(), "nothing was expected, but there is {left:?}");
    }

    #[track_caller]
    fn expect(&mut self, what: &str) -> Effect {
        match self.next_effect() {
            Some(effect) => effect,
            None => panic!("{what} was expected, but the actor asked for nothing more"),
        }
    }

    /// The next effect, in the order in which the actor asked.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.world.kernel.borrow_mut().effects.pop_front()
    }

    /// What the actor asked for and the test has not looked at.
    pub fn effects_left(&self) -> Vec<Effect> {
        self.world.kernel.borrow().effects.iter().cloned().collect()
    }

    /// The actor's log.
    pub fn logs(&self) -> Vec<(Level, String)> {
        self.world.kernel.borrow().logs.clone()
    }

    /// How it ended itself, if it has.
    pub fn exited(&self) -> Option<Exited> {
        self.world.kernel.borrow().exited.clone()
    }

    /// Futures that wait inside the actor.
    pub fn tasks(&self) -> usize {
        self.world.runtime.tasks.borrow().waiting()
    }

    /// Handles that the actor holds, those from birth not counted.
    pub fn handles(&self) -> usize {
        self.world.kernel.borrow().held()
    }

    /// Looks at the actor's state.
    ///
    /// # Panics
    /// If it has not begun.
    pub fn state<R>(&self, look: impl FnOnce(&mut S) -> R) -> R {
        self.driver.this().expect("the actor has begun").with(look)
    }

    fn deliver(&mut self, kind: EventKind, fill: impl FnOnce(&mut EventHeader), message: Writer) {
        let mut kernel = self.world.kernel.borrow_mut();
        assert!(kernel.exited.is_none(), "the actor has ended: {:?}", kernel.exited);
        let seed = kernel.begin_event();
        let mut header = EventHeader {
            kind: kind as u16,
            flags: self.flags,
            handle_count: message.handles().len() as u16,
            status: 0,
            time_ns: kernel.now,
            token: 0,
            badge: 0,
            reply: u32::MAX,
            body_len: message.bytes().len() as u32,
            seed,
        };
        fill(&mut header);
        kernel.query = header.flags & flags::QUERY != 0;
        let targets = message.handles().iter().map(|handle| kernel.target_of_test(handle.number()));
        let targets: Vec<Target> = targets.collect();
        let handles = targets.into_iter().map(|target| Handle::owned(kernel.insert(target, crate::Rights::PEER)));
        let handles = handles.collect();
        drop(kernel);
        let body = message.bytes();
        let event = Event { header, handles, body };
        let ran = World::enter(&self.world, || catch_unwind(AssertUnwindSafe(|| self.driver.handle(event))));
        if let Err(panic) = ran {
            match panic.downcast::<Exited>() {
                Ok(exited) => self.world.kernel.borrow_mut().exited = Some(*exited),
                Err(panic) => resume_unwind(panic),
            }
        }
    }
}

impl World {
    fn new(kernel: Fake) -> World {
        World { runtime: crate::runtime::Runtime::new(), kernel: RefCell::new(kernel) }
    }
}
