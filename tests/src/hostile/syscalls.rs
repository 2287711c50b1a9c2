//! Random calls of random actors, each held against what SPEC.md says.
//!
//! Owns: what the ape is told to do, and the comparison. Does not know: what is right; the [`Reference`] does.
//!
//! 1. Actor `n` of a seed does the same whatever others did: a failure names both, and is had again by them.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use pando_abi::{
    ActorId, Address, Call, Errno, EventKind, ExitKind, NodeId, Rights, SpawnSpec, call::Value, id::service, limits,
};
use pando_actors::{
    Actor, Birth, CapKind, Capability, Class, Effect, Engine, EngineConfig, Event, Handled, Limits, Module, Tally,
    Verdict,
};

use super::{
    ape,
    reference::{Reference, Said, Seen, memory},
};
use crate::dice::Dice;

/// What was done.
#[derive(Clone, Default, Debug)]
pub struct Tried {
    /// Actors that lived.
    pub actors: u64,
    /// Events that they handled.
    pub events: u64,
    /// Calls with arguments of their own.
    pub calls: u64,
    /// Calls with their repetitions.
    pub made: u64,
    /// Handlers that a fault undid.
    pub faults: u64,
    /// Actors that called `exit`.
    pub exits: u64,
    /// Calls by what they came to: `ok`, an errno, `fault`.
    pub results: BTreeMap<(&'static str, &'static str), u64>,
}

/// Tries so many calls.
///
/// # Errors
/// The first one that is not as the contract has it, and how to see it again.
pub fn run(calls: u64, seed: u64, first: u64) -> Result<Tried, String> {
    against(calls, seed, first, false)
}

/// Is a reference noticed that is wrong about one right?
pub fn notices_a_wrong_reference(calls: u64, seed: u64) -> bool {
    against(calls, seed, 0, true).is_err()
}

fn against(calls: u64, seed: u64, first: u64, credulous: bool) -> Result<Tried, String> {
    let mut tried = Tried::default();
    let mut n = first;
    while tried.calls < calls {
        let again = format!("--seed {seed} --first {n} --calls 1");
        let mut life = Life::new(Dice::of(seed, n));
        life.reference.credulous = credulous;
        life.live(&mut tried).map_err(|why| format!("{why}\n  again: hostile syscalls {again}"))?;
        n += 1;
    }
    Ok(tried)
}

const LIMITS: Limits = Limits { memory_bytes: 4 << 20, handler_ms: 60_000, fuel: 2_000_000_000 };
/// Records of one order: with the ape's own lines they fit the limit of lines.
const RECORDS_MAX: u64 = 24;

fn module(class: Class) -> &'static Arc<Module> {
    static MODULES: OnceLock<(Engine, [Arc<Module>; 2])> = OnceLock::new();
    let (_, modules) = MODULES.get_or_init(|| {
        let config = EngineConfig { cache_dir: None, on_epoch: Arc::new(|| Verdict::Continue) };
        let engine = Engine::new(config).expect("an engine");
        let wasm = ape::wasm();
        let load = |class| engine.load(&wasm, class).expect("the ape is a module");
        let modules = [load(Class::Plain), load(Class::Replicated)];
        (engine, modules)
    });
    &modules[usize::from(class == Class::Replicated)]
}

/// One call in an order.
#[derive(Clone, Copy, Debug)]
struct Record {
    call: Call,
    times: u16,
    args: [i64; 7],
}

struct Life {
    dice: Dice,
    class: Class,
    actor: Actor,
    reference: Reference,
    memory: Vec<u8>,
    time_ns: u64,
    /// Of the latest handlers, for orders that use them again.
    dropped: Vec<u32>,
}

impl Life {
    fn new(mut dice: Dice) -> Life {
        let class = dice.pick(&[Class::Plain, Class::Replicated]);
        let id = ActorId([dice.throw() as u8; 16]);
        let home = if class == Class::Plain { Address::actor(NodeId(1), id) } else { Address::group(id) };
        let parent = any_capability(&mut dice, home);
        let realm = dice.percent(70).then(|| {
            Capability::actor(Address::service(service::REALM), Rights::SEND.or(Rights::SHARE).or(Rights::SPAWN))
        });
        let replicas = if class == Class::Plain { 0 } else { 3 };
        let birth = Birth { id, home, parent, realm, node: home.node, replicas, undo: true };
        let module = module(class);
        let actor = Actor::new(module, LIMITS, birth).expect("an ape");
        let none = Capability::actor(Address::service(service::REALM), Rights::NONE);
        let reference = Reference::new(home, class, replicas, module.hash(), [parent, realm.unwrap_or(none)]);
        Life { dice, class, actor, reference, memory: memory(), time_ns: 1_000, dropped: Vec::new() }
    }

    fn live(mut self, tried: &mut Tried) -> Result<(), String> {
        tried.actors += 1;
        for _ in 0..self.dice.between(1, 60) {
            tried.events += 1;
            let goes_on = if self.dice.percent(15) { self.told()? } else { self.ordered(tried)? };
            if !goes_on {
                return Ok(());
            }
            self.compare()?;
            match self.dice.below(20) {
                0 => self.actor.sleep(),
                1 => {
                    let image = self.actor.image().map_err(|e| e.to_string())?;
                    self.actor =
                        Actor::from_image(module(self.class), &image, LIMITS).map_err(|e| format!("an image: {e}"))?;
                    self.compare()?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Both hold the same.
    fn compare(&self) -> Result<(), String> {
        let mut wanted: Vec<(u32, Capability)> = self.reference.held.iter().map(|(h, c)| (h & 0xf_ffff, *c)).collect();
        wanted.sort_by_key(|(slot, _)| *slot);
        let wanted: Vec<Capability> = wanted.into_iter().skip(1).map(|(_, c)| c).collect();
        let found: Vec<Capability> = self.actor.live_capabilities().collect();
        if found == wanted { Ok(()) } else { Err(format!("it holds {found:?}, and should hold {wanted:?}")) }
    }

    fn tally(&mut self) -> Tally {
        let dice = &mut self.dice;
        let near = |dice: &mut Dice, max: usize| {
            let n = if dice.percent(10) { max as u64 - dice.below(4) } else { dice.below(5) };
            n as u32
        };
        Tally { children: near(dice, limits::CHILDREN_MAX), links: near(dice, limits::LINKS_MAX) }
    }

    /// An event that answers something, or does not.
    fn told(&mut self) -> Result<bool, String> {
        let open = self.reference.open_ids();
        let (kind, ids) = match self.dice.below(4) {
            0 => (EventKind::Reply, &open[0]),
            1 => (EventKind::Timer, &open[1]),
            2 => (EventKind::Down, &open[2]),
            _ => (EventKind::Bounce, &open[0]),
        };
        let token = if ids.is_empty() { self.dice.below(9) } else { ids[self.dice.below(ids.len() as u64) as usize] };
        let event = Event { token, tally: self.tally(), ..Event::new(kind) };
        let mut effects = Vec::new();
        let handled = self.actor.handle(&event, &mut effects);
        self.reference.arrived(kind, token);
        self.reference.returned();
        if handled.end.is_some() || handled.refused.is_some() || !effects.is_empty() {
            return Err(format!("an event of nothing came to {handled:?} {effects:?}"));
        }
        Ok(true)
    }

    /// An order. `false`: the actor has ended as it asked.
    fn ordered(&mut self, tried: &mut Tried) -> Result<bool, String> {
        let query = self.dice.percent(12);
        let home = self.reference.home;
        let brought: Vec<Capability> =
            (0..self.dice.below(ape::BROUGHT_MAX as u64 + 1)).map(|_| any_capability(&mut self.dice, home)).collect();
        let reply = self.dice.percent(60).then(|| reply_to(&mut self.dice));
        let (area, records) = (self.area(brought.len()), self.records(brought.len()));
        let mut body = area.to_vec();
        body.extend_from_slice(&(records.len() as u64).to_le_bytes());
        for Record { call, times, args } in &records {
            body.extend_from_slice(&[*call as u8, 0]);
            body.extend_from_slice(&times.to_le_bytes());
            body.extend_from_slice(&[0; 4]);
            args.iter().for_each(|a| body.extend_from_slice(&a.to_le_bytes()));
        }
        self.time_ns += self.dice.below(1_000);
        let (seed, tally) = (self.dice.throw(), self.tally());
        let event = Event {
            time_ns: self.time_ns,
            seed,
            reply,
            tally,
            handles: &brought,
            body: &body,
            ..Event::new(EventKind::Message)
        };
        let before = (self.reference.clone(), self.memory[ape::OUT..ape::OUT + 24].to_vec());
        let mut effects = Vec::new();
        let handled =
            if query { self.actor.query(&event, &mut effects) } else { self.actor.handle(&event, &mut effects) };
        let wants = brought.len() + usize::from(reply.is_some());
        if wants > self.reference.room() || handled.refused.is_some() {
            let right = (handled.refused, wants > self.reference.room()) == (Some(Errno::FULL), true);
            return if right { Ok(true) } else { Err(format!("{wants} handles were brought: {handled:?}")) };
        }
        self.reference.begin(query, self.time_ns, seed, tally);
        let faulted = handled.end.as_ref().is_some_and(|e| e.kind == ExitKind::Fault);
        let mut seen = Seen { effects: effects.into(), faulted };
        let came = self.follow(&area, &records, reply, &brought, &mut seen, tried)?;
        self.came_to(&came, &handled)?;
        if !seen.effects.is_empty() {
            return Err(format!("too much was asked for: {:?}", seen.effects));
        }
        let undone = matches!(came, Came::Fault(_));
        tried.faults += u64::from(undone);
        if undone || query {
            self.reference = before.0;
            self.memory[ape::OUT..ape::OUT + 24].copy_from_slice(&before.1);
        } else {
            self.reference.returned();
        }
        let exits = matches!(came, Came::Exit(..));
        tried.exits += u64::from(exits);
        Ok(!exits)
    }

    fn came_to(&self, came: &Came, handled: &Handled) -> Result<(), String> {
        let right = match (came, &handled.end) {
            (Came::End, None) => true,
            // Between a call that was made and the sentence stands the call's name.
            (Came::Fault(call), Some(end)) => {
                end.kind == ExitKind::Fault && end.message.contains(&format!("`{}`", call.name()))
            }
            (Came::Exit(0, text), Some(end)) => (end.kind, end.code, &end.message) == (ExitKind::Normal, 0, text),
            (Came::Exit(code, text), Some(end)) => (end.kind, end.code, &end.message) == (ExitKind::Error, *code, text),
            _ => false,
        };
        if right { Ok(()) } else { Err(format!("wanted {came:?}, found {:?}", handled.end)) }
    }

    /// Goes through an order with the reference.
    fn follow(
        &mut self,
        area: &[u8],
        records: &[Record],
        reply: Option<Capability>,
        brought: &[Capability],
        seen: &mut Seen,
        tried: &mut Tried,
    ) -> Result<Came, String> {
        let first = numbers(seen.effects.front()).ok_or("the ape does not say what it was given")?;
        seen.effects.pop_front();
        let words =
            [first[0] as u32, first[1] as u32, (first[1] >> 32) as u32, first[2] as u32, (first[2] >> 32) as u32];
        if let Some(reply) = reply {
            self.reference.bring(words[0], reply, true)?;
        }
        for (capability, handle) in brought.iter().zip(&words[1..]) {
            self.reference.bring(*handle, *capability, false)?;
        }
        let real = |value: i64| match value - ape::MARK {
            k @ 0..=4 => i64::from(words[k as usize]),
            _ => value,
        };
        let mut area = area.to_vec();
        for word in area[..128].as_chunks_mut::<4>().0 {
            *word = (real(i64::from(u32::from_le_bytes(*word))) as u32).to_le_bytes();
        }
        self.memory[ape::AREA..ape::AREA + ape::AREA_BYTES].copy_from_slice(&area);
        for record in records {
            let args = record.args.map(real);
            let mut value = 0;
            for time in 1..=record.times.max(1) {
                let last = time == record.times.max(1);
                let line = seen.effects.iter().find(|e| matches!(e, Effect::Log { .. }));
                let returned = if last { numbers(line).map(|n| n[0] as i64) } else { None };
                tried.made += 1;
                let said = self.reference.call(&mut self.memory, record.call, args, returned, seen);
                let said = said.map_err(|why| format!("{:?}({args:?}), time {time}: {why}", record.call))?;
                let name = match &said {
                    Said::Value(v) => u16::try_from(-*v).ok().and_then(Errno::from_code).map_or("ok", |e| e.name()),
                    Said::Fault => "fault",
                    Said::Exit(..) => "exit",
                };
                if last || name == "fault" {
                    *tried.results.entry((record.call.name(), name)).or_insert(0) += 1;
                    tried.calls += 1;
                }
                match said {
                    Said::Value(v) => value = v,
                    Said::Fault => return Ok(Came::Fault(record.call)),
                    Said::Exit(code, text) => return Ok(Came::Exit(code, text)),
                }
                if record.call == Call::HandleDrop {
                    self.dropped.push(args[0] as u32);
                }
            }
            let out: Vec<u64> = self.memory[ape::OUT..ape::OUT + 24]
                .as_chunks::<8>()
                .0
                .iter()
                .map(|w| u64::from_le_bytes(*w))
                .collect();
            let text = format!("{value:016x}{:016x}{:016x}{:016x}", out[0], out[1], out[2]);
            seen.line(5, &text).map_err(|why| format!("after {:?}({args:?}): {why}", record.call))?;
        }
        Ok(Came::End)
    }
}

/// How a handler must have gone.
#[derive(Debug)]
enum Came {
    End,
    Fault(Call),
    Exit(i32, String),
}

/// The four numbers of one of the ape's own lines.
fn numbers(line: Option<&Effect>) -> Option<[u64; 4]> {
    let Some(Effect::Log { level: 5, text }) = line else { return None };
    let mut out = [0; 4];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (n, number) in out.iter_mut().enumerate() {
        *number = u64::from_str_radix(&text[16 * n..16 * n + 16], 16).ok()?;
    }
    Some(out)
}

fn reply_to(dice: &mut Dice) -> Capability {
    Capability::reply(Address::actor(NodeId(2), ActorId([9; 16])), dice.throw() >> 8)
}

/// A handle that somebody might pass: another's, one's own as a grant or not, a reply, a service.
fn any_capability(dice: &mut Dice, home: Address) -> Capability {
    if dice.percent(20) {
        return reply_to(dice);
    }
    let id = ActorId([dice.below(4) as u8; 16]);
    let address = match dice.below(6) {
        0 => home,
        1 => Address::group(id),
        2 => Address::service(service::REALM),
        _ => Address::actor(NodeId(dice.below(3) as u32 + 1), id),
    };
    let rights = if dice.percent(70) { Rights::PEER } else { Rights(dice.throw() as u32).and(Rights::PEER) };
    let rights = if address.home == pando_abi::Home::Service { rights.or(Rights::SPAWN) } else { rights };
    let grant = if dice.percent(30) { dice.below(1 << 40) } else { 0 };
    Capability {
        kind: CapKind::Actor,
        address,
        rights,
        grant,
        badge: if grant == 0 { 0 } else { dice.throw() },
        token: 0,
    }
}

impl Life {
    /// Any handle, mostly one that is held.
    fn handle(&mut self, brought: usize) -> u32 {
        match self.dice.below(100) {
            0..70 => {
                let n = self.dice.below(self.reference.held.len() as u64) as usize;
                self.reference.held.keys().nth(n).copied().unwrap_or(0)
            }
            70..88 => ape::MARK as u32 + self.dice.below(brought as u64 + 1) as u32,
            88..93 => self.dice.below(3) as u32,
            93..95 if !self.dropped.is_empty() => self.dice.pick(&self.dropped),
            95 => u32::MAX,
            96 => self.dice.throw() as u32,
            _ => self.dice.below(6) as u32,
        }
    }

    /// Handles to pass, then a spawn spec and its arguments.
    fn area(&mut self, brought: usize) -> [u8; ape::AREA_BYTES] {
        let mut area = [0; ape::AREA_BYTES];
        for word in area[..128].as_chunks_mut::<4>().0 {
            *word = self.handle(brought).to_le_bytes();
        }
        let dice = &mut self.dice;
        let mut spec = SpawnSpec::new();
        if dice.percent(30) {
            spec.module = [dice.below(3) as u8; 32];
        }
        if dice.percent(30) {
            spec.node = dice.below(4) as u32;
            spec.replicas = dice.below(9) as u8;
            spec.flags = dice.below(2) as u16;
            spec.restart = dice.below(4) as u8;
        }
        if dice.percent(20) {
            spec.memory_bytes = dice.below(2 * limits::MEMORY_BYTES_MAX);
            spec.handler_ms = dice.throw() as u16;
            spec.fuel_millions = dice.below(70_000) as u32;
        }
        let mut bytes = spec.to_bytes();
        if dice.percent(5) {
            bytes[dice.below(72) as usize] = dice.throw() as u8;
        }
        area[128..200].copy_from_slice(&bytes);
        area[200..].iter_mut().for_each(|b| *b = dice.throw() as u8);
        area
    }

    fn records(&mut self, brought: usize) -> Vec<Record> {
        (0..self.dice.between(1, RECORDS_MAX)).map(|_| self.record(brought)).collect()
    }

    fn record(&mut self, brought: usize) -> Record {
        let call = match self.dice.below(1_000) {
            0..4 => Call::Exit,
            _ => self.dice.pick(Call::ALL),
        };
        let call = if call == Call::Exit && self.dice.percent(95) { Call::Send } else { call };
        let repeats = matches!(call, Call::Timer | Call::Monitor | Call::Call | Call::Send | Call::Link | Call::Kill);
        let times = if repeats && self.dice.percent(1) { self.dice.between(2, 5_000) as u16 } else { 1 };
        let mut args = [0; 7];
        let mut pointer = None;
        for (n, (name, kind)) in call.params().iter().enumerate() {
            let value = match *name {
                "reply" => i64::from(self.open_reply().unwrap_or(ape::MARK as u32)),
                "target" | "authority" | "handle" | "a" | "b" => i64::from(self.handle(brought)),
                "spec" => i64::from(ape::SPEC as u32),
                "spec_len" => {
                    if self.dice.percent(95) {
                        72 + self.dice.below(57) as i64
                    } else {
                        self.dice.below(90) as i64
                    }
                }
                "handles" => (ape::AREA + 4 * self.dice.below(16) as usize) as i64,
                "handle_count" => self.count(),
                "out" => {
                    if self.dice.percent(97) {
                        ape::OUT as i64
                    } else {
                        (ape::MEMORY + self.dice.below(99) as usize) as i64 - 8
                    }
                }
                "deadline_ns" | "delay_ns" => self.delay(),
                "monitor" | "timer" => self.id(call),
                "flags" => self.dice.pick(&[0, 0, 1, 3, 3, 2, 4]),
                "status" => self.dice.below(20) as i64 - i64::from(self.dice.percent(2)) * 30,
                "level" => self.dice.below(60) as i64 / 10 + i64::from(self.dice.percent(98)),
                "badge" => {
                    if self.dice.percent(60) {
                        0
                    } else {
                        self.dice.throw() as i64
                    }
                }
                "rights" => i64::from(self.dice.throw() as u32 | if self.dice.percent(70) { 0x1f } else { 0 }),
                "code" => self.dice.below(4) as i64 - 1,
                name if name.ends_with("_len") => pointer.take().unwrap_or(0),
                _ => {
                    let (at, len) = self.bytes();
                    pointer = Some(len);
                    at
                }
            };
            // As the guest would have it in a parameter of this type.
            args[n] = if *kind == Value::I32 && !(0..8).contains(&(value - ape::MARK)) {
                i64::from(value as i32)
            } else {
                value
            };
        }
        Record { call, times, args }
    }

    /// An id that is out, mostly.
    fn id(&mut self, call: Call) -> i64 {
        let open = &self.reference.open_ids()[if call == Call::Cancel { 1 } else { 2 }];
        if open.is_empty() || self.dice.percent(10) {
            return self.dice.below(4) as i64 - 1;
        }
        self.dice.pick(open) as i64
    }

    /// A call that waits for its answer, mostly.
    fn open_reply(&mut self) -> Option<u32> {
        let held: Vec<u32> =
            self.reference.held.iter().filter(|(_, c)| c.kind == CapKind::Reply).map(|(handle, _)| *handle).collect();
        match self.dice.below(20) {
            0 => self.reference.held.keys().next_back().copied(),
            1..12 if !held.is_empty() => Some(self.dice.pick(&held)),
            _ => None,
        }
    }

    fn count(&mut self) -> i64 {
        match self.dice.below(100) {
            0..80 => 0,
            80..98 => self.dice.below(5) as i64,
            98 => 17,
            _ => 16,
        }
    }

    fn delay(&mut self) -> i64 {
        match self.dice.below(50) {
            0 => -1,
            1 => limits::DELAY_NS_MAX as i64 + self.dice.below(2) as i64,
            _ => self.dice.below(1 << 40) as i64,
        }
    }

    /// A pointer and a length: of text, of zeros, of the area, or of what is none of the guest's.
    fn bytes(&mut self) -> (i64, i64) {
        let dice = &mut self.dice;
        match dice.below(100) {
            0..60 => ((ape::TEXT as u64 + dice.below(2_000)) as i64, dice.below(200) as i64),
            60..80 => ((ape::AREA + 200) as i64, dice.below(56) as i64),
            80..90 => ((dice.throw() | 1 << 31) as u32 as i64, 0),
            90..94 => (ape::ZEROS as i64, dice.below(60_000) as i64),
            94 => (ape::ZEROS as i64, limits::MESSAGE_BYTES_MAX as i64 + dice.below(2) as i64),
            95 => (ape::ZEROS as i64, limits::MESSAGE_BYTES_MAX as i64 - 1),
            96 => (ape::MEMORY as i64 - 8, dice.below(20) as i64),
            97 => ((dice.throw() | 1 << 31) as u32 as i64, dice.throw() as u32 as i64),
            _ => ((ape::TEXT + 100) as i64, 3_000),
        }
    }
}
