//! `pando up`: from an empty folder to a prompt.
//!
//! Owns: founding, starting the nodes' processes, waiting until they answer, stopping them at the end. Does not know: how
//! a node works, what the shell does.
//!
//! 1. A realm of which a majority runs already is attached to; of another one the missing nodes are started. What this
//!    process did not start it does not stop.
//! 2. Only one process founds or boots a realm at a time; a second waits, and finds it running.
//! 3. With `--ephemeral` no process is left, however this one ends, and no file, unless it is killed outright.

mod fleet;
mod process;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use pando_abi::NodeId;
use pando_admin::{Client, Patience, Reply, Request};
use pando_kernel::Genesis;
use pando_transport::{Identity, IdentityError};
use tokio::task::JoinSet;

pub use self::fleet::Fleet;
use crate::{
    ask::Ask,
    cli::Up,
    failure::{Failure, INTERRUPTED, io},
    session::{Session, lock},
};

const NODES_DEFAULT: u32 = 3;
/// From the first process to the first answer.
const READY_MAX: Duration = Duration::from_secs(60);
/// A node that was told to stop has so long before it is killed.
const STOP_MAX: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(30);

/// Hears what long work is at; `None` when it is over.
pub type Progress<'a> = dyn FnMut(Option<&str>) + Send + 'a;

/// A realm that is up.
pub struct Running {
    pub session: Arc<Session>,
    pub genesis: Genesis,
    /// Nobody had to be started.
    pub attached: bool,
    pub took: Duration,
    /// Goes last.
    folder: Option<tempfile::TempDir>,
}

/// Opens a realm that runs somewhere already.
pub fn open(data: &Path) -> Result<(Arc<Session>, Genesis), Failure> {
    if !founded(data)? {
        return Err(Failure::new(
            format!("there is no realm in {}", data.display()),
            "`pando up` founds one, or name its folder with --data",
        ));
    }
    let genesis = Genesis::load(data)?;
    let fleet = Fleet::new(data, Some(&genesis), false);
    let session = Session::new(ask(data, &genesis, &fleet)?, fleet);
    Ok((Arc::new(session), genesis))
}

/// Is there a realm in `data`? A folder that may not be looked into is an error and not a "no": nothing is founded there.
fn founded(data: &Path) -> Result<bool, Failure> {
    let mend = "use the folder's owner, or choose another with --data";
    Genesis::record_path(data).try_exists().map_err(|e| io("look into", data, &e, mend))
}

fn ask(data: &Path, genesis: &Genesis, fleet: &Fleet) -> Result<Arc<dyn Ask>, Failure> {
    Ok(Arc::new(Client::new(identity(data)?, genesis.realm, fleet.contacts(genesis))))
}

/// One that gives up quickly and asks again: a first packet to a port that is not open yet is lost, and only sent anew
/// after a second.
fn probe(data: &Path, genesis: &Genesis, fleet: &Fleet) -> Result<Arc<dyn Ask>, Failure> {
    let identity = identity(data)?;
    let origin = pando_admin::client::origin(&identity.public());
    let patience = Patience { dial_max: Duration::from_millis(200), grace: Duration::ZERO, ..Patience::default() };
    let dial = pando_admin::client::QuicDial::new(identity, genesis.realm);
    Ok(Arc::new(Client::with(dial, origin, fleet.contacts(genesis), patience)))
}

fn identity(data: &Path) -> Result<Identity, Failure> {
    let path = Genesis::user_key_path(data);
    Identity::load(&path).map_err(|e| match e {
        IdentityError::Io { path, source } => io(
            "read your key",
            &path,
            &source,
            "only who founded the realm on this machine has one; run pando as that person",
        ),
        // To become somebody new is no mend here: the realm knows this key and no other.
        IdentityError::Malformed(path) => {
            Failure::new(format!("{} is not a key of Pando", path.display()), "restore it from a copy")
        }
        e => Failure::told(&e),
    })
}

/// Boots the realm in `data`, or founds it there. `progress` is told what goes on.
pub async fn up(data: &Path, args: &Up, progress: &mut Progress<'_>) -> Result<Running, Failure> {
    let start = Instant::now();
    let folder = match args.ephemeral {
        true => Some(tempfile::Builder::new().prefix("pando-").tempdir().map_err(|e| {
            Failure::new(format!("cannot make a temporary folder: {e}"), "set TMPDIR to a folder that is yours")
        })?),
        false => None,
    };
    let data: PathBuf = folder.as_ref().map_or_else(|| data.to_owned(), |f| f.path().to_owned());
    // Before anything is made in a folder that may be somebody else's.
    founded(&data)?;
    let lock = only_one(&data, progress).await?;
    let genesis = if !founded(&data)? {
        progress(Some("founding a realm"));
        Genesis::found(&data, args.nodes.unwrap_or(NODES_DEFAULT))?
    } else {
        Genesis::load(&data)?
    };
    let count = genesis.nodes.len();
    if let Some(nodes) = args.nodes
        && nodes as usize != count
    {
        return Err(Failure::new(
            format!("the realm in {} has {count} nodes, not {nodes}", data.display()),
            "leave out --nodes, or found another realm with --data",
        ));
    }
    let mut fleet = Fleet::new(&data, Some(&genesis), args.ephemeral);
    let attached = fleet.alive().len() > fleet.nodes().len() / 2;
    // Before any process is started: without the key nobody could stop them again.
    let session = Arc::new(Session::new(ask(&data, &genesis, &fleet)?, fleet));
    let running = Running { session, genesis, attached, took: Duration::ZERO, folder };
    let waited = tokio::select! {
        waited = boot(&running, progress) => waited,
        _ = tokio::signal::ctrl_c() => Err(Failure { code: INTERRUPTED, ..Failure::new("interrupted", "") }),
    };
    drop(lock);
    match waited {
        Ok(()) => Ok(Running { took: start.elapsed(), ..running }),
        Err(failure) => {
            running.down(false, progress).await;
            Err(failure)
        }
    }
}

/// The right to found or boot the realm in `data`, which is given up with the file: by a process that dies, too.
async fn only_one(data: &Path, progress: &mut Progress<'_>) -> Result<File, Failure> {
    Genesis::make_folder(data)?;
    let path = data.join("up.lock");
    let failed =
        |e: &std::io::Error| io("write", &path, e, "check that the folder is yours, or choose another with --data");
    let file = File::options().create(true).append(true).open(&path).map_err(|e| failed(&e))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => progress(Some("another `pando up` is booting this realm")),
            Err(TryLockError::Error(e)) => return Err(failed(&e)),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Starts the nodes that are missing, and waits for them.
async fn boot(running: &Running, progress: &mut Progress<'_>) -> Result<(), Failure> {
    if !running.attached {
        for node in running.down_nodes() {
            running.session.fleet().start(node)?;
        }
    }
    wait(running, progress).await
}

/// Until every node that we started answers for the realm; of others, one will do.
async fn wait(running: &Running, progress: &mut Progress<'_>) -> Result<(), Failure> {
    let until = Instant::now() + READY_MAX;
    let mut missing = match running.attached {
        true => running.session.fleet().alive(),
        false => running.session.fleet().nodes().to_vec(),
    };
    let probe = probe(&running.session.data(), &running.genesis, &running.session.fleet())?;
    loop {
        let mut asked = JoinSet::new();
        for node in &missing {
            running.session.fleet().check(*node)?;
            let (node, probe) = (*node, probe.clone());
            asked.spawn(async move {
                let hello = probe.ask(Some(node), Request::Hello, Duration::from_millis(500)).await;
                (node, matches!(hello, Ok(Reply::Hello { ready: true, .. })))
            });
        }
        let mut still = Vec::new();
        for (node, ready) in asked.join_all().await {
            match ready {
                true if running.attached => return Ok(()),
                true => {}
                false => still.push(node),
            }
        }
        still.sort();
        missing = still;
        if missing.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = missing.iter().map(NodeId::to_string).collect();
        progress(Some(&format!("waiting for {}", names.join(" "))));
        if Instant::now() >= until {
            return Err(Failure::new(
                format!("{} did not come up within {} s", names.join(" "), READY_MAX.as_secs()),
                format!("look into the node.log files under {}", running.session.data().display()),
            ));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

impl Running {
    /// Stops what this process started, in good order; what does not go is killed. With `keep` nothing is stopped.
    pub async fn down(self, keep: bool, progress: &mut Progress<'_>) {
        stop_own(&self.session, keep, progress).await;
        progress(None);
        if let Some(folder) = self.folder {
            let path = folder.path().to_owned();
            if let Err(e) = folder.close() {
                tracing::warn!("cannot remove {}: {e}", path.display());
            }
        }
    }

    /// Those of a realm that ran already that do not.
    pub fn down_nodes(&self) -> Vec<NodeId> {
        let mut fleet = self.session.fleet();
        let alive = fleet.alive();
        fleet.nodes().iter().copied().filter(|node| !alive.contains(node)).collect()
    }

    /// What is to be removed at the end.
    pub fn folder(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|f| f.path().to_owned())
    }
}

/// Stops the nodes that this process started.
pub async fn stop_own(session: &Session, keep: bool, progress: &mut Progress<'_>) {
    if keep {
        session.fleet().let_go();
        return;
    }
    let own = session.fleet().own();
    if own.is_empty() {
        return;
    }
    let names: Vec<String> = own.iter().map(NodeId::to_string).collect();
    progress(Some(&format!("stopping {}", names.join(" "))));
    for node in &own {
        // One that cannot be asked any more is killed below.
        let _ = session.ask.ask(Some(*node), Request::Stop, Duration::from_secs(2)).await;
    }
    let until = Instant::now() + STOP_MAX;
    while Instant::now() < until && !lock(&session.fleet).own().is_empty() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    for node in session.fleet().own() {
        tracing::warn!("{node} did not stop in time and is killed");
        let _ = session.fleet().kill(node);
    }
}
