//! Compares the server's counts with the expected counts.

use muster_engine::{FacetWord, Facets};
use serde_json::Value;

use muster_testkit::{
    fleet::Tally,
    ops::CountsObject,
    oracle::{Cells, ExpectedCounts},
};

/// A count that differs from the expected one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What is counted.
    pub what: String,
    /// The expected count.
    pub expected: u64,
    /// The server's count.
    pub found: u64,
}

/// The result of the comparison for one run.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Names of the dimensions in which all counts match.
    pub matching_dimensions: Vec<String>,
    /// The number of expected cells.
    pub cells: u64,
    /// Differences of totals, dimensions, and answers.
    pub differences: Vec<Difference>,
    /// Differences of cells.
    pub cell_differences: Vec<Difference>,
}

impl Verdict {
    /// Whether all counts match.
    pub const fn matches(&self) -> bool {
        self.differences.is_empty() && self.cell_differences.is_empty()
    }

    /// Compares the server's counts and cells with the expected ones.
    pub fn of(expected: &ExpectedCounts, counts: &CountsObject, cells: &Cells) -> Self {
        let mut verdict = Self {
            cells: expected.cells.len() as u64,
            ..Self::default()
        };
        verdict.compare_counts(expected, counts);
        verdict.compare_cells(&expected.cells, cells);
        verdict
    }

    fn compare_counts(&mut self, expected: &ExpectedCounts, counts: &CountsObject) {
        let expected = &expected.counts;
        for (name, expected) in expected.totals() {
            self.compare(name, expected, counts.get(name));
        }
        for (dimension, members) in expected.groups() {
            let before = self.differences.len();
            let found = counts.get(dimension).and_then(Value::as_object);
            for (member, expected) in members {
                let found = found.and_then(|found| found.get(member));
                self.compare(&format!("{dimension} {member}"), expected, found);
            }
            if self.differences.len() == before {
                self.matching_dimensions.push(dimension.to_owned());
            }
        }
    }

    /// Compares one count. A count that the server's answer does not contain is 0.
    fn compare(&mut self, what: &str, expected: u64, found: Option<&Value>) {
        let found = found.and_then(Value::as_u64).unwrap_or(0);
        if found != expected {
            self.differences.push(Difference {
                what: what.to_owned(),
                expected,
                found,
            });
        }
    }

    fn compare_cells(&mut self, expected: &Cells, found: &Cells) {
        let count = |cells: &Cells, cell| cells.get(cell).copied().unwrap_or(0);
        let only_found = found.keys().filter(|cell| !expected.contains_key(cell));
        for cell in expected.keys().chain(only_found) {
            let (expected, found) = (count(expected, cell), count(found, cell));
            if expected != found {
                let what = describe(*cell);
                self.cell_differences.push(Difference {
                    what,
                    expected,
                    found,
                });
            }
        }
    }

    /// Adds the differences of another tenant's fleet.
    pub fn add_other(&mut self, tenant: &str, other: &Self) {
        let with_tenant = |difference: &Difference| Difference {
            what: format!("tenant {tenant}: {}", difference.what),
            ..difference.clone()
        };
        self.differences
            .extend(other.differences.iter().map(with_tenant));
        self.cell_differences
            .extend(other.cell_differences.iter().map(with_tenant));
    }

    /// Compares the numbers of answers. Must only be called if no connection was lost, because a resent check-in may be
    /// answered twice.
    pub fn compare_answers(&mut self, expected: Tally, found: Tally, rejected: u64) {
        for (what, expected, found) in [
            ("check-ins accepted", expected.accepted, found.accepted),
            ("check-ins duplicate", expected.duplicate, found.duplicate),
            ("check-ins stale", expected.stale, found.stale),
            ("check-ins rejected", 0, rejected),
        ] {
            if expected != found {
                self.differences.push(Difference {
                    what: what.to_owned(),
                    expected,
                    found,
                });
            }
        }
    }
}

/// Describes a cell for people.
fn describe(cell: FacetWord) -> String {
    let word = cell.0;
    match Facets::from_word(cell) {
        Some(facets) => format!(
            "{} {} {} risk {} partner {} sensor {} compliance {} setting {} ({word:#x})",
            facets.platform.name(),
            facets.management_agent.name(),
            facets.onboarding_status().name(),
            facets.risk.name(),
            facets.partner_threat.name(),
            facets.sensor.name(),
            facets.compliance.name(),
            facets.threat_setting.name(),
        ),
        None => format!("facets {word:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn expected_counts() -> ExpectedCounts {
        let mut expected = ExpectedCounts::default();
        expected.counts.add(&Facets::default(), 5);
        expected.cells.insert(Facets::default().word(), 5);
        expected
    }

    fn counts_of(expected: &ExpectedCounts) -> CountsObject {
        let counts = &expected.counts;
        let mut object = CountsObject::new();
        for (name, count) in counts.totals() {
            object.insert(name.to_owned(), count.into());
        }
        for (dimension, members) in counts.groups() {
            let members = members
                .into_iter()
                .map(|(member, count)| (member.to_owned(), json!(count)));
            object.insert(dimension.to_owned(), Value::Object(members.collect()));
        }
        object
    }

    #[test]
    fn equal_counts_match_in_every_dimension() {
        let expected = expected_counts();
        let verdict = Verdict::of(&expected, &counts_of(&expected), &expected.cells);
        assert!(verdict.matches(), "{verdict:?}");
        assert_eq!((verdict.matching_dimensions.len(), verdict.cells), (17, 1));
    }

    #[test]
    fn a_device_in_the_wrong_cell_gives_two_differences() {
        let expected = expected_counts();
        let onboarded = Facets {
            onboarded: true,
            ..Facets::default()
        };
        let cells = Cells::from([(Facets::default().word(), 4), (onboarded.word(), 1)]);
        let verdict = Verdict::of(&expected, &counts_of(&expected), &cells);
        let found: Vec<(u64, u64)> = verdict
            .cell_differences
            .iter()
            .map(|cell| (cell.expected, cell.found))
            .collect();
        assert_eq!(found, [(5, 4), (0, 1)]);
        assert!(!verdict.matches());
    }

    #[test]
    fn a_count_that_differs_in_a_dimension_is_named() {
        let expected = expected_counts();
        let mut counts = counts_of(&expected);
        counts.insert("risk".to_owned(), json!({"notReported": 4, "high": 1}));
        let verdict = Verdict::of(&expected, &counts, &expected.cells);
        let what: Vec<&str> = verdict
            .differences
            .iter()
            .map(|found| found.what.as_str())
            .collect();
        assert_eq!(what, ["risk notReported", "risk high"]);
        assert!(!verdict.matching_dimensions.contains(&"risk".to_owned()));
    }

    #[test]
    fn unexpected_answers_and_rejections_are_differences() {
        let tally = Tally {
            accepted: 3,
            ..Tally::default()
        };
        let mut verdict = Verdict::default();
        verdict.compare_answers(tally, tally, 0);
        assert!(verdict.matches());
        verdict.compare_answers(
            tally,
            Tally {
                accepted: 2,
                ..tally
            },
            1,
        );
        assert_eq!(verdict.differences.len(), 2);
    }
}
