//! Random commands of two tenants, against a slow and obvious model that shares nothing with the crate except its
//! types.
//!
//! After every command the outcome, all objects, members and compiled policies equal those of the model. At the end the
//! decoded entries rebuild the same state.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod oracle;

use commands::{TENANTS, command, creation, groups, keys};
use muster_control::{ControlPlane, Entry, History, Key, Object, Properties, Scope, compile};
use oracle::{Oracle, Outcome, requirements};
use proptest::prelude::*;
use serde_json::json;

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_control_plane_does_what_the_model_does(commands in prop::collection::vec(command(), 0..100)) {
        let mut plane = ControlPlane::default();
        let mut oracle = Oracle::default();
        let mut log: Vec<Entry> = Vec::new();
        let tenants = ["t-0", "t-1"].map(creation);
        let commands: Vec<_> = tenants.into_iter().chain(commands).collect();
        for command in &commands {
            let before = plane.clone();
            let decided = plane.decide(command);
            prop_assert_eq!(Outcome::of(&decided), oracle.carry_out(command), "{:?}", command);
            prop_assert_eq!(&plane, &before, "a decision changes nothing");
            if let Ok(entry) = decided {
                plane.apply(&entry).unwrap();
                prop_assert!(plane.apply(&entry).is_err(), "an entry applies once");
                log.push(entry);
            }
            check(&plane, &oracle)?;
        }
        replays(&plane, &log)?;
        histories_match(&oracle, &log)?;
    }
}

/// Compares everything that the state shows.
fn check(plane: &ControlPlane, oracle: &Oracle) -> Result<(), TestCaseError> {
    let names = plane
        .tenants()
        .map(|(index, tenant)| (index, tenant.name.to_string()));
    prop_assert_eq!(names.collect::<Vec<_>>(), oracle.tenants());
    for tenant in TENANTS {
        for key in keys().into_iter().chain([Key::Tenant]) {
            let found = plane.object(tenant, key);
            let found = found.map(|(object, etag)| (whole(key, &object), etag.revision().0));
            prop_assert_eq!(found, oracle.shown(tenant, key), "{:?}", key);
        }
        for group in groups() {
            let members: Vec<_> = plane.members(tenant, group, None).collect();
            prop_assert_eq!(members, oracle.members(tenant, group));
        }
        prop_assert_eq!(compile(plane, tenant), oracle.compiled(tenant));
    }
    Ok(())
}

/// The document of an object with what a request may expand, without requirements that have their default.
fn whole(key: Key, object: &Object) -> Properties {
    let mut document = object.document(key);
    if let (Object::Policy(policy), Some(id)) = (object, key.id()) {
        let names = requirements().map(|(name, ..)| name);
        let defaults = [json!(false), json!(null), json!([])];
        let choices = [
            "deviceDefault",
            "none",
            "unavailable",
            "basic",
            "notConfigured",
        ];
        document.retain(|name, value| {
            let is_default = defaults.contains(value)
                || value.as_str().is_some_and(|text| choices.contains(&text));
            names.contains(&name.as_str()) || name.starts_with("deviceThreat") || !is_default
        });
        document.insert("assignments".into(), policy.assignments_document(id));
        document.insert(
            "scheduledActionsForRule".into(),
            policy.scheduled_actions_document(id),
        );
    }
    if let Object::RoleAssignment(assignment) = object {
        let tags: Vec<_> = object.scope_tags().map(|tag| tag.to_string()).collect();
        document.insert("roleScopeTags".into(), tags.into());
        let definition = assignment.definition.to_string();
        document.insert("roleDefinition".into(), definition.into());
    }
    document
}

fn replays(plane: &ControlPlane, log: &[Entry]) -> Result<(), TestCaseError> {
    let mut again = ControlPlane::default();
    for entry in log {
        let bytes = entry.encode();
        let read = Entry::decode(&bytes).unwrap();
        prop_assert_eq!(&read, entry);
        again.apply(&read).unwrap();
    }
    prop_assert_eq!(&again, plane);
    Ok(())
}

fn histories_match(oracle: &Oracle, log: &[Entry]) -> Result<(), TestCaseError> {
    let mut history = History::default();
    for entry in log {
        history.push(entry);
    }
    for tenant in TENANTS {
        for key in keys() {
            let page = history.page(Scope::Object(tenant, key), None, usize::MAX);
            let found: Vec<u32> = page.revisions.iter().map(|revision| revision.0).collect();
            let expected = oracle.history(tenant, key);
            prop_assert_eq!(history.has(tenant, key), !expected.is_empty());
            prop_assert_eq!(found, expected);
        }
    }
    let settings = |entry: &&Entry| entry.key == Key::Settings;
    for entry in log.iter().filter(settings) {
        prop_assert!(!entry.modified_properties().is_empty());
    }
    Ok(())
}
