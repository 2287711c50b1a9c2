//! From the interface text to its tree.
//!
//! ```text
//! interface = word name { item }                     // the first line: `actor Counter`
//! item      = ("fn" | "query") name "(" fields ")" [ "->" type ]
//!           | "record" name "{" fields "}"
//!           | "enum" name "{" variant { "," variant } [","] "}"
//! variant   = name [ "(" types ")" | "{" fields "}" ]
//! type      = "bool" | "i8".."i64" | "u8".."u64" | "f32" | "f64" | "text" | "bytes" | "unit" | "actor" | "any"
//!           | "list" "<" type ">" | "map" "<" type "," type ">" | "option" "<" type ">" | "result" "<" type ">"
//!           | "(" types ")" | name
//! ```
//!
//! Layout does not matter; `//` starts a comment, `///` documents the item after it; a `;` after an item is let pass.
//!
//! 1. An error tells the line and column of the token that cannot stand, and what could stand there.

use crate::{
    lex::{Kind, Token, tokens},
    nearest::nearest,
    syntax::{Enum, Field, Interface, Method, Payload, Record, Type, Variant},
};

/// Types inside types inside types.
const TYPE_DEPTH_MAX: usize = 32;

const BASE_TYPES: &[&str] = &[
    "bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64", "text", "bytes", "unit", "list", "map",
    "option", "result", "actor", "any",
];

/// A text that is not an interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// Counts from 1.
    pub line: usize,
    /// Counts characters from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl Interface {
    /// Reads an interface text.
    ///
    /// # Errors
    /// At the first place that is not as the grammar wants it, at a name given twice, and at a type that is not declared.
    pub fn parse(text: &str) -> Result<Interface, ParseError> {
        if text.len() > pando_abi::limits::INTERFACE_BYTES_MAX {
            return Err(ParseError {
                line: 1,
                column: 1,
                message: format!(
                    "the text has {} bytes; an interface has at most {}",
                    text.len(),
                    pando_abi::limits::INTERFACE_BYTES_MAX
                ),
            });
        }
        let mut parser = Parser { tokens: tokens(text)?, at: 0, uses: Vec::new() };
        let interface = parser.interface()?;
        parser.check_uses(&interface)?;
        Ok(interface)
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// Names of types that were used, to be checked when all are declared.
    uses: Vec<(String, usize, usize)>,
}

impl Parser {
    fn interface(&mut self) -> Result<Interface, ParseError> {
        let doc = self.docs();
        let kind = self.name("the first line names the actor, as in `actor Counter`, but there is")?;
        let name = self.name(&format!("`{kind}` wants a name, as in `actor Counter`, but there is"))?;
        let mut interface = Interface { kind, name, doc, ..Interface::default() };
        loop {
            let doc = self.docs();
            let token = self.next();
            match &token.kind {
                Kind::End => return Ok(interface),
                Kind::Mark(';') => continue,
                Kind::Word(word) => match word.as_str() {
                    "fn" | "query" => {
                        let method = self.method(doc, word == "query", &interface)?;
                        interface.methods.push(method);
                    }
                    "record" => {
                        let name = self.type_name(&interface)?;
                        self.mark('{', &name)?;
                        let fields = self.fields('}', &name)?;
                        interface.records.push(Record { name, doc, fields });
                    }
                    "enum" => {
                        let name = self.type_name(&interface)?;
                        let variants = self.variants(&name)?;
                        interface.enums.push(Enum { name, doc, variants });
                    }
                    word => {
                        let meant = nearest(word, ["fn", "query", "record", "enum"]);
                        return Err(wrong(
                            &token,
                            format!(
                                "`fn`, `query`, `record` or `enum` is wanted, but there is `{word}`{}",
                                meant.map(|m| format!("; did you mean `{m}`?")).unwrap_or_default()
                            ),
                        ));
                    }
                },
                other => {
                    let found = show(other);
                    return Err(wrong(
                        &token,
                        format!("`fn`, `query`, `record` or `enum` is wanted, but there is {found}"),
                    ));
                }
            }
        }
    }

    fn method(&mut self, doc: String, query: bool, so_far: &Interface) -> Result<Method, ParseError> {
        let token = self.peek().clone();
        let name = self.name("a method wants a name, but there is")?;
        if so_far.method(&name).is_some() {
            return Err(wrong(&token, format!("the method `{name}` is declared twice")));
        }
        self.mark('(', &name)?;
        let params = self.fields(')', &name)?;
        let result = if self.peek().kind == Kind::Arrow {
            self.next();
            self.ty(0)?
        } else {
            Type::Unit
        };
        Ok(Method { name, doc, query, params, result })
    }

    fn variants(&mut self, of: &str) -> Result<Vec<Variant>, ParseError> {
        self.mark('{', of)?;
        let mut variants: Vec<Variant> = Vec::new();
        loop {
            self.docs();
            if self.take('}') {
                return Ok(variants);
            }
            let token = self.peek().clone();
            let name = self.name(&format!("`{of}` wants the name of a variant or `}}`, but there is"))?;
            if variants.iter().any(|v| v.name == name) {
                return Err(wrong(&token, format!("`{of}` has the variant `{name}` twice")));
            }
            let payload = if self.take('(') {
                match self.types(')', 0)? {
                    types if types.is_empty() => Payload::Unit,
                    types => Payload::Tuple(types),
                }
            } else if self.take('{') {
                Payload::Record(self.fields('}', &name)?)
            } else {
                Payload::Unit
            };
            variants.push(Variant { name, payload });
            self.comma_or('}', of)?;
        }
    }

    /// After the opening mark, up to and with the closing one.
    fn fields(&mut self, close: char, of: &str) -> Result<Vec<Field>, ParseError> {
        let mut fields: Vec<Field> = Vec::new();
        loop {
            self.docs();
            if self.take(close) {
                return Ok(fields);
            }
            let token = self.peek().clone();
            let name = self.name(&format!("`{of}` wants a name or `{close}`, but there is"))?;
            if fields.iter().any(|f| f.name == name) {
                return Err(wrong(&token, format!("`{of}` has `{name}` twice")));
            }
            self.mark(':', &name)?;
            let ty = self.ty(0)?;
            fields.push(Field { name, ty });
            self.comma_or(close, of)?;
        }
    }

    fn types(&mut self, close: char, depth: usize) -> Result<Vec<Type>, ParseError> {
        let mut types = Vec::new();
        loop {
            if self.take(close) {
                return Ok(types);
            }
            types.push(self.ty(depth + 1)?);
            self.comma_or(close, "the row of types")?;
        }
    }

    fn ty(&mut self, depth: usize) -> Result<Type, ParseError> {
        let token = self.next();
        if depth > TYPE_DEPTH_MAX {
            return Err(wrong(&token, format!("types are nested more than {TYPE_DEPTH_MAX} deep")));
        }
        let word = match &token.kind {
            Kind::Mark('(') => {
                return Ok(match self.types(')', depth)? {
                    types if types.is_empty() => Type::Unit,
                    types => Type::Tuple(types),
                });
            }
            Kind::Word(word) => word.clone(),
            other => return Err(wrong(&token, format!("a type is wanted, but there is {}", show(other)))),
        };
        Ok(match word.as_str() {
            "bool" => Type::Bool,
            "i8" => Type::Int(8),
            "i16" => Type::Int(16),
            "i32" => Type::Int(32),
            "i64" => Type::Int(64),
            "u8" => Type::Uint(8),
            "u16" => Type::Uint(16),
            "u32" => Type::Uint(32),
            "u64" => Type::Uint(64),
            "f32" => Type::F32,
            "f64" => Type::F64,
            "text" => Type::Text,
            "bytes" => Type::Bytes,
            "unit" => Type::Unit,
            "actor" => Type::Actor,
            "any" => Type::Any,
            "list" => Type::List(Box::new(self.one_inside("list", depth)?)),
            "option" => Type::Option(Box::new(self.one_inside("option", depth)?)),
            "result" => Type::Result(Box::new(self.one_inside("result", depth)?)),
            "map" => {
                self.mark('<', "map")?;
                let key = self.ty(depth + 1)?;
                self.mark(',', "map")?;
                let value = self.ty(depth + 1)?;
                self.mark('>', "map")?;
                Type::Map(Box::new(key), Box::new(value))
            }
            name => {
                self.uses.push((name.to_owned(), token.line, token.column));
                Type::Named(word)
            }
        })
    }

    fn one_inside(&mut self, of: &str, depth: usize) -> Result<Type, ParseError> {
        self.mark('<', of)?;
        let ty = self.ty(depth + 1)?;
        self.mark('>', of)?;
        Ok(ty)
    }

    /// The name of a record or enum that is about to be declared.
    fn type_name(&mut self, so_far: &Interface) -> Result<String, ParseError> {
        let token = self.peek().clone();
        let name = self.name("a type wants a name, but there is")?;
        if BASE_TYPES.contains(&name.as_str()) {
            return Err(wrong(&token, format!("`{name}` is a type already; give yours another name")));
        }
        if so_far.record(&name).is_some() || so_far.enumeration(&name).is_some() {
            return Err(wrong(&token, format!("the type `{name}` is declared twice")));
        }
        Ok(name)
    }

    fn check_uses(&self, interface: &Interface) -> Result<(), ParseError> {
        for (name, line, column) in &self.uses {
            if interface.record(name).is_none() && interface.enumeration(name).is_none() {
                let declared = interface.records.iter().map(|r| r.name.as_str());
                let declared = declared.chain(interface.enums.iter().map(|e| e.name.as_str()));
                let meant = nearest(name, declared.chain(BASE_TYPES.iter().copied()));
                return Err(ParseError {
                    line: *line,
                    column: *column,
                    message: format!(
                        "the type `{name}` is not declared{}",
                        meant.map(|m| format!("; did you mean `{m}`?")).unwrap_or_default()
                    ),
                });
            }
        }
        Ok(())
    }

    fn docs(&mut self) -> String {
        let mut doc = String::new();
        while let Kind::Doc(text) = &self.peek().kind {
            if !doc.is_empty() {
                doc.push('\n');
            }
            doc.push_str(text);
            self.next();
        }
        doc
    }

    fn name(&mut self, wanted: &str) -> Result<String, ParseError> {
        let token = self.next();
        match &token.kind {
            Kind::Word(word) => Ok(word.clone()),
            other => Err(wrong(&token, format!("{wanted} {}", show(other)))),
        }
    }

    fn mark(&mut self, mark: char, after: &str) -> Result<(), ParseError> {
        let token = self.next();
        if token.kind == Kind::Mark(mark) {
            return Ok(());
        }
        Err(wrong(&token, format!("`{mark}` is wanted after `{after}`, but there is {}", show(&token.kind))))
    }

    fn take(&mut self, mark: char) -> bool {
        let found = self.peek().kind == Kind::Mark(mark);
        if found {
            self.next();
        }
        found
    }

    fn comma_or(&mut self, close: char, of: &str) -> Result<(), ParseError> {
        let token = self.peek().clone();
        match token.kind {
            Kind::Mark(',') => {
                self.next();
                Ok(())
            }
            Kind::Mark(c) if c == close => Ok(()),
            Kind::Doc(_) => Ok(()),
            other => Err(wrong_at(
                token.line,
                token.column,
                format!("`,` or `{close}` is wanted in `{of}`, but there is {}", show(&other)),
            )),
        }
    }

    fn peek(&self) -> &Token {
        // The last token is `End`, and `next` never goes past it.
        &self.tokens[self.at]
    }

    fn next(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }
}

fn wrong(token: &Token, message: String) -> ParseError {
    wrong_at(token.line, token.column, message)
}

fn wrong_at(line: usize, column: usize, message: String) -> ParseError {
    ParseError { line, column, message }
}

fn show(kind: &Kind) -> String {
    match kind {
        Kind::Word(word) => format!("`{word}`"),
        Kind::Mark(mark) => format!("`{mark}`"),
        Kind::Arrow => "`->`".to_owned(),
        Kind::Doc(_) => "a doc comment".to_owned(),
        Kind::End => "the end of the text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_the_contract_is_understood() {
        let text = "actor Counter\n\
            /// Adds and returns the new value.\n\
            fn add(by: i64) -> i64\n\
            query value() -> i64   // plain comment\n\
            fn start(at: option<Point>, more: map<text, list<(u8, bytes)>>)\n\
            record Point { x: f64, y: f64 }\n\
            enum Shape { Circle(f64), Square { side: f64 }, Empty, }\n";
        let interface = Interface::parse(text).unwrap();
        assert_eq!((interface.kind.as_str(), interface.name.as_str()), ("actor", "Counter"));
        let add = interface.method("add").unwrap();
        assert_eq!(add.to_string(), "add(by: i64) -> i64");
        assert_eq!(add.doc, "Adds and returns the new value.");
        assert!(!add.query && interface.method("value").unwrap().query);
        assert_eq!(
            interface.start().unwrap().to_string(),
            "start(at: option<Point>, more: map<text, list<(u8, bytes)>>)"
        );
        assert_eq!(interface.callable().count(), 2);
        assert_eq!(interface.enumeration("Shape").unwrap().variants.len(), 3);
        assert_eq!(interface.nearest_method("ad"), Some("add"));
    }

    fn check(text: &str, says: &str) {
        assert_eq!(Interface::parse(text).unwrap_err().to_string(), says, "for {text:?}");
    }

    #[test]
    fn an_error_tells_place_and_mend() {
        check(
            "",
            "line 1, column 1: the first line names the actor, as in `actor Counter`, but there is the end of the text",
        );
        check(
            "actor A\nfm add()",
            "line 2, column 1: `fn`, `query`, `record` or `enum` is wanted, but there is `fm`; did you mean `fn`?",
        );
        check("actor A\nfn add(by i64)", "line 2, column 11: `:` is wanted after `by`, but there is `i64`");
        check(
            "actor A\nfn add(by: Pont)\nrecord Point {}",
            "line 2, column 12: the type `Pont` is not declared; did you mean `Point`?",
        );
        check("actor A\nfn a()\nquery a()", "line 3, column 7: the method `a` is declared twice");
        check(
            "actor A\nfn a() -> list<i64",
            "line 2, column 19: `>` is wanted after `list`, but there is the end of the text",
        );
        check("actor A\nfn a(x: i64 y: i64)", "line 2, column 13: `,` or `)` is wanted in `a`, but there is `y`");
        check("actor A\nrecord text {}", "line 2, column 8: `text` is a type already; give yours another name");
        check("actor A\nfn a() = 1", "line 2, column 8: `=` cannot stand here");
    }

    #[test]
    fn endless_nesting_is_refused() {
        let text = format!("actor A\nfn a() -> {}i8{}", "list<".repeat(5_000), ">".repeat(5_000));
        assert!(Interface::parse(&text).unwrap_err().message.contains("nested"));
        let text = format!("actor A\nfn a() -> {}", "(".repeat(5_000));
        assert!(Interface::parse(&text).unwrap_err().message.contains("nested"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(actor |fn |query |record |enum |[A-Za-z]{1,3}|[(){}<>:,;/ \n-]|\\PC){0,60}") {
            let _ = Interface::parse(&text);
        }
    }
}
