//! What the leader of a group does beside leading: lets its sayings out, minds its alarms, sees to its birth and burial.
//!
//! 1. To one receiver, sayings go in order; what a group has for another one goes in batches, and what was not heard goes again
//!    from the first.
//! 2. A saying is let out again by the next leader until the group's log says that it was heard.
//! 3. A receiver on a node that is gone has heard nothing, and the group is told so.
//! 4. While it is held for a backup, nothing is let out and nothing counts as heard; afterwards all of it is said again.
//! 5. A new leader asks again for the watches and links to plain actors: an end that fell between two leaders is told.

mod pump;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pando_abi::{ActorId, Address, Errno, Home, ModuleHash, NodeId};
use pando_actors::{Class, Exit, Module};
use pando_raft::Entry;
use pando_scheduler::{TimerId, TimerSink};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    input::{Alarm, Input, Moved, undeliverable},
    modules::ModuleStoreError,
    node::Kernel,
    outbox::{Item, Saying},
    platform::Tuning,
    replica::{Leading, NoModule, Output, Port, entry},
    root::RootCommand,
    wire::{self, Envelope},
};

use pump::pump_to_group;

/// Between two tries to reach a receiver that is not ready.
const AGAIN: Duration = Duration::from_millis(20);

/// See the module.
pub struct Leaders {
    kernel: Weak<Kernel>,
    tuning: Tuning,
    led: Mutex<BTreeMap<ActorId, Led>>,
    /// Groups that are led here since a moment ago, for [`crate::services`].
    news: Mutex<BTreeSet<ActorId>>,
    told: Notify,
    held: AtomicBool,
}

struct Led {
    term: u64,
    queues: BTreeMap<Address, Queue>,
    alarms: BTreeMap<Alarm, TimerId>,
    sink: Arc<GroupAlarms>,
}

impl Led {
    /// A receiver for which nothing waits is forgotten.
    fn tidy(&mut self, to: Address) {
        if self.queues.get(&to).is_some_and(|queue| queue.items.is_empty() && !queue.pumping) {
            self.queues.remove(&to);
        }
    }
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    /// A task works on it; or, for another node, how many from the front were sent.
    pumping: bool,
    sent: usize,
}

struct GroupAlarms {
    group: ActorId,
    kernel: Weak<Kernel>,
}

impl TimerSink for GroupAlarms {
    fn fire(&self, key: u64, _now_ns: u64) {
        if let Some(kernel) = self.kernel.upgrade() {
            let alarm = alarm_of(key);
            if let Some(led) = kernel.leaders().led.lock().get_mut(&self.group) {
                led.alarms.remove(&alarm);
            }
            let to = Address::group(self.group);
            kernel.deliver(to, to, alarm.input());
        }
    }
}

impl Leaders {
    /// None led yet.
    pub fn new(kernel: Weak<Kernel>, tuning: Tuning) -> Leaders {
        Leaders {
            kernel,
            tuning,
            led: Mutex::default(),
            news: Mutex::default(),
            told: Notify::new(),
            held: AtomicBool::new(false),
        }
    }

    /// Groups that this node has begun to lead since this was last asked.
    pub fn new_ones(&self) -> BTreeSet<ActorId> {
        std::mem::take(&mut *self.news.lock())
    }

    /// Resolves when there is something new for [`Leaders::new_ones`].
    pub async fn changed(&self) {
        self.told.notified().await;
    }

    /// Groups that this node leads.
    pub fn list(&self) -> Vec<ActorId> {
        self.led.lock().keys().copied().collect()
    }

    /// Nothing is let out from now on, and nothing counts as heard.
    pub fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    /// The hold is over: everything that is not known to be heard is said again.
    pub fn release(&self) {
        self.held.store(false, Ordering::SeqCst);
        let mut again = Vec::new();
        for (group, led) in self.led.lock().iter_mut() {
            for (to, queue) in &mut led.queues {
                queue.sent = 0;
                again.push((*group, *to));
            }
        }
        again.into_iter().for_each(|(group, to)| self.pump(group, to));
    }

    /// A receiver on another node has heard `group` up to `seq`.
    pub fn heard(&self, group: ActorId, to: Address, seq: u64) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        if self.is_held() {
            return;
        }
        {
            let mut all = self.led.lock();
            let Some(led) = all.get_mut(&group) else { return };
            let Some(queue) = led.queues.get_mut(&to) else { return };
            while queue.items.front().is_some_and(|i| i.seq <= seq) {
                queue.items.pop_front();
                queue.sent = queue.sent.saturating_sub(1);
            }
            led.tidy(to);
        }
        kernel.lanes().acknowledge(group, to, seq);
    }

    /// A session with `node` is new: what was sent in the one before may be lost.
    pub fn node_up(&self, node: NodeId) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        let mut again = Vec::new();
        for (group, led) in self.led.lock().iter_mut() {
            let there = |to: &Address| to.home != Home::Group && kernel.hears_at(*to) == Some(node);
            for (to, queue) in led.queues.iter_mut().filter(|(to, _)| there(to)) {
                queue.sent = 0;
                again.push((*group, *to));
            }
        }
        again.into_iter().for_each(|(group, to)| self.pump(group, to));
    }

    /// `node` is gone: what waits for receivers there comes back, and what went through it to others goes straight.
    pub fn node_down(&self, node: NodeId, moved: &Moved) {
        let (mut lost, mut again) = (Vec::new(), Vec::new());
        for (group, led) in self.led.lock().iter_mut() {
            for (to, queue) in led.queues.iter_mut().filter(|(to, _)| to.home != Home::Group) {
                let service = to.home == Home::Service && node != NodeId::NONE;
                let is_lost = moved.is_lost(node, *to) || service && to.node == node;
                if is_lost {
                    queue.sent = 0;
                    lost.extend(queue.items.drain(..).map(|item| (*group, *to, item)));
                } else if moved.is_cut_off(*to) {
                    queue.sent = 0;
                    again.push((*group, *to));
                }
            }
            led.queues.retain(|_, queue| !queue.items.is_empty() || queue.pumping);
        }
        lost.into_iter().for_each(|(group, to, item)| self.undelivered(group, to, item, Errno::UNREACHABLE));
        again.into_iter().for_each(|(group, to)| self.pump(group, to));
    }

    fn undelivered(&self, group: ActorId, to: Address, item: Item, errno: Errno) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        match &item.saying {
            Saying::Deliver(input) => {
                for (who, input) in undeliverable(to, input, errno) {
                    kernel.deliver(to, who, input);
                }
            }
            Saying::Spawn(order) => kernel.unborn(order, errno),
        }
        kernel.lanes().acknowledge(group, to, item.seq);
    }

    /// Lets out what can go to one receiver.
    fn pump(&self, group: ActorId, to: Address) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        if to.home == Home::Group {
            return self.pump_group(&kernel, group, to);
        }
        // An actor that is on its way hears it where it arrives.
        let Some(_passing) = kernel.moving().passing(to) else { return self.pump_later(&kernel, group, to) };
        match kernel.hears_at(to) {
            None => self.pump_here(&kernel, group, to),
            Some(node) => self.pump_there(&kernel, group, to, node),
        }
    }

    fn pump_here(&self, kernel: &Arc<Kernel>, group: ActorId, to: Address) {
        while !self.is_held() {
            let item = {
                let mut all = self.led.lock();
                let Some(led) = all.get_mut(&group) else { return };
                let item = led.queues.get_mut(&to).and_then(|queue| queue.items.pop_front());
                led.tidy(to);
                item
            };
            let Some(item) = item else { return };
            let seq = item.seq;
            if kernel.is_news(group, to, seq) {
                match item.saying {
                    Saying::Deliver(input) => {
                        kernel.deliver(Address::group(group), to, stood(input, item.index, kernel.id()))
                    }
                    Saying::Spawn(order) => kernel.spawn(*order),
                }
            }
            kernel.lanes().acknowledge(group, to, seq);
        }
    }

    fn pump_there(&self, kernel: &Arc<Kernel>, group: ActorId, to: Address, node: NodeId) {
        while !self.is_held() {
            let mut led = self.led.lock();
            let Some(queue) = led.get_mut(&group).and_then(|l| l.queues.get_mut(&to)) else { return };
            let Some(item) = queue.items.get(queue.sent) else { return };
            let (group_id, seq, index) = (group.0, item.seq, item.index);
            let envelope = match &item.saying {
                Saying::Deliver(input) => {
                    let input = (&stood(input.clone(), index, kernel.id())).into();
                    Envelope::Stamped { group: group_id, seq, index, to: to.into(), input }
                }
                Saying::Spawn(order) => {
                    Envelope::StampedSpawn { group: group_id, seq, index, order: order.as_ref().into() }
                }
            };
            match kernel.send_far(to, node, &envelope) {
                Ok(()) => queue.sent += 1,
                Err(Errno::FULL) => {
                    drop(led);
                    return self.pump_later(kernel, group, to);
                }
                Err(errno) => {
                    let lost: Vec<Item> = queue.items.drain(..).collect();
                    queue.sent = 0;
                    led.get_mut(&group).into_iter().for_each(|led| led.tidy(to));
                    drop(led);
                    lost.into_iter().for_each(|item| self.undelivered(group, to, item, errno));
                    return;
                }
            }
        }
    }

    fn pump_later(&self, kernel: &Arc<Kernel>, group: ActorId, to: Address) {
        let weak = self.kernel.clone();
        kernel.runtime().spawn(async move {
            tokio::time::sleep(AGAIN).await;
            if let Some(kernel) = weak.upgrade() {
                kernel.leaders().pump(group, to);
            }
        });
    }

    fn pump_group(&self, kernel: &Arc<Kernel>, group: ActorId, to: Address) {
        {
            let mut led = self.led.lock();
            let Some(queue) = led.get_mut(&group).and_then(|l| l.queues.get_mut(&to)) else { return };
            if queue.pumping || queue.items.is_empty() {
                return;
            }
            queue.pumping = true;
        }
        let weak = self.kernel.clone();
        kernel.runtime().spawn(async move { pump_to_group(weak, group, to).await });
    }

    /// What waits longest for one receiver, in order; empty: nothing may be said.
    fn front(&self, group: ActorId, to: Address) -> Vec<Item> {
        let mut all = self.led.lock();
        let Some(led) = all.get_mut(&group) else { return Vec::new() };
        let Some(queue) = led.queues.get_mut(&to) else { return Vec::new() };
        if queue.items.is_empty() || self.is_held() {
            queue.pumping = false;
            led.tidy(to);
            return Vec::new();
        }
        queue.items.iter().take(self.tuning.pump_max).cloned().collect()
    }

    fn pop(&self, group: ActorId, to: Address, seq: u64) {
        if let Some(queue) = self.led.lock().get_mut(&group).and_then(|l| l.queues.get_mut(&to)) {
            while queue.items.front().is_some_and(|i| i.seq <= seq) {
                queue.items.pop_front();
            }
        }
    }
}

/// A reply let out by a group says on which index it stands.
fn stood(input: Input, index: u64, node: NodeId) -> Input {
    match input {
        Input::Reply { token, status, message, standing } => {
            let standing = crate::input::Standing { index, node: node.0, ..standing };
            Input::Reply { token, status, message, standing }
        }
        other => other,
    }
}

impl Port for Leaders {
    fn tuning(&self) -> Tuning {
        self.tuning
    }

    fn module(&self, hash: ModuleHash) -> Result<Arc<Module>, NoModule> {
        let Some(kernel) = self.kernel.upgrade() else { return Err(NoModule::Absent("the node is stopping".into())) };
        kernel.modules().load(hash, Class::Replicated).map_err(|why| match why {
            ModuleStoreError::Invalid(why) => NoModule::Unfit(why.to_string()),
            why => {
                kernel.modules().note_lacked(hash);
                NoModule::Absent(why.to_string())
            }
        })
    }

    fn leads(&self, group: ActorId, term: u64, standing: Leading) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        self.news.lock().insert(group);
        self.told.notify_one();
        let sink = Arc::new(GroupAlarms { group, kernel: self.kernel.clone() });
        let mut queues: BTreeMap<Address, Queue> = BTreeMap::new();
        for item in standing.items {
            queues.entry(item.to).or_default().items.push_back(item);
        }
        let receivers: Vec<Address> = queues.keys().copied().collect();
        let led = Led { term, queues, alarms: BTreeMap::new(), sink };
        if let Some(old) = self.led.lock().insert(group, led) {
            for id in old.alarms.into_values() {
                kernel.scheduler().cancel(id);
            }
        }
        self.set_alarms(
            &kernel,
            group,
            standing.time_ns,
            standing.alarms.into_iter().map(|(at, alarm)| (Some(at), alarm)).collect(),
        );
        receivers.into_iter().for_each(|to| self.pump(group, to));
        for (target, input) in standing.interests {
            kernel.deliver(Address::group(group), target, input);
        }
        if let Some((epoch, module)) = standing.epoch {
            self.tell_epoch(&kernel, group, epoch, module);
        }
        if let Some(exit) = &standing.ended {
            self.ended(group, exit);
        } else if !standing.born {
            kernel.runtime().spawn(give_birth(self.kernel.clone(), group, term));
        }
    }

    fn follows(&self, group: ActorId) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        if let Some(old) = self.led.lock().remove(&group) {
            for id in old.alarms.into_values() {
                kernel.scheduler().cancel(id);
            }
        }
    }

    fn effects(&self, group: ActorId, output: Output) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        let mut receivers: Vec<Address> = Vec::new();
        if let Some(led) = self.led.lock().get_mut(&group) {
            for item in output.items {
                if receivers.last() != Some(&item.to) {
                    receivers.push(item.to);
                }
                led.queues.entry(item.to).or_default().items.push_back(item);
            }
        }
        receivers.into_iter().for_each(|to| self.pump(group, to));
        self.set_alarms(&kernel, group, output.time_ns, output.alarms);
        for (level, text) in output.logs {
            kernel.log(Address::group(group), level, text);
        }
        for (who, input) in output.unsaid {
            kernel.deliver(Address::group(group), who, input);
        }
        if let Some((epoch, module)) = output.epoch {
            self.tell_epoch(&kernel, group, epoch, module);
        }
    }

    fn ended(&self, group: ActorId, exit: &Exit) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        let exit = exit.clone();
        let task = kernel.clone();
        kernel.runtime().spawn(async move {
            let command =
                RootCommand::EndGroup { id: group, kind: exit.kind as u16, code: exit.code, message: exit.message };
            if let Err(why) = task.root_command(command).await {
                // The next leader of the group, or this one after its next election, tries again.
                tracing::warn!(group = %group, %why, "the end of a group could not be recorded");
            }
        });
    }
}

impl Leaders {
    fn set_alarms(&self, kernel: &Arc<Kernel>, group: ActorId, time_ns: u64, alarms: Vec<(Option<u64>, Alarm)>) {
        let mut all = self.led.lock();
        let Some(led) = all.get_mut(&group) else { return };
        // A group's time is the furthest of its leaders' clocks. On a slower clock its delays are kept, not its times.
        let ahead_ns = time_ns.saturating_sub(kernel.door().now_ns());
        for (at_ns, alarm) in alarms {
            match at_ns {
                Some(at_ns) => {
                    let sink: Arc<dyn TimerSink> = led.sink.clone();
                    let at_ns = at_ns.saturating_sub(ahead_ns);
                    let id = kernel.scheduler().timer(at_ns, Arc::downgrade(&sink), alarm_key(alarm));
                    led.alarms.insert(alarm, id);
                }
                None => {
                    if let Some(id) = led.alarms.remove(&alarm) {
                        kernel.scheduler().cancel(id);
                    }
                }
            }
        }
    }

    /// Tells the root group which module runs, if it does not know: joiners fetch it, and shells type calls by it.
    fn tell_epoch(&self, kernel: &Arc<Kernel>, group: ActorId, epoch: u32, module: ModuleHash) {
        let known = kernel.root().read(|root| root.group(group).map(|g| g.epoch));
        if known.is_none_or(|known| known >= epoch) {
            return;
        }
        let task = kernel.clone();
        kernel.runtime().spawn(async move {
            if let Err(why) = task.root_command(RootCommand::SetModule { id: group, module, epoch }).await {
                // The next leader of the group, or this one after its next election, tries again.
                tracing::warn!(group = %group, %why, "the module of a group could not be recorded");
            }
        });
    }

    /// Of the group that has most to say: receivers for whom something waits, and how much for all of them. And the receivers
    /// for whom nothing does.
    pub(crate) fn fullest(&self) -> (usize, usize, usize) {
        self.led.lock().values().fold((0, 0, 0), |(receivers, items, idle), led| {
            let waiting = led.queues.values().map(|queue| queue.items.len()).sum::<usize>();
            let resting = led.queues.values().filter(|queue| queue.items.is_empty() && !queue.pumping).count();
            (receivers.max(led.queues.len()), items.max(waiting), idle + resting)
        })
    }

    fn is_led(&self, group: ActorId, term: u64) -> bool {
        self.led.lock().get(&group).is_some_and(|l| l.term == term)
    }
}

/// Proposes the birth of a group that has a leader and nothing else yet.
async fn give_birth(kernel: Weak<Kernel>, group: ActorId, term: u64) {
    loop {
        let Some(kernel) = kernel.upgrade() else { return };
        if !kernel.leaders().is_led(group, term) {
            return;
        }
        if let Some(payload) = kernel.birth_of(group) {
            let entry = Entry {
                origin: group.0,
                incarnation: 0,
                seq: 1,
                time_ns: kernel.door().now_ns(),
                seed: kernel.door().seed(),
                epoch: 1,
                kind: entry::BIRTH,
                payload: wire::encode(&payload),
            };
            match kernel.groups_opened().await.propose(group, entry, Duration::from_secs(5)).await {
                Ok(_) => return,
                Err(why) => tracing::debug!(group = %group, %why, "a birth is tried again"),
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// An alarm as a timer's key.
fn alarm_key(alarm: Alarm) -> u64 {
    match alarm {
        Alarm::Timer(id) => id << 1,
        Alarm::Deadline(token) => token << 1 | 1,
    }
}

/// A timer's key as an alarm.
fn alarm_of(key: u64) -> Alarm {
    if key & 1 == 0 { Alarm::Timer(key >> 1) } else { Alarm::Deadline(key >> 1) }
}
