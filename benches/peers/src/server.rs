//! The process of a peer: started with a throw-away directory, stopped by its id.
//!
//! Bounds: [`STARTED_WITHIN`] and [`STOPPED_WITHIN`]; after that a start has failed and a process is killed.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{self, Instant};

pub(crate) const STARTED_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(60);

/// How often it is asked whether a process has started or ended.
pub(crate) const ASKED_EVERY: Duration = Duration::from_millis(20);

/// Bytes of its log that are shown when a peer does not start.
const LOG_SHOWN_BYTES: usize = 2000;

/// A running peer. Dropping it kills the process and removes the directory.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    directory: TempDir,
    port: u16,
}

impl Server {
    /// Starts a program and waits until its port answers. What it says goes to the file `log`.
    pub(crate) async fn start(
        mut command: Command,
        directory: TempDir,
        port: u16,
    ) -> anyhow::Result<Self> {
        let log = directory.path().join("log");
        let out = File::create(&log).context("the log of the peer")?;
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone().context("the log of the peer")?)
            .stderr(out);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut server = Self {
            child,
            directory,
            port,
        };
        let deadline = Instant::now() + STARTED_WITHIN;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            let ended = server.child.try_wait().context("the process of the peer")?;
            if ended.is_some() || Instant::now() > deadline {
                bail!("the peer did not start: {}", tail(&log));
            }
            time::sleep(ASKED_EVERY).await;
        }
        Ok(server)
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Asks the process to end with this signal and waits for it.
    pub(crate) async fn stop(mut self, signal: &str) -> anyhow::Result<()> {
        let asked = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.child.id().to_string())
            .status()
            .context("kill")?;
        let deadline = Instant::now() + STOPPED_WITHIN;
        while asked.success() && Instant::now() < deadline {
            if self
                .child
                .try_wait()
                .context("the process of the peer")?
                .is_some()
            {
                return Ok(());
            }
            time::sleep(ASKED_EVERY).await;
        }
        bail!(
            "the peer did not stop on SIG{signal}: {}",
            tail(&self.directory.path().join("log"))
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the loopback that was free a moment ago.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr().context("no free port")?.port())
}

/// A throw-away directory for the data of a peer.
pub(crate) fn data_directory(parent: &Path, peer: &str) -> anyhow::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(&format!("muster-peers-{peer}-"))
        .tempdir_in(parent)
        .with_context(|| format!("cannot make a directory in {}", parent.display()))
}

/// Writes a configuration file: the settings in the repository, and after them what a run decides.
pub(crate) fn write_settings(
    directory: &Path,
    settings: &str,
    own: &str,
) -> anyhow::Result<PathBuf> {
    let path = directory.join("settings.conf");
    fs::write(&path, format!("{settings}\n{own}")).context("the settings of the peer")?;
    Ok(path)
}

/// The first of these programs that is there: a name is looked up in PATH.
pub(crate) fn find_program(places: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.iter().find_map(|place| {
        if place.is_absolute() {
            return place.is_file().then(|| place.clone());
        }
        std::env::split_paths(&path)
            .map(|folder| folder.join(place))
            .find(|program| program.is_file())
    })
}

/// The first line that a program prints of its version.
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
    let start = text.len().saturating_sub(LOG_SHOWN_BYTES);
    String::from_utf8_lossy(&text.as_bytes()[start..]).into_owned()
}
