//! The conformance suite: every guest of `tests/conformance`, case by case.
//!
//! One table, read from the guests themselves, run through [`check`] at every place there is.

use std::{collections::BTreeSet, path::Path};

use pando_abi::{Call, Errno, ExitKind};
use pando_tests::{
    guest::{Case, Expected, Guest, How, guest, guests},
    model::{Machine, Model},
    place::check,
    single::Single,
};

const SPEC: &str = include_str!("../../syscalls/SPEC.md");

fn all() -> Vec<Guest> {
    guests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance"))
}

/// Runs every case that `wanted` wants, and demands that all of them are as their table says. With `PANDO_CASE=send:20` in the
/// environment only that one, with `PANDO_CASE=send` only that guest's.
fn run(wanted: fn(&How) -> bool, at_least: usize, mut place: impl FnMut(&Guest, &Case) -> Result<(), String>) {
    let (mut complaints, mut count) = (Vec::new(), 0);
    let only = std::env::var("PANDO_CASE").ok();
    let (only_guest, only_case) = only.as_deref().map_or(("", ""), |o| o.split_once(':').unwrap_or((o, "")));
    for guest in &all() {
        for case in guest.cases.iter().filter(|c| wanted(&c.how)) {
            let numbers: Vec<String> = case.numbers.iter().map(u8::to_string).collect();
            let is_it = (only_guest.is_empty() || guest.name == only_guest)
                && (only_case.is_empty() || numbers.join("+") == only_case);
            if !is_it {
                continue;
            }
            count += 1;
            if let Err(why) = place(guest, case) {
                complaints.push(format!("{}.wat, case {:?}, {}: {why}", guest.name, case.numbers, case.text));
            }
        }
    }
    assert!(complaints.is_empty(), "{} of {count} cases:\n{}", complaints.len(), complaints.join("\n"));
    assert!(only.is_some() || count >= at_least, "only {count} cases were found");
}

#[test]
fn bare_actors_keep_the_contract() {
    let machine = Machine::new();
    run(|how| !how.node, 250, |guest, case| check(&mut Model::new(&machine), guest, case));
}

#[test]
fn a_whole_node_keeps_the_contract() {
    let mut node = Single::start();
    run(|how| !how.bare, 290, |guest, case| check(&mut node, guest, case));
}

#[test]
fn a_table_that_is_wrong_is_caught() {
    let machine = Machine::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let prelude = std::fs::read_to_string(folder.join("prelude.wat")).expect("the prelude");
    let body = "(func $case1 (result i64) (i64.const 5))\n(func $case2 (result i64) (unreachable))\n";
    for (table, why) in [
        (";; case 1: x -> 6\n;; case 2: x -> fault \"unreachable\"\n", "wanted 6, got 5"),
        (";; case 1: x -> LIMIT\n;; case 2: x -> fault \"unreachable\"\n", "wanted -8 (LIMIT), got 5"),
        (";; case 1: x -> status DEAD\n;; case 2: x -> fault \"unreachable\"\n", "wanted status DEAD, got 5"),
        (";; case 1: x -> 5, log \"x\"\n;; case 2: x -> fault \"unreachable\"\n", "the log has no line"),
        (";; case 1: x -> 5, exit normal\n;; case 2: x -> fault \"unreachable\"\n", "it has not ended"),
        (";; case 1: x -> 5\n;; case 2: x -> fault \"divided\"\n", "wanted a fault with \"divided\""),
        (";; case 1: x -> 5\n;; case 2: x -> status TRAPPED\n", "it ended"),
    ] {
        let planted = guest("planted", &prelude, &format!("{table}{body}"));
        let found: Vec<String> =
            planted.cases.iter().filter_map(|case| check(&mut Model::new(&machine), &planted, case).err()).collect();
        assert!(found.len() == 1 && found[0].contains(why), "{table}{found:?}");
    }
}

/// Errors that SPEC.md lists on the page of a call.
fn errors_of(call: Call) -> Vec<Errno> {
    let page = SPEC
        .split("\n### 5.")
        .find(|p| p.split('\n').next().is_some_and(|h| h.ends_with(&format!("`{}`", call.name()))));
    let errors = page.and_then(|p| p.split("**Errors.**").nth(1)).and_then(|p| p.split("\n\n").next()).expect("a page");
    Errno::ALL.iter().copied().filter(|e| errors.contains(&format!("`{}`", e.name()))).collect()
}

#[test]
fn every_call_has_a_guest_and_every_error_on_its_page_a_case() {
    let guests = all();
    let mut missing = Vec::new();
    for call in Call::ALL {
        let Some(guest) = guests.iter().find(|g| g.name == call.name()) else {
            missing.push(format!("{}.wat", call.name()));
            continue;
        };
        for errno in errors_of(*call) {
            let wanted = Expected::Number(errno.as_return().into());
            if !guest.cases.iter().any(|c| c.expected.contains(&wanted)) {
                missing.push(format!("{}.wat: a case with {}", call.name(), errno.name()));
            }
        }
        for found in guest.cases.iter().flat_map(|c| &c.expected) {
            let Expected::Number(n) = found else { continue };
            let Some(errno) = u16::try_from(-n).ok().and_then(Errno::from_code) else { continue };
            if !errors_of(*call).contains(&errno) {
                missing.push(format!("SPEC.md, `{}`: {} in Errors", call.name(), errno.name()));
            }
        }
    }
    assert!(missing.is_empty(), "missing:\n{}", missing.join("\n"));
}

#[test]
fn every_error_and_every_exit_of_one_node_is_provoked() {
    let cases: Vec<_> = all().into_iter().flat_map(|g| g.cases).collect();
    let text: String = cases.iter().map(|c| format!("{} ", c.text)).collect();
    for errno in Errno::ALL {
        let stated = Expected::Status(*errno);
        let returned = Expected::Number(errno.as_return().into());
        let seen = cases.iter().any(|c| c.expected.contains(&stated) || c.expected.contains(&returned));
        assert!(seen || text.contains(errno.name()), "no case provokes {}", errno.name());
    }
    // What one node cannot show: these need another that goes away, or one that is stopped.
    let elsewhere: BTreeSet<ExitKind> = [ExitKind::NodeDown, ExitKind::QuorumLost, ExitKind::Shutdown].into();
    for kind in ExitKind::ALL.into_iter().filter(|k| !elsewhere.contains(k)) {
        let seen = cases.iter().flat_map(|c| &c.expected).any(|e| matches!(e, Expected::Exit(k, ..) if *k == kind));
        let told =
            text.contains(&format!("how it ended: {}", kind.name())) || text.contains(&format!("`{}`", kind.name()));
        assert!(seen || told, "no case provokes the exit `{}`", kind.name());
    }
}
