//! The simulator: a whole realm in one thread, from one seed.
//!
//! The nodes are real: kernel, scheduler in step mode, Wasm under its own limits, groups over openraft and the log engine.
//! Simulated are time, entropy, wires and disks ([`world`]); what goes wrong is drawn ([`nemesis`]), so is what people ask
//! ([`people`]); what must hold stands in [`check`], one file a property.
//!
//! A run has three phases. While it storms, anything may fail. Then everything is mended, and within a bounded simulated time
//! everybody must answer and agree. Then all is ended, and nothing may be left.
//!
//! 1. The same seed gives the same run, to the last message: [`Report::trace`].
//! 2. A panic anywhere is a failure, except of the log engine on a disk that was told to fail, and of a replica that has to
//!    wait for a module.

pub mod check;
pub mod disk;
pub mod flips;
pub mod nemesis;
pub mod operator;
pub mod people;
pub mod trace;
pub mod world;

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use ahash::random_state::{RandomSource, set_random_source};
use pando_kernel::replica::LACKS_MODULE;
use parking_lot::Mutex;

use self::{
    check::{
        bounds::Bounds,
        ends,
        members::{self, Members},
        replicas::Replicas,
    },
    disk::DiskCopy,
    flips::Flips,
    nemesis::{Nemesis, Weather},
    operator::{Order, may_wipe},
    people::{Board, Client, Shared, Sizes},
    trace::{Glance, Hash, Trace},
    world::{Death, TICK, Tuning, World},
};
use crate::dice::Dice;

/// While it storms, how likely a tick is the one whose disk is put back later, in a million.
const COPY_PPM: u64 = 3_000;
/// How long everybody must have been well before a disk is put back: what it told until then is known.
const KNOWN_AFTER: Duration = Duration::from_secs(3);
/// Ticks between two looks at every replica.
const LOOK_EVERY: u64 = 5;
/// Ticks between two looks at everything that is bounded.
const BOUNDS_EVERY: u64 = 25;
/// How long a node whose disk was wiped may try to take part.
const WIPED_MAX: Duration = Duration::from_secs(5);
/// The longest that founding may take.
const FOUND_MAX: Duration = Duration::from_secs(60);
/// The longest that mending may take, once nothing fails any more.
const MEND_MAX: Duration = Duration::from_secs(120);

/// What a run is made from.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// How long it storms; `None`: drawn.
    pub storm: Option<Duration>,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What should not have been: empty if all is well.
    pub found: Vec<String>,
    /// Everything that was seen.
    pub trace: Trace,
    /// Nodes.
    pub nodes: u32,
    /// Replicas of a group.
    pub replicas: u8,
    /// Simulated time.
    pub simulated: Duration,
    /// Calls that were answered, refused, and of which nobody knows.
    pub calls: (usize, usize, usize),
    /// Terms with a leader, and indexes compared between replicas.
    pub raft: (usize, usize),
    /// Bits that flipped in replicas' memories, and how many of them were found and mended.
    pub flips: (usize, usize),
    /// Boots.
    pub boots: u64,
    /// What people asked for, and what they were told.
    pub history: Vec<people::Deed>,
    /// What the nemesis did, with when.
    pub deeds: Vec<(Duration, String)>,
}

thread_local! {
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// One order for all: the log engine goes through its regions as its hash maps have them.
struct OneOrder;

impl RandomSource for OneOrder {
    fn gen_hasher_seed(&self) -> usize {
        0
    }
}

/// Sees to it that nothing in this process hashes by where a stack happens to lie, which is what `ahash` does when nobody asks
/// for anything else.
///
/// # Panics
/// If something has hashed before the first simulation.
fn hash_alike() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| set_random_source(OneOrder).expect("nothing has hashed yet"));
}

/// Sees to it that panics on threads that simulate are noted instead of printed.
fn note_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let noted = PANICS.with_borrow_mut(|panics| match panics {
                Some(panics) => {
                    panics.push(info.to_string());
                    true
                }
                None => false,
            });
            if !noted {
                usual(info);
            }
        }));
    });
}

/// Panics since the last call.
fn all_panics() -> Vec<String> {
    PANICS.with_borrow_mut(|panics| panics.as_mut().map(std::mem::take).unwrap_or_default())
}

/// Panics since the last call, but for those that a failing disk causes in the log engine, and those of a replica that waits
/// for a module.
fn panics() -> Vec<String> {
    let meant = |text: &String| text.contains("raft-engine") || text.contains(LACKS_MODULE);
    all_panics().into_iter().filter(|text| !meant(text)).collect()
}

struct Run {
    world: World,
    nemesis: Nemesis,
    flips: Flips,
    people: tokio::runtime::Runtime,
    people_since: tokio::time::Instant,
    board: Shared,
    replicas: Replicas,
    members: Members,
    bounds: Bounds,
    /// A machine with a wiped disk that was started nevertheless, and until when it may try to take part.
    wiping: Option<(usize, Duration)>,
    /// What the disk of a machine was once, if it is to be that again.
    old: Option<(usize, DiskCopy)>,
    /// A purpose of its own: what is drawn for it leaves the rest of a seed as it was.
    olden: Dice,
    dice: Dice,
    report: Report,
    ticks: u64,
}

/// Runs one seed.
pub fn run(options: Options) -> Report {
    hash_alike();
    note_panics();
    PANICS.set(Some(Vec::new()));
    pando_raft::draw_from(Some(options.seed));
    let ran = catch_unwind(AssertUnwindSafe(|| play(options)));
    let report = ran.unwrap_or_else(|_| Report { found: all_panics(), ..Report::default() });
    PANICS.set(None);
    pando_raft::draw_from(None);
    report
}

fn play(options: Options) -> Report {
    let mut dice = Dice::new(options.seed);
    let nodes = dice.pick(&[1, 2, 3, 3, 3, 3, 3, 5, 5, 7]);
    let replicas = dice.pick(&[1, 3, 3, 3, 5]).min(nodes as u8);
    let replicas = if replicas == 2 { 1 } else { replicas };
    // A purpose of its own: what is drawn for it leaves the rest of a seed as it was.
    let mut own = Dice::of(options.seed, 20);
    let tuning = Tuning::draw(&mut dice).with_kernel(&mut own);
    let mut world = World::new(&mut dice, nodes, tuning);
    let storms = dice.fork(10);
    let weather = Weather::draw(&mut dice, &mut own);
    let nemesis = Nemesis::new(storms, own, weather);
    for at in 0..world.machines.len() {
        world.boot(at);
    }
    let people = world::runtime(&mut dice);
    let people_since = people.block_on(async { tokio::time::Instant::now() });
    let report = Report { nodes, replicas, ..Report::default() };
    let board = Shared::new(Mutex::new(Board { realm: world.realm(), ..Board::default() }));
    let mut run = Run {
        world,
        nemesis,
        flips: Flips::new(Dice::of(options.seed, 12), replicas >= 3),
        people,
        people_since,
        board,
        replicas: Replicas::default(),
        members: Members::default(),
        bounds: Bounds::default(),
        wiping: None,
        old: None,
        olden: Dice::of(options.seed, 21),
        dice: dice.fork(11),
        report,
        ticks: 0,
    };
    let storm = options.storm.unwrap_or(Duration::from_millis(dice.between(2_000, 14_000)));
    let went = run.go(&mut dice, storm, replicas);
    if let Err(why) = went {
        run.report.found.push(why);
    }
    run.finish()
}

impl Run {
    fn go(&mut self, dice: &mut Dice, storm: Duration, replicas: u8) -> Result<(), String> {
        // Founding, in calm.
        let clients = dice.between(2, 6);
        let client = |run: &Run, n: u64, dice: &mut Dice| {
            Client::new(n, &run.world, run.report.nodes, run.board.clone(), dice.fork(n))
        };
        let founder = client(self, 1_000, dice);
        let [tallies, groups, plain] = [2, 3, 3].map(|most| dice.between(1, most) as usize);
        let mut jacks = dice.fork(5);
        let [jack_groups, jacks] = [1, 3].map(|most| jacks.between(0, most) as usize);
        self.people.spawn(founder.found(Sizes { tallies, groups, plain, jack_groups, jacks, replicas }));
        self.until("everybody is there", FOUND_MAX, |run| run.board.lock().cast.is_some())?;
        // The storm.
        self.board.lock().working = clients as usize;
        if dice.percent(65) {
            self.board.lock().working += 1;
            // Voters come and go.
            self.flips = Flips::new(dice.clone(), false);
            let operator = client(self, 3_000, dice);
            self.people.spawn(operator.operate(replicas));
        }
        for n in 0..clients {
            let client = client(self, n, dice);
            self.people.spawn(client.work());
        }
        self.nemesis.begin(&mut self.world);
        let end = self.world.now() + storm;
        while self.world.now() < end {
            self.nemesis.act(&mut self.world);
            if let Some(flip) = self.flips.act(&self.world) {
                self.nemesis.did(&self.world, flip);
            }
            self.keep_a_copy();
            self.obey();
            self.tick(true)?;
        }
        // The mending.
        self.nemesis.heal(&mut self.world);
        self.board.lock().stop = true;
        self.until("everybody has finished", MEND_MAX, |run| run.board.lock().working == 0)
            .map_err(|why| format!("{why}: {}", self.board.lock().audit_at))?;
        self.until("everybody holds what they shall", MEND_MAX, |run| members::unsettled(&run.world).is_none())
            .map_err(|why| format!("{why}: {}", members::unsettled(&self.world).unwrap_or_default()))?;
        self.until("all replicas are at one", MEND_MAX, |run| Replicas::apart(&run.world, &run.flips).is_none())
            .map_err(|why| format!("{why}: {}", Replicas::apart(&self.world, &self.flips).unwrap_or_default()))?;
        self.put_back_a_copy()?;
        let cast = self.board.lock().cast.clone().unwrap_or_default();
        let auditor = client(self, 2_000, dice);
        self.people.spawn(auditor.audit(cast));
        self.until("everybody is asked", MEND_MAX, |run| run.board.lock().audit.is_some())
            .map_err(|why| format!("{why}: {}", self.board.lock().audit_at))?;
        self.until("what has flipped is mended", MEND_MAX, |run| run.flips.unmended(&run.world).is_none())
            .map_err(|why| format!("{why}: {}", self.flips.unmended(&self.world).unwrap_or_default()))?;
        let found = check::everything(&self.board.lock());
        self.report.found.extend(found);
        self.until("nothing is left", MEND_MAX, |run| ends::left(&run.world).is_empty())
            .map_err(|why| format!("{why}: {}", ends::left(&self.world).join(", ")))?;
        Ok(())
    }

    /// In some seeds the disk of some machine is kept as it is now: not one whose replica is just being rebuilt for a flipped bit, for
    /// what that replica is owed is reckoned once.
    fn keep_a_copy(&mut self) {
        if self.old.is_some() || !self.olden.ppm(COPY_PPM) || self.flips.unmended(&self.world).is_some() {
            return;
        }
        let at = self.olden.below(self.world.machines.len() as u64) as usize;
        let machine = &self.world.machines[at];
        if !machine.gone && !machine.wiped && !machine.disk.is_hurt() {
            self.old = Some((at, machine.disk.copy()));
            self.nemesis.did(&self.world, format!("the disk of {} is copied", self.world.machines[at].id()));
        }
    }

    /// The copy of a disk takes its place, and its node comes back with it. Nobody does anything about it.
    fn put_back_a_copy(&mut self) -> Result<(), String> {
        let Some((at, copy)) = self.old.take() else { return Ok(()) };
        let end = self.world.now() + KNOWN_AFTER;
        while self.world.now() < end {
            self.tick(false)?;
        }
        let machine = &self.world.machines[at];
        if machine.gone || !machine.is_on() || !may_wipe(&self.world, at) {
            return Ok(());
        }
        let id = machine.id();
        self.world.crash(at);
        self.world.machines[at].disk.put_back(&copy);
        self.world.boot(at);
        self.nemesis.did(&self.world, format!("{id} boots with the disk that was copied"));
        self.until("the node with an old disk is a member like before", MEND_MAX, |run| {
            let kernel = run.world.machines[at].kernel();
            let renewed = kernel.is_some_and(|kernel| !kernel.groups().is_old_copy());
            renewed && members::unsettled(&run.world).is_none() && Replicas::apart(&run.world, &run.flips).is_none()
        })
        .map_err(|why| {
            let unsettled = members::unsettled(&self.world).unwrap_or_default();
            format!("{why}: {unsettled} {}", Replicas::apart(&self.world, &self.flips).unwrap_or_default())
        })
    }

    fn until(&mut self, what: &str, most: Duration, done: impl Fn(&Run) -> bool) -> Result<(), String> {
        let end = self.world.now() + most;
        while !done(self) {
            if self.world.now() > end {
                return Err(format!("in {most:?} it did not come to pass that {what}"));
            }
            self.obey();
            self.tick(false)?;
        }
        Ok(())
    }

    /// Does to machines what the operator wants.
    fn obey(&mut self) {
        if let Some((at, until)) = self.wiping {
            if self.world.machines[at].is_on() && self.world.now() < until {
                return;
            }
            self.world.retire(at);
            self.wiping = None;
            self.board.lock().wiped = Some(self.world.machines[at].id().0);
        }
        let orders = std::mem::take(&mut self.board.lock().orders);
        for order in orders {
            match order {
                Order::Wipe => {
                    let at = self.dice.below(self.world.machines.len() as u64) as usize;
                    if !may_wipe(&self.world, at) {
                        // Perhaps in the next tick.
                        self.board.lock().orders.push(Order::Wipe);
                        continue;
                    }
                    self.world.wipe(at);
                    let id = self.world.machines[at].id();
                    self.nemesis.did(&self.world, format!("the disk of {id} is wiped"));
                    let tries = self.dice.percent(50);
                    if tries {
                        self.world.boot(at);
                        self.nemesis.did(&self.world, format!("{id} boots nevertheless"));
                    }
                    self.wiping = Some((at, self.world.now() + WIPED_MAX));
                }
                Order::Admit { member, genesis } => {
                    let at = self.world.add(&member, &genesis);
                    self.nemesis.meet(&mut self.world, at);
                    self.world.boot(at);
                    self.nemesis.did(&self.world, format!("{} comes", member.node));
                }
            }
        }
    }

    /// One tick of everything. Stops at the first failure, so that the log ends where it happened.
    fn tick(&mut self, storms: bool) -> Result<(), String> {
        self.ticks += 1;
        for (at, death) in self.world.tick() {
            match death {
                Death::Disk(_) if storms => self.nemesis.died(&self.world, at, "dies of its disk"),
                // As it should be.
                Death::Refused(_) if self.world.machines[at].wiped => {
                    self.nemesis.did(&self.world, format!("{} is refused", self.world.machines[at].id()));
                }
                death => return Err(format!("{} died: {death:?}", self.world.machines[at].id())),
            }
        }
        let now = self.world.now();
        self.board.lock().now = now;
        let until = self.people_since + now;
        self.people.block_on(async { tokio::time::sleep_until(until).await });
        let mut found = panics();
        if self.ticks.is_multiple_of(LOOK_EVERY) {
            self.flips.look(&self.world);
            self.replicas.look(&self.world, &self.flips, &mut found);
            self.members.look(&self.world, &mut found);
            self.note();
        }
        if self.ticks.is_multiple_of(BOUNDS_EVERY) {
            self.bounds.look(&self.world, &mut found);
        }
        if found.is_empty() { Ok(()) } else { Err(found.join("; ")) }
    }

    fn note(&mut self) {
        let machines = self.world.machines.iter().map(seen).collect();
        let board = self.board.lock();
        let mut people = Hash::default();
        people.word(board.history.len() as u64);
        if let Some(deed) = board.history.last() {
            people.bytes(format!("{deed:?}").as_bytes());
        }
        self.report.trace.0.push(Glance { at: self.world.now(), machines, people: people.value() });
    }

    fn finish(mut self) -> Report {
        let board = self.board.clone();
        drop(self.people);
        self.report.boots = self.world.machines.iter().map(|m| m.boots()).sum();
        self.report.simulated = TICK * self.ticks as u32;
        drop(self.world);
        self.report.found.extend(panics());
        let board = Arc::clone(&board);
        let board = board.lock();
        for deed in &board.history {
            use people::Fate;
            match deed.fate {
                Fate::Answered { .. } | Fate::Done => self.report.calls.0 += 1,
                Fate::Refused(_) => self.report.calls.1 += 1,
                Fate::Unknown => self.report.calls.2 += 1,
            }
        }
        self.report.history = board.history.clone();
        let mut people = Hash::default();
        people.bytes(format!("{:?}", board.audit).as_bytes());
        let at = self.report.simulated;
        self.report.trace.0.push(Glance { at, machines: Vec::new(), people: people.value() });
        self.report.flips = self.flips.counts();
        self.report.raft = (self.replicas.terms, self.replicas.compared);
        self.report.deeds = self.nemesis.deeds;
        self.report
    }
}

/// Of one machine: boots, syncs, messages, and how far each of its groups is.
fn seen(machine: &world::Machine) -> u64 {
    let mut hash = Hash::default();
    hash.word(machine.boots());
    hash.word(machine.disk.syncs());
    if let Some(kernel) = machine.kernel() {
        hash.word(kernel.remote_count());
        for group in kernel.groups().list() {
            let Some(status) = kernel.groups().status(group) else { continue };
            hash.word(status.term);
            hash.word(status.applied);
            hash.bytes(&status.chain);
        }
    }
    hash.value()
}
