//! Converts a parsed TOML document into values and collects every error.
//!
//! Reading never stops at an error: an invalid value is reported and replaced by its default, so that one run reports
//! all errors. The replacement is never used, because a configuration with an error is not returned. Bounded by the
//! size of the document.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::fault::ConfigFault;
use super::key::{Defaulted, Key, Kind};

/// The state of reading one document.
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

    /// The document as its outermost section; `None` if it has syntax errors, which are then reported. Reading the rest
    /// of such a document would only report errors that follow from them.
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

    /// Reports an error.
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

/// One table of the document: returns values by key, and reports the keys that were not read.
#[derive(Debug)]
pub(super) struct Section<'r, 't> {
    reader: &'r mut Reader<'t>,
    /// The name of the section with a trailing dot; empty for the outermost one.
    prefix: String,
    /// Line and value by name; values are removed as they are read.
    unread: BTreeMap<String, (usize, DeValue<'t>)>,
    /// The names of all keys read, set or not.
    known: Vec<&'static str>,
    /// Lines of the keys read, for errors that are found when values are compared.
    lines: BTreeMap<&'static str, usize>,
}

impl<'r, 't> Section<'r, 't> {
    pub(super) fn new(reader: &'r mut Reader<'t>, prefix: String, table: DeTable<'t>) -> Self {
        let mut unread = BTreeMap::new();
        for (name, value) in table {
            let line = reader.line(name.span().start);
            unread.insert(name.into_inner().into_owned(), (line, value.into_inner()));
        }
        Self {
            reader,
            prefix,
            unread,
            known: Vec::new(),
            lines: BTreeMap::new(),
        }
    }

    /// The directory against which relative paths are resolved.
    pub(super) fn base_directory(&self) -> &'t Path {
        self.reader.base_directory
    }

    /// Reads an optional key.
    pub(super) fn read<K: Defaulted>(&mut self, key: &Key<K>) -> K::Value {
        self.value(key).unwrap_or_else(|| key.kind.default())
    }

    /// Reads a required key; `None` if it is missing or invalid, which is then reported.
    pub(super) fn read_required<K: Kind>(&mut self, key: &Key<K>) -> Option<K::Value> {
        if !self.unread.contains_key(key.name()) {
            let message = format!("missing; allowed: {}", key.kind.allowed());
            self.note(key.name(), message);
        }
        self.value(key)
    }

    /// Reads a table inside this one; empty if it is not set.
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

    /// Reads each table of a list of tables; none if it is not set.
    pub(super) fn sections<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(Section<'_, 't>) -> T,
    ) -> Vec<T> {
        let elements = match self.take(name) {
            Some(DeValue::Array(elements)) => elements,
            Some(other) => {
                let message = format!("expected a list of tables, found {}", other.type_str());
                self.note(name, message);
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let prefix = format!("{}{name}.", self.prefix);
        let mut all = Vec::new();
        for element in elements {
            match element.into_inner() {
                DeValue::Table(table) => {
                    all.push(read(Section::new(self.reader, prefix.clone(), table)));
                }
                other => {
                    self.note(
                        name,
                        format!("expected a table, found {}", other.type_str()),
                    );
                }
            }
        }
        all
    }

    /// Reports an error of the key `name` of this section, on its line if it is set.
    pub(super) fn note(&mut self, name: &'static str, message: String) {
        let line = self.lines.get(name).copied();
        self.reader
            .note(line, format!("{}{name}", self.prefix), message);
    }

    /// Reports a key, if it is set, for which a better error exists than the list of known keys.
    pub(super) fn refuse(&mut self, name: &str, message: String) {
        if let Some((line, _)) = self.unread.remove(name) {
            let path = format!("{}{name}", self.prefix);
            self.reader.note(Some(line), path, message);
        }
    }

    /// Ends the section: reports every unread key as unknown.
    pub(super) fn finish(mut self) {
        for (name, (line, _)) in std::mem::take(&mut self.unread) {
            let message = format!("unknown key; known keys: {}", self.known.join(", "));
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
        let (line, value) = self.unread.remove(name)?;
        self.lines.insert(name, line);
        Some(value)
    }
}
