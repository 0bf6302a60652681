//! One server process, from its ready line to its end.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use crossbeam::channel::{Receiver, bounded};
use muster_client::{Client, ClientConfig, Pem};
use serde_json::Value;

use super::cli::Ended;
use super::ops::Ops;
use super::pki::{Credentials, Pki};
use super::raw::Session;
use super::{DEADLINE, eventually, wait};

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) quic: SocketAddr,
    pub(crate) ops: Ops,
    log: Arc<Mutex<String>>,
    /// Told when the log has come to its end.
    log_ended: Receiver<()>,
}

impl Server {
    /// Starts the process and waits for its ready line.
    ///
    /// # Errors
    /// How it ended instead.
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Result<Self, Ended> {
        command.env_clear().stdin(Stdio::null());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let (log, log_ended) = collect(stderr);
        let (first, line) = bounded(1);
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = BufReader::new(stdout).read_line(&mut text);
            let _ = first.send(read.map(|_| text));
        });
        let line = line
            .recv_timeout(DEADLINE)
            .expect("a line before the deadline");
        let out = line.expect("standard output is text");
        let Some((quic, ops)) = parse_ready(&out) else {
            let status = child.wait().expect("it ends");
            log_ended
                .recv_timeout(DEADLINE)
                .expect("the log ends with the process");
            let err = log.lock().expect("no panic there").clone();
            let code = status.code().expect("no signal ended it");
            return Err(Ended { code, out, err });
        };
        Ok(Self {
            child,
            quic,
            ops: Ops::new(ops),
            log,
            log_ended,
        })
    }

    /// The settings of a client for this server; it notices a lost server and comes back quickly.
    pub(crate) fn client_config(&self, pki: &Pki, credentials: &Credentials) -> ClientConfig {
        let ca = Pem::text(pki.ca());
        let mut config = ClientConfig::new(self.quic, ca, Pem::text(credentials.0.as_str()));
        config.backoff_min = std::time::Duration::from_millis(20);
        config.backoff_max = std::time::Duration::from_millis(200);
        config.close_timeout = DEADLINE;
        config
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A connected client of the SDK.
    #[track_caller]
    pub(crate) fn client(&self, pki: &Pki, credentials: &Credentials) -> Client {
        let connected = wait(Client::connect(self.client_config(pki, credentials)));
        connected.expect("the server takes the client")
    }

    /// A session by hand, after both Hellos.
    #[track_caller]
    pub(crate) fn session(&self, pki: &Pki, credentials: &Credentials) -> Session {
        Session::open(self.quic, pki, credentials)
    }

    /// The log so far, one object a line.
    pub(crate) fn log(&self) -> Vec<Value> {
        let log = self.log.lock().expect("no panic there");
        log.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The log so far, as it was written.
    pub(crate) fn raw_log(&self) -> String {
        self.log.lock().expect("no panic there").clone()
    }

    /// How often a refusal with this cause is in the log.
    pub(crate) fn logged(&self, cause: &str) -> usize {
        self.log()
            .iter()
            .filter(|line| line["cause"] == cause)
            .count()
    }

    /// SIGKILL: nothing is said, flushed or finished.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// A signal by its name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -\"$1\" \"$2\"", "sh", name, &id])
            .status();
        assert!(sent.expect("a shell starts").success());
    }

    /// Waits for the end; returns the exit code and the whole log.
    #[track_caller]
    pub(crate) fn ended(mut self) -> (i32, Vec<Value>) {
        let (status, log) = self.end();
        (status.code().expect("no signal ended it"), log)
    }

    /// Waits for an end that is none of its own; returns the signal and the whole log.
    #[track_caller]
    pub(crate) fn ended_by_signal(mut self) -> (i32, Vec<Value>) {
        let (status, log) = self.end();
        (status.signal().expect("a signal ended it"), log)
    }

    #[track_caller]
    fn end(&mut self) -> (ExitStatus, Vec<Value>) {
        let child = &mut self.child;
        let status = eventually("the server ends", || child.try_wait().expect("it is ours"));
        self.log_ended
            .recv_timeout(DEADLINE)
            .expect("the log ends with the process");
        (status, self.log())
    }

    /// An orderly stop.
    #[track_caller]
    pub(crate) fn stop(self) -> Vec<Value> {
        self.terminate();
        let (code, log) = self.ended();
        assert_eq!(code, 0, "{log:#?}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = self.log_ended.recv_timeout(DEADLINE);
            let log = self.log.lock().map(|log| log.clone()).unwrap_or_default();
            eprintln!("the log of the server at {}:\n{log}", self.quic);
        }
    }
}

fn parse_ready(line: &str) -> Option<(SocketAddr, String)> {
    let (quic, ops) = line
        .trim_end()
        .strip_prefix("ready quic=")?
        .split_once(" ops=")?;
    Some((quic.parse().ok()?, ops.to_owned()))
}

/// Reads the log as it comes, so that the server never waits for a reader.
fn collect(stderr: impl Read + Send + 'static) -> (Arc<Mutex<String>>, Receiver<()>) {
    let log = Arc::new(Mutex::new(String::new()));
    let (ended, told) = bounded(1);
    let written = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { break };
            let mut log = written.lock().expect("no panic there");
            log.push_str(&line);
            log.push('\n');
        }
        let _ = ended.send(());
    });
    (log, told)
}
