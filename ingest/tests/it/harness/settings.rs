//! A scratch directory with everything a server needs, and the configuration it is started with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::cli::{Ended, binary, muster, text};
use super::eventually;
use super::pki::Pki;
use super::process::Server;

/// What differs from the defaults of the tests: lines of TOML, by section.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// 0 takes a free port.
    pub(crate) quic_port: u16,
    /// 0 takes a free port.
    pub(crate) ops_port: u16,
    pub(crate) listen: String,
    /// The data directory, below the scratch directory.
    pub(crate) directory: &'static str,
    pub(crate) store: String,
    pub(crate) shards: String,
    /// The tables of the tenants.
    pub(crate) tenants: String,
}

impl Default for Settings {
    /// Two shards; the tenants contoso and fabrikam with the default rules.
    fn default() -> Self {
        Self {
            quic_port: 0,
            ops_port: 0,
            listen: String::new(),
            directory: "data",
            store: String::new(),
            shards: "count = 2".to_owned(),
            tenants: "[[tenants]]\nname = \"contoso\"\n[[tenants]]\nname = \"fabrikam\"\n"
                .to_owned(),
        }
    }
}

impl Settings {
    fn to_toml(&self) -> String {
        let Self {
            quic_port,
            ops_port,
            listen,
            directory,
            store,
            shards,
            tenants,
        } = self;
        format!(
            r#"
[listen]
address = "127.0.0.1:{quic_port}"
certificate = "pki/server.pem"
key = "pki/server.key"
client_ca = "pki/ca.pem"
{listen}
[ops]
address = "127.0.0.1:{ops_port}"
[store]
directory = "{directory}"
{store}
[shards]
{shards}
[log]
format = "json"
{tenants}
"#
        )
    }
}

/// `muster` with these arguments, run by a shell after these commands.
fn after(commands: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = format!("{commands}; exec \"$@\"");
    command
        .args(["-c", &script, "sh", text(&binary())])
        .args(arguments);
    command
}

/// A place where servers run, one after the other, on the same data directory.
#[derive(Debug)]
pub(crate) struct Installation {
    scratch: TempDir,
    pub(crate) pki: Pki,
}

impl Installation {
    pub(crate) fn new() -> Self {
        let installation = Self {
            scratch: tempfile::tempdir().expect("a scratch directory can be made"),
            pki: Pki::new(),
        };
        let folder = installation.path("pki");
        fs::create_dir(&folder).expect("a scratch directory is writable");
        let (certificate, key) = installation.pki.server();
        let ca = installation.pki.ca();
        for (name, text) in [
            ("server.pem", &*certificate),
            ("server.key", &*key),
            ("ca.pem", ca),
        ] {
            fs::write(folder.join(name), text).expect("a scratch directory is writable");
        }
        installation
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, settings: &Settings) -> PathBuf {
        let file = self.path("muster.toml");
        fs::write(&file, settings.to_toml()).expect("a scratch directory is writable");
        file
    }

    /// Starts a server with the default settings.
    #[track_caller]
    pub(crate) fn start(&self) -> Server {
        self.start_with(&Settings::default())
    }

    /// Starts a server and waits until it is ready.
    #[track_caller]
    pub(crate) fn start_with(&self, settings: &Settings) -> Server {
        let file = self.configure(settings);
        let is_free = settings.quic_port == 0;
        eventually("the server starts", || {
            let mut command = Command::new(binary());
            command.args(["serve", "--config", text(&file)]);
            match Server::start(command) {
                Ok(server) => Some(server),
                // A client of another test took the port while no server had it; it will go.
                Err(ended) if ended.code == 5 && !is_free => None,
                Err(ended) => panic!("it does not start: {ended:?}"),
            }
        })
    }

    /// Starts a server that cannot make a file larger than so many bytes: its disk is full.
    #[track_caller]
    pub(crate) fn start_on_small_disk(&self, settings: &Settings, file_bytes_max: u64) -> Server {
        // Ignored, the signal becomes an error of the write, as of a disk that is full. The limit is
        // in blocks of 512 bytes.
        let commands = format!("trap '' 25; ulimit -f {}", file_bytes_max / 512);
        self.start_after(&commands, settings).expect("it starts")
    }

    /// Starts a server from a shell that has run these commands, as `ulimit -n 128`.
    ///
    /// # Errors
    /// How it ended instead.
    pub(crate) fn start_after(&self, commands: &str, settings: &Settings) -> Result<Server, Ended> {
        let file = self.configure(settings);
        Server::start(after(commands, &["serve", "--config", text(&file)]))
    }

    /// Runs `muster config check` from a shell that has run these commands.
    pub(crate) fn check_after(&self, commands: &str, settings: &Settings) -> Ended {
        let file = self.configure(settings);
        let mut command = after(commands, &["config", "check", "--config", text(&file)]);
        let output = command.env_clear().output();
        Ended::from_output(output.expect("a shell starts"))
    }

    /// Runs a server that must refuse to start.
    pub(crate) fn refused(&self, settings: &Settings) -> Ended {
        let file = self.configure(settings);
        muster(&["serve", "--config", text(&file)])
    }

    /// Counts the data directory again, with no server on it, and returns the report.
    #[track_caller]
    pub(crate) fn recount(&self) -> serde_json::Value {
        let ended = muster(&["recount", "--json", "--data-dir", text(&self.data())]);
        // A log may end in what was never acknowledged, which a reader says that it left out.
        let is_said = |line: &str| line.starts_with("muster: warning: ");
        let is_quiet = ended.err.lines().all(is_said);
        assert!(
            ended.code == 0 && is_quiet,
            "{}: {}{}",
            ended.code,
            ended.err,
            ended.out
        );
        serde_json::from_str(&ended.out).expect("the report is JSON")
    }

    /// The files of a directory with their content, save for RocksDB's diary and lock.
    pub(crate) fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
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
