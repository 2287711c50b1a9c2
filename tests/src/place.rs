//! Running one case anywhere: on the model, on a node.
//!
//! 1. The same cases run at every place, and a place says nothing about what is right: the table does.

use pando_abi::{Errno, ExitKind};

use crate::guest::{Case, Expected, Guest, Words};

/// How an actor ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// In one word.
    pub kind: ExitKind,
    /// What it gave to `exit`.
    pub code: i32,
    /// The reason.
    pub message: String,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// 0, or the code of an errno.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// Where a case can be run. Each has one actor under test at a time.
pub trait Place {
    /// Spawns the actor under test: its start has this body, and its realm handle may spawn.
    fn spawn(&mut self, guest: &Guest, case: &Case, start: &[u8]);
    /// Calls it and waits for the answer.
    ///
    /// # Errors
    /// When nobody answers.
    fn call(&mut self, body: &[u8], query: bool) -> Result<Answer, String>;
    /// How it ended. Waits for the end.
    ///
    /// # Errors
    /// When it does not end.
    fn end(&mut self) -> Result<End, String>;
    /// Has it ended?
    fn has_ended(&mut self) -> bool;
    /// Does its log have this line? Waits a while if it has not.
    fn logged(&mut self, line: &str) -> bool;
}

/// Runs a case and says what is wrong, if anything is.
pub fn check(place: &mut dyn Place, guest: &Guest, case: &Case) -> Result<(), String> {
    // A body without a meaning: a start without any is the sign of a child (see prelude.wat and spawn.wat).
    place.spawn(guest, case, &[0]);
    let mut answers: Vec<Answer> = Vec::new();
    for number in &case.numbers {
        answers.push(place.call(&[0xC0, *number], case.how.query)?);
    }
    let of_call = |e: &&Expected| matches!(e, Expected::Number(_) | Expected::Status(_) | Expected::Fault(_));
    let mut wanted = case.expected.iter().filter(of_call);
    let mut faulted = false;
    for answer in &answers {
        match wanted.next() {
            Some(Expected::Number(n)) => {
                let found = (answer.status, number(&answer.body));
                if found != (0, Some(*n)) {
                    return Err(format!("wanted {}, got {}", told(*n), shown(answer)));
                }
            }
            Some(Expected::Status(errno)) if answer.status != errno.code() => {
                return Err(format!("wanted status {}, got {}", errno.name(), shown(answer)));
            }
            Some(Expected::Fault(_)) => {
                faulted = true;
                if answer.status != Errno::TRAPPED.code() {
                    return Err(format!("wanted a fault, got {}", shown(answer)));
                }
            }
            // An end alone says nothing about the answer.
            _ => {}
        }
    }
    let mut ends = faulted;
    for expected in &case.expected {
        match expected {
            Expected::Fault(text) => {
                let end = place.end()?;
                if end.kind != ExitKind::Fault || !end.message.contains(text) {
                    return Err(format!("wanted a fault with {text:?}, got {end:?}"));
                }
            }
            Expected::Exit(kind, code, words) => {
                ends = true;
                let end = place.end()?;
                let fits = match words {
                    Words::Any => true,
                    Words::Are(text) => end.message == *text,
                    Words::Length(length) => end.message.len() == *length,
                    Words::Have(text) => end.message.contains(text),
                };
                if (end.kind, end.code) != (*kind, *code) || !fits {
                    return Err(format!("wanted {expected:?}, got {end:?}"));
                }
            }
            Expected::Log(line) if !place.logged(line) => return Err(format!("the log has no line {line:?}")),
            _ => {}
        }
    }
    if !ends && place.has_ended() {
        return Err(format!("it ended: {:?}", place.end()?));
    }
    Ok(())
}

fn number(body: &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(body.try_into().ok()?))
}

fn told(n: i64) -> String {
    match u16::try_from(-n).ok().and_then(Errno::from_code) {
        Some(errno) => format!("{n} ({})", errno.name()),
        None => n.to_string(),
    }
}

fn shown(answer: &Answer) -> String {
    match (Errno::from_code(answer.status), number(&answer.body)) {
        (Some(errno), _) => format!("status {}", errno.name()),
        (None, Some(n)) => told(n),
        (None, None) => format!("status {} and {:?}", answer.status, answer.body),
    }
}
