//! How far the disk of a node has come, so that the others recognise an old copy of it.
//!
//! ```text
//!  life:    a boot, under a number that it drew            7f3a      c21b         90e4
//!  count:   goes on while the disk makes promises          0 .. 41   42 .. 1,204  1,205 ..
//! ```
//!
//! A node tells its lives to whoever it meets, and everybody keeps the last that was told. A disk that does not know what others
//! have heard of it is an older one than theirs was: it has forgotten votes and acknowledgements.
//!
//! Owns: the reckoning. Does not know: disks, wires, time.
//!
//! 1. A disk knows what it told: every later state of the same disk does, too.
//! 2. What was lost is taken into the list: the disk is found old once for it, and can be found old again for something else.
//! 3. Counts go up through all lives, and what goes on after a loss counts from above what was lost. So whatever was told at or below a
//!    loss that is known was told before it was, and was given up with it: also what nobody remembers but a witness with an old disk.

use rkyv::{Archive, Deserialize, Serialize};

/// Lives that are remembered. Of earlier ones everything counts as known.
pub(crate) const LIVES_MAX: usize = 32;

/// What a disk has told of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) life: u64,
    pub(crate) count: u64,
}

/// One boot, up to its last count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct Life {
    pub(crate) last: Mark,
    /// The disk has forgotten some of it.
    pub(crate) lost: bool,
}

/// The lives of a disk, the present one last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub(crate) struct Lives(pub(crate) Vec<Life>);

impl Lives {
    /// The node boots.
    pub(crate) fn begin(&mut self, life: u64) {
        let count = self.highest().map_or(0, |count| count + 1);
        self.0.push(Life { last: Mark { life, count }, lost: false });
        self.trim();
    }

    /// The disk has made promises since the last count.
    pub(crate) fn step(&mut self) {
        if let Some(now) = self.0.last_mut() {
            now.last.count = now.last.count.saturating_add(1);
        }
    }

    /// What is to be told. `None`: the node has never been booted.
    pub(crate) fn now(&self) -> Option<Mark> {
        self.0.last().map(|life| life.last)
    }

    /// Has a disk of these lives told this, or given it up?
    pub(crate) fn know(&self, mark: Mark) -> bool {
        let given_up = self.0.iter().any(|life| life.lost && mark.count <= life.last.count);
        given_up
            || match self.0.iter().find(|life| life.last.life == mark.life) {
                Some(life) => mark.count <= life.last.count,
                None => self.0.len() >= LIVES_MAX && self.0.first().is_some_and(|first| mark.count < first.last.count),
            }
    }

    /// Somebody has heard more than the disk knows. `false`: that this life is lost was known, and not only how much of it.
    pub(crate) fn lose(&mut self, mark: Mark) -> bool {
        let Some(mut now) = self.0.pop() else { return false };
        let news = if let Some(life) = self.0.iter_mut().find(|life| life.last.life == mark.life) {
            life.last.count = life.last.count.max(mark.count);
            !std::mem::replace(&mut life.lost, true)
        } else {
            self.0.push(Life { last: mark, lost: true });
            true
        };
        now.last.count = now.last.count.max(mark.count.saturating_add(1));
        self.0.push(now);
        self.trim();
        news
    }

    fn highest(&self) -> Option<u64> {
        self.0.iter().map(|life| life.last.count).max()
    }

    fn trim(&mut self) {
        let extra = self.0.len().saturating_sub(LIVES_MAX);
        self.0.drain(..extra);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(life: u64, count: u64) -> Mark {
        Mark { life, count }
    }

    #[test]
    fn a_disk_knows_what_it_told_before_however_often_it_was_booted_since() {
        let (mut lives, mut told) = (Lives::default(), Vec::new());
        for life in 100..200 {
            lives.begin(life);
            for _ in 0..life % 5 {
                lives.step();
            }
            told.push(lives.now().unwrap());
            assert!(told.iter().all(|mark| lives.know(*mark)), "{lives:?}");
            assert!(lives.0.len() <= LIVES_MAX);
        }
    }

    #[test]
    fn an_old_copy_does_not_know_what_was_told_after_it_was_made_in_the_same_life_or_a_later_one() {
        let mut lives = Lives::default();
        lives.begin(1);
        let copy = lives.clone();
        lives.step();
        let same = lives.now().unwrap();
        lives.begin(2);
        let later = lives.now().unwrap();
        let mut copy = copy;
        assert!(copy.know(mark(1, 0)));
        copy.begin(3);
        assert!(!copy.know(same) && !copy.know(later), "{copy:?}");
        // However long it goes on before it meets who knows.
        (0..50).for_each(|_| copy.step());
        assert!(!copy.know(same) && !copy.know(later), "{copy:?}");
    }

    #[test]
    fn what_is_lost_is_found_once_and_something_else_again() {
        let mut lives = Lives::default();
        lives.begin(1);
        lives.begin(3);
        assert!(lives.lose(mark(1, 9)), "of a life that it remembers in part");
        assert!(lives.know(mark(1, 9)) && lives.now().unwrap().count > 9);
        assert!(!lives.know(mark(1, 11)));
        assert!(!lives.lose(mark(1, 11)), "somebody else has heard more of the same");
        assert!(lives.know(mark(2, 9)), "it was given up with what is lost");
        assert!(lives.lose(mark(2, 20)), "another life");
        assert!(lives.know(mark(2, 20)) && lives.now() == Some(mark(3, 21)));
        // It is told like any other, and who comes after it knows it.
        let now = lives.now().unwrap();
        lives.begin(4);
        assert!(lives.know(now));
    }

    #[test]
    fn what_only_an_old_witness_remembers_of_a_branch_that_was_given_up_is_no_new_loss() {
        let mut lives = Lives::default();
        lives.begin(1);
        let mut copy = lives.clone();
        lives.step();
        let (same, mut told) = (lives.now().unwrap(), Vec::new());
        for life in 2..5 {
            lives.begin(life);
            lives.step();
            told.push(lives.now().unwrap());
        }
        copy.begin(9);
        // The last of them is what the others tell it.
        assert!(copy.lose(told.pop().unwrap()));
        assert!(copy.know(same) && told.iter().all(|mark| copy.know(*mark)), "{copy:?}");
        // What it does from now on is lost in an older copy of it all the same.
        let kept = copy.clone();
        copy.step();
        let after = copy.now().unwrap();
        copy.begin(10);
        let later = copy.now().unwrap();
        let mut kept = kept;
        kept.begin(11);
        assert!(!kept.know(after) && !kept.know(later), "{kept:?}");
    }
}
