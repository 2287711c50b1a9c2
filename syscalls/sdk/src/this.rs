//! The actor's own state, as its `async` methods reach it.
//!
//! While an `async` method waits, other methods of the same actor run. It therefore cannot keep `&mut self` over an
//! `.await`: whoever reads the state meanwhile, a query on a copy of the actor included, would read it half changed or not at all.
//! So an `async` method is given `this: This<Self>` and borrows the state for a moment:
//!
//! ```ignore
//! async fn greet(this: This<Self>, peer: GreeterRef) -> pando::Result<String> {
//!     let name = this.with(|s| s.name.clone());         // borrowed, and given back
//!     let answer = peer.hello(&name).await?;            // others may run here
//!     this.with(|s| s.greeted += 1);
//!     Ok(answer)
//! }
//! ```
//!
//! A method that does not wait takes `&mut self` or `&self` and has the state to itself from beginning to end. Turned down:
//! letting an `async fn(&mut self)` keep everybody else waiting. Two actors that call each other would then wait for
//! each other, and no query could be answered in the middle of a call.
//!
//! 1. The closure of [`This::with`] cannot wait, so a borrow never lasts over an `.await`. The borrow checker sees to it.

use alloc::rc::Rc;
use core::cell::RefCell;

use crate::{Actor, Client, Handle};

/// The state of the actor that is running.
pub struct This<S>(Rc<RefCell<S>>);

impl<S> This<S> {
    pub(crate) fn new(state: S) -> This<S> {
        This(Rc::new(RefCell::new(state)))
    }

    /// Borrows the state for as long as `f` runs.
    ///
    /// # Panics
    /// Inside another `with` of the same actor.
    pub fn with<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        match self.0.try_borrow_mut() {
            Ok(mut state) => f(&mut state),
            Err(_) => panic!("`with` inside `with`: the state is borrowed already"),
        }
    }
}

impl<S: Actor> This<S> {
    /// A reference to this actor, to give to others.
    pub fn me(&self) -> S::Ref {
        S::Ref::of(Handle::me())
    }
}

impl<S> Clone for This<S> {
    fn clone(&self) -> Self {
        This(Rc::clone(&self.0))
    }
}

impl<S> core::fmt::Debug for This<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("This")
    }
}
