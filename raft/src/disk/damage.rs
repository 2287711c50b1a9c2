//! A disk that cannot be read, or has rotted, is told apart from the torn tail of a crash.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pando_abi::NodeId;
use raft::eraftpb;

use super::Disk;
use super::appender::{Entries, Item};
use crate::config::Config;
use crate::error::OpenError;
use crate::files::Files;
use crate::files::watched::{Watch, Watched};

const REGION: u64 = 9;
const ENTRIES: u64 = 60;

/// One read of all fails.
#[derive(Default)]
struct Misreading {
    reads: AtomicUsize,
    fails: usize,
}

impl Watch for Misreading {
    fn read(&self) -> io::Result<()> {
        match self.reads.fetch_add(1, Ordering::Relaxed) == self.fails {
            true => Err(io::Error::other("a bad sector")),
            false => Ok(()),
        }
    }
}

fn open(dir: &Path, files: Option<Arc<dyn Files>>) -> Result<Disk, OpenError> {
    let mut config = Config::new(dir, NodeId(1));
    (config.log_file_bytes, config.log_bytes, config.files) = (16 << 10, 1 << 20, files);
    config.fatal = Arc::new(|_| {});
    Disk::open(&config)
}

/// A closed folder with a log of several files.
fn written(dir: &Path) -> Vec<PathBuf> {
    let disk = open(dir, None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for index in 1..=ENTRIES {
        let entry = eraftpb::Entry { index, term: 1, data: vec![index as u8; 1_000].into(), ..Default::default() };
        runtime.block_on(disk.appender.write(vec![Item::Entries(REGION, vec![entry])])).unwrap();
    }
    disk.close();
    let mut files: Vec<PathBuf> = fs::read_dir(dir.join("log")).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "raftlog"));
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    files
}

fn all_entries(disk: &Disk) -> usize {
    let mut entries = Vec::new();
    let engine = disk.engine().unwrap();
    engine.fetch_entries_to::<Entries>(REGION, 1, ENTRIES + 1, None, &mut entries).unwrap()
}

#[test]
fn a_read_that_fails_is_not_the_end_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    let mut refused = 0;
    loop {
        let files = Misreading { fails: refused, ..Misreading::default() };
        match open(dir.path(), Some(Arc::new(Watched(Arc::new(files))))) {
            Ok(disk) => {
                disk.close();
                break;
            }
            Err(OpenError::Io { source, .. }) => assert!(source.to_string().contains("bad sector"), "{source}"),
            Err(other) => panic!("read {refused} failed: {other}"),
        }
        refused += 1;
    }
    assert!(refused > 3, "{refused} reads");
    assert_eq!(all_entries(&open(dir.path(), None).unwrap()), ENTRIES as usize);
}

#[test]
fn what_is_broken_in_an_older_log_file_is_damage_and_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let files = written(dir.path());
    let older = &files[0];
    let mut bytes = fs::read(older).unwrap();
    // In the middle of the last entry of the file: the engine looks at it while it opens the log.
    let number = bytes.windows(500).rposition(|w| w.iter().all(|b| *b == w[0] && *b != 0)).unwrap();
    bytes[number + 100] ^= 1;
    fs::write(older, &bytes).unwrap();
    let Err(OpenError::Damaged { path, why }) = open(dir.path(), None).map(|disk| disk.close()) else {
        panic!("a damaged log was opened");
    };
    let name = older.file_name().unwrap().to_string_lossy();
    assert!(path.ends_with("log") && why.contains(&*name), "{}: {why}", path.display());
    assert_eq!(fs::read(older).unwrap(), bytes, "the damaged file was changed");
}
