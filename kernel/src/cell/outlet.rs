//! What leaves an actor: its actions are carried out as its process asks for them, one after the other.
//!
//! Owns: nothing. Does not know what the actions are for.
//!
//! 1. An event counts before anybody can hear of what came of it.

use std::sync::{Arc, atomic::Ordering};

use pando_abi::{Address, Home};
use pando_actors::{Actor, Capability, Effect, Event, Handled};

use super::{Alarms, Cell, Way};
use crate::{
    input::{Action, Input, Sink},
    node::Kernel,
    process::Guest,
};

/// The actor as its process sees it.
pub(super) struct Counted<'a> {
    pub(super) actor: &'a mut Actor,
    pub(super) cell: &'a Cell,
}

impl Counted<'_> {
    #[inline]
    fn count(&self, handled: Handled) -> Handled {
        if handled.refused.is_none() {
            self.cell.count_event();
        }
        handled
    }
}

impl Guest for Counted<'_> {
    fn handle(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        let handled = self.actor.handle(event, effects);
        self.count(handled)
    }
    fn query(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        let handled = self.actor.query(event, effects);
        self.count(handled)
    }
    fn open_replies(&self) -> Vec<Capability> {
        Guest::open_replies(&*self.actor)
    }
}

/// See the module.
pub(super) struct Outlet<'a> {
    pub(super) cell: &'a Cell,
    pub(super) kernel: &'a Arc<Kernel>,
    pub(super) alarms: &'a mut Alarms,
    pub(super) way: &'a mut Way,
}

impl Outlet<'_> {
    #[inline]
    fn note_far(&self, to: Address) {
        if to.home == Home::Node && to.node != self.kernel.id() && !self.cell.is_far() {
            self.cell.far.store(true, Ordering::Relaxed);
        }
    }
}

impl Sink for Outlet<'_> {
    #[inline]
    fn deliver(&mut self, to: Address, input: Input) {
        // What it says to itself has one way, wherever it lives.
        if to == self.cell.address {
            return self.kernel.arrive_now(to, to, input, false);
        }
        self.note_far(to);
        self.kernel.deliver_along(self.way, self.cell.address, to, input);
    }

    fn push(&mut self, action: Action) {
        match action {
            Action::Deliver { to, input } => self.deliver(to, input),
            Action::Spawn(order) => {
                self.note_far(order.child);
                self.kernel.spawn(*order);
            }
            Action::Alarm { at_ns, alarm } => {
                self.alarms.set(at_ns, alarm, self.kernel.scheduler(), &self.cell.this);
            }
            Action::Disarm { at_ns, alarm } => self.alarms.take_back(at_ns, alarm),
            Action::Log { level, text } => self.kernel.log(self.cell.address, level, text),
        }
    }
}
