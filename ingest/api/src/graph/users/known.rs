//! The users whom devices name, and those who are stored, as one list without doubles.
//!
//! Names are compared in lower case. A page is the smallest rows after the last one, so it reads all devices, with the
//! permit of such queries. Bounded: a page holds twice its rows and those that it skips; a count holds
//! [`COUNTED_AT_ONCE`] names and reads the devices once more for each further part.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use muster_control::{Action, Key, Object, ObjectId};
use muster_engine::TenantIndex;
use serde_json::Value as Json;

use crate::backend::{Position, ROWS_MAX};
use crate::graph::call::Call;
use crate::graph::devices::list::{Query, SORTED_SKIP_MAX};
use crate::graph::error::GraphError;
use crate::graph::schemas::USER;
use crate::graph::user::{document_of, name_of, user_id};
use crate::odata::{Filter, JsonRow, OrderBy, Position as Last, Row, Value};

/// Names that a count holds: about 10 MB. Few in tests, so that these count in parts.
const COUNTED_AT_ONCE: usize = if cfg!(test) { 64 } else { 100_000 };

/// A user of whom only the name is known, without a document.
struct Named<'a> {
    tenant: TenantIndex,
    name: &'a str,
}

impl Row for Named<'_> {
    fn value(&self, property: usize) -> Value<'_> {
        match USER.properties[property].name {
            "id" => Value::Guid(*user_id(self.tenant, self.name).as_bytes()),
            "displayName" | "userPrincipalName" => Value::Text(self.name),
            _ => Value::Null,
        }
    }
}

/// Calls `visit` with the name in each inventory, until it returns false. The caller has the permit.
async fn each_name(
    call: &Call,
    mut visit: impl FnMut(String) -> bool + Send,
) -> Result<(), GraphError> {
    let query = Query::new(call, None, &[Action::ReadOrganization]);
    let mut from = Some(Position::default());
    while let Some(at) = from {
        let (found, next) = query.page(at, 0, ROWS_MAX).await?;
        let names = found.iter().filter_map(|(_, device)| name_of(device));
        for name in names {
            if !visit(name) {
                return Ok(());
            }
        }
        from = next;
    }
    Ok(())
}

/// The name of the user with this id, if a device names one.
pub(super) async fn find_named(call: &Call, id: ObjectId) -> Result<Option<String>, GraphError> {
    let _permit = call.api.scan_permit().await?;
    let mut found = None;
    each_name(call, |name| {
        if user_id(call.tenant(), &name) == id {
            found = Some(name);
        }
        found.is_none()
    })
    .await?;
    Ok(found)
}

/// The documents of the stored users by name, in lower case.
fn stored(call: &Call) -> BTreeMap<String, Json> {
    let control = call.control();
    let users = control.users(call.tenant());
    let users = users.map(|(id, user, _)| {
        let name = user.principal_name.as_str().to_lowercase();
        let document = Object::User(user.clone()).document(Key::User(id));
        (name, Json::Object(document))
    });
    users.collect()
}

/// The smallest users of an order.
struct Smallest<'a> {
    order: &'a OrderBy,
    keep: usize,
    rows: BTreeMap<String, Json>,
    /// The largest row that was kept when the others were dropped: those beyond it need not come back.
    last: Option<Json>,
}

impl Smallest<'_> {
    /// Whether a row may be among the smallest.
    fn wants(&self, name: &str, row: &impl Row) -> bool {
        let is_within = self.last.as_ref().is_none_or(|last| {
            self.order.compare(row, &JsonRow::new(&USER, last)) == Ordering::Less
        });
        is_within && !self.rows.contains_key(name)
    }

    fn add(&mut self, name: String, document: Json) {
        self.rows.insert(name, document);
        if self.rows.len() >= 2 * self.keep {
            let mut rows: Vec<_> = std::mem::take(&mut self.rows).into_iter().collect();
            rows.sort_by(|(_, one), (_, other)| self.compare(one, other));
            rows.truncate(self.keep);
            self.last = rows.last().map(|(_, document)| document.clone());
            self.rows = rows.into_iter().collect();
        }
    }

    fn compare(&self, one: &Json, other: &Json) -> Ordering {
        let other = JsonRow::new(&USER, other);
        self.order.compare(&JsonRow::new(&USER, one), &other)
    }

    fn sorted(mut self) -> Vec<Json> {
        let mut rows: Vec<_> = std::mem::take(&mut self.rows).into_values().collect();
        rows.sort_by(|one, other| self.compare(one, other));
        rows
    }
}

/// A page of users, and the position of its last row if more follow.
pub(super) async fn page(
    call: &Call,
    filter: Option<&Filter>,
    order: &OrderBy,
    after: Option<&Last<'_>>,
    skip: u64,
    rows: usize,
) -> Result<(Vec<Json>, Option<Vec<u8>>), GraphError> {
    if skip > SORTED_SKIP_MAX {
        return Err(GraphError::bad_request(format!(
            "$skip: at most {SORTED_SKIP_MAX} of users; follow @odata.nextLink instead."
        )));
    }
    let skip = usize::try_from(skip).expect("it is at most SORTED_SKIP_MAX");
    let mut smallest = Smallest {
        order,
        keep: skip + rows + 1,
        rows: BTreeMap::new(),
        last: None,
    };
    let is_later =
        |row: &dyn Row| after.is_none_or(|after| order.compare_to(row, after) == Ordering::Greater);
    let matches = |row: &dyn Row| filter.is_none_or(|filter| filter.matches(row));
    let _permit = call.api.scan_permit().await?;
    let stored = stored(call);
    for (name, document) in &stored {
        let row = JsonRow::new(&USER, document);
        if is_later(&row) && matches(&row) && smallest.wants(name, &row) {
            smallest.add(name.clone(), document.clone());
        }
    }
    let tenant = call.tenant();
    each_name(call, |name| {
        let row = Named {
            tenant,
            name: &name,
        };
        let is_new = smallest.wants(&name, &row) && !stored.contains_key(&name);
        if is_new && is_later(&row) && matches(&row) {
            let document = document_of(tenant, &name);
            smallest.add(name, document);
        }
        true
    })
    .await?;
    let mut found = smallest.sorted();
    let has_more = found.len() > skip + rows;
    found.truncate(skip + rows);
    let found = found.split_off(skip.min(found.len()));
    let last = found.last().filter(|_| has_more);
    let position = last.map(|last| order.encode(&JsonRow::new(&USER, last)));
    let position = position.transpose();
    let position = position.map_err(|error| GraphError::bad_request(error.to_string()))?;
    Ok((found, position))
}

/// The number of users that match.
pub(super) async fn count(call: &Call, filter: Option<&Filter>) -> Result<u64, GraphError> {
    let matches = |row: &dyn Row| filter.is_none_or(|filter| filter.matches(row));
    let _permit = call.api.scan_permit().await?;
    let stored = stored(call);
    let own = stored.values();
    let mut count = own
        .filter(|user| matches(&JsonRow::new(&USER, user)))
        .count() as u64;
    let tenant = call.tenant();
    let mut after: Option<String> = None;
    loop {
        let (mut part, mut is_whole) = (BTreeSet::new(), true);
        each_name(call, |name| {
            let is_later = after.as_ref().is_none_or(|after| name > *after);
            let is_new = is_later && !part.contains(&name) && !stored.contains_key(&name);
            if is_new
                && matches(&Named {
                    tenant,
                    name: &name,
                })
            {
                part.insert(name);
                if part.len() > COUNTED_AT_ONCE {
                    part.pop_last();
                    is_whole = false;
                }
            }
            true
        })
        .await?;
        count += part.len() as u64;
        if is_whole {
            return Ok(count);
        }
        after = part.pop_last();
    }
}
