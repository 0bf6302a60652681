//! What a type has: the properties by which queries select, filter and sort.
//!
//! Owner: constants of whoever serves a type. A schema is data known at build time; it describes documents, it does not
//! hold or convert them.

use super::error::{QueryError, Quoted, Reason};

/// Members that an enum can have, because a set of them is a bit mask.
pub const MEMBERS_MAX: usize = 64;

/// An entity or complex type.
#[derive(Debug)]
pub struct Schema {
    /// The qualified name without `#`: `microsoft.graph.managedDevice`.
    pub name: &'static str,
    /// The properties; a row is asked for them by their index. Those of subtypes are here too: other subtypes have null.
    pub properties: &'static [Property],
    /// Types derived from this one, each with its base: `(subtype, base)`.
    pub subtypes: &'static [(&'static str, &'static str)],
}

/// A property of a type.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Its name as it is written.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Whether `$filter` may use it.
    pub filterable: bool,
    /// Whether `$orderby` may use it.
    pub orderable: bool,
    /// Whether `$search` looks into it.
    pub searchable: bool,
}

/// What the values of a property are. Every property may be null.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string; also a guid.
    Text,
    /// A Boolean.
    Boolean,
    /// An integer.
    Int,
    /// An instant.
    Date,
    /// One member of an enum.
    Enum(&'static Members),
    /// Any set of members of an enum, written as one comma-joined string.
    Flags(&'static Members),
    /// A complex value.
    Complex(&'static Schema),
    /// Values of one kind.
    Collection(&'static Kind),
}

/// The members of an enum. A row has the index of a member, not its number.
#[derive(Debug)]
pub struct Members {
    names: &'static [&'static str],
    numbers: &'static [i64],
}

impl Members {
    /// Members whose numbers are their indices.
    #[must_use]
    pub const fn new(names: &'static [&'static str]) -> Self {
        assert!(names.len() <= MEMBERS_MAX, "an enum has at most 64 members");
        Self {
            names,
            numbers: &[],
        }
    }

    /// Members with the numbers that scripts write for them.
    #[must_use]
    pub const fn numbered(names: &'static [&'static str], numbers: &'static [i64]) -> Self {
        assert!(names.len() <= MEMBERS_MAX, "an enum has at most 64 members");
        assert!(names.len() == numbers.len(), "every member has a number");
        Self { names, numbers }
    }

    /// The names by index.
    #[must_use]
    pub const fn names(&self) -> &'static [&'static str] {
        self.names
    }

    /// The mask with a bit for every member.
    #[must_use]
    pub const fn all(&self) -> u64 {
        match self.names.len() {
            0 => 0,
            count => u64::MAX >> (MEMBERS_MAX - count),
        }
    }

    /// The index of a member by its name in any case.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<u8> {
        let same = |member: &&str| member.eq_ignore_ascii_case(name);
        let index = self.names.iter().position(same)?;
        u8::try_from(index).ok()
    }

    /// The index of a member by its number.
    #[must_use]
    pub fn numbered_index(&self, number: i64) -> Option<u8> {
        let index = if self.numbers.is_empty() {
            usize::try_from(number)
                .ok()
                .filter(|index| *index < self.names.len())?
        } else {
            self.numbers.iter().position(|listed| *listed == number)?
        };
        u8::try_from(index).ok()
    }
}

impl Property {
    /// A property that can be selected only.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            filterable: false,
            orderable: false,
            searchable: false,
        }
    }

    /// The property, also for `$filter`.
    #[must_use]
    pub const fn filterable(mut self) -> Self {
        self.filterable = true;
        self
    }

    /// The property, also for `$orderby`.
    #[must_use]
    pub const fn orderable(mut self) -> Self {
        self.orderable = true;
        self
    }

    /// The property, also for `$search`.
    #[must_use]
    pub const fn searchable(mut self) -> Self {
        self.searchable = true;
        self
    }
}

impl Schema {
    /// The name without its namespace, for messages.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }

    /// The index of a property by its name in any case.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        let same = |property: &Property| property.name.eq_ignore_ascii_case(name);
        self.properties.iter().position(same)
    }

    /// The property with this name, and its index.
    pub(super) fn property(&self, name: &str) -> Result<(usize, &'static Property), QueryError> {
        let unknown = || Reason::UnknownProperty {
            name: Quoted::from(name),
            on: self.short_name(),
        };
        let index = self.index_of(name).ok_or_else(unknown)?;
        Ok((index, &self.properties[index]))
    }

    /// The names of all types that an object of the type `name` can have: the type itself and what is derived from it.
    pub(super) fn types(&self, name: &str) -> Result<Vec<&'static str>, QueryError> {
        let name = name.strip_prefix('#').unwrap_or(name);
        let subtypes = self.subtypes.iter().map(|(subtype, _)| *subtype);
        let known = std::iter::once(self.name)
            .chain(subtypes)
            .find(|known| known.eq_ignore_ascii_case(name));
        let Some(known) = known else {
            let name = Quoted::from(name);
            let on = self.short_name();
            return Err(Reason::UnknownType { name, on }.into());
        };
        let mut types = vec![known];
        let mut next = 0;
        while let Some(base) = types.get(next).copied() {
            for (subtype, of) in self.subtypes {
                if *of == base && !types.contains(subtype) {
                    types.push(subtype);
                }
            }
            next += 1;
        }
        Ok(types)
    }
}
