//! What happens on a day, from the seed alone.
//!
//! Owns: the kinds of trouble and how often each comes. Does not know: who leads what when it comes; a victim may be "the
//! leader of a group", and who that is shows then.
//!
//! 1. The same seed and number of nodes is the same plan, as long as it is followed.

use std::fmt;

use crate::dice::Dice;

/// Whom it strikes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Victim {
    /// Whoever leads the n-th group.
    Leader(usize),
    /// This node.
    Node(u32),
}

/// One trouble.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A power cut of one node.
    Kill(Victim),
    /// A node is told to stop, and stops in order.
    Stop(Victim),
    /// A process that does not run, and then does, as if nothing had been.
    Freeze(Victim),
    /// It hears and reaches no other node. Persons still reach it.
    Isolate(Victim),
    /// It hears no other node, and they hear it.
    Deafen(Victim),
    /// No other node hears it, and it hears them.
    Mute(Victim),
    /// Two nodes do not reach each other; all others reach both.
    Sever(Victim),
    /// These are on one side, all others on the other.
    Split(Vec<u32>),
    /// Every way loses so many of a thousand packets, doubles so many, and takes so long, unevenly.
    Rough {
        /// Lost of a thousand.
        loss: u32,
        /// Doubled of a thousand.
        twice: u32,
        /// Longest delay, in milliseconds.
        jitter_ms: u64,
        /// The ways of persons too.
        persons: bool,
    },
    /// A power cut of every node at once.
    Blackout,
    /// A power cut of one node, by itself: its disk is copied, or comes back as it was when it was copied.
    OldCopy(u32),
    /// Nodes go down one after the other, and come back in another order.
    Swizzle(Vec<u32>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |nodes: &[u32]| nodes.iter().map(|n| format!("n{n}")).collect::<Vec<_>>().join("+");
        match self {
            Fault::Kill(v) => write!(f, "kill {v}"),
            Fault::Stop(v) => write!(f, "stop {v}"),
            Fault::Freeze(v) => write!(f, "freeze {v}"),
            Fault::Isolate(v) => write!(f, "isolate {v}"),
            Fault::Deafen(v) => write!(f, "deafen {v}"),
            Fault::Mute(v) => write!(f, "mute {v}"),
            Fault::Sever(v) => write!(f, "sever {v}"),
            Fault::Split(nodes) => write!(f, "split {}", list(nodes)),
            Fault::Rough { loss, twice, jitter_ms, persons } => {
                let all = if *persons { " all" } else { "" };
                write!(f, "rough {}%/{}%/{jitter_ms}ms{all}", loss / 10, twice / 10)
            }
            Fault::Blackout => write!(f, "blackout"),
            Fault::OldCopy(node) => write!(f, "old copy n{node}"),
            Fault::Swizzle(nodes) => write!(f, "swizzle {}", list(nodes)),
        }
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Victim::Leader(group) => write!(f, "leader{group}"),
            Victim::Node(node) => write!(f, "n{node}"),
        }
    }
}

/// Some trouble at once, for some time, and then some rest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Episode {
    /// Counts up from 1.
    pub number: u32,
    /// What happens, in this order.
    pub faults: Vec<Fault>,
    /// How long it lasts.
    pub lasts_ms: u64,
    /// How long it is quiet once everything is healed.
    pub rest_ms: u64,
}

/// Episodes without end.
pub struct Plan {
    dice: Dice,
    nodes: u32,
    number: u32,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64, nodes: u32) -> Plan {
        Plan { dice: Dice::of(seed, 1), nodes, number: 0 }
    }

    fn victim(&mut self) -> Victim {
        if self.dice.chance(600) {
            Victim::Leader(self.dice.below(super::workload::GROUPS.len() as u64) as usize)
        } else {
            Victim::Node(self.node())
        }
    }

    fn node(&mut self) -> u32 {
        self.dice.between(1, u64::from(self.nodes)) as u32
    }

    fn shuffled(&mut self) -> Vec<u32> {
        let mut all: Vec<u32> = (1..=self.nodes).collect();
        for at in (1..all.len()).rev() {
            all.swap(at, self.dice.below(at as u64 + 1) as usize);
        }
        all
    }

    fn rough(&mut self) -> Fault {
        Fault::Rough {
            loss: self.dice.below(300) as u32,
            twice: self.dice.below(300) as u32,
            jitter_ms: self.dice.below(80),
            persons: self.dice.chance(400),
        }
    }

    fn fault(&mut self) -> Fault {
        match self.dice.below(100) {
            0..28 => Fault::Kill(self.victim()),
            28..36 => Fault::Stop(self.victim()),
            36..50 => Fault::Freeze(self.victim()),
            50..59 => Fault::Isolate(self.victim()),
            59..66 => Fault::Deafen(self.victim()),
            66..73 => Fault::Mute(self.victim()),
            73..79 => Fault::Sever(self.victim()),
            79..84 => {
                let mut side = self.shuffled();
                side.truncate(self.dice.between(1, u64::from(self.nodes / 2)) as usize);
                Fault::Split(side)
            }
            84..94 => self.rough(),
            94..97 => Fault::Blackout,
            _ => {
                let mut some = self.shuffled();
                some.truncate(self.dice.between(2, u64::from(self.nodes)) as usize);
                Fault::Swizzle(some)
            }
        }
    }
}

impl Iterator for Plan {
    type Item = Episode;

    fn next(&mut self) -> Option<Episode> {
        self.number += 1;
        let mut faults = vec![self.fault()];
        // Those who know that it is old must be there.
        let alone = self.dice.chance(60);
        if alone {
            faults = vec![Fault::OldCopy(self.node())];
        } else if self.dice.chance(300) {
            let more = if self.dice.chance(500) { self.rough() } else { self.fault() };
            // The network first: what happens to nodes then happens on it.
            let at = if matches!(more, Fault::Rough { .. }) { 0 } else { faults.len() };
            faults.insert(at, more);
        }
        // Most are short; some are longer than every time-out.
        let lasts_ms =
            if self.dice.chance(150) { self.dice.between(6_000, 14_000) } else { self.dice.between(500, 5_000) };
        let rest_ms = self.dice.between(300, 2_000);
        Some(Episode { number: self.number, faults, lasts_ms, rest_ms })
    }
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use super::*;

    #[test]
    fn the_same_seed_is_the_same_plan() {
        let plan = |seed| Plan::new(seed, 5).take(200).collect::<Vec<_>>();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn every_kind_of_trouble_comes_about() {
        let mut kinds = Vec::new();
        for fault in Plan::new(1, 3).take(400).flat_map(|e| e.faults) {
            if !kinds.contains(&discriminant(&fault)) {
                kinds.push(discriminant(&fault));
            }
        }
        assert_eq!(kinds.len(), 12);
    }

    #[test]
    fn one_side_of_a_split_is_never_everybody() {
        for fault in Plan::new(2, 5).take(1_000).flat_map(|e| e.faults) {
            if let Fault::Split(side) = fault {
                assert!((1..=2).contains(&side.len()));
            }
        }
    }
}
