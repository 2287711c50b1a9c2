//! Figures: the table that people read, and the same as data.
//!
//! Owns: rows, ratios, targets. Does not know how anything is measured.
//!
//! 1. A ratio is more than one where Pando is better, whatever the unit.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use crate::duel::Duel;

/// What was measured, in order.
pub struct Figures {
    wanted: Vec<String>,
    rows: Vec<Row>,
}

/// One line.
pub struct Row {
    word: &'static str,
    what: String,
    unit: &'static str,
    better: Better,
    ours: Vec<f64>,
    peer: String,
    theirs: Result<Vec<f64>, String>,
    target: Target,
    notes: Vec<String>,
}

/// What is a better figure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Better {
    More,
    Less,
}

/// What a figure must be.
#[derive(Clone, Copy, PartialEq)]
pub enum Target {
    /// So many times better than the peer's.
    Times(f64),
    /// The figure itself, or better.
    Figure(f64),
    /// Nothing: it is shown.
    None,
}

/// The peer of a row that has none.
pub const NOBODY: &str = "";

impl Figures {
    pub fn new(wanted: Vec<String>) -> Figures {
        Figures { wanted, rows: Vec::new() }
    }

    /// Is one of these asked for?
    pub fn wants(&self, words: &[&str]) -> bool {
        self.wanted.is_empty() || words.iter().any(|word| self.wanted.iter().any(|w| w == word))
    }

    /// A row with a peer.
    pub fn versus(
        &mut self,
        word: &'static str,
        what: &str,
        (unit, better): (&'static str, Better),
        (peer, target): (&str, Target),
        duel: Duel,
    ) -> &mut Row {
        let Duel { ours, theirs } = duel;
        let (peer, notes) = (peer.to_owned(), Vec::new());
        self.push(Row { word, what: what.to_owned(), unit, better, ours, peer, theirs, target, notes })
    }

    /// A row of ours alone.
    pub fn alone(
        &mut self,
        word: &'static str,
        what: &str,
        (unit, better): (&'static str, Better),
        target: Target,
        ours: Vec<f64>,
    ) -> &mut Row {
        let duel = Duel { ours, theirs: Ok(Vec::new()) };
        self.versus(word, what, (unit, better), (NOBODY, target), duel)
    }

    fn push(&mut self, row: Row) -> &mut Row {
        let theirs = match row.theirs() {
            Some(theirs) => format!(", {} {}", row.peer, show(theirs)),
            None => String::new(),
        };
        eprintln!("{}: {} {}{theirs}", row.what, show(row.ours()), row.unit);
        if let Err(why) = &row.theirs {
            eprintln!("    {}: {why}", row.peer);
        }
        self.rows.push(row);
        self.rows.last_mut().expect("it was just pushed")
    }

    /// All of it, for people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Disabled);
        let header = ["what", "Pando", "min .. max", "unit", "peer", "figure", "min .. max", "ratio", "target", ""];
        table.set_header(header);
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        for row in &self.rows {
            let (theirs, range) = match &row.theirs {
                Ok(list) if list.is_empty() => (String::new(), String::new()),
                Ok(list) => (show(median(list)), range(list)),
                Err(_) => ("none".to_owned(), String::new()),
            };
            table.add_row([
                Cell::new(&row.what),
                right(show(row.ours())),
                right(self::range(&row.ours)),
                Cell::new(row.unit),
                Cell::new(&row.peer),
                right(theirs),
                right(range),
                right(row.ratio().map_or(String::new(), |r| format!("{r:.2}x"))),
                right(row.target_text()),
                Cell::new(row.verdict().map_or("", |yes| if yes { "reached" } else { "short" })),
            ]);
        }
        let mut text = table.to_string();
        for (what, note) in self.notes() {
            text.push_str(&format!("\n{what}: {note}"));
        }
        text
    }

    /// All of it, for programs.
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "row": row.word,
                "what": row.what,
                "unit": row.unit,
                "better": if row.better == Better::More { "more" } else { "less" },
                "pando": finite(row.ours()),
                "pando_runs": row.ours,
                "peer": row.peer,
                "peer_figure": row.theirs().map(finite),
                "peer_runs": row.theirs.as_ref().ok(),
                "peer_failed": row.theirs.as_ref().err(),
                "ratio": row.ratio().map(finite),
                "target": row.target_text(),
                "reached": row.verdict(),
                "note": row.note_text(),
            })
        };
        Value::Array(self.rows.iter().map(row).collect())
    }

    /// Every row, in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What is remarked about rows that have remarks.
    pub fn notes(&self) -> Vec<(&str, String)> {
        let noted = self.rows.iter().map(|row| (row.what.as_str(), row.note_text()));
        noted.filter(|(_, note)| !note.is_empty()).collect()
    }

    /// The rows that fall short, with how far they are from their targets.
    pub fn short(&self) -> Vec<String> {
        let short = self.rows.iter().filter(|row| row.verdict() == Some(false));
        short.map(|row| format!("{}: {}", row.what, row.distance())).collect()
    }
}

impl Row {
    fn ours(&self) -> f64 {
        median(&self.ours)
    }

    fn theirs(&self) -> Option<f64> {
        self.theirs.as_ref().ok().filter(|list| !list.is_empty()).map(|list| median(list))
    }

    fn ratio(&self) -> Option<f64> {
        let theirs = self.theirs()?;
        Some(match self.better {
            Better::More => self.ours() / theirs,
            Better::Less => theirs / self.ours(),
        })
    }

    /// Is the target reached? `None`: there is none, or no peer to hold it against.
    fn verdict(&self) -> Option<bool> {
        match self.target {
            Target::None => None,
            Target::Times(times) => self.ratio().map(|ratio| ratio >= times),
            Target::Figure(figure) => Some(match self.better {
                Better::More => self.ours() >= figure,
                Better::Less => self.ours() <= figure,
            }),
        }
    }

    fn target_text(&self) -> String {
        match (self.target, self.better) {
            (Target::None, _) => String::new(),
            (Target::Times(times), _) => format!("{times:.2}x"),
            (Target::Figure(figure), Better::More) => format!("over {}", show(figure)),
            (Target::Figure(figure), Better::Less) => format!("under {}", show(figure)),
        }
    }

    fn distance(&self) -> String {
        match (self.target, self.ratio()) {
            (Target::Times(times), Some(ratio)) => {
                format!("{ratio:.2}x of {}, wanted {times:.2}x", self.peer)
            }
            _ => format!("{} {}, wanted {}", show(self.ours()), self.unit, self.target_text()),
        }
    }

    fn note_text(&self) -> String {
        let failed = self.theirs.as_ref().err().map(|why| format!("{}: {why}", self.peer));
        self.notes.iter().cloned().chain(failed).collect::<Vec<_>>().join("; ")
    }

    /// The row in a page's table: work, ours, the peer's, ratio, target, whether it is reached.
    pub fn cells(&self) -> [String; 6] {
        let with = |list: &[f64]| match range(list) {
            range if range.is_empty() => show(median(list)),
            range => format!("{} ({range})", show(median(list))),
        };
        let theirs = match &self.theirs {
            Ok(list) if list.is_empty() => String::new(),
            Ok(list) => format!("{} {}", self.peer, with(list)),
            Err(_) => format!("{}: none", self.peer),
        };
        [
            self.what.clone(),
            format!("{} {}", with(&self.ours), self.unit),
            theirs,
            self.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}x")),
            self.target_text(),
            self.verdict().map_or("", |yes| if yes { "reached" } else { "short" }).to_owned(),
        ]
    }

    /// A remark.
    pub fn note(&mut self, note: impl Into<String>) -> &mut Row {
        self.notes.push(note.into());
        self
    }

    /// Another peer's figure, or why it has none.
    pub fn also(&mut self, peer: &str, figures: &Result<Vec<f64>, String>) -> &mut Row {
        match figures {
            Ok(list) if list.is_empty() => {}
            Ok(list) => self.notes.push(format!("{peer} {}", show(median(list)))),
            Err(why) => self.notes.push(format!("{peer} {why}")),
        }
        self
    }
}

fn finite(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// The median.
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match (n, n % 2) {
        (0, _) => f64::NAN,
        (_, 1) => values[n / 2],
        _ => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

fn range(values: &[f64]) -> String {
    if values.len() < 2 {
        return String::new();
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{} .. {}", show(least), show(most))
}

/// So many things, as people read it.
pub fn count(n: u64) -> String {
    if n < 1_000 { n.to_string() } else { show(n as f64) }
}

/// `2_345_678` as people read it.
pub fn show(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 1_000.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digit.is_ascii_digit() {
            out.push(',');
        }
        out.push(digit);
    }
    out
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
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
    }

    #[test]
    fn a_ratio_is_more_than_one_where_pando_is_better_and_is_held_against_the_target() {
        let mut figures = Figures::new(Vec::new());
        let duel = |ours, theirs| Duel { ours: vec![ours], theirs: Ok(vec![theirs]) };
        let (more, less) = (("calls/s", Better::More), ("us", Better::Less));
        figures.versus("a", "calls", more, ("a peer", Target::Times(1.5)), duel(200.0, 100.0));
        figures.versus("a", "time", less, ("a peer", Target::Times(1.0)), duel(2.0, 1.0));
        figures.alone("a", "p99", less, Target::Figure(50.0), vec![49.0]);
        let verdicts: Vec<_> = figures.rows.iter().map(Row::verdict).collect();
        assert_eq!(verdicts, [Some(true), Some(false), Some(true)]);
        assert_eq!(figures.short(), ["time: 0.50x of a peer, wanted 1.00x"]);
    }

    #[test]
    fn a_peer_that_failed_is_a_note() {
        let mut figures = Figures::new(Vec::new());
        let duel = Duel { ours: vec![1.0], theirs: Err("is not installed".into()) };
        figures.versus("a", "calls", ("calls/s", Better::More), ("a peer", Target::Times(2.0)), duel);
        assert_eq!(figures.rows[0].verdict(), None);
        assert!(figures.table().contains("a peer: is not installed"));
    }
}
