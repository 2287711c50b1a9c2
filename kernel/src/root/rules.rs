//! What must hold, of a command and of the state.
//!
//! Owns: every check that changes nothing. Does not know: what follows once a check has passed.
//!
//! 1. A check of a command says what is wrong in a sentence that a person can act on.
//! 2. [`Root::check`] holds between commands, whatever they were; an image that breaks it is not taken.

use std::collections::BTreeSet;

use pando_abi::{ActorId, Address, Errno, ExitKind, Home, NodeId, SpawnSpec, limits};

use super::{
    Root,
    command::{NewGroup, Refusal},
    moved::MOVED_MAX,
    rows::{ARGS_BYTES_MAX, GROUPS_MAX, MODULES_MAX, NAMES_MAX, Role, TICKETS_MAX, USERS_MAX, name_is_valid},
};

/// Says no.
pub fn refuse<T>(errno: Errno, text: impl Into<String>, mend: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(errno, text, mend))
}

impl Root {
    /// Can this address hold a name?
    pub(super) fn check_holder(&self, address: Address) -> Result<(), Refusal> {
        match (address.home, address.node) {
            (Home::Group, NodeId::NONE) if self.groups.has(&address.id) => Ok(()),
            (Home::Group, NodeId::NONE) if self.ended.has(&address.id) => Err(self.gone(address.id)),
            (Home::Group, NodeId::NONE) => refuse_group(address.id),
            (Home::Service, NodeId::NONE) => Ok(()),
            (Home::Group, _) | (Home::Node, NodeId::NONE) => {
                refuse(Errno::BAD_REQUEST, "a group's address has no node, and an actor's has one", "")
            }
            (Home::Node, _) if self.moved.has(&address) => Ok(()),
            (Home::Node | Home::Service, node) if self.members.has(&node) => Ok(()),
            (Home::Node | Home::Service, node) => refuse_node(node),
        }
    }

    /// Can this name be given to this holder?
    pub(super) fn check_name(&self, name: &str, holder: Address) -> Result<(), Refusal> {
        if !name_is_valid(name) {
            let text = format!("`{}` cannot be a name", shown(name));
            let mend = format!("use 1 to {} letters, digits, `-`, `_`, `.` and `/`", limits::NAME_BYTES_MAX);
            return refuse(Errno::BAD_REQUEST, text, mend);
        }
        match self.names.get(name) {
            Some(entry) if entry.address != holder => {
                let text = format!("`{name}` is the name of {}", entry.address);
                refuse(Errno::EXISTS, text, "take another name, or take this one from it first")
            }
            None if self.names.len() >= NAMES_MAX => {
                refuse(Errno::LIMIT, format!("the realm has {NAMES_MAX} names, and no more fit"), "take some away")
            }
            _ => Ok(()),
        }
    }

    /// The group has ended; how, if that is still known.
    pub(super) fn gone(&self, id: ActorId) -> Refusal {
        let how = self.ended.get(&id).and_then(|group| group.ended.as_ref());
        let how = how.map_or(String::new(), |ended| format!(": {}", ended.exit_kind().name()));
        Refusal::new(Errno::DEAD, format!("{} has ended{how}", Address::group(id)), "create another")
    }

    /// What must hold between commands, whatever they were.
    pub(crate) fn check(&self) -> Result<(), String> {
        let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        let empty = self.members.len() + self.users.len() + self.names.len() + self.modules.len() + self.groups.len();
        let empty = empty + self.tickets.len() + self.moved.len();
        must(self.founded.is_some() || empty + self.ended.len() == 0, "a realm that is not founded has nothing")?;
        must(self.founded.is_none() || !self.seats().is_empty(), "a realm has a voter")?;
        must(self.tickets.len() <= TICKETS_MAX, "tickets are bounded")?;
        must(self.members.len() <= limits::NODES_MAX && self.users.len() <= USERS_MAX, "members are bounded")?;
        must(self.names.len() <= NAMES_MAX && self.modules.len() <= MODULES_MAX, "names and modules are bounded")?;
        must(self.groups.len() <= GROUPS_MAX, "groups are bounded")?;
        must(self.index.args_bytes() <= ARGS_BYTES_MAX, "arguments are bounded")?;
        must(self.moved.len() <= MOVED_MAX, "moved actors are bounded")?;
        for row in self.moves() {
            must(row.address.home == Home::Node && row.mark != 0, "only plain actors are moved")?;
            must(self.members.has(&row.node), "a moved actor lives on a node of the realm")?;
        }
        let numbers = self.members().all(|member| member.node.0 > 0 && member.node.0 < self.next_node);
        must(numbers, "numbers are given out in order")?;
        let keys: BTreeSet<[u8; 32]> = self.members().map(|member| member.key).collect();
        must(keys.len() == self.members.len(), "a key is one node's")?;
        for entry in self.names.iter() {
            must(name_is_valid(&entry.name), "names are valid")?;
            must(self.check_holder(entry.address).is_ok(), "a name has a holder that is there")?;
        }
        for group in self.groups.iter() {
            let seated =
                group.holders().iter().all(|node| self.members.get(node).is_some_and(|m| m.role == Role::Voter));
            must(seated, "who holds a group or shall is a voter of the realm")?;
            for nodes in [&group.voters, &group.wanted] {
                must((1..=limits::REPLICAS_MAX).contains(&nodes.len()), "a group has voters, and not too many")?;
                must(nodes.is_sorted_by(|a, b| a < b), "voters are in order, none twice")?;
            }
            let replicas = usize::from(group.replicas);
            must(
                replicas <= limits::REPLICAS_MAX && group.wanted.len() <= replicas,
                "no more are wanted than shall be",
            )?;
            must(SpawnSpec::from_bytes(&group.spec).is_some(), "a group's limits can be read")?;
            must(self.modules.has(&group.module), "a group's module is known")?;
            must(group.ended.is_none() && !self.ended.has(&group.id), "a group is alive or has ended, not both")?;
        }
        for group in self.ended.iter() {
            let kind = group.ended.as_ref().and_then(|ended| ExitKind::from_u16(ended.kind));
            must(
                kind.is_some() && group.args.is_empty() && group.handles.is_empty(),
                "an ended group keeps no arguments",
            )?;
        }
        must(self.index == self.index_anew(), "the index is what the tables say")
    }
}

/// Is what does not depend on the state as it should be?
pub fn check_new(group: &NewGroup, replicas: u8, nodes: usize) -> Result<(), Refusal> {
    let spec = SpawnSpec::from_bytes(&group.spec);
    if !spec.is_some_and(|spec| spec.module == group.module.0 || spec.module == [0; 32]) {
        return refuse(Errno::BAD_REQUEST, "what the group is spawned with cannot be read", "");
    }
    if !(1..=limits::REPLICAS_MAX).contains(&usize::from(replicas)) {
        let text = format!("a group has 1 to {} replicas, not {replicas}", limits::REPLICAS_MAX);
        return refuse(Errno::BAD_REQUEST, text, "an odd number of replicas is best: 1, 3 or 5");
    }
    if group.args.len() > limits::MESSAGE_BYTES_MAX || group.handles.len() > limits::MESSAGE_HANDLES_MAX {
        let text = format!(
            "start arguments have at most {} bytes and {} handles",
            limits::MESSAGE_BYTES_MAX,
            limits::MESSAGE_HANDLES_MAX
        );
        return refuse(Errno::LIMIT, text, "send the rest as messages");
    }
    if nodes > limits::NODES_MAX {
        return refuse(Errno::LIMIT, format!("a realm has at most {} nodes", limits::NODES_MAX), "");
    }
    Ok(())
}

/// No such node.
pub fn refuse_node<T>(node: NodeId) -> Result<T, Refusal> {
    refuse(Errno::NOT_FOUND, format!("{node} is no node of this realm"), "`nodes` lists those that are")
}

/// No such group.
pub fn refuse_group<T>(id: ActorId) -> Result<T, Refusal> {
    refuse(Errno::NOT_FOUND, format!("{} is not known", Address::group(id)), "`ps` lists those that are")
}

/// What somebody called a name, cut so that it can stand in a sentence.
pub fn shown(name: &str) -> String {
    let cut = &name[..name.floor_char_boundary(limits::NAME_BYTES_MAX)];
    cut.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
