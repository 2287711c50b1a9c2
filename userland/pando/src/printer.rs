//! Where outcomes and failures go: this process's standard output and error.
//!
//! 1. A reader that has gone (`pando ps | head -1`) is no failure.
//! 2. Progress is shown on standard error, and only on a terminal.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use crossterm::{
    cursor::MoveTo,
    queue,
    terminal::{Clear, ClearType},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    failure::Failure,
    outcome::Outcome,
    render::{self, Style},
    session::Sink,
};

/// Prints to this process's standard output and error.
pub struct Printer {
    pub json: bool,
    pub style: Style,
    bar: Option<ProgressBar>,
}

impl Printer {
    pub fn new(json: bool) -> Printer {
        Printer { json, style: style(), bar: None }
    }

    /// One failure, in the person's or the script's form.
    pub fn fail(&mut self, failure: &Failure) {
        self.progress(None);
        if self.json {
            line(&failure.json().to_string());
        } else {
            let style = Style { colour: colour(&std::io::stderr()), ..self.style };
            // In one piece: a notice may come at the same time.
            let text = format!("{}\n", render::failure(failure, style));
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        }
    }
}

impl Sink for Printer {
    fn emit(&mut self, outcome: Outcome) {
        self.progress(None);
        if self.json {
            line(&render::json(&outcome).to_string());
            return;
        }
        if let Outcome::Top { refresh: true, .. } = outcome
            && self.style.width.is_some()
        {
            let _ = queue!(std::io::stdout(), MoveTo(0, 0), Clear(ClearType::All));
        }
        let text = render::human(&outcome, self.style);
        if !text.is_empty() {
            line(&text);
        }
    }

    fn progress(&mut self, text: Option<&str>) {
        let Some(text) = text else {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
            return;
        };
        if self.json || !std::io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner();
            let look =
                if colour(&std::io::stderr()) { "{spinner:.green} {msg} {elapsed:.dim}" } else { "{spinner} {msg}" };
            bar.set_style(ProgressStyle::with_template(look).unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        // The compiler's lines may be long and have colours of their own.
        let text: String = text.trim().chars().filter(|c| !c.is_control()).take(100).collect();
        bar.set_message(text);
    }
}

/// A line on standard output.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// How standard output looks.
pub fn style() -> Style {
    let terminal = std::io::stdout().is_terminal();
    let width = terminal.then(|| crossterm::terminal::size().ok()).flatten().map(|(columns, _)| columns);
    Style { colour: colour(&std::io::stdout()), width: width.filter(|w| *w > 0) }
}

/// Colours: only on a terminal that knows them, and not where the person wants none.
fn colour(to: &impl IsTerminal) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    to.is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}
