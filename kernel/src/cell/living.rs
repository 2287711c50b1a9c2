//! The forms of an actor's life on this node: ordered, running, asleep, ended.
//!
//! Owns: what is kept of an actor for which nothing waits. Does not know when it is woken.
//!
//! 1. Nobody can tell an actor that slept from one that did not.
//! 2. Of an actor that sleeps nothing is kept but its bytes, if its process has nothing open and it is never started again.

use std::sync::Arc;

use pando_abi::NodeId;
use pando_actors::{Actor, Hand, Module};

use super::{Alarms, Cell, Way};
use crate::{
    input::{Input, SpawnOrder},
    node::Kernel,
    process::{Identity, Process},
    supervise::Supervisor,
};

pub(super) enum Life {
    /// The module is being found.
    Starting(Box<SpawnOrder>),
    /// It was found: the next turn starts the actor.
    Ready(Box<SpawnOrder>, Result<Arc<Module>, String>),
    Running(Box<Living>),
    /// As `Running`, with nothing open.
    Asleep(Asleep),
    Ended,
}

pub(super) struct Living {
    /// How it was started, if it may be started again.
    pub(super) order: Option<Box<SpawnOrder>>,
    pub(super) supervisor: Supervisor,
    pub(super) process: Process,
    pub(super) actor: Actor,
    /// Taken from the mailbox and not handled yet.
    pub(super) hand: Hand<Input>,
    pub(super) alarms: Alarms,
    pub(super) way: Way,
    /// Does it count among the node's hot actors?
    pub(super) hot: bool,
}

pub(super) struct Asleep {
    pub(super) actor: Actor,
    resumes: bool,
}

impl Living {
    pub(super) fn new(
        order: Option<Box<SpawnOrder>>,
        supervisor: Supervisor,
        process: Process,
        actor: Actor,
    ) -> Living {
        let (hand, alarms, way) = (Hand::default(), Alarms::default(), Way::default());
        Living { order, supervisor, process, actor, hand, alarms, way, hot: false }
    }

    /// Nothing waits: the actor keeps its instance if the node has room for one more hot actor, and sinks to its image
    /// otherwise. True: nothing but that need be kept.
    pub(super) fn rest(&mut self, kernel: &Kernel) -> bool {
        self.way.rest();
        self.alarms.rest(kernel.scheduler());
        if self.actor.is_hot() && (self.hot || kernel.take_hot_place()) {
            self.hot = true;
            return false;
        }
        self.actor.sleep();
        self.order.is_none() && !self.actor.is_hot() && self.alarms.is_empty() && self.process.is_bare()
    }

    /// Keeps the actor's bytes, and nothing else.
    pub(super) fn fall_asleep(self: Box<Living>) -> Asleep {
        Asleep { resumes: self.supervisor.resumes(), actor: self.actor }
    }
}

impl Asleep {
    /// The same actor as it was.
    pub(super) fn wake(self, cell: &Cell, node: NodeId) -> Box<Living> {
        let process = self.process(cell, node);
        Box::new(Living::new(None, Supervisor::of_one_life(self.resumes), process, self.actor))
    }

    /// Its process on the node where it lives, which has nothing open.
    pub(super) fn process(&self, cell: &Cell, node: NodeId) -> Process {
        let me = cell.address;
        Process::new(Identity { me, node, generation: 0, replicated: false, resumes: self.resumes })
    }
}
