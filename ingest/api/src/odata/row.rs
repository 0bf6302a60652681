//! The values by which an object is filtered and sorted.
//!
//! Owner: whoever evaluates a query. A row borrows its values, so evaluating one allocates nothing.

use std::cmp::Ordering;

use super::fold;

/// A value of a property. Its variant is the one of the property's kind, or `Null`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A Boolean.
    Boolean(bool),
    /// The index of a member of an enum.
    Member(u8),
    /// A set of members of an enum: bit n is the member with index n.
    Flags(u64),
    /// An integer.
    Int(i64),
    /// Ticks of 100 ns since 1970.
    Date(i64),
    /// A string.
    Text(&'a str),
    /// A string of the form 8-4-4-4-12, as the bytes in the order in which they are written.
    Guid([u8; 16]),
}

/// An object.
pub trait Row {
    /// The value of the property with this index; `Null` for complex values and collections.
    fn value(&self, property: usize) -> Value<'_>;

    /// Calls `test` for each element of a collection, or for a complex value, until it returns true. Returns whether it
    /// did. A null complex value and an empty collection have nothing to call it for. An element that is no object is
    /// an [`Element`].
    fn any(&self, _property: usize, _test: &mut dyn FnMut(&dyn Row) -> bool) -> bool {
        false
    }

    /// The qualified name of the type, without `#`; empty if there is only one.
    fn type_name(&self) -> &str {
        ""
    }
}

/// An element of a collection of plain values: its only property is the value.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a>(pub Value<'a>);

impl Row for Element<'_> {
    fn value(&self, _property: usize) -> Value<'_> {
        self.0
    }
}

/// Stands for a complex value that is null: every property of it is null.
#[derive(Debug)]
pub(super) struct NullRow;

impl Row for NullRow {
    fn value(&self, _property: usize) -> Value<'_> {
        Value::Null
    }
}

/// Calls `test` with the text of a string or guid. `None` if the value is neither.
pub(super) fn with_text<T>(value: Value<'_>, test: impl FnOnce(&str) -> T) -> Option<T> {
    match value {
        Value::Text(text) => Some(test(text)),
        Value::Guid(bytes) => {
            let text = guid_text(bytes);
            let text = std::str::from_utf8(&text).expect("hexadecimal digits are UTF-8");
            Some(test(text))
        }
        _ => None,
    }
}

/// The text of a guid.
fn guid_text(bytes: [u8; 16]) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    text
}

/// The bytes of a text of the form 8-4-4-4-12 in any case.
pub(super) fn guid_bytes(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; 16];
    let mut at = 0;
    for (index, byte) in bytes.iter_mut().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        let value = digit(text[at])? << 4 | digit(text[at + 1])?;
        *byte = u8::try_from(value).ok()?;
        at += 2;
    }
    Some(bytes)
}

/// The order of two values of a property: null is first, texts ignore case, guids sort as their texts.
pub(super) fn compare(left: Value<'_>, right: Value<'_>) -> Ordering {
    match (left, right) {
        (Value::Boolean(left), Value::Boolean(right)) => left.cmp(&right),
        (Value::Member(left), Value::Member(right)) => left.cmp(&right),
        (Value::Flags(left), Value::Flags(right)) => left.cmp(&right),
        (Value::Int(left), Value::Int(right)) | (Value::Date(left), Value::Date(right)) => {
            left.cmp(&right)
        }
        (Value::Guid(left), Value::Guid(right)) => left.cmp(&right),
        (Value::Text(_) | Value::Guid(_), Value::Text(_) | Value::Guid(_)) => {
            let compared = with_text(left, |left| {
                with_text(right, |right| fold::compare(left, right))
            });
            compared.flatten().unwrap_or(Ordering::Equal)
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

/// The order of values of different kinds, which only a damaged row has; null is first.
const fn rank(value: Value<'_>) -> u8 {
    match value {
        Value::Null => 0,
        Value::Boolean(_) => 1,
        Value::Member(_) => 2,
        Value::Flags(_) => 3,
        Value::Int(_) => 4,
        Value::Date(_) => 5,
        Value::Text(_) | Value::Guid(_) => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_its_text() {
        let text = "3f1c2a90-6b7e-4d57-9d06-2a4f0f3a9b11";
        let bytes = guid_bytes(&text.to_uppercase()).unwrap();
        assert_eq!(with_text(Value::Guid(bytes), str::to_owned).unwrap(), text);
        assert_eq!(
            compare(Value::Guid(bytes), Value::Text(&text.to_uppercase())),
            Ordering::Equal
        );
        for wrong in [
            "",
            "3f1c2a90-6b7e-4d57-9d06-2a4f0f3a9b1",
            "3f1c2a90-6b7e-4d57-9d062-a4f0f3a9b11",
            "3f1c2a90-6b7e-4d57-9d06-2a4f0f3a9b1g",
            "äf1c2a90-6b7e-4d57-9d06-2a4f0f3a9b1",
        ] {
            assert_eq!(guid_bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn null_is_first() {
        for value in [
            Value::Boolean(false),
            Value::Int(i64::MIN),
            Value::Date(i64::MIN),
            Value::Text(""),
            Value::Guid([0; 16]),
            Value::Member(0),
            Value::Flags(0),
        ] {
            assert_eq!(compare(Value::Null, value), Ordering::Less);
            assert_eq!(compare(value, Value::Null), Ordering::Greater);
            assert_eq!(compare(value, value), Ordering::Equal);
        }
    }
}
