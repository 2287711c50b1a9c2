//! A line of the shell into commands, and commands into words.
//!
//! ```text
//! call chat say "hello there"; call board place {x: 1, y: 2}     # comment
//! |--| |--| |-| |-----------|  |--| |---| |---| |----------|
//! ```
//!
//! Owns: quotes, escapes, brackets, `;`, comments. Does not know: commands.
//!
//! 1. A bracket that opens a word (or follows a name, as in `Circle(2)`) keeps everything up to its closing one in the
//!    word, quotes too: a literal needs no quoting.
//! 2. Spans are bytes of the line, so that completion can replace a word where it stands.

use std::ops::Range;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Without quotes and escapes.
    pub text: String,
    /// Where it stands, with its quotes.
    pub span: Range<usize>,
}

/// What is open at the end of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    Quote(char),
    Bracket(char),
    Escape,
}

/// A line in parts.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Split {
    /// Never an empty one, except the last while somebody types it.
    pub commands: Vec<Vec<Word>>,
    pub open: Option<Open>,
}

/// Cuts a line into commands and words.
pub fn split(line: &str) -> Split {
    let mut reader = Reader { chars: line.char_indices().collect(), at: 0, len: line.len() };
    let mut out = Split::default();
    let mut command = Vec::new();
    while let Some((start, c)) = reader.peek() {
        match c {
            ';' | '\n' => {
                reader.at += 1;
                if !command.is_empty() {
                    out.commands.push(std::mem::take(&mut command));
                }
            }
            '#' => {
                while reader.peek().is_some_and(|(_, c)| c != '\n') {
                    reader.at += 1;
                }
            }
            c if c.is_whitespace() => reader.at += 1,
            _ => {
                let (text, open) = reader.word();
                command.push(Word { text, span: start..reader.offset() });
                out.open = open;
            }
        }
    }
    if !command.is_empty() {
        out.commands.push(command);
    }
    out
}

struct Reader {
    chars: Vec<(usize, char)>,
    at: usize,
    len: usize,
}

impl Reader {
    fn word(&mut self) -> (String, Option<Open>) {
        let mut text = String::new();
        // Nothing but a bare name so far: a bracket may open a literal.
        let mut name = true;
        while let Some((_, c)) = self.peek() {
            match c {
                c if c.is_whitespace() || c == ';' => break,
                '\'' | '"' => {
                    self.at += 1;
                    name = false;
                    if !self.quoted(c, &mut text) {
                        return (text, Some(Open::Quote(c)));
                    }
                }
                '\\' => {
                    self.at += 1;
                    name = false;
                    match self.bump() {
                        Some(c) => text.push(c),
                        None => return (text, Some(Open::Escape)),
                    }
                }
                '[' | '{' | '(' if name => {
                    if !self.bracket(&mut text) {
                        return (text, Some(Open::Bracket(c)));
                    }
                    name = false;
                }
                c => {
                    name &= c.is_alphanumeric() || c == '_';
                    text.push(c);
                    self.at += 1;
                }
            }
        }
        (text, None)
    }

    /// After the opening quote; false if it is never closed.
    fn quoted(&mut self, quote: char, text: &mut String) -> bool {
        while let Some(c) = self.bump() {
            match c {
                c if c == quote => return true,
                '\\' if quote == '"' => match self.peek() {
                    Some((_, c @ ('"' | '\\'))) => {
                        text.push(c);
                        self.at += 1;
                    }
                    _ => text.push('\\'),
                },
                c => text.push(c),
            }
        }
        false
    }

    /// From the opening bracket; everything is kept. False if it is never closed.
    fn bracket(&mut self, text: &mut String) -> bool {
        let mut depth = 0usize;
        while let Some(c) = self.bump() {
            text.push(c);
            match c {
                '[' | '{' | '(' => depth += 1,
                ']' | '}' | ')' => {
                    depth -= 1;
                    if depth == 0 {
                        return true;
                    }
                }
                quote @ ('"' | '\'') => loop {
                    match self.bump() {
                        None => return false,
                        Some('\\') => {
                            text.push('\\');
                            text.extend(self.bump());
                        }
                        Some(c) => {
                            text.push(c);
                            if c == quote {
                                break;
                            }
                        }
                    }
                },
                _ => {}
            }
        }
        false
    }

    fn peek(&self) -> Option<(usize, char)> {
        self.chars.get(self.at).copied()
    }

    fn bump(&mut self) -> Option<char> {
        let (_, c) = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn offset(&self) -> usize {
        self.peek().map_or(self.len, |(at, _)| at)
    }
}

/// `text` so that the shell reads it as one word again.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | ',' | '+' | '=' | '@' | '%');
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if text.contains('\'') {
        return format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    }
    format!("'{text}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, commands: &[&[&str]]) {
        let split = split(line);
        let found: Vec<Vec<&str>> =
            split.commands.iter().map(|c| c.iter().map(|w| w.text.as_str()).collect()).collect();
        assert_eq!((found, split.open), (commands.iter().map(|c| c.to_vec()).collect(), None), "for {line:?}");
    }

    #[test]
    fn a_line_becomes_commands_and_words() {
        check("call hits add 5", &[&["call", "hits", "add", "5"]]);
        check("spawn ping --node n1 ; ps;; names # all", &[&["spawn", "ping", "--node", "n1"], &["ps"], &["names"]]);
        check(r#"say "a \"b\" \n" 'c "d"' e\ f """#, &[&["say", "a \"b\" \\n", "c \"d\"", "e f", ""]]);
        check("ps\nnames\n", &[&["ps"], &["names"]]);
        check("", &[]);
        check("  # nothing", &[]);
    }

    #[test]
    fn a_literal_in_brackets_is_one_word() {
        check(r#"f [1, 2; 3] {a: "x ] y"}; g"#, &[&["f", "[1, 2; 3]", r#"{a: "x ] y"}"#], &["g"]]);
        check("draw Circle(2, 3) Square{side: 1} n1/7f(", &[&["draw", "Circle(2, 3)", "Square{side: 1}", "n1/7f("]]);
        check("say '[not' :(", &[&["say", "[not", ":("]]);
    }

    #[test]
    fn what_is_open_is_told() {
        assert_eq!(split("say \"a b").open, Some(Open::Quote('"')));
        assert_eq!(split("say [1, \"]\"").open, Some(Open::Bracket('[')));
        assert_eq!(split("say \\").open, Some(Open::Escape));
    }

    #[test]
    fn a_quoted_word_is_read_as_it_was() {
        for text in ["plain", "", "a b", "it's", "a \"b\" 'c' \\", "{x}", "#1", "é;"] {
            check(&quote(text), &[&[text]]);
        }
    }

    #[test]
    fn spans_are_bytes_of_the_line() {
        let split = split("é 'a b' c");
        let spans: Vec<_> = split.commands[0].iter().map(|w| w.span.clone()).collect();
        assert_eq!(spans, [0..2, 3..8, 9..10]);
    }
}
