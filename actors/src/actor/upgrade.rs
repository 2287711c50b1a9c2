//! Another module for an actor that lives: (image, module) -> (image', effects), or a refusal and the actor as it was.
//!
//! Owns: which way the state takes, and what must hold of it. Does not know: who asked, or where the module came from.
//!
//! 1. The new code's first event is part of it: if that faults, runs over a limit or exits, nothing has happened.
//! 2. Identity, counters and ids that are out stay, so no child, token, timer or monitor is ever given the number of another.
//! 3. Memory is kept only if both authors say so and what can be checked agrees ([`crate::module::Layout`]).
//! 4. A handle has the number that it had. Of an exported state those that were not handed over are gone.

use std::{collections::BTreeSet, sync::Arc};

use pando_abi::{
    ExitKind, Handle,
    call::StateHeader,
    event::flags,
    limits,
    planted::{Bug, planted},
};

use super::{Actor, Form};
use crate::{
    CapKind, Capability, Effect, Event, Exit, Module,
    guest::State,
    hot::Hot,
    image::{self, Rested},
    transaction::{Door, Ran},
};

/// How an actor's state came to another module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carried {
    /// Memory and globals are as they were.
    Kept,
    /// By `pando_export_state` and `pando_import_state`.
    Exported {
        /// The version that the old code gave it.
        version: u32,
        /// Bytes of its body.
        bytes: u64,
    },
}

/// What came of an upgrade.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgraded {
    /// How the state came over.
    pub carried: Carried,
    /// Fuel that it took. Always 0 for a plain actor.
    pub fuel: u64,
    /// Reply handles that the old code held and did not hand over: nobody will answer them.
    pub dropped: Vec<Capability>,
}

/// What the new code begins with.
struct Legacy {
    state: State,
    rested: Rested,
    carried: Carried,
    fuel: u64,
    dropped: Vec<Capability>,
    /// Numbers of the handles that go with the state, as bytes.
    numbers: Vec<u8>,
    body: Vec<u8>,
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Exit> {
    Err(Exit::new(ExitKind::BadModule, why))
}

impl Actor {
    /// Goes on with another module. `event` gives time and randomness of the new code's first event; what that asks for is
    /// appended to `effects`, and after a refusal only its log lines.
    ///
    /// # Errors
    /// Why not. The actor is as it was then.
    pub fn upgrade(
        &mut self,
        module: &Arc<Module>,
        event: &Event<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Upgraded, Exit> {
        if let Some(exit) = &self.ended {
            return Err((**exit).clone());
        }
        for (whose, code) in [("old", &self.module), ("new", module)] {
            if let Some(why) = code.no_image() {
                return refuse(format!("the {whose} module cannot be put aside and brought back: {why}"));
            }
        }
        if module.class() != self.module.class() {
            return refuse("the new module is compiled for another kind of actor");
        }
        if module.memory_bytes() > self.limits.memory_bytes {
            let (found, max) = (module.memory_bytes(), self.limits.memory_bytes);
            let text = format!("the new module starts with {found} bytes of memory; the limit is {max}");
            return Err(Exit::new(ExitKind::MemoryLimit, text));
        }
        let other_layout = match (&module.known.layout, &self.module.known.layout) {
            (Some(new), Some(old)) => new.takes(old).err(),
            (None, None) => Some("neither module has a section pando.layout"),
            (None, _) => Some("the new module has no section pando.layout"),
            (_, None) => Some("the old module has no section pando.layout"),
        };
        let legacy = match other_layout {
            None => self.keep()?,
            Some(why) => self.export(module, event, why)?,
        };
        self.take_over(module, legacy, event, effects)
    }

    /// Memory as it is.
    fn keep(&mut self) -> Result<Legacy, Exit> {
        let broken = |e: image::ImageError| Exit::new(ExitKind::BadModule, e.to_string());
        let image = self.image().map_err(broken)?;
        let (state, rested) = image::open(image.rest()).map_err(broken)?;
        Ok(Legacy {
            state,
            rested,
            carried: Carried::Kept,
            fuel: 0,
            dropped: Vec::new(),
            numbers: Vec::new(),
            body: Vec::new(),
        })
    }

    /// What the old code writes down, in the new module's fresh memory.
    fn export(&mut self, module: &Module, event: &Event<'_>, why: &str) -> Result<Legacy, Exit> {
        let missing = match (self.module.known.exports_state, module.known.imports_state) {
            (true, true) => None,
            (false, true) => Some("the old module does not export pando_export_state"),
            (true, false) => Some("the new module does not export pando_import_state"),
            (false, false) => Some("the old module does not export its state, nor does the new one import it"),
        };
        if let Some(missing) = missing {
            return refuse(format!("memory cannot be kept, for {why}; and {missing}"));
        }
        let old = self.module.clone();
        let hot = self.form.wake(&old, &self.limits)?;
        let (fuel, written, ended) = hot.export(&old, &self.limits, event);
        if ended {
            let exit = Exit::new(ExitKind::MemoryLimit, "the machine has no memory left to take an export back");
            self.ended = Some(Box::new(exit.clone()));
            return Err(exit);
        }
        let mut state = hot.state().clone();
        let written = written.map_err(|exit| Exit { message: format!("in the old code: {}", exit.message), ..exit })?;
        let Some((version, numbers, body)) = read(&written) else {
            return refuse("the old code wrote a state that is shorter than it says");
        };
        let handles: Vec<Handle> = numbers.as_chunks::<4>().0.iter().map(|n| Handle(u32::from_le_bytes(*n))).collect();
        if let Some(stranger) = handles.iter().find(|h| state.table.get(**h).is_none()) {
            return refuse(format!("the old code hands over handle {}, which it does not hold", stranger.0));
        }
        let birth = [Handle::SELF, Handle::PARENT, Handle::REALM];
        let kept: BTreeSet<u32> = handles.iter().chain(&birth).map(|h| h.0).collect();
        let held: Vec<Handle> = state.table.held().map(|(handle, _)| handle).collect();
        let mut dropped = Vec::new();
        for handle in held.into_iter().filter(|h| !kept.contains(&h.0)) {
            dropped.extend(state.table.remove(handle).filter(|c| c.kind == CapKind::Reply));
        }
        (state.started, state.inbox) = (false, (0, 0));
        let rested = Rested::newborn(module);
        let carried = Carried::Exported { version, bytes: body.len() as u64 };
        Ok(Legacy { state, rested, carried, fuel, dropped, numbers: numbers.to_vec(), body: body.to_vec() })
    }

    fn take_over(
        &mut self,
        module: &Arc<Module>,
        mut legacy: Legacy,
        event: &Event<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Upgraded, Exit> {
        let undo = std::mem::take(&mut legacy.state.undo);
        let mut hot = Hot::wake(module, &self.limits, legacy.state, &legacy.rested)?;
        let (door, token, kept) = match legacy.carried {
            Carried::Kept => (Door::Receive, 0, flags::KEPT),
            Carried::Exported { version, .. } => (Door::Import(&legacy.numbers), u64::from(version), 0),
        };
        let event = Event { token, flags: event.flags | kept, body: &legacy.body, handles: &[], reply: None, ..*event };
        let first = effects.len();
        let (fuel, ran) = hot.take_over(module, &self.limits, &event, door, effects, undo);
        let refused = match ran {
            Ran::Good(None) => None,
            Ran::Good(Some(exit)) => {
                // What it asked for before it exited is not done either.
                crate::transaction::keep_lines(effects, first);
                Some(Exit { message: format!("the new code refuses: {}", exit.message), ..exit })
            }
            Ran::Bad(exit) => Some(Exit { message: format!("in the new code: {}", exit.message), ..exit }),
        };
        if let (Some(exit), false) = (refused, planted(Bug::UpgradeNotUndone)) {
            module.recycle(hot.shell);
            return Err(exit);
        }
        if let Form::Hot(old) = std::mem::replace(&mut self.form, Form::Hot(Box::new(hot))) {
            self.module.recycle(old.shell);
        }
        self.module = module.clone();
        Ok(Upgraded { carried: legacy.carried, fuel: legacy.fuel + fuel, dropped: legacy.dropped })
    }
}

/// Version, numbers of handles and body of what was written.
fn read(written: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let header = StateHeader::from_bytes(written)?;
    let count = usize::try_from(header.handle_count).ok()?;
    // The event's header counts them in 16 bits.
    if count > limits::HANDLES_MAX.min(usize::from(u16::MAX)) {
        return None;
    }
    let numbers = written.get(StateHeader::SIZE..StateHeader::SIZE + 4 * count)?;
    Some((header.version, numbers, written.get(StateHeader::body_offset(count)..)?))
}
