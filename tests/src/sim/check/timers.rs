//! Timers fire once, not early, and in the order of their times; a group's survive its leaders.

use crate::sim::people::{Audit, Cast, Deed, Fate, Wish};

/// Adds a sentence for each violation.
pub fn check(cast: &Cast, audit: &Audit, history: &[Deed], found: &mut Vec<String>) {
    for (name, testimony) in cast.witnesses.iter().zip(&audit.testimonies) {
        let Some(t) = testimony else { continue };
        if t.timers_wrong > 0 {
            found.push(format!("{name}: {} timers fired twice, early, or out of order", t.timers_wrong));
        }
        if t.timers_fired > t.timers_set {
            found.push(format!("{name}: {} timers fired of {} that were set", t.timers_fired, t.timers_set));
        }
    }
    for (n, name, t) in super::groups(cast, audit) {
        if t.timers_fired != t.timers_set {
            found.push(format!("{name}: {} timers fired of {} that were set", t.timers_fired, t.timers_set));
        }
        let asked: u64 = history
            .iter()
            .filter_map(|deed| match (deed.wish, &deed.fate) {
                (Wish::Timers { who, many, .. }, Fate::Answered { .. }) if who == n => Some(many),
                _ => None,
            })
            .sum();
        if t.timers_set < asked {
            found.push(format!("{name}: {} timers were set, {asked} for sure were asked for", t.timers_set));
        }
    }
}
