//! `/exports/{job}.zip?sig=...`: the file of an export job. The link is the permission: it is signed, and expires.

use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use muster_control::{Access, AccessText};
use tokio_util::io::ReaderStream;

use super::error::GraphError;
use super::exports;
use super::recording;
use super::state::GraphApi;

/// The job whose file a path is of.
pub(super) fn file_of(path: &str) -> Option<&str> {
    path.strip_prefix("/exports/")?.strip_suffix(".zip")
}

/// Answers with the file of a job.
pub(super) fn download(
    api: &Arc<GraphApi>,
    job: &str,
    query: Option<&str>,
    address: Option<IpAddr>,
) -> Result<Response, GraphError> {
    let now = api.backend.clock().time.as_millis() / 1_000;
    let signature = query.and_then(|query| query.strip_prefix("sig="));
    let file = exports::file_of(api, job, signature.unwrap_or_default(), now);
    let (mut orderer, file) = file.ok_or_else(|| {
        GraphError::not_found("The link is not valid or no longer valid; read the job again.")
    })?;
    // Opened again, because each reader needs its own position. The file has no name.
    let opened = std::fs::File::open(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let opened = opened
        .map_err(|error| GraphError::unavailable(format!("The file cannot be read: {error}.")))?;
    let stream = ReaderStream::new(tokio::fs::File::from_std(opened));
    let headers = [
        (CONTENT_TYPE, "application/zip".to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{job}.zip\""),
        ),
    ];
    let permit = Arc::clone(&api.downloads).try_acquire_owned();
    let permit = permit.map_err(|_| {
        GraphError::unavailable("Too many files are downloaded at the moment; retry later.")
    })?;
    orderer.address = address;
    let access = Access::Downloaded {
        job: AccessText::cut(job),
    };
    recording::note(api, &orderer, access);
    // The permit lives as long as the body, which has the file open.
    let body = Body::from_stream(stream).map_frame(move |frame| {
        let _ = &permit;
        frame
    });
    Ok((headers, Body::new(body)).into_response())
}
