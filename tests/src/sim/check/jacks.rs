//! The contract is kept with those who use all of it.
//!
//! What a jack itself sees and counts (`guests/jack.wat`):
//!
//! 1. A copy of a handle has no right that its original had not, or that was not asked for, and reaches the same actor.
//! 2. A `reply`, `timer` or `down` comes at most once, only for what was asked for, and not for what was taken back.
//! 3. The time does not move inside a handler.

use crate::sim::people::{Audit, Cast};

/// Adds a sentence for each violation.
pub fn check(cast: &Cast, audit: &Audit, found: &mut Vec<String>) {
    for (name, accusation) in cast.jacks.iter().zip(&audit.accusations) {
        if let Some((deeds, wrong @ 1..)) = accusation {
            found.push(format!("{name}: in {deeds} deeds the contract was broken {wrong} times"));
        }
    }
}
