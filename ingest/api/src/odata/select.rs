//! `$select`: the properties of a document that the client wants.
//!
//! Owner: the task of the request. The id and annotations such as `@odata.type` always stay. It removes; it computes
//! nothing and adds nothing.

use serde_json::{Map, Value};

use super::error::{QueryError, Quoted, Reason};
use super::schema::{Kind, Schema};

/// Properties to select. More than any type has cannot differ.
pub const SELECTED_MAX: usize = 256;

/// The selected properties of a schema, in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// Paths of names; `None` selects everything.
    paths: Option<Vec<Vec<&'static str>>>,
}

impl Select {
    /// Resolves names, which may lead into complex values (`a/b`). Without names, or with `*`, everything is selected.
    ///
    /// # Errors
    /// A property is unknown.
    pub fn new(names: &[String], schema: &'static Schema) -> Result<Self, QueryError> {
        if names.len() > SELECTED_MAX {
            let what = "selected properties";
            let max = SELECTED_MAX;
            return Err(Reason::TooMany { what, max }.into());
        }
        let paths: Vec<_> = names
            .iter()
            .filter(|name| *name != "*")
            .map(|name| path(name, schema))
            .collect::<Result<_, _>>()?;
        let is_all = paths.len() < names.len() || paths.is_empty();
        Ok(Self {
            paths: (!is_all).then_some(paths),
        })
    }

    /// Whether a property is selected, at least in part.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.paths
            .as_ref()
            .is_none_or(|paths| name == "id" || paths.iter().any(|path| path[0] == name))
    }

    /// Removes from a document what is not selected. Values that `$expand` adds are added afterwards.
    pub fn apply(&self, document: &mut Value) {
        if let (Some(paths), Some(object)) = (&self.paths, document.as_object_mut()) {
            let paths: Vec<_> = paths.iter().map(Vec::as_slice).collect();
            retain(object, &paths);
        }
    }
}

/// The names of a path as the schema writes them.
fn path(text: &str, schema: &'static Schema) -> Result<Vec<&'static str>, QueryError> {
    let mut inner = Some(schema);
    let mut on = schema.short_name();
    let mut names = Vec::new();
    for segment in text.split('/') {
        let unknown = || Reason::UnknownProperty {
            name: Quoted::from(segment),
            on,
        };
        let here = inner.ok_or_else(unknown)?;
        if segment.contains('.') {
            // A type cast: a document of another type does not have what follows.
            here.types(segment)?;
            continue;
        }
        let (_, property) = here.property(segment)?;
        names.push(property.name);
        on = property.name;
        inner = match property.kind {
            Kind::Complex(schema) | Kind::Collection(&Kind::Complex(schema)) => Some(schema),
            _ => None,
        };
    }
    if names.is_empty() {
        let name = Quoted::from(text);
        return Err(Reason::UnknownProperty { name, on }.into());
    }
    Ok(names)
}

/// Keeps what the paths name, the id, and annotations of what is kept.
fn retain(object: &mut Map<String, Value>, paths: &[&[&'static str]]) {
    object.retain(|key, value| {
        let name = key.split('@').next().unwrap_or_default();
        if name.is_empty() || name == "id" {
            return true;
        }
        let under: Vec<_> = paths
            .iter()
            .filter(|path| path[0] == name)
            .map(|path| &path[1..])
            .collect();
        if under.iter().all(|path| !path.is_empty()) {
            match value {
                Value::Object(inner) => retain(inner, &under),
                Value::Array(elements) => elements
                    .iter_mut()
                    .filter_map(Value::as_object_mut)
                    .for_each(|inner| retain(inner, &under)),
                _ => {}
            }
        }
        !under.is_empty()
    });
}
