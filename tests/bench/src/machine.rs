//! What a run ran on: a figure without that is worth nothing.

use std::process::Command;

use serde_json::{Value, json};

/// The machine, and our version of ourselves.
pub fn describe() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().next().and_then(|l| l.split_whitespace().nth(1)).and_then(|n| n.parse::<u64>().ok());
    json!({
        "cpu": model.trim_start_matches([' ', '\t', ':']),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_mib": kib.unwrap_or_default() / 1_024,
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "commit": commit(),
    })
}

fn commit() -> String {
    let root = pando_tests::program::workspace();
    let said = |words: &[&str]| {
        let output = Command::new("git").current_dir(&root).args(words).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = said(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    let commit = said(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    if changed { format!("{commit} and changes") } else { commit }
}

/// What else runs here.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
