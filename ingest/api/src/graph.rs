//! The operators' API in the shape of Microsoft Graph: over HTTPS, with a token, at `/v1.0` and `/beta`, with the machines
//! of Defender at `/api`; and the console, the same in a browser, at `/`.
//!
//! Owner: the API runtime of the server, which has a thread of its own, so that no request delays a check-in or a probe.
//! It reads and changes through [`Backend`] only. The tenant of a request is that of its token. Bounded: connections
//! and their times in `listen.rs`, requests of a principal in `answer.rs`, bodies in `body.rs`, passes over all devices
//! here, export jobs in `exports.rs`.

mod accesses;
mod activity;
mod answer;
mod assignments;
mod audit;
mod auth;
mod batch;
mod body;
mod call;
mod changes;
mod codes;
mod collection;
mod connectors;
mod devices;
mod downloads;
mod error;
mod exports;
mod failures;
mod groups;
mod identity;
mod jobs;
mod listen;
mod machines;
mod names;
mod objects;
mod openapi;
mod operation;
mod operations;
mod own_types;
mod page;
mod path;
mod permits;
mod recording;
mod roles;
mod route;
mod schemas;
mod settings;
mod sign_in_codes;
mod state;
mod states;
mod stream;
mod summaries;
mod tokens;
mod user;
mod users;

use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::response::Response;

pub use self::body::BODY_BYTES_MAX as GRAPH_BODY_BYTES_MAX;
pub use self::exports::cell as csv_cell;
pub use self::jobs::JOBS_MAX as EXPORT_JOBS_MAX;
pub use self::listen::{CONNECTIONS_MAX as GRAPH_CONNECTIONS_MAX, serve as serve_graph};
use crate::backend::Backend;
use crate::odata::TokenKey;
use crate::oidc::Issuers;

use self::route::Routers;
use self::state::GraphApi;
pub use self::state::{DOWNLOADS_MAX, ServerNames};

/// The secret that authenticates the tokens in links. Never shown.
#[derive(Clone, Copy)]
pub struct LinkSecret(pub [u8; 32]);

impl std::fmt::Debug for LinkSecret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("LinkSecret(..)")
    }
}

/// What the API needs besides its backend.
#[derive(Debug)]
pub struct GraphOptions {
    /// The names of the server.
    pub names: ServerNames,
    /// Authenticates the tokens in links. Stays the same over restarts, so links do too.
    pub link_secret: LinkSecret,
    /// The issuers whose users may use the API. Their keys are kept by [`Issuers::keep_keys`].
    pub issuers: Arc<Issuers>,
    /// Memory for the orders of devices by name, of all tenants together.
    pub name_bytes_max: usize,
}

/// An API that is open.
#[derive(Debug)]
struct Open {
    api: Arc<GraphApi>,
    routers: Routers,
    /// The OpenAPI document, once someone has asked for it.
    document: OnceLock<Bytes>,
}

/// Answers for the API until the server has recovered.
#[derive(Debug, Default)]
pub struct GraphGate(OnceLock<Open>);

impl GraphGate {
    /// Opens the API once the server has recovered.
    pub fn open(&self, backend: Arc<dyn Backend>, options: GraphOptions) {
        self.0.get_or_init(|| {
            let tokens = TokenKey::new(&options.link_secret.0);
            Open {
                api: Arc::new(GraphApi::new(
                    backend,
                    options.names,
                    tokens,
                    options.issuers,
                    options.name_bytes_max,
                )),
                routers: Routers {
                    resources: operations::router(),
                    defender: machines::routes(),
                    pages: page::router(),
                },
                document: OnceLock::new(),
            }
        });
    }

    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response {
        match self.0.get() {
            Some(open) if openapi::is_of(&request) => {
                let document = || openapi::document(&operations::all()).to_string().into();
                openapi::answer(open.document.get_or_init(document))
            }
            Some(open) => answer::answer(Arc::clone(&open.api), &open.routers, request).await,
            None => answer::refusal(&error::GraphError::unavailable(
                "The server is starting; retry later.",
            )),
        }
    }
}

/// The path of every route, for the test that has a row for each.
#[cfg(test)]
pub(crate) fn route_paths() -> std::collections::BTreeSet<String> {
    let all = operations::all().into_iter();
    let routed = all.filter(|operation| operation.handler.is_some());
    routed
        .map(|operation| operation.path.to_lowercase())
        .collect()
}
