//! New code for a process: what it asked for first, and who was waiting for the old one.

use pando_abi::Errno;
use pando_actors::{Capability, Effect};

use super::{Moment, Process};
use crate::input::{ReplyTo, Sink};

impl Process {
    /// Takes up the effects of the first event of new code. `dropped`: reply handles that went with the old one, whose callers are
    /// told. Everything else that a process is stays: monitors, links, timers, calls, grants, and who was served.
    pub fn upgraded(
        &mut self,
        dropped: &[Capability],
        effects: &mut Vec<Effect>,
        moment: Moment,
        actions: &mut impl Sink,
    ) {
        for caller in dropped {
            let asked = ReplyTo { address: caller.address, token: caller.token };
            self.answer(asked, Errno::UPGRADED.code(), Box::default(), moment, actions);
        }
        self.apply(effects, moment, actions);
    }
}
