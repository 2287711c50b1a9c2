//! Local, remote, group: one decision, in one place.
//!
//! 1. What is delivered arrives once or its sender is told: a reply with an errno, a bounce, or a `down`.
//! 2. From one sender to one receiver, order is kept while both lives last, also while the receiver moves.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use pando_abi::{Address, Errno, ExitKind, Home, NodeId, call::call_flags, id::service};
use pando_actors::{CapKind, Capability};
use pando_raft::blocking;
use pando_transport::{Channel, SendError};

use crate::{
    cell::{Cell, Way},
    input::{Action, Delivery, Input, SpawnOrder, Standing, exit, undeliverable},
    lanes::LaneItem,
    launch,
    node::Kernel,
    replica::Replica,
    wire::{self, Envelope},
};

/// Which saying of a group something is, and where that is led.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    pub speaker: NodeId,
    pub group: pando_abi::ActorId,
    pub seq: u64,
    pub index: u64,
}

/// How long a query waits for a quorum.
const QUERY_PATIENCE: Duration = Duration::from_secs(5);

impl Kernel {
    /// Brings an input to an address, wherever that is.
    pub fn deliver(self: &Arc<Self>, from: Address, to: Address, input: Input) {
        match to.home {
            Home::Node => match self.way(to) {
                None => self.arrive(from, to, input, true),
                Some(next) => {
                    let envelope = Envelope::Deliver { from: from.into(), to: to.into(), input: (&input).into() };
                    if let Err(errno) = self.send_far(to, next, &envelope) {
                        self.undelivered(to, &input, errno);
                    }
                }
            },
            Home::Group => self.deliver_to_group(from, to, input),
            Home::Service if to.node == NodeId::NONE || to.node == self.id() => self.deliver_to_service(to, input),
            Home::Service => {
                let envelope = Envelope::Deliver { from: from.into(), to: to.into(), input: (&input).into() };
                if let Err(errno) = self.send_envelope(to.node, &envelope) {
                    self.undelivered(to, &input, errno);
                }
            }
        }
    }

    /// The same for a plain actor, which remembers the way to whom it sent last. That is open to one that was born here, and while
    /// nobody is on the way; everything else goes as it does from anywhere.
    #[inline]
    pub fn deliver_along(self: &Arc<Self>, way: &mut Way, from: Address, to: Address, input: Input) {
        if to.home != Home::Node || to.node != self.id() || self.moving().holds_any() {
            return self.deliver(from, to, input);
        }
        let Some(cell) = way.take(to.id, self.cells()).filter(|cell| !cell.has_come()) else {
            return self.deliver(from, to, input);
        };
        match cell.push(input) {
            Ok(true) => self.scheduler().wake_owned(cell),
            Ok(false) => way.keep(cell),
            Err((Errno::DEAD, input)) => {
                // It has ended, or has gone elsewhere, or has even come back.
                way.lose();
                self.deliver(from, to, input);
            }
            Err((errno, input)) => self.undelivered(to, &input, errno),
        }
    }

    /// Something for a plain actor has come to the node that has it, or knows where it is. `pass`: it may be passed on there.
    pub(crate) fn arrive(self: &Arc<Self>, from: Address, to: Address, input: Input, pass: bool) {
        let input = match self.moving().hold(from, to, input) {
            Ok(()) => return,
            Err((Errno::FULL, input)) => return self.undelivered(to, &input, Errno::FULL),
            Err((_, input)) => input,
        };
        self.arrive_now(from, to, input, pass);
    }

    /// The same though the actor may be on its way.
    pub(crate) fn arrive_now(self: &Arc<Self>, from: Address, to: Address, input: Input, pass: bool) {
        let (errno, input) = match self.cells().get(to.id).filter(|cell| cell.address() == to) {
            Some(cell) => match cell.push(input) {
                Ok(true) => return self.scheduler().wake_owned(cell),
                Ok(false) => return,
                Err(refused) => refused,
            },
            None => (Errno::DEAD, input),
        };
        if errno == Errno::DEAD
            && let Some(node) = self.lives_elsewhere_now(to)
        {
            // It has been passed on once, by somebody who knew where the actor was then.
            if !pass {
                return self.undelivered(to, &input, Errno::UNREACHABLE);
            }
            let Some(passing) = self.moving().passing(to) else { return self.arrive(from, to, input, pass) };
            let envelope = Envelope::Passed { from: from.into(), to: to.into(), input: (&input).into() };
            let sent = self.send_envelope(node, &envelope);
            drop(passing);
            return sent.unwrap_or_else(|errno| self.undelivered(to, &input, errno));
        }
        // How it ended is known for a while, and better than that it did.
        if let (Errno::DEAD, Input::Watch { watcher: who, .. } | Input::Link { peer: who, .. }, Some(exit)) =
            (errno, &input, self.cells().end_of(to.id))
        {
            return self.deliver(to, *who, Input::Down { target: to, exit });
        }
        self.undelivered(to, &input, errno);
    }

    fn deliver_to_group(self: &Arc<Self>, from: Address, to: Address, input: Input) {
        match input {
            Input::Message(delivery) if delivery.flags & call_flags::QUERY != 0 => self.query(to, delivery),
            input => {
                let item = LaneItem { from, input, stamp: None, fate: None };
                if let Err(item) = self.lanes().push(to.id, item) {
                    self.undelivered(to, &item.input, Errno::FULL);
                }
            }
        }
    }

    fn deliver_to_service(self: &Arc<Self>, to: Address, input: Input) {
        match to.id.0[15] {
            service::CONSOLE => self.console().receive(input),
            // The realm service does not end while its node lives, so there is nothing to watch.
            service::REALM => {
                if let Input::Message(delivery) = input {
                    self.serve_realm(delivery);
                }
            }
            _ => self.undelivered(to, &input, Errno::DEAD),
        }
    }

    /// Tells the sender.
    pub fn undelivered(self: &Arc<Self>, to: Address, input: &Input, errno: Errno) {
        for (who, input) in undeliverable(to, input, errno) {
            self.deliver(to, who, input);
        }
    }

    /// Puts an envelope on its way to another node.
    ///
    /// # Errors
    /// `FULL` and `UNREACHABLE`.
    pub fn send_envelope(&self, to: NodeId, envelope: &Envelope) -> Result<(), Errno> {
        self.count_remote();
        let bytes = Bytes::from(wire::encode(envelope));
        self.transport().send(to, Channel::Actor, bytes).map_err(|why| match why {
            SendError::Full => Errno::FULL,
            SendError::Down => Errno::UNREACHABLE,
            SendError::TooLarge => Errno::LIMIT,
            SendError::Unknown => Errno::DEAD,
        })
    }

    /// What came on the actor channel from a member.
    pub fn receive_envelope(self: &Arc<Self>, from: NodeId, bytes: &[u8]) {
        if let Err(why) = self.open_envelope(from, bytes) {
            tracing::warn!(%from, %why, "a frame on the actor channel is not what it should be; it is dropped");
        }
    }

    fn open_envelope(self: &Arc<Self>, node: NodeId, bytes: &[u8]) -> Result<(), wire::Malformed> {
        match wire::decode::<Envelope>(bytes, wire::ITEM_BYTES_MAX)? {
            Envelope::Deliver { from, to, input } => {
                let (from, to) = (from.open()?, to.open()?);
                let input = input.open()?;
                match (to.home, &input) {
                    // Only queries come to a group this way; everything else is in its log.
                    (Home::Group, Input::Message(delivery)) if delivery.flags & call_flags::QUERY != 0 => {
                        if self.groups().status(to.id).is_some() {
                            self.deliver(from, to, input);
                        } else {
                            self.undelivered(to, &input, Errno::UNREACHABLE);
                        }
                    }
                    (Home::Group, _) => return Err(wire::Malformed("an input for a group beside its log".into())),
                    (Home::Node, _) => self.arrive(from, to, input, true),
                    (Home::Service, _) => self.deliver(from, self.mine(to), input),
                }
            }
            Envelope::Stamped { group, seq, index, to, input } => {
                let (to, input) = (to.open()?, input.open()?);
                self.hear(Said { speaker: node, group: pando_abi::ActorId(group), seq, index }, to, input, true);
            }
            Envelope::PassedStamped { speaker, group, seq, index, to, input } => {
                let (to, input) = (to.open()?, input.open()?);
                let said = Said { speaker: NodeId(speaker), group: pando_abi::ActorId(group), seq, index };
                self.hear(said, to, input, false);
            }
            Envelope::Passed { from, to, input } => {
                let (from, to, input) = (from.open()?, to.open()?, input.open()?);
                if to.home != Home::Node {
                    return Err(wire::Malformed("only what is for a plain actor is passed on".into()));
                }
                self.arrive(from, to, input, false);
            }
            Envelope::Pack { mark, before, address, target } => {
                self.pack(node, mark, before, address.open()?, NodeId(target));
            }
            Envelope::Spawn(order) => self.spawn(order.open()?),
            Envelope::StampedSpawn { group, seq, index, order } => {
                let order = order.open()?;
                let (group, to) = (pando_abi::ActorId(group), order.child);
                if self.is_news(group, to, seq) {
                    self.spawn(order);
                }
                self.acknowledge(Said { speaker: node, group, seq, index }, to);
            }
        }
        Ok(())
    }

    /// A saying of a group has come.
    pub(crate) fn hear(self: &Arc<Self>, said: Said, to: Address, input: Input, pass: bool) {
        let Said { speaker, group, seq, index } = said;
        if to.home == Home::Node {
            let (passing, input) = match (self.moving().passing(to), input) {
                (None, input) => match self.moving().hold_said(said, to, input) {
                    Ok(()) => return,
                    // It was held until a moment ago.
                    Err(input) => return self.hear(said, to, input, pass),
                },
                (passing, input) => (passing, input),
            };
            if pass && let Some(node) = self.lives_elsewhere(to) {
                let (speaker, group, wire) = (speaker.0, group.0, (&input).into());
                let envelope = Envelope::PassedStamped { speaker, group, seq, index, to: to.into(), input: wire };
                let sent = self.send_envelope(node, &envelope);
                drop(passing);
                if let Err(errno) = sent {
                    self.undelivered(to, &input, errno);
                    self.acknowledge(said, to);
                }
                return;
            }
            return self.hear_now(said, to, input, pass);
        }
        if self.is_news(group, to, seq) {
            self.deliver(Address::group(group), self.mine(to), input);
        }
        self.acknowledge(said, to);
    }

    /// The same at the node that has the actor.
    pub(crate) fn hear_now(self: &Arc<Self>, said: Said, to: Address, input: Input, pass: bool) {
        if self.is_news(said.group, to, said.seq) {
            self.arrive_now(Address::group(said.group), to, input, pass);
        }
        self.acknowledge(said, to);
    }

    /// What a member sends here is for here: it cannot make this node pass things on, but to actors that have moved.
    fn mine(&self, to: Address) -> Address {
        Address { node: self.id(), ..to }
    }

    pub(crate) fn acknowledge(&self, said: Said, to: Address) {
        let Said { speaker, group, seq, .. } = said;
        if speaker == self.id() {
            return self.leaders().heard(group, to, seq);
        }
        let ack = wire::ControlMessage::Ack { group: group.0, to: to.into(), seq };
        self.send_control(speaker, &ack);
    }

    /// Starts an actor or creates a group.
    pub fn spawn(self: &Arc<Self>, order: SpawnOrder) {
        match order.child.home {
            Home::Node if order.child.node == self.id() => self.spawn_here(order),
            Home::Node => {
                let node = order.child.node;
                // If it cannot be sent, its monitors are told NO_ACTOR or NODE_DOWN when they ask.
                if let Err(errno) = self.send_envelope(node, &Envelope::Spawn((&order).into())) {
                    self.log(order.child, 2, format!("could not be spawned on {node}: {errno}"));
                    self.unborn(&order, Errno::UNREACHABLE);
                }
            }
            Home::Group => {
                let kernel = self.clone();
                self.runtime().spawn(async move {
                    if let Err(refusal) = kernel.create_group(order.clone(), None).await {
                        kernel.log(order.child, 2, format!("could not be created: {refusal}"));
                        kernel.unborn(&order, refusal.errno);
                    }
                });
            }
            Home::Service => {}
        }
    }

    /// What was ordered never lives: who spawned it counts it no longer, and the calls that were passed to it are answered. A
    /// spawner hears by a bounce that there was no place.
    pub(crate) fn unborn(self: &Arc<Self>, order: &SpawnOrder, errno: Errno) {
        let answer = if errno == Errno::UNREACHABLE { errno } else { Errno::DEAD };
        self.answer_for(order.child, &order.handles, answer);
        let parent = order.parent.address;
        self.child_ended(parent, order.child);
        if errno == Errno::LIMIT && parent.home != Home::Service {
            self.deliver(order.child, parent, Input::Bounce { status: errno.code(), count: 1 });
        }
    }

    /// Answers the calls among handles that nobody holds any more.
    pub(crate) fn answer_for(self: &Arc<Self>, who: Address, handles: &[Capability], errno: Errno) {
        for open in handles.iter().filter(|c| c.kind == CapKind::Reply) {
            let (token, status) = (open.token, errno.code());
            let input = Input::Reply { token, status, message: Box::default(), standing: Standing::default() };
            self.deliver(who, open.address, input);
        }
    }

    /// Tells a parent that a child has ended for good.
    pub(crate) fn child_ended(self: &Arc<Self>, parent: Address, child: Address) {
        // Nobody counts the children of the kernel.
        if parent.home != Home::Service {
            self.deliver(child, parent, Input::ChildEnded { child });
        }
    }

    fn spawn_here(self: &Arc<Self>, order: SpawnOrder) {
        let hash = pando_abi::ModuleHash(order.spec.module);
        let id = order.child.id;
        // The same id is the same spawn, also when what it started has ended.
        if self.cells().has_ended(id) {
            return;
        }
        // Or lives elsewhere by now.
        if self.cells().get(id).is_some() || self.moved(order.child).is_some() {
            return;
        }
        if !self.cells().take_place() {
            let why = format!("{} has {} plain actors, and no more fit", self.id(), self.cells().places());
            self.remember_end(order.child, &exit(ExitKind::NoActor, why));
            return self.unborn(&order, Errno::LIMIT);
        }
        let cell = Cell::new(order, self);
        if !self.cells().insert(id, &cell) {
            return self.cells().leave_place();
        }
        if let Some(module) = self.modules().loaded(hash, pando_actors::Class::Plain) {
            return cell.module_found(Ok(module));
        }
        let kernel = self.clone();
        self.runtime().spawn(async move {
            let found = kernel.module(hash, pando_actors::Class::Plain).await;
            cell.module_found(found);
        });
    }

    /// Answers a query from a replica here, or passes it to a node that has one.
    fn query(self: &Arc<Self>, to: Address, delivery: Box<Delivery>) {
        if self.groups().status(to.id).is_some_and(|s| s.stopped.is_none()) {
            let kernel = self.clone();
            self.runtime().spawn(async move { kernel.query_here(to, delivery).await });
            return;
        }
        let input = Input::Message(delivery);
        let voters = match self.whereabouts(to.id) {
            crate::lanes::Whereabouts::At(voters) => voters,
            _ => return self.undelivered(to, &input, Errno::DEAD),
        };
        let envelope = Envelope::Deliver { from: to.into(), to: to.into(), input: (&input).into() };
        let sent = voters.into_iter().filter(|n| *n != self.id()).any(|n| self.send_envelope(n, &envelope).is_ok());
        if !sent {
            self.undelivered(to, &input, Errno::UNREACHABLE);
        }
    }

    async fn query_here(self: Arc<Self>, to: Address, delivery: Box<Delivery>) {
        let linear = delivery.flags & call_flags::FINAL == 0;
        self.groups().rouse(to.id).await;
        let index = if linear {
            match self.groups().linear(to.id, QUERY_PATIENCE).await {
                Ok(index) => index,
                Err(why) => {
                    tracing::debug!(group = %to.id, %why, "no linear read");
                    return self.query_elsewhere(to, delivery, Errno::NO_QUORUM);
                }
            }
        } else {
            self.groups().applied(to.id)
        };
        let standing = Standing { index, linear, node: self.id().0 };
        let seed = self.door().seed();
        let kernel = self.clone();
        // The semaphore is never closed.
        let Ok(_turn) = self.parts.queries.acquire().await else { return };
        // The machine may be busy with a batch, and the query itself may take long: on a thread that may wait.
        let worked = blocking(move || {
            let asked = delivery.clone();
            let query = kernel.groups().with_machine(to.id, |machine| {
                machine.as_any().downcast_mut::<Replica>().map(|replica| replica.query(asked, standing, seed))
            });
            match query.flatten() {
                Some(query) => {
                    for action in query.answer() {
                        match action {
                            Action::Deliver { to: who, input } => kernel.deliver(to, who, input),
                            Action::Log { level, text } => kernel.log(to, level, text),
                            _ => {}
                        }
                    }
                }
                None => kernel.query_elsewhere(to, delivery, Errno::UNREACHABLE),
            }
        });
        if let Err(why) = worked.await {
            tracing::error!(group = %to.id, %why, "a query failed in the kernel");
        }
    }

    /// A query was not answered here: who holds the group is asked, if that is not this node any more. Otherwise this is why.
    fn query_elsewhere(self: &Arc<Self>, to: Address, delivery: Box<Delivery>, why: Errno) {
        match self.groups().status(to.id) {
            None => self.query(to, delivery),
            Some(_) => self.undelivered(to, &Input::Message(delivery), why),
        }
    }
}

/// The capability that a kernel service gives out for an actor.
pub fn peer(address: Address) -> Capability {
    Capability {
        kind: pando_actors::CapKind::Actor,
        address,
        rights: pando_abi::Rights::PEER,
        grant: 0,
        badge: 0,
        token: 0,
    }
}

/// The capability for the realm service, from wherever it is used.
pub fn realm() -> Capability {
    let address = Address::service(service::REALM);
    let rights = pando_abi::Rights::SEND.or(pando_abi::Rights::SHARE).or(pando_abi::Rights::SPAWN);
    Capability { rights, ..peer(address) }
}

/// The parent of what nobody else spawned.
pub fn kernel_parent() -> Capability {
    Capability { rights: pando_abi::Rights::NONE, ..peer(Address::service(service::KERNEL)) }
}

/// The node that a spawn by a person goes to.
pub fn chosen_node(wanted: Option<u32>, own: NodeId) -> NodeId {
    let spec = pando_abi::SpawnSpec { node: wanted.unwrap_or(0), ..pando_abi::SpawnSpec::new() };
    launch::node_of(&spec, own)
}
