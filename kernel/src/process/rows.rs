//! A process at rest: flat rows for a snapshot.

use std::collections::{BTreeMap, BTreeSet};

use pando_abi::planted::{Bug, planted};
use pando_abi::{NodeId, limits};
use rkyv::{Archive, Deserialize, Serialize};

use super::{Identity, Process, Waiting};
use crate::{
    served::{Served, ServedRows},
    wire::{Malformed, WireAddress},
};

/// [`Process`] at rest.
#[derive(Archive, Serialize, Deserialize, Clone, Debug)]
pub struct ProcessRows {
    me: WireAddress,
    node: u32,
    generation: u32,
    replicated: bool,
    resumes: bool,
    monitors: Vec<(u64, WireAddress, u64)>,
    watchers: Vec<(WireAddress, u64)>,
    links: Vec<(WireAddress, u64)>,
    timers: Vec<(u64, u64)>,
    calls: Vec<(u64, WireAddress, u64)>,
    grants: Vec<(u64, u64)>,
    children: Vec<WireAddress>,
    served: ServedRows,
}

impl Process {
    /// How much there is of what is bounded: what it is, how much, and how much there may be.
    pub fn bounds(&self) -> Vec<(&'static str, usize, usize)> {
        let mut all = vec![
            ("monitors of an actor", self.monitors.len(), limits::MONITORS_MAX),
            ("watchers of an actor", self.watchers.len(), limits::MONITORS_MAX),
            // As many as it asked for, and as many as others did.
            ("links of an actor", self.links.len(), 2 * limits::LINKS_MAX),
            ("timers of an actor", self.timers.len(), limits::TIMERS_MAX),
            ("times of timers", self.agenda.len(), self.timers.len()),
            ("calls of an actor that wait", self.calls.len(), limits::CALLS_MAX),
            ("grants of an actor", self.grants.len(), limits::GRANTS_MAX),
            ("children of an actor", self.children.len(), limits::CHILDREN_MAX),
        ];
        all.extend(self.served.bounds());
        all
    }

    /// For a snapshot.
    pub fn rows(&self) -> ProcessRows {
        ProcessRows {
            me: self.identity.me.into(),
            node: self.identity.node.0,
            generation: self.identity.generation,
            replicated: self.identity.replicated,
            resumes: self.identity.resumes,
            monitors: self.monitors.iter().map(|(id, (a, grant))| (*id, (*a).into(), *grant)).collect(),
            watchers: self.watchers.iter().map(|(a, id)| ((*a).into(), *id)).collect(),
            links: self.links.iter().map(|(a, grant)| ((*a).into(), *grant)).collect(),
            timers: self.timers.iter().map(|(id, at)| (*id, *at)).collect(),
            calls: self.calls.iter().map(|(t, w)| (*t, w.target.into(), w.deadline_ns)).collect(),
            grants: self.grants.iter().map(|(g, b)| (*g, *b)).collect(),
            children: self.children.iter().map(|a| (*a).into()).collect(),
            served: self.served.rows(),
        }
    }

    /// From a snapshot.
    ///
    /// # Errors
    /// If a row does not hold.
    pub fn from_rows(rows: ProcessRows) -> Result<Process, Malformed> {
        let mut monitors = BTreeMap::new();
        for (id, address, grant) in rows.monitors {
            monitors.insert(id, (address.open()?, grant));
        }
        let mut links = BTreeMap::new();
        for (address, grant) in rows.links {
            links.insert(address.open()?, grant);
        }
        let mut watchers = BTreeSet::new();
        for (address, id) in rows.watchers {
            watchers.insert((address.open()?, id));
        }
        let mut children = BTreeSet::new();
        for address in rows.children {
            children.insert(address.open()?);
        }
        let mut calls = BTreeMap::new();
        for (token, target, deadline_ns) in rows.calls {
            calls.insert(token, Waiting { target: target.open()?, deadline_ns });
        }
        Ok(Process {
            identity: Identity {
                me: rows.me.open()?,
                node: NodeId(rows.node),
                generation: rows.generation,
                replicated: rows.replicated,
                resumes: rows.resumes,
            },
            monitors,
            watchers,
            links,
            agenda: rows.timers.iter().map(|(id, at)| (*at, *id)).collect(),
            timers: rows.timers.into_iter().collect(),
            calls,
            grants: rows.grants.into_iter().collect(),
            children,
            served: if planted(Bug::SnapshotForgetsServed) {
                Served::default()
            } else {
                Served::from_rows(rows.served)?
            },
        })
    }
}
