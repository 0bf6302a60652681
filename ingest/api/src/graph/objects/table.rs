//! The operations of a type of objects.

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::HeaderMap;

use super::{Resource, create, delete, list, one, patch, rows};
use crate::graph::call::Call;
use crate::graph::collection;
use crate::graph::operation::{self, COUNT, Content, ENTITY, LIST, Operation, Sent, Type};

/// The six operations of a type.
pub(super) fn operations_of(resource: &'static Resource) -> [Operation; 6] {
    let schema = resource.collection.schema;
    let shown = Type::Objects(resource.types, schema);
    let path = format!("/{}", resource.collection.context);
    let list = move |call: Call, RawQuery(query): RawQuery| async move {
        list(&call, resource, query.as_deref())
    };
    let create = move |call: Call, headers: HeaderMap, body: Body| async move {
        create(&call, resource, &headers, body).await
    };
    let one = move |call: Call, Path(id): Path<String>, RawQuery(query): RawQuery| async move {
        one(&call, resource, &id, query.as_deref())
    };
    let patch = move |call: Call, Path(id): Path<String>, headers: HeaderMap, body: Body| async move {
        patch(&call, resource, &id, &headers, body).await
    };
    let delete = move |call: Call, Path(id): Path<String>, headers: HeaderMap| async move {
        delete(&call, resource, &id, &headers).await
    };
    let count = move |call: Call, RawQuery(query): RawQuery| async move {
        call.require(resource.actions.read)?;
        let rows = rows(&call, resource);
        collection::count(query.as_deref(), schema, rows)
    };
    let at = |below: &str| format!("{path}{below}");
    let patched = operation::patch(at("/{id}"), "Change some properties", patch)
        .needs(std::slice::from_ref(&resource.actions.update))
        .takes(Sent::Changed(resource.types))
        .conditional()
        .etag();
    [
        operation::get(at(""), "List", list)
            .needs(std::slice::from_ref(&resource.actions.read))
            .options(LIST, schema)
            .expands(resource.expands)
            .answers(Content::Page(shown)),
        operation::post(at(""), "Create", create)
            .needs(std::slice::from_ref(&resource.actions.create))
            .takes(Sent::Created(resource.types))
            .creates(shown)
            .location()
            .creation()
            .etag(),
        operation::get(at("/$count"), "Count", count)
            .needs(std::slice::from_ref(&resource.actions.read))
            .options(COUNT, schema)
            .answers(Content::Number),
        operation::get(at("/{id}"), "Read", one)
            .needs(std::slice::from_ref(&resource.actions.read))
            .options(ENTITY, schema)
            .expands(resource.expands)
            .answers(Content::One(shown))
            .etag(),
        if resource.patch_answers {
            patched.answers(Content::One(shown))
        } else {
            patched
        },
        operation::delete(at("/{id}"), "Delete", delete)
            .needs(std::slice::from_ref(&resource.actions.delete))
            .conditional(),
    ]
}
