//! A response that is a list, serialized row by row as the client reads it.
//!
//! However long the list, a connection holds one chunk of its text. The caller bounds the source of the rows.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;

/// Target size of a chunk, which the last row may exceed.
const CHUNK_BYTES: usize = 16 << 10;

/// A response of `before`, the rows separated by commas, and `after`, which together must be JSON.
pub(super) fn answer<R>(before: &str, rows: R, after: String) -> Response
where
    R: Iterator<Item: Serialize> + Send + Unpin + 'static,
{
    let body = Body::new(Rows {
        unsent: before.as_bytes().to_vec(),
        rows,
        is_first: true,
        after: Some(after),
    });
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

struct Rows<R> {
    unsent: Vec<u8>,
    rows: R,
    is_first: bool,
    /// `None` once it is sent.
    after: Option<String>,
}

impl<R: Iterator<Item: Serialize>> Rows<R> {
    fn chunk(&mut self) -> Result<Vec<u8>, serde_json::Error> {
        let mut chunk = std::mem::take(&mut self.unsent);
        while chunk.len() < CHUNK_BYTES {
            let Some(row) = self.rows.next() else {
                chunk.extend(self.after.take().unwrap_or_default().into_bytes());
                break;
            };
            if !std::mem::take(&mut self.is_first) {
                chunk.push(b',');
            }
            serde_json::to_writer(&mut chunk, &row)?;
        }
        Ok(chunk)
    }
}

impl<R: Iterator<Item: Serialize> + Unpin> hyper::body::Body for Rows<R> {
    type Data = Bytes;
    type Error = serde_json::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.after.is_none() {
            return Poll::Ready(None);
        }
        let chunk = self.chunk();
        Poll::Ready(Some(chunk.map(|chunk| Frame::data(chunk.into()))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hyper::body::Body as _;

    use super::*;

    #[tokio::test]
    async fn rows_are_serialized_as_they_are_read() {
        let serialized = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&serialized);
        let rows = (0..100_000).inspect(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let mut body = answer("[", rows, "]".to_owned()).into_body();
        let mut text = Vec::new();
        loop {
            let before = serialized.load(Ordering::Relaxed);
            let frame =
                std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
            let Some(frame) = frame else { break };
            let chunk = frame.unwrap().into_data().unwrap();
            assert!(chunk.len() <= CHUNK_BYTES + 7, "{}", chunk.len());
            assert!(serialized.load(Ordering::Relaxed) - before <= CHUNK_BYTES / 2);
            text.extend(chunk);
        }
        let numbers: Vec<u32> = serde_json::from_slice(&text).unwrap();
        assert!(numbers.into_iter().eq(0..100_000));
    }

    #[tokio::test]
    async fn no_rows_give_an_empty_list() {
        let body = answer("[", std::iter::empty::<u8>(), "]".to_owned()).into_body();
        assert_eq!(axum::body::to_bytes(body, 9).await.unwrap(), "[]");
    }
}
