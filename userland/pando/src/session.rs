//! What commands act on: a realm, the person's data folder, what this shell has seen.
//!
//! Owns: the cache of interfaces, the leaders that were last seen, the node processes that are ours. Does not know: how
//! outcomes look.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use pando_abi::{Errno, NodeId};
use pando_admin::{ActorRow, Reply, Request};
use pando_interface::Interface;

use crate::{
    ask::Ask,
    failure::Failure,
    outcome::{Ended, Outcome},
    up::Fleet,
};

/// How long an answer is waited for unless told.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// How long an interface is believed: names are given to others now and then.
const INTERFACE_AGE_MAX: Duration = Duration::from_secs(10);

/// Hears how what was watched ended.
pub type Notices = Box<dyn Fn(Result<Ended, Failure>) + Send + Sync>;

/// What commands act on.
pub struct Session {
    pub ask: Arc<dyn Ask>,
    /// The node processes on this machine.
    pub fleet: Mutex<Fleet>,
    /// Where a shell hears of ends while it does something else; not set outside one.
    pub notices: OnceLock<Notices>,
    /// How many ends are waited for beside the commands.
    pub watching: AtomicUsize,
    leaders: Mutex<HashMap<String, u32>>,
    interfaces: Mutex<HashMap<String, (Known, Instant)>>,
}

/// What can be called on a target.
#[derive(Clone)]
pub struct Known {
    /// `None`: its module does not tell.
    pub interface: Option<Arc<Interface>>,
    pub text: String,
    /// It stood in the cache, and may be old.
    pub cached: bool,
}

/// Where outcomes go as they come.
pub trait Sink: Send {
    fn emit(&mut self, outcome: Outcome);
    /// Long work goes on: what it is at now. `None`: it is over.
    fn progress(&mut self, text: Option<&str>);
}

impl Session {
    pub fn new(ask: Arc<dyn Ask>, fleet: Fleet) -> Session {
        Session {
            ask,
            fleet: Mutex::new(fleet),
            notices: OnceLock::new(),
            watching: AtomicUsize::new(0),
            leaders: Mutex::default(),
            interfaces: Mutex::default(),
        }
    }

    /// The realm's data folder.
    pub fn data(&self) -> PathBuf {
        self.fleet().data().to_owned()
    }

    pub fn fleet(&self) -> std::sync::MutexGuard<'_, Fleet> {
        lock(&self.fleet)
    }

    /// What can be called on `target`.
    pub async fn known(&self, target: &str, fresh: bool, node: Option<NodeId>) -> Result<Known, Failure> {
        if !fresh {
            let cache = lock(&self.interfaces);
            if let Some((known, since)) = cache.get(target)
                && since.elapsed() < INTERFACE_AGE_MAX
            {
                return Ok(Known { cached: true, ..known.clone() });
            }
        }
        let request = Request::Interface { target: target.to_owned() };
        let text = match self.ask.ask(node, request, DEADLINE).await {
            Ok(Reply::Interface { text, .. }) => text,
            Ok(_) => return Err(unexpected()),
            Err(e) => return Err(self.suggest(e.into(), target).await),
        };
        let interface = if text.trim().is_empty() {
            None
        } else {
            Some(Arc::new(Interface::parse(&text).map_err(|e| {
                Failure::new(
                    format!("{target} describes its methods in a way that cannot be read: {e}"),
                    "mend the module's pando.interface section",
                )
            })?))
        };
        let known = Known { interface, text, cached: false };
        lock(&self.interfaces).insert(target.to_owned(), (known.clone(), Instant::now()));
        Ok(known)
    }

    /// Names may mean something else now.
    pub fn forget_interfaces(&self) {
        lock(&self.interfaces).clear();
    }

    /// A sentence about a target that does not exist gets the name that was probably meant.
    pub async fn suggest(&self, failure: Failure, target: &str) -> Failure {
        if failure.errno != Some(Errno::NOT_FOUND) {
            return failure;
        }
        let names = match self.ask.ask(None, Request::Names, Duration::from_secs(1)).await {
            Ok(Reply::Names(rows)) => rows,
            _ => return failure,
        };
        match pando_interface::nearest(target, names.iter().map(|row| row.name.as_str())) {
            Some(meant) if meant != target => Failure { mend: format!("did you mean `{meant}`?"), ..failure },
            _ => failure,
        }
    }

    /// A group answered: is its leader another than this shell last saw?
    pub fn saw_leader(&self, target: &str, leader: u32) -> Option<u32> {
        if leader == 0 {
            return None;
        }
        let before = lock(&self.leaders).insert(target.to_owned(), leader);
        before.filter(|before| *before != leader).map(|_| leader)
    }

    /// A person saw these rows.
    pub fn saw_rows<'a>(&self, rows: impl IntoIterator<Item = &'a ActorRow>) {
        for row in rows.into_iter().filter(|row| !row.voters.is_empty()) {
            for key in [&row.name, &row.address, &row.id] {
                if !key.is_empty() {
                    self.saw_leader(key, row.node);
                }
            }
        }
    }
}

/// A lock whose holder panicked guards nothing that could be half done here.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// An answer to another question.
pub fn unexpected() -> Failure {
    Failure::new("the node answered another question than was asked", "run the same version of pando on both sides")
}
