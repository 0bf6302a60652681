//! `POST /recount`: every device counted again from disk while the server serves.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::Api;
use crate::backend::Recount;
use crate::error::ApiError;

/// A recount, and that a running server made it.
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
