//! One server under test, from its ready line to its end.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use muster_client::{Client, ClientConfig, Pem};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::cli::CommandOutput;
use super::ops::Ops;
use super::pki::{Credentials, Pki};
use super::raw::Session;
use super::{DEADLINE, wait};
use crate::server::{self, Ended};

/// A running server; killed when dropped. A test that fails shows its log.
#[derive(Debug)]
pub struct Server {
    process: server::Server,
    /// Where devices and gateways find it.
    pub quic: SocketAddr,
    /// What operators see of it.
    pub ops: Ops,
    log: NamedTempFile,
}

impl Server {
    /// Starts the process and waits for its ready line.
    ///
    /// # Errors
    /// How it ended instead.
    #[track_caller]
    pub fn start(mut command: Command) -> Result<Self, CommandOutput> {
        let log = NamedTempFile::new().expect("a scratch file can be made");
        let stderr = log.reopen().expect("it was just made");
        command.env_clear().stdin(Stdio::null()).stderr(stderr);
        let mut process = server::Server::start(command).expect("the binary starts");
        match wait(process.ready()) {
            Some((addresses, _)) => Ok(Self {
                process,
                quic: addresses.quic,
                ops: Ops::new(&addresses.ops),
                log,
            }),
            None => match wait(process.end()) {
                Ended::Code(code) => Err(CommandOutput {
                    code,
                    out: String::new(),
                    err: read(&log),
                }),
                ended => panic!("neither ready nor refused: {ended:?}\n{}", read(&log)),
            },
        }
    }

    /// The settings of a client for this server; it notices a lost server and comes back quickly.
    pub fn client_config(&self, pki: &Pki, credentials: &Credentials) -> ClientConfig {
        let ca = Pem::text(pki.ca());
        let mut config = ClientConfig::new(self.quic, ca, Pem::text(credentials.0.as_str()));
        config.backoff_min = std::time::Duration::from_millis(20);
        config.backoff_max = std::time::Duration::from_millis(200);
        config.close_timeout = DEADLINE;
        config
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A connected client of the SDK.
    #[track_caller]
    pub fn client(&self, pki: &Pki, credentials: &Credentials) -> Client {
        let connected = wait(Client::connect(self.client_config(pki, credentials)));
        connected.expect("the server takes the client")
    }

    /// A session by hand, after both Hellos.
    #[track_caller]
    pub fn session(&self, pki: &Pki, credentials: &Credentials) -> Session {
        Session::open(self.quic, pki, credentials)
    }

    /// The log so far, one object a line.
    pub fn log(&self) -> Vec<Value> {
        self.raw_log()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The log so far, as it was written.
    pub fn raw_log(&self) -> String {
        read(&self.log)
    }

    /// How often a refusal with this cause is in the log.
    pub fn logged(&self, cause: &str) -> usize {
        self.log()
            .iter()
            .filter(|line| line["cause"] == cause)
            .count()
    }

    /// SIGKILL: nothing is said, flushed or finished.
    #[track_caller]
    pub fn kill(mut self) {
        assert_eq!(self.process.kill(), Ended::Killed);
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// A signal by its name without SIG.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -\"$1\" \"$2\"", "sh", name, &id])
            .status();
        assert!(sent.expect("a shell starts").success());
    }

    /// Waits for the end; returns the exit code and the whole log.
    #[track_caller]
    pub fn ended(mut self) -> (i32, Vec<Value>) {
        match wait(self.process.end()) {
            Ended::Code(code) => (code, self.log()),
            ended => panic!("it did not end by itself: {ended:?}"),
        }
    }

    /// Waits for an end by a signal other than SIGKILL; returns the signal and the whole log.
    #[track_caller]
    pub fn ended_by_signal(mut self) -> (i32, Vec<Value>) {
        match wait(self.process.end()) {
            Ended::Signal(Some(signal)) => (signal, self.log()),
            ended => panic!("no signal ended it: {ended:?}"),
        }
    }

    /// An orderly stop.
    #[track_caller]
    pub fn stop(self) -> Vec<Value> {
        self.terminate();
        let (code, log) = self.ended();
        assert_eq!(code, 0, "{log:#?}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill();
        if std::thread::panicking() {
            eprintln!(
                "the log of the server at {}:\n{}",
                self.quic,
                self.raw_log()
            );
        }
    }
}

fn read(log: &NamedTempFile) -> String {
    let bytes = std::fs::read(log.path()).expect("the log can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}
