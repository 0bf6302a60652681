//! What a list of devices shows, as its address says: filters, a search, an order, and where it continues.
//!
//! Pure. Unknown names and members are refused, so an address never shows more than it says. Bounded: each member counts
//! once, and a search has at most [`SEARCH_CHARS_MAX`] characters.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::facets::FACETS;
use super::session::LIST;
use crate::graph::call::Call;
use crate::graph::devices::list::{FacetTest, Query};
use crate::graph::devices::row::SCHEMA;
use crate::graph::error::GraphError;
use crate::odata::Filter;

/// Characters of a search.
const SEARCH_CHARS_MAX: usize = 100;

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// As devices are stored: every page costs the same.
    #[default]
    Stored,
    /// By name.
    Name {
        /// From Z to A.
        descends: bool,
    },
    /// By the last check-in.
    CheckIn {
        /// Newest first.
        descends: bool,
    },
}

impl Order {
    const NAMED: [(&'static str, Self); 4] = [
        ("name", Self::Name { descends: false }),
        ("-name", Self::Name { descends: true }),
        ("checkIn", Self::CheckIn { descends: false }),
        ("-checkIn", Self::CheckIn { descends: true }),
    ];

    /// Its name in addresses; `None` for that of storage.
    pub(super) fn name(self) -> Option<&'static str> {
        let found = Self::NAMED.iter().find(|(_, order)| *order == self);
        found.map(|(name, _)| *name)
    }

    /// The order as `$orderby` has it; `None` for that of storage.
    pub(super) const fn by(self) -> Option<&'static str> {
        match self {
            Self::Stored => None,
            Self::Name { descends: false } => Some("deviceName,id"),
            Self::Name { descends: true } => Some("deviceName desc,id"),
            Self::CheckIn { descends: false } => Some("lastSyncDateTime,id"),
            Self::CheckIn { descends: true } => Some("lastSyncDateTime desc,id"),
        }
    }
}

/// A list as its address says.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    /// Facets and members, by their indices.
    chosen: BTreeSet<(usize, usize)>,
    /// A part of the name; empty for any.
    pub(super) search: String,
    /// The order.
    pub(super) order: Order,
    /// Where the page continues.
    pub(super) after: Option<String>,
}

impl Selection {
    /// Parses a query.
    pub(super) fn parse(query: &str) -> Result<Self, GraphError> {
        let mut selection = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            let refused = || {
                let shown: String = value.chars().take(50).collect();
                GraphError::bad_request(format!("The filter '{name}' has no value '{shown}'."))
            };
            match &*name {
                _ if value.is_empty() => (),
                "search" if value.chars().count() <= SEARCH_CHARS_MAX => {
                    value.clone_into(&mut selection.search);
                }
                "search" => {
                    return Err(GraphError::bad_request(format!(
                        "A search has at most {SEARCH_CHARS_MAX} characters."
                    )));
                }
                "sort" => {
                    let found = Order::NAMED.iter().find(|(known, _)| *known == value);
                    selection.order = found.ok_or_else(refused)?.1;
                }
                "after" => selection.after = Some(value.to_owned()),
                name => {
                    let facet = FACETS.iter().position(|facet| facet.name == name);
                    let facet = facet.ok_or_else(refused)?;
                    let member = FACETS[facet].index_of(value).ok_or_else(refused)?;
                    selection.chosen.insert((facet, member));
                }
            }
        }
        Ok(selection)
    }

    /// The query of the first page.
    pub(super) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (facet, member) in &self.chosen {
            let facet = &FACETS[*facet];
            query.append_pair(facet.name, facet.members[*member].name);
        }
        if !self.search.is_empty() {
            query.append_pair("search", &self.search);
        }
        if let Some(order) = self.order.name() {
            query.append_pair("sort", order);
        }
        query.finish()
    }

    /// The address of a list, or of its export.
    pub(super) fn address(&self, path: &str) -> String {
        match self.query() {
            query if query.is_empty() => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    /// The chosen facets and members, by their indices.
    pub(super) fn chosen(&self) -> impl Iterator<Item = (usize, usize)> {
        self.chosen.iter().copied()
    }

    /// Whether a member is chosen.
    pub(super) fn has(&self, facet: usize, member: usize) -> bool {
        self.chosen.contains(&(facet, member))
    }

    /// The list without one member.
    pub(super) fn without(&self, facet: usize, member: usize) -> Self {
        let mut other = self.clone();
        other.chosen.remove(&(facet, member));
        other
    }

    /// The list in another order.
    pub(super) fn ordered(&self, order: Order) -> Self {
        Self {
            order,
            ..self.clone()
        }
    }

    /// The list of all devices in the same order.
    pub(super) fn is_of_all(&self) -> bool {
        self.chosen.is_empty() && self.search.is_empty()
    }

    /// The test of a device: for every chosen facet it has one of the chosen members. `None` if all have.
    fn test(&self) -> Option<FacetTest> {
        if self.chosen.is_empty() {
            return None;
        }
        let mut by_facet: Vec<(usize, Vec<&'static str>)> = Vec::new();
        for (facet, member) in self.chosen() {
            let name = FACETS[facet].members[member].name;
            match by_facet.last_mut() {
                Some((last, names)) if *last == facet => names.push(name),
                _ => by_facet.push((facet, vec![name])),
            }
        }
        Some(Arc::new(move |facets| {
            by_facet.iter().all(|(facet, names)| {
                let member = (FACETS[*facet].of)(facets);
                member.is_some_and(|member| names.contains(&member))
            })
        }))
    }

    /// The devices that it is of.
    pub(super) fn devices<'a>(&self, call: &'a Call) -> Result<Query<'a>, GraphError> {
        let filter = self.filter();
        let filter = filter
            .map(|text| Filter::parse(&text, &SCHEMA))
            .transpose()?;
        let query = Query::new(call, filter, &LIST);
        Ok(match self.test() {
            Some(test) => query.with_test(test),
            None => query,
        })
    }

    /// The search as a filter of the API.
    fn filter(&self) -> Option<String> {
        let text = self.search.replace('\'', "''");
        (!text.is_empty()).then(|| format!("contains(deviceName,'{text}')"))
    }
}

#[cfg(test)]
mod tests {
    use muster_engine::Facets;
    use muster_wire::{Platform, Risk};

    use super::*;

    #[test]
    fn an_address_says_what_is_shown() {
        let query = "risk=high&risk=medium&platform=windows&search=a%27b%26c&sort=-checkIn";
        let selection = Selection::parse(query).unwrap();
        let again = Selection::parse(&selection.query()).unwrap();
        assert_eq!(selection.query(), again.query());
        assert_eq!(again.search, "a'b&c");
        assert_eq!(again.filter().unwrap(), "contains(deviceName,'a''b&c')");
        assert_eq!(again.order, Order::CheckIn { descends: true });
        let test = again.test().unwrap();
        let of = |risk, platform| Facets {
            risk,
            platform,
            ..Facets::default()
        };
        assert!(test(&of(Risk::High, Platform::Windows)));
        assert!(test(&of(Risk::Medium, Platform::Windows)));
        assert!(!test(&of(Risk::Low, Platform::Windows)));
        assert!(!test(&of(Risk::High, Platform::Linux)));
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        for query in ["risk=extreme", "colour=red", "sort=colour"] {
            assert!(Selection::parse(query).is_err(), "{query}");
        }
        let long = "x".repeat(SEARCH_CHARS_MAX + 1);
        assert!(Selection::parse(&format!("search={long}")).is_err());
        let empty = Selection::parse("risk=&search=").unwrap();
        assert!(empty.is_of_all() && empty.test().is_none(), "an empty form");
    }
}
