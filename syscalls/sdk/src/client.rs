//! References that know an actor's methods.

use crate::{Data, Handle};

/// A reference to an actor with known methods. `#[pando::actor]` and `#[pando::client]` make them: `CounterRef`.
///
/// It travels in messages as a handle, and dereferences to one: `counter.monitor()`, `counter.kill()`.
pub trait Client: Data + Clone {
    /// Takes the actor behind `handle` for one with these methods.
    fn of(handle: Handle) -> Self;

    /// The bare handle.
    fn handle(&self) -> &Handle;
}

impl Client for Handle {
    fn of(handle: Handle) -> Self {
        handle
    }
    fn handle(&self) -> &Handle {
        self
    }
}
