//! The whole life of modules that nobody wrote: load, spawn, events, image, restore, end.
//!
//! Owns: what happens to each of them, and what must hold whatever they do. Does not know: where they come from; `tests/fuzz` writes them.
//!
//! 1. A replica and its twin that sleeps between events go the same way, effect by effect, root by root.
//! 2. A fault is undone; memory stays within the limit; every end has a reason of the published list.

use std::{collections::BTreeMap, fmt, io::Read, sync::Arc};

use pando_abi::{ActorId, Address, EventKind, ExitKind, NodeId, Rights, id::service};
use pando_actors::{Actor, Birth, Capability, Class, Effect, Event, Handled, Limits, Module, Tally};

use crate::model::{Machine, timed};

/// What became of them.
#[derive(Clone, Default, Debug)]
pub struct Tried {
    /// Modules that came.
    pub came: u64,
    /// Those that were taken.
    pub taken: u64,
    /// Those that run as replicas, too.
    pub replicated: u64,
    /// Lives that went to the last event.
    pub lived: u64,
    /// Events that were handled well.
    pub good: u64,
    /// Effects that they asked for.
    pub effects: u64,
    /// Images that were put into an actor again.
    pub restored: u64,
    /// Ends by their kinds.
    pub ends: BTreeMap<&'static str, u64>,
    /// Refusals by what they say.
    pub refused: BTreeMap<String, u64>,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} modules came, {} were taken, {} of them as replicas too",
            self.came, self.taken, self.replicated
        )?;
        writeln!(
            f,
            "{} lives to the end; {} events, {} effects, {} restored",
            self.lived, self.good, self.effects, self.restored
        )?;
        for (kind, n) in &self.ends {
            writeln!(f, "  ended {kind:<30} {n:>9}")?;
        }
        for (why, n) in &self.refused {
            writeln!(f, "  refused {n:>9}: {why}")?;
        }
        Ok(())
    }
}

const LIMITS: Limits = Limits { memory_bytes: 4 << 20, handler_ms: 4, fuel: 100_000 };
/// Bytes of one module that are read.
const MODULE_BYTES_MAX: usize = 1 << 20;

/// Reads modules until there are no more.
///
/// # Errors
/// The first broken promise, with the number of the module.
pub fn run(from: &mut dyn Read) -> Result<Tried, String> {
    let machine = Machine::new();
    let mut tried = Tried::default();
    let mut length = [0; 4];
    while from.read_exact(&mut length).is_ok() {
        let mut wasm = vec![0; (u32::from_le_bytes(length) as usize).min(MODULE_BYTES_MAX)];
        from.read_exact(&mut wasm).map_err(|e| format!("module {} is cut short: {e}", tried.came))?;
        live(&machine, &wasm, &mut tried).map_err(|why| format!("module {}: {why}", tried.came))?;
        tried.came += 1;
    }
    Ok(tried)
}

/// One module, in both classes.
///
/// # Errors
/// What promise it broke.
pub fn live(machine: &Machine, wasm: &[u8], tried: &mut Tried) -> Result<(), String> {
    let module = match machine.load(wasm, Class::Plain) {
        Ok(module) => module,
        Err(refusal) => {
            // Numbers and names differ, the rule does not.
            let rule: String = refusal.chars().filter(|c| !c.is_ascii_digit()).take(64).collect();
            let known = tried.refused.len() < 30 || tried.refused.contains_key(&rule);
            *tried.refused.entry(if known { rule } else { "otherwise".to_owned() }).or_insert(0) += 1;
            return Ok(());
        }
    };
    tried.taken += 1;
    plain(&module, tried)?;
    if module.no_image().is_none() {
        let module =
            machine.load(wasm, Class::Replicated).map_err(|e| format!("taken as plain, not as a replica: {e}"))?;
        tried.replicated += 1;
        replica(&module, tried)?;
    }
    Ok(())
}

fn peer(n: u8) -> Capability {
    Capability::actor(Address::actor(NodeId(2), ActorId([n; 16])), Rights::PEER)
}

fn birth(class: Class, undo: bool) -> Birth {
    let id = ActorId([1; 16]);
    let home = if class == Class::Plain { Address::actor(NodeId(1), id) } else { Address::group(id) };
    let rights = Rights::SEND.or(Rights::SHARE).or(Rights::SPAWN);
    Birth {
        id,
        home,
        parent: peer(2),
        realm: Some(Capability::actor(Address::service(service::REALM), rights)),
        node: home.node,
        replicas: if class == Class::Plain { 0 } else { 3 },
        undo,
    }
}

/// A life's events, and whether each is a query.
fn events() -> Vec<(Event<'static>, bool)> {
    static HANDLES: [Capability; 2] = [
        Capability::actor(Address::actor(NodeId(2), ActorId([3; 16])), Rights::PEER),
        Capability::actor(Address::group(ActorId([4; 16])), Rights::PEER),
    ];
    static LONG: [u8; 3_000] = [7; 3_000];
    let reply = Some(Capability::reply(Address::service(service::CONSOLE), 5));
    let of = |kind, n: u64| Event {
        time_ns: 1_000 + n,
        seed: n * 77,
        tally: Tally { children: 1, links: 1 },
        ..Event::new(kind)
    };
    let message = |n, body: &'static [u8]| Event { body, reply, handles: &HANDLES, ..of(EventKind::Message, n) };
    vec![
        (Event { body: b"args", ..of(EventKind::Start, 1) }, false),
        (message(2, b"hello"), false),
        (message(3, b"question"), true),
        (message(4, &LONG), false),
        (Event { token: 1, ..of(EventKind::Timer, 5) }, false),
        (Event { token: 1, status: 3, ..of(EventKind::Reply, 6) }, false),
        (Event { token: 1, body: &[0; 8], ..of(EventKind::Down, 7) }, false),
        (Event { token: 2, status: 2, ..of(EventKind::Bounce, 8) }, false),
        (message(9, b""), false),
    ]
}

fn deal(actor: &mut Actor, event: &Event<'_>, query: bool) -> (Handled, Vec<Effect>) {
    let mut effects = Vec::new();
    let handled = if query { actor.query(event, &mut effects) } else { actor.handle(event, &mut effects) };
    (handled, effects)
}

/// What must hold of any event of any guest.
fn holds(actor: &Actor, handled: &Handled, effects: &[Effect], tried: &mut Tried) -> Result<(), String> {
    tried.effects += effects.len() as u64;
    if actor.memory_bytes() > LIMITS.memory_bytes {
        return Err(format!("{} bytes of memory", actor.memory_bytes()));
    }
    if effects.len() > pando_abi::limits::EFFECTS_MAX + pando_abi::limits::LOG_LINES_PER_EVENT_MAX + 1 {
        return Err(format!("{} effects", effects.len()));
    }
    let Some(end) = &handled.end else {
        tried.good += u64::from(handled.refused.is_none());
        return Ok(());
    };
    *tried.ends.entry(end.kind.name()).or_insert(0) += 1;
    match end.kind {
        ExitKind::Fault | ExitKind::CpuLimit | ExitKind::MemoryLimit
            if effects.iter().all(|e| matches!(e, Effect::Log { .. })) && !end.message.is_empty() =>
        {
            Ok(())
        }
        ExitKind::Normal | ExitKind::Error => Ok(()),
        _ => Err(format!("{handled:?} with {} effects", effects.len())),
    }
}

/// A plain actor, whose faults are undone if its module allows that.
fn plain(module: &Arc<Module>, tried: &mut Tried) -> Result<(), String> {
    let undo = module.no_image().is_none();
    let mut actor = match Actor::new(module, LIMITS, birth(Class::Plain, undo)) {
        Ok(actor) => actor,
        Err(exit) => {
            *tried.ends.entry(exit.kind.name()).or_insert(0) += 1;
            return Ok(());
        }
    };
    for (event, query) in events() {
        let before = undo.then(|| actor.root());
        // Time is the limit of a plain actor. Of a replica it is fuel alone.
        let (handled, effects) = timed(LIMITS.handler_ms, || deal(&mut actor, &event, query));
        holds(&actor, &handled, &effects, tried)?;
        let faulted = handled.end.as_ref().is_some_and(|e| !matches!(e.kind, ExitKind::Normal | ExitKind::Error));
        // The ids that an event closes by itself stay closed.
        let closes = matches!(event.kind, EventKind::Reply | EventKind::Timer | EventKind::Down);
        if let Some(before) = before.filter(|_| (faulted || query) && !closes)
            && actor.root() != before
        {
            return Err(format!("a fault or a query left something behind: {handled:?}"));
        }
        if handled.end.is_some() && !query && !(faulted && undo) {
            return Ok(());
        }
    }
    tried.lived += 1;
    Ok(())
}

/// A replica and its twin.
fn replica(module: &Arc<Module>, tried: &mut Tried) -> Result<(), String> {
    let make = || Actor::new(module, LIMITS, birth(Class::Replicated, true));
    let (Ok(mut one), Ok(mut other)) = (make(), make()) else { return Ok(()) };
    for (n, (event, query)) in events().into_iter().enumerate() {
        let (handled, effects) = deal(&mut one, &event, query);
        holds(&one, &handled, &effects, tried)?;
        let twin = deal(&mut other, &event, query);
        if twin != (handled.clone(), effects) {
            return Err(format!("two replicas went two ways at event {n}: {handled:?}, {:?}", twin.0));
        }
        let exits = handled.end.as_ref().is_some_and(|e| matches!(e.kind, ExitKind::Normal | ExitKind::Error));
        if exits && !query {
            return Ok(());
        }
        if one.root() != other.root() {
            return Err(format!("two replicas differ after event {n}: {handled:?}"));
        }
        match n % 3 {
            0 => other.sleep(),
            1 => {
                let image = other.image().map_err(|e| format!("no image after event {n}: {e}"))?;
                other = Actor::from_image(module, &image, LIMITS).map_err(|e| format!("its own image: {e}"))?;
                tried.restored += 1;
            }
            _ => {}
        }
    }
    tried.lived += 1;
    Ok(())
}
