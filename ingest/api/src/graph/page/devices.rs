//! `GET /devices`: the EDR onboarding status view, with filters, a search, an order, and pages of [`ROWS`] devices.
//!
//! Bounded like the lists of the API, whose query it is. A page without a search has the exact number of all devices; a
//! search reads names, so only its page is counted.

use axum::extract::RawQuery;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::cells::{Cells, HEADINGS};
use super::charts::{legend, stack};
use super::facets::FACETS;
use super::layout::{Place, freshness, not_permitted, page, patterns, state, time};
use super::numbers::Numbers;
use super::selection::{Order, Selection};
use super::session::Session;
use super::texts::number;
use crate::backend::{Device, Position};
use crate::graph::call::Call;
use crate::graph::devices::list::{payload_of, position_of};
use crate::graph::devices::row::{DeviceRow, Formatted, SCHEMA};
use crate::graph::error::GraphError;
use crate::odata::{Options, OrderBy, Purpose, TokenError, TokenScope};

/// Devices of a page.
const ROWS: usize = 50;

/// How long the link to the next page is valid, in seconds.
const NEXT_SECONDS: u64 = 24 * 3600;

/// The devices of a page.
struct Found {
    devices: Vec<Device>,
    /// The number of all that match, if it is known.
    count: Option<u64>,
    /// The address of the next page.
    next: Option<String>,
}

/// `GET /devices`.
pub(super) async fn list(
    session: Session,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    session.require_list()?;
    let selection = Selection::parse(query.as_deref().unwrap_or_default())?;
    let found = find(&session.call, &selection).await?;
    let numbers = Numbers::of(&session).await?;
    let content = html! {
        (patterns())
        div .head {
            h1 { "EDR onboarding status" }
            div .status { (freshness(&session, false)) }
        }
        section #card-edr .card.summary aria-label="EDR onboarding status of all devices" {
            @match &numbers.edr {
                Ok(card) => { (stack(card)) (legend(&card.lines)) }
                Err(action) => (not_permitted(*action)),
            }
        }
        (tools(&selection, &found))
        @if found.devices.is_empty() { (none(&selection)) } @else { (table(&selection, &found)) }
        (foot(&selection, &found))
    };
    let title = "EDR onboarding status";
    Ok(page(&session, Some(Place::Devices), title, &content).into_response())
}

/// The devices of a page and where the next one begins.
async fn find(call: &Call, selection: &Selection) -> Result<Found, GraphError> {
    let query = selection.devices(call)?;
    let now = call.api.backend.clock().time.as_millis() / 1_000;
    let scope = TokenScope {
        purpose: Purpose::Page,
        tenant: call.tenant().0.into(),
        options: Options::default().hash(&selection.address("/devices")),
    };
    let after = selection.after.as_deref();
    let after = after
        .map(|token| call.api.tokens.open(&scope, now, token))
        .transpose()?;
    let (devices, payload) = match selection.order.by() {
        None => {
            let from = match &after {
                Some(payload) => position_of(payload).ok_or(TokenError::Invalid)?,
                None => Position::default(),
            };
            let (found, next) = query.page(from, 0, ROWS).await?;
            let devices: Vec<_> = found.into_iter().map(|(_, device)| device).collect();
            (devices, next.map(payload_of))
        }
        Some(order) => {
            let order = OrderBy::parse(order, &SCHEMA)?;
            let (devices, has_more) = query.sorted(&order, after.as_deref(), 0, ROWS).await?;
            let last = devices.last().filter(|_| has_more).map(|last| {
                let formatted = Formatted::of(last, &call.control());
                order.encode(&DeviceRow::new(last, &formatted))
            });
            let last = last.transpose();
            (
                devices,
                last.map_err(|error| GraphError::bad_request(error.to_string()))?,
            )
        }
    };
    let next = payload.map(|payload| call.api.tokens.seal(&scope, now + NEXT_SECONDS, &payload));
    let count = match query.is_of_facets() {
        true => Some(query.count().await?),
        false if next.is_none() && after.is_none() => Some(devices.len() as u64),
        false => None,
    };
    let next = next.transpose()?.map(|token| {
        let query = selection.query();
        let separator = if query.is_empty() { "" } else { "&" };
        format!("/devices?{query}{separator}after={token}")
    });
    Ok(Found {
        devices,
        count,
        next,
    })
}

/// Search, filters, what is chosen, the number of devices, the export. One form, which works without script.
fn tools(selection: &Selection, found: &Found) -> Markup {
    let hidden = selection
        .chosen()
        .filter(|(facet, _)| !FACETS[*facet].is_offered);
    html! {
        form #filters .tools method="get" action="/devices" role="search" {
            @for (facet, member) in hidden {
                input type="hidden" name=(FACETS[facet].name) value=(FACETS[facet].members[member].name);
            }
            @if let Some(order) = selection.order.name() {
                input type="hidden" name="sort" value=(order);
            }
            div .search {
                label .unseen for="search" { "Search by name" }
                input #search type="search" name="search" value=(selection.search) maxlength="100"
                    placeholder="Search by name" autocomplete="off" spellcheck="false";
                button type="submit" { "Search" }
            }
            span .spring {}
            span #count .muted role="status" {
                @match found.count {
                    Some(1) => { "1 device" }
                    Some(count) => { (number(count)) " devices" }
                    None if selection.after.is_none() => { "More than " (found.devices.len()) " devices" }
                    None => { (found.devices.len()) " devices on this page" }
                }
            }
            a #export .button href=(selection.address("/devices.csv")) download="edr-onboarding.csv" { "Export CSV" }
            div .filters { @for (index, facet) in FACETS.iter().enumerate().filter(|(_, facet)| facet.is_offered) {
                details .filter name="filter" data-filter=(facet.name) {
                    summary { (facet.title) }
                    fieldset {
                        legend .unseen { (facet.title) }
                        @for (member, known) in facet.members.iter().enumerate() {
                            label {
                                input type="checkbox" name=(facet.name) value=(known.name)
                                    checked[selection.has(index, member)];
                                " " (known.text)
                            }
                        }
                        button type="submit" { "Apply" }
                    }
                }
            } }
        }
        @if !selection.is_of_all() { div .chosen {
            @for (facet, member) in selection.chosen() {
                @let (title, text) = (FACETS[facet].title, FACETS[facet].members[member].text);
                a .chip href=(selection.without(facet, member).address("/devices"))
                    aria-label={ "Remove the filter " (title) ": " (text) } {
                    span { (title) ": " strong { (text) } } span aria-hidden="true" { "×" }
                }
            }
            a #clear href="/devices" { "Clear all" }
        } }
    }
}

fn none(selection: &Selection) -> Markup {
    html! {
        section #empty .card .empty {
            @if selection.is_of_all() {
                h2 { "No devices yet" }
                p { "The first check-in of a device adds it." }
            } @else {
                h2 { "No device matches" }
                p { "Remove a filter, or search for another part of the name." }
                p { a .button href="/devices" { "Show all devices" } }
            }
        }
    }
}

/// A heading that sorts; a second click reverses.
fn heading(selection: &Selection, text: &str, up: Order, down: Order) -> Markup {
    let (sorted, next) = match selection.order {
        order if order == up => (Some("ascending"), down),
        order if order == down => (Some("descending"), up),
        _ => (None, up),
    };
    html! {
        th scope="col" aria-sort=[sorted] {
            a href=(selection.ordered(next).address("/devices")) {
                (text)
                // The blank does not break, so no arrow is alone in a line.
                span .arrow aria-hidden="true" {
                    @match sorted { Some("ascending") => "\u{a0}↑", Some(_) => "\u{a0}↓", None => "\u{a0}↕" }
                }
            }
        }
    }
}

fn table(selection: &Selection, found: &Found) -> Markup {
    let [name, managed_by, onboarding, check_in, sensor] = HEADINGS;
    let by_name = |descends| Order::Name { descends };
    let by_check_in = |descends| Order::CheckIn { descends };
    html! {
        div .card.table {
            table #devices {
                thead { tr {
                    (heading(selection, name, by_name(false), by_name(true)))
                    th scope="col" { (managed_by) }
                    th scope="col" { (onboarding) }
                    (heading(selection, check_in, by_check_in(true), by_check_in(false)))
                    th scope="col" { (sensor) }
                } }
                tbody {
                    @for device in &found.devices {
                        @let cells = Cells::of(device);
                        @let id = device.record.device_id.to_string();
                        tr data-device=(id) {
                            th scope="row" { a href={ "/devices/" (id) } { (cells.name) } }
                            td data-label=(managed_by) { (cells.managed_by) }
                            td data-label=(onboarding) { (state(cells.onboarding)) }
                            td data-label=(check_in) { (time(cells.last_check_in, "Never")) }
                            td data-label=(sensor) { (state(cells.sensor)) }
                        }
                    }
                }
            }
        }
    }
}

fn foot(selection: &Selection, found: &Found) -> Markup {
    html! {
        nav .foot aria-label="Pages" {
            p .muted { "Times are UTC. A page stays as it is while devices check in." }
            @if selection.after.is_some() {
                a #first .button href=(selection.address("/devices")) { "First page" }
            }
            @if let Some(next) = &found.next { a #next .button rel="next" href=(next) { "Next page" } }
        }
    }
}
