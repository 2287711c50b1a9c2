//! Conformance guests: a text module each, with the table of its cases in the comment at its top.
//!
//! ```text
//! ;; case 4: one effect too many -> LIMIT
//! ;; case 16+17 (resume): nothing leaves a handler that faulted -> status TRAPPED, 0
//! ```
//!
//! Owns: the grammar of that table, and how a guest becomes a module (prelude, dispatcher, defaults). Does not know: where a
//! case is run.
//!
//! 1. Every `$caseN` of a file is in a case, and every case's numbers are `$caseN` of the file.
//! 2. A file that exports `pando_inbox` itself stands alone: it gets no prelude, and its cases are what comes of any call.
//!
//! | expectation | means |
//! |---|---|
//! | `42` | status 0, and a body of eight bytes: 42 |
//! | `LIMIT` | the same, with the error's code negated: what the call returned to the guest |
//! | `status DEAD` | the answer's status |
//! | `fault "text"` | status `TRAPPED`; the actor ends with `fault` and a message that has the text |
//! | `exit error 7 "bye"` | the actor ends so; a number for the message is its length, `~"text"` a part of it |
//! | `log "text"` | the actor's log has the line |

use std::{fs, path::Path};

use pando_abi::{Errno, ExitKind, Restart};

/// One file.
pub struct Guest {
    /// Its name without the ending: a call, or what it is about.
    pub name: String,
    /// The module.
    pub wasm: Vec<u8>,
    /// Its table.
    pub cases: Vec<Case>,
}

/// One line of the table.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    /// Which `$caseN` are called, one after another, on one actor.
    pub numbers: Vec<u8>,
    /// How.
    pub how: How,
    /// What is promised.
    pub text: String,
    /// What must come of it: of each call, and afterwards.
    pub expected: Vec<Expected>,
}

/// How a case is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct How {
    /// Each call is a query.
    pub query: bool,
    /// Only where there is a whole node.
    pub node: bool,
    /// Only where there is none: the actor ends before anybody could watch it.
    pub bare: bool,
    /// The actor is a group of one.
    pub group: bool,
    /// The actor's restart policy.
    pub restart: Restart,
}

/// What must come of a case.
#[derive(Clone, PartialEq, Debug)]
pub enum Expected {
    /// An answer with this number.
    Number(i64),
    /// An answer with this status.
    Status(Errno),
    /// The end of the actor by a fault whose message has this text.
    Fault(String),
    /// The end of the actor.
    Exit(ExitKind, i32, Words),
    /// A line in the log.
    Log(String),
}

/// What a message must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Words {
    /// Anything.
    Any,
    /// Exactly this.
    Are(String),
    /// So many bytes.
    Length(usize),
    /// Has this in it.
    Have(String),
}

/// Reads every guest in a folder, in order of name.
///
/// # Panics
/// On a file that is not as the table's grammar wants it, with the file and the line: a mistake in a test's own material.
pub fn guests(folder: &Path) -> Vec<Guest> {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let prelude = read(&folder.join("prelude.wat"));
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|e| e.expect("an entry of the folder").path()).collect();
    paths.sort();
    let files = paths.iter().filter(|p| p.extension().is_some_and(|e| e == "wat") && !p.ends_with("prelude.wat"));
    files.map(|p| guest(&p.file_stem().unwrap_or_default().to_string_lossy(), &prelude, &read(p))).collect()
}

/// A guest out of its text.
///
/// # Panics
/// As [`guests`].
pub fn guest(name: &str, prelude: &str, text: &str) -> Guest {
    let cases: Vec<Case> = text
        .lines()
        .filter_map(|line| line.strip_prefix(";; case "))
        .map(|line| case(line).unwrap_or_else(|why| panic!("{name}.wat: {why}: `case {line}`")))
        .collect();
    let mut listed: Vec<u8> = cases.iter().flat_map(|c| c.numbers.clone()).collect();
    let mut written: Vec<u8> = text
        .split("(func $case")
        .skip(1)
        .filter_map(|t| t.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .collect();
    listed.sort_unstable();
    listed.dedup();
    written.sort_unstable();
    let alone = text.contains("(export \"pando_inbox\")");
    let text = if alone {
        format!("(module\n{text})")
    } else {
        assert_eq!(listed, written, "{name}.wat: left are the cases of its table, right its functions `$caseN`");
        module(prelude, text, &written)
    };
    let wasm = wat::parse_str(text).unwrap_or_else(|e| panic!("{name}.wat: {e}"));
    Guest { name: name.to_owned(), wasm, cases }
}

fn module(prelude: &str, text: &str, numbers: &[u8]) -> String {
    let mut out = format!("(module\n{prelude}\n{text}\n");
    for default in ["told", "born"] {
        if !text.contains(&format!("(func ${default}")) {
            out += &format!("(func ${default})\n");
        }
    }
    out += "(func $case (param $n i32) (result i64)\n";
    for n in numbers {
        out += &format!("  (if (i32.eq (local.get $n) (i32.const {n})) (then (return (call $case{n}))))\n");
    }
    out + "  (unreachable)))\n"
}

fn case(line: &str) -> Result<Case, String> {
    let (front, rest) = line.split_once(": ").ok_or("a case is `N: what is promised -> what comes`")?;
    let (text, expected) = rest.rsplit_once(" -> ").ok_or("`->` and what must come are missing")?;
    let (numbers, how) = match front.split_once(" (") {
        Some((numbers, words)) => (numbers, how(words.trim_end_matches(')'))?),
        None => (front, How::default()),
    };
    let number = |n: &str| n.trim().parse().map_err(|_| format!("`{n}` is not a number below 256"));
    let numbers = numbers.split('+').map(number).collect::<Result<Vec<u8>, _>>()?;
    let expected = parts(expected).iter().map(|p| expect(p)).collect::<Result<Vec<_>, _>>()?;
    Ok(Case { numbers, how, text: text.to_owned(), expected })
}

fn how(words: &str) -> Result<How, String> {
    let mut how = How::default();
    for word in words.split(", ") {
        match word {
            "query" => how.query = true,
            "node" => how.node = true,
            "bare" => how.bare = true,
            "group" => (how.group, how.node) = (true, true),
            "resume" => how.restart = Restart::Resume,
            "on-failure" => how.restart = Restart::OnFailure,
            "always" => how.restart = Restart::Always,
            other => return Err(format!("`{other}` says nothing about how")),
        }
    }
    Ok(how)
}

/// Cuts at commas that are not in quotation marks.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '"';
        match c {
            ',' if !quoted => parts.push(String::new()),
            c => parts.last_mut().expect("there is one").push(c),
        }
    }
    parts.iter().map(|p| p.trim().to_owned()).collect()
}

fn expect(text: &str) -> Result<Expected, String> {
    let errno = |name: &str| Errno::ALL.iter().copied().find(|e| e.name() == name);
    if let Ok(number) = text.parse() {
        return Ok(Expected::Number(number));
    }
    if let Some(errno) = errno(text) {
        return Ok(Expected::Number(errno.as_return().into()));
    }
    let (word, rest) = text.split_once(' ').ok_or_else(|| format!("`{text}` is no expectation"))?;
    match word {
        "status" => errno(rest).map(Expected::Status).ok_or_else(|| format!("`{rest}` is no error")),
        "fault" => Ok(Expected::Fault(quoted(rest)?)),
        "log" => Ok(Expected::Log(quoted(rest)?)),
        "exit" => {
            let mut words = rest.splitn(3, ' ');
            let kind = words.next().and_then(|w| ExitKind::ALL.into_iter().find(|k| k.name() == w));
            let kind = kind.ok_or_else(|| format!("`{rest}` names no exit kind"))?;
            let code = words.next().unwrap_or("0").parse().map_err(|_| format!("`{rest}` has no code"))?;
            let message = match words.next() {
                None => Words::Any,
                Some(text) => match text.parse() {
                    Ok(length) => Words::Length(length),
                    Err(_) => match text.strip_prefix('~') {
                        Some(part) => Words::Have(quoted(part)?),
                        None => Words::Are(quoted(text)?),
                    },
                },
            };
            Ok(Expected::Exit(kind, code, message))
        }
        _ => Err(format!("`{text}` is no expectation")),
    }
}

fn quoted(text: &str) -> Result<String, String> {
    let inner = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .ok_or_else(|| format!("`{text}` is not in quotation marks"))?;
    Ok(inner.replace("\\u{fffd}", "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_says_how_it_is_run_and_what_must_come() {
        let found = case("16+17 (query, resume): what it says -> status TRAPPED, -3, log \"a, b\"").unwrap();
        assert_eq!(found.numbers, [16, 17]);
        assert_eq!(found.how, How { query: true, restart: Restart::Resume, ..How::default() });
        assert_eq!(
            found.expected,
            [Expected::Status(Errno::TRAPPED), Expected::Number(-3), Expected::Log("a, b".into())]
        );
        let found = case("1: x -> exit error 7 \"bye\", exit normal 0 4096, exit killed").unwrap();
        let exits = [
            Expected::Exit(ExitKind::Error, 7, Words::Are("bye".into())),
            Expected::Exit(ExitKind::Normal, 0, Words::Length(4096)),
            Expected::Exit(ExitKind::Killed, 0, Words::Any),
        ];
        assert_eq!(found.expected, exits);
        assert_eq!(case("1: x -> LIMIT").unwrap().expected, [Expected::Number(-8)]);
    }

    #[test]
    fn a_case_that_is_none_is_refused_with_its_place() {
        for (line, why) in [
            ("1 x -> 0", "a case is"),
            ("1: x", "`->`"),
            ("300: x -> 0", "below 256"),
            ("1 (often): x -> 0", "`often`"),
            ("1: x -> perhaps", "`perhaps`"),
            ("1: x -> status NONE", "`NONE`"),
            ("1: x -> fault y", "quotation"),
        ] {
            let refusal = case(line).unwrap_err();
            assert!(refusal.contains(why), "{line}: {refusal}");
        }
    }
}
