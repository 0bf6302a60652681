//! The peers, and what each of them must be able to do to be measured.

use std::fmt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::drive::Client;
use crate::model::Holding;
use crate::server::Server;

/// The peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// A key for each device, a function of the server for each frame.
    Redis,
    /// A row for each device, a statement for each frame.
    Postgres,
    /// A message for each frame, and a consumer that keeps the states.
    Nats,
}

impl Name {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 3] = [Self::Redis, Self::Postgres, Self::Nats];

    /// The word in tables and options.
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
    /// Which of the ways the peer knows.
    pub way: &'static str,
    /// Connections.
    pub connections: usize,
    /// Check-ins sent at once.
    pub frame_check_ins: usize,
    /// Frames of a connection without ack.
    pub in_flight: usize,
}

/// As `--setting` takes it.
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

    /// What ends the process gracefully.
    const SIGNAL: &'static str;

    /// Starts it with an empty directory, ready for check-ins.
    async fn start(program: &Path, directory: TempDir, setting: &Setting) -> anyhow::Result<Self>;

    /// The connection of this lane.
    async fn connect(&mut self, lane: usize) -> anyhow::Result<Self::Client>;

    /// Waits until everything that was acked is in the states and counts; so many frames a lane.
    async fn applied(&mut self, frames: &[usize]) -> anyhow::Result<()>;

    /// Reads back what it holds.
    async fn holding(&mut self) -> anyhow::Result<Holding>;

    /// What its durability rests on, in its own words.
    async fn evidence(&mut self) -> anyhow::Result<Vec<Fact>>;

    fn server(&self) -> &Server;

    fn into_server(self) -> Server;
}

/// A peer that is installed.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Its server.
    pub program: PathBuf,
    /// What it says of its version.
    pub version: String,
}

/// Finds the program of a peer.
///
/// # Errors
/// The reason why there is none.
pub fn find(name: Name) -> Result<Installed, String> {
    let (places, missing) = match name {
        Name::Redis => (crate::redis::places(), "redis-server"),
        Name::Postgres => (crate::postgres::places(), "PostgreSQL 15"),
        Name::Nats => (crate::nats::places(), "nats-server"),
    };
    let program = crate::server::find_program(&places)
        .ok_or_else(|| format!("{missing} is not installed: run scripts/setup --peers"))?;
    let version = crate::server::version_of(&program).map_err(|error| format!("{error:#}"))?;
    Ok(Installed { program, version })
}
