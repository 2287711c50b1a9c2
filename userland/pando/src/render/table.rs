//! Tables without lines, as `ps` and `ls` print them.

use std::time::Duration;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use pando_admin::TopRow;

use super::{Style, size, uptime};

/// A column's title and side.
pub struct Column {
    title: &'static str,
    right: bool,
}

impl Column {
    pub const fn left(title: &'static str) -> Column {
        Column { title, right: false }
    }
    pub const fn right(title: &'static str) -> Column {
        Column { title, right: true }
    }
}

/// How a cell stands out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tint {
    Bold,
    Dim,
    Good,
    Bad,
    Warn,
}

/// A cell that stands out where there are colours.
pub fn cell(tint: Tint, text: impl ToString) -> Cell {
    let cell = Cell::new(text);
    match tint {
        Tint::Bold => cell.add_attribute(Attribute::Bold),
        Tint::Dim => cell.add_attribute(Attribute::Dim),
        Tint::Good => cell.fg(Color::Green),
        Tint::Bad => cell.fg(Color::Red),
        Tint::Warn => cell.fg(Color::Yellow),
    }
}

/// Rows under titles. Too wide for the terminal: cells are wrapped; no terminal: nothing is.
pub fn table(columns: &[Column], rows: impl Iterator<Item = Vec<Cell>>, style: Style) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    match style.width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    if style.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table.set_header(columns.iter().map(|c| cell(Tint::Dim, c.title)));
    for row in rows {
        table.add_row(row);
    }
    for (i, column) in columns.iter().enumerate() {
        if let Some(out) = table.column_mut(i) {
            out.set_padding((0, 2));
            if column.right {
                out.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// `top`: totals, and with what was there before also rates.
pub fn top(rows: &[TopRow], before: Option<&(Vec<TopRow>, Duration)>, style: Style) -> String {
    let columns = [
        Column::left("NODE"),
        Column::left("UP"),
        Column::right("CPU"),
        Column::right("MEMORY"),
        Column::right("ACTORS"),
        Column::right("GROUPS"),
        Column::right("LEADS"),
        Column::right("EVENTS"),
        Column::right("REMOTE"),
        Column::right("OVERRUNS"),
    ];
    let rows = rows.iter().map(|row| {
        let then = before.and_then(|(rows, time)| {
            // A node that booted in between counts from nothing.
            let then = rows.iter().find(|t| t.node == row.node && t.events <= row.events && t.uptime_s <= row.uptime_s);
            then.map(|then| (then, time.as_secs_f64().max(0.001)))
        });
        let rate = |now: u64, then: Option<u64>, seconds: f64| match then {
            Some(then) => format!("{:.0}/s", now.saturating_sub(then) as f64 / seconds),
            None => now.to_string(),
        };
        let seconds = then.map_or(1.0, |(_, seconds)| seconds);
        let cpu = match then {
            Some((then, seconds)) => {
                format!("{:.0} %", row.cpu_ms.saturating_sub(then.cpu_ms) as f64 / seconds / 10.0)
            }
            None => format!("{:.1} s", row.cpu_ms as f64 / 1_000.0),
        };
        vec![
            cell(Tint::Bold, format!("n{}", row.node)),
            uptime(row.uptime_s).into(),
            cpu.into(),
            size(row.resident).into(),
            row.actors.into(),
            row.groups.into(),
            row.leads.into(),
            rate(row.events, then.map(|(t, _)| t.events), seconds).into(),
            rate(row.remote, then.map(|(t, _)| t.remote), seconds).into(),
            row.overruns.into(),
        ]
    });
    table(&columns, rows, style)
}
