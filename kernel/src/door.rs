//! The one door through which time and randomness come in.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Time and randomness. The simulator has another one.
pub trait Door: Send + Sync + 'static {
    /// Nanoseconds since 1970; never goes back while the process lives.
    fn now_ns(&self) -> u64;
    /// Sixty-four bits that nobody could foresee.
    fn seed(&self) -> u64;
}

/// Places in the sequence that a thread takes at once, so that threads do not meet at each event.
const BLOCK: u64 = 1 << 10;

thread_local! {
    /// The calling thread's next place in the sequence, and how many it has left.
    static PLACES: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// The machine's own clock and entropy.
#[derive(Debug)]
pub struct SystemDoor {
    start: Instant,
    start_ns: u64,
    state: AtomicU64,
}

impl SystemDoor {
    /// Opens the door.
    ///
    /// # Errors
    /// If the system has no entropy to give.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub fn open() -> Result<SystemDoor, getrandom::Error> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        Ok(SystemDoor { start: Instant::now(), start_ns, state: AtomicU64::new(getrandom::u64()?) })
    }
}

impl Door for SystemDoor {
    fn now_ns(&self) -> u64 {
        self.start_ns + u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX / 2)
    }

    // splitmix64 over a secret start (Steele, Lea, Flood, OOPSLA 2014): events need seeds that differ and that guests
    // cannot foresee, millions a second; keys never come from here. Whose door a thread's places are from does not matter: no two
    // threads have the same.
    fn seed(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let (place, left) = match PLACES.get() {
            (_, 0) => (self.state.fetch_add(GAMMA.wrapping_mul(BLOCK), Ordering::Relaxed), BLOCK),
            taken => taken,
        };
        let mut z = place.wrapping_add(GAMMA);
        PLACES.set((z, left - 1));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
