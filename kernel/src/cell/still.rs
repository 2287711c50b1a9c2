//! A plain actor that goes elsewhere: it stands still between two events, and goes on, or leaves; and one that has come.
//!
//! 1. While it stands still no event is handled. What comes waits, behind what was packed.
//! 2. Who asks whether it stands still is told so, or why it cannot, or, by the end of the channel, that it has ended.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use pando_abi::Address;
use pando_actors::{Actor, Mailbox, Module};
use pando_scheduler::{Header, TimerSink};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Cell, Life, Living, Post, alarm_key, priority_of};
use crate::{input::Input, launch, moving::Package, node::Kernel};

/// An actor that stands still, or its fault why it cannot.
pub(crate) type Packed = Result<Package, String>;

/// It shall stand still, or does.
pub(super) enum Still {
    /// From before its next event on.
    Asked(oneshot::Sender<Packed>),
    /// It does. So many of what waits were packed, and so many bounces.
    Packed { items: usize, bounces: u64 },
}

/// What waited when it was packed.
pub(super) struct Waiting {
    told: oneshot::Sender<Packed>,
    mailbox: Vec<Input>,
}

impl Post {
    pub(super) fn stands_still(&self) -> bool {
        matches!(self.still, Some(Still::Packed { .. }))
    }

    /// It shall stand still, and from now on it does.
    pub(super) fn begin_still(&mut self) -> Option<Waiting> {
        let told = match self.still.take()? {
            Still::Asked(told) => told,
            packed => {
                self.still = Some(packed);
                return None;
            }
        };
        self.still = Some(Still::Packed { items: self.mailbox.len(), bounces: self.bounces });
        let with_count = |input: &Input| match input {
            Input::Bounce { .. } => Input::Bounce { status: self.bounced, count: self.bounces },
            input => input.clone(),
        };
        Some(Waiting { told, mailbox: self.mailbox.iter().map(with_count).collect() })
    }

    pub(super) fn new() -> Post {
        Post { mailbox: Mailbox::default(), open: true, bounces: 0, bounced: 0, upgrade: None, still: None }
    }
}

impl Cell {
    /// Has it stand still before its next event, once it is woken. `None`: it does already, or shall.
    pub(crate) fn stand_still(&self) -> Option<oneshot::Receiver<Packed>> {
        let (told, receiver) = oneshot::channel();
        let mut post = self.post.lock();
        if post.still.is_some() {
            return None;
        }
        // To one that has ended the sender is lost, which is the answer.
        if post.open {
            post.still = Some(Still::Asked(told));
        }
        Some(receiver)
    }

    /// It goes on where it is, once it is woken.
    pub(crate) fn go_on(&self) {
        self.post.lock().still = None;
    }

    /// `false`: it cannot, and goes on.
    pub(super) fn lie_still(&self, living: &mut Living, asked: Waiting, kernel: &Kernel) -> bool {
        let Waiting { told, mailbox } = asked;
        let image = living.actor.image();
        let packed = image.map_err(|why| why.to_string()).map(|image| Package {
            order: living.order.clone(),
            supervisor: living.supervisor.clone(),
            process: living.process.clone(),
            image,
            mailbox,
            events: self.events(),
            time_ns: kernel.door().now_ns().max(self.floor_ns),
            heard: Vec::new(),
        });
        let still = packed.is_ok();
        if !still {
            self.go_on();
        }
        // Nobody waits for it any more: it goes on.
        if told.send(packed).is_err() {
            self.go_on();
            return false;
        }
        still
    }

    /// It lives elsewhere. What came since it was packed, in order.
    pub(crate) fn leave(&self, kernel: &Kernel) -> Vec<Input> {
        let mut left = Vec::new();
        {
            let mut post = self.post.lock();
            post.open = false;
            post.upgrade = None;
            let (items, bounces) = match post.still.take() {
                Some(Still::Packed { items, bounces }) => (items, bounces),
                _ => (0, 0),
            };
            let mut place = 0;
            while let Some(input) = post.mailbox.pop() {
                place += 1;
                if place > items && !matches!(input, Input::Bounce { .. }) {
                    left.push(input);
                }
            }
            let more = post.bounces.saturating_sub(bounces);
            if more > 0 {
                left.push(Input::Bounce { status: post.bounced, count: more });
            }
        }
        let mut life = self.life.lock();
        if let Life::Running(living) = &mut *life {
            for id in std::mem::take(&mut living.alarms).into_values() {
                kernel.scheduler().cancel(id);
            }
            if std::mem::take(&mut living.hot) {
                kernel.leave_hot_place();
            }
        }
        *life = Life::Ended;
        left
    }

    /// One that has come from elsewhere, and stands still.
    pub(crate) fn arrived(package: Package, actor: Actor, module: Arc<Module>, kernel: &Arc<Kernel>) -> Arc<Cell> {
        let Package { order, supervisor, mut process, mailbox, events, time_ns, .. } = package;
        process.settle(kernel.id());
        let mut post = Post::new();
        post.still = Some(Still::Packed { items: 0, bounces: 0 });
        let limit_ms = launch::limits(&order.spec).handler_ms;
        let cell = Arc::new_cyclic(|this: &Weak<Cell>| Cell {
            header: Header::new(priority_of(&order.spec)),
            address: order.child,
            parent: order.parent.address,
            kernel: Arc::downgrade(kernel),
            this: this.clone(),
            post: Mutex::new(post),
            module: Mutex::new(Some(module.clone())),
            far: AtomicBool::new(true),
            events: AtomicU64::new(events),
            mark: AtomicU64::new(0),
            floor_ns: time_ns,
            limit_ms,
            life: Mutex::new(Life::Running(Box::new(Living {
                order,
                module,
                supervisor,
                process,
                actor,
                effects: Vec::new(),
                actions: Vec::new(),
                alarms: std::collections::BTreeMap::new(),
                hot: false,
            }))),
        });
        for input in mailbox {
            // As much as waited there fits here.
            let _ = cell.push(input);
        }
        cell
    }

    /// It lives here from now on, once it is woken.
    pub(crate) fn settle_in(&self, mark: u64, kernel: &Kernel) {
        self.mark.store(mark, Ordering::Relaxed);
        if let Life::Running(living) = &mut *self.life.lock() {
            for (at_ns, alarm) in living.process.alarms() {
                let sink: Weak<dyn TimerSink> = self.this.clone();
                let id = kernel.scheduler().timer(at_ns, sink, alarm_key(alarm));
                living.alarms.insert(alarm, id);
            }
        }
        self.go_on();
    }

    /// Plain actors whose end it would have to be told of.
    pub(crate) fn others(&self) -> BTreeSet<Address> {
        match &*self.life.lock() {
            Life::Running(living) => living.process.others(),
            _ => BTreeSet::new(),
        }
    }
}
