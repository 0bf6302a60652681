//! Tests of the query options, and what they share: a schema with every kind of property, and a document.

mod filter;
mod options;
mod oracle;
mod orderby;
mod print;
mod random;
mod search;
mod select;
mod token;

use serde_json::{Value as Document, json};

use super::{Kind, Members, Property, Schema};

static STATES: Members = Members::numbered(
    &[
        "unknown",
        "compliant",
        "noncompliant",
        "conflict",
        "error",
        "inGracePeriod",
        "configManager",
    ],
    &[0, 1, 2, 3, 4, 254, 255],
);
static AGENTS: Members = Members::new(&["eas", "mdm", "easMdm", "configurationManagerClientMdm"]);
static TECHNOLOGIES: Members =
    Members::new(&["none", "mdm", "windows10XManagement", "microsoftSense"]);

static ACTOR: Schema = Schema {
    name: "microsoft.graph.auditActor",
    properties: &[
        Property::new("userPrincipalName", Kind::Text).filterable(),
        Property::new("isAdmin", Kind::Boolean).filterable(),
    ],
    subtypes: &[],
};
static CHANGE: Schema = Schema {
    name: "microsoft.graph.auditProperty",
    properties: &[Property::new("displayName", Kind::Text).filterable()],
    subtypes: &[],
};
static RESOURCE: Schema = Schema {
    name: "microsoft.graph.auditResource",
    properties: &[
        Property::new("resourceId", Kind::Text).filterable(),
        Property::new("size", Kind::Int).filterable(),
        Property::new("changes", Kind::Collection(&Kind::Complex(&CHANGE))).filterable(),
    ],
    subtypes: &[],
};

/// The indices of properties that tests name.
const ID: usize = 0;
const NAME: usize = 1;
const STATE: usize = 3;
const ENCRYPTED: usize = 6;

/// A type with every kind of property.
static DEVICE: Schema = Schema {
    name: "microsoft.graph.managedDevice",
    properties: &[
        Property::new("id", Kind::Text).filterable().orderable(),
        Property::new("deviceName", Kind::Text)
            .filterable()
            .orderable()
            .searchable(),
        Property::new("serialNumber", Kind::Text)
            .filterable()
            .orderable()
            .searchable(),
        Property::new("complianceState", Kind::Enum(&STATES))
            .filterable()
            .orderable(),
        Property::new("managementAgent", Kind::Enum(&AGENTS)).filterable(),
        Property::new("technologies", Kind::Flags(&TECHNOLOGIES))
            .filterable()
            .orderable(),
        Property::new("isEncrypted", Kind::Boolean)
            .filterable()
            .orderable(),
        Property::new("lastSyncDateTime", Kind::Date)
            .filterable()
            .orderable(),
        Property::new("totalStorageSpaceInBytes", Kind::Int)
            .filterable()
            .orderable(),
        Property::new("roleScopeTagIds", Kind::Collection(&Kind::Text)).filterable(),
        Property::new("actor", Kind::Complex(&ACTOR)).filterable(),
        Property::new("resources", Kind::Collection(&Kind::Complex(&RESOURCE))).filterable(),
        Property::new("notes", Kind::Text),
    ],
    subtypes: &[
        (
            "microsoft.graph.mobileDevice",
            "microsoft.graph.managedDevice",
        ),
        ("microsoft.graph.iosDevice", "microsoft.graph.mobileDevice"),
        (
            "microsoft.graph.windowsDevice",
            "microsoft.graph.managedDevice",
        ),
    ],
};

/// A device with a value for every property.
fn device() -> Document {
    json!({
        "@odata.type": "#microsoft.graph.iosDevice",
        "id": "3f1c2a90-6b7e-4d57-9d06-2a4f0f3a9b11",
        "deviceName": "FIN-LAP-0142",
        "serialNumber": null,
        "complianceState": "noncompliant",
        "managementAgent": "easMdm",
        "technologies": "mdm,microsoftSense",
        "isEncrypted": true,
        "lastSyncDateTime": "2026-11-30T08:10:12Z",
        "totalStorageSpaceInBytes": 511_101_108_224_i64,
        "roleScopeTagIds": ["0", "Blue"],
        "actor": { "userPrincipalName": "Ada@example.test", "isAdmin": false },
        "resources": [
            { "resourceId": "x", "size": 3, "changes": [] },
            { "resourceId": "y", "size": 5, "changes": [{ "displayName": "androidEnabled" }] },
        ],
        "notes": "spare",
    })
}
