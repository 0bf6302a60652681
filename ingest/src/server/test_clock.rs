//! The test clock: a Unix socket through which a test moves the clocks of a server.
//!
//! Only for a configuration with `[test] clock = true`. Each command and each answer is one line:
//!
//! ```text
//! advance SECONDS   both clocks; answers once every device was ticked at the new time
//! leap SECONDS      the wall clock alone; may be negative
//! now               nothing
//! ok time=1790000000.000 wall=1790691200.000 step=691200.000
//! error unknown command
//! ```
//!
//! The file TEST-CLOCK of the data directory has how far the wall clock was moved, so a restart does not undo it. Owned
//! by a separate thread, which serves one connection at a time and ends with the process; bounded by
//! [`LINE_BYTES_MAX`].

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam::channel::Sender;
use muster_engine::Timestamp;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::sync::oneshot;

use super::ServerError;
use super::parts::{Parts, spawn};
use crate::clock::{ClockState, SteeredTime};
use crate::config::Config;
use crate::shard::Control;

/// Maximum size of a command.
const LINE_BYTES_MAX: u64 = 256;

/// Time passes in slices of at most an hour, so that what is due within an advance comes in its order.
const SLICE_MS: u64 = 60 * 60 * 1_000;

/// How far one command may move a clock: ten years.
const SECONDS_MAX: u64 = 10 * 365 * 24 * 60 * 60;

/// Connections that wait for the current one.
const BACKLOG: i32 = 8;

const FILE_NAME: &str = "TEST-CLOCK";

/// What the commands act on.
struct Moved {
    time: Arc<SteeredTime>,
    controls: Vec<Sender<Control>>,
    directory: PathBuf,
}

/// Binds the socket; only its owner can use it. Replaces a socket that an earlier server has left.
pub(super) fn bind(path: &Path) -> Result<UnixListener, ServerError> {
    let bind = || {
        match fs::symlink_metadata(path) {
            Ok(left) if left.file_type().is_socket() => fs::remove_file(path)?,
            Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => (),
            Err(error) => return Err(error),
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        // No client can connect before it listens.
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind().map_err(|source| fault(path, source))
}

/// How far the wall clock of this directory was moved in earlier runs, in milliseconds.
pub(super) fn wall_shift_ms(directory: &Path) -> Result<i64, ServerError> {
    let path = directory.join(FILE_NAME);
    let read = || match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        text => text?
            .trim_end()
            .strip_prefix("wall_ms ")
            .and_then(|ms| ms.parse().ok())
            .ok_or_else(|| ErrorKind::InvalidData.into()),
    };
    read().map_err(|source| fault(&path, source))
}

/// Serves the socket on a thread.
pub(super) fn serve(
    listener: UnixListener,
    parts: &Parts,
    config: &Config,
) -> Result<(), ServerError> {
    let moved = Moved {
        time: Arc::clone(&parts.time),
        controls: parts.controls.clone(),
        directory: config.store.directory.clone(),
    };
    let serve = move || {
        for stream in listener.incoming() {
            if let Err(error) = stream.and_then(|stream| converse(&stream, &moved)) {
                tracing::warn!(%error, "a connection of the test clock failed");
            }
        }
    };
    spawn("test-clock".to_owned(), serve).map(drop)
}

fn fault(path: &Path, source: io::Error) -> ServerError {
    ServerError::TestClock {
        path: path.to_path_buf(),
        source,
    }
}

/// Answers commands until the client closes the connection.
fn converse(mut stream: &UnixStream, moved: &Moved) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let answer = match Command::parse(&line).and_then(|command| moved.run(command)) {
            Ok(state) => format!("ok {}\n", shown(&state)),
            Err(why) => format!("error {why}\n"),
        };
        stream.write_all(answer.as_bytes())?;
    }
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Advance(u64),
    Leap(i64),
    Now,
}

impl Command {
    /// Parses a line; seconds become milliseconds.
    fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let seconds = |word: &str| {
            let seconds = word.parse::<i64>().ok();
            let seconds = seconds.filter(|seconds| seconds.unsigned_abs() <= SECONDS_MAX);
            seconds.ok_or_else(|| format!("seconds are a whole number up to {SECONDS_MAX}"))
        };
        match words[..] {
            ["advance", word] => match u64::try_from(seconds(word)?) {
                Ok(seconds) => Ok(Self::Advance(seconds * 1_000)),
                Err(_) => {
                    Err("time does not go back, except by a leap of the wall clock".to_owned())
                }
            },
            ["leap", word] => Ok(Self::Leap(seconds(word)? * 1_000)),
            ["now"] => Ok(Self::Now),
            _ => Err("unknown command: advance SECONDS, leap SECONDS, or now".to_owned()),
        }
    }
}

impl Moved {
    fn run(&self, command: Command) -> Result<ClockState, String> {
        match command {
            Command::Advance(ms) => {
                let mut left_ms = ms;
                loop {
                    let slice_ms = left_ms.min(SLICE_MS);
                    self.time.advance(slice_ms);
                    self.keep()?;
                    self.tick()?;
                    left_ms -= slice_ms;
                    if left_ms == 0 {
                        break;
                    }
                }
            }
            Command::Leap(ms) => {
                self.time.leap(ms);
                self.keep()?;
            }
            Command::Now => (),
        }
        Ok(self.time.state())
    }

    /// Writes how far the wall clock was moved. Not synced: a test that loses power starts over.
    fn keep(&self) -> Result<(), String> {
        let text = format!("wall_ms {}\n", self.time.wall_shift_ms());
        fs::write(self.directory.join(FILE_NAME), text)
            .map_err(|error| format!("cannot write {FILE_NAME}: {error}"))
    }

    /// Waits until every shard has evaluated the devices that are due and the result is durable.
    fn tick(&self) -> Result<(), String> {
        let stopped = || "the server is stopping".to_owned();
        let mut ticked = Vec::with_capacity(self.controls.len());
        for control in &self.controls {
            let (reply, done) = oneshot::channel();
            let command = Control::Tick(reply);
            control.send(command).map_err(|_| stopped())?;
            ticked.push(done);
        }
        for done in ticked {
            done.blocking_recv().map_err(|_| stopped())?;
        }
        Ok(())
    }
}

fn shown(state: &ClockState) -> String {
    let ClockState { time, wall, step } = state;
    let seconds = |at: &Timestamp| at.as_millis() as f64 / 1_000.0;
    let step = step.map_or(0.0, |step| step.ms as f64 / 1_000.0);
    format!(
        "time={:.3} wall={:.3} step={step:.3}",
        seconds(time),
        seconds(wall)
    )
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::bounded;

    use super::*;

    #[test]
    fn commands_are_whole_seconds_within_bounds() {
        let parse = |line| Command::parse(line).ok();
        assert_eq!(parse("advance 300\n"), Some(Command::Advance(300_000)));
        assert_eq!(parse("leap -691200\n"), Some(Command::Leap(-691_200_000)));
        assert_eq!(parse("now\n"), Some(Command::Now));
        let far = format!("advance {}", SECONDS_MAX + 1);
        for line in [
            "",
            "now 1",
            "advance",
            "advance -1",
            "advance 1.5",
            "leap x",
            &far,
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_socket_is_for_its_owner_and_replaces_only_a_socket() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("clock");
        for _ in 0..2 {
            drop(bind(&path).unwrap());
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, "other data").unwrap();
        assert!(bind(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"other data");
    }

    #[test]
    fn an_advance_ticks_every_slice_and_is_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().to_path_buf();
        assert_eq!(wall_shift_ms(&directory).unwrap(), 0);
        let (control, questions) = bounded(1);
        let shard = std::thread::spawn(move || {
            let mut ticks = 0;
            for question in questions {
                if let Control::Tick(reply) = question {
                    ticks += 1;
                    let _ = reply.send(());
                }
            }
            ticks
        });
        let moved = Moved {
            time: Arc::new(SteeredTime::start(None, 0)),
            controls: vec![control],
            directory: directory.clone(),
        };
        let before = moved.run(Command::Now).unwrap();
        let after = moved.run(Command::Advance(3 * SLICE_MS + 1)).unwrap();
        let passed = after.time.as_millis() - before.time.as_millis();
        assert!(passed > 3 * SLICE_MS, "{passed}");
        moved.run(Command::Leap(-5_000)).unwrap();
        let kept = wall_shift_ms(&directory).unwrap();
        assert_eq!(kept, 3 * SLICE_MS as i64 + 1 - 5_000);
        drop(moved);
        assert_eq!(shard.join().unwrap(), 4);
        fs::write(directory.join(FILE_NAME), "wall_ms\n").unwrap();
        assert!(wall_shift_ms(&directory).is_err());
    }
}
