//! What is found by other ways than its key.
//!
//! Owns: names by holder, groups by node, ended groups by age; and the only functions that put or take an indexed row.
//! Does not know: whether a change is allowed.
//!
//! 1. The index is derived: built anew from the tables it is equal to what the changes left.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pando_abi::{ActorId, Address, NodeId};

use super::{
    Root,
    rows::{ENDED_MAX, Ended, GroupRecord, NameEntry},
    table::Row,
};

/// Derived from the tables.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Index {
    names: BTreeSet<(Address, Arc<str>)>,
    held: BTreeSet<(NodeId, ActorId)>,
    load: BTreeMap<NodeId, u32>,
    ended: BTreeSet<(u64, ActorId)>,
    moving: BTreeSet<ActorId>,
    short: BTreeSet<ActorId>,
    args_bytes: usize,
}

impl Index {
    /// Names of an address, in order.
    pub fn names_of(&self, address: Address) -> impl Iterator<Item = &str> {
        self.names
            .range((address, Arc::from(""))..)
            .take_while(move |(holder, _)| *holder == address)
            .map(|(_, name)| &**name)
    }

    /// Groups that a node holds, by id.
    pub fn held_by(&self, node: NodeId) -> impl Iterator<Item = ActorId> {
        self.held.range((node, ActorId([0; 16]))..=(node, ActorId([0xff; 16]))).map(|(_, id)| *id)
    }

    /// How many groups a node holds.
    pub fn load(&self, node: NodeId) -> u32 {
        self.load.get(&node).copied().unwrap_or(0)
    }

    /// Groups that ended, the latest first.
    pub fn latest_ended(&self) -> impl Iterator<Item = ActorId> {
        self.ended.iter().rev().map(|(_, id)| *id)
    }

    /// Groups of which the voters are being changed, by id.
    pub fn moving(&self) -> impl Iterator<Item = ActorId> {
        self.moving.iter().copied()
    }

    /// Groups that shall have more replicas than are wanted on any node, by id.
    pub fn short(&self) -> impl Iterator<Item = ActorId> {
        self.short.iter().copied()
    }

    /// Bytes of arguments of all groups alive.
    pub fn args_bytes(&self) -> usize {
        self.args_bytes
    }

    fn add_group(&mut self, group: &GroupRecord) {
        self.args_bytes += group.args.len();
        if group.is_moving() {
            self.moving.insert(group.id);
        }
        if group.wanted.len() < usize::from(group.replicas) {
            self.short.insert(group.id);
        }
        for node in group.holders() {
            if self.held.insert((node, group.id)) {
                *self.load.entry(node).or_insert(0) += 1;
            }
        }
    }

    fn drop_group(&mut self, group: &GroupRecord) {
        self.args_bytes -= group.args.len();
        self.moving.remove(&group.id);
        self.short.remove(&group.id);
        for node in group.holders() {
            if self.held.remove(&(node, group.id)) {
                let left = self.load(node) - 1;
                if left == 0 {
                    self.load.remove(&node);
                } else {
                    self.load.insert(node, left);
                }
            }
        }
    }
}

impl Root {
    /// The index as the tables give it.
    pub(super) fn index_anew(&self) -> Index {
        let mut index = Index::default();
        for name in self.names.iter() {
            index.names.insert((name.address, name.key()));
        }
        for group in self.groups.iter() {
            index.add_group(group);
        }
        for group in self.ended.iter() {
            if let Some(ended) = &group.ended {
                index.ended.insert((ended.at, group.id));
            }
        }
        index
    }

    /// Gives a name, taking it from whoever had it.
    pub(super) fn put_name(&mut self, entry: NameEntry) {
        self.take_name(&entry.name);
        self.index.names.insert((entry.address, entry.key()));
        self.names.put(entry);
    }

    /// Takes a name.
    pub(super) fn take_name(&mut self, name: &str) {
        if let Some(entry) = self.names.take(name) {
            self.index.names.remove(&(entry.address, entry.key()));
        }
    }

    /// Takes all names of an address; were there any?
    pub(super) fn take_names_of(&mut self, address: Address) -> bool {
        let names: Vec<String> = self.names_of(address).map(str::to_owned).collect();
        for name in &names {
            self.take_name(name);
        }
        !names.is_empty()
    }

    /// Puts a group that is alive, in place of what was known of it.
    pub(super) fn put_group(&mut self, group: GroupRecord) {
        if let Some(before) = self.groups.take(&group.id) {
            self.index.drop_group(&before);
        }
        self.index.add_group(&group);
        self.groups.put(group);
    }

    /// Moves a group to those that ended, of which the oldest is forgotten.
    pub(super) fn bury_group(&mut self, id: ActorId, ended: Ended) {
        let Some(mut group) = self.groups.take(&id) else { return };
        self.index.drop_group(&group);
        self.index.ended.insert((ended.at, id));
        group.args = Vec::new();
        group.handles = Vec::new();
        group.ended = Some(ended);
        self.ended.put(group);
        while self.ended.len() > ENDED_MAX {
            let Some((_, oldest)) = self.index.ended.pop_first() else { return };
            self.ended.take(&oldest);
        }
    }
}
