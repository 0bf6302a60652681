//! The task behind a client: opens one connection after another until the caller closes.
//!
//! Owner: itself. The handle sends it frames through a channel of one and reads its status. Bounds: the window. What
//! it does not do: reconnect while nothing is unacknowledged. The next frame does that, so an idle fleet costs the
//! server nothing.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use crate::{
    backoff::Backoff,
    config::ClientConfig,
    connection::{Connection, Dialler},
    error::{ClientError, Disconnect, Failure},
    session::{self, Outbox, SessionEnd},
};

#[derive(Debug)]
pub(crate) struct Driver {
    dialler: Dialler,
    outbox: Outbox,
    backoff: Backoff,
    offline_timeout: Option<Duration>,
}

impl Driver {
    pub(crate) fn new(dialler: Dialler, config: &ClientConfig, outbox: Outbox) -> Self {
        Self {
            dialler,
            outbox,
            backoff: Backoff::new(config.backoff_min, config.backoff_max),
            offline_timeout: config.offline_timeout,
        }
    }

    /// Runs until the caller has closed and every frame is acknowledged, or until a failure that a retry cannot fix.
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
            let (end, has_progressed) = session::run(&mut connection, &mut self.outbox).await;
            self.outbox.update(|progress| progress.is_connected = false);
            if has_progressed {
                self.backoff.reset();
            }
            let (reason, retry_after) = match end {
                SessionEnd::Closed => return Ok(()),
                SessionEnd::Failed(error) => return Err(error),
                SessionEnd::Lost {
                    reason,
                    retry_after,
                } => (reason, retry_after),
            };
            let not_before = Instant::now() + retry_after;
            if self.outbox.window.is_empty() {
                let frame = self.outbox.frames.recv().await;
                self.outbox.push(frame);
                if self.outbox.is_closing {
                    return Ok(());
                }
            }
            connection = self.reconnect(reason, not_before, Instant::now()).await?;
        }
    }

    /// Makes the first connection. The first attempt starts without a delay.
    pub(crate) async fn connect_first(&mut self) -> Result<Connection, ClientError> {
        let offline_since = Instant::now();
        match self.connect().await {
            Ok(connection) => Ok(connection),
            Err(Failure::Fatal(error)) => Err(error),
            Err(Failure::Retryable(reason)) => {
                self.reconnect(reason, offline_since, offline_since).await
            }
        }
    }

    /// Retries until an attempt succeeds, each after a backoff delay and none before `not_before`. Gives up when the
    /// next attempt would start more than `offline_timeout` after `offline_since`.
    async fn reconnect(
        &mut self,
        mut last: Disconnect,
        not_before: Instant,
        offline_since: Instant,
    ) -> Result<Connection, ClientError> {
        let mut start = not_before.max(Instant::now());
        loop {
            start += self.backoff.next(random());
            if self
                .offline_timeout
                .is_some_and(|timeout| start > offline_since + timeout)
            {
                return Err(self.unreachable(last));
            }
            sleep_until(start).await;
            match self.connect().await {
                Ok(connection) => return Ok(connection),
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Retryable(reason)) => last = reason,
            }
            start = Instant::now();
        }
    }

    async fn connect(&mut self) -> Result<Connection, Failure> {
        let first_flight = self.outbox.first_flight();
        let connection = self.dialler.connect(&first_flight).await?;
        let window_frames = connection.hello.window_frames;
        let resent = self.outbox.window.begin_connection(window_frames);
        if first_flight.check_in.is_some() {
            // The oldest frame was sent in the first flight.
            self.outbox.window.send_next();
        }
        self.outbox.update(|progress| {
            progress.is_connected = true;
            progress.connections += 1;
            progress.frames_resent += resent as u64;
            progress.next_check_in_seconds = connection.hello.next_check_in_seconds;
            progress.window_frames = window_frames;
            progress.check_ins_per_frame_max = connection.hello.check_ins_per_frame_max;
        });
        Ok(connection)
    }

    fn unreachable(&self, last: Disconnect) -> ClientError {
        ClientError::Unreachable {
            server: self.dialler.server,
            attempts: self.backoff.attempts(),
            last,
        }
    }
}

/// A random number, from the seed that the standard library gives every hasher.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
