//! The realm's own group: who belongs to it, what things are called, which modules there are, where groups are held.
//!
//! Owns: the state that every node of the realm agrees on, as a pure machine: (state, index, command) -> (state', outcome).
//! Does not know: time, disk, network, who is alive (a command says so), what a module does, what a capability may.
//!
//! ```text
//! RootCommand -> Entry -> log -> RootMachine -> Root -> RootOutcome -> proposer
//!                                     \-> RootView -> readers on this node
//! ```
//!
//! 1. A node's number is never used again, and neither is a group's id while the group is remembered.
//! 2. A name has one holder. A holder that is gone for good (a group that ended, an actor whose node was removed) has no names.
//! 3. Who holds a group that is alive, or shall, is a member of the realm, and no observer.
//! 4. A refused command changes nothing but that its key is remembered; a malformed one changes nothing at all.
//! 5. The same log gives the same state, the same outcomes and the same hash on every replica.
//! 6. Who holds a group is what its leader said last; who shall hold it is what the realm wants. Whoever leads the group makes
//!    the first the second, however often it is interrupted.

mod admit;
mod apply;
mod command;
mod dedupe;
mod image;
mod index;
mod machine;
mod moved;
mod restored;
mod rows;
mod rules;
mod samples;
mod seats;
mod table;
mod wire;

#[cfg(test)]
mod moves;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod random;

use std::ops::Bound;

use pando_abi::{ActorId, Address, ModuleHash, NodeId, RealmId};
use pando_transport::{Member, MemberSet, PublicKey};

pub use command::{COMMAND_BYTES_MAX, Founder, Malformed, NewGroup, OUTCOME_BYTES_MAX, RootCommand, RootOutcome};
pub use dedupe::KEPT_MAX;
pub use image::ImageError;
pub use machine::{RootMachine, RootView};
pub use moved::{MOVED_MAX, MovedEntry};
pub use rows::{
    ARGS_BYTES_MAX, CAPABILITY_BYTES, ENDED_MAX, ENDED_MESSAGE_BYTES_MAX, Ended, GROUPS_MAX, GroupRecord, MODULES_MAX,
    MemberEntry, ModuleEntry, NAMES_MAX, NameEntry, REPLACE_AFTER_MS, Role, SEATS_MAX, Standing, TICKETS_MAX,
    TicketEntry, USERS_MAX, UserEntry, name_is_valid,
};
pub(crate) use samples::samples;

use dedupe::Dedupe;
use index::Index;
use table::Table;

/// The state of the root group. A copy shares its rows.
#[derive(Clone, PartialEq, Debug)]
pub struct Root {
    realm: RealmId,
    // Hash of the founding, once there was one.
    founded: Option<[u8; 32]>,
    next_node: u32,
    version: u64,
    replace_after_ms: u64,
    members: Table<MemberEntry>,
    users: Table<UserEntry>,
    tickets: Table<TicketEntry>,
    names: Table<NameEntry>,
    modules: Table<ModuleEntry>,
    groups: Table<GroupRecord>,
    ended: Table<GroupRecord>,
    moved: Table<MovedEntry>,
    seen: Dedupe,
    index: Index,
}

impl Root {
    /// The state before the founding.
    pub fn new(realm: RealmId) -> Root {
        Root {
            realm,
            founded: None,
            next_node: 1,
            version: 0,
            replace_after_ms: REPLACE_AFTER_MS,
            members: Table::default(),
            users: Table::default(),
            tickets: Table::default(),
            names: Table::default(),
            modules: Table::default(),
            groups: Table::default(),
            ended: Table::default(),
            moved: Table::default(),
            seen: Dedupe::default(),
            index: Index::default(),
        }
    }

    /// The realm.
    pub fn realm(&self) -> RealmId {
        self.realm
    }

    /// Has the first entry been applied? Before that there are no members, and nothing should be built on their absence.
    pub fn is_founded(&self) -> bool {
        self.founded.is_some()
    }

    /// Goes up by one with every command that changed something that can be read here.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number that the next node will have.
    pub fn next_node(&self) -> NodeId {
        NodeId(self.next_node)
    }

    /// A node of the realm.
    pub fn member(&self, node: NodeId) -> Option<&MemberEntry> {
        self.members.get(&node)
    }

    /// The node with this key.
    pub fn member_by_key(&self, key: &[u8; 32]) -> Option<&MemberEntry> {
        self.members.iter().find(|member| member.key == *key)
    }

    /// The nodes of the realm, by number.
    pub fn members(&self) -> impl Iterator<Item = &MemberEntry> {
        self.members.iter()
    }

    /// How long a node is waited for before its replicas go elsewhere, in milliseconds; 0: for ever.
    pub fn replace_after_ms(&self) -> u64 {
        self.replace_after_ms
    }

    /// The ticket with this key.
    pub fn ticket(&self, key: &[u8; 32]) -> Option<&TicketEntry> {
        self.tickets.get(key)
    }

    /// The nodes that may hold replicas and vote, by number.
    pub fn voters(&self) -> Vec<NodeId> {
        self.members().filter(|member| member.role == Role::Voter).map(|member| member.node).collect()
    }

    /// Who may connect.
    pub fn member_set(&self) -> MemberSet {
        MemberSet {
            realm: self.realm,
            members: self
                .members()
                .map(|member| Member { node: member.node, key: PublicKey(member.key), addr: member.addr })
                .collect(),
            // Who has a ticket may connect to say so, and nothing else.
            users: self.users().map(|user| user.key).chain(self.tickets.iter().map(|t| t.key)).map(PublicKey).collect(),
        }
    }

    /// Who may use the admin interface, by key.
    pub fn users(&self) -> impl Iterator<Item = &UserEntry> {
        self.users.iter()
    }

    /// May this key use the admin interface?
    pub fn is_user(&self, key: &[u8; 32]) -> bool {
        self.users.has(key)
    }

    /// What a name means.
    pub fn lookup(&self, name: &str) -> Option<&NameEntry> {
        self.names.get(name)
    }

    /// Names that begin with `prefix`, in order.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a NameEntry> {
        self.names
            .range::<str>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |entry| entry.name.starts_with(prefix))
    }

    /// The names of an actor or group, in order.
    pub fn names_of(&self, address: Address) -> impl Iterator<Item = &str> {
        self.index.names_of(address)
    }

    /// A module.
    pub fn module(&self, hash: ModuleHash) -> Option<&ModuleEntry> {
        self.modules.get(&hash)
    }

    /// The module that was put last with this label.
    pub fn module_by_label(&self, label: &str) -> Option<&ModuleEntry> {
        // An empty label is no label. Two puts cannot share an index, but a hash decides if they did.
        self.modules()
            .filter(|module| !label.is_empty() && module.label == label)
            .max_by_key(|module| (module.put_at, module.hash))
    }

    /// Every module, by hash.
    pub fn modules(&self) -> impl Iterator<Item = &ModuleEntry> {
        self.modules.iter()
    }

    /// A group that is alive.
    pub fn group(&self, id: ActorId) -> Option<&GroupRecord> {
        self.groups.get(&id)
    }

    /// The groups that are alive, by id.
    pub fn groups(&self) -> impl Iterator<Item = &GroupRecord> {
        self.groups.iter()
    }

    /// The groups of which the voters are being changed, by id.
    pub fn moving_groups(&self) -> impl Iterator<Item = &GroupRecord> {
        self.index.moving().filter_map(|id| self.groups.get(&id))
    }

    /// The groups that a node holds a replica of or shall, by id.
    pub fn groups_of(&self, node: NodeId) -> impl Iterator<Item = &GroupRecord> {
        self.index.held_by(node).filter_map(|id| self.groups.get(&id))
    }

    /// How many groups a node holds a replica of.
    pub fn load(&self, node: NodeId) -> u32 {
        self.index.load(node)
    }

    /// A group that ended and is still remembered.
    pub fn ended(&self, id: ActorId) -> Option<&GroupRecord> {
        self.ended.get(&id)
    }

    /// The groups that ended and are still remembered, the latest first.
    pub fn ended_groups(&self) -> impl Iterator<Item = &GroupRecord> {
        self.index.latest_ended().filter_map(|id| self.ended.get(&id))
    }

    /// BLAKE3 over the whole state, what is remembered for repeats included.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = blake3::Hasher::new_derive_key("pando root group state 1");
        hash.update(&self.realm.0);
        hash.update(&[self.founded.is_some() as u8]);
        hash.update(&self.founded.unwrap_or_default());
        hash.update(&self.next_node.to_le_bytes());
        hash.update(&self.version.to_le_bytes());
        hash.update(&self.replace_after_ms.to_le_bytes());
        for section in [
            self.members.hash(),
            self.users.hash(),
            self.tickets.hash(),
            self.names.hash(),
            self.modules.hash(),
            self.groups.hash(),
            self.ended.hash(),
            self.moved.hash(),
            self.seen.hash(),
        ] {
            hash.update(&section);
        }
        *hash.finalize().as_bytes()
    }
}
