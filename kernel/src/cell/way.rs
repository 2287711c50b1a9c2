//! The way to whom an actor sent last: who sends to somebody will likely send to it again.
//!
//! Owns: a reference, so that the table of all actors, which every worker looks into, need not be asked. Does not know whether
//! the other still lives, and here: its mailbox says so.
//!
//! 1. Between two turns the reference keeps nobody.
//! 2. It leads to those alone who were born here and have not left: everybody else's way is the router's to say.

use std::sync::{Arc, Weak};

use pando_abi::ActorId;

use super::Cell;
use crate::cells::Cells;

/// See the module.
#[derive(Default)]
pub struct Way {
    to: ActorId,
    cell: Weak<Cell>,
    /// Kept within a turn.
    held: Option<Arc<Cell>>,
}

impl Way {
    /// The cell of `id`, to be used up or given back by [`Way::keep`].
    #[inline]
    pub fn take(&mut self, id: ActorId, cells: &Cells) -> Option<Arc<Cell>> {
        if self.to == id
            && let Some(cell) = self.held.take().or_else(|| self.cell.upgrade())
        {
            return Some(cell);
        }
        let cell = cells.get(id)?;
        *self = Way { to: id, cell: Arc::downgrade(&cell), held: None };
        Some(cell)
    }

    /// It goes on this way in the same turn, perhaps.
    #[inline]
    pub fn keep(&mut self, cell: Arc<Cell>) {
        self.held = Some(cell);
    }

    /// It leads nowhere any more.
    pub fn lose(&mut self) {
        *self = Way::default();
    }

    /// The turn is over.
    pub(super) fn rest(&mut self) {
        self.held = None;
    }
}
