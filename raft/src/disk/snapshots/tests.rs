//! What a snapshot writes, keeps and deletes, and how one comes in.

use std::cell::{Cell, RefCell};
use std::fs;

use super::incoming::{Incoming, Next, Piece};
use super::kept::Reader;
use super::*;
use crate::codec::record::{LogIdRecord, MembershipRecord};
use crate::files::SystemFiles;
use crate::files::watched::{Watch, Watched};

const GROUP: GroupId = pando_abi::ActorId([5; 16]);
const PART: usize = 4096;

/// A state of parts; each knows its name until it is changed.
struct State {
    parts: Vec<Vec<u8>>,
    names: Vec<Option<Name>>,
    made: Cell<usize>,
    /// Called when a part is asked for.
    watch: RefCell<Option<Box<dyn FnMut(usize) + Send>>>,
}

impl State {
    fn new(parts: usize) -> State {
        let part = |n: usize| [&n.to_le_bytes()[..], &[1; PART]].concat();
        State {
            parts: (0..parts).map(part).collect(),
            names: vec![None; parts],
            made: Cell::new(0),
            watch: RefCell::default(),
        }
    }

    fn change(&mut self, part: usize, byte: u8) {
        self.parts[part][100] = byte;
        self.names[part] = None;
    }
}

impl Cut for State {
    fn count(&self) -> usize {
        self.parts.len()
    }
    fn name(&self, part: usize) -> Option<Name> {
        self.names[part]
    }
    fn bytes(&self, part: usize) -> Vec<u8> {
        self.made.set(self.made.get() + 1);
        self.watch.borrow_mut().iter_mut().for_each(|watch| watch(part));
        self.parts[part].clone()
    }
    fn named(&mut self, part: usize, name: Name) {
        self.names[part] = Some(name);
    }
}

fn meta(index: u64) -> Meta {
    let membership = MembershipRecord { configs: vec![vec![1]], nodes: vec![1] };
    let last = Some(LogIdRecord { term: 1, index });
    Meta { last, membership_at: None, membership, chain: [1; 32], root: [2; 32], root_index: 0 }
}

fn open(dir: &Path) -> Snapshots {
    Snapshots::open(dir.to_path_buf(), Arc::new(SystemFiles)).unwrap()
}

fn read(snapshots: &Snapshots, kept: &Kept) -> Vec<Vec<u8>> {
    let reader = Reader::new(snapshots.files());
    (0..kept.manifest.parts.len()).map(|part| reader.part(kept, part).unwrap()).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn parts_bytes(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).unwrap().map(|f| f.unwrap());
    files.filter(|f| f.path().extension().is_some_and(|e| e == "parts")).map(|f| f.metadata().unwrap().len()).sum()
}

#[test]
fn a_snapshot_writes_what_changed_and_is_read_whole_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::new(50);
    let snapshots = open(dir.path());
    snapshots.save(GROUP, meta(1), &mut state).unwrap();
    let first = parts_bytes(dir.path());
    state.change(7, 9);
    state.made.set(0);
    snapshots.save(GROUP, meta(2), &mut state).unwrap();
    assert_eq!((state.made.get(), parts_bytes(dir.path()) - first), (1, state.parts[7].len() as u64));
    let again = open(dir.path());
    let kept = again.load(GROUP).unwrap().unwrap();
    assert_eq!((kept.meta(), read(&again, &kept)), (&meta(2), state.parts.clone()));
    // Also what forgot the names writes nothing twice: the hashes say so.
    state.names.fill(None);
    let before = parts_bytes(dir.path());
    again.save(GROUP, meta(3), &mut state).unwrap();
    assert_eq!(parts_bytes(dir.path()), before);
    // An older one changes nothing.
    let mut old = State::new(3);
    again.save(GROUP, meta(2), &mut old).unwrap();
    assert_eq!(again.load(GROUP).unwrap().unwrap().meta(), &meta(3));
}

#[test]
fn however_often_and_wherever_a_state_changes_its_files_stay_in_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::new(60);
    let snapshots = open(dir.path());
    let whole: u64 = state.parts.iter().map(|part| part.len() as u64).sum();
    let mut written = 0;
    for round in 1..=400 {
        for n in 0..3 {
            state.change((round * 7 + n * 13) % 60, round as u8);
        }
        state.made.set(0);
        let kept = snapshots.save(GROUP, meta(round as u64), &mut state).unwrap();
        written += state.made.get();
        assert!(kept.files.len() <= FILES_MAX);
        let bytes = parts_bytes(dir.path());
        assert!(bytes <= 2 * whole + 3 * PART as u64 * 2, "round {round}: {bytes} bytes for a state of {whole}");
        assert_eq!(names(dir.path()).len(), kept.files.len() + 1, "round {round}: {:?}", names(dir.path()));
    }
    assert!(written < 400 * 60 / 3, "{written} parts were written in 400 rounds");
    let kept = snapshots.load(GROUP).unwrap().unwrap();
    assert_eq!(read(&snapshots, &kept), state.parts);
}

#[test]
fn whoever_has_a_snapshot_can_read_it_to_its_end_and_afterwards_its_files_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::new(20);
    let snapshots = open(dir.path());
    let pinned = snapshots.save(GROUP, meta(1), &mut state).unwrap();
    let before = state.parts.clone();
    for index in 2..5 {
        (0..20).for_each(|part| state.change(part, index as u8));
        snapshots.save(GROUP, meta(index), &mut state).unwrap();
    }
    assert_eq!(read(&snapshots, &pinned), before);
    assert_eq!(names(dir.path()).len(), 3, "{:?}", names(dir.path()));
    drop(pinned);
    state.change(3, 77);
    snapshots.save(GROUP, meta(9), &mut state).unwrap();
    let kept = snapshots.load(GROUP).unwrap().unwrap();
    assert_eq!(names(dir.path()).len(), kept.files.len() + 1, "{:?}", names(dir.path()));
    snapshots.remove(GROUP).unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn the_current_snapshot_can_be_read_while_the_next_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::new(4);
    let snapshots = Arc::new(open(dir.path()));
    snapshots.save(GROUP, meta(1), &mut state).unwrap();
    state.change(2, 5);
    let (other, looked) = (snapshots.clone(), Arc::new(Mutex::new(0)));
    let seen = looked.clone();
    *state.watch.borrow_mut() = Some(Box::new(move |_| {
        let kept = other.load(GROUP).unwrap().unwrap();
        assert_eq!((kept.meta(), read(&other, &kept).len()), (&meta(1), 4));
        *seen.lock() += 1;
    }));
    snapshots.save(GROUP, meta(2), &mut state).unwrap();
    assert_eq!(*looked.lock(), 1);
}

#[test]
fn what_a_crash_left_half_written_counts_for_nothing_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::new(10);
    open(dir.path()).save(GROUP, meta(1), &mut state).unwrap();
    fs::write(dir.path().join(format!("{GROUP}.9.parts")), [1; 5_000]).unwrap();
    fs::write(dir.path().join(format!("{GROUP}.10.tmp")), [1; 100]).unwrap();
    let snapshots = open(dir.path());
    let kept = snapshots.load(GROUP).unwrap().unwrap();
    assert_eq!((kept.meta(), read(&snapshots, &kept)), (&meta(1), state.parts.clone()));
    state.change(1, 2);
    drop(kept);
    snapshots.save(GROUP, meta(2), &mut state).unwrap();
    assert!(!names(dir.path()).iter().any(|name| name.ends_with(".9.parts") || name.ends_with(".tmp")));
    // The next file has a number that none had.
    assert!(names(dir.path()).iter().any(|name| name.ends_with(".10.parts")), "{:?}", names(dir.path()));
}

#[test]
fn damage_is_named_and_what_is_distrusted_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::new(10);
    let kept = open(dir.path()).save(GROUP, meta(1), &mut state).unwrap();
    let path = kept.files.values().next().unwrap().path.clone();
    let mut bytes = fs::read(&path).unwrap();
    bytes[3 * (PART + 8) + 50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let snapshots = open(dir.path());
    let kept = snapshots.load(GROUP).unwrap().unwrap();
    let reader = Reader::new(snapshots.files());
    let refused = reader.part(&kept, 3).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    assert!(refused.to_string().contains(&path.display().to_string()), "{refused}");
    assert_eq!(reader.part(&kept, 4).unwrap(), state.parts[4]);
    drop(kept);
    snapshots.distrust(GROUP);
    let kept = snapshots.save(GROUP, meta(1), &mut state).unwrap();
    assert_eq!(read(&snapshots, &kept), state.parts);
    // A manifest that is damaged is an error for who needs it, and none for the next snapshot.
    let manifest = snapshots.path(GROUP);
    let mut bytes = fs::read(&manifest).unwrap();
    bytes[40] ^= 1;
    fs::write(&manifest, &bytes).unwrap();
    let snapshots = open(dir.path());
    let refused = snapshots.load(GROUP).unwrap_err();
    assert!(refused.to_string().contains(&manifest.display().to_string()), "{refused}");
    snapshots.save(GROUP, meta(2), &mut state).unwrap();
    assert_eq!(read(&snapshots, &snapshots.load(GROUP).unwrap().unwrap()), state.parts);
}

/// Sends a snapshot until it is whole or `stop` parts were sent. Gives how many.
fn send(
    from: &Snapshots,
    kept: &Kept,
    to: &Snapshots,
    incoming: &mut Option<Incoming>,
    stop: usize,
) -> (usize, Option<Arc<Kept>>) {
    let (reader, mut sent) = (Reader::new(from.files()), 0);
    let mut piece = Piece::Manifest { total: kept.bytes.len() as u64, offset: 0, bytes: kept.bytes.clone() };
    loop {
        match to.receive(GROUP, incoming, kept.image, piece).unwrap() {
            Next::Manifest(offset) => {
                let bytes = kept.bytes[offset as usize..].to_vec();
                piece = Piece::Manifest { total: kept.bytes.len() as u64, offset, bytes };
            }
            Next::Parts(_) if sent >= stop => return (sent, None),
            Next::Parts(wanted) => {
                // One at a time, though more are wanted.
                let part = wanted[0];
                piece = Piece::Parts(vec![(part, reader.part(kept, part as usize).unwrap())]);
                sent += 1;
            }
            Next::Whole(whole) => return (sent, Some(whole)),
            Next::Nonsense(why) => panic!("{why}"),
        }
    }
}

#[test]
fn a_snapshot_comes_in_by_parts_goes_on_where_it_was_cut_short_and_brings_only_what_is_missing() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (open(here.path()), open(there.path()));
    let mut state = State::new(40);
    let first = from.save(GROUP, meta(1), &mut state).unwrap();
    let mut incoming = None;
    assert_eq!(send(&from, &first, &to, &mut incoming, 15).0, 15);
    // The connection is lost, and whoever sends next has a newer one.
    state.change(3, 9);
    state.change(30, 9);
    let second = from.save(GROUP, meta(2), &mut state).unwrap();
    let (sent, whole) = send(&from, &second, &to, &mut incoming, usize::MAX);
    assert_eq!(sent, 40 - 15 + 1);
    let whole = whole.unwrap();
    assert!(to.load(GROUP).unwrap().is_none(), "it counts when it is taken up");
    to.adopt(GROUP, &whole).unwrap();
    assert_eq!(read(&to, &to.load(GROUP).unwrap().unwrap()), state.parts);
    // Who has an older snapshot gets what differs.
    state.change(11, 4);
    let third = from.save(GROUP, meta(3), &mut state).unwrap();
    let (sent, whole) = send(&from, &third, &to, &mut incoming, usize::MAX);
    assert_eq!(sent, 1);
    to.adopt(GROUP, &whole.unwrap()).unwrap();
    let again = open(there.path());
    assert_eq!(read(&again, &again.load(GROUP).unwrap().unwrap()), state.parts);
}

#[test]
fn what_is_not_what_its_manifest_says_is_not_taken() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, to) = (open(here.path()), open(there.path()));
    let kept = from.save(GROUP, meta(1), &mut State::new(5)).unwrap();
    let total = kept.bytes.len() as u64;
    let manifest = |bytes: &[u8]| Piece::Manifest { total, offset: 0, bytes: bytes.to_vec() };
    let mut incoming = None;
    let mut other = kept.bytes.clone();
    other[5] ^= 1;
    for piece in [manifest(&other), Piece::Manifest { total: u64::MAX, offset: 0, bytes: vec![] }] {
        assert!(matches!(to.receive(GROUP, &mut incoming, kept.image, piece).unwrap(), Next::Nonsense(_)));
    }
    // Parts of what nobody has announced: its manifest first.
    let parts = |part: u32, bytes: Vec<u8>| Piece::Parts(vec![(part, bytes)]);
    assert!(matches!(to.receive(GROUP, &mut incoming, kept.image, parts(0, vec![])).unwrap(), Next::Manifest(0)));
    for bad in [parts(0, vec![1; PART + 8]), parts(9, vec![]), parts(u32::MAX, vec![1])] {
        assert!(matches!(to.receive(GROUP, &mut incoming, kept.image, manifest(&kept.bytes)).unwrap(), Next::Parts(_)));
        assert!(matches!(to.receive(GROUP, &mut incoming, kept.image, bad).unwrap(), Next::Nonsense(_)));
    }
}

/// Nothing gets its last name while bytes of any file wait for the disk, and never do many wait.
#[derive(Default)]
struct Careful(Mutex<BTreeMap<PathBuf, usize>>);

impl Watch for Careful {
    fn write(&self, path: &Path, bytes: usize) {
        let mut waiting = self.0.lock();
        let own = waiting.entry(path.to_path_buf()).or_default();
        *own += bytes;
        assert!(*own <= 4 << 20, "{own} bytes wait for the disk at once");
    }
    fn sync(&self, path: &Path) {
        self.0.lock().insert(path.to_path_buf(), 0);
    }
    fn delete(&self, path: &Path) {
        self.0.lock().remove(path);
    }
    fn rename(&self) {
        let waiting = self.0.lock();
        assert!(waiting.values().all(|bytes| *bytes == 0), "not on the disk yet: {waiting:?}");
    }
}

#[test]
fn what_a_snapshot_names_is_on_the_disk_before_it_and_never_does_much_wait_for_the_disk() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let careful =
        |dir: &Path| Snapshots::open(dir.to_path_buf(), Arc::new(Watched(Arc::<Careful>::default()))).unwrap();
    let (from, to) = (careful(here.path()), careful(there.path()));
    let mut state = State::new(3_000);
    let first = from.save(GROUP, meta(1), &mut state).unwrap();
    let mut incoming = None;
    send(&from, &first, &to, &mut incoming, 500);
    state.change(3, 9);
    let second = from.save(GROUP, meta(2), &mut state).unwrap();
    // Most of it came with the one before, which was cut short.
    let (_, whole) = send(&from, &second, &to, &mut incoming, usize::MAX);
    to.adopt(GROUP, &whole.unwrap()).unwrap();
    assert_eq!(read(&to, &to.load(GROUP).unwrap().unwrap()), state.parts);
}
