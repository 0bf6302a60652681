//! `$search`: a filter over the searchable properties of a type.
//!
//! Owner: the task of the request. Blanks and `AND` join terms, `OR` separates alternatives, quotes hold a phrase, and
//! `"displayName:abc"` looks into one property. Bounded by [`SEARCH_BYTES_MAX`] and [`TERMS_MAX`]. There is no index of
//! words and no ranking: a term is found anywhere in a value, without regard to case.

use super::error::{QueryError, Reason};
use super::filter::{Filter, Test, Text};
use super::fold;
use super::row::guid_bytes;
use super::schema::Schema;

/// Bytes of a search.
pub const SEARCH_BYTES_MAX: usize = 1 << 10;

/// Terms of a search. Each costs time for every row and property.
pub const TERMS_MAX: usize = 16;

impl Filter {
    /// Parses a `$search` over the searchable properties of a schema.
    ///
    /// # Errors
    /// The text is too long, has no term, has an unclosed quote, or the type has no searchable property.
    pub fn search(text: &str, schema: &'static Schema) -> Result<Self, QueryError> {
        if text.len() > SEARCH_BYTES_MAX {
            let what = "search";
            let max = SEARCH_BYTES_MAX;
            return Err(Reason::TooLong { what, max }.into());
        }
        let mut alternatives = Vec::new();
        let mut terms = Vec::new();
        let mut count = 0;
        let mut rest = text.trim_start();
        let mut may_join = false;
        while !rest.is_empty() {
            let (word, is_quoted, after) = term(rest)?;
            rest = after.trim_start();
            let joins = !is_quoted && matches!(word.as_str(), "AND" | "OR");
            if joins {
                if !may_join || rest.is_empty() {
                    return Err(invalid("AND and OR stand between two terms"));
                }
                if word == "OR" {
                    alternatives.push(Self::All(std::mem::take(&mut terms)));
                }
            } else {
                count += 1;
                if count > TERMS_MAX {
                    let what = "search terms";
                    let max = TERMS_MAX;
                    return Err(Reason::TooMany { what, max }.into());
                }
                terms.push(in_properties(&word, schema)?);
            }
            may_join = !joins;
        }
        if terms.is_empty() {
            return Err(invalid("a term is expected"));
        }
        alternatives.push(Self::All(terms));
        Ok(Self::Any(alternatives))
    }
}

/// The first term, whether it was quoted, and what follows.
fn term(text: &str) -> Result<(String, bool, &str), QueryError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', '"']).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), false, &text[end..]));
    };
    let mut word = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' if word.trim().is_empty() => return Err(invalid("a term is empty")),
            '"' => return Ok((word, true, &quoted[at + 1..])),
            '\\' => word.extend(letters.next().map(|(_, escaped)| escaped)),
            other => word.push(other),
        }
    }
    Err(invalid("a quote is not closed"))
}

/// A term in any searchable property, or in the one that it names.
fn in_properties(word: &str, schema: &'static Schema) -> Result<Filter, QueryError> {
    let searchable = |index: &usize| schema.properties[*index].searchable;
    let named = word.split_once(':').and_then(|(name, part)| {
        let index = schema.index_of(name).filter(searchable)?;
        Some((index, part))
    });
    let contains = |property, part: &str| Filter::Test {
        property,
        test: Test::Contains(Text {
            folded: fold::folded(part),
            guid: guid_bytes(part),
        }),
    };
    if let Some((index, part)) = named {
        return Ok(contains(index, part));
    }
    let indices = (0..schema.properties.len()).filter(searchable);
    let any: Vec<Filter> = indices.map(|index| contains(index, word)).collect();
    if any.is_empty() {
        return Err(invalid("this collection cannot be searched"));
    }
    Ok(Filter::Any(any))
}

fn invalid(problem: &'static str) -> QueryError {
    let name = "$search";
    Reason::InvalidOption { name, problem }.into()
}
