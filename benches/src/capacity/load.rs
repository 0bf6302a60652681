//! One run of `muster-loadgen` against a server, which it verifies.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use muster_testkit::identities::Kind;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::environment::{Environment, Running, TENANT};

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) kind: Kind,
    pub(super) devices: u64,
    pub(super) check_ins: u64,
    /// Check-ins that are sent twice, as a fraction.
    pub(super) duplicates: f64,
    /// Check-ins a second; none for as many as the server takes.
    pub(super) rate: Option<f64>,
    /// Frames without an ack; none for what the generator takes by itself.
    pub(super) window: Option<u64>,
    /// How often the caller looks on, in milliseconds.
    pub(super) look_ms: u64,
}

/// What the generator says, as far as it is used here.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Report {
    pub(super) check_ins_acked: u64,
    pub(super) check_ins_per_second: f64,
    pub(super) saturated: bool,
    /// Of all frames.
    pub(super) ack_latency_ms: Latency,
    /// Of the frames that were made when every device of their connection had checked in before.
    pub(super) ack_latency_known_ms: Option<Latency>,
    server_rss_base_bytes: u64,
    server_rss_bytes: u64,
    verified: bool,
}

/// From when a frame was due to its ack.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) p9999: f64,
}

impl Latency {
    /// From the lowest to the highest.
    pub(super) const fn all(&self) -> [f64; 4] {
        [self.p50, self.p99, self.p999, self.p9999]
    }
}

impl Report {
    /// Memory that the server has taken in the run.
    pub(super) fn grown_bytes(&self) -> u64 {
        self.server_rss_bytes
            .saturating_sub(self.server_rss_base_bytes)
    }
}

impl Load {
    /// Frames of thousands, as fast as the server takes them.
    pub(super) const fn through_gateways(devices: u64, check_ins: u64) -> Self {
        Self {
            kind: Kind::Gateway,
            devices,
            check_ins,
            duplicates: 0.0,
            rate: None,
            window: None,
            look_ms: 100,
        }
    }

    /// Runs it; `look` is called now and then while it runs.
    ///
    /// # Errors
    /// If it cannot run, or the server's counts are not those that the generator predicts.
    pub(super) fn run(
        &self,
        environment: &Environment,
        server: &Running<'_>,
        look: &mut dyn FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Report> {
        let child = self
            .command(environment, server)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("muster-loadgen")?;
        let process = child.id();
        let (sender, ended) = sync_channel(1);
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let output = loop {
            match ended.recv_timeout(Duration::from_millis(self.look_ms)) {
                Ok(output) => break output?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("muster-loadgen was not waited for"),
            }
            if let Err(error) = environment.go_on().and_then(|()| look()) {
                let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
                // It fails if the process has ended meanwhile.
                let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
                return Err(error);
            }
        };
        self.report(&output)
    }

    fn command(&self, environment: &Environment, server: &Running<'_>) -> Command {
        let addresses = server.addresses();
        let mut command = Command::new(environment.program("muster-loadgen"));
        command
            .args(["run", "--json", "--target", &addresses.quic.to_string()])
            .args(["--ops", &addresses.ops, "--tenant", TENANT])
            .arg("--ca")
            .arg(environment.authority())
            .arg("--identities")
            .arg(environment.identities(self.kind))
            .args(["--as", self.kind.name()])
            .args(["--devices", &self.devices.to_string()])
            .args(["--check-ins", &self.check_ins.to_string()])
            .args(["--duplicates", &self.duplicates.to_string()])
            .args(["--server-pid", &server.process().to_string()]);
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        if let Some(window) = self.window {
            command.args(["--window", &window.to_string()]);
        }
        command
    }

    fn report(&self, output: &Output) -> anyhow::Result<Report> {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        ensure!(
            output.status.success(),
            "muster-loadgen ended with {}: {last}",
            output.status
        );
        let report: Report =
            serde_json::from_slice(&output.stdout).context("the report of muster-loadgen")?;
        ensure!(report.verified, "the run was not verified");
        ensure!(
            report.check_ins_acked == self.check_ins,
            "{} of {} check-ins were acknowledged",
            report.check_ins_acked,
            self.check_ins
        );
        Ok(report)
    }
}
