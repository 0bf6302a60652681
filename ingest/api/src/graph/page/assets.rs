//! The files that pages need: one style sheet and one script, compiled into the binary.
//!
//! Their names have a hash of their content, so browsers keep them for a year and still load a new one at once.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::graph::error::GraphError;

/// A file.
pub(super) struct Asset {
    /// Its path, with the hash.
    pub(super) path: String,
    media_type: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(name: &str, extension: &str, media_type: &'static str, text: &'static str) -> Self {
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        let hash: String = hash.as_ref()[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            path: format!("/assets/{name}-{hash}.{extension}"),
            media_type,
            text,
        }
    }
}

/// The style sheet.
pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("assets/console.css");
    Asset::new("console", "css", "text/css; charset=utf-8", text)
});

/// The script that replaces numbers.
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("assets/console.js");
    Asset::new("console", "js", "text/javascript; charset=utf-8", text)
});

/// `GET /assets/{name}`.
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, GraphError> {
    let path = format!("/assets/{name}");
    let found = [&*STYLE, &*SCRIPT]
        .into_iter()
        .find(|asset| asset.path == path);
    let asset = found.ok_or_else(|| GraphError::not_found("No file has this name."))?;
    let headers = [
        (CONTENT_TYPE, asset.media_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.text).into_response())
}
