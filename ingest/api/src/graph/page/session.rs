//! A browser session: a sealed cookie that names a token of the API, and never holds its secret.
//!
//! Nothing is kept on the server, so signing out deletes the cookie and ends no copy of it. Every request looks the
//! token up again, so a token that is revoked or expires ends its sessions at once. A session lasts
//! [`SESSION_SECONDS`] at most. Its forms carry a value that only this session can have, besides the cookie, which
//! browsers do not send for other sites.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use muster_control::{Action, Handling, Key, Object, ObjectId, Token};
use muster_engine::TenantIndex;

use crate::graph::auth::Principal;
use crate::graph::call::{Call, Metadata};
use crate::graph::error::GraphError;
use crate::graph::path::Version;
use crate::graph::state::GraphApi;
use crate::odata::{Purpose, TokenScope};

/// The prefix makes browsers accept it only over HTTPS, for this host and every path.
const NAME: &str = "__Host-muster";

/// How long a session lasts, in seconds.
pub(super) const SESSION_SECONDS: u64 = 8 * 3600;

/// Bytes of the random number of a session.
const NONCE_BYTES: usize = 16;

/// Tenant, id of the token, random number.
const PAYLOAD_BYTES: usize = 2 + 16 + NONCE_BYTES;

/// The browser session of a signed-in user.
#[derive(Clone, Debug)]
pub(in crate::graph) struct Session {
    /// What the API knows of a request.
    pub(in crate::graph) call: Call,
    /// Distinguishes sessions of one token.
    nonce: [u8; NONCE_BYTES],
}

/// What shows the onboarding of single devices: section 7 of the domain.
pub(super) const LIST: [Action; 2] = [Action::ReadOnboarding, Action::ReadDevices];

/// What every cookie is sealed for; tenant and token are in its payload.
const SCOPE: TokenScope = TokenScope {
    purpose: Purpose::Session,
    tenant: 0,
    options: [0; 16],
};

fn seconds(api: &GraphApi) -> u64 {
    api.backend.clock().time.as_millis() / 1_000
}

/// The token with this id, if it is valid now.
fn valid_token(api: &GraphApi, tenant: TenantIndex, id: ObjectId) -> Option<Token> {
    let found = api.backend.control().object(tenant, Key::Token(id));
    match found {
        Some((Object::Token(token), _)) if token.is_valid_at(api.backend.clock().time) => {
            Some(token)
        }
        _ => None,
    }
}

/// The holder of the token with this id, if it is valid now.
pub(super) fn holder(api: &GraphApi, tenant: TenantIndex, id: ObjectId) -> Option<Principal> {
    let token = valid_token(api, tenant, id)?;
    let control = api.backend.control();
    Some(Principal::of(&control, tenant, id, &token))
}

/// The header that begins a session of the holder of a token; `None` if the token is not valid.
pub(super) fn begin(api: &GraphApi, tenant: TenantIndex, id: ObjectId) -> Option<HeaderValue> {
    let token = valid_token(api, tenant, id)?;
    let now = seconds(api);
    let expires = (token.expires_at.as_millis() / 1_000).min(now + SESSION_SECONDS);
    let mut payload = tenant.0.to_le_bytes().to_vec();
    payload.extend(id.as_bytes());
    let mut nonce = [0; NONCE_BYTES];
    aws_lc_rs::rand::fill(&mut nonce).ok()?;
    payload.extend(nonce);
    let sealed = api.tokens.seal(&SCOPE, expires, &payload).ok()?;
    let age = expires.saturating_sub(now);
    let cookie =
        format!("{NAME}={sealed}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={age}");
    HeaderValue::try_from(cookie).ok()
}

/// The header that ends the session in the browser.
pub(super) const END: HeaderValue = HeaderValue::from_static(
    "__Host-muster=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0",
);

/// The value of the cookie; `None` if there is none, or more than one.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(COOKIE).iter();
    let mut own = all
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == NAME);
    let (found, further) = (own.next()?, own.next());
    further.is_none().then_some(found.1)
}

impl Session {
    /// The session of a request; `None` if there is none, or it has ended.
    pub(super) fn of(api: &Arc<GraphApi>, headers: &HeaderMap) -> Option<Self> {
        let payload = api
            .tokens
            .open(&SCOPE, seconds(api), cookie(headers)?)
            .ok()?;
        let payload: &[u8; PAYLOAD_BYTES] = payload.as_slice().try_into().ok()?;
        let (tenant, rest) = payload.split_first_chunk::<2>()?;
        let (id, nonce) = rest.split_first_chunk::<16>()?;
        let tenant = TenantIndex(u16::from_le_bytes(*tenant));
        let id = ObjectId::from_bytes(*id);
        Some(Self {
            call: Call {
                api: Arc::clone(api),
                principal: holder(api, tenant, id)?,
                version: Version::Beta,
                origin: Arc::from(""),
                path: Arc::from(""),
                metadata: Metadata::None,
                handling: Handling::Strict,
            },
            nonce: nonce.try_into().ok()?,
        })
    }

    /// Whether it may see the onboarding of single devices.
    pub(super) fn lists_devices(&self) -> bool {
        LIST.iter().all(|action| self.call.principal.may(*action))
    }

    /// Refuses to show single devices.
    pub(super) fn require_list(&self) -> Result<(), GraphError> {
        LIST.iter()
            .try_for_each(|action| self.call.require(*action))
    }

    /// The session with what its token may do by now; `None` if it is no longer valid.
    pub(super) fn refreshed(mut self) -> Option<Self> {
        let Principal { tenant, id, .. } = self.call.principal;
        self.call.principal = holder(&self.call.api, tenant, id)?;
        Some(self)
    }

    fn form_scope(&self) -> TokenScope {
        TokenScope {
            purpose: Purpose::Form,
            tenant: self.call.tenant().0.into(),
            options: self.nonce,
        }
    }

    /// The value that its forms carry.
    pub(super) fn form_value(&self) -> Result<String, GraphError> {
        let api = &self.call.api;
        let expires = seconds(api) + SESSION_SECONDS;
        Ok(api.tokens.seal(&self.form_scope(), expires, &[])?)
    }

    /// Refuses a form that is not one of this session.
    pub(super) fn require_form(&self, value: &str) -> Result<(), GraphError> {
        let api = &self.call.api;
        let opened = api.tokens.open(&self.form_scope(), seconds(api), value);
        opened.map(drop).map_err(|_| {
            GraphError::bad_request("The form is not one of this session: reload the page.")
        })
    }
}

/// Redirects a request without a browser session to the sign-in page, which returns to the requested page.
impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let session = parts.extensions.get::<Self>().cloned();
        session.ok_or_else(|| {
            let place = parts
                .uri
                .path_and_query()
                .map_or("/", |place| place.as_str());
            let mut query = form_urlencoded::Serializer::new(String::new());
            let query = query.append_pair("next", place).finish();
            Redirect::to(&format!("/sign-in?{query}")).into_response()
        })
    }
}
