//! A plain actor on its way, as bytes.
//!
//! Owns: everything that it is: how it was born, its policy and history, its process, its memory, what waits for it, and which
//! sayings of groups it has heard. Does not know: who carries it.
//!
//! ```text
//!  0          8        12       16
//!  | pandopck | format | length | rkyv of `Rows` ...
//! ```
//!
//! 1. Bytes of anybody may be opened: length first, then rkyv's validation, then every part's own.
//! 2. What was packed is opened as it was.

#![allow(missing_docs, reason = "what rkyv derives has none")]

use pando_abi::{ActorId, Address, Home};
use pando_actors::Image;
use rkyv::{Archive, Deserialize, Serialize};

use crate::{
    input::{Input, SpawnOrder},
    process::{Process, ProcessRows},
    supervise::Supervisor,
    wire::{self, Malformed, WireInput, WireSpawn},
};

/// Bytes of a package at most. A larger actor is not moved.
pub const PACKAGE_BYTES_MAX: usize = 128 << 20;
const MAGIC: &[u8; 8] = b"pandopck";
const FORMAT: u32 = 1;
const FRONT: usize = 16;

/// A plain actor on its way.
#[derive(Clone, Debug)]
pub struct Package {
    /// How it is started again by its supervisor; the module is that of now.
    pub order: SpawnOrder,
    /// Its policy, and what that has seen.
    pub supervisor: Supervisor,
    /// The kernel's side of it.
    pub process: Process,
    /// The guest's.
    pub image: Image,
    /// What waits for it, in order.
    pub mailbox: Vec<Input>,
    /// Events handled.
    pub events: u64,
    /// The latest time that it was told: no event after it has an earlier one.
    pub time_ns: u64,
    /// Groups, and the number of the latest saying of each that it has been brought.
    pub heard: Vec<(ActorId, u64)>,
}

#[derive(Archive, Serialize, Deserialize)]
struct Rows {
    order: WireSpawn,
    supervisor: Supervisor,
    process: ProcessRows,
    image: Vec<u8>,
    mailbox: Vec<WireInput>,
    events: u64,
    time_ns: u64,
    heard: Vec<([u8; 16], u64)>,
}

impl Package {
    /// Whose it is.
    pub fn address(&self) -> Address {
        self.order.child
    }

    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let rows = Rows {
            order: (&self.order).into(),
            supervisor: self.supervisor.clone(),
            process: self.process.rows(),
            image: self.image.to_bytes(),
            mailbox: self.mailbox.iter().map(Into::into).collect(),
            events: self.events,
            time_ns: self.time_ns,
            heard: self.heard.iter().map(|(group, seq)| (group.0, *seq)).collect(),
        };
        let rows = wire::encode(&rows);
        let mut bytes = Vec::with_capacity(FRONT + rows.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(rows.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&rows);
        bytes
    }

    /// From bytes of anybody.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Package, Malformed> {
        let malformed = |why: &str| Malformed(why.to_owned());
        let (front, rows) = bytes.split_first_chunk::<FRONT>().ok_or_else(|| malformed("too few bytes"))?;
        let mut expected = [0; FRONT];
        expected[..8].copy_from_slice(MAGIC);
        expected[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        expected[12..].copy_from_slice(&u32::try_from(rows.len()).unwrap_or(u32::MAX).to_le_bytes());
        if *front != expected {
            return Err(malformed("no package of this version, or a torn one"));
        }
        let rows: Rows = wire::decode(rows, PACKAGE_BYTES_MAX)?;
        let order = rows.order.open()?;
        let process = Process::from_rows(rows.process)?;
        let image = Image::from_bytes(&rows.image).map_err(|why| Malformed(why.to_string()))?;
        let (me, identity) = (order.child, process.identity());
        if me.home != Home::Node
            || identity.me != me
            || identity.replicated
            || identity.generation != rows.supervisor.restarts
        {
            return Err(malformed("its parts are of different actors"));
        }
        if image.module().0 != order.spec.module {
            return Err(malformed("its memory is of another module"));
        }
        let mailbox = rows.mailbox.into_iter().map(WireInput::open).collect::<Result<Vec<_>, _>>()?;
        let heard = rows.heard.into_iter().map(|(group, seq)| (ActorId(group), seq)).collect();
        let (events, time_ns) = (rows.events, rows.time_ns);
        Ok(Package { order, supervisor: rows.supervisor, process, image, mailbox, events, time_ns, heard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Package) {
        let row = crate::decoders::rows().into_iter().find(|row| row.0 == "a moving actor").expect("a row");
        let package = Package::from_bytes(&row.1[0]).expect("valid bytes");
        (row.1[0].clone(), package)
    }

    #[test]
    fn everything_that_an_actor_is_comes_over() {
        let (bytes, package) = sample();
        assert_eq!(package.to_bytes(), bytes);
        let counts: Vec<usize> = package.process.counts().iter().map(|(_, n)| *n).collect();
        let [monitors, watchers, links, timers, calls, grants, children] = counts[..] else { panic!("{counts:?}") };
        assert_eq!((monitors, watchers, links, timers, calls, grants, children), (0, 0, 1, 1, 1, 0, 0));
        assert_eq!(package.process.alarms().count(), 2, "a timer and a deadline");
        assert_eq!((package.mailbox.len(), package.events, package.time_ns), (12, 7, 8));
        assert!(matches!(&package.mailbox[1], Input::Message(delivery) if delivery.key.is_some()));
        assert_eq!(package.heard, [(ActorId([2; 16]), 6)]);
        assert_eq!(package.order.parent.address, Address::actor(pando_abi::NodeId(1), ActorId([1; 16])));
    }

    #[test]
    fn parts_of_different_actors_and_torn_bytes_are_refused() {
        let (bytes, package) = sample();
        for len in [0, 7, FRONT, bytes.len() - 1] {
            assert!(Package::from_bytes(&bytes[..len]).is_err(), "{len} bytes");
        }
        let mut other = bytes.clone();
        other[8] = 9;
        assert!(Package::from_bytes(&other).is_err(), "another version");
        let mut stranger = package.clone();
        stranger.order.child.id = ActorId([7; 16]);
        assert!(Package::from_bytes(&stranger.to_bytes()).is_err());
        let mut module = package.clone();
        module.order.spec.module = [3; 32];
        assert!(Package::from_bytes(&module.to_bytes()).is_err());
        let mut lives = package;
        lives.supervisor.restarts += 1;
        assert!(Package::from_bytes(&lives.to_bytes()).is_err());
    }
}
