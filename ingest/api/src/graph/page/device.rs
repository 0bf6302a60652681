//! `GET /devices/{id}`: one device: its states and why, the policies that apply, its facts and times.
//!
//! Time may have changed a device since it was evaluated, so it is evaluated as of now: what is explained is what is
//! shown.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use muster_control::{Action, Verb};
use muster_engine::{Facets, decide, evaluate};
use muster_wire::{Inventory, Owner};

use super::cells::name;
use super::facets::{COMPLIANCE, Facet, MANAGED_BY, ONBOARDING, PLATFORM, RISK, SENSOR, Tone};
use super::layout::{Place, badge, freshness, icon, not_permitted, page, state, time};
use super::session::{LIST, Session};
use crate::backend::Device;
use crate::graph::call::Call;
use crate::graph::devices::find;
use crate::graph::error::GraphError;
use crate::graph::states;
use crate::times;
use crate::why::why;

/// `GET /devices/{id}`.
pub(super) async fn device(
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, GraphError> {
    session.require_list()?;
    let mut device = find(&session.call, Verb::Read, &id).await?;
    let sight = session.call.sight(&session.call.control(), &LIST);
    if sight.is_some_and(|sight| !sight.has(&device.targets)) {
        return Err(GraphError::not_found("No device has this id."));
    }
    let reasons = explain(&session.call, &mut device);
    let facets = &device.facets;
    let name = name(&device);
    let content = html! {
        p .path { a href="/devices" { "EDR onboarding" } " / " }
        div .head {
            h1 #device-name { (name) }
            div .status { (freshness(&session, false)) }
        }
        ul .states {
            @for (title, facet) in [("Compliance", &COMPLIANCE), ("EDR onboarding", &ONBOARDING),
                ("Defender sensor", &SENSOR), ("Risk", &RISK)] {
                li data-facet=(facet.name) { span .hint { (title) } (state(facet.of(facets))) }
            }
            li { span .hint { "Managed by" }
                span .moment #managed-by { (MANAGED_BY.of(facets).map_or("Not known", |member| member.text)) } }
            li { span .hint { "Last check-in" } span .moment { (time(device.record.last_check_in, "Never")) } }
        }
        @if let Some(since) = device.stale_since {
            p #stale .alert role="note" {
                (icon(Tone::Warning))
                span { "Its check-ins change nothing since " (time(since, "")) ": their numbers are below the stored one." }
            }
        }
        div .grid.wide {
            section #card-why .card {
                h2 { "Why" }
                p .hint { "The rules that decided, with what they saw" }
                ul .reasons { @for reason in &reasons { (reason) } }
            }
            (facts(&session, &device))
        }
        div .grid.wide { (policies(&session, &device)) (moments(&device)) }
    };
    Ok(page(&session, Some(Place::Devices), &name, &content).into_response())
}

/// Evaluates a device as of now, and says why it is as it is.
fn explain(call: &Call, device: &mut Device) -> Vec<Markup> {
    let policy = call.api.backend.policy();
    let now = call.api.backend.clock().time.as_seconds();
    let mut reasons = Vec::new();
    if let Some(rules) = policy.for_targets(device.record.tenant, &device.targets) {
        let decisions = decide(&device.record, &device.cold, &device.facets, &rules, now);
        let lines = why(&device.record, &device.facets, &rules, &decisions);
        device.facets = evaluate(&device.record, &device.cold, device.facets, &rules, now);
        let facets = &device.facets;
        let status = facets.threat_setting.status();
        let heads = [
            ("Threat level", setting_text(status), setting_tone(status)),
            word("Compliance", &COMPLIANCE, facets),
            word("Defender sensor", &SENSOR, facets),
        ];
        reasons.extend(
            heads
                .into_iter()
                .zip(&lines)
                .map(|(head, line)| reason(head, line)),
        );
    }
    let facets = &device.facets;
    reasons.push(reason(
        word("EDR onboarding", &ONBOARDING, facets),
        onboarding(facets),
    ));
    reasons
}

/// What a reason is about: title, word and tone of a state.
type Head<'a> = (&'a str, &'a str, Tone);

fn word(title: &'static str, facet: &'static Facet, facets: &Facets) -> Head<'static> {
    let (text, tone) = facet
        .of(facets)
        .map_or(("Not known", Tone::Neutral), |member| {
            (member.text, member.tone)
        });
    (title, text, tone)
}

/// The tone of a setting or policy, by the name of its state in Graph.
fn setting_tone(status: &str) -> Tone {
    match status {
        "compliant" => Tone::Good,
        "nonCompliant" => Tone::Bad,
        "error" | "conflict" => Tone::Warning,
        _ => Tone::Neutral,
    }
}

/// The state of a setting or policy in words.
fn setting_text(status: &str) -> &str {
    match status {
        "compliant" => "Compliant",
        "nonCompliant" => "Not compliant",
        "notApplicable" => "Not applicable",
        "notAssigned" => "Not assigned",
        "error" => "Error",
        "conflict" => "Conflict",
        other => other,
    }
}

/// A reason: the state, the facts that decided, and the row of the rule.
fn reason((title, text, tone): Head<'_>, line: &str) -> Markup {
    let (row, rest) = line.split_once(": ").unwrap_or(("", line));
    // The state is in the head, in words.
    let facts = rest.split_once(": ").map_or(rest, |(_, facts)| facts);
    let mut letters = facts.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    html! {
        li {
            (icon(tone))
            div {
                p { (title) ": " strong { (text) } }
                p { @if let Some(first) = first { (first) } (with_moments(letters.as_str())) "." }
                p .rule { (row) }
            }
        }
    }
}

/// A text with its times as people read them.
fn with_moments(text: &str) -> Markup {
    html! {
        @for (index, word) in text.split(' ').enumerate() {
            @if index > 0 { " " }
            @let bare = word.trim_end_matches([',', ')']);
            @match times::parse(bare) {
                Some(at) => { (time(at, "")) (word[bare.len()..]) }
                None => (word),
            }
        }
    }
}

/// R18 in words.
fn onboarding(facets: &Facets) -> &'static str {
    match ONBOARDING.of(facets).map_or("", |member| member.name) {
        "onboarded" => "R18: the last check-in said that its sensor belongs to this organization",
        "foreignOrg" => "R18: the last check-in said so, so it does not count here",
        "offboarded" => {
            "R18: it was onboarded before, and the last check-in said that it no longer is"
        }
        "unsupported" => "R18: the sensor does not exist for its system",
        "insufficientInfo" => "R18: the device has not reported its system",
        _ => "R18: no check-in has said that its sensor is onboarded",
    }
}

fn facts(session: &Session, device: &Device) -> Markup {
    let inventory = device.inventory.as_ref();
    let text = |of: fn(&Inventory) -> &str| inventory.map(of).unwrap_or_default().to_owned();
    let version = inventory.map(|known| Inventory::unpack_version(known.os_version));
    let version = version.filter(|parts| parts.iter().any(|part| *part > 0));
    let version = version
        .map(|[a, b, c, d]| format!("{a}.{b}.{c}.{d}"))
        .unwrap_or_default();
    let owner = match inventory.map_or(Owner::Unknown, |known| known.owner) {
        Owner::Unknown => "",
        Owner::Company => "Company",
        Owner::Personal => "Personal",
    };
    let rows = [
        (
            "Platform",
            PLATFORM
                .of(&device.facets)
                .map_or("Unknown", |member| member.text)
                .to_owned(),
        ),
        ("System", text(|known| &known.os_name)),
        ("Version", version),
        ("Manufacturer", text(|known| &known.manufacturer)),
        ("Model", text(|known| &known.model)),
        ("Serial number", text(|known| &known.serial_number)),
        ("User", text(|known| &known.user_principal_name)),
        ("Owner", owner.to_owned()),
        (
            "Tags",
            inventory
                .map(|known| known.tags.join(", "))
                .unwrap_or_default(),
        ),
    ];
    html! {
        section #card-facts .card {
            h2 { "Device" }
            dl {
                dt { "Id" } dd { code #device-id { (device.record.device_id) } }
                @for (name, value) in rows {
                    dt { (name) }
                    dd { @if value.is_empty() { span .muted { "Not reported" } } @else { (value) } }
                }
                dt { "Groups" } dd #groups { (groups(session, device)) }
            }
        }
    }
}

fn groups(session: &Session, device: &Device) -> Markup {
    if !session.call.principal.may(Action::ReadOrganization) {
        return not_permitted(Action::ReadOrganization);
    }
    let (control, tenant) = (session.call.control(), session.call.tenant());
    let own = control.groups(tenant).filter(|(id, ..)| {
        let target = control.target(tenant, *id);
        target.is_some_and(|target| device.targets.contains(&target))
    });
    let names = own.map(|(_, group, _)| group.properties.display_name.as_str().to_owned());
    let names: Vec<_> = std::iter::once("All devices".to_owned())
        .chain(names)
        .collect();
    html! { (names.join(", ")) }
}

fn policies(session: &Session, device: &Device) -> Markup {
    let found = states::of_policies(&session.call, device);
    html! {
        section #card-policies .card {
            h2 { "Compliance policies" }
            @if found.is_empty() {
                p .muted { "No compliance policy applies to this device." }
            } @else {
                p .hint {
                    @match found.len() {
                        1 => "1 applies",
                        count => { (count) " apply, each decided as if it were the only one" }
                    }
                }
            }
            ul .policies {
                @for policy in &found {
                    @let status = policy["state"].as_str().unwrap_or_default();
                    li data-policy=[policy["id"].as_str()] {
                        span {
                            (policy["displayName"].as_str().unwrap_or_default())
                            span .hint { "Version " (policy["version"]) }
                        }
                        (badge(setting_text(status), setting_tone(status)))
                    }
                }
            }
        }
    }
}

fn moments(device: &Device) -> Markup {
    let (record, cold) = (&device.record, &device.cold);
    html! {
        section #card-times .card {
            h2 { "Times" }
            p .hint { "UTC" }
            dl {
                @for (name, at) in [
                    ("Last check-in", record.last_check_in), ("Last contact of the sensor", record.last_contact),
                    ("Last telemetry", record.last_telemetry), ("Last full report", record.last_full_report),
                    ("First seen", cold.first_seen),
                ] {
                    dt { (name) } dd { (time(at, "Never")) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_a_reason_are_moments_and_the_rest_is_text() {
        let shown = with_moments("no <telemetry> (last 2026-01-01T00:00:00Z, contact never)");
        assert_eq!(
            shown.into_string(),
            "no &lt;telemetry&gt; (last <time datetime=\"2026-01-01T00:00:00Z\">1 Jan 2026, 00:00:00</time>, \
             contact never)"
        );
    }
}
