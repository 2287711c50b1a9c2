//! What each syscall does: the one match.
//!
//! Owns: the order of checks and every sentence of misuse. Does not know how the arguments came or where effects go.
//!
//! 1. Checks come in the contract's order: pointers, lengths and numbers; handles; `READ_ONLY`; `DENIED`; `LIMIT`.
//! 2. A call that is answered with an errno has changed nothing: changes come after the last check.
//! 3. In a query nothing is asked for but the answer to it, and log lines.

use pando_abi::{
    ActorId, Address, Call, Errno, Handle, Home, NodeId, Rights, SpawnSpec,
    call::call_flags,
    errno::Errno::{DENIED, LIMIT, READ_ONLY},
    handle::HandleStat,
    id::service,
    limits,
    policy::spawn_flags,
};

use super::{No, Parcel, Syscall, allege, misuse};
use crate::{
    Body, CapKind, Capability, Effect, Handles, Message, Spawn,
    engine::Class,
    guest::{Guest, Stop},
    table::Kind,
};

/// Handles to pass, looked up and checked, not yet taken. Most messages carry none, and a list of none costs nothing.
type Passed = Vec<(Handle, Capability)>;

impl Guest {
    /// Answers `send`. The three calls that most handlers make are apart from the others, so that their way is short.
    #[inline]
    pub(super) fn send(&mut self, memory: &[u8], target: Handle, parcel: &Parcel) -> Result<i64, No> {
        let call = Call::Send;
        let body = parcel.body(memory, call)?;
        let passed = self.look_up(memory, parcel, call)?;
        let target = self.held(target, call)?;
        self.need(Rights::SEND, &target)?;
        self.may_pass(&passed)?;
        self.room_for(body.len())?;
        let message = Message { body: Body::from_slice(body), handles: self.take(&passed) };
        self.ask_with(body.len(), Effect::send(self.state.home, &target, message));
        Ok(0)
    }

    /// Answers `call`.
    pub(super) fn call(
        &mut self,
        memory: &[u8],
        target: Handle,
        parcel: &Parcel,
        deadline_ns: i64,
        flags: i32,
    ) -> Result<i64, No> {
        let call = Call::Call;
        let body = parcel.body(memory, call)?;
        let deadline_ns = delay(deadline_ns, call)?;
        if flags & !(call_flags::QUERY | call_flags::FINAL) != 0 || flags == call_flags::FINAL {
            return misuse(format!("`call` was given flags {flags:#x}, which are none that it knows"));
        }
        let passed = self.look_up(memory, parcel, call)?;
        let target = self.held(target, call)?;
        self.need(Rights::SEND, &target)?;
        self.may_pass(&passed)?;
        self.room_for(body.len())?;
        let token = self.state.table.open(Kind::Call).ok_or(LIMIT)?;
        let message = Message { body: Body::from_slice(body), handles: self.take(&passed) };
        self.ask_with(body.len(), Effect::call(self.state.home, &target, (token, deadline_ns, flags), message));
        Ok(token as i64)
    }

    /// Answers any other.
    pub(super) fn answer(&mut self, memory: &mut [u8], syscall: Syscall) -> Result<i64, No> {
        let call = syscall.call();
        match syscall {
            Syscall::Spawn { authority, parcel } => self.spawn(memory, authority, &parcel),
            Syscall::Exit { code, message } => {
                let message = message.any_bytes(memory, call, "a message")?;
                if self.query {
                    return misuse("called `exit` in a query".into());
                }
                let message = allege::text(message, limits::EXIT_MESSAGE_BYTES_MAX);
                Err(No::Stop(Box::new(Stop::Exit { code, message })))
            }
            Syscall::Kill { target } => {
                let target = self.held(target, call)?;
                self.need(Rights::KILL, &target)?;
                self.room_for(0)?;
                self.ask(Effect::Kill { target });
                Ok(0)
            }
            Syscall::Link { target } => {
                let target = self.held(target, call)?;
                self.need(Rights::LINK, &target)?;
                self.room_for(0)?;
                // With itself it has none. Whether another one is there already is known outside: counted is what was asked for.
                if target.address != self.state.home {
                    if self.tally.links as usize + self.links as usize >= limits::LINKS_MAX {
                        return Err(LIMIT.into());
                    }
                    self.links += 1;
                }
                self.ask(Effect::Link { target });
                Ok(0)
            }
            Syscall::Unlink { target } => {
                let target = self.held(target, call)?;
                self.need(Rights::LINK, &target)?;
                self.room_for(0)?;
                self.ask(Effect::Unlink { target });
                Ok(0)
            }
            Syscall::Monitor { target } => {
                let target = self.held(target, call)?;
                self.need(Rights::MONITOR, &target)?;
                self.room_for(0)?;
                let id = self.state.table.open(Kind::Monitor).ok_or(LIMIT)?;
                self.ask(Effect::Monitor { id, target });
                Ok(id as i64)
            }
            Syscall::Demonitor { monitor } => {
                let id = self.given(Kind::Monitor, monitor, call)?;
                self.writable()?;
                self.room_for(0)?;
                if self.state.table.close(Kind::Monitor, id) {
                    self.ask(Effect::Demonitor { id });
                }
                Ok(0)
            }
            Syscall::Timer { delay_ns } => {
                let delay_ns = delay(delay_ns, call)?;
                self.writable()?;
                self.room_for(0)?;
                let id = self.state.table.open(Kind::Timer).ok_or(LIMIT)?;
                self.ask(Effect::Timer { id, delay_ns });
                Ok(id as i64)
            }
            Syscall::Cancel { timer } => {
                let id = self.given(Kind::Timer, timer, call)?;
                self.writable()?;
                self.room_for(0)?;
                if self.state.table.close(Kind::Timer, id) {
                    self.ask(Effect::Cancel { id });
                }
                Ok(0)
            }
            Syscall::Now => Ok(self.time_ns as i64),
            Syscall::Random => Ok(self.next_random() as i64),
            Syscall::Log { level, text } => {
                let text = text.any_bytes(memory, call, "a line")?;
                let Ok(level @ 1..=5) = u8::try_from(level) else {
                    return misuse(format!("`log` was given level {level}; levels are 1 (error) to 5 (trace)"));
                };
                self.lines += 1;
                if self.lines <= limits::LOG_LINES_PER_EVENT_MAX {
                    let text = allege::text(text, limits::LOG_LINE_BYTES_MAX);
                    self.effects.push(Effect::Log { level, text });
                }
                Ok(0)
            }
            Syscall::HandleCopy { handle, rights, badge } => self.copy(handle, rights, badge as u64),
            Syscall::HandleDrop { handle } => self.let_go(handle),
            Syscall::HandleRevoke { handle } => {
                let capability = self.held(handle, call)?;
                self.writable()?;
                let own = capability.kind == CapKind::Actor && capability.address == self.state.home;
                if !own || capability.grant == 0 {
                    return Err(DENIED.into());
                }
                self.room_for(0)?;
                if self.state.table.close(Kind::Grant, self.grant_number(capability.grant)) {
                    self.ask(Effect::Revoke { grant: capability.grant });
                }
                Ok(0)
            }
            Syscall::HandleStat { handle, out } => {
                let out = out as u32 as usize;
                let size = memory.len();
                let Some(place) = memory.get_mut(out..).and_then(|m| m.first_chunk_mut::<24>()) else {
                    return misuse(format!(
                        "`handle_stat` was given 24 bytes at {out:#x} to write to, which leaves the memory of {size:#x} bytes"
                    ));
                };
                let capability = self.held(handle, call)?;
                *place = self.stat(&capability).to_bytes();
                self.wrote = Some((out, place.len()));
                Ok(0)
            }
            Syscall::HandleSame { a, b } => {
                let (x, y) = (self.held(a, call)?, self.held(b, call)?);
                let both_actors = x.kind == CapKind::Actor && y.kind == CapKind::Actor;
                Ok(i64::from(a == b || both_actors && x.address == y.address))
            }
        }
    }

    /// Answers `reply`.
    pub(super) fn reply(&mut self, memory: &[u8], reply: Handle, status: i32, parcel: &Parcel) -> Result<i64, No> {
        let call = Call::Reply;
        let body = parcel.body(memory, call)?;
        let status = match u16::try_from(status) {
            Ok(code) if code == 0 || Errno::from_code(code).is_some() => code,
            _ => {
                return misuse(format!("`reply` was given status {status}, which is neither 0 nor in the errno table"));
            }
        };
        let passed = self.look_up(memory, parcel, call)?;
        let to = self.held(reply, call)?;
        if to.kind != CapKind::Reply {
            return misuse(format!("`reply` was given {}, which is not a reply handle", shown(reply)));
        }
        if passed.iter().any(|(handle, _)| *handle == reply) {
            return misuse(format!("`reply` was given its own reply {} to pass on", shown(reply)));
        }
        // A query answers itself; anything else would happen though the query is forgotten.
        if self.query && (reply != self.own_reply || passed.iter().any(|(_, c)| c.kind == CapKind::Reply)) {
            return Err(READ_ONLY.into());
        }
        self.may_pass(&passed)?;
        self.room_for(body.len())?;
        self.state.table.remove(reply);
        let message = Message { body: Body::from_slice(body), handles: self.take(&passed) };
        self.ask_with(body.len(), Effect::reply(&to, status, message));
        Ok(0)
    }

    fn spawn(&mut self, memory: &[u8], authority: Handle, parcel: &Parcel) -> Result<i64, No> {
        let call = Call::Spawn;
        let max = SpawnSpec::SIZE + limits::MESSAGE_BYTES_MAX;
        let bytes = parcel.body.bytes(memory, max, call, "a spec")?;
        let Some((front, args)) = bytes.split_at_checked(SpawnSpec::SIZE) else {
            return misuse(format!(
                "`spawn` was given a spec of {} bytes; it has at least {}",
                bytes.len(),
                SpawnSpec::SIZE
            ));
        };
        let Some(mut spec) = SpawnSpec::from_bytes(front) else {
            return misuse("`spawn` was given a spec with a value that the contract does not know".into());
        };
        let passed = self.look_up(memory, parcel, call)?;
        let authority = self.held(authority, call)?;
        self.need(Rights::SPAWN, &authority)?;
        if spec.module == [0; 32] {
            spec.module = self.module.0;
        }
        let of_realm =
            authority.address.home == Home::Service && authority.address.id == Address::service(service::REALM).id;
        let of_self = authority.address == self.state.home && spec.module == self.module.0;
        if authority.kind != CapKind::Actor || !(of_realm || of_self) {
            return Err(DENIED.into());
        }
        self.may_pass(&passed)?;
        self.room_for(args.len())?;
        let within = spec.memory_bytes <= limits::MEMORY_BYTES_MAX
            && u64::from(spec.handler_ms) <= limits::HANDLER_MS_MAX
            && u64::from(spec.fuel_millions) * 1_000_000 <= limits::HANDLER_FUEL_MAX
            && usize::from(spec.replicas) <= limits::REPLICAS_MAX;
        let moved = passed.iter().filter(|(_, c)| c.kind == CapKind::Reply).count();
        let siblings = self.tally.children as usize + self.children as usize;
        if !within || siblings >= limits::CHILDREN_MAX || self.state.table.room() + moved == 0 {
            return Err(LIMIT.into());
        }
        if spec.replicas == 0 && spec.node == 0 && self.class == Class::Replicated {
            spec.replicas = self.state.replicas;
        }
        let child = self.child(&spec);
        let realm = if spec.flags & spawn_flags::GRANT_REALM == 0 {
            None
        } else {
            self.state.table.get(Handle::REALM).copied()
        };
        let realm = realm.filter(|c| c.rights != Rights::NONE);
        let handles = self.take(&passed);
        let handle = self.state.table.insert(Capability::actor(child, Rights::PEER)).ok_or(LIMIT)?;
        let parent = Capability::actor(self.state.home, Rights::CHILD_TO_PARENT);
        let (bytes, args) = (args.len(), Body::from_slice(args));
        self.ask_with(bytes, Effect::Spawn(Box::new(Spawn { child, spec, args, handles, parent, realm })));
        Ok(i64::from(handle.0))
    }

    /// The address of the next child: the same on every replica, and another one each time.
    fn child(&mut self, spec: &SpawnSpec) -> Address {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.state.id.0);
        hash.update(&self.state.events.to_le_bytes());
        hash.update(&self.children.to_le_bytes());
        self.children += 1;
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        match (spec.replicas, spec.node) {
            (0, 0) => Address::actor(self.state.node, ActorId(id)),
            (0, node) => Address::actor(NodeId(node), ActorId(id)),
            _ => Address::group(ActorId(id)),
        }
    }

    fn copy(&mut self, handle: Handle, rights: i32, badge: u64) -> Result<i64, No> {
        let mut capability = self.held(handle, Call::HandleCopy)?;
        let own = handle == Handle::SELF;
        if capability.kind == CapKind::Reply {
            return misuse(format!("`handle_copy` was given the reply {}; there is only one of it", shown(handle)));
        }
        if badge != 0 && !own {
            return misuse(format!(
                "`handle_copy` was given a badge for {}; only copies of handle 0 get one",
                shown(handle)
            ));
        }
        if own {
            self.writable()?;
        }
        if !capability.rights.contains(Rights::SHARE) {
            return Err(DENIED.into());
        }
        capability = capability.masked(Rights(rights as u32));
        if self.state.table.room() == 0 {
            return Err(LIMIT.into());
        }
        if own {
            self.room_for(0)?;
            let number = self.state.table.open(Kind::Grant).ok_or(LIMIT)?;
            capability = capability.masked(Rights::PEER);
            capability.grant = self.grant_life() | number;
            capability.badge = badge;
            self.ask(Effect::Grant { grant: capability.grant, rights: capability.rights, badge });
        }
        let copy = self.state.table.insert(capability).ok_or(LIMIT)?;
        Ok(i64::from(copy.0))
    }

    fn let_go(&mut self, handle: Handle) -> Result<i64, No> {
        let call = Call::HandleDrop;
        if handle == Handle::SELF {
            return misuse("`handle_drop` was given handle 0, the actor itself".into());
        }
        let capability = self.held(handle, call)?;
        if capability.kind == CapKind::Reply {
            self.room_for(0)?;
            // In a query only the answer to the query itself is an effect; the rest is forgotten with the query.
            if !self.query || handle == self.own_reply {
                let status = Errno::NO_REPLY.code();
                self.ask(Effect::reply(&capability, status, Message::default()));
            }
        }
        self.state.table.remove(handle);
        Ok(0)
    }

    fn stat(&self, capability: &Capability) -> HandleStat {
        let kind = match (capability.kind, capability.address.home) {
            (CapKind::Reply, _) => 3,
            (CapKind::Actor, Home::Node) => 0,
            (CapKind::Actor, Home::Group) => 1,
            (CapKind::Actor, Home::Service) => 2,
        };
        let told = self.class == Class::Plain && kind == 0;
        HandleStat {
            kind,
            rights: capability.rights.0,
            badge: capability.badge,
            node: if told { capability.address.node.0 } else { 0 },
            reserved: 0,
        }
    }

    /// The upper half of this life's grants: a handle from an earlier life at the same address carries another.
    fn grant_life(&self) -> u64 {
        let hash = blake3::hash(&self.state.id.0);
        let half = hash.as_bytes()[..4].try_into().map_or(0, u32::from_le_bytes);
        u64::from(half) << 32
    }

    /// The number of a grant of this life; 0, which none has, for one of another.
    fn grant_number(&self, grant: u64) -> u64 {
        if grant >> 32 << 32 == self.grant_life() { grant & u64::from(u32::MAX) } else { 0 }
    }

    #[inline(always)]
    fn held(&self, handle: Handle, call: Call) -> Result<Capability, No> {
        self.state.table.get(handle).copied().ok_or_else(|| not_held(handle, call))
    }

    #[inline(always)]
    fn look_up(&self, memory: &[u8], parcel: &Parcel, call: Call) -> Result<Passed, No> {
        // Most messages carry none.
        if parcel.handles.len == 0 { Ok(Passed::new()) } else { self.look_up_some(memory, parcel, call) }
    }

    fn look_up_some(&self, memory: &[u8], parcel: &Parcel, call: Call) -> Result<Passed, No> {
        let words = parcel.handles.words(memory, limits::MESSAGE_HANDLES_MAX, call, "handles")?;
        let mut passed = Passed::new();
        for handle in words.map(Handle) {
            let capability = self.held(handle, call)?;
            if capability.kind == CapKind::Reply && passed.iter().any(|(other, _)| *other == handle) {
                return misuse(format!("`{}` was given the reply {} twice", call.name(), shown(handle)));
            }
            passed.push((handle, capability));
        }
        Ok(passed)
    }

    #[inline(always)]
    fn writable(&self) -> Result<(), No> {
        if self.query { Err(READ_ONLY.into()) } else { Ok(()) }
    }

    #[inline(always)]
    fn need(&self, right: Rights, target: &Capability) -> Result<(), No> {
        self.writable()?;
        if target.rights.contains(right) { Ok(()) } else { Err(DENIED.into()) }
    }

    #[inline(always)]
    fn may_pass(&self, passed: &Passed) -> Result<(), No> {
        if passed.iter().all(|(_, c)| c.rights.contains(Rights::SHARE)) { Ok(()) } else { Err(DENIED.into()) }
    }

    #[inline(always)]
    fn room_for(&self, bytes: usize) -> Result<(), No> {
        let fits = self.asked < limits::EFFECTS_MAX && self.asked_bytes + bytes <= limits::EFFECT_BYTES_MAX;
        if fits { Ok(()) } else { Err(LIMIT.into()) }
    }

    /// Takes handles along: reply handles move, one's own carries no more than a peer's rights.
    #[inline(always)]
    fn take(&mut self, passed: &Passed) -> Handles {
        if passed.is_empty() {
            return Handles::new();
        }
        self.take_some(passed)
    }

    fn take_some(&mut self, passed: &Passed) -> Handles {
        let home = self.state.home;
        let taken = passed.iter().map(|(handle, capability)| {
            if capability.kind == CapKind::Reply {
                self.state.table.remove(*handle);
            }
            let own = capability.kind == CapKind::Actor && capability.address == home;
            if own { capability.masked(Rights::PEER) } else { *capability }
        });
        taken.collect()
    }

    fn given(&self, kind: Kind, id: i64, call: Call) -> Result<u64, No> {
        match u64::try_from(id) {
            Ok(id) if self.state.table.was_opened(kind, id) => Ok(id),
            _ => misuse(format!("`{}` was given the id {id}, which this actor was never given", call.name())),
        }
    }

    #[inline]
    fn ask(&mut self, effect: Effect) {
        self.ask_with(0, effect);
    }

    /// The same of an effect with so many bytes of body.
    #[inline(always)]
    fn ask_with(&mut self, bytes: usize, effect: Effect) {
        self.asked += 1;
        self.asked_bytes += bytes;
        self.effects.push(effect);
    }
}

impl Parcel {
    #[inline(always)]
    fn body<'m>(&self, memory: &'m [u8], call: Call) -> Result<&'m [u8], No> {
        self.body.bytes(memory, limits::MESSAGE_BYTES_MAX, call, "a body")
    }
}

#[inline]
fn delay(ns: i64, call: Call) -> Result<u64, No> {
    match u64::try_from(ns) {
        Ok(ns) if ns <= limits::DELAY_NS_MAX => Ok(ns),
        _ => misuse(format!("`{}` was given {ns} nanoseconds; it takes 0 to {}", call.name(), limits::DELAY_NS_MAX)),
    }
}

#[cold]
fn not_held(handle: Handle, call: Call) -> No {
    let sentence = format!("`{}` was given {}, which the actor does not hold", call.name(), shown(handle));
    No::Stop(Box::new(Stop::Misuse(sentence)))
}

/// `handle 5`, or with its generation `handle 5.3`.
fn shown(handle: Handle) -> String {
    match handle.generation() {
        _ if handle == Handle::NONE => "no handle (4294967295)".into(),
        0 => format!("handle {}", handle.slot()),
        generation => format!("handle {}.{generation}", handle.slot()),
    }
}
