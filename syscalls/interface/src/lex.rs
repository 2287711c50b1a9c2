//! Tokens of an interface text, with their places.
//!
//! Owns: where a token ends, lines and columns, doc comments. Does not know: the grammar.

use crate::parse::ParseError;

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword: names may be keywords too.
    Word(String),
    /// One of `( ) { } < > : , ;`
    Mark(char),
    /// `->`
    Arrow,
    /// The text after `///`.
    Doc(String),
    /// After the last.
    End,
}

/// A token and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Cuts `text` into tokens; the last is [`Kind::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut out = Vec::new();
    let mut end = (1, 1);
    for (number, line) in text.lines().enumerate() {
        line_tokens(line, number + 1, &mut out)?;
        end = (number + 1, line.chars().count() + 1);
    }
    out.push(Token { kind: Kind::End, line: end.0, column: end.1 });
    Ok(out)
}

fn line_tokens(line: &str, number: usize, out: &mut Vec<Token>) -> Result<(), ParseError> {
    let mut chars = line.chars().enumerate().peekable();
    while let Some((at, c)) = chars.next() {
        let column = at + 1;
        let kind = match c {
            c if c.is_whitespace() => continue,
            '/' if chars.peek().is_some_and(|(_, c)| *c == '/') => {
                let rest: String = chars.by_ref().map(|(_, c)| c).skip(1).collect();
                match rest.strip_prefix('/') {
                    Some(doc) => Kind::Doc(doc.trim().to_owned()),
                    None => return Ok(()),
                }
            }
            '(' | ')' | '{' | '}' | '<' | '>' | ':' | ',' | ';' => Kind::Mark(c),
            '-' if chars.peek().is_some_and(|(_, c)| *c == '>') => {
                chars.next();
                Kind::Arrow
            }
            c if c.is_alphabetic() || c == '_' => {
                let mut word = String::from(c);
                while let Some((_, c)) = chars.next_if(|(_, c)| c.is_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                Kind::Word(word)
            }
            c => {
                return Err(ParseError {
                    line: number,
                    column,
                    message: format!("`{}` cannot stand here", c.escape_debug()),
                });
            }
        };
        out.push(Token { kind, line: number, column });
    }
    Ok(())
}
