//! Interactive reports: a part of a report in the response, chosen, filtered, sorted and counted by the request.
//!
//! A client continues by `skip`. Bounded: at most [`PAGE_MAX`] rows of a response, and the bounds of queries over devices.
//! Rows are not grouped: a request with `groupBy` is refused.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use muster_control::Properties;
use serde_json::{Value, json};

use super::reports::{Columns, NONCOMPLIANCE, Report, WITHOUT_POLICY};
use super::{selected, text};
use crate::backend::Position;
use crate::graph::body;
use crate::graph::call::Call;
use crate::graph::devices::list::{Query, SORTED_SKIP_MAX};
use crate::graph::devices::projection::Projection;
use crate::graph::devices::row::Formatted;
use crate::graph::error::GraphError;
use crate::graph::jobs::Localization;
use crate::odata::{Filter, Kind, OrderBy, PAGE_MAX};

/// What a request may have. Those after `top` have no effect on what is read at the moment.
const NAMES: &[&str] = &[
    "select",
    "filter",
    "search",
    "groupBy",
    "orderBy",
    "skip",
    "top",
    "name",
    "sessionId",
];

/// `POST reports/getDeviceNonComplianceReport`.
pub(in crate::graph) async fn noncompliant_devices(
    call: Call,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    report(&call, &NONCOMPLIANCE, &headers, body).await
}

/// `POST reports/getDevicesWithoutCompliancePolicyReport`.
pub(in crate::graph) async fn without_policy(
    call: Call,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    report(&call, &WITHOUT_POLICY, &headers, body).await
}

/// What a request asks for.
struct Asked {
    columns: Columns,
    filter: Option<Filter>,
    order: Option<OrderBy>,
    skip: u64,
    rows: usize,
}

impl Asked {
    fn read(report: &'static Report, sent: &Properties) -> Result<Self, GraphError> {
        if let Some(name) = sent.keys().find(|name| !is_known(name)) {
            return Err(GraphError::bad_request(format!(
                "The action has no parameter '{name}'."
            )));
        }
        if !names(sent, "groupBy")?.is_empty() {
            return Err(GraphError::bad_request("groupBy: rows are not grouped."));
        }
        let order = names(sent, "orderBy")?.join(",");
        let order = (!order.is_empty())
            .then(|| OrderBy::parse(&order, report.schema))
            .transpose()?;
        let skip = number(sent, "skip")?.unwrap_or(0);
        if order.is_some() && skip > SORTED_SKIP_MAX {
            return Err(GraphError::bad_request(format!(
                "skip: at most {SORTED_SKIP_MAX} with orderBy; filter the rows, or export them."
            )));
        }
        let rows = match number(sent, "top")? {
            None => PAGE_MAX,
            Some(top) => usize::try_from(top)
                .ok()
                .filter(|rows| (1..=PAGE_MAX).contains(rows))
                .ok_or_else(|| {
                    GraphError::bad_request(format!("top: 1 to {PAGE_MAX} is expected."))
                })?,
        };
        Ok(Self {
            columns: Columns {
                report,
                chosen: report.columns(&without_words(selected(sent)?))?,
                localization: Localization::AdditionalColumn,
            },
            filter: conditions(report, sent)?,
            order,
            skip,
            rows,
        })
    }
}

fn is_known(name: &str) -> bool {
    name.contains('@') || NAMES.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// `filter` and `search` together.
fn conditions(report: &Report, sent: &Properties) -> Result<Option<Filter>, GraphError> {
    let mut all = Vec::new();
    let (filter, search) = (text(sent, "filter")?.trim(), text(sent, "search")?.trim());
    if !filter.is_empty() {
        all.push(Filter::parse(filter, report.schema)?);
    }
    if !search.is_empty() {
        all.push(Filter::search(search, report.schema)?);
    }
    Ok((!all.is_empty()).then_some(Filter::All(all)))
}

/// The names without the columns of words, which are shown with the columns that they explain.
fn without_words(names: Vec<String>) -> Vec<String> {
    let all = names.clone();
    let explains = |name: &String| {
        name.strip_suffix("_loc")
            .is_some_and(|explained| all.iter().any(|other| other == explained))
    };
    names.into_iter().filter(|name| !explains(name)).collect()
}

/// A list of texts; an empty one if it is missing or null.
fn names<'a>(sent: &'a Properties, name: &str) -> Result<Vec<&'a str>, GraphError> {
    let bad = || GraphError::bad_request(format!("{name}: a list of texts is expected."));
    match sent.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(names)) => {
            let names = names.iter().map(Value::as_str);
            names.collect::<Option<_>>().ok_or_else(bad)
        }
        Some(_) => Err(bad()),
    }
}

/// A number from 0 on; `None` if it is missing or null.
fn number(sent: &Properties, name: &str) -> Result<Option<u64>, GraphError> {
    match sent.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(json) => json.as_u64().map(Some).ok_or_else(|| {
            GraphError::bad_request(format!("{name}: a number from 0 on is expected."))
        }),
    }
}

/// The type of the values of a column, as Graph names it.
const fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "Int64",
        Kind::Boolean => "Boolean",
        Kind::Date => "DateTime",
        _ => "String",
    }
}

async fn report(
    call: &Call,
    report: &'static Report,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    super::require(call)?;
    let sent = body::object(headers, body).await?;
    let asked = Asked::read(report, &sent)?;
    let has = std::sync::Arc::new(report.has);
    let query = Query::of(report, call, asked.filter, &super::NEEDS).with_test(has);
    let total = query.count().await?;
    let devices = match &asked.order {
        Some(order) => query.sorted(order, None, asked.skip, asked.rows).await?.0,
        None => {
            let page = query.page(Position::default(), asked.skip, asked.rows);
            let (found, _) = page.await?;
            found.into_iter().map(|(_, device)| device).collect()
        }
    };
    let control = call.control();
    let values = devices.iter().map(|device| {
        let formatted = Formatted::of(device, &control);
        asked.columns.values(&report.row(device, &formatted))
    });
    let values: Vec<_> = values.collect();
    let headings = asked.columns.headings().into_iter();
    let schema =
        headings.map(|(name, kind)| json!({ "Column": name, "PropertyType": type_of(kind) }));
    let answer = json!({
        "TotalRowCount": total,
        "Schema": schema.collect::<Vec<_>>(),
        "Values": values,
        "SessionId": "",
    });
    let media = [(CONTENT_TYPE, "application/octet-stream")];
    Ok((media, answer.to_string()).into_response())
}
