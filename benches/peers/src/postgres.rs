//! PostgreSQL: a row for each device, a statement for each frame, counts by statement triggers.
//!
//! A statement must not touch a row twice, so the client leaves all but the latest check-in of a device
//! out of a frame. The server never runs as root: then it runs as the user `postgres`.
//! Bounds: one frame a connection.

mod client;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::job::{STATE_BYTES, State};
use crate::model::Holding;
use crate::peer::{Fact, Peer, Setting};
use crate::server::{self, Server};
use client::Connection;

/// `INSERT ... SELECT FROM unnest(...)`.
pub(crate) const UNNEST: &str = "unnest";
/// `COPY` into a temporary table, and a merge from there.
pub(crate) const COPY: &str = "copy";

const SETTINGS: &str = include_str!("../settings/postgresql.conf");
const SCHEMA: &str = include_str!("../settings/postgresql.sql");

/// Who owns the process and the data where this program is root.
const USER: &str = "postgres";

/// The seq is a column of its own, and so is the verdict.
const REST: std::ops::Range<usize> = 8..STATE_BYTES - 1;

pub(crate) fn places() -> Vec<PathBuf> {
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

    /// Fast shutdown: it does not wait for clients.
    const SIGNAL: &'static str = "INT";

    async fn start(program: &Path, directory: TempDir, setting: &Setting) -> anyhow::Result<Self> {
        let port = server::free_port()?;
        if is_root()? {
            let (user, group) = user()?;
            chown(directory.path(), Some(user), Some(group)).context("the owner of the data")?;
        }
        let data = directory.path().join("data");
        let initdb = program.with_file_name("initdb");
        let made = as_user(&initdb)?
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
            .context("initdb")?;
        ensure!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
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
        control.batch_execute(SCHEMA).await.context("the schema")?;
        Ok(Self {
            server,
            control,
            way: setting.way,
        })
    }

    async fn connect(&mut self, lane: usize) -> anyhow::Result<Connection> {
        Connection::new(self.server.port(), lane, self.way == COPY).await
    }

    async fn applied(&mut self, _: &[usize]) -> anyhow::Result<()> {
        // An ack comes after the triggers.
        Ok(())
    }

    async fn holding(&mut self) -> anyhow::Result<Holding> {
        let mut holding = Holding::default();
        let rows = self
            .control
            .query("SELECT device, seq, verdict, rest FROM devices", &[])
            .await?;
        for row in &rows {
            let client::Uuid(id) = row.try_get(0)?;
            let rest: &[u8] = row.try_get(3)?;
            let mut state: State = [0; STATE_BYTES];
            state[..REST.start].copy_from_slice(&row.try_get::<_, i64>(1)?.to_le_bytes());
            ensure!(rest.len() == REST.len(), "a state of another size");
            state[REST].copy_from_slice(rest);
            state[REST.end] = u8::try_from(row.try_get::<_, i16>(2)?)?;
            holding.states.insert(id, state);
        }
        let counted = "SELECT verdict, sum(devices)::bigint FROM counts GROUP BY verdict HAVING sum(devices) <> 0";
        for row in &self.control.query(counted, &[]).await? {
            let count = u64::try_from(row.try_get::<_, i64>(1)?)?;
            holding
                .counts
                .insert(u8::try_from(row.try_get::<_, i16>(0)?)?, count);
        }
        Ok(holding)
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
        // A backend reports its own part when it ends; those of the connections have.
        for name in [
            "wal_sync",
            "wal_write",
            "wal_records",
            "wal_fpi",
            "wal_bytes",
        ] {
            let question = format!("SELECT {name}::text FROM pg_stat_wal");
            let row = self.control.query_one(&question, &[]).await?;
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

/// The numbers of the user and its group.
fn user() -> anyhow::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let line = users
        .lines()
        .find_map(|line| line.strip_prefix(USER)?.strip_prefix(':'));
    let fields: Vec<&str> = line
        .context("there is no user postgres")?
        .split(':')
        .collect();
    let number = |place: usize| fields.get(place).and_then(|text| text.parse().ok());
    number(1)
        .zip(number(2))
        .context("the user postgres in /etc/passwd")
}

/// The program, as the user `postgres` where this one is root. setpriv becomes the program, so the id
/// of the process is that of the server.
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
