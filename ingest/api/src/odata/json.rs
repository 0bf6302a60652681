//! Rows that are JSON documents, for objects of the control plane, of which a tenant has few.
//!
//! Owner: the task of the request. A value of another type than the schema says is null. It finds properties under the
//! names of the schema only: documents are written by this server.

use serde_json::Value as Document;

use super::instant;
use super::row::{Element, Row, Value};
use super::schema::{Kind, Schema};

/// A document as a row of a schema.
#[derive(Clone, Copy, Debug)]
pub struct JsonRow<'a> {
    schema: &'static Schema,
    document: &'a Document,
}

impl<'a> JsonRow<'a> {
    /// A document as a row of a schema.
    #[must_use]
    pub const fn new(schema: &'static Schema, document: &'a Document) -> Self {
        Self { schema, document }
    }

    fn property(&self, property: usize) -> (&'a Document, Kind) {
        let property = &self.schema.properties[property];
        let document = self.document.get(property.name);
        (document.unwrap_or(&Document::Null), property.kind)
    }
}

impl Row for JsonRow<'_> {
    fn value(&self, property: usize) -> Value<'_> {
        let (document, kind) = self.property(property);
        plain(document, kind).unwrap_or(Value::Null)
    }

    fn any(&self, property: usize, test: &mut dyn FnMut(&dyn Row) -> bool) -> bool {
        let (document, kind) = self.property(property);
        match kind {
            Kind::Complex(schema) => document.is_object() && test(&JsonRow { schema, document }),
            Kind::Collection(kind) => {
                let elements = document.as_array().map_or(&[][..], Vec::as_slice);
                elements.iter().any(|document| match kind {
                    Kind::Complex(schema) => test(&JsonRow { schema, document }),
                    kind => test(&Element(plain(document, *kind).unwrap_or(Value::Null))),
                })
            }
            _ => false,
        }
    }

    fn type_name(&self) -> &str {
        let name = self.document.get("@odata.type").and_then(Document::as_str);
        let name = name.unwrap_or_default();
        name.strip_prefix('#').unwrap_or(name)
    }
}

/// The value of a document that is neither an object nor an array.
fn plain(document: &Document, kind: Kind) -> Option<Value<'_>> {
    match kind {
        Kind::Text => document.as_str().map(Value::Text),
        Kind::Boolean => document.as_bool().map(Value::Boolean),
        Kind::Int => document.as_i64().map(Value::Int),
        Kind::Date => instant::parse(document.as_str()?).map(Value::Date),
        Kind::Enum(members) => members.index_of(document.as_str()?).map(Value::Member),
        Kind::Flags(members) => {
            let parts = document.as_str()?.split(',');
            let flags = parts.filter_map(|part| members.index_of(part.trim()));
            Some(Value::Flags(
                flags.fold(0, |flags, index| flags | 1 << index),
            ))
        }
        Kind::Complex(_) | Kind::Collection(_) => None,
    }
}
