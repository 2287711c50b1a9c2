//! Places for connections of which nobody knows yet whose they are.
//!
//! 1. Half of the places are for whoever comes. The others are for addresses that have shown that packets reach them (QUIC's Retry
//!    asks for that and keeps nothing meanwhile), so that forged addresses fill half of the house at most.
//! 2. The address of a member, once shown, has places of its own: a crowd of real strangers does not keep members out.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Handshakes and hellos under way.
const PLACES: usize = 128;
/// The same of members.
const MEMBERS_PLACES: usize = 64;

/// Of both.
pub(in crate::quic) const HANDSHAKES_MAX: usize = PLACES + MEMBERS_PLACES;

pub(in crate::quic) struct Doors {
    anybody: Arc<Semaphore>,
    members: Arc<Semaphore>,
}

/// What is said to somebody at the door.
pub(in crate::quic) enum Answer {
    /// Come in; the place is held as long as this is.
    In(OwnedSemaphorePermit),
    /// Show first that packets reach you where you say you are.
    Show,
    /// There is no place.
    Full,
}

impl Doors {
    pub fn new() -> Doors {
        Doors { anybody: Arc::new(Semaphore::new(PLACES)), members: Arc::new(Semaphore::new(MEMBERS_PLACES)) }
    }

    /// `shown`: packets reach the address. `member`: it is one's.
    pub fn knock(&self, shown: bool, member: bool) -> Answer {
        if !shown && self.anybody.available_permits() <= PLACES / 2 {
            return Answer::Show;
        }
        let own = (shown && member).then(|| self.members.clone().try_acquire_owned().ok()).flatten();
        match own.or_else(|| self.anybody.clone().try_acquire_owned().ok()) {
            Some(place) => Answer::In(place),
            None => Answer::Full,
        }
    }

    /// Places for anybody that are taken.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        PLACES - self.anybody.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_addresses_fill_half_of_the_house_and_real_strangers_leave_members_theirs() {
        let doors = Doors::new();
        let mut held = Vec::new();
        let mut fill = |shown: bool, member: bool| {
            let before = held.len();
            while let Answer::In(place) = doors.knock(shown, member) {
                held.push(place);
            }
            held.len() - before
        };
        assert_eq!(fill(false, false), PLACES / 2);
        assert_eq!(fill(false, true), 0, "an address that is not shown may be anybody's");
        assert_eq!(fill(true, false), PLACES / 2);
        assert_eq!(fill(true, true), MEMBERS_PLACES);
        assert!(matches!(doors.knock(true, true), Answer::Full));
        assert!(matches!(doors.knock(false, false), Answer::Show), "a Retry costs no place");
        held.clear();
        assert!(matches!(doors.knock(false, false), Answer::In(_)));
    }
}
