//! `POST /recount`: recounts every device from disk while the server runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::Api;
use crate::backend::Recount;
use crate::error::ApiError;

/// A recount, marked as made by a running server.
#[derive(Debug, Serialize)]
pub(super) struct OnlineRecount {
    #[serde(flatten)]
    recount: Recount,
    online: bool,
}

pub(super) async fn recount(State(api): State<Arc<Api>>) -> Result<Json<OnlineRecount>, ApiError> {
    let recount = api.backend.recount().await?;
    Ok(Json(OnlineRecount {
        recount,
        online: true,
    }))
}
