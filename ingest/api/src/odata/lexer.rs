//! The tokens of a `$filter`.
//!
//! Owner: the parser. One pass over the text, one token at a time; positions are characters. Strings and numbers are
//! decoded here; it knows no keyword and no property.

use super::ast::{Literal, number};
use super::error::{QueryError, Reason};
use super::instant;
use super::row::guid_bytes;

/// Characters of a guid.
const GUID_CHARS: usize = 36;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A keyword, a property, or a qualified name.
    Name(&'a str),
    Literal(Literal),
    /// One of `(),/:`.
    Mark(char),
    End,
}

impl Token<'_> {
    /// For messages.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Name(name) => format!("'{name}'"),
            Self::Literal(_) => "a literal".to_owned(),
            Self::Mark(mark) => format!("'{mark}'"),
            Self::End => "the end".to_owned(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
    /// Characters before `rest`.
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            position: 0,
        }
    }

    /// The next token and where it starts.
    pub(super) fn next(&mut self) -> Result<(Token<'a>, usize), QueryError> {
        let blanks = self
            .rest
            .find(|letter: char| !matches!(letter, ' ' | '\t' | '\r' | '\n'))
            .unwrap_or(self.rest.len());
        self.skip(blanks);
        let at = self.position;
        let Some(first) = self.rest.chars().next() else {
            return Ok((Token::End, at));
        };
        let token = match first {
            '(' | ')' | ',' | '/' | ':' => {
                self.skip(1);
                Token::Mark(first)
            }
            '\'' => Token::Literal(self.string()?),
            _ => match self.guid() {
                Some(guid) => Token::Literal(guid),
                None if first.is_ascii_digit() || first == '-' => Token::Literal(self.number()?),
                None if first.is_ascii_alphabetic() || first == '_' => self.name()?,
                None => {
                    let letter = first.escape_default();
                    return Err(Reason::Syntax(format!(
                        "the character '{letter}' is not expected"
                    ))
                    .at(at));
                }
            },
        };
        Ok((token, at))
    }

    /// Takes the first `bytes` of the rest.
    fn skip(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        self.position += taken.chars().count();
        taken
    }

    /// Takes the characters up to the first that is not `wanted`.
    fn run(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|letter| !wanted(letter));
        self.skip(end.unwrap_or(self.rest.len()))
    }

    /// A string in quotes; a doubled quote is one quote of the string.
    fn string(&mut self) -> Result<Literal, QueryError> {
        let at = self.position;
        let mut text = String::new();
        loop {
            self.skip(1);
            text.push_str(self.run(|letter| letter != '\''));
            if self.rest.is_empty() {
                let problem = "the string has no closing quote".to_owned();
                return Err(Reason::Syntax(problem).at(at));
            }
            self.skip(1);
            if !self.rest.starts_with('\'') {
                return Ok(Literal::Text(text));
            }
            text.push('\'');
        }
    }

    /// A guid without quotes, which starts like a number or a name.
    fn guid(&mut self) -> Option<Literal> {
        let text = self.rest.get(..GUID_CHARS)?;
        guid_bytes(text)?;
        let next = self.rest[GUID_CHARS..].chars().next();
        if next.is_some_and(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter)) {
            return None;
        }
        Some(Literal::Text(self.skip(GUID_CHARS).to_owned()))
    }

    /// A number or a date.
    fn number(&mut self) -> Result<Literal, QueryError> {
        let at = self.position;
        let text = self.run(|letter| letter.is_ascii_alphanumeric() || ":.+-".contains(letter));
        number(text)
            .map(Literal::Number)
            .or_else(|| instant::parse(text).map(Literal::Date))
            .ok_or_else(|| {
                let problem = "this is neither a number nor a date; a date is written 2026-11-30T08:15:00Z, \
                               and in a URL the + of an offset is written %2B";
                Reason::Syntax(problem.to_owned()).at(at)
            })
    }

    /// A name, or an enum literal with its type: `microsoft.graph.complianceState'compliant'`.
    fn name(&mut self) -> Result<Token<'a>, QueryError> {
        let name = self.run(|letter| letter.is_ascii_alphanumeric() || "_.".contains(letter));
        if name.contains('.') && self.rest.starts_with('\'') {
            return Ok(Token::Literal(self.string()?));
        }
        Ok(Token::Name(name))
    }
}
