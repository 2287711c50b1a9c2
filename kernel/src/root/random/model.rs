//! The same rules, told another way.

use std::collections::{BTreeMap, BTreeSet};

use pando_abi::{ActorId, Address, Errno, ModuleHash, NodeId};

use crate::root::{promises::key, *};

#[derive(Clone, Debug)]
struct ModelGroup {
    /// The one that it was created with.
    module: ModuleHash,
    running: (u32, ModuleHash),
    voters: BTreeSet<u32>,
    wanted: BTreeSet<u32>,
    replicas: usize,
    seated_at: u64,
    alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct ModelMember {
    key: [u8; 32],
    port: u16,
    votes: bool,
    standing: Standing,
    begun: u64,
}

/// The same rules, told another way. Where voters are chosen it takes the root's word and checks it.
#[derive(Default, Debug)]
pub struct Model {
    founded: u32,
    numbers: u32,
    members: BTreeMap<u32, ModelMember>,
    users: BTreeSet<[u8; 32]>,
    /// Until when, and who came with it.
    tickets: BTreeMap<[u8; 32], (u64, u32)>,
    names: BTreeMap<String, Address>,
    labels: Vec<(ModuleHash, String)>,
    groups: BTreeMap<ActorId, ModelGroup>,
    /// Node, via, mark.
    moved: BTreeMap<Address, (u32, u32, u64)>,
}

impl Model {
    fn holder(&self, address: Address) -> Result<(), Errno> {
        if address.home == pando_abi::Home::Group {
            return match self.groups.get(&address.id) {
                Some(group) if group.alive => Ok(()),
                Some(_) => Err(Errno::DEAD),
                None => Err(Errno::NOT_FOUND),
            };
        }
        match address.node.0 {
            0 => Err(Errno::BAD_REQUEST),
            _ if self.moved.contains_key(&address) => Ok(()),
            n if self.members.contains_key(&n) => Ok(()),
            _ => Err(Errno::NOT_FOUND),
        }
    }

    fn name(&self, name: &str, address: Address) -> Result<(), Errno> {
        if name.contains(' ') {
            return Err(Errno::BAD_REQUEST);
        }
        if self.names.get(name).is_some_and(|holder| *holder != address) { Err(Errno::EXISTS) } else { Ok(()) }
    }

    fn placeable(&self, node: u32) -> bool {
        self.members.get(&node).is_some_and(|m| m.votes && m.standing == Standing::Present)
    }

    fn holds(&self, node: u32) -> bool {
        self.groups.values().any(|g| g.alive && (g.voters.contains(&node) || g.wanted.contains(&node)))
    }

    fn admit(&mut self, key: [u8; 32], port: u16, votes: bool) -> u32 {
        self.numbers += 1;
        self.members.insert(self.numbers, ModelMember { key, port, votes, standing: Standing::Present, begun: 0 });
        self.numbers
    }

    fn live(&self, id: &ActorId) -> Result<&ModelGroup, Errno> {
        let group = self.groups.get(id).ok_or(Errno::NOT_FOUND)?;
        if group.alive { Ok(group) } else { Err(Errno::DEAD) }
    }

    /// May these hold a group that `before` shall hold now?
    fn may_hold(&self, set: &BTreeSet<u32>, before: &BTreeSet<u32>) -> Result<(), Errno> {
        for node in set {
            match self.members.get(node) {
                None => return Err(Errno::NOT_FOUND),
                Some(member) if !member.votes => return Err(Errno::REFUSED),
                Some(_) if !before.contains(node) && !self.placeable(*node) => return Err(Errno::REFUSED),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// What the command should come to.
    pub fn step(&mut self, command: &RootCommand, outcome: &RootOutcome) -> Result<(), Errno> {
        if let RootCommand::Found { members, users } = command {
            if self.founded > 0 {
                return if self.founded == members.len() as u32 { Ok(()) } else { Err(Errno::EXISTS) };
            }
            self.founded = members.len() as u32;
            self.numbers = self.founded;
            let member = |m: &Founder| ModelMember {
                key: m.key,
                port: m.addr.port(),
                votes: true,
                standing: Standing::Present,
                begun: 0,
            };
            self.members = members.iter().map(|m| (m.node.0, member(m))).collect();
            self.users = users.iter().copied().collect();
            return Ok(());
        }
        if self.founded == 0 {
            return Err(Errno::REFUSED);
        }
        match command {
            RootCommand::Found { .. } => {}
            RootCommand::SetAddr { node, addr } => {
                self.members.get_mut(&node.0).ok_or(Errno::NOT_FOUND)?.port = addr.port();
            }
            RootCommand::AddMember { key, addr, role } => {
                let voter = *role == Role::Voter;
                let known = self.members.iter_mut().find(|(_, member)| member.key == *key);
                let node = match known {
                    Some((_, member)) if member.votes != voter => return Err(Errno::EXISTS),
                    Some((node, member)) => {
                        member.port = addr.port();
                        *node
                    }
                    None => self.admit(*key, addr.port(), voter),
                };
                assert_eq!(*outcome, RootOutcome::Member { node: NodeId(node) });
            }
            RootCommand::RemoveMember { node, alive, lost } => {
                if !self.members.contains_key(&node.0) {
                    return if (1..=self.numbers).contains(&node.0) { Ok(()) } else { Err(Errno::NOT_FOUND) };
                }
                let stays =
                    |n: &u32| *n != node.0 && self.members.get(n).is_some_and(|m| m.standing != Standing::Leaving);
                if !self.members.iter().any(|(n, m)| stays(n) && m.votes) {
                    return Err(Errno::REFUSED);
                }
                let leaves = self.members[&node.0].standing == Standing::Leaving;
                if !leaves && alive.contains(&node.0) && self.holds(node.0) {
                    return Err(Errno::REFUSED);
                }
                let over: Vec<ActorId> = self
                    .groups
                    .iter()
                    .filter(|(_, g)| g.alive && g.voters.contains(&node.0))
                    .filter(|(_, g)| g.voters.iter().filter(|n| stays(n)).count() < g.voters.len() / 2 + 1)
                    .map(|(id, _)| *id)
                    .collect();
                if !over.is_empty() && !lost {
                    return Err(Errno::REFUSED);
                }
                for id in over {
                    self.end(&id);
                }
                if let Some(member) = self.members.get_mut(&node.0) {
                    member.standing = Standing::Leaving;
                }
            }
            RootCommand::ForgetMember { node } => {
                let Some(member) = self.members.get(&node.0) else {
                    return if (1..=self.numbers).contains(&node.0) { Ok(()) } else { Err(Errno::NOT_FOUND) };
                };
                if member.standing != Standing::Leaving || self.holds(node.0) {
                    return Err(Errno::REFUSED);
                }
                self.members.remove(&node.0);
                let moved = self.moved.clone();
                let lives = |holder: &Address| moved.get(holder).map_or(holder.node.0, |row| row.0);
                self.names.retain(|_, holder| lives(holder) != node.0);
                self.moved.retain(|_, row| row.0 != node.0);
                self.tickets.retain(|_, (_, used)| *used != node.0);
            }
            RootCommand::Drain { node, drained } => {
                let others = self.members.iter().filter(|(n, m)| **n != node.0 && m.votes);
                let others = others.filter(|(_, m)| m.standing <= Standing::Away).count();
                let member = self.members.get_mut(&node.0).ok_or(Errno::NOT_FOUND)?;
                member.standing = match (member.standing, drained) {
                    (Standing::Leaving, false) => return Err(Errno::REFUSED),
                    (Standing::Present | Standing::Away, true) if others == 0 => return Err(Errno::REFUSED),
                    (Standing::Present | Standing::Away, true) => Standing::Drained,
                    (Standing::Drained, false) => Standing::Present,
                    (same, _) => same,
                };
            }
            RootCommand::MarkAway { node, away } => {
                let member = self.members.get_mut(&node.0).ok_or(Errno::NOT_FOUND)?;
                member.standing = match (member.standing, away) {
                    (Standing::Present, true) => Standing::Away,
                    (Standing::Away, false) => Standing::Present,
                    (same, _) => same,
                };
            }
            RootCommand::SetReplaceAfter { .. } => {}
            RootCommand::Begin { node, life } => {
                let member = self.members.get_mut(&node.0).ok_or(Errno::NOT_FOUND)?;
                match (member.begun, *life) {
                    (_, 0) => return Err(Errno::BAD_REQUEST),
                    (0, life) => member.begun = life,
                    (begun, life) if begun != life => return Err(Errno::EXISTS),
                    _ => {}
                }
            }
            RootCommand::AddTicket { key, expires_ns, now_ns } => {
                if self.tickets.contains_key(key) {
                    return Ok(());
                }
                if self.users.contains(key) || self.members.values().any(|m| m.key == *key) {
                    return Err(Errno::EXISTS);
                }
                self.tickets.retain(|_, (until, _)| *until > *now_ns);
                self.tickets.insert(*key, (*expires_ns, 0));
            }
            RootCommand::Admit { ticket, key, addr, now_ns } => {
                let (until, used) = *self.tickets.get(ticket).ok_or(Errno::DENIED)?;
                let node = match used {
                    0 if until <= *now_ns => return Err(Errno::DENIED),
                    0 if self.members.values().any(|m| m.key == *key) => return Err(Errno::EXISTS),
                    0 if self.users.contains(key) || self.tickets.contains_key(key) => return Err(Errno::EXISTS),
                    0 => self.admit(*key, addr.port(), true),
                    used if self.members.get(&used).is_some_and(|m| m.key == *key) => used,
                    _ => return Err(Errno::DENIED),
                };
                self.tickets.insert(*ticket, (until, node));
                assert_eq!(*outcome, RootOutcome::Member { node: NodeId(node) });
            }
            RootCommand::AddUser { key } => {
                self.users.insert(*key);
            }
            RootCommand::RegisterName { name, address, .. } => {
                self.holder(*address)?;
                self.name(name, *address)?;
                self.names.insert(name.clone(), *address);
            }
            RootCommand::UnregisterName { name, holder } => {
                let held = self.names.get(name).ok_or(Errno::NOT_FOUND)?;
                if holder.is_some_and(|holder| holder != *held) {
                    return Err(Errno::DENIED);
                }
                self.names.remove(name);
            }
            RootCommand::UnregisterAddress { address } => self.names.retain(|_, holder| holder != address),
            RootCommand::PutModule { hash, label, .. } => {
                if hash.0 == [0; 32] {
                    return Err(Errno::BAD_REQUEST);
                }
                let at = self.labels.iter().position(|(known, _)| known == hash);
                match at {
                    Some(_) if label.is_empty() => {}
                    Some(at) => {
                        self.labels.remove(at);
                        self.labels.push((*hash, label.clone()));
                    }
                    None => self.labels.push((*hash, label.clone())),
                }
            }
            RootCommand::CreateGroup { group, replicas, preferred, alive, name } => {
                match self.groups.get(&group.id) {
                    Some(known) if !known.alive => return Err(Errno::DEAD),
                    Some(known) if known.module != group.module => return Err(Errno::EXISTS),
                    Some(_) => return Ok(()),
                    None => {}
                }
                if *replicas == 0 {
                    return Err(Errno::BAD_REQUEST);
                }
                if !self.labels.iter().any(|(hash, _)| *hash == group.module) {
                    return Err(Errno::NO_MODULE);
                }
                if let Some(name) = name {
                    self.name(name, Address::group(group.id))?;
                }
                let fit: BTreeSet<u32> = alive.iter().copied().filter(|node| self.placeable(*node)).collect();
                if fit.len() < usize::from(*replicas) {
                    return Err(Errno::REFUSED);
                }
                let RootOutcome::Group { record } = outcome else { panic!("{outcome:?}") };
                let voters: BTreeSet<u32> = record.voters.iter().copied().collect();
                assert!(voters.len() == usize::from(*replicas) && voters.is_subset(&fit), "{voters:?} of {fit:?}");
                let wish: BTreeSet<u32> = preferred.iter().copied().filter(|node| fit.contains(node)).collect();
                assert!(wish.is_subset(&voters) || voters.is_subset(&wish), "{voters:?} for the wish {wish:?}");
                let replicas = usize::from(*replicas);
                let wanted = voters.clone();
                let group_now = ModelGroup {
                    module: group.module,
                    running: (1, group.module),
                    voters,
                    wanted,
                    replicas,
                    seated_at: 0,
                    alive: true,
                };
                self.groups.insert(group.id, group_now);
                if let Some(name) = name {
                    self.names.insert(name.clone(), Address::group(group.id));
                }
            }
            RootCommand::EndGroup { id, kind, .. } => {
                let group = self.groups.get_mut(id).ok_or(Errno::NOT_FOUND)?;
                if group.alive && *kind > 11 {
                    return Err(Errno::BAD_REQUEST);
                }
                self.end(id);
            }
            RootCommand::SetModule { id, module, epoch } => {
                self.live(id)?;
                if !self.labels.iter().any(|(hash, _)| hash == module) {
                    return Err(Errno::NO_MODULE);
                }
                // Whoever is late does not take it back.
                if let Some(group) = self.groups.get_mut(id).filter(|group| *epoch > group.running.0) {
                    group.running = (*epoch, *module);
                }
            }
            RootCommand::SetVoters { id, voters } => {
                let before = self.live(id)?.wanted.clone();
                let set: BTreeSet<u32> = voters.iter().copied().collect();
                if voters.is_empty() || set.len() != voters.len() {
                    return Err(Errno::BAD_REQUEST);
                }
                self.may_hold(&set, &before)?;
                self.want(id, set.clone(), set.len());
            }
            RootCommand::Reseat { id, add, remove } => {
                let group = self.live(id)?.clone();
                let mut set: BTreeSet<u32> = group.wanted.iter().copied().filter(|n| !remove.contains(n)).collect();
                set.extend(add);
                if set.is_empty() {
                    return Err(Errno::REFUSED);
                }
                if set == group.wanted {
                    return Ok(());
                }
                self.may_hold(&set, &group.wanted)?;
                let lost = group.wanted.len().saturating_sub(set.len());
                let replicas = set.len().max(group.replicas.saturating_sub(lost));
                self.want(id, set, replicas);
            }
            RootCommand::Seated { id, voters, at } => {
                if *at <= self.live(id)?.seated_at {
                    return Ok(());
                }
                let votes = |n: &u32| self.members.get(n).is_some_and(|m| m.votes);
                let set: BTreeSet<u32> = voters.iter().copied().filter(votes).collect();
                if set.is_empty() {
                    return Err(Errno::BAD_REQUEST);
                }
                if let Some(group) = self.groups.get_mut(id) {
                    (group.voters, group.seated_at) = (set, *at);
                }
            }
            RootCommand::MoveActor { to, from, before } => {
                if to.address.home != pando_abi::Home::Node || to.mark == 0 {
                    return Err(Errno::BAD_REQUEST);
                }
                if !(1..=self.numbers).contains(&to.address.node.0) {
                    return Err(Errno::NOT_FOUND);
                }
                let (known, row) = (self.moved.get(&to.address), (to.node.0, to.via.0, to.mark));
                if known == Some(&row) {
                    return Ok(());
                }
                let (node, _, mark) = known.copied().unwrap_or((to.address.node.0, 0, 0));
                if (node, mark) != (from.0, *before) {
                    return Err(Errno::EXISTS);
                }
                if !self.members.contains_key(&to.node.0) {
                    return Err(Errno::NOT_FOUND);
                }
                if to.node != *from && !self.placeable(to.node.0) {
                    return Err(Errno::REFUSED);
                }
                self.moved.insert(to.address, row);
            }
            RootCommand::EndMoved { address, mark } => {
                if self.moved.get(address).is_some_and(|row| row.2 == *mark) {
                    self.moved.remove(address);
                    self.names.retain(|_, holder| holder != address);
                }
            }
            RootCommand::ForgetMove { address, mark } => {
                let home = address.node.0;
                if self.moved.get(address) == Some(&(home, home, *mark)) && self.members.contains_key(&home) {
                    self.moved.remove(address);
                }
            }
            // What comes of it is judged by `mended`: it depends on where the root places things.
            RootCommand::Mend { .. } => {}
        }
        Ok(())
    }

    fn want(&mut self, id: &ActorId, wanted: BTreeSet<u32>, replicas: usize) {
        if let Some(group) = self.groups.get_mut(id) {
            (group.wanted, group.replicas) = (wanted, replicas);
        }
    }

    fn end(&mut self, id: &ActorId) {
        if let Some(group) = self.groups.get_mut(id) {
            group.alive = false;
        }
        self.names.retain(|_, holder| *holder != Address::group(*id));
    }

    /// Takes over what mending wants, if it is no worse and follows the rules.
    pub fn mended(&mut self, root: &Root, alive: &[u32]) {
        let sound = |set: &BTreeSet<u32>| set.iter().filter(|n| self.placeable(**n)).count();
        let mut after = Vec::new();
        for (id, group) in self.groups.iter().filter(|(_, group)| group.alive) {
            let now = root.group(*id).unwrap();
            let wanted: BTreeSet<u32> = now.wanted.iter().copied().collect();
            let new: BTreeSet<u32> = wanted.difference(&group.wanted).copied().collect();
            assert!(new.iter().all(|n| alive.contains(n) && self.placeable(*n)), "{new:?} for {group:?}");
            assert!(sound(&wanted) >= sound(&group.wanted) && wanted.len() <= group.replicas);
            // Nobody gives up a copy on a node that stays unless another takes it.
            let kept = |n: &u32| self.members.get(n).is_some_and(|m| m.standing != Standing::Leaving);
            assert!(wanted.len() >= group.wanted.iter().filter(|n| kept(n)).count());
            let room = self.members.keys().any(|n| alive.contains(n) && self.placeable(*n) && !wanted.contains(n));
            assert!(!room || sound(&wanted) == group.replicas, "{wanted:?} of {group:?}");
            after.push((*id, wanted, group.replicas));
        }
        after.into_iter().for_each(|(id, wanted, replicas)| self.want(&id, wanted, replicas));
    }

    /// Does the root say the same as the model?
    pub fn agree(&self, root: &Root) {
        let member = |m: &MemberEntry| ModelMember {
            key: m.key,
            port: m.addr.port(),
            votes: m.role == Role::Voter,
            standing: m.standing,
            begun: m.begun,
        };
        assert_eq!(self.members, root.members().map(|m| (m.node.0, member(m))).collect());
        for (key, (until, used)) in &self.tickets {
            let ticket = root.ticket(key).unwrap();
            assert_eq!((ticket.expires_ns, ticket.used.0), (*until, *used));
        }
        assert_eq!(self.tickets.len(), (100..103).filter(|n| root.ticket(&key(*n)).is_some()).count());
        let seats = root.seats();
        let at_best = self.members.values().filter(|m| m.votes).map(|m| m.standing).min();
        let has_seat = |n: &u32| seats.contains(&NodeId(*n));
        assert!(seats.len() <= SEATS_MAX && !seats.is_empty() || self.members.is_empty());
        assert!(self.members.iter().any(|(n, m)| has_seat(n) && Some(m.standing) == at_best) || seats.is_empty());
        assert_eq!(self.users, root.users().map(|user| user.key).collect());
        assert_eq!(self.names, root.names("").map(|entry| (entry.name.clone(), entry.address)).collect());
        let known: BTreeSet<ModuleHash> = self.labels.iter().map(|(hash, _)| *hash).collect();
        assert_eq!(known, root.modules().map(|module| module.hash).collect());
        for label in ["x", "y"] {
            let latest = self.labels.iter().rev().find(|(_, known)| known == label).map(|(hash, _)| *hash);
            assert_eq!(root.module_by_label(label).map(|module| module.hash), latest);
        }
        let told = |row: &MovedEntry| (row.address, (row.node.0, row.via.0, row.mark));
        assert_eq!(self.moved, root.moves().map(told).collect());
        type Seats = (BTreeSet<u32>, BTreeSet<u32>, usize, u64);
        let told = |g: &ModelGroup| (g.voters.clone(), g.wanted.clone(), g.replicas, g.seated_at);
        let alive: BTreeMap<ActorId, Seats> =
            self.groups.iter().filter(|(_, group)| group.alive).map(|(id, group)| (*id, told(group))).collect();
        let set = |nodes: &[u32]| nodes.iter().copied().collect::<BTreeSet<u32>>();
        let row = |g: &GroupRecord| (set(&g.voters), set(&g.wanted), usize::from(g.replicas), g.seated_at);
        assert_eq!(alive, root.groups().map(|group| (group.id, row(group))).collect());
        let moving: Vec<ActorId> = alive.iter().filter(|(_, g)| g.0 != g.1).map(|(id, _)| *id).collect();
        assert_eq!(moving, root.moving_groups().map(|group| group.id).collect::<Vec<_>>());
        for (id, group) in &self.groups {
            assert_eq!(root.ended(*id).is_some(), !group.alive);
            if let Some(record) = root.group(*id) {
                assert_eq!((record.epoch, record.module), group.running);
                assert_eq!(record.modules().first(), Some(&group.module), "what it began with is remembered");
            }
        }
        for node in 0..8 {
            let held = alive.values().filter(|g| g.0.contains(&node) || g.1.contains(&node)).count();
            assert_eq!((root.load(NodeId(node)) as usize, root.groups_of(NodeId(node)).count()), (held, held));
        }
    }
}
