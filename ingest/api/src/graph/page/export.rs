//! `GET /devices.csv`: the list as a file, with the same columns, words and filters, and without pages.
//!
//! Owner: a task for each export. Bounded: `EXPORTS_MAX` exports at a time, a thousand devices of each in memory; it
//! reads as fast as the client does. The rows are in the order of storage. Whatever fails ends the response early, so
//! that no browser takes a part for the whole.

use std::io;

use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use muster_control::{AccessText, Export};

use super::cells::{Cells, HEADINGS};
use super::selection::Selection;
use super::session::Session;
use crate::backend::{Device, Position, ROWS_MAX};
use crate::graph::call::Call;
use crate::graph::error::GraphError;
use crate::graph::exports::cell;
use crate::graph::recording;
use crate::graph::stream::{Sender, body};
use crate::times;

/// `GET /devices.csv`.
pub(super) async fn export(
    session: Session,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    session.require_list()?;
    let selection = Selection::parse(query.as_deref().unwrap_or_default())?;
    let permits = session.call.api.exports.clone();
    let permit = permits.try_acquire_owned().map_err(|_| {
        GraphError::unavailable("Other exports are being written at the moment; retry later.")
    })?;
    let recorded = Export {
        report: AccessText::cut("edr-onboarding"),
        format: AccessText::cut("csv"),
        filter: AccessText::cut(query.as_deref().unwrap_or_default()),
        job: AccessText::default(),
        select: AccessText::default(),
    };
    recording::export(&session.call.api, &session.call.principal, recorded).await?;
    let (sender, body) = body(1);
    tokio::spawn(async move {
        if let Err(error) = write(&session.call, &selection, &sender).await {
            let _ = sender.send(Err(error)).await; // the client may be gone, and then needs no error
        }
        drop(permit);
    });
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"edr-onboarding.csv\"",
        ),
    ];
    Ok((headers, body).into_response())
}

async fn write(call: &Call, selection: &Selection, sender: &Sender) -> Result<(), io::Error> {
    let failed = |error: GraphError| io::Error::other(error);
    let query = selection.devices(call).map_err(failed)?;
    let mut text = csv::Writer::from_writer(Vec::new());
    text.write_record(HEADINGS)?;
    let mut from = Some(Position::default());
    while let Some(at) = from {
        // The query takes a permit for each page alone, so a client that reads slowly keeps none.
        let (found, next) = query.page(at, 0, ROWS_MAX).await.map_err(failed)?;
        for (_, device) in &found {
            text.write_record(record(device))?;
        }
        let part = text.into_inner().map_err(csv::IntoInnerError::into_error)?;
        text = csv::Writer::from_writer(Vec::new());
        if sender.send(Ok(Bytes::from(part))).await.is_err() {
            return Ok(());
        }
        from = next;
    }
    Ok(())
}

/// The five cells of a device. A name that a spreadsheet would take for a formula is made a text.
fn record(device: &Device) -> [String; 5] {
    let cells = Cells::of(device);
    let word = |member: Option<&super::facets::Member>| {
        member.map_or("Not known", |member| member.text).to_owned()
    };
    [
        cell(&cells.name.into()),
        cells.managed_by.to_owned(),
        word(cells.onboarding),
        times::seconds(cells.last_check_in).unwrap_or_default(),
        word(cells.sensor),
    ]
}
