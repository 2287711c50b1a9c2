//! Who shall hold what: seats in the root group, replicas of groups, and how both are mended.
//!
//! Owns: what is wanted. Does not know: how a group's voters are changed; its leader does that and says so ([`Root::seated`]).
//!
//! 1. Seats in the root group follow from the members alone: those with the smallest numbers, at most [`SEATS_MAX`].
//! 2. A replica leaves a node that is away only if another node takes it.
//! 3. A command that moves replicas says who is alive, and only the living get any.

use std::collections::BTreeSet;

use pando_abi::{ActorId, Errno, NodeId, limits};

use super::{
    Root,
    apply::{Answer, Step},
    rows::{GroupRecord, MemberEntry, Role, SEATS_MAX, Standing},
    rules::{refuse, refuse_group, refuse_node},
};
use crate::place::{self, Seat};

/// Groups that one command mends at most.
const MEND_MAX: usize = 64;

impl Root {
    /// The nodes that shall vote in the root group, by number; all others follow it. Who is away keeps a seat only as long
    /// as nobody else can take it; who is drained, only if there is nobody else at all.
    pub fn seats(&self) -> Vec<NodeId> {
        let of = |standing: Standing| {
            let voters = self.members().filter(move |m| m.role == Role::Voter && m.standing == standing);
            voters.map(|m| m.node).collect::<Vec<_>>()
        };
        let mut seats = of(Standing::Present);
        seats.extend(of(Standing::Away));
        if seats.is_empty() {
            seats = of(Standing::Drained);
        }
        seats.truncate(SEATS_MAX);
        seats.sort_unstable();
        seats
    }

    /// The nodes that follow the root group without a vote.
    pub fn followers(&self) -> Vec<NodeId> {
        let seats = self.seats();
        let follows = |m: &&MemberEntry| m.standing != Standing::Leaving && !seats.contains(&m.node);
        self.members().filter(follows).map(|m| m.node).collect()
    }

    /// Where something could be placed beside `taken`.
    pub(super) fn places(&self, alive: &[u32], taken: &[u32]) -> Vec<Seat> {
        let seat = |member: &MemberEntry| Seat {
            node: member.node,
            votes: member.is_placeable(),
            alive: alive.contains(&member.node.0),
            groups: self.load(member.node),
        };
        self.members().filter(|member| !taken.contains(&member.node.0)).map(seat).collect()
    }

    /// How many groups shall be held on a node.
    pub fn wanted_on(&self, node: NodeId) -> usize {
        self.groups_of(node).filter(|group| group.wanted.contains(&node.0)).count()
    }

    pub(super) fn drain(&mut self, node: NodeId, drained: bool) -> Answer {
        let Some(member) = self.members.get(&node) else { return refuse_node(node) };
        let member = member.clone();
        let standing = match (member.standing, drained) {
            (Standing::Present | Standing::Away, true) => Standing::Drained,
            (Standing::Drained, false) => Standing::Present,
            (Standing::Leaving, false) => {
                return refuse(Errno::REFUSED, format!("{node} is being removed"), "admit it anew with `pando ticket`");
            }
            _ => return Ok(Step::SAME),
        };
        let fit = |m: &MemberEntry| m.role == Role::Voter && matches!(m.standing, Standing::Present | Standing::Away);
        if drained && !self.members().any(|m| m.node != node && fit(m)) {
            let text = format!("{node} is the last node that can hold anything");
            return refuse(Errno::REFUSED, text, "admit another node first: `pando ticket`");
        }
        self.members.put(MemberEntry { standing, ..member });
        Ok(Step::CHANGED)
    }

    pub(super) fn mark_away(&mut self, node: NodeId, away: bool) -> Answer {
        let Some(member) = self.members.get(&node) else { return refuse_node(node) };
        let standing = match (member.standing, away) {
            (Standing::Present, true) => Standing::Away,
            (Standing::Away, false) => Standing::Present,
            _ => return Ok(Step::SAME),
        };
        let member = MemberEntry { standing, ..member.clone() };
        self.members.put(member);
        Ok(Step::CHANGED)
    }

    pub(super) fn set_replace_after(&mut self, ms: u64) -> Answer {
        if self.replace_after_ms == ms {
            return Ok(Step::SAME);
        }
        self.replace_after_ms = ms;
        Ok(Step::CHANGED)
    }

    fn alive_group(&self, id: ActorId) -> Result<&GroupRecord, super::command::Refusal> {
        match self.groups.get(&id) {
            Some(group) => Ok(group),
            None if self.ended.has(&id) => Err(self.gone(id)),
            None => refuse_group(id),
        }
    }

    pub(super) fn set_voters(&mut self, id: ActorId, mut voters: Vec<u32>) -> Answer {
        let group = self.alive_group(id)?;
        voters.sort_unstable();
        if voters.is_empty() || voters.len() > limits::REPLICAS_MAX || voters.array_windows().any(|[a, b]| a == b) {
            let text = format!("a group has 1 to {} voters, none twice", limits::REPLICAS_MAX);
            return refuse(Errno::BAD_REQUEST, text, "name each node once");
        }
        for node in &voters {
            let node = NodeId(*node);
            // Who holds it already may go on, whatever is to be expected of it.
            let holds = group.wanted.contains(&node.0);
            match self.members.get(&node) {
                None => return refuse_node(node),
                Some(member) if member.role == Role::Observer => {
                    return refuse(Errno::REFUSED, format!("{node} is an observer, which never votes"), "name a voter");
                }
                Some(member) if !holds && !member.is_placeable() => {
                    let (why, mend) = match member.standing {
                        Standing::Drained => ("is drained", format!("`undrain {node}`, or name another node")),
                        Standing::Leaving => ("is being removed", "name another node".to_owned()),
                        _ => ("was not seen for long", format!("start {node}, or name another node")),
                    };
                    return refuse(Errno::REFUSED, format!("{node} {why}"), mend);
                }
                Some(_) => {}
            }
        }
        let replicas = voters.len() as u8;
        if group.wanted == voters && group.replicas == replicas {
            return Ok(Step::group(group, false));
        }
        let record = GroupRecord { wanted: voters, replicas, ..group.clone() };
        let step = Step::group(&record, true);
        self.put_group(record);
        Ok(step)
    }

    pub(super) fn reseat(&mut self, id: ActorId, add: &[u32], remove: &[u32]) -> Answer {
        let group = self.alive_group(id)?;
        let mut wanted: BTreeSet<u32> = group.wanted.iter().copied().filter(|n| !remove.contains(n)).collect();
        wanted.extend(add);
        if wanted.is_empty() {
            let mend = "name another node to take it, or end the group: `kill`";
            return refuse(Errno::REFUSED, "a group needs a node that holds it", mend);
        }
        if wanted.iter().eq(&group.wanted) {
            return Ok(Step::group(group, false));
        }
        // A group that is short of replicas gets back what it lost, not one more.
        let fewer = group.wanted.len().saturating_sub(wanted.len());
        let replicas = usize::from(group.replicas).saturating_sub(fewer).max(wanted.len()) as u8;
        self.set_voters(id, wanted.into_iter().collect())?;
        let record = GroupRecord { replicas, ..self.alive_group(id)?.clone() };
        let step = Step::group(&record, true);
        self.put_group(record);
        Ok(step)
    }

    pub(super) fn seated(&mut self, id: ActorId, mut voters: Vec<u32>, at: u64) -> Answer {
        let group = self.alive_group(id)?;
        if at <= group.seated_at {
            return Ok(Step::group(group, false));
        }
        // Who is forgotten meanwhile is not counted on; whoever leads the group takes it out.
        voters.retain(|node| self.members.get(&NodeId(*node)).is_some_and(|m| m.role == Role::Voter));
        voters.sort_unstable();
        voters.dedup();
        if voters.is_empty() || voters.len() > limits::REPLICAS_MAX {
            return refuse(Errno::BAD_REQUEST, "a group is held by nodes of the realm, and not by too many", "");
        }
        let record = GroupRecord { voters, seated_at: at, ..group.clone() };
        let step = Step::group(&record, true);
        self.put_group(record);
        Ok(step)
    }

    /// Groups that may want mending: too few replicas, or some on nodes that shall hold none.
    fn ailing(&self) -> BTreeSet<ActorId> {
        let bad = self.members().filter(|member| member.standing != Standing::Present);
        self.index.short().chain(bad.flat_map(|member| self.index.held_by(member.node))).collect()
    }

    /// Who should hold a group instead of those that shall; `None`: nothing better is to be had.
    fn mended(&self, group: &GroupRecord, alive: &[u32]) -> Option<Vec<u32>> {
        let standing = |n: &u32| self.members.get(&NodeId(*n)).map_or(Standing::Leaving, |member| member.standing);
        let replicas = usize::from(group.replicas);
        let mut wanted: Vec<u32> = group.wanted.iter().copied().filter(|n| standing(n) == Standing::Present).collect();
        let missing = replicas.saturating_sub(wanted.len());
        let places = self.places(alive, &group.wanted);
        let room = places.iter().filter(|seat| seat.votes && seat.alive).count();
        let new = place::place(group.id, missing.min(room), &places, &[]).ok()?;
        wanted.extend(new.iter().map(|node| node.0));
        // What nobody else takes stays where it is, but not with those who leave.
        for worse in [Standing::Drained, Standing::Away] {
            wanted.extend(group.wanted.iter().copied().filter(|n| standing(n) == worse));
        }
        wanted.truncate(replicas);
        wanted.sort_unstable();
        (wanted != group.wanted && !wanted.is_empty()).then_some(wanted)
    }

    /// Would [`super::RootCommand::Mend`] change anything?
    pub fn wants_mending(&self, alive: &[u32]) -> bool {
        let ailing = self.ailing();
        ailing.iter().filter_map(|id| self.groups.get(id)).any(|group| self.mended(group, alive).is_some())
    }

    pub(super) fn mend(&mut self, alive: &[u32]) -> Answer {
        if alive.len() > limits::NODES_MAX {
            return refuse(Errno::LIMIT, format!("a realm has at most {} nodes", limits::NODES_MAX), "");
        }
        let mut changed = 0;
        for id in self.ailing() {
            let Some(group) = self.groups.get(&id) else { continue };
            if let Some(wanted) = self.mended(group, alive) {
                let record = GroupRecord { wanted, ..group.clone() };
                self.put_group(record);
                changed += 1;
            }
            if changed == MEND_MAX {
                break;
            }
        }
        Ok(if changed > 0 { Step::CHANGED } else { Step::SAME })
    }
}
