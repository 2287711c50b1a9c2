//! Bugs that the simulator plants, to see whether it finds them.
//!
//! Without the feature `planted`, which only the tests of the simulator turn on, [`planted`] is a constant `false` and
//! nothing of this is in a program.

pub mod fail;

/// A bug. Each stands at one place in the product, where [`planted`] asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Bug {
    /// The log is not synced before it is acknowledged.
    NoSync = 1,
    /// An append is acknowledged before it is written.
    AckBeforeWrite,
    /// A vote is not saved.
    VoteNotSaved,
    /// A vote is granted to whoever asks, whatever term and log they have.
    VoteForAll,
    /// A linear read is answered by whoever believes to lead.
    LeaseRead,
    /// A module counts as here before it is on the disk.
    ModuleNotFlushed,
    /// A snapshot says that it has one entry more than it has.
    SnapshotWrongIndex,
    /// A snapshot forgets what was heard from other groups.
    SnapshotForgetsHeard,
    /// A snapshot forgets who has been served.
    SnapshotForgetsServed,
    /// A snapshot file is not synced before it counts.
    SnapshotNotSynced,
    /// A call under a known key is handled again.
    ServedTwice,
    /// A read says an index that is older than the state it read.
    ReadIndexOld,
    /// What a group says again is handled again.
    HeardTwice,
    /// A new leader does not say again what was not heard.
    OutboxForgotten,
    /// Every eighth saying to a group is taken for heard and is not said.
    AckWithoutDelivery,
    /// The second watcher of an actor is forgotten.
    LostMonitor,
    /// A timer that has fired fires again.
    TimerTwice,
    /// A new leader does not set its group's timers.
    TimersLostWithLeader,
    /// A new leader does not set the deadlines of its group's calls.
    DeadlinesLostWithLeader,
    /// A name that is taken is given to the next one, too.
    NameTaken,
    /// The time of a group goes back when its leader's clock is behind.
    TimeGoesBack,
    /// Replicas put their own number into the state.
    OwnNumber,
    /// The newest message is handled first.
    NewestFirst,
    /// An answer that is told again says the index of the repetition.
    AnswerAtRepeat,
    /// Whose outcome was asked for and had not come is not fenced.
    NotFenced,
    /// New code that failed while it took over is not undone.
    UpgradeNotUndone,
    /// A binary takes what it writes at most into an entry for what anybody does.
    ReadByOwnTuning,
    /// What waits for a group is not bounded.
    LaneUnbounded,
    /// A lane in which nothing waits is kept.
    LaneKept,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 29] = [
        Bug::NoSync,
        Bug::AckBeforeWrite,
        Bug::VoteNotSaved,
        Bug::VoteForAll,
        Bug::LeaseRead,
        Bug::ModuleNotFlushed,
        Bug::SnapshotWrongIndex,
        Bug::SnapshotForgetsHeard,
        Bug::SnapshotForgetsServed,
        Bug::SnapshotNotSynced,
        Bug::ServedTwice,
        Bug::ReadIndexOld,
        Bug::HeardTwice,
        Bug::OutboxForgotten,
        Bug::AckWithoutDelivery,
        Bug::LostMonitor,
        Bug::TimerTwice,
        Bug::TimersLostWithLeader,
        Bug::DeadlinesLostWithLeader,
        Bug::NameTaken,
        Bug::TimeGoesBack,
        Bug::OwnNumber,
        Bug::NewestFirst,
        Bug::AnswerAtRepeat,
        Bug::NotFenced,
        Bug::UpgradeNotUndone,
        Bug::ReadByOwnTuning,
        Bug::LaneUnbounded,
        Bug::LaneKept,
    ];
}

/// Is this bug planted?
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn planted(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use switch::{plant, planted};

#[cfg(feature = "planted")]
mod switch {
    use core::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    static PLANTED: AtomicU8 = AtomicU8::new(0);

    /// From now on this bug is in the product, in the whole process; `None`: none is.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
    }

    /// Is this bug planted?
    pub fn planted(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as u8
    }
}
