//! One sentence for a command line that clap does not take.
//!
//! Owns: the wording. Does not know: which commands there are; that is read from clap's own context.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::Failure;

/// What the person is told. `begun` is the command that stood on the line, if any: clap does not tell with every error.
pub fn refusal(error: &clap::Error, begun: Option<&str>, shell: bool) -> Failure {
    let text = |kind| error.get(kind).map(words).unwrap_or_default();
    let help = if shell { "help" } else { "pando help" };
    let usage = usage_of(error);
    let command = match command_of(&usage, shell) {
        command if command.is_empty() => begun.unwrap_or_default().to_owned(),
        command => command,
    };
    let see = match (usage.is_empty(), command.is_empty()) {
        (false, _) => format!("usage: {usage}"),
        (true, false) => format!("`{help} {command}` has examples"),
        (true, true) => format!("`{help}` lists the commands"),
    };
    let of = if command.is_empty() { "pando".to_owned() } else { command.clone() };
    let sentence = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let said = text(ContextKind::InvalidSubcommand);
            let meant = text(ContextKind::SuggestedSubcommand);
            let meant = meant.split(", ").next().unwrap_or_default();
            let meant = if meant.is_empty() { String::new() } else { format!("; did you mean `{meant}`?") };
            return Failure::usage(
                format!("there is no command `{said}`{meant}"),
                format!("`{help}` lists the commands"),
            );
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = text(ContextKind::InvalidArg);
            format!("{of} wants {}", missing.replace(['<', '>'], "").replace("...", "").replace(", ", " and "))
        }
        ErrorKind::UnknownArgument => {
            let said = text(ContextKind::InvalidArg);
            let meant = text(ContextKind::SuggestedArg);
            if said.starts_with('-') {
                let meant = if meant.is_empty() { String::new() } else { format!("; did you mean `{meant}`?") };
                format!("{of} has no flag `{said}`{meant}")
            } else {
                format!("{of} has no place for `{said}`")
            }
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let flag = text(ContextKind::InvalidArg);
            let flag = flag.split(' ').next().unwrap_or_default().replace(['<', '>', '[', ']'], "").replace("...", "");
            let said = text(ContextKind::InvalidValue);
            let valid = text(ContextKind::ValidValue);
            let why = match std::error::Error::source(error) {
                Some(source) => range(&source.to_string()),
                None if !valid.is_empty() => format!("it is one of {valid}"),
                None => String::new(),
            };
            match (said.is_empty(), why.is_empty()) {
                (true, _) => format!("{flag} wants a value"),
                (false, true) => format!("{flag} cannot be `{said}`"),
                (false, false) => format!("{flag} cannot be `{said}`: {why}"),
            }
        }
        ErrorKind::ArgumentConflict => {
            format!("{} cannot stand beside {}", text(ContextKind::InvalidArg), text(ContextKind::PriorArg))
        }
        ErrorKind::TooManyValues | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues | ErrorKind::NoEquals => {
            format!("{} has not as many values as it wants", text(ContextKind::InvalidArg))
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            format!("{of} wants a command")
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    };
    Failure::usage(sentence, see)
}

/// `0 is not in 1..=7`, clap's words, as people say it.
fn range(why: &str) -> String {
    match why.split_once(" is not in ").and_then(|(_, range)| range.split_once("..=")) {
        Some((least, most)) => format!("it goes from {least} to {most}"),
        None => why.to_owned(),
    }
}

fn words(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join(", "),
        ContextValue::StyledStr(text) => text.to_string(),
        other => other.to_string(),
    }
}

/// The usage without its title, in one line; empty if clap has none.
fn usage_of(error: &clap::Error) -> String {
    let text = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        _ => return String::new(),
    };
    let text = text.trim().trim_start_matches("Usage:").trim();
    // What the environment gave is not what the person forgot.
    text.lines().next().unwrap_or_default().replace("--data <DIR>", "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `call` out of `pando call [OPTIONS] <TARGET>`.
fn command_of(usage: &str, shell: bool) -> String {
    let words = usage.split(' ').skip(usize::from(!shell)).take_while(|w| !w.starts_with(['[', '<', '-']));
    words.collect::<Vec<_>>().join(" ")
}
