//! An actor as a Raft machine: the same process as a plain one, with the log as its mailbox.
//!
//! Owns: the process, the actor, what was heard from other groups, what was said and not acknowledged. Does not know:
//! who leads and why, where anything is; a [`Port`] lets the effects out when this replica leads.
//!
//! 1. `apply` depends on nothing but the state and the entry: time and randomness are fields of the entry, fuel is
//!    metered, and time never goes back.
//! 2. An input with a stamp is handled once, and in the order of its stamps.
//! 3. An entry that stands in the log twice (a retried proposal) is applied once and answered twice alike, also when its
//!    proposer has booted anew in between.
//! 4. What the group says is part of its state until it was heard.
//! 5. An entry that is skipped, for whoever handles it dies of it, counts as heard and as served, and no guest sees it: who
//!    waits for an answer hears `TRAPPED`.
//! 6. The epoch (engine, ABI, module, limits) stands in the state; it changes by an entry of the log and by nothing else.

pub mod entry;
pub mod heard;
mod lack;
#[cfg(test)]
mod promises;
pub mod query;
mod snapshot;
pub mod state;
mod upgrade;

use std::{any::Any, collections::BTreeMap, sync::Arc};

use entry::{BATCH, BIRTH, Batch, Birth, ItemOutcome, Outcome, Stamp, UPGRADE};
use heard::{Heard, SPEAKERS_MAX, Sense};
use lack::fit;
pub use lack::{LACKS_MODULE, NoModule};
use pando_abi::planted::{Bug, planted};
use pando_abi::{ActorId, Address, Errno, ExitKind, Home, ModuleHash, NodeId};
use pando_actors::{Actor, Capability, Effect, Event, Exit, Handled, Module};
use pando_raft::{Applied, Cut, Entry, Machine, Parts};

use crate::{
    input::{Action, Alarm, Input, ReplyTo, SpawnOrder, Standing, exit},
    launch,
    outbox::{ITEMS_MAX, Item, Outbox, Saying},
    platform::Tuning,
    process::{Guest, Identity, Moment, Process, Stepped},
    supervise::{Supervisor, Verdict},
    wire::{self, WireInput},
};

/// Boots of proposers that are remembered; the one whose latest entry is the oldest goes first.
const PROPOSERS_MAX: usize = 256;
/// Bytes of a birth, batch or snapshot that are taken at most.
const STATE_BYTES_MAX: usize = 2 << 30;

/// How a replica reaches the world. Called on the thread that applies; must not block.
pub trait Port: Send + Sync {
    /// The module, from this node's own store.
    ///
    /// # Errors
    /// See there: what all replicas say alike, and what only this node's disk is to blame for.
    fn module(&self, hash: ModuleHash) -> Result<Arc<Module>, NoModule>;
    /// This replica leads from now on: everything that is still to be said, every alarm that is set.
    fn leads(&self, group: ActorId, term: u64, standing: Leading);
    /// It no longer leads.
    fn follows(&self, group: ActorId);
    /// What an entry gave, at the replica that leads.
    fn effects(&self, group: ActorId, output: Output);
    /// The group has ended.
    fn ended(&self, group: ActorId, exit: &Exit);
    /// How this node does what each may do otherwise.
    fn tuning(&self) -> Tuning {
        Tuning::default()
    }
}

/// What a new leader has to take up.
pub struct Leading {
    /// Unacknowledged sayings, in order.
    pub items: Vec<Item>,
    /// Alarms that are set.
    pub alarms: Vec<(u64, Alarm)>,
    /// Has the birth been applied?
    pub born: bool,
    /// How it ended, if it did.
    pub ended: Option<Exit>,
    /// The group's time.
    pub time_ns: u64,
    /// Its epoch, and the module that runs in it.
    pub epoch: Option<(u32, ModuleHash)>,
    /// What watches and links there are to plain actors: asked for again, for whoever led before may have missed an end.
    pub interests: Vec<(Address, Input)>,
}

/// The latest entry of one boot of a proposer.
struct Proposer {
    seq: u64,
    index: u64,
    outcome: Vec<u8>,
}

struct Living {
    process: Process,
    actor: Actor,
}

/// See the module.
pub struct Replica {
    group: ActorId,
    node: NodeId,
    port: Arc<dyn Port>,
    leading: bool,
    /// The entry at hand is skipped.
    skipping: bool,
    time_ns: u64,
    events: u64,
    index: u64,
    proposers: BTreeMap<([u8; 16], u64), Proposer>,
    heard: Heard,
    outbox: Outbox,
    birth: Option<(Birth, SpawnOrder)>,
    supervisor: Option<Supervisor>,
    generation: u32,
    living: Option<Living>,
    ended: Option<Exit>,
    /// Room for the effects and the actions of one event.
    effects: Vec<Effect>,
    actions: Vec<Action>,
}

/// What applying gave, beside the state.
#[derive(Default)]
pub struct Output {
    /// To be said, in order.
    pub items: Vec<Item>,
    /// The group's time.
    pub time_ns: u64,
    /// Alarms to set (with their time) and to take back.
    pub alarms: Vec<(Option<u64>, Alarm)>,
    /// Lines that the actor wrote: level, text.
    pub logs: Vec<(u8, String)>,
    /// Who has to be told that the outbox was full, and what: the group itself by way of its log, and those who wait.
    pub unsaid: Vec<(Address, Input)>,
    /// An epoch that began, and the module that runs in it.
    pub epoch: Option<(u32, ModuleHash)>,
    /// Did the group end?
    pub ended: bool,
}

impl Replica {
    /// A replica before its first entry.
    pub fn new(group: ActorId, node: NodeId, port: Arc<dyn Port>) -> Replica {
        Replica {
            group,
            node,
            port,
            leading: false,
            skipping: false,
            time_ns: 0,
            events: 0,
            index: 0,
            proposers: BTreeMap::new(),
            heard: Heard::default(),
            outbox: Outbox::default(),
            birth: None,
            supervisor: None,
            generation: 0,
            living: None,
            ended: None,
            effects: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// Has the birth been applied?
    pub fn is_born(&self) -> bool {
        self.birth.is_some()
    }

    /// How it ended, if it did.
    pub fn ended(&self) -> Option<&Exit> {
        self.ended.as_ref()
    }

    /// Events handled, restarts, bytes of memory, unacknowledged sayings.
    pub fn figures(&self) -> (u64, u32, u64, usize) {
        let memory = self.living.as_ref().map_or(0, |l| l.actor.memory_bytes());
        (self.events, self.generation, memory, self.outbox.len())
    }

    /// How much there is of what is bounded: what it is, how much, and how much there may be.
    pub fn bounds(&self) -> Vec<(&'static str, usize, usize)> {
        let unheard = self.outbox.len();
        let mut all = vec![
            ("sayings of a group that are not heard", unheard, ITEMS_MAX),
            ("receivers of what is not heard", self.outbox.receivers(), unheard),
            ("groups that a group has heard", self.heard.len(), SPEAKERS_MAX),
            ("proposers that a group remembers", self.proposers.len(), PROPOSERS_MAX),
        ];
        all.extend(self.process().into_iter().flat_map(Process::bounds));
        all
    }

    /// The process, while it lives.
    pub fn process(&self) -> Option<&Process> {
        self.living.as_ref().map(|l| &l.process)
    }

    fn apply_birth(&mut self, payload: &[u8], moment: Moment, out: &mut Output) -> Result<(), String> {
        if self.birth.is_some() {
            return Ok(());
        }
        let birth: Birth = wire::decode(payload, STATE_BYTES_MAX).map_err(|e| e.to_string())?;
        let order = birth.order.clone().open().map_err(|e| e.to_string())?;
        self.supervisor = Some(Supervisor::new(&order.spec));
        self.birth = Some((birth, order));
        self.start(None, moment, out);
        Ok(())
    }

    /// Starts the actor, for the first time or again after another life.
    fn start(&mut self, before: Option<&Process>, moment: Moment, out: &mut Output) {
        let Some((birth, order)) = &self.birth else { return };
        if self.skipping {
            return self.over(exit(ExitKind::Fault, "its start has killed the processes of its replicas"), moment, out);
        }
        let identity = Identity {
            me: Address::group(self.group),
            node: NodeId::NONE,
            generation: self.generation,
            replicated: true,
            resumes: self.supervisor.as_ref().is_some_and(Supervisor::resumes),
        };
        let hash = ModuleHash(birth.module);
        let limits = launch::limits(&order.spec);
        let made = self
            .port
            .module(hash)
            .map_err(|why| exit(ExitKind::BadModule, fit(hash, why)))
            .and_then(|module| Actor::new(&module, limits, launch::birth(&identity, order, 0)));
        match made {
            Ok(actor) => {
                let process = before.map_or_else(|| Process::new(identity), |before| Process::again(identity, before));
                let (args, handles) = (order.args.clone(), order.handles.clone());
                self.living = Some(Living { process, actor });
                let input = Input::Start { args, handles, restarted: before.is_some() };
                self.step(input, None, moment, out);
            }
            Err(why) => self.over(why, moment, out),
        }
    }

    /// One input through the process; the answer to `asked`, if it came at once, is returned instead of said.
    fn step(
        &mut self,
        input: Input,
        asked: Option<ReplyTo>,
        moment: Moment,
        out: &mut Output,
    ) -> Option<(u16, Box<pando_actors::Message>, u64)> {
        let living = self.living.as_mut()?;
        let mut actions = std::mem::take(&mut self.actions);
        // An alarm that was called proves that its time has come, whatever the clocks of the nodes say.
        self.time_ns = self.time_ns.max(living.process.due(&input).unwrap_or(0));
        let moment = Moment { now_ns: self.time_ns.max(moment.now_ns), ..moment };
        let Stepped { end, ran, undone, .. } = if self.skipping {
            let mut guest = Untouched(&living.actor);
            living.process.step(&mut guest, input, moment, &mut self.effects, &mut actions)
        } else {
            living.process.step(&mut living.actor, input, moment, &mut self.effects, &mut actions)
        };
        self.events += u64::from(ran);
        if let Some(fault) = undone {
            out.logs.push((1, format!("event undone, {}", crate::input::describe(&fault))));
        }
        let answer = self.perform(actions.drain(..), asked, moment, out);
        self.actions = actions;
        if let Some(why) = end {
            let before = self.living.take().map(|living| living.process);
            let restart = self.supervisor.as_mut().map(|s| s.ended(why.kind, moment.now_ns));
            out.logs.push((2, format!("ended, {}", crate::input::describe(&why))));
            if restart == Some(Verdict::Restart) {
                self.generation += 1;
                self.start(before.as_ref(), moment, out);
            } else {
                self.over(*why, moment, out);
            }
        }
        answer
    }

    /// Takes up what a step asked for; the answer to `asked`, if there is one, is returned instead of said.
    fn perform(
        &mut self,
        actions: impl Iterator<Item = Action>,
        asked: Option<ReplyTo>,
        moment: Moment,
        out: &mut Output,
    ) -> Option<(u16, Box<pando_actors::Message>, u64)> {
        let mut answer = None;
        for action in actions {
            match action {
                Action::Deliver { to, input: Input::Reply { token, status, message, standing } }
                    if asked == Some(ReplyTo { address: to, token }) && to.home != Home::Group =>
                {
                    answer = Some((status, message, standing.index));
                }
                Action::Deliver { to, input } => _ = self.say(to, Saying::Deliver(input), moment.standing.index, out),
                Action::Spawn(order) => {
                    let child = order.child;
                    let said = self.say(child, Saying::Spawn(order), moment.standing.index, out);
                    if let (false, Some(living)) = (said, &mut self.living) {
                        living.process.child_ended(child);
                    }
                }
                Action::Alarm { at_ns, alarm } => out.alarms.push((Some(at_ns), alarm)),
                Action::Disarm { alarm, .. } => out.alarms.push((None, alarm)),
                Action::Log { level, text } => out.logs.push((level, text)),
            }
        }
        answer
    }

    fn forget_proposers(&mut self) {
        while self.proposers.len() > PROPOSERS_MAX {
            let oldest = self.proposers.iter().min_by_key(|(_, p)| p.index).map(|(id, _)| *id);
            oldest.map(|id| self.proposers.remove(&id));
        }
    }

    /// `false`: it cannot be said. Who waits for it is told.
    fn say(&mut self, to: Address, saying: Saying, index: u64, out: &mut Output) -> bool {
        if !self.outbox.is_full() {
            out.items.extend(self.outbox.push(to, index, saying));
            return true;
        }
        if out.unsaid.is_empty() {
            out.logs.push((1, format!("the outbox is full; something to {to} was not said")));
        }
        if let Saying::Deliver(input) = &saying {
            for (who, told) in crate::input::undeliverable(to, input, Errno::FULL) {
                match (out.unsaid.last_mut(), &told) {
                    (Some((last, Input::Bounce { count, .. })), Input::Bounce { .. }) if *last == who => *count += 1,
                    _ => out.unsaid.push((who, told)),
                }
            }
        }
        false
    }

    fn over(&mut self, why: Exit, moment: Moment, out: &mut Output) {
        self.living = None;
        if let Some(parent) = self.birth.as_ref().map(|(_, order)| order.parent.address)
            && parent.home != Home::Service
        {
            let child = Address::group(self.group);
            self.say(parent, Saying::Deliver(Input::ChildEnded { child }), moment.standing.index, out);
        }
        self.ended = Some(why);
        out.ended = true;
    }

    fn apply_batch(&mut self, batch: Batch, moment: Moment, out: &mut Output) -> Vec<ItemOutcome> {
        for (to, seq) in batch.acks {
            if let Ok(to) = to.open() {
                self.outbox.acknowledge(to, seq);
            }
        }
        // As if what this node writes at most were what anybody does.
        let most = if planted(Bug::ReadByOwnTuning) { self.port.tuning().batch_items_max } else { usize::MAX };
        batch
            .items
            .into_iter()
            .take(most)
            .enumerate()
            .map(|(n, item)| {
                // Each item has its own randomness, drawn from the entry's.
                let seed = moment.seed ^ (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                self.apply_item(item.stamp, item.input, Moment { seed, ..moment }, out)
            })
            .collect()
    }

    fn apply_item(&mut self, stamp: Option<Stamp>, input: WireInput, moment: Moment, out: &mut Output) -> ItemOutcome {
        if let Some(why) = &self.ended {
            return ItemOutcome::Dead(why.into());
        }
        if self.birth.is_none() {
            return ItemOutcome::NotBorn;
        }
        match stamp.map(|stamp| self.heard.hear(stamp)) {
            None | Some(Sense::News) => {}
            Some(Sense::Repeated) => return ItemOutcome::Duplicate,
            Some(Sense::Early { expected }) => return ItemOutcome::Gap { expected },
        }
        let input = match input.open() {
            Ok(input) => input,
            Err(e) => {
                out.logs.push((2, format!("an input was dropped, {e}")));
                return ItemOutcome::Done;
            }
        };
        let asked = input.reply();
        match self.step(input, asked, moment, out) {
            Some((status, message, index)) => ItemOutcome::Answered { status, message: (&*message).into(), index },
            None => ItemOutcome::Done,
        }
    }

    fn let_out(&mut self, mut out: Output) -> [u8; 32] {
        out.time_ns = self.time_ns;
        let digest = if out.items.is_empty() {
            [0; 32]
        } else {
            let mut hash = blake3::Hasher::new();
            for item in &out.items {
                hash.update(&wire::encode(&(
                    crate::wire::WireAddress::from(item.to),
                    item.seq,
                    crate::outbox::WireSaying::from(&item.saying),
                )));
            }
            *hash.finalize().as_bytes()
        };
        if self.leading {
            let ended = out.ended;
            if !out.items.is_empty() || !out.alarms.is_empty() || !out.logs.is_empty() || out.epoch.is_some() {
                // What was not said has left a line in the log.
                self.port.effects(self.group, out);
            }
            if let (true, Some(why)) = (ended, &self.ended) {
                self.port.ended(self.group, why);
            }
        }
        digest
    }
}

/// The guest while an entry is skipped: nothing reaches it.
struct Untouched<'a>(&'a Actor);

impl Guest for Untouched<'_> {
    fn handle(&mut self, _: &Event<'_>, _: &mut Vec<Effect>) -> Handled {
        Handled { refused: Some(Errno::TRAPPED), ..Handled::default() }
    }
    fn query(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        self.handle(event, effects)
    }
    fn open_replies(&self) -> Vec<Capability> {
        self.0.open_replies()
    }
}

impl Machine for Replica {
    fn skip(&mut self, index: u64, entry: &Entry) -> Applied {
        self.skipping = true;
        let applied = self.apply(index, entry);
        self.skipping = false;
        applied
    }

    fn apply(&mut self, index: u64, entry: &Entry) -> Applied {
        self.index = index;
        self.time_ns = if planted(Bug::TimeGoesBack) { entry.time_ns } else { self.time_ns.max(entry.time_ns) };
        let proposer = (entry.origin, entry.incarnation);
        if let Some(known) = self.proposers.get(&proposer)
            && entry.seq <= known.seq
        {
            // The latest is answered again; an older one has no asker any more.
            let outcome = if entry.seq == known.seq { known.outcome.clone() } else { Vec::new() };
            return Applied { outcome, effects_digest: [0; 32] };
        }
        let standing = Standing { index, linear: false, node: self.node.0 };
        // The node that answers is not part of the state: it must not reach the guest or the digest.
        let moment = Moment { now_ns: self.time_ns, seed: entry.seed, standing: Standing { node: 0, ..standing } };
        let mut out = Output::default();
        if self.skipping {
            let text = format!("entry {index} is poisoned: whoever handles it dies of it. It was skipped");
            out.logs.push((1, text));
        }
        let outcome = match entry.kind {
            UPGRADE if self.skipping => {
                let why = "it has killed the processes of the replicas".into();
                Outcome::Switched(entry::Switched::Refused { errno: Errno::TRAPPED.code(), why })
            }
            BIRTH => match self.apply_birth(&entry.payload, moment, &mut out) {
                Ok(()) => Outcome::Items(Vec::new()),
                Err(why) => {
                    tracing::error!(group = %self.group, index, %why, "a birth cannot be read");
                    Outcome::Malformed("the birth cannot be read".into())
                }
            },
            BATCH => match wire::decode::<Batch>(&entry.payload, STATE_BYTES_MAX) {
                Ok(batch) => Outcome::Items(self.apply_batch(batch, moment, &mut out)),
                Err(why) => {
                    // The decoder's words may differ from node to node; what stands in the state must not.
                    tracing::error!(group = %self.group, index, %why, "a batch cannot be read");
                    Outcome::Malformed("the batch cannot be read".into())
                }
            },
            UPGRADE => self.apply_upgrade(&entry.payload, moment, &mut out),
            other => Outcome::Malformed(format!("entry kind {other}")),
        };
        let outcome = wire::encode(&outcome);
        self.proposers.insert(proposer, Proposer { seq: entry.seq, index, outcome: outcome.clone() });
        self.forget_proposers();
        let mut effects_digest = self.let_out(out);
        if planted(Bug::OwnNumber) {
            effects_digest[0] ^= self.node.0 as u8;
        }
        Applied { outcome, effects_digest }
    }

    // Over the guest's pages, globals and handles, and over what the kernel keeps for it. Who was served and with what is in
    // the chain, which has every entry and outcome.
    fn batch_end(&mut self) -> [u8; 32] {
        let mut hash = blake3::Hasher::new_derive_key("pando 2026 replica root");
        let mut number = |n: u64| {
            hash.update(&n.to_le_bytes());
        };
        number(u64::from(self.generation));
        if let Some((birth, _)) = &self.birth {
            number(u64::from(birth.epoch));
            birth.module.as_chunks::<8>().0.iter().for_each(|part| number(u64::from_le_bytes(*part)));
        }
        number(self.ended.as_ref().map_or(u64::MAX, |why| why.kind as u64));
        number(self.time_ns);
        number(self.events);
        number(self.outbox.len() as u64);
        for (group, seq) in self.heard.iter() {
            group.0.as_chunks::<8>().0.iter().for_each(|half| number(u64::from_le_bytes(*half)));
            number(seq);
        }
        if let Some(living) = &mut self.living {
            living.process.counts().into_iter().for_each(|(_, n)| number(n as u64));
            hash.update(&living.actor.root());
        }
        *hash.finalize().as_bytes()
    }

    fn snapshot(&mut self) -> Vec<u8> {
        self.whole()
    }

    fn restore(&mut self, image: &[u8]) -> Result<(), String> {
        self.take_rows(image, std::iter::empty())
    }

    fn cut(&mut self) -> Box<dyn Cut> {
        Box::new(self.cut_in_parts())
    }

    fn take_up(&mut self, image: &dyn Parts) -> Result<(), String> {
        self.take_parts(image)
    }

    fn role(&mut self, leading: bool, term: u64) {
        self.leading = leading;
        if leading {
            let alarms = self.living.as_ref().map(|l| l.process.alarms().collect()).unwrap_or_default();
            let items = if planted(Bug::OutboxForgotten) { Vec::new() } else { self.outbox.items() };
            let interests = self.living.as_ref().map(|l| l.process.interests().collect()).unwrap_or_default();
            let (born, ended, time_ns) = (self.is_born(), self.ended.clone(), self.time_ns);
            let epoch = self.epoch();
            let standing = Leading { items, alarms, born, ended, time_ns, epoch, interests };
            self.port.leads(self.group, term, standing);
        } else {
            self.port.follows(self.group);
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl Replica {
    /// Flips a bit in the guest's memory, for tests. `false`: it has none in use.
    #[doc(hidden)]
    pub fn flip(&mut self, bit: u8) -> bool {
        self.living.as_mut().is_some_and(|living| living.actor.flip(bit))
    }

    /// The guest, for what only looks.
    pub fn guest(&self) -> Option<&dyn Guest> {
        self.living.as_ref().map(|l| &l.actor as &dyn Guest)
    }
}
