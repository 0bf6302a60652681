//! What a compliance policy requires besides the threat level: the published properties of its subclass.
//!
//! A table has each property with its kind, and whether it is evaluated. One that is not can have any value that
//! requires nothing (false, null, 0, `[]`, `deviceDefault`); another value is a fault, unless the command is lenient:
//! a rule that is stored and never evaluated would deceive its operator. Only values other than the default are stored.
//!
//! Bounded by the tables, and by the lengths of texts and JSON.

mod tables;

use std::collections::BTreeMap;

use muster_engine::{DeviceRules, Setting};
use muster_wire::Inventory;
use serde_json::{Value as Json, json};

use super::Subclass;
use crate::bytes::{EntryError, Reader, Stored, put_text};
use crate::document::{Document, Properties};
use crate::fault::FaultKind;
use crate::limits::{REQUIREMENT_JSON_BYTES_MAX, REQUIREMENT_TEXT_MAX};
use crate::value::whole_number;

/// Choices that require nothing although they are not the default of every property.
const NOTHING: &[&str] = &[
    "unavailable",
    "notSet",
    "deviceDefault",
    "any",
    "none",
    "basic",
    "notConfigured",
    "anywhere",
];

/// Versions as a regular expression; empty if none is required.
const VERSION_PATTERN: &str = "^((0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])\
     (\\.(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])){0,3})?$";

/// A property that a subclass publishes.
#[derive(Debug)]
struct Requirement {
    /// Its name in Graph.
    name: &'static str,
    /// The values that it can have.
    kind: Kind,
    /// Whether devices are evaluated by it.
    is_evaluated: bool,
}

/// The values of a property. All may be null, which is the default of those without another one.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// True, or by default false.
    Flag,
    /// A whole number.
    Number,
    /// One to four numbers with dots between them.
    Version,
    /// A text.
    Text,
    /// One of these names, by default the first.
    Choice(&'static [&'static str]),
    /// A list, by default empty. Its elements are not read.
    List,
    /// An object, which is not read.
    Object,
}

/// A property that is stored and not evaluated.
const fn stored(name: &'static str, kind: Kind) -> Requirement {
    let is_evaluated = false;
    Requirement {
        name,
        kind,
        is_evaluated,
    }
}

/// A property that devices are evaluated by.
const fn evaluated(name: &'static str, kind: Kind) -> Requirement {
    let is_evaluated = true;
    Requirement {
        name,
        kind,
        is_evaluated,
    }
}

/// A value that is not the default of its property.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Required {
    /// Of a flag.
    True,
    /// A number.
    Number(u32),
    /// A version, text or choice.
    Text(Box<str>),
    /// A list or object: its JSON, as it was sent.
    Json(Box<str>),
}

/// The values that are not the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements(BTreeMap<&'static str, Required>);

impl Requirements {
    /// The values of `base`, replaced by those that the document has.
    pub(super) fn read(subclass: Subclass, base: &Self, document: &mut Document<'_>) -> Self {
        let mut after = base.clone();
        for row in tables::of(subclass) {
            let Some(json) = document.raw(row.name) else {
                continue;
            };
            let Ok(value) = row.kind.read(json) else {
                document.fault(FaultKind::Invalid, row.name, row.kind.allowed());
                continue;
            };
            let is_new = value.as_ref() != base.0.get(row.name);
            let requires = value.as_ref().is_some_and(|value| row.requires(value));
            if !row.is_evaluated && is_new && requires {
                document.not_evaluated(row.name, &row.kind.default().to_string());
            }
            match value {
                Some(value) => after.0.insert(row.name, value),
                None => after.0.remove(row.name),
            };
        }
        if after.device_rules().contradict() {
            let allowed = "a version that is not above osMaximumVersion";
            document.fault(FaultKind::Invalid, Setting::OsMinimum.name(), allowed);
        }
        after
    }

    /// The names of those that require something and are not evaluated.
    pub(super) fn not_evaluated(&self, subclass: Subclass) -> impl Iterator<Item = &'static str> {
        let requires = |row: &&Requirement| {
            let value = self.0.get(row.name);
            !row.is_evaluated && value.is_some_and(|value| row.requires(value))
        };
        tables::of(subclass)
            .iter()
            .filter(requires)
            .map(|row| row.name)
    }

    /// What devices are evaluated by.
    pub(crate) fn device_rules(&self) -> DeviceRules {
        let none = DeviceRules::default();
        DeviceRules {
            os_minimum: self.version(Setting::OsMinimum).unwrap_or(none.os_minimum),
            os_maximum: self.version(Setting::OsMaximum).unwrap_or(none.os_maximum),
            blocks_jailbroken: self.0.contains_key(Setting::Jailbroken.name()),
            requires_encryption: self.0.contains_key(Setting::Encryption.name()),
        }
    }

    /// A version, packed. Parts that are not named are 0.
    fn version(&self, setting: Setting) -> Option<u64> {
        let Some(Required::Text(text)) = self.0.get(setting.name()) else {
            return None;
        };
        let mut parts = [0; 4];
        for (part, text) in parts.iter_mut().zip(text.split('.')) {
            *part = text.parse().ok()?;
        }
        Some(Inventory::pack_version(parts))
    }

    /// Adds all properties of the subclass to a document.
    pub(super) fn show(&self, subclass: Subclass, into: &mut Properties) {
        for row in tables::of(subclass) {
            let value = self.0.get(row.name);
            let json = value.map_or_else(|| row.kind.default(), Required::show);
            into.insert(row.name.to_owned(), json);
        }
    }

    /// The JSON Schema of each property of the subclass.
    pub(super) fn json_schemas(subclass: Subclass) -> Properties {
        let rows = tables::of(subclass).iter();
        rows.map(|row| (row.name.to_owned(), row.kind.json_schema()))
            .collect()
    }

    pub(super) fn put(&self, into: &mut Vec<u8>) {
        let count = u8::try_from(self.0.len()).expect("the tables are shorter");
        count.put(into);
        for (name, value) in &self.0 {
            put_text(name, into);
            match value {
                Required::True => (),
                Required::Number(number) => number.put(into),
                Required::Text(text) | Required::Json(text) => put_text(text, into),
            }
        }
    }

    pub(super) fn take(subclass: Subclass, from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let mut values = BTreeMap::new();
        for _ in 0..u8::take(from)? {
            let name = from.text()?;
            let mut rows = tables::of(subclass).iter();
            let row = rows.find(|row| row.name == name);
            let row = row.ok_or(EntryError::Invalid("requirement"))?;
            if values
                .last_key_value()
                .is_some_and(|(last, _)| *last >= row.name)
            {
                return Err(EntryError::Invalid("order of requirements"));
            }
            values.insert(row.name, row.kind.take(from)?);
        }
        Ok(Self(values))
    }
}

impl Kind {
    fn default(self) -> Json {
        match self {
            Self::Flag => false.into(),
            Self::Choice(names) => names[0].into(),
            Self::List => json!([]),
            Self::Number | Self::Version | Self::Text | Self::Object => Json::Null,
        }
    }

    fn allowed(self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Number => "a whole number, or null".to_owned(),
            Self::Version => {
                "one to four numbers up to 65535 with dots between them, or null".to_owned()
            }
            Self::Text => format!("a text of at most {REQUIREMENT_TEXT_MAX} characters, or null"),
            Self::Choice(names) => names.join(", "),
            Self::List => format!("a list of at most {REQUIREMENT_JSON_BYTES_MAX} bytes"),
            Self::Object => {
                format!("an object of at most {REQUIREMENT_JSON_BYTES_MAX} bytes, or null")
            }
        }
    }

    fn json_schema(self) -> Json {
        match self {
            Self::Flag => json!({ "type": ["boolean", "null"] }),
            Self::Number => {
                json!({ "type": ["integer", "null"], "minimum": 0, "maximum": i32::MAX })
            }
            Self::Version => json!({ "type": ["string", "null"], "pattern": VERSION_PATTERN }),
            Self::Text => json!({ "type": ["string", "null"], "maxLength": REQUIREMENT_TEXT_MAX }),
            Self::Choice(names) => {
                let names = names.iter().map(|name| Json::from(*name));
                json!({ "enum": names.chain([Json::Null]).collect::<Vec<_>>() })
            }
            Self::List => json!({ "type": ["array", "null"] }),
            Self::Object => json!({ "type": ["object", "null"] }),
        }
    }

    /// The value, or `None` for the default.
    fn read(self, json: &Json) -> Result<Option<Required>, ()> {
        if json.is_null() || *json == self.default() {
            return Ok(None);
        }
        let found = match self {
            Self::Flag => (*json == true).then_some(Required::True),
            Self::Number => whole_number(json).and_then(number),
            // As scripts send what is not set.
            Self::Version | Self::Text if json == "" => return Ok(None),
            Self::Version => json.as_str().filter(|text| is_version(text)).map(text),
            Self::Text => json.as_str().filter(|text| fits(text)).map(text),
            Self::Choice(names) => {
                let sent = json.as_str().unwrap_or_default();
                let found = names.iter().find(|name| name.eq_ignore_ascii_case(sent));
                if found == names.first() {
                    return Ok(None);
                }
                found.map(|name| text(name))
            }
            Self::List => json.is_array().then(|| bounded(json)).flatten(),
            Self::Object => json.is_object().then(|| bounded(json)).flatten(),
        };
        found.map(Some).ok_or(())
    }

    /// Reads a stored value, with the checks of [`Kind::read`].
    fn take(self, from: &mut Reader<'_>) -> Result<Required, EntryError> {
        let invalid = EntryError::Invalid("requirement");
        match self {
            Self::Flag => Ok(Required::True),
            Self::Number => number(u32::take(from)?).ok_or(invalid),
            Self::Version | Self::Text | Self::Choice(_) => {
                let stored = from.text()?;
                let read = self.read(&stored.into());
                let value = read.ok().flatten().ok_or(invalid.clone())?;
                // A choice has one spelling.
                if value == text(stored) {
                    Ok(value)
                } else {
                    Err(invalid)
                }
            }
            Self::List | Self::Object => {
                let stored = from.text()?;
                let json: Json = serde_json::from_str(stored).map_err(|_| invalid.clone())?;
                let is_list = matches!(self, Self::List);
                let is_value = if is_list {
                    json.is_array()
                } else {
                    json.is_object()
                };
                let fits = is_value
                    && json != self.default()
                    && stored.len() <= REQUIREMENT_JSON_BYTES_MAX;
                fits.then(|| Required::Json(stored.into())).ok_or(invalid)
            }
        }
    }
}

impl Requirement {
    /// Whether a device could fail this value.
    fn requires(&self, value: &Required) -> bool {
        match (self.kind, value) {
            (_, Required::Number(number)) => *number > 0,
            (Kind::Choice(_), Required::Text(text)) => !NOTHING.contains(&&**text),
            _ => true,
        }
    }
}

impl Required {
    fn show(&self) -> Json {
        match self {
            Self::True => true.into(),
            Self::Number(number) => (*number).into(),
            Self::Text(text) => (**text).into(),
            Self::Json(text) => serde_json::from_str(text).unwrap_or_default(),
        }
    }
}

/// A number in Graph is a signed one of 32 bits.
fn number(number: u32) -> Option<Required> {
    let number = i32::try_from(number).ok()?;
    Some(Required::Number(number.unsigned_abs()))
}

fn text(text: &str) -> Required {
    Required::Text(text.into())
}

fn fits(text: &str) -> bool {
    text.len() <= 4 * REQUIREMENT_TEXT_MAX && text.chars().count() <= REQUIREMENT_TEXT_MAX
}

/// A part has no sign and no more digits than it needs, so that a version has one spelling.
pub(super) fn is_version(text: &str) -> bool {
    let part = |part: &str| {
        part.parse::<u16>()
            .is_ok_and(|number| number.to_string() == part)
    };
    text.split('.').count() <= 4 && text.split('.').all(part)
}

fn bounded(json: &Json) -> Option<Required> {
    let text = json.to_string();
    (text.len() <= REQUIREMENT_JSON_BYTES_MAX).then(|| Required::Json(text.into()))
}

#[cfg(test)]
mod tests;
