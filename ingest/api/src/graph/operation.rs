//! An operation of the API: what router and OpenAPI document know about a method of a path.
//!
//! A declaration says everything that a client needs; handlers read none of it but their [`Schema`]s. Immutable.

use axum::handler::Handler;
use axum::routing::{self, MethodRouter};
use muster_control::{Action, DocumentType};
use serde_json::Value;

use crate::odata::Schema;

/// A query option that an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryOption {
    Filter,
    Search,
    OrderBy,
    Select,
    Expand,
    Top,
    Skip,
    Count,
    SkipToken,
    DeltaToken,
    /// \[OWN\] The dimensions of a cross table.
    By,
    /// \[OWN\] A head that the audit log must still have.
    Pin,
}

/// The options of a list.
pub(super) const LIST: &[QueryOption] = &[
    QueryOption::Filter,
    QueryOption::Search,
    QueryOption::OrderBy,
    QueryOption::Select,
    QueryOption::Expand,
    QueryOption::Top,
    QueryOption::Skip,
    QueryOption::Count,
    QueryOption::SkipToken,
];

/// The options of a list that cannot be filtered or sorted.
pub(super) const MEMBERS: &[QueryOption] = &[
    QueryOption::Select,
    QueryOption::Top,
    QueryOption::Skip,
    QueryOption::Count,
    QueryOption::SkipToken,
];

/// The options of a delta query.
pub(super) const DELTA: &[QueryOption] = &[
    QueryOption::Filter,
    QueryOption::Search,
    QueryOption::Select,
    QueryOption::Expand,
    QueryOption::Top,
    QueryOption::SkipToken,
    QueryOption::DeltaToken,
];

/// The options of a number.
pub(super) const COUNT: &[QueryOption] = &[QueryOption::Filter, QueryOption::Search];

/// The options of one object.
pub(super) const ENTITY: &[QueryOption] = &[QueryOption::Select, QueryOption::Expand];

/// What a JSON document is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    /// Rows with the properties of a schema.
    Rows(&'static Schema),
    /// Objects of the control plane: of one of these types, with the properties of a schema.
    Objects(&'static [DocumentType], &'static Schema),
    /// A document with a name and a JSON Schema of its own.
    Own(&'static str, fn() -> Value),
}

/// The body of a successful response.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// None.
    Nothing,
    /// A number as text.
    Number,
    /// Bytes, as Graph gives the JSON of reports.
    Bytes,
    /// One document.
    One(Type),
    /// A page of documents.
    Page(Type),
}

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    /// A document that creates an object of one of these types.
    Created(&'static [DocumentType]),
    /// A document that changes an object of one of these types.
    Changed(&'static [DocumentType]),
    /// A document with a name and a JSON Schema of its own.
    Own(&'static str, fn() -> Value),
}

/// An operation.
#[derive(Debug)]
pub(super) struct Operation {
    /// `get`, `post`, `patch` or `delete`.
    pub(super) method: &'static str,
    /// The path without the version, as Graph writes it; keys as `{id}`.
    pub(super) path: String,
    /// What it does, in a line.
    pub(super) summary: &'static str,
    /// The actions of which the principal needs each.
    pub(super) actions: &'static [Action],
    /// The query options.
    pub(super) options: &'static [QueryOption],
    /// The properties that the options name.
    pub(super) schema: Option<&'static Schema>,
    /// What `$expand` takes.
    pub(super) expands: &'static [&'static str],
    pub(super) sent: Option<Sent>,
    /// The status of success.
    pub(super) status: u16,
    pub(super) content: Content,
    /// Whether it creates an object of the control plane.
    pub(super) is_creation: bool,
    /// Whether `If-Match` is honoured: it changes an object of the control plane.
    pub(super) is_conditional: bool,
    /// Whether the response has an ETag.
    pub(super) has_etag: bool,
    /// Whether the response has the URL of what it created.
    pub(super) has_location: bool,
    /// Further statuses with which it may fail.
    pub(super) failures: &'static [u16],
    /// `None` if the request is answered before it is routed.
    pub(super) handler: Option<MethodRouter>,
}

/// An operation that reads.
pub(super) fn get<H, T>(path: impl Into<String>, summary: &'static str, handler: H) -> Operation
where
    H: Handler<T, ()>,
    T: 'static,
{
    Operation::new("get", path, summary, Some(routing::get(handler)))
}

/// An operation that creates something, or an action.
pub(super) fn post<H, T>(path: impl Into<String>, summary: &'static str, handler: H) -> Operation
where
    H: Handler<T, ()>,
    T: 'static,
{
    Operation::new("post", path, summary, Some(routing::post(handler)))
}

/// An operation that changes some properties.
pub(super) fn patch<H, T>(path: impl Into<String>, summary: &'static str, handler: H) -> Operation
where
    H: Handler<T, ()>,
    T: 'static,
{
    Operation::new("patch", path, summary, Some(routing::patch(handler)))
}

/// An operation that removes something.
pub(super) fn delete<H, T>(path: impl Into<String>, summary: &'static str, handler: H) -> Operation
where
    H: Handler<T, ()>,
    T: 'static,
{
    Operation::new("delete", path, summary, Some(routing::delete(handler)))
}

impl Operation {
    /// An operation without options, bodies and actions, which answers with no content.
    pub(super) fn new(
        method: &'static str,
        path: impl Into<String>,
        summary: &'static str,
        handler: Option<MethodRouter>,
    ) -> Self {
        Self {
            method,
            path: path.into(),
            summary,
            actions: &[],
            options: &[],
            schema: None,
            expands: &[],
            sent: None,
            status: 204,
            content: Content::Nothing,
            is_creation: false,
            is_conditional: false,
            has_etag: false,
            has_location: false,
            failures: &[],
            handler,
        }
    }

    /// The principal needs these actions.
    pub(super) const fn needs(mut self, actions: &'static [Action]) -> Self {
        self.actions = actions;
        self
    }

    /// It takes these options, about the properties of a schema.
    pub(super) const fn options(
        mut self,
        options: &'static [QueryOption],
        schema: &'static Schema,
    ) -> Self {
        self.options = options;
        self.schema = Some(schema);
        self
    }

    /// `$expand` takes these names.
    pub(super) const fn expands(mut self, names: &'static [&'static str]) -> Self {
        self.expands = names;
        self
    }

    /// The request has a body.
    pub(super) const fn takes(mut self, sent: Sent) -> Self {
        self.sent = Some(sent);
        self
    }

    /// It answers with this content and the status 200.
    pub(super) const fn answers(mut self, content: Content) -> Self {
        self.content = content;
        self.status = 200;
        self
    }

    /// It answers with this document and the status 201.
    pub(super) const fn creates(mut self, created: Type) -> Self {
        self.content = Content::One(created);
        self.status = 201;
        self
    }

    /// It creates an object of the control plane.
    pub(super) const fn creation(mut self) -> Self {
        self.is_creation = true;
        self
    }

    /// It honours `If-Match`.
    pub(super) const fn conditional(mut self) -> Self {
        self.is_conditional = true;
        self
    }

    /// Its response has the URL of what it created.
    pub(super) const fn location(mut self) -> Self {
        self.has_location = true;
        self
    }

    /// Its response has an ETag.
    pub(super) const fn etag(mut self) -> Self {
        self.has_etag = true;
        self
    }

    /// It may also fail with these statuses.
    pub(super) const fn fails(mut self, statuses: &'static [u16]) -> Self {
        self.failures = statuses;
        self
    }

    /// Every status with which it may fail.
    pub(super) fn all_failures(&self) -> Vec<u16> {
        let has_token = self.options.contains(&QueryOption::SkipToken);
        let is_change = self.is_conditional || self.is_creation;
        let mut all = vec![401, 429, 503];
        let further = [
            (
                400,
                !self.options.is_empty() || self.sent.is_some() || is_change,
            ),
            (403, !self.actions.is_empty()),
            (404, self.path.contains('{')),
            (409, is_change),
            (410, has_token),
            (412, self.is_conditional),
            (413, self.sent.is_some()),
            (415, self.sent.is_some()),
        ];
        all.extend(
            further
                .iter()
                .filter(|(_, may)| *may)
                .map(|(status, _)| *status),
        );
        all.extend(self.failures);
        all.sort_unstable();
        all.dedup();
        all
    }
}
