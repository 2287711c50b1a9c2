//! Whether a peer is still heard.
//!
//! Pure. It counts looks and not time: a process that was stopped for a while finds one silent look when it goes on, and not a
//! dead peer. (QUIC's own idle timer, which is much longer here, would end every session of a laptop that slept.)

/// What has been heard of one peer.
#[derive(Clone, Debug)]
pub struct Liveness {
    heard: u64,
    silent: u32,
    silent_max: u32,
}

impl Liveness {
    /// A peer that may be silent at fewer than `silent_max` looks in a row.
    pub fn new(silent_max: u32) -> Liveness {
        Liveness { heard: 0, silent: 0, silent_max: silent_max.max(1) }
    }

    /// A look: `heard` is how much was ever received. Says whether the peer counts as alive.
    pub fn look(&mut self, heard: u64) -> bool {
        if heard == self.heard {
            self.silent += 1;
        } else {
            (self.heard, self.silent) = (heard, 0);
        }
        self.silent < self.silent_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_dead_after_so_many_silent_looks_in_a_row() {
        let mut liveness = Liveness::new(3);
        let looks = [(5, true), (5, true), (5, true), (6, true), (6, true), (6, true), (6, false)];
        for (heard, alive) in looks {
            assert_eq!(liveness.look(heard), alive);
        }
    }
}
