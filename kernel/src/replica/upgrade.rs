//! An upgrade in the log: from its index on, every replica runs the other module.
//!
//! Owns: what of a group stays and what changes. Does not know: how the state comes over; that is [`pando_actors`]'.
//!
//! 1. It is one entry, so one code handles each event, on all replicas.
//! 2. A refusal changes nothing but the log, and its reason is the same on all replicas.
//! 3. The epoch counts up with each; a later life of the group begins with the module of its time.

use pando_abi::{Errno, EventKind, ModuleHash};
use pando_actors::{Carried, Effect, Event};

use super::{
    Output, Replica, STATE_BYTES_MAX,
    entry::{Outcome, Switched, Upgrade},
    fit,
};
use crate::{
    input::describe,
    process::Moment,
    wire::{self, WireSpawn},
};

fn refused(errno: Errno, why: impl Into<String>) -> Switched {
    Switched::Refused { errno: errno.code(), why: why.into() }
}

impl Replica {
    pub(super) fn apply_upgrade(&mut self, payload: &[u8], moment: Moment, out: &mut Output) -> Outcome {
        match wire::decode::<Upgrade>(payload, STATE_BYTES_MAX) {
            Ok(upgrade) => Outcome::Switched(self.switch(upgrade, moment, out)),
            Err(why) => {
                tracing::error!(group = %self.group, index = self.index, %why, "an upgrade cannot be read");
                Outcome::Malformed("the upgrade cannot be read".into())
            }
        }
    }

    fn switch(&mut self, upgrade: Upgrade, moment: Moment, out: &mut Output) -> Switched {
        let hash = ModuleHash(upgrade.module);
        let Some((birth, _)) = &self.birth else {
            return refused(Errno::NO_QUORUM, "the group has not been born yet");
        };
        if birth.module == upgrade.module {
            return Switched::Done { epoch: birth.epoch, version: None, already: true };
        }
        let Some(living) = &mut self.living else {
            return refused(Errno::DEAD, self.ended.as_ref().map_or_else(|| "it has ended".into(), describe));
        };
        let module = match self.port.module(hash) {
            Ok(module) => module,
            Err(why) => return refused(Errno::BAD_REQUEST, fit(hash, why)),
        };
        let time_ns = self.time_ns.max(moment.now_ns);
        let event = Event { time_ns, seed: moment.seed, ..Event::new(EventKind::Upgrade) };
        self.effects.clear();
        match living.actor.upgrade(&module, &event, &mut self.effects) {
            Ok(upgraded) => {
                let mut actions = Vec::new();
                living.process.upgraded(&upgraded.dropped, &mut self.effects, moment, &mut actions);
                self.events += 1;
                let epoch = self.begin_epoch(upgrade);
                self.perform(actions.into_iter(), None, moment, out);
                let version = match upgraded.carried {
                    Carried::Kept => None,
                    Carried::Exported { version, .. } => Some(version),
                };
                out.logs.push((3, format!("runs module {hash:.8} from index {} on", self.index)));
                out.epoch = Some((epoch, hash));
                Switched::Done { epoch, version, already: false }
            }
            Err(exit) => {
                for effect in self.effects.drain(..) {
                    if let Effect::Log { level, text } = effect {
                        out.logs.push((level, text));
                    }
                }
                let why = describe(&exit);
                out.logs.push((2, format!("upgrade to module {hash:.8} undone, {why}")));
                refused(Errno::REFUSED, why)
            }
        }
    }

    fn begin_epoch(&mut self, upgrade: Upgrade) -> u32 {
        let Some((birth, order)) = &mut self.birth else { return 0 };
        order.spec.module = upgrade.module;
        birth.order = WireSpawn::from(&*order);
        birth.epoch += 1;
        (birth.engine, birth.abi, birth.module) = (upgrade.engine, upgrade.abi, upgrade.module);
        birth.epoch
    }

    /// The epoch that stands in the state, and the module that runs in it.
    pub fn epoch(&self) -> Option<(u32, ModuleHash)> {
        self.birth.as_ref().map(|(birth, _)| (birth.epoch, ModuleHash(birth.module)))
    }
}
