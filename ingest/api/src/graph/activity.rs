//! What a connection of the API does, so that idle ones are found.
//!
//! A request is in progress until the last byte of its response is sent: a download or a live page keeps its connection.
//! Owner: the task of the connection. Bounded: two words for each connection, one for each request.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};

use crate::once_per_cause::monotonic_ms;

/// What a connection does.
#[derive(Debug)]
pub(super) struct Activity {
    /// Requests in progress.
    active: AtomicUsize,
    /// When the last one ended, in milliseconds of the monotonic clock.
    since: AtomicU64,
}

impl Activity {
    /// That of a connection that has had no request.
    pub(super) fn new() -> Self {
        Self {
            active: AtomicUsize::new(0),
            since: AtomicU64::new(monotonic_ms()),
        }
    }

    /// How long the connection has had no request; `None` if it has one.
    pub(super) fn idle(&self) -> Option<Duration> {
        let since = self.since.load(Ordering::Relaxed);
        let is_idle = self.active.load(Ordering::Relaxed) == 0;
        is_idle.then(|| Duration::from_millis(monotonic_ms().saturating_sub(since)))
    }
}

/// A request in progress.
#[derive(Debug)]
pub(super) struct InProgress(Arc<Activity>);

impl InProgress {
    /// A request begins.
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        activity.active.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }

    /// The body of its response, with which it ends.
    pub(super) fn until_sent(self, body: Body) -> Body {
        Body::new(Sending {
            body,
            _request: self,
        })
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.since.store(monotonic_ms(), Ordering::Relaxed);
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of a response, with its request.
struct Sending {
    body: Body,
    _request: InProgress,
}

impl hyper::body::Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_with_its_body() {
        let activity = Arc::new(Activity::new());
        assert!(activity.idle().is_some());
        let body = InProgress::new(&activity).until_sent(Body::from("four"));
        assert_eq!(hyper::body::Body::size_hint(&body).exact(), Some(4));
        assert_eq!(activity.idle(), None);
        drop(body);
        assert!(activity.idle().is_some());
    }
}
