//! Facts from the running realm, remembered for a moment so that typing stays smooth.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use pando_admin::{Reply, Request};
use pando_interface::Interface;
use tokio::runtime::Handle;

use super::Facts;
use crate::session::{Session, lock};

/// A person who presses Tab does not wait longer.
const PATIENCE: Duration = Duration::from_millis(400);
const AGE_MAX: Duration = Duration::from_secs(2);

/// Facts from the running realm. To be asked from a thread outside the runtime.
pub struct Live {
    session: Arc<Session>,
    runtime: Handle,
    targets: Mutex<Option<(Vec<(String, String)>, Instant)>>,
}

impl Live {
    pub fn new(session: Arc<Session>, runtime: Handle) -> Live {
        Live { session, runtime, targets: Mutex::new(None) }
    }

    fn ask(&self, request: Request) -> Option<Reply> {
        let ask = self.session.ask.ask(None, request, PATIENCE);
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, ask).await }).ok()?.ok()
    }

    fn look(&self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        if let Some(Reply::Names(rows)) = self.ask(Request::Names) {
            out.extend(rows.into_iter().map(|row| (row.name, row.module)));
        }
        if let Some(Reply::Actors { rows, .. }) = self.ask(Request::Ps { node: None }) {
            // What has a name is called by it.
            out.extend(rows.into_iter().filter(|row| row.name.is_empty()).map(|row| (row.address, row.module)));
        }
        out
    }
}

impl Facts for Live {
    fn targets(&self) -> Vec<(String, String)> {
        if let Some((targets, since)) = &*lock(&self.targets)
            && since.elapsed() < AGE_MAX
        {
            return targets.clone();
        }
        let targets = self.look();
        *lock(&self.targets) = Some((targets.clone(), Instant::now()));
        targets
    }

    fn nodes(&self) -> Vec<String> {
        self.session.fleet().nodes().iter().map(ToString::to_string).collect()
    }

    fn interface(&self, target: &str) -> Option<Arc<Interface>> {
        let known = self.session.known(target, false, None);
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, known).await }).ok()?.ok()?.interface
    }
}
