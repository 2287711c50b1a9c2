//! What each effect does, and what an end does to everybody else.

use pando_abi::{event::flags, exit::ExitRecord};

use super::*;

impl Model {
    /// One effect of an actor.
    pub(super) fn carry_out(&mut self, by: ActorId, effect: Effect) {
        let from = Address::actor(NODE, by);
        match effect {
            Effect::Send { to, delivery } => {
                let Delivery { grant, badge, message, .. } = *delivery;
                let letter = Letter { from, badge, message, ..Letter::system(EventKind::Message, 0, 0) };
                self.deliver(Capability { grant, ..Capability::actor(to, Rights::SEND) }, letter);
            }
            Effect::Call { to, token, deadline_ns, delivery } => {
                let Delivery { grant, badge, flags, message, .. } = *delivery;
                self.cell(by).calls.insert(token);
                if deadline_ns > 0 {
                    self.at(deadline_ns, Due::Deadline(by, token));
                }
                let letter = Letter {
                    from,
                    badge,
                    query: flags & call_flags::QUERY != 0,
                    reply: Some(Capability::reply(from, token)),
                    message,
                    ..Letter::system(EventKind::Message, 0, 0)
                };
                self.deliver(Capability { grant, ..Capability::actor(to, Rights::SEND) }, letter);
            }
            Effect::Reply { to, status, message } => self.answer(to, status, *message),
            Effect::Spawn(spawn) => {
                let Spawn { child, spec, args, handles, parent, realm } = *spawn;
                self.give_birth(child, spec, Message { body: args, handles }, parent, realm);
            }
            Effect::Kill { target } => {
                if self.is_alive(target) {
                    self.end_of(target.address.id, Exit::new(ExitKind::Killed, ""));
                }
            }
            Effect::Link { target } if target.address.id == by => {}
            Effect::Link { target } => match self.ended(target) {
                None => {
                    self.cell(by).links.insert(target.address.id);
                    self.cell(target.address.id).links.insert(by);
                }
                Some(exit) if exit.kind.takes_links() => self.end_of(by, linked(target.address.id, exit.kind)),
                Some(_) => {}
            },
            Effect::Unlink { target } => {
                self.cell(by).links.remove(&target.address.id);
                if let Some(cell) = self.cells.get_mut(&target.address.id) {
                    cell.links.remove(&by);
                }
            }
            Effect::Monitor { id, target } => {
                self.cell(by).monitors.insert(id);
                match self.ended(target) {
                    None => self.cell(target.address.id).watchers.push((by, id)),
                    Some(exit) => self.push_system(by, down(id, &exit)),
                }
            }
            Effect::Demonitor { id } => _ = self.cell(by).monitors.remove(&id),
            Effect::Timer { id, delay_ns } => {
                self.cell(by).timers.insert(id);
                self.at(delay_ns, Due::Timer(by, id));
            }
            Effect::Cancel { id } => _ = self.cell(by).timers.remove(&id),
            Effect::Grant { grant, .. } => _ = self.cell(by).grants.insert(grant),
            Effect::Revoke { grant } => _ = self.cell(by).grants.remove(&grant),
            Effect::Log { text, .. } => self.lines.push(text),
        }
    }

    fn at(&mut self, delay_ns: u64, due: Due) {
        let key = (self.now_ns + delay_ns, self.next());
        self.due.insert(key, due);
    }

    /// Puts a letter in its target's mailbox, or tells its sender why not.
    pub(super) fn deliver(&mut self, target: Capability, letter: Letter) {
        if target.address.home == pando_abi::Home::Service {
            // The model has no services: what is sent to them is lost, what is called there is refused.
            if letter.reply.is_some() {
                self.undeliverable(&letter, Errno::REFUSED);
            }
            return;
        }
        if !self.is_alive(target) {
            return self.undeliverable(&letter, Errno::DEAD);
        }
        let id = target.address.id;
        if target.grant != 0 && !self.cell(id).grants.contains(&target.grant) {
            return self.undeliverable(&letter, Errno::REVOKED);
        }
        if let Err(letter) = self.push(id, letter) {
            self.undeliverable(&letter, Errno::FULL);
        }
    }

    fn is_alive(&self, target: Capability) -> bool {
        target.address.node == NODE && self.cells.get(&target.address.id).is_some_and(|c| c.actor.is_some())
    }

    /// How a target has ended, if it has or never was.
    fn ended(&self, target: Capability) -> Option<Exit> {
        match self.cells.get(&target.address.id) {
            Some(cell) => cell.ended.clone(),
            None => Some(Exit::new(ExitKind::NoActor, "there is no such actor")),
        }
    }

    fn give_birth(
        &mut self,
        child: Address,
        spec: SpawnSpec,
        start: Message,
        parent: Capability,
        realm: Option<Capability>,
    ) {
        let or = |value: u64, default: u64| if value == 0 { default } else { value };
        let limits = Limits {
            memory_bytes: or(spec.memory_bytes, Limits::default().memory_bytes),
            handler_ms: or(spec.handler_ms.into(), HANDLER_MS_DEFAULT),
            fuel: Limits::default().fuel,
        };
        let restart = Restart::from_u8(spec.restart).unwrap_or_default();
        let birth = Birth {
            id: child.id,
            home: child,
            parent,
            realm,
            node: NODE,
            replicas: 0,
            undo: restart == Restart::Resume,
        };
        let born = match self.modules.get(&ModuleHash(spec.module)) {
            _ if child.node != NODE => Err(Exit::new(ExitKind::NoActor, "there is no such node")),
            None => Err(Exit::new(ExitKind::BadModule, "no such module in the realm")),
            Some(wasm) => match self.machine.engine.load(wasm, Class::Plain) {
                Ok(module) => Actor::new(&module, limits, birth),
                Err(refusal) => Err(Exit::new(ExitKind::BadModule, refusal.to_string())),
            },
        };
        let (actor, ended) = match born {
            Ok(actor) => (Some(actor), None),
            Err(exit) => (None, Some(exit)),
        };
        let cell = Cell {
            actor,
            ended,
            restart,
            handler_ms: limits.handler_ms,
            mailbox: Mailbox::default(),
            links: BTreeSet::new(),
            watchers: Vec::new(),
            monitors: BTreeSet::new(),
            timers: BTreeSet::new(),
            calls: BTreeSet::new(),
            grants: BTreeSet::new(),
            bounced: (0, 0),
        };
        self.cells.insert(child.id, cell);
        self.push_system(child.id, Letter { message: start, ..Letter::system(EventKind::Start, 0, 0) });
    }

    /// An actor ends: whoever waits for it, watches it or is tied to it is told.
    pub(super) fn end_of(&mut self, id: ActorId, exit: Exit) {
        let cell = self.cell(id);
        let Some(actor) = cell.actor.take() else { return };
        cell.ended = Some(exit.clone());
        let (links, watchers) = (std::mem::take(&mut cell.links), std::mem::take(&mut cell.watchers));
        let mut waiting = Vec::new();
        cell.mailbox.pop_batch(&mut waiting, usize::MAX);
        for capability in actor.live_capabilities().filter(|c| c.kind == CapKind::Reply) {
            self.answer(ReplyTo::of(&capability), Errno::DEAD.code(), Message::default());
        }
        for letter in waiting.iter().filter(|l| l.kind == EventKind::Message) {
            self.undeliverable(letter, Errno::DEAD);
        }
        for (watcher, monitor) in watchers {
            if self.cell(watcher).monitors.contains(&monitor) {
                self.push_system(watcher, down(monitor, &exit));
            }
        }
        for other in links {
            self.cell(other).links.remove(&id);
            if exit.kind.takes_links() {
                self.end_of(other, linked(id, exit.kind));
            } else {
                let letter = down(0, &exit);
                self.push_system(other, Letter { flags: flags::LINK, ..letter });
            }
        }
    }
}

fn linked(id: ActorId, kind: ExitKind) -> Exit {
    Exit::new(ExitKind::Linked, format!("{id:.8} ended: {}", kind.name()))
}

fn down(monitor: u64, exit: &Exit) -> Letter {
    let mut body = ExitRecord { kind: exit.kind as u16, reserved: 0, code: exit.code }.to_bytes().to_vec();
    body.extend_from_slice(exit.message.as_bytes());
    Letter { message: Message::bytes(&body), ..Letter::system(EventKind::Down, monitor, 0) }
}
