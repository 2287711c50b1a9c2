//! Who becomes a node of the realm, and who no longer is one.
//!
//! Owns: tickets, admission, the first and the last day of a member. Does not know: how a newcomer proves its key.
//!
//! 1. A ticket admits one node. Shown again for the same node it gives the same number, so an answer that was lost is asked
//!    for again.
//! 2. A number begins once: whoever comes under it with another disk is refused.
//! 3. A member is forgotten only when no group is held by it and it has no seat in the root group.

use std::net::SocketAddr;

use pando_abi::{Address, Errno, ExitKind, NodeId, limits};

use super::{
    Root,
    apply::{Answer, Step},
    command::{Refusal, RootOutcome},
    rows::{Ended, GroupRecord, MemberEntry, NameEntry, Role, Standing, TICKETS_MAX, TicketEntry},
    rules::{refuse, refuse_node},
};

impl Root {
    pub(super) fn add_member(&mut self, index: u64, key: [u8; 32], addr: SocketAddr, role: Role) -> Answer {
        if let Some(known) = self.member_by_key(&key) {
            let node = known.node;
            if known.role != role {
                let text = format!("{node} has this key and another role");
                return refuse(Errno::EXISTS, text, format!("remove {node} first; it will get a new number"));
            }
            let step = self.set_addr(node, addr)?;
            return Ok(Step { outcome: RootOutcome::Member { node }, changed: step.changed });
        }
        if self.members.len() >= limits::NODES_MAX || self.next_node == u32::MAX {
            let text = format!("the realm has {} nodes, and no more fit", self.members.len());
            return refuse(Errno::LIMIT, text, "remove a node that is gone for good");
        }
        let node = NodeId(self.next_node);
        assert!(!self.members.has(&node), "a number is never used again");
        self.next_node += 1;
        let standing = Standing::Present;
        self.members.put(MemberEntry { node, key, addr, role, standing, joined_at: index, begun: 0 });
        Ok(Step { outcome: RootOutcome::Member { node }, changed: true })
    }

    pub(super) fn begin(&mut self, node: NodeId, life: u64) -> Answer {
        let Some(member) = self.members.get(&node) else { return refuse_node(node) };
        if life == 0 {
            return refuse(Errno::BAD_REQUEST, "a beginning needs a number", "");
        }
        if member.begun == life {
            return Ok(Step::SAME);
        }
        if member.begun != 0 {
            return Err(wiped(node));
        }
        let member = MemberEntry { begun: life, ..member.clone() };
        self.members.put(member);
        Ok(Step::CHANGED)
    }

    pub(super) fn add_ticket(&mut self, key: [u8; 32], expires_ns: u64, now_ns: u64) -> Answer {
        if self.tickets.has(&key) {
            return Ok(Step::SAME);
        }
        if self.users.has(&key) || self.member_by_key(&key).is_some() {
            return refuse(Errno::EXISTS, "this key is a user's or a node's", "draw another one");
        }
        let old: Vec<[u8; 32]> = self.tickets.iter().filter(|t| t.expires_ns <= now_ns).map(|t| t.key).collect();
        for key in old {
            self.tickets.take(&key);
        }
        if self.tickets.len() >= TICKETS_MAX {
            let text = format!("the realm has given {TICKETS_MAX} tickets that are good still");
            return refuse(Errno::LIMIT, text, "use those, or wait until they expire");
        }
        self.tickets.put(TicketEntry { key, expires_ns, used: NodeId::NONE });
        Ok(Step::CHANGED)
    }

    pub(super) fn admit(
        &mut self,
        index: u64,
        ticket: &[u8; 32],
        key: [u8; 32],
        addr: SocketAddr,
        now_ns: u64,
    ) -> Answer {
        let mend = "ask for another one: `pando ticket`";
        let Some(known) = self.tickets.get(ticket).cloned() else {
            return refuse(Errno::DENIED, "the realm knows no such ticket", mend);
        };
        if known.used != NodeId::NONE {
            let node = known.used;
            if self.members.get(&node).is_some_and(|member| member.key == key) {
                return Ok(Step { outcome: RootOutcome::Member { node }, changed: false });
            }
            return refuse(Errno::DENIED, format!("the ticket was used already: {node} came with it"), mend);
        }
        if known.expires_ns <= now_ns {
            return refuse(Errno::DENIED, "the ticket is no longer good", mend);
        }
        if let Some(member) = self.member_by_key(&key) {
            let text = format!("this key is {}'s already", member.node);
            return refuse(Errno::EXISTS, text, "start the newcomer with an empty folder, so that it draws a new key");
        }
        if self.users.has(&key) || self.tickets.has(&key) {
            return refuse(Errno::EXISTS, "this key is a user's or a ticket's", "start with an empty folder");
        }
        let step = self.add_member(index, key, addr, Role::Voter)?;
        if let RootOutcome::Member { node } = step.outcome {
            self.tickets.put(TicketEntry { used: node, ..known });
        }
        Ok(step)
    }

    pub(super) fn remove_member(&mut self, index: u64, node: NodeId, alive: &[u32], lost: bool) -> Answer {
        let Some(member) = self.members.get(&node) else {
            // It was one, so it is as wanted.
            let was = node != NodeId::NONE && node.0 < self.next_node;
            return if was { Ok(Step::SAME) } else { refuse_node(node) };
        };
        let member = member.clone();
        let stays = |m: &MemberEntry| m.node != node && m.role == Role::Voter && m.standing != Standing::Leaving;
        if !self.members().any(stays) {
            return refuse(Errno::REFUSED, format!("{node} is the last voter of the realm"), "add another node first");
        }
        let load = self.load(node);
        if load > 0 && alive.contains(&node.0) && member.standing != Standing::Leaving {
            let groups = if load == 1 { "a group".to_owned() } else { format!("{load} groups") };
            let mend = format!("`drain {node}` moves them away; then remove it");
            return refuse(Errno::REFUSED, format!("{node} still holds {groups}"), mend);
        }
        let over: Vec<GroupRecord> = self.groups_of(node).filter(|g| self.ends_without(g, node)).cloned().collect();
        if !over.is_empty() && !lost {
            let names: Vec<String> = over.iter().take(3).map(|group| self.called(group)).collect();
            let more = if over.len() > 3 { format!(" and {} more", over.len() - 3) } else { String::new() };
            let text = format!("without {node} no majority of {}{more} is left", names.join(", "));
            let mend = format!(
                "start {node} and drain it; if its disk is gone for good, `remove-node {node} --lost` ends them"
            );
            return refuse(Errno::REFUSED, text, mend);
        }
        for group in &over {
            self.take_names_of(Address::group(group.id));
            let message = format!("{node} was removed, and with it the last majority of its replicas");
            self.bury_group(group.id, Ended { kind: ExitKind::QuorumLost as u16, code: 0, message, at: index });
        }
        if member.standing == Standing::Leaving {
            return Ok(if over.is_empty() { Step::SAME } else { Step::CHANGED });
        }
        self.members.put(MemberEntry { standing: Standing::Leaving, ..member });
        Ok(Step::CHANGED)
    }

    /// Has a group no majority any more once this node is gone, and those that leave already?
    fn ends_without(&self, group: &GroupRecord, node: NodeId) -> bool {
        let stays = |n: &&NodeId| {
            **n != node && self.members.get(*n).is_some_and(|member| member.standing != Standing::Leaving)
        };
        let voters = group.voter_ids();
        voters.contains(&node) && voters.iter().filter(stays).count() * 2 <= voters.len()
    }

    fn called(&self, group: &GroupRecord) -> String {
        let address = Address::group(group.id);
        let name = self.names_of(address).next().map(str::to_owned);
        name.unwrap_or_else(|| address.to_string())
    }

    pub(super) fn forget_member(&mut self, node: NodeId) -> Answer {
        let Some(member) = self.members.get(&node) else {
            let was = node != NodeId::NONE && node.0 < self.next_node;
            return if was { Ok(Step::SAME) } else { refuse_node(node) };
        };
        if member.standing != Standing::Leaving || self.load(node) > 0 {
            return refuse(Errno::REFUSED, format!("{node} is not leaving, or is counted on still"), "remove it first");
        }
        self.members.take(&node);
        let used: Vec<[u8; 32]> = self.tickets.iter().filter(|t| t.used == node).map(|t| t.key).collect();
        for key in used {
            self.tickets.take(&key);
        }
        self.forget_moved_on(node);
        // Those who were born there and live elsewhere go on.
        let gone = |entry: &&NameEntry| entry.address.node == node && self.moved(entry.address).is_none();
        let orphans: Vec<String> = self.names.iter().filter(gone).map(|entry| entry.name.clone()).collect();
        for name in orphans {
            self.take_name(&name);
        }
        Ok(Step::CHANGED)
    }
}

/// A disk that does not know what the realm knows of its node.
pub(super) fn wiped(node: NodeId) -> Refusal {
    Refusal::new(
        Errno::EXISTS,
        format!("{node} has taken part before, and this disk knows nothing of it: it was wiped, or is another node's"),
        format!("restore its folder; or `remove-node {node}` and admit the machine anew with `pando ticket`"),
    )
}
