//! The README's transcript, and everything else that a person can say, through the real program.
//!
//! The commands are read from the README itself, so page and program cannot drift apart.

use std::path::Path;

use pando_tests::{
    Turn,
    shell::{Kept, Said, Shell, pando, run},
};
use serde_json::Value as Json;

const README: &str = include_str!("../../README.md");

/// The lines that stand behind a prompt in the README's transcript, and what is said to be answered.
fn readme() -> Vec<(String, Vec<String>)> {
    let mut told: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in README.lines() {
        match line.strip_prefix("pando> ") {
            Some(command) => {
                inside = true;
                told.push((command.to_owned(), Vec::new()));
            }
            None if line.starts_with("```") => inside = false,
            None if inside => told.last_mut().expect("a command").1.push(line.to_owned()),
            None => {}
        }
    }
    told
}

/// `n2` out of `leader n2`.
fn node_after<'a>(text: &'a str, word: &str) -> &'a str {
    let rest = &text[text.find(word).unwrap_or_else(|| panic!("no `{word}` in: {text}")) + word.len()..];
    rest.split(|c: char| !c.is_ascii_alphanumeric()).next().expect("a node")
}

/// The first word of an answer, and the index of `final@3`.
fn answer(text: &str) -> (&str, u64) {
    let value = text.split_whitespace().next().unwrap_or_else(|| panic!("no answer: {text}"));
    let index = text.split("final@").nth(1).unwrap_or_else(|| panic!("not final: {text}"));
    let digits: String = index.chars().take_while(char::is_ascii_digit).collect();
    (value, digits.parse().expect("an index"))
}

#[test]
fn the_readme_transcript_is_what_happens() {
    let mut shell = Shell::ephemeral(&[]);
    let lines = readme();
    let commands: Vec<&str> = lines.iter().map(|(command, _)| command.as_str()).collect();
    assert_eq!(
        commands,
        [
            "spawn counter --replicas 3 --name hits",
            "call hits add 5",
            "kill-node n2",
            "call hits add 1",
            "start-node n2 ; ps"
        ],
        "this test knows what these lines mean; if the README says something else, say so here too"
    );
    let spawned = shell.tell(commands[0]);
    assert!(spawned.starts_with("hits  group ") && spawned.contains("…  voters n1 n2 n3  leader n"), "{spawned}");
    let leader = node_after(&spawned, "leader ").to_owned();
    let five = shell.tell(commands[1]);
    let (value, first) = answer(&five);
    assert_eq!(value, "5", "{five}");
    assert!(five.contains(" ms)"), "{five}");
    // The README's leader happened to be n2; ours is whoever it is.
    assert_eq!(shell.tell(&commands[2].replace("n2", &leader)), format!("{leader} killed"));
    let six = shell.tell(commands[3]);
    let (value, second) = answer(&six);
    assert_eq!(value, "6", "{six}");
    assert!(second > first, "{five}\n{six}");
    assert_ne!(node_after(&six, "(leader "), leader, "{six}");
    let back = shell.tell(&commands[4].replace("n2", &leader));
    assert!(back.starts_with(&format!("{leader} up  (")), "{back}");
    let row = back.lines().find(|line| line.starts_with("hits")).unwrap_or_else(|| panic!("no hits in: {back}"));
    assert!(row.contains("of n1 n2 n3") && row.contains("counter"), "{row}");
    shell.until("ps", |said| said.lines().any(|line| line.starts_with("hits") && line.contains("running")));
    // Everybody has everything again: the second of the three may go too.
    let second = shell.tell("call hits add 1");
    assert_eq!(answer(&second).0, "7", "{second}");
    assert_eq!(shell.leave(), 2, "the shell was told a word that it does not know, to find the ends of answers");
}

#[test]
fn the_rest_of_the_transcript_link_monitor_names_log() {
    let mut shell = Shell::ephemeral(&[]);
    let ping = shell.tell("spawn ping --node n1 --name ping ; spawn pong --node n3 --name pong");
    assert!(ping.contains("ping  actor ") && ping.contains("on n1") && ping.contains("on n3"), "{ping}");
    let ps = shell.tell("ps");
    for (name, node) in [("ping", "n1"), ("pong", "n3")] {
        let row = ps.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in: {ps}"));
        assert!(row.contains(node) && row.contains("running"), "{row}");
    }
    let names = shell.tell("names");
    assert!(
        names.contains("ping") && names.contains("n1/") && names.contains("pong") && names.contains("n3/"),
        "{names}"
    );
    let nodes = shell.tell("nodes");
    assert_eq!(nodes.matches(" up ").count(), 3, "{nodes}");
    assert_eq!(nodes.matches("leader").count(), 1, "{nodes}");
    assert!(shell.tell("top").lines().count() >= 4);
    let inspect = shell.tell("inspect ping");
    assert!(inspect.contains("address") && inspect.contains("n1/") && inspect.contains("fn "), "{inspect}");
    assert!(shell.tell("log").contains("listens on"), "the nodes have said something");
    assert_eq!(shell.tell("link ping pong"), "ping and pong linked");
    assert_eq!(shell.tell("monitor pong"), "watching pong");
    shell.until("inspect pong", |said| said.lines().any(|l| l.contains("watched by") && l.trim_end().ends_with('1')));
    shell.until("inspect ping", |said| said.lines().any(|l| l.contains("links") && l.trim_end().ends_with('1')));
    assert_eq!(shell.tell("kill ping").lines().next(), Some("ping killed"));
    // Above the next prompt, on its own.
    shell.until("", |said| said.contains("pong ended: linked"));
    shell.until("names", |said| !said.contains("pong"));
    assert_eq!(
        shell.tell("name hits"),
        "error: nothing is named `hits`\n  mend: `names` shows what is named".to_owned()
    );
    shell.leave();
}

#[test]
fn an_ephemeral_realm_leaves_neither_files_nor_processes() {
    let mut shell = Shell::ephemeral(&["--nodes", "2"]);
    let data = shell.data();
    let pid = |node: &str| std::fs::read_to_string(data.join(node).join("node.pid")).expect("a pid").trim().to_owned();
    let pids = [pid("n1"), pid("n2")];
    shell.say("spawn counter --name c");
    shell.leave();
    assert!(!data.exists(), "{} is still there", data.display());
    for pid in pids {
        assert!(!Path::new("/proc").join(&pid).exists(), "process {pid} still runs");
    }
}

#[test]
fn an_ephemeral_realm_goes_even_when_its_shell_is_killed() {
    let shell = Shell::ephemeral(&["--nodes", "1"]);
    let data = shell.data();
    let pid = std::fs::read_to_string(data.join("n1/node.pid")).expect("a pid").trim().to_owned();
    shell.kill();
    let began = std::time::Instant::now();
    while Path::new("/proc").join(&pid).exists() {
        assert!(began.elapsed().as_secs() < 30, "node {pid} has outlived its shell");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Nobody was left to remove the folder.
    let _ = std::fs::remove_dir_all(data);
}

/// A realm whose shell stays open, for one-shot commands beside it.
struct Beside {
    shell: Shell,
    data: std::path::PathBuf,
}

impl Beside {
    fn start() -> Beside {
        let shell = Shell::ephemeral(&[]);
        let data = shell.data();
        Beside { shell, data }
    }
    fn pando(&self, line: &str) -> Said {
        let words: Vec<&str> = line.split_whitespace().collect();
        pando(&self.data, &words)
    }
}

#[test]
fn one_shot_commands_do_the_same_and_can_be_scripted() {
    let beside = Beside::start();
    let spawned = beside.pando("spawn counter --replicas 3 --name hits --json");
    assert_eq!((spawned.code, spawned.err.as_str()), (0, ""), "{spawned:?}");
    let row: Json = serde_json::from_str(&spawned.out).expect("one document");
    assert_eq!((row["name"].as_str(), row["kind"].as_str()), (Some("hits"), Some("group")), "{row}");
    assert_eq!(row["voters"], serde_json::json!(["n1", "n2", "n3"]));
    let called = beside.pando("call hits add 5 --json");
    assert_eq!((called.code, called.err.as_str()), (0, ""), "{called:?}");
    let answer: Json = serde_json::from_str(&called.out).expect("one document");
    assert_eq!((answer["value"].as_i64(), answer["level"].as_str()), (Some(5), Some("final")), "{answer}");
    assert!(answer["index"].as_u64() > Some(0) && answer["node"].is_string() && answer["ms"].is_number(), "{answer}");
    let value = beside.pando("call hits value");
    assert!(value.code == 0 && value.out.starts_with("5 ") && value.out.contains("linear@"), "{value:?}");
    let value = beside.pando("call hits value --final");
    assert!(value.code == 0 && value.out.starts_with("5 ") && value.out.contains("final@"), "{value:?}");
    assert_eq!(beside.pando("send hits add 2").out, "sent\n");
    for (line, field) in [("ps", "actors"), ("names", ""), ("nodes", ""), ("top", ""), ("log", ""), ("programs", "")] {
        let said = beside.pando(&format!("{line} --json"));
        assert_eq!(said.code, 0, "{line}: {said:?}");
        let document: Json = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{line}: {e} in {}", said.out));
        let list = if field.is_empty() { &document } else { &document[field] };
        assert!(list.is_array(), "{line}: {document}");
    }
    // A shell beside the first, from a pipe.
    let said = run(&beside.data, None, &["sh"], "call hits add 3\ncall hits value\n");
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    assert!(said.out.lines().count() == 2 && said.out.starts_with("10 "), "{said:?}");
    assert_eq!(beside.pando("kill hits").out, "hits killed\n");
}

#[test]
fn every_wrong_word_gets_one_sentence_a_mend_and_a_code() {
    let mut beside = Beside::start();
    beside.shell.say("spawn counter --replicas 3 --name hits");
    // The line, the code, the sentence, and a word of the mend.
    let wrong: &[(&str, i32, &str, &str)] = &[
        ("spawn countr", 1, "there is no program, file or folder `countr`", "counter"),
        ("spawn ./nowhere", 1, "there is no program, file or folder `./nowhere`", "counter"),
        ("spawn counter --node n9", 1, "the realm has no node n9", "n1, n2, n3"),
        ("spawn counter --replicas 9", 2, "--replicas cannot be `9`", "help"),
        ("spawn counter --replicas 5", 1, "5", "nodes"),
        ("spawn counter --name hits", 1, "`hits`", "another name"),
        ("spawn counter --restart often", 2, "--restart cannot be `often`", "help"),
        ("spawn counter 1 2 3", 2, "counter", ""),
        ("call hist add 5", 1, "nothing is named `hist`", "did you mean `hits`?"),
        ("call hits ad 5", 1, "hits has no method `ad`; did you mean `add`?", "add"),
        ("call hits add", 2, "add wants", "add("),
        ("call hits add 5 6", 2, "add wants 1 argument", "add("),
        ("call hits add five", 1, "five", "add"),
        ("call hits add 99999999999999999999", 1, "99999999999999999999", ""),
        ("call hits add 5 --final", 1, "cannot be run as a query", "leave out --final"),
        ("call n1/00000000 add 5", 1, "n1/00000000", "ps"),
        ("call hits add 5 --node n9", 1, "n9", "n1"),
        ("call hits add 5 --deadline never", 2, "--deadline cannot be `never`", "help"),
        ("ps --nod n1", 2, "ps has no flag `--nod`; did you mean `--node`?", "usage"),
        ("ps --node two", 2, "--node cannot be `two`", "help"),
        ("kill nobody", 1, "nothing is named `nobody`", "ps"),
        ("link hits nobody", 1, "nothing is named `nobody`", "ps"),
        ("monitor nobody", 1, "nothing is named `nobody`", "ps"),
        ("inspect nobody", 1, "nothing is named `nobody`", "ps"),
        ("name ../x hits", 1, "../x", "letters"),
        ("voters hits n1 n9", 1, "n9", "nodes"),
        ("kill-node n9", 1, "no node n9", "n1, n2, n3"),
        ("start-node n1", 1, "n1 runs already", "kill-node n1"),
        ("fly", 2, "there is no command `fly`", "help"),
    ];
    let mut complaints = Vec::new();
    for (line, code, sentence, mend) in wrong {
        let said = beside.pando(line);
        let lines: Vec<&str> = said.err.lines().collect();
        let well = said.code == *code
            && said.out.is_empty()
            && lines.len() == 2
            && lines[0].starts_with("error: ")
            && lines[0].contains(sentence)
            && lines[1].starts_with("  mend: ")
            && lines[1].contains(mend);
        if !well {
            complaints.push(format!(
                "{line}: wanted {code}, `{sentence}`, `{mend}`; got {} {:?} {:?}",
                said.code, said.out, said.err
            ));
        }
        // The same in the shell, where nothing ends.
        let said = beside.shell.tell(line);
        if !said.contains(sentence) || said.lines().count() != 2 {
            complaints.push(format!("in the shell, {line}: {said:?}"));
        }
        // The same for scripts.
        let said = beside.pando(&format!("{line} --json"));
        let document: Result<Json, _> = serde_json::from_str(&said.out);
        if said.code != *code
            || !document.as_ref().is_ok_and(|d| d["error"].as_str().is_some_and(|e| e.contains(sentence)))
        {
            complaints.push(format!("{line} --json: {} {:?}", said.code, said.out));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    // And nothing of all this has done anything.
    let said = beside.pando("call hits value");
    assert!(said.out.starts_with("0 "), "{said:?}");
}

#[test]
fn a_piped_shell_ends_at_the_first_command_that_fails_with_its_code() {
    let beside = Beside::start();
    let said = run(&beside.data, None, &["sh"], "spawn counter --name c\ncall c ad 5\ncall c add 5\n");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("did you mean `add`?") && said.out.lines().count() == 1, "{said:?}");
    let said = run(&beside.data, None, &["sh", "--keep-going"], "call c ad 5\ncall c add 5\n");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.starts_with("5 "), "{said:?}");
}

#[test]
fn a_kept_realm_outlives_its_shell_and_is_stopped_by_a_word() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("realm");
    let _turn = Turn::take();
    let _kept = Kept(data.clone());
    let said = run(
        &data,
        None,
        &["up", "--nodes", "1", "--keep"],
        "spawn counter --replicas 1 --name hits\ncall hits add 5\n",
    );
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(pando(&data, &["call", "hits", "add", "1", "--json"]).code, 0);
    // `up` on a realm that runs attaches to it.
    let said = run(&data, None, &["up"], "call hits add 1\n");
    assert!(said.code == 0 && said.out.starts_with("7 ") && said.err.contains("running already"), "{said:?}");
    let said = pando(&data, &["stop"]);
    assert_eq!((said.code, said.out.as_str()), (0, "n1 stopped\n"), "{said:?}");
    let said = pando(&data, &["ps"]);
    assert!(said.code == 1 && said.err.contains("no node of the realm answers"), "{said:?}");
    // And what it knew is there when it is up again.
    let said = run(&data, None, &["up"], "call hits add 1\n");
    assert!(said.code == 0 && said.out.starts_with("8 "), "{said:?}");
}
