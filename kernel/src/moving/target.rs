//! Where an actor goes: it is fetched, unpacked, and waits still until the realm has written down that it lives here.
//!
//! Owns: the way from an offer to a cell. Does not know: whether the move is made; see [`super::verdict`].

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pando_abi::planted::fail::{Point, pass};
use pando_abi::{Address, Errno, ModuleHash, NodeId};
use pando_actors::{Actor, Class};
use pando_raft::blocking;
use tokio::sync::mpsc;

use super::{PACKAGE_BYTES_MAX, Package, Part, Word, refused, source::PIECE_BYTES, verdict::Case};
use crate::{cell::Cell, input::Input, launch, node::Kernel, wire::MoveStep};

/// How long a piece is waited for before it is asked for again.
const PIECE_PATIENCE: Duration = Duration::from_secs(2);
/// How often, without any having come.
const TRIES: u32 = 5;
/// Pieces that are asked for at once.
const WINDOW: u64 = 8;

impl Kernel {
    /// Before anything stands still: is the module here, and room?
    pub(super) fn prepare(self: &Arc<Self>, leader: NodeId, mark: u64, module: [u8; 32]) {
        let kernel = self.clone();
        self.runtime().spawn(async move {
            let step = match kernel.module(ModuleHash(module), Class::Plain).await {
                _ if kernel.cells().is_full() => kernel.no_room(),
                Err(why) => refused(Errno::NO_MODULE, why, "start a node that has it"),
                Ok(_) => MoveStep::Prepared,
            };
            kernel.tell_step(leader, mark, step);
        });
    }

    fn no_room(&self) -> MoveStep {
        let text = format!("{} has {} plain actors, and no more fit", self.id(), self.cells().places());
        refused(Errno::LIMIT, text, "name another node, or end some there")
    }

    /// Takes in an actor that `leader` offers.
    pub(super) fn take_in(
        self: &Arc<Self>,
        leader: NodeId,
        mark: u64,
        address: Address,
        source: NodeId,
        total: u64,
        before: u64,
    ) {
        let (kernel, leader_life) = (self.clone(), self.life_of(leader));
        let mut words = self.moving().listen(mark, Part::Target);
        self.runtime().spawn(async move {
            let case = Case { part: Part::Target, mark, before, address, leader, leader_life, source };
            match kernel.unpack(case, total, &mut words).await {
                Err(step) => _ = kernel.tell_step(leader, mark, step),
                Ok(cell) => {
                    pass(Point::MoveReady);
                    kernel.tell_step(leader, mark, MoveStep::Ready);
                    if kernel.verdict(case, &mut words).await {
                        kernel.settle_in(&cell, mark);
                        pass(Point::MoveSettled);
                        kernel.tell_step(leader, mark, MoveStep::Started);
                    } else {
                        kernel.turn_away(&cell);
                    }
                }
            }
            kernel.moving().listen_no_more(mark, Part::Target);
        });
    }

    async fn unpack(
        self: &Arc<Self>,
        case: Case,
        total: u64,
        words: &mut mpsc::Receiver<Word>,
    ) -> Result<Arc<Cell>, MoveStep> {
        let behind =
            || refused(Errno::TIMEOUT, format!("{} does not know the realm well enough yet", self.id()), "try again");
        if !self.until_mark(case.address, |mark| mark == case.before).await {
            return Err(behind());
        }
        let bytes = self.fetch_package(case, total, words).await?;
        let broken = |why: String| refused(Errno::INTERNAL, format!("what came is no actor: {why}"), "see the log");
        let package = blocking(move || Package::from_bytes(&bytes).map_err(|why| why.to_string())).await;
        let package = package.map_err(|why| broken(why.to_string()))?.map_err(broken)?;
        if package.address() != case.address {
            return Err(broken("it is another one".into()));
        }
        let hash = ModuleHash(package.order.spec.module);
        let module = self
            .module(hash, Class::Plain)
            .await
            .map_err(|why| refused(Errno::NO_MODULE, why, "start a node that has it"))?;
        let (id, limits) = (case.address.id, launch::limits(&package.order.spec));
        let (image, node, woken) = (package.image.clone(), self.id(), module.clone());
        let actor = blocking(move || {
            let mut actor = Actor::from_image(&woken, &image, limits).map_err(|why| why.to_string())?;
            actor.settle(node).map_err(|why| why.to_string())?;
            Ok::<Actor, String>(actor)
        });
        let actor = actor.await.map_err(|why| broken(why.to_string()))?.map_err(broken)?;
        if !self.cells().take_place() {
            return Err(self.no_room());
        }
        self.note_heard(case.address, &package.heard);
        let cell = Cell::arrived(package, actor, module, self);
        if !self.cells().insert(id, &cell) {
            self.cells().leave_place();
            return Err(refused(Errno::EXISTS, format!("{} has an actor of this id", self.id()), "look again"));
        }
        Ok(cell)
    }

    async fn fetch_package(
        self: &Arc<Self>,
        case: Case,
        total: u64,
        words: &mut mpsc::Receiver<Word>,
    ) -> Result<Vec<u8>, MoveStep> {
        let lost = || refused(Errno::UNREACHABLE, format!("{} did not send all of it", case.source), "try again");
        if total > PACKAGE_BYTES_MAX as u64 {
            return Err(refused(Errno::LIMIT, format!("{total} bytes are more than are carried"), ""));
        }
        let piece = PIECE_BYTES as u64;
        let mut bytes: Vec<u8> = Vec::new();
        let mut asked = 0;
        let mut tries = 0;
        while (bytes.len() as u64) < total {
            let have = bytes.len() as u64;
            while asked < total && asked < have + WINDOW * piece {
                self.tell_step(case.source, case.mark, MoveStep::Fetch { offset: asked });
                asked += piece;
            }
            match tokio::time::timeout(PIECE_PATIENCE, words.recv()).await {
                Ok(Some((from, MoveStep::Piece { offset, bytes: more }))) if from == case.source => {
                    if offset == have && !more.is_empty() && have + more.len() as u64 <= total {
                        bytes.extend_from_slice(&more);
                        tries = 0;
                    }
                }
                Ok(Some((from, MoveStep::Undo))) if from == case.leader => return Err(lost()),
                Ok(Some(_)) => {}
                Ok(None) => return Err(lost()),
                Err(_) if tries < TRIES => {
                    tries += 1;
                    asked = have;
                }
                Err(_) => return Err(lost()),
            }
        }
        Ok(bytes)
    }

    /// It lives here now.
    fn settle_in(self: &Arc<Self>, cell: &Arc<Cell>, mark: u64) {
        // Nodes that went while it was on its way, or that cannot be reached from here.
        let up = self.nodes_up();
        let with: BTreeSet<NodeId> = cell.others().into_iter().map(|other| self.lives(other)).collect();
        for node in with.into_iter().filter(|node| !up.contains(node)) {
            let moved = self.root().read(|root| root.moved_about(node));
            let input = Input::NodeDownBut { node: node.0, moved: Arc::new(moved) };
            // Its mailbox is open: it has just come.
            let _ = cell.push(input);
        }
        cell.settle_in(mark, self);
        self.wake(cell);
    }

    fn turn_away(self: &Arc<Self>, cell: &Arc<Cell>) {
        self.cells().remove(cell.address().id);
        // What waits for it waits at its source, too.
        cell.leave(self);
    }
}
