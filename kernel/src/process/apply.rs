//! A guest's effects become the process's state and actions: the one match over everything a guest can ask.

use pando_abi::Address;
use pando_abi::planted::{Bug, planted};
use pando_actors::{Capability, Effect};

use super::{Moment, Process, Waiting};
use crate::input::{Action, Alarm, Input, ReplyTo, Sink};

impl Process {
    /// Takes every effect in its order.
    #[inline]
    pub(super) fn apply(&mut self, effects: &mut Vec<Effect>, moment: Moment, actions: &mut impl Sink) {
        for effect in effects.drain(..) {
            self.apply_one(effect, moment, actions);
        }
    }

    #[inline]
    fn apply_one(&mut self, effect: Effect, moment: Moment, actions: &mut impl Sink) {
        let me = self.identity.me;
        match effect {
            Effect::Send { to, delivery } => actions.deliver(to, Input::Message(delivery)),
            Effect::Call { to, token, deadline_ns, mut delivery } => {
                let deadline_ns = if deadline_ns == 0 { 0 } else { moment.now_ns.saturating_add(deadline_ns) };
                self.calls.insert(token, Waiting { target: to, deadline_ns });
                if deadline_ns > 0 {
                    actions.push(Action::Alarm { at_ns: deadline_ns, alarm: Alarm::Deadline(self.seal(token)) });
                }
                delivery.reply = Some(ReplyTo { address: me, token: self.seal(token) });
                actions.deliver(to, Input::Message(delivery));
            }
            Effect::Reply { to, status, message } => self.answer(to, status, message, moment, actions),
            Effect::Spawn(spawn) => {
                self.children.insert(spawn.child);
                actions.push(Action::Spawn(spawn));
            }
            Effect::Kill { target } => actions.push(signal(&target, Input::Kill { by: me, grant: target.grant })),
            Effect::Link { target } => {
                if target.address != me && self.links.insert(target.address, target.grant).is_none() {
                    actions.push(signal(&target, Input::Link { peer: me, grant: target.grant }));
                }
            }
            Effect::Unlink { target } => {
                if self.links.remove(&target.address).is_some() {
                    actions.push(signal(&target, Input::Unlink { peer: me }));
                }
            }
            Effect::Monitor { id, target } => {
                self.monitors.insert(id, (target.address, target.grant));
                let input = Input::Watch { watcher: me, id: self.seal(id), grant: target.grant };
                actions.push(signal(&target, input));
            }
            Effect::Demonitor { id } => {
                if let Some((target, _)) = self.monitors.remove(&id) {
                    let input = Input::Unwatch { watcher: me, id: self.seal(id) };
                    actions.push(Action::Deliver { to: target, input });
                }
            }
            Effect::Timer { id, delay_ns } => {
                let at_ns = moment.now_ns.saturating_add(delay_ns);
                self.timers.insert(id, at_ns);
                self.agenda.insert((at_ns, id));
                let alarm = Alarm::Timer(self.seal(id));
                actions.push(Action::Alarm { at_ns, alarm });
                if planted(Bug::TimerTwice) && id.is_multiple_of(4) {
                    actions.push(Action::Alarm { at_ns: at_ns.saturating_add(1), alarm });
                }
            }
            Effect::Cancel { id } => {
                if let Some(at_ns) = self.timers.remove(&id) {
                    self.agenda.remove(&(at_ns, id));
                    actions.push(Action::Disarm { at_ns, alarm: Alarm::Timer(self.seal(id)) });
                }
            }
            Effect::Grant { grant, badge, .. } => {
                self.grants.insert(grant, badge);
            }
            Effect::Revoke { grant } => {
                self.grants.remove(&grant);
            }
            Effect::Log { level, text } => actions.push(Action::Log { level, text }),
        }
    }
}

fn signal(target: &Capability, input: Input) -> Action {
    let to: Address = target.address;
    Action::Deliver { to, input }
}
