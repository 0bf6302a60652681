//! A scratch directory with everything a server needs, and the configuration of the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::cli::{CommandOutput, muster, text};
use super::eventually;
use super::pki::Pki;
use super::running::Server;
use crate::muster::Muster;

/// Deviations from the tests' default configuration: lines of TOML, by section.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The UDP port; 0 chooses a free one.
    pub quic_port: u16,
    /// The TCP port of the operations endpoint; 0 chooses a free one.
    pub ops_port: u16,
    /// Lines of the section `listen`.
    pub listen: String,
    /// Lines of the section `ops`.
    pub ops: String,
    /// The data directory, below the scratch directory.
    pub directory: &'static str,
    /// Lines of the section `store`.
    pub store: String,
    /// Lines of the section `shards`.
    pub shards: String,
    /// Lines of the section `log`.
    pub log: String,
    /// Further sections.
    pub more: String,
    /// The tenants, which are created once the server is ready.
    pub tenants: Vec<&'static str>,
}

impl Default for Settings {
    /// Two shard threads, the tenants contoso and fabrikam with the default rules, and operators who may change them.
    fn default() -> Self {
        Self {
            quic_port: 0,
            ops_port: 0,
            listen: String::new(),
            ops: "allow_changes = true".to_owned(),
            directory: "data",
            store: String::new(),
            shards: "threads = 2".to_owned(),
            log: String::new(),
            more: String::new(),
            tenants: vec!["contoso", "fabrikam"],
        }
    }
}

impl Settings {
    fn to_toml(&self) -> String {
        let Self {
            quic_port,
            ops_port,
            listen,
            ops,
            directory,
            store,
            shards,
            log,
            more,
            tenants: _,
        } = self;
        format!(
            r#"
[listen]
address = "127.0.0.1:{quic_port}"
certificate = "pki/server.pem"
key = "pki/server.key"
client_ca = "pki/ca.pem"
{listen}
[api]
address = "127.0.0.1:0"
[ops]
address = "127.0.0.1:{ops_port}"
{ops}
[store]
directory = "{directory}"
{store}
[shards]
{shards}
[log]
format = "json"
{log}
{more}
"#
        )
    }
}

/// Runs `muster` with these arguments from a shell that first runs `commands`.
fn after(commands: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!("{commands}; exec \"$@\"");
    command
        .args(["-c", &script, "sh", text(Muster::beside_this_test().path())])
        .args(arguments);
    command
}

/// A scratch directory in which servers run, one after the other, on the same data directory.
#[derive(Debug)]
pub struct Installation {
    scratch: TempDir,
    /// The certificate authority of the server and the clients.
    pub pki: Pki,
}

impl Installation {
    /// A scratch directory with a certificate authority and a server certificate.
    #[expect(
        clippy::new_without_default,
        reason = "a default must not write to the disk"
    )]
    pub fn new() -> Self {
        let scratch = tempfile::tempdir().expect("a scratch directory can be made");
        let pki = Pki::make(&scratch.path().join("pki"));
        Self { scratch, pki }
    }

    /// A path below the scratch directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes the configuration; returns its path.
    pub fn configure(&self, settings: &Settings) -> PathBuf {
        let file = self.path("muster.toml");
        fs::write(&file, settings.to_toml()).expect("a scratch directory is writable");
        file
    }

    /// Starts a server with the default settings.
    #[track_caller]
    pub fn start(&self) -> Server {
        self.start_with(&Settings::default())
    }

    /// Starts a server, waits until it is ready, and creates the tenants that do not exist. If it does not allow changes,
    /// another server creates them first.
    #[track_caller]
    pub fn start_with(&self, settings: &Settings) -> Server {
        let server = self.launch(settings);
        if server.ops.has_tenants(&settings.tenants) {
            return server;
        }
        if settings.ops.contains("allow_changes = true") {
            server.ops.create_tenants(&settings.tenants);
            return server;
        }
        server.stop();
        self.start_with(&Settings {
            ops: Settings::default().ops,
            ..settings.clone()
        })
        .stop();
        self.launch(settings)
    }

    /// Starts a server and waits until it is ready.
    #[track_caller]
    fn launch(&self, settings: &Settings) -> Server {
        let file = self.configure(settings);
        let is_free = settings.quic_port == 0;
        eventually("the server starts", || {
            let command = Muster::beside_this_test().command(["serve", "--config", text(&file)]);
            match Server::start(command) {
                Ok(server) => Some(server),
                // A client of another test may use the port while no server does; it will become free.
                Err(ended) if ended.code == 5 && !is_free => None,
                Err(ended) => panic!("it does not start: {ended:?}"),
            }
        })
    }

    /// Starts a server that cannot make a file larger than `file_bytes_max`, to simulate a full disk.
    #[track_caller]
    pub fn start_on_small_disk(&self, settings: &Settings, file_bytes_max: u64) -> Server {
        // `ulimit -f` counts blocks of 512 bytes.
        let commands = format!("ulimit -f {}", file_bytes_max / 512);
        self.start_after(&commands, settings).expect("it starts")
    }

    /// Starts a server from a shell that first runs `commands`, such as `ulimit -n 128`.
    ///
    /// # Errors
    /// The output of the process, if it exited first.
    pub fn start_after(
        &self,
        commands: &str,
        settings: &Settings,
    ) -> Result<Server, CommandOutput> {
        let server = Server::start(self.serve_after(commands, settings))?;
        server.ops.create_tenants(&settings.tenants);
        Ok(server)
    }

    /// The command that runs a server from a shell that first runs `commands`.
    pub fn serve_after(&self, commands: &str, settings: &Settings) -> Command {
        let file = self.configure(settings);
        after(commands, &["serve", "--config", text(&file)])
    }

    /// Runs `muster config check` from a shell that first runs `commands`.
    pub fn check_after(&self, commands: &str, settings: &Settings) -> CommandOutput {
        let file = self.configure(settings);
        let mut command = after(commands, &["config", "check", "--config", text(&file)]);
        let output = command.env_clear().output();
        CommandOutput::from_output(output.expect("a shell starts"))
    }

    /// Runs a server that must fail to start.
    pub fn refused(&self, settings: &Settings) -> CommandOutput {
        let file = self.configure(settings);
        muster(&["serve", "--config", text(&file)])
    }

    /// Recounts the data directory, which no server may be using, and returns the report.
    #[track_caller]
    pub fn recount(&self) -> serde_json::Value {
        let ended = muster(&["recount", "--json", "--data-dir", text(&self.data())]);
        // The journal may end in a record that was never acknowledged; a reader warns that it skipped it.
        let is_warning = |line: &str| line.starts_with("muster: warning: ");
        let is_quiet = ended.err.lines().all(is_warning);
        assert!(
            ended.code == 0 && is_quiet,
            "{}: {}{}",
            ended.code,
            ended.err,
            ended.out
        );
        serde_json::from_str(&ended.out).expect("the report is JSON")
    }

    /// The files of a directory with their content, except RocksDB's info log and lock.
    pub fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(directory).expect("the directory exists");
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("the directory can be listed").path())
            .filter_map(|path| {
                let name = path.file_name()?.to_str()?.to_owned();
                let is_data = !name.starts_with("LOG") && name != "LOCK";
                is_data.then(|| (name, fs::read(&path).expect("the file can be read")))
            })
            .collect();
        files.sort();
        files
    }
}
