//! Counts and what they were counted with, as a file; and the comparison of two of them.
//!
//! One line a fact: `key = value` for what has to be the same, `instructions / check-ins = case` for a count.

use std::fmt::{self, Write};
use std::str::FromStr;

use anyhow::{Context, bail};

/// More instructions than the accepted ones and so many per cent of them fail.
const GROWTH_MAX: u64 = 5;

const HEAD: &str = "\
# Instructions of the guard's cases, see docs/BENCHMARKS.md, \"The guard\". Written by scripts/guard --accept.
";

/// One case, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) case: String,
    pub(super) instructions: u64,
    /// What they were for.
    pub(super) check_ins: u64,
}

impl Count {
    fn each(&self) -> f64 {
        self.instructions as f64 / self.check_ins as f64
    }
}

/// All counts of one build, and what has to be the same before they are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Baseline {
    pub(super) context: Vec<(String, String)>,
    pub(super) counts: Vec<Count>,
}

/// What a comparison comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As good as the baseline; the table.
    Same(String),
    /// Two worlds; what differs.
    NotComparable(String),
    /// The table, and what is wrong.
    Broken(String, Vec<String>),
}

impl Baseline {
    /// Compares what was found with this, which was accepted.
    pub(super) fn judge(&self, found: &Self) -> Verdict {
        if self.context != found.context {
            let differs = |(key, value): &&(String, String)| {
                !found.context.contains(&(key.clone(), value.clone()))
            };
            let theirs = |key: &str| {
                let pair = found.context.iter().find(|(other, _)| other == key);
                pair.map_or("unknown", |(_, value)| value)
            };
            let differences: Vec<String> = self
                .context
                .iter()
                .filter(differs)
                .map(|(key, value)| format!("{key} is {}, of the baseline {value}", theirs(key)))
                .collect();
            return Verdict::NotComparable(format!(
                "{}; scripts/guard --accept takes a baseline for this machine",
                differences.join("; ")
            ));
        }
        let mut table = String::new();
        let mut faults = Vec::new();
        for count in &found.counts {
            let accepted = self.counts.iter().find(|other| other.case == count.case);
            let Some(accepted) = accepted.filter(|other| other.check_ins == count.check_ins) else {
                faults.push(format!("{}: the baseline has no such case", count.case));
                continue;
            };
            let growth = count.instructions as f64 / accepted.instructions as f64 - 1.0;
            let line = format!(
                "{}: {:.2} instructions a check-in, {:.2} in the baseline ({:+.2} %)",
                count.case,
                count.each(),
                accepted.each(),
                growth * 100.0
            );
            let remark = match count.instructions * 100 < accepted.instructions * (100 - GROWTH_MAX)
            {
                true => "; accept it, so that it stays: scripts/guard --accept",
                false => "",
            };
            // A string takes whatever is written to it.
            let _ = writeln!(table, "{line}{remark}");
            if count.instructions * 100 > accepted.instructions * (100 + GROWTH_MAX) {
                faults.push(format!("{line}: at most {GROWTH_MAX} % more are allowed"));
            }
        }
        for accepted in &self.counts {
            if !found.counts.iter().any(|other| other.case == accepted.case) {
                faults.push(format!(
                    "{}: in the baseline, but not counted",
                    accepted.case
                ));
            }
        }
        match faults.is_empty() {
            true => Verdict::Same(table),
            false => Verdict::Broken(table, faults),
        }
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(HEAD)?;
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
                .with_context(|| format!("no fact: {line}"))?;
            let (key, value) = (key.trim(), value.trim().to_owned());
            let Some((instructions, check_ins)) = key.split_once(" / ") else {
                baseline.context.push((key.to_owned(), value));
                continue;
            };
            let (instructions, check_ins) = (instructions.parse()?, check_ins.parse()?);
            if instructions == 0 || check_ins == 0 {
                bail!("a count of nothing: {line}");
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
    fn more_than_five_per_cent_fails_and_is_named_with_both_numbers() {
        let accepted = baseline("1.95", &[("decode", 1000), ("route", 1000)]);
        let found = baseline("1.95", &[("decode", 1051), ("route", 1050)]);
        let Verdict::Broken(table, faults) = accepted.judge(&found) else {
            panic!("a regression passed");
        };
        assert_eq!(
            faults,
            [
                "decode: 105.10 instructions a check-in, 100.00 in the baseline (+5.10 %): at most 5 % more are allowed"
            ]
        );
        assert_eq!(table.lines().count(), 2);
        let found = baseline("1.95", &[("decode", 1050), ("route", 900)]);
        let Verdict::Same(table) = accepted.judge(&found) else {
            panic!("within the limit, and yet it failed");
        };
        assert!(table.contains("(-10.00 %); accept it"), "{table}");
    }

    #[test]
    fn another_compiler_is_not_compared_and_named() {
        let accepted = baseline("1.95", &[("decode", 1000)]);
        let Verdict::NotComparable(reason) = accepted.judge(&baseline("1.96", &[("decode", 9000)]))
        else {
            panic!("compared all the same");
        };
        assert!(
            reason.starts_with("rustc is 1.96, of the baseline 1.95;"),
            "{reason}"
        );
    }

    #[test]
    fn cases_that_come_and_go_fail() {
        let accepted = baseline("1.95", &[("decode", 1000), ("route", 1000)]);
        let found = baseline("1.95", &[("decode", 1000), ("apply", 1000)]);
        let Verdict::Broken(_, faults) = accepted.judge(&found) else {
            panic!("nobody misses the case");
        };
        assert_eq!(
            faults,
            [
                "apply: the baseline has no such case",
                "route: in the baseline, but not counted"
            ]
        );
    }
}
