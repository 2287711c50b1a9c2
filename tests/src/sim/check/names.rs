//! A name has one holder: of all who want it, the first in the root group's log.

use crate::sim::people::{Audit, Cast, Deed, Fate, Wish};

/// Adds a sentence for each violation.
pub fn check(cast: &Cast, audit: &Audit, history: &[Deed], found: &mut Vec<String>) {
    for (name, holder) in &audit.names {
        let winners: Vec<usize> = history
            .iter()
            .filter_map(|deed| match (deed.wish, &deed.fate) {
                (Wish::Name { name: n, tally }, Fate::Done) if n == *name => Some(tally),
                _ => None,
            })
            .collect();
        // The same tally may be given the same name again; another one may not.
        if winners.iter().any(|w| *w != winners[0]) {
            let who: Vec<&str> = winners.iter().map(|w| cast.tallies[*w].as_str()).collect();
            found.push(format!("x{name} was given to {}", who.join(" and ")));
        }
        if !winners.is_empty() && holder.is_none() {
            found.push(format!("x{name} was given to {} and nobody has it", cast.tallies[winners[0]]));
        }
    }
}
