//! The composition: everything that a node has, in one place, and nothing that it does.
//!
//! What it does is in the rooms beside: [`crate::router`] brings things to where they go, [`crate::realm`] talks to the
//! root group, [`crate::services`] keep the native services alive, [`crate::boot`] builds all this and takes it down.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pando_abi::{ActorId, Address, Incarnation, ModuleHash, NodeId, RealmId};
use pando_actors::{Class, Exit, Module};
use pando_admin::LogLine;
use pando_raft::{Groups, blocking};
use pando_scheduler::Scheduler;
use pando_transport::{Channel, Transport};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    backup::Holding,
    cell::Cell,
    cells::Cells,
    console::Console,
    door::Door,
    genesis::Genesis,
    lanes::Lanes,
    leaders::Leaders,
    logbook::{self, LogBook},
    modules::Modules,
    moving::Moving,
    paths::Paths,
    peers::PeerCalls,
    realm::Refusal,
    root::RootView,
    wire::{self, ControlMessage},
};

/// How long a module is looked for on other nodes.
const MODULE_PATIENCE: Duration = Duration::from_secs(10);
/// Speaking groups and receivers whose numbers this node keeps; the oldest are not dropped, so it is generous.
pub(crate) const HEARD_MAX: usize = 1 << 20;

/// Actors that keep an instance (some 13 KB) while nothing waits for them; the others rest as bytes (some 0.2 KB beside their cells).
const HOT_MAX: u64 = 8_192;

/// Queries of groups that are asked at once on one node.
pub(crate) const QUERIES_AT_ONCE: usize = 32;

/// One running node.
pub struct Kernel {
    pub(crate) parts: Parts,
    heard: Mutex<HashMap<(ActorId, Address), u64>>,
    remote: AtomicU64,
    ended_events: AtomicU64,
    sequence: AtomicU64,
    hot: AtomicU64,
    moving: Moving,
    paths: Paths,
    pub(crate) caught_up: std::sync::atomic::AtomicBool,
    refused: std::sync::OnceLock<Refusal>,
    started: Instant,
}

/// What a kernel is built from.
pub(crate) struct Parts {
    pub genesis: Genesis,
    pub id: NodeId,
    pub incarnation: Incarnation,
    pub door: Arc<dyn Door>,
    pub runtime: tokio::runtime::Handle,
    pub scheduler: Scheduler,
    pub modules: Modules,
    pub cells: Cells,
    pub transport: Arc<dyn Transport>,
    pub groups: std::sync::OnceLock<Groups>,
    pub root: RootView,
    pub console: Console,
    pub logs: LogBook,
    pub lanes: Lanes,
    pub leaders: Arc<Leaders>,
    pub holding: Holding,
    pub calls: PeerCalls,
    /// Queries of groups that are asked at once: fewer than the threads that wait for the disk and apply entries.
    pub queries: tokio::sync::Semaphore,
    pub stop: tokio::sync::watch::Sender<bool>,
}

impl Kernel {
    pub(crate) fn new(parts: Parts) -> Kernel {
        Kernel {
            parts,
            heard: Mutex::default(),
            remote: AtomicU64::new(0),
            ended_events: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
            hot: AtomicU64::new(0),
            moving: Moving::default(),
            paths: Paths::default(),
            caught_up: std::sync::atomic::AtomicBool::new(false),
            refused: std::sync::OnceLock::new(),
            started: Instant::now(),
        }
    }

    /// This node.
    pub fn id(&self) -> NodeId {
        self.parts.id
    }
    /// This boot of it.
    pub fn incarnation(&self) -> Incarnation {
        self.parts.incarnation
    }
    /// Its realm.
    pub fn realm_id(&self) -> RealmId {
        self.parts.genesis.realm
    }
    /// Time and randomness.
    pub fn door(&self) -> &dyn Door {
        &*self.parts.door
    }
    /// Where tasks run that wait.
    pub fn runtime(&self) -> &tokio::runtime::Handle {
        &self.parts.runtime
    }
    /// Who runs.
    pub fn scheduler(&self) -> &Scheduler {
        &self.parts.scheduler
    }
    /// Modules here.
    pub fn modules(&self) -> &Modules {
        &self.parts.modules
    }
    /// Plain actors here.
    pub fn cells(&self) -> &Cells {
        &self.parts.cells
    }
    /// The way to other nodes.
    pub fn transport(&self) -> &dyn Transport {
        &*self.parts.transport
    }
    /// Groups here.
    ///
    /// # Panics
    /// Before boot has opened them: nothing that could ask runs by then.
    #[expect(clippy::expect_used, reason = "boot opens the groups before anything runs that could ask")]
    pub fn groups(&self) -> &Groups {
        self.parts.groups.get().expect("groups are opened before anything runs")
    }
    /// The same for tasks that a group's recovery has started while the log was being opened still.
    pub(crate) async fn groups_opened(&self) -> &Groups {
        loop {
            if let Some(groups) = self.parts.groups.get() {
                return groups;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    /// What this node knows of the realm.
    pub fn root(&self) -> &RootView {
        &self.parts.root
    }
    /// People's calls.
    pub fn console(&self) -> &Console {
        &self.parts.console
    }
    /// Lines written here.
    pub fn logs(&self) -> &LogBook {
        &self.parts.logs
    }
    /// The way into groups.
    pub fn lanes(&self) -> &Lanes {
        &self.parts.lanes
    }
    /// Groups led here.
    pub fn leaders(&self) -> &Leaders {
        &self.parts.leaders
    }
    /// Whether it holds still for a backup.
    pub(crate) fn holding(&self) -> &Holding {
        &self.parts.holding
    }
    /// Actors on their way.
    pub(crate) fn moving(&self) -> &Moving {
        &self.moving
    }
    /// Ways to actors that have moved.
    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }
    /// Requests to other nodes.
    pub(crate) fn calls(&self) -> &PeerCalls {
        &self.parts.calls
    }
    /// Time since boot.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
    /// Messages sent to other nodes since boot.
    pub fn remote_count(&self) -> u64 {
        self.remote.load(Ordering::Relaxed)
    }
    /// Events that actors handled that have ended since boot.
    pub fn ended_events(&self) -> u64 {
        self.ended_events.load(Ordering::Relaxed)
    }
    pub(crate) fn count_remote(&self) {
        self.remote.fetch_add(1, Ordering::Relaxed);
    }
    /// A number that this boot has not used before.
    pub fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed) + 1
    }
    /// May one more actor keep its instance while nothing waits for it?
    pub(crate) fn take_hot_place(&self) -> bool {
        self.hot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |hot| (hot < HOT_MAX).then_some(hot + 1)).is_ok()
    }
    pub(crate) fn leave_hot_place(&self) {
        self.hot.fetch_sub(1, Ordering::Relaxed);
    }
    /// The realm does not let this node take part: why. It stops.
    pub fn refused(&self) -> Option<&Refusal> {
        self.refused.get()
    }
    pub(crate) fn refuse(&self, why: Refusal) {
        tracing::error!(%why, mend = why.mend, "the realm refuses this node");
        // The first reason stands.
        let _ = self.refused.set(why);
        self.request_stop();
    }
    /// Asks for an orderly stop.
    pub fn request_stop(&self) {
        self.parts.stop.send_replace(true);
    }

    /// Lets an actor run.
    pub fn wake(&self, cell: &Arc<Cell>) {
        self.scheduler().wake_typed(cell);
    }

    pub(crate) fn count_ended_events(&self, events: u64) {
        self.ended_events.fetch_add(events, Ordering::Relaxed);
    }

    /// Takes an actor that has ended out of the table, and its names out of the realm. `mark`: the move that brought it here.
    pub fn forget(self: &Arc<Self>, address: Address, events: u64, mark: u64) {
        self.cells().remove(address.id);
        self.count_ended_events(events);
        if mark != 0 {
            return self.end_moved(address, mark);
        }
        if self.root().read(|root| root.names_of(address).next().is_some()) {
            let kernel = self.clone();
            self.runtime().spawn(async move {
                if let Err(why) = kernel.root_command(crate::root::RootCommand::UnregisterAddress { address }).await {
                    tracing::warn!(%address, %why, "the names of an ended actor could not be taken back");
                }
            });
        }
    }

    /// Remembers for a while how an actor ended.
    pub fn remember_end(&self, address: Address, exit: &Exit) {
        self.cells().remember_end(address.id, exit);
        self.tell_birthplace(address, exit);
    }

    /// Which groups this actor has heard, and how far.
    pub(crate) fn heard_by(&self, actor: Address) -> Vec<(ActorId, u64)> {
        let actor = Address { node: NodeId::NONE, ..actor };
        let heard = self.heard.lock();
        #[expect(clippy::disallowed_methods, reason = "put in order below")]
        let mut all: Vec<(ActorId, u64)> =
            heard.iter().filter(|((_, to), _)| *to == actor).map(|((group, _), seq)| (*group, *seq)).collect();
        all.sort_unstable();
        all
    }

    /// An actor that has come here has heard groups so far.
    pub(crate) fn note_heard(&self, actor: Address, heard: &[(ActorId, u64)]) {
        for (group, seq) in heard {
            self.is_news(*group, actor, *seq);
        }
    }

    /// Of how many groups and receivers this node keeps the numbers.
    pub(crate) fn heard_count(&self) -> usize {
        self.heard.lock().len()
    }

    /// Was this saying of a group not heard here before? Notes it.
    pub fn is_news(&self, group: ActorId, to: Address, seq: u64) -> bool {
        let to = Address { node: NodeId::NONE, ..to };
        let mut heard = self.heard.lock();
        if heard.len() >= HEARD_MAX {
            let cells = self.cells();
            #[expect(clippy::disallowed_methods, reason = "each saying stays or goes by itself")]
            heard.retain(|(_, to), _| to.home != pando_abi::Home::Node || cells.get(to.id).is_some());
        }
        let known = heard.entry((group, to)).or_insert(0);
        let news = seq > *known;
        *known = seq.max(*known);
        news
    }

    /// Sends on the control channel; what cannot be sent is made up for by whoever waits.
    pub(crate) fn send_control(&self, to: NodeId, message: &ControlMessage) -> bool {
        self.send_on(Channel::Control, to, message)
    }

    pub(crate) fn send_on(&self, channel: Channel, to: NodeId, message: &ControlMessage) -> bool {
        self.transport().send(to, channel, wire::encode(message).into()).is_ok()
    }

    /// Writes a line to the node's log book.
    pub fn log(&self, source: Address, level: u8, text: String) {
        let name = self.root().read(|root| root.names_of(source).next().map(str::to_owned));
        let source = name.unwrap_or_else(|| source.to_string());
        self.log_as(source, level, text);
    }

    /// Writes down how an actor has ended. `quiet`: nobody need wonder.
    pub fn log_end(&self, who: Address, quiet: bool, how: &Exit) {
        let name = self.root().read(|root| root.names_of(who).next().map(str::to_owned));
        if quiet && name.is_none() && !tracing::enabled!(target: "actor", tracing::Level::DEBUG) {
            return self.logs().write_end(self.door().now_ns(), self.id().0, who, how.clone());
        }
        let level = if quiet { logbook::CHATTER } else { 2 };
        self.log_as(name.unwrap_or_else(|| who.to_string()), level, logbook::ended(how));
    }

    /// The same as [`Kernel::log`], with the source's name at hand.
    pub fn log_as(&self, source: String, level: u8, text: String) {
        tracing::debug!(target: "actor", %source, level, "{text}");
        self.logs().write(LogLine { time_ns: self.door().now_ns(), node: self.id().0, level, source, text });
    }

    /// Nodes with which a session stands, and this one.
    pub fn nodes_up(&self) -> Vec<NodeId> {
        let mut up: Vec<NodeId> =
            self.transport().sessions().into_iter().filter(|s| s.up.is_some()).map(|s| s.node).collect();
        up.push(self.id());
        up.sort_unstable();
        up
    }

    /// A module ready to run, fetched from another node if need be.
    ///
    /// # Errors
    /// One sentence: it is nowhere, or cannot run in this class.
    pub async fn module(self: &Arc<Self>, hash: ModuleHash, class: Class) -> Result<Arc<Module>, String> {
        if let Some(module) = self.modules().loaded(hash, class) {
            return Ok(module);
        }
        self.fetch_module(hash).await?;
        let kernel = self.clone();
        // Compiling may take half a second.
        blocking(move || kernel.modules().load(hash, class).map_err(|e| e.to_string()))
            .await
            .map_err(|e| format!("the compiler failed: {e}"))?
    }

    /// Sees to it that a module's bytes are here.
    ///
    /// # Errors
    /// One sentence: nobody that can be reached has it.
    pub async fn fetch_module(&self, hash: ModuleHash) -> Result<(), String> {
        let mut arrivals = self.modules().arrivals();
        let deadline = Instant::now() + MODULE_PATIENCE;
        let mut turn = 0;
        while !self.modules().has(hash) {
            if Instant::now() > deadline {
                return Err(format!("module {hash:.8} is on no node that can be reached"));
            }
            let others: Vec<NodeId> = self.nodes_up().into_iter().filter(|n| *n != self.id()).collect();
            if let Some(from) = others.iter().cycle().nth(turn).copied() {
                turn += 1;
                let offset = self.modules().wanted_from(hash);
                self.send_control(from, &ControlMessage::FetchModule { hash: hash.0, offset });
            }
            // Pieces of a large module keep arriving without a word from here; a silent peer is given up soon.
            let _ = tokio::time::timeout(Duration::from_millis(300), arrivals.changed()).await;
        }
        Ok(())
    }
}
