//! What is remembered of a run, to tell whether two runs of a seed are the same and, if they are not, where they part.
//!
//! A trace is one glance at every part of the world for each look: a hash for each machine, one for the people.

use std::time::Duration;

/// FNV-1a over words (Fowler, Noll, Vo): enough to tell two things apart.
#[derive(Clone, Copy)]
pub struct Hash(u64);

impl Default for Hash {
    fn default() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    /// Takes a number in.
    pub fn word(&mut self, word: u64) {
        self.bytes(&word.to_le_bytes());
    }
    /// Takes bytes in.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    /// What came of it.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// One look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// When.
    pub at: Duration,
    /// The machines, in order.
    pub machines: Vec<u64>,
    /// The people.
    pub people: u64,
}

/// All looks of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace(pub Vec<Glance>);

impl Trace {
    /// One number for all of it.
    pub fn hash(&self) -> u64 {
        let mut hash = Hash::default();
        for glance in &self.0 {
            hash.word(glance.at.as_nanos() as u64);
            glance.machines.iter().for_each(|machine| hash.word(*machine));
            hash.word(glance.people);
        }
        hash.value()
    }

    /// Where another run of the same seed went another way, and who went first.
    pub fn parts_from(&self, other: &Trace) -> Option<String> {
        if self == other {
            return None;
        }
        let Some((one, two)) = self.0.iter().zip(&other.0).find(|(one, two)| one != two) else {
            return Some(format!("one run ended after {} looks, the other after {}", self.0.len(), other.0.len()));
        };
        let who = one.machines.iter().zip(&two.machines).zip(1..).filter(|((a, b), _)| a != b);
        let mut who: Vec<String> = who.map(|(_, n)| format!("n{n}")).collect();
        if one.machines.len() != two.machines.len() {
            who.push("how many machines there are".into());
        }
        if one.people != two.people {
            who.push("what people were told".into());
        }
        Some(format!("at {:.3} s {}", one.at.as_secs_f64(), who.join(" and ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(glances: &[(u64, &[u64], u64)]) -> Trace {
        let glance = |(ms, machines, people): &(u64, &[u64], u64)| Glance {
            at: Duration::from_millis(*ms),
            machines: machines.to_vec(),
            people: *people,
        };
        Trace(glances.iter().map(glance).collect())
    }

    #[test]
    fn two_runs_that_part_tell_when_and_who() {
        let one = trace(&[(10, &[1, 2], 7), (20, &[1, 2], 7)]);
        assert_eq!(one.parts_from(&one.clone()), None);
        let two = trace(&[(10, &[1, 2], 7), (20, &[1, 3], 8)]);
        assert_eq!(one.parts_from(&two).unwrap(), "at 0.020 s n2 and what people were told");
        assert_ne!(one.hash(), two.hash());
        assert!(one.parts_from(&trace(&[(10, &[1, 2], 7)])).unwrap().contains("after 2 looks"));
    }
}
