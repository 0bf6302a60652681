//! One server process, from its start to its end, whichever way it ends.
//!
//! Owner: who started it; a thread of its own reads standard output, whose first line says that the server is
//! ready and whose end says that it is gone, so that nobody looks at the process time and again. The log goes where
//! the command says. A server that is dropped is killed.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Far beyond what a start, a stop or an answer takes, also on a busy machine: only a hang gets there.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Where a ready server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// UDP, for devices and gateways.
    pub quic: SocketAddr,
    /// HTTP, for operators.
    pub ops: String,
}

/// What standard output has said so far.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Nothing,
    Ready(Addresses),
    /// The process is gone, or about to be.
    End,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit code.
    Code(i32),
    /// By SIGKILL, of its owner or of a kill point.
    Killed,
    /// By another signal, such as an abort.
    Signal(Option<i32>),
    /// It did not end before the deadline and was killed.
    Hung,
}

/// A server process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    said: watch::Receiver<Said>,
    started: Instant,
}

impl Server {
    /// Starts a command of `muster serve`, which says where its log goes.
    ///
    /// # Errors
    /// If the process or the thread that reads from it cannot be started.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let spawned = command.stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| {
            let program = command.get_program().display();
            io::Error::new(error.kind(), format!("{program}: {error}"))
        })?;
        let started = Instant::now();
        let (sender, said) = watch::channel(Said::Nothing);
        let out = child.stdout.take();
        std::thread::Builder::new()
            .name("server-output".to_owned())
            .spawn(move || {
                if let Some(out) = out {
                    listen(out, &sender);
                }
                sender.send_replace(Said::End);
            })?;
        Ok(Self {
            child,
            said,
            started,
        })
    }

    /// The same with a log that is appended to a file.
    ///
    /// # Errors
    /// The same, and if the file cannot be opened.
    pub fn start_logged(mut command: Command, log: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(log);
        let file = file
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", log.display())))?;
        command.stderr(file);
        Self::start(command)
    }

    /// Waits until it is ready; returns where it is, and how long it took. `None` if it ends first, or
    /// takes longer than anything should.
    pub async fn ready(&mut self) -> Option<(Addresses, Duration)> {
        let ready = self.said.wait_for(|said| *said != Said::Nothing);
        match timeout(DEADLINE, ready).await {
            Ok(Ok(said)) => match &*said {
                Said::Ready(addresses) => Some((addresses.clone(), self.started.elapsed())),
                Said::Nothing | Said::End => None,
            },
            _ => None,
        }
    }

    /// Waits until it is gone, by itself or by a kill point.
    pub async fn gone(&mut self) {
        // An error says that the reading thread is gone, and it goes with the process.
        let _ = self.said.wait_for(|said| *said == Said::End).await;
    }

    /// The number that the system gave it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and the end.
    pub fn kill(&mut self) -> Ended {
        // It fails if the process has ended already.
        let _ = self.child.kill();
        self.child
            .wait()
            .map_or(Ended::Signal(None), |status| ended(&status))
    }

    /// SIGTERM: the server begins to drain.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It fails if the process has ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for its end; a server that hangs is killed.
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

/// How a process ended that was waited for.
pub fn ended(status: &ExitStatus) -> Ended {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, Some(signal)) if signal == Signal::KILL.as_raw() => Ended::Killed,
        (None, signal) => Ended::Signal(signal),
    }
}

/// The lines of a log from `from` on that call for an operator.
pub fn log_errors(log: &Path, from: u64) -> Vec<String> {
    let text = std::fs::read(log).unwrap_or_default();
    let begin = usize::try_from(from).unwrap_or(usize::MAX).min(text.len());
    String::from_utf8_lossy(&text[begin..])
        .lines()
        .filter(|line| line.contains(" ERROR ") || line.starts_with("muster: "))
        .map(str::to_owned)
        .collect()
}

fn listen(out: impl Read, said: &watch::Sender<Said>) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        if let Some(addresses) = parse_ready(&line) {
            said.send_replace(Said::Ready(addresses));
        }
    }
}

/// The addresses in a ready line.
pub fn parse_ready(line: &str) -> Option<Addresses> {
    let (quic, ops) = line.strip_prefix("ready quic=")?.split_once(" ops=")?;
    Some(Addresses {
        quic: quic.parse().ok()?,
        ops: ops.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_ready_server_is_read() {
        let found = parse_ready("ready quic=127.0.0.1:7440 ops=http://127.0.0.1:7441").unwrap();
        assert_eq!(found.quic.port(), 7440);
        assert_eq!(found.ops, "http://127.0.0.1:7441");
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
    fn every_end_of_a_process_is_told_apart() {
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
