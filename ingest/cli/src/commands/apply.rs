//! `muster apply`: makes objects be what documents say, by creating or changing them.
//!
//! A document is of the object with its id, otherwise of the only one with its name, otherwise of a new one. Only what
//! differs is sent. All documents are checked for their type before the first is sent; the first that the server refuses
//! ends the command, and what was printed before is done. Bounded by the size of a file.

mod difference;
mod input;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use self::difference::differs;
use self::input::Document;
use super::context::ContextArgument;
use super::objects::{TypeParser, line};
use crate::api_client::{ApiClient, Headers};
use crate::exit::Failure;
use crate::objects::{self, Found};
use crate::output::Output;
use crate::resources::{Access, Resource};

/// The arguments of `muster apply`.
#[derive(Debug, Args)]
pub(super) struct ApplyArguments {
    /// The file with the documents, JSON or YAML; - is standard input. A document, a list of them, a page of a list as
    /// the API sends it, or several of these one after the other.
    #[arg(short = 'f', long, value_name = "FILE")]
    file: PathBuf,
    /// The type of the documents that do not tell it by @odata.type.
    #[arg(long = "type", value_name = "TYPE", value_parser = TypeParser)]
    resource: Option<&'static Resource>,
    /// Also store rules that Muster does not evaluate; the objects list them in musterNotEvaluated.
    #[arg(long)]
    lenient: bool,
    #[command(flatten)]
    context: ContextArgument,
}

/// The header that stores rules that are not evaluated.
const LENIENT: Headers<'static> = &[("Prefer", "handling=lenient")];

pub(super) fn run(arguments: &ApplyArguments) -> Result<(), Failure> {
    let documents = input::read(&arguments.file, arguments.resource)?;
    let client = arguments.context.client()?;
    let headers = if arguments.lenient { LENIENT } else { &[] };
    let mut output = Output::new();
    for document in documents {
        let resource = document.resource;
        let place = document.place.clone();
        let applied = apply(&client, document, headers);
        let (found, done) = applied.map_err(|failure| failure.at(&place))?;
        output.write(&(line(resource, &found, done) + "\n"))?;
        // What is done is known, whatever happens to the next one.
        output.flush()?;
    }
    Ok(())
}

/// Applies a document; returns the object, and what was done.
fn apply(
    client: &ApiClient,
    document: Document,
    headers: Headers<'_>,
) -> Result<(Found, &'static str), Failure> {
    let Document {
        resource, content, ..
    } = document;
    match current(client, resource, &content)? {
        Some(found) => {
            let changed = update(client, resource, &found, content, headers)?;
            Ok((found, if changed { "configured" } else { "unchanged" }))
        }
        None if resource.can_create => {
            let path = objects::path(resource.path);
            let created = client.post(&path, &Value::Object(content), headers)?;
            let id = created.value.get("id").and_then(Value::as_str);
            let id = id.ok_or_else(|| client.unexpected("\"id\" is missing"))?;
            let found = Found {
                id: id.to_owned(),
                document: created.value,
                etag: created.etag,
            };
            Ok((found, "created"))
        }
        None => Err(Failure::Unknown(format!(
            "there is no such {}, and `muster apply` creates no {}",
            resource.singular, resource.name
        ))),
    }
}

/// The object that a document is of.
fn current(
    client: &ApiClient,
    resource: &Resource,
    content: &Map<String, Value>,
) -> Result<Option<Found>, Failure> {
    if let Access::Single { .. } = resource.access {
        return objects::single(client, resource).map(Some);
    }
    let text = |name: &str| content.get(name).and_then(Value::as_str);
    if let Some(id) = text("id").filter(|id| !id.is_empty())
        && let Some(found) = objects::by_id(client, resource, id)?
    {
        return Ok(Some(found));
    }
    match resource.label.and_then(text) {
        Some(name) => objects::by_name(client, resource, name),
        None => Ok(None),
    }
}

/// Sends what differs; returns whether the object has changed.
fn update(
    client: &ApiClient,
    resource: &Resource,
    found: &Found,
    mut content: Map<String, Value>,
    headers: Headers<'_>,
) -> Result<bool, Failure> {
    let of_parts: Vec<_> = resource
        .parts
        .iter()
        .filter_map(|part| Some((part, content.remove(part.property)?)))
        .collect();
    content.remove("id");
    let mut changed = false;
    if differs(&Value::Object(content.clone()), Some(&found.document)) {
        changed = patch(client, resource, found, content, headers)?;
    }
    let path = objects::path_of(resource, &found.id);
    let mut parts_sent = 0;
    for (part, sent) in of_parts {
        if sent.is_null() || !differs(&sent, found.document.get(part.property)) {
            continue;
        }
        let mut body = Map::new();
        body.insert(part.parameter.to_owned(), sent);
        let path = format!("{path}/{}", part.action);
        client.post(&path, &Value::Object(body), headers)?;
        parts_sent += 1;
    }
    if parts_sent > 0 {
        // The server may read a part differently from how it was written, as what the object has already.
        let now = objects::by_id(client, resource, &found.id)?;
        changed = now.is_none_or(|now| now.etag != found.etag);
    }
    Ok(changed)
}

/// Sends a change, unless somebody else has changed the object; returns whether it had an effect.
fn patch(
    client: &ApiClient,
    resource: &Resource,
    found: &Found,
    content: Map<String, Value>,
    headers: Headers<'_>,
) -> Result<bool, Failure> {
    if let Access::Single { parent, property } = resource.access {
        let mut content = content;
        content.retain(|name, _| !name.contains('@'));
        let body = serde_json::json!({ property: content });
        let changed = client.patch(&objects::path(parent), &body, headers)?;
        return Ok(differs(&changed.value[property], Some(&found.document)));
    }
    let mut with_etag = headers.to_vec();
    with_etag.extend(found.etag.as_deref().map(|etag| ("If-Match", etag)));
    let path = objects::path_of(resource, &found.id);
    let changed = client.patch(&path, &Value::Object(content), &with_etag)?;
    // What only the server computes, and what it ignores, may differ without an effect.
    Ok(changed.etag.is_none() || changed.etag != found.etag)
}
