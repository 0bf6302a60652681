//! PostgreSQL: a row per device, a statement per frame, counts by statement triggers.
//!
//! A statement must not update a row twice, so the client drops all but the latest check-in of each device from a
//! frame. The server cannot run as root; if this program does, the server runs as the user `postgres`. Bounds: one
//! frame per connection.

mod client;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::job::{STATE_BYTES, State};
use crate::model::Contents;
use crate::peer::{Fact, Peer, Setting};
use crate::server::{self, Server};
use client::Connection;

/// `INSERT ... SELECT FROM unnest(...)`.
pub(crate) const UNNEST: &str = "unnest";
/// `COPY` into a temporary table, then a merge into the table of devices.
pub(crate) const COPY: &str = "copy";

const SETTINGS: &str = include_str!("../settings/postgresql.conf");
const SCHEMA: &str = include_str!("../settings/postgresql.sql");

/// The user of the process and owner of the data if this program runs as root.
const USER: &str = "postgres";

/// The part of the state without seq and verdict, which have their own columns.
const REST: std::ops::Range<usize> = 8..STATE_BYTES - 1;

pub(crate) fn program_paths() -> Vec<PathBuf> {
    vec!["/usr/lib/postgresql/15/bin/postgres".into()]
}

/// A running PostgreSQL.
pub(crate) struct Postgres {
    server: Server,
    control: tokio_postgres::Client,
    way: &'static str,
}

impl Peer for Postgres {
    type Client = Connection;

    /// Requests a fast shutdown, which does not wait for clients.
    const SIGNAL: &'static str = "INT";

    async fn start(program: &Path, directory: TempDir, setting: &Setting) -> anyhow::Result<Self> {
        let port = server::free_port()?;
        if is_root()? {
            let (user, group) = user()?;
            chown(directory.path(), Some(user), Some(group))
                .context("cannot set the owner of the data")?;
        }
        let data = directory.path().join("data");
        let initdb = program.with_file_name("initdb");
        let output = as_user(&initdb)?
            .args([
                "--auth=trust",
                "--username=postgres",
                "--no-locale",
                "--encoding=UTF8",
            ])
            .arg("--pgdata")
            .arg(&data)
            .current_dir("/")
            .output()
            .context("cannot run initdb")?;
        ensure!(
            output.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let settings =
            server::write_settings(directory.path(), SETTINGS, &format!("port = {port}\n"))?;
        let mut command = as_user(program)?;
        command
            .arg("-D")
            .arg(&data)
            .arg("-c")
            .arg(format!("config_file={}", settings.display()))
            .current_dir("/");
        let server = Server::start(command, directory, port).await?;
        let control = client::open_started(port).await?;
        control
            .batch_execute(SCHEMA)
            .await
            .context("cannot create the schema")?;
        Ok(Self {
            server,
            control,
            way: setting.way,
        })
    }

    async fn connect(&mut self, lane: usize) -> anyhow::Result<Connection> {
        Connection::new(self.server.port(), lane, self.way == COPY).await
    }

    async fn wait_until_applied(&mut self, _: &[usize]) -> anyhow::Result<()> {
        // A commit includes the triggers, so everything acknowledged is applied.
        Ok(())
    }

    async fn read_back(&mut self) -> anyhow::Result<Contents> {
        let mut contents = Contents::default();
        let rows = self
            .control
            .query("SELECT device, seq, verdict, rest FROM devices", &[])
            .await?;
        for row in &rows {
            let client::Uuid(id) = row.try_get(0)?;
            let rest: &[u8] = row.try_get(3)?;
            let mut state: State = [0; STATE_BYTES];
            state[..REST.start].copy_from_slice(&row.try_get::<_, i64>(1)?.to_le_bytes());
            ensure!(rest.len() == REST.len(), "a state of unexpected size");
            state[REST].copy_from_slice(rest);
            state[REST.end] = u8::try_from(row.try_get::<_, i16>(2)?)?;
            contents.states.insert(id, state);
        }
        let counts_query = "SELECT verdict, sum(devices)::bigint FROM counts GROUP BY verdict HAVING sum(devices) <> 0";
        for row in &self.control.query(counts_query, &[]).await? {
            let count = u64::try_from(row.try_get::<_, i64>(1)?)?;
            contents
                .counts
                .insert(u8::try_from(row.try_get::<_, i16>(0)?)?, count);
        }
        Ok(contents)
    }

    async fn evidence(&mut self) -> anyhow::Result<Vec<Fact>> {
        let mut facts = Vec::new();
        for name in [
            "fsync",
            "synchronous_commit",
            "full_page_writes",
            "wal_sync_method",
        ] {
            let row = self
                .control
                .query_one("SELECT current_setting($1)", &[&name])
                .await?;
            facts.push((name.to_owned(), row.try_get(0)?));
        }
        // A backend process reports its statistics when it ends; those of the connections have ended by now.
        for name in [
            "wal_sync",
            "wal_write",
            "wal_records",
            "wal_fpi",
            "wal_bytes",
        ] {
            let query = format!("SELECT {name}::text FROM pg_stat_wal");
            let row = self.control.query_one(&query, &[]).await?;
            facts.push((name.to_owned(), row.try_get(0)?));
        }
        Ok(facts)
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn into_server(self) -> Server {
        self.server
    }
}

fn is_root() -> anyhow::Result<bool> {
    Ok(fs::metadata("/proc/self").context("/proc")?.uid() == 0)
}

/// The ids of the user and its group.
fn user() -> anyhow::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let line = users
        .lines()
        .find_map(|line| line.strip_prefix(USER)?.strip_prefix(':'));
    let fields: Vec<&str> = line
        .context("the user `postgres` does not exist")?
        .split(':')
        .collect();
    let number = |index: usize| fields.get(index).and_then(|text| text.parse().ok());
    number(1)
        .zip(number(2))
        .context("cannot parse the user `postgres` in /etc/passwd")
}

/// A command that runs the program as the user `postgres` if this program runs as root. setpriv executes the program in
/// its own process, so the process id is that of the server.
fn as_user(program: &Path) -> anyhow::Result<Command> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", USER, "--regid", USER, "--init-groups", "--"])
        .arg(program);
    Ok(command)
}
