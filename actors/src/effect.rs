//! What handling an event asks for, as values. The kernel carries them out when the handler has returned.
//!
//! 1. Every right that an effect needs was checked against the asker's own handle; grants are checked by their minter.
//! 2. Ids in effects were allocated from the asker's own counters, so every replica asks for the same.

use pando_abi::{Address, Rights, SpawnSpec};

use crate::{Body, Capability, Delivery, Handles, Message, ReplyTo};

/// A new actor or group, as a handler asked for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spawn {
    /// Its address.
    pub child: Address,
    /// What was asked for. The module is filled in; so are the replicas of a group's child.
    pub spec: SpawnSpec,
    /// Body of its `start` event.
    pub args: Body,
    /// Handles of its `start` event.
    pub handles: Handles,
    /// Its handle 1.
    pub parent: Capability,
    /// Its handle 2.
    pub realm: Option<Capability>,
}

/// One thing that a handler asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A message without an answer.
    Send {
        /// To whom.
        to: Address,
        /// What.
        delivery: Box<Delivery>,
    },
    /// A message with an answer. Where that goes is for the asker's own side to write into it.
    Call {
        /// To whom.
        to: Address,
        /// Comes back with the answer.
        token: u64,
        /// How long to wait from the event's time; 0: for ever.
        deadline_ns: u64,
        /// What.
        delivery: Box<Delivery>,
    },
    /// An answer. Its reply capability is used up.
    Reply {
        /// To whom.
        to: ReplyTo,
        /// 0, or the code of an errno.
        status: u16,
        /// What.
        message: Box<Message>,
    },
    /// A new actor or group.
    Spawn(Box<Spawn>),
    /// End of another actor, or of the asker itself.
    Kill {
        /// Whose.
        target: Capability,
    },
    /// Two lives tied together.
    Link {
        /// With whom.
        target: Capability,
    },
    /// Untied.
    Unlink {
        /// From whom.
        target: Capability,
    },
    /// A `down` event wanted.
    Monitor {
        /// Comes back with the event.
        id: u64,
        /// About whom.
        target: Capability,
    },
    /// Not wanted any more.
    Demonitor {
        /// What `Monitor` said.
        id: u64,
    },
    /// A `timer` event wanted.
    Timer {
        /// Comes back with the event.
        id: u64,
        /// From the event's time.
        delay_ns: u64,
    },
    /// Not wanted any more.
    Cancel {
        /// What `Timer` said.
        id: u64,
    },
    /// The asker minted a grant on itself.
    Grant {
        /// Its number.
        grant: u64,
        /// What its holders may do at most.
        rights: Rights,
        /// What comes with each message through it.
        badge: u64,
    },
    /// The asker takes a grant back.
    Revoke {
        /// Its number.
        grant: u64,
    },
    /// A line for the actor's log.
    Log {
        /// 1 error to 5 trace.
        level: u8,
        /// The line.
        text: String,
    },
}

impl Effect {
    /// A message through a capability.
    #[inline(always)]
    pub fn send(from: Address, target: &Capability, message: Message) -> Effect {
        Effect::Send { to: target.address, delivery: Delivery::through(target, from, message) }
    }

    /// The same with an answer.
    #[inline]
    pub fn call(
        from: Address,
        target: &Capability,
        (token, deadline_ns, flags): (u64, u64, i32),
        message: Message,
    ) -> Effect {
        let mut delivery = Delivery::through(target, from, message);
        delivery.flags = flags;
        Effect::Call { to: target.address, token, deadline_ns, delivery }
    }

    /// An answer through a reply capability.
    #[inline]
    pub fn reply(to: &Capability, status: u16, message: Message) -> Effect {
        Effect::Reply { to: ReplyTo::of(to), status, message: Box::new(message) }
    }
}
