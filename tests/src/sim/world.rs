//! The simulated machines: real nodes on simulated clocks, disks and wires, moved on by one thread.
//!
//! Owns: the nodes, the network, the time. Does not know: what goes wrong when ([`super::nemesis`]), what is asked
//! ([`super::people`]), what must hold ([`super::check`]).
//!
//! 1. Everything happens in [`World::tick`], in an order drawn from the seed. There is no other thread.
//! 2. A crash drops every task of a node wherever it waits, after its disk and its wires were cut.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pando_abi::{Incarnation, NodeId, RealmId};
use pando_actors::{Class, Engine, EngineConfig, Module, Verdict};
pub use pando_kernel::Tuning as KernelTuning;
use pando_kernel::{Genesis, Kernel, Node, NodeError, Platform, door::Door};
use pando_raft::{Config as RaftConfig, Store};
use pando_scheduler::Scheduler;
use pando_transport::{Member, MemoryNet, PublicKey};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::watch};

use super::disk::SimDisk;
use crate::{dice::Dice, guests};

/// What one tick takes.
pub const TICK: Duration = Duration::from_millis(2);
/// Turns of guests in one tick of a node; what is left comes in the next one.
const TURNS_MAX: usize = 400;
/// 2026-01-01, in nanoseconds since 1970.
const EPOCH_NS: u64 = 1_767_225_600_000_000_000;

/// The person that everything is asked by.
pub const PERSON: PublicKey = PublicKey([0xee; 32]);

/// How a binary of the simulated product is set, beside what users would set: rare things are made frequent. Two binaries of one realm
/// may differ in all of it but [`Tuning::attest_every`].
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Entries between snapshots.
    pub snapshot_every: u64,
    /// Entries kept behind one.
    pub log_keep: u64,
    /// Entries between comparisons of replicas.
    pub attest_every: u64,
    /// Bytes of a log file.
    pub log_file_bytes: u64,
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// Milliseconds without work after which a group rests; 0: never.
    pub rest_ms: u64,
    /// Milliseconds at rest after which a replica that does not lead is on the disk alone; 0: never.
    pub sleep_ms: u64,
    /// The kernel's own.
    pub kernel: KernelTuning,
}

impl Tuning {
    /// Drawn.
    pub fn draw(dice: &mut Dice) -> Tuning {
        let heartbeat_ms = dice.pick(&[50, 100, 100, 150]);
        Tuning {
            snapshot_every: dice.pick(&[8, 20, 50, 200, 4096]),
            log_keep: dice.pick(&[0, 4, 30, 1024]),
            attest_every: dice.pick(&[1, 4, 16, 64]),
            log_file_bytes: dice.pick(&[16 << 10, 64 << 10, 1 << 20]),
            heartbeat_ms,
            rest_ms: dice.fork(8).pick(&[0, 60, 200, 1_000]),
            sleep_ms: dice.fork(9).pick(&[0, 50, 300, 2_000]),
            kernel: KernelTuning::default(),
        }
    }

    /// With a kernel's tuning that is drawn: half of the time the product's own.
    pub fn with_kernel(self, dice: &mut Dice) -> Tuning {
        if dice.percent(50) {
            return self;
        }
        let kernel = KernelTuning {
            batch_items_max: dice.pick(&[1, 3, 16, 512]),
            batch_bytes_max: dice.pick(&[64, 1_000, 1 << 20]),
            lane_items_max: dice.pick(&[2, 8, 64, 1 << 15]),
            lane_bytes_max: dice.pick(&[4 << 10, 64 << 20]),
            pump_max: dice.pick(&[1, 4, 256]),
            snapshot_piece_bytes: dice.pick(&[100, 4 << 10, 64 << 10]),
        };
        Tuning { kernel, ..self }
    }

    /// That of the next binary, or of one before.
    pub fn next(self, dice: &mut Dice) -> Tuning {
        Tuning { attest_every: self.attest_every, ..Tuning::draw(dice) }.with_kernel(dice)
    }
}

/// A node's clock and entropy.
struct SimDoor {
    now_ns: Arc<AtomicU64>,
    dice: Mutex<Dice>,
}

impl Door for SimDoor {
    fn now_ns(&self) -> u64 {
        self.now_ns.load(Ordering::Relaxed)
    }
    fn seed(&self) -> u64 {
        self.dice.lock().throw()
    }
}

/// One machine.
pub struct Machine {
    id: NodeId,
    addr: SocketAddr,
    genesis: Genesis,
    /// Its disk, which outlives its boots.
    pub disk: SimDisk,
    /// Its disk was wiped: under its number it must not take part again.
    pub wiped: bool,
    /// It is not started any more.
    pub gone: bool,
    /// The binary that is started there the next time.
    pub tuning: Tuning,
    store: Store,
    dir: PathBuf,
    now_ns: Arc<AtomicU64>,
    /// How fast its clocks go, in thousandths.
    pub rate: u64,
    /// It does nothing until then.
    pub paused_until: Duration,
    missed: Duration,
    life: Option<Life>,
    boots: u64,
}

/// From a boot to a crash.
struct Life {
    runtime: Option<Runtime>,
    scheduler: Scheduler,
    node: Arc<Mutex<Option<Result<Node, NodeError>>>>,
    kernel: Option<Arc<Kernel>>,
    fatal: Arc<Mutex<Option<String>>>,
    elapsed: Duration,
    start: tokio::time::Instant,
}

/// Why a node does not live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// Its disk was cut off or failed, and it ended itself as it should.
    Disk(String),
    /// It did not start.
    Boot(String),
    /// The realm did not let it take part.
    Refused(String),
}

/// See the module.
pub struct World {
    /// The wires.
    pub net: MemoryNet,
    /// The machines.
    pub machines: Vec<Machine>,
    /// How often each node has crashed. Whoever waits for one hears of it here first: its tasks are dropped in an order that depends on
    /// what else runs in this process (tokio shards them by numbers that count all tasks of the process).
    pub crashes: watch::Sender<BTreeMap<NodeId, u64>>,
    /// The newest binary: what newcomers bring.
    pub tuning: Tuning,
    /// Sessions and messages that have come since it began.
    pub arrivals: u64,
    dice: Dice,
    now: Duration,
    folder: TempDir,
}

/// One engine for all nodes of all simulations of this process: what is compiled once stays.
static ENGINE: LazyLock<(Arc<Engine>, Vec<Arc<Module>>)> = LazyLock::new(|| {
    let config = EngineConfig { cache_dir: None, on_epoch: Arc::new(|| Verdict::Continue) };
    let engine = Engine::new(config).expect("an engine");
    let load = |label: &str, class| engine.load(&guests::wasm(label), class).expect("a guest that is a module");
    let kept = ["tally", "witness", "jack"].map(|label| [load(label, Class::Plain), load(label, Class::Replicated)]);
    (Arc::new(engine), kept.into_iter().flatten().collect())
});

impl World {
    /// Machines that are off, with empty disks.
    ///
    /// # Panics
    /// If this machine gives no folder.
    pub fn new(dice: &mut Dice, count: u32, tuning: Tuning) -> World {
        let shm = std::path::Path::new("/dev/shm");
        let place = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("pando-sim-").tempdir_in(place).expect("a folder");
        let mut own = dice.fork(1);
        let nodes: Vec<Member> = (1..=count)
            .map(|n| Member {
                node: NodeId(n),
                key: PublicKey([n as u8; 32]),
                addr: SocketAddr::from(([127, 0, 0, 1], n as u16)),
            })
            .collect();
        let mut realm = [0; 32];
        realm[..8].copy_from_slice(&own.throw().to_le_bytes());
        let genesis = Genesis { realm: RealmId(realm), nodes, users: vec![PERSON], joined: false };
        let machine = |member: &Member| Machine::new(member, &genesis, folder.path(), tuning, own.fork(2));
        let machines = genesis.nodes.iter().map(machine).collect();
        World {
            net: MemoryNet::new(own.throw()),
            machines,
            crashes: watch::Sender::default(),
            tuning,
            arrivals: 0,
            dice: own,
            now: Duration::ZERO,
            folder,
        }
    }

    /// One machine more, with an empty disk and the record of a node that was admitted. It is off.
    pub fn add(&mut self, member: &Member, genesis: &Genesis) -> usize {
        let machine = Machine::new(member, genesis, self.folder.path(), self.tuning, self.dice.fork(2));
        machine.put_clock(self.now);
        self.machines.push(machine);
        self.machines.len() - 1
    }

    /// Ends a machine for good in the middle of whatever it does, and wipes its disk.
    pub fn wipe(&mut self, at: usize) {
        if self.machines[at].is_on() {
            self.crash(at);
        }
        let machine = &mut self.machines[at];
        machine.disk.wipe();
        machine.store = Store::in_memory();
        machine.wiped = true;
        // The log engine lists its folder by itself, and a node keeps small files beside it.
        std::fs::remove_dir_all(&machine.dir).expect("a folder that can be removed");
    }

    /// Ends a machine for good.
    pub fn retire(&mut self, at: usize) {
        if self.machines[at].is_on() {
            self.crash(at);
        }
        self.machines[at].gone = true;
    }

    /// Simulated time since the beginning.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// The realm.
    pub fn realm(&self) -> RealmId {
        self.machines[0].genesis.realm
    }

    /// Boots a machine that is off.
    ///
    /// # Panics
    /// If it runs.
    pub fn boot(&mut self, at: usize) {
        let mut dice = self.dice.fork(at as u64);
        let machine = &mut self.machines[at];
        let members = Arc::new(machine.genesis.member_set());
        assert!(machine.life.is_none(), "a machine is booted that runs");
        machine.boots += 1;
        machine.paused_until = Duration::ZERO;
        machine.missed = Duration::ZERO;
        machine.disk.back();
        std::fs::create_dir_all(&machine.dir).expect("a folder");
        let incarnation = Incarnation(dice.throw() | 1);
        let (transport, events) = self.net.node(machine.id, incarnation, members);
        let clock = machine.now_ns.clone();
        let scheduler = Scheduler::stepped(
            pando_scheduler::Config {
                clock: Arc::new(move || clock.load(Ordering::Relaxed)),
                ..pando_scheduler::Config::new(2)
            },
            dice.throw(),
        );
        let runtime = runtime(&mut dice);
        let fatal: Arc<Mutex<Option<String>>> = Arc::default();
        let told = fatal.clone();
        let tuning = machine.tuning;
        let raft = RaftConfig {
            boot: incarnation.0,
            files: Some(Arc::new(machine.disk.clone())),
            fatal: Arc::new(move |why| _ = told.lock().get_or_insert(why)),
            heartbeat: Duration::from_millis(tuning.heartbeat_ms),
            rest_idle: Duration::from_millis(tuning.rest_ms),
            sleep_idle: Duration::from_millis(tuning.sleep_ms),
            snapshot_every: tuning.snapshot_every,
            log_keep: tuning.log_keep,
            attest_every: tuning.attest_every,
            log_file_bytes: tuning.log_file_bytes,
            log_bytes: tuning.log_file_bytes * 4,
            ..RaftConfig::new(machine.dir.join("raft"), machine.id)
        };
        let platform = Platform {
            door: Arc::new(SimDoor { now_ns: machine.now_ns.clone(), dice: Mutex::new(dice.fork(3)) }),
            incarnation,
            scheduler: scheduler.clone(),
            engine: ENGINE.0.clone(),
            transport,
            events,
            addr: machine.addr,
            store: machine.store.clone(),
            raft,
            actors_max: pando_abi::limits::NODE_ACTORS_MAX,
            tuning: tuning.kernel,
        };
        let node: Arc<Mutex<Option<Result<Node, NodeError>>>> = Arc::default();
        let (slot, dir, genesis, id) = (node.clone(), machine.dir.clone(), machine.genesis.clone(), machine.id);
        runtime.spawn(async move {
            let started = Node::on(platform, dir, genesis, id).await;
            *slot.lock() = Some(started);
        });
        let start = runtime.block_on(async { tokio::time::Instant::now() });
        let life =
            Life { runtime: Some(runtime), scheduler, node, kernel: None, fatal, elapsed: Duration::ZERO, start };
        machine.life = Some(life);
    }

    /// Ends a machine in the middle of whatever it does. What was not flushed or synced is lost.
    pub fn crash(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        machine.disk.cut();
        self.net.kill(machine.id);
        self.crashes.send_modify(|crashes| *crashes.entry(machine.id).or_default() += 1);
        machine.life = None;
        machine.store.lose_unflushed();
    }

    /// Lets a tick pass. Gives what died in it.
    pub fn tick(&mut self) -> Vec<(usize, Death)> {
        self.now += TICK;
        self.net.advance_to(self.now.as_nanos() as u64);
        self.arrivals += self.net.run() as u64;
        let mut order: Vec<usize> = (0..self.machines.len()).collect();
        self.dice.shuffle(&mut order);
        let mut dead = Vec::new();
        for at in order {
            if let Some(death) = self.machines[at].tick(self.now) {
                self.crash(at);
                dead.push((at, death));
            }
        }
        dead
    }
}

/// A runtime of one thread on a clock that only moves when it is told to.
pub fn runtime(dice: &mut Dice) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&dice.throw().to_le_bytes()));
    #[cfg(not(tokio_unstable))]
    let _ = dice;
    builder.build().expect("a runtime")
}

impl Machine {
    fn new(member: &Member, genesis: &Genesis, folder: &Path, tuning: Tuning, dice: Dice) -> Machine {
        Machine {
            id: member.node,
            addr: member.addr,
            genesis: genesis.clone(),
            disk: SimDisk::new(dice),
            wiped: false,
            gone: false,
            tuning,
            store: Store::in_memory(),
            dir: folder.join(member.node.to_string()),
            now_ns: Arc::new(AtomicU64::new(EPOCH_NS)),
            rate: 1_000,
            paused_until: Duration::ZERO,
            missed: Duration::ZERO,
            life: None,
            boots: 0,
        }
    }

    /// Its number.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Is the power on?
    pub fn is_on(&self) -> bool {
        self.life.is_some()
    }

    /// How often it was booted.
    pub fn boots(&self) -> u64 {
        self.boots
    }

    /// The kernel, once it has booted.
    pub fn kernel(&self) -> Option<&Arc<Kernel>> {
        self.life.as_ref()?.kernel.as_ref()
    }

    /// Timers that its scheduler holds.
    pub fn timers(&self) -> usize {
        self.life.as_ref().map_or(0, |life| life.scheduler.stats().timers)
    }

    /// The wall clock is put forward; it never goes back while a node lives.
    pub fn put_clock(&self, by: Duration) {
        self.now_ns.fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
    }

    /// The wall clock is put back: only while the machine is off.
    pub fn put_clock_back(&self, by: Duration) {
        if self.life.is_none() {
            self.now_ns.fetch_sub(by.as_nanos() as u64, Ordering::Relaxed);
        }
    }

    fn tick(&mut self, now: Duration) -> Option<Death> {
        let step = TICK * self.rate as u32 / 1_000;
        self.put_clock(step);
        if now < self.paused_until {
            self.missed += step;
            return None;
        }
        let missed = std::mem::take(&mut self.missed);
        let life = self.life.as_mut()?;
        let runtime = life.runtime.as_ref()?;
        life.elapsed += step + missed;
        let until = life.start + life.elapsed;
        runtime.block_on(async {
            if !missed.is_zero() {
                // As after a stop signal: all at once it is later.
                tokio::time::advance(missed).await;
            }
            tokio::time::sleep_until(until).await;
        });
        if life.kernel.is_none() {
            match &*life.node.lock() {
                None => {}
                Some(Ok(node)) => life.kernel = Some(node.kernel().clone()),
                Some(Err(why)) => {
                    let death =
                        if self.disk.is_hurt() { Death::Disk(why.to_string()) } else { Death::Boot(why.to_string()) };
                    return Some(death);
                }
            }
        }
        if let Some(why) = life.kernel.as_ref().and_then(|kernel| kernel.refused()) {
            return Some(Death::Refused(why.to_string()));
        }
        {
            // Guests send and spawn on the node's own runtime.
            let _inside = runtime.enter();
            life.scheduler.advance_to(self.now_ns.load(Ordering::Relaxed));
            for _ in 0..TURNS_MAX {
                if !life.scheduler.step() {
                    break;
                }
            }
        }
        let fatal = life.fatal.lock().take();
        match fatal {
            Some(why) => Some(Death::Disk(why)),
            None if self.disk.is_cut() => Some(Death::Disk("the power went during a sync".into())),
            None => None,
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.scheduler.stop();
        self.kernel = None;
        if let Some(runtime) = self.runtime.take() {
            // What tasks do when they are dropped may want their runtime.
            let inside = runtime.enter();
            drop(inside);
            drop(runtime);
        }
        drop(self.node.lock().take());
    }
}
