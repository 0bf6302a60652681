//! The guard: detects changes that raise the instruction count of a check-in.
//!
//! Instruction counts, unlike times, do not depend on the load of the machine, so they can be asserted. valgrind counts
//! the instructions of a few fixed cases (`cases.rs`), and `benches/baseline.txt` has the accepted counts; growth of
//! more than 5 % fails. If the compiler, target or valgrind differs, counts are not comparable: nothing is compared,
//! and the output says so. No clock, no threads, no disk. It does not detect waiting, cache misses or lock contention.

mod baseline;
mod cases;
mod null_database;
mod valgrind;

use std::path::Path;

use anyhow::{Context, bail};

use baseline::{Baseline, Verdict};
pub(crate) use cases::count;

/// The path of the baseline in a clone. Relative, because the clone that this binary was built in may be another one.
pub(crate) const BASELINE: &str = "benches/baseline.txt";

/// Counts all cases and returns a report. With `accept`, writes the counts as the new baseline.
///
/// # Errors
/// If a case exceeds the baseline or cannot be counted, or the cases differ from those of the baseline.
pub(crate) fn run(file: &Path, accept: bool) -> anyhow::Result<String> {
    let found = match valgrind::count_all()? {
        Some(found) => found,
        None if accept => bail!("valgrind is not installed, so there is nothing to accept"),
        None => {
            return Ok(skipped(
                "valgrind is not installed (scripts/setup --tests installs it)",
            ));
        }
    };
    let name = file.display();
    if accept {
        std::fs::write(file, found.to_string()).with_context(|| name.to_string())?;
        return Ok(format!("{found}\nWritten as the new baseline: {name}"));
    }
    let text = std::fs::read_to_string(file).with_context(|| name.to_string())?;
    let accepted: Baseline = text.parse().with_context(|| name.to_string())?;
    match accepted.compare(&found) {
        Verdict::Passed(table) => Ok(table),
        Verdict::NotComparable(reason) => Ok(format!("{found}\n{}", skipped(&reason))),
        Verdict::Failed(table, failures) => bail!(
            "{}\n\n{table}\nTo accept the new counts: scripts/guard --accept, and give the reason in the commit.",
            failures.join("\n")
        ),
    }
}

fn skipped(reason: &str) -> String {
    format!("SKIPPED, NOTHING WAS COMPARED: {reason}")
}
