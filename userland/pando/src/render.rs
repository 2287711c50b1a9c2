//! Outcomes into text: for people with or without colours, for scripts as JSON.
//!
//! Owns: every line that a command prints on success, and how failures look. Does not know: where it goes.
//!
//! 1. What guests and other nodes wrote is cleaned of control characters before it is printed.
//! 2. With JSON every outcome is one line, one document.

mod json;
mod table;
mod units;

use std::time::Duration;

use nu_ansi_term::{Color, Style as Ansi};
use pando_admin::{ActorRow, Level, LogLine, NodeRow};

pub use self::json::json;
use self::table::{Column, Tint, cell, table};
pub use self::units::{clock, size, took, uptime};
use crate::{
    failure::Failure,
    outcome::{Answer, Ended, Outcome, ProgramRow},
};

/// Answers shorter than this line up.
const VALUE_COLUMNS: usize = 13;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub colour: bool,
    /// Columns of the terminal, if it is one.
    pub width: Option<u16>,
}

impl Style {
    fn paint(&self, ansi: Ansi, text: &str) -> String {
        if self.colour && !text.is_empty() { ansi.paint(text).to_string() } else { text.to_owned() }
    }
    fn dim(&self, text: &str) -> String {
        self.paint(Ansi::new().dimmed(), text)
    }
    fn bold(&self, text: &str) -> String {
        self.paint(Ansi::new().bold(), text)
    }
    fn good(&self, text: &str) -> String {
        self.paint(Color::Green.normal(), text)
    }
    fn bad(&self, text: &str) -> String {
        self.paint(Color::Red.normal(), text)
    }
    fn warn(&self, text: &str) -> String {
        self.paint(Color::Yellow.normal(), text)
    }
}

/// The lines for a person, without the last line's end.
pub fn human(outcome: &Outcome, style: Style) -> String {
    match outcome {
        Outcome::Spawned(row) => spawned(row, style),
        Outcome::Answer(answer) => answered(answer, style),
        Outcome::Actors { rows, silent } => actors(rows, silent, style),
        Outcome::Names(rows) => {
            if rows.is_empty() {
                return style.dim("no names yet; `spawn counter --name hits` gives one");
            }
            let columns = [Column::left("NAME"), Column::left("ADDRESS"), Column::left("MODULE").spare(1)];
            let rows = rows
                .iter()
                .map(|r| vec![cell(Tint::Bold, clean(&r.name)), clean(&r.address).into(), clean(&r.module).into()]);
            table(&columns, rows, style)
        }
        Outcome::Nodes(rows) => nodes(rows, style),
        Outcome::Top { rows, before, .. } => table::top(rows, before.as_ref(), style),
        Outcome::Details { target, lines, interface } => details(target, lines, interface, style),
        Outcome::Log(lines) if lines.is_empty() => style.dim("no lines yet"),
        Outcome::Log(lines) => lines.iter().map(|l| log_line(l, style)).collect::<Vec<_>>().join("\n"),
        Outcome::Ended(end) => ended(end),
        Outcome::Programs(rows) => programs(rows, style),
        Outcome::Done { text, .. } => text.clone(),
    }
}

/// What is wrong, and on the next line what to do.
pub fn failure(failure: &Failure, style: Style) -> String {
    let mut out = format!("{} {}", style.bad("error:"), clean_lines(&failure.sentence));
    if !failure.mend.is_empty() {
        out.push_str(&format!("\n  {} {}", style.dim("mend:"), clean_lines(&failure.mend)));
    }
    out
}

/// `hits ended: killed`
pub fn ended(end: &Ended) -> String {
    let code = if end.kind == "error" { format!(" {}", end.code) } else { String::new() };
    let message = if end.message.is_empty() { String::new() } else { format!(": {}", clean_lines(&end.message)) };
    format!("{} ended: {}{code}{message}", clean(&end.target), clean(&end.kind))
}

/// `hits  group 7f3a…  voters n1 n2 n3  leader n2`
fn spawned(row: &ActorRow, style: Style) -> String {
    let name = if row.name.is_empty() { &row.module } else { &row.name };
    let id: String = row.id.chars().take(4).collect();
    let name = style.bold(&clean(name));
    if row.voters.is_empty() {
        return format!("{name}  actor {}…  on n{}", clean(&id), row.node);
    }
    let leader = if row.node == 0 { String::new() } else { format!("  leader n{}", row.node) };
    format!("{name}  group {}…  voters {}{leader}", clean(&id), voters(&row.voters))
}

/// `5            final@3  (1.9 ms)`
fn answered(answer: &Answer, style: Style) -> String {
    let level = match answer.level {
        Level::Local => "local".to_owned(),
        Level::Final => format!("final@{}", answer.index),
        Level::Linear => format!("linear@{}", answer.index),
    };
    let leader = answer.new_leader.map(|n| style.warn(&format!("  (leader n{n})"))).unwrap_or_default();
    let tail = format!("{}  {}{leader}", style.dim(&level), style.dim(&format!("({})", took(answer.took))));
    // What the value itself says is escaped already; it may have lines of its own.
    let last = answer.text.lines().last().unwrap_or_default().chars().count();
    let gap = if last < VALUE_COLUMNS { " ".repeat(VALUE_COLUMNS - last) } else { "  ".to_owned() };
    format!("{}{gap}{tail}", style.bold(&answer.text))
}

fn actors(rows: &[ActorRow], silent: &[u32], style: Style) -> String {
    let mut out = if rows.is_empty() {
        style.dim("nothing runs yet; `spawn counter` starts something")
    } else {
        let columns = [
            Column::left("NAME"),
            Column::left("ADDRESS"),
            Column::left("MODULE").spare(1),
            Column::left("WHERE"),
            Column::left("STATE"),
            Column::right("WAITING").spare(3),
            Column::right("MEMORY").spare(2),
            Column::right("EVENTS").spare(4),
            Column::right("RESTARTS").spare(5),
        ];
        let rows = rows.iter().map(|row| {
            let tint = if row.state == "running" { Tint::Good } else { Tint::Warn };
            vec![
                cell(Tint::Bold, clean(&row.name)),
                clean(&row.address).into(),
                clean(&row.module).into(),
                place(row).into(),
                cell(tint, clean(&row.state)),
                row.mailbox.into(),
                size(row.memory).into(),
                row.events.into(),
                row.restarts.into(),
            ]
        });
        table(&columns, rows, style)
    };
    if !silent.is_empty() {
        let line = format!("no answer from {}: plain actors there are missing", voters(silent));
        out.push('\n');
        out.push_str(&style.warn(&line));
    }
    out
}

/// `n1`, or `n2 of n1 n2 n3`: the leader among the voters.
fn place(row: &ActorRow) -> String {
    match (row.voters.is_empty(), row.node) {
        (true, node) => format!("n{node}"),
        (false, 0) => format!("no leader of {}", held(row)),
        (false, node) => format!("n{node} of {}", held(row)),
    }
}

/// `n1 n2`, or `n1 n2 → n1 n4`: the voters, and those to come.
fn held(row: &ActorRow) -> String {
    match row.wanted.is_empty() || row.wanted == row.voters {
        true => voters(&row.voters),
        false => format!("{} → {}", voters(&row.voters), voters(&row.wanted)),
    }
}

fn nodes(rows: &[NodeRow], style: Style) -> String {
    let columns = [
        Column::left("NODE"),
        Column::left("STATE"),
        Column::left("ROLE").spare(1),
        Column::left("ADDRESS"),
        Column::left("KEY").spare(2),
        Column::left("").spare(3),
    ];
    let rows = rows.iter().map(|row| {
        let role = match (row.root_leader, row.voter) {
            (true, _) => "leader",
            (false, true) => "voter",
            (false, false) => "follower",
        };
        let state = match (row.up, row.standing.as_str()) {
            (true, "drained" | "leaving") => cell(Tint::Warn, clean(&row.standing)),
            (true, _) => cell(Tint::Good, "up"),
            (false, "away" | "leaving") => cell(Tint::Bad, format!("down, {}", clean(&row.standing))),
            (false, _) => cell(Tint::Bad, "down"),
        };
        let key: String = row.key.chars().take(8).collect();
        vec![
            cell(Tint::Bold, format!("n{}", row.node)),
            state,
            role.into(),
            clean(&row.addr).into(),
            format!("{}…", clean(&key)).into(),
            cell(Tint::Dim, if row.this { "answers" } else { "" }),
        ]
    });
    table(&columns, rows, style)
}

fn details(target: &str, lines: &[(String, String)], interface: &str, style: Style) -> String {
    let width = lines.iter().map(|(title, _)| title.chars().count()).max().unwrap_or(0);
    let mut out = style.bold(&clean(target));
    for (title, text) in lines {
        let pad = " ".repeat(width - title.chars().count());
        // A backtrace has lines; they go on under the first.
        let text = clean_lines(text).replace('\n', &format!("\n{}", " ".repeat(width + 4)));
        out.push_str(&format!("\n  {}{pad}  {text}", style.dim(&clean(title))));
    }
    if !interface.trim().is_empty() {
        out.push('\n');
        for line in interface.trim().lines() {
            let line = clean(line);
            let comment = line.trim_start().starts_with("//");
            out.push_str(&format!("\n  {}", if comment { style.dim(&line) } else { line }));
        }
    }
    out
}

fn log_line(line: &LogLine, style: Style) -> String {
    let level = match line.level {
        1 => style.bad("ERROR"),
        2 => style.warn("WARN "),
        3 => style.good("INFO "),
        4 => style.dim("DEBUG"),
        _ => style.dim("TRACE"),
    };
    let head =
        format!("{} {level} n{} {}", style.dim(&clock(line.time_ns)), line.node, style.bold(&clean(&line.source)));
    format!("{head}  {}", clean_lines(&line.text).replace('\n', "\n    "))
}

fn programs(rows: &[ProgramRow], style: Style) -> String {
    // The longest last: no other column has to be as wide.
    let columns = [Column::left("PROGRAM"), Column::right("SIZE"), Column::left("ABOUT, METHODS")];
    let rows = rows.iter().map(|row| {
        let methods = clean(&row.methods.join(" "));
        let text = if row.about.is_empty() { methods } else { format!("{}\n{methods}", clean(&row.about)) };
        vec![cell(Tint::Bold, &row.name), size(row.bytes as u64).into(), text.into()]
    });
    table(&columns, rows, style)
}

fn voters(nodes: &[u32]) -> String {
    nodes.iter().map(|n| format!("n{n}")).collect::<Vec<_>>().join(" ")
}

/// Without anything that a terminal would obey.
fn clean(text: &str) -> String {
    clean_lines(text).replace('\n', " ")
}

/// The same, lines kept.
fn clean_lines(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '\n',
            '\t' => ' ',
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => '�',
            c => c,
        })
        .collect()
}

/// The banner of a realm that is up.
pub fn banner(realm: &str, count: usize, ready: Option<Duration>, data: &str, keep: bool, style: Style) -> String {
    let id: String = realm.chars().take(8).collect();
    let state = match ready {
        Some(time) => format!("{count} nodes ready in {:.1} s", time.as_secs_f64()),
        None => format!("{count} nodes, running already"),
    };
    let leave = if keep || ready.is_none() { "leaves the nodes running" } else { "stops the nodes" };
    format!(
        "{}  {id}…  {state}  {}\n{}",
        style.bold("realm"),
        style.dim(data),
        style.dim(&format!(
            "try  spawn counter --replicas 3 --name hits   then  call hits add 5\n`help` lists the commands, Tab completes, `exit` {leave}"
        ))
    )
}

#[cfg(test)]
mod tests;
