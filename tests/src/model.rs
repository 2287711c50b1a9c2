//! The smallest place: bare actors and a queue. What SPEC.md says of effects and events, in a few hundred lines.
//!
//! Owns: who is alive, what waits, what effects do. Does not know: threads, disks, networks, groups, restarts (but `resume`).
//! It is also an oracle: a case that a whole node answers otherwise than the model is a mistake in one of the two.
//!
//! 1. One event at a time, in the order in which they were asked for; time moves only when nobody has anything to do, and
//!    to the next timer. The one clock that is read is the one that ends endless loops.

mod effects;
mod engine;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pando_abi::{
    ActorId, Address, Errno, EventKind, ExitKind, ModuleHash, NodeId, Restart, Rights, SpawnSpec, call::call_flags,
    id::service, limits::HANDLER_MS_DEFAULT,
};
use pando_actors::{
    Actor, Birth, Body, CapKind, Capability, Class, Delivery, Effect, Event, Exit, Handles, Limits, Mailbox, Message,
    ReplyTo, Spawn, Tally,
};

pub use self::engine::{Machine, timed};
use crate::{
    guest::{Case, Guest},
    place::{Answer, End, Place},
};

/// The model's only node.
const NODE: NodeId = NodeId(1);
/// Two days after the latest date that a guest asks about.
const EPOCH_NS: u64 = 1_800_000_000_000_000_000;

/// What waits for an actor.
#[derive(Clone, Debug)]
struct Letter {
    kind: EventKind,
    status: u16,
    token: u64,
    badge: u64,
    flags: u16,
    query: bool,
    /// Who sent it: for what cannot be delivered after all.
    from: Address,
    reply: Option<Capability>,
    message: Message,
}

impl Letter {
    fn system(kind: EventKind, token: u64, status: u16) -> Letter {
        Letter {
            kind,
            status,
            token,
            badge: 0,
            flags: 0,
            query: false,
            from: Address::default(),
            reply: None,
            message: Message::default(),
        }
    }
}

struct Cell {
    actor: Option<Actor>,
    ended: Option<Exit>,
    restart: Restart,
    handler_ms: u64,
    mailbox: Mailbox<Letter>,
    links: BTreeSet<ActorId>,
    /// Who wants to know of its end.
    watchers: Vec<(ActorId, u64)>,
    /// Its own monitors that have not told.
    monitors: BTreeSet<u64>,
    timers: BTreeSet<u64>,
    /// Calls that wait for an answer.
    calls: BTreeSet<u64>,
    grants: BTreeSet<u64>,
    bounced: (u64, u16),
}

/// What happens when time gets there.
#[derive(Clone, Copy)]
enum Due {
    Timer(ActorId, u64),
    Deadline(ActorId, u64),
}

/// The place.
pub struct Model {
    machine: Machine,
    modules: BTreeMap<ModuleHash, Vec<u8>>,
    cells: BTreeMap<ActorId, Cell>,
    ready: VecDeque<ActorId>,
    due: BTreeMap<(u64, u64), Due>,
    now_ns: u64,
    serial: u64,
    /// What the person who asks was answered, by token.
    answers: BTreeMap<u64, Answer>,
    lines: Vec<String>,
    subject: ActorId,
}

impl Model {
    /// An empty one on this machine.
    pub fn new(machine: &Machine) -> Model {
        Model {
            machine: machine.clone(),
            modules: BTreeMap::new(),
            cells: BTreeMap::new(),
            ready: VecDeque::new(),
            due: BTreeMap::new(),
            now_ns: EPOCH_NS,
            serial: 0,
            answers: BTreeMap::new(),
            lines: Vec::new(),
            subject: ActorId::default(),
        }
    }

    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Goes on until nobody has anything to do now, or an answer with this token is there.
    fn run(&mut self, token: Option<u64>) {
        loop {
            if token.is_some_and(|t| self.answers.contains_key(&t)) {
                return;
            }
            if let Some(id) = self.ready.pop_front() {
                self.turn(id);
                continue;
            }
            let Some(((at, _), due)) = self.due.pop_first() else { return };
            self.now_ns = self.now_ns.max(at);
            match due {
                Due::Timer(id, timer) if self.cell(id).timers.remove(&timer) => {
                    self.push_system(id, Letter::system(EventKind::Timer, timer, 0));
                }
                Due::Deadline(id, call) => self.answer_call(id, call, Errno::TIMEOUT.code(), Message::default()),
                Due::Timer(..) => {}
            }
        }
    }

    fn cell(&mut self, id: ActorId) -> &mut Cell {
        self.cells.get_mut(&id).expect("an id in the model's hands is of a cell")
    }

    /// One event of one actor.
    fn turn(&mut self, id: ActorId) {
        let cell = self.cell(id);
        let Some(letter) = cell.mailbox.pop() else { return };
        let links = cell.links.len() as u32;
        if !cell.mailbox.is_empty() {
            self.ready.push_back(id);
        }
        self.now_ns += 1;
        let event = Event {
            kind: letter.kind,
            flags: letter.flags,
            status: letter.status,
            time_ns: self.now_ns,
            token: letter.token,
            badge: letter.badge,
            // Any number will do, if each event has another.
            seed: self.next().wrapping_mul(0x9e37_79b9_7f4a_7c15),
            reply: letter.reply,
            tally: Tally { children: 0, links },
            handles: &letter.message.handles,
            body: &letter.message.body,
        };
        let cell = self.cells.get_mut(&id).expect("checked above");
        let Some(actor) = &mut cell.actor else { return };
        match event.kind {
            // Taken back while it waited.
            EventKind::Down if event.token != 0 && !cell.monitors.remove(&event.token) => return,
            _ => {}
        }
        if event.kind == EventKind::Bounce {
            cell.bounced = (0, 0);
        }
        let mut effects = Vec::new();
        let handled = engine::timed(cell.handler_ms, || {
            if letter.query { actor.query(&event, &mut effects) } else { actor.handle(&event, &mut effects) }
        });
        if let Some(errno) = handled.refused {
            return self.undeliverable(&letter, errno);
        }
        let faulted = handled
            .end
            .as_ref()
            .is_some_and(|e| matches!(e.kind, ExitKind::Fault | ExitKind::CpuLimit | ExitKind::MemoryLimit));
        let answered = effects
            .iter()
            .any(|e| matches!(e, Effect::Reply { to, .. } if Some(*to) == letter.reply.as_ref().map(ReplyTo::of)));
        for effect in effects {
            self.carry_out(id, effect);
        }
        if let (true, Some(to)) = (faulted, letter.reply) {
            self.answer(ReplyTo::of(&to), Errno::TRAPPED.code(), Message::default());
        } else if let (true, false, Some(to)) = (letter.query, answered, letter.reply) {
            self.answer(ReplyTo::of(&to), Errno::NO_REPLY.code(), Message::default());
        }
        let Some(exit) = handled.end else { return };
        let resumes =
            self.cell(id).restart == Restart::Resume && exit.kind == ExitKind::Fault && event.kind != EventKind::Start;
        if !letter.query && !resumes {
            self.end_of(id, *exit);
        }
    }

    fn push(&mut self, id: ActorId, letter: Letter) -> Result<(), Letter> {
        let bytes = letter.message.body.len();
        self.cell(id).mailbox.push(letter, bytes)?;
        self.ready.push_back(id);
        Ok(())
    }

    fn push_system(&mut self, id: ActorId, letter: Letter) {
        let cell = self.cell(id);
        if cell.actor.is_some() {
            cell.mailbox.push_system(letter, 0);
            self.ready.push_back(id);
        }
    }

    /// Tells the sender of a letter that it did not arrive.
    fn undeliverable(&mut self, letter: &Letter, errno: Errno) {
        match letter.reply {
            Some(to) => self.answer(ReplyTo::of(&to), errno.code(), Message::default()),
            None if self.cells.contains_key(&letter.from.id) => {
                let cell = self.cell(letter.from.id);
                let (count, _) = cell.bounced;
                cell.bounced = (count + 1, errno.code());
                if count == 0 {
                    self.push_system(letter.from.id, Letter::system(EventKind::Bounce, 1, errno.code()));
                }
            }
            None => {}
        }
    }

    /// Brings an answer to whoever waits for it.
    fn answer(&mut self, to: ReplyTo, status: u16, message: Message) {
        if to.address == Address::service(service::CONSOLE) {
            self.answers.insert(to.token, Answer { status, body: message.body.into_vec() });
        } else {
            self.answer_call(to.address.id, to.token, status, message);
        }
    }

    fn answer_call(&mut self, id: ActorId, token: u64, status: u16, message: Message) {
        if self.cells.get_mut(&id).is_some_and(|c| c.calls.remove(&token)) {
            self.push_system(id, Letter { message, ..Letter::system(EventKind::Reply, token, status) });
        }
    }
}

impl Place for Model {
    fn spawn(&mut self, guest: &Guest, case: &Case, start: &[u8]) {
        let module = self.machine.engine.load(&guest.wasm, Class::Plain);
        let hash = module.unwrap_or_else(|e| panic!("{}.wat: {e}", guest.name)).hash();
        self.modules.insert(hash, guest.wasm.clone());
        self.subject = ActorId([7; 16]);
        let spec = SpawnSpec { module: hash.0, restart: case.how.restart as u8, priority: 1, ..SpawnSpec::new() };
        let realm =
            Capability::actor(Address::service(service::REALM), Rights::SEND.or(Rights::SHARE).or(Rights::SPAWN));
        let parent = Capability::actor(Address::service(service::KERNEL), Rights::NONE);
        let child = Address::actor(NODE, self.subject);
        self.carry_out(
            ActorId::default(),
            Effect::Spawn(Box::new(Spawn {
                child,
                spec,
                args: Body::from_slice(start),
                handles: Handles::new(),
                parent,
                realm: Some(realm),
            })),
        );
        self.run(None);
    }

    fn call(&mut self, body: &[u8], query: bool) -> Result<Answer, String> {
        let token = self.next();
        let letter = Letter {
            query,
            reply: Some(Capability::reply(Address::service(service::CONSOLE), token)),
            message: Message::bytes(body),
            ..Letter::system(EventKind::Message, 0, 0)
        };
        self.deliver(Capability::actor(Address::actor(NODE, self.subject), Rights::PEER), letter);
        self.run(Some(token));
        self.answers.remove(&token).ok_or_else(|| "nobody answered".to_owned())
    }

    fn end(&mut self) -> Result<End, String> {
        self.run(None);
        let subject = self.subject;
        match &self.cell(subject).ended {
            Some(exit) => Ok(End { kind: exit.kind, code: exit.code, message: exit.message.clone() }),
            None => Err("it has not ended".to_owned()),
        }
    }

    fn has_ended(&mut self) -> bool {
        let subject = self.subject;
        self.cell(subject).ended.is_some()
    }

    fn logged(&mut self, line: &str) -> bool {
        self.lines.iter().any(|l| l == line)
    }
}
