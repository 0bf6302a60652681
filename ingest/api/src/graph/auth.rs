//! Who sends a request, and what they may do.
//!
//! The identity comes from the token alone, never from a body or a path; `identity.rs` has those of issuers. A token of
//! Muster is random and its hash is looked up, so the time of a lookup says nothing about other tokens. Denied by
//! default: a handler states the action that it carries out ([`Principal::require`]). What a principal may do, and to
//! which objects and devices, is decided by its rights, which follow from roles, assignments and groups as of the
//! request.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use muster_control::{Action, Actor, ControlPlane, Key, Object, ObjectId, Rights, Token};
use muster_engine::{TenantIndex, Timestamp};

use super::error::GraphError;
use crate::access_counters::RefusedCause;
use crate::secrets::{SECRET_CHARS, hash_of};

/// Who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Principal {
    /// The tenant, the only one that the principal sees.
    pub(super) tenant: TenantIndex,
    /// The id of its token, or one that only this user has.
    pub(super) id: ObjectId,
    /// Its name in audit events.
    pub(super) actor: Actor,
    /// Where its request comes from, in audit events; known once the request is.
    pub(super) address: Option<IpAddr>,
    /// What it may do.
    pub(super) rights: Rights,
    /// The names of its own roles.
    role_names: Vec<String>,
}

impl Principal {
    /// The holder of a token.
    pub(super) fn of(
        control: &ControlPlane,
        tenant: TenantIndex,
        id: ObjectId,
        token: &Token,
    ) -> Self {
        let name = token.display_name.clone();
        let roles: Vec<_> = token.role.into_iter().collect();
        Self::with(control, tenant, id, Actor::Token { id, name }, &roles)
    }

    /// A principal with these roles for the whole tenant, besides those that are assigned to its groups.
    pub(super) fn with(
        control: &ControlPlane,
        tenant: TenantIndex,
        id: ObjectId,
        actor: Actor,
        roles: &[ObjectId],
    ) -> Self {
        let name_of = |role| match control.object(tenant, Key::RoleDefinition(role)) {
            Some((Object::RoleDefinition(role), _)) => Some(role.display_name.as_str().to_owned()),
            _ => None,
        };
        Self {
            tenant,
            id,
            actor,
            address: None,
            rights: Rights::of(control, tenant, roles.iter().copied(), id),
            role_names: roles.iter().filter_map(|role| name_of(*role)).collect(),
        }
    }

    /// The names of its own roles, or that it has only those that are assigned to its groups.
    pub(super) fn role_name(&self) -> String {
        match &self.role_names[..] {
            [] => "Roles of its groups".to_owned(),
            names => names.join(", "),
        }
    }

    /// Whether a role allows an action.
    pub(super) fn may(&self, action: Action) -> bool {
        self.rights.may(action)
    }

    /// Refuses an action that no role allows.
    pub(super) fn require(&self, action: Action) -> Result<(), GraphError> {
        if self.may(action) {
            Ok(())
        } else {
            Err(GraphError::forbidden(&format!(
                "Microsoft.Intune_{}",
                action.name()
            )))
        }
    }
}

/// Why a request has no principal, for metrics and the log; the response does not tell.
pub(super) fn cause_of(headers: &HeaderMap, control: &ControlPlane) -> RefusedCause {
    let Some(secret) = bearer(headers) else {
        return RefusedCause::TokenMissing;
    };
    let secret = Some(secret).filter(|secret| secret.len() == SECRET_CHARS);
    match secret.and_then(|secret| control.token_with(&hash_of(secret))) {
        Some(_) => RefusedCause::TokenExpired,
        None => RefusedCause::TokenUnknown,
    }
}

/// The holder of the token with this secret, if it is valid.
pub(super) fn holder_of(secret: &str, control: &ControlPlane, now: Timestamp) -> Option<Principal> {
    let secret = Some(secret).filter(|secret| secret.len() == SECRET_CHARS)?;
    let (tenant, id, token) = control.token_with(&hash_of(secret))?;
    if !token.is_valid_at(now) {
        return None;
    }
    Some(Principal::of(control, tenant, id, token))
}

/// The token of the one header `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut found = headers.get_all(AUTHORIZATION).iter();
    let (value, further) = (found.next()?, found.next());
    if further.is_some() {
        return None;
    }
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_bearer_token_counts() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            headers
        };
        assert_eq!(bearer(&headers(&["Bearer x"])), Some("x"));
        assert_eq!(bearer(&headers(&["bearer  x "])), Some("x"));
        for values in [
            &[][..],
            &["Basic x"],
            &["Bearer"],
            &["Bearer x", "Bearer x"],
        ] {
            assert_eq!(bearer(&headers(values)), None, "{values:?}");
        }
    }
}
