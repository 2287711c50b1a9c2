//! Whether a replica rests: in a group in which nothing happens nobody shows a sign of life, and nobody misses one.
//!
//! Owns: the state. Does not know: openraft, time, wires. What is agreed between replicas stands in [`crate::groups::rest`].
//!
//! 1. A follower rests only where its leader says that it stands, and trusts the session with the leader's node instead of
//!    heartbeats.
//! 2. A leader rests when every member that can be reached does, and they are a quorum with it.
//! 3. Whatever is new to a replica wakes it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Where a group stands, and under whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) term: u64,
    pub(crate) leader: u64,
    /// The last index of the log, applied.
    pub(crate) index: u64,
}

/// How many replicas of a node are awake.
#[derive(Clone, Default)]
pub(crate) struct Awake(Arc<AtomicUsize>);

impl Awake {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module.
pub(crate) struct Rest {
    state: Mutex<State>,
    awake: Awake,
}

struct State {
    mode: Mode,
    /// What a leader has offered, and who has taken it.
    offer: Option<(Spot, BTreeSet<u64>)>,
    /// Somebody is about to wake it.
    rising: bool,
    /// How often it has woken.
    awakenings: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Awake,
    /// Since the node was booted nobody has been heard.
    Fresh,
    Resting(Spot),
}

impl Rest {
    /// `fresh`: it was found on the disk, and its group may rest.
    pub(crate) fn new(fresh: bool, awake: Awake) -> Rest {
        let mode = if fresh { Mode::Fresh } else { Mode::Awake };
        awake.0.fetch_add(usize::from(!fresh), Ordering::Relaxed);
        Rest { state: Mutex::new(State { mode, offer: None, rising: false, awakenings: 0 }), awake }
    }

    /// Of a replica that rests there.
    pub(crate) fn resting(spot: Spot, awake: Awake) -> Rest {
        let rest = Rest::new(true, awake);
        rest.take(spot);
        rest
    }

    /// From now on it does this. Was it awake?
    fn turn(&self, state: &mut State, mode: Mode) -> bool {
        let was = std::mem::replace(&mut state.mode, mode) == Mode::Awake;
        match (was, mode == Mode::Awake) {
            (false, true) => {
                state.awakenings += 1;
                self.awake.0.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => _ = self.awake.0.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        was
    }

    pub(crate) fn is_awake(&self) -> bool {
        self.state.lock().mode == Mode::Awake
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.state.lock().mode == Mode::Fresh
    }

    /// Which time it is that it is awake. `None`: it is not.
    pub(crate) fn awakening(&self) -> Option<u64> {
        let state = self.state.lock();
        (state.mode == Mode::Awake).then_some(state.awakenings)
    }

    /// Where it rests.
    pub(crate) fn spot(&self) -> Option<Spot> {
        match self.state.lock().mode {
            Mode::Resting(spot) => Some(spot),
            _ => None,
        }
    }

    /// From now on it is awake. Was it not?
    pub(crate) fn wake(&self) -> bool {
        let mut state = self.state.lock();
        (state.offer, state.rising) = (None, false);
        !self.turn(&mut state, Mode::Awake)
    }

    /// It shall be woken later. Is that news?
    pub(crate) fn rise(&self) -> bool {
        let mut state = self.state.lock();
        state.mode != Mode::Awake && !std::mem::replace(&mut state.rising, true)
    }

    /// The leader was heard: nobody needs to wake it.
    pub(crate) fn heard(&self) {
        self.state.lock().rising = false;
    }

    /// Has nothing been heard since it was to be woken?
    pub(crate) fn still_rising(&self) -> bool {
        self.state.lock().rising
    }

    /// A follower that stands at the spot takes the offer.
    pub(crate) fn take(&self, spot: Spot) {
        let mut state = self.state.lock();
        state.rising = false;
        self.turn(&mut state, Mode::Resting(spot));
    }

    /// A leader offers. `false`: it rests already.
    pub(crate) fn offer(&self, spot: Spot) -> bool {
        let mut state = self.state.lock();
        if state.mode == Mode::Resting(spot) {
            return false;
        }
        match &state.offer {
            Some((offered, _)) if *offered == spot => {}
            _ => state.offer = Some((spot, BTreeSet::new())),
        }
        true
    }

    /// Somebody has taken what was offered. Who has, if this is what was.
    pub(crate) fn taken(&self, spot: Spot, by: u64) -> Option<BTreeSet<u64>> {
        let mut state = self.state.lock();
        let (offered, takers) = state.offer.as_mut()?;
        if *offered != spot {
            return None;
        }
        takers.insert(by);
        Some(takers.clone())
    }

    /// A leader rests, unless something has happened since the offer.
    pub(crate) fn rest(&self, spot: Spot) -> bool {
        let mut state = self.state.lock();
        let offered = state.offer.as_ref().is_some_and(|(offered, _)| *offered == spot);
        if offered {
            state.offer = None;
            self.turn(&mut state, Mode::Resting(spot));
        }
        offered
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let awake = usize::from(self.is_awake());
        self.awake.0.fetch_sub(awake, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: Spot = Spot { term: 3, leader: 1, index: 7 };

    #[test]
    fn a_leader_rests_only_where_it_offered_to_and_only_if_nothing_has_happened_since() {
        let awake = Awake::default();
        let rest = Rest::new(false, awake.clone());
        assert!(!rest.rest(SPOT) && rest.is_awake(), "nothing was offered");
        assert!(rest.offer(SPOT));
        assert_eq!(rest.taken(Spot { index: 6, ..SPOT }, 2), None, "of an earlier offer");
        assert_eq!(rest.taken(SPOT, 2), Some(BTreeSet::from([2])));
        assert!(!rest.wake(), "it was awake all the time");
        assert!(!rest.rest(SPOT), "something happened");
        assert!(rest.offer(SPOT));
        assert_eq!(rest.taken(SPOT, 3), Some(BTreeSet::from([3])), "who has taken it may have woken with it");
        assert!(rest.rest(SPOT) && rest.spot() == Some(SPOT));
        assert!(!rest.offer(SPOT), "it rests already");
        assert_eq!(awake.count(), 0);
        assert!(rest.wake() && rest.is_awake());
        assert_eq!(awake.count(), 1);
        drop(rest);
        assert_eq!(awake.count(), 0, "one that has ended counts no more");
    }

    #[test]
    fn what_was_found_on_the_disk_waits_for_its_leader_and_rises_once() {
        let awake = Awake::default();
        let rest = Rest::new(true, awake.clone());
        assert!(rest.is_fresh() && !rest.is_awake());
        assert!(rest.rise() && !rest.rise(), "it is woken by one");
        rest.take(SPOT);
        assert!(!rest.still_rising(), "its leader was heard");
        assert!(rest.rise());
        assert_eq!(awake.count(), 0);
        assert!(rest.wake() && !rest.rise(), "what is awake need not be woken");
        assert_eq!(awake.count(), 1);
    }
}
