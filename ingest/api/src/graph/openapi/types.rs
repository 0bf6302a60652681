//! The types of documents as components.

use muster_control::DocumentType;
use serde_json::{Map, Value, json};

use crate::graph::operation::{QueryOption, Sent, Type};
use crate::odata::{Kind, Schema};

/// The components so far, by name.
#[derive(Debug, Default)]
pub(super) struct Components(Map<String, Value>);

impl Components {
    /// All of them, sorted, with that of errors.
    pub(super) fn finish(mut self) -> Value {
        self.0.insert("error".to_owned(), error());
        self.0.sort_keys();
        self.0.into()
    }

    fn named(&mut self, name: &str, schema: impl FnOnce(&mut Self) -> Value) -> Value {
        if !self.0.contains_key(name) {
            let schema = schema(self);
            self.0.insert(name.to_owned(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// The schema of a request body.
    pub(super) fn sent(&mut self, sent: &Sent) -> Value {
        match sent {
            Sent::Created(types) => self.any_of(types, "Create", DocumentType::created),
            Sent::Changed(types) => self.any_of(types, "Update", DocumentType::changed),
            Sent::Own(name, schema) => self.named(name, |_| schema()),
        }
    }

    fn any_of(
        &mut self,
        types: &[DocumentType],
        suffix: &str,
        schema: fn(DocumentType) -> Value,
    ) -> Value {
        let each = |of: &DocumentType| {
            let name = format!("{}{suffix}", of.name());
            self.named(&name, |_| with_parts(schema(*of)))
        };
        let mut all: Vec<_> = types.iter().map(each).collect();
        match all.len() {
            1 => all.remove(0),
            _ => json!({ "anyOf": all }),
        }
    }

    /// The schema of a document.
    pub(super) fn one(&mut self, shown: &Type) -> Value {
        match shown {
            Type::Rows(schema) => self.named(schema.short_name(), |_| rows(schema)),
            Type::Own(name, schema) => self.named(name, |_| schema()),
            Type::Objects([of], schema) => self.named(of.name(), |_| objects(*of, schema)),
            Type::Objects(types, schema) => {
                let each = |of: &DocumentType| self.named(of.name(), |_| objects(*of, schema));
                let all: Vec<_> = types.iter().map(each).collect();
                let mapping = types.iter().zip(&all);
                let mapping: Map<String, Value> = mapping
                    .map(|(of, schema)| (full_name(*of), schema["$ref"].clone()))
                    .collect();
                self.named(schema.short_name(), |_| {
                    json!({
                        "oneOf": all,
                        "discriminator": { "propertyName": "@odata.type", "mapping": mapping },
                    })
                })
            }
        }
    }

    /// The schema of a page.
    pub(super) fn page(&mut self, shown: &Type, options: &[QueryOption], has_delta: bool) -> Value {
        let mut properties = Map::new();
        properties.insert("@odata.context".to_owned(), json!({ "type": "string" }));
        if options.contains(&QueryOption::Count) {
            properties.insert(
                "@odata.count".to_owned(),
                json!({ "type": "integer", "minimum": 0 }),
            );
        }
        let link = json!({ "type": "string", "format": "uri" });
        if options.contains(&QueryOption::SkipToken) {
            properties.insert("@odata.nextLink".to_owned(), link.clone());
        }
        if has_delta {
            properties.insert("@odata.deltaLink".to_owned(), link);
        }
        let items = self.one(shown);
        properties.insert(
            "value".to_owned(),
            json!({ "type": "array", "items": items }),
        );
        json!({ "type": "object", "properties": properties, "required": ["value"] })
    }
}

/// A schema that refers to the parts that have their own operations.
fn with_parts(mut schema: Value) -> Value {
    let assignments = ("assignments", "assignments");
    let rules = "deviceComplianceScheduledActionForRules";
    let actions = ("scheduledActions", rules);
    for (name, (component, part), whole) in [
        ("assignments", assignments, DocumentType::assignments()),
        (
            "scheduledActionsForRule",
            actions,
            DocumentType::scheduled_actions(),
        ),
    ] {
        let property = schema
            .get_mut("properties")
            .and_then(|all| all.get_mut(name));
        if let Some(property) = property.filter(|own| **own == whole["properties"][part]) {
            let reference = format!("#/components/schemas/{component}/properties/{part}");
            *property = json!({ "$ref": reference });
        }
    }
    schema
}

fn full_name(of: DocumentType) -> String {
    format!("#microsoft.graph.{}", of.name())
}

/// The schema of values of a kind, all of which may be null.
fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text | Kind::Flags(_) => json!({ "type": ["string", "null"] }),
        Kind::Boolean => json!({ "type": ["boolean", "null"] }),
        Kind::Int => json!({ "type": ["integer", "null"] }),
        Kind::Date => json!({ "type": ["string", "null"], "format": "date-time" }),
        Kind::Enum(members) => {
            let names = members.names().iter().map(|name| Value::from(*name));
            json!({ "enum": names.chain([Value::Null]).collect::<Vec<_>>() })
        }
        Kind::Complex(schema) => {
            json!({ "type": ["object", "null"], "properties": properties(schema) })
        }
        Kind::Collection(Kind::Complex(schema)) => {
            let items = json!({ "type": "object", "properties": properties(schema) });
            json!({ "type": ["array", "null"], "items": items })
        }
        Kind::Collection(kind) => json!({ "type": ["array", "null"], "items": of_kind(kind) }),
    }
}

fn properties(schema: &Schema) -> Map<String, Value> {
    let all = schema.properties.iter();
    all.map(|property| (property.name.to_owned(), of_kind(&property.kind)))
        .collect()
}

/// The properties of a document, with its annotations.
fn annotated(schema: &Schema) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("@odata.context".to_owned(), json!({ "type": "string" }));
    all.insert("@odata.type".to_owned(), json!({ "type": "string" }));
    all.extend(properties(schema));
    if all.contains_key("id") {
        all.insert("id".to_owned(), json!({ "type": "string" }));
    }
    all
}

fn rows(schema: &Schema) -> Value {
    json!({ "type": "object", "properties": annotated(schema), "required": ["id"] })
}

/// The schema of an object: what operators set, and what queries know besides.
fn objects(of: DocumentType, schema: &Schema) -> Value {
    let mut all = annotated(schema);
    let own = of.properties();
    if let DocumentType::Policy(_) = of {
        // The schema has the properties of all types.
        let is_common = |name: &str| !schema.subtypes.is_empty() && COMMON.contains(&name);
        all.retain(|name, _| name.contains('@') || is_common(name) || own.contains_key(name));
        let names = json!({ "type": "array", "items": { "type": "string" } });
        all.insert("musterNotEvaluated".to_owned(), names);
    }
    all.extend(own);
    all.insert("@odata.type".to_owned(), json!({ "const": full_name(of) }));
    json!({ "type": "object", "properties": all, "required": ["@odata.type", "id"] })
}

/// What the server computes of every policy.
const COMMON: &[&str] = &["id", "version", "createdDateTime", "lastModifiedDateTime"];

fn error() -> Value {
    let text = json!({ "type": "string" });
    let detail = json!({
        "type": "object",
        "properties": { "code": text, "target": text, "message": text },
        "required": ["code", "target", "message"],
    });
    let inner = json!({
        "type": "object",
        "properties": { "date": text, "request-id": text, "client-request-id": text },
        "required": ["date", "request-id", "client-request-id"],
    });
    let error = json!({
        "type": "object",
        "properties": {
            "code": text,
            "message": text,
            "details": { "type": "array", "items": detail },
            "innerError": inner,
        },
        "required": ["code", "message", "innerError"],
    });
    json!({ "type": "object", "properties": { "error": error }, "required": ["error"] })
}
