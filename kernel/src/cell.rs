//! A plain actor on this node: a mailbox, a process, and a turn on a worker.
//!
//! Owns: the life of one address on this node, restarts included. Does not know: where anything else is; the
//! [`Kernel`] takes its actions.
//!
//! 1. One worker at a time runs a cell; one activation handles a batch.
//! 2. What is pushed is handled or comes back: nothing is dropped in silence, at the end neither.
//! 3. Whoever finds the mailbox empty and puts something in wakes the cell. A turn takes out everything that waits before it ends
//!    idle, so what is put in behind something needs no wake of its own.

mod alarms;
mod living;
mod outlet;
mod still;
mod upgrade;
mod way;

use std::{
    cell::Cell as ThreadCell,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use pando_abi::{Address, Errno, ExitKind};
use pando_actors::{Actor, Effect, Exit, Hand, Mailbox, Module};
use pando_scheduler::{Header, Outcome, Runnable, Turn};
use parking_lot::Mutex;

use crate::{
    input::{Input, SpawnOrder, Standing, exit},
    launch, logbook,
    node::Kernel,
    process::{Identity, Moment, Process},
    supervise::{Supervisor, Verdict},
};

use still::Still;
pub use upgrade::Switch;
pub use way::Way;

use alarms::Alarms;
use living::{Life, Living};
use outlet::{Counted, Outlet};
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
    /// Is there something to be done between two events: does new code wait, or shall it stand still, or does it?
    switches: AtomicBool,
    /// Written by its turns alone.
    events: AtomicU64,
    /// The move that brought it here; 0: it was born here.
    mark: AtomicU64,
    /// The latest time that it was told elsewhere.
    floor_ns: u64,
    /// Has it come from elsewhere? What is for it may have to take a longer way than is seen here.
    came: bool,
    limit_ms: u64,
}

struct Post {
    mailbox: Mailbox<Input>,
    open: bool,
    /// Bounces that have come since the last one was handled.
    bounces: u64,
    /// The reason of the latest of them.
    bounced: u16,
    /// When the timer of its alarms fired, if it has since the last look.
    due_ns: Option<u64>,
    /// New code, for before the next event.
    upgrade: Option<Upgrade>,
    /// It shall stand still, or does.
    still: Option<Still>,
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
/// Effects for which a thread keeps room.
const SCRATCH_MAX: usize = 1_024;

thread_local! {
    /// Room for the effects of one event, used by one actor after another.
    static SCRATCH: ThreadCell<Vec<Effect>> = const { ThreadCell::new(Vec::new()) };
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
        let priority = launch::priority(&order.spec);
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
            switches: AtomicBool::new(false),
            events: AtomicU64::new(0),
            mark: AtomicU64::new(0),
            floor_ns: 0,
            came: false,
            limit_ms,
        })
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Puts an input in the mailbox. True: the cell must be woken. The input comes back with the reason if it cannot be taken.
    ///
    /// # Errors
    /// `FULL` and `DEAD`, with the input.
    #[inline]
    pub fn push(&self, input: Input) -> Result<bool, (Errno, Input)> {
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
        let (size, first) = (input.size(), post.mailbox.is_empty());
        match input {
            Input::Message(_) => post.mailbox.push(input, size).map_err(|input| (Errno::FULL, input))?,
            Input::Bounce { status, count } => {
                let waits = post.bounces > 0;
                post.bounces += count.max(1);
                post.bounced = status;
                if waits {
                    return Ok(false);
                }
                post.mailbox.push_system(input, size);
            }
            _ => match input.signals_max() {
                Some(max) => post.mailbox.push_signal(input, max).map_err(|input| (Errno::FULL, input))?,
                None => post.mailbox.push_system(input, size),
            },
        }
        Ok(first)
    }

    /// Events handled.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Has it ever dealt with another node?
    #[inline]
    pub fn is_far(&self) -> bool {
        self.far.load(Ordering::Relaxed)
    }

    /// Has it come from elsewhere?
    #[inline]
    pub fn has_come(&self) -> bool {
        self.came
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
                facts.mailbox += living.hand.len();
                facts.memory = living.actor.memory_bytes();
                facts.restarts = living.supervisor.restarts;
                facts.counts = living.process.counts().to_vec();
                facts.counts.push(("handles", living.actor.handles_len()));
            }
            Life::Asleep(asleep) => {
                facts.state = "running";
                facts.memory = asleep.actor.memory_bytes();
                facts.counts = asleep.process(self, self.address.node).counts().to_vec();
                facts.counts.push(("handles", asleep.actor.handles_len()));
            }
            Life::Ended => facts.state = "ended",
        }
        facts
    }

    /// The module that it runs, once it has been found.
    pub fn module(&self) -> Option<Arc<Module>> {
        self.module.lock().clone()
    }

    #[inline]
    fn moment(&self, kernel: &Kernel) -> Moment {
        let door = kernel.door();
        let standing = Standing { index: 0, linear: false, node: kernel.id().0 };
        Moment { now_ns: door.now_ns().max(self.floor_ns), seed: door.seed(), standing }
    }

    /// Makes the actor and its start event.
    fn start(
        &self,
        order: Box<SpawnOrder>,
        module: &Arc<Module>,
        supervisor: Supervisor,
        before: Option<&Process>,
        kernel: &Kernel,
    ) -> Result<(Box<Living>, Input), Exit> {
        let identity = Identity {
            me: self.address,
            node: kernel.id(),
            generation: supervisor.restarts,
            replicated: false,
            resumes: supervisor.resumes(),
        };
        let actor =
            Actor::new(module, launch::limits(&order.spec), launch::birth(&identity, &order, kernel.incarnation().0))?;
        let process = before.map_or_else(|| Process::new(identity), |before| Process::again(identity, before));
        let (args, handles) = (order.args.clone(), order.handles.clone());
        let order = (!supervisor.is_of_one_life()).then_some(order);
        let living = Box::new(Living::new(order, supervisor, process, actor));
        Ok((living, Input::Start { args, handles, restarted: before.is_some() }))
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
    fn first(
        &self,
        order: Box<SpawnOrder>,
        module: Result<Arc<Module>, String>,
        kernel: &Arc<Kernel>,
        effects: &mut Vec<Effect>,
    ) -> Life {
        let supervisor = Supervisor::new(&order.spec);
        let passed = order.handles.clone();
        let made = module
            .map_err(|why| exit(ExitKind::BadModule, why))
            .and_then(|module| self.start(order, &module, supervisor, None, kernel));
        match made {
            Ok((mut living, input)) => {
                if self.handle(&mut living, input, self.moment(kernel), kernel, effects) {
                    Life::Running(living)
                } else {
                    Life::Ended
                }
            }
            Err(why) => {
                kernel.log(self.address, 1, format!("could not start, {}", crate::input::describe(&why)));
                kernel.answer_for(self.address, &passed, Errno::DEAD);
                kernel.remember_end(self.address, &why);
                Life::Ended
            }
        }
    }

    /// One input. `false`: the actor has ended for good.
    #[inline]
    fn handle(
        &self,
        living: &mut Box<Living>,
        input: Input,
        moment: Moment,
        kernel: &Arc<Kernel>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        LIMIT_NS.set(self.limit_ms * 1_000_000);
        BEGAN_NS.set(u64::MAX);
        let Living { process, actor, alarms, way, .. } = &mut **living;
        let mut outlet = Outlet { cell: self, kernel, alarms, way };
        let stepped = process.step(&mut Counted { actor, cell: self }, input, moment, effects, &mut outlet);
        LIMIT_NS.set(0);
        if let Some(fault) = stepped.undone {
            kernel.log(self.address, 2, format!("event undone, {}", logbook::with_trace(&fault)));
        }
        match stepped.end {
            None => true,
            Some(why) => self.ended(living, &why, moment, kernel, effects),
        }
    }

    /// A life has ended. `false`: it was the last.
    fn ended(
        &self,
        living: &mut Box<Living>,
        why: &Exit,
        moment: Moment,
        kernel: &Arc<Kernel>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        living.alarms.rest(kernel.scheduler());
        if std::mem::take(&mut living.hot) {
            kernel.leave_hot_place();
        }
        let quiet = matches!(why.kind, ExitKind::Normal | ExitKind::Killed);
        kernel.log_end(self.address, quiet, why);
        if living.supervisor.ended(why.kind, moment.now_ns) == Verdict::End {
            kernel.remember_end(self.address, why);
            return false;
        }
        kernel.log(self.address, 3, format!("restart {}", living.supervisor.restarts));
        // Who may be started again has its order.
        let Some(order) = living.order.take() else { return false };
        let again = self.start(order, living.actor.module(), living.supervisor.clone(), Some(&living.process), kernel);
        match again {
            Ok((fresh, input)) => {
                let hand = std::mem::take(&mut living.hand);
                *living = fresh;
                living.hand = hand;
                self.handle(living, input, self.moment(kernel), kernel, effects)
            }
            Err(why) => {
                kernel.remember_end(self.address, &why);
                false
            }
        }
    }

    /// Takes what waits into the hand, and the alarms that are due behind it. True: nothing is left in the mailbox.
    #[inline]
    fn look(&self, living: &mut Living, kernel: &Kernel) -> bool {
        let all = living.hand.is_empty();
        let due_ns = {
            let mut post = self.post.lock();
            post.mailbox.deal(&mut living.hand);
            post.due_ns.take()
        };
        if let Some(now_ns) = due_ns {
            while let Some(alarm) = living.alarms.due(now_ns) {
                living.hand.push(alarm.input());
            }
            living.alarms.arm(kernel.scheduler(), &self.this);
        }
        all
    }

    /// Handles what waits, within the budget. `None`: the actor has ended for good.
    fn work(
        &self,
        living: &mut Box<Living>,
        turn: &mut Turn<'_>,
        kernel: &Arc<Kernel>,
        effects: &mut Vec<Effect>,
    ) -> Option<Outcome> {
        let mut all = self.look(living, kernel);
        let (mut tick, mut moment) = (turn.tick(), self.moment(kernel));
        let mut left = turn.events_max();
        while left > 0 && !turn.slice_over() {
            if self.switches.load(Ordering::Relaxed) {
                if self.attend(living, kernel, effects) {
                    return Some(Outcome::Idle);
                }
                // What was in the hand may have been put back.
                all = self.look(living, kernel);
            }
            let input = match living.hand.pop() {
                Some(Input::Bounce { .. }) => {
                    let mut post = self.post.lock();
                    Input::Bounce { status: post.bounced, count: std::mem::take(&mut post.bounces) }
                }
                Some(input) => input,
                // What is put down after the look wakes the cell once more.
                None if all => break,
                None => {
                    all = self.look(living, kernel);
                    moment = self.moment(kernel);
                    continue;
                }
            };
            left -= 1;
            turn.handled(1);
            if turn.tick() == tick {
                moment.seed = kernel.door().seed();
            } else {
                (tick, moment) = (turn.tick(), self.moment(kernel));
            }
            if !self.handle(living, input, moment, kernel, effects) {
                return None;
            }
        }
        Some(if all && living.hand.is_empty() { Outcome::Idle } else { Outcome::Again })
    }

    /// Between two events: new code, and then standing still. True: it stands still.
    fn attend(&self, living: &mut Living, kernel: &Arc<Kernel>, effects: &mut Vec<Effect>) -> bool {
        loop {
            let mut post = self.post.lock();
            if let Some(upgrade) = post.upgrade.take() {
                drop(post);
                self.switch(living, upgrade, kernel, effects);
            } else if let Some(asked) = post.begin_still(&mut living.hand) {
                drop(post);
                if self.lie_still(living, asked, kernel) {
                    return true;
                }
            } else {
                let still = post.stands_still();
                self.switches.store(still, Ordering::Relaxed);
                return still;
            }
        }
    }

    /// Shuts the mailbox, and tells the senders of what still waits in it, and before it in the hand.
    fn close(&self, mut hand: Hand<Input>, kernel: &Arc<Kernel>) {
        let mut left: Vec<Input> = std::iter::from_fn(|| hand.pop()).collect();
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

impl Cell {
    fn turn(&self, turn: &mut Turn<'_>, kernel: &Arc<Kernel>, effects: &mut Vec<Effect>) -> Outcome {
        // Whatever woke it waits in its mailbox until it goes on, which wakes it once more.
        if self.switches.load(Ordering::Relaxed) && self.post.lock().stands_still() {
            return Outcome::Idle;
        }
        let mut life = self.life.lock();
        if matches!(*life, Life::Ready(..))
            && let Life::Ready(order, module) = std::mem::replace(&mut *life, Life::Ended)
        {
            *life = self.first(order, module, kernel, effects);
            if matches!(*life, Life::Ended) {
                drop(life);
                self.close(Hand::default(), kernel);
                return Outcome::Idle;
            }
        }
        if matches!(*life, Life::Asleep(_))
            && let Life::Asleep(asleep) = std::mem::replace(&mut *life, Life::Ended)
        {
            *life = Life::Running(asleep.wake(self, kernel.id()));
        }
        let Life::Running(living) = &mut *life else { return Outcome::Idle };
        let Some(outcome) = self.work(living, turn, kernel, effects) else {
            let hand = std::mem::take(&mut living.hand);
            *life = Life::Ended;
            drop(life);
            self.close(hand, kernel);
            return Outcome::Idle;
        };
        // One that stands still is left as it was packed.
        if outcome == Outcome::Again || self.switches.load(Ordering::Relaxed) {
            living.way.rest();
        } else if living.rest(kernel)
            && let Life::Running(mut living) = std::mem::replace(&mut *life, Life::Ended)
        {
            {
                let mut post = self.post.lock();
                // What was handled last counts no longer, and nobody else would say so.
                post.mailbox.take_back(&mut living.hand);
                post.mailbox.rest();
            }
            *life = Life::Asleep(living.fall_asleep());
        }
        outcome
    }

    /// One event more.
    #[inline]
    fn count_event(&self) {
        self.events.store(self.events() + 1, Ordering::Relaxed);
    }
}

impl Runnable for Cell {
    fn header(&self) -> &Header {
        &self.header
    }

    fn run(&self, turn: &mut Turn<'_>) -> Outcome {
        let kept = turn.take_kept().filter(|kept| std::ptr::eq(Arc::as_ptr(kept), self.kernel.as_ptr()));
        let Some(kernel) = kept.or_else(|| self.kernel.upgrade()) else { return Outcome::Idle };
        let mut effects = SCRATCH.take();
        let outcome = self.turn(turn, &kernel, &mut effects);
        turn.keep(kernel);
        if effects.capacity() <= SCRATCH_MAX {
            SCRATCH.set(effects);
        }
        outcome
    }
}
