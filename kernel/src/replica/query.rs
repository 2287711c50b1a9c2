//! Queries of a replica: from the state as it stands, beside what is applied to it.
//!
//! Owns: taking a fork of the state, and the index that the answer stands on. Does not know linear reads, nor on which thread a fork is
//! asked.
//!
//! 1. Applying waits while a fork is taken, not while it is asked.
//! 2. Of an actor that has no fork the answer comes from the actor itself.

use pando_abi::{
    Address, Errno,
    planted::{Bug, planted},
};
use pando_actors::Fork;

use super::{Living, Replica};
use crate::{
    input::{Action, Delivery, Input, Standing, describe},
    process::{Moment, Stepped, question::Question},
};

/// A query that is under way.
pub enum Query {
    /// With its answer.
    Answered(Vec<Action>),
    /// To be asked wherever one may wait.
    Beside(Box<(Fork, Question)>),
}

impl Query {
    /// The actions that answer or log. Takes as long as the guest does.
    pub fn answer(self) -> Vec<Action> {
        match self {
            Query::Answered(actions) => actions,
            Query::Beside(beside) => {
                let (fork, question) = *beside;
                let mut actions = Vec::new();
                let stepped = question.ask(|event, effects| fork.query(event, effects), &mut Vec::new(), &mut actions);
                note_fault(&stepped, &mut actions);
                actions
            }
        }
    }
}

fn note_fault(stepped: &Stepped, actions: &mut Vec<Action>) {
    if let Some(fault) = &stepped.undone {
        actions.push(Action::Log { level: 1, text: format!("query undone, {}", describe(fault)) });
    }
}

impl Replica {
    /// A query of the state as it stands, which says at which index that is.
    pub fn query(&mut self, delivery: Box<Delivery>, standing: Standing, seed: u64) -> Query {
        let mut actions = Vec::new();
        // More may have been applied since the asker looked.
        let now =
            if planted(Bug::ReadIndexOld) { standing.index.saturating_sub(2) } else { standing.index.max(self.index) };
        let standing = Standing { index: now, ..standing };
        let Some(Living { process, actor }) = &mut self.living else {
            let told = crate::input::undeliverable(Address::group(self.group), &Input::Message(delivery), Errno::DEAD);
            actions.extend(told.into_iter().map(|(to, input)| Action::Deliver { to, input }));
            return Query::Answered(actions);
        };
        let moment = Moment { now_ns: self.time_ns, seed, standing };
        let Some(question) = process.question(delivery, moment, &mut actions) else {
            return Query::Answered(actions);
        };
        match actor.fork() {
            Some(fork) => Query::Beside(Box::new((fork, question))),
            None => {
                let stepped =
                    question.ask(|event, effects| actor.query(event, effects), &mut self.effects, &mut actions);
                note_fault(&stepped, &mut actions);
                Query::Answered(actions)
            }
        }
    }
}
