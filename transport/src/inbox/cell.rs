//! One session as the kernel sees it: announced, open, over.
//!
//! 1. Phases only go forward.
//! 2. A session owes the kernel its readers and its frames; its Down waits until it owes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use pando_abi::{Incarnation, NodeId};
use tokio::sync::Notify;

use super::Inbox;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Phase {
    /// The kernel has not taken the Up yet.
    Announced = 0,
    /// Frames go both ways.
    Open = 1,
    /// Over; what had arrived still comes out.
    Ended = 2,
    /// Over, and nothing comes out any more.
    Revoked = 3,
}

#[derive(Debug)]
pub(crate) struct Cell {
    pub node: NodeId,
    pub incarnation: Incarnation,
    phase: AtomicU8,
    changed: Notify,
    owed: AtomicUsize,
}

impl Cell {
    pub fn new(node: NodeId, incarnation: Incarnation) -> Arc<Cell> {
        Arc::new(Cell {
            node,
            incarnation,
            phase: AtomicU8::new(Phase::Announced as u8),
            changed: Notify::new(),
            owed: AtomicUsize::new(0),
        })
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Announced,
            1 => Phase::Open,
            2 => Phase::Ended,
            _ => Phase::Revoked,
        }
    }

    /// Waits until the phase is `phase` or a later one.
    pub async fn reached(&self, phase: Phase) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the look: a change between the look and the wait is not missed.
            changed.as_mut().enable();
            if self.phase() >= phase {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn open(&self) {
        self.advance(Phase::Open);
    }

    pub(super) fn end(&self, revoke: bool) {
        self.advance(if revoke { Phase::Revoked } else { Phase::Ended });
    }

    fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    pub(super) fn owe(&self) {
        self.owed.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn settle(&self) {
        let before = self.owed.fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "a session settles only what it owes");
    }

    pub(super) fn owes(&self) -> bool {
        self.owed.load(Ordering::Acquire) > 0
    }
}

/// A reader of a session; while it lives, more frames may come.
pub(crate) struct Reading {
    cell: Arc<Cell>,
    inbox: Arc<Inbox>,
}

impl Reading {
    pub fn new(cell: &Arc<Cell>, inbox: &Arc<Inbox>) -> Reading {
        cell.owe();
        Reading { cell: cell.clone(), inbox: inbox.clone() }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.cell.settle();
        self.inbox.nudge();
    }
}
