//! Code that fails while it takes over never runs. That state comes over whole is what the other properties say: they hold
//! across upgrades.

use crate::sim::people::{Deed, Fate, Version, Wish};

/// Adds a sentence for each violation.
pub fn check(history: &[Deed], found: &mut Vec<String>) {
    for deed in history {
        if let (Wish::Upgrade { who, to: Version::Broken }, Fate::Done) = (deed.wish, &deed.fate) {
            found.push(format!("{who} runs code that trapped when it took over, since {:?}", deed.called));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn broken_code_that_runs_is_a_complaint_and_good_code_is_none() {
        let deed = |to, fate| Deed {
            wish: Wish::Upgrade { who: 0, to },
            called: Duration::ZERO,
            ended: Some(Duration::ZERO),
            fate,
        };
        let mut found = Vec::new();
        check(&[deed(Version::Good(1), Fate::Done), deed(Version::Broken, Fate::Unknown)], &mut found);
        assert_eq!(found, Vec::<String>::new());
        check(&[deed(Version::Broken, Fate::Done)], &mut found);
        assert_eq!(found.len(), 1);
    }
}
