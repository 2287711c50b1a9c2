//! The shell: lines into commands, one after the other, until the person leaves.
//!
//! Owns: what a line does, when a shell ends and with which code. Does not know: how a line is edited ([`edit`]).
//!
//! 1. A line is the same on a terminal and in a pipe, and the same as on the command line.
//! 2. In a pipe the first command that fails ends the shell with its code, unless it is to keep going.

mod edit;

use std::{
    io::{BufRead, IsTerminal},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use clap::{Parser, error::ErrorKind};
use tokio::{runtime::Runtime, sync::mpsc};

use crate::{
    cli::{Common, Line, ShellVerb, Verb, is_command, refusal},
    eval::eval,
    failure::{Failure, INTERRUPTED},
    outcome::Outcome,
    printer::Printer,
    render,
    session::{Session, Sink},
    words::{self, Open},
};

/// Everything that a line needs.
pub struct Shell<'a> {
    pub runtime: &'a Runtime,
    pub session: Arc<Session>,
    pub common: Common,
    pub keep_going: bool,
}

/// How a line went.
enum Went {
    On,
    Left,
    Failed(Failure),
}

impl Shell<'_> {
    /// Runs until the person leaves or the pipe ends. The exit code.
    pub fn run(&self) -> u8 {
        if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() { edit::run(self) } else { self.piped() }
    }

    fn piped(&self) -> u8 {
        let json = self.common.json;
        let _ = self.session.notices.set(Box::new(move |ended| notice(json, ended)));
        let mut code = 0;
        let mut text = String::new();
        let mut lines = self.lines();
        loop {
            let line = self.runtime.block_on(async {
                tokio::select! {
                    line = lines.recv() => Ok(line),
                    _ = tokio::signal::ctrl_c() => Err(INTERRUPTED),
                }
            });
            match line {
                Ok(Some(Ok(line))) => text.push_str(&line),
                Ok(Some(Err(e))) => {
                    Printer::new(json).fail(&Failure::new(format!("cannot read commands: {e}"), "give them as UTF-8"));
                    return 1;
                }
                Ok(None) => break,
                Err(interrupted) => return interrupted,
            }
            // A bracket or quote that is open goes on in the next line.
            if matches!(words::split(&text).open, Some(Open::Bracket(_) | Open::Quote(_))) && text.len() < LINE_MAX {
                text.push('\n');
                continue;
            }
            match self.line(&std::mem::take(&mut text)) {
                Went::On => {}
                Went::Left => return code,
                Went::Failed(failure) => {
                    code = failure.code;
                    if !self.keep_going || failure.code == INTERRUPTED {
                        return code;
                    }
                }
            }
        }
        if !text.is_empty()
            && let Went::Failed(failure) = self.line(&text)
        {
            code = failure.code;
        }
        self.last_words();
        code
    }

    /// Reads on a thread of its own, so that Ctrl-C is heard while nothing comes.
    fn lines(&self) -> mpsc::Receiver<std::io::Result<String>> {
        let (give, take) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                if give.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        take
    }

    fn last_words(&self) {
        let until = Instant::now() + LAST_WORDS;
        while self.session.watching.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Carries out one line; what fails is told here.
    fn line(&self, text: &str) -> Went {
        let split = words::split(text);
        if let Some(open) = split.open {
            let failure = match open {
                Open::Quote(quote) => {
                    Failure::usage(format!("a quote {quote} is never closed"), "close it, or write \\ before it")
                }
                Open::Bracket(bracket) => Failure::usage(
                    format!("a bracket {bracket} is never closed"),
                    "close it, or put the word in quotes",
                ),
                Open::Escape => Failure::usage("a \\ stands at the end with nothing after it", "write \\\\ for one"),
            };
            Printer::new(self.common.json).fail(&failure);
            return Went::Failed(failure);
        }
        for command in split.commands {
            match self.command(command.into_iter().map(|w| w.text)) {
                Went::On => {}
                other => return other,
            }
        }
        Went::On
    }

    fn command(&self, words: impl Iterator<Item = String>) -> Went {
        let mut words: Vec<String> = words.collect();
        // Lines are copied here from scripts and from what another terminal was told to do.
        if words.len() > 1 && words[0] == "pando" {
            words.remove(0);
        }
        let mut printer = Printer::new(self.common.json || words.iter().any(|w| w == "--json"));
        let line = match Line::try_parse_from(&words) {
            Ok(line) => line,
            Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                let text = if printer.style.colour { e.render().ansi().to_string() } else { e.render().to_string() };
                crate::printer::line(text.trim_end());
                return Went::On;
            }
            Err(e) => {
                let begun = words.first().filter(|word| is_command(word));
                let failure = refusal(&e, begun.map(String::as_str), true);
                printer.fail(&failure);
                return Went::Failed(failure);
            }
        };
        let common = Common {
            node: line.common.node.or(self.common.node),
            json: printer.json,
            deadline: line.common.deadline.or(self.common.deadline),
        };
        let verb = match line.verb {
            ShellVerb::Exit => return Went::Left,
            ShellVerb::Clear => {
                edit::clear();
                return Went::On;
            }
            ShellVerb::Verb(verb) => verb,
        };
        match self.runtime.block_on(interruptible(&self.session, &common, &verb, &mut printer)) {
            Ok(()) => Went::On,
            Err(failure) => {
                printer.fail(&failure);
                Went::Failed(failure)
            }
        }
    }
}

/// Bytes of one line of a pipe, however many it is written on.
const LINE_MAX: usize = 1 << 20;
/// What was watched and has just ended is told before a piped shell ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Carries out `verb` until it is done or the person presses Ctrl-C, which is how some commands end.
pub async fn interruptible(
    session: &Arc<Session>,
    common: &Common,
    verb: &Verb,
    sink: &mut dyn Sink,
) -> Result<(), Failure> {
    let endless = match verb {
        Verb::Log(log) => log.follow,
        Verb::Top(top) => top.watch,
        Verb::Monitor(_) => true,
        _ => false,
    };
    tokio::select! {
        result = eval(session, common, verb, sink) => result,
        _ = tokio::signal::ctrl_c() => match endless {
            true => Ok(()),
            false => {
                let failure = Failure::new("interrupted; what was asked may still happen", "");
                Err(Failure { code: INTERRUPTED, ..failure })
            }
        }
    }
}

/// Something that was watched has ended.
fn notice(json: bool, ended: Result<crate::outcome::Ended, Failure>) {
    match (json, ended) {
        (true, Ok(ended)) => crate::printer::line(&render::json(&Outcome::Ended(ended)).to_string()),
        (false, Ok(ended)) => crate::printer::line(&render::ended(&ended)),
        (json, Err(failure)) => Printer::new(json).fail(&failure),
    }
}
