//! A replica at rest, in parts: what the kernel keeps for the group, and the guest's memory in areas.
//!
//! Owns: how the state is cut and put together. Does not know where parts are kept.
//!
//! A part begins with a byte that says what it is: a piece of the rows, which come first and in order, or an area. Areas that no
//! event has written since the last snapshot have the name that they had then, so neither they nor their hashes are made again.
//!
//! 1. A cut is the state at one index, however the replica goes on.
//! 2. Who applies waits for the rows and for one word of each area, never for the memory.
//! 3. A state is taken up whole or not at all.

use pando_abi::ModuleHash;
use pando_abi::planted::{Bug, planted};
use pando_actors::{Actor, Frozen, Image, Limits};
use pando_raft::{Cut, Parts};

use super::{Living, Proposer, Replica, STATE_BYTES_MAX, fit, heard::Heard, state::ReplicaRows};
use crate::{launch, outbox::Outbox, process::Process, wire};

/// A piece of the rows follows.
const ROWS: u8 = 0;
/// An area follows.
const AREA: u8 = 1;

/// A replica's state as it was.
pub(super) struct InParts {
    rows: Vec<u8>,
    /// Bytes of a piece of them: whoever reads takes pieces of any length.
    piece: usize,
    frozen: Option<Frozen>,
}

impl InParts {
    fn pieces(&self) -> usize {
        self.rows.len().div_ceil(self.piece)
    }

    /// Which area this part is.
    fn area(&self, part: usize) -> Option<(&Frozen, usize)> {
        Some((self.frozen.as_ref()?, part.checked_sub(self.pieces())?))
    }
}

impl Cut for InParts {
    fn count(&self) -> usize {
        self.pieces() + self.frozen.as_ref().map_or(0, Frozen::areas)
    }

    fn name(&self, part: usize) -> Option<[u8; 32]> {
        self.area(part).and_then(|(frozen, area)| frozen.name(area))
    }

    fn bytes(&self, part: usize) -> Vec<u8> {
        match self.area(part) {
            Some((frozen, area)) => [&[AREA], &frozen.bytes(area)[..]].concat(),
            None => [&[ROWS], self.rows.chunks(self.piece).nth(part).unwrap_or_default()].concat(),
        }
    }

    fn named(&mut self, part: usize, name: [u8; 32]) {
        if let Some((frozen, area)) = self.area(part) {
            frozen.named(area, name);
        }
    }
}

impl Replica {
    /// The state now, to be written while the replica goes on.
    pub(super) fn cut_in_parts(&mut self) -> InParts {
        let frozen = self.living.as_mut().and_then(|living| living.actor.freeze().ok());
        let head = frozen.as_ref().map(|frozen| frozen.head().to_bytes());
        let piece = self.port.tuning().snapshot_piece_bytes.max(1);
        InParts { rows: wire::encode(&self.rows(head)), piece, frozen }
    }

    /// The whole state as one run of bytes.
    pub(super) fn whole(&mut self) -> Vec<u8> {
        let image = self.living.as_mut().and_then(|living| living.actor.image().ok());
        wire::encode(&self.rows(image.map(|image| image.to_bytes())))
    }

    fn rows(&self, image: Option<Vec<u8>>) -> ReplicaRows {
        ReplicaRows {
            time_ns: self.time_ns,
            events: self.events,
            proposers: self.proposers.iter().map(|((o, i), p)| (*o, *i, p.seq, p.index, p.outcome.clone())).collect(),
            heard: self.heard.rows(),
            outbox: self.outbox.rows(),
            birth: self.birth.as_ref().map(|(b, _)| b.clone()),
            process: self.living.as_ref().map(|l| l.process.rows()),
            supervisor: self.supervisor.clone(),
            generation: self.generation,
            image,
            ended: self.ended.as_ref().map(Into::into),
        }
    }

    /// Replaces the state by the one that was cut into these parts.
    pub(super) fn take_parts(&mut self, image: &dyn Parts) -> Result<(), String> {
        let mut rows = Vec::new();
        let mut first = image.count();
        for part in 0..image.count() {
            let bytes = image.bytes(part)?;
            match bytes.split_first() {
                Some((&ROWS, piece)) if rows.len() + piece.len() <= STATE_BYTES_MAX => rows.extend_from_slice(piece),
                Some((&AREA, _)) => {
                    first = part;
                    break;
                }
                _ => return Err("a part of the state is of no known kind".into()),
            }
        }
        let areas = (first..image.count()).map(|part| match image.bytes(part)?.split_first() {
            Some((&AREA, area)) => Ok((image.name(part), area.to_vec())),
            _ => Err("a part of the state is where an area should be".into()),
        });
        self.take_rows(&rows, areas)
    }

    /// Replaces the state by these rows and areas.
    pub(super) fn take_rows(
        &mut self,
        rows: &[u8],
        areas: impl Iterator<Item = Result<([u8; 32], Vec<u8>), String>>,
    ) -> Result<(), String> {
        let rows: ReplicaRows = wire::decode(rows, STATE_BYTES_MAX).map_err(|e| e.to_string())?;
        let birth = match rows.birth {
            Some(birth) => {
                let order = birth.order.clone().open().map_err(|e| e.to_string())?;
                Some((birth, order))
            }
            None => None,
        };
        let living = match (rows.process, rows.image, &birth) {
            (Some(process), Some(image), Some((birth, order))) => {
                let process = Process::from_rows(process).map_err(|e| e.to_string())?;
                let hash = ModuleHash(birth.module);
                let module = self.port.module(hash).map_err(|why| fit(hash, why))?;
                let head = Image::from_bytes(&image).map_err(|e| e.to_string())?;
                let limits: Limits = launch::limits(&order.spec);
                let actor = Actor::thaw(&module, &head, areas, limits).map_err(|e| e.to_string())?;
                Some(Living { process, actor })
            }
            _ => None,
        };
        let ended = rows.ended.map(|e| e.open()).transpose().map_err(|e| e.to_string())?;
        self.outbox = Outbox::from_rows(rows.outbox).map_err(|e| e.to_string())?;
        self.time_ns = rows.time_ns;
        self.events = rows.events;
        let proposers = rows.proposers.into_iter();
        self.proposers =
            proposers.map(|(o, i, seq, index, outcome)| ((o, i), Proposer { seq, index, outcome })).collect();
        let heard = if planted(Bug::SnapshotForgetsHeard) { Vec::new() } else { rows.heard };
        self.heard = Heard::from_rows(heard);
        self.birth = birth;
        self.supervisor = rows.supervisor;
        self.generation = rows.generation;
        self.living = living;
        self.ended = ended;
        Ok(())
    }
}
