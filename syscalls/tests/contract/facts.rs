//! What the Rust crate says, as plain tables that the other three forms of the contract are held against.
//!
//! 1. Nothing is listed here that the crate could list itself; where it cannot (constants), the list is held against
//!    the crate's own source text, so that a constant that is new and not listed fails.

use std::{collections::BTreeMap, mem::offset_of};

use pando_abi::{
    Errno, EventHeader, EventKind, ExitKind, Handle, Home, Priority, Restart, Rights, SpawnSpec, call::call_flags,
    event::flags, exit::ExitRecord, handle::HandleStat, limits, policy::spawn_flags,
};

/// Names as in `pando.h`, without the `PANDO_` in front.
pub type Numbers = BTreeMap<String, u64>;

/// One field of a structure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    pub name: String,
    pub offset: usize,
    pub size: usize,
}

/// `OnFailure` to `ON_FAILURE`, `cpu-limit` to `CPU_LIMIT`.
pub fn shout(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(if c == '-' { '_' } else { c.to_ascii_uppercase() });
    }
    out
}

/// A table of `pub const`s and the names of all such constants in the source that they come from.
macro_rules! constants {
    ($source:literal, $from:literal, $($name:ident = $value:expr),* $(,)?) => {{
        let listed: Vec<(String, u64)> = vec![$((stringify!($name).to_owned(), $value as u64)),*];
        let source = include_str!(concat!("../../src/", $source));
        let block = source.split_once($from).expect($from).1;
        // Up to where the block ends: a brace in the first column, or the end of the file.
        let block = block.split("\n}").next().unwrap_or(block);
        let names: Vec<String> = block
            .lines()
            .filter_map(|l| l.trim().strip_prefix("pub const "))
            .filter(|l| !l.starts_with("fn "))
            .filter_map(|l| l.split(':').next())
            .map(str::to_owned)
            .collect();
        (listed, names)
    }};
}

fn listed(all: &mut Numbers, prefix: &str, (listed, names): (Vec<(String, u64)>, Vec<String>), not_bits: &[&str]) {
    let expected: Vec<&str> = names.iter().map(String::as_str).filter(|n| !not_bits.contains(n)).collect();
    let found: Vec<&str> = listed.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(found, expected, "the constants `{prefix}*` of the crate and those that this test holds");
    all.extend(listed.into_iter().map(|(n, v)| (format!("{prefix}{n}"), v)));
}

/// Every limit, in order.
pub fn limit_numbers() -> Vec<(String, u64)> {
    macro_rules! all { ($($name:ident)*) => { constants!("limits.rs", "//!", $($name = limits::$name),*) } }
    let (listed, names) = all! {
        MESSAGE_BYTES_MAX MESSAGE_HANDLES_MAX HANDLES_MAX TIMERS_MAX MONITORS_MAX LINKS_MAX CALLS_MAX GRANTS_MAX
        CHILDREN_MAX NODE_ACTORS_MAX EFFECTS_MAX EFFECT_BYTES_MAX MAILBOX_MESSAGES_MAX MAILBOX_BYTES_MAX LOG_LINE_BYTES_MAX
        LOG_LINES_PER_EVENT_MAX EXIT_MESSAGE_BYTES_MAX MEMORY_BYTES_DEFAULT MEMORY_BYTES_MAX TABLE_ELEMENTS_MAX
        HANDLER_MS_DEFAULT HANDLER_MS_MAX HANDLER_FUEL_DEFAULT HANDLER_FUEL_MAX MODULE_BYTES_MAX INTERFACE_BYTES_MAX
        NAME_BYTES_MAX REPLICAS_MAX NODES_MAX DELAY_NS_MAX INBOX_BYTES_MIN EVENT_BYTES_MAX
    };
    let found: Vec<&str> = listed.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(found, names, "the constants of limits.rs and those that this test holds");
    listed
}

/// Errors: code, name, text.
pub fn errnos() -> Vec<(u64, String, String)> {
    Errno::ALL.iter().map(|e| (e.code().into(), e.name().to_owned(), e.text().to_owned())).collect()
}

/// Exit kinds: number, name, blame, takes links.
pub fn exits() -> Vec<(u64, String, String, bool)> {
    ExitKind::ALL
        .iter()
        .map(|k| (*k as u64, k.name().to_owned(), format!("{:?}", k.blame()).to_lowercase(), k.takes_links()))
        .collect()
}

/// Kinds of events, by their numbers.
pub fn events() -> Vec<(u64, String)> {
    (0..).map_while(EventKind::from_u16).map(|k| (k as u64, shout(&format!("{k:?}")))).collect()
}

/// Restart policies, by their numbers.
pub fn restarts() -> Vec<(u64, String)> {
    (0..).map_while(Restart::from_u8).map(|k| (k as u64, shout(&format!("{k:?}")))).collect()
}

/// Bits of an event's flags.
pub fn event_flags() -> Numbers {
    let mut all = Numbers::new();
    let bits = constants!(
        "event.rs",
        "pub mod flags {",
        QUERY = flags::QUERY,
        LINK = flags::LINK,
        RESTARTED = flags::RESTARTED,
        REPLICATED = flags::REPLICATED,
        KEPT = flags::KEPT
    );
    listed(&mut all, "", bits, &[]);
    all
}

/// The single rights.
pub fn rights() -> Numbers {
    let mut all = Numbers::new();
    let bits = constants!(
        "handle.rs",
        "impl Rights {",
        SEND = Rights::SEND.0,
        KILL = Rights::KILL.0,
        LINK = Rights::LINK.0,
        MONITOR = Rights::MONITOR.0,
        SHARE = Rights::SHARE.0,
        SPAWN = Rights::SPAWN.0,
        GRANT = Rights::GRANT.0
    );
    listed(&mut all, "", bits, &["NONE", "ALL", "PEER", "CHILD_TO_PARENT", "REPLY"]);
    assert_eq!(all.values().sum::<u64>(), u64::from(Rights::ALL.0), "ALL is every single right");
    all
}

/// The handles that everybody has.
pub fn handles() -> Numbers {
    let mut all = Numbers::new();
    let known = constants!(
        "handle.rs",
        "impl Handle {",
        SELF = Handle::SELF.0,
        PARENT = Handle::PARENT.0,
        REALM = Handle::REALM.0,
        NONE = Handle::NONE.0
    );
    listed(&mut all, "", known, &["SLOT_BITS"]);
    all
}

/// Every number that a guest may need, under the name that it has in `pando.h`.
pub fn numbers() -> Numbers {
    let mut all = Numbers::new();
    all.extend(limit_numbers());
    all.extend(errnos().into_iter().map(|(n, name, _)| (format!("E_{name}"), n)));
    all.extend(exits().into_iter().map(|(n, name, ..)| (format!("EXIT_{}", shout(&name)), n)));
    all.extend(events().into_iter().map(|(n, name)| (format!("EVENT_{name}"), n)));
    all.extend(restarts().into_iter().map(|(n, name)| (format!("RESTART_{name}"), n)));
    let priorities = (0..).map_while(Priority::from_u8);
    all.extend(priorities.map(|p| (format!("PRIORITY_{}", shout(&format!("{p:?}"))), p as u64)));
    all.extend(event_flags().into_iter().map(|(n, v)| (format!("FLAG_{n}"), v)));
    all.extend(rights().into_iter().map(|(n, v)| (format!("RIGHT_{n}"), v)));
    all.insert("RIGHTS_ALL".into(), Rights::ALL.0.into());
    all.extend(handles().into_iter().map(|(n, v)| (format!("HANDLE_{n}"), v)));
    let bits = constants!("call.rs", "pub mod call_flags {", QUERY = call_flags::QUERY, FINAL = call_flags::FINAL);
    listed(&mut all, "CALL_", bits, &[]);
    let bits = constants!("policy.rs", "pub mod spawn_flags {", GRANT_REALM = spawn_flags::GRANT_REALM);
    listed(&mut all, "SPAWN_", bits, &[]);
    let homes = [("ACTOR", Home::Node as u64), ("GROUP", Home::Group as u64), ("SERVICE", Home::Service as u64)];
    all.extend(homes.map(|(n, v)| (format!("KIND_{n}"), v)));
    // The reply handle's kind comes after the homes; levels of log lines have no type of their own.
    all.insert("KIND_REPLY".into(), 3);
    for (i, level) in ["ERROR", "WARNING", "INFORMATION", "DEBUG", "TRACE"].iter().enumerate() {
        all.insert(format!("LOG_{level}"), i as u64 + 1);
    }
    all
}

macro_rules! layout {
    ($ty:ident, $zero:expr, $($name:ident),*) => {{
        let value: $ty = $zero;
        let fields = vec![$(Field {
            name: stringify!($name).to_owned(),
            offset: offset_of!($ty, $name),
            size: size_of_val(&value.$name),
        }),*];
        let sum: usize = fields.iter().map(|f| f.size).sum();
        assert_eq!(sum, size_of::<$ty>(), "every byte of {} belongs to a field that this test holds", stringify!($ty));
        fields
    }};
}

/// The four structures, by their names in `pando.h` (without `pando_`).
pub fn layouts() -> Vec<(&'static str, Vec<Field>)> {
    let event = EventHeader::from_bytes(&[0; EventHeader::SIZE]).expect("long enough");
    let exit = ExitRecord::from_bytes(&[0; ExitRecord::SIZE]).expect("long enough");
    let stat = HandleStat { kind: 0, rights: 0, badge: 0, node: 0, reserved: 0 };
    vec![
        (
            "event",
            layout!(
                EventHeader,
                event,
                kind,
                flags,
                handle_count,
                status,
                time_ns,
                token,
                badge,
                reply,
                body_len,
                seed
            ),
        ),
        ("exit_record", layout!(ExitRecord, exit, kind, reserved, code)),
        ("handle_stat", layout!(HandleStat, stat, kind, rights, badge, node, reserved)),
        (
            "spawn_spec",
            layout!(
                SpawnSpec,
                SpawnSpec::new(),
                module,
                node,
                fuel_millions,
                memory_bytes,
                flags,
                restart,
                priority,
                replicas,
                reserved,
                handler_ms,
                restarts_max,
                window_ms
            ),
        ),
    ]
}
