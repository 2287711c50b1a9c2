//! Tables without lines, as `ps` and `ls` print them.

use std::time::Duration;

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use pando_admin::TopRow;

use super::{Style, size, uptime};

/// Blanks between two columns.
const GAP: usize = 2;

/// A column's title and side.
pub struct Column {
    title: &'static str,
    right: bool,
    /// On a narrow terminal the column with the highest goes first; one with 0 stays.
    spare: u8,
}

impl Column {
    pub const fn left(title: &'static str) -> Column {
        Column { title, right: false, spare: 0 }
    }
    pub const fn right(title: &'static str) -> Column {
        Column { title, right: true, spare: 0 }
    }
    pub const fn spare(self, spare: u8) -> Column {
        Column { spare, ..self }
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

/// Rows under titles. Too wide for the terminal: spare columns are left out, then cells are wrapped. No terminal: neither.
pub fn table(columns: &[Column], rows: impl Iterator<Item = Vec<Cell>>, style: Style) -> String {
    let rows: Vec<Vec<Cell>> = rows.collect();
    let shown = fitting(columns, &rows, style.width);
    let columns: Vec<&Column> = columns.iter().zip(&shown).filter_map(|(c, shown)| shown.then_some(c)).collect();
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
        table.add_row(row.into_iter().zip(&shown).filter_map(|(cell, shown)| shown.then_some(cell)));
    }
    for (i, column) in columns.iter().enumerate() {
        if let Some(out) = table.column_mut(i) {
            out.set_padding((0, if i + 1 < columns.len() { GAP as u16 } else { 0 }));
            if column.right {
                out.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Which columns there is room for.
fn fitting(columns: &[Column], rows: &[Vec<Cell>], width: Option<u16>) -> Vec<bool> {
    let mut shown = vec![true; columns.len()];
    let Some(width) = width else { return shown };
    let long = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, c)| rows.iter().map(|row| long(&row[i].content())).fold(long(c.title), usize::max) + GAP)
        .collect();
    loop {
        let used: usize = widths.iter().zip(&shown).filter_map(|(width, shown)| shown.then_some(width)).sum();
        let next = (0..columns.len()).filter(|i| shown[*i] && columns[*i].spare > 0).max_by_key(|i| columns[*i].spare);
        match next {
            // There is no gap behind the last column.
            Some(next) if used.saturating_sub(GAP) > usize::from(width) => shown[next] = false,
            _ => return shown,
        }
    }
}

/// `top`: totals, and with what was there before also rates.
pub fn top(rows: &[TopRow], before: Option<&(Vec<TopRow>, Duration)>, style: Style) -> String {
    let columns = [
        Column::left("NODE"),
        Column::left("UP").spare(1),
        Column::right("CPU"),
        Column::right("MEMORY"),
        Column::right("ACTORS"),
        Column::right("GROUPS").spare(2),
        Column::right("LEADS").spare(3),
        Column::right("EVENTS"),
        Column::right("REMOTE").spare(4),
        Column::right("OVERRUNS").spare(5),
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
