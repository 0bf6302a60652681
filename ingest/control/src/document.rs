//! The document of a command: JSON properties, read one by one, with every fault noted.
//!
//! As Graph does, it ignores what the server computes and all annotations (names with `@`) except the type, so that a
//! document that was read can be sent back. Any other unknown name is a fault, and so is a reference (`@odata.bind`)
//! that the command does not take.

use serde_json::{Map, Value as Json};

use crate::fault::{FaultKind, Faults};
use crate::limits::SHOWN_NAME_MAX;
use crate::value::Value;

/// The annotation that says which type an object has.
pub(crate) const TYPE: &str = "@odata.type";

/// The end of the names of annotations that refer to other objects.
const BIND: &str = "@odata.bind";

/// The prefix of the names of types.
const NAMESPACE: &str = "#microsoft.graph.";

/// The properties that a command sends.
pub type Properties = Map<String, Json>;

/// Properties that are being read.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    properties: &'a Properties,
    known: Vec<&'static str>,
    ignored: &'static [&'static str],
    faults: Faults,
}

impl<'a> Document<'a> {
    /// Starts reading. `ignored` are the properties that the server computes.
    pub(crate) fn new(properties: &'a Properties, ignored: &'static [&'static str]) -> Self {
        Self {
            properties,
            known: Vec::new(),
            ignored,
            faults: Faults::default(),
        }
    }

    /// The value of a property; `None` if it is missing, or is not allowed, which is noted.
    pub(crate) fn read<V: Value>(&mut self, name: &'static str) -> Option<V> {
        self.known.push(name);
        let value = V::read(self.properties.get(name)?);
        if value.is_none() {
            self.fault(FaultKind::Invalid, name, V::allowed());
        }
        value
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

    /// The name of the type, without its namespace; `None` if it is missing, empty if it is not a text.
    pub(crate) fn type_name(&self) -> Option<&'a str> {
        let name = self.properties.get(TYPE)?.as_str().unwrap_or_default();
        let bare = name.strip_prefix('#').unwrap_or(name);
        Some(bare.strip_prefix(&NAMESPACE[1..]).unwrap_or_default())
    }

    pub(crate) fn fault(&mut self, kind: FaultKind, target: &str, allowed: impl Into<String>) {
        self.faults.push(kind, target, allowed);
    }

    /// Finishes reading: every other property is a fault.
    pub(crate) fn finish(mut self) -> Faults {
        for name in self.properties.keys() {
            let is_known = self.known.contains(&name.as_str())
                || self.ignored.contains(&name.as_str())
                || (name.contains('@') && !name.ends_with(BIND));
            if !is_known {
                let shown: String = name.chars().take(SHOWN_NAME_MAX).collect();
                self.faults
                    .push(FaultKind::UnknownProperty, shown, self.known.join(", "));
            }
        }
        self.faults
    }
}

/// The full name of a type.
pub(crate) fn full_type(name: &str) -> String {
    format!("{NAMESPACE}{name}")
}

/// Declares the properties that operators set on an object: each with its name in Graph, type and default. They are
/// read, shown and stored in the order of their declaration.
macro_rules! properties {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $text:literal, $default:expr;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$doc])* pub $field: $type),+ }

        impl $name {
            /// The properties of `base`, replaced by those that the document has.
            pub(crate) fn read(base: &Self, document: &mut $crate::document::Document<'_>) -> Self {
                Self { $($field: document.read($text).unwrap_or_else(|| base.$field.clone())),+ }
            }

            /// Adds the properties to a document.
            pub(crate) fn show(&self, into: &mut $crate::document::Properties) {
                $(into.insert($text.to_owned(), $crate::value::Value::show(&self.$field));)+
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
