//! openraft's own suite, against our log and state machine on a real folder.

use std::any::Any;
use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tokio::sync::mpsc;

use super::Disk;
use super::log::GroupLog;
use crate::config::Config;
use crate::entry::Entry;
use crate::machine::{Applied, Machine, Wire};
use crate::net::Link;
use crate::replica::apply::Replicated;
use crate::replica::{Core, Seed};
use crate::types::Types;
use pando_abi::{ActorId, NodeId};

struct Nothing;

impl Machine for Nothing {
    fn apply(&mut self, _: u64, _: &Entry) -> Applied {
        Applied::default()
    }
    fn batch_end(&mut self) -> [u8; 32] {
        [0; 32]
    }
    fn snapshot(&mut self) -> Vec<u8> {
        Vec::new()
    }
    fn restore(&mut self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
    fn role(&mut self, _: bool, _: u64) {}
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

impl Wire for Nothing {
    fn send(&self, _: NodeId, _: Vec<u8>, _: bool) -> bool {
        false
    }
}

/// A small open folder.
pub(crate) fn open_disk(dir: &std::path::Path) -> Arc<Disk> {
    let mut config = Config::new(dir, NodeId(1));
    config.log_file_bytes = 1 << 20;
    config.log_bytes = 4 << 20;
    config.fatal = Arc::new(|why| panic!("{why}"));
    // Opening blocks, which a thread of a runtime must not.
    Arc::new(std::thread::scope(|s| s.spawn(|| Disk::open(&config)).join()).unwrap().unwrap())
}

struct Folders;

impl StoreBuilder<Types, GroupLog, Replicated, tempfile::TempDir> for Folders {
    async fn build(&self) -> Result<(tempfile::TempDir, GroupLog, Replicated), StorageError<Types>> {
        let dir = tempfile::tempdir().unwrap();
        let disk = open_disk(dir.path());
        let log = GroupLog::open(disk.clone(), 7).unwrap();
        let seed = Seed {
            group: ActorId([1; 16]),
            node: 1,
            place: disk.applying.place(7),
            disk,
            log: log.clone(),
            link: Arc::new(Link::new(Arc::new(Nothing), 0)),
            attest_every: 64,
            notices: mpsc::unbounded_channel().0,
            machine: Box::new(Nothing),
        };
        Ok((dir, log, Replicated { core: Arc::new(Core::new(seed)) }))
    }
}

#[test]
fn log_and_state_machine_are_what_openraft_wants() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Suite::test_all(Folders)).unwrap();
}
