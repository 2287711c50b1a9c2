//! A plain actor that goes elsewhere: it stands still between two events, and goes on, or leaves; and one that has come.
//!
//! 1. While it stands still no event is handled, and nothing is in its hand. What comes waits, behind what was packed.
//! 2. Who asks whether it stands still is told so, or why it cannot, or, by the end of the channel, that it has ended.
//! 3. An alarm goes along once: as what it brings, if that waits already, and as its time otherwise.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use pando_abi::{Address, Restart, Rights, SpawnSpec};
use pando_actors::{Actor, Body, Capability, Hand, Handles, Mailbox, Module};
use pando_scheduler::Header;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Cell, Life, Living, Post};
use crate::{
    input::{Alarm, Input, SpawnOrder},
    launch,
    moving::Package,
    node::Kernel,
    router,
};

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

impl Cell {
    /// Messages that wait or are in the hand, their bytes, and signals.
    pub(crate) fn waiting(&self) -> (usize, usize, usize) {
        let post = self.post.lock();
        (post.mailbox.count(), post.mailbox.bytes(), post.mailbox.signals())
    }
}

impl Post {
    pub(super) fn stands_still(&self) -> bool {
        matches!(self.still, Some(Still::Packed { .. }))
    }

    /// It shall stand still, and from now on it does. What it has in the hand waits in the mailbox again.
    pub(super) fn begin_still(&mut self, hand: &mut Hand<Input>) -> Option<Waiting> {
        let told = match self.still.take()? {
            Still::Asked(told) => told,
            packed => {
                self.still = Some(packed);
                return None;
            }
        };
        self.mailbox.take_back(hand);
        self.still = Some(Still::Packed { items: self.mailbox.len(), bounces: self.bounces });
        let with_count = |input: &Input| match input {
            Input::Bounce { .. } => Input::Bounce { status: self.bounced, count: self.bounces },
            input => input.clone(),
        };
        Some(Waiting { told, mailbox: self.mailbox.iter().map(with_count).collect() })
    }

    pub(super) fn new() -> Post {
        Post {
            mailbox: Mailbox::default(),
            open: true,
            bounces: 0,
            bounced: 0,
            due_ns: None,
            upgrade: None,
            still: None,
        }
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
            self.switches.store(true, Ordering::Relaxed);
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
            order: self.order(living),
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

    /// As what it was ordered. Of one that is never started again only that is known still which matters to its life.
    fn order(&self, living: &Living) -> SpawnOrder {
        if let Some(order) = &living.order {
            return (**order).clone();
        }
        let limits = living.actor.limits();
        let restart = if living.supervisor.resumes() { Restart::Resume } else { Restart::Never };
        let spec = SpawnSpec {
            module: living.actor.module().hash().0,
            fuel_millions: u32::try_from(limits.fuel / 1_000_000).unwrap_or(u32::MAX),
            memory_bytes: limits.memory_bytes,
            restart: restart as u8,
            priority: self.header.priority() as u8,
            handler_ms: u16::try_from(limits.handler_ms).unwrap_or(u16::MAX),
            ..SpawnSpec::new()
        };
        let parent = Capability { rights: Rights::NONE, ..router::peer(self.parent) };
        let (args, handles) = (Body::default(), Handles::default());
        SpawnOrder { child: self.address, spec, args, handles, parent, realm: None }
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
            living.alarms.leave(kernel.scheduler());
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
        let kept = (!supervisor.is_of_one_life()).then(|| Box::new(order.clone()));
        let cell = Arc::new_cyclic(|this: &Weak<Cell>| Cell {
            header: Header::new(launch::priority(&order.spec)),
            address: order.child,
            parent: order.parent.address,
            kernel: Arc::downgrade(kernel),
            this: this.clone(),
            post: Mutex::new(post),
            module: Mutex::new(Some(module)),
            far: AtomicBool::new(true),
            switches: AtomicBool::new(true),
            events: AtomicU64::new(events),
            mark: AtomicU64::new(0),
            floor_ns: time_ns,
            came: true,
            limit_ms,
            life: Mutex::new(Life::Running(Box::new(Living::new(kept, supervisor, process, actor)))),
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
            // What they bring may wait already.
            let rung: BTreeSet<Alarm> = self.post.lock().mailbox.iter().filter_map(Alarm::of).collect();
            for (at_ns, alarm) in living.process.alarms().filter(|(_, alarm)| !rung.contains(alarm)) {
                living.alarms.set(at_ns, alarm, kernel.scheduler(), &self.this);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_hand_is_packed_before_what_waits_and_both_wait_on() {
        let mut post = Post::new();
        let mut hand = Hand::default();
        for id in 1..=3 {
            post.mailbox.push_system(Input::Timer { id }, 0);
        }
        post.mailbox.deal(&mut hand);
        assert!(matches!(hand.pop(), Some(Input::Timer { id: 1 })));
        hand.push(Input::Deadline { token: 4 });
        post.mailbox.push_system(Input::Bounce { status: 1, count: 1 }, 0);
        (post.bounces, post.bounced) = (6, 7);
        assert!(post.begin_still(&mut hand).is_none() && hand.len() == 3, "nobody has asked");
        let (told, _receiver) = oneshot::channel();
        post.still = Some(Still::Asked(told));
        let packed = post.begin_still(&mut hand).expect("it was asked to").mailbox;
        let numbers = |input: &Input| match input {
            Input::Timer { id } => (*id, 0),
            Input::Deadline { token } => (*token, 1),
            Input::Bounce { status, count } => (*count, u64::from(*status)),
            other => panic!("{other:?}"),
        };
        assert_eq!(packed.iter().map(numbers).collect::<Vec<_>>(), [(2, 0), (3, 0), (4, 1), (6, 7)]);
        assert!(post.stands_still() && hand.is_empty() && post.begin_still(&mut hand).is_none());
        assert!(matches!(post.still, Some(Still::Packed { items: 4, bounces: 6 })));
        post.mailbox.deal(&mut hand);
        assert_eq!(hand.len(), 4, "when it goes on, all of it is there");
    }
}
