//! Walks a parsed TOML document and turns it into values, noting every fault on the way.
//!
//! Reading never stops at a fault: a bad value is noted and its default stands in, so that one run
//! reports everything. The stand-in is never used, because a configuration with a fault is not returned.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::ConfigFault;
use super::key::{Defaulted, Key, Kind};

/// What is common to the reading of one document.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    text: &'t str,
    base_directory: &'t Path,
    faults: Vec<ConfigFault>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str, base_directory: &'t Path) -> Self {
        Self {
            text,
            base_directory,
            faults: Vec::new(),
        }
    }

    /// The document as its outermost section; none if its syntax has faults, which are then noted. What
    /// can be read of such a document would only add faults that go away with the first ones.
    pub(super) fn document(&mut self) -> Option<DeTable<'t>> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let line = error.span().map(|span| self.line(span.start));
            self.note(
                line,
                String::new(),
                format!("not valid TOML: {}", error.message()),
            );
        }
        self.faults.is_empty().then(|| document.into_inner())
    }

    /// Notes a fault.
    pub(super) fn note(&mut self, line: Option<usize>, path: String, message: String) {
        self.faults.push(ConfigFault {
            line,
            path,
            message,
        });
    }

    pub(super) fn into_faults(self) -> Vec<ConfigFault> {
        self.faults
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// One table of the document: it hands out values by key, and in the end names the keys nobody asked for.
#[derive(Debug)]
pub(super) struct Section<'r, 't> {
    reader: &'r mut Reader<'t>,
    /// The name of the section with a dot at its end; empty for the outermost one.
    prefix: String,
    /// What is in the section, by name. What is asked for is taken out.
    left: BTreeMap<String, (usize, DeValue<'t>)>,
    /// Every name that was asked for.
    known: Vec<&'static str>,
    /// Lines on which the taken keys stand, for faults that show only when values are compared.
    lines: BTreeMap<&'static str, usize>,
}

impl<'r, 't> Section<'r, 't> {
    pub(super) fn new(reader: &'r mut Reader<'t>, prefix: String, table: DeTable<'t>) -> Self {
        let mut left = BTreeMap::new();
        for (name, value) in table {
            let line = reader.line(name.span().start);
            left.insert(name.into_inner().into_owned(), (line, value.into_inner()));
        }
        Self {
            reader,
            prefix,
            left,
            known: Vec::new(),
            lines: BTreeMap::new(),
        }
    }

    /// The directory against which relative paths are taken.
    pub(super) fn base_directory(&self) -> &'t Path {
        self.reader.base_directory
    }

    /// The value of a key that may be left out.
    pub(super) fn read<K: Defaulted>(&mut self, key: &Key<K>) -> K::Value {
        self.value(key).unwrap_or_else(|| key.kind.default())
    }

    /// The value of a key that must be given; none if it is missing or bad, which is then noted.
    pub(super) fn read_required<K: Kind>(&mut self, key: &Key<K>) -> Option<K::Value> {
        if !self.left.contains_key(key.name()) {
            let message = format!("missing; allowed: {}", key.kind.allowed());
            self.note(key.name(), message);
        }
        self.value(key)
    }

    /// A table inside this one; empty if it is left out.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'_, 't> {
        let table = match self.take(name) {
            Some(DeValue::Table(table)) => table,
            Some(other) => {
                self.note(
                    name,
                    format!("expected a table, found {}", other.type_str()),
                );
                DeTable::new()
            }
            None => DeTable::new(),
        };
        let prefix = format!("{}{name}.", self.prefix);
        Section::new(self.reader, prefix, table)
    }

    /// Calls `each` for every table in a list of tables. Whether there was anything to look at, right or
    /// wrong: a missing or empty list is for the caller to judge.
    pub(super) fn sections(
        &mut self,
        name: &'static str,
        mut each: impl FnMut(Section<'_, 't>),
    ) -> bool {
        let elements = match self.take(name) {
            Some(DeValue::Array(elements)) => elements,
            Some(other) => {
                self.note(
                    name,
                    format!("expected a list of tables, found {}", other.type_str()),
                );
                return true;
            }
            None => return false,
        };
        let any = !elements.is_empty();
        for (index, element) in elements.into_iter().enumerate() {
            let line = self.reader.line(element.span().start);
            let prefix = format!("{}{name}[{index}].", self.prefix);
            match Spanned::into_inner(element) {
                DeValue::Table(table) => each(Section::new(self.reader, prefix, table)),
                other => {
                    let message = format!("expected a table, found {}", other.type_str());
                    self.reader
                        .note(Some(line), prefix.trim_end_matches('.').to_owned(), message);
                }
            }
        }
        any
    }

    /// Notes a fault of the key `name` of this section, on its line if it has one.
    pub(super) fn note(&mut self, name: &'static str, message: String) {
        let line = self.lines.get(name).copied();
        self.reader
            .note(line, format!("{}{name}", self.prefix), message);
    }

    /// Ends the section: whatever was not asked for is unknown. `hint` follows the list of what is known.
    pub(super) fn finish(mut self, hint: &str) {
        for (name, (line, _)) in std::mem::take(&mut self.left) {
            let message = format!("unknown key; known here: {}{hint}", self.known.join(", "));
            self.reader
                .note(Some(line), format!("{}{name}", self.prefix), message);
        }
    }

    fn value<K: Kind>(&mut self, key: &Key<K>) -> Option<K::Value> {
        let value = self.take(key.name())?;
        match key.kind.read(&value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.note(
                    key.name(),
                    format!("{message}; allowed: {}", key.kind.allowed()),
                );
                None
            }
        }
    }

    fn take(&mut self, name: &'static str) -> Option<DeValue<'t>> {
        self.known.push(name);
        let (line, value) = self.left.remove(name)?;
        self.lines.insert(name, line);
        Some(value)
    }
}
