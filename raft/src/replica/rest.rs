//! Whether a replica rests: in a group in which nothing happens nobody shows a sign of life, and nobody misses one.
//!
//! Owns: the state. Does not know: openraft, time, wires. What is agreed between replicas stands in [`crate::groups::rest`].
//!
//! 1. A follower rests only where its leader says that it stands, and trusts the session with the leader's node instead of
//!    heartbeats.
//! 2. A leader rests when every member that can be reached does, and they are a quorum with it.
//! 3. Whatever is new to a replica wakes it.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// Where a group stands, and under whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) term: u64,
    pub(crate) leader: u64,
    /// The last index of the log, applied.
    pub(crate) index: u64,
}

/// See the module.
pub(crate) struct Rest(Mutex<State>);

struct State {
    mode: Mode,
    /// What a leader has offered, and who has taken it.
    offer: Option<(Spot, BTreeSet<u64>)>,
    /// Somebody is about to wake it.
    rising: bool,
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
    pub(crate) fn new(fresh: bool) -> Rest {
        let mode = if fresh { Mode::Fresh } else { Mode::Awake };
        Rest(Mutex::new(State { mode, offer: None, rising: false }))
    }

    pub(crate) fn is_awake(&self) -> bool {
        self.0.lock().mode == Mode::Awake
    }

    pub(crate) fn is_fresh(&self) -> bool {
        self.0.lock().mode == Mode::Fresh
    }

    /// Where it rests.
    pub(crate) fn spot(&self) -> Option<Spot> {
        match self.0.lock().mode {
            Mode::Resting(spot) => Some(spot),
            _ => None,
        }
    }

    /// From now on it is awake. Was it not?
    pub(crate) fn wake(&self) -> bool {
        let mut state = self.0.lock();
        (state.offer, state.rising) = (None, false);
        std::mem::replace(&mut state.mode, Mode::Awake) != Mode::Awake
    }

    /// It shall be woken later. Is that news?
    pub(crate) fn rise(&self) -> bool {
        let mut state = self.0.lock();
        state.mode != Mode::Awake && !std::mem::replace(&mut state.rising, true)
    }

    /// The leader was heard: nobody needs to wake it.
    pub(crate) fn heard(&self) {
        self.0.lock().rising = false;
    }

    /// Has nothing been heard since it was to be woken?
    pub(crate) fn still_rising(&self) -> bool {
        self.0.lock().rising
    }

    /// A follower that stands at the spot takes the offer.
    pub(crate) fn take(&self, spot: Spot) {
        let mut state = self.0.lock();
        (state.mode, state.rising) = (Mode::Resting(spot), false);
    }

    /// A leader offers. `false`: it rests already.
    pub(crate) fn offer(&self, spot: Spot) -> bool {
        let mut state = self.0.lock();
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
        let mut state = self.0.lock();
        let (offered, takers) = state.offer.as_mut()?;
        if *offered != spot {
            return None;
        }
        takers.insert(by);
        Some(takers.clone())
    }

    /// A leader rests, unless something has happened since the offer.
    pub(crate) fn rest(&self, spot: Spot) -> bool {
        let mut state = self.0.lock();
        let offered = state.offer.as_ref().is_some_and(|(offered, _)| *offered == spot);
        if offered {
            (state.mode, state.offer) = (Mode::Resting(spot), None);
        }
        offered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: Spot = Spot { term: 3, leader: 1, index: 7 };

    #[test]
    fn a_leader_rests_only_where_it_offered_to_and_only_if_nothing_has_happened_since() {
        let rest = Rest::new(false);
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
        assert!(rest.wake() && rest.is_awake());
    }

    #[test]
    fn what_was_found_on_the_disk_waits_for_its_leader_and_rises_once() {
        let rest = Rest::new(true);
        assert!(rest.is_fresh() && !rest.is_awake());
        assert!(rest.rise() && !rest.rise(), "it is woken by one");
        rest.take(SPOT);
        assert!(!rest.still_rising(), "its leader was heard");
        assert!(rest.rise());
        assert!(rest.wake() && !rest.rise(), "what is awake need not be woken");
    }
}
