//! A query: what is asked of an actor's state, and what becomes of the answer.
//!
//! Owns: the event that the guest sees, and which of its effects come out. Does not know where the guest runs: on the actor itself
//! between two events, or on a fork of it beside them.
//!
//! 1. Only the answer and log lines come out.

use pando_abi::{Address, Errno, EventKind, ExitKind, call::call_flags, event::flags};
use pando_actors::{Effect, Event, Handled};

use super::{Moment, Process, Stepped, answer, reply_capability};
use crate::input::{Action, Delivery, Input, Sink, Standing};

/// See the module.
pub struct Question {
    delivery: Box<Delivery>,
    standing: Standing,
    /// The event without what came with the delivery.
    bare: Event<'static>,
}

impl Process {
    /// What is asked, if it may be. Otherwise who asked is told.
    pub fn question(&self, delivery: Box<Delivery>, moment: Moment, actions: &mut impl Sink) -> Option<Question> {
        if self.is_revoked(delivery.grant) {
            turn_away(self.identity.me, delivery, actions);
            return None;
        }
        Some(Question { delivery, standing: moment.standing, bare: self.event(EventKind::Message, moment) })
    }
}

/// A grant that was revoked lets nothing in.
pub(super) fn turn_away(me: Address, delivery: Box<Delivery>, actions: &mut impl Sink) {
    let told = crate::input::undeliverable(me, &Input::Message(delivery), Errno::REVOKED);
    actions.extend(told.into_iter().map(|(to, input)| Action::Deliver { to, input }));
}

/// Does this only ask?
pub(super) fn is_query(delivery: &Delivery) -> bool {
    delivery.flags & call_flags::QUERY != 0
}

impl Question {
    /// Asks a guest, and answers with what it says.
    pub fn ask(
        &self,
        ask: impl FnOnce(&Event<'_>, &mut Vec<Effect>) -> Handled,
        effects: &mut Vec<Effect>,
        actions: &mut impl Sink,
    ) -> Stepped {
        let (delivery, standing) = (&self.delivery, self.standing);
        let event = Event {
            flags: self.bare.flags | flags::QUERY,
            badge: delivery.badge,
            body: &delivery.message.body,
            handles: &delivery.message.handles,
            reply: delivery.reply.map(reply_capability),
            ..self.bare
        };
        effects.clear();
        let handled = ask(&event, effects);
        let mut answered = false;
        for effect in effects.drain(..) {
            match effect {
                Effect::Reply { status, message, .. } if !answered => {
                    answered = true;
                    answer(actions, delivery.reply, status, message, standing);
                }
                Effect::Log { level, text } => actions.push(Action::Log { level, text }),
                _ => {}
            }
        }
        let fault = handled.end.filter(|end| end.kind != ExitKind::Normal);
        if !answered {
            let errno = match (handled.refused, &fault) {
                (Some(errno), _) => errno,
                (None, Some(_)) => Errno::TRAPPED,
                (None, None) => Errno::NO_REPLY,
            };
            answer(actions, delivery.reply, errno.code(), Box::default(), standing);
        }
        // A query changes nothing, so its fault ends nothing.
        Stepped { undone: fault, ran: true, fuel: handled.fuel, ..Stepped::default() }
    }
}
