//! A scope tag (`roleScopeTag`), and the tags that an object has: operators see an object if they share a tag with it.
//!
//! The id of a tag is a small number, assigned in order and never reused. Tag 0, the default, is built in. A tag is
//! assigned to groups, whose devices have it. Who sees what is decided in `authorization.rs`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde_json::{Value as Json, json};

use super::assignments::{ASSIGNMENTS, Assignments, Target};
use crate::bytes::{EntryError, Reader, Stored};
use crate::document::{Document, Properties, properties};
use crate::fault::FaultKind;
use crate::id::ObjectId;
use crate::limits::TAGS_OF_OBJECT_MAX;
use crate::value::{Description, DisplayName, Value};

/// The id of a scope tag, a decimal number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeTagId(pub u32);

/// The text is not the id of a scope tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a scope tag is a whole number")]
pub struct ScopeTagIdError;

impl ScopeTagId {
    /// The built-in tag, which objects have that are given none.
    pub const DEFAULT: Self = Self(0);
}

impl fmt::Display for ScopeTagId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl FromStr for ScopeTagId {
    type Err = ScopeTagIdError;

    /// One text for each number: no sign, no leading zero.
    fn from_str(text: &str) -> Result<Self, ScopeTagIdError> {
        let number: u32 = text.parse().map_err(|_| ScopeTagIdError)?;
        (number.to_string() == text)
            .then_some(Self(number))
            .ok_or(ScopeTagIdError)
    }
}

impl Stored for ScopeTagId {
    fn put(&self, into: &mut Vec<u8>) {
        self.0.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        u32::take(from).map(Self)
    }
}

/// The tags of an object; always at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeTags(BTreeSet<ScopeTagId>);

impl ScopeTags {
    /// The tags, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ScopeTagId> + '_ {
        self.0.iter().copied()
    }

    /// These tags; `None` if there are none or too many.
    #[must_use]
    pub fn new(tags: BTreeSet<ScopeTagId>) -> Option<Self> {
        (1..=TAGS_OF_OBJECT_MAX)
            .contains(&tags.len())
            .then_some(Self(tags))
    }
}

impl Default for ScopeTags {
    fn default() -> Self {
        Self(BTreeSet::from([ScopeTagId::DEFAULT]))
    }
}

impl Value for ScopeTags {
    fn allowed() -> String {
        format!("a list of at most {TAGS_OF_OBJECT_MAX} ids of scope tags, as texts")
    }

    /// Without a tag, an object has the default one.
    fn read(json: &Json) -> Option<Self> {
        if json.is_null() {
            return Some(Self::default());
        }
        let tags = json
            .as_array()?
            .iter()
            .map(|tag| tag.as_str()?.parse().ok());
        let tags: BTreeSet<_> = tags.collect::<Option<_>>()?;
        if tags.is_empty() {
            Some(Self::default())
        } else {
            Self::new(tags)
        }
    }

    fn show(&self) -> Json {
        self.iter().map(|tag| tag.to_string()).collect()
    }

    fn json_schema() -> Json {
        let items = json!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,9})$" });
        json!({ "type": ["array", "null"], "items": items, "maxItems": TAGS_OF_OBJECT_MAX })
    }
}

impl Stored for ScopeTags {
    fn put(&self, into: &mut Vec<u8>) {
        (self.0.len() as u8).put(into);
        self.0.iter().for_each(|tag| tag.put(into));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let mut tags = BTreeSet::new();
        for _ in 0..u8::take(from)? {
            let tag = ScopeTagId::take(from)?;
            if tags.last().is_some_and(|last| *last >= tag) {
                return Err(EntryError::Invalid("order of scope tags"));
            }
            tags.insert(tag);
        }
        Self::new(tags).ok_or(EntryError::Invalid("number of scope tags"))
    }
}

properties! {
    /// What operators set on a scope tag.
    ScopeTagProperties {
        /// Its name.
        display_name: DisplayName = "displayName", DisplayName::new("unnamed").expect("its length is allowed");
        /// Its description.
        description: Description = "description", Description::default();
    }
}

/// A scope tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeTag {
    /// What operators set on it.
    pub properties: ScopeTagProperties,
    /// The groups whose devices have it.
    pub(super) assignments: Assignments,
}

impl ScopeTag {
    /// The built-in tag.
    pub(crate) fn built_in() -> Self {
        Self {
            properties: ScopeTagProperties {
                display_name: DisplayName::new("Default").expect("its length is allowed"),
                description: Description::default(),
            },
            assignments: Assignments::default(),
        }
    }

    /// The groups whose devices have it.
    pub fn groups(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.assignments.groups()
    }

    /// Its assignments, as Graph shows them for the tag with this id.
    #[must_use]
    pub fn assignments_document(&self, id: ScopeTagId) -> Json {
        self.assignments.show(id)
    }

    /// The tag with the assignments of a document, which may be to groups only.
    pub(super) fn assigned(&self, document: &mut Document<'_>) -> Option<Self> {
        if document.raw(ASSIGNMENTS).is_none() {
            document.fault(FaultKind::Missing, ASSIGNMENTS, "a list of assignments");
        }
        let assignments = Assignments::read(&self.assignments, document)?;
        let is_group = |target: (&Target, _)| matches!(target, (Target::Included(_), None));
        if !assignments.list().all(is_group) {
            let allowed = "groups that are included, without filters";
            document.fault(FaultKind::Invalid, ASSIGNMENTS, allowed);
        }
        Some(Self {
            properties: self.properties.clone(),
            assignments,
        })
    }

    /// The tag with the properties of a document, or a new one.
    pub(super) fn written(base: Option<&Self>, keeps: bool, document: &mut Document<'_>) -> Self {
        let properties = match base {
            Some(base) if keeps => ScopeTagProperties::read(&base.properties, document),
            _ => {
                document.require::<DisplayName>("displayName");
                ScopeTagProperties::read(&ScopeTagProperties::default(), document)
            }
        };
        Self {
            properties,
            assignments: base
                .map(|base| base.assignments.clone())
                .unwrap_or_default(),
        }
    }

    pub(super) fn show_with(&self, is_built_in: bool, into: &mut Properties) {
        self.properties.show(into);
        into.insert("isBuiltIn".to_owned(), is_built_in.into());
    }

    /// Adds what [`ScopeTag::show_with`] does not.
    pub(super) fn show_separate(&self, id: &str, into: &mut Properties) {
        into.insert(ASSIGNMENTS.to_owned(), self.assignments.show(id));
    }
}

impl Stored for ScopeTag {
    fn put(&self, into: &mut Vec<u8>) {
        self.properties.put(into);
        self.assignments.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            properties: Stored::take(from)?,
            assignments: Stored::take(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_has_at_least_one_tag() {
        let tags = |ids: &[u32]| ScopeTags::new(ids.iter().copied().map(ScopeTagId).collect());
        for (json, expected) in [
            (json!(null), tags(&[0])),
            (json!([]), tags(&[0])),
            (json!(["7", "0", "7"]), tags(&[0, 7])),
            (json!([7]), None),
            (json!(["07"]), None),
            (json!(["+7"]), None),
            (json!(["4294967296"]), None),
            (json!("0"), None),
        ] {
            assert_eq!(ScopeTags::read(&json), expected, "{json}");
        }
        let many: BTreeSet<_> = (0..=TAGS_OF_OBJECT_MAX as u32).map(ScopeTagId).collect();
        assert_eq!(ScopeTags::new(many), None);
        let stored = tags(&[0, 7]).unwrap();
        let mut bytes = Vec::new();
        stored.put(&mut bytes);
        assert_eq!(ScopeTags::take(&mut Reader::new(&bytes)), Ok(stored));
        bytes.swap(1, 5);
        assert!(
            ScopeTags::take(&mut Reader::new(&bytes)).is_err(),
            "descending"
        );
    }
}
