//! Defender's `/api/machines`: the devices as Defender shows them.
//!
//! A page has up to [`PAGE_MAX`] rows, ten times those of Graph, because scripts count on that. A page that is longer than
//! one of Graph is written while the client reads it, so that no request holds more than a thousand devices; such pages
//! share the permits of exports. Whatever fails ends such a response early, and its JSON with it.

mod row;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use muster_control::{Action, Verb};
use serde_json::json;

use self::row::{MachineRow, Machines, SCHEMA};
use super::call::Call;
use super::collection::{self, Collection, Links, conditions, no_expansion, options};
use super::devices;
use super::devices::list::{Query, payload_of, position_of};
use super::devices::row::Formatted;
use super::error::GraphError;
use super::stream::{self, Sender};
use crate::backend::{Device, Position, ROWS_MAX};
use crate::odata::{Filter, Options, OrderBy, Select, TokenError};

const CONTEXT: &str = "Machines";

/// Rows of a page, as in Defender.
const PAGE_MAX: usize = 10_000;

const COLLECTION: Collection = Collection {
    schema: &SCHEMA,
    context: CONTEXT,
    order: "id",
};

/// The routes of Defender's API. Paths are in the form of `path.rs`.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/machines", get(list))
        .route("/machines/{id}", get(one))
}

/// Devices, with what Defender knows about them.
const NEEDS: [Action; 2] = [Action::ReadDevices, Action::ReadOnboarding];

fn require(call: &Call) -> Result<(), GraphError> {
    NEEDS.iter().try_for_each(|action| call.require(*action))
}

/// The device of a path, if both exist for the principal: it, and what Defender knows about it.
async fn find(call: &Call, id: &str) -> Result<Device, GraphError> {
    let device = devices::find(call, Verb::Read, id).await?;
    let sight = call.sight(&call.control(), &NEEDS);
    match sight {
        Some(sight) if !sight.has(&device.targets) => Err(devices::unknown(id)),
        _ => Ok(device),
    }
}

/// `GET machines/{id}`.
async fn one(
    call: Call,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    require(&call)?;
    let device = find(&call, &id).await?;
    let formatted = Formatted::of(&device, &call.control());
    let document = MachineRow::new(&device, &formatted).document();
    collection::single(&call, query.as_deref(), COLLECTION, document, &no_expansion)
}

/// `GET machines`.
async fn list(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    require(&call)?;
    let options = options(query.as_deref())?;
    if let Some(order) = &options.orderby {
        // No property can be sorted by, as in Defender.
        OrderBy::parse(order, &SCHEMA)?;
    }
    let listing = Listing {
        rows: rows(&options)?,
        select: Select::new(&options.select, &SCHEMA)?,
        filter: conditions(&options, &SCHEMA)?,
        options,
        call,
    };
    listing.answer().await
}

/// The rows of a page. One that is larger than allowed is refused, because scripts take as many for granted as they ask
/// for when they skip.
fn rows(options: &Options) -> Result<usize, GraphError> {
    let Some(top) = options.custom("$top") else {
        return Ok(options.page_rows());
    };
    let top = top.trim().parse().ok();
    top.filter(|rows| (1..=PAGE_MAX).contains(rows))
        .ok_or_else(|| GraphError::bad_request(format!("$top: 1 to {PAGE_MAX} is expected.")))
}

/// A page of machines.
struct Listing {
    call: Call,
    options: Options,
    rows: usize,
    select: Select,
    filter: Option<Filter>,
}

/// A part of a page, and where to continue.
struct Part {
    /// The rows, separated by commas.
    text: Vec<u8>,
    rows: usize,
    next: Option<Position>,
}

impl Listing {
    fn query(&self) -> Query<'_, Machines> {
        Query::of(Machines, &self.call, self.filter.clone(), &NEEDS)
    }

    fn links(&self) -> Links<'_> {
        Links::new(&self.call, &self.options, CONTEXT)
    }

    async fn answer(self) -> Result<Response, GraphError> {
        let payload = self.links().payload()?;
        let (from, skip) = match &payload {
            Some(payload) => (position_of(payload).ok_or(TokenError::Invalid)?, 0),
            None => (Position::default(), self.options.skip),
        };
        let sight = self.call.sight(&self.call.control(), &NEEDS);
        let cells = self.call.cells(sight.as_ref()).await?;
        if cells.iter().all(|cell| cell.count == 0) {
            // As in Defender, where scripts know this status.
            return Err(GraphError::not_found("The tenant has no machines."));
        }
        let count = if self.options.count && payload.is_none() {
            Some(self.query().count().await?)
        } else {
            None
        };
        let first = self.part(from, skip, self.rows.min(ROWS_MAX)).await?;
        let mut text = self.begin(count).into_bytes();
        text.extend_from_slice(&first.text);
        let body = if first.rows == self.rows || first.next.is_none() {
            text.extend(self.end(first.next)?.into_bytes());
            Body::from(text)
        } else {
            let permits = self.call.api.exports.clone();
            let permit = permits.try_acquire_owned().map_err(|_| {
                GraphError::unavailable(
                    "Other long lists are being read at the moment; retry later.",
                )
            })?;
            let (sender, body) = stream::body(1);
            tokio::spawn(async move {
                let written = self.write(text, first.rows, first.next, &sender).await;
                if let Err(error) = written {
                    let error = std::io::Error::other(error);
                    let _ = sender.send(Err(error)).await; // the client may be gone, and then needs no error
                }
                drop(permit);
            });
            body
        };
        Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
    }

    /// Writes the rest of a page after its first rows.
    async fn write(
        &self,
        begun: Vec<u8>,
        mut rows: usize,
        mut next: Option<Position>,
        sender: &Sender,
    ) -> Result<(), GraphError> {
        let mut text = begun;
        while let Some(from) = next.filter(|_| rows < self.rows) {
            if sender.send(Ok(Bytes::from(text))).await.is_err() {
                return Ok(()); // the client is gone
            }
            let part = self.part(from, 0, (self.rows - rows).min(ROWS_MAX)).await?;
            text = Vec::with_capacity(part.text.len() + 1);
            if part.rows > 0 {
                text.push(b',');
            }
            text.extend(part.text);
            rows += part.rows;
            next = part.next;
        }
        text.extend(self.end(next)?.into_bytes());
        let _ = sender.send(Ok(Bytes::from(text))).await; // the client may be gone
        Ok(())
    }

    async fn part(&self, from: Position, skip: u64, rows: usize) -> Result<Part, GraphError> {
        let (found, next) = self.query().page(from, skip, rows).await?;
        let control = self.call.control();
        let mut text = Vec::new();
        for (_, device) in &found {
            let formatted = Formatted::of(device, &control);
            let mut document = MachineRow::new(device, &formatted).document();
            collection::finish(&mut document, &self.select, &self.options, &no_expansion)?;
            if !text.is_empty() {
                text.push(b',');
            }
            text.extend(document.to_string().into_bytes());
        }
        Ok(Part {
            text,
            rows: found.len(),
            next,
        })
    }

    fn begin(&self, count: Option<u64>) -> String {
        let context = json!(self.call.context(CONTEXT));
        let count = count.map_or_else(String::new, |count| format!("\"@odata.count\":{count},"));
        format!("{{\"@odata.context\":{context},{count}\"value\":[")
    }

    fn end(&self, next: Option<Position>) -> Result<String, GraphError> {
        Ok(match next {
            None => "]}".to_owned(),
            Some(next) => {
                let link = json!(self.links().next(&payload_of(next))?);
                format!("],\"@odata.nextLink\":{link}}}")
            }
        })
    }
}
