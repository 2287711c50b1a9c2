//! A monitor is answered at most once, and once for sure when what it watches is gone.

use crate::sim::people::{Audit, Cast, Deed, Fate, Wish};

/// Adds a sentence for each violation.
pub fn check(cast: &Cast, audit: &Audit, history: &[Deed], found: &mut Vec<String>) {
    for (name, testimony) in
        cast.witnesses.iter().zip(&audit.testimonies).chain(cast.witnesses.iter().zip(&audit.last_words))
    {
        let Some(t) = testimony else { continue };
        if t.downs > t.watches {
            found.push(format!("{name}: {} downs for {} monitors", t.downs, t.watches));
        }
    }
    // The last words are spoken when every plain actor is gone.
    for (n, (name, testimony)) in cast.witnesses.iter().zip(&audit.last_words).take(cast.groups).enumerate() {
        let Some(t) = testimony else { continue };
        let of_plain: u64 = history
            .iter()
            .map(|deed| match (deed.wish, &deed.fate) {
                (Wish::Watch { who, target }, Fate::Answered { .. }) if who == n && target >= cast.groups => 1,
                _ => 0,
            })
            .sum();
        if t.downs < of_plain {
            found.push(format!("{name}: {} downs, though {of_plain} watched plain actors are gone", t.downs));
        }
    }
}
