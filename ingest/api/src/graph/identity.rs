//! The principal of a request: the holder of a token of Muster, or the user to whom an issuer of OpenID Connect has issued
//! a token.
//!
//! The tenant of a user is that of the issuer in the configuration, and the roles are those to which the configuration maps its
//! roles or groups. A user without any is told so, because the token itself is good.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use axum::http::HeaderMap;
use muster_control::{Actor, ControlPlane, ObjectId};
use muster_engine::TenantIndex;

use super::auth::{Principal, bearer, holder_of};
use super::error::GraphError;
use super::state::GraphApi;
use crate::oidc::{TokenRefusal, User};
use crate::secrets::PREFIX;

/// The principal of a request.
pub(super) async fn authenticate(
    api: &GraphApi,
    headers: &HeaderMap,
) -> Result<Principal, GraphError> {
    let token = bearer(headers).ok_or_else(GraphError::unauthenticated)?;
    if !token.starts_with(PREFIX) {
        return user(api, token).await;
    }
    let now = api.backend.clock().time;
    let holder = holder_of(token, &api.backend.control(), now);
    holder.ok_or_else(GraphError::unauthenticated)
}

/// The user of a token.
async fn user(api: &GraphApi, token: &str) -> Result<Principal, GraphError> {
    let now = api.backend.clock().time;
    let user = api.issuers.user(token, now).await;
    let user = user.map_err(|cause| match cause {
        // The token may be good; a client that took it for a bad one would throw it away.
        TokenRefusal::KeysMissing => GraphError::unavailable(
            "The keys of the issuer of the token cannot be fetched; retry later.",
        ),
        _ => GraphError::unauthenticated(),
    })?;
    let refuse = |cause| api.issuers.refuse(Some(user.issuer.as_str()), cause);
    let control = api.backend.control();
    let Some(tenant) = control.tenant_named(&user.settings.tenant) else {
        refuse(TokenRefusal::UnknownTenant);
        return Err(GraphError::unauthenticated());
    };
    let roles = roles_of(&control, tenant, &user);
    if roles.is_empty() {
        refuse(TokenRefusal::NoRole);
        return Err(GraphError::no_role(&user.settings.claim));
    }
    api.issuers.accept();
    let id = id_of(&user);
    let actor = Actor::User {
        issuer: user.issuer,
        id: user.id,
        name: user.name,
    };
    Ok(Principal::with(&control, tenant, id, actor, &roles))
}

/// The role definitions to which the roles or groups of a user are mapped, each once.
fn roles_of(control: &ControlPlane, tenant: TenantIndex, user: &User<'_>) -> Vec<ObjectId> {
    let names: BTreeSet<&String> = user
        .values
        .iter()
        .filter_map(|value| user.settings.roles.get(value))
        .collect();
    let ids: BTreeSet<ObjectId> = names
        .into_iter()
        .filter_map(|name| control.role_named(tenant, name))
        .collect();
    ids.into_iter().collect()
}

/// What tells users apart: issuers choose the ids of their own users only.
fn id_of(user: &User<'_>) -> ObjectId {
    let mut hash = digest::Context::new(&digest::SHA256);
    // A URL has no such byte.
    for part in [user.issuer.as_str(), "\0", user.id.as_str()] {
        hash.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finish().as_ref()[..16]);
    ObjectId::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use muster_control::{DisplayName, IssuerUrl, UserId};

    use super::*;
    use crate::oidc::tests::settings;

    #[test]
    fn the_limits_of_a_user_are_shared_with_no_other_one() {
        let settings = settings("contoso", &[]);
        let user = |issuer: &str, id: &str, name: &str| {
            id_of(&User {
                settings: &settings,
                issuer: IssuerUrl::new(issuer).unwrap(),
                id: UserId::new(id).unwrap(),
                name: DisplayName::new(name).unwrap(),
                values: Vec::new(),
            })
        };
        let ada = user("https://a.example.test", "1", "Ada");
        assert_eq!(user("https://a.example.test", "1", "Countess"), ada);
        assert_ne!(user("https://a.example.test", "2", "Ada"), ada);
        assert_ne!(user("https://b.example.test", "1", "Ada"), ada);
        assert_ne!(
            user("https://a.example.test1", "1", "Ada"),
            user("https://a.example.test", "11", "Ada")
        );
    }
}
