//! What may wait at a node, how much of it does, and how much may.
//!
//! Owns: the list. Does not know: why something waits. For whoever looks from outside whether the bounds hold: the simulator does, all the
//! time.
//!
//! 1. Every queue and table that others can make longer is in it, or in [`Transport::sessions`](pando_transport::Transport::sessions).

use std::sync::Arc;

use pando_abi::limits;
use pando_actors::SIGNALS_MAX;

use crate::{
    cells::ENDS_MAX,
    console::ABANDONED_MAX,
    node::{HEARD_MAX, Kernel},
    outbox::ITEMS_MAX,
    peers::QUESTIONS_MAX,
    realm::ROOT,
    replica::Replica,
};

/// One queue or table: of many alike, the fullest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// What there is.
    pub what: &'static str,
    /// How much.
    pub used: usize,
    /// How much there may be.
    pub most: usize,
}

impl Bound {
    /// Is it kept?
    pub fn holds(&self) -> bool {
        self.used <= self.most
    }
}

impl Kernel {
    /// Everything that is bounded at this node. Waits for machines that are busy: not for a thread that may not.
    pub fn bounds(self: &Arc<Self>) -> Vec<Bound> {
        let tuning = self.lanes().tuning();
        let (count, bytes, idle) = self.lanes().fullest();
        // What waits for a group that is not born yet is put back behind what has come meanwhile.
        let lane = [
            ("inputs that wait for a group", count, tuning.lane_items_max + tuning.batch_items_max),
            (
                "bytes that wait for a group",
                bytes,
                tuning.lane_bytes_max + tuning.batch_bytes_max + limits::EVENT_BYTES_MAX,
            ),
            ("lanes in which nothing waits", idle, 0),
        ];
        let (receivers, items, idle) = self.leaders().fullest();
        let said = [
            ("sayings that a leader lets out", items, ITEMS_MAX),
            ("receivers of what a leader lets out", receivers, ITEMS_MAX),
            ("receivers for whom a leader has nothing", idle, 0),
        ];
        let waiting = self.cells().all().into_iter().map(|cell| cell.waiting());
        let fullest =
            |(c, b, s): (usize, usize, usize), (count, bytes, signals)| (c.max(count), b.max(bytes), s.max(signals));
        let (count, bytes, signals) = waiting.fold((0, 0, 0), fullest);
        let (held, held_bytes, held_signals) = self.moving().fullest();
        let mailbox = [
            ("messages in a mailbox", count, limits::MAILBOX_MESSAGES_MAX),
            ("bytes in a mailbox", bytes, limits::MAILBOX_BYTES_MAX),
            ("messages held for an actor on its way", held, limits::MAILBOX_MESSAGES_MAX),
            ("bytes held for an actor on its way", held_bytes, limits::MAILBOX_BYTES_MAX),
            ("watches, links and kills in a mailbox", signals, 2 * SIGNALS_MAX),
            ("watches, links and kills held for an actor on its way", held_signals, 2 * SIGNALS_MAX),
        ];
        let (asked, forsaken) = self.calls().waiting();
        let (proposals, proposals_max) = self.groups().in_flight();
        let tables = [
            ("questions to other nodes", asked, QUESTIONS_MAX),
            ("questions to other nodes for whose answer nobody waits", forsaken, 0),
            // Half of them may have been waited for when the table was looked through last.
            ("calls of people for whose answer nobody waits", self.console().abandoned(), 2 * ABANDONED_MAX),
            ("groups and receivers whose numbers are kept", self.heard_count(), HEARD_MAX),
            ("ends that are remembered", self.cells().ended().len(), ENDS_MAX),
            ("plain actors", self.cells().count(), self.cells().places()),
            ("proposals that wait", proposals, proposals_max),
        ];
        let mut all: Vec<Bound> = Vec::new();
        let mut note = |(what, used, most): (&'static str, usize, usize)| match all.iter_mut().find(|b| b.what == what)
        {
            // A limit may depend on what there is.
            Some(bound) if bound.holds() && (used > most || used > bound.used) => *bound = Bound { what, used, most },
            Some(_) => {}
            None => all.push(Bound { what, used, most }),
        };
        lane.into_iter().chain(said).chain(mailbox).chain(tables).for_each(&mut note);
        for group in self.groups().list().into_iter().filter(|group| *group != ROOT) {
            let bounds = self.groups().with_machine(group, |machine| {
                machine.as_any().downcast_mut::<Replica>().map(|replica| replica.bounds())
            });
            bounds.flatten().into_iter().flatten().for_each(&mut note);
        }
        all
    }
}
