//! What a node stands on: time, entropy, threads, network, disk. The machine's own, or a simulation's.
//!
//! Owns: nothing once the node runs. Does not know: what the node does with it.
//!
//! 1. Everything that differs between a machine and a simulation is in here; the kernel above is the same to the bit.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use pando_abi::Incarnation;
use pando_abi::planted::fail::{Setting, setting};
use pando_actors::{Engine, EngineConfig, Verdict};
use pando_raft::{Config as RaftConfig, Store};
use pando_scheduler::Scheduler;
use pando_transport::{Events, Identity, Member, Quic, QuicConfig, Transport};

use crate::{
    boot::{NodeConfig, NodeError, other},
    door::{Door, SystemDoor},
    genesis::Genesis,
};

/// What one binary may do otherwise than another of the same realm, and what a simulation makes small so that rare things happen.
///
/// Whatever is written with one of these is read alike by whoever has others: nothing here is a limit of what is read, and nothing
/// of it reaches a group's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuning {
    /// Inputs of one entry of a group's log.
    pub batch_items_max: usize,
    /// Bytes of one, about.
    pub batch_bytes_max: usize,
    /// Inputs that wait for one group.
    pub lane_items_max: usize,
    /// Bytes that wait for one group.
    pub lane_bytes_max: usize,
    /// Sayings from one group to another that are on their way at once.
    pub pump_max: usize,
    /// Bytes of one piece of what a snapshot has beside a guest's memory.
    pub snapshot_piece_bytes: usize,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            batch_items_max: 512,
            batch_bytes_max: 1 << 20,
            lane_items_max: 1 << 15,
            lane_bytes_max: 64 << 20,
            pump_max: 256,
            snapshot_piece_bytes: 64 << 10,
        }
    }
}

/// See the module.
pub struct Platform {
    /// Time and randomness.
    pub door: Arc<dyn Door>,
    /// This boot.
    pub incarnation: Incarnation,
    /// Who runs guests.
    pub scheduler: Scheduler,
    /// What compiles and runs Wasm.
    pub engine: Arc<Engine>,
    /// The way to other nodes.
    pub transport: Arc<dyn Transport>,
    /// What comes from them.
    pub events: Events,
    /// Where the node listens.
    pub addr: SocketAddr,
    /// Modules and what else can be rebuilt.
    pub store: Store,
    /// How the log is kept.
    pub raft: RaftConfig,
    /// Plain actors that the node takes at most.
    pub actors_max: usize,
    /// See there.
    pub tuning: Tuning,
}

impl Platform {
    /// The machine's clock, entropy, threads, sockets and disk.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub(crate) fn system(
        config: &NodeConfig,
        genesis: &Genesis,
        identity: Identity,
        own: &Member,
    ) -> Result<Platform, NodeError> {
        let door: Arc<dyn Door> = Arc::new(SystemDoor::open().map_err(|e| other("the system's entropy")(&e))?);
        let incarnation = Incarnation(door.seed() | 1);
        let (scheduler, engine) = engine(config, &door)?;
        let members = Arc::new(genesis.member_set());
        let (transport, events) = Quic::start(QuicConfig::new(identity, own.node, incarnation, own.addr, members))?;
        let mut raft = RaftConfig { boot: incarnation.0, ..RaftConfig::new(Genesis::log_dir(&config.dir), own.node) };
        if let Some(entries) = setting(Setting::SnapshotEvery) {
            (raft.snapshot_every, raft.log_keep) = (entries, entries);
        }
        Ok(Platform {
            door,
            incarnation,
            scheduler,
            engine,
            addr: transport.local_addr(),
            transport,
            events,
            store: open_store(config)?,
            raft,
            actors_max: config.actors_max,
            tuning: Tuning::default(),
        })
    }
}

fn engine(config: &NodeConfig, door: &Arc<dyn Door>) -> Result<(Scheduler, Arc<Engine>), NodeError> {
    let workers = config.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |n| n.get().max(2)));
    // The engine's ticks come from the scheduler and its questions go to it: each gets the other when both are there.
    let scheduler_cell: Arc<OnceLock<Scheduler>> = Arc::default();
    let asked = scheduler_cell.clone();
    let engine = Engine::new(EngineConfig {
        cache_dir: Some(config.dir.join("cache")),
        on_epoch: Arc::new(move || match asked.get() {
            Some(scheduler) if !crate::cell::may_go_on(scheduler) => Verdict::Kill,
            _ => Verdict::Continue,
        }),
    })
    .map_err(|e| other("the Wasm engine")(&e))?;
    let engine = Arc::new(engine);
    let ticked = engine.clone();
    let clock = door.clone();
    let scheduler = Scheduler::start(pando_scheduler::Config {
        clock: Arc::new(move || clock.now_ns()),
        on_tick: Arc::new(move || ticked.tick()),
        ..pando_scheduler::Config::new(workers)
    });
    let _ = scheduler_cell.set(scheduler.clone());
    Ok((scheduler, engine))
}

fn open_store(config: &NodeConfig) -> Result<Store, NodeError> {
    let dir = Genesis::store_dir(&config.dir);
    Store::open(&dir).map_err(|e| {
        NodeError::Other(format!(
            "{}: {e}; it can be rebuilt: stop the node, remove that folder and start again",
            dir.display()
        ))
    })
}
