//! The program as a script sees it: exit codes, standard output and error, where no realm runs.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

fn pando(data: &Path, args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pando"))
        .args(args)
        .env("PANDO_DATA", data)
        .env_remove("PANDO_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn check(args: &[&str], code: i32, out: &str, err: &str) {
    let data = tempfile::tempdir().unwrap();
    let output = pando(data.path(), args, "");
    let path = data.path().to_string_lossy().into_owned();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&path, "DATA");
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str(), text(&output.stderr).as_str()),
        (Some(code), out, err),
        "for {args:?}"
    );
}

#[test]
fn wrong_usage_is_one_sentence_and_a_mend_and_code_two() {
    check(
        &["spwan"],
        2,
        "",
        "error: there is no command `spwan`; did you mean `spawn`?\n  mend: `pando help` lists the commands\n",
    );
    check(
        &["call", "hits"],
        2,
        "",
        "error: call wants METHOD\n  mend: usage: pando call <TARGET> <METHOD> [ARGS]...\n",
    );
    check(
        &["kill-node", "two"],
        2,
        "",
        "error: NODE cannot be `two`: a node is written as n1, n2 and so on\n  mend: `pando help kill-node` has examples\n",
    );
    check(
        &["new", "Greeter"],
        2,
        "",
        "error: `Greeter` is not the name of a crate\n  mend: use lower-case letters, digits, - and _, beginning with a letter\n",
    );
}

#[test]
fn a_realm_that_is_not_there_is_told_with_code_one() {
    check(
        &["ps"],
        1,
        "",
        "error: there is no realm in DATA\n  mend: `pando up` founds one, or name its folder with --data\n",
    );
}

#[test]
fn with_json_errors_are_documents_on_standard_output() {
    check(
        &["ps", "--json"],
        1,
        "{\"error\":\"there is no realm in DATA\",\"mend\":\"`pando up` founds one, or name its folder with --data\"}\n",
        "",
    );
    check(
        &["spwan", "--json"],
        2,
        "{\"error\":\"there is no command `spwan`; did you mean `spawn`?\",\"mend\":\"`pando help` lists the commands\"}\n",
        "",
    );
}

#[test]
fn help_and_version_are_no_failures() {
    let data = tempfile::tempdir().unwrap();
    for args in [&["help"][..], &["--help"], &["help", "call"], &["spawn", "--help"], &["--version"]] {
        let output = pando(data.path(), args, "");
        assert!(output.status.success() && !output.stdout.is_empty(), "{args:?}");
    }
    let help = pando(data.path(), &["help", "spawn"], "").stdout;
    assert!(String::from_utf8_lossy(&help).contains("Examples:"));
}

#[test]
fn bundled_programs_need_no_realm() {
    let data = tempfile::tempdir().unwrap();
    let output = pando(data.path(), &["programs", "--json"], "");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document.as_array().unwrap().iter().any(|p| p["name"] == "counter"), "{document}");
}

/// A realm's record whose nodes do not run.
fn sleeping(data: &Path) {
    pando_kernel::Genesis::found(data, 2).unwrap();
}

#[test]
fn a_realm_that_sleeps_is_told_with_its_mend() {
    let data = tempfile::tempdir().unwrap();
    sleeping(data.path());
    let output = pando(data.path(), &["names", "--deadline", "300ms"], "");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.starts_with("error: no node of the realm answers"), "{text}");
    assert!(text.ends_with("mend: start the realm with `pando up`\n"), "{text}");
    let output = pando(data.path(), &["kill-node", "n2"], "");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("error: n2 does not run on this machine"), "{text}");
}

#[test]
fn a_piped_shell_stops_at_the_first_failure_unless_it_is_to_keep_going() {
    let data = tempfile::tempdir().unwrap();
    sleeping(data.path());
    let output = pando(data.path(), &["sh"], "programs\nnonsense\nprograms\n");
    let tables = |output: &Output| String::from_utf8_lossy(&output.stdout).matches("PROGRAM").count();
    assert_eq!((output.status.code(), tables(&output)), (Some(2), 1));
    let output = pando(data.path(), &["sh", "--keep-going"], "programs; nonsense\nprograms\n# a comment\n");
    assert_eq!((output.status.code(), tables(&output)), (Some(2), 2));
    let output = pando(data.path(), &["sh"], "help call\nprograms\nexit\nnonsense");
    assert_eq!((output.status.code(), tables(&output)), (Some(0), 1));
    let output = pando(data.path(), &["sh"], "call hits add \"5");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: a quote \" is never closed"));
}
