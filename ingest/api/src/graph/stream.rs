//! A response body that a task writes while the client reads it.
//!
//! Bounded by the capacity of its channel: the task waits for the client. An error ends the response without its end,
//! so that the client knows that it is not whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use tokio::sync::mpsc;

/// A chunk of the body, or the error that ends it.
pub(super) type Chunk = Result<Bytes, io::Error>;

/// Where a task writes chunks.
pub(super) type Sender = mpsc::Sender<Chunk>;

/// A body and where it is written.
pub(super) fn body(chunks_max: usize) -> (Sender, Body) {
    let (sender, receiver) = mpsc::channel(chunks_max);
    (sender, Body::new(Chunks(receiver)))
}

struct Chunks(mpsc::Receiver<Chunk>);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = self.0.poll_recv(context);
        polled.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}
