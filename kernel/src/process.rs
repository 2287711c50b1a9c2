//! A process: the kernel's side of one actor, plain or replicated. `(state, input) -> (state', actions)`, purely.
//!
//! Owns: monitors, links, timers, outstanding calls, grants, children, keyed messages served. Does not know: where anything is,
//! what time it is (it is told), threads, Wasm (it sees a [`Guest`]).
//!
//! 1. One input is one step, and a step is a transaction: if the guest faults, only the fault is seen.
//! 2. A call is answered exactly once: by a reply, by an errno at its deadline or at the end of the other side.
//! 3. A `down` comes at most once for each monitor, a timer at most once for each id, and never for another life's. Timers come
//!    in the order of their times, whoever's clock called them.
//! 4. What comes through a revoked grant is refused: messages, kills, links and monitors.
//! 5. Nothing outlives the process: at its end watchers and links are told, calls are answered, alarms are taken back.
//! 6. A child counts from its spawn to its end for good, whichever life of its parent spawned it.

mod apply;
mod ends;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod model;
#[cfg(test)]
mod promises;
pub mod question;
mod rows;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet};

use pando_abi::{
    Address, Errno, EventKind, ExitKind, NodeId,
    event::flags,
    limits,
    planted::{Bug, fail, planted},
};
use pando_actors::{CapKind, Capability, Effect, Event, Exit, Handled, Message, Tally};
pub use rows::ProcessRows;

use crate::{
    input::{Action, Alarm, Delivery, Input, Moved, ReplyTo, Sink, Standing, exit},
    served::{Answer, Seen, Served},
};

/// What a process needs of an actor. The real one is Wasm; tests script one.
pub trait Guest {
    /// Handles an event as a transaction.
    fn handle(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled;
    /// Answers a query on a copy.
    fn query(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled;
    /// One-time reply handles that it holds and has not used.
    fn open_replies(&self) -> Vec<Capability>;
}

impl Guest for pando_actors::Actor {
    fn handle(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        if event.flags & flags::REPLICATED != 0 {
            fail::handle(event.body);
        }
        pando_actors::Actor::handle(self, event, effects)
    }
    fn query(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        pando_actors::Actor::query(self, event, effects)
    }
    fn open_replies(&self) -> Vec<Capability> {
        self.live_capabilities().filter(|c| c.kind == CapKind::Reply).collect()
    }
}

/// What a step is told of the world.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Nanoseconds since 1970.
    pub now_ns: u64,
    /// Sixty-four bits that nobody could foresee.
    pub seed: u64,
    /// What an answer given now stands on.
    pub standing: Standing,
}

/// What came of a step.
#[derive(Debug, Default)]
pub struct Stepped {
    /// The process has ended so.
    pub end: Option<Box<Exit>>,
    /// A fault that was undone: the process goes on.
    pub undone: Option<Box<Exit>>,
    /// Did the guest run?
    pub ran: bool,
    /// If not: why the event did not reach it.
    pub refused: Option<Errno>,
    /// Fuel that it took.
    pub fuel: u64,
}

/// Who a process is. Does not change while it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its address.
    pub me: Address,
    /// The node that it is on; none for a group.
    pub node: NodeId,
    /// Raised by each restart.
    pub generation: u32,
    /// Is it a replica?
    pub replicated: bool,
    /// Is a fault undone instead of ending it?
    pub resumes: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Process {
    identity: Identity,
    /// Whom, and by which grant.
    monitors: BTreeMap<u64, (Address, u64)>,
    watchers: BTreeSet<(Address, u64)>,
    /// With whom, and by which grant.
    links: BTreeMap<Address, u64>,
    timers: BTreeMap<u64, u64>,
    /// The same by their times.
    agenda: BTreeSet<(u64, u64)>,
    calls: BTreeMap<u64, Waiting>,
    grants: BTreeMap<u64, u64>,
    /// Those that are alive, as far as is known.
    children: BTreeSet<Address>,
    served: Served,
}

/// A call that waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    target: Address,
    deadline_ns: u64,
}

/// How many low bits of a sealed number are the guest's own. Above them is the generation, so that an answer, a timer or
/// a deadline of an earlier life is not taken for one of this.
const TOKEN_BITS: u32 = 43;
/// Generations are told apart modulo this. The highest bit stays free for who packs an alarm into 64 bits.
const GENERATIONS: u64 = 1 << 20;

impl Process {
    /// A process before its first event.
    pub fn new(identity: Identity) -> Process {
        Process {
            identity,
            monitors: BTreeMap::new(),
            watchers: BTreeSet::new(),
            links: BTreeMap::new(),
            timers: BTreeMap::new(),
            agenda: BTreeSet::new(),
            calls: BTreeMap::new(),
            grants: BTreeMap::new(),
            children: BTreeSet::new(),
            served: Served::default(),
        }
    }

    /// A child has ended, or could not be started.
    pub fn child_ended(&mut self, child: Address) {
        self.children.remove(&child);
    }

    /// The next life of a process: nothing is left of the one before but its children, who live on, and who was served by
    /// it, for a call that is tried again must not happen again.
    pub fn again(identity: Identity, before: &Process) -> Process {
        Process { children: before.children.clone(), served: before.served.clone(), ..Process::new(identity) }
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Alarms that are set, for whoever has to set them anew: a new leader, a restarted node.
    pub fn alarms(&self) -> impl Iterator<Item = (u64, Alarm)> + '_ {
        let timers = self.timers.iter().filter(|_| !planted(Bug::TimersLostWithLeader));
        let timers = timers.map(|(id, at)| (*at, Alarm::Timer(self.seal(*id))));
        let calls = self.calls.iter().filter(|(_, w)| w.deadline_ns > 0 && !planted(Bug::DeadlinesLostWithLeader));
        timers.chain(calls.map(|(token, w)| (w.deadline_ns, Alarm::Deadline(self.seal(*token)))))
    }

    /// The watches and links that this process has to plain actors, to be asked for once more: by a new leader, and of a
    /// node that is back. Who has ended answers with its end; who lives knows them already.
    pub fn interests(&self) -> impl Iterator<Item = (Address, Input)> + '_ {
        self.wishes().filter(|(target, _)| target.home == pando_abi::Home::Node)
    }

    fn wishes(&self) -> impl Iterator<Item = (Address, Input)> + '_ {
        let me = self.identity.me;
        let watches = self.monitors.iter().map(move |(id, (target, grant))| {
            (*target, Input::Watch { watcher: me, id: self.seal(*id), grant: *grant })
        });
        let links = self.links.iter().map(move |(target, grant)| (*target, Input::Link { peer: me, grant: *grant }));
        watches.chain(links)
    }

    /// Is it as it was before its first event?
    pub fn is_bare(&self) -> bool {
        self.counts().iter().all(|(_, count)| *count == 0) && self.served.is_empty()
    }

    /// What `inspect` shows: (monitors, watchers, links, timers, calls, grants, children).
    pub fn counts(&self) -> [(&'static str, usize); 7] {
        [
            ("monitors", self.monitors.len()),
            ("watched by", self.watchers.len()),
            ("links", self.links.len()),
            ("timers", self.timers.len()),
            ("calls waiting", self.calls.len()),
            ("grants", self.grants.len()),
            ("children", self.children.len()),
        ]
    }

    /// One step. `effects` is a scratch list that comes and goes empty.
    pub fn step(
        &mut self,
        guest: &mut dyn Guest,
        input: Input,
        moment: Moment,
        effects: &mut Vec<Effect>,
        actions: &mut impl Sink,
    ) -> Stepped {
        match input {
            Input::Message(delivery) => self.message(guest, delivery, moment, effects, actions),
            Input::Start { args, handles, restarted } => {
                let mut event = self.event(EventKind::Start, moment);
                event.flags |= if restarted { flags::RESTARTED } else { 0 };
                event.body = &args;
                event.handles = &handles;
                self.run(guest, &event, moment, effects, actions)
            }
            Input::Reply { token: sealed, status, message, .. } => {
                let Some(token) = self.unseal(sealed) else { return Stepped::default() };
                let Some(Waiting { deadline_ns: at_ns, .. }) = self.calls.remove(&token) else {
                    return Stepped::default();
                };
                if at_ns > 0 {
                    actions.push(Action::Disarm { at_ns, alarm: Alarm::Deadline(sealed) });
                }
                let mut event = self.event(EventKind::Reply, moment);
                event.token = token;
                event.status = status;
                event.body = &message.body;
                event.handles = &message.handles;
                let stepped = self.run(guest, &event, moment, effects, actions);
                if stepped.ran {
                    return stepped;
                }
                // Its handles did not fit. The call is answered nevertheless: without them, and with the reason.
                strand(actions, &message.handles);
                event.status = Errno::FULL.code();
                event.body = &[];
                event.handles = &[];
                self.run(guest, &event, moment, effects, actions)
            }
            Input::Deadline { token } => {
                let Some(token) = self.unseal(token) else { return Stepped::default() };
                if self.calls.remove(&token).is_none() {
                    return Stepped::default();
                }
                let mut event = self.event(EventKind::Reply, moment);
                event.token = token;
                event.status = Errno::TIMEOUT.code();
                self.run(guest, &event, moment, effects, actions)
            }
            Input::Timer { id } => {
                let Some(id) = self.unseal(id) else { return Stepped::default() };
                if planted(Bug::TimerTwice) && !self.timers.contains_key(&id) {
                    return self.timer(guest, id, moment, effects, actions);
                }
                let Some(due) = self.timers.get(&id).copied() else { return Stepped::default() };
                let mut last = Stepped::default();
                // One that was due before, but is called by a slower clock, comes first.
                while let Some(&(at, first)) = self.agenda.first().filter(|first| **first <= (due, id)) {
                    self.agenda.remove(&(at, first));
                    self.timers.remove(&first);
                    if first != id {
                        actions.push(Action::Disarm { at_ns: at, alarm: Alarm::Timer(self.seal(first)) });
                    }
                    let fuel = last.fuel;
                    last = self.timer(guest, first, moment, effects, actions);
                    last.fuel += fuel;
                    if last.end.is_some() {
                        break;
                    }
                }
                last
            }
            Input::Bounce { status, count } => {
                let mut event = self.event(EventKind::Bounce, moment);
                event.token = count;
                event.status = status;
                self.run(guest, &event, moment, effects, actions)
            }
            Input::Watch { watcher, id, grant } => {
                if planted(Bug::LostMonitor) && self.watchers.len() == 1 {
                    return Stepped::default();
                }
                if self.watchers.contains(&(watcher, id)) {
                    // Asked once more.
                } else if self.is_revoked(grant) {
                    self.refuse(watcher, "the handle was revoked", actions);
                } else if self.watchers.len() < limits::MONITORS_MAX {
                    self.watchers.insert((watcher, id));
                } else {
                    let why = "too many watchers: the limit of monitors on one actor is reached";
                    self.refuse(watcher, why, actions);
                }
                Stepped::default()
            }
            Input::Unwatch { watcher, id } => {
                self.watchers.remove(&(watcher, id));
                Stepped::default()
            }
            Input::Link { peer, grant } => {
                if self.links.contains_key(&peer) {
                    // Asked once more, or by both.
                } else if self.is_revoked(grant) {
                    self.refuse(peer, "the handle was revoked", actions);
                } else if self.links.len() < limits::LINKS_MAX {
                    self.links.insert(peer, 0);
                } else {
                    self.refuse(peer, "too many links: the limit of links of one actor is reached", actions);
                }
                Stepped::default()
            }
            Input::Unlink { peer } => {
                self.links.remove(&peer);
                Stepped::default()
            }
            Input::Down { target, exit } => self.down(guest, target, &exit, moment, effects, actions),
            Input::NodeDown { node } => {
                self.node_down(guest, NodeId(node), &Moved::default(), moment, effects, actions)
            }
            Input::NodeDownBut { node, moved } => self.node_down(guest, NodeId(node), &moved, moment, effects, actions),
            Input::ChildEnded { child } => {
                self.child_ended(child);
                Stepped::default()
            }
            Input::Outcome { key, reply } => {
                let (status, message, index) = self.served.outcome(key).seal();
                let standing = Standing { index: index.unwrap_or(moment.standing.index), ..moment.standing };
                answer(actions, Some(reply), status, message, standing);
                Stepped::default()
            }
            Input::Kill { by, grant } if self.is_revoked(grant) => {
                let input = Input::Bounce { status: Errno::REVOKED.code(), count: 1 };
                actions.push(Action::Deliver { to: by, input });
                Stepped::default()
            }
            Input::Kill { by, .. } => self.end(guest, exit(ExitKind::Killed, format!("by {by}")), moment, actions),
        }
    }

    fn timer(
        &mut self,
        guest: &mut dyn Guest,
        id: u64,
        moment: Moment,
        effects: &mut Vec<Effect>,
        actions: &mut impl Sink,
    ) -> Stepped {
        let mut event = self.event(EventKind::Timer, moment);
        event.token = id;
        self.run(guest, &event, moment, effects, actions)
    }

    /// When this input was asked for, if it is an alarm that is set: it proves that the time has come.
    pub fn due(&self, input: &Input) -> Option<u64> {
        match input {
            Input::Timer { id } => self.timers.get(&self.unseal(*id)?).copied(),
            Input::Deadline { token } => self.calls.get(&self.unseal(*token)?).map(|waiting| waiting.deadline_ns),
            _ => None,
        }
    }

    #[inline]
    fn message(
        &mut self,
        guest: &mut dyn Guest,
        delivery: Box<Delivery>,
        moment: Moment,
        effects: &mut Vec<Effect>,
        actions: &mut impl Sink,
    ) -> Stepped {
        if question::is_query(&delivery) {
            let asked = self.question(delivery, moment, actions);
            return asked.map_or_else(Stepped::default, |asked| {
                asked.ask(|event, effects| guest.query(event, effects), effects, actions)
            });
        }
        if self.is_revoked(delivery.grant) {
            question::turn_away(self.identity.me, delivery, actions);
            return Stepped::default();
        }
        if let Some(key) = &delivery.key {
            match self.served.note(**key, delivery.reply) {
                Seen::Fresh => {}
                Seen::Waiting => return Stepped::default(),
                Seen::Answered(Answer { status, message, index }) => {
                    let index = if planted(Bug::AnswerAtRepeat) { moment.standing.index } else { index };
                    answer(actions, delivery.reply, status, message, Standing { index, ..moment.standing });
                    return Stepped::default();
                }
                Seen::Fenced => {
                    answer(actions, delivery.reply, Errno::REFUSED.code(), Box::default(), moment.standing);
                    return Stepped::default();
                }
                Seen::Stale => {
                    answer(actions, delivery.reply, Errno::TIMEOUT.code(), Box::default(), moment.standing);
                    return Stepped::default();
                }
            }
        }
        let mut event = self.event(EventKind::Message, moment);
        event.badge = delivery.badge;
        event.body = &delivery.message.body;
        event.handles = &delivery.message.handles;
        event.reply = delivery.reply.map(reply_capability);
        let stepped = self.run(guest, &event, moment, effects, actions);
        // It did not reach the guest: a caller was answered, a sender is told.
        if let (Some(errno), None) = (stepped.refused, delivery.reply) {
            let input = Input::Bounce { status: errno.code(), count: 1 };
            actions.push(Action::Deliver { to: delivery.from, input });
        }
        if !stepped.ran {
            strand(actions, &delivery.message.handles);
        }
        stepped
    }

    /// Runs the guest on one event and takes its effects.
    #[inline]
    fn run(
        &mut self,
        guest: &mut dyn Guest,
        event: &Event<'_>,
        moment: Moment,
        effects: &mut Vec<Effect>,
        actions: &mut impl Sink,
    ) -> Stepped {
        effects.clear();
        let handled = guest.handle(event, effects);
        let mut stepped = Stepped { ran: true, fuel: handled.fuel, ..Stepped::default() };
        if let Some(errno) = handled.refused {
            // The event never reached the guest: its handles do not fit the table.
            if let Some(asked) = event.reply {
                let asked = ReplyTo { address: asked.address, token: asked.token };
                self.answer(asked, errno.code(), Box::default(), moment, actions);
            }
            return Stepped { ran: false, refused: Some(errno), ..stepped };
        }
        let Some(end) = handled.end else {
            self.apply(effects, moment, actions);
            return stepped;
        };
        if is_fault(end.kind) {
            // Nothing that it asked for happens, but what it wrote to its log says why.
            for effect in effects.drain(..) {
                if let Effect::Log { level, text } = effect {
                    actions.push(Action::Log { level, text });
                }
            }
            if let Some(asked) = event.reply {
                let asked = ReplyTo { address: asked.address, token: asked.token };
                self.answer(asked, Errno::TRAPPED.code(), Box::default(), moment, actions);
            }
            if self.identity.resumes && event.kind != EventKind::Start {
                stepped.undone = Some(end);
                return stepped;
            }
        } else {
            self.apply(effects, moment, actions);
        }
        let ended = self.end(guest, *end, moment, actions);
        Stepped { end: ended.end, ..stepped }
    }

    /// Answers a call, at the address that its asker has now.
    fn answer(&mut self, asked: ReplyTo, status: u16, message: Box<Message>, moment: Moment, actions: &mut impl Sink) {
        let given = Answer { status, message, index: moment.standing.index };
        let to = self.served.answered(asked, &given);
        answer(actions, Some(to), given.status, given.message, moment.standing);
    }

    #[inline]
    fn event<'a>(&self, kind: EventKind, moment: Moment) -> Event<'a> {
        Event {
            kind,
            flags: if self.identity.replicated { flags::REPLICATED } else { 0 },
            status: 0,
            time_ns: moment.now_ns,
            token: 0,
            badge: 0,
            seed: moment.seed,
            reply: None,
            tally: Tally { children: self.children.len() as u32, links: self.links.len() as u32 },
            handles: &[],
            body: &[],
        }
    }

    /// Was this grant taken back, or is it of another life? 0 is none, and never revoked.
    #[inline]
    fn is_revoked(&self, grant: u64) -> bool {
        grant != 0 && !self.grants.contains_key(&grant)
    }

    /// Who wanted to hear of this process, or to share its end, may not: to it the process is as good as gone.
    fn refuse(&self, who: Address, why: &str, actions: &mut impl Sink) {
        let exit = exit(ExitKind::NoActor, why);
        actions.push(Action::Deliver { to: who, input: Input::Down { target: self.identity.me, exit } });
    }

    /// A number of this life, as it is known outside.
    #[inline]
    fn seal(&self, number: u64) -> u64 {
        number | (u64::from(self.identity.generation) % GENERATIONS) << TOKEN_BITS
    }

    /// The number, if it is one of this life.
    #[inline]
    fn unseal(&self, sealed: u64) -> Option<u64> {
        let number = sealed & ((1 << TOKEN_BITS) - 1);
        (self.seal(number) == sealed).then_some(number)
    }
}

/// Tells those who wait for an answer through reply handles that did not fit.
fn strand(actions: &mut impl Sink, handles: &[Capability]) {
    let told = crate::input::stranded(handles, Errno::FULL);
    actions.extend(told.map(|(to, input)| Action::Deliver { to, input }));
}

/// The one-time right to answer there.
fn reply_capability(to: ReplyTo) -> Capability {
    Capability {
        kind: CapKind::Reply,
        address: to.address,
        rights: pando_abi::Rights::REPLY,
        grant: 0,
        badge: 0,
        token: to.token,
    }
}

fn answer(actions: &mut impl Sink, to: Option<ReplyTo>, status: u16, message: Box<Message>, standing: Standing) {
    if let Some(to) = to {
        actions.deliver(to.address, Input::Reply { token: to.token, status, message, standing });
    }
}

/// Is the guest's code to blame, so that what it asked for is not done?
pub fn is_fault(kind: ExitKind) -> bool {
    matches!(kind, ExitKind::Fault | ExitKind::CpuLimit | ExitKind::MemoryLimit)
}
