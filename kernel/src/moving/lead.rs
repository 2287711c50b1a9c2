//! The node by which an actor's messages come leads its move.
//!
//! Owns: the order of the steps, and how long each may take. Does not know: what is in a package.
//!
//! 1. What can be refused is refused before the realm writes anything down; then the actor goes on where it was.
//! 2. Once the realm was asked, its answer is waited for, however long that takes.

use std::{sync::Arc, time::Duration};

use pando_abi::planted::fail::{Point, pass};
use pando_abi::{Address, Errno, Home, ModuleHash, NodeId};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{HeldItem, Part, Word};
use crate::{
    node::Kernel,
    realm::{ROOT, Refusal},
    root::{MovedEntry, RootCommand},
    wire::{Envelope, MoveStep},
};

/// How long the target may take to have the module ready.
const PREPARE_PATIENCE: Duration = Duration::from_secs(20);
/// How long packing and fetching may take.
const CARRY_PATIENCE: Duration = Duration::from_secs(60);
/// How long it is waited for that source and target have done what was decided.
const AFTER: Duration = Duration::from_secs(10);
/// How long it may take to find out that the realm can decide.
const QUORUM_PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether the others are still there.
const LOOK: Duration = Duration::from_millis(250);

/// What a move came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Carried {
    /// Where it lived.
    pub from: NodeId,
    /// Where it lives.
    pub to: NodeId,
    /// Bytes that were carried; 0: it lived there already.
    pub bytes: u64,
    /// From when its messages were held until it ran again.
    pub paused: Duration,
}

/// One move, as its leader sees it.
struct Trip {
    address: Address,
    mark: u64,
    /// The mark of the move before.
    before: u64,
    from: NodeId,
    to: NodeId,
    /// The boot of the target.
    life: u64,
}

impl Kernel {
    /// Moves a plain actor. This node is the one by which its messages come. Must not be dropped before it is done.
    ///
    /// # Errors
    /// Why it stays where it is; or that it moved and has not been heard of since.
    pub(crate) async fn move_actor(self: &Arc<Self>, address: Address, to: NodeId) -> Result<Carried, Refusal> {
        let trip = match self.plan(address, to).await? {
            Ok(trip) => trip,
            Err(carried) => return Ok(carried),
        };
        let mut words = self.moving().listen(trip.mark, Part::Leader);
        let carried = self.lead(&trip, &mut words).await;
        self.moving().listen_no_more(trip.mark, Part::Leader);
        carried
    }

    /// Can it be? The inner error: nothing is to be done.
    async fn plan(&self, address: Address, to: NodeId) -> Result<Result<Trip, Carried>, Refusal> {
        if address.home != Home::Node {
            let mend = "a group moves with `group move`";
            return Err(Refusal::new(Errno::REFUSED, "only a plain actor can be moved so", mend));
        }
        if self.way(address).is_some() {
            let text = "its messages come by another node than this one";
            return Err(Refusal::new(Errno::REFUSED, text, "ask again"));
        }
        let row = self.moved(address);
        let (from, before) = row.map_or((address.node, 0), |row| (row.node, row.mark));
        let unknown = from == self.id() && self.cells().get(address.id).is_none();
        if unknown {
            return Err(Refusal::new(Errno::DEAD, "it has ended", "`ps` shows what runs"));
        }
        if from == to {
            return Ok(Err(Carried { from, to, bytes: 0, paused: Duration::ZERO }));
        }
        let placeable = self.root().read(|root| root.member(to).map(|member| member.is_placeable()));
        match placeable {
            None => {
                let nodes: Vec<String> = self.root().read(|root| root.members().map(|m| m.node.to_string()).collect());
                let mend = format!("its nodes are {}", nodes.join(", "));
                return Err(Refusal::new(Errno::NOT_FOUND, format!("the realm has no node {to}"), mend));
            }
            Some(false) => {
                let mend = format!("`nodes` shows why; `undrain {to}` lets it again");
                return Err(Refusal::new(Errno::REFUSED, format!("{to} takes nothing new"), mend));
            }
            Some(true) => {}
        }
        let Some(life) = self.life_of(to) else { return Err(gone(to)) };
        if self.life_of(from).is_none() {
            return Err(gone(from));
        }
        if self.groups().linear(ROOT, QUORUM_PATIENCE).await.is_err() {
            return Err(Refusal::new(
                Errno::NO_QUORUM,
                "the root group of the realm cannot decide, and so nothing is moved",
                "start enough of the realm's nodes that more than half are up; `nodes` shows which are",
            ));
        }
        Ok(Ok(Trip { address, mark: self.door().seed() | 1, before, from, to, life }))
    }

    /// The boot of a node that is there.
    pub(super) fn life_of(&self, node: NodeId) -> Option<u64> {
        if node == self.id() { Some(self.incarnation().0) } else { self.paths().life(node).map(|life| life.0) }
    }

    async fn lead(self: &Arc<Self>, trip: &Trip, words: &mut mpsc::Receiver<Word>) -> Result<Carried, Refusal> {
        let module = self.module_of(trip.address).filter(|hash| *hash != ModuleHash::default());
        if let Some(module) = module {
            self.tell_step(trip.to, trip.mark, MoveStep::Prepare { module: module.0 });
            let deadline = Instant::now() + PREPARE_PATIENCE;
            self.hear_step(trip, words, deadline, |from, step| {
                (from == trip.to && *step == MoveStep::Prepared).then_some(())
            })
            .await?;
        }
        if !self.moving().begin(trip.address) {
            return Err(Refusal::new(Errno::EXISTS, "it is being moved already", "`ps` shows where it lives"));
        }
        let began = Instant::now();
        let bytes = match self.carry(trip, words).await {
            Ok(bytes) => bytes,
            Err(why) => {
                self.call_off(trip, words).await;
                return Err(why);
            }
        };
        if let Err(why) = self.decide(trip).await {
            self.call_off(trip, words).await;
            return Err(why);
        }
        pass(Point::MoveDecided);
        self.say_until_heard(trip.from, trip.mark, MoveStep::Go).await;
        self.say_until_heard(trip.to, trip.mark, MoveStep::Go).await;
        let deadline = Instant::now() + AFTER;
        let mut started = None;
        if trip.from == self.id() {
            // What it was brought last goes before what was held.
            let left = |from: NodeId, step: &MoveStep| {
                if from == trip.to && *step == MoveStep::Started {
                    started = Some(began.elapsed());
                }
                (from == trip.from && *step == MoveStep::Left).then_some(())
            };
            let _ = self.hear_step(trip, words, deadline, left).await;
        }
        self.let_out(trip.address, trip.to).await;
        if started.is_none() {
            let runs = |from: NodeId, step: &MoveStep| (from == trip.to && *step == MoveStep::Started).then_some(());
            self.hear_step(trip, words, deadline, runs).await.map_err(|why| {
                let text = format!("it moved to {} and has not been heard of since: {}", trip.to, why.text);
                Refusal::new(
                    why.errno,
                    text,
                    "`ps` shows whether it runs there; an actor is lost with the node that it lives on",
                )
            })?;
        }
        let paused = started.unwrap_or_else(|| began.elapsed());
        if trip.to == trip.address.node && trip.to == self.id() {
            self.forget_move(trip.address, trip.mark).await;
        }
        Ok(Carried { from: trip.from, to: trip.to, bytes, paused })
    }

    /// From the source to the target, where it waits.
    async fn carry(self: &Arc<Self>, trip: &Trip, words: &mut mpsc::Receiver<Word>) -> Result<u64, Refusal> {
        let Trip { address, mark, before, from, to, .. } = *trip;
        let deadline = Instant::now() + CARRY_PATIENCE;
        if from == self.id() {
            self.pack(from, mark, before, address, to);
        } else {
            let envelope = Envelope::Pack { mark, before, address: address.into(), target: to.0 };
            if let Err(errno) = self.send_envelope(from, &envelope) {
                let text = format!("{from} cannot be asked for it: {errno}");
                return Err(Refusal::new(errno, text, "try again"));
            }
        }
        let packed = |who: NodeId, step: &MoveStep| match step {
            MoveStep::Packed { total } if who == from => Some(*total),
            _ => None,
        };
        let total = self.hear_step(trip, words, deadline, packed).await?;
        self.tell_step(to, mark, MoveStep::Offer { address: address.into(), source: from.0, total, before });
        let ready = |who: NodeId, step: &MoveStep| (who == to && *step == MoveStep::Ready).then_some(());
        self.hear_step(trip, words, deadline, ready).await?;
        // It may be ready in another boot than the one that the realm is about to be told of: there it would live as one that
        // has ended, and nobody could reach it.
        if self.life_of(to) != Some(trip.life) {
            return Err(gone(to));
        }
        Ok(total)
    }

    /// Waits for a step.
    async fn hear_step<T>(
        &self,
        trip: &Trip,
        words: &mut mpsc::Receiver<Word>,
        deadline: Instant,
        mut wanted: impl FnMut(NodeId, &MoveStep) -> Option<T>,
    ) -> Result<T, Refusal> {
        loop {
            let look = (Instant::now() + LOOK).min(deadline);
            match timeout_at(look, words.recv()).await {
                Ok(Some((from, step))) => {
                    if let Some(heard) = wanted(from, &step) {
                        return Ok(heard);
                    }
                    if let MoveStep::Refused { errno, text, mend } = step {
                        let errno = Errno::from_code(errno).unwrap_or(Errno::INTERNAL);
                        return Err(Refusal::new(errno, text, mend));
                    }
                }
                Ok(None) => return Err(Refusal::new(Errno::INTERNAL, "the move was lost in the kernel", "")),
                Err(_) if self.life_of(trip.to) != Some(trip.life) => return Err(gone(trip.to)),
                Err(_) if self.life_of(trip.from).is_none() => return Err(gone(trip.from)),
                Err(_) if Instant::now() >= deadline => {
                    let text = format!("it did not come from {} to {} in time", trip.from, trip.to);
                    return Err(Refusal::new(Errno::TIMEOUT, text, "`log` of both nodes may say why; try again"));
                }
                Err(_) => {}
            }
        }
    }

    /// The moment of handover: the realm writes down where it lives, or that it cannot.
    async fn decide(&self, trip: &Trip) -> Result<(), Refusal> {
        let to = MovedEntry {
            address: trip.address,
            node: trip.to,
            life: trip.life,
            via: self.id(),
            via_life: self.incarnation().0,
            mark: trip.mark,
        };
        let command = RootCommand::MoveActor { to, from: trip.from, before: trip.before };
        let known = || self.moved(trip.address).is_some_and(|row| row.mark == trip.mark);
        loop {
            match self.root_command_at(command.clone()).await {
                // What is let out next goes by what this node knows.
                Ok((_, index)) => {
                    while self.groups().applied(ROOT) < index {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    return Ok(());
                }
                Err(_) if known() => return Ok(()),
                Err(why) if matches!(why.errno, Errno::NO_QUORUM | Errno::INTERNAL) => {
                    tracing::warn!(address = %trip.address, %why, "an actor stands still until the realm can decide");
                }
                Err(why) => return Err(why),
            }
        }
    }

    /// It stays where it was.
    async fn call_off(self: &Arc<Self>, trip: &Trip, words: &mut mpsc::Receiver<Word>) {
        self.say_until_heard(trip.to, trip.mark, MoveStep::Undo).await;
        self.say_until_heard(trip.from, trip.mark, MoveStep::Undo).await;
        if trip.from == self.id() {
            let left = |from: NodeId, step: &MoveStep| {
                let over = matches!(step, MoveStep::Left | MoveStep::Refused { .. });
                (from == trip.from && over).then_some(())
            };
            let _ = tokio::time::timeout(LOOK, self.hear_step(trip, words, Instant::now() + LOOK, left)).await;
        }
        // Where it was, unless somebody else has moved it meanwhile.
        self.let_out(trip.address, self.lives(trip.address)).await;
    }

    /// What has to be heard is said until it can be, or the other one is gone: then it asks the realm.
    async fn say_until_heard(self: &Arc<Self>, to: NodeId, mark: u64, step: MoveStep) {
        while !self.tell_step(to, mark, step.clone()) && self.nodes_up().contains(&to) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets out what was held, to where the actor is.
    async fn let_out(self: &Arc<Self>, address: Address, at: NodeId) {
        while !self.moving().release(address, |item| self.let_out_one(address, at, item)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// One of them; it comes back if there is no room on the way.
    fn let_out_one(self: &Arc<Self>, address: Address, at: NodeId, item: HeldItem) -> Option<HeldItem> {
        let to = address.into();
        if at == self.id() {
            match item {
                // It is here or nowhere: what is passed on from here would be held here again.
                HeldItem::Plain { from, input } => self.arrive_now(from, address, input, false),
                HeldItem::Said { said, input } => self.hear_now(said, address, input, false),
            }
            return None;
        }
        let envelope = match &item {
            HeldItem::Plain { from, input } => Envelope::Passed { from: (*from).into(), to, input: input.into() },
            HeldItem::Said { said, input } => Envelope::PassedStamped {
                speaker: said.speaker.0,
                group: said.group.0,
                seq: said.seq,
                index: said.index,
                to,
                input: input.into(),
            },
        };
        match self.send_envelope(at, &envelope) {
            Ok(()) => None,
            Err(Errno::FULL) => Some(item),
            Err(errno) => {
                match &item {
                    HeldItem::Plain { input, .. } => self.undelivered(address, input, errno),
                    HeldItem::Said { said, input } => {
                        self.undelivered(address, input, errno);
                        self.acknowledge(*said, address);
                    }
                }
                None
            }
        }
    }

    /// It is at home, where its messages come: the realm need not know more.
    async fn forget_move(&self, address: Address, mark: u64) {
        if let Err(why) = self.root_command(RootCommand::ForgetMove { address, mark }).await {
            tracing::info!(%address, %why, "the realm remembers still that an actor was elsewhere");
        }
    }
}

fn gone(node: NodeId) -> Refusal {
    Refusal::new(
        Errno::UNREACHABLE,
        format!("{node} cannot be reached"),
        format!("see `nodes`; `start-node {node}` starts it"),
    )
}
