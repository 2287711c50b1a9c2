//! The program with a realm under it: real processes, real disks, loopback.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

fn pando(args: &[&str], data: &Path, stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pando"))
        .args(args)
        .env("PANDO_DATA", data)
        .env("TMPDIR", data)
        .env_remove("PANDO_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every line of standard output as a document.
fn documents(output: &Output) -> Vec<Value> {
    text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// Stops the realm whatever the test comes to.
struct Stopped<'a>(&'a Path);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let _ = pando(&["stop"], self.0, "");
    }
}

#[test]
fn an_ephemeral_realm_answers_and_leaves_nothing_behind() {
    let data = tempfile::tempdir().unwrap();
    let commands = "spawn counter --replicas 3 --name hits\ncall hits add 5\ncall hits value --json; names";
    let output = pando(&["up", "--ephemeral"], data.path(), commands);
    let lines = text(&output.stdout);
    let lines: Vec<&str> = lines.lines().collect();
    assert!(output.status.success(), "{lines:?} {}", text(&output.stderr));
    assert!(lines[0].starts_with("hits  group ") && lines[0].contains("  voters n1 n2 n3  leader n"), "{lines:?}");
    assert!(lines[1].starts_with("5            final@") && lines[1].ends_with(" ms)"), "{lines:?}");
    let answer: Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!((&answer["value"], &answer["level"]), (&Value::from(5), &Value::from("linear")));
    assert!(lines[4].starts_with("hits  group/"), "{lines:?}");
    // The realm lay in a temporary folder here.
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
}

#[test]
fn a_realm_that_is_kept_is_attached_to_stopped_and_booted_again() {
    let data = tempfile::tempdir().unwrap();
    let _stopped = Stopped(data.path());
    let output =
        pando(&["up", "--keep", "--json"], data.path(), "spawn counter --replicas 3 --name hits; call hits add 2");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let spawned = documents(&output).remove(0);
    assert_eq!(spawned["kind"], "group");

    // A second `up` finds it running, and does not stop it.
    let output = pando(&["up", "--json"], data.path(), "call hits add 3");
    assert_eq!(documents(&output)[0]["value"], 5, "{}", text(&output.stderr));
    let output = pando(&["call", "hits", "add", "five", "--json"], data.path(), "");
    assert_eq!((output.status.code(), &documents(&output)[0]["errno"]), (Some(1), &Value::from("BAD_REQUEST")));

    // The leader is killed; the answer comes all the same, and the node comes back.
    let leader = spawned["node"].as_str().unwrap();
    let commands = format!("kill-node {leader}; call hits add 1 --deadline 20s; start-node {leader}");
    let output = pando(&["sh", "--json"], data.path(), &commands);
    assert!(output.status.success(), "{} {}", text(&output.stdout), text(&output.stderr));
    assert_eq!(documents(&output)[1]["value"], 6);

    assert!(pando(&["stop"], data.path(), "").status.success());
    assert_eq!(pando(&["names", "--deadline", "300ms"], data.path(), "").status.code(), Some(1));
    let output = pando(&["up", "--json"], data.path(), "call hits value --deadline 20s");
    assert_eq!(documents(&output)[0]["value"], 6, "{}", text(&output.stderr));
}

#[test]
fn a_watched_actor_that_is_killed_is_reported() {
    let data = tempfile::tempdir().unwrap();
    let commands = "spawn counter --name c; monitor c; kill c; monitor c --wait";
    let output = pando(&["up", "--ephemeral", "--nodes", "1"], data.path(), commands);
    let out = text(&output.stdout);
    assert!(out.contains("watching c\n") && out.contains("c ended: killed"), "{out} {}", text(&output.stderr));
}
