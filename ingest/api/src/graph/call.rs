//! What a handler knows of its request besides path, query and body.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use muster_control::{Action, ControlPlane, ETag, Handling, Key, Object, Sight, TagReach};
use muster_engine::TenantIndex;

use super::auth::Principal;
use super::error::GraphError;
use super::path::Version;
use super::state::GraphApi;
use crate::backend::Cell;

/// How much of the annotations a client wants (`odata.metadata` in `Accept`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Metadata {
    /// None but the types of polymorphic objects.
    None,
    /// Contexts and types of polymorphic objects.
    #[default]
    Minimal,
    /// Types and navigation links of all objects.
    Full,
}

/// A request whose principal is known.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The API.
    pub(super) api: Arc<GraphApi>,
    /// Who sends it.
    pub(super) principal: Principal,
    /// The version in its path.
    pub(super) version: Version,
    /// Scheme, host and port, as the client sees them.
    pub(super) origin: Arc<str>,
    /// The path as it was sent, for links.
    pub(super) path: Arc<str>,
    /// The annotations it wants.
    pub(super) metadata: Metadata,
    /// Whether rules that are not evaluated are stored instead of refused (`Prefer: handling=lenient`).
    pub(super) handling: Handling,
}

impl Call {
    /// The tenant of the principal.
    pub(super) const fn tenant(&self) -> TenantIndex {
        self.principal.tenant
    }

    /// Refuses an action that the principal may not carry out.
    pub(super) fn require(&self, action: Action) -> Result<(), GraphError> {
        self.principal.require(action)
    }

    /// The objects as of the last change.
    pub(super) fn control(&self) -> Arc<ControlPlane> {
        self.api.backend.control()
    }

    /// An object with its ETag; `None` if it does not exist for the principal.
    pub(super) fn object(&self, control: &ControlPlane, key: Key) -> Option<(Object, ETag)> {
        let found = control.object(self.tenant(), key);
        found.filter(|(object, _)| self.principal.rights.sees(key, object))
    }

    /// The devices that exist for the principal when it carries out all of these actions; `None` if all do.
    pub(super) fn sight(&self, control: &ControlPlane, actions: &[Action]) -> Option<Sight> {
        let rights = &self.principal.rights;
        let tags = actions.iter().map(|action| rights.tags(*action));
        let tags = tags.fold(TagReach::All, |both, tags| both.meet(&tags));
        control.sight(self.tenant(), &tags)
    }

    /// The cells of these devices.
    pub(super) async fn cells(&self, sight: Option<&Sight>) -> Result<Vec<Cell>, GraphError> {
        let (backend, tenant) = (&self.api.backend, self.tenant());
        match sight {
            None => Ok(backend.cells(Some(tenant))),
            // Facets are in memory, so this takes milliseconds and needs no permit.
            Some(sight) => Ok(backend.cells_seen(tenant, sight.clone()).await?),
        }
    }

    /// The URL of the version: `https://host:port/v1.0`.
    pub(super) fn base(&self) -> String {
        format!("{}/{}", self.origin, self.version.segment())
    }

    /// The annotation `@odata.context` of a resource.
    pub(super) fn context(&self, of: &str) -> String {
        format!("{}/$metadata#{of}", self.base())
    }

    /// The URL of the request, without its query.
    pub(super) fn url(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = GraphError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, GraphError> {
        let call = parts.extensions.get::<Self>().cloned();
        call.ok_or_else(GraphError::unauthenticated)
    }
}
