//! A tenant: what operators see of it. Its name is in the certificates of its devices and never changes.
//!
//! The object has no id: its path has its name, and its key is that of the one object of this type in its tenant.

use muster_engine::Timestamp;
use muster_wire::TenantName;
use serde_json::{Value as Json, json};

use crate::bytes::{EntryError, Reader, Stored, put_text};
use crate::document::{Document, Properties};
use crate::fault::FaultKind;
use crate::value::{DisplayName, Value};

const NAME: &str = "name";
const DISPLAY_NAME: &str = "displayName";

impl Stored for TenantName {
    fn put(&self, into: &mut Vec<u8>) {
        put_text(self.as_str(), into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let text = from.text()?;
        text.parse().map_err(|_| EntryError::Invalid("name"))
    }
}

impl Value for TenantName {
    fn allowed() -> String {
        "1 to 63 characters a-z, 0-9 and \"-\", not starting or ending with \"-\"".to_owned()
    }

    fn read(json: &Json) -> Option<Self> {
        json.as_str()?.parse().ok()
    }

    fn show(&self) -> Json {
        self.as_str().into()
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" })
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantObject {
    /// Its name, as in the certificates of its devices and gateways.
    pub name: TenantName,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its name for people; by default the name.
    pub display_name: DisplayName,
}

impl TenantObject {
    /// The properties of a command that creates a tenant with this name.
    #[must_use]
    pub fn properties(name: &TenantName) -> Properties {
        let mut properties = Properties::new();
        properties.insert(NAME.to_owned(), name.as_str().into());
        properties
    }

    /// Creates a tenant from a document; `None` without a valid name, which is noted.
    pub(super) fn created(document: &mut Document<'_>, at: Timestamp) -> Option<Self> {
        document.require::<TenantName>(NAME);
        let name = document.read::<TenantName>(NAME);
        let display_name = document.read(DISPLAY_NAME);
        let name = name?;
        let default = || DisplayName::new(name.as_str()).expect("a name is shorter");
        Some(Self {
            display_name: display_name.unwrap_or_else(default),
            created_at: at,
            name,
        })
    }

    /// The tenant with the properties of a document.
    pub(super) fn changed(&self, document: &mut Document<'_>) -> Self {
        let name = document.read::<TenantName>(NAME);
        if name.is_some_and(|name| name != self.name) {
            document.fault(FaultKind::Unchangeable, NAME, self.name.as_str());
        }
        let display_name = document.read(DISPLAY_NAME);
        Self {
            display_name: display_name.unwrap_or_else(|| self.display_name.clone()),
            ..self.clone()
        }
    }

    pub(super) fn show(&self, into: &mut Properties) {
        into.insert(NAME.to_owned(), self.name.show());
        into.insert(DISPLAY_NAME.to_owned(), self.display_name.show());
    }
}

impl Stored for TenantObject {
    fn put(&self, into: &mut Vec<u8>) {
        self.name.put(into);
        self.created_at.put(into);
        self.display_name.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            name: Stored::take(from)?,
            created_at: Stored::take(from)?,
            display_name: Stored::take(from)?,
        })
    }
}
