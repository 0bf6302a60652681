//! Signing in and out: with the secret of a token, or with a code that is used up by it.
//!
//! A link with a code shows a button that posts it, so that a preview of the link does not use it up. Every failure has
//! one message. Bounded by `failures.rs`; a form has at most [`FORM_BYTES_MAX`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, RawQuery};
use axum::http::header::{HeaderValue, RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use muster_control::{Access, ObjectId};
use muster_engine::TenantIndex;

use super::layout;
use super::session::{self, END, Session};
use crate::access_counters::RefusedCause;
use crate::graph::auth::holder_of;
use crate::graph::codes::VALID_SECONDS;
use crate::graph::error::GraphError;
use crate::graph::recording;
use crate::graph::state::GraphApi;
use crate::once_per_cause::monotonic_ms;

/// Bytes of a form.
const FORM_BYTES_MAX: usize = 8 << 10;

/// Where a client comes from; `None` in a test without a socket.
type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

/// The fields of a form or query.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn of(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(given, _)| given == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// Where to go after signing in: a place of this server, never another one.
    fn next(&self) -> &str {
        let next = self.get("next");
        let is_local = next.starts_with('/')
            && !next.starts_with("//")
            && !next.contains(['\\', '\r', '\n', '\t']);
        if is_local { next } else { "/" }
    }
}

/// Refuses a form that another site posts. Browsers say where a request comes from; `Origin` is empty under the referrer
/// policy of the console.
fn require_own_site(headers: &HeaderMap) -> Result<(), GraphError> {
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(GraphError::bad_request(
            "The form comes from another site: open the console and try again.",
        )),
    }
}

async fn fields(headers: &HeaderMap, body: Body) -> Result<Fields, GraphError> {
    require_own_site(headers)?;
    let bytes = to_bytes(body, FORM_BYTES_MAX).await;
    let bytes = bytes.map_err(|_| GraphError::too_large(FORM_BYTES_MAX))?;
    Ok(Fields::of(&bytes))
}

/// `GET /sign-in`.
pub(super) async fn form(
    session: Option<Extension<Session>>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::of(query.unwrap_or_default().as_bytes());
    if session.is_some() && fields.get("code").is_empty() {
        return Redirect::to(fields.next()).into_response();
    }
    shown(&fields, None).into_response()
}

/// `POST /sign-in`.
pub(super) async fn sign_in(
    Extension(api): Extension<Arc<GraphApi>>,
    peer: Peer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |Extension(peer)| {
        peer.0.ip().to_canonical()
    });
    let now_ms = monotonic_ms();
    if let Some(seconds) = api.failures.wait_seconds(peer, now_ms) {
        let message = format!("Too many attempts have failed. Try again in {seconds} seconds.");
        let page = shown(&Fields(Vec::new()), Some(&message));
        let retry = [(RETRY_AFTER, HeaderValue::from(seconds))];
        return Ok((StatusCode::TOO_MANY_REQUESTS, retry, page).into_response());
    }
    let fields = fields(&headers, body).await?;
    let begun = found(&api, &fields).and_then(|(tenant, id)| {
        let holder = session::holder(&api, tenant, id)?;
        Some((holder, session::begin(&api, tenant, id)?))
    });
    let Some((mut holder, cookie)) = begun else {
        api.failures.record(peer, now_ms);
        recording::refused_with(&api, RefusedCause::SignIn, Some(peer));
        let message = "That did not work: the token or link is unknown, used, expired or revoked.";
        let next = ("next".to_owned(), fields.next().to_owned());
        let page = shown(&Fields(vec![next]), Some(message));
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    };
    holder.address = Some(peer);
    recording::note(&api, &holder, Access::SignedIn);
    Ok(([(SET_COOKIE, cookie)], Redirect::to(fields.next())).into_response())
}

/// Tenant and id of the token that a form names.
fn found(api: &GraphApi, fields: &Fields) -> Option<(TenantIndex, ObjectId)> {
    let now = api.backend.clock().time;
    match fields.get("code") {
        "" => {
            let holder = holder_of(fields.get("token").trim(), &api.backend.control(), now)?;
            Some((holder.tenant, holder.id))
        }
        code => api.codes.take(code, now.as_millis() / 1_000),
    }
}

/// `POST /sign-out`.
pub(super) async fn sign_out(
    session: Session,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    let fields = fields(&headers, body).await?;
    session.require_form(fields.get("form"))?;
    Ok(([(SET_COOKIE, END)], Redirect::to("/sign-in")).into_response())
}

fn shown(fields: &Fields, failure: Option<&str>) -> Markup {
    let code = fields.get("code");
    layout::plain(
        "Sign in",
        &html! {
            form #sign-in .sign-in method="post" action="/sign-in" {
                h1 { "Sign in" }
                @if let Some(failure) = failure {
                    p #failure .alert role="alert" { (layout::icon(layout::Tone::Bad)) span { (failure) } }
                }
                input type="hidden" name="next" value=(fields.next());
                @if code.is_empty() {
                    label for="token" { "API token" }
                    input #token type="password" name="token" required autocomplete="current-password"
                        spellcheck="false" aria-describedby="token-help";
                    p #token-help .hint {
                        "It begins with " code { "muster_" } ". The session lasts 8 hours, and ends when the token is revoked."
                    }
                } @else {
                    input type="hidden" name="code" value=(code);
                    p .hint { "This link signs you in once, within " (VALID_SECONDS / 60) " minutes of its creation." }
                }
                button .primary type="submit" { "Sign in" }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_sent_to_places_of_this_server_only() {
        let next = |value: &str| {
            Fields(vec![("next".into(), value.into())])
                .next()
                .to_owned()
        };
        assert_eq!(next("/devices?risk=high"), "/devices?risk=high");
        for elsewhere in [
            "",
            "//evil.test",
            "/\\evil.test",
            "https://evil.test",
            "/a\r\nb",
        ] {
            assert_eq!(next(elsewhere), "/", "{elsewhere}");
        }
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        let from = |site: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-site", HeaderValue::from_static(site));
            require_own_site(&headers).is_ok()
        };
        assert!(from("same-origin") && from("none"));
        assert!(!from("same-site") && !from("cross-site"));
        assert!(require_own_site(&HeaderMap::new()).is_ok(), "no browser");
    }
}
