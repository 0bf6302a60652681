//! `$orderby`: the order of rows, and the place where a page ends.
//!
//! Owner: shared by the threads that evaluate a request; immutable. Comparing rows allocates nothing. At most
//! [`KEYS_MAX`] keys; the id is the last, so that the order is total and pages neither repeat nor skip a row.
//!
//! The position of a row is its values of the keys, not its number, so rows that come or go change no later page.

use std::cmp::Ordering;

use super::error::{QueryError, Reason};
use super::row::{self, Row, Value};
use super::schema::{Kind, Schema};

/// Keys of an order.
pub const KEYS_MAX: usize = 8;

/// Bytes of a string in a position. Longer strings cannot be continued after: the client must sort by another property.
pub const KEY_BYTES_MAX: usize = 1024;

/// The name of the option, for messages.
const ORDERBY: &str = "$orderby";

/// An order of the rows of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBy {
    keys: Vec<Key>,
}

/// A property to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its index.
    pub property: usize,
    /// Whether large values are first.
    pub descending: bool,
}

/// The values of the keys of a row, decoded from a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Position<'a>(Vec<Value<'a>>);

/// A string by which rows are sorted is too long for a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value to sort by is longer than {KEY_BYTES_MAX} bytes: sort by another property")]
pub struct KeyTooLong;

impl<'a> Position<'a> {
    /// The values, in the order of the keys.
    #[must_use]
    pub fn values(&self) -> &[Value<'a>] {
        &self.0
    }
}

impl OrderBy {
    /// Parses `a desc,b asc,c`. An empty text sorts by the id alone.
    ///
    /// # Errors
    /// A property is unknown or cannot be sorted by, a direction is neither `asc` nor `desc`, or there are too many.
    pub fn parse(text: &str, schema: &'static Schema) -> Result<Self, QueryError> {
        let mut keys: Vec<Key> = Vec::new();
        let items = text.split(',').map(str::trim);
        for item in items.take_while(|_| !text.trim().is_empty()) {
            let mut words = item.split_ascii_whitespace();
            let (name, direction) = (words.next().unwrap_or_default(), words.next());
            let descending = match direction {
                None => false,
                Some(word) if word.eq_ignore_ascii_case("asc") => false,
                Some(word) if word.eq_ignore_ascii_case("desc") => true,
                Some(_) => return Err(malformed()),
            };
            if name.is_empty() || words.next().is_some() {
                return Err(malformed());
            }
            let (property, found) = schema.property(name)?;
            if !found.orderable || matches!(found.kind, Kind::Complex(_) | Kind::Collection(_)) {
                let (name, option) = (found.name, ORDERBY);
                return Err(Reason::NotSupported { name, option }.into());
            }
            if keys.len() == KEYS_MAX {
                let what = "keys to sort by";
                let max = KEYS_MAX;
                return Err(Reason::TooMany { what, max }.into());
            }
            // A second key of the same property never decides.
            if keys.iter().all(|key| key.property != property) {
                keys.push(Key {
                    property,
                    descending,
                });
            }
        }
        if let Some(property) = schema.index_of("id")
            && keys.iter().all(|key| key.property != property)
        {
            keys.push(Key {
                property,
                descending: false,
            });
        }
        Ok(Self { keys })
    }

    /// The keys in the order in which they decide.
    #[must_use]
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The order of two rows.
    pub fn compare<A: Row + ?Sized, B: Row + ?Sized>(&self, left: &A, right: &B) -> Ordering {
        self.keys.iter().fold(Ordering::Equal, |order, key| {
            order.then_with(|| key.compare(left.value(key.property), right.value(key.property)))
        })
    }

    /// The order of a row relative to the last row of a page: a greater one is on a later page.
    pub fn compare_to<R: Row + ?Sized>(&self, row: &R, position: &Position<'_>) -> Ordering {
        let pairs = self.keys.iter().zip(&position.0);
        pairs.fold(Ordering::Equal, |order, (key, last)| {
            order.then_with(|| key.compare(row.value(key.property), *last))
        })
    }

    /// Encodes the position of a row.
    ///
    /// # Errors
    /// A string is too long.
    pub fn encode<R: Row + ?Sized>(&self, row: &R) -> Result<Vec<u8>, KeyTooLong> {
        let mut bytes = Vec::new();
        for key in &self.keys {
            match row.value(key.property) {
                Value::Null => bytes.push(0),
                Value::Boolean(value) => bytes.extend([1, u8::from(value)]),
                Value::Member(index) => bytes.extend([2, index]),
                Value::Flags(flags) => number(&mut bytes, 3, flags.to_le_bytes()),
                Value::Int(value) => number(&mut bytes, 4, value.to_le_bytes()),
                Value::Date(ticks) => number(&mut bytes, 5, ticks.to_le_bytes()),
                Value::Guid(guid) => {
                    bytes.push(6);
                    bytes.extend(guid);
                }
                Value::Text(text) => {
                    if text.len() > KEY_BYTES_MAX {
                        return Err(KeyTooLong);
                    }
                    let length = u16::try_from(text.len()).expect("the limit fits into 16 bits");
                    bytes.push(7);
                    bytes.extend(length.to_le_bytes());
                    bytes.extend(text.as_bytes());
                }
            }
        }
        Ok(bytes)
    }

    /// Decodes a position that this order has encoded; `None` for any other bytes.
    #[must_use]
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Option<Position<'a>> {
        let mut rest = bytes;
        let mut values = Vec::with_capacity(self.keys.len());
        for _ in &self.keys {
            values.push(value(&mut rest)?);
        }
        rest.is_empty().then_some(Position(values))
    }
}

impl Key {
    fn compare(self, left: Value<'_>, right: Value<'_>) -> Ordering {
        let order = row::compare(left, right);
        if self.descending {
            order.reverse()
        } else {
            order
        }
    }
}

fn number(bytes: &mut Vec<u8>, tag: u8, value: [u8; 8]) {
    bytes.push(tag);
    bytes.extend(value);
}

/// Takes a value from the front.
fn value<'a>(rest: &mut &'a [u8]) -> Option<Value<'a>> {
    let [tag] = take(rest)?;
    Some(match tag {
        0 => Value::Null,
        1 => {
            let [byte] = take(rest)?;
            Value::Boolean(byte != 0)
        }
        2 => {
            let [index] = take(rest)?;
            Value::Member(index)
        }
        3 => Value::Flags(u64::from_le_bytes(take(rest)?)),
        4 => Value::Int(i64::from_le_bytes(take(rest)?)),
        5 => Value::Date(i64::from_le_bytes(take(rest)?)),
        6 => Value::Guid(take(rest)?),
        7 => {
            let length = usize::from(u16::from_le_bytes(take(rest)?));
            let (text, after) = rest.split_at_checked(length)?;
            *rest = after;
            Value::Text(std::str::from_utf8(text).ok()?)
        }
        _ => return None,
    })
}

/// Takes bytes from the front.
fn take<const COUNT: usize>(rest: &mut &[u8]) -> Option<[u8; COUNT]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

fn malformed() -> QueryError {
    let name = ORDERBY;
    let problem = "properties are separated by commas, each with asc or desc or neither";
    Reason::InvalidOption { name, problem }.into()
}
