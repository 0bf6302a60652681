//! The process of a peer, which runs on a temporary directory.
//!
//! Bounds: [`START_TIMEOUT`], after which the start has failed, and [`STOP_TIMEOUT`], after which the process is
//! killed.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{self, Instant};

pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// The interval at which the state of a process is polled.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Bytes at the end of the log that are shown when a peer does not start or stop.
const LOG_TAIL_BYTES: usize = 2000;

/// A running peer. Dropping it kills the process and removes the directory.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    directory: TempDir,
    port: u16,
}

impl Server {
    /// Starts a program and waits until its port accepts connections. Its output goes to the file `log`.
    pub(crate) async fn start(
        mut command: Command,
        directory: TempDir,
        port: u16,
    ) -> anyhow::Result<Self> {
        let log = directory.path().join("log");
        let out = File::create(&log).context("cannot create the log of the peer")?;
        command
            .stdin(Stdio::null())
            .stdout(
                out.try_clone()
                    .context("cannot create the log of the peer")?,
            )
            .stderr(out);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut server = Self {
            child,
            directory,
            port,
        };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            let ended = server
                .child
                .try_wait()
                .context("cannot wait for the peer")?;
            if ended.is_some() || Instant::now() > deadline {
                bail!("the peer did not start: {}", tail(&log));
            }
            time::sleep(POLL_INTERVAL).await;
        }
        Ok(server)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Sends this signal to the process and waits until it has ended.
    pub(crate) async fn stop(mut self, signal: &str) -> anyhow::Result<()> {
        let status = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.child.id().to_string())
            .status()
            .context("cannot run kill")?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while status.success() && Instant::now() < deadline {
            if self
                .child
                .try_wait()
                .context("cannot wait for the peer")?
                .is_some()
            {
                return Ok(());
            }
            time::sleep(POLL_INTERVAL).await;
        }
        bail!(
            "the peer did not stop on SIG{signal}: {}",
            tail(&self.directory.path().join("log"))
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on loopback that was free when it was checked.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr().context("no free port")?.port())
}

/// A temporary directory for the data of a peer.
pub(crate) fn data_directory(parent: &Path, peer: &str) -> anyhow::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(&format!("muster-peers-{peer}-"))
        .tempdir_in(parent)
        .with_context(|| format!("cannot create a directory in {}", parent.display()))
}

/// Writes a configuration file that consists of both texts: the settings in the repository and those of the run.
pub(crate) fn write_settings(
    directory: &Path,
    first: &str,
    second: &str,
) -> anyhow::Result<PathBuf> {
    let path = directory.join("settings.conf");
    fs::write(&path, format!("{first}\n{second}"))
        .context("cannot write the settings of the peer")?;
    Ok(path)
}

/// The first of these programs that exists; a relative path is searched in PATH.
pub(crate) fn find_program(candidates: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    candidates.iter().find_map(|candidate| {
        if candidate.is_absolute() {
            return candidate.is_file().then(|| candidate.clone());
        }
        std::env::split_paths(&path)
            .map(|directory| directory.join(candidate))
            .find(|program| program.is_file())
    })
}

/// The first line of the output of `--version`.
pub(crate) fn version_of(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or("unknown").trim().to_owned())
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let start = text.len().saturating_sub(LOG_TAIL_BYTES);
    String::from_utf8_lossy(&text.as_bytes()[start..]).into_owned()
}
