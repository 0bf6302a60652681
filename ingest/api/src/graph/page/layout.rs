//! What all pages have in common: the frame, signs, badges, bars, and the page of an error.
//!
//! Pure. Whatever it shows is escaped by `maud`. Colours and hatching only support words: a state is readable without.

use axum::http::header::HeaderValue;
use maud::{DOCTYPE, Markup, html};
use muster_control::Action;

use super::assets::{SCRIPT, STYLE};
use super::facets::Member;
pub(super) use super::facets::Tone;
use super::session::Session;
use super::texts::{moment, time_of_day};
use crate::graph::error::GraphError;
use crate::times;

/// The media type of a page.
pub(super) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The places in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Devices,
}

/// The class of a tone.
pub(super) const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Information => "information",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
        Tone::Neutral => "neutral",
    }
}

/// The sign of a tone.
pub(super) fn icon(tone: Tone) -> Markup {
    let path = match tone {
        Tone::Good => "M3 8.5 6.5 12 13 4.5",
        Tone::Information => "M8 7.5V12M8 4.2V4.6",
        Tone::Warning => "M8 3.5V9.2M8 11.8V12.2",
        Tone::Bad => "M4 4 12 12M12 4 4 12",
        Tone::Neutral => "M4 8H12",
    };
    html! {
        svg class={ "icon " (class(tone)) } viewBox="0 0 16 16" width="12" height="12" aria-hidden="true" {
            path d=(path) {}
        }
    }
}

/// A state: sign and word.
pub(super) fn badge(text: &str, tone: Tone) -> Markup {
    html! { span class={ "badge " (class(tone)) } { (icon(tone)) (text) } }
}

/// The state of a device.
pub(super) fn state(member: Option<&Member>) -> Markup {
    member.map_or_else(
        || badge("Not known", Tone::Neutral),
        |member| badge(member.text, member.tone),
    )
}

/// A time in seconds; `never` says what 0 means.
pub(super) fn time(seconds: u32, never: &str) -> Markup {
    match (moment(seconds), times::seconds(seconds)) {
        (Some(shown), Some(exact)) => html! { time datetime=(exact) { (shown) } },
        _ => html! { span .muted { (never) } },
    }
}

/// What is shown instead of what a role does not allow.
pub(super) fn not_permitted(action: Action) -> Markup {
    html! {
        p .forbidden data-state="forbidden" {
            svg .icon viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" {
                path d="M4 7.5H12V13H4ZM5.5 7.5V5.2A2.5 2.5 0 0 1 10.5 5.2V7.5" {}
            }
            span { "Not permitted: your role lacks " code { (action.name()) } "." }
        }
    }
}

/// The hatching of bars, once in each page that has some.
pub(super) fn patterns() -> Markup {
    html! {
        svg .patterns width="0" height="0" aria-hidden="true" { defs {
            pattern #hatch-warning width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                rect width="2.5" height="6" fill="#fff" fill-opacity=".45" {}
            }
            pattern #hatch-bad width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)" {
                rect width="2" height="6" fill="#000" fill-opacity=".28" {}
            }
        } }
    }
}

/// The fill of hatching above the colour of a tone.
pub(super) const fn hatching(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Warning => Some("url(#hatch-warning)"),
        Tone::Bad => Some("url(#hatch-bad)"),
        _ => None,
    }
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · Muster" }
            link rel="icon" href=(MARK);
            link rel="stylesheet" href=(STYLE.path);
            script src=(SCRIPT.path) defer {}
        }
    }
}

/// The mark, as an icon of the page.
const MARK: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 22 22'%3E%3Crect \
                    width='22' height='22' rx='6' fill='%230b6bcb'/%3E%3Cpath d='M5 16V7l6 6 6-6v9' fill='none' \
                    stroke='%23fff' stroke-width='2.4' stroke-linejoin='round' stroke-linecap='round'/%3E%3C/svg%3E";

fn brand() -> Markup {
    html! { span .brand { img src=(MARK) alt="" width="22" height="22"; "Muster" } }
}

/// A page without a session.
pub(super) fn plain(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" { (head(title)) body .plain { main #main { (brand()) (content) } } }
    }
}

/// A page of a session.
pub(super) fn page(
    session: &Session,
    place: Option<Place>,
    title: &str,
    content: &Markup,
) -> Markup {
    let principal = &session.call.principal;
    let control = session.call.control();
    let form = session.form_value().unwrap_or_default();
    let current = |own| (place == Some(own)).then_some("page");
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body {
                a .skip href="#main" { "Skip to the content" }
                header .side {
                    a .home href="/" aria-label="Muster, overview" { (brand()) }
                    nav aria-label="Console" {
                        a #nav-overview href="/" aria-current=[current(Place::Overview)] { "Overview" }
                        @if session.lists_devices() {
                            a #nav-devices href="/devices" aria-current=[current(Place::Devices)] { "EDR onboarding" }
                        }
                    }
                    div .account {
                        p { strong #tenant { (control.tenant_name(principal.tenant)) } }
                        p .muted { span #signed-in-as { (principal.actor.name()) } br; (principal.role_name()) }
                        form method="post" action="/sign-out" {
                            input type="hidden" name="form" value=(form);
                            button #sign-out type="submit" { "Sign out" }
                        }
                    }
                }
                main #main tabindex="-1" { (content) }
            }
        }
    }
}

/// How fresh a page is; the script makes it live if the page is.
pub(super) fn freshness(session: &Session, is_live: bool) -> Markup {
    let now = session.call.api.backend.clock().time;
    html! {
        span #live .live data-state="static" data-events=[is_live.then_some("/events")] {
            span .dot aria-hidden="true" {}
            span #live-word { "As of" } " "
            time #as-of datetime=[times::timestamp(now)] { (time_of_day(now)) } " UTC"
        }
    }
}

/// The page of an error, with what to do and the id by which the server knows the request.
pub(super) fn failed(session: Option<&Session>, error: &GraphError, id: &str) -> Markup {
    let title = match error.status.as_u16() {
        403 => "Not permitted",
        404 => "Not found",
        429 => "Too many requests",
        503 => "Not available now",
        _ => "That did not work",
    };
    let content = html! {
        section .card .failure data-status=(error.status.as_u16()) {
            h1 { (title) }
            p { (error.message) }
            p .hint { "Request " code #request-id { (id) } }
            p { a .button href="/" { "Go to the overview" } }
        }
    };
    match session {
        Some(session) => page(session, None, title, &content),
        None => plain(title, &content),
    }
}
