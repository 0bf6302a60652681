//! `GET /`: the counts of a tenant, each with a link to exactly these devices.

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use muster_control::{Action, Connector, DEFENDER, Key, Object};

use super::charts::{bars, count, legend, share, stack};
use super::layout::{Place, Tone, badge, freshness, not_permitted, page, patterns};
use super::numbers::{Allowed, Card, Line, Numbers};
use super::session::Session;
use super::texts::number;
use crate::graph::error::GraphError;

/// `GET /`.
pub(super) async fn overview(session: Session) -> Result<Response, GraphError> {
    let numbers = Numbers::of(&session).await?;
    let tenant = session.call.control().tenant_name(session.call.tenant());
    let content = html! {
        (patterns())
        div .head {
            h1 { (tenant) }
            div .status { (freshness(&session, true)) (connector_pill(&session)) }
        }
        @match &numbers.devices {
            Ok(lines) if lines.iter().all(|line| line.count == 0) => (no_devices()),
            _ => {}
        }
        (tiles(&numbers))
        div .grid.wide {
            div .column { (windows(&numbers)) (edr(&numbers)) }
            (compliance(&numbers))
        }
        div .grid.thirds {
            (bars_card("sensor", "Defender sensor", "Last known, of devices ever onboarded", &numbers.sensor))
            (bars_card("risk", "Device risk", "As the sensor has reported it", &numbers.risk))
            (bars_card("platform", "Platforms", "All devices", &numbers.platform))
        }
        div .grid.wide {
            (bars_card("managed-by", "Managed by", "All devices", &numbers.managed_by))
            (connector(&session))
        }
    };
    Ok(page(&session, Some(Place::Overview), "Overview", &content).into_response())
}

fn no_devices() -> Markup {
    html! {
        section #empty .card .empty {
            h2 { "No devices yet" }
            p { "The first check-in of a device adds it. Enrol one on the machine of your certificate authority:" }
            pre { code { "muster pki issue --pki /etc/muster/pki --out identities --tenant TENANT --device ID --days 90" } }
        }
    }
}

fn tile(id: &str, title: &str, first: Allowed<&Line>, rest: &Markup) -> Markup {
    html! {
        section #{ "tile-" (id) } .card .tile {
            h2 { (title) }
            @match first {
                Ok(line) => {
                    p .figure { (count(line)) }
                    p .hint { (rest) }
                }
                Err(action) => (not_permitted(action)),
            }
        }
    }
}

/// A line of a card, or why it is not shown.
fn line<'a>(card: &'a Allowed<Card>, id: &str) -> Option<Allowed<&'a Line>> {
    match card {
        Ok(card) => card.lines.iter().find(|line| line.id == id).map(Ok),
        Err(action) => Some(Err(*action)),
    }
}

fn tiles(numbers: &Numbers) -> Markup {
    let of_total = |card: &Allowed<Card>, id: &str, text: &str| {
        let found = line(card, id).and_then(Result::ok);
        html! {
            @if let (Some(line), Ok(card)) = (found, card) {
                "of " span data-total=(id) { (number(card.total)) } " " (text) ", " (share(line))
            }
        }
    };
    let devices = match &numbers.devices {
        Ok(lines) => lines.first().map(Ok),
        Err(action) => Some(Err(*action)),
    };
    let enrolled = numbers.devices.as_ref().ok().and_then(|lines| lines.get(1));
    html! {
        div .grid.tiles {
            @if let Some(devices) = devices {
                (tile("devices", "Devices", devices, &html! {
                    @if let Some(line) = enrolled { (count(line)) " enrolled" }
                }))
            }
            @if let Some(first) = line(&numbers.windows, "windows.onboardedByPolicy") {
                (tile("windows", "Windows onboarded", first,
                    &of_total(&numbers.windows, "windows.onboardedByPolicy", "in scope")))
            }
            @if let Some(first) = line(&numbers.compliance, "summary.compliantDeviceCount") {
                (tile("compliant", "Compliant", first,
                    &of_total(&numbers.compliance, "summary.compliantDeviceCount", "enrolled")))
            }
            @if let Some(first) = line(&numbers.risk, "risk.high") {
                (tile("risk", "High risk now", first, &of_total(&numbers.risk, "risk.high", "devices")))
            }
        }
    }
}

fn windows(numbers: &Numbers) -> Markup {
    html! {
        section #card-windows .card {
            h2 { "Windows devices onboarded to Defender for Endpoint" }
            p .hint { "Devices that Intune or Configuration Manager manages" }
            @match &numbers.windows {
                Ok(card) => {
                    (stack(card))
                    (legend(&card.lines))
                    @if let Some(first) = card.lines.first() {
                        p .note {
                            strong data-rest=(first.id) { (number(card.total - first.count)) }
                            " devices without the Defender for Endpoint sensor."
                            @if let Ok(line) = &numbers.defender_alone {
                                " " (count(line)) " that Defender alone manages are not counted here."
                            }
                        }
                    }
                }
                Err(action) => (not_permitted(*action)),
            }
        }
    }
}

fn compliance(numbers: &Numbers) -> Markup {
    html! {
        section #card-compliance .card {
            h2 { "Compliance" }
            @match &numbers.compliance {
                Ok(card) => {
                    p .hint { span data-total="summary.compliantDeviceCount" { (number(card.total)) }
                        " enrolled devices, each in exactly one state" }
                    (stack(card))
                    (legend(&card.lines))
                    ul .notes {
                        @for line in numbers.reasons.iter().flatten() {
                            li { (count(line)) " " (hidden_by(&line.id)) }
                        }
                    }
                }
                Err(action) => (not_permitted(*action)),
            }
        }
    }
}

/// What a number of compliance hides.
fn hidden_by(id: &str) -> &'static str {
    match id {
        "reason.compliantWithoutData" => "pass only because no threat data has arrived.",
        "reason.compliantWithoutPolicy" => "pass only because no policy applies to them.",
        _ => "are not compliant because their last report has expired.",
    }
}

/// A card with a bar for each line: its share of the whole.
fn bars_card(id: &str, title: &str, hint: &str, card: &Allowed<Card>) -> Markup {
    html! {
        section #{ "card-" (id) } .card {
            h2 { (title) }
            p .hint { (hint) }
            @match card {
                Ok(card) => (bars(card)),
                Err(action) => (not_permitted(*action)),
            }
        }
    }
}

fn edr(numbers: &Numbers) -> Markup {
    html! {
        section #card-edr .card {
            h2 { "EDR onboarding status" }
            p .hint { "Every platform, under Intune or Configuration Manager" }
            @match &numbers.edr {
                Ok(card) => { (stack(card)) (legend(&card.lines)) }
                Err(action) => (not_permitted(*action)),
            }
        }
    }
}

/// The connector to Defender; `None` if there is none.
fn defender(session: &Session) -> Option<Connector> {
    let key = Key::Connector(DEFENDER);
    match session.call.control().object(session.call.tenant(), key) {
        Some((Object::Connector(connector), _)) => Some(connector),
        _ => None,
    }
}

/// The status word of the connector (R1), as far as it is built: partners do not send heartbeats yet.
fn word(connector: Option<&Connector>) -> (&'static str, Tone) {
    let Some(found) = connector else {
        return ("Not set up", Tone::Warning);
    };
    let platforms = [
        found.windows_enabled,
        found.ios_enabled,
        found.android_enabled,
        found.mac_enabled,
    ];
    if platforms.contains(&true) {
        ("Enabled", Tone::Good)
    } else {
        ("Available", Tone::Information)
    }
}

fn connector_pill(session: &Session) -> Markup {
    if !session.call.principal.may(Action::ReadConnectors) {
        return html! {};
    }
    let (word, tone) = word(defender(session).as_ref());
    badge(&format!("Connector: {word}"), tone)
}

fn connector(session: &Session) -> Markup {
    let is_allowed = session.call.principal.may(Action::ReadConnectors);
    let found = defender(session).filter(|_| is_allowed);
    let (word, tone) = word(found.as_ref());
    html! {
        section #card-connector .card {
            h2 { "Connector to Defender for Endpoint" }
            @if !is_allowed {
                (not_permitted(Action::ReadConnectors))
            } @else {
                p .hint { "Whose threat levels decide about compliance" }
                p { (badge(word, tone)) }
                @if let Some(found) = found { (toggles(&found)) }
            }
        }
    }
}

fn toggles(found: &Connector) -> Markup {
    let rows = [
        (
            "Windows",
            found.windows_enabled,
            found.windows_blocked_on_missing,
        ),
        (
            "iOS and iPadOS",
            found.ios_enabled,
            found.ios_blocked_on_missing,
        ),
        (
            "Android",
            found.android_enabled,
            found.android_blocked_on_missing,
        ),
        ("macOS", found.mac_enabled, found.mac_blocked_on_missing),
    ];
    let on = |is_on: bool| {
        let (word, tone) = if is_on {
            ("On", Tone::Good)
        } else {
            ("Off", Tone::Neutral)
        };
        badge(word, tone)
    };
    html! {
        table .toggles {
            thead { tr { th scope="col" { "Platform" } th scope="col" { "Threat levels" } th scope="col" { "Block without data" } } }
            tbody {
                @for (platform, is_on, blocks) in rows {
                    tr { th scope="row" { (platform) } td { (on(is_on)) } td { (on(blocks)) } }
                }
            }
        }
    }
}
