//! What a handler knows of its request besides path, query and body.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use muster_control::{Action, ControlPlane, Handling};
use muster_engine::TenantIndex;

use super::auth::Principal;
use super::error::GraphError;
use super::path::Version;
use super::state::GraphApi;

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
