//! Exactly once between groups; at most once and in order from and to everybody else.
//!
//! Each letter has its sender's next number for its receiver, and a receiver counts what it had heard before and what is
//! missing. The audit asks every group how many letters it has sent to every other.

use crate::sim::people::{Audit, Cast, Deed, Fate, Wish};

/// Adds a sentence for each violation.
pub fn check(cast: &Cast, audit: &Audit, history: &[Deed], found: &mut Vec<String>) {
    for (name, testimony) in cast.witnesses.iter().zip(&audit.testimonies) {
        if let Some(t) = testimony
            && t.doubled > 0
        {
            found.push(format!("{name}: {} letters came twice or out of order", t.doubled));
        }
    }
    for (n, name, t) in super::groups(cast, audit) {
        // Plain actors write to groups too, and what they say may be lost with them.
        let plain_writers =
            history.iter().any(|d| matches!(d.wish, Wish::Post { from, to, .. } if to == n && from >= cast.groups));
        if !plain_writers && t.missed > 0 {
            found.push(format!("{name}: {} letters from groups did not come", t.missed));
        }
        let sent: u64 = audit.sent.iter().filter(|(_, to, _)| *to == n).map(|(.., sent)| sent).sum();
        if t.letters < sent || (!plain_writers && t.letters > sent) {
            found.push(format!("{name}: {} letters came, groups have sent {sent}; {t:?}", t.letters));
        }
    }
    // What a group says it sent is what was asked of it: acknowledged posts happened, once.
    for (from, to, sent) in &audit.sent {
        let (mut least, mut most) = (0, 0);
        for deed in history {
            if let Wish::Post { from: f, to: t, many } = deed.wish
                && (f, t) == (*from, *to)
            {
                match deed.fate {
                    Fate::Answered { .. } => (least, most) = (least + many, most + many),
                    Fate::Unknown => most += many,
                    _ => {}
                }
            }
        }
        if *sent < least || *sent > most {
            let (from, to) = (&cast.witnesses[*from], &cast.witnesses[*to]);
            found.push(format!(
                "{from} has sent {sent} letters to {to}, asked were {least} for sure and {most} at most"
            ));
        }
    }
}
