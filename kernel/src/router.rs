//! Local, remote, group: one decision, in one place.
//!
//! 1. What is delivered arrives once or its sender is told: a reply with an errno, a bounce, or a `down`.
//! 2. From one sender to one receiver, order is kept while both lives last.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use pando_abi::{Address, Errno, ExitKind, Home, NodeId, call::call_flags, id::service};
use pando_actors::{CapKind, Capability, Message};
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

/// How long a query waits for a quorum.
const QUERY_PATIENCE: Duration = Duration::from_secs(5);

impl Kernel {
    /// Brings an input to an address, wherever that is.
    pub fn deliver(self: &Arc<Self>, from: Address, to: Address, input: Input) {
        match to.home {
            Home::Node if to.node == self.id() => self.deliver_here(to, input),
            Home::Group => self.deliver_to_group(from, to, input),
            Home::Service if to.node == NodeId::NONE || to.node == self.id() => self.deliver_to_service(to, input),
            Home::Node | Home::Service => {
                let envelope = Envelope::Deliver { from: from.into(), to: to.into(), input: (&input).into() };
                if let Err(errno) = self.send_envelope(to.node, &envelope) {
                    self.undelivered(to, &input, errno);
                }
            }
        }
    }

    /// The same for a plain actor, which remembers the way to whom it sent last.
    #[inline]
    pub fn deliver_along(self: &Arc<Self>, way: &mut Way, from: Address, to: Address, input: Input) {
        if to.home != Home::Node || to.node != self.id() {
            return self.deliver(from, to, input);
        }
        let Some(cell) = way.take(to.id, self.cells()) else { return self.not_taken(to, Errno::DEAD, input) };
        match cell.push(input) {
            Ok(true) => self.scheduler().wake_owned(cell),
            Ok(false) => way.keep(cell),
            Err((errno, input)) => self.not_taken(to, errno, input),
        }
    }

    fn deliver_here(self: &Arc<Self>, to: Address, input: Input) {
        let Some(cell) = self.cells().get(to.id) else { return self.not_taken(to, Errno::DEAD, input) };
        match cell.push(input) {
            Ok(true) => self.scheduler().wake_owned(cell),
            Ok(false) => {}
            Err((errno, input)) => self.not_taken(to, errno, input),
        }
    }

    /// An actor of this node does not take it.
    fn not_taken(self: &Arc<Self>, to: Address, errno: Errno, input: Input) {
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
                    _ => self.deliver(from, self.mine(to), input),
                }
            }
            Envelope::Stamped { group, seq, index: _, to, input } => {
                let (to, input) = (to.open()?, input.open()?);
                let group = pando_abi::ActorId(group);
                if self.is_news(group, to, seq) {
                    self.deliver(Address::group(group), self.mine(to), input);
                }
                self.acknowledge(node, group, to, seq);
            }
            Envelope::Spawn(order) => self.spawn(order.open()?),
            Envelope::StampedSpawn { group, seq, index: _, order } => {
                let order = order.open()?;
                let (group, to) = (pando_abi::ActorId(group), order.child);
                if self.is_news(group, to, seq) {
                    self.spawn(order);
                }
                self.acknowledge(node, group, to, seq);
            }
        }
        Ok(())
    }

    /// What a member sends here is for here: it cannot make this node pass things on.
    fn mine(&self, to: Address) -> Address {
        Address { node: self.id(), ..to }
    }

    fn acknowledge(&self, node: NodeId, group: pando_abi::ActorId, to: Address, seq: u64) {
        let ack = wire::ControlMessage::Ack { group: group.0, to: to.into(), seq };
        self.send_control(node, &ack);
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
            let input = Input::Reply { token, status, message: Message::default(), standing: Standing::default() };
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
        if self.cells().get(id).is_some() {
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
    fn query(self: &Arc<Self>, to: Address, delivery: Delivery) {
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

    async fn query_here(self: Arc<Self>, to: Address, delivery: Delivery) {
        let linear = delivery.flags & call_flags::FINAL == 0;
        let index = if linear {
            match self.groups().linear(to.id, QUERY_PATIENCE).await {
                Ok(index) => index,
                Err(why) => {
                    tracing::debug!(group = %to.id, %why, "no linear read");
                    return self.undelivered(to, &Input::Message(delivery), Errno::NO_QUORUM);
                }
            }
        } else {
            self.groups().applied(to.id)
        };
        let standing = Standing { index, linear, node: self.id().0 };
        let seed = self.door().seed();
        let kernel = self.clone();
        // The machine may be busy with a batch: that is waited for on a thread that may wait.
        let worked = blocking(move || {
            let asked = delivery.clone();
            let actions = kernel.groups().with_machine(to.id, |machine| {
                machine.as_any().downcast_mut::<Replica>().map(|replica| replica.query(asked, standing, seed))
            });
            match actions.flatten() {
                Some(actions) => {
                    for action in actions {
                        match action {
                            Action::Deliver { to: who, input } => kernel.deliver(to, who, input),
                            Action::Log { level, text } => kernel.log(to, level, text),
                            _ => {}
                        }
                    }
                }
                None => kernel.undelivered(to, &Input::Message(delivery), Errno::DEAD),
            }
        });
        if let Err(why) = worked.await {
            tracing::error!(group = %to.id, %why, "a query failed in the kernel");
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
