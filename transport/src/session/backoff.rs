//! How long to wait before the next attempt: doubling, with jitter, up to a most.
//!
//! Pure: the jitter is a xorshift of the seed. Two nodes that lost each other at one moment do not try again at one moment.

/// The pauses of one peer.
#[derive(Clone, Debug)]
pub struct Backoff {
    min_ms: u64,
    max_ms: u64,
    attempt: u32,
    seed: u64,
}

impl Backoff {
    /// Pauses from `min_ms` to `max_ms`.
    pub fn new(min_ms: u64, max_ms: u64, seed: u64) -> Backoff {
        Backoff {
            min_ms: min_ms.max(1),
            max_ms: max_ms.max(min_ms).max(1),
            attempt: 0,
            // A xorshift stays at zero for ever.
            seed: seed | 1,
        }
    }

    /// The next pause: between half and all of the nominal one.
    pub fn next_ms(&mut self) -> u64 {
        let nominal = self.min_ms.saturating_mul(1 << self.attempt.min(32)).min(self.max_ms);
        self.attempt = self.attempt.saturating_add(1);
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        nominal - self.seed % (nominal / 2 + 1)
    }

    /// All is well: the next pause is the shortest.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Trying soon is of no use: the next pause is the longest.
    pub fn exhaust(&mut self) {
        self.attempt = 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_most_and_start_over_after_success() {
        let mut backoff = Backoff::new(50, 2000, 42);
        for attempt in 0..100u32 {
            let nominal = (50u64 << attempt.min(10)).min(2000);
            let pause = backoff.next_ms();
            assert!(pause >= nominal / 2 && pause <= nominal, "{attempt}: {pause}");
        }
        backoff.reset();
        assert!(backoff.next_ms() <= 50);
        backoff.exhaust();
        assert!(backoff.next_ms() >= 1000);
    }

    #[test]
    fn two_peers_do_not_keep_step() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(1000, 1000, seed);
            (0..20).map(|_| backoff.next_ms()).collect::<Vec<_>>()
        };
        assert_ne!(pauses(2), pauses(4));
        assert_eq!(pauses(2), pauses(2));
    }
}
