use clap::{CommandFactory, Parser};

use super::{values::*, *};

#[test]
fn the_definitions_are_sound() {
    Cli::command().debug_assert();
    Line::command().debug_assert();
}

fn line(words: &str) -> Line {
    Line::try_parse_from(words.split(' ')).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_transcript_is_understood() {
    let ShellVerb::Verb(Verb::Spawn(spawn)) = line("spawn counter --replicas 3 --name hits").verb else { panic!() };
    assert_eq!((spawn.program.as_str(), spawn.replicas, spawn.name.as_deref()), ("counter", Some(3), Some("hits")));
    let ShellVerb::Verb(Verb::Call(call)) = line("call hits add -5 --json").verb else { panic!() };
    assert_eq!((call.target.as_str(), call.method.as_str(), call.args), ("hits", "add", vec!["-5".to_owned()]));
    assert!(line("call hits add 5 --json").common.json);
    assert!(matches!(line("kill-node n2").verb, ShellVerb::Verb(Verb::KillNode(one)) if one.id.0.0 == 2));
    assert_eq!(line("spawn ping --node n1").common.node.map(|n| n.0.0), Some(1));
    assert!(matches!(line("quit").verb, ShellVerb::Exit));
    assert!(matches!(line("modules").verb, ShellVerb::Verb(Verb::Programs)));
    let ShellVerb::Verb(Verb::Call(call)) = line("call a b -- --json").verb else { panic!() };
    assert_eq!(call.args, ["--json"]);
}

#[test]
fn who_holds_what_is_written_in_few_words() {
    let ShellVerb::Verb(Verb::Group(group)) = line("group move hits n2 n4").verb else { panic!() };
    assert_eq!((group.change, group.target.as_str(), group.id.0.0), (GroupChange::Move, "hits", 2));
    assert_eq!(group.to.map(|n| n.0.0), Some(4));
    let ShellVerb::Verb(Verb::RemoveNode(node)) = line("remove-node n2 --lost").verb else { panic!() };
    assert_eq!((node.id.0.0, node.lost), (2, true));
    let ShellVerb::Verb(Verb::Settings(settings)) = line("settings --replace-after never").verb else { panic!() };
    assert_eq!(settings.replace_after, Some(Patience(None)));
    let ShellVerb::Verb(Verb::Ticket(ticket)) = line("ticket").verb else { panic!() };
    assert_eq!(ticket.lifetime.0.as_secs(), 3_600);
    let words = ["pando", "node", "--dir", "d", "--join", "pando1x", "--listen", "10.0.0.7:7000"];
    let Some(Command::Node(node)) = Cli::try_parse_from(words).unwrap().command else { panic!() };
    assert_eq!((node.join.as_deref(), node.listen.map(|a| a.port())), (Some("pando1x"), Some(7000)));
}

#[test]
fn the_program_takes_the_same_commands() {
    let cli = Cli::try_parse_from(["pando", "call", "hits", "add", "5", "--deadline", "2m", "--data", "d"]).unwrap();
    assert_eq!(cli.common.deadline, Some(Lapse(std::time::Duration::from_secs(120))));
    assert!(matches!(cli.command, Some(Command::Verb(Verb::Call(_)))));
    assert!(Cli::try_parse_from(["pando"]).unwrap().command.is_none());
}

fn refused(words: &str, sentence: &str, mend: &str) {
    let error = Line::try_parse_from(words.split(' ')).unwrap_err();
    let failure = refusal(&error, words.split(' ').next().filter(|word| is_command(word)), true);
    assert_eq!((failure.sentence.as_str(), failure.mend.as_str(), failure.code), (sentence, mend, 2), "for {words}");
}

#[test]
fn what_is_not_understood_gets_one_sentence_and_a_mend() {
    refused("spwan counter", "there is no command `spwan`; did you mean `spawn`?", "`help` lists the commands");
    refused("xyzzy", "there is no command `xyzzy`", "`help` lists the commands");
    refused("call hits", "call wants METHOD", "usage: call <TARGET> <METHOD> [ARGS]...");
    refused(
        "kill-node two",
        "NODE cannot be `two`: a node is written as n1, n2 and so on",
        "`help kill-node` has examples",
    );
    refused(
        "group grow hits n2",
        "CHANGE cannot be `grow`: it is one of add, remove, move",
        "`help group` has examples",
    );
    refused("ps --jsn", "ps has no flag `--jsn`; did you mean `--json`?", "usage: ps --json");
    refused("names all", "names has no place for `all`", "usage: names [OPTIONS]");
    refused(
        "spawn counter --restart sometimes",
        "--restart cannot be `sometimes`: it is one of never, on-failure, always, resume",
        "`help spawn` has examples",
    );
    refused(
        "spawn counter --memory lots",
        "--memory cannot be `lots`: a size is written as 65536, 64K, 64M or 1G",
        "`help spawn` has examples",
    );
    refused("spawn counter --replicas 0", "--replicas cannot be `0`: it goes from 1 to 7", "`help spawn` has examples");
}

#[test]
fn a_usage_names_nothing_that_the_person_need_not_write() {
    let words = ["pando", "node"];
    let error = Cli::try_parse_from(words).unwrap_err();
    let failure = refusal(&error, Some("node"), false);
    assert_eq!(
        (failure.sentence.as_str(), failure.mend.as_str()),
        ("node wants --dir DIR", "usage: pando node --dir <DIR>")
    );
    let words = ["--data", "here", "up", "--nodes", "0"].map(str::to_owned);
    assert_eq!(command_among(&words), Some("up"));
}

#[test]
fn times_and_sizes_have_units() {
    let ms = |text: &str| text.parse::<Lapse>().map(|l| l.0.as_millis());
    assert_eq!(
        [ms("500ms"), ms("5s"), ms("5"), ms("2m"), ms("1h")],
        [Ok(500), Ok(5_000), Ok(5_000), Ok(120_000), Ok(3_600_000)]
    );
    assert!(ms("5 parsecs").is_err() && ms("0").is_err() && ms("-1s").is_err() && ms("").is_err());
    let bytes = |text: &str| text.parse::<Bytes>().map(|b| b.0);
    assert_eq!(
        [bytes("64M"), bytes("64MiB"), bytes("65536"), bytes("1G")],
        [Ok(64 << 20), Ok(64 << 20), Ok(65_536), Ok(1 << 30)]
    );
    assert!(bytes("2G").is_err() && bytes("0").is_err() && bytes("M").is_err());
    assert!("n0".parse::<Node>().is_err() && "n".parse::<Node>().is_err() && "3".parse::<Node>().is_ok());
}
