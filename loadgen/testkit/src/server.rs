//! One server process, from its start to its exit.
//!
//! A dedicated thread reads standard output: its first line says that the server is ready, and its end that the process
//! has exited, so nothing has to poll the process. The log goes where the command directs it. A server that is dropped
//! is killed.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Far longer than a start, a stop or an answer takes, even on a busy machine. Only a hang exceeds it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The addresses of a ready server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The UDP address for devices and gateways.
    pub quic: SocketAddr,
    /// The HTTP base URL of the operations endpoint.
    pub ops: String,
    /// The HTTPS base URL of the operators' API.
    pub api: Option<String>,
}

/// The state of the process, as read from its standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OutputState {
    Starting,
    Ready(Addresses),
    /// The process has exited, or is about to.
    Closed,
}

/// How a server process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Code(i32),
    /// By SIGKILL, from its owner or a kill point.
    Killed,
    /// By another signal, such as SIGABRT.
    Signal(Option<i32>),
    /// It did not exit before the deadline and was killed.
    Hung,
}

/// A server process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    output: watch::Receiver<OutputState>,
    started: Instant,
}

impl Server {
    /// Starts `muster serve`. The command must redirect standard error, where the log goes.
    ///
    /// # Errors
    /// If the process or the reading thread cannot be started.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let spawned = command.stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| {
            let program = command.get_program().display();
            io::Error::new(error.kind(), format!("{program}: {error}"))
        })?;
        let started = Instant::now();
        let (sender, output) = watch::channel(OutputState::Starting);
        let stdout = child.stdout.take();
        std::thread::Builder::new()
            .name("server-output".to_owned())
            .spawn(move || {
                if let Some(stdout) = stdout {
                    read_lines(stdout, &sender);
                }
                sender.send_replace(OutputState::Closed);
            })?;
        Ok(Self {
            child,
            output,
            started,
        })
    }

    /// Like [`Server::start`], with a log that is appended to a file.
    ///
    /// # Errors
    /// As [`Server::start`], or if the file cannot be opened.
    pub fn start_logged(mut command: Command, log: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(log);
        let file = file
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", log.display())))?;
        command.stderr(file);
        Self::start(command)
    }

    /// Waits until the server is ready; returns its addresses, and how long the start took. `None` if the process exits
    /// first or the deadline passes.
    pub async fn ready(&mut self) -> Option<(Addresses, Duration)> {
        let ready = self
            .output
            .wait_for(|state| *state != OutputState::Starting);
        match timeout(DEADLINE, ready).await {
            Ok(Ok(state)) => match &*state {
                OutputState::Ready(addresses) => Some((addresses.clone(), self.started.elapsed())),
                OutputState::Starting | OutputState::Closed => None,
            },
            _ => None,
        }
    }

    /// Waits until the process has exited, by itself or at a kill point.
    pub async fn gone(&mut self) {
        // An error means that the reading thread has ended, which only happens when the process exits.
        let _ = self
            .output
            .wait_for(|state| *state == OutputState::Closed)
            .await;
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process with SIGKILL and waits for it.
    pub fn kill(&mut self) -> Ended {
        // It fails if the process has already exited.
        let _ = self.child.kill();
        self.child
            .wait()
            .map_or(Ended::Signal(None), |status| ended(&status))
    }

    /// Sends SIGTERM, so that the server drains.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It fails if the process has already exited.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for the process to exit; kills it if it hangs.
    pub async fn end(&mut self) -> Ended {
        let in_time = timeout(DEADLINE, self.gone()).await.is_ok();
        if in_time {
            let status = self.child.wait();
            return status.map_or(Ended::Signal(None), |status| ended(&status));
        }
        self.kill();
        Ended::Hung
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a process ended, by its exit status.
pub fn ended(status: &ExitStatus) -> Ended {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, Some(signal)) if signal == Signal::KILL.as_raw() => Ended::Killed,
        (None, signal) => Ended::Signal(signal),
    }
}

/// The lines of a log, from byte `from` on, that require an operator's attention.
pub fn log_errors(log: &Path, from: u64) -> Vec<String> {
    let text = std::fs::read(log).unwrap_or_default();
    let start = usize::try_from(from).unwrap_or(usize::MAX).min(text.len());
    String::from_utf8_lossy(&text[start..])
        .lines()
        .filter(|line| line.contains(" ERROR ") || line.starts_with("muster: "))
        .map(str::to_owned)
        .collect()
}

fn read_lines(stdout: impl Read, state: &watch::Sender<OutputState>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if let Some(addresses) = parse_ready(&line) {
            state.send_replace(OutputState::Ready(addresses));
        }
    }
}

/// Parses the addresses from a ready line.
pub fn parse_ready(line: &str) -> Option<Addresses> {
    let (quic, rest) = line.strip_prefix("ready quic=")?.split_once(" ops=")?;
    let (ops, api) = match rest.split_once(" api=") {
        Some((ops, api)) => (ops, Some(api.to_owned())),
        None => (rest, None),
    };
    Some(Addresses {
        quic: quic.parse().ok()?,
        ops: ops.to_owned(),
        api,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_is_parsed() {
        let found = parse_ready("ready quic=127.0.0.1:7440 ops=http://127.0.0.1:7441").unwrap();
        assert_eq!(found.quic.port(), 7440);
        assert_eq!(
            (found.ops.as_str(), found.api),
            ("http://127.0.0.1:7441", None)
        );
        let line = "ready quic=127.0.0.1:7440 ops=http://127.0.0.1:7441 api=https://127.0.0.1:7443";
        let found = parse_ready(line).unwrap();
        assert_eq!(found.ops, "http://127.0.0.1:7441");
        assert_eq!(found.api.as_deref(), Some("https://127.0.0.1:7443"));
        assert_eq!(parse_ready("ready quic=nowhere ops=x"), None);
        assert_eq!(parse_ready("hello"), None);
    }

    fn shell(script: &str) -> Server {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        Server::start(command).unwrap()
    }

    fn wait<T>(work: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn every_way_to_end_a_process_is_distinguished() {
        wait(async {
            assert_eq!(shell("exit 6").end().await, Ended::Code(6));
            assert_eq!(shell("kill -KILL $$").end().await, Ended::Killed);
            assert_eq!(shell("kill -ABRT $$").end().await, Ended::Signal(Some(6)));
            let mut endless = shell("echo ready quic=127.0.0.1:1 ops=x; exec sleep 600");
            assert!(endless.ready().await.is_some());
            endless.terminate();
            assert_eq!(endless.end().await, Ended::Signal(Some(15)));
            assert_eq!(shell("exec sleep 600").kill(), Ended::Killed);
            assert_eq!(shell("exit 3").ready().await, None);
        });
    }
}
