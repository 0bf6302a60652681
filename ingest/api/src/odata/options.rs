//! The query string of a URL, as options.
//!
//! Owner: the task of the request. Names ignore case and may lack their `$`. Bounded by [`QUERY_BYTES_MAX`]; no option is
//! accepted twice, so there are no more options than names. `$filter` and `$orderby` remain texts here, because their
//! meaning depends on the type. `$expand` has one level and one nested.

use aws_lc_rs::digest;

use super::error::{QueryError, Quoted, Reason};
use super::split;

/// Bytes of a query string: a filter of the maximum length, all of it percent-encoded, and the rest.
pub const QUERY_BYTES_MAX: usize = 64 << 10;

/// Rows of a page, also without `$top`.
pub const PAGE_MAX: usize = 1000;

/// Names in `$select` and in `$expand`.
const NAMES_MAX: usize = 256;

/// Levels of `$expand`.
const EXPAND_LEVELS_MAX: usize = 2;

/// The options of a request, or of one level of `$expand`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `$select`: names, or paths of names. Empty if all are wanted.
    pub select: Vec<String>,
    /// `$expand`.
    pub expand: Vec<Expand>,
    /// The text of `$filter`.
    pub filter: Option<String>,
    /// The text of `$orderby`.
    pub orderby: Option<String>,
    /// The text of `$search`.
    pub search: Option<String>,
    /// `$top`, from 1 to [`PAGE_MAX`]: rows of a page.
    pub top: Option<usize>,
    /// `$skip`: rows before the first page. With a `$skiptoken` they have been skipped already.
    pub skip: u64,
    /// `$count`.
    pub count: bool,
    /// `$skiptoken`.
    pub skiptoken: Option<String>,
    /// `$deltatoken`.
    pub deltatoken: Option<String>,
    /// Names and values as they were given, decoded: names in lowercase, with their `$`.
    pairs: Vec<(String, String)>,
}

/// A property to expand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expand {
    /// The qualified type before the property, which only objects of that type have.
    pub cast: Option<String>,
    /// The name of the property.
    pub name: String,
    /// What is in parentheses after it.
    pub options: Options,
}

impl Options {
    /// Parses a query string without its `?`, still percent-encoded. `custom` lists further names, without `$`, that
    /// the resource understands.
    ///
    /// # Errors
    /// The text is too long or not UTF-8, an option is unknown or given twice, or a value is malformed.
    pub fn parse(query: &str, custom: &[&str]) -> Result<Self, QueryError> {
        if query.len() > QUERY_BYTES_MAX {
            let what = "query";
            let max = QUERY_BYTES_MAX;
            return Err(Reason::TooLong { what, max }.into());
        }
        let mut options = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name.contains(char::REPLACEMENT_CHARACTER)
                || value.contains(char::REPLACEMENT_CHARACTER)
            {
                return Err(Reason::Syntax("the query is not UTF-8".to_owned()).into());
            }
            let name = name.trim();
            let is_custom = |known: &&str| known.eq_ignore_ascii_case(name);
            let canonical = if let Some(known) = custom.iter().find(|known| is_custom(known)) {
                known.to_ascii_lowercase()
            } else {
                options.set(name, &value, 0)?
            };
            if options.pairs.iter().any(|(given, _)| *given == canonical) {
                return Err(Reason::RepeatedOption(Quoted::from(&*canonical)).into());
            }
            options.pairs.push((canonical, value.into_owned()));
        }
        Ok(options)
    }

    /// Rows of a page.
    #[must_use]
    pub fn page_rows(&self) -> usize {
        self.top.unwrap_or(PAGE_MAX)
    }

    /// The value of a custom option.
    #[must_use]
    pub fn custom(&self, name: &str) -> Option<&str> {
        let mut pairs = self.pairs.iter();
        let (_, value) = pairs.find(|(given, _)| given.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The query string of a link that continues with a token: every option as it was given, then `name=token`. The
    /// name is `$skiptoken` or `$deltatoken`.
    #[must_use]
    pub fn continued(&self, name: &str, token: &str) -> String {
        let mut query = String::new();
        for (given, value) in self.pairs.iter().filter(|(given, _)| !is_token(given)) {
            query.push_str(given);
            query.push('=');
            for part in form_urlencoded::byte_serialize(value.as_bytes()) {
                // Not every client reads + as a blank.
                query.push_str(if part == "+" { "%20" } else { part });
            }
            query.push('&');
        }
        query.push_str(name);
        query.push('=');
        query.push_str(token);
        query
    }

    /// A hash of the resource and of all options but the tokens, in any order.
    #[must_use]
    pub fn hash(&self, resource: &str) -> [u8; 16] {
        let mut pairs: Vec<_> = self
            .pairs
            .iter()
            .filter(|(given, _)| !is_token(given))
            .collect();
        pairs.sort_unstable();
        let mut context = digest::Context::new(&digest::SHA256);
        let mut update = |text: &str| {
            // The length, so that no two lists of texts have the same bytes.
            context.update(&(text.len() as u64).to_le_bytes());
            context.update(text.as_bytes());
        };
        update(resource);
        for (name, value) in pairs {
            update(name);
            update(value);
        }
        let full = context.finish();
        let mut hash = [0; 16];
        hash.copy_from_slice(&full.as_ref()[..16]);
        hash
    }

    /// Sets an option at a level of `$expand` (0 is the URL). Returns its canonical name.
    fn set(&mut self, name: &str, value: &str, level: usize) -> Result<String, QueryError> {
        let bare = name.strip_prefix('$').unwrap_or(name).to_ascii_lowercase();
        let value = value.trim();
        match (bare.as_str(), level) {
            ("select", _) => self.select = names("$select", value)?,
            ("expand", _) => self.expand = expand(value, level)?,
            ("filter", _) => self.filter = Some(value.to_owned()),
            ("orderby", _) => self.orderby = Some(value.to_owned()),
            ("search", _) => self.search = Some(value.to_owned()),
            ("top", _) => self.top = Some(top(value)?),
            ("skip", _) => {
                let problem = "a number from 0 on is expected";
                self.skip = decimal(value).ok_or_else(|| invalid("$skip", problem))?;
            }
            ("count", _) => self.count = boolean(value)?,
            ("skiptoken", 0) => self.skiptoken = Some(value.to_owned()),
            ("deltatoken", 0) => self.deltatoken = Some(value.to_owned()),
            _ => return Err(Reason::UnknownOption(Quoted::from(name)).into()),
        }
        Ok(format!("${bare}"))
    }
}

/// Whether the option is a token, which is no part of what a token is valid for.
fn is_token(name: &str) -> bool {
    matches!(name, "$skiptoken" | "$deltatoken")
}

/// Names that are separated by commas. An empty list is the same as no option.
fn names(option: &'static str, value: &str) -> Result<Vec<String>, QueryError> {
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = value
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect();
    if names.len() > NAMES_MAX {
        let what = "names";
        let max = NAMES_MAX;
        return Err(Reason::TooMany { what, max }.into());
    }
    if names.iter().any(String::is_empty) {
        return Err(invalid(option, "names are separated by commas"));
    }
    Ok(names)
}

/// The items of `$expand` at a level.
fn expand(value: &str, level: usize) -> Result<Vec<Expand>, QueryError> {
    const NAME: &str = "$expand";
    if value.is_empty() {
        return Ok(Vec::new());
    }
    if level == EXPAND_LEVELS_MAX {
        let what = "levels of $expand";
        let max = EXPAND_LEVELS_MAX;
        return Err(Reason::TooMany { what, max }.into());
    }
    let unbalanced = || invalid(NAME, "a parenthesis or a quote is not closed");
    let items = split::outside(value, ',').ok_or_else(unbalanced)?;
    if items.len() > NAMES_MAX {
        let what = "names";
        let max = NAMES_MAX;
        return Err(Reason::TooMany { what, max }.into());
    }
    items
        .into_iter()
        .map(|item| {
            let (path, inner) = match item.trim().split_once('(') {
                Some((path, rest)) => {
                    let inner = rest.strip_suffix(')');
                    let problem = "nothing can follow a closing parenthesis";
                    (path, Some(inner.ok_or_else(|| invalid(NAME, problem))?))
                }
                None => (item, None),
            };
            let (cast, name) = match path.trim().rsplit_once('/') {
                Some((cast, name)) => (Some(cast.trim()), name.trim()),
                None => (None, path.trim()),
            };
            let is_name = |text: &str| {
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
            };
            if name.is_empty()
                || !is_name(name)
                || !cast.is_none_or(|cast| is_name(cast) && cast.contains('.'))
            {
                let problem =
                    "names are separated by commas; only a qualified type can precede one";
                return Err(invalid(NAME, problem));
            }
            Ok(Expand {
                cast: cast.map(str::to_owned),
                name: name.to_owned(),
                options: nested(inner.unwrap_or_default(), level + 1)?,
            })
        })
        .collect()
}

/// The options in parentheses, which are separated by semicolons.
fn nested(text: &str, level: usize) -> Result<Options, QueryError> {
    let mut options = Options::default();
    let problem = "a parenthesis or a quote is not closed";
    let parts = split::outside(text, ';').ok_or_else(|| invalid("$expand", problem))?;
    for part in parts.into_iter().filter(|part| !part.trim().is_empty()) {
        let problem = "an option in parentheses has the form $name=value";
        let (name, value) = part
            .split_once('=')
            .ok_or_else(|| invalid("$expand", problem))?;
        let canonical = options.set(name.trim(), value, level)?;
        if options.pairs.iter().any(|(given, _)| *given == canonical) {
            return Err(Reason::RepeatedOption(Quoted::from(&*canonical)).into());
        }
        options.pairs.push((canonical, value.to_owned()));
    }
    Ok(options)
}

/// `$top`, clamped to the maximum.
fn top(value: &str) -> Result<usize, QueryError> {
    let rows = decimal(value).filter(|rows| *rows > 0);
    let rows = rows.ok_or_else(|| invalid("$top", "a number from 1 on is expected"))?;
    Ok(usize::try_from(rows).map_or(PAGE_MAX, |rows| rows.min(PAGE_MAX)))
}

/// A decimal number without a sign; one that is too large is the largest.
fn decimal(text: &str) -> Option<u64> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| text.parse().unwrap_or(u64::MAX))
}

fn boolean(value: &str) -> Result<bool, QueryError> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(invalid("$count", "true or false is expected"))
    }
}

fn invalid(name: &'static str, problem: &'static str) -> QueryError {
    Reason::InvalidOption { name, problem }.into()
}
