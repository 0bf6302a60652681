//! The peers, which are the systems that are compared with Muster, and the trait by which each is measured.

use std::fmt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::drive::Client;
use crate::model::Contents;
use crate::server::Server;

/// The peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// A key per device and a server-side function call per frame.
    Redis,
    /// A row per device and a statement per frame.
    Postgres,
    /// A message per frame, and a consumer that keeps the states.
    Nats,
}

impl Name {
    /// All peers, in the order in which they run.
    pub const ALL: [Self; 3] = [Self::Redis, Self::Postgres, Self::Nats];

    /// The name in tables and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Nats => "nats",
        }
    }
}

/// How a peer is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// How frames are applied: one of the methods of the peer.
    pub way: &'static str,
    /// Number of connections.
    pub connections: usize,
    /// Check-ins per frame.
    pub frame_check_ins: usize,
    /// Frames in flight per connection.
    pub in_flight: usize,
}

/// The argument of `--setting`.
impl fmt::Display for Setting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            way,
            connections,
            frame_check_ins,
            in_flight,
        } = self;
        write!(out, "{way}:{connections}:{frame_check_ins}:{in_flight}")
    }
}

/// A figure or a setting with its name.
pub type Fact = (String, String);

/// A running peer.
pub(crate) trait Peer: Sized {
    type Client: Client;

    /// The signal that stops the process gracefully.
    const SIGNAL: &'static str;

    /// Starts the peer on an empty directory; it is ready for check-ins afterwards.
    async fn start(program: &Path, directory: TempDir, setting: &Setting) -> anyhow::Result<Self>;

    /// Opens the connection of this lane.
    async fn connect(&mut self, lane: usize) -> anyhow::Result<Self::Client>;

    /// Waits until the states and counts include everything that was acknowledged: `frames` has the number per lane.
    async fn wait_until_applied(&mut self, frames: &[usize]) -> anyhow::Result<()>;

    /// Reads the contents back.
    async fn read_back(&mut self) -> anyhow::Result<Contents>;

    /// Evidence of durability: settings and statistics as the peer reports them.
    async fn evidence(&mut self) -> anyhow::Result<Vec<Fact>>;

    fn server(&self) -> &Server;

    fn into_server(self) -> Server;
}

/// A peer that is installed.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The program of the server.
    pub program: PathBuf,
    /// The version that the program reports.
    pub version: String,
}

/// Finds the program of a peer.
///
/// # Errors
/// If the program is not installed, or does not report its version.
pub fn find(name: Name) -> Result<Installed, String> {
    let (paths, label) = match name {
        Name::Redis => (crate::redis::program_paths(), "redis-server"),
        Name::Postgres => (crate::postgres::program_paths(), "PostgreSQL 15"),
        Name::Nats => (crate::nats::program_paths(), "nats-server"),
    };
    let program = crate::server::find_program(&paths)
        .ok_or_else(|| format!("{label} is not installed: run scripts/setup --peers"))?;
    let version = crate::server::version_of(&program).map_err(|error| format!("{error:#}"))?;
    Ok(Installed { program, version })
}
