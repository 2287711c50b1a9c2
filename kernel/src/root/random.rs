//! Random histories against a model that is too small to be wrong.
//!
//! A failure prints its seed; `ROOT_SEED=<seed> cargo test --release -p pando-kernel root::random` runs that one again.

use std::collections::{BTreeMap, BTreeSet};

use pando_abi::{ActorId, Address, Errno, ModuleHash, NodeId};
use pando_raft::{Entry, Machine};

use super::{
    promises::{REALM, addr, founding, group, id, key, module},
    *,
};

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn some(&mut self, count: u64, below: u64) -> Vec<u32> {
        (0..self.below(count + 1)).map(|_| self.below(below) as u32).collect()
    }
}

fn name(dice: &mut Dice) -> String {
    ["a", "b", "c", "d", "no good"][dice.below(5) as usize].to_owned()
}

fn holder(dice: &mut Dice) -> Address {
    match dice.below(3) {
        0 => Address::group(id(dice.below(12) as u8)),
        _ => Address::actor(NodeId(dice.below(7) as u32), id(100 + dice.below(3) as u8)),
    }
}

fn command(dice: &mut Dice) -> RootCommand {
    match dice.below(21) {
        0 => founding(2 + dice.below(2) as u32),
        1 => RootCommand::SetAddr { node: NodeId(dice.below(7) as u32), addr: addr(dice.below(3) as u16) },
        2 => RootCommand::AddMember {
            key: key(1 + dice.below(8) as u8),
            addr: addr(dice.below(3) as u16),
            role: if dice.one_in(3) { Role::Observer } else { Role::Voter },
        },
        3 => RootCommand::RemoveMember { node: NodeId(dice.below(9) as u32) },
        4 => RootCommand::AddUser { key: key(dice.below(4) as u8) },
        5..=8 => RootCommand::RegisterName { name: name(dice), address: holder(dice), module: module(1) },
        9 => {
            let holder = if dice.one_in(2) { Some(holder(dice)) } else { None };
            RootCommand::UnregisterName { name: name(dice), holder }
        }
        10 => RootCommand::UnregisterAddress { address: holder(dice) },
        11 | 12 => RootCommand::PutModule {
            hash: module(dice.below(3) as u8),
            label: ["x", "y", ""][dice.below(3) as usize].into(),
            size: 10,
        },
        13..=16 => {
            let mut group = group(dice.below(12) as u8);
            group.module = module(1 + dice.below(2) as u8);
            RootCommand::CreateGroup {
                group: Box::new(group),
                replicas: dice.below(5) as u8,
                preferred: dice.some(2, 8),
                alive: dice.some(8, 8),
                name: if dice.one_in(2) { Some(name(dice)) } else { None },
            }
        }
        20 => RootCommand::SetModule {
            id: id(dice.below(12) as u8),
            module: module(dice.below(3) as u8),
            epoch: dice.below(4) as u32,
        },
        17 | 18 => RootCommand::EndGroup {
            id: id(dice.below(12) as u8),
            kind: dice.below(14) as u16,
            code: 1,
            message: "over".into(),
        },
        _ => RootCommand::SetVoters { id: id(dice.below(12) as u8), voters: dice.some(4, 8) },
    }
}

#[derive(Clone, Debug)]
struct ModelGroup {
    /// The one that it was created with.
    module: ModuleHash,
    running: (u32, ModuleHash),
    voters: BTreeSet<u32>,
    alive: bool,
}

/// The same rules, told another way. Where voters are chosen it takes the root's word and checks it.
#[derive(Default, Debug)]
struct Model {
    founded: u32,
    numbers: u32,
    members: BTreeMap<u32, ([u8; 32], u16, bool)>,
    users: BTreeSet<[u8; 32]>,
    names: BTreeMap<String, Address>,
    labels: Vec<(ModuleHash, String)>,
    groups: BTreeMap<ActorId, ModelGroup>,
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

    fn voter(&self, node: u32) -> bool {
        self.members.get(&node).is_some_and(|(_, _, voter)| *voter)
    }

    /// What the command should come to.
    fn step(&mut self, command: &RootCommand, outcome: &RootOutcome) -> Result<(), Errno> {
        if let RootCommand::Found { members, users } = command {
            if self.founded > 0 {
                return if self.founded == members.len() as u32 { Ok(()) } else { Err(Errno::EXISTS) };
            }
            self.founded = members.len() as u32;
            self.numbers = self.founded;
            self.members = members.iter().map(|m| (m.node.0, (m.key, m.addr.port(), true))).collect();
            self.users = users.iter().copied().collect();
            return Ok(());
        }
        if self.founded == 0 {
            return Err(Errno::REFUSED);
        }
        match command {
            RootCommand::Found { .. } => {}
            RootCommand::SetAddr { node, addr } => {
                self.members.get_mut(&node.0).ok_or(Errno::NOT_FOUND)?.1 = addr.port();
            }
            RootCommand::AddMember { key, addr, role } => {
                let voter = *role == Role::Voter;
                let known = self.members.iter_mut().find(|(_, member)| member.0 == *key);
                let node = match known {
                    Some((_, member)) if member.2 != voter => return Err(Errno::EXISTS),
                    Some((node, member)) => {
                        member.1 = addr.port();
                        *node
                    }
                    None => {
                        self.numbers += 1;
                        self.members.insert(self.numbers, (*key, addr.port(), voter));
                        self.numbers
                    }
                };
                assert_eq!(*outcome, RootOutcome::Member { node: NodeId(node) });
            }
            RootCommand::RemoveMember { node } => {
                if !self.members.contains_key(&node.0) {
                    return if (1..=self.numbers).contains(&node.0) { Ok(()) } else { Err(Errno::NOT_FOUND) };
                }
                let holds = self.groups.values().any(|group| group.alive && group.voters.contains(&node.0));
                let others = self.members.iter().any(|(other, member)| *other != node.0 && member.2);
                if holds || !others {
                    return Err(Errno::REFUSED);
                }
                self.members.remove(&node.0);
                self.names.retain(|_, holder| holder.node != *node);
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
                let fit: BTreeSet<u32> = alive.iter().copied().filter(|node| self.voter(*node)).collect();
                if fit.len() < usize::from(*replicas) {
                    return Err(Errno::REFUSED);
                }
                let RootOutcome::Group { record } = outcome else { panic!("{outcome:?}") };
                let voters: BTreeSet<u32> = record.voters.iter().copied().collect();
                assert!(voters.len() == usize::from(*replicas) && voters.is_subset(&fit), "{voters:?} of {fit:?}");
                let wish: BTreeSet<u32> = preferred.iter().copied().filter(|node| fit.contains(node)).collect();
                assert!(wish.is_subset(&voters) || voters.is_subset(&wish), "{voters:?} for the wish {wish:?}");
                self.groups.insert(
                    group.id,
                    ModelGroup { module: group.module, running: (1, group.module), voters, alive: true },
                );
                if let Some(name) = name {
                    self.names.insert(name.clone(), Address::group(group.id));
                }
            }
            RootCommand::EndGroup { id, kind, .. } => {
                let group = self.groups.get_mut(id).ok_or(Errno::NOT_FOUND)?;
                if group.alive && *kind > 11 {
                    return Err(Errno::BAD_REQUEST);
                }
                group.alive = false;
                self.names.retain(|_, holder| *holder != Address::group(*id));
            }
            RootCommand::SetModule { id, module, epoch } => {
                let group = self.groups.get_mut(id).ok_or(Errno::NOT_FOUND)?;
                if !group.alive {
                    return Err(Errno::DEAD);
                }
                if !self.labels.iter().any(|(hash, _)| hash == module) {
                    return Err(Errno::NO_MODULE);
                }
                // Whoever is late does not take it back.
                if *epoch > group.running.0 {
                    group.running = (*epoch, *module);
                }
            }
            RootCommand::SetVoters { id, voters } => {
                let group = self.groups.get(id).ok_or(Errno::NOT_FOUND)?;
                if !group.alive {
                    return Err(Errno::DEAD);
                }
                let set: BTreeSet<u32> = voters.iter().copied().collect();
                if voters.is_empty() || set.len() != voters.len() {
                    return Err(Errno::BAD_REQUEST);
                }
                for node in &set {
                    if !self.voter(*node) {
                        let there = self.members.contains_key(node);
                        return Err(if there { Errno::REFUSED } else { Errno::NOT_FOUND });
                    }
                }
                if let Some(group) = self.groups.get_mut(id) {
                    group.voters = set;
                }
            }
        }
        Ok(())
    }

    /// Does the root say the same as the model?
    fn agree(&self, root: &Root) {
        let members = root.members().map(|m| (m.node.0, (m.key, m.addr.port(), m.role == Role::Voter))).collect();
        assert_eq!(self.members, members);
        assert_eq!(self.users, root.users().map(|user| user.key).collect());
        assert_eq!(self.names, root.names("").map(|entry| (entry.name.clone(), entry.address)).collect());
        let known: BTreeSet<ModuleHash> = self.labels.iter().map(|(hash, _)| *hash).collect();
        assert_eq!(known, root.modules().map(|module| module.hash).collect());
        for label in ["x", "y"] {
            let latest = self.labels.iter().rev().find(|(_, known)| known == label).map(|(hash, _)| *hash);
            assert_eq!(root.module_by_label(label).map(|module| module.hash), latest);
        }
        let alive: BTreeMap<ActorId, BTreeSet<u32>> = self
            .groups
            .iter()
            .filter(|(_, group)| group.alive)
            .map(|(id, group)| (*id, group.voters.clone()))
            .collect();
        assert_eq!(alive, root.groups().map(|group| (group.id, group.voters.iter().copied().collect())).collect());
        for (id, group) in &self.groups {
            assert_eq!(root.ended(*id).is_some(), !group.alive);
            if let Some(record) = root.group(*id) {
                assert_eq!((record.epoch, record.module), group.running);
                assert_eq!(record.modules().first(), Some(&group.module), "what it began with is remembered");
            }
        }
        for node in 0..8 {
            let held = alive.values().filter(|voters| voters.contains(&node)).count();
            assert_eq!((root.load(NodeId(node)) as usize, root.groups_of(NodeId(node)).count()), (held, held));
        }
    }
}

fn run(seed: u64) {
    let dice = &mut Dice(seed);
    let mut one = RootMachine::new(RootView::new(REALM));
    let mut two = RootMachine::new(RootView::new(REALM));
    let mut model = Model::default();
    let mut said: Vec<(Entry, RootOutcome)> = Vec::new();
    for index in 1..=120u64 {
        // Now and then somebody repeats itself, or talks nonsense.
        let repeat = (!said.is_empty() && dice.one_in(6)).then(|| dice.below(said.len() as u64) as usize);
        let command = command(dice);
        let entry = match repeat {
            Some(at) => said[at].0.clone(),
            None => Entry {
                origin: [dice.below(2) as u8; 16],
                incarnation: 1,
                seq: index,
                payload: if dice.one_in(20) { vec![3; dice.below(90) as usize] } else { command.encode() },
                ..Entry::default()
            },
        };
        let before = one.view().snapshot();
        let applied = one.apply(index, &entry);
        assert_eq!(two.apply(index, &entry), applied);
        let outcome = RootOutcome::decode(&applied.outcome).unwrap();
        let after = one.view().snapshot();
        after.check().unwrap();

        if let Some(at) = repeat {
            assert_eq!(after, before, "a repeat changes nothing");
            match &said[at].1 {
                RootOutcome::Group { record: first } => match outcome {
                    RootOutcome::Group { record } => {
                        assert_eq!((record.id, record.created_at), (first.id, first.created_at))
                    }
                    _ => assert!(outcome.errno() == Some(Errno::DEAD) && after.ended(first.id).is_some()),
                },
                first => assert_eq!(outcome, *first),
            }
        } else if RootCommand::decode(&entry.payload).is_err() {
            assert_eq!((outcome.errno(), &after), (Some(Errno::BAD_REQUEST), &before));
        } else {
            assert_eq!(outcome.errno().map_or(Ok(()), Err), model.step(&command, &outcome), "{command:?}: {outcome:?}");
            model.agree(&after);
            said.push((entry, outcome));
        }
        assert!(after.next_node() >= before.next_node());
        // The version moves exactly if something that can be read did.
        let mut unseen = Root::clone(&after);
        unseen.seen = before.seen.clone();
        assert_eq!(unseen != *before, after.version() != before.version());

        // At some moments one replica is replaced by a snapshot of the other.
        if dice.one_in(10) {
            let hash = one.batch_end();
            let image = one.snapshot();
            two = RootMachine::new(RootView::new(REALM));
            two.restore(&image).unwrap();
            assert_eq!((two.batch_end(), two.view().snapshot(), two.snapshot()), (hash, after, image));
        }
        assert_eq!(one.batch_end(), two.batch_end());
    }
}

#[test]
fn any_history_is_what_the_rules_say_on_every_replica() {
    let alone = std::env::var("ROOT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = alone.map_or(0..300, |seed: u64| seed..seed + 1);
    for seed in seeds {
        if let Err(why) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("ROOT_SEED={seed}");
            std::panic::resume_unwind(why);
        }
    }
}
