//! A fork: an actor as it stands after some event, in which queries run beside the actor and beside each other.
//!
//! ```text
//! the actor's shadow ── its pages, shared ──►  still     one for all who ask before the actor changes
//!                                               │ copied where an instance differs
//!                                               ▼
//!                                            instance    for one query; what it wrote is taken back
//! ```
//!
//! Owns: that state, instances that were brought to it, and how much memory they may take. Does not know when an actor changes.
//!
//! 1. What a fork shows never changes, and nothing that is done in it is seen by the actor or by another query.
//! 2. Small instances come from the module's warm shells and go back there. Large ones stay, so that the next query copies only what has
//!    changed since.
//! 3. What one actor's forks take at once is bounded: beyond it there is no fork.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;

use crate::{
    Effect, Event, Exit, Handled, Limits, Module, guest::State, module::RECYCLE_BYTES_MAX, shell::Shell, transaction,
    view::View,
};

use pando_abi::ExitKind;

/// Larger actors have no forks.
const FORK_BYTES_MAX: usize = 64 << 20;
/// Bytes of all forks of one actor that are in use.
const IN_USE_BYTES_MAX: usize = 128 << 20;
/// Large instances of one actor that stay for the next query.
const KEPT_MAX: usize = 2;

/// An actor's state as it was.
pub(crate) struct Still {
    module: Arc<Module>,
    limits: Limits,
    state: State,
    view: Arc<View>,
}

impl Still {
    pub(crate) fn new(module: &Arc<Module>, limits: &Limits, state: State, view: View) -> Still {
        Still { module: module.clone(), limits: *limits, state, view: Arc::new(view) }
    }

    fn is_large(&self) -> bool {
        self.view.size() > RECYCLE_BYTES_MAX
    }
}

/// What one actor's forks take, and the large instances that wait for the next one, each with what it shows.
#[derive(Default)]
pub(crate) struct Room {
    in_use: AtomicUsize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    shells: Vec<(Shell, Arc<View>)>,
    /// Asked for since [`Room::fade`].
    asked: bool,
}

/// A part of what forks may take.
pub(crate) struct Place {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    /// Room for a fork of so many bytes.
    pub(crate) fn place(self: &Arc<Room>, bytes: usize) -> Option<Place> {
        let before = self.in_use.fetch_add(bytes, Ordering::Relaxed);
        let place = Place { room: self.clone(), bytes };
        (bytes <= FORK_BYTES_MAX && before + bytes <= IN_USE_BYTES_MAX).then_some(place)
    }

    /// Called now and then: what nobody has asked for since goes.
    pub(crate) fn fade(&self) {
        let mut kept = self.kept.lock();
        if !std::mem::take(&mut kept.asked) {
            kept.shells.clear();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// An actor as it was when [`crate::Actor::fork`] was called.
pub struct Fork {
    still: Arc<Still>,
    place: Place,
}

impl Fork {
    pub(crate) fn new(still: Arc<Still>, place: Place) -> Fork {
        Fork { still, place }
    }

    /// Handles an event and forgets it, but for its answer and its log lines, as [`crate::Actor::query`] does.
    pub fn query(self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        let still = &self.still;
        if let Some(errno) = transaction::refusal(&still.state.table, event) {
            return Handled { refused: Some(errno), ..Handled::default() };
        }
        let mut shell = match self.seat() {
            Ok(shell) => shell,
            Err(exit) => return Handled { end: Some(Box::new(exit)), ..Handled::default() },
        };
        let (fuel, ran) = transaction::run(&mut shell, &still.limits, event, effects, true);
        self.leave(shell);
        ran.of_query(fuel)
    }

    /// An instance that shows this.
    fn seat(&self) -> Result<Shell, Exit> {
        let Still { module, limits, state, view } = &*self.still;
        let mut shell = match self.take_kept() {
            Some(shell) => shell,
            None => {
                let mut shell = module.take_shell(view.size())?;
                shell.store.data_mut().limits = *limits;
                let there = view.put_into(&mut shell, module, None);
                there.ok_or_else(|| Exit::new(ExitKind::MemoryLimit, "there is no memory for a query"))?;
                shell
            }
        };
        shell.store.data_mut().state = state.clone();
        shell.forget_trace();
        shell.forget_marks();
        Ok(shell)
    }

    /// One that was kept, brought here.
    fn take_kept(&self) -> Option<Shell> {
        let still = &self.still;
        let (mut shell, from) = {
            let mut kept = self.place.room.kept.lock();
            kept.asked |= still.is_large();
            kept.shells.pop()?
        };
        still.view.put_into(&mut shell, &still.module, Some(&from)).map(|()| shell)
    }

    /// The query is over.
    fn leave(&self, mut shell: Shell) {
        let Still { module, view, .. } = &*self.still;
        if !self.still.is_large() {
            return module.recycle(shell);
        }
        if !view.restore(&mut shell, module) {
            // Its memory has grown, which cannot be taken back.
            return;
        }
        shell.store.data_mut().state = State::default();
        let mut kept = self.place.room.kept.lock();
        if kept.shells.len() < KEPT_MAX {
            kept.shells.push((shell, view.clone()));
        }
    }
}
