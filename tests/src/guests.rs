//! Small guests in text format, each for one thing that tests and benchmarks want.
//!
//! They speak bytes, not CBOR: an order is three numbers of 64 bits and what follows them. Answers are CBOR, so that any
//! tool can show them.
//!
//! | guest | is |
//! |---|---|
//! | `tally` | a counter: every call adds one |
//! | `sentinel` | links, monitors and spawns as it is told, and tells what it saw |
//! | `witness` | sends, sets timers, watches and asks, and checks that nothing is lost, doubled or out of order |
//! | `jack` | does everything that the contract offers, as its dice fall, and holds the kernel to what it said |
//! | `imp` | everything that a hostile or broken guest can do |
//! | `echo` | answers what it is asked |
//! | `driver` | calls another actor so many times, so many at once |
//! | `ring` | spawns a ring of itself and lets tokens run round it |
//! | `nursery` | spawns children and counts their first cries |
//! | `gauge` | calls others as it is told, alone or with a crew, and writes down how long the answers took |
//! | `shelf` | ten thousand values under their keys |
//! | `courier` | writes numbered letters, and checks the numbers of those it gets |

use std::borrow::Cow;

const COMMON: &str = include_str!("guests/common.wat");

/// The text of a guest.
fn text(label: &str) -> &'static str {
    match label {
        "tally" => include_str!("guests/tally.wat"),
        "sentinel" => include_str!("guests/sentinel.wat"),
        "witness" => include_str!("guests/witness.wat"),
        "jack" => include_str!("guests/jack.wat"),
        "imp" => include_str!("guests/imp.wat"),
        "echo" => include_str!("guests/echo.wat"),
        "driver" => include_str!("guests/driver.wat"),
        "ring" => include_str!("guests/ring.wat"),
        "nursery" => include_str!("guests/nursery.wat"),
        "courier" => include_str!("guests/courier.wat"),
        "gauge" => include_str!("guests/gauge.wat"),
        "shelf" => include_str!("guests/shelf.wat"),
        _ => panic!("there is no guest `{label}`"),
    }
}

/// A guest as a module.
///
/// # Panics
/// If there is none of that name, or it does not assemble.
pub fn wasm(label: &str) -> Vec<u8> {
    assemble(label, text(label))
}

/// The same code under another hash: what a new version is that changes nothing.
///
/// # Panics
/// See [`wasm`].
pub fn version(label: &str, n: u32) -> Vec<u8> {
    assemble(label, &format!("{}\n(@custom \"version\" \"{n}\")", text(label)))
}

/// A tally that traps as soon as it has taken up what an earlier version left.
///
/// # Panics
/// See [`wasm`].
pub fn broken_tally() -> Vec<u8> {
    let own = text("tally");
    let broken = own.replace("(i64.load (call $body))))", "(i64.load (call $body))) (unreachable))");
    assert_ne!(own, broken);
    assemble("tally", &broken)
}

fn assemble(label: &str, own: &str) -> Vec<u8> {
    let mut whole = format!("(module\n{COMMON}\n{own}\n");
    for handler in ["start", "message", "reply", "timer", "down", "bounce"] {
        if !own.contains(&format!("(func $on_{handler}")) {
            whole.push_str(&format!("(func $on_{handler})\n"));
        }
    }
    whole.push(')');
    wat::parse_str(&whole).unwrap_or_else(|e| panic!("{label}.wat: {e}"))
}

/// The body of an order: a verb, two numbers, and what follows them.
pub fn order(verb: u64, a: u64, b: u64, rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(24 + rest.len());
    for n in [verb, a, b] {
        body.extend_from_slice(&n.to_le_bytes());
    }
    body.extend_from_slice(rest);
    body
}

/// The text of a module's interface section, if it has one.
pub fn interface(wasm: &[u8]) -> Option<String> {
    let mut rest = wasm.get(8..)?;
    while let Some((id, after)) = rest.split_first() {
        let (size, after) = leb(after)?;
        let (section, next) = after.split_at_checked(size)?;
        if *id == 0 {
            let (len, named) = leb(section)?;
            let (name, data) = named.split_at_checked(len)?;
            if name == pando_abi::call::INTERFACE_SECTION.as_bytes() {
                return match String::from_utf8_lossy(data) {
                    Cow::Borrowed(text) => Some(text.to_owned()),
                    Cow::Owned(_) => None,
                };
            }
        }
        rest = next;
    }
    None
}

/// An unsigned LEB128 number, and what follows it.
fn leb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (i, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

/// What each of the verbs of a guest is called.
pub mod verb {
    /// `tally`: add one (as a query: only tell, after `a` rounds of doing nothing).
    pub const TALLY: u64 = 0;

    /// `sentinel`: monitor the handle.
    pub const MONITOR: u64 = 1;
    /// `sentinel`: link to the handle.
    pub const LINK: u64 = 2;
    /// `sentinel`: spawn a sentinel on node `a`; `b`: 1 monitor it, 2 link to it, 4 as a group of three.
    pub const BEAR: u64 = 3;
    /// `sentinel`: tell what was seen.
    pub const REPORT: u64 = 4;
    /// `sentinel`: send the handle `b` letters.
    pub const WRITE: u64 = 5;
    /// `sentinel`: a letter that says `a`.
    pub const LETTER: u64 = 6;
    /// `sentinel`: call the handle for its report, and answer with the status of that.
    pub const ASK: u64 = 7;
    /// `sentinel`: exit with code `a`.
    pub const LEAVE: u64 = 8;
    /// `sentinel`: run into `unreachable`.
    pub const FALL: u64 = 9;
    /// `sentinel`: ask for a timer in `a` nanoseconds.
    pub const TIMER: u64 = 10;

    /// `witness`: send the handle, whose number stands behind, `b` letters from number `a`; answers how many it was sent.
    pub const LETTERS: u64 = 20;
    /// `witness`: tell what was seen.
    pub const TESTIFY: u64 = 22;
    /// `witness`: set `b` timers, `a` nanoseconds apart; answers how many were ever set.
    pub const TIMERS: u64 = 23;
    /// `witness`: monitor the handle; answers how many were.
    pub const WATCH: u64 = 24;
    /// `witness`: call the handle `b` times with a deadline of `a` nanoseconds; answers how many calls were ever made.
    pub const CALLS: u64 = 25;
    /// `witness`: the same with a question that the handle never answers.
    pub const SILENCE: u64 = 26;

    /// `jack`: stir the dice with `a`, and do `b` more deeds.
    pub const DEEDS: u64 = 30;
    /// `jack`: tell how many deeds were done, and how often the kernel broke the contract.
    pub const ACCUSE: u64 = 32;

    /// `courier`: write the handle a letter on line `a`; answers with its number, or 0.
    pub const POST: u64 = 1;
    /// `courier`: letters got on line `a`: how many, how many again, how many skipped, the highest number.
    pub const MAIL: u64 = 3;

    /// `driver`, `ring`, `nursery`, `gauge`: begin.
    pub const RUN: u64 = 1;
    /// `gauge`: the same, and of several to be called each in turn.
    pub const SWEEP: u64 = 2;
    /// `gauge`: spawn `a` to be called.
    pub const HIRE: u64 = 3;
    /// `gauge`: form a crew of `a`, who call the handle, or each a partner on node `b`.
    pub const FORM: u64 = 4;
    /// `gauge`: what follows is an order for all of the crew, for `a` of them at a time.
    pub const ALL: u64 = 5;
    /// `gauge`: send a child a ball `a` times, and get it back.
    pub const RALLY: u64 = 6;
    /// `gauge`: spawn `a` children that end at once, `b` at a time, each monitored.
    pub const MAYFLIES: u64 = 8;
    /// `gauge`: never end.
    pub const SPIN: u64 = 11;
}

/// What a sentinel saw, in the order of its report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// `down` events.
    pub downs: u64,
    /// The exit kind of the latest.
    pub kind: u64,
    /// Its code.
    pub code: i64,
    /// Bounces.
    pub bounces: u64,
    /// The errno of the latest.
    pub status: u64,
    /// Letters.
    pub letters: u64,
    /// The sum of what they said.
    pub sum: u64,
    /// Letters that said less than the one before.
    pub out_of_order: u64,
    /// Timers that fired.
    pub timers: u64,
    /// Was its life begun anew?
    pub restarted: u64,
}

impl Report {
    /// Reads the answer to [`verb::REPORT`].
    pub fn of(value: &serde_json::Value) -> Report {
        let n = |i: usize| value[i].as_u64().unwrap_or_else(|| panic!("{value} is not a report"));
        Report {
            downs: n(0),
            kind: n(1),
            code: n(2) as i64,
            bounces: n(3),
            status: n(4),
            letters: n(5),
            sum: n(6),
            out_of_order: n(7),
            timers: n(8),
            restarted: n(9),
        }
    }
}

/// What a witness saw, in the order of its report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    /// Letters that came.
    pub letters: u64,
    /// Of them, those that had come before.
    pub doubled: u64,
    /// Letters that did not come though later ones did.
    pub missed: u64,
    /// Timers set.
    pub timers_set: u64,
    /// Timers that fired.
    pub timers_fired: u64,
    /// Of them, those that fired again, too early, or after one that was due later.
    pub timers_wrong: u64,
    /// Monitors set.
    pub watches: u64,
    /// `down` events.
    pub downs: u64,
    /// Bounces.
    pub bounces: u64,
    /// Calls made.
    pub calls: u64,
    /// Calls answered, by whatever.
    pub replies: u64,
    /// Was its life begun anew?
    pub restarted: u64,
}

impl Testimony {
    /// Reads the answer to [`verb::TESTIFY`]: an array of twelve numbers of nine bytes.
    pub fn of(body: &[u8]) -> Option<Testimony> {
        let numbers = body.strip_prefix(&[0x8c])?;
        let n = |i: usize| -> Option<u64> {
            let (&kind, number) = numbers.get(9 * i..9 * i + 9)?.split_first()?;
            (kind == 0x1b).then(|| number.try_into().ok().map(u64::from_be_bytes))?
        };
        Some(Testimony {
            letters: n(0)?,
            doubled: n(1)?,
            missed: n(2)?,
            timers_set: n(3)?,
            timers_fired: n(4)?,
            timers_wrong: n(5)?,
            watches: n(6)?,
            downs: n(7)?,
            bounces: n(8)?,
            calls: n(9)?,
            replies: n(10)?,
            restarted: n(11)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_assembles() {
        let old = ["tally", "sentinel", "witness", "jack", "imp", "echo", "driver", "ring", "nursery", "courier"];
        for label in old.into_iter().chain(["gauge", "shelf"]) {
            assert!(wasm(label).starts_with(b"\0asm"), "{label}");
        }
    }

    #[test]
    fn an_interface_is_found_in_its_section() {
        assert!(interface(&wasm("tally")).is_some_and(|text| text.starts_with("actor Tally")));
        assert_eq!(interface(&wasm("echo")), None);
        assert_eq!(interface(b"\0asm"), None);
    }
}
