//! The one door through which time and randomness come in.

use std::{
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
    // cannot foresee, millions a second; keys never come from here.
    fn seed(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.state.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
