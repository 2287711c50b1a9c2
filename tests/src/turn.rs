//! One realm at a time.

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Whoever has it runs a realm; the others wait.
pub struct Turn(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Turn {
    /// Waits for it. A test that failed gives it back too.
    pub fn take() -> Turn {
        Turn(TURN.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
