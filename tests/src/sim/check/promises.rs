//! Every call of a group ends: by a reply, an errno, or its deadline; and once only.

use crate::sim::people::{Audit, Cast};

/// Adds a sentence for each violation.
pub fn check(cast: &Cast, audit: &Audit, found: &mut Vec<String>) {
    for (name, testimony) in cast.witnesses.iter().zip(&audit.testimonies) {
        let Some(t) = testimony else { continue };
        if t.replies > t.calls {
            found.push(format!("{name}: {} replies to {} calls", t.replies, t.calls));
        }
    }
    for (_, name, t) in super::groups(cast, audit) {
        if t.replies != t.calls {
            found.push(format!("{name}: {} of {} calls ended", t.replies, t.calls));
        }
    }
}
