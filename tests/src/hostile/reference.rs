//! What SPEC.md says of every call, as one actor's table and a few counters: small, slow, and written from the page.
//!
//! Owns: what a call must return, and what it must ask for. Does not know: slots, undo logs, instances; numbers that the contract leaves
//! open (a handle, a token, a grant) it takes from what was seen and holds to what is promised of them.

mod seen;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pando_abi::{
    ActorId, Address, Call, Errno, Handle, Home, ModuleHash, NodeId, Rights, SpawnSpec, handle::HandleStat,
    id::service, limits, policy::spawn_flags,
};
use pando_actors::{Body, CapKind, Capability, Class, Effect, Handles, Message, Spawn, Tally};

use seen::Ids;
pub use seen::{Said, Seen};

use super::ape;

/// One actor.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Its address.
    pub home: Address,
    class: Class,
    replicas: u8,
    module: ModuleHash,
    id: ActorId,
    events: u64,
    /// What it holds.
    pub held: BTreeMap<u32, Capability>,
    dropped: VecDeque<u32>,
    calls: Ids,
    monitors: Ids,
    timers: Ids,
    grants: BTreeSet<u64>,
    minted: BTreeSet<u64>,
    now: Now,
    /// Believes that a copy has all the rights of the original: to see whether that is noticed.
    pub credulous: bool,
}

/// The handler that runs.
#[derive(Clone, Default, Debug)]
struct Now {
    query: bool,
    own_reply: Option<u32>,
    time_ns: u64,
    random: u64,
    tally: Tally,
    asked: usize,
    bytes: usize,
    children: u32,
    links: u32,
}

fn luck(errno: Errno) -> Result<Said, String> {
    Ok(Said::Value(-i64::from(errno.code())))
}

const NONE: i64 = 0;

impl Reference {
    /// Before the first event. `birth`: parent and realm.
    pub fn new(home: Address, class: Class, replicas: u8, module: ModuleHash, birth: [Capability; 2]) -> Reference {
        let held = [Capability::actor(home, Rights::ALL), birth[0], birth[1]];
        Reference {
            home,
            class,
            replicas,
            module,
            id: home.id,
            events: 0,
            held: (0..).zip(held).collect(),
            dropped: VecDeque::new(),
            calls: Ids::default(),
            monitors: Ids::default(),
            timers: Ids::default(),
            grants: BTreeSet::new(),
            minted: BTreeSet::new(),
            now: Now::default(),
            credulous: false,
        }
    }

    /// Handles that one more event may bring.
    pub fn room(&self) -> usize {
        limits::HANDLES_MAX - self.held.len()
    }

    /// An event has answered this call, called this timer, told this monitor. Stands whatever the handler does.
    pub fn arrived(&mut self, kind: pando_abi::EventKind, token: u64) {
        match kind {
            pando_abi::EventKind::Reply => _ = self.calls.open.remove(&token),
            pando_abi::EventKind::Timer => _ = self.timers.open.remove(&token),
            pando_abi::EventKind::Down => _ = self.monitors.open.remove(&token),
            _ => {}
        }
    }

    /// A handler begins. `brought`: the handles in the event as the guest saw them, its own reply first if it has one.
    pub fn begin(&mut self, query: bool, time_ns: u64, seed: u64, tally: Tally) {
        self.now = Now { query, time_ns, random: seed, tally, ..Now::default() };
    }

    /// An event brought this.
    pub fn bring(&mut self, handle: u32, capability: Capability, own_reply: bool) -> Result<(), String> {
        self.take_up(handle, capability)?;
        if own_reply {
            self.now.own_reply = Some(handle);
        }
        Ok(())
    }

    /// The handler has returned.
    pub fn returned(&mut self) {
        self.events += 1;
    }

    /// Ids that are open: to be answered by events.
    pub fn open_ids(&self) -> [Vec<u64>; 3] {
        [&self.calls, &self.timers, &self.monitors].map(|ids| ids.open.iter().copied().collect())
    }

    fn take_up(&mut self, handle: u32, capability: Capability) -> Result<(), String> {
        if handle == u32::MAX || self.held.contains_key(&handle) || self.dropped.contains(&handle) {
            return Err(format!("handle {handle:#x} was given, which is held or was dropped a moment ago"));
        }
        self.held.insert(handle, capability);
        Ok(())
    }

    fn let_go(&mut self, handle: u32) {
        self.held.remove(&handle);
        self.dropped.push_back(handle);
        if self.dropped.len() > 1_000 {
            self.dropped.pop_front();
        }
    }

    /// One call: what it must come to. `memory` is the guest's, `returned` what it got, if it got something.
    ///
    /// # Errors
    /// If what was seen is not what the contract says.
    pub fn call(
        &mut self,
        memory: &mut [u8],
        call: Call,
        a: [i64; 7],
        returned: Option<i64>,
        seen: &mut Seen,
    ) -> Result<Said, String> {
        let word = |n: usize| a[n] as u32;
        match call {
            Call::Send | Call::Call | Call::Reply | Call::Spawn => self.talk(memory, call, a, returned, seen),
            Call::Exit => match span(memory, word(1), word(2)) {
                None => Ok(Said::Fault),
                Some(_) if self.now.query => Ok(Said::Fault),
                Some(text) => Ok(Said::Exit(a[0] as i32, line(text, limits::EXIT_MESSAGE_BYTES_MAX))),
            },
            Call::Kill | Call::Link | Call::Unlink | Call::Monitor => {
                let Some(target) = self.held.get(&word(0)).copied() else { return Ok(Said::Fault) };
                let right = match call {
                    Call::Kill => Rights::KILL,
                    Call::Monitor => Rights::MONITOR,
                    _ => Rights::LINK,
                };
                if let Some(no) = self.may(target.rights.contains(right), 0) {
                    return luck(no);
                }
                match call {
                    Call::Kill => self.ask(seen, Effect::Kill { target }, NONE),
                    Call::Unlink => self.ask(seen, Effect::Unlink { target }, NONE),
                    Call::Link if target.address == self.home => self.ask(seen, Effect::Link { target }, NONE),
                    Call::Link if (self.now.tally.links + self.now.links) as usize >= limits::LINKS_MAX => {
                        luck(Errno::LIMIT)
                    }
                    Call::Link => {
                        self.now.links += 1;
                        self.ask(seen, Effect::Link { target }, NONE)
                    }
                    _ if self.monitors.open.len() >= limits::MONITORS_MAX => luck(Errno::LIMIT),
                    _ => {
                        let found = seen.effects.front().and_then(|e| match e {
                            Effect::Monitor { id, .. } if !seen.faulted => Some(*id),
                            _ => None,
                        });
                        let id = self.monitors.fresh(found)?;
                        self.ask(seen, Effect::Monitor { id, target }, id as i64)
                    }
                }
            }
            Call::Demonitor | Call::Cancel => {
                let ids = if call == Call::Cancel { &mut self.timers } else { &mut self.monitors };
                // Ids count up, so what was given is what is not over the last.
                let Some(id) = u64::try_from(a[0]).ok().filter(|id| (1..=ids.last).contains(id)) else {
                    return Ok(Said::Fault);
                };
                if let Some(no) = self.may(true, 0) {
                    return luck(no);
                }
                let ids = if call == Call::Cancel { &mut self.timers } else { &mut self.monitors };
                if !ids.open.remove(&id) {
                    return Ok(Said::Value(NONE));
                }
                let effect = if call == Call::Cancel { Effect::Cancel { id } } else { Effect::Demonitor { id } };
                self.ask(seen, effect, NONE)
            }
            Call::Timer => {
                let Some(delay_ns) = delay(a[0]) else { return Ok(Said::Fault) };
                if let Some(no) = self.may(true, 0) {
                    return luck(no);
                }
                if self.timers.open.len() >= limits::TIMERS_MAX {
                    return luck(Errno::LIMIT);
                }
                let found = seen.effects.front().and_then(|e| match e {
                    Effect::Timer { id, .. } if !seen.faulted => Some(*id),
                    _ => None,
                });
                let id = self.timers.fresh(found)?;
                self.ask(seen, Effect::Timer { id, delay_ns }, id as i64)
            }
            Call::Now => Ok(Said::Value(self.now.time_ns as i64)),
            Call::Random => {
                self.now.random = self.now.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = self.now.random;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                Ok(Said::Value((z ^ (z >> 31)) as i64))
            }
            Call::Log => {
                let Some(text) = span(memory, word(1), word(2)) else { return Ok(Said::Fault) };
                let Some(level) = u8::try_from(a[0] as i32).ok().filter(|l| (1..=5).contains(l)) else {
                    return Ok(Said::Fault);
                };
                seen.line(level, &line(text, limits::LOG_LINE_BYTES_MAX))?;
                Ok(Said::Value(NONE))
            }
            Call::HandleCopy | Call::HandleDrop | Call::HandleRevoke => self.handles(call, a, returned, seen),
            Call::HandleStat => {
                let out = word(1) as usize;
                let Some(capability) = self.held.get(&word(0)).filter(|_| out + 24 <= memory.len()) else {
                    return Ok(Said::Fault);
                };
                memory[out..out + 24].copy_from_slice(&self.stat(capability).to_bytes());
                Ok(Said::Value(NONE))
            }
            Call::HandleSame => {
                let (Some(x), Some(y)) = (self.held.get(&word(0)), self.held.get(&word(1))) else {
                    return Ok(Said::Fault);
                };
                let actors = x.kind == CapKind::Actor && y.kind == CapKind::Actor;
                Ok(Said::Value(i64::from(word(0) == word(1) || actors && x.address == y.address)))
            }
        }
    }

    /// `READ_ONLY`, `DENIED`, then `LIMIT` of the effects.
    fn may(&self, right: bool, bytes: usize) -> Option<Errno> {
        let full = self.now.asked >= limits::EFFECTS_MAX || self.now.bytes + bytes > limits::EFFECT_BYTES_MAX;
        match (self.now.query, right, full) {
            (true, ..) => Some(Errno::READ_ONLY),
            (_, false, _) => Some(Errno::DENIED),
            (.., true) => Some(Errno::LIMIT),
            _ => None,
        }
    }

    fn ask(&mut self, seen: &mut Seen, effect: Effect, value: i64) -> Result<Said, String> {
        self.now.asked += 1;
        seen.expect(effect)?;
        Ok(Said::Value(value))
    }

    fn stat(&self, capability: &Capability) -> HandleStat {
        let (kind, node) = match (capability.kind, capability.address.home) {
            (CapKind::Reply, _) => (3, 0),
            (CapKind::Actor, Home::Node) if self.class == Class::Plain => (0, capability.address.node.0),
            (CapKind::Actor, Home::Node) => (0, 0),
            (CapKind::Actor, Home::Group) => (1, 0),
            (CapKind::Actor, Home::Service) => (2, 0),
        };
        HandleStat { kind, rights: capability.rights.0, badge: capability.badge, node, reserved: 0 }
    }

    fn handles(&mut self, call: Call, a: [i64; 7], returned: Option<i64>, seen: &mut Seen) -> Result<Said, String> {
        let handle = a[0] as u32;
        let Some(capability) = self.held.get(&handle).copied() else { return Ok(Said::Fault) };
        let own = handle == Handle::SELF.0;
        match call {
            Call::HandleCopy => {
                let badge = a[2] as u64;
                if capability.kind == CapKind::Reply || badge != 0 && !own {
                    return Ok(Said::Fault);
                }
                if own && self.now.query {
                    return luck(Errno::READ_ONLY);
                }
                if !capability.rights.contains(Rights::SHARE) {
                    return luck(Errno::DENIED);
                }
                if self.room() == 0 {
                    return luck(Errno::LIMIT);
                }
                let rights = if self.credulous { Rights::ALL } else { Rights(a[1] as u32) };
                let mut copy = capability.masked(rights);
                if own {
                    if self.may(true, 0).is_some() || self.grants.len() >= limits::GRANTS_MAX {
                        return luck(Errno::LIMIT);
                    }
                    copy = copy.masked(Rights::PEER);
                    let grant = match seen.next()? {
                        Some(Effect::Grant { grant, rights, badge: b }) if (rights, b) == (copy.rights, badge) => grant,
                        Some(other) => return Err(format!("wanted a grant, found {other:?}")),
                        // Never seen, and forgotten with the handler.
                        None => self.minted.last().map_or(u64::MAX / 2, |last| last + 1),
                    };
                    if grant == 0 || !self.minted.insert(grant) {
                        return Err(format!("the grant {grant:#x} was minted before"));
                    }
                    self.now.asked += 1;
                    self.grants.insert(grant);
                    (copy.grant, copy.badge) = (grant, badge);
                }
                self.given(returned, copy)
            }
            Call::HandleDrop if own => Ok(Said::Fault),
            Call::HandleDrop => {
                if capability.kind == CapKind::Reply {
                    if self.now.asked >= limits::EFFECTS_MAX {
                        return luck(Errno::LIMIT);
                    }
                    // In a query only its own answer is more than forgotten.
                    if !self.now.query || self.now.own_reply == Some(handle) {
                        let status = Errno::NO_REPLY.code();
                        self.ask(seen, Effect::reply(&capability, status, Message::default()), NONE)?;
                    }
                }
                self.let_go(handle);
                Ok(Said::Value(NONE))
            }
            _ => {
                let mine =
                    capability.kind == CapKind::Actor && capability.address == self.home && capability.grant != 0;
                if let Some(no) = self.may(mine, 0) {
                    return luck(no);
                }
                if !self.grants.remove(&capability.grant) {
                    return Ok(Said::Value(NONE));
                }
                self.ask(seen, Effect::Revoke { grant: capability.grant }, NONE)
            }
        }
    }

    /// A call gave a handle.
    fn given(&mut self, returned: Option<i64>, capability: Capability) -> Result<Said, String> {
        let Some(value) = returned else { return Err("a call that must give a handle did not return".into()) };
        let handle = u32::try_from(value).map_err(|_| format!("{value} is returned where a handle must be"))?;
        self.take_up(handle, capability)?;
        Ok(Said::Value(value))
    }

    fn talk(
        &mut self,
        memory: &[u8],
        call: Call,
        a: [i64; 7],
        returned: Option<i64>,
        seen: &mut Seen,
    ) -> Result<Said, String> {
        let word = |n: usize| a[n] as u32;
        // Where the body and the handles stand among the arguments.
        let at = if call == Call::Reply { 2 } else { 1 };
        let max = limits::MESSAGE_BYTES_MAX + if call == Call::Spawn { SpawnSpec::SIZE } else { 0 };
        let body = span(memory, word(at), word(at + 1)).filter(|body| body.len() <= max);
        let Some(body) = body else { return Ok(Said::Fault) };
        let Some(passed) = self.passed(memory, word(at + 2), word(at + 3)) else { return Ok(Said::Fault) };
        let Some(first) = self.held.get(&word(0)).copied() else { return Ok(Said::Fault) };
        let shared = passed.iter().all(|(_, c)| c.rights.contains(Rights::SHARE));
        let message = |me: &mut Reference| Message { body: Body::from_slice(body), handles: me.taken(&passed) };
        match call {
            Call::Send => {
                if let Some(no) = self.may(first.rights.contains(Rights::SEND) && shared, body.len()) {
                    return luck(no);
                }
                self.now.bytes += body.len();
                let message = message(self);
                self.ask(seen, Effect::send(self.home, &first, message), NONE)
            }
            Call::Call => {
                let (Some(deadline_ns), flags @ (0 | 1 | 3)) = (delay(a[5]), a[6] as i32) else {
                    return Ok(Said::Fault);
                };
                if let Some(no) = self.may(first.rights.contains(Rights::SEND) && shared, body.len()) {
                    return luck(no);
                }
                if self.calls.open.len() >= limits::CALLS_MAX {
                    return luck(Errno::LIMIT);
                }
                let found = seen.effects.front().and_then(|e| match e {
                    Effect::Call { token, .. } if !seen.faulted => Some(*token),
                    _ => None,
                });
                let token = self.calls.fresh(found)?;
                self.now.bytes += body.len();
                let message = message(self);
                let effect = Effect::call(self.home, &first, (token, deadline_ns, flags), message);
                self.ask(seen, effect, token as i64)
            }
            Call::Reply => {
                let status = u16::try_from(a[1] as i32).ok().filter(|s| *s == 0 || Errno::from_code(*s).is_some());
                let itself = passed.iter().any(|(handle, _)| *handle == word(0));
                let (Some(status), CapKind::Reply, false) = (status, first.kind, itself) else {
                    return Ok(Said::Fault);
                };
                let moves = passed.iter().any(|(_, c)| c.kind == CapKind::Reply);
                if self.now.query && (self.now.own_reply != Some(word(0)) || moves) {
                    return luck(Errno::READ_ONLY);
                }
                let query = std::mem::take(&mut self.now.query);
                let no = self.may(shared, body.len());
                self.now.query = query;
                if let Some(no) = no {
                    return luck(no);
                }
                self.let_go(word(0));
                self.now.bytes += body.len();
                let message = message(self);
                self.ask(seen, Effect::reply(&first, status, message), NONE)
            }
            _ => self.spawn(body, &passed, first, shared, returned, seen),
        }
    }

    fn spawn(
        &mut self,
        bytes: &[u8],
        passed: &[(u32, Capability)],
        authority: Capability,
        shared: bool,
        returned: Option<i64>,
        seen: &mut Seen,
    ) -> Result<Said, String> {
        let Some(mut spec) = SpawnSpec::from_bytes(bytes) else { return Ok(Said::Fault) };
        let args = &bytes[SpawnSpec::SIZE..];
        if spec.module == [0; 32] {
            spec.module = self.module.0;
        }
        let realm = Address::service(service::REALM);
        let of_realm = authority.address.home == Home::Service && authority.address.id == realm.id;
        let of_self = authority.address == self.home && spec.module == self.module.0;
        let right =
            authority.rights.contains(Rights::SPAWN) && authority.kind == CapKind::Actor && (of_realm || of_self);
        if let Some(no) = self.may(right && shared, args.len()) {
            return luck(no);
        }
        let moved = passed.iter().filter(|(_, c)| c.kind == CapKind::Reply).count();
        let within = spec.memory_bytes <= limits::MEMORY_BYTES_MAX
            && u64::from(spec.handler_ms) <= limits::HANDLER_MS_MAX
            && u64::from(spec.fuel_millions) * 1_000_000 <= limits::HANDLER_FUEL_MAX
            && usize::from(spec.replicas) <= limits::REPLICAS_MAX;
        let alive = (self.now.tally.children + self.now.children) as usize;
        if !within || alive >= limits::CHILDREN_MAX || self.room() + moved == 0 {
            return luck(Errno::LIMIT);
        }
        if (spec.replicas, spec.node) == (0, 0) && self.class == Class::Replicated {
            spec.replicas = self.replicas;
        }
        let child = self.child(&spec);
        let asked = spec.flags & spawn_flags::GRANT_REALM != 0;
        let realm = self.held.get(&Handle::REALM.0).copied().filter(|c| asked && c.rights != Rights::NONE);
        let handles = self.taken(passed);
        self.now.bytes += args.len();
        let parent = Capability::actor(self.home, Rights::CHILD_TO_PARENT);
        let args = Body::from_slice(args);
        self.ask(seen, Effect::Spawn(Box::new(Spawn { child, spec, args, handles, parent, realm })), NONE)?;
        self.given(returned, Capability::actor(child, Rights::PEER))
    }

    /// Derived from (the spawner's id, its event counter, n).
    fn child(&mut self, spec: &SpawnSpec) -> Address {
        let seed = [&self.id.0[..], &self.events.to_le_bytes(), &self.now.children.to_le_bytes()].concat();
        self.now.children += 1;
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(&seed).as_bytes()[..16]);
        match (spec.replicas, spec.node) {
            (0, 0) => Address::actor(self.home.node, ActorId(id)),
            (0, node) => Address::actor(NodeId(node), ActorId(id)),
            _ => Address::group(ActorId(id)),
        }
    }

    /// The handles to pass, if they are in memory, few enough, held, and no reply is among them twice.
    fn passed(&self, memory: &[u8], at: u32, count: u32) -> Option<Vec<(u32, Capability)>> {
        if count as usize > limits::MESSAGE_HANDLES_MAX {
            return None;
        }
        let (words, _) = span(memory, at, count * 4)?.as_chunks::<4>();
        let mut passed: Vec<(u32, Capability)> = Vec::new();
        for handle in words.iter().map(|w| u32::from_le_bytes(*w)) {
            let capability = *self.held.get(&handle)?;
            if capability.kind == CapKind::Reply && passed.iter().any(|(other, _)| *other == handle) {
                return None;
            }
            passed.push((handle, capability));
        }
        Some(passed)
    }

    /// They leave: replies move, one's own carries a peer's rights.
    fn taken(&mut self, passed: &[(u32, Capability)]) -> Handles {
        let mut taken = Vec::new();
        for (handle, capability) in passed {
            if capability.kind == CapKind::Reply {
                self.let_go(*handle);
            }
            let own = capability.kind == CapKind::Actor && capability.address == self.home;
            taken.push(if own { capability.masked(Rights::PEER) } else { *capability });
        }
        Handles::from_slice(&taken)
    }
}

/// Bytes that a pointer and a length allege. A length of 0 is never looked at.
fn span(memory: &[u8], at: u32, len: u32) -> Option<&[u8]> {
    if len == 0 {
        return Some(&[]);
    }
    memory.get(at as usize..(at as usize).checked_add(len as usize)?)
}

fn delay(ns: i64) -> Option<u64> {
    u64::try_from(ns).ok().filter(|ns| *ns <= limits::DELAY_NS_MAX)
}

/// Text, cut. What the ape has in its memory is ASCII, but for noise in its area.
fn line(bytes: &[u8], max: usize) -> String {
    let cut = &bytes[..bytes.len().min(max)];
    let cut = match std::str::from_utf8(cut) {
        Err(e) if bytes.len() > max && e.error_len().is_none() => &cut[..e.valid_up_to()],
        _ => cut,
    };
    String::from_utf8_lossy(cut).into_owned()
}

/// The memory of an ape before its first event.
pub fn memory() -> Vec<u8> {
    let mut memory = vec![0; ape::MEMORY];
    memory[ape::TEXT..ape::TEXT + ape::TEXT_BYTES].copy_from_slice(&ape::text());
    memory
}
