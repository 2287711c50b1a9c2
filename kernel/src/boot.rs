//! Builds a node, and takes it down in order.

use std::{
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use pando_abi::{ActorId, NodeId, limits};
use pando_raft::{GroupEvent, Groups, Machine, Machines, blocking};
use pando_transport::Identity;
use ractor::Actor;
use tokio::sync::watch;

use crate::{
    backup::Holding,
    beginning,
    cells::Cells,
    console::Console,
    genesis::{Genesis, GenesisError},
    lanes::Lanes,
    leaders::Leaders,
    logbook::LogBook,
    modules::Modules,
    node::{Kernel, Parts, QUERIES_AT_ONCE},
    peers::{PeerCalls, RaftWire},
    platform::Platform,
    realm::ROOT,
    replica::{Port, Replica},
    root::{RootMachine, RootView},
    services::{Context, Supervisor},
};

/// How a node is built.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// The node's own folder: `DATA/n1`.
    pub dir: PathBuf,
    /// Worker threads; `None`: one for each core, two at least.
    pub workers: Option<usize>,
    /// Plain actors that it takes at most.
    pub actors_max: usize,
}

impl NodeConfig {
    /// The usual settings for the node in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> NodeConfig {
        NodeConfig { dir: dir.into(), workers: None, actors_max: limits::NODE_ACTORS_MAX }
    }
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The founding record.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The key.
    #[error("the node's key: {0}")]
    Identity(#[from] pando_transport::IdentityError),
    /// The key is nobody's in the record.
    #[error("the key in {0} is not of a node of this realm; restore the folder's own node.key and realm.toml")]
    Stranger(PathBuf),
    /// The log.
    #[error(transparent)]
    Log(#[from] pando_raft::OpenError),
    /// The network.
    #[error(transparent)]
    Network(#[from] pando_transport::StartError),
    /// Anything else, with its cause and mend.
    #[error("{0}")]
    Other(String),
}

pub(crate) fn other(what: &str) -> impl Fn(&dyn std::fmt::Display) -> NodeError + '_ {
    move |why| NodeError::Other(format!("{what}: {why}"))
}

/// A running node. Dropping it does not stop it; [`Node::stop`] does.
pub struct Node {
    kernel: Arc<Kernel>,
    addr: SocketAddr,
    dir: PathBuf,
    supervisor: ractor::ActorRef<()>,
    stop: watch::Receiver<bool>,
}

struct MachineMaker {
    node: NodeId,
    root: RootView,
    port: OnceLock<Arc<Leaders>>,
}

impl Machines for MachineMaker {
    fn make(&self, group: ActorId) -> Box<dyn Machine> {
        if group == ROOT {
            return Box::new(RootMachine::new(self.root.clone()));
        }
        match self.port.get() {
            Some(port) => {
                let port: Arc<dyn Port> = port.clone();
                Box::new(Replica::new(group, self.node, port))
            }
            #[expect(clippy::unreachable, reason = "boot sets the port before the log is opened")]
            None => unreachable!("a machine was asked for before boot"),
        }
    }

    fn may_sleep(&self, group: ActorId) -> bool {
        // The kernel looks into the root group's state all the time.
        group != ROOT
    }

    fn may_join(&self, _group: ActorId) -> Result<(), String> {
        // The kernel makes a replica by itself, when it has what that needs: `services/hosting`, `beginning`.
        Err(format!("{} is not ready for it yet", self.node))
    }
}

impl Node {
    /// Starts the node in its folder. Call inside a tokio runtime, on which it then runs.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub fn start(config: NodeConfig) -> BoxFuture<'static, Result<Node, NodeError>> {
        Box::pin(async move {
            let genesis = Genesis::load(&config.dir)?;
            let identity = Identity::load_or_create(&config.dir.join("node.key"))?;
            let own = genesis.nodes.iter().find(|m| m.key == identity.public());
            let own = *own.ok_or_else(|| NodeError::Stranger(config.dir.clone()))?;
            let platform = Platform::system(&config, &genesis, identity, &own)?;
            let node = Node::on(platform, config.dir.clone(), genesis, own.node).await?;
            write_pid(&config)?;
            Ok(node)
        })
    }

    /// Starts node `id` of a realm on a platform: the machine's, or a simulated one.
    ///
    /// # Errors
    /// What is wrong and how to mend it.
    pub fn on(
        platform: Platform,
        dir: PathBuf,
        genesis: Genesis,
        id: NodeId,
    ) -> BoxFuture<'static, Result<Node, NodeError>> {
        Box::pin(async move {
            let Platform {
                door,
                incarnation,
                scheduler,
                engine,
                transport,
                events,
                addr,
                store,
                raft,
                actors_max,
                tuning,
            } = platform;
            let root = RootView::new(genesis.realm);
            let maker = Arc::new(MachineMaker { node: id, root: root.clone(), port: OnceLock::new() });
            let modules = Modules::open(engine, &store).map_err(|e| other("the module store")(&e))?;
            let (stop, stopped) = watch::channel(false);
            let kernel = Arc::new_cyclic(|kernel| {
                Kernel::new(Parts {
                    genesis,
                    id,
                    incarnation,
                    door,
                    runtime: tokio::runtime::Handle::current(),
                    scheduler,
                    modules,
                    cells: Cells::new(actors_max),
                    transport: transport.clone(),
                    groups: OnceLock::new(),
                    root,
                    console: Console::new(id),
                    logs: LogBook::default(),
                    lanes: Lanes::new(kernel.clone(), tuning),
                    leaders: Arc::new(Leaders::new(kernel.clone(), tuning)),
                    holding: Holding::default(),
                    calls: PeerCalls::default(),
                    queries: tokio::sync::Semaphore::new(QUERIES_AT_ONCE),
                    stop,
                })
            });
            // Set once, here.
            let _ = maker.port.set(kernel.parts.leaders.clone());
            let groups = Groups::open(raft, Arc::new(RaftWire(transport.clone())), maker).await?;
            let _ = kernel.parts.groups.set(groups);
            tokio::spawn(note_group_events(kernel.clone()));
            let context = Context::new(kernel.clone(), events);
            let (supervisor, _) =
                Supervisor::spawn(None, Supervisor, context).await.map_err(|e| other("the kernel's services")(&e))?;
            beginning::begin(&kernel, &dir).await.map_err(|e| other("the root group")(&e))?;
            kernel.log_as("kernel".into(), 3, format!("{id} listens on {addr}"));
            tracing::info!(node = %id, %addr, realm = %kernel.realm_id(), "the node runs");
            Ok(Node { kernel, addr, dir, supervisor, stop: stopped })
        })
    }

    /// The kernel.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until somebody asks for a stop through the admin interface, or the realm refuses this node
    /// ([`Kernel::refused`]).
    pub fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut stop = self.stop.clone();
            // The sender lives in the kernel, which lives in this node.
            let _ = stop.wait_for(|stop| *stop).await;
        })
    }

    /// Stops in order: services, groups, sessions, workers.
    pub fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // An answer to who asked for the stop is on its way still.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let _ = self.supervisor.stop_and_wait(None, Some(Duration::from_secs(2))).await;
            self.kernel.groups().shutdown().await;
            self.kernel.transport().close();
            self.kernel.transport().closed().await;
            let scheduler = self.kernel.scheduler().clone();
            // Joins its threads: not on a thread of the runtime.
            let _ = blocking(move || scheduler.stop()).await;
            let pid = Genesis::pid_path(&self.dir);
            if let Err(why) = std::fs::remove_file(&pid) {
                tracing::debug!(path = %pid.display(), %why, "the pid file could not be removed");
            }
        })
    }
}

fn write_pid(config: &NodeConfig) -> Result<(), NodeError> {
    let path = Genesis::pid_path(&config.dir);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&path)?;
        writeln!(file, "{}", std::process::id())
    };
    write().map_err(|e| NodeError::Other(format!("{}: {e}; check that the folder is yours", path.display())))
}

/// Puts what happens to groups in the log book.
async fn note_group_events(kernel: Arc<Kernel>) {
    let mut events = kernel.groups().watch();
    loop {
        use tokio::sync::broadcast::error::RecvError;
        let (group, level, text) = match events.recv().await {
            Ok(GroupEvent::Leader { group, leader, term }) => (group, 3, format!("led by {leader} in term {term}")),
            Ok(GroupEvent::Fenced { group, node, why }) => {
                (group, 1, format!("the replica on {node} is fenced: {why}"))
            }
            Ok(GroupEvent::Rebuilding { group, node }) => {
                (group, 2, format!("the replica on {node} is rebuilding from the others"))
            }
            Ok(GroupEvent::Mended { group, node }) => {
                (group, 3, format!("the replica on {node} was rebuilt and agrees with the majority again"))
            }
            Ok(GroupEvent::Diverged { group, index }) => {
                (group, 1, format!("replicas disagree at {index} and no majority says which is right"))
            }
            Ok(GroupEvent::Stopped { group, why }) => (group, 1, format!("the replica here has stopped: {why}")),
            Ok(GroupEvent::Removed { group, node }) => {
                (group, 2, format!("the replica on {node} has forgotten what it promised, and leaves and joins again"))
            }
            Ok(GroupEvent::OldCopy { witness, groups }) => {
                let what = "the disk here is an older copy of the one that this node had";
                (
                    ROOT,
                    1,
                    format!("{what}, as {witness} knows: its {groups} replicas leave their groups and join again"),
                )
            }
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        if group == ROOT {
            kernel.log_as("realm".into(), level, text);
        } else {
            kernel.log(pando_abi::Address::group(group), level, text);
        }
    }
}
