//! What may come next on a line of the shell.
//!
//! Owns: where the cursor is in a command, and which words fit there. Does not know: the terminal, how facts are learnt.
//!
//! 1. Commands and flags are read from the definitions in [`crate::cli`]; there is no second list of them.

mod live;

use std::{ops::Range, path::Path, sync::Arc};

use clap::{Arg, Command, CommandFactory};
use pando_interface::{Expect, Interface, expect_argument};

pub use self::live::Live;
use crate::{cli::Line, program, words};

/// What completion needs to know of the realm.
pub trait Facts {
    /// Names and addresses of actors, with a word about each.
    fn targets(&self) -> Vec<(String, String)>;
    /// Nodes: `n1`.
    fn nodes(&self) -> Vec<String>;
    /// What can be called on a target.
    fn interface(&self, target: &str) -> Option<Arc<Interface>>;
}

/// One word that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub value: String,
    pub about: String,
    /// What it replaces.
    pub span: Range<usize>,
    /// The word is complete with it.
    pub space: bool,
}

/// Where the cursor is.
struct Cursor {
    /// The words of the command before the one under the cursor.
    before: Vec<String>,
    /// As far as it is written.
    word: String,
    span: Range<usize>,
}

/// The words that fit at the end of `line`.
pub fn complete(line: &str, facts: &dyn Facts) -> Vec<Proposal> {
    let Some(cursor) = cursor(line) else { return Vec::new() };
    let mut root = Line::command();
    root.build();
    let mut words = match cursor.before.split_first() {
        None => commands(&root),
        Some((first, rest)) if first == "help" => match rest.is_empty() {
            true => commands(&root),
            false => Vec::new(),
        },
        Some((first, rest)) => match root.find_subcommand(first) {
            Some(command) => arguments(command, rest, &cursor.word, facts),
            None => Vec::new(),
        },
    };
    words.retain(|(value, _, _)| value.starts_with(&cursor.word));
    let proposal = |(value, about, space): Candidate| Proposal {
        value: if space { words::quote(&value) } else { value },
        about,
        span: cursor.span.clone(),
        space,
    };
    words.into_iter().map(proposal).collect()
}

/// What a person sees in grey behind the cursor: the arguments that are still wanted.
pub fn hint(line: &str, facts: &dyn Facts) -> Option<String> {
    let cursor = cursor(line)?;
    if !cursor.word.is_empty() || cursor.before.is_empty() {
        return None;
    }
    let mut root = Line::command();
    root.build();
    let command = root.find_subcommand(&cursor.before[0])?;
    let place = place(command, &cursor.before[1..]);
    if place.value_of.is_some() {
        return None;
    }
    match positional(command, place.given.len())?.get_id().as_str() {
        "args" => Some(expected(command, &place.given, facts)?.rest),
        _ => None,
    }
}

/// (word, about it, is it complete?)
type Candidate = (String, String, bool);

fn cursor(line: &str) -> Option<Cursor> {
    let split = words::split(line);
    let end = line.len();
    let fresh = |before| Some(Cursor { before, word: String::new(), span: end..end });
    let Some(mut command) = split.commands.into_iter().next_back() else {
        return if line.contains('#') { None } else { fresh(Vec::new()) };
    };
    let last = command.last()?.clone();
    let tail = &line[last.span.end..];
    if tail.contains('#') {
        return None;
    }
    if tail.contains([';', '\n']) {
        return fresh(Vec::new());
    }
    let texts = |command: Vec<words::Word>| command.into_iter().map(|w| w.text).collect();
    if !tail.is_empty() {
        return fresh(texts(command));
    }
    command.pop();
    Some(Cursor { before: texts(command), word: last.text, span: last.span })
}

fn commands(root: &Command) -> Vec<Candidate> {
    let mut out: Vec<Candidate> = root
        .get_subcommands()
        .map(|c| (c.get_name().to_owned(), c.get_about().map(ToString::to_string).unwrap_or_default(), true))
        .collect();
    out.sort();
    out
}

/// How far the words before the cursor have come.
struct Place<'a> {
    /// The positional ones.
    given: Vec<&'a str>,
    /// The flag whose value comes next.
    value_of: Option<Arg>,
    /// After `--`.
    plain: bool,
}

fn place<'a>(command: &Command, before: &'a [String]) -> Place<'a> {
    let mut place = Place { given: Vec::new(), value_of: None, plain: false };
    for word in before {
        if place.value_of.take().is_some() {
            continue;
        }
        match word.as_str() {
            word if place.plain => place.given.push(word),
            "--" => place.plain = true,
            word if word.starts_with('-') && flag(command, word).is_some() => {
                place.value_of = flag(command, word).filter(|a| takes_value(a) && !word.contains('=')).cloned();
            }
            word => place.given.push(word),
        }
    }
    place
}

fn arguments(command: &Command, before: &[String], word: &str, facts: &dyn Facts) -> Vec<Candidate> {
    let place = place(command, before);
    if let Some(flag) = &place.value_of {
        return values(command, flag, &place.given, word, facts);
    }
    if word.starts_with('-') && !place.plain {
        return command
            .get_arguments()
            .filter(|a| !a.is_hide_set())
            .filter_map(|a| Some((format!("--{}", a.get_long()?), help(a), true)))
            .collect();
    }
    match positional(command, place.given.len()) {
        Some(arg) => values(command, arg, &place.given, word, facts),
        None => Vec::new(),
    }
}

/// The words that fit for one argument.
fn values(command: &Command, arg: &Arg, given: &[&str], word: &str, facts: &dyn Facts) -> Vec<Candidate> {
    let targets = || facts.targets().into_iter().map(|(name, about)| (name, about, true)).collect();
    match arg.get_id().as_str() {
        "target" | "targets" | "a" | "b" => targets(),
        "node" | "nodes" | "id" => facts.nodes().into_iter().map(|n| (n, String::new(), true)).collect(),
        "program" => {
            let bundled = program::bundled().into_iter().map(|p| (p.name, p.about, true));
            bundled.chain(paths(word)).collect()
        }
        "path" | "sdk" => paths(word),
        "method" => match given.first().and_then(|target| facts.interface(target)) {
            Some(interface) => {
                interface.callable().map(|m| (m.name.clone(), m.to_string(), !m.params.is_empty())).collect()
            }
            None => Vec::new(),
        },
        "args" => match expected(command, given, facts) {
            Some(expect) if expect.actor => targets(),
            Some(expect) => expect
                .choices
                .into_iter()
                .map(|c| {
                    let whole = !c.ends_with(['(', '{']);
                    (c, expect.param.clone(), whole)
                })
                .collect(),
            None => Vec::new(),
        },
        _ => arg
            .get_possible_values()
            .iter()
            .map(|v| (v.get_name().to_owned(), v.get_help().map(ToString::to_string).unwrap_or_default(), true))
            .collect(),
    }
}

/// What the method (or the start) wants next.
fn expected(command: &Command, given: &[&str], facts: &dyn Facts) -> Option<Expect> {
    if command.get_name() == "spawn" {
        let interface = program::bundled_interface(given.first()?)?;
        return expect_argument(&interface, interface.start()?, given.len() - 1);
    }
    let interface = facts.interface(given.first()?)?;
    let method = interface.callable().find(|m| m.name == *given.get(1).copied().unwrap_or_default())?;
    expect_argument(&interface, method, given.len() - 2)
}

fn positional(command: &Command, index: usize) -> Option<&Arg> {
    let all: Vec<&Arg> = command.get_positionals().collect();
    all.get(index).copied().or_else(|| {
        let last = *all.last()?;
        let many = last.get_num_args().is_some_and(|n| n.max_values() > 1)
            || matches!(last.get_action(), clap::ArgAction::Append);
        many.then_some(last)
    })
}

fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or_default();
    command.get_arguments().find(|a| {
        let long = a.get_long().is_some_and(|l| name.strip_prefix("--") == Some(l));
        let short = a.get_short().is_some_and(|s| name.strip_prefix('-') == Some(s.to_string().as_str()));
        long || short
    })
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn help(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default()
}

/// Folders, and files that can be spawned, once a path is begun.
fn paths(word: &str) -> Vec<Candidate> {
    const ENTRIES_MAX: usize = 200;
    let Some(slash) = word.rfind('/') else { return Vec::new() };
    let (dir, _) = word.split_at(slash + 1);
    let Ok(entries) = std::fs::read_dir(Path::new(dir)) else { return Vec::new() };
    let mut out: Vec<Candidate> = entries
        .take(ENTRIES_MAX)
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let folder = entry.path().is_dir();
            let module = name.ends_with(".wasm") || name.ends_with(".wat");
            let whole = !folder || entry.path().join("Cargo.toml").is_file();
            let slash = if whole { "" } else { "/" };
            (!name.starts_with('.') && (folder || module))
                .then(|| (format!("{dir}{name}{slash}"), String::new(), whole))
        })
        .collect();
    out.sort();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;

    impl Facts for Known {
        fn targets(&self) -> Vec<(String, String)> {
            vec![("hits".into(), "counter".into()), ("n1/7f3a2b10".into(), "ping".into())]
        }
        fn nodes(&self) -> Vec<String> {
            vec!["n1".into(), "n2".into()]
        }
        fn interface(&self, target: &str) -> Option<Arc<Interface>> {
            let text = "actor Counter fn add(by: i64) -> i64 query value() -> i64 fn set(on: bool, peer: actor)";
            (target == "hits").then(|| Arc::new(Interface::parse(text).unwrap()))
        }
    }

    fn check(line: &str, fits: &[&str]) {
        let found: Vec<String> = complete(line, &Known).into_iter().map(|p| p.value).collect();
        assert_eq!(found, fits, "for {line:?}");
    }

    #[test]
    fn commands_come_first_and_after_a_semicolon() {
        check("mon", &["monitor"]);
        check("ps; nam", &["name", "names"]);
        check("help sp", &["spawn"]);
        assert!(complete("", &Known).iter().any(|p| p.value == "spawn" && !p.about.is_empty()));
        check("nonsense ", &[]);
        check("# mon", &[]);
    }

    #[test]
    fn targets_methods_and_arguments_follow() {
        check("call h", &["hits"]);
        check("kill hits n", &["n1/7f3a2b10"]);
        check("call hits ", &["add", "value", "set"]);
        check("call hits v", &["value"]);
        check("call hits set ", &["true", "false"]);
        check("call hits set true ", &["hits", "n1/7f3a2b10"]);
        check("call nobody ", &[]);
        check("link hits ", &["hits", "n1/7f3a2b10"]);
    }

    #[test]
    fn flags_and_their_values_are_known() {
        check("spawn counter --rep", &["--replicas"]);
        check("spawn counter --restart o", &["on-failure"]);
        check("spawn counter --node ", &["n1", "n2"]);
        check("kill-node ", &["n1", "n2"]);
        check("voters hits n1 ", &["n1", "n2"]);
        check("move h", &["hits"]);
        check("move hits ", &["n1", "n2"]);
        check("call hits add --fin", &["--final"]);
        check("spawn coun", &["counter"]);
    }

    #[test]
    fn a_word_is_replaced_where_it_stands() {
        let proposal = complete("ps; call hi", &Known).remove(0);
        assert_eq!((proposal.span, proposal.space), (9..11, true));
    }

    #[test]
    fn the_hint_is_what_is_still_wanted() {
        assert_eq!(hint("call hits add ", &Known).as_deref(), Some("by: i64"));
        assert_eq!(hint("call hits set true ", &Known).as_deref(), Some("peer: actor"));
        assert_eq!(hint("call --json hits set ", &Known).as_deref(), Some("on: bool, peer: actor"));
        assert_eq!(hint("call hits add 5 ", &Known), None);
        assert_eq!(hint("call hits add", &Known), None);
        assert_eq!(hint("", &Known), None);
    }
}
