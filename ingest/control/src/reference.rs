//! References of a document to devices, for the members of a group: URLs that end in the id of a device, as in Graph.

use muster_wire::DeviceId;
use serde_json::Value as Json;

use crate::document::{Document, Handling, Properties, REFERENCE, url_tail};
use crate::fault::{FaultKind, Faults};
use crate::limits::MEMBERS_PER_COMMAND_MAX;
use crate::object::COMPUTED;

/// The property with the devices that become members of a group.
pub(crate) const MEMBERS: &str = "members@odata.bind";

const ALLOWED: &str = "a URL that ends in the id of a device";

/// The device in a document that is one reference.
///
/// # Errors
/// All faults of the document.
pub fn reference(properties: &Properties) -> Result<DeviceId, Faults> {
    let mut document = Document::new(properties, &[], Handling::Strict);
    let found = document.raw(REFERENCE);
    let found = match found {
        None => {
            document.fault(FaultKind::Missing, REFERENCE, ALLOWED);
            None
        }
        Some(json) => {
            let device = device(json);
            if device.is_none() {
                document.fault(FaultKind::Invalid, REFERENCE, ALLOWED);
            }
            device
        }
    };
    let faults = document.finish();
    found.filter(|_| faults.is_empty()).ok_or(faults)
}

/// The devices that a document adds to a group, each with its place in the list, and the faults of the document. A
/// document that adds members changes no property.
pub(crate) fn members(properties: &Properties) -> (Vec<(DeviceId, usize)>, Faults) {
    let mut document = Document::new(properties, COMPUTED, Handling::Strict);
    let list = document.raw(MEMBERS).and_then(Json::as_array);
    let length = list.map_or(0, Vec::len);
    let mut members = Vec::new();
    if !(1..=MEMBERS_PER_COMMAND_MAX).contains(&length) {
        let allowed = format!("a list of 1 to {MEMBERS_PER_COMMAND_MAX} URLs");
        document.fault(FaultKind::Invalid, MEMBERS, allowed);
        return (members, document.finish());
    }
    for (index, json) in list.into_iter().flatten().enumerate() {
        match device(json) {
            Some(device) => members.push((device, index)),
            None => document.fault(FaultKind::Invalid, &format!("{MEMBERS}[{index}]"), ALLOWED),
        }
    }
    (members, document.finish())
}

/// The device at the end of a URL.
fn device(json: &Json) -> Option<DeviceId> {
    let id = url_tail(json)?.parse().ok();
    id.filter(|id: &DeviceId| !id.is_zero())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "00112233-4455-6677-8899-aabbccddeeff";

    #[test]
    fn a_reference_is_a_url_that_ends_in_an_id() {
        for url in [
            ID.to_owned(),
            ID.to_uppercase(),
            format!("https://graph.microsoft.com/v1.0/directoryObjects/{ID}"),
            format!("http://127.0.0.1:7441/devices/contoso/{ID}"),
            format!("https://example.org/v1.0/devices('{ID}')"),
        ] {
            assert_eq!(device(&json!(url)), ID.parse().ok(), "{url}");
        }
        let zero = ID.replace(|character| character != '-', "0");
        for url in [
            String::new(),
            format!("{ID}/"),
            format!("{ID}?x=1"),
            format!("x{ID}"),
            zero,
        ] {
            assert_eq!(device(&json!(url)), None, "{url}");
        }
        assert_eq!(device(&json!(7)), None);
    }

    #[test]
    fn a_document_with_a_reference_has_nothing_else() {
        let read = |json: Json| reference(json.as_object().unwrap());
        let targets = |faults: &Faults| -> Vec<_> {
            let faults = faults.listed().iter();
            faults
                .map(|fault| (fault.target.clone(), fault.kind))
                .collect()
        };
        assert_eq!(read(json!({ REFERENCE: ID })), Ok(ID.parse().unwrap()));
        let faults = read(json!({ "id": ID })).unwrap_err();
        let expected = [
            (REFERENCE.to_owned(), FaultKind::Missing),
            ("id".to_owned(), FaultKind::UnknownProperty),
        ];
        assert_eq!(targets(&faults), expected);
        let faults = read(json!({ REFERENCE: "x", MEMBERS: [ID] })).unwrap_err();
        let expected = [
            (REFERENCE.to_owned(), FaultKind::Invalid),
            (MEMBERS.to_owned(), FaultKind::UnknownProperty),
        ];
        assert_eq!(targets(&faults), expected);
    }
}
