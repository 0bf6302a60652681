//! The task behind a client: one connection after the other until the caller closes.
//!
//! Owner: itself; the handle talks to it by a channel of one frame and reads its status. Bounds:
//! the window. What it does not do: connect without a reason; a connection that is lost while
//! nothing is unacknowledged is opened again by the next frame, so an idle fleet costs no server
//! anything.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::{
    back_off::BackOff,
    connection::{Connection, Dialler},
    error::{ClientError, Disconnect, Fault},
    session::{self, Ended, Outbox},
};

#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) dialler: Dialler,
    pub(crate) outbox: Outbox,
    pub(crate) back_off: BackOff,
    pub(crate) offline_max: Option<Duration>,
}

impl Driver {
    /// Runs until the caller has closed and everything is acknowledged, or until nothing can help.
    pub(crate) async fn run(mut self, connection: Connection) -> Result<(), ClientError> {
        let result = self.serve(connection).await;
        self.outbox.status.send_modify(|status| {
            status.progress.is_connected = false;
            status.failure = result.clone().err();
        });
        result
    }

    async fn serve(&mut self, mut connection: Connection) -> Result<(), ClientError> {
        loop {
            let (ended, has_progressed) = session::run(&mut connection, &mut self.outbox).await;
            self.outbox.update(|progress| progress.is_connected = false);
            if has_progressed {
                self.back_off.reset();
            }
            let (reason, retry_after) = match ended {
                Ended::Finished => return Ok(()),
                Ended::Failed(error) => return Err(error),
                Ended::Lost {
                    reason,
                    retry_after,
                } => (reason, retry_after),
            };
            let not_before = Instant::now() + retry_after;
            if self.outbox.window.is_empty() {
                let frame = self.outbox.frames.recv().await;
                self.outbox.take(frame);
                if self.outbox.is_closing {
                    return Ok(());
                }
            }
            connection = self.reconnect(reason, not_before, Instant::now()).await?;
        }
    }

    /// Attempts until one works, each after a wait and none before `not_before`; no new one once the
    /// client has been without a connection for `offline_max`.
    async fn reconnect(
        &mut self,
        mut last: Disconnect,
        not_before: Instant,
        offline_since: Instant,
    ) -> Result<Connection, ClientError> {
        let mut start = not_before.max(Instant::now());
        loop {
            start += self.back_off.next(random());
            if self
                .offline_max
                .is_some_and(|max| start > offline_since + max)
            {
                return Err(self.unreachable(last));
            }
            sleep_until(start).await;
            match self.connect().await {
                Ok(connection) => return Ok(connection),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Passing(reason)) => last = reason,
            }
            start = Instant::now();
        }
    }

    /// The first connection: the first attempt is made at once.
    pub(crate) async fn connect_first(&mut self) -> Result<Connection, ClientError> {
        let offline_since = Instant::now();
        match self.connect().await {
            Ok(connection) => Ok(connection),
            Err(Fault::Final(error)) => Err(error),
            Err(Fault::Passing(reason)) => {
                self.reconnect(reason, offline_since, offline_since).await
            }
        }
    }

    async fn connect(&mut self) -> Result<Connection, Fault> {
        let words = self.outbox.first_words();
        let connection = self.dialler.connect(&words).await?;
        let resent = self.outbox.window.open(connection.hello.window_frames);
        if words.check_in.is_some() {
            // It is on its way already.
            self.outbox.window.take_unsent();
        }
        self.outbox.update(|progress| {
            progress.is_connected = true;
            progress.connections += 1;
            progress.frames_resent += resent as u64;
            progress.next_check_in_seconds = connection.hello.next_check_in_seconds;
            progress.window_frames = connection.hello.window_frames;
            progress.check_ins_per_frame_max = connection.hello.check_ins_per_frame_max;
        });
        Ok(connection)
    }

    fn unreachable(&self, last: Disconnect) -> ClientError {
        let server = self.dialler.server;
        ClientError::Unreachable {
            server,
            attempts: self.back_off.attempts(),
            last,
        }
    }
}

/// A number nobody can guess, from the seed the standard library gives each hasher.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
