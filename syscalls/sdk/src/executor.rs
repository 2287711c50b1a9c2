//! Tasks: the futures of an actor's methods, in the actor's own memory.
//!
//! Owns: which futures there are and which of them can go on. Does not know: what they wait for.
//!
//! 1. A task runs only inside a handler, until it waits; between two handlers there is no stack.
//! 2. Tasks that can go on do so in the order in which they were woken.
//! 3. A task that has ended is gone: a late waker of it wakes nobody.

use alloc::{sync::Arc, task::Wake};
use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use crate::{
    prelude::*,
    runtime::{Runtime, current, try_current},
};

/// A future that nobody waits for.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Every task of one actor.
pub(crate) struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ready: VecDeque<Id>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    queued: bool,
    task: Option<Running>,
}

struct Running {
    future: Task,
    waker: Waker,
    badge: u64,
}

#[derive(Clone, Copy)]
struct Id {
    slot: u32,
    generation: u32,
}

impl Tasks {
    pub(crate) const fn new() -> Tasks {
        Tasks { slots: Vec::new(), free: Vec::new(), ready: VecDeque::new() }
    }

    fn add(&mut self, future: Task, badge: u64) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let place = &mut self.slots[slot as usize];
        let id = Id { slot, generation: place.generation };
        place.task = Some(Running { future, waker: Waker::from(Arc::new(id)), badge });
        self.wake(id);
    }

    fn wake(&mut self, id: Id) {
        let Some(place) = self.slots.get_mut(id.slot as usize) else { return };
        if place.generation == id.generation && !place.queued {
            place.queued = true;
            self.ready.push_back(id);
        }
    }

    /// The next that can go on, out of its place while it runs.
    fn next(&mut self) -> Option<(Id, Running)> {
        while let Some(id) = self.ready.pop_front() {
            let place = &mut self.slots[id.slot as usize];
            if place.generation == id.generation {
                place.queued = false;
                if let Some(task) = place.task.take() {
                    return Some((id, task));
                }
            }
        }
        None
    }

    fn wait(&mut self, id: Id, task: Running) {
        self.slots[id.slot as usize].task = Some(task);
    }

    fn end(&mut self, id: Id) {
        let place = &mut self.slots[id.slot as usize];
        place.generation = place.generation.wrapping_add(1);
        place.queued = false;
        self.free.push(id.slot);
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn waiting(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl Wake for Id {
    fn wake(self: Arc<Self>) {
        let _ = try_current(|runtime| runtime.tasks.borrow_mut().wake(*self));
    }
}

/// Lets a future run beside the methods: `pando::task(async move { .. })`. It goes on whenever what it waits for arrives,
/// and ends with the actor.
pub fn task(future: impl Future<Output = ()> + 'static) {
    add(Box::pin(future));
}

pub(crate) fn add(future: Task) {
    current(|runtime| runtime.tasks.borrow_mut().add(future, runtime.present.get().badge));
}

/// Runs tasks until each of them waits.
pub(crate) fn run(runtime: &Runtime) {
    loop {
        let Some((id, mut task)) = runtime.tasks.borrow_mut().next() else { return };
        let mut present = runtime.present.get();
        present.badge = task.badge;
        runtime.present.set(present);
        let polled = task.future.as_mut().poll(&mut Context::from_waker(&task.waker));
        match polled {
            Poll::Pending => runtime.tasks.borrow_mut().wait(id, task),
            Poll::Ready(()) => {
                // What the future owned may well wake others when it goes.
                drop(task);
                runtime.tasks.borrow_mut().end(id);
            }
        }
    }
}
