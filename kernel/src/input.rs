//! What reaches a process, and what a process asks for.
//!
//! An [`Input`] is the one thing that a mailbox, a wire frame and a log entry hold; an [`Action`] is the one thing that
//! comes out of a step. Location is nowhere in them: an [`Address`] says who, and the router finds where.

#![allow(missing_docs, reason = "fields of variants that say what they are, and what rkyv derives")]

use std::sync::Arc;

use pando_abi::{Address, Errno, ExitKind, Home, NodeId};
/// What starts a process: kept by whoever may have to start it again.
pub use pando_actors::Spawn as SpawnOrder;
use pando_actors::{Body, CapKind, Capability, Exit, Handles, Message, SIGNALS_MAX};
pub use pando_actors::{Delivery, Key, ReplyTo};

/// How final an answer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// The index in the group's log that it stands on; 0: a plain actor's word.
    pub index: u64,
    /// Read behind a round to a quorum.
    pub linear: bool,
    /// The node that says so.
    pub node: u32,
}

/// Actors for whom the loss of a node means something else than their addresses say. Both lists are in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// They were born on it or are reached by it, and live elsewhere: they go on, but what was on its way may be lost.
    pub away: Vec<Address>,
    /// They were born elsewhere, and lived on it.
    pub here: Vec<Address>,
}

impl Moved {
    /// Has this one gone with `node`?
    pub fn is_lost(&self, node: NodeId, actor: Address) -> bool {
        let there = actor.home == Home::Node && actor.node == node && !self.is_cut_off(actor);
        there || self.here.binary_search(&actor).is_ok()
    }

    /// Does it go on, though what was on its way to or from it may be lost?
    pub fn is_cut_off(&self, actor: Address) -> bool {
        self.away.binary_search(&actor).is_ok()
    }

    /// Is there nobody in it?
    pub fn is_empty(&self) -> bool {
        self.away.is_empty() && self.here.is_empty()
    }
}

/// What reaches a process.
#[derive(Clone, Debug)]
pub enum Input {
    /// The first one.
    Start { args: Body, handles: Handles, restarted: bool },
    /// A message.
    Message(Box<Delivery>),
    /// An answer to an own call.
    Reply { token: u64, status: u16, message: Box<Message>, standing: Standing },
    /// An own timer came due.
    Timer { id: u64 },
    /// The deadline of an own call passed.
    Deadline { token: u64 },
    /// `watcher` wants to know when this process ends. `grant`: what its handle carries.
    Watch { watcher: Address, id: u64, grant: u64 },
    /// It no longer does.
    Unwatch { watcher: Address, id: u64 },
    /// `peer` has tied its life to this one's.
    Link { peer: Address, grant: u64 },
    /// It has untied it.
    Unlink { peer: Address },
    /// A watched or linked process has ended.
    Down { target: Address, exit: Exit },
    /// What became of the message with this key? One that has not come is refused from now on.
    Outcome { key: Key, reply: ReplyTo },
    /// Somebody with the right wants this process ended.
    Kill { by: Address, grant: u64 },
    /// Sessions with this node are gone.
    NodeDown { node: u32 },
    /// The same where some actors live elsewhere than where they were born. Node 0: none went, but these actors.
    NodeDownBut { node: u32, moved: Arc<Moved> },
    /// So many own sends could not be delivered, the latest for this reason.
    Bounce { status: u16, count: u64 },
    /// An own child has ended for good, or could not be started.
    ChildEnded { child: Address },
}

impl Input {
    /// Bytes that it takes in a mailbox.
    #[inline]
    pub fn size(&self) -> usize {
        let body = match self {
            Input::Message(delivery) => delivery.message.body.len() + 64 * delivery.message.handles.len(),
            Input::Start { args, handles, .. } => args.len() + 64 * handles.len(),
            Input::Reply { message, .. } => message.body.len() + 64 * message.handles.len(),
            Input::Down { exit, .. } => exit.message.len(),
            Input::NodeDownBut { moved, .. } => 24 * (moved.away.len() + moved.here.len()),
            _ => 0,
        };
        64 + body
    }

    /// Where an answer to it goes, if it wants one.
    pub fn reply(&self) -> Option<ReplyTo> {
        match self {
            Input::Message(delivery) => delivery.reply,
            Input::Outcome { reply, .. } => Some(*reply),
            _ => None,
        }
    }

    /// Is it bounded by the mailbox, or by what the process asked for itself?
    pub fn is_message(&self) -> bool {
        matches!(self, Input::Message(_))
    }

    /// If others decide how many of these come: how many signals may wait before it for its receiver. Watches and links leave room for
    /// those who want an end of all this.
    pub fn signals_max(&self) -> Option<usize> {
        match self {
            Input::Watch { .. } | Input::Link { .. } => Some(SIGNALS_MAX),
            Input::Kill { .. } => Some(2 * SIGNALS_MAX),
            _ => None,
        }
    }
}

/// What a process asks for.
#[derive(Clone, Debug)]
pub enum Action {
    /// Bring `input` to `to`.
    Deliver { to: Address, input: Input },
    /// Start a process.
    Spawn(Box<SpawnOrder>),
    /// Bring [`Input::Timer`] or [`Input::Deadline`] back at this time.
    Alarm { at_ns: u64, alarm: Alarm },
    /// Do not: it was asked for at this time.
    Disarm { at_ns: u64, alarm: Alarm },
    /// Write a line.
    Log { level: u8, text: String },
}

/// Takes what a process asks for: a list, or who carries it out at once.
pub trait Sink {
    /// One thing more.
    fn push(&mut self, action: Action);
    /// [`Action::Deliver`], which most are.
    #[inline]
    fn deliver(&mut self, to: Address, input: Input) {
        self.push(Action::Deliver { to, input });
    }
    /// Some more, in their order.
    fn extend(&mut self, actions: impl Iterator<Item = Action>)
    where
        Self: Sized,
    {
        actions.for_each(|action| self.push(action));
    }
}

impl Sink for Vec<Action> {
    fn push(&mut self, action: Action) {
        Vec::push(self, action);
    }
}

/// What an alarm is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Alarm {
    /// The timer with this id, sealed with its life.
    Timer(u64),
    /// The call with this token, sealed with its life.
    Deadline(u64),
}

impl Alarm {
    /// What it brings.
    pub fn input(self) -> Input {
        match self {
            Alarm::Timer(id) => Input::Timer { id },
            Alarm::Deadline(token) => Input::Deadline { token },
        }
    }

    /// The alarm that brought this, if one did.
    pub fn of(input: &Input) -> Option<Alarm> {
        match input {
            Input::Timer { id } => Some(Alarm::Timer(*id)),
            Input::Deadline { token } => Some(Alarm::Deadline(*token)),
            _ => None,
        }
    }
}

/// How something ended, when no guest said so.
pub fn exit(kind: ExitKind, message: impl Into<String>) -> Exit {
    Exit { kind, code: 0, message: message.into() }
}

/// Whom an input that cannot be delivered concerns, and what they are told: its sender; and those who wait for an answer
/// through reply handles that it carried, for there is one of each, and it is lost.
pub fn undeliverable(to: Address, input: &Input, errno: Errno) -> Vec<(Address, Input)> {
    let gone = || Input::Down {
        target: to,
        exit: match errno {
            Errno::UNREACHABLE => exit(ExitKind::NodeDown, "its node cannot be reached"),
            Errno::FULL => exit(ExitKind::NoActor, "too much waits for it: it cannot be watched or linked now"),
            _ => exit(ExitKind::NoActor, "no such actor"),
        },
    };
    let told = match input {
        Input::Message(delivery) => Some(match delivery.reply {
            Some(reply) => refusal(reply, errno),
            None => (delivery.from, Input::Bounce { status: errno.code(), count: 1 }),
        }),
        Input::Outcome { reply, .. } => Some(refusal(*reply, errno)),
        Input::Watch { watcher, .. } => Some((*watcher, gone())),
        Input::Link { peer, .. } => Some((*peer, gone())),
        _ => None,
    };
    let carried: &[Capability] = match input {
        Input::Message(delivery) => &delivery.message.handles,
        Input::Reply { message, .. } => &message.handles,
        _ => &[],
    };
    told.into_iter().chain(stranded(carried, errno)).collect()
}

/// What those are told who wait for an answer through reply handles among these, which reached nobody.
pub fn stranded(handles: &[Capability], errno: Errno) -> impl Iterator<Item = (Address, Input)> + '_ {
    // To them it matters only whether somebody may answer yet.
    let errno = match errno {
        Errno::UNREACHABLE | Errno::NO_QUORUM | Errno::TIMEOUT => errno,
        _ => Errno::NO_REPLY,
    };
    let waiting = handles.iter().filter(|handle| handle.kind == CapKind::Reply);
    waiting.map(move |handle| refusal(ReplyTo { address: handle.address, token: handle.token }, errno))
}

fn refusal(to: ReplyTo, errno: Errno) -> (Address, Input) {
    let (message, standing) = (Box::default(), Standing::default());
    (to.address, Input::Reply { token: to.token, status: errno.code(), message, standing })
}

/// One line for a person: `fault: unreachable executed`.
pub fn describe(exit: &Exit) -> String {
    let first = exit.message.lines().next().unwrap_or_default();
    match (exit.code, first) {
        (0, "") => exit.kind.name().to_owned(),
        (0, text) => format!("{}: {text}", exit.kind.name()),
        (code, "") => format!("{} {code}", exit.kind.name()),
        (code, text) => format!("{} {code}: {text}", exit.kind.name()),
    }
}

#[cfg(test)]
mod tests {
    use pando_abi::ActorId;

    use super::*;

    #[test]
    fn who_waits_through_a_reply_handle_that_reached_nobody_is_told() {
        let at = |n: u8| Address::actor(NodeId(1), ActorId([n; 16]));
        let handles = [Capability::reply(at(7), 70), Capability::actor(at(8), pando_abi::Rights::PEER)];
        let message = Message { handles: Handles::from_slice(&handles), ..Message::default() };
        let delivery = Delivery::new(at(1), message.clone());
        let sent = Input::Message(Box::new(delivery.clone()));
        let asked = ReplyTo { address: at(1), token: 10 };
        let called = Input::Message(Box::new(Delivery { reply: Some(asked), ..delivery }));
        let answered = Input::Reply { token: 3, status: 0, message: Box::new(message), standing: Standing::default() };
        let status = |errno: Errno| errno.code();
        for (input, errno, wanted) in [
            (&sent, Errno::FULL, vec![(at(1), 0, status(Errno::FULL)), (at(7), 70, status(Errno::NO_REPLY))]),
            (&called, Errno::DEAD, vec![(at(1), 10, status(Errno::DEAD)), (at(7), 70, status(Errno::NO_REPLY))]),
            (&answered, Errno::UNREACHABLE, vec![(at(7), 70, status(Errno::UNREACHABLE))]),
        ] {
            let told: Vec<_> = undeliverable(at(2), input, errno)
                .into_iter()
                .map(|(to, input)| match input {
                    Input::Bounce { status, .. } => (to, 0, status),
                    Input::Reply { token, status, .. } => (to, token, status),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(told, wanted);
        }
    }
}
