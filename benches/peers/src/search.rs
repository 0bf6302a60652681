//! A short search for the best setting of a peer, then the runs with that setting, whose figures are reported.
//!
//! Bounds: the candidates below, with a quarter of the job each, then a fixed number of runs of the whole job. The
//! search may use half of the sending time of a peer, the runs the other half.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use crate::job::Job;
use crate::measure::{Limits, Run, measure};
use crate::peer::{self, Installed, Name, Setting};

/// What to run.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// The peers to measure.
    pub peers: Vec<Name>,
    /// The setting to use; `None` to search for the best.
    pub setting: Option<String>,
    /// Number of runs with the best setting.
    pub repeats: u32,
    /// Maximum time for sending check-ins to each peer, for the search and the runs together.
    pub sending_max: Duration,
    /// Use the first candidate without a search.
    pub quick: bool,
    /// The directory for temporary data directories.
    pub directory: PathBuf,
}

/// A peer with its figures, or the reason why it was not measured.
#[derive(Clone, Debug)]
pub struct Row {
    /// The peer.
    pub name: Name,
    /// The figures.
    pub result: Result<Measured, String>,
}

/// The figures of a peer.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The program and its version.
    pub installed: Installed,
    /// The fastest setting in the search.
    pub best: Setting,
    /// All candidates that were tried, with their rates.
    pub tried: Vec<(Setting, f64)>,
    /// The runs with the best setting.
    pub runs: Vec<Run>,
}

const fn setting(
    way: &'static str,
    connections: usize,
    frame_check_ins: usize,
    in_flight: usize,
) -> Setting {
    Setting {
        way,
        connections,
        frame_check_ins,
        in_flight,
    }
}

/// The candidates of the search; the first is an expert's guess.
pub fn candidates(name: Name) -> &'static [Setting] {
    const REDIS: &[Setting] = &[
        setting("function", 4, 1_000, 2),
        setting("function", 2, 1_000, 4),
        setting("function", 4, 4_000, 2),
        setting("function", 8, 1_000, 2),
        setting("function", 8, 4_000, 2),
        setting("function", 8, 250, 4),
    ];
    const POSTGRES: &[Setting] = &[
        setting(crate::postgres::UNNEST, 2, 4_000, 1),
        setting(crate::postgres::UNNEST, 4, 4_000, 1),
        setting(crate::postgres::UNNEST, 4, 1_000, 1),
        setting(crate::postgres::UNNEST, 4, 16_000, 1),
        setting(crate::postgres::COPY, 2, 4_000, 1),
        setting(crate::postgres::COPY, 4, 16_000, 1),
    ];
    const NATS: &[Setting] = &[
        setting("messages", 2, 4_000, 8),
        setting("messages", 1, 4_000, 16),
        setting("messages", 4, 4_000, 8),
        setting("messages", 2, 1_000, 32),
        setting("messages", 2, 16_000, 4),
        setting("messages", 4, 16_000, 4),
    ];
    match name {
        Name::Redis => REDIS,
        Name::Postgres => POSTGRES,
        Name::Nats => NATS,
    }
}

fn candidate(name: Name, text: &str) -> anyhow::Result<Setting> {
    let all = candidates(name);
    let found = all.iter().find(|setting| setting.to_string() == text);
    let names: Vec<String> = all.iter().map(Setting::to_string).collect();
    found.copied().with_context(|| {
        let name = name.name();
        format!(
            "{text} is not a candidate of {name}; the candidates are: {}",
            names.join(", ")
        )
    })
}

/// Measures the peers.
///
/// # Errors
/// If an installed peer does not start or refuses a request. A peer that is not installed has a row with the reason.
pub async fn run(options: &SearchOptions, job: &Job) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for name in &options.peers {
        let result = match peer::find(*name) {
            Ok(installed) => {
                let measured = search_and_measure(options, job, *name, installed).await;
                Ok(measured.with_context(|| name.name())?)
            }
            Err(reason) => Err(reason),
        };
        rows.push(Row {
            name: *name,
            result,
        });
    }
    Ok(rows)
}

async fn search_and_measure(
    options: &SearchOptions,
    job: &Job,
    name: Name,
    installed: Installed,
) -> anyhow::Result<Measured> {
    let all = job.size().check_ins;
    let limits = |check_ins, runs: usize| Limits {
        check_ins,
        sending_max: options.sending_max / 2 / u32::try_from(runs).unwrap_or(u32::MAX).max(1),
        directory: &options.directory,
    };
    let all_candidates = candidates(name);
    let given = match &options.setting {
        Some(text) => Some(candidate(name, text)?),
        None if options.quick => all_candidates.first().copied(),
        None => None,
    };
    let candidates = if given.is_some() { &[] } else { all_candidates };
    let mut tried = Vec::new();
    let mut best: Option<(Setting, f64)> = given.map(|setting| (setting, 0.0));
    for setting in candidates {
        let limits = limits(all.div_ceil(4), candidates.len());
        let run = measure(name, &installed.program, job, setting, limits).await?;
        let rate = run.rate();
        tried.push((*setting, rate));
        if !run.faults.is_empty() {
            // A run with wrong contents decides the result of this peer.
            let (best, runs) = (*setting, vec![run]);
            return Ok(Measured {
                installed,
                best,
                tried,
                runs,
            });
        }
        if best.is_none_or(|(_, best_rate)| rate > best_rate) {
            best = Some((*setting, rate));
        }
    }
    let (best, _) = best.context("the peer has no candidates")?;
    let mut runs = Vec::new();
    for _ in 0..options.repeats {
        let limits = limits(all, options.repeats as usize);
        runs.push(measure(name, &installed.program, job, &best, limits).await?);
    }
    Ok(Measured {
        installed,
        best,
        tried,
        runs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_found_by_the_argument_of_its_setting() {
        for name in Name::ALL {
            for setting in candidates(name) {
                assert_eq!(candidate(name, &setting.to_string()).unwrap(), *setting);
            }
        }
        let error = candidate(Name::Nats, "messages:1:1:1").unwrap_err();
        assert!(error.to_string().contains("messages:1:4000:16"), "{error}");
    }
}
