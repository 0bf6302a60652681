//! The document of a command: JSON properties, read one by one, with every fault noted.
//!
//! As Graph does, it ignores what the server computes and all annotations (names with `@`) except the type, so that a
//! document that was read can be sent back. Any other unknown name is a fault, and so is a reference (`@odata.bind`)
//! that the command does not take.

use serde_json::{Map, Value as Json, json};

use crate::fault::{FaultKind, Faults};
use crate::limits::{KNOWN_NAMES_MAX, SHOWN_NAME_MAX};
use crate::value::Value;

/// The property with one reference.
pub(crate) const REFERENCE: &str = "@odata.id";

/// The annotation that says which type an object has.
pub(crate) const TYPE: &str = "@odata.type";

/// The end of the names of annotations that refer to other objects.
const BIND: &str = "@odata.bind";

/// The prefix of the names of types.
const NAMESPACE: &str = "#microsoft.graph.";

/// The properties that a command sends.
pub type Properties = Map<String, Json>;

/// How much of a document is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handling {
    /// A rule that is not evaluated is a fault, because an operator would rely on it.
    #[default]
    Strict,
    /// A rule that is not evaluated is stored, and the object shows it: `Prefer: handling=lenient`.
    Lenient,
}

/// Properties that are being read: those of a command, or of an object inside it.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// Where the properties are, before the names in faults.
    path: String,
    properties: &'a Properties,
    known: Vec<&'static str>,
    ignored: &'static [&'static str],
    handling: Handling,
    /// Whether unknown names are no faults, because another fault is their cause.
    ignores_unknown: bool,
    faults: Faults,
}

impl<'a> Document<'a> {
    /// Starts reading. `ignored` are the properties that the server computes.
    pub(crate) fn new(
        properties: &'a Properties,
        ignored: &'static [&'static str],
        handling: Handling,
    ) -> Self {
        Self {
            path: String::new(),
            properties,
            known: Vec::new(),
            ignored,
            handling,
            ignores_unknown: false,
            faults: Faults::default(),
        }
    }

    /// What `read` makes of the same properties; `None` if it finds faults, which are not noted.
    pub(crate) fn probe<T>(&self, read: impl FnOnce(&mut Document<'_>) -> Option<T>) -> Option<T> {
        let mut copy = Document::new(self.properties, self.ignored, Handling::Lenient);
        let value = read(&mut copy);
        value.filter(|_| copy.faults.is_empty())
    }

    /// Makes unknown names no faults.
    pub(crate) const fn ignore_unknown(&mut self) {
        self.ignores_unknown = true;
    }

    /// Reads the object that a property, or an element of it, is: the faults of `read` are in this document.
    pub(crate) fn nested<T>(
        &mut self,
        target: &str,
        json: &Json,
        ignored: &'static [&'static str],
        read: impl FnOnce(&mut Document<'_>) -> Option<T>,
    ) -> Option<T> {
        let Some(properties) = json.as_object() else {
            self.fault(FaultKind::Invalid, target, "an object");
            return None;
        };
        let mut nested = Document::new(properties, ignored, self.handling);
        nested.path = format!("{}{target}.", self.path);
        let value = read(&mut nested);
        self.faults.append(nested.finish());
        value
    }

    /// The value of a property; `None` if it is missing, or is not allowed, which is noted.
    pub(crate) fn read<V: Value>(&mut self, name: &'static str) -> Option<V> {
        self.known.push(name);
        let json = self.properties.get(name)?;
        let value = V::read(json);
        if value.is_none() {
            self.fault(FaultKind::Invalid, name, V::fault(json));
        }
        value
    }

    /// The JSON of a property that is read elsewhere.
    pub(crate) fn value(&self, name: &str) -> Option<&'a Json> {
        self.properties.get(name)
    }

    /// The JSON of a property.
    pub(crate) fn raw(&mut self, name: &'static str) -> Option<&'a Json> {
        self.known.push(name);
        self.properties.get(name)
    }

    /// Notes a required property that is missing.
    pub(crate) fn require<V: Value>(&mut self, name: &'static str) {
        if !self.properties.contains_key(name) {
            self.fault(FaultKind::Missing, name, V::allowed());
        }
    }

    /// Notes a rule that is not evaluated, unless the command stores such rules.
    pub(crate) fn not_evaluated(&mut self, target: &str, instead: &str) {
        if self.handling == Handling::Strict {
            let allowed = format!(
                "{instead}; its rule is not evaluated, and is stored only with handling=lenient"
            );
            self.fault(FaultKind::Invalid, target, allowed);
        }
    }

    /// The name of the type, without its namespace; `None` if it is missing, empty if it is not a text.
    pub(crate) fn type_name(&self) -> Option<&'a str> {
        self.properties.get(TYPE).map(bare_type)
    }

    pub(crate) fn fault(&mut self, kind: FaultKind, target: &str, allowed: impl Into<String>) {
        self.faults
            .push(kind, format!("{}{target}", self.path), allowed);
    }

    /// Finishes reading: every other property is a fault.
    pub(crate) fn finish(mut self) -> Faults {
        let properties = self.properties;
        for name in properties.keys() {
            let is_known = self.known.contains(&name.as_str())
                || self.ignored.contains(&name.as_str())
                || (name.contains('@') && !name.ends_with(BIND));
            if !is_known && !self.ignores_unknown {
                let shown: String = name.chars().take(SHOWN_NAME_MAX).collect();
                let known = match self.known.len() {
                    ..=KNOWN_NAMES_MAX => self.known.join(", "),
                    _ => "the published properties of its type".to_owned(),
                };
                self.fault(FaultKind::UnknownProperty, &shown, known);
            }
        }
        self.faults
    }
}

/// The name of a type, without its namespace; empty if it is not a text in this namespace.
pub(crate) fn bare_type(json: &Json) -> &str {
    let name = json.as_str().unwrap_or_default();
    let bare = name.strip_prefix('#').unwrap_or(name);
    bare.strip_prefix(&NAMESPACE[1..]).unwrap_or_default()
}

/// The last part of a URL, which is an id: `.../{id}` or `...('{id}')`.
pub(crate) fn url_tail(json: &Json) -> Option<&str> {
    let url = json.as_str()?;
    let url = url.strip_suffix("')").unwrap_or(url);
    let begin = url.rfind(['/', '\'']).map_or(0, |index| index + 1);
    Some(&url[begin..])
}

/// The JSON Schema of a URL that ends in an id of this form, as [`url_tail`] reads it.
pub(crate) fn url_schema(id: &str, of: &str) -> Json {
    let pattern = format!("^([\\s\\S]*[/'])?{id}('\\))?$");
    let description = format!("A URL that ends in the id of a {of}.");
    json!({ "type": "string", "pattern": pattern, "description": description })
}

/// The form of ids.
pub(crate) const ID_PATTERN: &str =
    "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";

/// The full name of a type.
pub(crate) fn full_type(name: &str) -> String {
    format!("{NAMESPACE}{name}")
}

/// The JSON Schema of an object with these properties. As in [`Document::finish`], annotations are ignored, and any other
/// name is a fault.
pub(crate) fn document_schema(properties: Properties, required: &[&str]) -> Json {
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema["patternProperties"] = json!({ "^(?!.*@odata\\.bind$).*@": {} });
    schema["additionalProperties"] = false.into();
    schema
}

/// A JSON Schema with the comment of its property as description.
pub(crate) fn described(mut schema: Json, comment: &str) -> Json {
    schema["description"] = comment.trim().replace('\\', "").into();
    schema
}

/// Declares the properties that operators set on an object: each with its name in Graph, type and default. They are
/// read, shown and stored in the order of their declaration.
macro_rules! properties {
    ($(#[$meta:meta])* $name:ident {
        $($(#[doc = $doc:literal])* $field:ident: $type:ty = $text:literal, $default:expr;)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[doc = $doc])* pub $field: $type),+ }

        impl $name {
            /// The properties of `base`, replaced by those that the document has.
            pub(crate) fn read(base: &Self, document: &mut $crate::document::Document<'_>) -> Self {
                Self { $($field: document.read($text).unwrap_or_else(|| base.$field.clone())),+ }
            }

            /// Adds the properties to a document.
            pub(crate) fn show(&self, into: &mut $crate::document::Properties) {
                $(into.insert($text.to_owned(), $crate::value::Value::show(&self.$field));)+
            }

            /// The JSON Schema of each property, by its name.
            pub(crate) fn json_schemas() -> $crate::document::Properties {
                let mut schemas = $crate::document::Properties::new();
                $(
                    let schema = <$type as $crate::value::Value>::json_schema();
                    let schema = $crate::document::described(schema, concat!($($doc),*));
                    schemas.insert($text.to_owned(), schema);
                )+
                schemas
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }

        impl $crate::bytes::Stored for $name {
            fn put(&self, into: &mut Vec<u8>) {
                $($crate::bytes::Stored::put(&self.$field, into);)+
            }

            fn take(from: &mut $crate::bytes::Reader<'_>) -> Result<Self, $crate::bytes::EntryError> {
                Ok(Self { $($field: $crate::bytes::Stored::take(from)?),+ })
            }
        }
    };
}
pub(crate) use properties;
