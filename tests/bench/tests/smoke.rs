//! The benchmark runs, and every figure that it promises is there.

use std::process::Command;

#[test]
fn a_quick_run_prints_every_figure() {
    let output = Command::new(env!("CARGO_BIN_EXE_pando-bench")).arg("--quick").output().expect("the benchmark starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let promised = [
        "ring of 1,000 Wasm actors, 1 token",
        "ring of 1,000 Wasm actors, 1,000 tokens",
        "local call round trip",
        "spawns",
        "resident memory of an idle actor",
        "boot of a three-node realm",
        "first answer",
        "remote call round trip",
        "replicated calls, 1 caller",
        "replicated calls, 64 callers",
        "failover",
        "the pando program, release",
    ];
    for figure in promised {
        assert!(out.contains(figure), "`{figure}` is missing in:\n{out}");
    }
    assert!(!out.contains("NaN") && !out.contains("inf"), "{out}");
}

#[test]
fn a_word_that_it_does_not_know_is_told() {
    let output = Command::new(env!("CARGO_BIN_EXE_pando-bench")).arg("--quik").output().expect("the benchmark starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing called `--quik`"));
}
