//! `/users`: people by their principal names, whom the inventories of devices name, or whom operators have made.
//!
//! Who is only named by a device is not stored: a list reads all devices, like a sorted list of them, and a look-up stops
//! at the first device that names the user. What operators know about a user is an object of the control plane, under
//! the id that follows from the name; it takes the place of what devices tell.

mod known;

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{Action, Change, DocumentType, Key, ObjectId, Properties, Verb};
use serde_json::Value;

use self::known::{count, find_named, page};
use super::body;
use super::call::Call;
use super::changes::change_by;
use super::collection::{self, Collection, Links, conditions, no_expansion, options, plain_count};
use super::devices;
use super::error::GraphError;
use super::objects::{shown, with_etag};
use super::operation::{self, COUNT, Content, ENTITY, LIST, Operation, Sent, Type};
use super::schemas;
use super::user::{document_of, user_id, user_of};
use crate::odata::{Filter, OrderBy, Select, TokenError};

const CONTEXT: &str = "users";

const COLLECTION: Collection = Collection {
    schema: &schemas::USER,
    context: CONTEXT,
    order: NAME,
};

/// The property by which users are known.
const NAME: &str = "userPrincipalName";

/// The operations on users.
pub(super) fn operations() -> Vec<Operation> {
    const READ: &[Action] = &[Action::ReadOrganization];
    const UPDATE: &[Action] = &[Action::UpdateUsers];
    const BOTH: &[Action] = &[Action::ReadOrganization, Action::ReadDevices];
    const USER: Type = Type::Objects(&[DocumentType::User], &schemas::USER);
    const DEVICE: Type = Type::Rows(&devices::row::SCHEMA);
    vec![
        operation::get("/users", "List the users", list)
            .needs(READ)
            .options(LIST, &schemas::USER)
            .answers(Content::Page(USER)),
        operation::post("/users", "Create a user", create)
            .needs(UPDATE)
            .takes(Sent::Created(&[DocumentType::User]))
            .creates(USER)
            .creation()
            .location()
            .etag(),
        operation::get("/users/$count", "Count the users", number)
            .needs(READ)
            .options(COUNT, &schemas::USER)
            .answers(Content::Number),
        operation::get("/users/{id}", "Read a user", one)
            .needs(READ)
            .options(ENTITY, &schemas::USER)
            .answers(Content::One(USER)),
        operation::patch("/users/{id}", "Change a user", patch)
            .needs(UPDATE)
            .takes(Sent::Changed(&[DocumentType::User]))
            .conditional()
            .etag(),
        operation::delete("/users/{id}", "Delete what is stored of a user", delete)
            .needs(UPDATE)
            .conditional(),
        operation::get(
            "/users/{id}/managedDevices",
            "List the devices of a user",
            devices_of,
        )
        .needs(BOTH)
        .options(LIST, &devices::row::SCHEMA)
        .answers(Content::Page(DEVICE)),
        operation::get(
            "/deviceManagement/managedDevices/{id}/users",
            "List the user of a device",
            users_of,
        )
        .needs(BOTH)
        .answers(Content::Page(USER)),
    ]
}

/// A user: stored, or named by a device.
struct Found {
    id: ObjectId,
    /// The principal name; in lower case if no operator has written it.
    name: String,
    document: Value,
    is_stored: bool,
}

/// The id in a path: that of a user, or the one that follows from a principal name.
fn id_of(call: &Call, text: &str) -> ObjectId {
    text.parse()
        .unwrap_or_else(|_| user_id(call.tenant(), text))
}

/// What operators have stored under an id.
fn stored(call: &Call, id: ObjectId) -> Option<Found> {
    let document = shown(call, &call.control(), Key::User(id))?;
    let name = document.get(NAME)?.as_str()?.to_owned();
    Some(Found {
        id,
        name,
        document: Value::Object(document),
        is_stored: true,
    })
}

/// The user of a path, by id or by principal name.
async fn find(call: &Call, text: &str) -> Result<Found, GraphError> {
    let id = id_of(call, text);
    if let Some(found) = stored(call, id) {
        return Ok(found);
    }
    let name = find_named(call, id).await?;
    let name = name.ok_or_else(|| {
        GraphError::not_found(format!(
            "No user has the id or the principal name '{text}'."
        ))
    })?;
    Ok(Found {
        id,
        document: document_of(call.tenant(), &name),
        name,
        is_stored: false,
    })
}

/// `GET users`.
async fn list(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    call.require(Action::ReadOrganization)?;
    let options = options(query.as_deref())?;
    let select = Select::new(&options.select, &schemas::USER)?;
    let filter = conditions(&options, &schemas::USER)?;
    let order = options.orderby.as_deref().unwrap_or(COLLECTION.order);
    let order = OrderBy::parse(order, &schemas::USER)?;
    let links = Links::new(&call, &options, CONTEXT);
    let payload = links.payload()?;
    let after = payload.as_deref();
    let after = after.map(|bytes| order.decode(bytes).ok_or(TokenError::Invalid));
    let after = after.transpose()?;
    let skip = after.as_ref().map_or(options.skip, |_| 0);
    let total = if options.count && after.is_none() {
        let count = count(&call, filter.as_ref()).await?;
        Some(usize::try_from(count).unwrap_or(usize::MAX))
    } else {
        None
    };
    let rows = options.page_rows();
    let found = page(&call, filter.as_ref(), &order, after.as_ref(), skip, rows);
    let (mut users, next) = found.await?;
    let next = next.map(|position| links.next(&position)).transpose()?;
    for user in &mut users {
        collection::finish(user, &select, &options, &no_expansion)?;
    }
    Ok(collection::answer(&call, CONTEXT, users, total, next, None))
}

/// `GET users/$count`.
async fn number(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    call.require(Action::ReadOrganization)?;
    let options = options(query.as_deref())?;
    let filter = conditions(&options, &schemas::USER)?;
    Ok(plain_count(count(&call, filter.as_ref()).await?))
}

/// `GET users/{id}`.
async fn one(
    call: Call,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    call.require(Action::ReadOrganization)?;
    let found = find(&call, &id).await?;
    let query = query.as_deref();
    let response = collection::single(&call, query, COLLECTION, found.document, &no_expansion)?;
    Ok(if found.is_stored {
        with_etag(response, &call, &call.control(), Key::User(found.id))
    } else {
        response
    })
}

/// `POST users`. A user whom devices name already keeps the id.
async fn create(call: Call, headers: HeaderMap, body: Body) -> Result<Response, GraphError> {
    call.require(Action::UpdateUsers)?;
    let properties = body::object(&headers, body).await?;
    let name = properties.get(NAME).and_then(Value::as_str);
    // Without a name the document is refused, whatever the key.
    let key = Key::User(user_id(call.tenant(), name.unwrap_or_default()));
    let control = change_by(&call, &headers, Change::Create { key, properties }).await?;
    let document = shown(&call, &control, key).unwrap_or_default();
    let response = collection::entity(&call, CONTEXT, Value::Object(document));
    let mut response = with_etag(response, &call, &control, key);
    *response.status_mut() = StatusCode::CREATED;
    let id = key.id_text().unwrap_or_default();
    let location = HeaderValue::try_from(format!("{}/{CONTEXT}/{id}", call.base()));
    response
        .headers_mut()
        .extend(location.ok().map(|location| (LOCATION, location)));
    Ok(response)
}

/// `PATCH users/{id}`. The first one of a user whom only devices name stores the user.
async fn patch(
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(Action::UpdateUsers)?;
    let properties = body::object(&headers, body).await?;
    let found = find(&call, &id).await?;
    let key = Key::User(found.id);
    let change = if found.is_stored {
        Change::Update { key, properties }
    } else {
        let properties = named(properties, &found.name)?;
        Change::Create { key, properties }
    };
    let control = change_by(&call, &headers, change).await?;
    let response = StatusCode::NO_CONTENT.into_response();
    Ok(with_etag(response, &call, &control, key))
}

/// The properties of a user with this name, who is stored with the name as display name unless they have one.
fn named(mut properties: Properties, name: &str) -> Result<Properties, GraphError> {
    let sent = properties.get(NAME).and_then(Value::as_str);
    if sent.is_some_and(|sent| sent.to_lowercase() != name) {
        let message = format!("{NAME} cannot be changed; it is {name}.");
        return Err(GraphError::bad_request(message));
    }
    for property in [NAME, "displayName"] {
        properties
            .entry(property)
            .or_insert_with(|| Value::from(name));
    }
    Ok(properties)
}

/// `DELETE users/{id}`: deletes what operators have stored. Whom a device names is listed until none does.
async fn delete(
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, GraphError> {
    call.require(Action::UpdateUsers)?;
    let key = Key::User(id_of(&call, &id));
    change_by(&call, &headers, Change::Delete { key }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET users/{id}/managedDevices`.
async fn devices_of(
    call: Call,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    call.require(Action::ReadOrganization)?;
    call.require(Action::ReadDevices)?;
    let user = find(&call, &id).await?;
    let quoted = user.name.replace('\'', "''");
    let own = Filter::parse(&format!("{NAME} eq '{quoted}'"), &devices::row::SCHEMA)?;
    let context = format!("{CONTEXT}('{}')/managedDevices", user.id);
    devices::list::list(&call, query.as_deref(), &context, Some(own)).await
}

/// `GET managedDevices/{id}/users`: the one whom the device names, if any.
async fn users_of(call: Call, Path(id): Path<String>) -> Result<Response, GraphError> {
    call.require(Action::ReadOrganization)?;
    call.require(Action::ReadDevices)?;
    let device = devices::find(&call, Verb::Read, &id).await?;
    let users = user_of(&device, &call.control());
    let users = users.into_iter().collect();
    let context = format!("{}('{id}')/users", devices::list::CONTEXT);
    Ok(collection::answer(&call, &context, users, None, None, None))
}
