//! What must hold: one file for each property.
//!
//! Some are held against the nodes while they run ([`replicas`], [`members`], [`bounds`]), the others against the history and the audit when
//! everything is over. A property says what it saw in one sentence; a sentence is a failure.

pub mod bounds;
pub mod counters;
pub mod ends;
pub mod jacks;
pub mod letters;
pub mod members;
pub mod monitors;
pub mod names;
pub mod promises;
pub mod replicas;
pub mod timers;
pub mod upgrades;

use super::people::{Audit, Board, Cast};

/// Holds everything that is known in the end against every property.
pub fn everything(board: &Board) -> Vec<String> {
    let (Some(cast), Some(audit)) = (&board.cast, &board.audit) else { return Vec::new() };
    let mut found = Vec::new();
    counters::check(cast, audit, &board.history, &mut found);
    letters::check(cast, audit, &board.history, &mut found);
    timers::check(cast, audit, &board.history, &mut found);
    monitors::check(cast, audit, &board.history, &mut found);
    promises::check(cast, audit, &mut found);
    jacks::check(cast, audit, &mut found);
    upgrades::check(&board.history, &mut found);
    names::check(cast, audit, &board.history, &mut found);
    found
}

/// The names of the groups among the witnesses, with their testimonies.
fn groups<'a>(
    cast: &'a Cast,
    of: &'a Audit,
) -> impl Iterator<Item = (usize, &'a str, &'a crate::guests::Testimony)> + 'a {
    let all = cast.witnesses.iter().zip(&of.testimonies).enumerate();
    all.take(cast.groups).filter_map(|(n, (name, testimony))| Some((n, name.as_str(), testimony.as_ref()?)))
}
