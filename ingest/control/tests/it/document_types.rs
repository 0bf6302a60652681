//! The JSON Schemas of documents say what is decided.

use muster_control::{DEFENDER, DocumentType, Key, ScopeTagId, Subclass};
use serde_json::{Value, json};

use crate::support::*;

/// Every type with the key of an object of it.
fn types() -> Vec<(DocumentType, Key)> {
    let mut types = vec![
        (DocumentType::Settings, Key::Settings),
        (DocumentType::Connector, Key::Connector(DEFENDER)),
        (DocumentType::Group, Key::Group(id(1))),
        (
            DocumentType::Device,
            Key::Device("00112233-4455-6677-8899-aabbccddeeff".parse().unwrap()),
        ),
        (DocumentType::Filter, Key::Filter(id(2))),
        (DocumentType::ScopeTag, Key::ScopeTag(ScopeTagId(1))),
        (DocumentType::RoleDefinition, Key::RoleDefinition(id(3))),
        (DocumentType::RoleAssignment, Key::RoleAssignment(id(4))),
        (DocumentType::User, Key::User(id(6))),
    ];
    let policies = Subclass::ALL.iter().copied();
    types.extend(policies.map(|subclass| (DocumentType::Policy(subclass), Key::Policy(id(5)))));
    types
}

/// The least that creates an object.
fn least(of: DocumentType) -> Value {
    let mut document = match of {
        DocumentType::Group => group("x"),
        DocumentType::Policy(_) => ios("x"),
        DocumentType::Filter => {
            json!({ "displayName": "x", "platform": "iOS", "rule": "device.model -eq \"x\"" })
        }
        DocumentType::ScopeTag | DocumentType::RoleDefinition => json!({ "displayName": "x" }),
        DocumentType::RoleAssignment => json!({
            "displayName": "x",
            "members": [],
            "roleDefinition@odata.bind": "https://x/roleDefinitions/0bd113fe-6be5-400c-a28f-ae5553f9c0be",
        }),
        DocumentType::User => {
            json!({ "displayName": "x", "userPrincipalName": "x@example.org" })
        }
        DocumentType::Settings | DocumentType::Connector | DocumentType::Device => json!({}),
    };
    document["@odata.type"] = format!("#microsoft.graph.{}", of.name()).into();
    document
}

#[test]
fn a_document_without_a_required_property_is_refused_and_with_all_of_them_accepted() {
    let plane = plane();
    for (of, key) in types() {
        let schema = of.created();
        assert_eq!(
            schema.get("required").is_none(),
            of.required().is_empty(),
            "{of:?}"
        );
        if key.is_built_in() {
            assert!(of.required().is_empty(), "{of:?} always exists");
            continue;
        }
        let whole = least(of);
        let change = creation(key, whole.clone());
        plane
            .decide(&command(change))
            .unwrap_or_else(|refusal| panic!("{of:?}: {refusal}"));
        for name in of.required() {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(*name);
            let faults = faults_of(&plane, creation(key, part));
            assert_eq!(faults, [*name], "{of:?}");
        }
    }
}

#[test]
fn every_property_of_a_schema_is_known_and_no_other() {
    for (of, key) in types() {
        let mut plane = plane();
        if !key.is_built_in() {
            create(&mut plane, key, least(of));
        }
        let schema = of.changed();
        // A group has another form of change: that of its members.
        let schema = schema.get("anyOf").map_or(&schema, |all| &all[0]);
        for (name, of_property) in schema["properties"].as_object().unwrap() {
            let sent = json!({ name: ["no", "property", "has", "this"] });
            let refused = plane.decide(&command(patch(key, sent.clone())));
            // Only what is ignored has no type.
            let is_ignored = of_property.as_object().unwrap().is_empty();
            if is_ignored && !name.contains("scheduledActions") && name != "assignments" {
                assert!(
                    matches!(refused, Err(muster_control::Refusal::Unchanged) | Ok(_)),
                    "{of:?} {name}: {refused:?}"
                );
            } else {
                let faults = faults_of(&plane, patch(key, sent));
                assert_eq!(
                    faults[0].split(['[', '.']).next(),
                    name.split(['[', '.']).next(),
                    "{of:?} {faults:?}"
                );
            }
        }
        let faults = faults_of(&plane, patch(key, json!({ "colour": "red" })));
        assert_eq!(faults, ["colour"], "{of:?}");
    }
}

#[test]
fn what_is_shown_has_the_properties_of_the_schema() {
    for (of, key) in types() {
        let mut plane = plane();
        if !key.is_built_in() {
            create(&mut plane, key, least(of));
        }
        let shown = document(&plane, key);
        for name in of.properties().keys() {
            assert!(shown.get(name).is_some(), "{of:?} shows no {name}");
        }
        for name in shown.as_object().unwrap().keys() {
            let is_known = of.changed().to_string().contains(&format!("\"{name}\":"));
            assert!(is_known, "{of:?} has no {name}");
        }
    }
}
