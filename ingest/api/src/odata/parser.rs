//! Parses a `$filter` by recursive descent.
//!
//! Owner: the task of the request. Bounded by [`FILTER_BYTES_MAX`], [`DEPTH_MAX`] and [`CONDITIONS_MAX`], so that no
//! text costs more than a few milliseconds or overflows the stack. Keywords and functions ignore case. It does not know
//! properties and types; `resolve` does.

use super::ast::{At, Expr, Function, Literal, Operand, Operator, Path, Quantifier};
use super::error::{QueryError, Quoted, Reason};
use super::lexer::{Lexer, Token};

/// Bytes of a filter. No URL that Graph accepts is longer.
pub const FILTER_BYTES_MAX: usize = 16 << 10;

/// Nested parentheses, `not` and function calls.
pub const DEPTH_MAX: usize = 100;

/// Comparisons, functions and members of lists. Each costs time for every row.
pub const CONDITIONS_MAX: usize = 512;

/// Parses a filter.
pub(super) fn parse(text: &str) -> Result<Expr, QueryError> {
    if text.len() > FILTER_BYTES_MAX {
        let what = "filter";
        let max = FILTER_BYTES_MAX;
        return Err(Reason::TooLong { what, max }.into());
    }
    let mut lexer = Lexer::new(text);
    let (token, at) = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        at,
        depth: 0,
        conditions: 0,
    };
    let expr = parser.or()?;
    match parser.token {
        Token::End => Ok(expr),
        _ => Err(parser.expected("'and', 'or' or the end")),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that has not been consumed.
    token: Token<'a>,
    /// Where it starts.
    at: usize,
    depth: usize,
    conditions: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Expr, QueryError> {
        let first = self.and()?;
        if !self.is_word("or") {
            return Ok(first);
        }
        let mut terms = vec![first];
        while self.take_word("or")? {
            terms.push(self.and()?);
        }
        Ok(Expr::Or(terms))
    }

    fn and(&mut self) -> Result<Expr, QueryError> {
        let first = self.term()?;
        if !self.is_word("and") {
            return Ok(first);
        }
        let mut terms = vec![first];
        while self.take_word("and")? {
            terms.push(self.term()?);
        }
        Ok(Expr::And(terms))
    }

    fn term(&mut self) -> Result<Expr, QueryError> {
        if self.take_word("not")? {
            let inner = self.deeper(Self::term)?;
            return Ok(Expr::Not(Box::new(inner)));
        }
        if self.take_mark('(')? {
            let inner = self.deeper(Self::or)?;
            self.need_mark(')')?;
            // Parentheses around one side of a comparison: `(deviceName) eq 'x'`.
            return match inner {
                Expr::Truth(path) => self.comparison(Operand::Path(path)),
                other => self.compared_with_truth(other),
            };
        }
        if let Token::Literal(literal) = &self.token {
            let literal = Operand::Literal(literal.clone());
            self.next()?;
            return self.comparison(literal);
        }
        let at = At(self.at);
        let name = self.name("a condition")?;
        if self.take_mark('(')? {
            return self.call(name, at);
        }
        match word_literal(name) {
            Some(literal) => self.comparison(Operand::Literal(literal)),
            None => self.path(name, at),
        }
    }

    /// A path that is compared, tested alone, or searched by a lambda.
    fn path(&mut self, first: &str, at: At) -> Result<Expr, QueryError> {
        let mut path = Path {
            at,
            segments: vec![first.to_owned()],
        };
        while self.take_mark('/')? {
            let segment = self.name("a property")?;
            match Quantifier::named(segment) {
                Some(quantifier) if self.take_mark('(')? => return self.lambda(path, quantifier),
                _ => path.segments.push(segment.to_owned()),
            }
        }
        self.comparison(Operand::Path(path))
    }

    /// A lambda after its opening parenthesis.
    fn lambda(&mut self, path: Path, quantifier: Quantifier) -> Result<Expr, QueryError> {
        self.count_condition()?;
        let mut body = None;
        if self.token != Token::Mark(')') || quantifier == Quantifier::All {
            let variable = self.name("a variable")?.to_owned();
            self.need_mark(':')?;
            body = Some((variable, Box::new(self.deeper(Self::or)?)));
        }
        self.need_mark(')')?;
        let lambda = Expr::Lambda {
            path,
            quantifier,
            body,
        };
        self.compared_with_truth(lambda)
    }

    /// A function after its opening parenthesis.
    fn call(&mut self, name: &str, at: At) -> Result<Expr, QueryError> {
        if is_case_change(name) {
            let operand = self.deeper(Self::operand)?;
            self.need_mark(')')?;
            return self.comparison(operand);
        }
        self.count_condition()?;
        let condition = if let Some(function) = Function::named(name) {
            let subject_at = self.at;
            let path = match self.deeper(Self::operand)? {
                Operand::Path(path) => path,
                Operand::Literal(_) => {
                    let problem = "a property is expected".to_owned();
                    return Err(Reason::Syntax(problem).at(subject_at));
                }
            };
            self.need_mark(',')?;
            let text_at = self.at;
            let Operand::Literal(Literal::Text(text)) = self.deeper(Self::operand)? else {
                let problem = "a string is expected".to_owned();
                return Err(Reason::Syntax(problem).at(text_at));
            };
            Expr::Match {
                function,
                path,
                text,
            }
        } else if name.eq_ignore_ascii_case("isof") {
            let (Token::Name(name), at) = (&self.token, At(self.at)) else {
                return self.is_of_string();
            };
            let name = (*name).to_owned();
            self.next()?;
            Expr::IsOf { at, name }
        } else {
            return Err(Reason::UnknownFunction(Quoted::from(name)).at(at.0));
        };
        self.need_mark(')')?;
        self.compared_with_truth(condition)
    }

    /// `isof` with the type in quotes.
    fn is_of_string(&mut self) -> Result<Expr, QueryError> {
        let at = At(self.at);
        let Token::Literal(Literal::Text(name)) = &self.token else {
            return Err(self.expected("the name of a type"));
        };
        let name = name.clone();
        self.next()?;
        self.need_mark(')')?;
        self.compared_with_truth(Expr::IsOf { at, name })
    }

    /// A property or a literal, perhaps in a function that changes its case.
    fn operand(&mut self) -> Result<Operand, QueryError> {
        if let Token::Literal(literal) = &self.token {
            let literal = Operand::Literal(literal.clone());
            self.next()?;
            return Ok(literal);
        }
        let at = At(self.at);
        let name = self.name("a property or a literal")?;
        if self.take_mark('(')? {
            if !is_case_change(name) {
                return Err(Reason::UnknownFunction(Quoted::from(name)).at(at.0));
            }
            let operand = self.deeper(Self::operand)?;
            self.need_mark(')')?;
            return Ok(operand);
        }
        if let Some(literal) = word_literal(name) {
            return Ok(Operand::Literal(literal));
        }
        let mut segments = vec![name.to_owned()];
        while self.take_mark('/')? {
            segments.push(self.name("a property")?.to_owned());
        }
        Ok(Operand::Path(Path { at, segments }))
    }

    /// What follows the left side of a comparison, or a Boolean property.
    fn comparison(&mut self, left: Operand) -> Result<Expr, QueryError> {
        self.count_condition()?;
        let word = match &self.token {
            Token::Name(name) => *name,
            _ => "",
        };
        if let Some(operator) = Operator::named(word) {
            self.next()?;
            let right = self.operand()?;
            return Ok(Expr::Compare {
                left,
                operator,
                right,
            });
        }
        match left {
            Operand::Path(path) if self.take_word("in")? => self.list(path),
            Operand::Path(path) => Ok(Expr::Truth(path)),
            Operand::Literal(_) => Err(self.expected("an operator such as 'eq'")),
        }
    }

    /// The list of `in`, which counts as one comparison for each member.
    fn list(&mut self, path: Path) -> Result<Expr, QueryError> {
        self.need_mark('(')?;
        let mut list = Vec::new();
        loop {
            self.count_condition()?;
            let at = self.at;
            match self.operand()? {
                Operand::Literal(literal) => list.push(literal),
                Operand::Path(_) => {
                    let problem = "a literal is expected".to_owned();
                    return Err(Reason::Syntax(problem).at(at));
                }
            }
            if !self.take_mark(',')? {
                break;
            }
        }
        self.need_mark(')')?;
        Ok(Expr::In { path, list })
    }

    /// Scripts compare conditions with a Boolean: `startswith(displayName,'x') eq true`.
    fn compared_with_truth(&mut self, condition: Expr) -> Result<Expr, QueryError> {
        let is_equal = if self.take_word("eq")? {
            true
        } else if self.take_word("ne")? {
            false
        } else {
            return Ok(condition);
        };
        let at = self.at;
        match self.operand()? {
            Operand::Literal(Literal::Boolean(value)) if value == is_equal => Ok(condition),
            Operand::Literal(Literal::Boolean(_)) => Ok(Expr::Not(Box::new(condition))),
            _ => Err(Reason::Syntax("true or false is expected".to_owned()).at(at)),
        }
    }

    fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        if self.depth == DEPTH_MAX {
            let what = "nested levels";
            let max = DEPTH_MAX;
            return Err(Reason::TooMany { what, max }.at(self.at));
        }
        self.depth += 1;
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn count_condition(&mut self) -> Result<(), QueryError> {
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX {
            let what = "conditions";
            let max = CONDITIONS_MAX;
            return Err(Reason::TooMany { what, max }.at(self.at));
        }
        Ok(())
    }

    /// Consumes the token.
    fn next(&mut self) -> Result<(), QueryError> {
        (self.token, self.at) = self.lexer.next()?;
        Ok(())
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Name(name) if name.eq_ignore_ascii_case(word))
    }

    /// Consumes the token if it is this word.
    fn take_word(&mut self, word: &str) -> Result<bool, QueryError> {
        let is_word = self.is_word(word);
        if is_word {
            self.next()?;
        }
        Ok(is_word)
    }

    /// Consumes the token if it is this mark.
    fn take_mark(&mut self, mark: char) -> Result<bool, QueryError> {
        let is_mark = self.token == Token::Mark(mark);
        if is_mark {
            self.next()?;
        }
        Ok(is_mark)
    }

    fn need_mark(&mut self, mark: char) -> Result<(), QueryError> {
        if self.take_mark(mark)? {
            return Ok(());
        }
        Err(self.expected(&format!("'{mark}'")))
    }

    fn name(&mut self, what: &str) -> Result<&'a str, QueryError> {
        let Token::Name(name) = self.token else {
            return Err(self.expected(what));
        };
        self.next()?;
        Ok(name)
    }

    fn expected(&self, what: &str) -> QueryError {
        let found = self.token.shown();
        Reason::Syntax(format!("{what} is expected, not {}", Quoted::from(&*found))).at(self.at)
    }
}

/// Functions that change nothing that a comparison sees.
fn is_case_change(name: &str) -> bool {
    name.eq_ignore_ascii_case("tolower") || name.eq_ignore_ascii_case("toupper")
}

/// `null`, `true` and `false`; PowerShell writes them with a capital.
fn word_literal(name: &str) -> Option<Literal> {
    if name.eq_ignore_ascii_case("null") {
        Some(Literal::Null)
    } else if name.eq_ignore_ascii_case("true") {
        Some(Literal::Boolean(true))
    } else if name.eq_ignore_ascii_case("false") {
        Some(Literal::Boolean(false))
    } else {
        None
    }
}
