//! Where an actor lives that is to go: it stands still, is packed, and is forgotten or goes on.
//!
//! Owns: packages that wait to be fetched. Does not know: whether the move is made; see [`super::verdict`].

use std::{sync::Arc, time::Duration};

use pando_abi::planted::fail::{Point, pass};
use pando_abi::{Address, Errno, NodeId};
use pando_raft::blocking;

use super::{PACKAGE_BYTES_MAX, Part, refused, verdict::Case};
use crate::{
    cell::Cell,
    node::Kernel,
    wire::{self, Envelope, MoveStep},
};

/// How long an actor may be busy with the event before.
const TURN_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of one piece of a package.
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// A package that waits to be fetched.
pub(super) struct Parcel {
    target: NodeId,
    bytes: Arc<Vec<u8>>,
}

impl Kernel {
    /// An actor here shall go to `target`.
    pub(crate) fn pack(self: &Arc<Self>, leader: NodeId, mark: u64, before: u64, address: Address, target: NodeId) {
        let (kernel, leader_life) = (self.clone(), self.life_of(leader));
        let mut words = self.moving().listen(mark, Part::Source);
        self.runtime().spawn(async move {
            match kernel.stand_still(mark, before, address, target).await {
                Err(step) => _ = kernel.tell_step(leader, mark, step),
                Ok((cell, total)) => {
                    kernel.tell_step(leader, mark, MoveStep::Packed { total });
                    let source = kernel.id();
                    let case = Case { part: Part::Source, mark, before, address, leader, leader_life, source };
                    if kernel.verdict(case, &mut words).await {
                        kernel.leave(&cell, before, target).await;
                    } else {
                        cell.go_on();
                        kernel.wake(&cell);
                    }
                    kernel.tell_step(leader, mark, MoveStep::Left);
                }
            }
            kernel.moving().parcels.lock().remove(&mark);
            kernel.moving().listen_no_more(mark, Part::Source);
        });
    }

    async fn stand_still(
        self: &Arc<Self>,
        mark: u64,
        before: u64,
        address: Address,
        target: NodeId,
    ) -> Result<(Arc<Cell>, u64), MoveStep> {
        let ended = || refused(Errno::DEAD, "it has ended", "`ps` shows what runs");
        if !self.until_mark(address, |mark| mark == before).await {
            return Err(refused(Errno::EXISTS, "it has been moved meanwhile", "look again"));
        }
        let cell = self.cells().get(address.id).filter(|cell| cell.address() == address).ok_or_else(ended)?;
        let still =
            cell.stand_still().ok_or_else(|| refused(Errno::EXISTS, "it is on its way already", "look again"))?;
        self.wake(&cell);
        let again = |step| {
            cell.go_on();
            self.wake(&cell);
            step
        };
        let packed = match tokio::time::timeout(TURN_PATIENCE, still).await {
            Ok(Ok(packed)) => packed.map_err(|why| again(refused(Errno::REFUSED, why, "")))?,
            Ok(Err(_)) => return Err(ended()),
            Err(_) => return Err(again(refused(Errno::TIMEOUT, "it is busy with an event", "try again later"))),
        };
        let heard = self.heard_by(address);
        let encoded = blocking(move || crate::moving::Package { heard, ..packed }.to_bytes()).await;
        let bytes = encoded.map_err(|why| again(refused(Errno::INTERNAL, why.to_string(), "")))?;
        if bytes.len() > PACKAGE_BYTES_MAX {
            let text = format!("it is {} bytes at rest, and at most {PACKAGE_BYTES_MAX} are carried", bytes.len());
            return Err(again(refused(Errno::LIMIT, text, "make it a group: groups move by their logs")));
        }
        let total = bytes.len() as u64;
        self.moving().parcels.lock().insert(mark, Parcel { target, bytes: Arc::new(bytes) });
        pass(Point::MovePacked);
        Ok((cell, total))
    }

    /// The realm has written down that the actor lives elsewhere.
    async fn leave(self: &Arc<Self>, cell: &Arc<Cell>, before: u64, target: NodeId) {
        let address = cell.address();
        // Whoever comes here from now on has to know where it is. (Of a first move this node itself is the leader, and knows.)
        if before != 0 {
            self.until_mark(address, |mark| mark != before).await;
        }
        self.cells().remove(address.id);
        self.count_ended_events(cell.events());
        pass(Point::MoveLeft);
        for input in cell.leave(self) {
            loop {
                let envelope = Envelope::Passed { from: address.into(), to: address.into(), input: (&input).into() };
                match self.send_envelope(target, &envelope) {
                    Err(Errno::FULL) => tokio::time::sleep(Duration::from_millis(2)).await,
                    Err(errno) => break self.undelivered(address, &input, errno),
                    Ok(()) => break,
                }
            }
        }
        self.log(address, 3, format!("moved to {target}"));
    }

    /// A piece of a package, for whom it is.
    pub(super) fn hand_out(self: &Arc<Self>, from: NodeId, mark: u64, offset: u64) {
        let bytes = {
            let parcels = self.moving().parcels.lock();
            parcels.get(&mark).filter(|parcel| parcel.target == from).map(|parcel| parcel.bytes.clone())
        };
        let piece = bytes.as_ref().map(|bytes| wire::piece(bytes, offset, PIECE_BYTES)).unwrap_or_default();
        if !piece.is_empty() {
            self.tell_step(from, mark, MoveStep::Piece { offset, bytes: piece.to_vec() });
        }
    }
}
