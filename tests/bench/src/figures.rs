//! Figures and the table that they make.

use std::path::PathBuf;

use comfy_table::{Cell, CellAlignment, Table, presets};

/// What was measured, in order.
pub struct Figures {
    wanted: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    beside: String,
    note: String,
}

/// What is a better figure, where one stands beside a peer's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Better {
    More,
    Less,
}

impl Figures {
    pub fn new(wanted: Vec<String>) -> Figures {
        Figures { wanted, rows: Vec::new() }
    }

    /// Is one of these asked for?
    pub fn wants(&self, words: &[&str]) -> bool {
        self.wanted.is_empty() || words.iter().any(|word| self.wanted.iter().any(|w| w == word))
    }

    /// Notes a figure.
    pub fn add(&mut self, what: &str, value: f64, unit: &'static str) -> &mut Figures {
        eprintln!("{what}: {} {unit}", show(value));
        self.rows.push(Row { what: what.to_owned(), value, unit, beside: String::new(), note: String::new() });
        self
    }

    /// A peer's figure beside the latest.
    pub fn beside(&mut self, peer: &str, value: f64, better: Better) -> &mut Figures {
        if let Some(row) = self.rows.last_mut() {
            let times = match better {
                Better::More => row.value / value,
                Better::Less => value / row.value,
            };
            row.beside = format!("{:.2}x of {peer} ({})", times, show(value));
        }
        self
    }

    /// A remark about the latest.
    pub fn note(&mut self, note: &str) {
        if let Some(row) = self.rows.last_mut() {
            row.note = note.to_owned();
        }
    }

    /// All of it.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY);
        table.set_header(["what", "figure", "unit", "beside (more than 1x: Pando is better)", "note"]);
        for row in &self.rows {
            table.add_row([
                Cell::new(&row.what),
                Cell::new(show(row.value)).set_alignment(CellAlignment::Right),
                Cell::new(row.unit),
                Cell::new(&row.beside),
                Cell::new(&row.note),
            ]);
        }
        table.to_string()
    }
}

/// The median.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match (n, n % 2) {
        (0, _) => f64::NAN,
        (_, 1) => values[n / 2],
        _ => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// `2_345_678` as people read it.
fn show(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 1_000.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 && digit.is_ascii_digit() {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What else runs here.
pub fn load() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    Some(text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

/// The latest figures of systems that were measured on this machine by their own scripts.
pub fn shared_peers() -> Option<String> {
    let folder = PathBuf::from(std::env::var_os("PEERS")?).join("results");
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let newest = files.filter(|path| path.extension().is_some_and(|e| e == "tsv")).max()?;
    let text = std::fs::read_to_string(&newest).ok()?;
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    let stem = newest.file_stem()?.to_string_lossy().into_owned();
    table.set_header([format!("shared peers, {stem}"), "benchmark".into(), "figure".into(), "unit".into()]);
    for line in text.lines() {
        let mut fields = line.split('\t');
        if let (Some(peer), Some(what), Some(figure), Some(unit)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        {
            table.add_row([
                Cell::new(peer),
                Cell::new(what),
                Cell::new(figure).set_alignment(CellAlignment::Right),
                Cell::new(unit),
            ]);
        }
    }
    Some(table.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_easily() {
        assert_eq!(
            [show(1.234), show(12.34), show(1_234.0), show(1_234_567.0)],
            ["1.23", "12.3", "1,234", "1,234,567"]
        );
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }

    #[test]
    fn a_ratio_is_more_than_one_where_pando_is_better() {
        let mut figures = Figures::new(Vec::new());
        figures.add("calls", 200.0, "calls/s").beside("a peer", 100.0, Better::More);
        figures.add("time", 2.0, "us").beside("a peer", 1.0, Better::Less);
        assert!(figures.rows[0].beside.starts_with("2.00x") && figures.rows[1].beside.starts_with("0.50x"));
    }
}
