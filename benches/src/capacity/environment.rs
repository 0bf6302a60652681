//! The environment of a run: programs, certificates, a scratch directory, and one server at a time.
//!
//! Servers are started and stopped by the code that the crash loop uses. A signal interrupts the run: the functions
//! that wait return an error, so that servers are killed and files removed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use muster_testkit::identities::{self, IdentityFile, Kind};
use muster_testkit::muster::Muster;
use muster_testkit::objects::{create_tenant, medium, put_in_force};
use muster_testkit::ops::Ops;
use muster_testkit::server::{Addresses, Ended, Server, log_errors};
use muster_testkit::usage::resident_bytes;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::CapacityOptions;
use crate::measure::core_time_of;
use crate::parts::Size;

pub(crate) const TENANT: &str = "bench";

/// Number of gateways, the default of the load generator.
const GATEWAYS: u64 = 2;

/// The timeout of clients and of idle connections: longer than any fleet takes to connect, so that the first
/// connections stay open until the last one is ready.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(300);

/// The programs, certificates and directories of a run.
pub(crate) struct Environment {
    scratch: TempDir,
    size: Size,
    muster: Muster,
    programs: PathBuf,
    parent: PathBuf,
    runtime: Runtime,
    interrupted: watch::Receiver<bool>,
}

/// A server on an empty data directory; killed when it is dropped.
pub(crate) struct ServerProcess<'a> {
    environment: &'a Environment,
    server: Server,
    addresses: Addresses,
    core_at_start: Duration,
    _directory: TempDir,
}

impl Environment {
    /// Creates a scratch directory with certificates for two gateways and this number of devices.
    pub(crate) fn create(options: &CapacityOptions, devices: u64) -> anyhow::Result<Self> {
        let program = options.programs.join("muster");
        let hint = "build it with cargo build --release --locked --workspace --bins";
        ensure!(program.exists(), "{} is missing: {hint}", program.display());
        let scratch = tempfile::Builder::new()
            .prefix("muster-capacity-")
            .tempdir_in(&options.directory)
            .with_context(|| options.directory.display().to_string())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let interrupted = {
            let _guard = runtime.enter();
            watch_signals()?
        };
        let environment = Self {
            muster: Muster::at(&program),
            programs: options.programs.clone(),
            parent: options.directory.clone(),
            size: options.size,
            scratch,
            runtime,
            interrupted,
        };
        environment.muster.make_authority(&environment.pki())?;
        for gateway in 1..=GATEWAYS {
            environment.issue(Kind::Gateway, &["--gateway", &format!("gateway-{gateway}")])?;
        }
        let count = devices.to_string();
        environment.issue(Kind::Device, &["--random-devices", &count, "--seed", "1"])?;
        Ok(environment)
    }

    /// Makes a token of the tenant for the operators' API.
    pub(crate) fn token(&self, server: &ServerProcess<'_>, role: &str) -> anyhow::Result<String> {
        let ops = &server.addresses().ops;
        let made = self.muster.run(&[
            "token", "create", "--server", ops, "--tenant", TENANT, "--name", "bench", "--role",
            role,
        ])?;
        Ok(made.trim().to_owned())
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

    pub(crate) fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// The parent of the scratch directory.
    pub(super) fn parent(&self) -> &Path {
        &self.parent
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// The certificate of the authority that clients trust.
    pub(crate) fn authority(&self) -> PathBuf {
        self.pki().join("ca.pem")
    }

    /// The directory of the certificates of this kind.
    pub(crate) fn identities(&self, kind: Kind) -> PathBuf {
        self.directory().join(kind.name())
    }

    /// The certificates of devices.
    pub(super) fn devices(&self) -> anyhow::Result<Vec<IdentityFile>> {
        let directory = self.identities(Kind::Device);
        Ok(identities::find(&directory, TENANT, Kind::Device)?)
    }

    /// # Errors
    /// If the program has received a signal to stop.
    pub(crate) fn check_interrupted(&self) -> anyhow::Result<()> {
        ensure!(!*self.interrupted.borrow(), "interrupted by a signal");
        Ok(())
    }

    /// Runs the work on the runtime of the clients and waits for it.
    ///
    /// # Errors
    /// If the work fails, or the program receives a signal to stop.
    pub(crate) fn block_on<T>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let mut interrupted = self.interrupted.clone();
        self.runtime.block_on(async {
            tokio::select! {
                result = work => result,
                _ = interrupted.wait_for(|interrupted| *interrupted) => bail!("interrupted by a signal"),
            }
        })
    }

    /// Starts a server on an empty data directory, waits until it is ready, and requires threat level medium of all
    /// devices.
    pub(crate) fn serve(&self) -> anyhow::Result<ServerProcess<'_>> {
        self.check_interrupted()?;
        let directory = tempfile::Builder::new()
            .prefix("server-")
            .tempdir_in(self.directory())?;
        let (file, log) = (
            directory.path().join("muster.toml"),
            directory.path().join("server.log"),
        );
        fs::write(&file, self.configuration(&directory.path().join("data")))?;
        let arguments: [OsString; 3] = ["serve".into(), "--config".into(), file.into()];
        let mut server = Server::start_logged(self.muster.command(arguments), &log)?;
        let ready = self.block_on(async { Ok(server.ready().await) })?;
        let Some((addresses, _)) = ready else {
            let errors = log_errors(&log, 0).join("\n");
            bail!("muster serve did not become ready: {errors}");
        };
        let ops = Ops::new(&addresses.ops);
        create_tenant(&ops, TENANT)?;
        put_in_force(&ops, TENANT, &medium())?;
        Ok(ServerProcess {
            environment: self,
            core_at_start: core_time_of(&server.id().to_string()),
            server,
            addresses,
            _directory: directory,
        })
    }

    /// The default configuration, except for the window, which is that of the bare requests, and longer timeouts:
    /// devices are idle for a time, and thousands of clients on the server's own cores respond later than in
    /// production.
    fn configuration(&self, data: &Path) -> String {
        let (pki, data) = (text(&self.pki()), text(data));
        let idle = TIMEOUT.as_secs();
        format!(
            r#"[listen]
address = "127.0.0.1:0"
certificate = "{pki}/server.pem"
key = "{pki}/server.key"
client_ca = "{pki}/ca.pem"
window_frames_device = 8
idle_timeout = "{idle}s"
hello_timeout = "60s"

[api]
address = "127.0.0.1:0"
[ops]
address = "127.0.0.1:0"
allow_changes = true

[store]
directory = "{data}"
"#
        )
    }
}

impl ServerProcess<'_> {
    pub(crate) const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.server.id()
    }

    /// Resident memory of the server.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        resident_bytes(self.process_id()).context("the server has ended")
    }

    /// CPU time of the server since it was ready, in nanoseconds per check-in.
    pub(super) fn core_ns(&self, check_ins: u64) -> f64 {
        let core_time =
            core_time_of(&self.process_id().to_string()).saturating_sub(self.core_at_start);
        core_time.as_nanos() as f64 / check_ins as f64
    }

    /// The current metrics as text; `None` if the server does not answer.
    pub(crate) fn metrics(&self) -> Option<String> {
        match Ops::new(&self.addresses.ops).get("/metrics") {
            Ok((200, text)) => Some(text),
            _ => None,
        }
    }

    /// Compares the server's counters and number of devices with a recount from disk.
    ///
    /// # Errors
    /// If they differ.
    pub(crate) fn verify(&self, devices: u64) -> anyhow::Result<()> {
        let recount = self
            .environment
            .muster
            .recount_online(&self.addresses.ops)?;
        ensure!(
            recount.verified && recount.devices == devices,
            "the recount differs or does not have {devices} devices: {recount:?}"
        );
        Ok(())
    }

    /// Stops the server gracefully.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.server.terminate();
        let environment = self.environment;
        let ended = environment.block_on(async { Ok(self.server.end().await) })?;
        ensure!(ended == Ended::Code(0), "muster serve ended: {ended:?}");
        Ok(())
    }
}

/// The sum of all values of a metric.
pub(crate) fn sum_of(metrics: &str, family: &str) -> f64 {
    let lines = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(family)?;
        matches!(rest.as_bytes().first(), Some(b' ' | b'{')).then_some(rest)
    });
    lines
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// A value that becomes true when the program receives a signal to stop.
fn watch_signals() -> std::io::Result<watch::Receiver<bool>> {
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
    fn a_metric_is_the_sum_of_its_series_and_does_not_match_longer_names() {
        let metrics = "# HELP muster_a x\nmuster_a{shard=\"0\"} 3\nmuster_a{shard=\"1\"} 4.5\nmuster_a_total 9\nmuster_b 7\n";
        assert!((sum_of(metrics, "muster_a") - 7.5).abs() < 1e-9);
        assert!((sum_of(metrics, "muster_b") - 7.0).abs() < 1e-9);
        assert!(sum_of(metrics, "muster_c").abs() < 1e-9);
    }
}
