//! A hot actor: a shell with an actor in it, and what is needed to take events back.
//!
//! Owns: the shadow, and the events since it was taken. Does not know when to sleep or wake.
//!
//! Renewing the shadow after each event would cost more than most events. So it is renewed once for many events, and those
//! since are noted. To undo the next one, the shadow is put back and the noted ones are handled again: their effects
//! are known, and they go as they went, for everything that they depend on came in with them.
//!
//! 1. Shadow + noted events = the instance.
//! 2. What handling the noted events again can cost is bounded in events, bytes, fuel and ticks.
//! 3. The table's log reaches back to the shadow.

use std::sync::Arc;

use pando_abi::{EventKind, ExitKind};

use crate::{
    Body, Capability, Effect, Event, Exit, Fork, Handled, Handles, Limits, Module, Tally, delta,
    fork::{Room, Still},
    guest::State,
    image::{self, Rested},
    packed, root,
    shadow::Shadow,
    shell::Shell,
    transaction::{self, Door, Ran},
    view::View,
};

/// Events that are noted before the shadow is renewed.
const NOTED_MAX: usize = 64;
/// Bytes of their bodies.
const NOTED_BYTES_MAX: usize = 64 << 10;
/// Fuel that they took: some ten milliseconds.
const NOTED_FUEL_MAX: u64 = 20_000_000;
/// Bytes of a memory that is larger than caches are.
const LARGE_BYTES: usize = 64 << 20;
/// Events that are noted of such a one, so that nobody waits long while what they wrote is looked at.
const NOTED_OF_LARGE_MAX: usize = 16;

/// A shell with an actor in it.
pub(crate) struct Hot {
    pub(crate) shell: Shell,
    undo: Option<Box<Undo>>,
}

struct Undo {
    shadow: Shadow,
    /// The actor as it is, if somebody asked for it since it changed.
    fork: Option<Arc<Still>>,
    room: Arc<Room>,
    before: Before,
    noted: Vec<Noted>,
    bytes: usize,
    fuel: u64,
}

/// What an event may change beside memory, globals and the handle table.
type Before = (u64, bool, (u32, u32));

/// A good event since the shadow was taken.
struct Noted {
    kind: EventKind,
    flags: u16,
    status: u16,
    time_ns: u64,
    token: u64,
    badge: u64,
    seed: u64,
    reply: Option<Capability>,
    tally: Tally,
    handles: Handles,
    body: Body,
}

impl Noted {
    fn new(event: &Event<'_>) -> Noted {
        let Event { kind, flags, status, time_ns, token, badge, seed, reply, tally, handles, body } = *event;
        let (handles, body) = (Handles::from_slice(handles), Body::from_slice(body));
        Noted { kind, flags, status, time_ns, token, badge, seed, reply, tally, handles, body }
    }

    fn event(&self) -> Event<'_> {
        let Noted { kind, flags, status, time_ns, token, badge, seed, reply, tally, handles, body } = self;
        Event {
            kind: *kind,
            flags: *flags,
            status: *status,
            time_ns: *time_ns,
            token: *token,
            badge: *badge,
            seed: *seed,
            reply: *reply,
            tally: *tally,
            handles,
            body,
        }
    }
}

impl Hot {
    /// Puts an actor into a shell.
    pub(crate) fn wake(module: &Module, limits: &Limits, state: State, rested: &Rested) -> Result<Hot, Exit> {
        Hot::wake_with(module, limits, state, rested, |memory| delta::apply(&rested.delta, memory))
    }

    /// The same with somebody else who fills the memory, which is at its base. `None`: what is to be put in does not fit.
    pub(crate) fn wake_with(
        module: &Module,
        limits: &Limits,
        state: State,
        rested: &Rested,
        fill: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Result<Hot, Exit> {
        let mut shell = module.take_shell(rested.memory_bytes)?;
        let guest = shell.store.data_mut();
        guest.limits = *limits;
        let undo = state.undo;
        guest.state = state;
        shell.forget_trace();
        shell.grow_to(rested.memory_bytes)?;
        // A shell that was taken has the module's own, and to set one costs more than to compare all.
        let own = rested.globals == module.base_globals;
        let fits =
            fill(shell.memory_mut()).and_then(|()| if own { Some(()) } else { shell.set_globals(&rested.globals) });
        if fits.is_none() {
            return Err(Exit::new(ExitKind::BadModule, "the image does not fit the module"));
        }
        let mut hot = Hot { shell, undo: None };
        if undo {
            hot.undo = Some(hot.new_undo(module));
        }
        Ok(hot)
    }

    /// The actor as it is, in a form that stays so while it goes on: the bytes at rest but for its memory, and its memory.
    pub(crate) fn freeze(&mut self, module: &Module) -> (Box<[u8]>, View) {
        self.settle(module);
        let view = match &self.undo {
            Some(undo) => undo.shadow.now().clone(),
            None => Shadow::take(&mut self.shell, module).now().clone(),
        };
        let rested = Rested { memory_bytes: view.size(), globals: view.globals.clone(), delta: Vec::new() };
        (image::seal(self.state(), &rested), view)
    }

    /// The actor as it is, in which queries run beside it. `None`: it is not undone, so nobody knows what it has changed.
    pub(crate) fn fork(&mut self, module: &Arc<Module>, limits: &Limits) -> Option<Fork> {
        self.settle(module);
        let undo = self.undo.as_mut()?;
        let now = undo.shadow.now();
        let place = undo.room.place(now.size())?;
        let state = &self.shell.store.data().state;
        let still = undo.fork.get_or_insert_with(|| Arc::new(Still::new(module, limits, state.clone(), now.clone())));
        Some(Fork::new(still.clone(), place))
    }

    /// A snapshot has this name for an area of the memory as it is.
    pub(crate) fn named(&self, area: u32, name: [u8; 32]) {
        if let Some(area) = self.undo.as_ref().and_then(|undo| undo.shadow.now().area(area as usize)) {
            area.named(name);
        }
    }

    /// The actor's state beside memory and globals.
    #[inline]
    pub(crate) fn state(&self) -> &State {
        &self.shell.store.data().state
    }

    #[inline]
    fn state_mut(&mut self) -> &mut State {
        &mut self.shell.store.data_mut().state
    }

    /// Handles an event. The second: has the actor ended?
    #[inline]
    pub(crate) fn handle(
        &mut self,
        module: &Module,
        limits: &Limits,
        event: &Event<'_>,
        effects: &mut Vec<Effect>,
    ) -> (Handled, bool) {
        let lasting = self.undo.is_some();
        self.forget_fork();
        let table = &mut self.state_mut().table;
        if let Some(errno) = transaction::refusal(table, event) {
            return (Handled { refused: Some(errno), ..Handled::default() }, false);
        }
        if !lasting {
            table.forget_log();
        }
        transaction::arrive(table, event);
        let (fuel, ran) = transaction::run(&mut self.shell, limits, event, effects, false);
        match ran {
            Ran::Good(None) => {
                self.note(module, event, fuel);
                (Handled { fuel, end: None, refused: None }, false)
            }
            Ran::Good(Some(end)) => (Handled { fuel, end: Some(Box::new(end)), refused: None }, true),
            Ran::Bad(exit) => {
                let ended = !self.take_back(module, limits, Some(event));
                (Handled { fuel, end: Some(Box::new(exit)), refused: None }, ended)
            }
        }
    }

    /// Handles an event and takes it back. The second: could it not be taken back, so that the actor has ended?
    pub(crate) fn query(
        &mut self,
        module: &Module,
        limits: &Limits,
        event: &Event<'_>,
        effects: &mut Vec<Effect>,
    ) -> (Handled, bool) {
        if let Some(errno) = transaction::refusal(&self.state().table, event) {
            return (Handled { refused: Some(errno), ..Handled::default() }, false);
        }
        let ((fuel, ran), taken_back) =
            self.on_trial(module, limits, |shell| transaction::run(shell, limits, event, effects, true));
        if !taken_back {
            let exit = Exit::new(ExitKind::MemoryLimit, "the machine has no memory left to take a query back");
            return (Handled { fuel, end: Some(Box::new(exit)), refused: None }, true);
        }
        (ran.of_query(fuel), false)
    }

    /// Has the guest write its state down, and takes that back. The last: could it not be taken back, so that the actor has
    /// ended?
    pub(crate) fn export(
        &mut self,
        module: &Module,
        limits: &Limits,
        event: &Event<'_>,
    ) -> (u64, Result<Vec<u8>, Exit>, bool) {
        let ((fuel, written), taken_back) =
            self.on_trial(module, limits, |shell| transaction::export(shell, limits, event));
        (fuel, written, !taken_back)
    }

    /// Has the guest do something and takes it back. `false`: it could not be taken back.
    fn on_trial<R>(&mut self, module: &Module, limits: &Limits, act: impl FnOnce(&mut Shell) -> R) -> (R, bool) {
        let lasting = self.undo.is_some();
        if lasting {
            self.settle(module);
        } else {
            self.state_mut().table.forget_log();
            self.undo = Some(self.new_undo(module));
        }
        let done = act(&mut self.shell);
        let taken_back = self.take_back(module, limits, None);
        if !lasting {
            self.undo = None;
        }
        (done, taken_back)
    }

    /// The first event of new code. What came before it cannot be undone by this instance; what comes after it can, if `undo`.
    pub(crate) fn take_over(
        &mut self,
        module: &Module,
        limits: &Limits,
        event: &Event<'_>,
        door: Door<'_>,
        effects: &mut Vec<Effect>,
        undo: bool,
    ) -> (u64, Ran) {
        self.state_mut().table.forget_log();
        let (fuel, ran) = transaction::run_through(&mut self.shell, limits, event, door, effects, false);
        self.state_mut().undo = undo;
        self.undo = undo.then(|| self.new_undo(module));
        (fuel, ran)
    }

    /// The actor changes: what was given out for it as it was stays, and is given to nobody else.
    #[inline]
    pub(crate) fn forget_fork(&mut self) {
        if let Some(undo) = &mut self.undo {
            undo.fork = None;
        }
    }

    /// Renews the shadow if events were noted since.
    pub(crate) fn settle(&mut self, module: &Module) {
        if let Some(undo) = &mut self.undo
            && !undo.noted.is_empty()
        {
            undo.shadow.keep(&mut self.shell, module);
            undo.start(&mut self.shell);
        }
    }

    /// The bytes of the actor at rest.
    pub(crate) fn seal(&mut self, module: &Module) -> Box<[u8]> {
        let rested = self.rest(module);
        image::seal(self.state(), &rested)
    }

    /// The bytes of the actor at rest, and the shell as new.
    pub(crate) fn sleep(mut self, module: &Module) -> (Box<[u8]>, Option<Shell>) {
        let rested = self.rest(module);
        let bytes = packed::pack(self.state(), &rested);
        *self.state_mut() = State::default();
        let clean = delta::revert(&rested.delta, &module.base, self.shell.memory_mut())
            .and_then(|()| self.shell.set_globals(&module.base_globals));
        self.shell.forget_marks();
        (bytes, clean.map(|()| self.shell))
    }

    /// The root of the actor's state.
    pub(crate) fn root(&mut self, module: &Module) -> [u8; 32] {
        self.settle(module);
        match &mut self.undo {
            Some(undo) => {
                undo.room.fade();
                undo.shadow.scrub(&self.shell, module);
                root::of(&self.shell, &mut undo.shadow, module)
            }
            None => {
                let mut shadow = Shadow::take(&mut self.shell, module);
                root::of(&self.shell, &mut shadow, module)
            }
        }
    }

    fn rest(&mut self, module: &Module) -> Rested {
        self.settle(module);
        let (delta, globals) = match &self.undo {
            Some(undo) => {
                let mut writer = delta::Writer::new(&module.base);
                let now = undo.shadow.now();
                for (index, page) in now.touched() {
                    writer.page(index, page);
                }
                (writer.finish(), now.globals.clone())
            }
            None => (delta::of_memory(&module.base, self.shell.memory()), self.shell.globals()),
        };
        Rested { memory_bytes: self.shell.size(), globals, delta }
    }

    fn new_undo(&mut self, module: &Module) -> Box<Undo> {
        let shadow = Shadow::take(&mut self.shell, module);
        let (fork, room, noted) = (None, Arc::default(), Vec::new());
        let mut undo = Undo { shadow, fork, room, before: (0, false, (0, 0)), noted, bytes: 0, fuel: 0 };
        undo.start(&mut self.shell);
        Box::new(undo)
    }

    /// A good event has been handled.
    #[inline]
    fn note(&mut self, module: &Module, event: &Event<'_>, fuel: u64) {
        let Some(undo) = &mut self.undo else { return };
        undo.noted.push(Noted::new(event));
        undo.bytes += event.body.len();
        undo.fuel += fuel;
        let noted_max = if undo.shadow.now().size() >= LARGE_BYTES { NOTED_OF_LARGE_MAX } else { NOTED_MAX };
        let dear = undo.noted.len() >= noted_max
            || undo.bytes > NOTED_BYTES_MAX
            || undo.fuel > NOTED_FUEL_MAX
            || self.shell.store.data().ticks > 0;
        if dear {
            self.settle(module);
        }
    }

    /// Brings everything back to before the event that was run last; what `faulted` says by itself stays said. `false` if that
    /// cannot be.
    fn take_back(&mut self, module: &Module, limits: &Limits, faulted: Option<&Event<'_>>) -> bool {
        let Some(undo) = &mut self.undo else { return false };
        let good = undo.shadow.now();
        if !good.restore(&mut self.shell, module) {
            // The memory has grown: only another instance is as small as it was.
            let Ok(mut shell) = module.take_shell(good.size()) else { return false };
            shell.store.data_mut().limits = *limits;
            if shell.grow_to(good.size()).is_err() || !good.restore_into(&mut shell, module) {
                return false;
            }
            shell.store.data_mut().state = std::mem::take(&mut self.shell.store.data_mut().state);
            module.recycle(std::mem::replace(&mut self.shell, shell));
        }
        let noted = std::mem::take(&mut undo.noted);
        let state = &mut self.shell.store.data_mut().state;
        state.table.undo_all();
        (state.events, state.started, state.inbox) = undo.before;
        if !self.repeat(limits, &noted) {
            return false;
        }
        if let Some(event) = faulted {
            transaction::arrive(&mut self.state_mut().table, event);
        }
        let Some(undo) = &mut self.undo else { return false };
        if !noted.is_empty() {
            undo.shadow.keep(&mut self.shell, module);
        }
        undo.start(&mut self.shell);
        true
    }

    /// Handles noted events again, which went well before.
    fn repeat(&mut self, limits: &Limits, noted: &[Noted]) -> bool {
        // They were in time the first time. How long they take now is nobody's business but that of who pauses threads.
        self.shell.store.data_mut().patient = true;
        let mut effects = Vec::new();
        let good = noted.iter().all(|noted| {
            let event = noted.event();
            effects.clear();
            transaction::arrive(&mut self.state_mut().table, &event);
            matches!(transaction::run(&mut self.shell, limits, &event, &mut effects, false).1, Ran::Good(None))
        });
        self.shell.store.data_mut().patient = false;
        if !good {
            tracing::error!(actor = %self.state().id, "an event did not go as it went before; the actor ends");
        }
        good
    }
}

impl Undo {
    /// The shadow is equal to the instance.
    fn start(&mut self, shell: &mut Shell) {
        let state = &mut shell.store.data_mut().state;
        state.table.forget_log();
        self.before = (state.events, state.started, state.inbox);
        self.noted.clear();
        (self.bytes, self.fuel) = (0, 0);
    }
}
