//! Other systems at the same job: one run of `muster-peers` per peer and round.
//!
//! The first round searches for the best setting of a peer; later rounds use it. A peer that is not installed is
//! reported with the reason. Each peer is compared with Muster at a job of the same length.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::environment::Environment;
use super::figures::Figures;
use super::sizes::Sizes;
use crate::parts::Size;

const NAMES: [&str; 3] = ["redis", "postgres", "nats"];

/// The length of a job. A database that keeps the state needs seconds for a job that a log finishes in a third of a
/// second, and the rate of a log over several seconds differs from that of its first third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Short,
    Long,
}

impl Job {
    pub(super) const ALL: [Self; 2] = [Self::Short, Self::Long];

    /// The job of a peer.
    fn of(peer: &str) -> Self {
        match peer {
            "nats" => Self::Long,
            _ => Self::Short,
        }
    }

    pub(super) const fn check_ins(self, sizes: &Sizes) -> u64 {
        match self {
            Self::Short => sizes.peer_check_ins,
            Self::Long => sizes.peer_check_ins_long,
        }
    }

    /// The name of the figure for the rate of Muster at this job.
    pub(super) const fn muster_rate_figure(self) -> &'static str {
        match self {
            Self::Short => "peer_job_muster_check_ins_per_second",
            Self::Long => "peer_job_long_muster_check_ins_per_second",
        }
    }
}

/// The fraction of check-ins that the job of the peers sends twice.
pub(super) const DUPLICATES: f64 = 0.005;

/// Maximum time for sending check-ins to a peer in a round.
const SECONDS_MAX: u64 = 90;

/// The peers that were measured or looked for so far.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: BTreeMap<&'static str, Peer>,
}

/// The setting of a peer, or the reason why it is absent.
#[derive(Clone, Debug)]
enum Peer {
    Absent(String),
    Present { version: String, setting: Setting },
}

/// The fields of the report of `muster-peers` that are used here.
#[derive(Debug, Deserialize)]
struct Report {
    peers: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Row {
    Absent {
        absent: String,
    },
    Present {
        version: String,
        setting: Setting,
        durable_check_ins_per_second: f64,
        ack_p50_ms: f64,
        ack_p99_ms: f64,
        verified: bool,
    },
}

#[derive(Clone, Debug, Deserialize)]
struct Setting {
    way: String,
    connections: u64,
    frame_check_ins: u64,
    in_flight: u64,
}

impl Setting {
    /// The argument of `muster-peers --setting`.
    fn to_argument(&self) -> String {
        let Self {
            way,
            connections,
            frame_check_ins,
            in_flight,
        } = self;
        format!("{way}:{connections}:{frame_check_ins}:{in_flight}")
    }
}

/// The name of the figure for the rate of a peer.
fn peer_rate_figure(name: &str) -> String {
    format!("peer_job_{name}_check_ins_per_second")
}

impl Peers {
    /// Measures the peers that have this job.
    pub(super) fn measure(
        &mut self,
        environment: &Environment,
        sizes: &Sizes,
        job: Job,
        figures: &mut Figures,
        log: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        for name in NAMES.into_iter().filter(|name| Job::of(name) == job) {
            environment.check_interrupted()?;
            let known = self.known.get(name);
            if let Some(Peer::Absent(_)) = known {
                continue;
            }
            log(&format!("{name} at the job of the peers"));
            let row = run(environment, sizes, name, known).with_context(|| name)?;
            let peer = match row {
                Row::Absent { absent } => {
                    figures.note(format!("{name} was not measured: {absent}"));
                    Peer::Absent(absent)
                }
                Row::Present {
                    version,
                    setting,
                    durable_check_ins_per_second,
                    ack_p50_ms,
                    ack_p99_ms,
                    verified,
                } => {
                    ensure!(
                        verified,
                        "the states or counts of {name} are not those of the model"
                    );
                    figures.add(peer_rate_figure(name), durable_check_ins_per_second);
                    figures.add(format!("peer_job_{name}_p50_ms"), ack_p50_ms);
                    figures.add(format!("peer_job_{name}_p99_ms"), ack_p99_ms);
                    Peer::Present { version, setting }
                }
            };
            self.known.insert(name, peer);
        }
        Ok(())
    }

    /// The names of the figures for the rates of Muster and of the fastest peer, at the job of that peer.
    pub(super) fn best(&self, figures: &Figures) -> Option<(&'static str, String)> {
        let rates = self.known.keys().filter_map(|name| {
            let rate = peer_rate_figure(name);
            let value = figures.get(&rate)?.median();
            Some(((Job::of(name).muster_rate_figure(), rate), value))
        });
        let best = rates.max_by(|(_, one), (_, other)| one.total_cmp(other));
        best.map(|(rates, _)| rates)
    }

    pub(super) fn json(&self, figures: &Figures) -> Value {
        let peers = self.known.iter().map(|(name, peer)| {
            let value = match peer {
                Peer::Absent(reason) => json!({ "absent": reason }),
                Peer::Present { version, setting } => json!({
                    "version": version,
                    "setting": setting.to_argument(),
                    "check_ins_per_second": figures.get(&peer_rate_figure(name)).map(|series| series.median().round()),
                    "muster_by_peer": figures.ratio(Job::of(name).muster_rate_figure(), &peer_rate_figure(name)),
                }),
            };
            ((*name).to_owned(), value)
        });
        Value::Object(peers.collect())
    }
}

fn run(
    environment: &Environment,
    sizes: &Sizes,
    name: &str,
    known: Option<&Peer>,
) -> anyhow::Result<Row> {
    let program = environment.program("muster-peers");
    if !program.exists() {
        let absent = "muster-peers is not built: scripts/capacity builds it".to_owned();
        return Ok(Row::Absent { absent });
    }
    let mut command = Command::new(program);
    command
        .args(["run", "--json", "--peer", name, "--repeats", "1"])
        .args(["--devices", &sizes.peer_devices.to_string()])
        .args(["--check-ins", &Job::of(name).check_ins(sizes).to_string()])
        .args(["--seconds-max", &SECONDS_MAX.to_string()])
        // Not in the scratch directory, which other users cannot access: PostgreSQL runs as its own user.
        .arg("--directory")
        .arg(environment.parent())
        .stdin(Stdio::null());
    if environment.size() == Size::Quick {
        command.arg("--quick");
    }
    if let Some(Peer::Present { setting, .. }) = known {
        command.args(["--setting", &setting.to_argument()]);
    }
    let output = command.output().context("muster-peers")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "muster-peers ended with {}: {}",
        output.status,
        stderr.lines().last().unwrap_or_default()
    );
    let report: Report =
        serde_json::from_slice(&output.stdout).context("the report of muster-peers")?;
    report
        .peers
        .into_iter()
        .next()
        .context("the report of muster-peers has no row")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_figures_of_a_peer_or_the_reason_of_its_absence() {
        let text = r#"{"machine":"x","peers":[{"peer":"nats","absent":"nats-server is not installed"},
            {"peer":"redis","version":"7","setting":{"way":"function","connections":8,"frame_check_ins":4000,
            "in_flight":2},"durable_check_ins_per_second":5.0,"ack_p50_ms":1.0,"ack_p99_ms":2.0,"verified":true}]}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        let [Row::Absent { absent }, Row::Present { setting, .. }] = report.peers.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!(absent, "nats-server is not installed");
        assert_eq!(setting.to_argument(), "function:8:4000:2");
    }
}
