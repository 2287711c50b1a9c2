//! An actor: hot in a shell, or cold as bytes.
//!
//! Owns: waking and sleeping, and what an actor answers about itself. Does not know who sends or what becomes of effects.
//!
//! 1. An actor is born cold; the first event wakes it.
//! 2. Cold and hot are the same actor: nothing that a guest or another actor could see depends on it.
//! 3. An actor that has ended, or that faulted and could not be undone, handles nothing more.

#[cfg(test)]
mod tests;
mod upgrade;

use std::{borrow::Cow, sync::Arc};

use pando_abi::{Errno, ExitKind, NodeId};

use crate::{
    Birth, Capability, Effect, Event, Exit, Fork, Frozen, Handled, Image, ImageError, Limits, Module, delta, frozen,
    guest::State,
    hot::Hot,
    image::{self, Rested},
    packed,
    table::Table,
};

pub use upgrade::{Carried, Upgraded};

/// An instance of a module with its own memory and handle table.
pub struct Actor {
    module: Arc<Module>,
    limits: Limits,
    form: Form,
    ended: Option<Box<Exit>>,
}

enum Form {
    /// Before its first event.
    Born(Box<State>),
    Hot(Box<Hot>),
    /// See [`packed`].
    Cold(Box<[u8]>),
}

impl Actor {
    /// One before its first event.
    pub fn new(module: &Arc<Module>, limits: Limits, birth: Birth) -> Result<Actor, Exit> {
        if module.memory_bytes() > limits.memory_bytes {
            let (found, max) = (module.memory_bytes(), limits.memory_bytes);
            let message = format!("the module starts with {found} bytes of memory; the limit is {max}");
            return Err(Exit::new(ExitKind::MemoryLimit, message));
        }
        if let (Some(why), true) = (module.no_image(), birth.undo) {
            return Err(Exit::new(ExitKind::BadModule, format!("the actor's faults could not be undone: {why}")));
        }
        let form = Form::Born(Box::new(State::new(&birth)));
        Ok(Actor { module: module.clone(), limits, form, ended: None })
    }

    /// The module that it is an instance of.
    pub fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// Its limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Handles an event as a transaction.
    ///
    /// What the guest asked for is appended to `effects`; after a fault only its log lines are.
    #[inline]
    pub fn handle(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        self.run(|hot, module, limits| hot.handle(module, limits, event, effects))
    }

    /// Handles an event and forgets it, but for its answer and its log lines.
    ///
    /// Afterwards the actor is as before, whatever happened: `end` says that the guest faulted, not that the actor ended.
    pub fn query(&mut self, event: &Event<'_>, effects: &mut Vec<Effect>) -> Handled {
        if self.module.no_image().is_some() {
            return Handled { refused: Some(Errno::REFUSED), ..Handled::default() };
        }
        self.run(|hot, module, limits| hot.query(module, limits, event, effects))
    }

    /// The actor as it is now, for queries that do not wait for it nor it for them. It stays as it is while the actor goes on. `None`:
    /// there is none of an actor that is not undone, has ended, or is so large that a copy would cost more than the waiting; then
    /// [`Actor::query`] is what there is.
    pub fn fork(&mut self) -> Option<Fork> {
        if self.ended.is_some() {
            return None;
        }
        self.form.wake(&self.module, &self.limits).ok()?.fork(&self.module, &self.limits)
    }

    #[inline]
    fn run(&mut self, run: impl FnOnce(&mut Hot, &Module, &Limits) -> (Handled, bool)) -> Handled {
        if let Some(exit) = &self.ended {
            return Handled { end: Some(exit.clone()), ..Handled::default() };
        }
        let hot = match self.form.wake(&self.module, &self.limits) {
            Ok(hot) => hot,
            Err(exit) => return Handled { end: Some(Box::new(exit)), ..Handled::default() },
        };
        let (handled, ended) = run(hot, &self.module, &self.limits);
        if ended {
            self.ended = handled.end.clone();
        }
        handled
    }

    /// The actor at rest.
    pub fn image(&mut self) -> Result<Image, ImageError> {
        self.may_rest()?;
        let rest = match &mut self.form {
            Form::Born(state) => image::seal(state, &Rested::newborn(&self.module)),
            Form::Cold(rest) => {
                let (state, rested) = open(rest, &self.module).map_err(|exit| ImageError::Ended(exit.message))?;
                image::seal(&state, &rested)
            }
            Form::Hot(hot) => hot.seal(&self.module),
        };
        Ok(Image::from_parts(self.module.hash(), rest))
    }

    /// The actor that was at rest.
    pub fn from_image(module: &Arc<Module>, image: &Image, limits: Limits) -> Result<Actor, ImageError> {
        let (state, rested) = Actor::openable(module, image, &limits)?;
        // Put in at once, so that an image that does not fit is refused now and not at the next event.
        let hot = Hot::wake(module, &limits, state, &rested).map_err(|exit| ImageError::Malformed(exit.message))?;
        Ok(Actor { module: module.clone(), limits, form: Form::Hot(Box::new(hot)), ended: None })
    }

    /// What an image holds, if it may be this module's under these limits.
    fn openable(module: &Module, image: &Image, limits: &Limits) -> Result<(State, Rested), ImageError> {
        if image.module() != module.hash() {
            return Err(ImageError::OtherModule { image: image.module(), module: module.hash() });
        }
        if let Some(why) = module.no_image() {
            return Err(ImageError::NoImage(why.into()));
        }
        let (state, rested) = image::open(image.rest())?;
        let found = rested.memory_bytes as u64;
        if found > limits.memory_bytes {
            return Err(ImageError::Memory { found, max: limits.memory_bytes });
        }
        if rested.memory_bytes < module.base.size() {
            return Err(ImageError::Malformed("its memory is smaller than the module's".into()));
        }
        Ok((state, rested))
    }

    /// The actor as it is now, to be written while it goes on. With undo this costs what an event's renewal of the shadow does,
    /// and a word for each MiB.
    pub fn freeze(&mut self) -> Result<Frozen, ImageError> {
        self.may_rest()?;
        let hot = self.form.wake(&self.module, &self.limits).map_err(|exit| ImageError::Ended(exit.to_string()))?;
        let (head, view) = hot.freeze(&self.module);
        Ok(Frozen::new(self.module.clone(), Image::from_parts(self.module.hash(), head), view))
    }

    /// The actor that was frozen: from its head, and its areas in any order, each with the name that a snapshot has for it. Of a
    /// whole image there are no areas.
    ///
    /// # Errors
    /// If these are not a head and areas of this module's actor, or one of the areas cannot be had: that sentence.
    pub fn thaw(
        module: &Arc<Module>,
        head: &Image,
        areas: impl Iterator<Item = Result<([u8; 32], Vec<u8>), String>>,
        limits: Limits,
    ) -> Result<Actor, ImageError> {
        let (state, rested) = Actor::openable(module, head, &limits)?;
        let (mut names, mut why) = (Vec::new(), None);
        let fill = |memory: &mut [u8]| {
            delta::apply(&rested.delta, memory)?;
            for area in areas {
                match area.and_then(|(name, bytes)| Ok((frozen::put(memory, &bytes)?, name))) {
                    Ok(named) => names.push(named),
                    Err(bad) => {
                        why = Some(bad);
                        return None;
                    }
                }
            }
            Some(())
        };
        match Hot::wake_with(module, &limits, state, &rested, fill) {
            Ok(mut hot) => {
                // Everything is hashed now, so that no event has to wait for it.
                hot.root(module);
                if rested.delta.is_empty() {
                    names.into_iter().for_each(|(area, name)| hot.named(area, name));
                }
                Ok(Actor { module: module.clone(), limits, form: Form::Hot(Box::new(hot)), ended: None })
            }
            Err(exit) => Err(ImageError::Malformed(why.unwrap_or(exit.message))),
        }
    }

    /// It lives on another node from now on: there its children are born that name none.
    ///
    /// # Errors
    /// If it was cold and its bytes are broken.
    pub fn settle(&mut self, node: NodeId) -> Result<(), ImageError> {
        match &mut self.form {
            Form::Born(state) => state.node = node,
            Form::Hot(hot) => {
                hot.forget_fork();
                hot.shell.store.data_mut().state.node = node;
            }
            Form::Cold(rest) => {
                let (mut state, rested) = open(rest, &self.module).map_err(|exit| ImageError::Ended(exit.message))?;
                state.node = node;
                *rest = packed::pack(&state, &rested);
            }
        }
        Ok(())
    }

    /// Gives its instance back; the next event wakes it. Does nothing for an actor that has ended or has no images.
    pub fn sleep(&mut self) {
        if self.may_rest().is_err() || !self.is_hot() {
            return;
        }
        if let Form::Hot(hot) = std::mem::replace(&mut self.form, Form::Cold(Box::default())) {
            let (rest, shell) = hot.sleep(&self.module);
            self.form = Form::Cold(rest);
            if let Some(shell) = shell {
                self.module.put_shell(shell);
            }
        }
    }

    /// Has it an instance?
    pub fn is_hot(&self) -> bool {
        matches!(self.form, Form::Hot(_))
    }

    /// BLAKE3 over its whole state: memory, globals, handle table, counters. Two replicas that have handled the same events have
    /// the same root. With undo only pages that changed since the last root are hashed.
    pub fn root(&mut self) -> [u8; 32] {
        match self.form.wake(&self.module, &self.limits) {
            Ok(hot) => hot.root(&self.module),
            // No instance can be had: a root that no replica agrees with.
            Err(exit) => *blake3::hash(exit.message.as_bytes()).as_bytes(),
        }
    }

    /// Flips a bit of the last byte of its memory, as a cosmic ray would: for tests. `false`: it has none in use.
    #[doc(hidden)]
    pub fn flip(&mut self, bit: u8) -> bool {
        let Form::Hot(hot) = &mut self.form else { return false };
        let Some(last) = hot.shell.memory_mut().last_mut() else { return false };
        *last ^= 1 << (bit % 8);
        true
    }

    /// Bytes of linear memory.
    pub fn memory_bytes(&self) -> u64 {
        match &self.form {
            Form::Born(_) => self.module.memory_bytes(),
            Form::Hot(hot) => hot.shell.size() as u64,
            Form::Cold(rest) => open(rest, &self.module).map_or(0, |(_, rested)| rested.memory_bytes as u64),
        }
    }

    /// How many handles it holds, those from birth included.
    pub fn handles_len(&self) -> usize {
        self.table().len()
    }

    /// What its handles stand for, but handle 0, in order of slot.
    pub fn live_capabilities(&self) -> impl Iterator<Item = Capability> + '_ {
        let all: Vec<Capability> = self.table().held().skip(1).map(|(_, c)| *c).collect();
        all.into_iter()
    }

    /// Bytes that it takes at rest; `None` while it is hot.
    pub fn cold_bytes(&self) -> Option<usize> {
        match &self.form {
            Form::Born(_) => Some(size_of::<Actor>() + size_of::<State>()),
            Form::Cold(rest) => Some(size_of::<Actor>() + rest.len()),
            Form::Hot(_) => None,
        }
    }

    fn table(&self) -> Cow<'_, Table> {
        match &self.form {
            Form::Born(state) => Cow::Borrowed(&state.table),
            Form::Hot(hot) => Cow::Borrowed(&hot.state().table),
            Form::Cold(rest) => Cow::Owned(open(rest, &self.module).map(|(state, _)| state.table).unwrap_or_default()),
        }
    }

    fn may_rest(&self) -> Result<(), ImageError> {
        match (self.module.no_image(), &self.ended) {
            (Some(why), _) => Err(ImageError::NoImage(why.into())),
            (None, Some(exit)) => Err(ImageError::Ended(exit.to_string())),
            (None, None) => Ok(()),
        }
    }
}

impl Form {
    #[inline]
    fn wake(&mut self, module: &Module, limits: &Limits) -> Result<&mut Hot, Exit> {
        match self {
            Form::Hot(_) => {}
            Form::Born(state) => {
                // No instance may be had now: then it is not born yet.
                let hot = Hot::wake(module, limits, (**state).clone(), &Rested::newborn(module))?;
                *self = Form::Hot(Box::new(hot));
            }
            Form::Cold(rest) => {
                let (state, rested) = open(rest, module)?;
                *self = Form::Hot(Box::new(Hot::wake(module, limits, state, &rested)?));
            }
        }
        match self {
            Form::Hot(hot) => Ok(hot),
            #[expect(clippy::unreachable, reason = "what was not hot has become so above")]
            Form::Born(_) | Form::Cold(_) => unreachable!("it was woken above"),
        }
    }
}

/// What was put to sleep.
fn open(rest: &[u8], module: &Module) -> Result<(State, Rested), Exit> {
    let broken = || Exit::new(ExitKind::BadModule, "the actor's own bytes are broken");
    packed::unpack(rest, module.globals()).ok_or_else(broken)
}

impl Drop for Actor {
    fn drop(&mut self) {
        if let Form::Hot(hot) = std::mem::replace(&mut self.form, Form::Cold(Box::default())) {
            self.module.recycle(hot.shell);
        }
    }
}

const _: () = {
    const fn moves<T: Send>() {}
    const fn is_shared<T: Send + Sync>() {}
    moves::<Actor>();
    is_shared::<Module>();
    is_shared::<crate::Engine>();
};
