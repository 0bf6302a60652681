//! The verdict: what the server counts against what it must count.

use muster_engine::{FacetWord, Facets};
use serde_json::Value;

use muster_testkit::{
    fleet::Tally,
    ops::CountsObject,
    oracle::{CellName, Cells, Prediction},
};

/// A number that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What is counted.
    pub what: String,
    /// What the prediction says.
    pub expected: u64,
    /// What the server says.
    pub found: u64,
}

/// The comparison of one run.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Names of the dimensions whose every member is right.
    pub dimensions_right: Vec<String>,
    /// Cells in the prediction.
    pub cells: u64,
    /// Differences of totals, dimensions and answers.
    pub differences: Vec<Difference>,
    /// Differences of cells.
    pub cell_differences: Vec<Difference>,
}

impl Verdict {
    /// Whether everything is as predicted.
    pub const fn is_right(&self) -> bool {
        self.differences.is_empty() && self.cell_differences.is_empty()
    }

    /// Compares counts and cells.
    pub fn of(prediction: &Prediction, counts: &CountsObject, cells: &Cells) -> Self {
        let mut verdict = Self {
            cells: prediction.cells.len() as u64,
            ..Self::default()
        };
        verdict.compare_counts(prediction, counts);
        verdict.compare_cells(&prediction.cells, cells);
        verdict
    }

    fn compare_counts(&mut self, prediction: &Prediction, counts: &CountsObject) {
        let expected = &prediction.counts;
        for (name, expected) in [
            ("devices", expected.devices()),
            ("onboarded", expected.onboarded()),
            ("not_onboarded", expected.not_onboarded()),
        ] {
            self.compare(name, expected, counts.get(name));
        }
        let dimensions = expected
            .dimensions()
            .into_iter()
            .chain([("subsets", expected.subsets())]);
        for (dimension, members) in dimensions {
            let before = self.differences.len();
            let found = counts.get(dimension).and_then(Value::as_object);
            for (member, expected) in members {
                let found = found.and_then(|found| found.get(member));
                self.compare(&format!("{dimension} {member}"), expected, found);
            }
            if self.differences.len() == before {
                self.dimensions_right.push(dimension.to_owned());
            }
        }
    }

    /// A number that the server does not name counts as 0.
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
        let number = |cells: &Cells, name| cells.get(name).copied().unwrap_or(0);
        let only_found = found.keys().filter(|name| !expected.contains_key(name));
        for name in expected.keys().chain(only_found) {
            let (expected, found) = (number(expected, name), number(found, name));
            if expected != found {
                let what = describe(name);
                self.cell_differences.push(Difference {
                    what,
                    expected,
                    found,
                });
            }
        }
    }

    /// Takes over the differences of another tenant's fleet.
    pub fn add_other(&mut self, tenant: &str, other: &Self) {
        let of_tenant = |difference: &Difference| Difference {
            what: format!("tenant {tenant}: {}", difference.what),
            ..difference.clone()
        };
        self.differences
            .extend(other.differences.iter().map(of_tenant));
        self.cell_differences
            .extend(other.cell_differences.iter().map(of_tenant));
    }

    /// Compares how the server answered the check-ins. Only where no connection was lost: after a
    /// loss a check-in may be answered twice.
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

/// A cell for people.
fn describe(name: &CellName) -> String {
    let cohort = format!("{} [{}]", name.owner, name.tags.join(", "));
    match Facets::from_word(FacetWord(name.facets)) {
        Some(facets) => format!(
            "{cohort} {} {} {} risk {} partner {} {} sensor {} compliance {} setting {} ({:#010x})",
            facets.platform.name(),
            facets.management_agent.name(),
            facets.onboarding_status().name(),
            facets.risk.name(),
            facets.partner_threat.name(),
            if facets.registered {
                "registered"
            } else {
                "not registered"
            },
            facets.sensor.name(),
            facets.compliance.name(),
            facets.threat_setting.name(),
            name.facets,
        ),
        None => format!("{cohort} facets {:#010x}", name.facets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn name(facets: &Facets) -> CellName {
        CellName {
            owner: "unknown".to_owned(),
            tags: Vec::new(),
            facets: facets.word().0,
        }
    }

    fn prediction() -> Prediction {
        let mut prediction = Prediction::default();
        prediction.counts.add(&Facets::default(), 5);
        prediction.cells.insert(name(&Facets::default()), 5);
        prediction
    }

    fn counts_of(prediction: &Prediction) -> CountsObject {
        let counts = &prediction.counts;
        let mut object = CountsObject::new();
        object.insert("devices".to_owned(), counts.devices().into());
        object.insert("onboarded".to_owned(), counts.onboarded().into());
        object.insert("not_onboarded".to_owned(), counts.not_onboarded().into());
        for (dimension, members) in counts
            .dimensions()
            .into_iter()
            .chain([("subsets", counts.subsets())])
        {
            let members = members
                .into_iter()
                .map(|(member, count)| (member.to_owned(), json!(count)));
            object.insert(dimension.to_owned(), Value::Object(members.collect()));
        }
        object
    }

    #[test]
    fn equal_counts_are_right_in_every_dimension() {
        let prediction = prediction();
        let verdict = Verdict::of(&prediction, &counts_of(&prediction), &prediction.cells);
        assert!(verdict.is_right(), "{verdict:?}");
        assert_eq!((verdict.dimensions_right.len(), verdict.cells), (8, 1));
    }

    #[test]
    fn one_device_in_another_cell_is_found_twice() {
        let prediction = prediction();
        let onboarded = Facets {
            onboarded: true,
            ..Facets::default()
        };
        let cells = Cells::from([(name(&Facets::default()), 4), (name(&onboarded), 1)]);
        let verdict = Verdict::of(&prediction, &counts_of(&prediction), &cells);
        let found: Vec<(u64, u64)> = verdict
            .cell_differences
            .iter()
            .map(|cell| (cell.expected, cell.found))
            .collect();
        assert_eq!(found, [(5, 4), (0, 1)]);
        assert!(!verdict.is_right());
    }

    #[test]
    fn a_wrong_dimension_is_named() {
        let prediction = prediction();
        let mut counts = counts_of(&prediction);
        counts.insert("risk".to_owned(), json!({"notReported": 4, "high": 1}));
        let verdict = Verdict::of(&prediction, &counts, &prediction.cells);
        let what: Vec<&str> = verdict
            .differences
            .iter()
            .map(|found| found.what.as_str())
            .collect();
        assert_eq!(what, ["risk notReported", "risk high"]);
        assert!(!verdict.dimensions_right.contains(&"risk".to_owned()));
    }

    #[test]
    fn answers_that_differ_or_reject_are_differences() {
        let tally = Tally {
            accepted: 3,
            ..Tally::default()
        };
        let mut verdict = Verdict::default();
        verdict.compare_answers(tally, tally, 0);
        assert!(verdict.is_right());
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
