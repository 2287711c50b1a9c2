//! Who is next: the rotation of priorities, and the small decisions beside it.
//!
//! Pure. Knows neither queues nor threads; time comes in as an argument.
//!
//! 1. In every [`ROTATION_TURNS`] turns each priority comes first at least once, so whatever waits is reached.
//! 2. Otherwise the higher one goes first.

use crate::limits::{ROTATION_TURNS, SPIN_NS_MAX, SPIN_NS_MIN};

/// How urgent a task is. Few on purpose; none can starve another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Priority {
    /// Before the others, most of the time.
    High = 0,
    /// The usual.
    #[default]
    Normal = 1,
    /// When nothing else waits, and now and then.
    Low = 2,
}

impl Priority {
    /// How many there are.
    pub const COUNT: usize = 3;

    pub(crate) fn of_level(level: usize) -> Priority {
        match level {
            0 => Priority::High,
            1 => Priority::Normal,
            _ => Priority::Low,
        }
    }
}

/// The order in which a worker looks at its queues in its `turn`-th turn.
pub(crate) fn order(turn: u64) -> &'static [usize; Priority::COUNT] {
    let place = turn & (ROTATION_TURNS - 1);
    if place == ROTATION_TURNS - 1 {
        &[2, 0, 1]
    } else if place & 3 == 2 {
        &[1, 0, 2]
    } else {
        &[0, 1, 2]
    }
}

/// Whether another worker should be called: only when more waits than the caller will take next itself.
pub(crate) fn is_work_for_two(slot_taken: bool, queued: usize) -> bool {
    queued + usize::from(slot_taken) >= 2
}

/// Whether a turn of so much processor time counts as an overrun, for the task's next turn.
pub(crate) fn strikes(cpu_ns: u64, slice_ns: u64) -> bool {
    cpu_ns >= slice_ns
}

/// How long a worker looks for work before it sleeps: longer where looking pays, shorter where it does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spin {
    ns: u64,
}

impl Spin {
    pub(crate) const fn new() -> Spin {
        Spin { ns: SPIN_NS_MAX / 4 }
    }

    pub(crate) fn ns(self) -> u64 {
        self.ns
    }

    /// It found work.
    pub(crate) fn found(&mut self) {
        self.ns = (self.ns * 2).min(SPIN_NS_MAX);
    }

    /// It slept in vain of looking, for so long: a short sleep means that looking a little longer would have paid.
    pub(crate) fn slept(&mut self, ns: u64) {
        self.ns = if ns < SPIN_NS_MAX { (self.ns * 2).min(SPIN_NS_MAX) } else { (self.ns / 2).max(SPIN_NS_MIN) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_priority_comes_first_within_one_rotation() {
        for start in 0..ROTATION_TURNS {
            let firsts: Vec<usize> = (start..start + ROTATION_TURNS).map(|turn| order(turn)[0]).collect();
            for level in 0..Priority::COUNT {
                assert!(firsts.contains(&level), "{level} from {start}: {firsts:?}");
            }
            assert!(firsts.iter().filter(|&&level| level == 0).count() > firsts.len() / 2, "high goes first mostly");
        }
    }

    #[test]
    fn every_order_names_every_priority_once() {
        for turn in 0..ROTATION_TURNS {
            let mut order = *order(turn);
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2]);
        }
    }

    #[test]
    fn looking_gets_longer_where_it_pays_and_shorter_where_it_does_not() {
        let mut spin = Spin::new();
        for _ in 0..20 {
            spin.slept(10 * SPIN_NS_MAX);
        }
        assert_eq!(spin.ns(), SPIN_NS_MIN);
        for _ in 0..20 {
            spin.slept(SPIN_NS_MAX / 2);
        }
        assert_eq!(spin.ns(), SPIN_NS_MAX);
        spin.slept(10 * SPIN_NS_MAX);
        spin.found();
        assert_eq!(spin.ns(), SPIN_NS_MAX);
    }
}
