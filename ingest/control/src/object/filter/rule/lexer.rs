//! The words, texts and signs of a rule, one at a time.
//!
//! Borrows the rule. Each character is read once.

use super::{RuleError, RuleProblem};
use crate::limits::{RULE_CHARACTERS_MAX, RULE_DEPTH_MAX};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    OpenList,
    CloseList,
    Comma,
    /// A text, without its quotes.
    Text(&'a str),
    /// A name, operator or conjunction.
    Word(&'a str),
    End,
}

/// Reads tokens.
pub(super) struct Lexer<'a> {
    rule: &'a str,
    /// Where the current token begins, and the next one may.
    begin: usize,
    end: usize,
    /// The current token.
    pub(super) token: Token<'a>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(rule: &'a str) -> Result<Self, RuleError> {
        let mut lexer = Self {
            rule,
            begin: 0,
            end: 0,
            token: Token::End,
        };
        lexer.advance()?;
        Ok(lexer)
    }

    /// Goes on to the next token.
    pub(super) fn advance(&mut self) -> Result<(), RuleError> {
        let rest = self.rule[self.end..].trim_start();
        self.begin = self.rule.len() - rest.len();
        let (token, length) = match rest.bytes().next() {
            None => (Token::End, 0),
            Some(b'(') => (Token::Open, 1),
            Some(b')') => (Token::Close, 1),
            Some(b'[') => (Token::OpenList, 1),
            Some(b']') => (Token::CloseList, 1),
            Some(b',') => (Token::Comma, 1),
            Some(quote @ (b'"' | b'\'')) => {
                let inside = &rest[1..];
                let Some(length) = inside.find(char::from(quote)) else {
                    return Err(self.error(RuleProblem::OpenText));
                };
                (Token::Text(&inside[..length]), length + 2)
            }
            Some(_) => {
                let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
                let length = rest.bytes().take_while(|byte| is_word(*byte)).count();
                if length == 0 {
                    return Err(self.error(RuleProblem::Character));
                }
                (Token::Word(&rest[..length]), length)
            }
        };
        self.token = token;
        self.end = self.begin + length;
        Ok(())
    }

    /// Goes on if the current token is this word, with or without a hyphen.
    pub(super) fn takes_word(&mut self, word: &str) -> Result<bool, RuleError> {
        let is_it = |token: &str| {
            token
                .strip_prefix('-')
                .unwrap_or(token)
                .eq_ignore_ascii_case(word)
        };
        let found = matches!(self.token, Token::Word(token) if is_it(token));
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// The problem, at the current token.
    pub(super) fn error(&self, problem: RuleProblem) -> RuleError {
        let position = self.rule[..self.begin].chars().count() + 1;
        RuleError { position, problem }
    }
}

/// See [`super::check_balanced`].
pub(super) fn check_balanced(text: &str) -> Result<(), RuleError> {
    let mut position = 0;
    let mut quote = None;
    let mut open = Vec::new();
    let fault = |position, problem| Err(RuleError { position, problem });
    for (index, character) in text.chars().enumerate() {
        position = index + 1;
        if position > RULE_CHARACTERS_MAX {
            return fault(position, RuleProblem::TooLong);
        }
        match (quote, character) {
            (Some(begun), _) if begun == character => quote = None,
            (Some(_), _) => (),
            (None, '"' | '\'') => quote = Some(character),
            (None, '(' | '[') if open.len() == RULE_DEPTH_MAX => {
                return fault(position, RuleProblem::TooDeep);
            }
            (None, '(') => open.push(')'),
            (None, '[') => open.push(']'),
            (None, ')' | ']') if open.pop() != Some(character) => {
                return fault(position, RuleProblem::ExpectedParenthesis);
            }
            (None, _) => (),
        }
    }
    match (quote, open.is_empty()) {
        _ if text.trim().is_empty() => fault(1, RuleProblem::Empty),
        (Some(_), _) => fault(position, RuleProblem::OpenText),
        (None, false) => fault(position, RuleProblem::ExpectedParenthesis),
        (None, true) => Ok(()),
    }
}
