//! The fake kernel's tables: handles, timers, calls, monitors of one actor.

use alloc::collections::BTreeMap;

use pando_abi::{Errno, Rights, limits};

use super::{
    Effect, Exited, Peer,
    effect::{Message, Outgoing},
};
use crate::{Level, prelude::*};

/// The bit that a handle's number has when it is the test's and not the actor's.
pub(crate) const TEST: u32 = 1 << 31;

/// What a handle reaches.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Target {
    Peer {
        id: u32,
        badge: u64,
        granted: bool,
    },
    /// A caller that waits.
    Reply(u64),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) target: Target,
    pub(crate) rights: Rights,
}

/// What a caller was told.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) handles: Vec<Peer>,
}

pub(crate) struct Fake {
    pub(crate) now: u64,
    pub(crate) query: bool,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) logs: Vec<(Level, String)>,
    pub(crate) exited: Option<Exited>,
    random: u64,
    events: u64,
    effects_now: usize,
    counter: u64,
    peers: Vec<Peer>,
    slots: Vec<(u32, Option<Entry>)>,
    free: Vec<usize>,
    timers: BTreeMap<(u64, u64), ()>,
    calls: Vec<u64>,
    monitors: BTreeMap<u64, u32>,
    links: Vec<u32>,
    replies: BTreeMap<u64, Option<Answered>>,
}

impl Fake {
    pub(crate) fn new(now: u64) -> Fake {
        let birth = |id| Entry { target: Target::Peer { id, badge: 0, granted: false }, rights: Rights::PEER };
        let mut slots: Vec<(u32, Option<Entry>)> = (0..3).map(|id| (0, Some(birth(id)))).collect();
        if let Some((_, Some(me))) = slots.first_mut() {
            me.rights = Rights::ALL;
        }
        if let Some((_, Some(realm))) = slots.get_mut(2) {
            realm.rights = Rights::PEER.or(Rights::SPAWN);
        }
        Fake {
            now,
            query: false,
            effects: VecDeque::new(),
            logs: Vec::new(),
            exited: None,
            random: 0,
            events: 0,
            effects_now: 0,
            counter: 0,
            peers: vec![Peer::ME, Peer::PARENT, Peer::REALM],
            slots,
            free: Vec::new(),
            timers: BTreeMap::new(),
            calls: Vec::new(),
            monitors: BTreeMap::new(),
            links: Vec::new(),
            replies: BTreeMap::new(),
        }
    }

    /// A new event: its seed.
    pub(crate) fn begin_event(&mut self) -> u64 {
        self.events += 1;
        self.effects_now = 0;
        self.random = self.events.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.random
    }

    /// SplitMix64, as the contract has it.
    pub(crate) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(crate) fn new_peer(&mut self, name: &str) -> Peer {
        let peer = Peer { id: self.peers.len() as u32, name: name.to_owned() };
        self.peers.push(peer.clone());
        peer
    }

    pub(crate) fn peer(&self, id: u32) -> Peer {
        self.peers[id as usize].clone()
    }

    /// What a handle of the test reaches.
    pub(crate) fn target_of_test(&self, number: u32) -> Target {
        assert!(number & TEST != 0, "a handle of the actor's was used outside it; give it a peer's");
        Target::Peer { id: number & !TEST, badge: 0, granted: false }
    }

    pub(crate) fn insert(&mut self, target: Target, rights: Rights) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() - 1
        });
        self.slots[at].1 = Some(Entry { target, rights });
        at as u32 | self.slots[at].0 << pando_abi::Handle::SLOT_BITS
    }

    pub(crate) fn room_for_handle(&self) -> Result<(), Errno> {
        if self.slots.len() - self.free.len() < limits::HANDLES_MAX { Ok(()) } else { Err(Errno::LIMIT) }
    }

    /// The entry that the actor holds under this number.
    pub(crate) fn entry(&self, number: u32) -> Entry {
        let handle = pando_abi::Handle(number);
        match self.slots.get(handle.slot() as usize) {
            Some((generation, Some(entry))) if *generation == handle.generation() => entry.clone(),
            _ => panic!("fault: the actor does not hold the handle {number}"),
        }
    }

    pub(crate) fn remove(&mut self, number: u32) -> Entry {
        let entry = self.entry(number);
        let at = pando_abi::Handle(number).slot() as usize;
        self.slots[at].1 = None;
        self.slots[at].0 = (self.slots[at].0 + 1) & 0x7ff;
        self.free.push(at);
        entry
    }

    /// Lets go of every handle but those from birth and these.
    pub(crate) fn keep(&mut self, numbers: &[u32]) {
        let number = |(at, (generation, _)): (usize, &(u32, Option<Entry>))| {
            at as u32 | generation << pando_abi::Handle::SLOT_BITS
        };
        let held = self.slots.iter().enumerate().skip(3).filter(|(_, (_, entry))| entry.is_some()).map(number);
        for number in held.filter(|number| !numbers.contains(number)).collect::<Vec<u32>>() {
            if let Target::Reply(id) = self.remove(number).target {
                let answer = Answered { status: Errno::UPGRADED.code(), body: Vec::new(), handles: Vec::new() };
                self.replies.insert(id, Some(answer));
            }
        }
    }

    pub(crate) fn held(&self) -> usize {
        self.slots.iter().skip(3).filter(|(_, entry)| entry.is_some()).count()
    }

    /// An effect is allowed here, and there is room for one.
    pub(crate) fn may(&mut self) -> Result<(), Errno> {
        if self.query {
            return Err(Errno::READ_ONLY);
        }
        if self.effects_now == limits::EFFECTS_MAX {
            return Err(Errno::LIMIT);
        }
        self.effects_now += 1;
        Ok(())
    }

    /// The peer behind a handle with this right.
    pub(crate) fn reach(&self, number: u32, right: Rights) -> Result<Peer, Errno> {
        let entry = self.entry(number);
        if !entry.rights.contains(right) {
            return Err(Errno::DENIED);
        }
        match entry.target {
            Target::Peer { id, .. } => Ok(self.peer(id)),
            Target::Reply(_) => Err(Errno::DENIED),
        }
    }

    /// A body and the handles beside it, each of which may be passed on.
    pub(crate) fn message(&self, body: &[u8], handles: &[u32]) -> Result<Message, Errno> {
        assert!(body.len() <= limits::MESSAGE_BYTES_MAX, "fault: a body of {} bytes", body.len());
        assert!(handles.len() <= limits::MESSAGE_HANDLES_MAX, "fault: {} handles in a message", handles.len());
        let peers: Result<Vec<Peer>, Errno> = handles.iter().map(|number| self.reach(*number, Rights::SHARE)).collect();
        Ok(Message::new(body, peers?))
    }

    pub(crate) fn call(&mut self, to: Peer, message: Message, deadline_ns: u64, query: bool) -> Result<u64, Errno> {
        assert!(deadline_ns <= limits::DELAY_NS_MAX, "fault: a deadline of {deadline_ns} ns");
        if self.calls.len() == limits::CALLS_MAX {
            return Err(Errno::LIMIT);
        }
        let token = self.next_id();
        self.calls.push(token);
        let deadline = (deadline_ns > 0).then(|| Duration::from_nanos(deadline_ns));
        self.effects.push_back(Effect::Call(Outgoing { to, message, deadline, query, token }));
        Ok(token)
    }

    pub(crate) fn end_call(&mut self, token: u64) {
        let at = self.calls.iter().position(|waiting| *waiting == token);
        self.calls.remove(at.expect("a call is answered once"));
    }

    pub(crate) fn new_reply(&mut self) -> (u64, u32) {
        let id = self.next_id();
        self.replies.insert(id, None);
        (id, self.insert(Target::Reply(id), Rights::REPLY))
    }

    pub(crate) fn answer(&self, reply: u64) -> Option<Answered> {
        self.replies.get(&reply).cloned().flatten()
    }

    /// Uses up a reply handle.
    pub(crate) fn reply(&mut self, number: u32, status: u16, message: Message) {
        let Target::Reply(id) = self.entry(number).target else { panic!("fault: {number} is no reply handle") };
        assert!(status == 0 || Errno::from_code(status).is_some(), "fault: {status} is in no table");
        self.remove(number);
        self.replies.insert(id, Some(Answered { status, body: message.body, handles: message.handles }));
    }

    pub(crate) fn timer(&mut self, delay_ns: u64) -> Result<u64, Errno> {
        assert!(delay_ns <= limits::DELAY_NS_MAX, "fault: a delay of {delay_ns} ns");
        if self.timers.len() == limits::TIMERS_MAX {
            return Err(Errno::LIMIT);
        }
        let id = self.next_id();
        self.timers.insert((self.now + delay_ns, id), ());
        Ok(id)
    }

    pub(crate) fn cancel(&mut self, id: u64) {
        self.timers.retain(|(_, timer), ()| *timer != id);
    }

    /// The first timer that is due by `end`, taken out.
    pub(crate) fn next_timer(&mut self, end: u64) -> Option<(u64, u64)> {
        let (due, id) = *self.timers.first_key_value()?.0;
        if due > end {
            return None;
        }
        self.timers.remove(&(due, id));
        Some((due, id))
    }

    pub(crate) fn monitor(&mut self, of: Peer) -> Result<u64, Errno> {
        if self.monitors.len() == limits::MONITORS_MAX {
            return Err(Errno::LIMIT);
        }
        let id = self.next_id();
        self.monitors.insert(id, of.id);
        self.effects.push_back(Effect::Monitor { of, id });
        Ok(id)
    }

    pub(crate) fn demonitor(&mut self, id: u64) {
        self.monitors.remove(&id);
        self.effects.push_back(Effect::Demonitor(id));
    }

    pub(crate) fn link(&mut self, peer: Peer) {
        if !self.links.contains(&peer.id) {
            self.links.push(peer.id);
        }
        self.effects.push_back(Effect::Link(peer));
    }

    pub(crate) fn unlink(&mut self, peer: Peer) {
        self.links.retain(|linked| *linked != peer.id);
        self.effects.push_back(Effect::Unlink(peer));
    }

    /// Monitors on the peer, and whether it was linked; all are gone now.
    pub(crate) fn end_peer(&mut self, peer: &Peer) -> (Vec<u64>, bool) {
        let ids: Vec<u64> = self.monitors.iter().filter(|(_, of)| **of == peer.id).map(|(id, _)| *id).collect();
        self.monitors.retain(|_, of| *of != peer.id);
        let linked = self.links.contains(&peer.id);
        self.links.retain(|other| *other != peer.id);
        (ids, linked)
    }
}
