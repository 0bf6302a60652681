//! A run of `muster-loadgen`, which verifies the server's counts.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use muster_testkit::identities::Kind;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::environment::{Environment, ServerProcess, TENANT};

/// The load to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) kind: Kind,
    pub(super) devices: u64,
    pub(super) check_ins: u64,
    /// The fraction of check-ins that are sent twice.
    pub(super) duplicates: f64,
    /// Check-ins per second of an open loop; `None` for a closed loop.
    pub(super) rate: Option<f64>,
    /// Frames in flight per connection; `None` for the default of the generator.
    pub(super) window: Option<u64>,
    /// The interval between calls of the caller's `on_poll`, in milliseconds.
    pub(super) poll_ms: u64,
}

/// The fields of the generator's report that are used here.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Report {
    pub(super) check_ins_acked: u64,
    pub(super) check_ins_per_second: f64,
    pub(super) saturated: bool,
    /// The latency of all frames.
    pub(super) ack_latency_ms: Latency,
    /// The latency of frames made after every device of the connection had checked in.
    pub(super) ack_latency_known_ms: Option<Latency>,
    server_rss_base_bytes: u64,
    server_rss_bytes: u64,
    verified: bool,
}

/// Percentiles of the time from when a frame was due until its ack, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) p9999: f64,
}

impl Latency {
    /// All percentiles, in ascending order.
    pub(super) const fn all(&self) -> [f64; 4] {
        [self.p50, self.p99, self.p999, self.p9999]
    }
}

impl Report {
    /// The growth of the server's resident memory in the run.
    pub(super) fn memory_growth_bytes(&self) -> u64 {
        self.server_rss_bytes
            .saturating_sub(self.server_rss_base_bytes)
    }
}

impl Load {
    /// Large frames through gateways, in a closed loop.
    pub(super) const fn through_gateways(devices: u64, check_ins: u64) -> Self {
        Self {
            kind: Kind::Gateway,
            devices,
            check_ins,
            duplicates: 0.0,
            rate: None,
            window: None,
            poll_ms: 100,
        }
    }

    /// Runs the generator and calls `on_poll` at regular intervals meanwhile.
    ///
    /// # Errors
    /// If the generator fails, the server's counts differ from its prediction, or `on_poll` fails.
    pub(super) fn run(
        &self,
        environment: &Environment,
        server: &ServerProcess<'_>,
        on_poll: &mut dyn FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Report> {
        let child = self
            .command(environment, server)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("muster-loadgen")?;
        let process_id = child.id();
        let (sender, ended) = sync_channel(1);
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let output = loop {
            match ended.recv_timeout(Duration::from_millis(self.poll_ms)) {
                Ok(output) => break output?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the thread that waits for muster-loadgen ended")
                }
            }
            if let Err(error) = environment.check_interrupted().and_then(|()| on_poll()) {
                let pid = i32::try_from(process_id).ok().and_then(Pid::from_raw);
                // This fails if the process has ended meanwhile.
                let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
                return Err(error);
            }
        };
        self.report(&output)
    }

    fn command(&self, environment: &Environment, server: &ServerProcess<'_>) -> Command {
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
            .args(["--server-pid", &server.process_id().to_string()]);
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        if let Some(window) = self.window {
            command.args(["--window", &window.to_string()]);
        }
        command
    }

    fn report(&self, output: &Output) -> anyhow::Result<Report> {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last_line = stderr.lines().last().unwrap_or_default();
        ensure!(
            output.status.success(),
            "muster-loadgen ended with {}: {last_line}",
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
