//! The host's side of one instance: who the actor is, what it holds, and what the event at hand has asked for so far.
//!
//! Owns: the context of one handler. Does not know how calls get here ([`crate::host`]) nor memory's undo
//! ([`crate::transaction`]).
//!
//! 1. Between two events the context is empty; what remains is [`State`], which is what an image holds beside memory and globals.
//! 2. Time and randomness come from the event alone.

use pando_abi::{ActorId, Address, Handle, ModuleHash, NodeId, Rights, limits};
use wasmtime::{Memory, ResourceLimiter, WasmBacktrace};

use crate::{
    Capability, Effect, Event, Tally,
    birth::{Birth, Limits},
    engine::Class,
    shell::is_no_memory,
    table::Table,
};

/// What an actor is beside its memory and globals.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) id: ActorId,
    pub(crate) home: Address,
    /// The node that it lives on: there its children are born that name none. Not part of what replicas agree on.
    pub(crate) node: NodeId,
    pub(crate) replicas: u8,
    pub(crate) undo: bool,
    /// Events handled. Part of every child's id.
    pub(crate) events: u64,
    /// Has the start function run?
    pub(crate) started: bool,
    /// Where events are written, and how long they may be there.
    pub(crate) inbox: (u32, u32),
    pub(crate) table: Table,
}

impl State {
    /// Before the first event.
    pub(crate) fn new(birth: &Birth) -> State {
        let mut table = Table::default();
        let realm =
            birth.realm.unwrap_or(Capability::actor(Address::service(pando_abi::id::service::REALM), Rights::NONE));
        for capability in [Capability::actor(birth.home, Rights::ALL), birth.parent, realm] {
            table.insert(capability);
        }
        table.forget_log();
        State {
            id: birth.id,
            home: birth.home,
            node: birth.node,
            replicas: birth.replicas,
            undo: birth.undo,
            events: 0,
            started: false,
            inbox: (0, 0),
            table,
        }
    }
}

/// Where in the handling of an event the guest is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Phase {
    /// No event, or a call that may ask for nothing: `pando_inbox`, the start function.
    #[default]
    Quiet,
    /// In `pando_receive`.
    Handler,
}

/// Why the guest was stopped by the host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// It broke the contract: a sentence.
    Misuse(String),
    /// It called `exit`.
    Exit { code: i32, message: String },
    /// `on_epoch` said so.
    Killed,
    /// The machine has no memory left.
    NoMemory,
}

/// What lives in the store.
pub(crate) struct Guest {
    pub(crate) class: Class,
    /// The module's own hash, for `spawn` under handle 0.
    pub(crate) module: ModuleHash,
    pub(crate) memory: Option<Memory>,
    /// One byte for each page of the memory: was it written?
    pub(crate) marks: Option<Memory>,
    /// Where a call has written for the guest, and how much, until that is marked.
    pub(crate) wrote: Option<(usize, usize)>,
    pub(crate) limits: Limits,
    pub(crate) state: State,
    /// A replay of events that went well before is not stopped for its time.
    pub(crate) patient: bool,
    pub(crate) phase: Phase,
    pub(crate) query: bool,
    pub(crate) time_ns: u64,
    pub(crate) random: u64,
    /// The handle of the event's own reply capability.
    pub(crate) own_reply: Handle,
    pub(crate) effects: Vec<Effect>,
    /// Effects of this handler that are not log lines.
    pub(crate) asked: usize,
    pub(crate) asked_bytes: usize,
    pub(crate) children: u32,
    pub(crate) links: u32,
    /// What there was before the event.
    pub(crate) tally: Tally,
    pub(crate) lines: usize,
    pub(crate) stop: Option<Stop>,
    /// A backtrace of nothing: what has one is not traced.
    pub(crate) no_trace: Option<WasmBacktrace>,
    /// Epoch ticks that passed inside this handler.
    pub(crate) ticks: u32,
    /// Elements of all tables of the instance.
    table_elements: usize,
}

impl Guest {
    pub(crate) fn new(class: Class, module: ModuleHash) -> Guest {
        Guest {
            class,
            module,
            memory: None,
            marks: None,
            wrote: None,
            limits: Limits { memory_bytes: limits::MEMORY_BYTES_MAX, handler_ms: 0, fuel: 0 },
            state: State::default(),
            patient: false,
            phase: Phase::Quiet,
            query: false,
            time_ns: 0,
            random: 0,
            own_reply: Handle::NONE,
            effects: Vec::new(),
            asked: 0,
            asked_bytes: 0,
            children: 0,
            links: 0,
            tally: Tally::default(),
            lines: 0,
            stop: None,
            no_trace: None,
            ticks: 0,
            table_elements: 0,
        }
    }

    /// Takes up the context of an event.
    #[inline]
    pub(crate) fn begin(&mut self, event: &Event<'_>, query: bool) {
        self.phase = Phase::Quiet;
        self.query = query;
        self.time_ns = event.time_ns;
        self.random = event.seed;
        self.own_reply = Handle::NONE;
        self.asked = 0;
        self.asked_bytes = 0;
        self.children = 0;
        self.links = 0;
        self.tally = event.tally;
        self.lines = 0;
        self.stop = None;
        self.ticks = 0;
    }

    /// SplitMix64, from the event's seed.
    pub(crate) fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = self.random;
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired as u64 <= self.limits.memory_bytes && maximum.is_none_or(|max| desired <= max))
    }

    /// The machine says no where the limit says yes. Not -1 to the guest: another replica's machine may say yes.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if is_no_memory(&error) {
            self.stop = Some(Stop::NoMemory);
            return Err(error);
        }
        Ok(())
    }

    /// The limit is one for all tables together: a module may have many. Whatever is allowed here happens: growing fails only
    /// over the maximum.
    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let fits = growth <= limits::TABLE_ELEMENTS_MAX - self.table_elements;
        if !fits || maximum.is_some_and(|max| desired > max) {
            return Ok(false);
        }
        self.table_elements += growth;
        Ok(true)
    }
}
