//! What the server computes about a connector (R1).

use serde_json::{Map, Value};

use crate::times::NEVER;

/// Adds the state of the partner. Heartbeats of partners do not exist yet, so a connector that is set up is `available`
/// until one of its platforms is on, and then `enabled`.
pub(super) fn add_state(document: &mut Map<String, Value>) {
    let is_on = |name: &&str| document.get(*name) == Some(&Value::Bool(true));
    let platforms = [
        "androidEnabled",
        "iosEnabled",
        "windowsEnabled",
        "macEnabled",
    ];
    let is_enabled = platforms.iter().any(is_on);
    let state = if is_enabled { "enabled" } else { "available" };
    document.insert("partnerState".to_owned(), state.into());
    document.insert("lastHeartbeatDateTime".to_owned(), NEVER.into());
}
