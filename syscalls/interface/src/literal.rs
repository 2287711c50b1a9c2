//! What people write for a value: close to JSON, with fewer quotes.
//!
//! ```text
//! 12  -3.5  true  none  0xcafe  hello  "with \"quotes\""        words and text
//! [1, 2]  (1, a)  {x: 1, "y z": 2}                               lists, tuples, maps and records
//! Circle(2.5)  Square {side: 2}  some(3)                         a name with something in it
//! ```
//!
//! Owns: the shape of a literal and where each part stands. Does not know: types; a word may become anything.

use std::ops::Range;

/// Literals inside literals inside literals.
const DEPTH_MAX: usize = 64;

/// A literal and its place in the source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal {
    pub(crate) shape: Shape,
    pub(crate) span: Range<usize>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Without quotes.
    Word(String),
    /// In quotes, taken out of them.
    Quoted(String),
    /// `[..]`
    List(Vec<Literal>),
    /// `(..)`
    Tuple(Vec<Literal>),
    /// `{..}`
    Map(Vec<(Literal, Literal)>),
    /// A name before `(..)` or `{..}`.
    Named(String, Box<Literal>),
}

/// Reads one literal that is all of `source`. The error is a reason that follows "but".
pub(crate) fn parse(source: &str) -> Result<Literal, String> {
    let mut reader = Reader { source, at: 0 };
    let literal = reader.literal(0)?;
    reader.blank();
    match reader.peek() {
        None => Ok(literal),
        Some(_) => Err(format!("{} comes after the end of the value", reader.excerpt())),
    }
}

/// A bare word's characters.
fn is_word(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, ',' | ':' | '[' | ']' | '{' | '}' | '(' | ')' | '"' | '\'')
}

/// Can `text` stand as a key without quotes?
pub(crate) fn is_plain_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| is_word(c) && !c.is_control())
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn literal(&mut self, depth: usize) -> Result<Literal, String> {
        if depth > DEPTH_MAX {
            return Err(format!("it is nested more than {DEPTH_MAX} deep"));
        }
        self.blank();
        let start = self.at;
        let shape = match self.peek() {
            None => return Err("the value ends too early".to_owned()),
            Some('[') => Shape::List(self.row(']', depth)?),
            Some('(') => Shape::Tuple(self.row(')', depth)?),
            Some('{') => Shape::Map(self.pairs(depth)?),
            Some(quote @ ('"' | '\'')) => Shape::Quoted(self.quoted(quote)?),
            Some(c) if is_word(c) => {
                let word: String = self.source[self.at..].chars().take_while(|c| is_word(*c)).collect();
                self.at += word.len();
                let before = self.at;
                self.blank();
                match self.peek() {
                    Some('(' | '{') => Shape::Named(word, Box::new(self.literal(depth + 1)?)),
                    _ => {
                        self.at = before;
                        Shape::Word(word)
                    }
                }
            }
            Some(_) => return Err(format!("no value begins with {}", self.excerpt())),
        };
        Ok(Literal { shape, span: start..self.at })
    }

    fn row(&mut self, close: char, depth: usize) -> Result<Vec<Literal>, String> {
        self.bump();
        let mut items = Vec::new();
        loop {
            self.blank();
            if self.take(close) {
                return Ok(items);
            }
            items.push(self.literal(depth + 1)?);
            self.comma_or(close)?;
        }
    }

    fn pairs(&mut self, depth: usize) -> Result<Vec<(Literal, Literal)>, String> {
        self.bump();
        let mut pairs = Vec::new();
        loop {
            self.blank();
            if self.take('}') {
                return Ok(pairs);
            }
            let key = self.literal(depth + 1)?;
            self.blank();
            if !self.take(':') {
                return Err(format!("`:` is wanted after {}", self.show(&key)));
            }
            let value = self.literal(depth + 1)?;
            pairs.push((key, value));
            self.comma_or('}')?;
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        self.bump();
        let mut out = String::new();
        loop {
            match self.bump() {
                None => return Err("a quote is never closed".to_owned()),
                Some(c) if c == quote => return Ok(out),
                Some('\\') => out.push(self.escaped()?),
                Some(c) => out.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        match self.bump() {
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some(c @ ('"' | '\'' | '\\' | '/')) => Ok(c),
            Some('u') => {
                let high = self.hex4()?;
                // A pair of surrogates, as JSON writes what is beyond 16 bits.
                if (0xd800..0xdc00).contains(&high) && self.source[self.at..].starts_with("\\u") {
                    self.at += 2;
                    let low = self.hex4()?;
                    let code = 0x1_0000 + ((high - 0xd800) << 10) + low.wrapping_sub(0xdc00) % 0x400;
                    return char::from_u32(code).ok_or_else(|| "`\\u` names no character".to_owned());
                }
                char::from_u32(high).ok_or_else(|| "`\\u` names no character".to_owned())
            }
            _ => Err("a backslash stands before what it cannot escape".to_owned()),
        }
    }

    fn hex4(&mut self) -> Result<u32, String> {
        let digits = self.source.get(self.at..self.at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok());
        self.at += if code.is_some() { 4 } else { 0 };
        code.ok_or_else(|| "`\\u` wants four hexadecimal digits".to_owned())
    }

    fn comma_or(&mut self, close: char) -> Result<(), String> {
        self.blank();
        match self.peek() {
            Some(',') => {
                self.bump();
                Ok(())
            }
            Some(c) if c == close => Ok(()),
            None => Err(format!("`{close}` is missing at the end")),
            Some(_) => Err(format!("`,` or `{close}` is wanted before {}", self.excerpt())),
        }
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.bump();
        }
    }

    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.bump();
        }
        found
    }

    fn excerpt(&self) -> String {
        excerpt(&self.source[self.at..])
    }

    fn show(&self, literal: &Literal) -> String {
        excerpt(&self.source[literal.span.clone()])
    }
}

/// The beginning of `text` in back quotes, fit for a terminal.
pub(crate) fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let short: String = text.chars().take(CHARS_MAX).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    let escaped = crate::print::escape(&short);
    format!("`{escaped}{more}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Shape {
        Shape::Word(text.into())
    }

    #[test]
    fn json_and_its_short_forms_are_one() {
        let json = parse(r#"{"a": [1, -2.5, true, null], "b": {"c": "d\n\u00e9\ud83d\ude00"}}"#).unwrap();
        let Shape::Map(pairs) = json.shape else { panic!() };
        assert_eq!(pairs[0].0.shape, Shape::Quoted("a".into()));
        let Shape::Map(inner) = &pairs[1].1.shape else { panic!() };
        assert_eq!(inner[0].1.shape, Shape::Quoted("d\né😀".into()));
        let Shape::Named(name, inside) = parse("Square {side: 2}").unwrap().shape else { panic!() };
        assert_eq!(name, "Square");
        assert!(matches!(inside.shape, Shape::Map(p) if p[0].0.shape == word("side")));
        assert!(matches!(parse("(1, a,)").unwrap().shape, Shape::Tuple(items) if items[1].shape == word("a")));
    }

    #[test]
    fn what_is_torn_is_told() {
        for (source, says) in [
            ("", "the value ends too early"),
            ("[1", "`]` is missing at the end"),
            ("[1 2]", "`,` or `]` is wanted before `2]`"),
            ("{a 1}", "`:` is wanted after `a`"),
            ("\"abc", "a quote is never closed"),
            ("1 2", "`2` comes after the end of the value"),
            ("]", "no value begins with `]`"),
            (r#""\ud8""#, "`\\u` wants four hexadecimal digits"),
        ] {
            assert_eq!(parse(source).unwrap_err(), says, "for {source:?}");
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().contains("nested"));
    }

    proptest::proptest! {
        #[test]
        fn no_literal_panics(source in "([\\[\\](){},:\"'\\\\u0-9a-f ]|\\PC){0,40}") {
            let _ = parse(&source);
        }
    }
}
