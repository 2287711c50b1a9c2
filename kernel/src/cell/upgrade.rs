//! New code for a plain actor: at once, between two events.
//!
//! 1. Whoever asked is told what came of it, or, by the end of the channel, that the actor ended before.

use std::sync::{Arc, atomic::Ordering};

use pando_abi::{EventKind, ModuleHash};
use pando_actors::{Carried, Effect, Event, Module};
use tokio::sync::oneshot;

use super::{BEGAN_NS, Cell, LIMIT_NS, Living, Outlet};
use crate::{input::describe, node::Kernel};

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
            self.switches.store(true, Ordering::Relaxed);
        }
        receiver
    }

    /// Goes on with the new code that waited.
    pub(super) fn switch(&self, living: &mut Living, waited: Upgrade, kernel: &Arc<Kernel>, effects: &mut Vec<Effect>) {
        let Upgrade { module, told } = waited;
        let hash: ModuleHash = module.hash();
        LIMIT_NS.set(self.limit_ms * 1_000_000);
        BEGAN_NS.set(u64::MAX);
        let moment = self.moment(kernel);
        let event = Event { time_ns: moment.now_ns, seed: moment.seed, ..Event::new(EventKind::Upgrade) };
        let Living { process, actor, alarms, way, .. } = living;
        effects.clear();
        let switched = actor.upgrade(&module, &event, effects);
        LIMIT_NS.set(0);
        let switch = match switched {
            Ok(upgraded) => {
                self.count_event();
                let mut outlet = Outlet { cell: self, kernel, alarms, way };
                process.upgraded(&upgraded.dropped, effects, moment, &mut outlet);
                if let Some(order) = &mut living.order {
                    order.spec.module = hash.0;
                }
                *self.module.lock() = Some(module);
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
        // Who asked may have gone away.
        let _ = told.send(switch);
    }
}
