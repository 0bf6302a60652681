//! Tells whether a document asks for something that an object is not.

use serde_json::Value;

/// The annotation that says which type a value has.
const TYPE: &str = "@odata.type";

/// Whether what was sent differs from what is: properties that were not sent do not matter, nor do ids of parts and
/// annotations other than types and references.
pub(super) fn differs(sent: &Value, current: Option<&Value>) -> bool {
    match (sent, current) {
        (Value::Null, None | Some(Value::Null)) => false,
        (Value::Object(sent), Some(Value::Object(current))) => sent.iter().any(|(name, value)| {
            let is_of_type = name == TYPE;
            if !is_of_type && is_ignored(name) {
                return false;
            }
            match (is_of_type, value, current.get(name)) {
                (true, Value::String(sent), Some(Value::String(current))) => {
                    let bare = |name: &str| name.trim_start_matches('#').to_lowercase();
                    bare(sent) != bare(current)
                }
                // A document need not repeat the type of the object.
                (true, _, None) => false,
                (_, value, current) => differs(value, current),
            }
        }),
        (Value::Array(sent), Some(Value::Array(current))) => {
            sent.len() != current.len()
                || sent
                    .iter()
                    .zip(current)
                    .any(|(sent, current)| differs(sent, Some(current)))
        }
        (sent, Some(current)) => sent != current,
        (_, None) => true,
    }
}

fn is_ignored(name: &str) -> bool {
    // A reference (`x@odata.bind`) says what an object shall refer to.
    let is_reference = name.ends_with("@odata.bind");
    name == "id" || (name.contains('@') && !is_reference)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::differs;

    #[test]
    fn only_what_was_sent_and_is_not_so_differs() {
        let current = json!({"@odata.type": "#microsoft.graph.group", "displayName": "a", "description": null,
            "list": [{"id": "1", "target": {"@odata.type": "#microsoft.graph.x"}, "more": 1}]});
        for same in [
            json!({}),
            json!({"displayName": "a", "description": null, "absent": null, "id": "other"}),
            json!({"@odata.type": "microsoft.graph.Group", "@odata.context": "..."}),
            json!({"list": [{"id": "2", "target": {"@odata.type": "#microsoft.graph.x"}}]}),
        ] {
            assert!(!differs(&same, Some(&current)), "{same}");
        }
        for other in [
            json!({"displayName": "b"}),
            json!({"description": "x"}),
            json!({"absent": 1}),
            json!({"list": []}),
            json!({"list": [{"target": {"@odata.type": "#microsoft.graph.y"}}]}),
            json!({"role@odata.bind": "https://a/1"}),
            json!({"@odata.type": "#microsoft.graph.device"}),
        ] {
            assert!(differs(&other, Some(&current)), "{other}");
        }
    }
}
