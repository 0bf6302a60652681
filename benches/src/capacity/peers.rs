//! Other systems at the same job: one run of `muster-peers` for each of them in every round.
//!
//! The first round searches the best setting of a peer, the others use it. A peer that is not installed stays in the
//! report with the reason. Each is held against Muster at a job of the same length.

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

/// How long a job is. A database that keeps the state takes seconds for one that a log has in a third of a second, and
/// the rate of a log over seconds is another than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Short,
    Long,
}

impl Job {
    pub(super) const ALL: [Self; 2] = [Self::Short, Self::Long];

    /// That of a peer.
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

    /// The rate of Muster at it.
    pub(super) const fn rate_of_muster(self) -> &'static str {
        match self {
            Self::Short => "peer_job_muster_check_ins_per_second",
            Self::Long => "peer_job_long_muster_check_ins_per_second",
        }
    }
}

/// What the job of the peers sends twice.
pub(super) const DUPLICATES: f64 = 0.005;

/// Seconds that a peer may be sent check-ins in a round.
const SECONDS_MAX: u64 = 90;

/// What is known of the peers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: BTreeMap<&'static str, Peer>,
}

/// What a peer is measured with, or why it is not.
#[derive(Clone, Debug)]
enum Peer {
    Absent(String),
    Present { version: String, setting: Setting },
}

/// What `muster-peers` says, as far as it is used here.
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
    /// As `muster-peers --setting` takes it.
    fn text(&self) -> String {
        let Self {
            way,
            connections,
            frame_check_ins,
            in_flight,
        } = self;
        format!("{way}:{connections}:{frame_check_ins}:{in_flight}")
    }
}

/// The rate of a peer.
fn rate_of(name: &str) -> String {
    format!("peer_job_{name}_check_ins_per_second")
}

impl Peers {
    /// Those that have this job.
    pub(super) fn measure(
        &mut self,
        environment: &Environment,
        sizes: &Sizes,
        job: Job,
        figures: &mut Figures,
        say: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        for name in NAMES.into_iter().filter(|name| Job::of(name) == job) {
            environment.go_on()?;
            let known = self.known.get(name);
            if let Some(Peer::Absent(_)) = known {
                continue;
            }
            say(&format!("{name} at its job"));
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
                    ensure!(verified, "{name} holds something else than it must");
                    figures.add(rate_of(name), durable_check_ins_per_second);
                    figures.add(format!("peer_job_{name}_p50_ms"), ack_p50_ms);
                    figures.add(format!("peer_job_{name}_p99_ms"), ack_p99_ms);
                    Peer::Present { version, setting }
                }
            };
            self.known.insert(name, peer);
        }
        Ok(())
    }

    /// The rate of Muster and that of the fastest peer, at its job.
    pub(super) fn best(&self, figures: &Figures) -> Option<(&'static str, String)> {
        let rates = self.known.keys().filter_map(|name| {
            let rate = rate_of(name);
            let value = figures.get(&rate)?.median();
            Some(((Job::of(name).rate_of_muster(), rate), value))
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
                    "setting": setting.text(),
                    "check_ins_per_second": figures.get(&rate_of(name)).map(|series| series.median().round()),
                    "muster_by_peer": figures.ratio(Job::of(name).rate_of_muster(), &rate_of(name)),
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
        // Not in the scratch directory, which nobody else may enter: PostgreSQL has a user of its own.
        .arg("--directory")
        .arg(environment.below())
        .stdin(Stdio::null());
    if environment.size() == Size::Quick {
        command.arg("--quick");
    }
    if let Some(Peer::Present { setting, .. }) = known {
        command.args(["--setting", &setting.text()]);
    }
    let output = command.output().context("muster-peers")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "muster-peers ended with {}: {}",
        output.status,
        said.lines().last().unwrap_or_default()
    );
    let report: Report =
        serde_json::from_slice(&output.stdout).context("the report of muster-peers")?;
    report.peers.into_iter().next().context("a row of the peer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_present_or_says_why_it_is_absent() {
        let text = r#"{"machine":"x","peers":[{"peer":"nats","absent":"nats-server is not installed"},
            {"peer":"redis","version":"7","setting":{"way":"function","connections":8,"frame_check_ins":4000,
            "in_flight":2},"durable_check_ins_per_second":5.0,"ack_p50_ms":1.0,"ack_p99_ms":2.0,"verified":true}]}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        let [Row::Absent { absent }, Row::Present { setting, .. }] = report.peers.as_slice() else {
            panic!("{report:?}");
        };
        assert_eq!(absent, "nats-server is not installed");
        assert_eq!(setting.text(), "function:8:4000:2");
    }
}
