//! The clocks of a server under test, which a test moves.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::cli::text;
use super::running::Server;
use super::settings::{Installation, Settings};
use super::{DEADLINE, eventually};
use crate::muster::Muster;

/// What a server's clocks show, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clocks {
    /// The service time.
    pub time: f64,
    /// The wall clock.
    pub wall: f64,
    /// The step of the wall clock that the service time has not followed yet; 0 without a step.
    pub step: f64,
}

/// The test clock of a running server.
#[derive(Debug)]
pub struct TestClock {
    socket: PathBuf,
}

impl TestClock {
    /// Moves all clocks ahead; returns once every device was swept at the new time.
    #[track_caller]
    pub fn advance(&self, seconds: u64) -> Clocks {
        self.command(&format!("advance {seconds}"))
    }

    /// Moves the wall clock alone.
    #[track_caller]
    pub fn leap(&self, seconds: i64) -> Clocks {
        self.command(&format!("leap {seconds}"))
    }

    /// What the clocks show.
    #[track_caller]
    pub fn now(&self) -> Clocks {
        self.command("now")
    }

    #[track_caller]
    fn command(&self, line: &str) -> Clocks {
        let mut stream = UnixStream::connect(&self.socket).expect("the server has a test clock");
        stream
            .set_read_timeout(Some(DEADLINE))
            .expect("a socket takes a timeout");
        stream
            .write_all(format!("{line}\n").as_bytes())
            .expect("it takes a command");
        let mut answer = String::new();
        let read = BufReader::new(stream).read_line(&mut answer);
        read.expect("a command is answered");
        parse(&answer).unwrap_or_else(|| panic!("{line}: {answer}"))
    }
}

fn parse(answer: &str) -> Option<Clocks> {
    let mut words = answer.strip_prefix("ok ")?.split_whitespace();
    let mut next = |name: &str| {
        let word = words.next()?.strip_prefix(name)?;
        word.strip_prefix('=')?.parse().ok()
    };
    Some(Clocks {
        time: next("time")?,
        wall: next("wall")?,
        step: next("step")?,
    })
}

impl Installation {
    /// Starts a server whose clocks the test moves. They continue where an earlier server left them.
    #[track_caller]
    pub fn start_with_clock(&self) -> (Server, TestClock) {
        let file = self.configure(&Settings {
            store: "backup_directory = \"backups\"".to_owned(),
            more: "[test]\nclock = true".to_owned(),
            ..Settings::default()
        });
        let socket = self.path("clock.socket");
        let arguments = [
            "serve",
            "--config",
            text(&file),
            "--test-clock",
            text(&socket),
        ];
        let server = eventually("the server starts", || {
            Server::start(Muster::beside_this_test().command(arguments)).ok()
        });
        server.ops.create_tenants(&Settings::default().tenants);
        (server, TestClock { socket })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_three_clocks_or_is_none() {
        let clocks = Clocks {
            time: 5.25,
            wall: 9.0,
            step: -3.5,
        };
        assert_eq!(
            parse("ok time=5.250 wall=9.000 step=-3.500\n"),
            Some(clocks)
        );
        for answer in [
            "",
            "ok",
            "error no such command\n",
            "ok time=5 wall=x step=0",
        ] {
            assert_eq!(parse(answer), None, "{answer}");
        }
    }
}
