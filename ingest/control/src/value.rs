//! The values of properties: read from JSON, shown as JSON and stored; a value is always valid.
//!
//! The length of a text is counted in characters, as in Graph. The names of choices are read in any case and written as
//! in Graph.

use serde_json::{Value as Json, json};

use crate::bytes::{EntryError, Reader, Stored, put_text};
use crate::id::{ObjectId, ObjectIdError};
use crate::limits::{DESCRIPTION_MAX, DISPLAY_NAME_MAX, ISSUER_URL_MAX, USER_ID_MAX};

/// A type that properties have.
pub(crate) trait Value: Stored + Clone {
    /// The allowed values, in words.
    fn allowed() -> String;

    /// The value; `None` if the JSON is not allowed.
    fn read(json: &Json) -> Option<Self>;

    /// What is allowed instead of this JSON, which is not.
    fn fault(_: &Json) -> String {
        Self::allowed()
    }

    /// The value as JSON.
    fn show(&self) -> Json;

    /// The JSON Schema of the values.
    fn json_schema() -> Json;
}

/// A text of `MIN` to `MAX` characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<const MIN: usize, const MAX: usize>(Box<str>);

/// The name of an object.
pub type DisplayName = Text<1, DISPLAY_NAME_MAX>;

/// The URL of an issuer of OpenID Connect.
pub type IssuerUrl = Text<1, ISSUER_URL_MAX>;

/// The id of a user at its issuer.
pub type UserId = Text<1, USER_ID_MAX>;

/// The description of an object; empty if there is none.
pub type Description = Text<0, DESCRIPTION_MAX>;

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// The text; `None` if it is too short or too long.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        // A character has at most four bytes: a long text is refused before it is counted.
        let fits = text.len() <= 4 * MAX && (MIN..=MAX).contains(&text.chars().count());
        fits.then(|| Self(text.into()))
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The empty text, where it is allowed.
impl<const MAX: usize> Default for Text<0, MAX> {
    fn default() -> Self {
        Self("".into())
    }
}

impl<const MIN: usize, const MAX: usize> Stored for Text<MIN, MAX> {
    fn put(&self, into: &mut Vec<u8>) {
        put_text(&self.0, into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Self::new(from.text()?).ok_or(EntryError::Invalid("text"))
    }
}

impl<const MIN: usize, const MAX: usize> Value for Text<MIN, MAX> {
    fn allowed() -> String {
        match MIN {
            0 => format!("a text of at most {MAX} characters, or null"),
            _ => format!("a text of {MIN} to {MAX} characters"),
        }
    }

    /// A text that may be empty may also be null, as in Graph.
    fn read(json: &Json) -> Option<Self> {
        match json {
            Json::Null => Self::new(""),
            json => json.as_str().and_then(Self::new),
        }
    }

    fn show(&self) -> Json {
        self.as_str().into()
    }

    fn json_schema() -> Json {
        match MIN {
            0 => json!({ "type": ["string", "null"], "maxLength": MAX }),
            _ => json!({ "type": "string", "minLength": MIN, "maxLength": MAX }),
        }
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    /// The number; `None` if it is out of range.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number < MIN || number > MAX {
            return None;
        }
        Some(Self(number))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> Stored for Number<MIN, MAX> {
    fn put(&self, into: &mut Vec<u8>) {
        self.0.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Self::new(u32::take(from)?).ok_or(EntryError::Invalid("number"))
    }
}

impl<const MIN: u32, const MAX: u32> Value for Number<MIN, MAX> {
    fn allowed() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }

    fn read(json: &Json) -> Option<Self> {
        Self::new(whole_number(json)?)
    }

    fn show(&self) -> Json {
        self.0.into()
    }

    fn json_schema() -> Json {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A whole number, which may be written with a fraction of zero: `30.0` is the integer 30 in JSON Schema, and some
/// scripts write it so.
#[must_use]
pub fn whole_number(json: &Json) -> Option<u32> {
    if let Some(number) = json.as_u64() {
        return u32::try_from(number).ok();
    }
    let number = json.as_f64()?;
    let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    is_whole.then_some(number as u32)
}

impl Value for ObjectId {
    fn allowed() -> String {
        ObjectIdError.to_string()
    }

    fn read(json: &Json) -> Option<Self> {
        json.as_str()?.parse().ok()
    }

    fn show(&self) -> Json {
        self.to_string().into()
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "format": "uuid" })
    }
}

impl Value for bool {
    fn allowed() -> String {
        "true or false".to_owned()
    }

    fn read(json: &Json) -> Option<Self> {
        json.as_bool()
    }

    fn show(&self) -> Json {
        (*self).into()
    }

    fn json_schema() -> Json {
        json!({ "type": "boolean" })
    }
}

/// Declares a closed set of choices, each with its code in Graph, which is stored, and its name.
macro_rules! choices {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $choice:ident = $code:literal $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $choice = $code),+ }

        impl $name {
            /// Every choice.
            pub const ALL: &'static [Self] = &[$(Self::$choice),+];

            /// The name in Graph.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$choice => $text),+ }
            }

            /// The choice with this name, in any case.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|choice| choice.name().eq_ignore_ascii_case(name))
            }
        }

        impl $crate::bytes::Stored for $name {
            fn put(&self, into: &mut Vec<u8>) {
                (*self as u8).put(into);
            }

            fn take(from: &mut $crate::bytes::Reader<'_>) -> Result<Self, $crate::bytes::EntryError> {
                match u8::take(from)? {
                    $($code => Ok(Self::$choice),)+
                    _ => Err($crate::bytes::EntryError::Invalid("choice")),
                }
            }
        }
    };
}
pub(crate) use choices;

/// Makes choices values of properties.
macro_rules! choice_values {
    ($($name:ty),+) => {
        $(impl $crate::value::Value for $name {
            fn allowed() -> String {
                let names: Vec<_> = Self::ALL.iter().map(|choice| choice.name()).collect();
                names.join(", ")
            }

            fn read(json: &serde_json::Value) -> Option<Self> {
                Self::from_name(json.as_str()?)
            }

            fn show(&self) -> serde_json::Value {
                self.name().into()
            }

            fn json_schema() -> serde_json::Value {
                let names: Vec<_> = Self::ALL.iter().map(|choice| choice.name()).collect();
                serde_json::json!({ "type": "string", "enum": names })
            }
        })+
    };
}
pub(crate) use choice_values;

choices! {
    /// `deviceThreatProtectionLevel`: the highest threat level at which a device is compliant.
    SecurityLevel {
        /// No level.
        Unavailable = 0 "unavailable",
        /// No threat at all; shown as Clear.
        Secured = 1 "secured",
        /// Low and below.
        Low = 2 "low",
        /// Medium and below.
        Medium = 3 "medium",
        /// Any level: reporting only.
        High = 4 "high",
        /// No level.
        NotSet = 10 "notSet",
    }
}

choice_values!(SecurityLevel);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_in_characters() {
        let longest = "ü".repeat(DISPLAY_NAME_MAX);
        assert!(DisplayName::new(&longest).is_some());
        assert!(DisplayName::new(&format!("{longest}x")).is_none());
        assert!(DisplayName::new("").is_none());
        assert!(Description::new("").is_some());
        assert_eq!(Description::read(&Json::Null), Some(Description::default()));
        assert_eq!(DisplayName::read(&Json::Null), None);
        assert_eq!(DisplayName::read(&json!(1)), None);
    }

    #[test]
    fn numbers_are_whole_and_in_range() {
        type Days = Number<1, 120>;
        for (json, expected) in [
            (json!(1), Some(1)),
            (json!(120), Some(120)),
            (json!(0), None),
            (json!(121), None),
            (json!(-1), None),
            (json!(30.0), Some(30)),
            (json!(1.2e2), Some(120)),
            (json!(-0.0), None),
            (json!(1e300), None),
            (json!(1.5), None),
            (json!("1"), None),
            (json!(u64::MAX), None),
            (Json::Null, None),
        ] {
            assert_eq!(Days::read(&json).map(Number::get), expected, "{json}");
        }
    }

    #[test]
    fn choices_are_read_in_any_case_and_written_in_one() {
        assert_eq!(
            SecurityLevel::read(&json!("SECURED")),
            Some(SecurityLevel::Secured)
        );
        assert_eq!(SecurityLevel::Secured.show(), json!("secured"));
        assert_eq!(SecurityLevel::read(&json!("clear")), None);
        assert_eq!(SecurityLevel::read(&json!(1)), None);
        assert_eq!(bool::read(&json!("true")), None);
    }
}
