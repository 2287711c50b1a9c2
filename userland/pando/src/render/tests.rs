use pando_admin::{NameRow, TopRow};
use serde_json::json;

use super::*;

const PLAIN: Style = Style { colour: false, width: None };

fn row(name: &str, node: u32, voters: &[u32]) -> ActorRow {
    ActorRow {
        address: if voters.is_empty() { format!("n{node}/7f3a2b10") } else { "group/7f3a2b10".into() },
        id: "7f3a2b1000000000".into(),
        name: name.into(),
        module: "counter".into(),
        node,
        voters: voters.to_vec(),
        wanted: voters.to_vec(),
        state: "running".into(),
        mailbox: 0,
        memory: 65_536,
        events: 12,
        restarts: 0,
        index: 9,
    }
}

fn answer(text: &str, level: Level, new_leader: Option<u32>) -> Outcome {
    Outcome::Answer(Answer {
        text: text.into(),
        json: json!(5),
        level,
        index: 3,
        node: 2,
        took: Duration::from_micros(1_940),
        new_leader,
    })
}

#[track_caller]
fn check(outcome: Outcome, text: &str) {
    assert_eq!(human(&outcome, PLAIN), text);
}

#[test]
fn the_transcript_looks_as_promised() {
    check(Outcome::Spawned(row("hits", 2, &[1, 2, 3])), "hits  group 7f3a…  voters n1 n2 n3  leader n2");
    check(Outcome::Spawned(row("", 1, &[])), "counter  actor 7f3a…  on n1");
    check(answer("5", Level::Final, None), "5            final@3  (1.9 ms)");
    check(answer("6", Level::Final, Some(3)), "6            final@3  (1.9 ms)  (leader n3)");
    check(answer("\"hello\"", Level::Local, None), "\"hello\"      local  (1.9 ms)");
    check(answer("[\n  1,\n]", Level::Linear, None), "[\n  1,\n]            linear@3  (1.9 ms)");
}

#[test]
fn a_narrow_terminal_shows_fewer_columns_and_breaks_no_word() {
    let rows = || Outcome::Actors { rows: vec![row("hits", 2, &[1, 2, 3]), row("", 1, &[])], silent: vec![] };
    let at = |width| human(&rows(), Style { colour: false, width: Some(width) });
    assert_eq!(
        at(80),
        "\
NAME  ADDRESS         MODULE   WHERE           STATE    WAITING  MEMORY  EVENTS
hits  group/7f3a2b10  counter  n2 of n1 n2 n3  running        0  64 KiB      12
      n1/7f3a2b10     counter  n1              running        0  64 KiB      12"
    );
    assert_eq!(
        at(50),
        "\
NAME  ADDRESS         WHERE           STATE
hits  group/7f3a2b10  n2 of n1 n2 n3  running
      n1/7f3a2b10     n1              running"
    );
    // What has no spare columns is wrapped.
    assert!(at(30).lines().count() > 3 && at(30).lines().all(|line| line.chars().count() <= 30), "{}", at(30));
    assert!(at(200).contains("RESTARTS"));
}

#[test]
fn tables_have_titles_and_no_trailing_blanks() {
    check(
        Outcome::Actors { rows: vec![row("hits", 2, &[1, 2, 3]), row("", 1, &[])], silent: vec![3] },
        "\
NAME  ADDRESS         MODULE   WHERE           STATE    WAITING  MEMORY  EVENTS  RESTARTS
hits  group/7f3a2b10  counter  n2 of n1 n2 n3  running        0  64 KiB      12         0
      n1/7f3a2b10     counter  n1              running        0  64 KiB      12         0
no answer from n3: plain actors there are missing",
    );
    let names = vec![NameRow { name: "hits".into(), address: "group/7f3a2b10".into(), module: "counter".into() }];
    check(Outcome::Names(names), "NAME  ADDRESS         MODULE\nhits  group/7f3a2b10  counter");
    let node = NodeRow {
        node: 1,
        addr: "127.0.0.1:4001".into(),
        key: "abcdef0123456789".into(),
        up: true,
        incarnation: 7,
        root_leader: true,
        voter: true,
        standing: "present".into(),
        this: true,
    };
    check(
        Outcome::Nodes(vec![node.clone(), NodeRow { node: 2, up: false, root_leader: false, this: false, ..node }]),
        "\
NODE  STATE  ROLE    ADDRESS         KEY
n1    up     leader  127.0.0.1:4001  abcdef01…  answers
n2    down   voter   127.0.0.1:4001  abcdef01…",
    );
}

#[test]
fn top_shows_totals_first_and_rates_after() {
    let now = TopRow {
        node: 1,
        uptime_s: 61,
        actors: 3,
        groups: 2,
        leads: 1,
        events: 3_000,
        remote: 50,
        cpu_ms: 1_500,
        resident: 10 << 20,
        overruns: 0,
    };
    let then = TopRow { events: 1_000, remote: 10, cpu_ms: 500, uptime_s: 59, ..now.clone() };
    check(
        Outcome::Top { rows: vec![now.clone()], before: None, refresh: false },
        "\
NODE  UP          CPU  MEMORY  ACTORS  GROUPS  LEADS  EVENTS  REMOTE  OVERRUNS
n1    1 m 01 s  1.5 s  10 MiB       3       2      1    3000      50         0",
    );
    check(
        Outcome::Top { rows: vec![now], before: Some((vec![then], Duration::from_secs(2))), refresh: true },
        "\
NODE  UP         CPU  MEMORY  ACTORS  GROUPS  LEADS  EVENTS  REMOTE  OVERRUNS
n1    1 m 01 s  50 %  10 MiB       3       2      1  1000/s    20/s         0",
    );
}

#[test]
fn what_a_guest_wrote_cannot_command_the_terminal() {
    let line = LogLine { time_ns: 0, node: 1, level: 3, source: "a\u{1b}[2J".into(), text: "x\u{7}\ny".into() };
    check(Outcome::Log(vec![line]), "00:00:00.000 INFO  n1 a�[2J  x�\n    y");
    let end = Ended {
        target: "hits".into(),
        address: "n1/7f".into(),
        kind: "fault".into(),
        code: 0,
        message: "unreachable\n  at f\u{1b}".into(),
    };
    check(Outcome::Ended(end.clone()), "hits ended: fault: unreachable\n  at f�");
    check(
        Outcome::Ended(Ended { kind: "error".into(), code: 7, message: String::new(), ..end }),
        "hits ended: error 7",
    );
}

#[test]
fn details_line_up_and_end_with_the_interface() {
    let lines = vec![("address".into(), "n1/7f".into()), ("last fault".into(), "trap\nat f".into())];
    check(
        Outcome::Details { target: "hits".into(), lines, interface: "actor Counter\nfn add()\n".into() },
        "hits\n  address     n1/7f\n  last fault  trap\n              at f\n\n  actor Counter\n  fn add()",
    );
}

#[test]
fn a_failure_is_a_sentence_and_a_mend() {
    let told = Failure::new("counter has no method `ad`", "it has add");
    assert_eq!(failure(&told, PLAIN), "error: counter has no method `ad`\n  mend: it has add");
    assert_eq!(told.json(), json!({ "error": "counter has no method `ad`", "mend": "it has add" }));
}

#[test]
fn colours_appear_only_where_they_are_wanted() {
    let style = Style { colour: true, width: Some(80) };
    let outcome = Outcome::Actors { rows: vec![row("hits", 1, &[])], silent: vec![] };
    assert!(human(&outcome, style).contains("\u{1b}["));
    assert!(!human(&outcome, PLAIN).contains('\u{1b}'));
    assert!(human(&answer("5", Level::Final, None), style).contains("\u{1b}["));
}

#[test]
fn scripts_get_documents() {
    let document = json(&answer("5", Level::Final, None));
    assert_eq!(document, json!({ "value": 5, "level": "final", "index": 3, "node": "n2", "ms": 1.94 }));
    let spawned = json(&Outcome::Spawned(row("hits", 2, &[1, 2])));
    assert_eq!((&spawned["kind"], &spawned["voters"]), (&json!("group"), &json!(["n1", "n2"])));
}
