//! Plain actors are carried from node to node, with everything that they are.
//!
//! Owns: what is on its way. Does not know: why an actor is moved, or which way messages take once it is settled.
//!
//! ```text
//!   leader (where its messages come)       source (where it lives)          target
//!     | hold what comes                       |                                |
//!     |---- Pack, behind all that was passed ->| finish the event, stand still  |
//!     |<------------------------------ Packed |                                |
//!     |---- Offer ------------------------------------------------------------>|
//!     |                                       |<---------- Fetch, Piece ... -->|  module, image, mailbox, process
//!     |<----------------------------------------------------------------- Ready |
//!     |==== the realm writes it down: the moment of handover ==================|
//!     |---- Go ------------------------------>| forget it                      |
//!     |---- Go ---------------------------------------------------------------->| run
//!     |---- what was held, in order ------------------------------------------->|
//! ```
//!
//! 1. Before the realm has written it down only the source may run the actor, afterwards only the target; in between neither does.
//! 2. Whoever stands still and does not hear from the leader asks the realm, by a row that makes the move impossible if it has not
//!    been made. So a leader, a source or a target may crash at any step; an actor is lost only with the node that it lives on.
//! 3. What comes meanwhile is held in order, within the bounds of a mailbox, and goes where the actor is afterwards. What was passed
//!    on before is on its way before the order to pack.

mod lead;
mod package;
mod source;
mod target;
mod verdict;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pando_abi::{Address, Errno, NodeId, limits};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::mpsc;

pub(crate) use lead::Carried;
pub(crate) use package::{PACKAGE_BYTES_MAX, Package};
use source::Parcel;

use crate::{
    input::Input,
    node::Kernel,
    router::Said,
    wire::{ControlMessage, MoveStep, WireAddress, WireExit},
};

/// Steps that wait for one of those who carry an actor.
const STEPS_MAX: usize = 256;

/// Which part a node plays. It may play all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    Leader,
    Source,
    Target,
}

/// A step, and who said so.
type Word = (NodeId, MoveStep);

/// What is on its way at a node.
#[derive(Default)]
pub(crate) struct Moving {
    held: Mutex<BTreeMap<Address, Held>>,
    held_count: AtomicUsize,
    /// Read while something is passed on, written while it begins to be held: what was passed on before is on its way by then.
    passing: RwLock<()>,
    listening: Mutex<BTreeMap<(u64, Part), mpsc::Sender<Word>>>,
    parcels: Mutex<BTreeMap<u64, Parcel>>,
}

/// What came for an actor that is on its way.
#[derive(Default)]
struct Held {
    items: VecDeque<HeldItem>,
    count: usize,
    bytes: usize,
    signals: usize,
}

enum HeldItem {
    Plain { from: Address, input: Input },
    Said { said: Said, input: Input },
}

impl Moving {
    /// Is what comes for anybody held?
    #[inline]
    pub(crate) fn holds_any(&self) -> bool {
        self.held_count.load(Ordering::Acquire) > 0
    }

    /// Is what comes for this actor held?
    pub(crate) fn holds(&self, to: Address) -> bool {
        self.holds_any() && self.held.lock().contains_key(&to)
    }

    /// Holds something, if the actor is on its way.
    ///
    /// # Errors
    /// It comes back: with `FULL`, or with `NOT_FOUND` if nothing is held for it.
    pub(crate) fn hold(&self, from: Address, to: Address, input: Input) -> Result<(), (Errno, Input)> {
        if !self.holds_any() {
            return Err((Errno::NOT_FOUND, input));
        }
        let mut all = self.held.lock();
        let Some(held) = all.get_mut(&to) else { return Err((Errno::NOT_FOUND, input)) };
        if input.is_message() {
            let size = input.size();
            if held.count >= limits::MAILBOX_MESSAGES_MAX || held.bytes + size > limits::MAILBOX_BYTES_MAX {
                return Err((Errno::FULL, input));
            }
            held.count += 1;
            held.bytes += size;
        }
        if let Some(max) = input.signals_max() {
            if held.signals >= max {
                return Err((Errno::FULL, input));
            }
            held.signals += 1;
        }
        held.items.push_back(HeldItem::Plain { from, input });
        Ok(())
    }

    /// The same for a saying of a group, of which there are never too many.
    ///
    /// # Errors
    /// It comes back if nothing is held for the actor.
    pub(crate) fn hold_said(&self, said: Said, to: Address, input: Input) -> Result<(), Input> {
        if !self.holds_any() {
            return Err(input);
        }
        let mut all = self.held.lock();
        let Some(held) = all.get_mut(&to) else { return Err(input) };
        held.items.push_back(HeldItem::Said { said, input });
        Ok(())
    }

    /// Messages that are held for the actor that has most of them, bytes, and signals.
    pub(crate) fn fullest(&self) -> (usize, usize, usize) {
        let all = self.held.lock();
        all.values().fold((0, 0, 0), |(count, bytes, signals), held| {
            (count.max(held.count), bytes.max(held.bytes), signals.max(held.signals))
        })
    }

    /// While this is kept nobody begins to hold anything. `None`: what comes for this actor is held already.
    pub(crate) fn passing(&self, to: Address) -> Option<RwLockReadGuard<'_, ()>> {
        // Whoever passes on may be told of a loss, and pass that on.
        let guard = self.passing.read_recursive();
        (!self.holds(to)).then_some(guard)
    }

    /// Begins to hold. `false`: somebody does already.
    fn begin(&self, address: Address) -> bool {
        let _alone = self.passing.write();
        let mut all = self.held.lock();
        if all.contains_key(&address) {
            return false;
        }
        all.insert(address, Held::default());
        self.held_count.store(all.len(), Ordering::Release);
        true
    }

    /// Lets out what was held, in order, and holds no more once nothing is left. `let_out` gives back what cannot go yet;
    /// then this returns `false`.
    fn release(&self, address: Address, mut let_out: impl FnMut(HeldItem) -> Option<HeldItem>) -> bool {
        loop {
            let mut items = {
                let mut all = self.held.lock();
                let items = all.get_mut(&address).map(std::mem::take).unwrap_or_default().items;
                if items.is_empty() {
                    // Who comes from now on finds the last of them on its way.
                    all.remove(&address);
                    self.held_count.store(all.len(), Ordering::Release);
                    return true;
                }
                items
            };
            while let Some(item) = items.pop_front() {
                if let Some(item) = let_out(item) {
                    items.push_front(item);
                    let mut all = self.held.lock();
                    let held = all.entry(address).or_default();
                    while let Some(item) = items.pop_back() {
                        held.items.push_front(item);
                    }
                    return false;
                }
            }
        }
    }

    fn listen(&self, mark: u64, part: Part) -> mpsc::Receiver<Word> {
        let (sender, receiver) = mpsc::channel(STEPS_MAX);
        self.listening.lock().insert((mark, part), sender);
        receiver
    }

    fn listens(&self, mark: u64, part: Part) -> bool {
        self.listening.lock().contains_key(&(mark, part))
    }

    fn listen_no_more(&self, mark: u64, part: Part) {
        self.listening.lock().remove(&(mark, part));
    }

    fn pass_on(&self, mark: u64, part: Part, word: Word) {
        let sender = self.listening.lock().get(&(mark, part)).cloned();
        // Nobody listens any more, or somebody says far too much: whoever waits for an answer asks again.
        let _ = sender.map(|sender| sender.try_send(word));
    }
}

impl Kernel {
    /// A step has come.
    pub(crate) fn move_step(self: &Arc<Self>, from: NodeId, mark: u64, step: MoveStep) {
        match step {
            MoveStep::Prepare { module } => self.prepare(from, mark, module),
            MoveStep::Offer { address, source, total, before } => {
                if let Ok(address) = address.open() {
                    self.take_in(from, mark, address, NodeId(source), total, before);
                }
            }
            MoveStep::Fetch { offset } => self.hand_out(from, mark, offset),
            MoveStep::Piece { .. } => self.moving().pass_on(mark, Part::Target, (from, step)),
            MoveStep::Go | MoveStep::Undo => {
                self.moving().pass_on(mark, Part::Source, (from, step.clone()));
                self.moving().pass_on(mark, Part::Target, (from, step));
            }
            // Whoever leads a move that is over has called it off, or has come anew: what is only ready now is not waited for.
            MoveStep::Packed { .. } | MoveStep::Ready if !self.moving().listens(mark, Part::Leader) => {
                self.tell_step(from, mark, MoveStep::Undo);
            }
            MoveStep::Prepared
            | MoveStep::Packed { .. }
            | MoveStep::Ready
            | MoveStep::Refused { .. }
            | MoveStep::Left
            | MoveStep::Started => self.moving().pass_on(mark, Part::Leader, (from, step)),
        }
    }

    /// Says a step to a node, which may be this one. `false`: it cannot be reached now.
    fn tell_step(self: &Arc<Self>, to: NodeId, mark: u64, step: MoveStep) -> bool {
        if to == self.id() {
            self.move_step(to, mark, step);
            return true;
        }
        let bulk = matches!(step, MoveStep::Piece { .. });
        let message = ControlMessage::Move { mark, step };
        if bulk { self.send_bulk(to, &message) } else { self.send_control(to, &message) }
    }

    /// An actor that was born here has ended elsewhere. Who asks after it will ask here.
    pub(crate) fn moved_ended(&self, from: NodeId, address: WireAddress, why: WireExit) {
        let (Ok(address), Ok(why)) = (address.open(), why.open()) else { return };
        if address.node == self.id() && self.lives(address) == from {
            self.cells().remember_end(address.id, &why);
        }
    }

    /// Has the realm forget where an actor lived that has ended, and what it was called.
    pub(crate) fn end_moved(self: &Arc<Self>, address: Address, mark: u64) {
        let kernel = self.clone();
        self.runtime().spawn(async move {
            let command = crate::root::RootCommand::EndMoved { address, mark };
            while let Err(why) = kernel.root_command(command.clone()).await {
                tracing::warn!(%address, %why, "the end of an actor that had moved is not recorded yet");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        });
    }

    /// Tells the birthplace of an actor that has ended here.
    pub(crate) fn tell_birthplace(&self, address: Address, why: &pando_actors::Exit) {
        if address.node != self.id() {
            let message = ControlMessage::Ended { address: address.into(), exit: why.into() };
            self.send_control(address.node, &message);
        }
    }
}

fn refused(errno: Errno, text: impl Into<String>, mend: impl Into<String>) -> MoveStep {
    MoveStep::Refused { errno: errno.code(), text: text.into(), mend: mend.into() }
}

#[cfg(test)]
mod tests {
    use pando_abi::ActorId;

    use super::*;

    fn at(n: u8) -> Address {
        Address::actor(NodeId(1), ActorId([n; 16]))
    }

    fn bounce(n: u64) -> Input {
        Input::Bounce { status: 1, count: n }
    }

    #[test]
    fn what_is_held_comes_out_in_order_and_what_comes_later_is_not_held() {
        let moving = Moving::default();
        assert!(moving.hold(at(1), at(2), bounce(1)).is_err(), "nobody is on the way");
        assert!(moving.begin(at(2)) && !moving.begin(at(2)));
        let said = Said { speaker: NodeId(3), group: ActorId([9; 16]), seq: 4, index: 5 };
        for n in 1..=3 {
            moving.hold(at(1), at(2), bounce(n)).expect("held");
        }
        moving.hold_said(said, at(2), bounce(4)).expect("held");
        assert!(moving.hold(at(1), at(3), bounce(9)).is_err(), "another actor");
        let mut out = Vec::new();
        let mut room = 2;
        let number = |item: &HeldItem| match item {
            HeldItem::Plain { input: Input::Bounce { count, .. }, .. } => (*count, 0),
            HeldItem::Said { input: Input::Bounce { count, .. }, said } => (*count, said.seq),
            _ => panic!("something else was held"),
        };
        let done = moving.release(at(2), |item| {
            if room == 0 {
                return Some(item);
            }
            room -= 1;
            out.push(number(&item));
            None
        });
        assert!(!done && moving.holds(at(2)));
        moving.hold(at(1), at(2), bounce(5)).expect("held still");
        assert!(moving.release(at(2), |item| {
            out.push(number(&item));
            None
        }));
        assert_eq!(out, [(1, 0), (2, 0), (3, 0), (4, 4), (5, 0)]);
        assert!(!moving.holds(at(2)) && moving.hold(at(1), at(2), bounce(6)).is_err());
    }

    #[test]
    fn messages_that_are_held_are_bounded_and_come_back_and_the_kernels_own_are_taken() {
        let moving = Moving::default();
        moving.begin(at(2));
        let message = || {
            let message = pando_actors::Message::default();
            Input::Message(Box::new(crate::input::Delivery::new(at(1), message)))
        };
        for _ in 0..limits::MAILBOX_MESSAGES_MAX {
            moving.hold(at(1), at(2), message()).expect("within the bound");
        }
        assert!(matches!(moving.hold(at(1), at(2), message()), Err((Errno::FULL, _))));
        let watch = || Input::Watch { watcher: at(1), id: 7, grant: 0 };
        for _ in 0..pando_actors::SIGNALS_MAX {
            moving.hold(at(1), at(2), watch()).expect("within the bound");
        }
        assert!(matches!(moving.hold(at(1), at(2), watch()), Err((Errno::FULL, _))));
        moving.hold(at(1), at(2), Input::Kill { by: at(1), grant: 0 }).expect("an end of all this can be asked for");
        moving.hold(at(1), at(2), bounce(1)).expect("nobody could be told that this is lost");
    }
}
