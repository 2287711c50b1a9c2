//! New code for a plain actor: at once, between two events.
//!
//! 1. Whoever asked is told what came of it, or, by the end of the channel, that the actor ended before.

use std::sync::Arc;

use pando_abi::{EventKind, ModuleHash};
use pando_actors::{Carried, Effect, Event, Module};
use tokio::sync::oneshot;

use super::{BEGAN_NS, Cell, LIMIT_NS, Living};
use crate::{node::Kernel, process::describe};

/// What came of it: how the state came over, or why not.
pub type Switch = Result<Carried, String>;

/// New code that waits for its turn.
pub(super) struct Upgrade {
    module: Arc<Module>,
    told: oneshot::Sender<Switch>,
}

impl Cell {
    /// Puts new code in line, before the next event. Of two that wait the later one counts.
    pub fn upgrade(&self, module: Arc<Module>) -> oneshot::Receiver<Switch> {
        let (told, receiver) = oneshot::channel();
        let mut post = self.post.lock();
        if post.open {
            post.upgrade = Some(Upgrade { module, told });
        }
        receiver
    }

    pub(super) fn switch(&self, living: &mut Living, upgrade: Upgrade, kernel: &Arc<Kernel>) {
        let Upgrade { module, told } = upgrade;
        let hash: ModuleHash = module.hash();
        LIMIT_NS.set(self.limit_ms * 1_000_000);
        BEGAN_NS.set(u64::MAX);
        let moment = self.moment(kernel);
        let event = Event { time_ns: moment.now_ns, seed: moment.seed, ..Event::new(EventKind::Upgrade) };
        let Living { process, actor, effects, actions, .. } = living;
        effects.clear();
        let switched = actor.upgrade(&module, &event, effects);
        LIMIT_NS.set(0);
        let switch = match switched {
            Ok(upgraded) => {
                process.upgraded(&upgraded.dropped, effects, moment, actions);
                living.order.spec.module = hash.0;
                living.module = module.clone();
                *self.module.lock() = Some(module);
                self.events.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                kernel.log(self.address, 3, format!("runs module {hash:.8} from now on"));
                Ok(upgraded.carried)
            }
            Err(exit) => {
                for effect in effects.drain(..) {
                    if let Effect::Log { level, text } = effect {
                        kernel.log(self.address, level, text);
                    }
                }
                let why = describe(&exit);
                kernel.log(self.address, 2, format!("upgrade to module {hash:.8} undone, {why}"));
                Err(why)
            }
        };
        self.perform(living, kernel);
        // Who asked may have gone away.
        let _ = told.send(switch);
    }
}
