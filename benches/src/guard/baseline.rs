//! The baseline file, which has counts and their context, and the comparison of two baselines.
//!
//! A line is either `key = value`, which is context, or `instructions / check-ins = case`, which is a count. Counts are
//! comparable only if their context is equal.

use std::fmt::{self, Write};
use std::str::FromStr;

use anyhow::{Context, bail};

/// Maximum growth of a count over the baseline, in percent.
const GROWTH_MAX: u64 = 5;

const HEADER: &str = "\
# Instruction counts of the guard, see docs/BENCHMARKS.md, \"The guard\". Written by scripts/guard --accept.
";

/// The count of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) case: String,
    pub(super) instructions: u64,
    /// The number of check-ins that the instructions processed.
    pub(super) check_ins: u64,
}

impl Count {
    fn per_check_in(&self) -> f64 {
        self.instructions as f64 / self.check_ins as f64
    }
}

/// All counts of one build, and their context, which must be equal before counts are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Baseline {
    pub(super) context: Vec<(String, String)>,
    pub(super) counts: Vec<Count>,
}

/// The result of a comparison.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No count exceeds the baseline; has the table.
    Passed(String),
    /// The contexts differ; has the differences.
    NotComparable(String),
    /// Has the table and the failures.
    Failed(String, Vec<String>),
}

impl Baseline {
    /// Compares the counts that were found with this baseline.
    pub(super) fn compare(&self, found: &Self) -> Verdict {
        if self.context != found.context {
            let differs = |(key, value): &&(String, String)| {
                !found.context.contains(&(key.clone(), value.clone()))
            };
            let found_value = |key: &str| {
                let pair = found.context.iter().find(|(other, _)| other == key);
                pair.map_or("unknown", |(_, value)| value)
            };
            let differences: Vec<String> = self
                .context
                .iter()
                .filter(differs)
                .map(|(key, value)| {
                    format!("{key} is {}, in the baseline {value}", found_value(key))
                })
                .collect();
            return Verdict::NotComparable(format!(
                "{}; scripts/guard --accept writes a baseline for this machine",
                differences.join("; ")
            ));
        }
        let mut table = String::new();
        let mut failures = Vec::new();
        for count in &found.counts {
            let accepted = self.counts.iter().find(|other| other.case == count.case);
            let Some(accepted) = accepted.filter(|other| other.check_ins == count.check_ins) else {
                failures.push(format!("{}: the baseline has no such case", count.case));
                continue;
            };
            let growth = count.instructions as f64 / accepted.instructions as f64 - 1.0;
            let line = format!(
                "{}: {:.2} instructions per check-in, {:.2} in the baseline ({:+.2} %)",
                count.case,
                count.per_check_in(),
                accepted.per_check_in(),
                growth * 100.0
            );
            let improved = count.instructions * 100 < accepted.instructions * (100 - GROWTH_MAX);
            let hint = if improved {
                "; to keep the improvement: scripts/guard --accept"
            } else {
                ""
            };
            // Writing to a String cannot fail.
            let _ = writeln!(table, "{line}{hint}");
            if count.instructions * 100 > accepted.instructions * (100 + GROWTH_MAX) {
                failures.push(format!("{line}: at most {GROWTH_MAX} % more are allowed"));
            }
        }
        for accepted in &self.counts {
            if !found.counts.iter().any(|other| other.case == accepted.case) {
                failures.push(format!(
                    "{}: in the baseline, but not counted",
                    accepted.case
                ));
            }
        }
        if failures.is_empty() {
            Verdict::Passed(table)
        } else {
            Verdict::Failed(table, failures)
        }
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(HEADER)?;
        for (key, value) in &self.context {
            writeln!(out, "{key} = {value}")?;
        }
        for count in &self.counts {
            let Count {
                case,
                instructions,
                check_ins,
            } = count;
            writeln!(out, "{instructions} / {check_ins} = {case}")?;
        }
        Ok(())
    }
}

impl FromStr for Baseline {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut baseline = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (key, value) = line
                .split_once('=')
                .with_context(|| format!("a line without `=`: {line}"))?;
            let (key, value) = (key.trim(), value.trim().to_owned());
            let Some((instructions, check_ins)) = key.split_once(" / ") else {
                baseline.context.push((key.to_owned(), value));
                continue;
            };
            let (instructions, check_ins) = (instructions.parse()?, check_ins.parse()?);
            if instructions == 0 || check_ins == 0 {
                bail!("a count of zero: {line}");
            }
            baseline.counts.push(Count {
                case: value,
                instructions,
                check_ins,
            });
        }
        Ok(baseline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(rustc: &str, cases: &[(&str, u64)]) -> Baseline {
        let count = |&(case, instructions): &(&str, u64)| Count {
            case: case.to_owned(),
            instructions,
            check_ins: 10,
        };
        Baseline {
            context: vec![
                ("rustc".to_owned(), rustc.to_owned()),
                ("rustflags".to_owned(), String::new()),
            ],
            counts: cases.iter().map(count).collect(),
        }
    }

    #[test]
    fn a_file_reads_back() {
        let accepted = baseline("1.95", &[("decode, frames of 1", 1000), ("route", 7)]);
        assert_eq!(accepted.to_string().parse::<Baseline>().unwrap(), accepted);
        assert!("0 / 5 = route".parse::<Baseline>().is_err());
        assert!("route".parse::<Baseline>().is_err());
    }

    #[test]
    fn growth_over_five_percent_fails_with_both_counts() {
        let accepted = baseline("1.95", &[("decode", 1000), ("route", 1000)]);
        let found = baseline("1.95", &[("decode", 1051), ("route", 1050)]);
        let Verdict::Failed(table, failures) = accepted.compare(&found) else {
            panic!("a regression passed");
        };
        assert_eq!(
            failures,
            [
                "decode: 105.10 instructions per check-in, 100.00 in the baseline (+5.10 %): at most 5 % more are allowed"
            ]
        );
        assert_eq!(table.lines().count(), 2);
        let found = baseline("1.95", &[("decode", 1050), ("route", 900)]);
        let Verdict::Passed(table) = accepted.compare(&found) else {
            panic!("a count within the limit failed");
        };
        assert!(table.contains("(-10.00 %); to keep"), "{table}");
    }

    #[test]
    fn counts_of_another_compiler_are_not_compared() {
        let accepted = baseline("1.95", &[("decode", 1000)]);
        let found = baseline("1.96", &[("decode", 9000)]);
        let Verdict::NotComparable(reason) = accepted.compare(&found) else {
            panic!("counts of different compilers were compared");
        };
        assert!(
            reason.starts_with("rustc is 1.96, in the baseline 1.95;"),
            "{reason}"
        );
    }

    #[test]
    fn added_and_removed_cases_fail() {
        let accepted = baseline("1.95", &[("decode", 1000), ("route", 1000)]);
        let found = baseline("1.95", &[("decode", 1000), ("apply", 1000)]);
        let Verdict::Failed(_, failures) = accepted.compare(&found) else {
            panic!("a missing case passed");
        };
        assert_eq!(
            failures,
            [
                "apply: the baseline has no such case",
                "route: in the baseline, but not counted"
            ]
        );
    }
}
