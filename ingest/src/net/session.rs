//! One session: our authenticated state on one connection.
//!
//! Life: identity from the certificate, one stream, Hello both ways, then frames in and cumulative
//! acks out until a Goodbye, a fault, or the server drains. Owned by one task of the net runtime.
//! What it decides is in [`SessionCore`], which knows no connection; here is what it waits for.
//! Memory is bounded by the window (frames in flight) and the connection's receive window.
//!
//! A frame is routed only once all of it has been read, so a stream that ends in the middle of one
//! leaves nothing half-applied. The session waits in two places, each watching the server's phase: for
//! bytes, and for room in an inbox. Time spent in the latter is not held against the client. It never
//! waits for its window: a client that sends more than that allows is closed.

mod core;
mod decode;
mod delivery;
mod end;
mod open;

use std::sync::Arc;
use std::time::Duration;

use muster_store::kill_point;
use muster_wire::CloseCode;
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use super::context::ListenerContext;
use super::handshake::{self, Handshake, Stream};
use super::quotas::{Permit, Quotas};
use crate::phase::Phase;

use self::end::End;

pub use self::core::{PendingSession, Principal, SessionCore, Take};

/// The most a session takes from its stream at once before its Hello.
const CHUNK_BYTES_MAX: usize = 4 << 10;

/// How long an inbox may be full before the client is told to hold back.
const BUSY_AFTER: Duration = Duration::from_millis(250);

/// For how long it is told to.
const BUSY_RETRY_AFTER_MS: u32 = 500;

/// How long the last frames may take to reach the peer before the connection is closed on them.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// What waiting ended with.
enum Wake {
    /// So many chunks were read.
    Chunks(usize),
    EndOfStream,
    Progress,
    Phase,
    FrameTimeout,
}

/// The state of one session.
#[derive(Debug)]
struct Session {
    context: Arc<ListenerContext>,
    core: SessionCore,
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    phase: watch::Receiver<Phase>,
    /// What was read and not yet taken; as many at once as its length.
    chunks: Box<[bytes::Bytes]>,
    /// The number of the frame that is incomplete, and when it began to be read.
    frame_since: Option<(u64, Instant)>,
    /// How it ended; gone as long as it goes on.
    end: End,
    /// What goes on beside a session that began with early data, until somebody waits for its end.
    handshake: Option<Handshake>,
    /// Its part of its tenant's connections, and of the memory for large windows: of its tenant's and of all.
    _permits: (Permit, Option<(Permit, Permit)>),
}

/// Runs the session of a connection to its end; the stream is there already if it came with early data.
pub(super) async fn run(
    connection: Connection,
    early: Option<(Stream, Handshake)>,
    deadline: Instant,
    quotas: &Quotas,
    context: Arc<ListenerContext>,
) {
    let mut account = Account {
        connection: connection.clone(),
        context: Arc::clone(&context),
        is_open: false,
        end: End::Gone,
    };
    // Boxed, like everything that is over soon or rarely begins: what the task of a session needs at most is what
    // each idle connection costs.
    let (mut stream, mut handshake) = early.unzip();
    let mut session;
    let opened = Session::open(connection, &mut stream, deadline, quotas, context);
    account.end = match Box::pin(opened).await {
        Ok((opened, rest)) => {
            session = opened;
            session.handshake = handshake.take();
            account.is_open = true;
            account.context.metrics.sessions_opened.add(1);
            let (id, identity) = (session.core.entry.id, &session.core.entry.identity);
            let span = tracing::debug_span!("session", id, %identity);
            let end = session.serve(rest).instrument(span).await;
            session.end = ended(session.handshake.take(), end).await;
            session.end
        }
        Err(end) => ended(handshake, end).await,
    };
    // Before the stream goes: its end would be another message than the code.
    drop(account);
}

/// How a session ends, once its handshake has ended too: not before may the other end be told.
async fn ended(handshake: Option<Handshake>, end: End) -> End {
    let Some(handshake) = handshake else {
        return end;
    };
    match (handshake.end().await, end) {
        (false, End::Gone) => CloseCode::HelloTimeout.into(),
        _ => end,
    }
}

/// What the metrics say of the end of a connection: said when this is dropped, so also where the runtime ends before
/// its task does.
struct Account {
    connection: Connection,
    context: Arc<ListenerContext>,
    /// Whether its session has begun.
    is_open: bool,
    /// How it ended; gone as long as nobody said otherwise.
    end: End,
}

impl Drop for Account {
    fn drop(&mut self) {
        // A task that panics says nothing. Dropped without a code the connection would end with 0, which is `done`.
        if self.end == End::Gone && self.connection.close_reason().is_none() {
            self.end = CloseCode::Internal.into();
        }
        let metrics = &self.context.metrics;
        let code = self.end.code(&self.connection);
        if !self.is_open {
            metrics.closed_before_hello.add(code, 1);
        }
        match code {
            Some(code) => metrics.closed[code.index()].add(1),
            None => metrics.closed_otherwise.add(1),
        }
        if let End::Close(code) = self.end {
            if !matches!(code, CloseCode::Done | CloseCode::Draining) {
                let remote = self.connection.remote_address();
                self.context.log_cause(code.name(), &remote);
            }
            handshake::close(&self.connection, code);
        }
    }
}

impl Drop for Session {
    /// What it received and did not acknowledge is in the accounts, however it ends.
    fn drop(&mut self) {
        let (code, unacknowledged) = (self.end.code(&self.connection), self.core.unacknowledged());
        let metrics = &self.context.metrics;
        metrics.unacknowledged.add(code, unacknowledged);
    }
}

impl Session {
    /// Serves until it ends, beginning with what came behind the Hello.
    async fn serve(&mut self, rest: bytes::Bytes) -> End {
        tracing::debug!(remote = %self.core.entry.remote, "session opened");
        let mut turn = self.take_chunk(&rest).await;
        loop {
            match turn {
                Ok(()) => turn = self.turn().await,
                Err(end) => {
                    tracing::debug!(?end, frames = self.core.totals().frames, "session ends");
                    return end;
                }
            }
        }
    }

    /// Acknowledges what is durable, ends if everything is said, waits, takes what came.
    async fn turn(&mut self) -> Result<(), End> {
        self.check_phase().await?;
        self.acknowledge().await?;
        if let Some(code) = self.core.is_over() {
            return Err(Box::pin(self.farewell(code)).await);
        }
        match self.wake().await? {
            Wake::Chunks(count) => self.take(count).await,
            Wake::EndOfStream => {
                self.core.end_of_stream()?;
                Ok(())
            }
            Wake::Progress | Wake::Phase => Ok(()),
            Wake::FrameTimeout => Err(CloseCode::FrameTimeout.into()),
        }
    }

    /// Waits for bytes, durability, or a change of phase, whichever comes first.
    async fn wake(&mut self) -> Result<Wake, End> {
        let reading = self.core.is_reading();
        let timeout = self.context.config.frame_timeout.get();
        let frame_deadline = self.frame_since.map(|(_, since)| since + timeout);
        let in_flight = self.core.in_flight() > 0;
        tokio::select! {
            read = self.receive.read_chunks(&mut self.chunks), if reading => match read {
                Ok(Some(count)) => {
                    self.core.note_read();
                    Ok(Wake::Chunks(count))
                }
                Ok(None) => Ok(Wake::EndOfStream),
                Err(error) => Err(error.into()),
            },
            () = self.core.window.progress(), if in_flight => Ok(Wake::Progress),
            changed = self.phase.changed() => match changed {
                Ok(()) => Ok(Wake::Phase),
                Err(_) => Err(CloseCode::Draining.into()),
            },
            () = until(frame_deadline), if reading => Ok(Wake::FrameTimeout),
            _ = self.connection.closed(), if !reading => Err(End::Gone),
        }
    }

    /// Looked at once a turn, so no change is missed whoever watched it.
    async fn check_phase(&mut self) -> Result<(), End> {
        let phase = *self.phase.borrow_and_update();
        match phase {
            Phase::Starting | Phase::Serving => Ok(()),
            Phase::Poisoned => Err(CloseCode::StoreUnavailable.into()),
            Phase::Draining if self.core.drain() => self.write_out().await,
            Phase::Draining => Ok(()),
        }
    }

    /// Takes the chunks that were read.
    async fn take(&mut self, count: usize) -> Result<(), End> {
        for index in 0..count {
            let chunk = std::mem::take(&mut self.chunks[index]);
            self.take_chunk(&chunk).await?;
        }
        Ok(())
    }

    /// Takes everything a chunk holds.
    async fn take_chunk(&mut self, chunk: &[u8]) -> Result<(), End> {
        let mut rest = chunk;
        while self.core.take(&mut rest)? == Take::Blocked {
            Box::pin(self.wait_for_room()).await?;
        }
        // One reading of the clock a chunk, and only while a frame is incomplete. A client that never pauses
        // is in the middle of some frame at the end of each chunk: what counts is the age of that one.
        self.frame_since = self.core.frame_being_read().map(|frame| {
            let same = self.frame_since.filter(|(number, _)| *number == frame);
            same.unwrap_or_else(|| (frame, Instant::now()))
        });
        Ok(())
    }

    /// Waits until an inbox has taken the part that waits for it; after a while the client is told to hold back.
    async fn wait_for_room(&mut self) -> Result<(), End> {
        let mut busy_at = Instant::now() + BUSY_AFTER;
        while let Some((inbox, tenant)) = self.core.blocked_on() {
            let in_flight = self.core.in_flight() > 1;
            let full_for_long = tokio::select! {
                () = inbox.room(tenant) => false,
                // Earlier frames are acknowledged meanwhile; this one is still open.
                () = self.core.window.progress(), if in_flight => false,
                () = tokio::time::sleep_until(busy_at) => true,
                end = poisoned(&mut self.phase) => return Err(end),
            };
            self.acknowledge().await?;
            if full_for_long {
                self.core.say_busy(BUSY_RETRY_AFTER_MS);
                self.write_out().await?;
                busy_at = Instant::now() + BUSY_AFTER;
            }
            self.core.offer()?;
        }
        Ok(())
    }

    /// Writes one cumulative ack for what has become durable since the last one.
    async fn acknowledge(&mut self) -> Result<(), End> {
        if self.core.acknowledge() {
            kill_point("ingest.ack.before_write");
            self.write_out().await?;
            kill_point("ingest.ack.after_write");
        }
        Ok(())
    }

    /// Ends an orderly session: the last frame out, then a moment for it to arrive. Everything is acknowledged: who
    /// leaves with a ticket may speak early again.
    async fn farewell(&mut self, code: CloseCode) -> End {
        if let Some(handshake) = self.handshake.take()
            && tokio::time::timeout(FAREWELL_MAX, handshake.end()).await == Ok(false)
        {
            return CloseCode::HelloTimeout.into();
        }
        if let Err(end) = self.write_out().await {
            return end;
        }
        // Fails only on a stream that is finished or reset, where there is nothing left to say.
        let _ = self.send.finish();
        // A peer that does not confirm in time is closed on all the same.
        let _ = tokio::time::timeout(FAREWELL_MAX, self.send.stopped()).await;
        End::Close(code)
    }

    /// Writes and empties `out`. A peer that does not read its acks gets as long as for a frame.
    async fn write_out(&mut self) -> Result<(), End> {
        let timeout = self.context.config.frame_timeout.get();
        let written = tokio::time::timeout(timeout, self.send.write_all(self.core.out())).await;
        self.core.out().clear();
        match written {
            Ok(written) => Ok(written?),
            Err(_) => Err(CloseCode::FrameTimeout.into()),
        }
    }
}

/// Ends when the store is poisoned; a drain lets what was read come to its end.
async fn poisoned(phase: &mut watch::Receiver<Phase>) -> End {
    match phase.wait_for(|phase| *phase == Phase::Poisoned).await {
        Ok(_) => CloseCode::StoreUnavailable.into(),
        Err(_) => CloseCode::Draining.into(),
    }
}

/// Sleeps until a deadline, or forever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
