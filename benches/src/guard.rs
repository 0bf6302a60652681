//! The guard: a change that makes a check-in cost more instructions does not pass unseen.
//!
//! Instructions, unlike times, are the same on a busy machine, so they can be asserted. valgrind counts those of
//! a few fixed pieces of work (`cases.rs`); `benches/baseline.txt` says how many there were when somebody last
//! looked. More than 5 % above it fails. Another compiler, target or valgrind counts otherwise: then nothing is
//! compared, and that is said. No clock, no threads, no disk. What it does not see: waiting, cache misses, locks.

mod baseline;
mod cases;
mod null_database;
mod valgrind;

use std::path::Path;

use anyhow::{Context, bail};

use baseline::{Baseline, Verdict};
pub(crate) use cases::count;

/// Where the baseline is checked in, from the root of the clone. Not where this was built: clones share builds.
pub(crate) const BASELINE: &str = "benches/baseline.txt";

/// Counts all cases and returns what there is to say about them. With `accept`, the counts are the new baseline.
///
/// # Errors
/// If a case has more instructions than the baseline allows or cannot be counted, or the cases are not those
/// of the baseline.
pub(crate) fn run(file: &Path, accept: bool) -> anyhow::Result<String> {
    let found = match valgrind::count_all()? {
        Some(found) => found,
        None if accept => bail!("valgrind is not installed: nothing to accept"),
        None => {
            return Ok(skipped(
                "valgrind is not installed (scripts/setup --tests installs it)",
            ));
        }
    };
    let name = file.display();
    if accept {
        std::fs::write(file, found.to_string()).with_context(|| name.to_string())?;
        return Ok(format!("{found}\nThis is the baseline now: {name}"));
    }
    let text = std::fs::read_to_string(file).with_context(|| name.to_string())?;
    let accepted: Baseline = text.parse().with_context(|| name.to_string())?;
    match accepted.judge(&found) {
        Verdict::Same(table) => Ok(table),
        Verdict::NotComparable(reason) => Ok(format!("{found}\n{}", skipped(&reason))),
        Verdict::Broken(table, faults) => bail!(
            "{}\n\n{table}\nIf that is worth it: scripts/guard --accept, and say why in the commit.",
            faults.join("\n")
        ),
    }
}

fn skipped(reason: &str) -> String {
    format!("SKIPPED, NOTHING WAS COMPARED: {reason}")
}
