//! A group of devices (`group`). Its members are kept separately, because there may be a million.

use crate::document::{Document, properties};
use crate::value::{Description, DisplayName};

properties! {
    /// A group of devices, without its members.
    Group {
        /// Its name.
        display_name: DisplayName = "displayName", DisplayName::new("unnamed").expect("its length is allowed");
        /// Its description.
        description: Description = "description", Description::default();
    }
}

impl Group {
    /// Creates a group from a document, which must have a name.
    pub(super) fn created(document: &mut Document<'_>) -> Self {
        document.require::<DisplayName>("displayName");
        Self::read(&Self::default(), document)
    }

    /// The built-in group of all devices.
    pub(crate) fn all_devices() -> Self {
        Self {
            display_name: DisplayName::new("All devices").expect("its length is allowed"),
            description: Description::default(),
        }
    }
}
