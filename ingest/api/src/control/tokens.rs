//! `POST /tenants/{tenant}/tokens`: makes a token for the operators' API, on the machine itself.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use muster_control::{Change, Precondition};
use serde_json::{Value, json};

use super::change::{read, require_permission};
use super::{Segment, tenant_of};
use crate::backend::Caller;
use crate::error::ApiError;
use crate::secrets::{TokenRequest, new_secret};
use crate::{Api, times};

/// Makes a token. Its secret is in the response, and never again.
pub(super) async fn create(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let tenant = tenant_of(&api, tenant)?;
    require_permission(&api)?;
    let sent = read(&api, body).await?;
    let secret = new_secret();
    let now = api.backend.clock().time;
    let control = api.backend.control();
    let token =
        TokenRequest::read(&sent).and_then(|request| request.token(&control, tenant, &secret, now));
    let token = token.map_err(ApiError::BadRequest)?;
    let id = api.backend.new_object_id();
    let shown = json!({
        "id": id.to_string(),
        "displayName": token.display_name.as_str(),
        "roleDefinitionId": token.role.map(|role| role.to_string()),
        "expirationDateTime": times::timestamp(token.expires_at),
        "secret": secret,
    });
    let issue = Change::Issue { id, token };
    let caller = Caller::local(Precondition::Nothing);
    let changed = api.backend.change(caller, tenant, issue);
    changed.await?;
    Ok((StatusCode::CREATED, Json(shown)))
}
