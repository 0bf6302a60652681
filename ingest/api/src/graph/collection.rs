//! Lists of documents: filtered, sorted, paged and selected as the query asks.
//!
//! For objects of the control plane, of which a tenant has at most thousands: all rows are in memory. A page continues
//! after the last row of the one before by its values, so objects that come and go change no later page.

use std::cmp::Ordering;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::call::{Call, Metadata};
use super::error::GraphError;
use crate::odata::{
    Expand, Filter, JsonRow, Options, OrderBy, Purpose, QueryError, Schema, Select, TokenError,
    TokenScope,
};

/// How long a token of a page is valid, in seconds.
const PAGE_TOKEN_SECONDS: u64 = 24 * 3600;

/// What the documents of a list are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Collection {
    /// Their type.
    pub(super) schema: &'static Schema,
    /// Their context, and what their tokens are valid for.
    pub(super) context: &'static str,
    /// The order without `$orderby`.
    pub(super) order: &'static str,
}

/// Adds an expanded property to a document.
pub(super) type Expander<'a> =
    &'a dyn Fn(&mut Map<String, Value>, &Expand) -> Result<(), GraphError>;

impl From<QueryError> for GraphError {
    fn from(error: QueryError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl From<TokenError> for GraphError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Self::gone(error.to_string()),
            TokenError::Invalid | TokenError::TooLong => Self::bad_request(error.to_string()),
        }
    }
}

/// Parses the query of a request.
pub(super) fn options(query: Option<&str>) -> Result<Options, GraphError> {
    Ok(Options::parse(query.unwrap_or_default(), &[])?)
}

/// `$filter` and `$search` together.
pub(super) fn conditions(
    options: &Options,
    schema: &'static Schema,
) -> Result<Option<Filter>, GraphError> {
    let filter = options.filter.as_deref();
    let filter = filter.map(|text| Filter::parse(text, schema)).transpose()?;
    let search = options.search.as_deref();
    let search = search
        .map(|text| Filter::search(text, schema))
        .transpose()?;
    Ok(match (filter, search) {
        (Some(filter), Some(search)) => Some(Filter::All(vec![filter, search])),
        (filter, search) => filter.or(search),
    })
}

/// Nothing can be expanded.
pub(super) fn no_expansion(_: &mut Map<String, Value>, expand: &Expand) -> Result<(), GraphError> {
    let message = format!("The property '{}' cannot be expanded.", expand.name);
    Err(GraphError::bad_request(message))
}

/// The page of a list that a query asks for.
pub(super) fn list(
    call: &Call,
    query: Option<&str>,
    collection: Collection,
    rows: Vec<Value>,
    expand: Expander<'_>,
) -> Result<Response, GraphError> {
    let options = options(query)?;
    let schema = collection.schema;
    let select = Select::new(&options.select, schema)?;
    let matching = matching(&options, schema, rows)?;
    let order = options.orderby.as_deref().unwrap_or(collection.order);
    let order = OrderBy::parse(order, schema)?;
    let mut rows = matching;
    let count = options.count.then_some(rows.len());
    rows.sort_by(|one, other| {
        order.compare(&JsonRow::new(schema, one), &JsonRow::new(schema, other))
    });
    let links = Links::new(call, &options, collection.context);
    let begin = match links.payload()? {
        Some(payload) => {
            let position = order.decode(&payload).ok_or(TokenError::Invalid)?;
            rows.partition_point(|row| {
                order.compare_to(&JsonRow::new(schema, row), &position) != Ordering::Greater
            })
        }
        None => usize::try_from(options.skip).unwrap_or(usize::MAX),
    };
    let begin = begin.min(rows.len());
    let end = rows.len().min(begin + options.page_rows());
    let next = match end {
        end if end < rows.len() => {
            let last = JsonRow::new(schema, &rows[end - 1]);
            let position = order.encode(&last);
            let position = position.map_err(|error| GraphError::bad_request(error.to_string()))?;
            Some(links.next(&position)?)
        }
        _ => None,
    };
    let mut page = rows.drain(begin..end).collect::<Vec<_>>();
    for row in &mut page {
        finish(row, &select, &options, expand)?;
    }
    Ok(answer(call, collection.context, page, count, next, None))
}

/// The number of matching rows, as text.
pub(super) fn count(
    query: Option<&str>,
    schema: &'static Schema,
    rows: Vec<Value>,
) -> Result<Response, GraphError> {
    let options = options(query)?;
    Ok(plain_count(matching(&options, schema, rows)?.len() as u64))
}

/// A number as text.
pub(super) fn plain_count(count: u64) -> Response {
    ([(CONTENT_TYPE, "text/plain")], count.to_string()).into_response()
}

fn matching(
    options: &Options,
    schema: &'static Schema,
    mut rows: Vec<Value>,
) -> Result<Vec<Value>, GraphError> {
    if let Some(conditions) = conditions(options, schema)? {
        rows.retain(|row| conditions.matches(&JsonRow::new(schema, row)));
    }
    Ok(rows)
}

/// One document, selected and expanded.
pub(super) fn single(
    call: &Call,
    query: Option<&str>,
    collection: Collection,
    mut document: Value,
    expand: Expander<'_>,
) -> Result<Response, GraphError> {
    let options = options(query)?;
    let select = Select::new(&options.select, collection.schema)?;
    finish(&mut document, &select, &options, expand)?;
    Ok(entity(call, collection.context, document))
}

/// Applies `$select`, then `$expand`.
pub(super) fn finish(
    document: &mut Value,
    select: &Select,
    options: &Options,
    expand: Expander<'_>,
) -> Result<(), GraphError> {
    select.apply(document);
    if let Some(object) = document.as_object_mut() {
        for expanded in &options.expand {
            expand(object, expanded)?;
        }
    }
    Ok(())
}

/// The response with one document.
pub(super) fn entity(call: &Call, context: &str, document: Value) -> Response {
    let mut body = Map::new();
    if call.metadata != Metadata::None {
        let context = call.context(&format!("{context}/$entity"));
        body.insert("@odata.context".to_owned(), context.into());
    }
    if let Value::Object(document) = document {
        body.extend(document);
    }
    axum::Json(body).into_response()
}

/// The response to the creation of an object with this id, which says where it is.
pub(super) fn created(call: &Call, context: &str, id: &str, mut response: Response) -> Response {
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::try_from(format!("{}/{context}/{id}", call.base())) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The response with a page.
pub(super) fn answer(
    call: &Call,
    context: &str,
    page: Vec<Value>,
    count: Option<usize>,
    next: Option<String>,
    delta: Option<String>,
) -> Response {
    let mut body = Map::new();
    if call.metadata != Metadata::None {
        body.insert("@odata.context".to_owned(), call.context(context).into());
    }
    let annotations = [
        ("@odata.count", count.map(|count| json!(count))),
        ("@odata.nextLink", next.map(Value::from)),
        ("@odata.deltaLink", delta.map(Value::from)),
    ];
    for (name, value) in annotations {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    }
    body.insert("value".to_owned(), page.into());
    axum::Json(body).into_response()
}

/// The links that continue a request.
pub(super) struct Links<'a> {
    call: &'a Call,
    options: &'a Options,
    scope: TokenScope,
    now: u64,
}

impl<'a> Links<'a> {
    pub(super) fn new(call: &'a Call, options: &'a Options, resource: &str) -> Self {
        Self {
            call,
            options,
            scope: TokenScope {
                purpose: Purpose::Page,
                tenant: call.tenant().0.into(),
                options: options.hash(resource),
            },
            now: call.api.backend.clock().time.as_millis() / 1_000,
        }
    }

    /// What the token of the request continues; `None` for the first page.
    pub(super) fn payload(&self) -> Result<Option<Vec<u8>>, GraphError> {
        let token = self.options.skiptoken.as_deref();
        let opened = token.map(|token| self.call.api.tokens.open(&self.scope, self.now, token));
        Ok(opened.transpose()?)
    }

    /// The URL of the next page.
    pub(super) fn next(&self, payload: &[u8]) -> Result<String, GraphError> {
        let expires = self.now + PAGE_TOKEN_SECONDS;
        let token = self.call.api.tokens.seal(&self.scope, expires, payload)?;
        let query = self.options.continued("$skiptoken", &token);
        Ok(format!("{}?{query}", self.call.url()))
    }
}
