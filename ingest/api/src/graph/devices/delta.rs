//! `managedDevices/delta`: the present state first, then what changes, from the change feed.
//!
//! The first round pages through all devices, and its last page has a link with the position in the feed at which the
//! round began: what changed meanwhile is in the next round. The feed is bounded; a link that it no longer reaches is
//! answered with 410 and where to start again. So is one of a principal that sees only the devices of some groups, once
//! these groups have changed: the feed does not tell which devices came into sight or went out of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::RawQuery;
use axum::http::header::{HeaderValue, LOCATION};
use axum::response::{IntoResponse, Response};
use muster_control::{Action, ControlPlane, Key, Sight};
use muster_wire::DeviceId;
use serde_json::{Value, json};

use super::list::{CONTEXT, Query, payload_of, position_of};
use super::row::SCHEMA;
use crate::backend::{Position, ROWS_MAX};
use crate::graph::call::Call;
use crate::graph::collection::{answer, conditions, options};
use crate::graph::error::GraphError;
use crate::odata::{Options, Purpose, Select, TokenError, TokenScope};

/// How long a link is valid, in seconds; the feed is usually shorter.
const LINK_SECONDS: u64 = 30 * 24 * 3600;

/// Where a round is.
enum At {
    /// In the pages of the present state, begun at a position of the feed.
    State { head: u64, from: Position },
    /// In the changes from a position of the feed on.
    Changes(u64),
}

impl At {
    fn payload(&self) -> Vec<u8> {
        match self {
            Self::State { head, from } => [&head.to_le_bytes()[..], &payload_of(*from)].concat(),
            Self::Changes(position) => position.to_le_bytes().to_vec(),
        }
    }

    /// Reads [`At::payload`].
    fn read(payload: &[u8]) -> Option<Self> {
        let (number, rest) = payload.split_first_chunk()?;
        let number = u64::from_le_bytes(*number);
        match rest {
            [] => Some(Self::Changes(number)),
            rest => Some(Self::State {
                head: number,
                from: position_of(rest)?,
            }),
        }
    }
}

/// What a round needs of its request.
struct Round<'a> {
    call: &'a Call,
    control: Arc<ControlPlane>,
    /// The devices that exist for the principal.
    sight: Option<Sight>,
    /// Differs if they may differ.
    stamp: [u8; 16],
    options: &'a Options,
    query: Query<'a>,
    select: Select,
    now: u64,
}

impl Round<'_> {
    fn scope(&self) -> TokenScope {
        TokenScope {
            purpose: Purpose::Delta,
            tenant: self.call.tenant().0.into(),
            options: self.options.hash("managedDevices/delta"),
        }
    }

    fn link(&self, name: &str, at: &At) -> Result<String, GraphError> {
        let expires = self.now + LINK_SECONDS;
        let tokens = &self.call.api.tokens;
        let payload = [&self.stamp[..], &at.payload()].concat();
        let token = tokens.seal(&self.scope(), expires, &payload)?;
        let query = self.options.continued(name, &token);
        Ok(format!("{}?{query}", self.call.url()))
    }

    /// Where the request is; `None` if its link is of other devices.
    fn at(&self) -> Result<Option<At>, GraphError> {
        let head = self.call.api.backend.changes_head(self.call.tenant());
        let latest = self.options.deltatoken.as_deref();
        if latest.is_some_and(|token| token.eq_ignore_ascii_case("latest")) {
            return Ok(Some(At::Changes(head)));
        }
        let token = self
            .options
            .skiptoken
            .as_ref()
            .or(self.options.deltatoken.as_ref());
        let Some(token) = token else {
            let from = Position::default();
            return Ok(Some(At::State { head, from }));
        };
        let payload = self.call.api.tokens.open(&self.scope(), self.now, token)?;
        let (stamp, at) = payload.split_first_chunk().ok_or(TokenError::Invalid)?;
        let at = At::read(at).ok_or(TokenError::Invalid)?;
        Ok((*stamp == self.stamp).then_some(at))
    }

    async fn state(&self, head: u64, from: Position) -> Result<Response, GraphError> {
        let (found, next) = self.query.page(from, 0, self.options.page_rows()).await?;
        let mut page = Vec::with_capacity(found.len());
        for (_, device) in &found {
            page.push(super::document(
                self.call,
                device,
                &self.select,
                self.options,
            )?);
        }
        let (next, delta) = match next {
            Some(from) => (
                Some(self.link("$skiptoken", &At::State { head, from })?),
                None,
            ),
            None => (None, Some(self.link("$deltatoken", &At::Changes(head))?)),
        };
        Ok(answer(self.call, CONTEXT, page, None, next, delta))
    }

    async fn changes(&self, position: u64) -> Result<Response, GraphError> {
        let (backend, tenant) = (&self.call.api.backend, self.call.tenant());
        let limit = self.options.page_rows().min(ROWS_MAX);
        let Ok(changes) = backend.changes_since(tenant, position, limit) else {
            return self.too_old();
        };
        let after = changes.last().map_or(position, |last| last.position + 1);
        let ids: BTreeSet<DeviceId> = changes.iter().map(|change| change.device_id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let devices = backend.devices_by_id(tenant, ids.clone()).await?;
        let mut page = Vec::with_capacity(ids.len());
        for id in ids.into_iter().filter(|id| self.sees(id)) {
            let found = devices.iter().find(|device| device.record.device_id == id);
            page.push(match found.filter(|device| !device.record.removed()) {
                Some(device) if self.query.has(device) => {
                    super::document(self.call, device, &self.select, self.options)?
                }
                // Whether it met the conditions before is not known.
                Some(_) => removed(id, "changed"),
                None => removed(id, "deleted"),
            });
        }
        let at = At::Changes(after);
        let has_more = changes.len() == limit;
        let link = self.link(
            if has_more {
                "$skiptoken"
            } else {
                "$deltatoken"
            },
            &at,
        )?;
        let (next, delta) = if has_more {
            (Some(link), None)
        } else {
            (None, Some(link))
        };
        Ok(answer(self.call, CONTEXT, page, None, next, delta))
    }

    /// Whether a device exists for the principal, or did before it was removed.
    fn sees(&self, id: &DeviceId) -> bool {
        let Some(sight) = &self.sight else {
            return true;
        };
        sight.has(&self.control.targets_of(self.call.tenant(), id))
    }

    /// The feed no longer reaches the link, or is of other devices.
    fn too_old(&self) -> Result<Response, GraphError> {
        let message = "The changes since this link are no longer known: start with a fresh round.";
        let mut response = GraphError::gone(message).into_response();
        if let Ok(fresh) = HeaderValue::try_from(self.call.url()) {
            response.headers_mut().insert(LOCATION, fresh);
        }
        Ok(response)
    }
}

/// What decides about the devices that exist for the principal: its scope tags, and the groups that have any, with the
/// ETags that their members change. All zero if all devices do.
fn stamp(call: &Call, control: &ControlPlane, sight: Option<&Sight>) -> [u8; 16] {
    let Some(sight) = sight else {
        return [0; 16];
    };
    let groups = control.tagged_groups(call.tenant()).map(|(group, tags)| {
        let found = control.object(call.tenant(), Key::Group(group));
        (group, tags, found.map(|(_, etag)| etag.to_string()))
    });
    let groups: Vec<_> = groups.collect();
    Options::default().hash(&format!("{sight:?} {groups:?}"))
}

/// A device that the query no longer has: it was deleted, or it has changed and does not meet the conditions.
fn removed(id: DeviceId, reason: &str) -> Value {
    json!({ "id": id.to_string(), "@removed": { "reason": reason } })
}

/// `GET managedDevices/delta`.
pub(in crate::graph) async fn delta(
    call: Call,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    call.require(Action::ReadDevices)?;
    let options = options(query.as_deref())?;
    if options.orderby.is_some() {
        return Err(GraphError::bad_request(
            "A delta query does not support $orderby.",
        ));
    }
    let control = call.control();
    let sight = call.sight(&control, &[Action::ReadDevices]);
    let round = Round {
        call: &call,
        query: Query::new(
            &call,
            conditions(&options, &SCHEMA)?,
            &[Action::ReadDevices],
        ),
        stamp: stamp(&call, &control, sight.as_ref()),
        control,
        sight,
        select: Select::new(&options.select, &SCHEMA)?,
        now: call.api.backend.clock().time.as_millis() / 1_000,
        options: &options,
    };
    match round.at()? {
        Some(At::State { head, from }) => round.state(head, from).await,
        Some(At::Changes(position)) => round.changes(position).await,
        None => round.too_old(),
    }
}
