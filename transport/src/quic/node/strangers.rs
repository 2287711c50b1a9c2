//! What is logged of those who are refused at the door.
//!
//! 1. A flood of strangers is not a flood of lines: ten a second, and then how many were left out.

use std::net::SocketAddr;

use parking_lot::Mutex;

use crate::identity::PublicKey;

const LINES_PER_SECOND: u32 = 10;

#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    second: u64,
    lines: u32,
    left_out: u64,
}

impl State {
    /// Whether one more line may be written in this second, and how many were left out before it.
    fn pass(&mut self, second: u64) -> Option<u64> {
        if second != self.second {
            (self.second, self.lines) = (second, 0);
        }
        if self.lines >= LINES_PER_SECOND {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Gate {
    pub fn refused(&self, second: u64, from: SocketAddr, key: Option<&PublicKey>, why: &dyn std::fmt::Display) {
        let Some(left_out) = self.state.lock().pass(second) else {
            return;
        };
        if left_out > 0 {
            tracing::warn!(left_out, "refused connections that were not logged");
        }
        let key = key.map_or("none".to_owned(), |k| format!("{k:.16}"));
        tracing::warn!(%from, key, reason = %why, "connection refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let mut state = State::default();
        let written = (0..1000).filter(|_| state.pass(7).is_some()).count();
        assert_eq!(written as u32, LINES_PER_SECOND);
        assert_eq!(state.pass(8), Some(990));
        assert_eq!(state.pass(8), Some(0));
    }
}
