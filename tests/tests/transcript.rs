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

/// A line without what differs from run to run: numbers, ids, and how much blank they leave.
fn shape(line: &str) -> String {
    let word = |word: &str| match (word.split_once('/'), word.ends_with('…')) {
        (Some((home, _)), _) => format!("{}/id", digits(home)),
        (None, true) => "id…".to_owned(),
        // Under load what takes milliseconds may take a second.
        (None, false) => digits(word).replace("ms)", "s)"),
    };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Every number as `0`, whatever it is.
fn digits(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        match c {
            '0'..='9' if out.ends_with('0') => {}
            '0'..='9' => out.push('0'),
            // `157.0` and `157`, as sizes and times are written.
            '.' if out.ends_with('0') => {}
            c => out.push(c),
        }
    }
    out
}

#[test]
fn the_readme_transcript_is_what_happens() {
    let mut shell = Shell::ephemeral(&[]);
    let lines = readme();
    let commands: Vec<&str> = lines.iter().map(|(command, _)| command.as_str()).collect();
    let first = [
        "spawn counter --replicas 3 --name hits",
        "call hits add 5",
        "kill-node n2",
        "call hits add 1",
        "start-node n2 ; ps",
    ];
    assert_eq!(
        commands[..5],
        first,
        "this test knows what these lines mean; if the README says something else, say so"
    );
    let mut leader = String::new();
    let mut seen = Vec::new();
    for (command, promised) in &lines {
        // The README's leader happened to be n2; ours is whoever it is.
        let node = |text: &str| if leader.is_empty() { text.to_owned() } else { text.replace("n2", &leader) };
        let command = if command.contains("-node n2") { node(command) } else { command.clone() };
        let said = shell.tell(&command);
        // A notice comes from another node, before or after the answer.
        let is_notice = |line: &&str| line.contains(" ended: ");
        let shapes = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.is_empty() && !is_notice(line)).map(shape).collect()
        };
        let page = promised.join("\n");
        assert_eq!(
            shapes(&said),
            shapes(&page),
            "the README says that `{command}` answers\n{page}\nand the program:\n{said}"
        );
        for notice in page.lines().filter(is_notice).map(shape) {
            let came = |said: &str| said.lines().any(|line| shape(line) == notice);
            if !came(&said) {
                shell.until("", came);
            }
        }
        if leader.is_empty() {
            leader = node_after(&said, "leader ").to_owned();
        }
        seen.push(said);
    }
    // What shapes do not show: the values, the indexes, who leads.
    let ((five, first), (six, second)) = (answer(&seen[1]), answer(&seen[3]));
    assert_eq!((five, six), ("5", "6"));
    assert!(second > first, "{seen:?}");
    assert_ne!(node_after(&seen[3], "(leader "), leader, "{seen:?}");
    // Everybody has everything again: the second of the three may go too.
    let seven = shell.tell("call hits add 1");
    assert_eq!(answer(&seven).0, "7", "{seven}");
    assert_eq!(shell.leave(), 2, "the shell was told a word that it does not know, to find the ends of answers");
}

#[test]
fn a_shape_keeps_what_a_promise_is_made_of() {
    assert_eq!(shape("5            final@4  (1.9 ms)"), "0 final@0 (0 s)");
    assert_eq!(shape("6  final@17  (1.25 s)  (leader n3)"), "0 final@0 (0 s) (leader n0)");
    assert_eq!(shape("hits  group 7f3a…  voters n1 n2"), "hits group id… voters n0 n0");
    assert_eq!(shape("hits  group/7f3a2b10  64 KiB"), "hits group/id 0 KiB");
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
    let killed = shell.tell("kill ping");
    assert!(killed.lines().any(|line| line == "ping killed"), "{killed}");
    // The news comes on its own: above the answer, or above the next prompt.
    if !killed.contains("pong ended: linked") {
        shell.until("", |said| said.contains("pong ended: linked"));
    }
    shell.until("names", |said| !said.contains("pong"));
    assert_eq!(
        shell.tell("name hits"),
        "error: nothing is named `hits`\n  mend: `names` shows what is named".to_owned()
    );
    shell.leave();
}

#[test]
fn who_is_told_watching_is_told_of_the_end_however_soon_it_comes() {
    let mut shell = Shell::ephemeral(&[]);
    for n in 0..20 {
        let name = format!("short-{n}");
        let said = shell.tell(&format!("spawn ping --node n3 --name {name} ; monitor {name} ; kill {name}"));
        assert!(said.contains(&format!("watching {name}")), "{said}");
        let told = format!("{name} ended: killed");
        if !said.contains(&told) {
            shell.until("", |said| said.contains(&told));
        }
    }
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
        ("spawn counter --replicas 5", 1, "5 replicas need 5 voting nodes", "node"),
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
        ("name x*y hits", 1, "`x*y` cannot be a name", "letters"),
        ("voters hits n1 n9", 1, "n9", "nodes"),
        ("kill-node n9", 1, "no node n9", "n1, n2, n3"),
        ("start-node n1", 1, "n1 runs already", "kill-node n1"),
        ("log nobody", 1, "nothing is named `nobody`", "ps"),
        ("log hist --follow", 1, "nothing is named `hist`", "did you mean `hits`?"),
        ("ps --node n9", 1, "the realm has no node n9", "n1, n2, n3"),
        ("top --node n9", 1, "the realm has no node n9", "n1, n2, n3"),
        ("spawn counter --replicas 0", 2, "--replicas cannot be `0`: it goes from 1 to", "help spawn"),
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
fn a_module_that_cannot_run_is_refused_and_leaves_no_name() {
    let beside = Beside::start();
    let folder = tempfile::tempdir().expect("a folder");
    let spawn = |name: &str, wat: &str| {
        let file = folder.path().join(name).with_extension("wat");
        std::fs::write(&file, wat).expect("a file");
        beside.pando(&format!("spawn {} --name {name}", file.display()))
    };
    let module = |receive: &str| {
        format!(
            r#"(module (memory (export "memory") 1)
                (func (export "pando_inbox") (param i32) (result i32) i32.const 0)
                (func (export "pando_receive") (param i32) {receive}))"#
        )
    };
    let wrong = [
        ("stranger", r#"(module (import "env" "foo" (func)))"#.to_owned(), "stranger is not a module that can run: "),
        ("trap", module("unreachable"), "the actor ended as it started: fault: `unreachable` was reached"),
        ("spin", module("(loop br 0)"), "the actor ended as it started: cpu-limit: "),
    ];
    for (name, wat, sentence) in &wrong {
        let said = spawn(name, wat);
        assert!(said.code == 1 && said.out.is_empty() && said.err.contains(sentence), "{name}: {said:?}");
        assert!(said.err.lines().any(|line| line.starts_with("  mend: ")), "{name}: {said:?}");
    }
    let said = spawn("well", &module("nop"));
    assert!(said.code == 0 && said.out.starts_with("well  actor "), "{said:?}");
    let names = beside.pando("names");
    assert!(wrong.iter().all(|(name, ..)| !names.out.contains(name)) && names.out.contains("well"), "{names:?}");
}

#[test]
fn ps_of_a_node_shows_what_runs_there_and_nothing_else() {
    let mut beside = Beside::start();
    beside.shell.say("spawn counter --node n1 --name one; spawn counter --node n3 --name three");
    for (node, there, elsewhere) in [("n1", "one", "three"), ("n3", "three", "one")] {
        let said = beside.pando(&format!("ps --node {node}"));
        assert!(said.out.contains(there) && !said.out.contains(elsewhere), "{node}: {said:?}");
    }
    // What was written for another terminal means the same here.
    let said = beside.shell.tell("pando ps --node n1");
    assert!(said.contains("one") && !said.contains("three"), "{said}");
}

/// The processes of nodes below `data`.
fn processes(data: &Path) -> Vec<String> {
    let begins = format!("{}/", data.display());
    let ours = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        line.split('\0').any(|word| word.starts_with(&begins)).then(|| line.replace('\0', " "))
    };
    std::fs::read_dir("/proc").expect("processes").flatten().filter_map(ours).collect()
}

#[test]
fn a_realm_that_cannot_be_booted_says_why_and_leaves_no_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("realm");
    let _turn = Turn::take();
    let _kept = Kept(data.clone());
    let up = |sentence: &str, mend: &str| {
        let said = run(&data, None, &["up"], "");
        let lines: Vec<&str> = said.err.lines().collect();
        assert!(said.code == 1 && said.out.is_empty() && lines.len() == 2, "{said:?}");
        assert!(lines[0].contains(sentence) && lines[1].contains(mend), "{said:?}");
        assert_eq!(processes(&data), Vec::<String>::new(), "after {}", lines[0]);
    };
    let said = run(&data, None, &["up"], "");
    assert_eq!(said.code, 0, "{said:?}");

    let record = std::fs::read_to_string(data.join("realm.toml")).expect("a record");
    let address = record.lines().filter_map(|line| line.strip_prefix("addr = ")).nth(1).expect("n2's address");
    let port = std::net::UdpSocket::bind(address.trim_matches('"')).expect("n2's port");
    up("cannot listen on UDP", "another program has this port");
    drop(port);

    std::fs::write(data.join("realm.toml"), "realm = [").expect("a file");
    up("is not a realm's record", "restore it");
    std::fs::write(data.join("realm.toml"), record).expect("a file");

    let key = std::fs::read(data.join("user.key")).expect("a key");
    std::fs::write(data.join("user.key"), "garbage").expect("a file");
    up("user.key is not a key of Pando", "restore it");
    std::fs::remove_file(data.join("user.key")).expect("a file");
    up("cannot read your key", "who founded the realm");
    std::fs::write(data.join("user.key"), key).expect("a file");
    // Keys are nobody else's to read.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(data.join("user.key"), mode).expect("a mode");

    std::fs::rename(data.join("n2"), data.join("away")).expect("a folder");
    up("the folder of n2 is gone", "restore it");
    std::fs::rename(data.join("away"), data.join("n2")).expect("a folder");

    // Nothing of all this was lasting.
    let said = run(&data, None, &["up"], "nodes\n");
    assert!(said.code == 0 && said.out.matches(" up ").count() == 3, "{said:?}");
}

#[test]
fn two_that_boot_one_realm_at_a_time_both_get_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("realm");
    let _turn = Turn::take();
    let _kept = Kept(data.clone());
    // Founding it, then booting what is there.
    for round in 0..2 {
        let both = [0, 1].map(|_| {
            let data = data.clone();
            std::thread::spawn(move || run(&data, None, &["up", "--keep"], "nodes\n"))
        });
        for said in both.map(|one| one.join().expect("a run")) {
            assert!(said.code == 0 && said.out.matches(" up ").count() == 3, "round {round}: {said:?}");
        }
        assert_eq!(processes(&data).len(), 3);
        assert_eq!(pando(&data, &["stop"]).code, 0);
    }
    // Of a realm that has lost its majority, the missing nodes are started.
    assert_eq!(run(&data, None, &["up", "--keep"], "kill-node n1; kill-node n3\n").code, 0);
    let said = run(&data, None, &["up", "--keep"], "nodes\n");
    assert!(said.code == 0 && said.out.matches(" up ").count() == 3, "{said:?}");
}

#[test]
fn what_is_no_folder_is_not_taken_for_one_without_a_realm() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    for command in ["ps", "up"] {
        let said = run(file.path(), None, &[command], "");
        assert!(said.code == 1 && said.err.contains("cannot look into "), "{command}: {said:?}");
        assert!(said.err.contains("not a directory") && said.err.contains("--data"), "{command}: {said:?}");
    }
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
