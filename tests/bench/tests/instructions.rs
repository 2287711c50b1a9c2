//! What the hot paths cost in instructions, under callgrind: figures that do not depend on what else the machine does.
//!
//! Each kind of work is done N and 2N times in a simulated realm of one thread, and the difference is what N of it cost: what happens
//! once drops out.
//!
//! 1. A budget is what was measured when it was set, and a tenth. Whoever makes something cheaper sets it anew.

use std::process::Command;

/// What is counted (see `src/count.rs`), N, and what one of it took when it was measured.
const MEASURED: [(&str, u64, u64); 5] = [
    ("messages", 20_000, 1_885),
    ("spawns", 2_000, 28_561),
    ("sleepers", 2_000, 27_285),
    ("entries", 200, 769_079),
    ("commands", 6_400, 43_877),
];

/// Instructions of so many.
fn instructions(what: &str, many: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*counted_work*")
        .arg(env!("CARGO_BIN_EXE_pando-bench"))
        .args(["--count", what, &many.to_string()])
        .output()
        .expect("valgrind starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let count = collected.and_then(|(_, n)| n.trim().parse().ok());
    count.unwrap_or_else(|| panic!("callgrind said no count: {said}"))
}

#[test]
fn a_message_a_spawn_and_an_entry_cost_no_more_than_they_did() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("valgrind is not installed: instructions were not counted");
        return;
    }
    let mut over = Vec::new();
    for (what, many, measured) in MEASURED {
        let (once, twice) = (instructions(what, many), instructions(what, 2 * many));
        let each = (twice - once) / many;
        println!("{what}: {each} instructions each, {measured} when the budget was set");
        if each > measured + measured / 10 {
            over.push(format!("{what}: {each} instructions each, the budget is {} and a tenth", measured));
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}
