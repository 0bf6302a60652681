//! Declarations of configuration keys: name, type, default, allowed values and meaning.
//!
//! A key is declared once, as a constant next to the struct it fills. The parser, the reference table in
//! docs/reference/CONFIGURATION.md and the error messages all use that declaration. Pure.

use std::fmt::Display;

use toml::de::DeValue;

use super::units::{ByteSize, ConfigDuration};

/// One key of the configuration.
#[derive(Debug)]
pub(super) struct Key<K> {
    /// The full name, sections included: `listen.address`.
    pub(super) path: &'static str,
    /// Its type, default and allowed values.
    pub(super) kind: K,
    /// Its meaning, and its effect on memory or durability. One line of Markdown.
    pub(super) meaning: &'static str,
}

impl<K> Key<K> {
    /// The name inside its section.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }
}

impl<K: Kind> Key<K> {
    /// The key as a row of the reference.
    pub(super) fn row(&self) -> KeyRow {
        KeyRow {
            path: self.path,
            kind: self.kind.name(),
            default: self.kind.default_text(),
            allowed: self.kind.allowed(),
            meaning: self.meaning,
        }
    }
}

/// One row of the reference of all keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// The full name, sections included.
    pub path: &'static str,
    /// The type of the value in TOML.
    pub kind: &'static str,
    /// The default in TOML syntax, or "unset"; `None` for a required key.
    pub default: Option<String>,
    /// The allowed values, in words.
    pub allowed: String,
    /// The meaning of the key, and its effect on memory or durability.
    pub meaning: &'static str,
}

/// The type of a key's value: how it is parsed from TOML and described in the reference.
pub(super) trait Kind {
    /// The parsed value.
    type Value;

    /// The type of the value in TOML, in a word or two.
    fn name(&self) -> &'static str;

    /// The allowed values, in words.
    fn allowed(&self) -> String;

    /// The default in TOML syntax, or "unset"; `None` for a required key.
    fn default_text(&self) -> Option<String>;

    /// Parses a value. The error describes this value; the caller appends the allowed ones.
    fn read(&self, value: &DeValue<'_>) -> Result<Self::Value, String>;
}

/// The type of an optional key's value.
pub(super) trait Defaulted: Kind {
    /// The value of a key that is not set.
    fn default(&self) -> Self::Value;
}

/// A whole number within bounds.
#[derive(Debug)]
pub(super) struct Integer<T> {
    pub(super) default: T,
    pub(super) min: T,
    pub(super) max: T,
}

impl<T: Copy + Display + PartialOrd + TryFrom<i64>> Kind for Integer<T> {
    type Value = T;

    fn name(&self) -> &'static str {
        "integer"
    }

    fn allowed(&self) -> String {
        format!("{} to {}", self.min, self.max)
    }

    fn default_text(&self) -> Option<String> {
        Some(self.default.to_string())
    }

    fn read(&self, value: &DeValue<'_>) -> Result<T, String> {
        let integer = value
            .as_integer()
            .ok_or_else(|| wrong_type(self.name(), value))?;
        let parsed = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let parsed = parsed.and_then(|number| T::try_from(number).ok());
        parsed
            .filter(|number| (self.min..=self.max).contains(number))
            .ok_or_else(|| format!("{integer} is out of range"))
    }
}

impl<T: Copy + Display + PartialOrd + TryFrom<i64>> Defaulted for Integer<T> {
    fn default(&self) -> T {
        self.default
    }
}

/// A duration within bounds.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) default: ConfigDuration,
    pub(super) min: ConfigDuration,
    pub(super) max: ConfigDuration,
}

impl Kind for Span {
    type Value = ConfigDuration;

    fn name(&self) -> &'static str {
        "duration"
    }

    fn allowed(&self) -> String {
        format!("\"{}\" to \"{}\"", self.min, self.max)
    }

    fn default_text(&self) -> Option<String> {
        Some(format!("\"{}\"", self.default))
    }

    fn read(&self, value: &DeValue<'_>) -> Result<ConfigDuration, String> {
        let text = value
            .as_str()
            .ok_or_else(|| wrong_type("duration in quotes like \"5s\"", value))?;
        let parsed: ConfigDuration = text
            .parse()
            .map_err(|error| format!("\"{text}\" is not a duration: {error} (ms, s, m, h or d)"))?;
        within(parsed, self.min, self.max)
    }
}

impl Defaulted for Span {
    fn default(&self) -> ConfigDuration {
        self.default
    }
}

/// A number of bytes within bounds.
#[derive(Debug)]
pub(super) struct Size {
    pub(super) default: ByteSize,
    pub(super) min: ByteSize,
    pub(super) max: ByteSize,
}

impl Kind for Size {
    type Value = ByteSize;

    fn name(&self) -> &'static str {
        "size"
    }

    fn allowed(&self) -> String {
        format!("\"{}\" to \"{}\"", self.min, self.max)
    }

    fn default_text(&self) -> Option<String> {
        Some(format!("\"{}\"", self.default))
    }

    fn read(&self, value: &DeValue<'_>) -> Result<ByteSize, String> {
        let text = value
            .as_str()
            .ok_or_else(|| wrong_type("size in quotes like \"8MiB\"", value))?;
        let parsed: ByteSize = text
            .parse()
            .map_err(|error| format!("\"{text}\" is not a size: {error} (B, KiB, MiB or GiB)"))?;
        within(parsed, self.min, self.max)
    }
}

impl Defaulted for Size {
    fn default(&self) -> ByteSize {
        self.default
    }
}

/// `true` or `false`.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) default: bool,
}

impl Kind for Flag {
    type Value = bool;

    fn name(&self) -> &'static str {
        "boolean"
    }

    fn allowed(&self) -> String {
        "true or false".to_owned()
    }

    fn default_text(&self) -> Option<String> {
        Some(self.default.to_string())
    }

    fn read(&self, value: &DeValue<'_>) -> Result<bool, String> {
        value
            .as_bool()
            .ok_or_else(|| wrong_type(self.name(), value))
    }
}

impl Defaulted for Flag {
    fn default(&self) -> bool {
        self.default
    }
}

/// One of a list of words.
#[derive(Debug)]
pub(super) struct Choice<T: 'static> {
    pub(super) default: T,
    pub(super) choices: &'static [(&'static str, T)],
}

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn name(&self) -> &'static str {
        "string"
    }

    fn allowed(&self) -> String {
        let names: Vec<String> = self
            .choices
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        names.join(", ")
    }

    fn default_text(&self) -> Option<String> {
        let chosen = self
            .choices
            .iter()
            .find(|(_, choice)| *choice == self.default);
        chosen.map(|(name, _)| format!("\"{name}\""))
    }

    fn read(&self, value: &DeValue<'_>) -> Result<T, String> {
        let text = value
            .as_str()
            .ok_or_else(|| wrong_type(self.name(), value))?;
        let chosen = self.choices.iter().find(|(name, _)| *name == text);
        chosen
            .map(|(_, choice)| *choice)
            .ok_or_else(|| format!("unknown value \"{text}\""))
    }
}

impl<T: Copy + PartialEq> Defaulted for Choice<T> {
    fn default(&self) -> T {
        self.default
    }
}

/// A required string that is parsed further.
#[derive(Debug)]
pub(super) struct Required<T> {
    pub(super) allowed: &'static str,
    pub(super) parse: fn(&str) -> Result<T, String>,
}

impl<T> Kind for Required<T> {
    type Value = T;

    fn name(&self) -> &'static str {
        "string"
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }

    fn default_text(&self) -> Option<String> {
        None
    }

    fn read(&self, value: &DeValue<'_>) -> Result<T, String> {
        let text = value
            .as_str()
            .ok_or_else(|| wrong_type(self.name(), value))?;
        (self.parse)(text)
    }
}

/// An optional string that is parsed further; its feature is off while it is not set.
#[derive(Debug)]
pub(super) struct Optional<T> {
    pub(super) allowed: &'static str,
    pub(super) parse: fn(&str) -> Result<T, String>,
}

impl<T> Kind for Optional<T> {
    type Value = Option<T>;

    fn name(&self) -> &'static str {
        "string"
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }

    /// TOML has no null value, so the default has no syntax.
    fn default_text(&self) -> Option<String> {
        Some("unset".to_owned())
    }

    fn read(&self, value: &DeValue<'_>) -> Result<Option<T>, String> {
        let text = value
            .as_str()
            .ok_or_else(|| wrong_type(self.name(), value))?;
        (self.parse)(text).map(Some)
    }
}

impl<T> Defaulted for Optional<T> {
    fn default(&self) -> Option<T> {
        None
    }
}

/// A string with a default that is parsed further.
#[derive(Debug)]
pub(super) struct Text<T> {
    pub(super) default: fn() -> T,
    pub(super) allowed: &'static str,
    pub(super) parse: fn(&str) -> Result<T, String>,
}

impl<T: Display> Kind for Text<T> {
    type Value = T;

    fn name(&self) -> &'static str {
        "string"
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }

    fn default_text(&self) -> Option<String> {
        Some(format!("\"{}\"", (self.default)()))
    }

    fn read(&self, value: &DeValue<'_>) -> Result<T, String> {
        let text = value
            .as_str()
            .ok_or_else(|| wrong_type(self.name(), value))?;
        (self.parse)(text)
    }
}

impl<T: Display> Defaulted for Text<T> {
    fn default(&self) -> T {
        (self.default)()
    }
}

/// The error of a value of another type.
pub(super) fn wrong_type(expected: &str, value: &DeValue<'_>) -> String {
    format!("expected {expected}, found {}", value.type_str())
}

fn within<T: Display + PartialOrd>(value: T, min: T, max: T) -> Result<T, String> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(format!("\"{value}\" is out of range"))
    }
}
