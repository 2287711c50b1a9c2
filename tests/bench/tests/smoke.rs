//! The benchmark runs, and every figure that it promises is there.

use std::process::Command;

#[test]
fn a_quick_run_prints_every_figure() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("bench.json");
    let output = Command::new(env!("CARGO_BIN_EXE_pando-bench"))
        .args(["--quick", "--alone", "--out"])
        .arg(&out)
        .output()
        .expect("the benchmark starts");
    let (said, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{err}");
    let promised = [
        "ring of 1,000, 100 tokens",
        "ring of 1,000, one token",
        "ping-pong, one pair",
        "call and reply with a deadline, 8 B",
        "call and reply with a deadline, 1 KiB",
        "fan-in, 100 to 1",
        "spawn and exit, monitored, one at a time",
        "p99 of 1,000 neighbours beside a runaway",
        "bytes of each of 20,000 idle actors",
        "spawn rate of them",
        "wake any of 20,000 sleeping actors",
        "remote call, encrypted, 8 B, one pair",
        "remote call, encrypted, 8 B, 64 pairs",
        "remote one-way, encrypted, 1 KiB",
        "replicated, 3 nodes, disk, pipelined, 8 B",
        "replicated, 3 nodes, disk, pipelined, 1 KiB",
        "replicated, 3 nodes, disk, 1 waiting caller",
        "replicated, 3 nodes, disk, 256 waiting callers",
        "linear reads on a follower",
        "final reads on all three nodes",
        "failover",
        "boot of a new three-node realm",
        "groups of one, to the first answer",
        "groups that nobody asks",
        "commands to 200 groups on 3 nodes together",
        "compile of a module of",
        "start of it when it has been compiled before",
        "the pando program, release",
    ];
    for figure in promised {
        assert!(said.contains(figure), "`{figure}` is missing in:\n{said}");
    }
    assert!(!said.contains("NaN") && !said.contains("inf"), "{said}");
    let data: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&out).expect("the file named with --out")).expect("JSON");
    let rows = data["rows"].as_array().expect("rows");
    assert!(rows.len() >= promised.len() && rows.iter().all(|row| row["pando"].is_f64()), "{data:#}");
    assert!(data["machine"]["cores"].as_u64() > Some(0), "{data:#}");
}

#[test]
fn a_word_that_it_does_not_know_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_pando-bench")).arg("--quik").output().expect("the benchmark starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing called `--quik`"));
}
