//! What a command does to the state: the one match.
//!
//! Owns: every change of the state. Does not know: where a command comes from, or who hears its outcome.
//!
//! 1. Everything is checked before anything is changed.
//! 2. A command that finds things as it wants them is done, and changes nothing.

use std::{collections::BTreeSet, net::SocketAddr};

use pando_abi::planted::{Bug, planted};
use pando_abi::{ActorId, Address, Errno, ExitKind, ModuleHash, NodeId, limits};
use pando_raft::Entry;

use super::{
    Root,
    command::{Founder, NewGroup, Refusal, RootCommand, RootOutcome},
    dedupe::{Kept, Key},
    rows::{
        ARGS_BYTES_MAX, EARLIER_MAX, ENDED_MESSAGE_BYTES_MAX, Ended, GROUPS_MAX, GroupRecord, MODULES_MAX, MemberEntry,
        ModuleEntry, NameEntry, Role, Standing, USERS_MAX, UserEntry,
    },
    rules::{check_new, refuse, refuse_group, refuse_node, shown},
};
use crate::place;

pub(super) struct Step {
    pub outcome: RootOutcome,
    pub changed: bool,
}

impl Step {
    pub const SAME: Step = Step { outcome: RootOutcome::Done, changed: false };
    pub const CHANGED: Step = Step { outcome: RootOutcome::Done, changed: true };

    pub fn group(record: &GroupRecord, changed: bool) -> Step {
        Step { outcome: RootOutcome::Group { record: Box::new(record.clone()) }, changed }
    }
}

pub(super) type Answer = Result<Step, Refusal>;

impl Root {
    /// Applies one entry of the log. A key that was seen before gets its first outcome again (of a group: its record as
    /// it is now, or `DEAD`), whatever its payload.
    pub fn apply(&mut self, index: u64, entry: &Entry) -> RootOutcome {
        let key = Key::of(entry);
        if let Some(kept) = self.seen.get(&key) {
            return self.again(kept);
        }
        let Ok(command) = RootCommand::decode(&entry.payload) else {
            let mend = "check that all nodes run the same version of pando";
            return Refusal::new(Errno::BAD_REQUEST, "the root group does not understand the command", mend).into();
        };
        let outcome = self.command(index, command);
        self.seen.put(key, Kept::of(&outcome));
        outcome
    }

    /// Applies one command, however often it came before.
    pub fn command(&mut self, index: u64, command: RootCommand) -> RootOutcome {
        match self.decide(index, command) {
            Ok(step) => {
                self.version += step.changed as u64;
                step.outcome
            }
            Err(refusal) => refusal.into(),
        }
    }

    fn again(&self, kept: &Kept) -> RootOutcome {
        match kept {
            Kept::Done => RootOutcome::Done,
            Kept::Member(node) => RootOutcome::Member { node: *node },
            Kept::Group(id) => match self.groups.get(id) {
                Some(record) => RootOutcome::Group { record: Box::new(record.clone()) },
                None => self.gone(*id).into(),
            },
            Kept::Refused { errno, text, mend } => {
                RootOutcome::Refused { errno: *errno, text: text.clone(), mend: mend.clone() }
            }
        }
    }

    fn decide(&mut self, index: u64, command: RootCommand) -> Answer {
        if let RootCommand::Found { members, users } = command {
            return self.found(index, members, users);
        }
        if self.founded.is_none() {
            return refuse(
                Errno::REFUSED,
                "the realm is not founded yet",
                "wait until a majority of its first nodes is up",
            );
        }
        match command {
            RootCommand::Found { .. } => Ok(Step::SAME),
            RootCommand::SetAddr { node, addr } => self.set_addr(node, addr),
            RootCommand::AddMember { key, addr, role } => self.add_member(index, key, addr, role),
            RootCommand::RemoveMember { node, alive, lost } => self.remove_member(index, node, &alive, lost),
            RootCommand::ForgetMember { node } => self.forget_member(node),
            RootCommand::Begin { node, life } => self.begin(node, life),
            RootCommand::AddTicket { key, expires_ns, now_ns } => self.add_ticket(key, expires_ns, now_ns),
            RootCommand::Admit { ticket, key, addr, now_ns } => self.admit(index, &ticket, key, addr, now_ns),
            RootCommand::Drain { node, drained } => self.drain(node, drained),
            RootCommand::MarkAway { node, away } => self.mark_away(node, away),
            RootCommand::SetReplaceAfter { ms } => self.set_replace_after(ms),
            RootCommand::AddUser { key } => self.add_user(index, key),
            RootCommand::RegisterName { name, address, module } => self.register(name, address, module),
            RootCommand::UnregisterName { name, holder } => self.unregister(&name, holder),
            RootCommand::UnregisterAddress { address } => {
                Ok(if self.take_names_of(address) { Step::CHANGED } else { Step::SAME })
            }
            RootCommand::PutModule { hash, label, size } => self.put_module(index, hash, label, size),
            RootCommand::CreateGroup { group, replicas, preferred, alive, name } => {
                self.create_group(index, *group, replicas, &preferred, &alive, name)
            }
            RootCommand::EndGroup { id, kind, code, message } => self.end_group(index, id, kind, code, message),
            RootCommand::SetModule { id, module, epoch } => self.set_module(id, module, epoch),
            RootCommand::SetVoters { id, voters } => self.set_voters(id, voters),
            RootCommand::Reseat { id, add, remove } => self.reseat(id, &add, &remove),
            RootCommand::Seated { id, voters, at } => self.seated(id, voters, at),
            RootCommand::Mend { alive } => self.mend(&alive),
            RootCommand::MoveActor { to, from, before } => self.move_actor(to, from, before),
            RootCommand::EndMoved { address, mark } => self.end_moved(address, mark),
            RootCommand::ForgetMove { address, mark } => self.forget_move(address, mark),
        }
    }

    fn found(&mut self, index: u64, mut members: Vec<Founder>, users: Vec<[u8; 32]>) -> Answer {
        members.sort_unstable_by_key(|member| member.node);
        let users: BTreeSet<[u8; 32]> = users.into_iter().collect();
        let keys: BTreeSet<[u8; 32]> = members.iter().map(|member| member.key).collect();
        let twice = members.array_windows().any(|[a, b]| a.node == b.node) || keys.len() != members.len();
        let (Some(first), Some(last)) = (members.first(), members.last()) else {
            return refuse(Errno::BAD_REQUEST, "a realm needs a first node", "found it with one node or more");
        };
        if twice || first.node == NodeId::NONE || last.node.0 == u32::MAX {
            return refuse(Errno::BAD_REQUEST, "the first nodes need numbers from 1 up and keys, none twice", "");
        }
        if members.len() > limits::NODES_MAX || users.len() > USERS_MAX {
            let text = format!("a realm has at most {} nodes and {USERS_MAX} users", limits::NODES_MAX);
            return refuse(Errno::LIMIT, text, "found it with fewer");
        }
        // Not the addresses: they are only where to knock first.
        let mut hash = blake3::Hasher::new_derive_key("pando root group founding 1");
        hash.update(&(members.len() as u32).to_le_bytes());
        for member in &members {
            hash.update(&member.node.0.to_le_bytes());
            hash.update(&member.key);
        }
        for key in &users {
            hash.update(key);
        }
        let founding = *hash.finalize().as_bytes();
        if let Some(founded) = self.founded {
            if founded == founding {
                return Ok(Step::SAME);
            }
            let mend = "this node's folder belongs to another founding: join with a new folder";
            return refuse(Errno::EXISTS, "the realm was founded with other members", mend);
        }
        self.founded = Some(founding);
        self.next_node = last.node.0 + 1;
        for Founder { node, key, addr } in members {
            self.members.put(MemberEntry {
                node,
                key,
                addr,
                role: Role::Voter,
                standing: Standing::Present,
                joined_at: index,
                begun: 0,
            });
        }
        for key in users {
            self.users.put(UserEntry { key, added_at: index });
        }
        Ok(Step::CHANGED)
    }

    pub(super) fn set_addr(&mut self, node: NodeId, addr: SocketAddr) -> Answer {
        let Some(member) = self.members.get(&node) else { return refuse_node(node) };
        if member.addr == addr {
            return Ok(Step::SAME);
        }
        let member = MemberEntry { addr, ..member.clone() };
        self.members.put(member);
        Ok(Step::CHANGED)
    }

    fn add_user(&mut self, index: u64, key: [u8; 32]) -> Answer {
        if self.users.has(&key) {
            return Ok(Step::SAME);
        }
        if self.users.len() >= USERS_MAX {
            return refuse(Errno::LIMIT, format!("the realm has {USERS_MAX} users, and no more fit"), "");
        }
        self.users.put(UserEntry { key, added_at: index });
        Ok(Step::CHANGED)
    }

    fn register(&mut self, name: String, address: Address, module: ModuleHash) -> Answer {
        self.check_holder(address)?;
        if !planted(Bug::NameTaken) {
            self.check_name(&name, address)?;
        }
        let entry = NameEntry { name, address, module };
        if self.names.get(entry.name.as_str()) == Some(&entry) {
            return Ok(Step::SAME);
        }
        self.put_name(entry);
        Ok(Step::CHANGED)
    }

    fn unregister(&mut self, name: &str, holder: Option<Address>) -> Answer {
        let Some(entry) = self.names.get(name) else {
            return refuse(
                Errno::NOT_FOUND,
                format!("nothing is named `{}`", shown(name)),
                "`names` shows what is named",
            );
        };
        if holder.is_some_and(|holder| holder != entry.address) {
            let text = format!("`{name}` is the name of {}", entry.address);
            return refuse(Errno::DENIED, text, "only its holder can give it up");
        }
        self.take_name(name);
        Ok(Step::CHANGED)
    }

    fn put_module(&mut self, index: u64, hash: ModuleHash, label: String, size: u64) -> Answer {
        let label_is_valid = label.len() <= limits::NAME_BYTES_MAX && !label.chars().any(char::is_control);
        if !label_is_valid || hash == ModuleHash::default() || size == 0 {
            let mend = format!("give it at most {} bytes of printable text as a label", limits::NAME_BYTES_MAX);
            return refuse(Errno::BAD_REQUEST, "a module needs a hash, a size and a label that can be shown", mend);
        }
        if size > limits::MODULE_BYTES_MAX as u64 {
            let text = format!("the module has {size} bytes, and at most {} are taken", limits::MODULE_BYTES_MAX);
            return refuse(Errno::LIMIT, text, "build it with `opt-level = \"z\"` and `strip = true`");
        }
        match self.modules.get(&hash) {
            Some(known) if known.size != size => {
                let text = format!("module {hash:.8} has {} bytes, not {size}", known.size);
                return refuse(Errno::BAD_REQUEST, text, "hash the bytes again");
            }
            // Whoever has no name for it does not take away the one it has.
            Some(_) if label.is_empty() => return Ok(Step::SAME),
            None if self.modules.len() >= MODULES_MAX => {
                return refuse(Errno::LIMIT, format!("the realm has {MODULES_MAX} modules, and no more fit"), "");
            }
            _ => {}
        }
        if self.module_by_label(&label).is_some_and(|module| module.hash == hash) {
            return Ok(Step::SAME);
        }
        self.modules.put(ModuleEntry { hash, label, size, put_at: index });
        Ok(Step::CHANGED)
    }

    fn create_group(
        &mut self,
        index: u64,
        group: NewGroup,
        replicas: u8,
        preferred: &[u32],
        alive: &[u32],
        name: Option<String>,
    ) -> Answer {
        let address = Address::group(group.id);
        if let Some(known) = self.groups.get(&group.id) {
            // It may run another module by now.
            if known.modules().first() != Some(&group.module) || known.parent != group.parent {
                return refuse(Errno::EXISTS, format!("{address} is another group"), "");
            }
            return Ok(Step::group(known, false));
        }
        if self.ended.has(&group.id) {
            return Err(self.gone(group.id));
        }
        check_new(&group, replicas, preferred.len().max(alive.len()))?;
        if !self.modules.has(&group.module) {
            let text = format!("no module {:.8} is in the realm", group.module);
            return refuse(Errno::NO_MODULE, text, "put it there first");
        }
        if let Some(name) = &name {
            self.check_name(name, address)?;
        }
        if self.groups.len() >= GROUPS_MAX || self.index.args_bytes() + group.args.len() > ARGS_BYTES_MAX {
            let text = format!(
                "the realm holds {} groups with {} bytes of arguments, and no more fit",
                self.groups.len(),
                self.index.args_bytes()
            );
            return refuse(Errno::LIMIT, text, "end groups that are not needed, or send large arguments as messages");
        }
        let voters = self.choose(group.id, replicas, preferred, alive)?;
        let NewGroup { id, module, spec, args, handles, parent, realm } = group;
        let record = GroupRecord {
            id,
            module,
            spec,
            args,
            handles,
            parent,
            realm,
            replicas,
            wanted: voters.clone(),
            voters,
            seated_at: 0,
            created_at: index,
            epoch: 1,
            earlier: Vec::new(),
            ended: None,
        };
        let step = Step::group(&record, true);
        self.put_group(record);
        if let Some(name) = name {
            self.put_name(NameEntry { name, address, module });
        }
        Ok(step)
    }

    fn choose(&self, id: ActorId, replicas: u8, preferred: &[u32], alive: &[u32]) -> Result<Vec<u32>, Refusal> {
        let preferred: Vec<NodeId> = preferred.iter().map(|node| NodeId(*node)).collect();
        let seats = self.places(alive, &[]);
        let voters = place::place(id, usize::from(replicas), &seats, &preferred).map_err(|shortage| {
            let mend = match shortage.fit.len() {
                0 => "start a node".to_owned(),
                n => format!("start another node, or ask for {n} replicas or fewer"),
            };
            Refusal::new(Errno::REFUSED, shortage.to_string(), mend)
        })?;
        Ok(voters.into_iter().map(|node| node.0).collect())
    }

    fn end_group(&mut self, index: u64, id: ActorId, kind: u16, code: i32, mut message: String) -> Answer {
        if !self.groups.has(&id) {
            // The first end is the one that counts.
            return if self.ended.has(&id) { Ok(Step::SAME) } else { refuse_group(id) };
        }
        if ExitKind::from_u16(kind).is_none() {
            return refuse(Errno::BAD_REQUEST, format!("{kind} is no way to end"), "");
        }
        message.truncate(message.floor_char_boundary(ENDED_MESSAGE_BYTES_MAX));
        self.take_names_of(Address::group(id));
        self.bury_group(id, Ended { kind, code, message, at: index });
        Ok(Step::CHANGED)
    }

    fn set_module(&mut self, id: ActorId, module: ModuleHash, epoch: u32) -> Answer {
        let Some(group) = self.groups.get(&id) else {
            return if self.ended.has(&id) { Err(self.gone(id)) } else { refuse_group(id) };
        };
        if !self.modules.has(&module) {
            let text = format!("no module {module:.8} is in the realm");
            return refuse(Errno::NO_MODULE, text, "put it there first");
        }
        if epoch <= group.epoch {
            return Ok(Step::group(group, false));
        }
        let mut record = GroupRecord { module, epoch, ..group.clone() };
        record.earlier.push(group.module.0);
        // The first one stays: by it the group is known when its creation is asked for again.
        let surplus = record.earlier.len().saturating_sub(EARLIER_MAX);
        record.earlier.drain(1..1 + surplus);
        let (step, address) = (Step::group(&record, true), record.address());
        self.put_group(record);
        let names: Vec<String> = self.names_of(address).map(str::to_owned).collect();
        for name in names {
            self.put_name(NameEntry { name, address, module });
        }
        Ok(step)
    }
}
