//! Fail points: places with stable names at which a real process can be made to end, to fail or to wait.
//!
//! ```sh
//! PANDO_FAIL=log.before-sync=abort@200 pando node --dir n1
//! PANDO_FAIL=snapshot.before-rename=exit,apply.after=sleep:50@3 pando node --dir n1
//! ```
//!
//! `name=deed@n`: the deed is done the n-th time (the first, if no number stands there) that this process comes by. Deeds: `abort` ends
//! the process on the spot, as a power cut would but for the disk; `exit` ends it with code 71; `error` makes the step there fail, where
//! it can; `sleep:ms` holds up the thread.
//!
//! `PANDO_POISON=bytes` is one more: a host that dies whenever a group's guest is to handle a body that has these bytes.
//!
//! Without the feature `planted`, which only tests turn on, [`fails`] is a constant `false`, and neither the names nor anything else of
//! this is in a program.

/// A place. The names are stable: scripts know them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "`Point::ALL` says what they are")]
pub enum Point {
    LogBeforeWrite,
    LogBeforeSync,
    LogAfterSync,
    VoteBeforeSave,
    VoteAfterSave,
    ApplyBefore,
    ApplyAfter,
    SnapshotBeforeSync,
    SnapshotBeforeRename,
    SnapshotAfterRename,
    SnapshotReceived,
    GroupRecorded,
    GroupSeated,
    GroupRemoved,
    ModuleBeforeFlush,
    ModuleAfterFlush,
    BeginWritten,
    BeginTaken,
    LaneCommitted,
    SaidHeard,
    SeatChanged,
    MovePacked,
    MoveReady,
    MoveDecided,
    MoveLeft,
    MoveSettled,
}

impl Point {
    /// All of them: the name, and what has just happened or is about to.
    pub const ALL: [(Point, &str, &str); 26] = [
        (Point::LogBeforeWrite, "log.before-write", "a batch of the log is complete, and nothing of it is in the file"),
        (Point::LogBeforeSync, "log.before-sync", "it is written, and not synced; `error`: the sync fails"),
        (Point::LogAfterSync, "log.after-sync", "it is synced, and nobody has been told"),
        (Point::VoteBeforeSave, "vote.before-save", "a vote is decided, and not saved; `error`: it cannot be"),
        (Point::VoteAfterSave, "vote.after-save", "it is saved, and not told"),
        (Point::ApplyBefore, "apply.before", "an entry is committed, and the machine has not seen it"),
        (Point::ApplyAfter, "apply.after", "the machine has applied it, and nobody has its outcome"),
        (
            Point::SnapshotBeforeSync,
            "snapshot.before-sync",
            "the parts of a snapshot are written, and not synced; `error`: they cannot be",
        ),
        (Point::SnapshotBeforeRename, "snapshot.before-rename", "its manifest is synced under another name"),
        (
            Point::SnapshotAfterRename,
            "snapshot.after-rename",
            "it counts, and the files of the one before are there still",
        ),
        (
            Point::SnapshotReceived,
            "snapshot.received",
            "one that came from the leader is on the disk, and the machine has not taken it up",
        ),
        (Point::GroupRecorded, "group.recorded", "a replica's record is on the disk, and its log is not begun"),
        (
            Point::GroupSeated,
            "group.seated",
            "a replica that joined has caught up with its own joining, and has not said so",
        ),
        (Point::GroupRemoved, "group.removed", "a replica's log and record are gone, and its snapshots are not"),
        (
            Point::ModuleBeforeFlush,
            "module.before-flush",
            "a module's bytes are in the store, and not on the disk; `error`: they cannot be",
        ),
        (Point::ModuleAfterFlush, "module.after-flush", "they are on the disk, and it does not count as there yet"),
        (
            Point::BeginWritten,
            "begin.written",
            "a node with an empty disk has written down that it asks whether it may begin",
        ),
        (Point::BeginTaken, "begin.taken", "it has its replica of the root group, and that file still"),
        (
            Point::LaneCommitted,
            "lane.committed",
            "a batch of inputs for a group is committed, and who waits has not been told",
        ),
        (
            Point::SaidHeard,
            "said.heard",
            "another group has heard what a group that is led here said, and its log does not say so",
        ),
        (Point::SeatChanged, "seat.changed", "a group's voters are changed, and the realm has not been told"),
        (Point::MovePacked, "move.packed", "a plain actor stands still and is packed, at its source"),
        (Point::MoveReady, "move.ready", "it is unpacked at its target, and the realm has not decided"),
        (Point::MoveDecided, "move.decided", "the realm has decided, and only the leader of the move knows"),
        (Point::MoveLeft, "move.left", "its source has forgotten it"),
        (Point::MoveSettled, "move.settled", "it runs at its target, which has not said so"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Point::ALL.iter().find(|(point, ..)| *point == self).map_or("", |(_, name, _)| name)
    }
}

/// A setting that tests make small in a real process: `PANDO_SET=snapshot-every=32`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// Entries between snapshots; as many are kept behind one.
    SnapshotEvery,
}

/// A thread has come by. `true`: it is to go on as if what it does there had failed.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn fails(_: Point) -> bool {
    false
}

/// The same where nothing can fail.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn pass(_: Point) {}

/// A replica is about to have its guest handle these bytes.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn handle(_: &[u8]) {}

/// What is set, if anything is.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn setting(_: Setting) -> Option<u64> {
    None
}

#[cfg(feature = "planted")]
pub use switch::{fails, handle, pass, setting};

#[cfg(feature = "planted")]
#[allow(clippy::panic, reason = "a test that is spelt wrongly must not pass")]
mod switch {
    extern crate std;

    use std::{
        env, eprintln, process,
        string::{String, ToString},
        sync::{
            OnceLock,
            atomic::{AtomicU64, Ordering},
        },
        thread,
        time::Duration,
        vec::Vec,
    };

    use super::{Point, Setting};

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Deed {
        Abort,
        Exit,
        Error,
        Sleep(u64),
    }

    struct Plan {
        point: Point,
        deed: Deed,
        nth: u64,
        came: AtomicU64,
    }

    fn read(text: &str) -> Option<Plan> {
        let (name, rest) = text.trim().split_once('=')?;
        let (deed, nth) = rest.split_once('@').unwrap_or((rest, "1"));
        let (point, ..) = Point::ALL.into_iter().find(|(_, known, _)| *known == name)?;
        let deed = match deed.split_once(':').unwrap_or((deed, "")) {
            ("abort", "") => Deed::Abort,
            ("exit", "") => Deed::Exit,
            ("error", "") => Deed::Error,
            ("sleep", ms) => Deed::Sleep(ms.parse().ok()?),
            _ => return None,
        };
        Some(Plan { point, deed, nth: nth.parse().ok().filter(|nth| *nth > 0)?, came: AtomicU64::new(0) })
    }

    fn plans() -> &'static [Plan] {
        static PLANS: OnceLock<Vec<Plan>> = OnceLock::new();
        PLANS.get_or_init(|| {
            let text = env::var("PANDO_FAIL").unwrap_or_default();
            let parts = text.split(',').filter(|part| !part.trim().is_empty());
            parts.map(|part| read(part).unwrap_or_else(|| panic!("PANDO_FAIL: `{part}` is no `name=deed@n`"))).collect()
        })
    }

    /// A thread has come by. `true`: it is to go on as if what it does there had failed.
    pub fn fails(point: Point) -> bool {
        let mut fails = false;
        for plan in plans().iter().filter(|plan| plan.point == point) {
            if plan.came.fetch_add(1, Ordering::Relaxed) + 1 != plan.nth {
                continue;
            }
            eprintln!("fail point {}: {:?}", point.name(), plan.deed);
            match plan.deed {
                Deed::Abort => process::abort(),
                Deed::Exit => process::exit(71),
                Deed::Error => fails = true,
                Deed::Sleep(ms) => thread::sleep(Duration::from_millis(ms)),
            }
        }
        fails
    }

    /// The same where nothing can fail.
    pub fn pass(point: Point) {
        fails(point);
    }

    /// A replica is about to have its guest handle these bytes. The process ends if they hold what it shall die of.
    pub fn handle(bytes: &[u8]) {
        static POISON: OnceLock<String> = OnceLock::new();
        let poison = POISON.get_or_init(|| env::var("PANDO_POISON").unwrap_or_default()).as_bytes();
        if !poison.is_empty() && bytes.windows(poison.len()).any(|part| part == poison) {
            process::abort();
        }
    }

    /// What is set, if anything is.
    pub fn setting(which: Setting) -> Option<u64> {
        static SET: OnceLock<String> = OnceLock::new();
        let name = match which {
            Setting::SnapshotEvery => "snapshot-every",
        };
        let set = SET.get_or_init(|| env::var("PANDO_SET").unwrap_or_default());
        let found = set.split(',').filter_map(|part| part.trim().split_once('=')).find(|(known, _)| *known == name);
        found
            .map(|(_, value)| value.parse().unwrap_or_else(|_| panic!("PANDO_SET: {} is no number", value.to_string())))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_asked_for_is_read_or_refused() {
            let read = |text| read(text).map(|plan| (plan.point, plan.deed, plan.nth));
            assert_eq!(read("log.before-sync=abort@17"), Some((Point::LogBeforeSync, Deed::Abort, 17)));
            assert_eq!(read(" move.left=sleep:50"), Some((Point::MoveLeft, Deed::Sleep(50), 1)));
            for wrong in ["", "log", "log.nowhere=abort", "move.left=jump", "move.left=exit@0", "move.left=sleep:x"] {
                assert_eq!(read(wrong), None, "{wrong}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_named_once() {
        for (n, (point, name, meaning)) in Point::ALL.iter().enumerate() {
            assert_eq!((*point as usize, point.name()), (n, *name), "out of order");
            assert!(!meaning.is_empty() && name.contains('.'));
            assert_eq!(Point::ALL.iter().filter(|(_, other, _)| other == name).count(), 1, "{name}");
        }
    }
}
