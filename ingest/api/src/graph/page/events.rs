//! `GET /events`: the numbers of the overview as server-sent events, while they change.
//!
//! Owner: a task for each open page. It sees what the session may see, and ends with it. Bounded: `STREAMS_MAX` pages
//! at a time, each for [`LASTS`], after which the browser connects again; a page that does not read is waited for.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use tokio::time::interval;

use super::numbers::Numbers;
use super::session::Session;
use super::texts::{number, percent, time_of_day};
use crate::graph::error::GraphError;
use crate::graph::stream::{Sender, body};
use crate::times;

/// How often numbers are compared. Each time costs as much as `muster/counts`.
const EVERY: Duration = Duration::from_secs(2);

/// Comparisons of a stream: less than the time after which its connection counts as idle.
const COMPARISONS: u32 = 45;

/// How long a stream lasts.
const LASTS: Duration = EVERY.saturating_mul(COMPARISONS);

/// After which a browser connects again, in milliseconds.
const RETRY_MS: u32 = 3_000;

const _: () = assert!(LASTS.as_secs() < 120);

/// `GET /events`.
pub(super) async fn events(session: Session) -> Result<Response, GraphError> {
    let permits = session.call.api.streams.clone();
    let permit = permits.try_acquire_owned().map_err(|_| {
        GraphError::unavailable("Too many pages are live at the moment; reload for new numbers.")
    })?;
    let (sender, body) = body(1);
    tokio::spawn(async move {
        send(session, &sender).await;
        drop(permit);
    });
    Ok(([(CONTENT_TYPE, "text/event-stream")], body).into_response())
}

/// Sends what changes until the page is closed, the session ends, or it has lasted long enough.
async fn send(mut session: Session, sender: &Sender) {
    let mut sent = Map::new();
    let mut ticks = interval(EVERY);
    let retry = Bytes::from(format!("retry: {RETRY_MS}\n\n"));
    if sender.send(Ok(retry)).await.is_err() {
        return;
    }
    for _ in 0..COMPARISONS {
        ticks.tick().await;
        // A server that stops must not wait for pages.
        if !session.call.api.backend.readiness().is_serving {
            return;
        }
        let Some(refreshed) = session.refreshed() else {
            let ended = Bytes::from_static(b"event: ended\ndata: {}\n\n");
            let _ = sender.send(Ok(ended)).await; // the page may be closed: then no one has to know
            return;
        };
        session = refreshed;
        let Ok(numbers) = Numbers::of(&session).await else {
            return;
        };
        let now = session.call.api.backend.clock().time;
        let changed = changes(&mut sent, &numbers);
        let event = json!({
            "asOf": time_of_day(now),
            "time": times::timestamp(now),
            "lines": changed,
        });
        if sender
            .send(Ok(format!("data: {event}\n\n").into()))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// The lines that differ from what was sent, which becomes what is sent.
fn changes(sent: &mut Map<String, Value>, numbers: &Numbers) -> Map<String, Value> {
    let mut changed = Map::new();
    for line in numbers.lines() {
        let part = |part: u64| format!("{:.2}", part as f64 * 100.0 / line.total.max(1) as f64);
        let shown = json!({
            "number": number(line.count),
            "share": percent(line.count, line.total),
            "total": number(line.total),
            "rest": number(line.total.saturating_sub(line.count)),
            "left": part(line.before),
            "width": part(line.count),
            "zero": line.count == 0,
        });
        if sent.get(&line.id) != Some(&shown) {
            sent.insert(line.id.clone(), shown.clone());
            changed.insert(line.id.clone(), shown);
        }
    }
    changed
}
