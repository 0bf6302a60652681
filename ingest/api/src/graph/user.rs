//! A user by the principal name: the id, which follows from the name, and the document.
//!
//! So a user whom only devices name has an id, the same over restarts and on every machine, and keeps it when operators
//! add what they know about the user. Pure.

use aws_lc_rs::digest;
use muster_control::{ControlPlane, Key, Object, ObjectId, User};
use muster_engine::TenantIndex;
use serde_json::{Map, Value as Json};

use crate::backend::Device;

/// Sets these ids apart from whatever else is derived from the same texts.
const DOMAIN: &[u8] = b"muster user";

/// The id of the user of a tenant with this principal name, in any case: a UUID of version 8.
pub(super) fn user_id(tenant: TenantIndex, name: &str) -> ObjectId {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(DOMAIN);
    context.update(&tenant.0.to_le_bytes());
    context.update(name.to_lowercase().as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&context.finish().as_ref()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    ObjectId::from_bytes(bytes)
}

/// The user whom a device names, in lower case.
pub(super) fn name_of(device: &Device) -> Option<String> {
    let known = device.inventory.as_ref()?;
    let name = known.user_principal_name.to_lowercase();
    (!name.is_empty()).then_some(name)
}

/// The document of a user of whom only the name is known.
pub(super) fn document_of(tenant: TenantIndex, name: &str) -> Json {
    let key = Key::User(user_id(tenant, name));
    let mut document: Map<String, Json> = Object::User(User::default()).document(key);
    document.insert("displayName".to_owned(), name.into());
    document.insert("userPrincipalName".to_owned(), name.into());
    document.insert("accountEnabled".to_owned(), Json::Null);
    Json::Object(document)
}

/// The document of the user whom a device names, if any, with what operators have stored about the user.
pub(super) fn user_of(device: &Device, control: &ControlPlane) -> Option<Json> {
    let (tenant, name) = (device.record.tenant, name_of(device)?);
    let key = Key::User(user_id(tenant, &name));
    Some(match control.object(tenant, key) {
        Some((user, _)) => Json::Object(user.document(key)),
        None => document_of(tenant, &name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts keep these ids.
    #[test]
    fn the_id_of_a_user_never_changes() {
        let id = user_id(TenantIndex(7), "Ada@Example.org");
        assert_eq!(id.to_string(), "b1fafcbd-ff63-8888-b07e-60738e658162");
        assert_eq!(user_id(TenantIndex(7), "ada@example.org"), id);
        assert_ne!(user_id(TenantIndex(8), "ada@example.org"), id);
    }
}
