//! A plain actor on this node: a mailbox, a process, and a turn on a worker.
//!
//! Owns: the life of one address on this node, restarts included. Does not know: where anything else is; the
//! [`Kernel`] takes its actions.
//!
//! 1. One worker at a time runs a cell; one activation handles a batch.
//! 2. What is pushed is handled or comes back: nothing is dropped in silence, at the end neither.

mod still;
mod upgrade;

use std::{
    cell::Cell as ThreadCell,
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use pando_abi::{Address, Errno, ExitKind};
use pando_actors::{Actor, Effect, Exit, Mailbox, Module};
use pando_scheduler::{Header, Outcome, Runnable, TimerId, TimerSink, Turn};
use parking_lot::Mutex;

use crate::{
    input::{Action, Alarm, Input, SpawnOrder, Standing, exit},
    launch,
    node::Kernel,
    process::{Identity, Moment, Process},
    supervise::{Supervisor, Verdict},
};

use still::Still;
pub use upgrade::Switch;
use upgrade::Upgrade;

/// A plain actor on this node.
pub struct Cell {
    header: Header,
    address: Address,
    parent: Address,
    kernel: Weak<Kernel>,
    this: Weak<Cell>,
    post: Mutex<Post>,
    life: Mutex<Life>,
    module: Mutex<Option<Arc<Module>>>,
    /// Has it ever dealt with another node? If not, the loss of one is no news to it.
    far: AtomicBool,
    events: AtomicU64,
    /// The move that brought it here; 0: it was born here.
    mark: AtomicU64,
    /// The latest time that it was told elsewhere.
    floor_ns: u64,
    limit_ms: u64,
}

struct Post {
    mailbox: Mailbox<Input>,
    open: bool,
    /// Bounces that have come since the last one was handled.
    bounces: u64,
    /// The reason of the latest of them.
    bounced: u16,
    /// New code, for before the next event.
    upgrade: Option<Upgrade>,
    /// It shall stand still, or does.
    still: Option<Still>,
}

enum Life {
    /// The module is being found.
    Starting(Box<SpawnOrder>),
    /// It was found: the next turn starts the actor.
    Ready(Box<SpawnOrder>, Result<Arc<Module>, String>),
    Running(Box<Living>),
    Ended,
}

struct Living {
    order: SpawnOrder,
    module: Arc<Module>,
    supervisor: Supervisor,
    process: Process,
    actor: Actor,
    effects: Vec<Effect>,
    actions: Vec<Action>,
    alarms: BTreeMap<Alarm, TimerId>,
    /// Does it count among the node's hot actors?
    hot: bool,
}

/// What `ps` and `inspect` show of a cell.
#[derive(Clone, Debug)]
pub struct CellFacts {
    /// Its address.
    pub address: Address,
    /// Hash of its module.
    pub module: pando_abi::ModuleHash,
    /// `starting`, `running`, `ended`.
    pub state: &'static str,
    /// Messages waiting.
    pub mailbox: usize,
    /// Bytes of linear memory.
    pub memory: u64,
    /// Events handled.
    pub events: u64,
    /// Restarts so far.
    pub restarts: u32,
    /// Counts of what it holds.
    pub counts: Vec<(&'static str, usize)>,
}

/// How many times its limit of processor time an event may take by the wall clock.
const WALL_FACTOR: u64 = 5;

thread_local! {
    /// The limit of processor time of the event that this thread handles, in nanoseconds; 0: none is handled.
    static LIMIT_NS: ThreadCell<u64> = const { ThreadCell::new(0) };
    /// Processor time of this activation when the event began, as far as the first tick inside it could tell.
    static BEGAN_NS: ThreadCell<u64> = const { ThreadCell::new(u64::MAX) };
}

/// Called on the running thread at each tick that passes inside a guest: may it go on?
pub fn may_go_on(scheduler: &pando_scheduler::Scheduler) -> bool {
    let limit_ns = LIMIT_NS.get();
    if limit_ns == 0 {
        return true; // A replica: fuel is its limit.
    }
    let used = scheduler.overrun();
    if BEGAN_NS.get() == u64::MAX {
        BEGAN_NS.set(used.cpu_ns);
    }
    // On the low lane of a busy machine processor time hardly moves: patience has an end by the wall clock, too.
    let spent = used.cpu_ns.saturating_sub(BEGAN_NS.get());
    spent < limit_ns && used.wall_ns < WALL_FACTOR * limit_ns && !used.lane_full && !used.stopping
}

impl Cell {
    /// A cell whose mailbox is open and whose actor is yet to be made by its first turn.
    pub fn new(order: SpawnOrder, kernel: &Arc<Kernel>) -> Arc<Cell> {
        let priority = priority_of(&order.spec);
        let limit_ms = launch::limits(&order.spec).handler_ms;
        Arc::new_cyclic(|this| Cell {
            header: Header::new(priority),
            address: order.child,
            parent: order.parent.address,
            kernel: Arc::downgrade(kernel),
            this: this.clone(),
            post: Mutex::new(Post::new()),
            life: Mutex::new(Life::Starting(Box::new(order))),
            module: Mutex::default(),
            far: AtomicBool::new(false),
            events: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            floor_ns: 0,
            limit_ms,
        })
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Puts an input in the mailbox. It comes back with the reason if it cannot be taken.
    ///
    /// # Errors
    /// `FULL` and `DEAD`, with the input.
    pub fn push(&self, input: Input) -> Result<(), (Errno, Input)> {
        let mut post = self.post.lock();
        if !post.open {
            return Err((Errno::DEAD, input));
        }
        // A link that came from there ties it to that node as much as one that it asked for.
        if let Input::Link { peer, .. } = &input
            && peer.home == pando_abi::Home::Node
            && peer.node != self.address.node
        {
            self.far.store(true, Ordering::Relaxed);
        }
        let size = input.size();
        match input {
            Input::Message(_) => post.mailbox.push(input, size).map_err(|input| (Errno::FULL, input)),
            Input::Bounce { status, count } => {
                let first = post.bounces == 0;
                post.bounces += count.max(1);
                post.bounced = status;
                if first {
                    post.mailbox.push_system(input, size);
                }
                Ok(())
            }
            _ => {
                post.mailbox.push_system(input, size);
                Ok(())
            }
        }
    }

    /// Events handled.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Has it ever dealt with another node?
    pub fn is_far(&self) -> bool {
        self.far.load(Ordering::Relaxed)
    }

    /// What `ps` and `inspect` show. Waits for a running batch.
    pub fn facts(&self) -> CellFacts {
        let (mailbox, still) = {
            let post = self.post.lock();
            (post.mailbox.len(), post.still.is_some())
        };
        let mut facts = CellFacts {
            address: self.address,
            module: self.module().map(|m| m.hash()).unwrap_or_default(),
            state: "busy",
            mailbox,
            memory: 0,
            events: self.events.load(Ordering::Relaxed),
            restarts: 0,
            counts: Vec::new(),
        };
        // An actor in a long handler is listed without waiting for it.
        let Some(life) = self.life.try_lock_for(std::time::Duration::from_millis(20)) else { return facts };
        match &*life {
            Life::Starting(order) | Life::Ready(order, _) => {
                facts.state = "starting";
                facts.module = pando_abi::ModuleHash(order.spec.module);
            }
            Life::Running(living) => {
                facts.state = if still { "moving" } else { "running" };
                facts.memory = living.actor.memory_bytes();
                facts.restarts = living.supervisor.restarts;
                facts.counts = living.process.counts().to_vec();
                facts.counts.push(("handles", living.actor.handles_len()));
            }
            Life::Ended => facts.state = "ended",
        }
        facts
    }

    /// The module that it runs, once it has been found.
    pub fn module(&self) -> Option<Arc<Module>> {
        self.module.lock().clone()
    }

    fn moment(&self, kernel: &Kernel) -> Moment {
        let door = kernel.door();
        let standing = Standing { index: 0, linear: false, node: kernel.id().0 };
        Moment { now_ns: door.now_ns().max(self.floor_ns), seed: door.seed(), standing }
    }

    /// Makes the actor and its start event.
    fn start(
        &self,
        order: SpawnOrder,
        module: Arc<Module>,
        supervisor: Supervisor,
        before: Option<&Process>,
        kernel: &Kernel,
    ) -> Result<Box<Living>, Exit> {
        let identity = Identity {
            me: self.address,
            node: kernel.id(),
            generation: supervisor.restarts,
            replicated: false,
            resumes: supervisor.resumes(),
        };
        let actor = Actor::new(&module, launch::limits(&order.spec), launch::birth(&identity, &order))?;
        Ok(Box::new(Living {
            order,
            module,
            supervisor,
            process: before.map_or_else(|| Process::new(identity), |before| Process::again(identity, before)),
            actor,
            effects: Vec::new(),
            actions: Vec::new(),
            alarms: BTreeMap::new(),
            hot: false,
        }))
    }

    /// The module has been found, or not: the first turn can come.
    pub fn module_found(&self, module: Result<Arc<Module>, String>) {
        if let Ok(module) = &module {
            *self.module.lock() = Some(module.clone());
        }
        {
            let mut life = self.life.lock();
            if !matches!(*life, Life::Starting(_)) {
                return;
            }
            if let Life::Starting(order) = std::mem::replace(&mut *life, Life::Ended) {
                *life = Life::Ready(order, module);
            }
        }
        if let (Some(kernel), Some(this)) = (self.kernel.upgrade(), self.this.upgrade()) {
            kernel.wake(&this);
        }
    }

    /// The first turn.
    fn first(&self, order: SpawnOrder, module: Result<Arc<Module>, String>, kernel: &Arc<Kernel>) -> Life {
        let supervisor = Supervisor::new(&order.spec);
        let passed = order.handles.clone();
        let made = module
            .map_err(|why| exit(ExitKind::BadModule, why))
            .and_then(|module| self.start(order, module, supervisor, None, kernel));
        match made {
            Ok(mut living) => {
                let input = living.start_input(false);
                if self.handle(&mut living, input, kernel) { Life::Running(living) } else { Life::Ended }
            }
            Err(why) => {
                kernel.log(self.address, 1, format!("could not start, {}", crate::process::describe(&why)));
                kernel.answer_for(self.address, &passed, Errno::DEAD);
                kernel.remember_end(self.address, &why);
                Life::Ended
            }
        }
    }

    /// One input. `false`: the actor has ended for good.
    fn handle(&self, living: &mut Box<Living>, input: Input, kernel: &Arc<Kernel>) -> bool {
        LIMIT_NS.set(self.limit_ms * 1_000_000);
        BEGAN_NS.set(u64::MAX);
        let moment = self.moment(kernel);
        match input {
            Input::Timer { id } => drop(living.alarms.remove(&Alarm::Timer(id))),
            Input::Deadline { token } => drop(living.alarms.remove(&Alarm::Deadline(token))),
            _ => {}
        }
        let Living { process, actor, effects, actions, .. } = &mut **living;
        let stepped = process.step(actor, input, moment, effects, actions);
        LIMIT_NS.set(0);
        if stepped.ran {
            self.events.fetch_add(1, Ordering::Relaxed);
        }
        self.perform(living, kernel);
        if let Some(fault) = stepped.undone {
            kernel.log(self.address, 2, format!("event undone, {}", fault_text(&fault)));
        }
        let Some(why) = stepped.end else { return true };
        if std::mem::take(&mut living.hot) {
            kernel.leave_hot_place();
        }
        let quiet = matches!(why.kind, ExitKind::Normal | ExitKind::Killed);
        kernel.log(self.address, if quiet { 4 } else { 2 }, format!("ended, {}", fault_text(&why)));
        if living.supervisor.ended(why.kind, moment.now_ns) == Verdict::End {
            kernel.remember_end(self.address, &why);
            return false;
        }
        kernel.log(self.address, 3, format!("restart {}", living.supervisor.restarts));
        let (order, module, supervisor) = (living.order.clone(), living.module.clone(), living.supervisor.clone());
        let again = self.start(order, module, supervisor, Some(&living.process), kernel);
        match again {
            Ok(fresh) => {
                *living = fresh;
                let input = living.start_input(true);
                self.handle(living, input, kernel)
            }
            Err(why) => {
                kernel.remember_end(self.address, &why);
                false
            }
        }
    }

    fn perform(&self, living: &mut Living, kernel: &Arc<Kernel>) {
        let mut actions = std::mem::take(&mut living.actions);
        for action in actions.drain(..) {
            match action {
                Action::Deliver { to, input } => {
                    if to.home == pando_abi::Home::Node && to.node != kernel.id() && !self.is_far() {
                        self.far.store(true, Ordering::Relaxed);
                    }
                    // What it says to itself has one way, wherever it lives.
                    if to == self.address {
                        kernel.arrive_now(to, to, input, false);
                    } else {
                        kernel.deliver(self.address, to, input);
                    }
                }
                Action::Spawn(order) => {
                    if order.child.home == pando_abi::Home::Node && order.child.node != kernel.id() {
                        self.far.store(true, Ordering::Relaxed);
                    }
                    kernel.spawn(*order);
                }
                Action::Alarm { at_ns, alarm } => {
                    let sink: Weak<dyn TimerSink> = self.this.clone();
                    let id = kernel.scheduler().timer(at_ns, sink, alarm_key(alarm));
                    living.alarms.insert(alarm, id);
                }
                Action::Disarm(alarm) => {
                    if let Some(id) = living.alarms.remove(&alarm) {
                        kernel.scheduler().cancel(id);
                    }
                }
                Action::Log { level, text } => kernel.log(self.address, level, text),
            }
        }
        living.actions = actions;
    }

    /// Shuts the mailbox, and tells the senders of what still waits in it.
    fn close(&self, kernel: &Arc<Kernel>) {
        let mut left = Vec::new();
        {
            let mut post = self.post.lock();
            post.open = false;
            // Who asked for it hears that nobody is left to switch, or to move.
            (post.upgrade, post.still) = (None, None);
            while let Some(input) = post.mailbox.pop() {
                left.push(input);
            }
        }
        kernel.forget(self.address, self.events(), self.mark.load(Ordering::Relaxed));
        kernel.child_ended(self.parent, self.address);
        for input in left {
            // Who wants to know of the end is told how it was, which the kernel remembers by now.
            if matches!(input, Input::Watch { .. } | Input::Link { .. }) {
                kernel.arrive_now(self.address, self.address, input, false);
            } else {
                kernel.undelivered(self.address, &input, Errno::DEAD);
            }
        }
    }
}

impl Living {
    /// Nothing waits: the actor keeps its instance if the node has room for one more hot actor, and sinks to its image
    /// otherwise.
    fn rest(&mut self, kernel: &Kernel) {
        let hot = self.actor.is_hot();
        if hot && !self.hot && !kernel.take_hot_place() {
            self.actor.sleep();
            return;
        }
        self.hot = hot;
    }

    fn start_input(&self, restarted: bool) -> Input {
        Input::Start { args: self.order.args.clone(), handles: self.order.handles.clone(), restarted }
    }
}

fn fault_text(exit: &Exit) -> String {
    match exit.message.split_once('\n') {
        Some((_, trace)) => format!("{}\n{trace}", crate::process::describe(exit)),
        None => crate::process::describe(exit),
    }
}

impl Runnable for Cell {
    fn header(&self) -> &Header {
        &self.header
    }

    fn run(&self, turn: &mut Turn<'_>) -> Outcome {
        let Some(kernel) = self.kernel.upgrade() else { return Outcome::Idle };
        let mut life = self.life.lock();
        if matches!(*life, Life::Ready(..))
            && let Life::Ready(order, module) = std::mem::replace(&mut *life, Life::Ended)
        {
            *life = self.first(*order, module, &kernel);
            if matches!(*life, Life::Ended) {
                drop(life);
                self.close(&kernel);
                return Outcome::Idle;
            }
        }
        let Life::Running(living) = &mut *life else { return Outcome::Idle };
        for _ in 0..turn.events_max() {
            let input = {
                let mut post = self.post.lock();
                if post.stands_still() {
                    return Outcome::Idle;
                }
                if let Some(upgrade) = post.upgrade.take() {
                    drop(post);
                    self.switch(living, upgrade, &kernel);
                    continue;
                }
                if let Some(asked) = post.begin_still() {
                    drop(post);
                    if self.lie_still(living, asked, &kernel) {
                        return Outcome::Idle;
                    }
                    continue;
                }
                match post.mailbox.pop() {
                    Some(Input::Bounce { .. }) => {
                        Some(Input::Bounce { status: post.bounced, count: std::mem::take(&mut post.bounces) })
                    }
                    other => other,
                }
            };
            let Some(input) = input else {
                living.rest(&kernel);
                return Outcome::Idle;
            };
            turn.handled(1);
            if !self.handle(living, input, &kernel) {
                *life = Life::Ended;
                drop(life);
                self.close(&kernel);
                return Outcome::Idle;
            }
            if turn.slice_over() {
                break;
            }
        }
        Outcome::Again
    }
}

impl TimerSink for Cell {
    fn fire(&self, key: u64, _now_ns: u64) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        // A mailbox that is shut means that the actor has ended: its alarms are moot.
        if self.push(alarm_of(key).input()).is_ok()
            && let Some(this) = self.this.upgrade()
        {
            kernel.wake(&this);
        }
    }
}

fn priority_of(spec: &pando_abi::SpawnSpec) -> pando_scheduler::Priority {
    match spec.priority {
        0 => pando_scheduler::Priority::High,
        2 => pando_scheduler::Priority::Low,
        _ => pando_scheduler::Priority::Normal,
    }
}

/// An alarm as a timer's key.
pub fn alarm_key(alarm: Alarm) -> u64 {
    match alarm {
        Alarm::Timer(id) => id << 1,
        Alarm::Deadline(token) => token << 1 | 1,
    }
}

/// A timer's key as an alarm.
pub fn alarm_of(key: u64) -> Alarm {
    if key & 1 == 0 { Alarm::Timer(key >> 1) } else { Alarm::Deadline(key >> 1) }
}
