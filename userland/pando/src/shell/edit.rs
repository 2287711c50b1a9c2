//! The shell on a terminal: history, completion, hints, colours.
//!
//! Owns: everything of reedline. Does not know: what lines do.
//!
//! 1. Ctrl-C empties the line; Ctrl-D on an empty line leaves.
//! 2. What happens while a line is edited is printed above it.

use std::{borrow::Cow, path::PathBuf, sync::Arc};

use nu_ansi_term::{Color, Style};
use reedline::{
    ColumnarMenu, Completer, DefaultHinter, Emacs, ExternalPrinter, FileBackedHistory, Highlighter, Hinter, History,
    KeyCode, KeyModifiers, MenuBuilder, Prompt, PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus,
    Reedline, ReedlineEvent, ReedlineMenu, Signal, Span, StyledText, Suggestion, ValidationResult, Validator,
    default_emacs_keybindings,
};

use super::{Shell, Went};
use crate::{
    complete::{Facts, Live, complete, hint},
    failure::Failure,
    printer::{self, Printer},
    render, words,
};

const MENU: &str = "completion";
const HISTORY_MAX: usize = 5_000;
/// Notices that wait until they can be printed; a shell that is busy prints them when it is not.
const NOTICES_MAX: usize = 1_024;

/// Reads lines from the terminal until the person leaves. The exit code.
pub fn run(shell: &Shell<'_>) -> u8 {
    let style = printer::style();
    let facts: Arc<dyn Facts + Send + Sync> =
        Arc::new(Live::new(shell.session.clone(), shell.runtime.handle().clone()));
    let above = ExternalPrinter::new(NOTICES_MAX);
    let sender = above.sender();
    let _ = shell.session.notices.set(Box::new(move |ended| {
        // Full: nobody has looked for a thousand notices; the newest are left out.
        let _ = sender.try_send(match ended {
            Ok(ended) => render::ended(&ended),
            Err(failure) => render::failure(&failure, style),
        });
    }));
    let mut keys = default_emacs_keybindings();
    keys.add_binding(
        KeyModifiers::NONE,
        KeyCode::Tab,
        ReedlineEvent::UntilFound(vec![ReedlineEvent::Menu(MENU.to_owned()), ReedlineEvent::MenuNext]),
    );
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
    let menu = ColumnarMenu::default().with_name(MENU).with_columns(4);
    let mut editor = Reedline::create()
        .with_history(history())
        .with_completer(Box::new(Complete(facts.clone())))
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .with_hinter(Box::new(Hint::new(facts, style.colour)))
        .with_highlighter(Box::new(Paint(style.colour)))
        .with_validator(Box::new(Whole))
        .with_external_printer(above)
        .with_ansi_colors(style.colour);
    loop {
        match editor.read_line(&Ask) {
            Ok(Signal::Success(line)) => {
                // At once: a shell that is killed must not take along what was typed in it.
                let _ = editor.sync_history();
                if let Went::Left = shell.line(&line) {
                    return 0;
                }
            }
            Ok(Signal::CtrlC) => {}
            Ok(Signal::CtrlD) => return 0,
            Err(e) => {
                let failure = Failure::new(format!("cannot read from the terminal: {e}"), "give commands by a pipe");
                Printer::new(shell.common.json).fail(&failure);
                return 1;
            }
        }
    }
}

/// Empties the screen.
pub fn clear() {
    use crossterm::{
        cursor::MoveTo,
        execute,
        terminal::{Clear, ClearType},
    };
    let _ = execute!(std::io::stdout(), Clear(ClearType::All), MoveTo(0, 0));
}

fn history() -> Box<dyn History> {
    let kept = history_path().and_then(|path| FileBackedHistory::with_file(HISTORY_MAX, path).ok());
    // Without a place to keep it, it is kept in memory.
    Box::new(kept.unwrap_or_default())
}

fn history_path() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "pando").map(|dirs| dirs.data_dir().join("history"))
}

struct Ask;

impl Prompt for Ask {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        "pando".into()
    }
    fn render_prompt_right(&self) -> Cow<'_, str> {
        "".into()
    }
    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        "> ".into()
    }
    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        "    … ".into()
    }
    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "nothing ",
        };
        format!(" ({failing}found: {}) ", search.term).into()
    }
}

struct Complete(Arc<dyn Facts + Send + Sync>);

impl Completer for Complete {
    fn complete(&mut self, line: &str, pos: usize) -> Vec<Suggestion> {
        let Some(line) = line.get(..pos) else { return Vec::new() };
        let suggestion = |p: crate::complete::Proposal| Suggestion {
            value: p.value,
            description: (!p.about.is_empty()).then_some(p.about),
            span: Span::new(p.span.start, p.span.end),
            append_whitespace: p.space,
            ..Suggestion::default()
        };
        complete(line, &*self.0).into_iter().map(suggestion).collect()
    }
}

/// What a method still wants; else the latest line that began like this one.
struct Hint {
    facts: Arc<dyn Facts + Send + Sync>,
    history: DefaultHinter,
    signature: bool,
}

impl Hint {
    fn new(facts: Arc<dyn Facts + Send + Sync>, colour: bool) -> Hint {
        let style = if colour { Style::new().dimmed() } else { Style::new() };
        Hint { facts, history: DefaultHinter::default().with_style(style), signature: false }
    }
}

impl Hinter for Hint {
    fn handle(&mut self, line: &str, pos: usize, history: &dyn History, colour: bool, cwd: &str) -> String {
        let wanted = (pos == line.len()).then(|| hint(line, &*self.facts)).flatten();
        self.signature = wanted.is_some();
        match wanted {
            Some(text) if colour => Style::new().dimmed().italic().paint(text).to_string(),
            Some(text) => text,
            None => self.history.handle(line, pos, history, colour, cwd),
        }
    }

    // A signature is to be read, not to be taken.
    fn complete_hint(&self) -> String {
        if self.signature { String::new() } else { self.history.complete_hint() }
    }

    fn next_hint_token(&self) -> String {
        if self.signature { String::new() } else { self.history.next_hint_token() }
    }
}

/// Colours a line while it is written: commands that exist, flags.
struct Paint(bool);

impl Highlighter for Paint {
    fn highlight(&self, line: &str, _: usize) -> StyledText {
        let mut out = StyledText::new();
        let mut done = 0;
        if self.0 {
            for command in words::split(line).commands {
                for (i, word) in command.iter().enumerate() {
                    let style = match (i, word.text.as_str()) {
                        (0, name) if crate::cli::is_command(name) => Color::Green.bold(),
                        (0, _) => Color::Red.normal(),
                        (_, text) if text.starts_with("--") => Color::Cyan.normal(),
                        _ => continue,
                    };
                    out.push((Style::new(), line[done..word.span.start].to_owned()));
                    out.push((style, line[word.span.clone()].to_owned()));
                    done = word.span.end;
                }
            }
        }
        out.push((Style::new(), line[done..].to_owned()));
        out
    }
}

/// Enter on a line with an open quote or bracket goes on in the next.
struct Whole;

impl Validator for Whole {
    fn validate(&self, line: &str) -> ValidationResult {
        match words::split(line).open {
            Some(_) => ValidationResult::Incomplete,
            None => ValidationResult::Complete,
        }
    }
}
