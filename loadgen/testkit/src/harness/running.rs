//! A server under test, from its ready line to its exit.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use muster_client::{Client, ClientConfig, Pem};
use muster_wire::limits::{HEADER_BYTES, SERVER_HELLO_BYTES};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::cli::CommandOutput;
use super::ops::Ops;
use super::pki::{Credentials, Pki};
use super::raw::{Raw, Session, hello};
use super::{DEADLINE, eventually, wait};
use crate::server::{self, Addresses, Ended};

/// A running server, which is killed when dropped. If the test panics, its log is printed.
#[derive(Debug)]
pub struct Server {
    process: server::Server,
    /// The QUIC address.
    pub quic: SocketAddr,
    /// The operations endpoint.
    pub ops: Ops,
    /// The base URL of the operators' API; `None` if it is not served.
    pub api: Option<String>,
    log: NamedTempFile,
}

impl Server {
    /// Starts the process and waits for its ready line.
    ///
    /// # Errors
    /// The output of the process, if it exited first.
    #[track_caller]
    pub fn start(command: Command) -> Result<Self, CommandOutput> {
        Self::start_with_input(command, Stdio::null())
    }

    /// Starts the process with this standard input, and waits for its ready line.
    ///
    /// # Errors
    /// The output of the process, if it exited first.
    #[track_caller]
    pub fn start_with_input(
        command: Command,
        input: impl Into<Stdio>,
    ) -> Result<Self, CommandOutput> {
        let (mut process, log) = spawn(command, input.into());
        match wait(process.ready()) {
            Some((addresses, _)) => Ok(Self {
                process,
                quic: addresses.quic,
                ops: Ops::new(&addresses.ops),
                api: addresses.api.clone(),
                log,
            }),
            None => match wait(process.end()) {
                Ended::Code(code) => Err(CommandOutput {
                    code,
                    out: String::new(),
                    err: read(&log),
                }),
                ended => panic!("neither ready nor exited: {ended:?}\n{}", read(&log)),
            },
        }
    }

    /// Starts a process whose ready line is not on standard output; `find` parses the addresses from the log.
    #[track_caller]
    pub fn start_without_ready_line(
        command: Command,
        input: impl Into<Stdio>,
        mut find: impl FnMut(&str) -> Option<Addresses>,
    ) -> Self {
        let (process, log) = spawn(command, input.into());
        let addresses = eventually("the server is ready", || find(&read(&log)));
        Self {
            process,
            quic: addresses.quic,
            ops: Ops::new(&addresses.ops),
            api: addresses.api.clone(),
            log,
        }
    }

    /// The configuration of a client for this server, with a short reconnect backoff.
    pub fn client_config(&self, pki: &Pki, credentials: &Credentials) -> ClientConfig {
        let ca = Pem::text(pki.ca());
        let mut config = ClientConfig::new(self.quic, ca, Pem::text(credentials.0.as_str()));
        config.backoff_min = std::time::Duration::from_millis(20);
        config.backoff_max = std::time::Duration::from_millis(200);
        config.close_timeout = DEADLINE;
        config
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A connected client of the SDK.
    #[track_caller]
    pub fn client(&self, pki: &Pki, credentials: &Credentials) -> Client {
        let connected = wait(Client::connect(self.client_config(pki, credentials)));
        connected.expect("the server takes the client")
    }

    /// A session of a hand-written client, after the Hello exchange.
    #[track_caller]
    pub fn session(&self, pki: &Pki, credentials: &Credentials) -> Session {
        Session::open(self.quic, pki, credentials)
    }

    /// A session whose client takes the server's Hello and not a byte more, so a drain waits for it.
    #[track_caller]
    pub fn session_that_does_not_read(&self, pki: &Pki, credentials: &Credentials) -> Session {
        let window = (HEADER_BYTES + SERVER_HELLO_BYTES) as u32;
        let raw = Raw::dial_with_window(self.quic, pki, credentials, window);
        let mut session = raw.expect("the server accepts the connection").stream();
        session.write(&hello(1, 1));
        eventually("the session is open", || {
            (self.ops.sessions() == 1).then_some(())
        });
        session
    }

    /// The log so far, one object a line.
    #[track_caller]
    pub fn log(&self) -> Vec<Value> {
        parse(&self.raw_log())
    }

    /// The log so far, as text.
    ///
    /// A thread of the server writes the log, so this sends a signal whose only effect is one more log line. Once that
    /// line is there, so are all earlier ones.
    #[track_caller]
    pub fn raw_log(&self) -> String {
        let is_fence = |line: &&str| line.contains("\"SIGUSR1\"");
        let fences = || read(&self.log).lines().filter(is_fence).count();
        let before = fences();
        self.signal("USR1");
        eventually("the log is written", || (fences() > before).then_some(()));
        let log = read(&self.log);
        let lines = log.split_inclusive('\n');
        lines.filter(|line| !is_fence(line)).collect()
    }

    /// Waits for a log line with this message.
    #[track_caller]
    pub fn has_logged(&self, message: &str) {
        eventually(message, || {
            let log = parse(&read(&self.log));
            let mut lines = log.iter();
            lines.any(|line| line["message"] == message).then_some(())
        });
    }

    /// Waits for a log line with this message about a signal.
    #[track_caller]
    pub fn has_logged_signal(&self, signal: &str, message: &str) {
        eventually(message, || {
            let log = parse(&read(&self.log));
            let mut lines = log.iter();
            let is_wanted = |line: &Value| line["signal"] == signal && line["message"] == message;
            lines.any(is_wanted).then_some(())
        });
    }

    /// The number of log lines with this cause.
    pub fn logged(&self, cause: &str) -> usize {
        self.log()
            .iter()
            .filter(|line| line["cause"] == cause)
            .count()
    }

    /// Kills the process with SIGKILL.
    #[track_caller]
    pub fn kill(mut self) {
        assert_eq!(self.process.kill(), Ended::Killed);
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Sends a signal, named without SIG.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -\"$1\" \"$2\"", "sh", name, &id])
            .status();
        assert!(sent.expect("a shell starts").success());
    }

    /// Waits for the process to exit; returns the exit code and the whole log.
    #[track_caller]
    pub fn ended(mut self) -> (i32, Vec<Value>) {
        match wait(self.process.end()) {
            Ended::Code(code) => (code, parse(&read(&self.log))),
            ended => panic!("it did not exit by itself: {ended:?}"),
        }
    }

    /// Waits until a signal other than SIGKILL ends the process; returns the signal and the whole log.
    #[track_caller]
    pub fn ended_by_signal(mut self) -> (i32, Vec<Value>) {
        match wait(self.process.end()) {
            Ended::Signal(Some(signal)) => (signal, parse(&read(&self.log))),
            ended => panic!("it was not ended by a signal: {ended:?}"),
        }
    }

    /// Stops the server with SIGTERM; returns the whole log.
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
            let log = read(&self.log);
            let _ = writeln!(
                io::stderr(),
                "the log of the server at {}:\n{log}",
                self.quic
            );
        }
    }
}

fn spawn(mut command: Command, input: Stdio) -> (server::Server, NamedTempFile) {
    let log = NamedTempFile::new().expect("a scratch file can be made");
    let stderr = log.reopen().expect("it was just made");
    command.env_clear().stdin(input).stderr(stderr);
    let process = server::Server::start(command).expect("the binary starts");
    (process, log)
}

fn parse(log: &str) -> Vec<Value> {
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

fn read(log: &NamedTempFile) -> String {
    let bytes = std::fs::read(log.path()).expect("the log can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}
