//! The ground that servers run on: programs, certificates, a scratch directory, and one server at a time.
//!
//! Servers are started and stopped as the crash loop does it, by its own code. A signal ends the run: whoever waits
//! here is told, so that servers and files go with it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use muster_testkit::identities::{self, IdentityFile, Kind};
use muster_testkit::muster::Muster;
use muster_testkit::ops::Ops;
use muster_testkit::server::{Addresses, Ended, Server, log_errors};
use muster_testkit::usage::resident_bytes;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::Plan;
use crate::measure::core_time_of;
use crate::parts::Size;

pub(super) const TENANT: &str = "bench";

/// Connections of gateways: what the load generator opens by itself.
const GATEWAYS: u64 = 2;

/// Longer than any fleet takes to connect, so that those that came first are still there.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// Programs and certificates.
pub(super) struct Environment {
    scratch: TempDir,
    size: Size,
    muster: Muster,
    programs: PathBuf,
    below: PathBuf,
    runtime: Runtime,
    ended: watch::Receiver<bool>,
}

/// A server on an empty data directory; killed when it is dropped.
pub(super) struct Running<'a> {
    environment: &'a Environment,
    server: Server,
    addresses: Addresses,
    core_at_start: Duration,
    _folder: TempDir,
}

impl Environment {
    /// Makes a scratch directory and certificates for two gateways and so many devices.
    pub(super) fn make(plan: &Plan, devices: u64) -> anyhow::Result<Self> {
        let program = plan.programs.join("muster");
        let hint = "cargo build --release --locked --workspace --bins builds it";
        ensure!(program.exists(), "{} is missing: {hint}", program.display());
        let scratch = tempfile::Builder::new()
            .prefix("muster-capacity-")
            .tempdir_in(&plan.directory)
            .with_context(|| plan.directory.display().to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let ended = {
            let _guard = runtime.enter();
            until_ended()?
        };
        let environment = Self {
            muster: Muster::at(&program),
            programs: plan.programs.clone(),
            below: plan.directory.clone(),
            size: plan.size,
            scratch,
            runtime,
            ended,
        };
        environment.muster.make_authority(&environment.pki())?;
        for gateway in 1..=GATEWAYS {
            environment.issue(Kind::Gateway, &["--gateway", &format!("gateway-{gateway}")])?;
        }
        let count = devices.to_string();
        environment.issue(Kind::Device, &["--random-devices", &count, "--seed", "1"])?;
        Ok(environment)
    }

    fn issue(&self, kind: Kind, subject: &[&str]) -> anyhow::Result<()> {
        let out = self.identities(kind);
        Ok(self.muster.issue(&self.pki(), &out, TENANT, subject)?)
    }

    fn pki(&self) -> PathBuf {
        self.directory().join("pki")
    }

    pub(super) const fn size(&self) -> Size {
        self.size
    }

    pub(super) fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// Where the scratch directory lies.
    pub(super) fn below(&self) -> &Path {
        &self.below
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// The authority that clients trust.
    pub(super) fn authority(&self) -> PathBuf {
        self.pki().join("ca.pem")
    }

    /// Where the certificates of this kind are.
    pub(super) fn identities(&self, kind: Kind) -> PathBuf {
        self.directory().join(kind.name())
    }

    /// The certificates of devices.
    pub(super) fn devices(&self) -> anyhow::Result<Vec<IdentityFile>> {
        let directory = self.identities(Kind::Device);
        Ok(identities::find(&directory, TENANT, Kind::Device)?)
    }

    /// # Errors
    /// If somebody told the program to end.
    pub(super) fn go_on(&self) -> anyhow::Result<()> {
        ensure!(!*self.ended.borrow(), "ended by a signal");
        Ok(())
    }

    /// Waits for work on the threads that clients run on.
    ///
    /// # Errors
    /// That of the work, or that somebody told the program to end.
    pub(super) fn wait<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let mut ended = self.ended.clone();
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done,
                _ = ended.wait_for(|ended| *ended) => bail!("ended by a signal"),
            }
        })
    }

    /// Starts a server on an empty data directory and waits until it is ready.
    pub(super) fn serve(&self) -> anyhow::Result<Running<'_>> {
        self.go_on()?;
        let folder = tempfile::Builder::new()
            .prefix("server-")
            .tempdir_in(self.directory())?;
        let (file, log) = (
            folder.path().join("muster.toml"),
            folder.path().join("server.log"),
        );
        fs::write(&file, self.configuration(&folder.path().join("data")))?;
        let words: [OsString; 3] = ["serve".into(), "--config".into(), file.into()];
        let mut server = Server::start_logged(self.muster.command(words), &log)?;
        let ready = self.wait(async { Ok(server.ready().await) })?;
        let Some((addresses, _)) = ready else {
            let errors = log_errors(&log, 0).join("\n");
            bail!("muster serve did not get ready: {errors}");
        };
        Ok(Running {
            environment: self,
            core_at_start: core_time_of(&server.id().to_string()),
            server,
            addresses,
            _folder: folder,
        })
    }

    /// Defaults, but for the window that the bare requests have and for patience: devices may be idle, and thousands
    /// of them in one process, which shares its cores with the server, keep it waiting as no machine of their own would.
    fn configuration(&self, data: &Path) -> String {
        let (pki, data) = (text(&self.pki()), text(data));
        let idle = PATIENCE.as_secs();
        format!(
            r#"[listen]
address = "127.0.0.1:0"
certificate = "{pki}/server.pem"
key = "{pki}/server.key"
client_ca = "{pki}/ca.pem"
window_frames_device = 8
idle_timeout = "{idle}s"
hello_timeout = "60s"

[ops]
address = "127.0.0.1:0"

[store]
directory = "{data}"

[[tenants]]
name = "{TENANT}"
"#
        )
    }
}

impl Running<'_> {
    pub(super) const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    pub(super) fn process(&self) -> u32 {
        self.server.id()
    }

    /// Memory that is in RAM.
    pub(super) fn resident_bytes(&self) -> anyhow::Result<u64> {
        resident_bytes(self.process()).context("the server is gone")
    }

    /// What its threads have spent on cores since it began to serve, in nanoseconds for each of so many check-ins.
    pub(super) fn core_ns(&self, check_ins: u64) -> f64 {
        let spent = core_time_of(&self.process().to_string()).saturating_sub(self.core_at_start);
        spent.as_nanos() as f64 / check_ins as f64
    }

    /// The metrics now, as text; none if it does not answer.
    pub(super) fn metrics(&self) -> Option<String> {
        match Ops::new(&self.addresses.ops).get("/metrics") {
            Ok((200, text)) => Some(text),
            _ => None,
        }
    }

    /// Holds its counters, and the number of its devices, against a recount from what is on disk.
    ///
    /// # Errors
    /// If they differ.
    pub(super) fn verify(&self, devices: u64) -> anyhow::Result<()> {
        let recount = self
            .environment
            .muster
            .recount_online(&self.addresses.ops)?;
        ensure!(
            recount.verified && recount.devices == devices,
            "the server's counts differ from {devices} devices: {recount:?}"
        );
        Ok(())
    }

    /// Stops it as an operator would.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.server.terminate();
        let environment = self.environment;
        let ended = environment.wait(async { Ok(self.server.end().await) })?;
        ensure!(ended == Ended::Code(0), "muster serve ended: {ended:?}");
        Ok(())
    }
}

/// The sum of all values of a metric.
pub(super) fn sum_of(metrics: &str, family: &str) -> f64 {
    let lines = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(family)?;
        matches!(rest.as_bytes().first(), Some(b' ' | b'{')).then_some(rest)
    });
    lines
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Becomes true when somebody tells the program to end.
fn until_ended() -> std::io::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            if signals.recv().await.is_some() {
                sender.send_replace(true);
            }
        });
    }
    Ok(receiver)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_of_its_labels_and_of_no_longer_name() {
        let metrics = "# HELP muster_a x\nmuster_a{shard=\"0\"} 3\nmuster_a{shard=\"1\"} 4.5\nmuster_a_total 9\nmuster_b 7\n";
        assert!((sum_of(metrics, "muster_a") - 7.5).abs() < 1e-9);
        assert!((sum_of(metrics, "muster_b") - 7.0).abs() < 1e-9);
        assert!(sum_of(metrics, "muster_c").abs() < 1e-9);
    }
}
