//! How a realm's own traffic grows with its nodes: counted in the simulator, where nothing else is.
//!
//! Owns: the table that `--grow` prints and SCALE.md shows. Does not know packets: a session's own (keep-alive, acknowledgements) are
//! below what is simulated.
//!
//! 1. A message counts once, where it arrives; so does a new session.

use std::time::{Duration, Instant};

use comfy_table::{Table, presets};
use pando_admin::Request;

use crate::{count::Stage, figures};

/// Until nobody has anything left to say.
const SETTLED: Duration = Duration::from_secs(10);
/// How long a realm is watched in which nobody asks anything.
const WATCHED: Duration = Duration::from_secs(60);

/// Prints what so many nodes say to each other.
pub fn run(sizes: &[u32]) {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header([
        "nodes",
        "until it is settled",
        "a minute in which nobody asks",
        "a group of three more",
        "a call to it",
        "a name more",
        "simulated in",
    ]);
    for nodes in sizes {
        let began = Instant::now();
        let mut stage = Stage::new(*nodes);
        stage.pass(SETTLED);
        stage.put("tally");
        stage.pass(SETTLED);
        let settled = stage.world.arrivals;
        let quiet = arrivals(&mut stage, |stage| stage.pass(WATCHED));
        let group = arrivals(&mut stage, |stage| stage.spawn("tally", 3, Vec::new()));
        let call = arrivals(&mut stage, |stage| stage.call("tally", vec![0; 16], &[]));
        let name = Request::Name { name: "counter".into(), target: Some("tally".into()) };
        let name = arrivals(&mut stage, |stage| drop(stage.ask(name, WATCHED)));
        let counts = [u64::from(*nodes), settled, quiet, group, call, name].map(figures::count);
        table.add_row(counts.into_iter().chain([format!("{:.1} s", began.elapsed().as_secs_f64())]));
        eprintln!("{nodes} nodes: done");
    }
    println!("{table}");
}

/// Messages that come of something, until nobody has anything left to say.
fn arrivals(stage: &mut Stage, what: impl FnOnce(&mut Stage)) -> u64 {
    let before = stage.world.arrivals;
    what(stage);
    stage.pass(SETTLED);
    stage.world.arrivals - before
}
