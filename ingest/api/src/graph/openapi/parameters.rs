//! The parameters of an operation: keys in its path, query options, headers.

use serde_json::{Map, Value, json};

use crate::graph::operation::{Operation, QueryOption, Sent};
use crate::graph::summaries::DIMENSIONS;
use crate::odata::{KEYS_MAX, Kind, Property, SELECTED_MAX, Schema};

/// Examples of a filter.
const EXAMPLES_MAX: usize = 6;

/// The parameters that many operations have.
pub(super) fn shared() -> Value {
    let query = |name: &str, description: &str, schema: Value| {
        let place = "query";
        json!({ "name": name, "in": place, "description": description, "schema": schema })
    };
    let header = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "header", "description": description, "schema": schema });
    let token = json!({ "type": "string", "maxLength": crate::odata::TOKEN_BYTES_MAX });
    json!({
        "top": query("$top", "Rows of a page; more than 1,000 are 1,000.", json!({ "type": "integer", "minimum": 1 })),
        "skip": query("$skip", "Rows before the first page.", json!({ "type": "integer", "minimum": 0 })),
        "count": query("$count", "Whether to count all matching rows.", json!({ "type": "boolean" })),
        "skipToken": query("$skiptoken", "Continues a list: part of `@odata.nextLink`.", token.clone()),
        "deltaToken": query(
            "$deltatoken",
            "Continues a delta query: part of `@odata.deltaLink`; `latest` starts with the changes from now on.",
            token,
        ),
        "ifMatch": header(
            "If-Match",
            "The ETag that the object must have, or `*`. Without it the last writer wins.",
            json!({ "type": "string", "pattern": r#"^(\*|(W/)?"(0|[1-9][0-9]{0,8})")$"# }),
        ),
        "prefer": header(
            "Prefer",
            "`handling=lenient` stores rules that Muster does not evaluate; anything else is ignored.",
            json!({ "type": "string" }),
        ),
    })
}

/// The parameters of an operation.
pub(super) fn of(operation: &Operation) -> Vec<Value> {
    let shared = |name: &str| json!({ "$ref": format!("#/components/parameters/{name}") });
    let keys = operation
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<_> = keys.map(|name| key(&operation.path, name)).collect();
    for option in operation.options {
        all.extend(match option {
            QueryOption::Top => Some(shared("top")),
            QueryOption::Skip => Some(shared("skip")),
            QueryOption::Count => Some(shared("count")),
            QueryOption::SkipToken => Some(shared("skipToken")),
            QueryOption::DeltaToken => Some(shared("deltaToken")),
            option => about_properties(*option, operation),
        });
    }
    if operation.is_conditional {
        all.push(shared("ifMatch"));
    }
    if matches!(operation.sent, Some(Sent::Created(_) | Sent::Changed(_)))
        || operation.path.ends_with("/assign")
    {
        all.push(shared("prefer"));
    }
    all
}

/// A key in a path.
fn key(path: &str, name: &str) -> Value {
    let schema = match path {
        path if path.contains("/roleScopeTags/") || path.contains("/auditEvents/") => {
            json!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,9})$" })
        }
        path if path.contains("/exportJobs/") => json!({ "type": "string", "minLength": 1 }),
        _ => json!({ "type": "string", "format": "uuid" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// An option whose values are names of properties; `None` if there are none.
fn about_properties(option: QueryOption, operation: &Operation) -> Option<Value> {
    let schema = operation.schema?;
    let list = |name: &str, description: &str, items: Value, max: usize| {
        let values = json!({ "type": "array", "items": items, "minItems": 1, "maxItems": max });
        json!({
            "name": name, "in": "query", "description": description,
            "style": "form", "explode": false, "schema": values,
        })
    };
    let names = |use_of: fn(&Property) -> bool| -> Vec<&str> {
        let used = schema.properties.iter().filter(|property| use_of(property));
        used.map(|property| property.name).collect()
    };
    Some(match option {
        QueryOption::Filter => text("$filter", "Which rows; see GRAPH.md.", &filters(schema))?,
        QueryOption::Search => {
            names(|property| property.searchable).first()?;
            text(
                "$search",
                "Words that a name must contain.",
                &["\"a\"".to_owned()],
            )?
        }
        QueryOption::OrderBy => {
            let names = names(|property| property.orderable).join("|");
            let items =
                json!({ "type": "string", "pattern": format!("^({names})( (asc|desc))?$") });
            list("$orderby", "The order of the rows.", items, KEYS_MAX)
        }
        QueryOption::Select => {
            let items = json!({ "type": "string", "enum": names(|_| true) });
            list("$select", "The properties of a row.", items, SELECTED_MAX)
        }
        QueryOption::Expand => {
            operation.expands.first()?;
            let items = json!({ "type": "string", "enum": operation.expands });
            list(
                "$expand",
                "What to add to a row.",
                items,
                operation.expands.len(),
            )
        }
        QueryOption::By => {
            let names: Vec<_> = DIMENSIONS.iter().map(|(name, _)| *name).collect();
            let items = json!({ "type": "string", "enum": names });
            list("by", "The dimensions of a cross table.", items, 2)
        }
        QueryOption::Pin => json!({
            "name": "pin", "in": "query", "description": "A head that the log must still have: REVISION:HASH.",
            "schema": { "type": "string", "pattern": "^[1-9][0-9]{0,9}:[0-9a-f]{64}$" },
        }),
        _ => return None,
    })
}

/// An option with a text, with examples of it; `None` without any.
fn text(name: &str, description: &str, examples: &[String]) -> Option<Value> {
    examples.first()?;
    let mut shown = Map::new();
    for (number, example) in examples.iter().enumerate() {
        shown.insert(
            format!("example{}", number + 1),
            json!({ "value": example }),
        );
    }
    Some(json!({
        "name": name, "in": "query", "description": description,
        "schema": { "type": "string", "minLength": 1 }, "examples": shown,
    }))
}

/// Filters by some properties of a schema, one of each kind.
pub(super) fn filters(schema: &Schema) -> Vec<String> {
    let mut kinds = Vec::new();
    let mut filters = Vec::new();
    for property in schema
        .properties
        .iter()
        .filter(|property| property.filterable)
    {
        let kind = std::mem::discriminant(&property.kind);
        let name = property.name;
        let filter = match property.kind {
            Kind::Text => format!("contains({name},'a')"),
            Kind::Boolean => format!("{name} eq true"),
            Kind::Int => format!("{name} ge 1"),
            Kind::Date => format!("{name} ge 2026-01-01T00:00:00Z"),
            Kind::Enum(members) => format!("{name} eq '{}'", members.names()[0]),
            Kind::Flags(members) => format!("{name} has '{}'", members.names()[0]),
            Kind::Collection(Kind::Text) => format!("{name}/any(x:x eq '0')"),
            Kind::Complex(_) | Kind::Collection(_) => continue,
        };
        if !kinds.contains(&kind) && filters.len() < EXAMPLES_MAX {
            kinds.push(kind);
            filters.push(filter);
        }
    }
    filters
}
